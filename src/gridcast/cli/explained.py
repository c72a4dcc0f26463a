"""An explained forecast on the terminal: the forecast and its terms, each interval's in a row."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.table import Table

from gridcast.cli import show
from gridcast.pipeline import documents

if TYPE_CHECKING:
    from gridcast.contracts import Floats
    from gridcast.market.zones import BiddingZone
    from gridcast.pipeline import Explained

_NO_TERMINAL = 160


def explanation(found: Explained, *, zone: BiddingZone, output: str) -> None:
    """The terms of a forecast as ``table``, ``json`` or ``csv``."""
    if output == "json":
        show.document(documents.explanation_document(found, zone=zone))
    elif output == "csv":
        buffer = io.StringIO()
        in_mw = {name: f"{name}_mw" for name in ("forecast", *found.names)}
        columns = ("zone", "issue_time", "valid_time", "model_version", "degraded")
        rows = documents.wide(found.forecast).select(columns).join(found.terms.rename(in_mw), on="valid_time")
        rows.write_csv(buffer, datetime_format=documents.STAMP)
        print(buffer.getvalue(), end="")
    else:
        _table(found, zone=zone)


def _table(found: Explained, *, zone: BiddingZone) -> None:
    local, names = ZoneInfo(zone.local_tz), found.names
    times = [time.astimezone(local) for time in found.terms["valid_time"]]
    day = found.terms["valid_time"][0].astimezone(zone.market_zone)
    issued = documents.forecast_document(found.forecast, zone=zone)
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL)
    console.print(f"[bold]{zone.name} ({zone.code})[/bold], {day:%A %d %B %Y}", soft_wrap=True)
    console.print(f"median load in MW and the terms that sum to it, clocks of {zone.local_tz}", soft_wrap=True)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("from", no_wrap=True)
    for name in ("forecast", *names):
        grid.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    parts = found.terms.select(names).to_numpy()
    labels = [*(f"{time:%H:%M}" for time in times), "mean"]
    for label, row in zip(labels, _whole(np.vstack([parts, parts.mean(axis=0)])), strict=True):
        grid.add_row(label, f"{sum(row):,}", f"{row[0]:,}", *(f"{each:+,}" if each else "0" for each in row[1:]))
    console.print(grid)
    console.print(
        f"typical is the load of a mean hour of an ordinary week; issued {issued['issue_time']} by "
        f"{issued['model_version']}" + (f"; degraded: {issued['degraded']}" if issued["degraded"] else ""),
        soft_wrap=True,
    )


def _whole(parts: Floats) -> list[list[int]]:
    """Parts [N, T] in whole MW that sum to the whole MW of their sum: what one loses by it, the next gains."""
    sums = np.round(np.cumsum(parts, axis=1)).astype(np.int64)
    return np.diff(sums, axis=1, prepend=0).tolist()  # type: ignore[no-any-return]
