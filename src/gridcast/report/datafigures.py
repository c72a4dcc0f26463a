"""The figures of a data report: verdicts by day, load over time, its rhythm, its revisions."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.contracts import Floats
from gridcast.market.zones import BiddingZone
from gridcast.quality import VERDICTS, Verdict
from gridcast.report.drawing import BLUE, GRID, INK, MUTED, PALETTE, WIDE, canvas, legend_below, svg, thousands

if TYPE_CHECKING:
    from matplotlib.path import Path

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_COLORS = {
    Verdict.EMPTY: INK,
    Verdict.UNIT_CHANGE: PALETTE["purple"][0],
    Verdict.SHIFTED_CLOCK: PALETTE["violet"][0],
    Verdict.IMPLAUSIBLE: PALETTE["vermilion"][0],
    Verdict.FLAT: PALETTE["green"][0],
    Verdict.SPIKE: BLUE,
    Verdict.PARTIAL: PALETTE["amber"][0],
    Verdict.COMPLETE: GRID,
}
_MARGIN = 0.12
"""Room above and below the ordinary range of the load, share of it; what lies beyond is marked at the edge."""
_BINS = 31


def calendar(days: pl.DataFrame, *, width: int) -> str:
    """The verdict on each day, a row of weeks a year, as SVG."""
    from matplotlib.patches import Patch, PathPatch

    years = days["day"].dt.year().unique().sort().to_list()
    wide = width == WIDE
    row = 132 if wide else 74
    seen = [verdict for verdict in VERDICTS if verdict in set(days["verdict"])]
    height = row * len(years) + 40 + 22 * math.ceil(len(seen) / (6 if wide else 2))
    with canvas(width, height=height, salt=f"days-{width}") as figure:
        panels = figure.subplots(len(years), 1, squeeze=False)[:, 0]
        for axes, year in zip(panels, years, strict=True):
            first = date(year, 1, 1)
            for verdict in seen:
                of_year = days.filter((pl.col("day").dt.year() == year) & (pl.col("verdict") == verdict))["day"]
                places = (of_year - first).dt.total_days().to_numpy() + first.weekday()
                axes.add_patch(PathPatch(_squares(places), facecolor=_COLORS[verdict], linewidth=0))
            starts = [(date(year, month, 1) - first).days + first.weekday() for month in range(1, 13)]
            every = 1 if wide else 3
            axes.set_xticks([start / 7 + 0.5 for start in starts][::every], MONTHS[::every])
            axes.set_yticks([0.5, 2.5, 4.5, 6.5] if wide else [0.5, 6.5], WEEKDAYS[::2] if wide else WEEKDAYS[::6])
            axes.set_xlim(0, 54)
            axes.set_ylim(7, 0)
            axes.set_title(str(year), color=INK)
            axes.tick_params(length=0)
            axes.grid(visible=False)
            for side in axes.spines.values():
                side.set_visible(False)
        legend_below(figure, [Patch(color=_COLORS[verdict], label=str(verdict)) for verdict in seen])
        return svg(figure)


def _squares(places: NDArray[np.int64]) -> Path:
    """A square for each day, counted from the Monday before 1 January: weeks go right, weekdays down."""
    from matplotlib.path import Path

    corner = np.stack([places // 7, places % 7], axis=1)[:, None] + 0.06
    square = np.array([[0, 0], [0.88, 0], [0.88, 0.88], [0, 0.88], [0, 0]])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path((corner + square).reshape(-1, 2), np.tile(codes, len(places)) if len(places) else None)


def over_time(load: pl.DataFrame, doubtful: pl.DataFrame, *, zone: BiddingZone, width: int) -> str:
    """Each local day's mean with its lowest and highest value, and what was set aside, as SVG."""
    from matplotlib.patches import Patch

    daily = (
        load.group_by(pl.col("valid_time").dt.convert_time_zone(zone.local_tz).dt.date().alias("day"))
        .agg(mean=pl.col("value").mean(), low=pl.col("value").min(), high=pl.col("value").max())
        .sort("day")
        .upsample("day", every="1d")
    )
    low, high = _range(load["value"].to_numpy())
    with canvas(width, height=360 if width == WIDE else 320, salt=f"time-{width}") as figure:
        axes = figure.add_subplot()
        days = daily["day"].to_numpy()
        axes.fill_between(days, daily["low"].to_numpy(), daily["high"].to_numpy(), color=BLUE, alpha=0.18, linewidth=0)
        (mean,) = axes.plot(days, daily["mean"].to_numpy(), color=BLUE, linewidth=1.2, label="mean of the day")
        handles = [mean, Patch(color=BLUE, alpha=0.18, label="lowest to highest value of the day")]
        if doubtful.height:
            when = doubtful["valid_time"].dt.convert_time_zone(zone.local_tz).dt.replace_time_zone(None).to_numpy()
            value = doubtful["value"].to_numpy()
            finite = np.isfinite(value)
            shown = np.clip(np.where(finite, value, low), low, high)
            beyond = (shown != value) | ~finite
            color = PALETTE["vermilion"][0]
            for mask, marker, words in ((~beyond, "o", "set aside"), (beyond, "D", "set aside, beyond the axis")):
                if mask.any():
                    handles += axes.plot(
                        when[mask], shown[mask], marker, color=color, markersize=5, clip_on=False, label=words
                    )
        axes.set_ylim(low, high)
        axes.margins(x=0.01)
        axes.set_xticks(*_dates(days, ticks=9 if width == WIDE else 3))
        axes.yaxis.set_major_formatter(lambda number, _: thousands(number))
        axes.set_xlabel("local day")
        axes.set_ylabel("load, MW")
        legend_below(figure, handles)
        return svg(figure)


