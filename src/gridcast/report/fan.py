"""One issued forecast as a fan of bands over the load of the days before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from gridcast import contracts
from gridcast.contracts import QUANTILES, Floats
from gridcast.errors import DataError
from gridcast.market.days import (
    HOUR,
    Origins,
    Task,
    Times,
    delivery_window,
    from_local_wall,
    gate_closure,
    instant,
    local_day,
)
from gridcast.market.zones import BiddingZone
from gridcast.report.drawing import (
    BLUE,
    GRID,
    INK,
    MUTED,
    PAPER,
    WASH,
    WIDE,
    canvas,
    legend_below,
    save,
    svg,
    thousands,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

_BANDS = ((0.025, 0.975, 0.18), (0.1, 0.9, 0.28), (0.25, 0.75, 0.42))
"""Lower quantile, upper quantile, opacity."""
_HEADROOM = 0.2
"""Room above the highest value for the words at the peak, share of the range."""


@dataclass(frozen=True)
class Fan:
    """One issue of a Forecast table: ``values`` [N, Q] in MW by `QUANTILES`, at ``valid_time`` [N] UTC."""

    zone: BiddingZone
    issue_time: np.datetime64
    valid_time: Times
    resolution: np.timedelta64
    values: Floats
    model_versions: tuple[str, ...]
    degraded: tuple[str, ...]

    @classmethod
    def of(cls, forecast: pl.DataFrame, *, zone: BiddingZone) -> Fan:
        """The fan of a Forecast table.

        Raises:
            DataError: the table is not one valid issue of this zone with every quantile (`contracts.forecast`).
        """
        if forecast.is_empty():
            raise DataError(f"the forecast of {zone.code} is empty", remedy="issue one first", zone=zone.code)
        issues, codes = (sorted(forecast[name].unique()) for name in ("issue_time", "zone"))
        steps, levels = (sorted(forecast[name].unique()) for name in ("resolution", "quantile"))
        if len(issues) != 1 or codes != [zone.code] or len(steps) != 1 or levels != list(QUANTILES):
            raise DataError(
                f"the forecast to draw has {len(issues)} issue times, zones {', '.join(codes)}, "
                f"{len(steps)} resolutions and {len(levels)} quantiles",
                remedy=f"keep one issue of {zone.code} with all {len(QUANTILES)} quantiles",
                zone=zone.code,
            )
        resolution = np.timedelta64(steps[0])
        valid = _naive(forecast["valid_time"].unique().sort())
        issue = instant(issues[0])
        window = Origins(zone, Task.DAY_AHEAD, np.array([issue]), valid[:1], valid[-1:] + resolution)
        table = contracts.forecast(forecast, origins=window)
        values = table["value"].to_numpy().reshape(len(valid), len(QUANTILES))
        reasons = tuple(reason for reason in sorted(table["degraded"].unique()) if reason)
        return cls(zone, issue, valid, resolution, values, tuple(sorted(table["model_version"].unique())), reasons)

    @property
    def median(self) -> Floats:
        """Point forecast [N], MW."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> Floats:
        """One quantile [N], MW."""
        return np.asarray(self.values[:, QUANTILES.index(level)], np.float64)

    @property
    def end(self) -> np.datetime64:
        """End of the last interval, exclusive."""
        return np.datetime64(self.valid_time[-1] + self.resolution)

    @cached_property
    def delivery_day(self) -> date | None:
        """The market's delivery day that the fan covers, None where it is another window."""
        day: date = local_day(self.valid_time[:1], self.zone.market_tz)[0].astype(object)
        first, last = (instant(edge) for edge in delivery_window(self.zone, day))
        return day if (first, last) == (self.valid_time[0], self.end) else None

    @cached_property
    def clock(self) -> tuple[str, ...]:
        """The local clock at each interval's start; with the day where it is another, the offset where it is twice."""
        first = self.local(self.valid_time[0]).date()
        starts = [self.local(time) for time in self.valid_time]
        shown = [f"{start:%H:%M}" if start.date() == first else f"{start:%a %H:%M}" for start in starts]
        often = Counter(shown)
        return tuple(
            f"{text} {start:%Z}" if often[text] > 1 else text for text, start in zip(shown, starts, strict=True)
        )

    def local(self, time: np.datetime64) -> datetime:
        """The instant on the zone's local clock."""
        return _aware(time).astimezone(ZoneInfo(self.zone.local_tz))

    def span(self, row: int) -> str:
        """The interval of a row on the local clock, as in 17:00-18:00 with an en dash."""
        start = self.valid_time[row]
        return f"{self.local(start):%H:%M}\N{EN DASH}{self.local(start + self.resolution):%H:%M}"

    @property
    def window(self) -> str:
        """The delivery day in words, or the hours covered."""
        if self.delivery_day is not None:
            return long_day(self.delivery_day)
        start, end = self.local(self.valid_time[0]), self.local(self.end)
        return f"{start:%a} {start.day} {start:%b %Y} {start:%H:%M} to {end:%a %H:%M}"

    @property
    def peak(self) -> str:
        """The highest median and its interval."""
        row = int(np.argmax(self.median))
        return f"{thousands(self.median[row])} MW at {self.span(row)}"


