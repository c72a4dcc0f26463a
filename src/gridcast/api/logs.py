"""One line of JSON for each request and each event, on stderr."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

LOGGER = logging.getLogger("gridcast.api")

_LONGEST = 300
_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that is done with.

    Attributes:
        request_id: as in the answer's ``X-Request-Id``.
        method: of the request.
        path: as it came, without the query.
        route: the template of the route that answered, such as ``/v1/zones/{zone}/load``; empty where there was none.
        parameters: names of the query's parameters; their values are not kept.
        status: of the answer; 499 where the client left before one began.
        seconds: from the first byte of the head, parsed, to the last of the answer, handed over.
        bytes_in: of the body, as far as it was read.
        bytes_out: of the answer's body.
        client: the key's name, or else the address.
        error: the class of an error nobody foresaw, and where it was raised; else empty.
    """

    request_id: str
    method: str
    path: str
    route: str
    parameters: tuple[str, ...]
    status: int
    seconds: float
    bytes_in: int
    bytes_out: int
    client: str
    error: str = ""


def request(seen: Seen) -> None:
    """Write a request's line: no key, no value of a query, no body."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    content: dict[str, Any] = {
        "event": "request",
        "request_id": seen.request_id,
        "method": seen.method,
        "path": seen.path[:_LONGEST],
        "status": seen.status,
        "ms": round(seen.seconds * 1e3, 2),
        "bytes_in": seen.bytes_in,
        "bytes_out": seen.bytes_out,
        "client": seen.client,
    }
    if seen.parameters:
        content["parameters"] = seen.parameters
    if seen.error:
        content["error"] = seen.error
    LOGGER.log(logging.ERROR if seen.error else logging.INFO, content)


def place(error: BaseException) -> str:
    """An error's class and where it was raised, without its words: they may repeat what a client sent.

    >>> try:
    ...     int("a secret")
    ... except ValueError as error:
    ...     print(place(error))
    ValueError at <doctest ...>:2 <module>
    """
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {where or 'no frame'}"


class Lines(logging.Formatter):
    """A record as one line of JSON; the words and values of an exception are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content: dict[str, Any] = {"time": when.replace("+00:00", "Z"), "level": record.levelname.lower()}
        if isinstance(record.msg, dict):
            content |= record.msg
        else:
            content |= {"event": "log", "logger": record.name, "message": record.getMessage()[:_LONGEST]}
        if record.exc_info and record.exc_info[1] is not None:
            content["error"] = place(record.exc_info[1])
        return json.dumps(content, default=str)


class Beside(logging.Handler):
    """Writes lines from a thread of its own, a few times a second.

    A reader that does not read must not stop the server: when ``most`` lines wait, further ones are dropped, and how
    many is written in their place.
    """

    def __init__(self, stream: TextIO, *, most: int = 10_000, every: float = 0.2) -> None:
        super().__init__()
        self._stream = stream
        self._most = most
        self._every = every
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line for the next write."""
        if len(self._waiting) >= self._most:
            self._dropped += 1
        else:
            self._waiting.append(self.format(record))

    def close(self) -> None:
        """Write what waits, for at most a second."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1)
        super().close()

    def _write(self) -> None:
        while not self._stop.wait(self._every):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if self._dropped:
            lines.append(json.dumps({"level": "warning", "event": "lines dropped", "count": self._dropped}))
            self._dropped = 0
        if lines:
            # A closed stream is no reason to stop: there is nobody left to tell.
            with suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


@contextmanager
def to(stream: TextIO, *, level: int = logging.INFO) -> Iterator[None]:
    """Send the server's records to a stream, for as long as the block takes."""
    handler = Beside(stream)
    handler.setFormatter(Lines())
    levels = {LOGGER: level, logging.getLogger("uvicorn.error"): logging.ERROR}
    before = {logger: (logger.handlers[:], logger.propagate, logger.level) for logger in levels}
    for logger, lowest in levels.items():
        logger.handlers[:], logger.propagate = [handler], False
        logger.setLevel(lowest)
    try:
        yield
    finally:
        for logger, (handlers, propagate, lowest) in before.items():
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(lowest)
        handler.close()
