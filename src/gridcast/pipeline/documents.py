"""Forecasts as JSON: what the command line prints and the service answers, in one place.

Instants are written in UTC, values in MW (energy in MWh) rounded to watts, resolutions in ISO 8601.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from gridcast.contracts import QUANTILES, Floats
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.forecasting import peak

if TYPE_CHECKING:
    from gridcast.models.daily import Days
    from gridcast.pipeline.explaining import Explained

STAMP = "%Y-%m-%dT%H:%M:%SZ"
"""How an instant is written, in Polars' words too."""


def stamp(when: datetime) -> str:
    """The instant in UTC, to the second.

    >>> stamp(datetime(2026, 1, 31, 9, tzinfo=UTC))
    '2026-01-31T09:00:00Z'
    """
    return when.astimezone(UTC).strftime(STAMP)


def iso(resolution: np.timedelta64) -> str:
    """A resolution as an ISO 8601 duration.

    >>> iso(np.timedelta64(15, "m"))
    'PT15M'
    """
    return f"PT{int(resolution / np.timedelta64(1, 'm'))}M"


def clock(hour: int) -> str:
    """An hour of the local clock.

    >>> clock(7)
    '07:00'
    """
    return f"{hour:02}:00"


def wide(table: pl.DataFrame) -> pl.DataFrame:
    """One row an interval, one column a quantile (MW): ``zone, issue_time, valid_time, q0.025, ...``."""
    return table.pivot(
        "quantile", index=["zone", "issue_time", "valid_time", "model_version", "degraded"], values="value"
    ).rename({f"{q}": f"q{q:g}" for q in QUANTILES})


def forecast_csv(table: pl.DataFrame) -> str:
    """A Forecast table as CSV, a row an interval."""
    return wide(table).write_csv(datetime_format=STAMP)


def forecast_document(table: pl.DataFrame, *, zone: BiddingZone) -> dict[str, Any]:
    """An issued Forecast table as JSON."""
    rows = wide(table)
    top = peak(table)
    first = table.row(0, named=True)
    return {
        "zone": zone.code,
        "issue_time": stamp(first["issue_time"]),
        "unit": "MW",
        "resolution": iso(table["resolution"].to_numpy()[0]),
        "model_version": first["model_version"],
        "degraded": first["degraded"],
        "peak": {"valid_time": stamp(top.valid_time), "value": round(top.value, 3)},
        "intervals": [
            {
                "valid_time": stamp(row["valid_time"]),
                "quantiles": {f"{q:g}": round(row[f"q{q:g}"], 3) for q in QUANTILES},
            }
            for row in rows.iter_rows(named=True)
        ],
    }


def issued_document(table: pl.DataFrame, *, zone: BiddingZone, day: Days | None) -> dict[str, Any]:
    """An issued Forecast table, and what it means for the ``day``, as JSON."""
    return forecast_document(table, zone=zone) | {"day": day_document(day)}


def day_document(day: Days | None) -> dict[str, Any] | None:
    """Quantiles of peak (MW) and energy (MWh), and the local clock hour of the peak; None where nothing can be said.

    ``by_hour`` leaves out the hours that no future has its peak in.
    """
    if day is None:
        return None
    likely, chances = int(day.likely_hour[0]), day.hour[0]
    return {
        "peak_mw": _by_quantile(day.peak[0]),
        "peak_hour": {
            "local": clock(likely),
            "probability": round(float(chances[likely]), 4),
            "by_hour": {clock(hour): round(float(chance), 4) for hour, chance in enumerate(chances) if chance > 0},
        },
        "energy_mwh": _by_quantile(day.energy[0]),
    }


def _by_quantile(values: Floats) -> dict[str, float]:
    return {f"{quantile:g}": round(float(value), 3) for quantile, value in zip(QUANTILES, values, strict=True)}


def explanation_document(found: Explained, *, zone: BiddingZone) -> dict[str, Any]:
    """The terms of a forecast as JSON. Numbers are not rounded, so that they sum to the forecast."""
    issued, local = forecast_document(found.forecast, zone=zone), ZoneInfo(zone.local_tz)
    return {
        **{key: issued[key] for key in ("zone", "issue_time", "unit", "resolution", "model_version", "degraded")},
        "terms": list(found.names),
        "intervals": [
            {
                "valid_time": each["valid_time"],
                "local_time": row["valid_time"].astimezone(local).isoformat(timespec="minutes"),
                "forecast_mw": row["forecast"],
                "terms_mw": {name: row[name] for name in found.names},
            }
            for each, row in zip(issued["intervals"], found.terms.iter_rows(named=True), strict=True)
        ],
    }
