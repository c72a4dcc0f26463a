"""Forecasts of a task against the truth and against each other. Pure: tables in, numbers out.

Every contestant is scored on the rows that it forecast and that have a truth; it is compared with another on the rows
of both.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl

from arena.tasks import BenchTask
from gridcast import metrics
from gridcast.contracts import MEDIAN, QUANTILES, Floats
from gridcast.features.calendar import day_kind
from gridcast.market.days import Times, local_wall

KEY = ("issue_time", "valid_time")
BANDS = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95), 95: (0.025, 0.975)}
KINDS = ("ordinary", "holiday", "bridge")
Scores = dict[str, float | int | None]


@dataclass(frozen=True)
class Rows:
    """The rows [N] of a task that have a truth: ``actual`` in MW, and where they stand on the local clock."""

    key: pl.DataFrame
    actual: Floats
    wall: Times
    kind: Floats

    @property
    def day(self) -> Times:
        """The local day of each row."""
        return self.wall.astype("datetime64[D]")

    def aligned(self, forecast: pl.DataFrame) -> Floats:
        """A contestant's fan [N, Q], NaN where it has none. A row that it gave twice is an error."""
        keys = pl.col(KEY).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        wide = (
            forecast.with_columns(keys, pl.col("quantile").round(6).cast(pl.String))
            .pivot(on="quantile", index=KEY, values="value", aggregate_function=None)
            .with_columns(pl.lit(None, pl.Float64).alias(str(q)) for q in QUANTILES if not _has(forecast, q))
        )
        joined = self.key.join(wide, on=KEY, how="left", maintain_order="left")
        return joined.select(pl.col(str(q)).cast(pl.Float64) for q in QUANTILES).to_numpy()


def _has(forecast: pl.DataFrame, quantile: float) -> bool:
    return bool(((forecast["quantile"] - quantile).abs() < 1e-6).any())


def truth(champion: pl.DataFrame, task: BenchTask) -> Rows:
    """The rows with an actual, of the table that `gridcast backtest --out` wrote."""
    table = champion.filter(pl.col("quantile") == QUANTILES[MEDIAN], pl.col("actual").is_not_null()).sort(KEY)
    zone = task.bidding_zone
    wall = local_wall(table["valid_time"].dt.replace_time_zone(None).to_numpy(), zone.local_tz)
    kind = day_kind(zone, wall.astype("datetime64[D]"))
    return Rows(table.select(KEY), table["actual"].to_numpy(), wall, np.asarray(kind, np.float64))


def scores(fan: Floats, rows: Rows, *, naive: Floats, operator: Floats | None, champion: Floats) -> Scores:
    """Everything that is said about one contestant; None where there is nothing to say."""
    point = fan[:, MEDIAN]
    found = np.isfinite(point)
    actual = rows.actual
    result: Scores = {"n": int(found.sum()), "lacking": int((~found).sum())}
    if not found.any():
        return result
    result |= {
        "mae_mw": metrics.mae(actual[found], point[found]),
        "mape_pct": metrics.mape(actual[found], point[found]),
        "mae_to_naive": _ratio(actual, point, naive[:, MEDIAN]),
        "mae_to_operator": None if operator is None else _ratio(actual, point, operator[:, MEDIAN]),
    }
    return result | _against(point, rows, champion[:, MEDIAN]) | _by_kind(point, rows) | _bands(fan, rows)


def _ratio(actual: Floats, point: Floats, reference: Floats) -> float | None:
    both = np.isfinite(point) & np.isfinite(reference)
    error = metrics.mae(actual[both], reference[both]) if both.any() else 0.0
    return metrics.mae(actual[both], point[both]) / error if error else None


def _against(point: Floats, rows: Rows, champion: Floats) -> Scores:
    """The MAE over the champion's with its interval, and the Diebold-Mariano p-value of daily mean errors."""
    both = np.isfinite(point) & np.isfinite(champion)
    own, other = (np.abs(each[both] - rows.actual[both]) for each in (point, champion))
    daily = _daily(rows.day[both], own, other)
    if both.all() and np.array_equal(point, champion):
        return {"mae_to_champion": 1.0, "mae_to_champion_low": None, "mae_to_champion_high": None, "dm_p": None}
    if len(daily) < 15 or not daily[:, 1].any():
        return {"mae_to_champion": None, "mae_to_champion_low": None, "mae_to_champion_high": None, "dm_p": None}
    # Days count by their rows, as in the mean: a day's sum of errors.
    low, high = metrics.block_bootstrap(daily[:, :2], lambda mean: mean[:, 0] / mean[:, 1])
    per_row = daily[:, :2] / daily[:, 2:]
    return {
        "mae_to_champion": float(own.mean() / other.mean()),
        "mae_to_champion_low": low,
        "mae_to_champion_high": high,
        "dm_p": metrics.diebold_mariano(per_row[:, 0], per_row[:, 1]),
    }


