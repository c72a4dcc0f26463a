"""Commands on data: ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app


@app.command()
def ingest(
    *,
    zone: options.ZoneOption,
    source: Annotated[options.SourceName, typer.Option("--source", help="Where from.")],
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet, for --source tabular.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """Put data into the store: idempotent, append-only."""
    from gridcast import pipeline
    from gridcast.cli import show

    where = options.zone_of(zone)
    observations = pipeline.fetch(
        where,
        source=source.value,
        file=file,
        start=options.day_of(start, "--start") if start else None,
        end=options.day_of(end, "--end") if end else None,
        fetched_at=options.instant_of(now),
    )
    with options.open_store(to_fill=True) as store:
        account = pipeline.ingest(store, observations, zone=where)
    show.account(account, as_json=as_json)
