"""Commands on data: ingest, report, doctor, quarantine."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app
from gridcast.errors import ConfigError, Unauthorized

FILES = (options.SourceName.TABULAR, options.SourceName.DEMO)

SimulatorOption = Annotated[
    str | None, typer.Option("--simulator", help="Ask a grid simulator on this machine, e.g. http://127.0.0.1:8765.")
]


@app.command()
def ingest(
    *,
    zone: options.ZoneOption,
    source: Annotated[
        options.SourceName, typer.Option("--source", help="Where from; `auto` is the zone's own order of live sources.")
    ] = options.SourceName.AUTO,
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet, for --source tabular.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    simulator: SimulatorOption = None,
    variables: Annotated[
        str | None,
        typer.Option("--variables", help="What to ask a live source for, e.g. load,load_settlement; default its own."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Poll until interrupted, and keep every change.")] = False,
    every: Annotated[int, typer.Option("--every", min=1, max=1440, help="Minutes between polls.")] = 15,
    polls: Annotated[int | None, typer.Option("--polls", min=1, help="Stop --watch after so many.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read the kept raw answers once more instead of asking: after an upgrade.")
    ] = False,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """Put data into the store: idempotent, append-only. A live source's doubtful values go into quarantine."""
    from gridcast import pipeline
    from gridcast.cli import show

    where = options.zone_of(zone)
    first, last = options.days_of(start, end)
    if source in FILES:
        if simulator or variables or watch or again or polls:
            raise ConfigError(
                f"--source {source} is asked once, and not over the network",
                remedy="leave out --simulator, --variables, --watch, --polls and --again, or choose a live source",
            )
        observations = pipeline.fetch(
            where, source=source.value, file=file, start=first, end=last, fetched_at=options.instant_of(now)
        )
        with options.open_store(to_fill=True) as store:
            show.account(pipeline.ingest(store, observations, zone=where), as_json=as_json)
        return
    if file is not None:
        raise ConfigError(f"--source {source} reads no file", remedy="leave --file out, or use --source tabular")
    if now is not None:
        raise ConfigError(
            "a live source is asked now, not at another time", remedy="leave --now out, or move the simulator's clock"
        )
    if watch and (first or last or again):
        raise ConfigError("--watch looks at the days around now", remedy="leave out --start, --end and --again")
    if polls is not None and not watch:
        raise ConfigError("--polls counts the polls of --watch", remedy="add --watch")
    if variables is not None and again:
        raise ConfigError("--again reads whole answers", remedy="leave --variables out")
    wanted = None if variables is None else options.listed(variables)
    if wanted == ():
        raise ConfigError("--variables names none", remedy="name some, or leave it out")
    found, clock = options.live_settings(simulator)
    names = pipeline.source_order(where) if source == options.SourceName.AUTO else (source.value,)
    absent: dict[str, str] = {}

    def left_out(why: Unauthorized) -> None:
        absent[str(why.facts["source"])] = str(why)
        show.note(f"{why.facts['source']} is not asked: {why}")

    with (
        options.open_store(to_fill=True) as store,
        pipeline.providers(names, settings=found, clock=clock, asked=not again, left_out=left_out) as sources,
    ):
        if watch:
            seen: list[pipeline.Poll] = []

            def report(poll: pipeline.Poll) -> None:
                seen.append(poll)
                show.poll(poll)

            with contextlib.suppress(KeyboardInterrupt):
                pipeline.watch(
                    store,
                    sources,
                    zone=where,
                    clock=clock,
                    variables=wanted,
                    every=timedelta(minutes=every),
                    polls=polls,
                    report=report,
                )
            show.polls(seen, zone=where, as_json=as_json)
        elif again:
            show.account(
                pipeline.read_again(store, sources, settings=found, zone=where, at=clock.now()), as_json=as_json
            )
        else:
            begin, finish = pipeline.window(store, zone=where, now=clock.now(), start=first, end=last)
            made = pipeline.ingest_live(
                store, sources, zone=where, start=begin, end=finish, clock=clock, variables=wanted
            )
            show.account(replace(made, failed={**absent, **made.failed}), as_json=as_json)


@app.command()
def report(
    *,
    zone: options.ZoneOption,
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")],
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    force: options.ForceOption = False,
) -> None:
    """Write what is stored of a zone as a page: verdicts by day, gaps, quarantine, revisions, lags, statistics."""
    from gridcast import pipeline

    options.writable(out, "--out", endings=options.PAGES, force=force)
    where = options.zone_of(zone)
    first, last = options.days_of(start, end)
    with options.open_store() as store:
        html = pipeline.data_report(store, zone=where, start=first, end=last)
    out.write_text(html, encoding="utf-8")
    print(f"{where.code}: {out}")


@app.command()
def doctor(
    *,
    online: Annotated[bool, typer.Option("--online", help="Ask every provider for one day, too.")] = False,
    simulator: SimulatorOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Look at the home, the keys, the store, the models and the kept answers; exit 1 where something is wrong."""
    from gridcast import pipeline
    from gridcast.cli import show

    found, clock = options.live_settings(simulator)
    findings = list(pipeline.examine(found, clock=clock, online=online))
    show.findings(findings, as_json=as_json)
    if any(each.state == pipeline.State.BAD for each in findings):
        raise typer.Exit(1)


@app.command()
def quarantine(
    *,
    zone: options.ZoneOption,
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    release: Annotated[bool, typer.Option("--release", help="Let these values be used from now on.")] = False,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """List the values that were set aside, and why; or release them."""
    from gridcast import pipeline
    from gridcast.cli import show

    where = options.zone_of(zone)
    first, last = options.days_of(start, end)
    since, until = pipeline.edges(where, start=first, end=last)
    with options.open_store() as store:
        rows = store.quarantined(where.code, start=since, end=until)
        if release:
            store.release(where.code, start=since, end=until, at=options.instant_of(now))
    show.quarantined(rows, zone=where, released=release, as_json=as_json)
