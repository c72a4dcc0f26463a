"""The tables of the store, and rows on their way in and out: Arrow or Polars here, plain numbers there.

Instants are stored as microseconds since 1970 (UTC), resolutions as seconds, values as double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.errors import BadTime, DataError, MissingColumns
from gridcast.market.days import instant

METADATA = sa.MetaData()

SCHEMA = sa.Table(
    "gridcast_schema",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("writes", sa.BigInteger, nullable=False),
)

OBSERVATION = sa.Table(
    "observation",
    METADATA,
    sa.Column("zone", sa.String, primary_key=True),
    sa.Column("variable", sa.String, primary_key=True),
    sa.Column("valid_time", sa.BigInteger, primary_key=True),
    sa.Column("published_at", sa.BigInteger, primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("resolution", sa.Integer, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("published_at_basis", sa.String, nullable=False),
    sa.Column("fetched_at", sa.BigInteger, nullable=False),
    sa.Column("write", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("assumed_at", sa.BigInteger),
    sqlite_with_rowid=False,
)
"""``write`` is the number of the write that added the row; ``assumed_at`` a publication that was replaced."""

ISSUED = sa.Table(
    "forecast",
    METADATA,
    sa.Column("zone", sa.String, primary_key=True),
    sa.Column("issue_time", sa.BigInteger, primary_key=True),
    sa.Column("valid_time", sa.BigInteger, primary_key=True),
    sa.Column("quantile", sa.Double, primary_key=True),
    sa.Column("model_version", sa.String, primary_key=True),
    sa.Column("resolution", sa.Integer, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("degraded", sa.String, nullable=False),
    sa.Column("made_at", sa.BigInteger),
    sqlite_with_rowid=False,
)
"""``made_at`` is unknown (null) where schema version 1 stored the forecast."""

LOOKED = sa.Table(
    "look",
    METADATA,
    sa.Column("zone", sa.String, primary_key=True),
    sa.Column("variable", sa.String, primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("end", sa.BigInteger, primary_key=True),
    sa.Column("write", sa.BigInteger, nullable=False),
    sa.Column("answered_at", sa.BigInteger),
    sqlite_with_rowid=False,
)
"""``answered_at`` is when the last row it brought was fetched, ``at`` where it brought none, null where it failed."""

SET_ASIDE = sa.Table(
    "quarantine",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("variable", sa.String, nullable=False),
    sa.Column("valid_time", sa.BigInteger, nullable=False),
    sa.Column("published_at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("resolution", sa.Integer, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("published_at_basis", sa.String, nullable=False),
    sa.Column("fetched_at", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("write", sa.BigInteger, nullable=False),
    sa.Column("released_at", sa.BigInteger),
    sa.Column("released_write", sa.BigInteger),
    sa.Column("released_by", sa.String),
    sa.Index("quarantine_place", "zone", "variable", "valid_time"),
)
"""``value`` is null where it is not a number: SQLite has no other way to say so.

A row that was released stays, so that replays know what was in quarantine when: from ``write`` until
``released_write``, from ``fetched_at`` until ``released_at``. ``released_by`` is ``person``, whose word is kept, or
``source``, which sent the value again when nothing spoke against it any more.
"""

SEAL = sa.Table(
    "seal",
    METADATA,
    sa.Column("made_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("write", sa.BigInteger, nullable=False),
)
"""The last write that a forecast made at that instant could know of."""

JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("request_sha256", sa.String, nullable=False),
    sa.Column("answer_sha256", sa.String, nullable=False),
    sa.Column("previous", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("request", sa.LargeBinary),
    sa.Column("answer", sa.LargeBinary),
    sa.Index("journal_at", "at"),
)
"""``request`` and ``answer`` are compressed, and null where retention let go of them; their digests stay."""

JOURNAL_HEAD = sa.Table(
    "journal_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
)
"""One row: how many entries the journal has, and the hash of the last. Who appends holds its lock."""

JOURNAL_BEGINS = "0" * 64
"""What stands for the hash of the entry before the first."""

FORECAST_KEY = ["zone", "issue_time", "valid_time", "quantile", "model_version"]


class ArrowTable(Protocol):
    """Any table that hands itself over as an Arrow stream: Polars, pandas, PyArrow, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def table_of(frame: ArrowTable, schema: pl.Schema, *, where: str) -> pl.DataFrame:
    """Any Arrow table as a Polars frame with exactly the columns of ``schema``; times may come in another unit."""
    rows = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
    missing = [name for name in schema if name not in rows.columns]
    if missing:
        raise MissingColumns(
            f"{where}: no column {', '.join(missing)}",
            remedy=f"the columns are {', '.join(schema)}",
            where=where,
            missing=missing,
        )
    rows = rows.select(list(schema))
    text = [name for name, kind in rows.schema.items() if kind == pl.String and schema[name] != pl.String]
    if text:
        raise DataError(
            f"{where}: {', '.join(text)} is text", remedy=f"cast {text[0]} to {schema[text[0]]}", where=where
        )
    naive = [name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone is None]
    if naive:
        raise BadTime(
            f"{where}: {', '.join(naive)} without time zone", remedy="give the instants in UTC", where=where, rows=[]
        )
    try:
        rows = rows.cast(schema)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{where}: a column has another type ({str(error).partition(chr(10))[0]})",
            remedy="cast to " + ", ".join(f"{name} {kind}" for name, kind in schema.items()),
            where=where,
        ) from error
    nulls = [name for name in schema if rows[name].null_count()]
    if nulls:
        raise DataError(f"{where}: nulls in {', '.join(nulls)}", remedy="leave such rows out", where=where)
    return rows


