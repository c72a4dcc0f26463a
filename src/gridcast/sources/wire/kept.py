"""Raw answers on disk, so that a parser's mend can be replayed and nothing that a provider said is lost.

::

    bodies/ab/abcd....gz                the body, once, under its SHA-256
    index/entsoe/2026-11-22.jsonl       a line an answer: when, what was asked, status, headers, SHA-256

A body is written aside, synced and renamed; then its line is appended. So a line's body is always there, and a crash
leaves at worst a body without a line or half a line at a file's end.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gridcast.errors import ConfigError, StoreError
from gridcast.sources.fetched import Answer

HEADERS = frozenset(
    (
        "age",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "retry-after",
    )
)
"""Those that say something about the answer; the others (cookies among them) are not kept."""

SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.-]*")
_log = logging.getLogger(__name__)


class Kept:
    """Answers in a folder. Any number of processes may keep, read and prune at the same time.

    Args:
        folder: made where it is missing.

    Raises:
        StoreError: the folder cannot be read or written (from every method).
    """

    def __init__(self, folder: Path) -> None:
        self._bodies = folder / "bodies"
        self._index = folder / "index"

    def keep(self, answer: Answer, *, accepted: bool = True) -> None:
        """Writes it down; when this returns, it outlives a crash of the machine.

        Args:
            answer: it may hold no secret.
            accepted: whether it is data; errors are kept for a diagnosis, and `answers` leaves them out.

        Raises:
            ConfigError: the body is not the one its hash names, or the source has a name that no folder may have.
        """
        if hashlib.sha256(answer.body).hexdigest() != answer.sha256:
            raise ConfigError(f"an answer of {answer.source} has another hash than its own", remedy="compute it anew")
        folder, fetched_at = _folder(answer.source), answer.fetched_at.astimezone(UTC)
        record = {
            "source": answer.source,
            "url": answer.url,
            "params": dict(answer.params),
            "status": answer.status,
            "headers": {name: value for name, value in answer.headers.items() if name in HEADERS},
            "fetched_at": fetched_at.isoformat(),
            "sha256": answer.sha256,
            "accepted": accepted,
        }
        with _on_disk(self._bodies.parent):
            self._put(answer)
            _append(self._index / folder / f"{fetched_at:%Y-%m-%d}.jsonl", record)
            if not self._body(answer.sha256).exists():
                self._put(answer)  # a prune at this very moment took it for unused

    def answers(self, source: str) -> Iterator[Answer]:
        """The accepted answers of a source, oldest first, each body checked against its hash.

        A line that was cut by a crash is left out, and the log says so.

        Raises:
            StoreError: a body is missing or damaged; `verify` names them all.
        """
        for day in self._days(source):
            records, damaged = _records(day)
            for what in damaged:
                _log.warning("%s: left out", what)
            for record in sorted(records, key=lambda record: str(record["fetched_at"])):
                if record["accepted"]:
                    fault = _fault(self._body(record["sha256"]), record["sha256"])
                    if fault and not day.exists():
                        break  # pruned meanwhile
                    yield self._answer(record, fault=fault)

    def verify(self) -> list[str]:
        """What is damaged or missing, one sentence each; empty if all is well."""
        found: list[str] = []
        checked: dict[str, str] = {}
        with _on_disk(self._bodies.parent):
            for day in self._days():
                records, damaged = _records(day)
                found += damaged
                for record in records:
                    sha256 = record["sha256"]
                    if sha256 not in checked:
                        checked[sha256] = _fault(self._body(sha256), sha256)
                    if checked[sha256]:
                        found.append(f"{checked[sha256]}: the answer of {record['source']} at {record['fetched_at']}")
            for body in sorted(self._bodies.glob("*/*.gz")):
                sha256 = body.name.removesuffix(".gz")
                if sha256 not in checked and (fault := _fault(body, sha256)):
                    found.append(fault)
        return found

    def older(self, before: datetime) -> int:
        """How many answers `prune` would forget."""
        return sum(len(_records(day)[0]) for day in self._ended(before))

    def prune(self, before: datetime) -> int:
        """Forgets the answers of every whole UTC day that had ended by ``before``; how many there were."""
        number, gone = self.older(before), ".gone"
        with _on_disk(self._bodies.parent):
            for set_aside in self._bodies.glob(f"*/*{gone}"):
                _rename(set_aside, set_aside.with_suffix(""))
            for day in self._ended(before):
                day.unlink(missing_ok=True)
            used = self._used()
            for body in self._bodies.glob("*/*.gz"):
                if body.name.removesuffix(".gz") not in used:
                    _rename(body, body.with_name(body.name + gone))
            # Whoever kept such a body meanwhile has either written its line by now, or will see that the body is gone.
            used = self._used()
            for set_aside in self._bodies.glob(f"*/*{gone}"):
                if set_aside.name.removesuffix(f".gz{gone}") in used:
                    _rename(set_aside, set_aside.with_suffix(""))
                else:
                    set_aside.unlink(missing_ok=True)
            for unfinished in self._bodies.glob("*/*.new"):
                with contextlib.suppress(FileNotFoundError):
                    if unfinished.stat().st_mtime < before.timestamp():
                        unfinished.unlink()
        return number

    def _put(self, answer: Answer) -> None:
        body = self._body(answer.sha256)
        if body.exists() and not _fault(body, answer.sha256):
            return
        body.parent.mkdir(parents=True, exist_ok=True)
        new = body.with_name(f"{answer.sha256}.{os.getpid()}-{secrets.token_hex(4)}.new")
        with new.open("xb") as file:
            file.write(gzip.compress(answer.body, compresslevel=6, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        new.replace(body)
        _sync(body.parent)
        _sync(self._bodies)

    def _answer(self, record: dict[str, Any], *, fault: str) -> Answer:
        if fault:
            raise StoreError(
                f"{fault}: the answer of {record['source']} at {record['fetched_at']}",
                remedy="restore the file from a backup, or fetch that period again",
                sha256=record["sha256"],
            )
        return Answer(
            source=record["source"],
            url=record["url"],
            params=record["params"],
            status=record["status"],
            headers=record["headers"],
            body=gzip.decompress(self._body(record["sha256"]).read_bytes()),
            fetched_at=datetime.fromisoformat(record["fetched_at"]),
            sha256=record["sha256"],
        )

    def _body(self, sha256: str) -> Path:
        return self._bodies / sha256[:2] / f"{sha256}.gz"

    def _days(self, source: str | None = None) -> list[Path]:
        return sorted(self._index.glob(f"{'*' if source is None else _folder(source)}/*.jsonl"))

    def _ended(self, before: datetime) -> list[Path]:
        return [day for day in self._days() if day.stem < f"{before.astimezone(UTC):%Y-%m-%d}"]

    def _used(self) -> set[str]:
        return {record["sha256"] for day in self._days() for record in _records(day)[0]}


def _append(path: Path, record: dict[str, Any]) -> None:
    """One write at the file's end. It begins with a line end, so that a line cut by a crash before stays alone."""
    new = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"\n{json.dumps(record | {'seal': _seal(record)}, sort_keys=True)}\n".encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    try:
        if os.write(handle, line) != len(line):
            raise StoreError(f"{path} took only a part of a line", remedy="make room on the disk and run it again")
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync(path.parent)
    if new:
        _sync(path.parent.parent)