def _dates(days: NDArray[np.datetime64], *, ticks: int) -> tuple[NDArray[np.datetime64], list[str]]:
    """About so many places on an axis of days, and their names: years, months or days."""
    first, last = days[0], days[-1] + np.timedelta64(1, "D")
    every = (last - first) / np.timedelta64(1, "D") / ticks
    if every > 15:
        months = next((each for each in (1, 2, 3, 6, 12, 24, 60) if 30.4 * each >= every), 120)
        begin = np.datetime64(f"{str(first)[:4]}-01", "M")
        places = np.arange(begin, last.astype("datetime64[M]") + 1, months).astype("datetime64[D]")
        length = 4 if months % 12 == 0 else 7
    else:
        places = np.arange(first, last, max(1, round(every))).astype("datetime64[D]")
        length = 10
    places = places[(places >= first) & (places <= last)]
    return places, [str(each)[:length] for each in places]


def monthly(load: pl.DataFrame, *, zone: BiddingZone, width: int) -> str:
    """Mean load of each month of the year with the band of 90 % of its values, as SVG."""
    from matplotlib.patches import Patch

    by_month = (
        _local(load, zone)
        .group_by(pl.col("wall").dt.month().alias("month"))
        .agg(mean=pl.col("value").mean(), low=_quantile(0.05), high=_quantile(0.95))
        .sort("month")
    )
    with canvas(width, height=300, salt=f"month-{width}") as figure:
        axes = figure.add_subplot()
        place = by_month["month"].to_numpy() - 1
        low, high = by_month["low"].to_numpy(), by_month["high"].to_numpy()
        axes.bar(place, high - low, bottom=low, width=0.7, color=BLUE, alpha=0.22)
        (mean,) = axes.plot(place, by_month["mean"].to_numpy(), "o", color=BLUE, markersize=6, label="mean")
        axes.use_sticky_edges = False
        axes.autoscale_view()
        every = 1 if width == WIDE else 2
        axes.set_xticks(range(0, 12, every), MONTHS[::every])
        axes.set_xlim(-0.6, 11.6)
        axes.yaxis.set_major_formatter(lambda number, _: thousands(number))
        axes.set_xlabel("month")
        axes.set_ylabel("load, MW")
        legend_below(figure, [mean, Patch(color=BLUE, alpha=0.22, label="90 % of the values")])
        return svg(figure)


def weekly(load: pl.DataFrame, *, zone: BiddingZone, width: int) -> str:
    """Mean load of each hour of the local week with the band of 80 % of its values, as SVG."""
    hour = (pl.col("wall").dt.weekday().cast(pl.Int32) - 1) * 24 + pl.col("wall").dt.hour().cast(pl.Int32)
    by_hour = (
        _local(load, zone)
        .group_by(hour.alias("hour"))
        .agg(mean=pl.col("value").mean(), low=_quantile(0.1), high=_quantile(0.9))
        .sort("hour")
    )
    with canvas(width, height=300, salt=f"week-{width}") as figure:
        axes = figure.add_subplot()
        place = by_hour["hour"].to_numpy() + 0.5
        low, high = by_hour["low"].to_numpy(), by_hour["high"].to_numpy()
        band = axes.fill_between(place, low, high, color=BLUE, alpha=0.22, linewidth=0, label="80 % of the values")
        (mean,) = axes.plot(place, by_hour["mean"].to_numpy(), color=BLUE, label="mean")
        axes.set_xticks(range(12, 168, 24), WEEKDAYS)
        axes.tick_params(axis="x", length=0)
        axes.set_xticks(range(0, 169, 24), minor=True)
        axes.grid(visible=False, axis="x")
        axes.grid(visible=True, axis="x", which="minor")
        axes.set_xlim(0, 168)
        axes.yaxis.set_major_formatter(lambda number, _: thousands(number))
        axes.set_xlabel("hour of the local week")
        axes.set_ylabel("load, MW")
        legend_below(figure, [mean, band])
        return svg(figure)


def revisions(changes: pl.DataFrame, *, width: int) -> str:
    """How much later vintages changed values, as SVG; the outermost bars hold what lies further out."""
    percent = relative(changes)
    reach = max(float(np.quantile(np.abs(percent), 0.98)), 0.1)
    counts, edges = np.histogram(np.clip(percent, -reach, reach), bins=np.linspace(-reach, reach, _BINS + 1))
    with canvas(width, height=260, salt=f"revisions-{width}") as figure:
        axes = figure.add_subplot()
        axes.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.9 * (edges[1] - edges[0]), color=BLUE)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.yaxis.set_major_formatter(lambda number, _: thousands(number))
        axes.set_xlabel("change of a value by its next vintage, %")
        axes.set_ylabel("revisions")
        return svg(figure)


def relative(changes: pl.DataFrame) -> Floats:
    """Revisions as per cent of the value before; those of 0 are left out."""
    kept = changes.filter(pl.col("before") != 0)
    return (100 * (kept["after"] / kept["before"] - 1)).to_numpy()


def _local(load: pl.DataFrame, zone: BiddingZone) -> pl.DataFrame:
    return load.with_columns(wall=pl.col("valid_time").dt.convert_time_zone(zone.local_tz))


def _quantile(level: float) -> pl.Expr:
    return pl.col("value").quantile(level, "linear")


def _range(value: Floats) -> tuple[float, float]:
    """An axis for the load, which a faulty value does not stretch."""
    low, high = np.quantile(value, (0.001, 0.999))
    room = max(_MARGIN * (high - low), 0.01 * abs(high), 1e-9)
    return max(0.0, float(low - room)), float(high + room)