def _daily(day: Times, *columns: Floats) -> Floats:
    """Sums by day [D, K], and the number of rows as the last column [D]."""
    _, place = np.unique(day, return_inverse=True)
    sums = [np.bincount(place, weights=column) for column in columns]
    return np.stack([*sums, np.bincount(place).astype(np.float64)], axis=1)


def _by_kind(point: Floats, rows: Rows) -> Scores:
    """MAPE of ordinary, holiday and bridge days, and holiday over ordinary with its interval."""
    found = np.isfinite(point)
    share = 100 * np.abs(point[found] - rows.actual[found]) / rows.actual[found]
    kind = rows.kind[found]
    result: Scores = {}
    for number, name in enumerate(KINDS):
        these = kind == number
        result[f"mape_{name}_pct"] = float(share[these].mean()) if these.any() else None
        result[f"{name}_days"] = len(np.unique(rows.day[found][these]))
    ordinary, holiday = result["mape_ordinary_pct"], result["mape_holiday_pct"]
    result |= dict.fromkeys(("holiday_ratio", "holiday_ratio_low", "holiday_ratio_high"))
    if ordinary and holiday:
        flags = (kind == 1).astype(np.float64), (kind == 0).astype(np.float64)
        daily = _daily(rows.day[found], share * flags[0], flags[0], share * flags[1], flags[1])[:, :4]

        def ratio(mean: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return mean[:, 0] / mean[:, 1] / (mean[:, 2] / mean[:, 3])

        result["holiday_ratio"] = holiday / ordinary
        result["holiday_ratio_low"], result["holiday_ratio_high"] = metrics.block_bootstrap(daily, ratio)
    return result


def _bands(fan: Floats, rows: Rows) -> Scores:
    """CRPS, pinball loss, sharpness and coverage, where all quantiles are there; quantiles that cross stay so."""
    whole = np.isfinite(fan).all(axis=1)
    result: Scores = dict.fromkeys(("crps_mw", "pinball_mw", "sharpness_pct"))
    if not whole.any():
        return result
    actual, fan, wall = rows.actual[whole], fan[whole], rows.wall[whole]
    of = {q: fan[:, n] for n, q in enumerate(QUANTILES)}
    result["pinball_mw"] = float(metrics.pinball_loss(actual, fan, quantiles=QUANTILES).mean())
    result["crps_mw"] = metrics.crps(actual, fan, quantiles=QUANTILES)
    result["sharpness_pct"] = float(100 * (of[0.9] - of[0.1]).mean() / actual.mean())
    months = wall.astype("datetime64[M]")
    quarters = months.astype(np.int64) // 3
    for band, (low, high) in BANDS.items():
        inside = 100.0 * ((actual >= of[low]) & (actual <= of[high]))
        result[f"coverage_{band}_pct"] = float(inside.mean())
        for name, part in (("quarter", quarters), ("month", months.astype(np.int64))):
            shares = [float(inside[part == each].mean()) for each in np.unique(part)]
            result[f"coverage_{band}_worst_{name}_pct"] = max(shares, key=lambda share: abs(share - band))
    return result


def reliability(fan: Floats, rows: Rows) -> Floats:
    """How often [Q] the truth was at or below each quantile, NaN without quantiles."""
    whole = np.isfinite(fan).all(axis=1)
    below = (rows.actual[whole, None] <= fan[whole]).mean(axis=0) if whole.any() else np.full(len(QUANTILES), np.nan)
    return np.asarray(below, np.float64)


def by_hour(fan: Floats, rows: Rows) -> Floats:
    """MAPE [24] by local hour."""
    share = 100 * np.abs(fan[:, MEDIAN] - rows.actual) / rows.actual
    hour = ((rows.wall - rows.day) // np.timedelta64(1, "h")).astype(np.intp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.array([np.nanmean(share[hour == each]) for each in range(24)])
