"""Commands on the forecast log: its head, whether it is whole, entries made again, entries beside what came of them."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app
from gridcast.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import polars as pl

    from gridcast.pipeline import Replayed
    from gridcast.store.chain import Head

log = typer.Typer(
    name="journal", help="The log of every computed forecast: verify it, replay it, read it.", rich_markup_mode=None
)
app.add_typer(log)

_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@log.command()
def head(*, as_json: options.JsonOption = False) -> None:
    """Print how many entries the log has and the hash of the last, COUNT:HASH, to be noted elsewhere."""
    from gridcast.cli import show
    from gridcast.store.journal import Journal

    with options.open_store() as store:
        found = Journal(store).head()
    if as_json:
        show.document({"count": found.count, "hash": found.hash})
    else:
        print(f"{found.count}:{found.hash}")


@log.command()
def verify(
    *,
    noted: Annotated[
        str | None, typer.Option("--noted", help="COUNT:HASH, as `gridcast journal head` printed it earlier.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Check that every entry is as it was written, that none is missing, and that the store has the same forecasts.

    Exit 1 with a line for each fault.
    """
    from gridcast import pipeline
    from gridcast.cli import show
    from gridcast.store.journal import Journal

    known = None if noted is None else _head(noted)
    count = None
    with options.open_store() as store:
        journal = Journal(store)
        with contextlib.suppress(StoreError):  # which is a fault of the journal, too
            count = journal.head().count
        faults = journal.verify(noted=known) or list(pipeline.strayed(store))
    if as_json:
        show.document({"whole": not faults, "count": count, "faults": faults})
    else:
        whole = f"whole: {count} entries" + (f", with the head of {known.count} that was noted" if known else "")
        print(*(faults or [whole]), sep="\n")
    if faults:
        raise typer.Exit(1)


@log.command()
def replay(
    *,
    count: Annotated[int, typer.Option("--count", min=1, help="How many; all where there are fewer.")] = 100,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**31 - 1, help="Of the lot; another each time unless given.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Make entries again that are drawn by lot, and compare them to the bit; each that is not the same gets a line.

    Exit 1 where one comes out different, or where not one of those drawn can be made again: that proves nothing. Single
    ones that cannot are named, and are no failure: a model or observations may have been let go of since.
    """
    import secrets

    from gridcast import pipeline
    from gridcast.cli import show
    from gridcast.models.classic_onnx import Classic
    from gridcast.store.journal import Journal

    lot = secrets.randbelow(2**31) if seed is None else seed
    found: list[Replayed] = []
    with options.open_store() as store, options.progress_bar("replaying") as progress:
        replays = pipeline.Replays(store, options.open_registry(), classic=Classic.load, zone_of=options.zone_of)
        drawn = min(count, len(Journal(store).replayable()))
        for each in replays.sample(count, seed=lot):
            found.append(each)
            if progress is not None:
                progress(len(found), drawn)
    counts = {outcome.value: sum(each.outcome is outcome for each in found) for outcome in pipeline.Outcome}
    others = [each for each in found if each.outcome is not pipeline.Outcome.SAME]
    if as_json:
        listed = [{"number": each.number, "outcome": each.outcome, "why": each.why} for each in others]
        show.document({"seed": lot, **counts, "entries": listed})
    else:
        for each in others:
            print(f"entry {each.number}: {each.outcome}: {each.why}")
        print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()) + f" (seed {lot})")
    if counts["different"] or (found and not counts["same"]):
        raise typer.Exit(1)


@log.command()
def entries(
    *,
    zone: Annotated[str | None, typer.Option("--zone", help="Only forecasts of this zone.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day, UTC, on which they were made.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The day, UTC, that is the first left out.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write every value beside the load that came to this .parquet or .csv.")
    ] = None,
    force: options.ForceOption = False,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """List the forecasts of the log, and how far they were from the load that is known now (MW).

    Classic windows have no zone whose load could be known, and what `gridcast retain` emptied has no values: such
    entries are not listed.
    """
    from gridcast import pipeline
    from gridcast.cli import show
    from gridcast.pipeline.documents import stamp
    from gridcast.store.journal import Journal

    options.writable(out, "--out", endings=options.TABLES, force=force)
    days = options.days_of(first, last, names=("--from", "--to"))
    start, end = (None if day is None else datetime.combine(day, time(0), UTC) for day in days)
    code = None if zone is None else options.zone_of(zone).code
    with options.open_store() as store:
        chosen = Journal(store).entries(zone=code, start=start, end=end)
        table = pipeline.with_actuals(chosen, store=store, at=options.instant_of(now), zone_of=options.zone_of)
    if out is not None:
        show.write_table(table, out)
    listed = _each(table)
    if as_json:
        rows = [row | {name: stamp(row[name]) for name in ("made_at", "start")} for row in listed.iter_rows(named=True)]
        show.document({"entries": rows, "file": out and str(out)})
        return
    for row in listed.iter_rows(named=True):
        error = "-" if row["mae_mw"] is None else f"{row['mae_mw']:.1f} MW"
        print(
            f"{row['number']} {row['zone']} from {stamp(row['start'])}, {row['kind']} {stamp(row['made_at'])} "
            f"by {row['model_version']}: load of {row['known']} of {row['intervals']} intervals, MAE {error}"
        )
    print(f"{listed.height} entries" + (f", {table.height} rows: {out}" if out else ""))


def _head(text: str) -> Head:
    from gridcast.store.journal import Head

    found = _NOTED.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--noted {text!r} is no head", remedy="write it as `gridcast journal head` printed it, COUNT:HASH"
        )
    return Head(int(found[1]), found[2])


def _each(table: pl.DataFrame) -> pl.DataFrame:
    """A row an entry: its first interval, how many it has, of how many the load is known, and the median's MAE (MW)."""
    import polars as pl

    error = (pl.col("value") - pl.col("actual")).abs().mean()
    return (
        table.filter(pl.col("quantile") == 0.5)
        .group_by("number", maintain_order=True)
        .agg(
            pl.col("kind", "zone", "made_at", "model_version").first(),
            start=pl.col("valid_time").first(),
            intervals=pl.len(),
            known=pl.col("actual").count(),
            mae_mw=error,
        )
    )
