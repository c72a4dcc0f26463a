"""What the commands share: their options, and how an option's text becomes a zone, a day, a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridcast.errors import ConfigError, OutputExists

if TYPE_CHECKING:
    import polars as pl

    from gridcast.market.zones import BiddingZone
    from gridcast.registry import Registry
    from gridcast.settings import Settings
    from gridcast.sources.fetched import Clock
    from gridcast.store.database import Store

ZoneOption = Annotated[str, typer.Option("--zone", help="Bidding zone, e.g. DK_1; `gridcast zones` lists them.")]
ModelsOption = Annotated[
    str, typer.Option("--models", help="Comma-separated names; `champion` is the promoted or shipped one.")
]
InputsOption = Annotated[str, typer.Option("--inputs", help="What the models may use, of load,calendar,weather,tso.")]
TaskOption = Annotated[str, typer.Option("--task", help="day_ahead or next_24h.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the output file.")]
SnapshotOption = Annotated[
    Path | None, typer.Option("--snapshot", help="Data from a file of `gridcast snapshot`, not from the store.")
]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Act as at this instant (ISO 8601 with offset), for replays.")
]

ALL_INPUTS = "load,calendar,weather,tso"
TABLES = (".parquet", ".csv")
"""What --out may end in."""
PAGES = (".html", ".htm")
"""What --report may end in."""
DOCUMENTS = (".json",)
"""What --scores may end in."""

_YEARS = range(1970, 2200)


class Format(StrEnum):
    """How a forecast is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


DeliveryDayOption = Annotated[str | None, typer.Option("--delivery-day", help="YYYY-MM-DD; tomorrow unless given.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


class SourceName(StrEnum):
    """Where data can come from."""

    AUTO = "auto"
    ENTSOE = "entsoe"
    ENTSOE_FILES = "entsoe-files"
    ENERGIDATA = "energidata"
    OPENMETEO = "openmeteo"
    TABULAR = "tabular"
    DEMO = "demo"


def known_zones() -> dict[str, BiddingZone]:
    """Every zone, the user's own among them."""
    from gridcast import settings
    from gridcast.market.zones import zones as known

    return known(user_file=settings.load().zones_file)


def zone_of(code: str) -> BiddingZone:
    """The zone of that code."""
    from gridcast import settings
    from gridcast.market.zones import zone

    return zone(code, user_file=settings.load().zones_file)


def open_store(*, to_fill: bool = False) -> Store:
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


def open_registry() -> Registry:
    """The registry of models in the home."""
    from gridcast import settings
    from gridcast.registry import Registry

    return Registry(settings.load().models_dir)


def live_settings(simulator: str | None) -> tuple[Settings, Clock]:
    """The settings, every provider at the simulator where one is named, and the clock that goes with them."""
    from gridcast import settings
    from gridcast.pipeline.clock import SystemClock
    from gridcast.sources.endpoints import Endpoints

    found = settings.load()
    if simulator is not None:
        found = found.model_copy(update={"simulator": simulator})
    if found.simulator is None:
        return found, SystemClock()
    from gridcast.simulate import RemoteClock

    Endpoints.simulated(found.simulator)
    try:
        return found, RemoteClock(found.simulator, f"gridcast {os.getpid()}")
    except ConfigError as error:
        if not error.facts.get("own"):
            raise
        return found, SystemClock()


def data_of(zone: BiddingZone, *, snapshot: Path | None) -> tuple[pl.DataFrame, str, datetime | None]:
    """The Observations of a snapshot, or of the store without one, their hash, and the snapshot's as-of."""
    from gridcast import pipeline

    if snapshot is None:
        with open_store() as store:
            return *pipeline.read_store(store, zone=zone), None
    stated = pipeline.read_statement(snapshot)
    return pipeline.read_snapshot(snapshot, zone=zone), stated.digest, stated.as_of


def listed(text: str) -> tuple[str, ...]:
    """The names in a comma-separated text, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def day_of(text: str, option: str) -> date:
    """The day that an option names."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or day.year not in _YEARS:
        raise ConfigError(f"{option} {text!r} is no day of our time", remedy="write it as YYYY-MM-DD")
    return day


def days_of(
    start: str | None, end: str | None, *, names: tuple[str, str] = ("--start", "--end")
) -> tuple[date | None, date | None]:
    """The days that two options name."""
    first, last = (day_of(text, name) if text else None for text, name in zip((start, end), names, strict=True))
    if first and last and last <= first:
        raise ConfigError(
            f"{names[1]} {last} is not after {names[0]} {first}", remedy=f"{names[1]} is the first day left out"
        )
    return first, last


def instant_of(text: str | None, option: str = "--now") -> datetime:
    """The instant that an option names, UTC; the present one without it."""
    if text is None:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None or when.year not in _YEARS:
        raise ConfigError(f"{option} {text!r} is no instant", remedy="write it as 2026-01-31T09:00:00Z")
    return when.astimezone(UTC)


def writable(path: Path | None, option: str, *, endings: tuple[str, ...], force: bool) -> None:
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
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
