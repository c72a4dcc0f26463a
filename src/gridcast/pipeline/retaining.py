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
    """How many rows and raw answers left, or would leave."""

    observations: int
    forecasts: int
    quarantined: int
    looks: int
    answers: int
    deleted: bool


def retain(store: Store, *, settings: Settings, since: datetime, delete: bool) -> Left:
    """Let go of intervals that end and of raw answers fetched before ``since``; without ``delete``, count them."""
    from gridcast.sources.wire import Kept

    rows = store.retain(since=since, dry_run=not delete)
    kept = [Kept(folder) for folder in settings.raw_dirs]
    answers = sum(each.prune(since) if delete else each.older(since) for each in kept)
    return Left(rows.observations, rows.forecasts, rows.quarantined, rows.looks, answers, deleted=delete)
