"""Commands that keep the store: backup, restore, retain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app

BACKUPS = (".gridcast",)
"""What a backup's name ends in."""


@app.command()
def backup(
    *,
    out: Annotated[Path, typer.Option("--out", help="The file to write, NAME.gridcast.")],
    force: options.ForceOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write everything that the store holds into one file, with its hashes."""
    from gridcast.cli import show
    from gridcast.store.backup import backup as write

    options.writable(out, "--out", endings=BACKUPS, force=force)
    with options.open_store() as store:
        show.backup(write(store, out, replace=force), path=out, as_json=as_json)


@app.command()
def restore(
    *,
    file: Annotated[Path, typer.Option("--file", help="A file that `gridcast backup` wrote.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only see whether the file is whole; restore nothing.")
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Fill an empty store from a backup: all of it or, at an error, nothing; then compare every hash."""
    from gridcast.cli import show
    from gridcast.store import backup as backups

    if check:
        show.backup(backups.verify(file), path=file, as_json=as_json)
        return
    with options.open_store(to_fill=True) as store:
        show.backup(backups.restore(store, file), path=file, as_json=as_json)


@app.command()
def retain(
    *,
    since: Annotated[str, typer.Option("--since", help="The first day, UTC, that is kept: YYYY-MM-DD.")],
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without this, only count.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Delete what is older than a day: the only way in which anything leaves the store."""
    from datetime import UTC, datetime, time

    from gridcast import pipeline, settings
    from gridcast.cli import show

    day = datetime.combine(options.day_of(since, "--since"), time(0), UTC)
    with options.open_store() as store:
        show.retained(pipeline.retain(store, settings=settings.load(), since=day, delete=delete), as_json=as_json)
