"""The data of ``gridcast serve --demo``: synthetic load of two zones, a champion of each, a month of its forecasts.

The champion is trained as at a month ago, and every forecast since is issued as at its own day: so the scores that the
page shows are of days that the model had not seen.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from gridcast import pipeline, settings
from gridcast.contracts import LOAD
from gridcast.errors import ConfigError, GridcastError
from gridcast.market.days import Task, issue_time
from gridcast.market.zones import BiddingZone, zone
from gridcast.registry import Registry
from gridcast.sources.demo import weather_public
from gridcast.sources.fetched import Clock
from gridcast.store import spans
from gridcast.store.database import Store

STALE = timedelta(hours=4)
_EVERY_SECONDS = 900.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Demo:
    """What is prepared.

    Attributes:
        zones: whose load is made up.
        history: days of it before today.
        scored: days of forecasts before today's: what drift is judged by.
        overrides: of the champions' configuration.
    """

    zones: tuple[str, ...] = ("DK_1", "DK_2")
    history: int = 3 * 365 + 90
    scored: int = 35
    overrides: tuple[str, ...] = ()


DEMO = Demo()


def prepare(home: Path, *, now: datetime, demo: Demo = DEMO, progress: Progress | None = None) -> None:
    """Bring the demo's store and registry up to ``now``: all of it at first, what is new later.

    The work is done in a process of its own, which gives its memory back. Each step that is done already is passed
    over, so a start that was interrupted goes on where it ended.

    Raises:
        GridcastError: a step failed.
        ConfigError: the process ended before it was done.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _opened(home) as store:
        if not _all_steps(store, _registry(home), demo=demo, now=now):
            return
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(home, now, demo, theirs), name="gridcast-demo", daemon=True)
    worker.start()
    theirs.close()
    with suppress(EOFError):
        while True:
            news = ours.recv()
            if isinstance(news, GridcastError):
                raise news
            if progress is not None:
                progress(*news)
    worker.join()
    if worker.exitcode:
        raise ConfigError(
            f"preparing the demo in {home} ended early ({worker.exitcode})",
            remedy="start it again: it goes on where it ended",
            exitcode=worker.exitcode,
        )


def keep(home: Path, *, clock: Clock) -> None:
    """Keep the demo up to date for as long as the process lives, beside the server."""
    while True:
        with suppress(GridcastError):  # the next turn tries again; /ready says how old the data are meanwhile
            prepare(home, now=clock.now())
        clock.sleep(_EVERY_SECONDS)


def database_url(home: Path) -> str:
    """Where the demo's store is."""
    return f"sqlite:///{home / 'gridcast.db'}"


def models(home: Path) -> Path:
    """Where the demo's registry is."""
    return home / "models"


def _opened(home: Path) -> Store:
    return Store(database_url(home))


def _registry(home: Path) -> Registry:
    return Registry(models(home))


def _work(home: Path, now: datetime, demo: Demo, pipe: Connection) -> None:
    """Take every step, and tell through the pipe how far it is, or what went wrong."""
    with _opened(home) as store, pipe:
        try:
            steps = _all_steps(store, _registry(home), demo=demo, now=now)
            for done, step in enumerate(steps):
                pipe.send((done, len(steps)))
                step()
            pipe.send((len(steps), len(steps)))
        except GridcastError as error:
            pipe.send(error)


def _all_steps(store: Store, registry: Registry, *, demo: Demo, now: datetime) -> list[Callable[[], object]]:
    return [step for code in demo.zones for step in _steps(store, registry, where=zone(code), demo=demo, now=now)]


def _steps(
    store: Store, registry: Registry, *, where: BiddingZone, demo: Demo, now: datetime
) -> list[Callable[[], object]]:
    """What there is to do for a zone, in order."""
    known = spans.observed(store, where.code, variable=LOAD)
    today = now.astimezone(where.market_zone).date()
    steps: list[Callable[[], object]] = []
    if known is None or now - known.end > STALE:
        start = today - timedelta(days=demo.history) if known is None else known.last.date() - timedelta(days=1)
        end = today + timedelta(days=2)
        steps.append(partial(_ingest, store, where, start=start, end=end, now=now))
    if registry.champion(where.code, Task.DAY_AHEAD) is None:
        at = issue_time(where, today - timedelta(days=demo.scored))
        steps.append(partial(_train, store, registry, where=where, at=at, overrides=demo.overrides))
    issued = spans.forecast(store, where.code)
    last = None if issued is None else issued.last.astimezone(where.market_zone).date()
    past = [today + timedelta(days=n) for n in range(1 - demo.scored, 1)]
    asked = {day: issue_time(where, day) for day in past if last is None or day > last}
    tomorrow = today + timedelta(days=1)
    usual = issue_time(where, tomorrow)
    # Whoever looks early in the day sees a forecast already: it is made anew with the weather, and at its usual time.
    better = [at for at in (weather_public(tomorrow), usual) if at <= now]
    if issued is None or last != tomorrow or any(issued.issued < at for at in better if issued.issued):
        asked[tomorrow] = min(now, usual)
    return steps + [partial(_issue, store, registry, where=where, day=day, at=at) for day, at in asked.items()]


def _ingest(store: Store, where: BiddingZone, *, start: date, end: date, now: datetime) -> None:
    rows = pipeline.fetch(where, source=pipeline.DEMO, start=start, end=end, fetched_at=now.astimezone(UTC))
    pipeline.ingest(store, rows, zone=where)


def _train(store: Store, registry: Registry, *, where: BiddingZone, at: datetime, overrides: tuple[str, ...]) -> None:
    experiment = settings.compose([f"zone={where.code}", *overrides])
    pipeline.train_and_register(store, registry, zone=where, experiment=experiment, at=at, promote=True)


def _issue(store: Store, registry: Registry, *, where: BiddingZone, day: date, at: datetime) -> None:
    pipeline.issue_and_store(store, registry, zone=where, now=at, delivery_day=day)
