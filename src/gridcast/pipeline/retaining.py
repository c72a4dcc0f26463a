"""Retention: what is older than a day leaves the store and the folder of raw answers together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridcast.settings import Settings
    from gridcast.store.database import Store


@dataclass(frozen=True)
class Left:
    """How many rows and raw answers left, or would leave; ``entries`` of the journal stay, without their bodies."""

    observations: int
    forecasts: int
    quarantined: int
    looks: int
    answers: int
    entries: int
    deleted: bool


def retain(store: Store, *, settings: Settings, since: datetime, delete: bool) -> Left:
    """Let go of intervals that end, raw answers fetched and journal entries made before ``since``.

    Without ``delete``, count them. Of an entry only request and answer go, so that the journal still proves itself.
    """
    from gridcast.sources.wire import Kept
    from gridcast.store.journal import Journal

    rows = store.retain(since=since, dry_run=not delete)
    kept = [Kept(folder) for folder in settings.raw_dirs]
    answers = sum(each.prune(since) if delete else each.older(since) for each in kept)
    entries = Journal(store).retain(before=since, dry_run=not delete)
    return Left(rows.observations, rows.forecasts, rows.quarantined, rows.looks, answers, entries, deleted=delete)
