"""Entries of the journal made again: is each forecast, to the bit, what its inputs and its model give?

And entries beside what came of them: the load that was measured since.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gridcast.contracts import FORECAST, LOAD, UTC_TIME
from gridcast.errors import DataError, GridcastError, ModelNotFound, OutsideData
from gridcast.market.days import Task, instant
from gridcast.market.zones import BiddingZone, zone
from gridcast.pipeline import answers, posted
from gridcast.pipeline.champions import Champion
from gridcast.pipeline.coherence import coherent
from gridcast.pipeline.forecasting import issue
from gridcast.pipeline.journaling import Companion, Request, answer_of, forecast_of
from gridcast.pipeline.operations import Asked, Draft, issued_before
from gridcast.registry import Registry, Version
from gridcast.store import snapshot

if TYPE_CHECKING:
    from gridcast.models.classic_onnx import Classic
    from gridcast.store.database import Store
    from gridcast.store.journal import Logged

FORECASTS = ("issued", "on_demand")
"""Kinds of entries whose answer is the forecast of a zone."""


class Outcome(StrEnum):
    """What became of a replay."""

    SAME = "same"
    DIFFERENT = "different"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Replayed:
    """An entry that was made again.

    ``why`` says what differs, or what is no longer there to make it from; empty where it came out the same to the bit.
    """

    number: int
    outcome: Outcome
    why: str = ""


class Replays:
    """Makes entries of the journal again, each model loaded once.

    Args:
        store: whose journal, with the observations that issued forecasts were made from.
        registry: of the models.
        classic: the classic network, or what loads it when the first of its entries comes.
        zone_of: the zone of a code, for who has zones of their own.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        classic: Classic | Callable[[], Classic] | None = None,
        zone_of: Callable[[str], BiddingZone] = zone,
    ) -> None:
        self._store = store
        self._registry = registry
        self._classic = classic
        self._zone_of = zone_of
        self._models: dict[tuple[str, str, str], Champion] = {}

    def sample(self, count: int, *, seed: int) -> Iterator[Replayed]:
        """Entries drawn by lot, as many as asked for or all of them, made again in the order of their numbers.

        Those that retention emptied are not drawn.
        """
        from gridcast.store.journal import Journal

        journal = Journal(self._store)
        numbers = journal.replayable()
        drawn = random.Random(seed).sample(numbers, min(count, len(numbers)))  # noqa: S311
        for entry in journal.entries(numbers=drawn):
            yield self.compared(entry)

    def compared(self, entry: Logged) -> Replayed:
        """The entry made again, and held against what it says it answered."""
        if entry.request is None or not entry.model_version:
            return Replayed(entry.number, Outcome.IMPOSSIBLE, "it has no request (any more)")
        try:
            again = self.again(entry)
        except GridcastError as error:
            return Replayed(entry.number, Outcome.IMPOSSIBLE, str(error))
        if again == entry.answer:
            return Replayed(entry.number, Outcome.SAME)
        return Replayed(entry.number, Outcome.DIFFERENT, "its inputs and its model give another answer")

    def again(self, entry: Logged) -> bytes:
        """The answer to an entry's request, computed now.

        Raises:
            DataError: it has no request, or not a legible one.
            OutsideData: the store has not, or no longer, what it was made from.
            ModelNotFound, ArtifactMismatch: its model is not there, or not the one that it was.
        """
        if entry.kind == "issued":
            return self._issued(entry, Request.of(entry.request or b""))
        document = _document(entry, has="features" if entry.kind == "classic" else "load")
        if entry.kind == "classic":
            return answers.classic(document["features"], network=self._network(entry.model_version))
        try:
            asked = posted.Settled.of(document, zone=self._zone_of(entry.zone))
        except (ValueError, LookupError, TypeError) as error:
            raise _illegible(entry) from error
        return answers.on_demand(asked, champion=self._model(entry.zone, Task.DAY_AHEAD, version=entry.model_version))

    def _issued(self, entry: Logged, request: Request) -> bytes:
        group = request.together or (Companion(entry.zone, entry.model_version, stored=False),)
        drafts = {each.zone: self._draft(each, request) for each in group}
        own = drafts[entry.zone].observations
        if not request.agrees(own):
            raise OutsideData(
                f"entry {entry.number} was made from {request.rows} observations of {entry.zone}, and the {own.height} "
                "that the store has as of then are others",
                remedy="perhaps retention let go of some; else compare the store with a backup",
                first=request.needed_from,
                last=request.issue_time,
            )
        if request.together:
            drafts = dict(zip(drafts, coherent(list(drafts.values())), strict=True))
        return answer_of(drafts[entry.zone].forecast)

    def _draft(self, companion: Companion, request: Request) -> Draft:
        """A forecast before it was made to add up, or as it had been stored."""
        where = self._zone_of(companion.zone)
        trained = self._model(companion.zone, request.task, version=companion.model_version).trained
        asked = Asked(companion.model_version, trained, request.origin(where))
        rows = self._store.observations(asked.zones, start=request.needed_from, made_at=request.made_at)
        if not companion.stored:
            made = issue(rows, trained=trained, origin=asked.origin, model_version=asked.version)
            return Draft(asked, made, rows, last_write=0, is_stored=False)
        there = issued_before(self._store, asked)
        if there.is_empty():
            raise OutsideData(
                f"the store has no longer the forecast of {companion.zone} by {asked.version} of {request.issue_time}",
                remedy="perhaps retention let go of it; else restore a backup",
                first=request.start,
                last=request.end,
            )
        return Draft(asked, there, rows, last_write=0, is_stored=True)

    def _model(self, code: str, task: str, *, version: str) -> Champion:
        key = (code, task, version)
        if key not in self._models:
            named = Version(zone=code, task=task, id=version)
            self._models[key] = Champion.load(self._registry, named, zone=self._zone_of(code))
        return self._models[key]

    def _network(self, version: str) -> Classic:
        if callable(self._classic):
            self._classic = self._classic()
        if self._classic is None or self._classic.version != version:
            raise ModelNotFound(
                f"the classic network {version} is not here",
                remedy="replay with the gridcast that carries it",
                version=version,
            )
        return self._classic


