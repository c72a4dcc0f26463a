"""Files that are on the disk, not on their way there, and one writer at a time."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

PATIENCE_S = 60.0
"""How long a writer waits for another one."""


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep every other thread and process that asks for this lock out.

    The lock is SQLite's, which every platform has and which goes when its process does.

    Raises:
        sqlite3.Error: the file cannot be made, or another writer took longer than `PATIENCE_S`.
    """
    with closing(sqlite3.connect(lock, timeout=PATIENCE_S, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def files(folder: Path) -> set[str]:
    """What is in a folder, at any depth, by relative POSIX path; a link counts as a file."""
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_symlink() or not each.is_dir()}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(path: Path) -> None:
    """Bring a file, or a folder and all in it, to the disk."""
    if path.is_dir():
        for each in path.iterdir():
            settle(each)
        settle_names(path)
    else:
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def settle_names(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that a rename lasts."""
    if os.name == "posix":  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
