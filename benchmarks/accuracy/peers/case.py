"""What every peer is handed, and what it hands back: plain files, so that it can live in an environment of its own.

A folder holds ``case.json`` (zone, clocks, resolution, quantiles), ``history.parquet`` (every interval of the load
file: UTC start, load, operator's forecast and weather where the task allows them) and ``origins.parquet``. A peer
asks `Case.seen` and `Case.learned` for its data, and they alone decide what was public at an origin.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Origin:
    """One forecast to make, all times UTC: of the intervals from ``start`` to ``end`` (exclusive), at ``issue_time``.

    ``known_until`` is the start of the newest interval whose load was public then; ``refit`` is set where a month of
    delivery days begins.
    """

    issue_time: pd.Timestamp
    start: pd.Timestamp
    end: pd.Timestamp
    known_until: pd.Timestamp
    refit: bool


@dataclass(frozen=True)
class Case:
    """A task as a peer sees it. ``history`` is by UTC start: ``load``, and else what is known ahead."""

    zone: str
    country: str
    subdivision: str | None
    local_tz: str
    latitude: float
    longitude: float
    step: pd.Timedelta
    quantiles: tuple[float, ...]
    history: pd.DataFrame
    origins: tuple[Origin, ...]

    @property
    def day(self) -> int:
        """Intervals of 24 hours."""
        return int(pd.Timedelta("24h") / self.step)

    @property
    def freq(self) -> str:
        """The resolution as pandas and its libraries name it."""
        return f"{self.step // pd.Timedelta(minutes=1)}min"

    @property
    def horizon(self) -> int:
        """Intervals from the newest known load to the end of the longest window."""
        return max(self.steps(origin) for origin in self.origins)

    def steps(self, origin: Origin) -> int:
        """Intervals from the newest known load to the end of the origin's window."""
        return int((origin.end - origin.known_until) / self.step) - 1

    def seen(self, origin: Origin) -> pd.DataFrame:
        """Everything up to the end of the origin's window, load only as far as it was public."""
        rows = self.history.loc[: origin.end - self.step].copy()
        rows.loc[rows.index > origin.known_until, "load"] = np.nan
        return rows

    def learned(self, origin: Origin) -> pd.DataFrame:
        """What a model may be fitted on at the origin: the rows whose load was public."""
        return self.history.loc[: origin.known_until].copy()

    def blocks(self, every: int = 1) -> Iterator[tuple[Origin, ...]]:
        """The origins of each refit, which is due at the first of them; ``every`` so many months."""
        begins = [n for n, origin in enumerate(self.origins) if origin.refit][::every]
        for begin, end in zip(begins, [*begins[1:], len(self.origins)], strict=True):
            yield self.origins[begin:end]


def read(folder: Path) -> Case:
    """The case in a folder."""
    stated = json.loads((folder / "case.json").read_text("utf-8"))
    origins = pd.read_parquet(folder / "origins.parquet")
    minutes = stated.pop("resolution_minutes")
    return Case(
        **stated | {"quantiles": tuple(stated["quantiles"])},
        step=pd.Timedelta(minutes=minutes),
        history=pd.read_parquet(folder / "history.parquet").set_index("valid_time"),
        origins=tuple(Origin(**row) for row in origins.to_dict("records")),
    )


def filled(load: pd.Series, week: int) -> pd.Series:
    """A load whose gaps hold the value of a week (so many intervals) before, what is left interpolated."""
    return load.fillna(load.shift(week)).interpolate(limit_direction="both")


def calendar(times: pd.DatetimeIndex, case: Case) -> pd.DataFrame:
    """Local clock and public holidays of the country, as numbers: what a user gives a general forecasting library."""
    import holidays

    wall = times.tz_convert(case.local_tz)
    years = range(wall[0].year, wall[-1].year + 2)
    off = set(holidays.country_holidays(case.country, subdiv=case.subdivision, years=years))
    days = pd.Series(wall.date, index=times)
    one = pd.Timedelta(days=1).to_pytimedelta()
    return pd.DataFrame(
        {
            "hour": wall.hour + wall.minute / 60,
            "weekday": wall.day_of_week,
            "month": wall.month,
            "yearday": wall.day_of_year,
            "holiday": days.isin(off),
            "day_before_holiday": (days + one).isin(off),
            "day_after_holiday": (days - one).isin(off),
        },
        index=times,
    ).astype(float)


def weather(history: pd.DataFrame, case: Case) -> pd.DataFrame:
    """The columns other than load, their gaps held, and a temperature's mean and extremes of a day, mean of a week."""
    columns = history.drop(columns="load").ffill().bfill()
    for name in [name for name in columns if str(name).startswith("temperature")]:
        for days in (1, 7):
            recent = columns[name].rolling(days * case.day, min_periods=1)
            columns[f"{name}_mean_{days}d"] = recent.mean()
        day = columns[name].rolling(case.day, min_periods=1)
        columns[f"{name}_highest"], columns[f"{name}_lowest"] = day.max(), day.min()
    return columns


@dataclass
class Run:
    """A peer's forecasts and CPU seconds (user and system, this process) as they come."""

    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    fits: int = 0
    frames: list[pd.DataFrame] = field(default_factory=list)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Count the block as fitting."""
        begun = time.process_time()
        yield
        self.fit_seconds += time.process_time() - begun
        self.fits += 1

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Count the block as predicting."""
        begun = time.process_time()
        yield
        self.predict_seconds += time.process_time() - begun

    def add(self, origin: Origin, fan: pd.DataFrame) -> None:
        """Forecasts of one origin: a column a quantile, indexed by UTC starts; what lies outside the window is cut."""
        inside = fan.loc[(fan.index >= origin.start) & (fan.index < origin.end)]
        long = inside.rename_axis("valid_time").reset_index().melt("valid_time", var_name="quantile")
        self.frames.append(long.assign(issue_time=origin.issue_time, quantile=long["quantile"].astype(float)))

    def write(self, folder: Path) -> None:
        """Leave ``forecast.parquet`` and ``peer.json`` in the folder."""
        everything = pd.concat(self.frames, ignore_index=True)
        everything[["issue_time", "valid_time", "quantile", "value"]].to_parquet(folder / "forecast.parquet")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cost = {"fit_seconds": self.fit_seconds, "predict_seconds": self.predict_seconds, "fits": self.fits}
        (folder / "peer.json").write_text(json.dumps(cost | {"rss_mib": peak}), encoding="utf-8")
