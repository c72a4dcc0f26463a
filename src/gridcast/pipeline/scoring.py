"""Stored forecasts held against what came: by day, and whether they have lately become worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gridcast import metrics
from gridcast.backtesting import plausible
from gridcast.contracts import LOAD, MEDIAN, QUANTILES, TSO_FORECAST, Floats
from gridcast.market.days import Times, delivery_window, instant, lagged, local_wall
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.forecasting import fan_of
from gridcast.store import snapshot

if TYPE_CHECKING:
    from gridcast.store.database import Store

RECENT, USUAL = 7, 28
"""Scored days whose error is compared, and those before them that it is compared with."""

_AROUND = timedelta(days=22)
_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)
_DIGITS = 3


@dataclass(frozen=True)
class Scored:
    """What is known of one delivery day: arrays over its intervals [N], the ``fan`` [N, Q], NaN where unknown."""

    day: date
    actual: Floats
    fan: Floats
    naive: Floats
    tso: Floats


def newest(table: pl.DataFrame, *, zone: BiddingZone, day: date) -> pl.DataFrame | None:
    """Of the stored forecasts the one that was issued last for a delivery day, all of it; None where there is none.

    Of two that were issued at the same instant it is that of the younger model.
    """
    start, end = delivery_window(zone, day)
    own = table.filter(pl.col("valid_time").is_between(start, end, closed="left"))
    whole = own.group_by("issue_time", "model_version").agg(
        covered=pl.col("resolution").sum() / len(QUANTILES) >= end - start
    )
    last = whole.filter("covered").sort("issue_time", "model_version").tail(1)
    if last.is_empty():
        return None
    return own.join(last, on=["issue_time", "model_version"], how="semi").sort("valid_time", "quantile")


def scored_days(store: Store, *, zone: BiddingZone, days: Sequence[date], now: datetime) -> list[Scored]:
    """The stored forecasts of these days, in order, beside what came and what others had forecast."""
    if not days:
        return []
    start, end = delivery_window(zone, days[0])[0], delivery_window(zone, days[-1])[1]
    issued = store.forecasts(zone.code, start=start, end=end)
    found = [(day, table) for day in days if (table := newest(issued, zone=zone, day=day)) is not None]
    if not found:
        return []
    rows = store.observations(
        [zone.code, *zone.members], variables=[LOAD, TSO_FORECAST], start=start - _AROUND, end=end + _AROUND
    )
    known = {
        step: _Known(rows, zone=zone, now=now, step=step)
        for step in np.unique(np.concatenate([table["resolution"].to_numpy() for _, table in found]))
    }
    result = []
    for day, table in found:
        times = table["valid_time"].dt.replace_time_zone(None).unique(maintain_order=True).to_numpy()
        beside = known[table["resolution"].to_numpy()[0]]
        result.append(
            Scored(
                day,
                actual=beside.load(times),
                fan=fan_of(table),
                naive=beside.load(lagged(times, 7, tz=zone.local_tz)),
                tso=beside.tso(times),
            )
        )
    return result


class _Known:
    """What is known now of a zone's load and its operator's forecast, at one resolution."""

    def __init__(self, rows: pl.DataFrame, *, zone: BiddingZone, now: datetime, step: np.timedelta64) -> None:
        self._at = instant(now)
        self._snapshot = snapshot(
            rows, zone=zone, issue_times=np.array([self._at]), resolution=step.astype("timedelta64[us]")
        )
        self._good: dict[np.datetime64, bool] = {}
        if LOAD in self._snapshot:
            series = self._snapshot.series[LOAD]
            good = plausible(
                series.known(series.times, self._at),
                local_wall(series.times, zone.local_tz),
                resolution=series.resolution,
            )
            self._good = dict(zip(series.times, good, strict=True))

    def load(self, times: Times) -> Floats:
        good = np.array([self._good.get(time, False) for time in times], bool)
        return np.where(good, self._snapshot.known(LOAD, times, issue_time=self._at), np.nan)

    def tso(self, times: Times) -> Floats:
        return self._snapshot.known(TSO_FORECAST, times, issue_time=self._at)


def scores_document(found: Sequence[Scored], *, zone: BiddingZone) -> dict[str, Any]:
    """The scores of days as JSON, and of all their intervals together; null where there is nothing to say."""
    known = [each for each in found if np.isfinite(each.actual).any()]
    return {
        "zone": zone.code,
        "unit": "MW",
        "days": [{"delivery_day": each.day.isoformat(), **_row([each])} for each in known],
        "mean": _row(known),
    }


def drift_document(found: Sequence[Scored], *, zone: BiddingZone) -> dict[str, Any]:
    """How the last days' errors compare with the usual ones, as JSON; null where too few days are known."""
    known = [each for each in found if np.isfinite(each.actual).any()]
    recent, usual = known[-RECENT:], known[:-RECENT]
    new, old = _row(recent), _row(usual)
    ratio = None
    if new["mae_mw"] is not None and old["mae_mw"]:
        ratio = round(new["mae_mw"] / old["mae_mw"], _DIGITS)
    return {
        "zone": zone.code,
        "unit": "MW",
        "recent_days": len(recent),
        "usual_days": len(usual),
        "bias_mw": _bias(recent),
        "usual_bias_mw": _bias(usual),
        "mae_mw": new["mae_mw"],
        "usual_mae_mw": old["mae_mw"],
        "coverage_80_pct": new["coverage_80_pct"],
        "usual_coverage_80_pct": old["coverage_80_pct"],
        "ratio": ratio,
    }


def _row(found: Sequence[Scored]) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("mae_mw", "mape_pct", "naive_mae_mw", "tso_mae_mw", "coverage_80_pct"), None)
    actual, fan, naive, tso = _joined(found)
    if not len(actual):
        return {"n": 0} | empty
    return {"n": len(actual)} | _rounded(
        {
            "mae_mw": metrics.mae(actual, fan[:, MEDIAN]),
            "mape_pct": metrics.mape(actual, fan[:, MEDIAN]),
            "naive_mae_mw": _mae(actual, naive),
            "tso_mae_mw": _mae(actual, tso),
            "coverage_80_pct": metrics.coverage(actual, low=fan[:, _LOW], high=fan[:, _HIGH]),
        }
    )


def _bias(found: Sequence[Scored]) -> float | None:
    actual, fan, *_ = _joined(found)
    return round(metrics.bias(actual, fan[:, MEDIAN]), _DIGITS) if len(actual) else None


def _joined(found: Sequence[Scored]) -> tuple[Floats, Floats, Floats, Floats]:
    """The intervals of all days whose actual is known."""
    if not found:
        return np.empty(0), np.empty((0, len(QUANTILES))), np.empty(0), np.empty(0)
    actual = np.concatenate([each.actual for each in found])
    keep = np.isfinite(actual)
    fan, naive, tso = (
        np.concatenate([getattr(each, name) for each in found])[keep] for name in ("fan", "naive", "tso")
    )
    return actual[keep], fan, naive, tso


def _mae(actual: Floats, other: Floats) -> float | None:
    """Where both are known, if that is nearly everywhere: a part would be compared with the whole."""
    both = np.isfinite(other)
    return metrics.mae(actual[both], other[both]) if both.mean() > 0.95 else None


def _rounded(row: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, _DIGITS) for name, value in row.items()}
