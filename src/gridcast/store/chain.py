"""How entries of the forecast log hang together: each one's hash covers the hash before it and all its own columns.

A head record holds the count and the last hash; whoever adds holds its lock, so that writers queue up.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.errors import StoreError
from gridcast.store.connection import Database
from gridcast.store.tables import JOURNAL, JOURNAL_BEGINS, JOURNAL_HEAD

Row = dict[str, Any]

RETAINED = "retained"
"""The kind of the entry by which the journal notes that it let go of the bodies of entries before its ``at``."""

BODIES = ("request", "answer")
HASHED = ("previous", "number", "kind", "at", "zone", "model_version", "request_sha256", "answer_sha256")
_COLUMNS = (*HASHED, "hash", *BODIES)
_PAGE = 500
_FAST = 1


@dataclass(frozen=True)
class Receipt:
    """Where an entry stands in the journal, for good: its number, from 1 on, and its hash."""

    number: int
    hash: str


@dataclass(frozen=True)
class Head:
    """How many entries the journal has, and the hash of the last (zeros without any): something to note elsewhere."""

    count: int
    hash: str


EMPTY = Head(0, JOURNAL_BEGINS)
"""The head of a journal without entries."""


def hash_of(row: Mapping[str, object]) -> str:
    """SHA-256 of an entry's hashed columns as one line of JSON.

    >>> first = dict.fromkeys(HASHED, "") | {"previous": JOURNAL_BEGINS, "number": 1, "at": 0}
    >>> hash_of(first)[:16]
    '36ac0695093bc960'
    """
    line = json.dumps([row[name] for name in HASHED], separators=(",", ":"), default=repr)
    return hashlib.sha256(line.encode()).hexdigest()


def packed(body: bytes) -> bytes:
    """A request or answer as it is stored."""
    return zlib.compress(body, _FAST)


def unpacked(stored: object) -> bytes | None:
    """What was packed, None where the bytes are not from `packed`."""
    try:
        return zlib.decompress(stored)  # type: ignore[arg-type]
    except (zlib.error, TypeError):
        return None


def head_of(connection: Connection) -> Head:
    """The head.

    Raises:
        StoreError: there is none.
    """
    return _one(connection.execute(sa.select(JOURNAL_HEAD.c.count, JOURNAL_HEAD.c.hash)).all())


def locked_head(connection: Connection) -> Head:
    """The head, nobody else's until the transaction ends; to be asked for before anything is read.

    Raises:
        StoreError: there is none.
    """
    column = JOURNAL_HEAD.c
    lock = sa.update(JOURNAL_HEAD).values(count=column.count).returning(column.count, column.hash)
    return _one(connection.execute(lock).all())


def _one(heads: Sequence[Sequence[Any]]) -> Head:
    if len(heads) != 1:
        raise StoreError(
            f"the journal has {len(heads)} heads, not one",
            remedy="somebody changed its tables: keep them as evidence, and restore a backup",
        )
    count, last = heads[0]
    return Head(count, last)


def add(connection: Connection, rows: Sequence[Row]) -> list[Receipt]:
    """Appends rows, which lack ``number``, ``previous`` and ``hash``, within a transaction.

    Raises:
        StoreError: the journal has no head.
    """
    head = locked_head(connection)
    complete, last = [], head.hash
    for number, row in enumerate(rows, start=head.count + 1):
        entry = row | {"number": number, "previous": last}
        last = hash_of(entry)
        complete.append(entry | {"hash": last})
    connection.execute(sa.insert(JOURNAL), complete)
    connection.execute(sa.update(JOURNAL_HEAD).values(count=head.count + len(complete), hash=last))
    return [Receipt(entry["number"], entry["hash"]) for entry in complete]


def page(connection: Connection, *wanted: sa.ColumnElement[bool], after: int | None) -> list[Row]:
    """The next few rows after a number, as they stand in the table."""
    number = JOURNAL.c.number
    limits = wanted if after is None else (*wanted, number > after)
    question = sa.select(*(JOURNAL.c[name] for name in _COLUMNS)).where(*limits).order_by(number).limit(_PAGE)
    found = connection.execute(question).cursor.fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


def faults(database: Database, *, noted: Head | None) -> Iterator[str]:
    """A sentence for every place where the journal is not as it was written."""
    column = JOURNAL.c
    with database.reading(consistent=True) as connection:
        lettings = sa.select(column.number, column.at).where(column.kind == RETAINED)
        retained = [(number, before) for number, before in connection.execute(lettings)]
        reached, last, after = 0, JOURNAL_BEGINS, None
        while rows := page(connection, after=after):
            after = rows[-1]["number"]
            for row in rows:
                number = row["number"]
                if number < 1:
                    yield f"entry {number} has no place: the first is entry 1"
                    continue
                if number > reached + 1:
                    yield _missing(reached + 1, number - 1)
                elif row["previous"] != last:
                    yield f"entry {number} does not follow entry {reached}: the hash it names is another"
                yield from _own_faults(row, retained=retained)
                if noted is not None and noted.count == number and noted.hash != row["hash"]:
                    yield f"entry {number} has another hash than the one that was noted"
                reached, last = number, row["hash"]
        yield from _at_the_end(connection, Head(reached, last), noted=noted)


def _own_faults(row: Row, *, retained: Sequence[tuple[int, int]]) -> Iterator[str]:
    number = row["number"]
    if hash_of(row) != row["hash"]:
        yield f"entry {number} is not the one that was appended: its columns do not make its hash"
    for name in BODIES:
        stored = row[name]
        if stored is None:
            if not any(number < letting and row["at"] < before for letting, before in retained):
                yield f"the {name} of entry {number} is gone, and no retention took it"
            continue
        body = unpacked(stored)
        if body is None or hashlib.sha256(body).hexdigest() != row[f"{name}_sha256"]:
            yield f"the {name} of entry {number} is not the one that was appended"


def _at_the_end(connection: Connection, found: Head, *, noted: Head | None) -> Iterator[str]:
    try:
        head = head_of(connection)
    except StoreError as error:
        yield error.what
        head = found
    if head.count > found.count:
        yield _missing(found.count + 1, head.count)
    elif head.count < found.count:
        yield f"{_entries(head.count + 1, found.count)} after the head, which says that entry {head.count} is the last"
    elif head.hash != found.hash:
        yield f"the head has another hash than entry {found.count}"
    if noted is not None and noted.count > found.count:
        yield f"{_entries(found.count + 1, noted.count)} gone, though a head of {noted.count} entries was noted"


def _missing(first: int, last: int) -> str:
    return f"{_entries(first, last)} missing"


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