def _records(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole lines of an index file, and a sentence on each that is not."""
    records, damaged = [], []
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        record = None
        with contextlib.suppress(ValueError):
            record = json.loads(line)
        if isinstance(record, dict) and record.pop("seal", None) == _seal(record):
            records.append(record)
        else:
            damaged.append(f"line {number} of {path} is cut or damaged")
    return records, damaged


def _seal(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _fault(path: Path, sha256: str) -> str:
    """What is wrong with a body; empty if nothing is."""
    try:
        body = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        return f"{path} is missing"
    except (EOFError, OSError, zlib.error):
        return f"{path} is damaged"
    return "" if hashlib.sha256(body).hexdigest() == sha256 else f"{path} is damaged"


def _folder(source: str) -> str:
    if not SOURCE.fullmatch(source):
        raise ConfigError(f"{source!r} is no name of a source", remedy="use letters, digits and : _ - . within it")
    return quote(source, safe="")


def _rename(old: Path, new: Path) -> None:
    """Renames a file, if another process that prunes has not done so before."""
    with contextlib.suppress(FileNotFoundError):
        old.replace(new)


def _sync(folder: Path) -> None:
    """Makes the folder's entries outlive a crash, where the system can do that (Windows cannot open a folder)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    failure = ""
    try:
        yield
    except OSError as error:
        failure = error.strerror or str(error)
    if failure:
        raise StoreError(
            f"the raw answers in {folder} cannot be read or written ({failure})",
            remedy="see that the folder is there, has room and is ours to write",
        )
