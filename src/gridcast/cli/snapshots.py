"""The command that writes training snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app

SNAPSHOTS = (".parquet", ".json")
"""What --out may end in."""


@app.command()
def snapshot(
    *,
    zone: options.ZoneOption,
    out: Annotated[
        Path, typer.Option("--out", help="NAME.parquet, with its statement NAME.json beside; or the statement alone.")
    ],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Only what was public then (ISO 8601 with offset).")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    force: options.ForceOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write what the store holds of a zone as a training snapshot: the same rows, the same bytes."""
    from gridcast import pipeline

    where = options.zone_of(zone)
    for file in dict.fromkeys((out, out.with_suffix(".json"))):
        options.writable(file, "--out", endings=SNAPSHOTS, force=force)
    first, last = options.days_of(start, end)
    at = options.instant_of(as_of, "--as-of") if as_of else None
    with options.open_store() as store:
        found = pipeline.write_snapshot(store, zone=where, out=out, as_of=at, start=first, end=last)
    words = f"{found.zone}: {found.rows} rows, public at {found.as_of:%Y-%m-%dT%H:%M:%SZ}, stated in {out.stem}.json\n"
    print(found.to_json() if as_json else words, end="")
