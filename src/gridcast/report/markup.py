"""What every page is made of: the document, its style, tiles, tables, facts and figures.

No script, no other host, light or dark as the reader has it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from gridcast.market.zones import BiddingZone
from gridcast.report.drawing import NARROW, PALETTE, WIDE, inline
from gridcast.report.fan import synthetic

Cell = tuple[str, bool]
"""A number as text, and whether it is the best of its row."""

LIBRARIES = ("gridcast", "numpy", "polars", "scipy", "lightgbm", "matplotlib")


def document(*, zone: BiddingZone, title: str, labels: Sequence[str], parts: Sequence[tuple[str, str, str]]) -> str:
    """A whole page; each part is a key, a heading and markup."""
    links = "".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading, _ in parts)
    sections = "".join(
        f'<section id="{key}" aria-labelledby="{key}-heading">'
        f'<h2 id="{key}-heading">{escape(heading)}</h2>{body}</section>\n'
        for key, heading, body in parts
    )
    name = zone.code if zone.name == zone.code else f"{zone.code} \N{MIDDLE DOT} {zone.name}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>Electricity load of {escape(name)}</p>{badges(labels)}"
        f'<nav aria-label="Parts of this report"><ol>{links}</ol></nav></header>\n'
        f"<main>\n{sections}</main>\n"
        f"<footer>Made by gridcast. MW are means over the interval; an interval is named by its "
        f"start; local time is {escape(zone.local_tz)}.</footer>\n</body>\n</html>\n"
    )


def style() -> str:
    """The page's style sheet, the palette in both schemes first."""
    light, dark = (";".join(f"--{role}:{colors[scheme]}" for role, colors in PALETTE.items()) for scheme in range(2))
    rules = files("gridcast.report").joinpath("page.css").read_text(encoding="utf-8")
    return f":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}"


def badges(labels: Sequence[str]) -> str:
    """Words that every reader must see."""
    shown = "".join(f'<span class="badge">{escape(label)}</span>' for label in labels)
    if synthetic(labels):
        shown += '<p class="note">Synthetic data are generated: they resemble real load, but nobody measured them.</p>'
    return shown


def versions() -> str:
    """The versions of Python and of the libraries that made the numbers."""
    found = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def table(
    corner: str, rows: Iterable[tuple[str, Sequence[Cell]]], *, models: Sequence[str], caption: str, kind: str
) -> str:
    """Row headings are markup, everything else is text; ``models`` are the columns."""
    head = "".join(f'<th scope="col">{escape(model)}</th>' for model in models)
    body = "".join(
        f'<tr><th scope="row">{heading}</th>'
        + "".join(f"<td><strong>{text}</strong></td>" if best else f"<td>{text}</td>" for text, best in cells)
        + "</tr>\n"
        for heading, cells in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table class="{kind}">'
        f'<caption>{escape(caption)}</caption><thead><tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def tiles(shown: Mapping[str, tuple[str, str]]) -> str:
    """The numbers to see first: name, value and a note."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, (value, note) in shown.items()
    )
    return f'<dl class="tiles">{cells}</dl>'


def facts(known: Mapping[str, str]) -> str:
    """Names and values, one a line."""
    return (
        '<dl class="facts">'
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in known.items())
        + "</dl>"
    )


def figure(drawn: Callable[[int], str], *, key: str, title: str, description: str, caption: str = "") -> str:
    """The figure twice, for a page's column and for a phone's; the reader's width shows one of them."""
    both = "".join(
        f'<div class="{name}">{inline(drawn(width), key=f"{key}-{name}", title=title, description=description)}</div>'
        for name, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return (
        f"<figure>{both}<figcaption>{escape(caption)}</figcaption></figure>" if caption else f"<figure>{both}</figure>"
    )
