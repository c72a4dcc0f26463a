"""What the service answers, as values: frozen dataclasses, and Polars frames where there are rows.

The readers expect what a service of this version writes; for anything else they raise a `KeyError`, `TypeError`,
`ValueError` or an error of Polars, which `Client` turns into `BadAnswer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Zone:
    """A bidding zone, and the days (market-local) that there are of its load and its forecasts; None without any."""

    zone: str
    name: str
    country: str
    market_tz: str
    local_tz: str
    latitude: float | None
    longitude: float | None
    has_data: bool
    has_forecast: bool
    first_day: date | None
    last_day: date | None
    first_forecast_day: date | None
    last_forecast_day: date | None
    synthetic: bool


@dataclass(frozen=True)
class Peak:
    """The highest median, MW, and the start of its interval."""

    valid_time: datetime
    value: float


@dataclass(frozen=True, eq=False)
class Forecast:
    """A forecast of one delivery day.

    Attributes:
        zone: code.
        issue_time: what was public then is what it rests on.
        resolution: of its intervals.
        model_version: what made it.
        degraded: why it is worse than usual, or empty.
        peak: the highest median.
        quantiles: one row an interval: ``valid_time`` (UTC) and a column a quantile, ``q0.025`` to ``q0.975`` (MW).
        day: quantiles of the day's peak (MW) and energy (MWh), and its likely peak hour; None where unknown.
    """

    zone: str
    issue_time: datetime
    resolution: timedelta
    model_version: str
    degraded: str
    peak: Peak
    quantiles: pl.DataFrame
    day: Mapping[str, Any] | None

    @property
    def median(self) -> pl.DataFrame:
        """``valid_time`` and ``value`` (MW)."""
        return self.quantiles.select("valid_time", value="q0.5")


@dataclass(frozen=True, eq=False)
class Scores:
    """How good a zone's forecasts were.

    Attributes:
        zone: code.
        days: a row a delivery day: ``delivery_day, n, mae_mw, mape_pct, naive_mae_mw, tso_mae_mw, coverage_80_pct``.
        mean: the same over all intervals, without the day.
    """

    zone: str
    days: pl.DataFrame
    mean: Mapping[str, float | int | None]


@dataclass(frozen=True)
class Prediction:
    """The 24 hours after a classic window, MW, and what made them."""

    predictions: tuple[float, ...]
    model_version: str


@dataclass(frozen=True)
class Readiness:
    """Whether the service may be asked for forecasts; ``faults`` says what is wrong, by check."""

    ready: bool
    model_version: str
    data_age_hours: float | None
    faults: Mapping[str, str]


def zone(row: Mapping[str, Any]) -> Zone:
    """A row of the zones."""
    content = {name: row[name] for name in Zone.__dataclass_fields__}
    for name in ("first_day", "last_day", "first_forecast_day", "last_forecast_day"):
        content[name] = row[name] and date.fromisoformat(row[name])
    return Zone(**content)


def forecast(found: Mapping[str, Any]) -> Forecast:
    """A forecast document."""
    rows = [
        {"valid_time": each["valid_time"]} | {f"q{name}": float(value) for name, value in each["quantiles"].items()}
        for each in found["intervals"]
    ]
    return Forecast(
        zone=str(found["zone"]),
        issue_time=_instant(found["issue_time"]),
        resolution=_duration(found["resolution"]),
        model_version=str(found["model_version"]),
        degraded=str(found["degraded"]),
        peak=Peak(_instant(found["peak"]["valid_time"]), float(found["peak"]["value"])),
        quantiles=_timed(pl.DataFrame(rows)),
        day=found.get("day"),
    )


def load(found: Mapping[str, Any]) -> pl.DataFrame:
    """A load document: ``valid_time``, ``load``, ``tso``."""
    columns = {"valid_time": pl.String, "load": pl.Float64, "tso": pl.Float64}
    return _timed(pl.DataFrame(found["intervals"], schema=columns))


def scores(found: Mapping[str, Any]) -> Scores:
    """A scores document."""
    columns: dict[str, pl.DataType] = {"delivery_day": pl.String()}
    columns |= {name: pl.Int64() if name == "n" else pl.Float64() for name in found["mean"]}
    days = pl.DataFrame(found["days"], schema=columns)
    return Scores(str(found["zone"]), days.with_columns(pl.col("delivery_day").str.to_date()), found["mean"])


def readiness(found: Mapping[str, Any]) -> Readiness:
    """What ``/ready`` says."""
    return Readiness(
        ready=found["ready"] is True,
        model_version=str(found["model_version"]),
        data_age_hours=found["data_age_hours"],
        faults={str(each["check"]): str(each["detail"]) for each in found["checks"] if not each["ok"]},
    )


def _timed(rows: pl.DataFrame) -> pl.DataFrame:
    instants = pl.col("valid_time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    return rows.with_columns(instants)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _duration(text: str) -> timedelta:
    """A resolution.

    >>> _duration("PT15M")
    datetime.timedelta(seconds=900)
    """
    return timedelta(minutes=int(text.removeprefix("PT").removesuffix("M")))
