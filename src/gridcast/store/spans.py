"""From when to when a store has something, read off its keys: no row is brought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gridcast.store.tables import ISSUED, OBSERVATION

if TYPE_CHECKING:
    from gridcast.store.database import Store

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Span:
    """The first and last interval, the last one's end, and when forecasts of them were issued last (UTC).

    ``source`` is that of the last observation.
    """

    first: datetime
    last: datetime
    end: datetime
    issued: datetime | None = None
    source: str = ""


def observed(store: Store, zone: str, *, variable: str) -> Span | None:
    """The outermost intervals that a store has of a variable, quarantined ones among them; None without any."""
    own = (OBSERVATION.c.zone == zone, OBSERVATION.c.variable == variable)
    edges = [
        sa.select(side(OBSERVATION.c.valid_time)).where(*own).scalar_subquery() for side in (sa.func.min, sa.func.max)
    ]
    with store.database.reading() as connection:
        first, last = connection.execute(sa.select(*edges)).one()
        if first is None:
            return None
        last_one = (*own, OBSERVATION.c.valid_time == last)
        ends = sa.select(sa.func.max(OBSERVATION.c.resolution), sa.func.max(OBSERVATION.c.source)).where(*last_one)
        step, source = connection.execute(ends).one()
    return Span(_at(first), _at(last), _at(last) + timedelta(seconds=step or 0), source=source or "")


def forecast(store: Store, zone: str) -> Span | None:
    """The first interval of the forecast that was issued first, and the last of the one issued last; None without."""
    column = ISSUED.c
    issues = [
        sa.select(side(column.issue_time)).where(column.zone == zone).scalar_subquery()
        for side in (sa.func.min, sa.func.max)
    ]
    with store.database.reading() as connection:
        oldest, newest = connection.execute(sa.select(*issues)).one()
        if newest is None:
            return None
        first, last, step = (
            connection.scalar(sa.select(side(value)).where(column.zone == zone, column.issue_time == issue))
            for side, value, issue in (
                (sa.func.min, column.valid_time, oldest),
                (sa.func.max, column.valid_time, newest),
                (sa.func.max, column.resolution, newest),
            )
        )
    if first is None or last is None or step is None:
        return None
    return Span(_at(first), _at(last), _at(last) + timedelta(seconds=step), _at(newest))


def _at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
