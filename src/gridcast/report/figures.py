"""The figures of a backtest: error by hour and by type of day, reliability."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from gridcast.backtesting import Backtest
from gridcast.contracts import QUANTILES
from gridcast.report.breakdown import DAY_KINDS, days_by_kind, mae_by_day_kind, mae_by_hour, reliability
from gridcast.report.drawing import INK, MUTED, WIDE, canvas, legend_below, looks, svg, thousands

_BAR = 18
"""Height of a model's bar, CSS pixels."""


def error_by_hour(result: Backtest, *, width: int) -> str:
    """Each model's mean absolute error at each hour of the local clock, as SVG."""
    wide = width == WIDE
    with canvas(width, height=340 if wide else 320, salt=f"hour-{width}") as figure:
        axes = figure.add_subplot()
        count = len(result.replays)
        for number, (name, look) in enumerate(looks(result.replays).items()):
            color, marker, dash = look
            # Lines that coincide stay visible: the later is the thinner, and their marks take turns.
            axes.plot(
                np.arange(24),
                mae_by_hour(result, name),
                color=color,
                linestyle=dash,
                linewidth=1.8 + 1.8 * (count - 1 - number) / count,
                marker=marker,
                markevery=(number % 3, 3),
                markersize=7,
                markeredgewidth=1.5,
                label=_literal(name),
            )
        every = 3 if wide else 6
        axes.set_xticks(range(0, 24, every), [f"{hour:02d}:00" for hour in range(0, 24, every)])
        axes.set_xlim(-0.5, 23.5)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: thousands(value))
        axes.set_xlabel("hour of the local clock")
        axes.set_ylabel("mean absolute error, MW")
        legend_below(figure, axes.get_legend_handles_labels()[0])
        return svg(figure)


def error_by_day_kind(result: Backtest, *, width: int) -> str:
    """Each model's mean absolute error on ordinary days, holidays and bridge days, as SVG."""
    table = {name: mae_by_day_kind(result, name) for name in result.replays}
    days = days_by_kind(result)
    kinds = [kind for kind in range(len(DAY_KINDS)) if days[kind]]
    look = looks(result.replays)
    rows = len(table) + 1
    with canvas(
        width, height=90 + _BAR * rows * len(kinds) + 22 * math.ceil(len(table) / 2), salt=f"kind-{width}"
    ) as figure:
        axes = figure.add_subplot()
        for number, (name, errors) in enumerate(table.items()):
            places = [row * rows + number for row in range(len(kinds))]
            values = [float(errors[kind]) for kind in kinds]
            axes.barh(places, np.nan_to_num(values), height=0.82, color=look[name].color, label=_literal(name))
            for place, value in zip(places, values, strict=True):
                if math.isfinite(value):
                    axes.annotate(
                        f"{value:,.1f}",
                        (value, place),
                        xytext=(4, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=11,
                    )
        middle = (len(table) - 1) / 2
        axes.set_yticks(
            [row * rows + middle for row in range(len(kinds))],
            [f"{DAY_KINDS[kind]}\n{_counted(days[kind])}" for kind in kinds],
        )
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.14)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
        axes.set_xlabel("mean absolute error, MW")
        legend_below(figure, axes.get_legend_handles_labels()[0])
        return svg(figure)


def reliability_plot(result: Backtest, *, width: int) -> str:
    """How often the actual was at or below each quantile, one square a model, as SVG."""
    columns = min(4 if width == WIDE else 2, max(len(result.replays), 1 + (width != WIDE)))
    lines = math.ceil(len(result.replays) / columns)
    side = min(width / columns, 300)
    with canvas(width, height=int(lines * (side + 26) + 34), salt=f"reliability-{width}") as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        levels = 100 * np.array(QUANTILES)
        for axes, (name, look) in zip(panels, looks(result.replays).items(), strict=False):
            axes.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.2)
            axes.plot(
                levels,
                100 * reliability(result, name),
                color=look.color,
                marker=look.marker,
                markersize=5.5,
                clip_on=False,
            )
            axes.set_title(name, color=INK)
            axes.set_aspect("equal")
            axes.set_xlim(0, 100)
            axes.set_ylim(0, 100)
            axes.set_xticks(range(0, 101, 25))
            axes.set_yticks(range(0, 101, 25))
            axes.tick_params(labelbottom=True)
        for axes in panels[len(result.replays) :]:
            axes.set_axis_off()
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.set(wspace=0.06, hspace=0.06)  # type: ignore[call-arg]
        figure.supxlabel("nominal quantile, %", fontsize=12)
        figure.supylabel("observed frequency, %", fontsize=12)
        return svg(figure)


def in_words(numbers: Iterable[float], *, names: Iterable[str], unit: str) -> str:
    """Named numbers as one line, for who cannot see the figure."""
    return ", ".join(
        f"{name} {number:,.1f}{unit}" for name, number in zip(names, numbers, strict=True) if math.isfinite(number)
    )


def _literal(name: str) -> str:
    """A legend leaves out names that begin with an underscore: a space before it does not show."""
    return f" {name}" if name.startswith("_") else name


def _counted(days: int) -> str:
    return f"{days:,} day" if days == 1 else f"{days:,} days"
