"""The forecast log: every computed forecast with its inputs, numbered and chained, so that no change of it goes unseen.

An edit, a deletion (of the last entries too) or a swap is found by `Journal.verify`, which names the places. Who notes
the `Head` elsewhere from time to time finds even a journal that was written anew from some entry on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.errors import DataError, StoreError
from gridcast.store import chain
from gridcast.store.canonical import canonical
from gridcast.store.chain import BODIES, RETAINED, Head, Receipt, Row
from gridcast.store.tables import JOURNAL, microseconds, within

if TYPE_CHECKING:
    from gridcast.store.connection import Database
    from gridcast.store.database import Store

__all__ = ["RETAINED", "Entry", "Head", "Journal", "Kind", "Logged", "Receipt", "canonical", "row_of"]

Kind = Literal["issued", "on_demand", "classic"]
"""A forecast issued from the store, one of posted history, one of the classic network's features."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """A computed forecast to note.

    Attributes:
        kind: how it came about.
        at: when it was made (UTC).
        zone: its code, empty where there is none.
        model_version: what made it.
        request: all that is needed to make it again, or where the store has it; the journal compresses it.
        answer: the forecast, as the bytes that a replay will make again; compressed too.
    """

    kind: Kind
    at: datetime
    zone: str
    model_version: str
    request: bytes
    answer: bytes


@dataclass(frozen=True)
class Logged:
    """An entry as it stands in the journal; ``request`` and ``answer`` are None where retention let go of them.

    ``kind`` is one of `Kind`, or `RETAINED`.
    """

    number: int
    kind: str
    at: datetime
    zone: str
    model_version: str
    request: bytes | None
    answer: bytes | None
    hash: str


class Journal:
    """The forecast log in a store's database, for any number of threads and processes.

    Args:
        store: whose database.
    """

    def __init__(self, store: Store) -> None:
        self._database: Database = store.database

    def append(self, entry: Entry) -> Receipt:
        """Adds an entry, which is durable when this returns; see `append_all` for the errors."""
        return self.append_all([entry])[0]

    def append_all(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Adds entries in one transaction: all of them, durable when this returns, or at an error none.

        Raises:
            BadTime: ``at`` has no time zone.
            DataError: a body is not bytes.
            StoreError: the database failed, or the journal has no head.
        """
        rows = [row_of(entry) for entry in entries]
        with self._adding() as connection:
            return chain.add(connection, rows)

    def head(self) -> Head:
        """The journal's head, to be noted elsewhere.

        Raises:
            StoreError: it has none, or the database cannot be read.
        """
        with self._database.reading() as connection:
            return chain.head_of(connection)

    def entries(
        self,
        *,
        kind: str | None = None,
        zone: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        numbers: Sequence[int] | None = None,
    ) -> Iterator[Logged]:
        """The entries in the order of their numbers, read bit by bit.

        Args:
            kind: only these.
            zone: only those of this zone.
            start: only those made at this instant or later.
            end: only those made before this instant.
            numbers: only these.

        Raises:
            StoreError: the database cannot be read, or a body is damaged.
        """
        wanted = within(JOURNAL.c.at, start=start, end=end)
        wanted += [JOURNAL.c[name] == value for name, value in (("kind", kind), ("zone", zone)) if value is not None]
        if numbers is not None:
            wanted.append(JOURNAL.c.number.in_(set(numbers)))
        after = None
        while True:
            with self._database.reading() as connection:
                rows = chain.page(connection, *wanted, after=after)
            if not rows:
                return
            yield from map(_logged, rows)
            after = rows[-1]["number"]

    def replayable(self) -> list[int]:
        """The numbers of the entries of forecasts that have their request and answer."""
        column = JOURNAL.c
        whole = (column.kind != RETAINED) & column.request.is_not(None)
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(column.number).where(whole).order_by(column.number)))

    def retain(self, *, before: datetime, dry_run: bool = False) -> int:
        """Lets go of the requests and answers of entries made before an instant; their digests and hashes stay.

        That is an entry itself, of kind `RETAINED`: a body that is missing for another reason is found.

        Args:
            before: what was made at this instant or later keeps its bodies.
            dry_run: only count.

        Returns:
            How many entries lose their bodies.
        """
        column = JOURNAL.c
        old = (column.at < microseconds(before)) & column.request.is_not(None) & (column.kind != RETAINED)
        with self._adding() as connection:
            chain.locked_head(connection)
            count = connection.execute(sa.select(sa.func.count()).select_from(JOURNAL).where(old)).scalar_one()
            if count and not dry_run:
                connection.execute(sa.update(JOURNAL).where(old).values(dict.fromkeys(BODIES)))
                chain.add(connection, [_row(RETAINED, before, request=str(count).encode())])
        return count

    def verify(self, *, noted: Head | None = None) -> list[str]:
        """What is wrong with the journal, a sentence a place; empty where it is whole. Changes nothing.

        Args:
            noted: its head as it was noted earlier, elsewhere: the journal must still hold it.
        """
        try:
            return list(chain.faults(self._database, noted=noted))
        except StoreError as error:
            return [error.what]

    @contextmanager
    def _adding(self) -> Iterator[Connection]:
        with self._database.guard("cannot be written"), self._database.engine.begin() as connection:
            yield connection


def row_of(entry: Entry) -> Row:
    """An entry as a row for `chain.add`.

    Raises:
        BadTime: ``at`` has no time zone.
        DataError: a body is not bytes.
    """
    return _row(
        entry.kind,
        entry.at,
        zone=entry.zone,
        model_version=entry.model_version,
        request=entry.request,
        answer=entry.answer,
    )


def _row(
    kind: str, at: datetime, *, zone: str = "", model_version: str = "", request: bytes, answer: bytes = b""
) -> Row:
    row: Row = {"kind": kind, "at": microseconds(at), "zone": zone, "model_version": model_version}
    for name, body in zip(BODIES, (request, answer), strict=True):
        if not isinstance(body, bytes):
            raise DataError(
                f"the {name} of an entry is {type(body).__name__}", remedy="give its bytes", where="journal"
            )
        row |= {f"{name}_sha256": hashlib.sha256(body).hexdigest(), name: chain.packed(body)}
    return row


def _logged(row: Row) -> Logged:
    bodies = {name: None if row[name] is None else chain.unpacked(row[name]) for name in BODIES}
    damaged = [name for name in BODIES if bodies[name] is None and row[name] is not None]
    if damaged:
        raise StoreError(
            f"the {damaged[0]} of entry {row['number']} of the journal is damaged",
            remedy="verify the journal, and restore a backup",
        )
    return Logged(
        number=row["number"],
        kind=row["kind"],
        at=_EPOCH + timedelta(microseconds=row["at"]),
        zone=row["zone"],
        model_version=row["model_version"],
        request=bodies["request"],
        answer=bodies["answer"],
        hash=row["hash"],
    )
