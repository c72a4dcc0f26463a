"""A server that says on each connection what a script tells it, byte by byte, and a clock that only sleeping moves."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType

from gridcast.sources.wire import Limit, Permit

FREE = Permit("grid", (Limit(100_000, 60, 50_000),))
"""A permit that nobody has to wait for."""


@dataclass(frozen=True)
class Send:
    """Sends bytes, or what a function makes of the request."""

    data: bytes | Callable[[bytes], bytes]


@dataclass(frozen=True)
class Flood:
    """Sends a piece so many times."""

    piece: bytes
    times: int


@dataclass(frozen=True)
class Drip:
    """Sends a byte, waits, sends the next."""

    data: bytes
    every: float


@dataclass(frozen=True)
class Delay:
    """Says nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Ends the connection with a reset."""


Action = Send | Flood | Drip | Delay | Reset


def answer(status: int = 200, body: bytes = b"", *, reason: str = "Said", length: int | None = None, **headers: str):
    """A whole HTTP answer; ``content_type="text/xml"`` is a header."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Scripted:
    """Plays one script a connection, the last one for ever after; a context manager.

    ``requests`` are the requests as they came, head and body. A script that ends closes the connection.
    """

    def __init__(self, *scripts: Sequence[Action] | Action | bytes) -> None:
        self._scripts = [_actions(script) for script in scripts]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Scripted:
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # Closing a listener does not wake who waits on it; shutting it down does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection, len(self._threads)))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection:
            connection.settimeout(10)
            try:
                request = _request(connection)
                self.requests.append(request)
                for action in self._scripts[min(number, len(self._scripts) - 1)]:
                    self._play(action, connection, request)
                if connection.fileno() >= 0:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
            except OSError:
                return

    def _play(self, action: Action, connection: socket.socket, request: bytes) -> None:
        match action:
            case Send(bytes() as data):
                connection.sendall(data)
            case Send(data):
                connection.sendall(data(request))
            case Flood(piece, times):
                for _ in range(times):
                    connection.sendall(piece)
            case Drip(data, every):
                for number in range(len(data)):
                    connection.sendall(data[number : number + 1])
                    if self._stop.wait(every):
                        return
            case Delay(seconds):
                self._stop.wait(seconds)
            case Reset():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()


def _actions(script: Sequence[Action] | Action | bytes) -> list[Action]:
    if isinstance(script, bytes):
        return [Send(script)]
    return list(script) if isinstance(script, Sequence) else [script]


def _request(connection: socket.socket) -> bytes:
    """One request as it came, its body by Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


class VirtualClock:
    """A clock that stands still but for sleeping, which costs nothing; ``slept`` is what was slept."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=max(0.0, seconds))
            self.slept.append(seconds)

    def set(self, now: datetime) -> None:
        """As an administrator would."""
        with self._lock:
            self._now = now