def strayed(store: Store) -> Iterator[str]:
    """A sentence for every issued forecast that the store has otherwise than the log, or no longer.

    Raises:
        DataError: an answer is not legible.
        StoreError: the database cannot be read.
    """
    from gridcast.store.journal import RETAINED, Journal
    from gridcast.store.tables import FORECAST_KEY

    journal = Journal(store)
    let_go = max((each.at for each in journal.entries(kind=RETAINED)), default=None)
    for entry in journal.entries(kind="issued"):
        if entry.answer is None:
            continue
        noted = forecast_of(entry.answer)
        issued: datetime = noted["issue_time"][0]
        there = store.forecasts(
            entry.zone,
            start=noted["valid_time"][0],
            end=noted["valid_time"][-1] + noted["resolution"][0],
            issued_from=issued,
            issued_until=issued + timedelta(microseconds=1),
            model_version=entry.model_version,
        )
        if let_go is not None and noted["valid_time"][0] < let_go:
            noted = noted.join(there, on=FORECAST_KEY, how="semi", maintain_order="left")
        if not there.sort("valid_time", "quantile").equals(noted):
            yield (
                f"the stored forecast of {entry.zone} issued {issued:%Y-%m-%d %H:%M}Z by {entry.model_version} is not "
                f"the one of entry {entry.number}"
            )


def with_actuals(
    entries: Iterable[Logged], *, store: Store, at: datetime, zone_of: Callable[[str], BiddingZone] = zone
) -> pl.DataFrame:
    """The forecasts of entries, and beside each value the load that was measured, as the store knows it at an instant.

    Entries without a zone's forecast in them (the classic network's, and those that retention emptied) are passed over.

    Args:
        entries: of the journal.
        store: where the load is.
        at: as of when (UTC).
        zone_of: the zone of a code, for who has zones of their own.

    Returns:
        ``number``, ``kind`` and ``made_at`` of the entry, the columns of `contracts.FORECAST`, and ``actual`` (MW, null
        where it is not known).

    Raises:
        DataError: an answer is not legible.
    """
    tables = [
        forecast_of(each.answer).select(
            pl.lit(each.number).alias("number"),
            pl.lit(each.kind).alias("kind"),
            pl.lit(each.at).cast(UTC_TIME).alias("made_at"),
            pl.all(),
        )
        for each in entries
        if each.answer is not None and each.kind in FORECASTS
    ]
    empty = pl.DataFrame(schema={"number": pl.Int64, "kind": pl.String, "made_at": UTC_TIME, **FORECAST})
    table = pl.concat([empty, *(each.cast(empty.schema) for each in tables)])
    parts = [
        part.with_columns(actual=_load(store, part, where=zone_of(str(code)), at=at))
        for (code, _), part in table.partition_by("zone", "resolution", as_dict=True).items()
    ]
    return pl.concat([empty.with_columns(actual=pl.lit(0.0)), *parts]).sort("number", "valid_time", "quantile")


def _load(store: Store, table: pl.DataFrame, *, where: BiddingZone, at: datetime) -> pl.Series:
    """The load of the interval of each row, all of one resolution, null where none is known."""
    resolution = table["resolution"].to_numpy()[0]
    starts = table["valid_time"]
    rows = store.observations(
        [where.code, *where.members],
        variables=[LOAD],
        start=starts.min(),  # type: ignore[arg-type]
        end=starts.max() + table["resolution"][0],
    )
    known = snapshot(rows, zone=where, issue_times=np.array([instant(at)]), resolution=resolution)
    times = starts.dt.replace_time_zone(None).to_numpy()
    return pl.Series("actual", known.known(LOAD, times, issue_time=instant(at))).fill_nan(None)


def _document(entry: Logged, *, has: str) -> dict[str, Any]:
    """The request as JSON with that key."""
    try:
        document = json.loads(entry.request or b"")
    except ValueError as error:
        raise _illegible(entry) from error
    if not isinstance(document, dict) or has not in document:
        raise _illegible(entry)
    return document


def _illegible(entry: Logged) -> DataError:
    return DataError(
        f"the request of entry {entry.number} of the journal is not one that this gridcast writes",
        remedy="replay it with the gridcast that wrote it",
        where="journal",
    )
