"""``gridcast doctor``: is everything there that a forecast needs, and is it sound?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from gridcast.contracts import LOAD
from gridcast.errors import GridcastError
from gridcast.market.days import Task
from gridcast.market.zones import zones
from gridcast.pipeline.providers import LIVE, provider
from gridcast.sources.fetched import Clock
from gridcast.sources.hours import hour_of

if TYPE_CHECKING:
    from gridcast.settings import Settings
    from gridcast.store.database import Store

STALE = timedelta(hours=6)
"""Load that ends longer ago than this: the source, or the ingest, has stopped."""

LEAST_SPACE = 1 << 30
"""Bytes that should be free in the home."""

DAMAGED = ("file is not a database", "disk image is malformed")
"""What SQLite says of a file that is no sound database."""


class State(StrEnum):
    """How a finding is meant."""

    GOOD = "good"
    NOTICE = "notice"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``what`` was found, and what to do about it where something should be done."""

    subject: str
    state: State
    what: str
    remedy: str = ""


def examine(settings: Settings, *, clock: Clock, online: bool) -> Iterator[Finding]:
    """Look at the home, the keys, the store and its zones, the models, the kept answers and, ``online``, the sources.

    Nothing is changed. Each source is asked for one day, through the same limits as an ingest.
    """
    yield _home(settings)
    yield from _keys(settings)
    yield from _stored(settings, now=clock.now())
    yield from _models(settings)
    yield from _kept(settings, clock=clock)
    if online:
        for name in LIVE:
            yield _asked(name, settings=settings, clock=clock)


def _home(settings: Settings) -> Finding:
    if not settings.home.is_dir():
        return Finding("home", State.NOTICE, f"{settings.home} is not there yet", "the first ingest makes it")
    free = shutil.disk_usage(settings.home).free
    text = f"{settings.home}, {free / 1e9:.1f} GB free"
    if free < LEAST_SPACE:
        return Finding("home", State.BAD, text, "make room: at least 1 GB")
    return Finding("home", State.GOOD, text)


def _keys(settings: Settings) -> Iterator[Finding]:
    if settings.simulator:
        yield Finding("simulator", State.NOTICE, f"every provider is simulated at {settings.simulator}")
    if settings.entsoe_api_key is None:
        yield Finding("ENTSO-E key", State.NOTICE, "not set", "set ENTSOE_API_KEY; Danish load comes without one")
    else:
        yield Finding("ENTSO-E key", State.GOOD, "set")


def _stored(settings: Settings, *, now: datetime) -> Iterator[Finding]:
    from gridcast.store.database import Store

    url = settings.database_url.get_secret_value()
    if "database_url" not in settings.model_fields_set and not (settings.home / "gridcast.db").exists():
        yield Finding("store", State.NOTICE, "empty", "gridcast ingest")
        return
    wrong: list[str] = []
    try:
        with Store(url) as store:
            wrong = store.check()
            if wrong:
                yield Finding("store", State.BAD, "; ".join(wrong), _to_restore(url))
            else:
                yield Finding("store", State.GOOD, "sound")
            for code in store.zones():
                yield _zone(store, code, now=now)
    except GridcastError as error:
        if not wrong:
            damaged = any(sign in error.what for sign in DAMAGED)
            yield Finding("store", State.BAD, error.what, _to_restore(url) if damaged else error.remedy)


def _to_restore(url: str) -> str:
    """What to do about a damaged database: a backup is restored only into an empty one."""
    if not url.startswith("sqlite:///"):
        return "empty the database, then restore the last backup: gridcast restore --file BACKUP"
    path = url.removeprefix("sqlite:///")
    return f"move {path}* away, then restore the last backup: gridcast restore --file BACKUP"


def _zone(store: Store, code: str, *, now: datetime) -> Finding:
    found = store.coverage(code, LOAD)
    if found.last is None:
        return Finding(code, State.NOTICE, "no load", f"gridcast ingest --zone {code}")
    aside = store.quarantined(code).height
    text = (
        f"load {found.first:%Y-%m-%dT%H:%MZ} to {found.last:%Y-%m-%dT%H:%MZ}, {found.count} intervals, "
        f"{len(found.missing)} gaps, {aside} values in quarantine"
    )
    if now - found.last > STALE:
        return Finding(
            code, State.NOTICE, f"{text}; ends {_ago(now - found.last)} ago", f"gridcast ingest --zone {code}"
        )
    return Finding(code, State.GOOD, text)


def _ago(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.seconds // 3600} hours"


def _models(settings: Settings) -> Iterator[Finding]:
    from gridcast.registry import Registry

    registry = Registry(settings.models_dir)
    for code in zones(user_file=settings.zones_file):
        for task in Task:
            try:
                version = registry.champion(code, task)
                if version is not None:
                    registry.load(version)
                    yield Finding(f"{code} {task} champion", State.GOOD, version.id)
            except GridcastError as error:
                yield Finding(f"{code} {task} champion", State.BAD, error.what, error.remedy)


def _kept(settings: Settings, *, clock: Clock) -> Iterator[Finding]:
    from gridcast.sources.wire import Bucket, Kept

    if fault := Bucket(settings.permits_file, clock=clock).fault():
        yield Finding(
            "permits",
            State.BAD,
            f"{settings.permits_file} cannot be used ({fault})",
            "delete it, once nobody is fetching; the next fetch makes it anew",
        )
    for folder in settings.raw_dirs:
        if not folder.is_dir():
            yield Finding("raw answers", State.BAD, f"{folder} is no folder", "move it away")
        elif wrong := Kept(folder).verify():
            what = f"{len(wrong)} damaged or missing, first {wrong[0]}"
            remedy = "fetch those days again; what was read from them is in the store"
            yield Finding("raw answers", State.BAD, what, remedy)
        else:
            yield Finding("raw answers", State.GOOD, "sound")


def _asked(name: str, *, settings: Settings, clock: Clock) -> Finding:
    """What a source says to a request for one day of a zone that it serves."""
    known = zones(user_file=settings.zones_file)
    end = hour_of(clock.now()) - timedelta(days=1)
    try:
        with provider(name, settings=settings, clock=clock) as source:
            brought = source.fetch(
                known["DK_1"], start=end - timedelta(days=1), end=end, variables=source.variables[:1]
            )
    except GridcastError as error:
        return Finding(name, State.BAD, error.what, error.remedy)
    return Finding(name, State.GOOD, f"answers: {brought.observations.height} values of yesterday")
