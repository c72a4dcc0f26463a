"""The database of vintages and forecasts: SQLite in a file or in memory, or PostgreSQL, by the same code.

Rows are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import StaticPool

from gridcast.contracts import FORECAST, OBSERVATIONS, Snapshot, observations
from gridcast.errors import ImplausibleValue, MissingExtra, StoreError
from gridcast.market.days import Times, instant
from gridcast.market.zones import BiddingZone
from gridcast.store.snapshots import snapshot
from gridcast.store.tables import (
    FORECAST_KEY,
    ISSUED,
    METADATA,
    OBSERVATION,
    SCHEMA,
    ArrowTable,
    aware,
    insert_rows,
    microseconds,
    select_rows,
    table_of,
    within,
)
from gridcast.store.vintages import looks, news

SCHEMA_VERSION = 1

SCHEMA_LOCK = 86_400
"""PostgreSQL's number of the lock under which the tables are made, once."""

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another one."""


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
        self._url = _parsed(url)
        self._engine = _engine(self._url)
        try:
            with self._guard("cannot be opened"), self._engine.begin() as connection:
                self._prepare(connection)
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of every connection."""
        self._engine.dispose()

    def put(self, frame: ArrowTable) -> int:
        """Adds Observations; all of them or, at an error, none.

        Putting the same rows twice is putting them once. A value that comes back changed is a new vintage, published
        when it was fetched if its publication had only been assumed: `gridcast.store.vintages.news` has the rule.

        Args:
            frame: a table with the columns of `contracts.OBSERVATIONS`.

        Returns:
            The number of new rows.

        Raises:
            DataError: the frame is no valid Observations table.
            StoreError: a stored row would have to be overwritten, or the database failed.
        """
        rows = observations(table_of(frame, OBSERVATIONS, where="observations to store"))
        added = 0
        with self._writing() as connection:
            for look in looks(rows):
                fresh = news(look, known=_stored_vintages(connection, look))
                insert_rows(connection, fresh, into=OBSERVATION)
                added += fresh.height
        return added

    def observations(
        self,
        zone_codes: Sequence[str],
        *,
        variables: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pl.DataFrame:
        """Every stored vintage of these zones, as Observations.

        Args:
            zone_codes: of the zones.
            variables: only these.
            start: only intervals that start at this instant or later.
            end: only intervals that start before this instant.
        """
        wanted = [OBSERVATION.c.zone.in_(zone_codes), *within(OBSERVATION.c.valid_time, start=start, end=end)]
        if variables is not None:
            wanted.append(OBSERVATION.c.variable.in_(variables))
        with self._reading() as connection:
            return select_rows(connection, *wanted, table=OBSERVATION, schema=OBSERVATIONS)

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
            made_at: leave out what was fetched later than this instant.
            start: leave out intervals that start before this instant.
            resolution: of the model; read from the load unless given.
        """
        if isinstance(issue_times, datetime):
            issue_times = np.array([instant(aware(issue_times))])
        frame = self.observations([zone.code, *zone.members], start=start)
        return snapshot(frame, zone=zone, issue_times=issue_times, made_at=made_at, resolution=resolution)

    def put_forecast(self, frame: ArrowTable) -> int:
        """Adds issued forecasts; all of them or, at an error, none. Putting the same rows twice is putting them once.

        Args:
            frame: a table with the columns of `contracts.FORECAST`.

        Returns:
            The number of new rows.

        Raises:
            DataError: a column is absent, of another type, has a null or a value that is not finite.
            StoreError: a stored forecast would have to be overwritten, or the database failed.
        """
        rows = table_of(frame, FORECAST, where="forecasts to store").unique()
        wild = rows.filter(~pl.col("value").is_finite())
        if wild.height:
            raise ImplausibleValue(
                f"forecasts to store: {wild.height} values are not finite, first at {wild['valid_time'][0]}",
                remedy="mend the model that made them",
                where="forecasts to store",
                rows=wild.head(5).rows(),
            )
        span = [pl.col("issue_time").min().alias("start"), pl.col("issue_time").max().alias("end")]
        with self._writing() as connection:
            column = ISSUED.c
            parts = [
                select_rows(
                    connection,
                    column.zone == group["zone"],
                    column.model_version == group["model_version"],
                    column.issue_time.between(microseconds(group["start"]), microseconds(group["end"])),
                    table=ISSUED,
                    schema=FORECAST,
                )
                for group in rows.group_by("zone", "model_version").agg(span).iter_rows(named=True)
            ]
            known = pl.concat([table_of(FORECAST.to_frame(), FORECAST, where="forecasts"), *parts])
            fresh = rows.join(known, on=list(FORECAST), how="anti")
            other = fresh.join(known, on=FORECAST_KEY, how="semi")
            twice = fresh.filter(pl.struct(FORECAST_KEY).is_duplicated())
            if other.height or twice.height:
                first = pl.concat([other, twice]).row(0, named=True)
                raise StoreError(
                    f"the forecast of {first['zone']} issued {first['issue_time']} by {first['model_version']} has "
                    f"two different rows for {first['valid_time']}, quantile {first['quantile']}",
                    remedy="give a new model a new version; an issued forecast is never overwritten",
                )
            insert_rows(connection, fresh, into=ISSUED)
        return fresh.height

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
        with self._reading() as connection:
            return select_rows(connection, *wanted, table=ISSUED, schema=FORECAST)

    def zones(self) -> list[str]:
        """The codes of the zones it has observations of, sorted."""
        with self._reading() as connection:
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

    def _prepare(self, connection: Connection) -> None:
        """Makes the tables where there are none, and refuses those of somebody else or of a later time."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        there = sa.inspect(connection)
        for table in METADATA.sorted_tables:
            if there.has_table(table.name):
                found = {column["name"] for column in there.get_columns(table.name)}
                if found != set(table.columns.keys()):
                    raise self._foreign(f"has a table {table.name} with other columns")
        if not there.has_table(SCHEMA.name) and there.has_table(OBSERVATION.name):
            raise self._foreign(f"has a table {OBSERVATION.name} but no {SCHEMA.name}")
        for table in METADATA.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        # Written out because SQLAlchemy has a class of its own for each database, and both understand this.
        connection.execute(
            sa.text("INSERT INTO gridcast_schema (id, version, writes) VALUES (1, :version, 0) ON CONFLICT DO NOTHING"),
            {"version": SCHEMA_VERSION},
        )
        version = connection.scalar(sa.select(SCHEMA.c.version))
        if version != SCHEMA_VERSION:
            raise self._foreign(f"has schema version {version}, this gridcast knows {SCHEMA_VERSION}")

    def _foreign(self, what: str) -> StoreError:
        return StoreError(
            f"the database {_shown(self._url)} {what}",
            remedy="upgrade gridcast, or name another database",
        )

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """Turns a database error into ours, without the URL's secrets and without the chain that may show them."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(
                f"the database {_shown(self._url)} {what} ({_without_secrets(reason, self._url)})",
                remedy="check that it is there, undamaged and yours to write, and its address in GRIDCAST_DATABASE_URL",
            ) from None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._guard("cannot be read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that begins by taking its turn: the counter's lock makes reading before writing safe."""
        with self._guard("cannot be written"), self._engine.begin() as connection:
            connection.execute(sa.update(SCHEMA).values(writes=SCHEMA.c.writes + 1))
            yield connection


def _parsed(url: str) -> URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(
            "the database address is not a URL",
            remedy="write sqlite:///path or postgresql+psycopg://user@host/database",
        ) from None


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    memory = sqlite and url.database in (None, "", ":memory:")
    try:
        if memory:
            made = sa.create_engine(
                url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
            )
        else:
            made = sa.create_engine(url, hide_parameters=True, pool_pre_ping=not sqlite)
    except sa.exc.ArgumentError:
        raise StoreError(
            f"no database of the kind {url.drivername} is known", remedy="use sqlite or postgresql+psycopg"
        ) from None
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the driver {error.name} of {url.drivername} is not installed",
            remedy="pip install 'gridcast[postgres]' and write postgresql+psycopg://",
            extra="postgres",
        ) from None
    if sqlite:

        @sa.event.listens_for(made, "connect")
        def settle(connection: object, _record: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]
            for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables or SCHEMA.name in tables:  # the journal of somebody else's database is not ours to change
                cursor.execute("PRAGMA journal_mode=WAL")
            cursor.close()

    return made


def _shown(url: URL) -> str:
    """The URL without user, password and options."""
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _without_secrets(text: str, url: URL) -> str:
    options = [value for values in url.query.values() for value in ([values] if isinstance(values, str) else values)]
    for secret in filter(None, (url.password, *options)):
        text = text.replace(str(secret), "***")
    return text


def _stored_vintages(connection: Connection, look: pl.DataFrame) -> pl.DataFrame:
    """Every stored vintage between the first and last interval of each zone, variable and source in ``look``."""
    column = OBSERVATION.c
    spans = look.group_by("zone", "variable", "source").agg(
        start=pl.col("valid_time").min(), end=pl.col("valid_time").max()
    )
    parts = [
        select_rows(
            connection,
            column.zone == span["zone"],
            column.variable == span["variable"],
            column.source == span["source"],
            column.valid_time.between(microseconds(span["start"]), microseconds(span["end"])),
            table=OBSERVATION,
            schema=OBSERVATIONS,
        )
        for span in spans.iter_rows(named=True)
    ]
    return pl.concat(parts)
