"""The store: append-only vintages, issued forecasts and what was set aside, in SQLite or PostgreSQL by the same code.

Rows are only ever added; `Store.retain` alone removes some, by age.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import polars as pl
import sqlalchemy as sa

from gridcast.contracts import DOUBTFUL, FORECAST, OBSERVATIONS, Snapshot, observations
from gridcast.market.days import Times, instant
from gridcast.market.zones import BiddingZone
from gridcast.store import adding, checks, issuing, lags, quarantine, replays, retention
from gridcast.store.connection import Database, write_number
from gridcast.store.issuing import Noted
from gridcast.store.retention import Retained
from gridcast.store.schema import prepare
from gridcast.store.snapshots import snapshot
from gridcast.store.tables import (
    ISSUED,
    OBSERVATION,
    SET_ASIDE,
    ArrowTable,
    aware,
    microseconds,
    select_rows,
    table_of,
    within,
)
from gridcast.store.vintages import Added, Look

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Coverage:
    """What the store has of one variable in one zone.

    ``first`` and ``last`` are the starts of the outermost intervals (UTC), or None where there is nothing; ``count`` is
    the number of intervals; ``missing`` are the gaps between them, each from its start to its end (exclusive).
    """

    first: datetime | None
    last: datetime | None
    count: int
    missing: tuple[tuple[datetime, datetime], ...]


class Store:
    """Append-only vintages and issued forecasts in a database.

    A store in memory (``sqlite://``) lives as long as this object and serves one thread at a time; the others serve any
    number of threads and processes, whose writes queue up.

    Args:
        url: ``sqlite:///path``, ``sqlite://`` or ``postgresql+psycopg://user:password@host/database``.

    Raises:
        StoreError: the database cannot be reached, or holds something else. No message shows the URL's password.
        MissingExtra: the database's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        try:
            prepare(self.database)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of every connection."""
        self.database.engine.dispose()

    def put(self, frame: ArrowTable, *, looks: Sequence[Look] = ()) -> Added:
        """Adds Observations; all of them or, at an error, none.

        Putting the same rows twice is putting them once. An assumed publication that was seen to be wrong is replaced
        by what was seen: a value that comes back changed is a new vintage, one that came early or late was published
        when it was fetched. `gridcast.store.vintages.news` has the rule. Put fetches in the order they were made, one
        by one or together: a look says nothing about rows that were put before it, and of those put with it the last
        before a row was fetched is the one that brought it.

        Args:
            frame: a table with the columns of `contracts.OBSERVATIONS`.
            looks: what the source was asked for to bring these rows, or in vain. They are kept, and tell late values
                from now on.

        Raises:
            DataError: the frame is no valid Observations table, or a look ends before it starts.
            StoreError: a row contradicts a stored one that was fetched at the same instant, or the database failed.
        """
        rows = observations(table_of(frame, OBSERVATIONS, where="observations to store"))
        asked = adding.looks_table(looks)
        with self.database.writing() as connection:
            added = adding.add(connection, rows, looks=asked)
            quarantine.come_again(connection, rows)
            return added

    def last_write(self) -> int:
        """The number of the last write: what is put later has a higher one, whenever it was fetched."""
        with self.database.reading() as connection:
            return write_number(connection)

    def seal(self, made_at: datetime) -> datetime:
        """Says that a forecast is being made now: what is put from here on was not known to it.

        Returns:
            ``made_at``, or a microsecond or more later where another forecast sealed that instant and knew other data.
            Whatever `observations` and `as_of` find ``made_at`` what is returned, they will find again, even if rows
            that were fetched earlier arrive later.
        """
        with self.database.writing() as connection:
            return replays.seal(connection, made_at)

    def observations(
        self,
        zone_codes: Sequence[str],
        *,
        variables: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        made_at: datetime | None = None,
        last_write: int | None = None,
    ) -> pl.DataFrame:
        """Every stored vintage of these zones, as Observations, but for values that are in `quarantine`.

        Args:
            zone_codes: of the zones.
            variables: only these.
            start: only intervals that start at this instant or later.
            end: only intervals that start before this instant.
            made_at: only what was known when a forecast was made: fetched by then, and before its `seal` if it has one;
                without what was in quarantine at that time.
            last_write: only what was there after this one, see `last_write`.
        """
        narrowed = replays.Narrowed(zone_codes, variables, start, end)
        with self.database.reading() as connection:
            return replays.usable(connection, narrowed, made_at=made_at, last_write=last_write)

    def as_of(
        self,
        zone: BiddingZone,
        issue_times: datetime | Times,
        *,
        made_at: datetime | None = None,
        start: datetime | None = None,
        resolution: np.timedelta64 | None = None,
    ) -> Snapshot:
        """What was public in ``zone`` at one issue time, or at each of many: the `snapshot` of what is stored.

        Args:
            zone: whose snapshot.
            issue_times: an instant, or ``datetime64[us]`` UTC of shape [O].
            made_at: leave out what was not known when a forecast was made, see `observations`.
            start: leave out intervals that start before this instant.
            resolution: of the model; read from the load unless given.
        """
        if isinstance(issue_times, datetime):
            issue_times = np.array([instant(aware(issue_times))])
        frame = self.observations([zone.code, *zone.members], start=start, made_at=made_at)
        return snapshot(frame, zone=zone, issue_times=issue_times, made_at=made_at, resolution=resolution)

    def put_forecast(
        self, frame: ArrowTable, *, made_at: datetime, last_write: int | None = None, noted: Noted | None = None
    ) -> int:
        """Adds issued forecasts; all of them or, at an error, none. Putting the same rows twice is putting them once.

        Args:
            frame: a table with the columns of `contracts.FORECAST`.
            made_at: when they were made, which seals that instant (see `seal`): they are stored with the one that it
                returns. A row that comes again keeps its first.
            last_write: the last write that they know of; unless given, the one before this.
            noted: makes the entry that the journal gets with new rows, in the same transaction, from the instant that
                they are stored with.

        Returns:
            The number of new rows.

        Raises:
            DataError: a column is absent, of another type, has a null or a value that is not finite.
            StoreError: a stored forecast would have to be overwritten, or the database failed.
        """
        rows = table_of(frame, FORECAST, where="forecasts to store").unique()
        issuing.refuse_wild(rows)
        with self.database.writing() as connection:
            return issuing.add(connection, rows, made_at=made_at, last_write=last_write, noted=noted)

    def forecasts(
        self,
        zone: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        issued_from: datetime | None = None,
        issued_until: datetime | None = None,
        model_version: str | None = None,
    ) -> pl.DataFrame:
        """Issued forecasts, in the columns of `contracts.FORECAST`, by issue time, valid time and quantile.

        Args:
            zone: its code.
            start: only intervals that start at this instant or later.
            end: only intervals that start before this instant.
            issued_from: only those issued at this instant or later.
            issued_until: only those issued before this instant.
            model_version: only those of this model.
        """
        wanted = [
            ISSUED.c.zone == zone,
            *within(ISSUED.c.valid_time, start=start, end=end),
            *within(ISSUED.c.issue_time, start=issued_from, end=issued_until),
        ]
        if model_version is not None:
            wanted.append(ISSUED.c.model_version == model_version)
        with self.database.reading() as connection:
            return select_rows(connection, *wanted, table=ISSUED, schema=FORECAST)

    def made_at(self, zone: str, *, issue_time: datetime, model_version: str) -> datetime | None:
        """When that forecast was made; None where there is none, or schema version 1 stored it and did not say.

        Where rows of one forecast came at several times it is the last of them.
        """
        column = ISSUED.c
        latest = sa.select(sa.func.max(column.made_at)).where(
            column.zone == zone, column.issue_time == microseconds(issue_time), column.model_version == model_version
        )
        with self.database.reading() as connection:
            found = connection.scalar(latest)
        return None if found is None else EPOCH + timedelta(microseconds=found)

    def zones(self) -> list[str]:
        """The codes of the zones it has observations of, sorted."""
        with self.database.reading() as connection:
            return sorted(connection.scalars(sa.select(OBSERVATION.c.zone).distinct()))

    def coverage(self, zone: str, variable: str) -> Coverage:
        """The first and last interval of a variable, how many there are, and the gaps between them."""
        rows = self.observations([zone], variables=[variable])
        if rows.is_empty():
            return Coverage(None, None, 0, ())
        end = pl.col("valid_time") + pl.col("resolution")
        intervals = rows.group_by("valid_time").agg(end=end.max()).sort("valid_time")
        gaps = intervals.select(gap_start=pl.col("end").cum_max(), gap_end=pl.col("valid_time").shift(-1)).filter(
            pl.col("gap_start") < pl.col("gap_end")
        )
        starts = intervals["valid_time"]
        return Coverage(starts[0], starts[-1], intervals.height, tuple(gaps.iter_rows()))

    def lags(self, zone: str, *, variable: str, source: str) -> pl.DataFrame:
        """How long after each interval's end its first value came, where that was seen or reported, not assumed.

        A value that came after a look that failed, or after nobody had looked for a while, tells nothing of its source.

        Returns:
            ``valid_time``, ``end`` of the interval, ``published_at`` of its first vintage, ``lag`` between the two.
        """
        with self.database.reading() as connection:
            return lags.lags(connection, zone, variable=variable, source=source)

    def quarantine(self, frame: ArrowTable) -> int:
        """Sets rows aside that may not be used; all of them or, at an error, none.

        What is stored of the same value is used by nothing either from then on, but by replays of forecasts made
        before; another value of the interval stands. It ends with a `release`, or where `put` brings the value again
        and it was fetched later: nothing was said against it then.

        A row whose value, verdict (the reason up to its colon) and publication are in quarantine already is not added
        again, whenever it was fetched, and neither is one that a `release` let go. What a fetch brought and may not be
        used is set aside before its other rows are put.

        Args:
            frame: a table with the columns of `contracts.DOUBTFUL`; a value may be infinite or not a number.

        Returns:
            The number of new rows.

        Raises:
            DataError: a column is absent, of another type or has a null.
            StoreError: the database failed.
        """
        rows = table_of(frame, DOUBTFUL, where="rows to set aside")
        with self.database.writing() as connection:
            return quarantine.add(connection, rows)

    def acquitted(self, frame: ArrowTable) -> pl.DataFrame:
        """Which of the rows to `quarantine` a `release` let go before: it passes over them, and they may be used."""
        rows = table_of(frame, DOUBTFUL, where="rows to set aside")
        with self.database.reading() as connection:
            return quarantine.acquitted(connection, rows)

    def quarantined(
        self,
        zone: str,
        *,
        variable: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pl.DataFrame:
        """What is in quarantine of a zone, in the columns of `contracts.DOUBTFUL`; narrowed as `observations` are."""
        wanted = _chosen(zone, variable=variable, start=start, end=end)
        with self.database.reading() as connection:
            return quarantine.rows(connection, wanted)

    def release(
        self,
        zone: str,
        *,
        at: datetime,
        variable: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Added:
        """Lets rows out of quarantine into the observations, as if they had come unsuspected, but known only now.

        They become public when they would have, and count as fetched ``at``: snapshots from now on have them, the
        replay of a forecast made before does not. What was stored before it was withdrawn is used again.

        Args:
            zone: its code.
            at: the instant of the release (UTC).
            variable: only this one.
            start: only intervals that start at this instant or later.
            end: only intervals that start before this instant.

        Raises:
            ImplausibleValue: a value is not finite.
            StoreError: another value has the place, or two of the rows contradict each other; nothing was released.
        """
        wanted = _chosen(zone, variable=variable, start=start, end=end)
        with self.database.writing() as connection:
            return quarantine.release(connection, wanted, at=aware(at))

    def retain(self, *, since: datetime, dry_run: bool = False) -> Retained:
        """Removes every interval that ends at ``since`` or before, with all its vintages: the only deletion there is.

        Forecasts and rows in quarantine go by the same rule, looks by the end of what they asked for. Snapshots and
        replays of that time are gone with them. The database keeps the space and fills it again.

        Args:
            since: what ends later stays.
            dry_run: only count.
        """
        with self.database.writing() as connection:
            return retention.retain(connection, since=microseconds(since), dry_run=dry_run)

    def check(self) -> list[str]:
        """What is wrong with the database and what it holds, a sentence each; empty where all is well."""
        return checks.findings(self.database)


def _chosen(
    zone: str, *, variable: str | None, start: datetime | None, end: datetime | None
) -> list[sa.ColumnElement[bool]]:
    variables = None if variable is None else [variable]
    return replays.Narrowed([zone], variables, start, end).of(SET_ASIDE)
