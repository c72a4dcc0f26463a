"""Three plots: accuracy against CPU seconds, reliability, error by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arena.writing import Result
from gridcast.contracts import QUANTILES, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COST, RELIABILITY, HOURS = "cost.png", "reliability.png", "hours.png"
CAPTIONS = {
    COST: "Error over the champion's against CPU seconds of a task",
    RELIABILITY: "How often the truth was below each quantile, mean over the tasks",
    HOURS: "Error by local hour",
}
_OURS, _THEIRS = "#b3261e", "#33658a"
_PALETTE = (
    "#33658a",
    "#f6ae2d",
    "#2a9d4a",
    "#7b4fb5",
    "#8c564b",
    "#e377c2",
    "#17a2b8",
    "#6c757d",
    "#b5bd22",
    "#000000",
)


def cost(results: Sequence[Result], path: Path) -> None:
    """The mean MAE ratio to the champion (geometric, over a contestant's tasks) against its mean CPU seconds."""
    figure, (axes,) = _canvas()
    contestants = dict.fromkeys(result.contestant for result in results)
    placed: list[tuple[float, float]] = []
    for contestant in contestants:
        of = [r for r in results if r.contestant == contestant and r.scores.get("mae_to_champion") is not None]
        seconds = np.mean([r.cost.cpu_seconds for r in of]) if of else 0
        if not seconds:
            continue
        ratio = float(np.exp(np.mean([np.log(r.scores["mae_to_champion"]) for r in of])))
        axes.scatter(seconds, ratio, s=36, color=_THEIRS if contestant.peer else _OURS, zorder=3)
        label = contestant.label.strip("*") + (f" ({len(of)} tasks)" if contestant.tasks else "")
        crowded = sum(abs(np.log(seconds / x)) < 1.2 and abs(np.log(ratio / y)) < 0.05 for x, y in placed)
        axes.annotate(label, (seconds, ratio), (6, 4 - 11 * crowded), textcoords="offset points", fontsize=8)
        placed.append((seconds, ratio))
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds of a task (all of the command)", ylabel="MAE / champion's")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 3)
    ticks = [each for each in (0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if each <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    axes.axhline(1, color="0.6", linewidth=0.8)
    _save(figure, path)


def reliability(found: Mapping[str, Sequence[Floats]], path: Path) -> None:
    """Nominal against observed frequency, minus the nominal one, a line a contestant."""
    figure, (axes,) = _canvas()
    for number, (label, shares) in enumerate(found.items()):
        observed = np.mean(shares, axis=0)
        axes.plot(
            QUANTILES,
            100 * (observed - np.array(QUANTILES)),
            marker="o",
            markersize=3,
            **_style(number, label),
        )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="quantile", ylabel="observed minus nominal, points")
    _legend(axes)
    _save(figure, path)


def hours(found: Mapping[str, Mapping[str, Floats]], path: Path) -> None:
    """MAPE by local hour: a panel a task, a line a contestant."""
    figure, panels = _canvas(columns=len(found))
    for axes, (task, lines) in zip(panels, found.items(), strict=True):
        for number, (label, errors) in enumerate(lines.items()):
            axes.plot(
                errors,
                **_style(number, label),
            )
        axes.set(title=task, xlabel="local hour", xticks=range(0, 24, 4))
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("MAPE %")
    _legend(panels[-1])
    _save(figure, path)


def _style(number: int, label: str) -> dict[str, Any]:
    """Of a contestant's line, by its number in the plot: the champion's, whose label is bold, stands out."""
    if label.startswith("**"):
        return {"linewidth": 2.5, "color": _OURS, "label": label.strip("*"), "zorder": 3}
    turn, colour = divmod(number, len(_PALETTE))
    return {"linewidth": 1.2, "color": _PALETTE[colour], "linestyle": "-" if turn == 0 else "--", "label": label}


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _canvas(columns: int = 1) -> tuple[Figure, list[Axes]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    width = 8.5 if columns == 1 else 3.6 * columns + 2
    figure, panels = plt.subplots(1, columns, figsize=(width, 4.2), squeeze=False)
    for axes in panels[0]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="0.92")
        axes.set_axisbelow(True)
    return figure, list(panels[0])


def _save(figure: Figure, path: Path) -> None:
    from matplotlib import pyplot as plt
    from PIL import Image

    figure.tight_layout()
    whole = BytesIO()
    figure.savefig(whole, dpi=90)
    plt.close(figure)
    Image.open(whole).convert("RGB").quantize(64).save(path, optimize=True)  # lines and text need few colours