def long_day(day: date) -> str:
    """A day in words.

    >>> long_day(date(2019, 1, 1))
    'Tuesday 1 January 2019'
    """
    return f"{day:%A} {day.day} {day:%B %Y}"


def synthetic(labels: Iterable[str]) -> bool:
    """Whether the labels say that the data are synthetic."""
    return any(label.casefold().startswith("synthetic") for label in labels)


def fan_chart(
    forecast: pl.DataFrame,
    *,
    history: pl.DataFrame | None,
    zone: BiddingZone,
    labels: Sequence[str] = (),
    path: Path | None = None,
) -> str:
    """Draw one issued forecast.

    Args:
        forecast: a Forecast table of one issue.
        history: actual load, ``valid_time`` (UTC) and ``value`` (MW); what starts after the issue is drawn apart.
        zone: whose clocks, gate and name are shown.
        labels: what the reader must be told; the picture says so where one begins with ``synthetic``.
        path: where to write it, ``.svg`` or ``.png``; nowhere if None.

    Returns:
        The chart as SVG on light paper, its letters drawn as paths.

    Raises:
        DataError: the table is not one valid issue of this zone.
        ConfigError: ``path`` ends in something else.
        OSError: ``path`` cannot be written.
    """
    fan = Fan.of(forecast, zone=zone)
    return draw(fan, history=history, width=WIDE, labels=labels, titled=True, path=path)


def draw(
    fan: Fan,
    *,
    history: pl.DataFrame | None,
    width: int,
    labels: Sequence[str],
    titled: bool = False,
    path: Path | None = None,
) -> str:
    """The fan as SVG of that width; a titled one stands alone: light paper, letters as paths."""
    wide = width == WIDE
    height = (480 if titled else 430) if wide else 380
    with canvas(width, height=height, salt=f"fan-{width}", text="path" if titled else "none") as figure:
        axes = figure.add_subplot()
        if titled:
            figure.set_facecolor(PAPER)
            name = f" \N{MIDDLE DOT} {fan.zone.name}" if fan.zone.name != fan.zone.code else ""
            axes.set_title(f"{fan.zone.code}{name}\n{fan.window}, peak {fan.peak}", fontsize=14, pad=24)
        if synthetic(labels):
            axes.set_title("SYNTHETIC DATA", loc="right", fontsize=10, color=MUTED, pad=24 if titled else 6)
        start = _axis_start(fan, days_before=1 if wide else 0)
        hours = _Hours(start)
        axes.axvspan(hours.at(fan.valid_time[0]), hours.at(fan.end), facecolor=WASH, edgecolor="none", zorder=0)
        drawn = _history(axes, fan, history=history, hours=hours)
        middle = hours(fan.valid_time + fan.resolution / 2)
        for low, high, opacity in _BANDS:
            axes.fill_between(
                middle,
                fan.quantile(low),
                fan.quantile(high),
                facecolor=BLUE,
                alpha=opacity,
                linewidth=0,
            )
        axes.plot(middle, fan.median, color=BLUE, linewidth=2.2, label="median")
        lowest = min([float(fan.values.min()), *drawn])
        highest = max([float(fan.values.max()), *drawn])
        reach = max(highest - lowest, 0.02 * highest)
        axes.set_ylim(lowest - 0.06 * reach, highest + _HEADROOM * reach)
        axes.set_xlim(0, hours.at(fan.end))
        axes.set_ylabel("load, MW")
        axes.yaxis.set_major_formatter(lambda value, _: thousands(value))
        axes.yaxis.set_major_locator(_round_numbers())
        _clock_axis(axes, fan, hours=hours, every=6 if wide else 12)
        _events(axes, fan, hours=hours)
        _peak(axes, fan, middle=middle, above=0.05 * reach)
        legend_below(figure, [*axes.get_legend_handles_labels()[0], *_band_names()])
        markup = svg(figure)
        if path is not None:
            save(figure, path)
    return markup


class _Hours:
    """Elapsed hours since an instant: a day of 23 or 25 hours is as long as it is."""

    def __init__(self, start: np.datetime64) -> None:
        self.start = start

    def __call__(self, times: Times) -> Floats:
        return np.asarray((times - self.start) / HOUR, np.float64)

    def at(self, time: np.datetime64) -> float:
        return float((time - self.start) / HOUR)


def _aware(time: np.datetime64) -> datetime:
    whole: datetime = time.astype("datetime64[us]").astype(object)
    return whole.replace(tzinfo=UTC)


def _naive(times: pl.Series) -> Times:
    return times.dt.replace_time_zone(None).cast(pl.Datetime("us")).to_numpy()


def _midnight(day: np.datetime64, tz: str) -> np.datetime64:
    return np.datetime64(from_local_wall(np.array([day], "datetime64[us]"), tz)[0])


