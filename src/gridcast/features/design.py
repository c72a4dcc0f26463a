"""One snapshot, or the snapshot of thousands of issue times, as a `Design`: the same code for both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import INPUTS, LOAD, OBSERVED, TSO_FORECAST, Block, Design, Floats, Snapshot
from gridcast.features import calendar, weather
from gridcast.market.days import DAY, Origins, Times, chain, lagged, local_wall

LAG_DAYS = 28
"""How many days back the same local clock is looked up, and how far back the recent load goes."""
RUN_UP_DAYS = 2 * LAG_DAYS + int(weather.MEMORY / DAY) + 2
"""Days of earlier origins that give the first wanted one its memory: the forecasts of the lag days, and their lags."""


def design(snapshot: Snapshot, asked: Origins, *, inputs: Sequence[str] = INPUTS) -> Design:
    """The rows of ``asked`` and their run-up.

    Args:
        snapshot: what was public; made for every asked issue time or a later one.
        asked: the origins to forecast; they are the design's wanted ones.
        inputs: which of `contracts.INPUTS` the model may use.

    Raises:
        LookaheadError: the snapshot ends before the last asked issue time.
    """
    zone, resolution = snapshot.zone, snapshot.resolution
    origins, wanted = chain(asked, days=RUN_UP_DAYS)
    origin, valid_time = origins.rows(resolution)
    issue = origins.issue_time[origin]
    wall = local_wall(valid_time, zone.local_tz)
    local_day = wall.astype("datetime64[D]")
    rows = _Rows(origins, resolution, valid_time)

    lag_time = lagged(valid_time[:, None], np.arange(1, LAG_DAYS + 1), tz=zone.local_tz)
    intervals = int(LAG_DAYS * DAY / resolution)
    newest = origins.issue_time - (origins.issue_time - origins.start) % resolution
    recent_time = newest[:, None] - np.arange(1, intervals + 1) * resolution
    use_load, use_calendar = "load" in inputs, "calendar" in inputs
    lag_load, lag_row = rows.past(snapshot, lag_time, issue=issue[:, None], use=use_load)
    recent_load, recent_row = rows.past(snapshot, recent_time, issue=origins.issue_time[:, None], use=use_load)

    names = _weather_variables(snapshot) if "weather" in inputs else ()
    use_tso = "tso" in inputs and zone.tso_input and TSO_FORECAST in snapshot
    return Design(
        zone=zone,
        origins=origins,
        wanted=wanted,
        resolution=resolution,
        origin=origin,
        valid_time=valid_time,
        slot=((wall - local_day) // resolution).astype(np.intp),
        local_day=local_day,
        day_kind=calendar.day_kind(zone, local_day) if use_calendar else np.zeros(len(local_day), np.intp),
        calendar=calendar.blocks(zone, local_day)[: None if use_calendar else 1],
        weather=tuple(_weather_block(snapshot, name, rows=rows, origin=origin) for name in names),
        tso=snapshot.known(TSO_FORECAST, valid_time, issue_time=issue) if use_tso else np.full(len(valid_time), np.nan),
        lag_load=lag_load,
        lag_row=lag_row,
        recent_load=recent_load,
        recent_row=recent_row,
        target=np.full(len(valid_time), np.nan),
        weather_basis="none" if not names else "observed" if names[0].endswith(OBSERVED) else "forecast",
        tso_basis=snapshot.tso_basis if use_tso else "none",
    )


def with_target(design: Design, snapshot: Snapshot, *, at: np.datetime64) -> Design:
    """The design with the load that was public at ``at`` as its target: what a model may be trained on then."""
    return design.with_target(snapshot.known(LOAD, design.valid_time, issue_time=np.full(len(design.valid_time), at)))


class _Rows:
    """Which row forecast which interval."""

    def __init__(self, origins: Origins, resolution: np.timedelta64, valid_time: Times) -> None:
        self.origins, self.resolution, self.valid_time = origins, resolution, valid_time
        counts = ((origins.end - origins.start) // resolution).astype(np.intp)
        self.first = np.cumsum(counts) - counts

    def covering(self, times: Times) -> NDArray[np.intp]:
        """The row of the latest origin whose window holds each time, -1 where no window does."""
        origin = np.searchsorted(self.origins.start, times, side="right") - 1
        safe = np.maximum(origin, 0)
        inside = (origin >= 0) & (times < self.origins.end[safe])
        step = ((times - self.origins.start[safe]) // self.resolution).astype(np.intp)
        return np.where(inside, self.first[safe] + step, -1)

    def past(self, snapshot: Snapshot, times: Times, *, issue: Times, use: bool) -> tuple[Floats, NDArray[np.intp]]:
        """The load at past times as public at each issue, and the rows that forecast it (-1 where it is unknown)."""
        if not use:
            return np.full(times.shape, np.nan), np.full(times.shape, -1, np.intp)
        load = snapshot.known(LOAD, times, issue_time=np.broadcast_to(issue, times.shape))
        return load, np.where(np.isfinite(load), self.covering(times), -1)


def _weather_variables(snapshot: Snapshot) -> tuple[str, ...]:
    """Forecast weather where there is any, else observed weather: the two are never mixed."""
    forecast = tuple(name for name in snapshot.weather if not name.endswith(OBSERVED))
    return forecast or snapshot.weather


def _weather_block(snapshot: Snapshot, variable: str, *, rows: _Rows, origin: NDArray[np.intp]) -> Block:
    """Each row's weather is what was known at its own origin; the past is what earlier origins knew of it."""
    origins, resolution = rows.origins, rows.resolution
    at_row = snapshot.known(variable, rows.valid_time, issue_time=origins.issue_time[origin])
    width = int(((origins.end - origins.start) // resolution).max())
    times = weather.path_times(origins.start, resolution=resolution, width=width)
    memory = times.shape[1] - width
    earlier = rows.covering(times[:, :memory])
    path = np.full(times.shape, np.nan)
    path[:, :memory] = np.where(earlier >= 0, at_row[earlier], np.nan)
    place = memory + (np.arange(len(origin)) - rows.first[origin])
    path[origin, place] = at_row
    return weather.block(
        variable,
        path,
        window=(origin, place),
        steps_per_hour=int(np.timedelta64(1, "h") / resolution),
    )