def aware(when: datetime) -> datetime:
    """The instant itself; `BadTime` where it has no time zone."""
    if when.tzinfo is None:
        raise BadTime(f"the instant {when} has no time zone", remedy="give it in UTC", where="store", rows=[when])
    return when


def microseconds(when: datetime) -> int:
    """Since 1970, UTC."""
    return int(instant(aware(when)).astype(np.int64))


def within(column: sa.Column[int], *, start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    """The conditions for a column of instants to lie from ``start`` to ``end`` (exclusive)."""
    limits: list[sa.ColumnElement[bool]] = []
    if start is not None:
        limits.append(column >= microseconds(start))
    if end is not None:
        limits.append(column < microseconds(end))
    return limits


def insert_rows(connection: Connection, rows: pl.DataFrame, *, into: sa.Table, unless_there: bool = False) -> None:
    """Adds rows whose columns are those of the table; ``unless_there`` skips those whose key is taken."""
    if rows.is_empty():
        return
    plain = rows.with_columns(pl.selectors.datetime().to_physical(), (pl.selectors.duration().dt.total_seconds()))
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    names, marks = ", ".join(f'"{name}"' for name in plain.columns), ", ".join([mark] * plain.width)
    statement = f"INSERT INTO {into.name} ({names}) VALUES ({marks})"  # noqa: S608
    # By the driver's own bulk call: four times as fast as rows that pass through SQLAlchemy one by one.
    connection.exec_driver_sql(statement + " ON CONFLICT DO NOTHING" * unless_there, plain.rows())


def plain_rows(connection: Connection, question: sa.Select[tuple[object, ...]], *, schema: pl.Schema) -> pl.DataFrame:
    """What a question finds, its columns in the order of ``schema``, as they stand in the table: plain numbers."""
    cursor = connection.execute(question).cursor  # past SQLAlchemy's own rows, which cost a third of the time
    found = cursor.fetchall()
    cells: list[Sequence[object]] = list(zip(*found, strict=True)) or [()] * len(schema)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=kind) for (name, kind), values in zip(schema.items(), cells, strict=True)]
    )


def select_rows(
    connection: Connection, *wanted: sa.ColumnElement[bool], table: sa.Table, schema: pl.Schema
) -> pl.DataFrame:
    """The rows of ``table`` in the order of its key, with the columns and types of ``schema``."""
    plain = {pl.Datetime: pl.Int64, pl.Duration: pl.Int64}
    question = sa.select(*(table.c[name] for name in schema)).where(*wanted)
    frame = plain_rows(
        connection, question, schema=pl.Schema({name: plain.get(type(kind), kind) for name, kind in schema.items()})
    )
    if "resolution" in schema:
        frame = frame.with_columns(pl.col("resolution") * 1_000_000)
    key = [column.name for column in table.primary_key.columns if column.name in schema]
    return frame.cast(schema).sort(key or list(schema))


def select_around(
    connection: Connection, rows: pl.DataFrame, *wanted: sa.ColumnElement[bool], table: sa.Table, schema: pl.Schema
) -> pl.DataFrame:
    """What ``table`` has between the first and last interval of each zone, variable and source in ``rows``.

    Only what is ``wanted``, where conditions are given.
    """
    column = table.c
    spans = rows.group_by("zone", "variable", "source").agg(
        start=pl.col("valid_time").min(), end=pl.col("valid_time").max()
    )
    parts = [
        select_rows(
            connection,
            *wanted,
            column.zone == span["zone"],
            column.variable == span["variable"],
            column.source == span["source"],
            column.valid_time.between(microseconds(span["start"]), microseconds(span["end"])),
            table=table,
            schema=schema,
        )
        for span in spans.iter_rows(named=True)
    ]
    return pl.concat([schema.to_frame(), *parts])
