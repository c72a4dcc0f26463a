"""Commands of ``gridcast``: options in, verbs called, results on stdout; logs and progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridcast.errors import ConfigError, GridcastError, OutputExists

if TYPE_CHECKING:
    from gridcast.market.zones import BiddingZone
    from gridcast.registry import Registry
    from gridcast.store.database import Store

app = typer.Typer(
    name="gridcast",
    help="Tomorrow's electricity load of a bidding zone, as a calibrated fan of quantiles.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ZoneOption = Annotated[str, typer.Option("--zone", help="Bidding zone, e.g. DK_1; `gridcast zones` lists them.")]
ModelsOption = Annotated[
    str, typer.Option("--models", help="Comma-separated names; `champion` is the promoted or shipped one.")
]
InputsOption = Annotated[str, typer.Option("--inputs", help="What the models may use, of load,calendar,weather,tso.")]
TaskOption = Annotated[str, typer.Option("--task", help="day_ahead or next_24h.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the output file.")]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Act as at this instant (ISO 8601 with offset), for replays.")
]

ALL_INPUTS = "load,calendar,weather,tso"
TABLES = (".parquet", ".csv")
"""What --out may end in."""
PAGES = (".html", ".htm")
"""What --report may end in."""

_YEARS = range(1970, 2200)

_WrongUsage: Any = typer.BadParameter.__bases__[0]
"""What typer raises for an option that is unknown, absent or wrong; it has no public name for it."""


class Format(StrEnum):
    """How a forecast is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class SourceName(StrEnum):
    """Where data can come from."""

    TABULAR = "tabular"
    DEMO = "demo"


def main() -> None:
    """Run the command line: exit 0 done, 1 failed (one line on stderr), 2 wrong usage."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False) or 0
    except _WrongUsage as error:
        context = getattr(error, "ctx", None)
        print(
            f"gridcast: {' '.join(error.format_message().split()).rstrip('.')}: "
            f"see {context.command_path if context else 'gridcast'} --help",
            file=sys.stderr,
        )
        code = 2
    except GridcastError as error:
        print(f"gridcast: {error}", file=sys.stderr)
        code = 2 if isinstance(error, ConfigError) and not isinstance(error, OutputExists) else 1
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        print(
            f"gridcast: {error.filename or 'input or output'}: {error.strerror}: check the path and its rights",
            file=sys.stderr,
        )
        code = 1
    sys.exit(code)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"gridcast {version('gridcast')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tomorrow's electricity load of a bidding zone, as a calibrated fan of quantiles."""


@app.command()
def zones(as_json: JsonOption = False) -> None:
    """List the bidding zones."""
    from gridcast.cli import show

    known = _settings_zones()
    show.zones(known, as_json=as_json)


@app.command()
def ingest(
    *,
    zone: ZoneOption,
    source: Annotated[SourceName, typer.Option("--source", help="Where from.")],
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet, for --source tabular.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First local day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last local day, exclusive.")] = None,
    as_json: JsonOption = False,
    now: NowOption = None,
) -> None:
    """Put data into the store: idempotent, append-only."""
    from gridcast import pipeline
    from gridcast.cli import show

    where = _zone(zone)
    observations = pipeline.fetch(
        where,
        source=source.value,
        file=file,
        start=_day(start, "--start") if start else None,
        end=_day(end, "--end") if end else None,
        fetched_at=_now(now),
    )
    with _store(to_fill=True) as store:
        account = pipeline.ingest(store, observations, zone=where)
    show.account(account, as_json=as_json)


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    *,
    zone: ZoneOption,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides, e.g. model=linear model.strength=2.")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the zone's champion.")] = False,
    as_json: JsonOption = False,
    now: NowOption = None,
) -> None:
    """Fit a model on the store's data and register it; the first one of a zone becomes its champion."""
    from gridcast import pipeline, settings
    from gridcast.cli import show

    where, at = _zone(zone), _now(now)
    experiment = settings.compose([f"zone={where.code}", *(overrides or [])])
    if experiment.zone != where.code:
        raise ConfigError(
            f"--zone {where.code} and zone={experiment.zone} disagree", remedy="name the zone once, by --zone"
        )
    with _store() as store:
        found = pipeline.train_and_register(
            store, _registry(), zone=where, experiment=experiment, at=at, promote=promote
        )
    show.registered(found, as_json=as_json)


