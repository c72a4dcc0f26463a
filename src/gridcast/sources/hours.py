"""Whole UTC hours, in which providers are asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)


def hour_of(when: datetime) -> datetime:
    """The UTC hour that the instant lies in, named by its start."""
    return when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The whole UTC hours that a period touches, from the start of the first to the end of the last.

    >>> start, end = datetime(2026, 3, 10, 23, 20, tzinfo=UTC), datetime(2026, 3, 11, 1, 10, tzinfo=UTC)
    >>> [f"{when:%H:%M}" for when in whole_hours(start, end)]
    ['23:00', '02:00']
    >>> whole_hours(start, hour_of(end))[1] == hour_of(end)
    True
    """
    return hour_of(start), hour_of(end + HOUR - timedelta(microseconds=1))