def _axis_start(fan: Fan, *, days_before: int) -> np.datetime64:
    """Local midnight some days before the day of issue."""
    issued = local_day(np.array([fan.issue_time]), fan.zone.local_tz)[0]
    return _midnight(issued - np.timedelta64(days_before, "D"), fan.zone.local_tz)


def _history(axes: Axes, fan: Fan, *, history: pl.DataFrame | None, hours: _Hours) -> list[float]:
    """Draw the actual load, what came after the issue apart; the values drawn."""
    if history is None:
        return []
    rows = (
        history.drop_nulls(["valid_time", "value"])
        .sort("valid_time")
        .unique("valid_time", keep="last", maintain_order=True)
    )
    times, values = _naive(rows["valid_time"]), rows["value"].to_numpy()
    inside = (times >= hours.start) & (times < fan.end) & np.isfinite(values)
    times, values = times[inside], values[inside]
    step = np.diff(times).min() if len(times) > 1 else fan.resolution
    later = times >= fan.issue_time
    for part, style, label in ((~later, "-", "actual"), (later, ":", "actual, came later")):
        if part.any():
            place, line = _with_gaps(times[part], values[part], step=step)
            axes.plot(hours(place + step / 2), line, color=INK, linestyle=style, linewidth=1.6, label=label)
    return [float(value) for value in values]


def _with_gaps(times: Times, values: Floats, *, step: np.timedelta64) -> tuple[Times, Floats]:
    """The same series with a NaN wherever intervals are missing, so that no line bridges them."""
    holes = np.flatnonzero(np.diff(times) > step) + 1
    return np.insert(times, holes, times[holes - 1] + step), np.insert(values, holes, np.nan)


def _clock_axis(axes: Axes, fan: Fan, *, hours: _Hours, every: int) -> None:
    """Local clock hours as ticks, the day's name below its noon, a line at midnight."""
    tz = fan.zone.local_tz
    first, last = local_day(np.array([hours.start, fan.end]), tz)
    ticks: dict[float, str] = {}
    names: dict[float, str] = {}
    for day in np.arange(first, last + np.timedelta64(1, "D")):
        for hour in range(0, 24, every):
            at = from_local_wall(np.array([day.astype("datetime64[us]") + hour * HOUR]), tz)[0]
            if at > fan.end:
                continue
            ticks[hours.at(at)] = f"{hour:02d}:00"
            if hour == 12:
                name: date = day.astype(object)
                names[hours.at(at)] = f"{name:%a} {name.day} {name:%b}"
            if hour == 0:
                axes.axvline(hours.at(at), color=GRID, linewidth=1.4, zorder=0.5)
    axes.xaxis.remove_overlapping_locs = False  # noon has its hour and its day
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks(list(names), list(names.values()), minor=True)
    axes.tick_params(axis="x", which="minor", length=0, pad=22)
    axes.grid(visible=False, axis="x", which="both")


def _events(axes: Axes, fan: Fan, *, hours: _Hours) -> None:
    """The issue and, for a delivery day, the gate: the earlier one named on its left, the later one on its right."""
    gate = gate_closure(fan.zone, fan.delivery_day) if fan.delivery_day is not None else None
    events = [(fan.issue_time, "issued", "--")] + ([(instant(gate), "gate closes", ":")] if gate is not None else [])
    for number, (at, word, style) in enumerate(sorted(events)):
        place = hours.at(at)
        if not 0 <= place <= hours.at(fan.end):
            continue
        axes.axvline(place, color=MUTED, linestyle=style, linewidth=1.3, zorder=1.5)
        axes.annotate(
            f"{word} {fan.local(at):%H:%M}",
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0 if number else -3, 6),
            textcoords="offset points",
            ha="left" if number else "right",
            va="baseline",
            fontsize=11,
            color=MUTED,
        )


def _band_names() -> list[Patch]:
    """Legend entries in the colours that the bands have where they lie over one another."""
    from matplotlib.patches import Patch

    names, through = [], 1.0
    for low, high, opacity in _BANDS:
        through *= 1 - opacity
        label = f"{100 * (high - low):.0f} % band"
        names.append(Patch(facecolor=BLUE, alpha=1 - through, linewidth=0, label=label))
    return names


def _peak(axes: Axes, fan: Fan, *, middle: Floats, above: float) -> None:
    """Mark the highest median and name it above the bands."""
    row = int(np.argmax(fan.median))
    share = row / len(middle)
    axes.plot(middle[row], fan.median[row], "o", color=BLUE, markeredgecolor=PAPER, markersize=7, zorder=4)
    axes.annotate(
        f"peak {thousands(fan.median[row])} MW\n{fan.span(row)}",
        (float(middle[row]), float(fan.values[:, -1].max()) + above),
        ha="left" if share < 0.15 else "right" if share > 0.75 else "center",
        va="bottom",
        fontsize=11,
        fontweight="bold",
    )


def _round_numbers() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
