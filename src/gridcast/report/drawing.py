"""One palette, and Matplotlib figures as SVG that carries no date, no address and no global state."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from gridcast.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

PALETTE = {
    "ink": ("#1b2733", "#e8edf2"),
    "muted": ("#5c6873", "#9ba8b4"),
    "grid": ("#dce2e8", "#2b353f"),
    "wash": ("#f2f5f8", "#18212a"),
    "paper": ("#ffffff", "#11171d"),
    "blue": ("#0072b2", "#56b4e9"),
    "vermilion": ("#c44e00", "#ff8f4f"),
    "green": ("#007f5f", "#2fc79a"),
    "purple": ("#a3488f", "#e59bd0"),
    "amber": ("#946200", "#e8c14a"),
    "violet": ("#5546a8", "#a79bf2"),
}
"""Role: colour on light and on dark paper. Lines have a contrast of 4.7 or more to either; hues after Okabe and Ito."""

INK, MUTED, GRID, WASH, PAPER, BLUE = (PALETTE[role][0] for role in ("ink", "muted", "grid", "wash", "paper", "blue"))
REFERENCE = "naive"

WIDE, HALF, NARROW = 960, 458, 358
"""Widths of figures, CSS pixels: a page's column, half of it and a phone's."""

_LINES = ("blue", "vermilion", "green", "purple", "amber", "violet")
_MARKERS = "osD^vP"
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
_DPI = 144
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 12.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}
_drawing = Lock()


class Look(NamedTuple):
    """How a model is drawn, told apart by hue, marker and dash."""

    color: str
    marker: str
    dash: str | tuple[float, Sequence[float]]


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Each model's look, the same in every figure of a page; the reference model is grey."""
    others = [name for name in models if name != REFERENCE]
    count = len(_LINES)
    table = {
        name: Look(PALETTE[_LINES[i % count]][0], _MARKERS[i % count], _DASHES[i // count % len(_DASHES)])
        for i, name in enumerate(others)
    }
    return {name: table.get(name, Look(MUTED, "x", _DASHES[1])) for name in models}


@contextmanager
def canvas(width: int, *, height: int, salt: str, text: str = "none") -> Iterator[Figure]:
    """An empty figure of that many CSS pixels, to be drawn and written inside the block.

    One at a time: Matplotlib reads its settings from a table that all threads share, and they are put back afterwards.

    Args:
        width: CSS pixels.
        height: CSS pixels.
        salt: what the SVG's identifiers are made from.
        text: ``none`` leaves letters to the reader's fonts, ``path`` draws them.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with _drawing, warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a zone may be named in any script
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt, "svg.fonttype": text})
        yield Figure(figsize=(width / 72, height / 72), facecolor="none", layout="constrained")


def svg(figure: Figure) -> str:
    """The figure as an SVG element without prologue and metadata."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    whole = buffer.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    return body.strip() + "\n"


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG or PNG, by the name of the file.

    Raises:
        ConfigError: the name ends otherwise; fact ``path``.
    """
    if path.suffix.lower() == ".svg":
        path.write_text(svg(figure), encoding="utf-8", newline="\n")
    elif path.suffix.lower() == ".png":
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
        path.write_bytes(buffer.getvalue())
    else:
        raise ConfigError(f"a chart cannot be written as {path.name}", remedy="name it .svg or .png", path=path)


def inline(markup: str, *, key: str, title: str, description: str) -> str:
    """An SVG for an HTML page: named for screen readers, its identifiers unique by ``key``, its colours the page's."""
    markup = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", markup)
    for role, (light, _) in PALETTE.items():
        markup = markup.replace(light, f"var(--{role})")
    opening = re.match(r"<svg[^>]*>", markup)
    body = markup if opening is None else markup[opening.end() :]
    box = re.search(r'viewBox="([^"]*)"', markup)
    return (
        f'<svg role="img" aria-labelledby="{key}-title {key}-desc" viewBox="{box[1] if box else ""}">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>{body}'
    )


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """The legend of the named ``handles`` under everything else, in as many columns as have room."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = int(72 * figure.get_figwidth() // (52 + 8 * longest))
    figure.legend(handles=handles, loc="outside lower left", ncols=max(1, min(columns, len(handles))), handlelength=2.2)


def thousands(value: float) -> str:
    """A whole number with separators.

    >>> thousands(2310.4)
    '2,310'
    """
    return f"{value:,.0f}"
