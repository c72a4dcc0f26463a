"""The poller: ask a source again and again, and keep every change with the time it was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gridcast.errors import SourceError, StoreError
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.ingesting import AHEAD, Account, ingest_live
from gridcast.sources.fetched import Clock, LiveSource
from gridcast.sources.hours import hour_of

if TYPE_CHECKING:
    from gridcast.store.database import Store

EVERY = timedelta(minutes=15)
BACK = timedelta(days=3)
"""How far back each poll looks: a value revised later than that is found by the next ordinary ingest."""


@dataclass(frozen=True)
class Poll:
    """One poll: when it began, and its account or why there is none."""

    at: datetime
    account: Account | None
    error: str


def watch(
    store: Store,
    sources: Sequence[LiveSource],
    *,
    zone: BiddingZone,
    clock: Clock,
    variables: Sequence[str] | None = None,
    every: timedelta = EVERY,
    polls: int | None = None,
    report: Callable[[Poll], None],
) -> int:
    """Poll until ``polls`` are done, or for ever; a poll that fails is reported and the next one comes in its time.

    Polls begin at whole multiples of ``every`` after the first, whatever each of them takes. A value that appears or
    changes between two polls is kept as published when it was seen, at most ``every`` late; one that appears while
    polls fail, when the next one that is answered brings it. Polls further apart than `gridcast.store.vintages.WATCHED`
    see less: between them a value that is on time by the rule is dated by it.

    Returns:
        How many polls failed.
    """
    failed = 0
    begun = clock.now()
    done = 0
    while True:
        at = clock.now()
        try:
            start, end = hour_of(at - BACK), hour_of(at + AHEAD)
            account = ingest_live(store, sources, zone=zone, start=start, end=end, clock=clock, variables=variables)
            report(Poll(at, account, ""))
        except (SourceError, StoreError) as error:
            failed += 1
            report(Poll(at, None, str(error)))
        done += 1
        if polls is not None and done >= polls:
            return failed
        now = clock.now()
        turns = (now - begun) // every + 1
        clock.sleep((begun + turns * every - now).total_seconds())
