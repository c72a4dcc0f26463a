"""Small synthetic worlds: vintages of load, forecasts and weather for any zone, and what Hypothesis draws them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcast import contracts
from gridcast.contracts import INPUTS, LOAD, OBSERVATIONS, OBSERVED, TSO_FORECAST, Block, Design, Floats
from gridcast.features.design import design, with_target
from gridcast.market.days import HOUR, Times, delivery_window, from_local_wall, instant, local_day, local_wall, origins
from gridcast.market.zones import BiddingZone, zone, zones
from gridcast.store import snapshot

FORECAST_WEATHER = "temperature_2m"
OBSERVED_WEATHER = f"temperature_2m{OBSERVED}"
DAY = np.timedelta64(1, "D")


def minutes(count: int) -> np.timedelta64:
    return np.timedelta64(count * 60_000_000, "us")


def rows(
    code: str,
    variable: str,
    valid_time: Times,
    *,
    value: Floats | float,
    published_at: Times,
    resolution: np.timedelta64 = HOUR,
    basis: str = "reported",
    source: str = "synthetic",
) -> pl.DataFrame:
    """Observations of one variable from arrays of equal length; fetched at the publication."""
    frame = pl.DataFrame(
        {
            "valid_time": valid_time.astype("datetime64[us]"),
            "published_at": published_at.astype("datetime64[us]"),
            "value": np.broadcast_to(np.asarray(value, np.float64), valid_time.shape),
        }
    )
    return (
        frame.with_columns(
            pl.col("valid_time", "published_at").dt.replace_time_zone("UTC"),
            zone=pl.lit(code),
            variable=pl.lit(variable),
            resolution=pl.lit(timedelta(microseconds=int(resolution.astype("timedelta64[us]").astype(int)))),
            published_at_basis=pl.lit(basis),
            source=pl.lit(source),
        )
        .with_columns(fetched_at=pl.col("published_at"))
        .select(list(OBSERVATIONS))
        .cast(dict(OBSERVATIONS))
    )


def history(
    where: BiddingZone,
    *,
    first: date,
    last: date,
    step: int = 60,
    weather: Sequence[str] = (FORECAST_WEATHER, OBSERVED_WEATHER),
    seed: int = 0,
) -> pl.DataFrame:
    """Observations of the market-local days from ``first`` to ``last`` (exclusive), intervals of ``step`` minutes.

    - load: two hours after the end of the interval; every ninth is revised five hours later;
    - the operator's forecast: 10:00 market time on the day before, refreshed at 10:30 and at 18:00;
    - forecast ``weather``: hourly, runs at 06:00 UTC two days and a day before, 18:00 a day before, 06:00 of the day;
    - observed ``weather``: hourly, six days late.

    A portfolio gets them of its members.
    """
    codes = where.members or (where.code,)
    return contracts.observations(
        pl.concat(
            _one_zone(code, where, first=first, last=last, step=step, weather=weather, seed=seed + number)
            for number, code in enumerate(codes)
        )
    )


def _one_zone(
    code: str, where: BiddingZone, *, first: date, last: date, step: int, weather: Sequence[str], seed: int
) -> pl.DataFrame:
    random = np.random.default_rng([seed, *code.encode()])
    resolution = minutes(step)
    begin, end = instant(delivery_window(where, first)[0]), instant(delivery_window(where, last)[0])
    times = np.arange(begin, end, resolution)
    wall = local_wall(times, where.local_tz)
    hour = (wall - wall.astype("datetime64[D]")) / HOUR
    weekend = (wall.astype("datetime64[D]").astype(np.int64) + 3) % 7 >= 5
    hours = np.arange(begin, end, HOUR)
    truth = (
        10
        - 8 * np.cos((hours - np.datetime64("2024-01-20")) / DAY * 2 * np.pi / 365.25)
        + np.repeat(random.normal(0, 3, len(hours) // 24 + 1), 24)[: len(hours)]
    )
    temperature = truth[((times - begin) // HOUR).astype(np.intp)]
    slow = np.repeat(random.normal(0, 0.02, len(times) // 96 + 1), 96)[: len(times)]
    expected = 1000 * (1 + 0.25 * np.sin((hour - 9) * np.pi / 12)) * np.where(weekend, 0.85, 1.0)
    load = expected * np.exp(0.01 * (15 - temperature) + slow + random.normal(0, 0.01, len(times)))
    ends = times + resolution
    revised = slice(3, None, 9)
    day = local_day(times, where.market_tz).astype("datetime64[us]")

    def market_clock(hour: float) -> Times:
        """That clock on the day before delivery."""
        return from_local_wall(day - DAY + np.timedelta64(int(hour * 60), "m"), where.market_tz)

    def operator(error: float) -> Floats:
        return load * np.exp(random.normal(0, error, len(load)))

    parts = [
        rows(code, LOAD, times, value=load, published_at=ends + 2 * HOUR, resolution=resolution, basis="assumed"),
        rows(
            code,
            LOAD,
            times[revised],
            value=1.02 * load[revised],
            published_at=ends[revised] + 7 * HOUR,
            resolution=resolution,
        ),
        *(
            rows(
                code,
                TSO_FORECAST,
                times,
                value=operator(error),
                published_at=market_clock(clock),
                resolution=resolution,
            )
            for clock, error in ((10, 0.02), (10.5, 0.019), (18, 0.005))
        ),
    ]
    midnight = hours.astype("datetime64[D]").astype("datetime64[us]")
    for name in weather:
        if name.endswith(OBSERVED):
            parts.append(rows(code, name, hours, value=truth, published_at=hours + 6 * DAY))
            continue
        for ahead, error in ((-42, 1.5), (-18, 1.0), (-6, 0.5), (6, 0.1)):
            wrong = truth + random.normal(0, error, len(truth))
            parts.append(rows(code, name, hours, value=wrong, published_at=midnight + ahead * HOUR))
    return pl.concat(parts)


def clock_changes(where: BiddingZone, year: int) -> list[date]:
    """Delivery days of the year that do not have 24 hours."""
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    return [day for day in days if (window := delivery_window(where, day))[1] - window[0] != timedelta(days=1)]


def arrays_of(design: Design, *, origins: NDArray[np.bool_] | None = None) -> dict[str, NDArray[np.generic]]:
    """Every array of the design by name, of the given origins [O] (all by default).

    Row numbers differ between designs, so they stand as the interval and the issue time that they name.
    """
    keep = np.ones(len(design.origins), np.bool_) if origins is None else origins
    of_rows = keep[design.origin]
    found: dict[str, NDArray[np.generic]] = {
        f"origins.{name}": getattr(design.origins, name)[keep] for name in ("issue_time", "start", "end")
    }
    for each in fields(design):
        value = getattr(design, each.name)
        if isinstance(value, np.ndarray):
            found[each.name] = value[keep if each.name in {"wanted", "recent_load", "recent_row"} else of_rows]
        elif isinstance(value, tuple):
            for block in value:
                assert isinstance(block, Block)
                found[f"{each.name}.{block.name}: {', '.join(block.columns)}"] = block.values[of_rows]
    found["origin"] = design.origins.issue_time[design.origin][of_rows]
    for name in ("lag_row", "recent_row"):
        row = found[name].astype(np.intp)
        issue = design.origins.issue_time[design.origin]
        for field, values in (("valid_time", design.valid_time), ("issue_time", issue)):
            found[f"{name}.{field}"] = np.where(row >= 0, values[np.maximum(row, 0)], np.datetime64("NaT"))
        del found[name]
    return found


def assert_same(left: dict[str, NDArray[np.generic]], right: dict[str, NDArray[np.generic]]) -> None:
    """The same names and, value for value and NaN for NaN, the same arrays."""
    assert left.keys() == right.keys()
    different = [name for name in left if not np.array_equal(left[name], right[name], equal_nan=True)]
    assert different == []


def zone_codes() -> st.SearchStrategy[str]:
    """Codes of the zones in the table."""
    return st.sampled_from(sorted(zones()))


def delivery_days(code: str, *, year: int = 2024) -> st.SearchStrategy[date]:
    """Delivery days of the year, every other one next to a change of the clocks."""
    near = [day + timedelta(days=n) for day in clock_changes(zone(code), year) for n in (-1, 0, 1, 2)]
    return st.one_of(st.sampled_from(near), st.dates(date(year, 3, 1), date(year, 12, 1)))


def loads(length: int) -> st.SearchStrategy[Floats]:
    """Plausible loads, MW."""
    return st.lists(st.floats(50, 50_000), min_size=length, max_size=length).map(
        lambda values: np.array(values, np.float64)
    )


def utc(*when: int) -> datetime:
    """An instant in UTC."""
    return datetime(*when, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day, ...


def training(
    where: BiddingZone, frame: pl.DataFrame, *, first: date, last: date, inputs: Sequence[str] = INPUTS
) -> Design:
    """The design of the delivery days from ``first`` to ``last`` (exclusive), and what was public at the last."""
    asked = origins(where, first=first, last=last)
    known = snapshot(frame, zone=where, issue_times=asked.issue_time)
    return with_target(design(known, asked, inputs=inputs), known, at=asked.issue_time[-1])


def to_forecast(where: BiddingZone, frame: pl.DataFrame, *, first: date, days: int = 1) -> Design:
    """The design of ``days`` delivery days from ``first``."""
    asked = origins(where, first=first, last=first + timedelta(days=days))
    return design(snapshot(frame, zone=where, issue_times=asked.issue_time), asked)
