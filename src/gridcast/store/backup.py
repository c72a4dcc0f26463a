"""Backup and restore: the whole store in one file that shows every flipped bit, from any database into any other.

The file is a zip of Parquet tables and a manifest. Its comment is the SHA-256 of all bytes before it, so that damage
is found wherever it is; the manifest has a `digest` of each table's rows, so that what was restored is known to be what
was saved, whatever database it came from. Both stand for completeness, not for authenticity.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.errors import OutputExists, StoreError
from gridcast.store.chain import EMPTY, Head, head_of
from gridcast.store.connection import write_number
from gridcast.store.digest import digest
from gridcast.store.schema import SCHEMA_VERSION
from gridcast.store.tables import (
    ISSUED,
    JOURNAL,
    JOURNAL_HEAD,
    LOOKED,
    OBSERVATION,
    SCHEMA,
    SEAL,
    SET_ASIDE,
    insert_rows,
    plain_rows,
)

if TYPE_CHECKING:
    from gridcast.store.database import Store

LAYOUT = 1
"""Version of the file's own layout."""

PARTS: Mapping[sa.Table, tuple[sa.ColumnElement[Any], ...]] = {
    OBSERVATION: (OBSERVATION.c.zone, OBSERVATION.c.variable),
    ISSUED: (ISSUED.c.zone, ISSUED.c.model_version),
    SET_ASIDE: (SET_ASIDE.c.zone,),
    LOOKED: (LOOKED.c.zone,),
    SEAL: (),
    JOURNAL: (JOURNAL.c.number // 10_000,),
}
"""The tables, each with what it is cut by into parts that fit into memory."""

_MANIFEST = "manifest.json"
_OLD = (1980, 1, 1, 0, 0, 0)
_NO_HASH = b"0" * 64
_PIECE = 1 << 20
_KINDS: Mapping[type, pl.DataType] = {sa.String: pl.String(), sa.Double: pl.Float64(), sa.LargeBinary: pl.Binary()}


@dataclass(frozen=True)
class Contents:
    """How many rows a table or a part of it has, and the SHA-256 of them."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: the tables' ``schema_version``, how many ``writes`` made them, and each table's contents.

    ``journal`` is the head of the forecast log.
    """

    schema_version: int
    writes: int
    tables: Mapping[str, Contents]
    journal: Head = EMPTY

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def backup(store: Store, path: Path, *, replace: bool = False) -> Manifest:
    """Writes the store as it is at one instant into a new file; the file is there when it is complete, or not at all.

    Raises:
        OutputExists: the file is there already, and is not to be replaced.
        StoreError: the database cannot be read, or the file cannot be written.
    """
    if path.exists() and not replace:
        raise OutputExists(f"{path} is there already", remedy="name another file", path=str(path))
    with _files(path, "cannot be written"), _new_file(path) as part:
        with store.database.reading(consistent=True) as connection, zipfile.ZipFile(part, "w") as archive:
            files: dict[str, Contents] = {}
            for table, number, frame in _parts(connection):
                name = f"{table}/{number:06d}.parquet"
                files[name] = Contents(frame.height, digest(frame))
                body = BytesIO()
                frame.write_parquet(body, compression="zstd")
                archive.writestr(zipfile.ZipInfo(name, _OLD), body.getbuffer())
            manifest = Manifest(SCHEMA_VERSION, write_number(connection), _tables(files), head_of(connection))
            facts = {"layout": LAYOUT} | asdict(manifest) | {"files": {name: asdict(files[name]) for name in files}}
            archive.writestr(zipfile.ZipInfo(_MANIFEST, _OLD), json.dumps(facts, indent=1))
            archive.comment = _NO_HASH
        found = _hash_of_body(part).encode()
        with part.open("r+b") as file:
            file.seek(-len(_NO_HASH), os.SEEK_END)
            file.write(found)
            os.fsync(file.fileno())
    return manifest


def verify(path: Path) -> Manifest:
    """What a backup holds, after a look at each of its bytes and rows.

    Raises:
        StoreError: it cannot be read, is damaged or no backup.
    """
    with _opened(path) as (manifest, frames):
        for _ in frames:
            pass
    return manifest


def restore(store: Store, path: Path) -> Manifest:
    """Fills an empty store from a backup, reads everything back and compares; all of it or, at an error, nothing.

    Raises:
        StoreError: the store is not empty, the backup is damaged or of a later gridcast, or the database failed.
    """
    with _opened(path) as (manifest, frames), store.database.writing() as connection:
        for table in PARTS:
            if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                raise StoreError(
                    f"the database {store.database} has rows in {table.name}",
                    remedy="restore into a new database, and then take it in place of this one",
                )
        for table, frame in frames:
            insert_rows(connection, frame, into=table)
        connection.execute(sa.update(SCHEMA).values(writes=manifest.writes))
        connection.execute(sa.update(JOURNAL_HEAD).values(asdict(manifest.journal)))
        back = {
            f"{name}/{number:06d}": Contents(rows.height, digest(rows)) for name, number, rows in _parts(connection)
        }
        if _tables(back) != manifest.tables:
            raise StoreError(
                f"what the database {store.database} took from {path} does not come back the same",
                remedy="check the database's disk; nothing was kept",
            )
    return manifest


def _parts(connection: Connection) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """Every table's name, and its rows part by part in a fixed order, numbered from 1."""
    for table, cut in PARTS.items():
        heads = sorted(tuple(row) for row in connection.execute(sa.select(*cut).distinct())) if cut else [()]
        for number, head in enumerate(heads, start=1):
            wanted = [column == value for column, value in zip(cut, head, strict=True)]
            yield table.name, number, _plain_rows(connection, table, wanted)


def _plain_rows(connection: Connection, table: sa.Table, wanted: list[sa.ColumnElement[bool]]) -> pl.DataFrame:
    """The rows as they stand in the table: instants as whole numbers; without numbers that the database gave out."""
    columns = [column for column in table.columns if column.name != "id"]
    schema = pl.Schema({column.name: _KINDS.get(type(column.type), pl.Int64()) for column in columns})
    question = sa.select(*columns).where(*wanted).order_by(*table.primary_key.columns)
    return plain_rows(connection, question, schema=schema)


def _tables(files: Mapping[str, Contents]) -> dict[str, Contents]:
    """Each table's contents from those of its parts."""
    tables = {}
    for table in PARTS:
        own = [part for name, part in files.items() if name.startswith(f"{table.name}/")]
        names = "".join(part.sha256 for part in own)
        tables[table.name] = Contents(sum(part.rows for part in own), hashlib.sha256(names.encode()).hexdigest())
    return tables


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Manifest, Iterator[tuple[sa.Table, pl.DataFrame]]]]:
    """A backup's manifest and its tables' parts, each compared with what the manifest says."""
    with _files(path, "cannot be read"):
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            if file.tell() <= len(_NO_HASH):
                raise _damaged(path)
            file.seek(-len(_NO_HASH), os.SEEK_END)
            stated = file.read()
        if _hash_of_body(path).encode() != stated:
            raise _damaged(path)
        with path.open("rb") as file:
            try:
                archive = zipfile.ZipFile(file)
                facts = json.loads(archive.read(_MANIFEST))
                layout, version = facts["layout"], facts["schema_version"]
                files = {name: Contents(**part) for name, part in facts["files"].items()}
                # An older gridcast had fewer tables: of the others it says nothing, and they are empty.
                tables = _tables({}) | {name: Contents(**part) for name, part in facts["tables"].items()}
                journal = {"journal": Head(**facts["journal"])} if "journal" in facts else {}
                manifest = Manifest(version, facts["writes"], tables, **journal)
            except (zipfile.BadZipFile, AttributeError, LookupError, TypeError, ValueError) as error:
                raise _damaged(path) from error
            if layout != LAYOUT or version > SCHEMA_VERSION:
                raise StoreError(f"the backup {path} is of a later gridcast", remedy="upgrade gridcast", path=str(path))
            if tables != _tables(files):
                raise _damaged(path)
            yield manifest, _frames(archive, files, path=path)


def _frames(
    archive: zipfile.ZipFile, files: Mapping[str, Contents], *, path: Path
) -> Iterator[tuple[sa.Table, pl.DataFrame]]:
    by_name = {table.name: table for table in PARTS}
    for name, stated in files.items():
        try:
            table, frame = by_name[name.partition("/")[0]], pl.read_parquet(archive.read(name))
        except (zipfile.BadZipFile, LookupError, pl.exceptions.PolarsError) as error:
            raise _damaged(path) from error
        if Contents(frame.height, digest(frame)) != stated:
            raise _damaged(path)
        yield table, frame


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its name once the block has ended well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _files(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the backup {path} {what} ({error.strerror or error})",
            remedy="check the folder, its rights and the space on the disk",
            path=str(path),
        ) from error


def _hash_of_body(path: Path) -> str:
    """SHA-256 of everything but the hash at the end of the file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - len(_NO_HASH)
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            found.update(piece)
            left -= len(piece)
    return found.hexdigest()


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path} is no backup, or not the one that was written: its bytes are not those it was sealed with",
        remedy="take another copy of it; of this one nothing was used",
        path=str(path),
    )