@app.command()
def backtest(
    *,
    zone: ZoneOption,
    first: Annotated[str, typer.Option("--from", help="First delivery day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last delivery day, exclusive.")],
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet; without it, the store's data.")] = None,
    models: ModelsOption = "champion,naive",
    task: TaskOption = "day_ahead",
    inputs: InputsOption = ALL_INPUTS,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Of everything random.")] = 0,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write every forecast to this .parquet or .csv.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report.")] = None,
    force: ForceOption = False,
) -> None:
    """Replay the forecasts that would have been issued, and score them."""
    from gridcast import pipeline
    from gridcast.cli import show

    _writable(out, "--out", endings=TABLES, force=force)
    _writable(report, "--report", endings=PAGES, force=force)
    plan = pipeline.plan(
        _zone(zone), first=_day(first, "--from"), last=_day(last, "--to"), task=task, inputs=_names(inputs), seed=seed
    )
    recipes = pipeline.recipes(
        _names(models), champion=pipeline.champion_recipe(_registry(), zone=plan.zone, task=plan.task)
    )
    if file is not None:
        observations, sha256 = pipeline.read_file(file, zone=plan.zone, fetched_at=_now(None))
    else:
        with _store() as store:
            observations, sha256 = pipeline.read_store(store, zone=plan.zone)
    with _progress("replaying") as progress:
        result = pipeline.replay(plan, observations, recipes=recipes, progress=progress)
    if out is not None:
        show.write_table(result.forecasts(), out)
    if report is not None:
        from gridcast import report as reports

        html = reports.render(
            zone=plan.zone,
            forecast=None,
            history=None,
            result=result,
            title=f"{plan.zone.code} backtest",
            labels=[],
            facts={"data": str(file) if file else "the store", "data sha256": sha256},
        )
        report.write_text(html, encoding="utf-8")
    show.scores(result, sha256=sha256, as_json=as_json)


@app.command()
def issue(
    *,
    zone: ZoneOption,
    delivery_day: Annotated[
        str | None, typer.Option("--delivery-day", help="YYYY-MM-DD; tomorrow unless given.")
    ] = None,
    task: TaskOption = "day_ahead",
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
    now: NowOption = None,
) -> None:
    """Forecast a delivery day with the champion, store the forecast and print it."""
    from gridcast import pipeline
    from gridcast.cli import show

    where, at = _zone(zone), _now(now)
    day = _day(delivery_day, "--delivery-day") if delivery_day else None
    with _store() as store:
        issued = pipeline.issue_and_store(store, _registry(), zone=where, task=task, delivery_day=day, now=at)
    show.forecast(issued.forecast, zone=where, output=output.value)


@app.command()
def demo(
    *,
    report: Annotated[Path | None, typer.Option("--report", help="Where the HTML report goes.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    now: NowOption = None,
) -> None:
    """Run the whole house on embedded synthetic data: ingest, train, backtest, issue, report. No key, no network."""
    from gridcast.cli import demonstration

    _writable(report, "--report", endings=PAGES, force=force)
    demonstration.run(now=_now(now), html=report, as_json=as_json, progress=_progress)


def _settings_zones() -> dict[str, BiddingZone]:
    from gridcast import settings
    from gridcast.market.zones import zones as known

    return known(user_file=settings.load().zones_file)


def _zone(code: str) -> BiddingZone:
    from gridcast import settings
    from gridcast.market.zones import zone

    return zone(code, user_file=settings.load().zones_file)


def _store(*, to_fill: bool = False) -> Store:
    """The store. One in the home that is not there yet is made to be filled, and else is as good as an empty one."""
    from gridcast import settings
    from gridcast.store.database import Store

    found = settings.load()
    url = found.database_url.get_secret_value()
    if "database_url" not in found.model_fields_set:
        if to_fill:
            found.home.mkdir(parents=True, exist_ok=True)
        elif not Path(url.removeprefix("sqlite:///")).exists():
            url = "sqlite://"
    return Store(url)


def _registry() -> Registry:
    from gridcast import settings
    from gridcast.registry import Registry

    return Registry(settings.load().models_dir)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _day(text: str, option: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        raise ConfigError(f"{option} {text!r} is no day of our time", remedy="write it as YYYY-MM-DD")
    return day


def _now(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None or when.year not in _YEARS:
        raise ConfigError(f"--now {text!r} is no instant", remedy="write it as 2026-01-31T09:00:00Z")
    return when.astimezone(UTC)


def _writable(path: Path | None, option: str, *, endings: tuple[str, ...], force: bool) -> None:
    """Refuse an output before the work that makes it."""
    if path is None:
        return
    if path.suffix not in endings:
        raise ConfigError(f"{option} {path} does not end in {' or '.join(endings)}", remedy="name it by its format")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}", remedy="make it, or choose another one")
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder", remedy="name a file")
    if path.exists() and not force:
        raise OutputExists(f"{path} exists", remedy="choose another path, or overwrite it with --force", path=str(path))


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
