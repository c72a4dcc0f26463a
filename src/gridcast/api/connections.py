"""Connections that do not wait for ever: uvicorn's HTTP protocol, with a deadline wherever a client may be slow.

By itself uvicorn keeps a connection for as long as bytes trickle in, and for as long as an answer is not read.
"""

from __future__ import annotations

import asyncio
import heapq
import secrets
from dataclasses import dataclass
from typing import Any, cast

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gridcast.api import limits, logs, problems
from gridcast.api.problems import Problem

_CUT_SHARE = 64
"""Where there is no room for a connection, one in so many makes room."""


@dataclass(frozen=True)
class Patience:
    """How long, and for how much, a server waits.

    Attributes:
        head_seconds: from the first byte of a request, or from connecting, to the end of its headers.
        body_seconds: for the body, where no route reads it; one that is read has the guard's time.
        idle_seconds: between two requests. A client that keeps a connection for less finds it open.
        read_seconds: for the client to begin to take an answer that is ready.
        slowest_read: bytes a second that it must take from then on, on average.
        linger_seconds: for a client to notice that we stopped reading, before the connection is cut.
        linger_bytes: that are thrown away meanwhile.
        stop_seconds: for everything in flight to end when the server stops.
        quiet_seconds: a connection stays open without a request when the server stops.
        max_head: bytes of a request's line and headers.
        max_connections: open at once in each worker; then those longest without a request make room.
    """

    head_seconds: float = 5.0
    body_seconds: float = 7.0
    idle_seconds: float = 8.0
    read_seconds: float = 6.0
    slowest_read: float = 32 << 10
    linger_seconds: float = 2.0
    linger_bytes: int = 4 << 20
    stop_seconds: float = 10.0
    quiet_seconds: float = 1.0
    max_head: int = 32 << 10
    max_connections: int = 4096


@dataclass
class _Unread:
    """An answer that waits for the client to take it: since when, how much of it is left, how much was taken."""

    since: float
    left: int
    taken: int = 0


class Connection(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
    """A client's connection; `overdue` is asked a few times a second."""

    def __init__(self, *args: Any, patience: Patience, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._patience = patience
        self._head_since: float | None = None
        self._head_bytes = 0
        self._in_head = True
        self._body_due = False
        self._body_since = 0.0
        self._unread: _Unread | None = None
        self._deaf = False
        self._cut_at: float | None = None
        self._left_to_drop = patience.linger_bytes
        self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; where there is no room, the one longest without a request goes."""
        super().connection_made(cast(Any, _Gentle(cast(asyncio.Transport, transport), connection=self)))
        self._head_since = self.loop.time()
        if len(self.connections) > self._patience.max_connections:
            self._make_room()

    def _make_room(self) -> None:
        """Cut some of those that wait longest for a request: looking for them for each that comes would take long."""
        others = cast("set[Connection]", self.connections) - {self}
        waiting = [(each.head_since, id(each), each) for each in others if each.head_since is not None]
        for _, _, each in heapq.nsmallest(-(-len(others) // _CUT_SHARE), waiting):
            each.cut()
        if not waiting:
            self._refuse(limits.overloaded(1))

    @property
    def head_since(self) -> float | None:
        """Since when we wait for the rest of a request's head; nothing while we do not."""
        return self._head_since if self._answered() else None

    @property
    def sending(self) -> bool:
        """Whether the client is in the middle of a request."""
        return (self._in_head and self._head_bytes > 0) or self._body_due

    def data_received(self, data: bytes) -> None:
        """Take in what came; after a refusal it is thrown away."""
        if self._deaf:
            self._left_to_drop -= len(data)
            if self._left_to_drop < 0:
                self.cut()
            return
        if self._head_since is None and not self._body_due:
            self._head_since = self.loop.time()
            self._in_head = True
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self._patience.max_head:
                most = self._patience.max_head
                self._refuse(
                    Problem(
                        f"the headers have more than {most} bytes",
                        remedy=f"send at most {most}",
                        status=431,
                        title="Headers too large",
                        most=most,
                    )
                )

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what stands behind the body is none, whatever it is called (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._head_since, self._head_bytes, self._in_head = None, 0, False
        self._body_due, self._body_since = True, self.loop.time()
        super().on_headers_complete()
        if self._stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """A request's body is whole."""
        self._body_due = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no HTTP."""
        self._refuse(
            Problem("this is no HTTP/1.1 request", remedy="check the client", status=400, title="Malformed request")
        )

    def shutdown(self) -> None:
        """The server stops: what was asked is answered, and a request that is on its way may still come."""
        self._stopping = True
        if not self._answered():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self._patience.quiet_seconds, self._close_if_quiet)

    def overdue(self, now: float) -> None:
        """Close or cut the connection where the client has kept us waiting for too long."""
        patience = self._patience
        left = self.transport.get_write_buffer_size()
        if left == 0:
            self._unread = None
        elif self._unread is None:
            self._unread = _Unread(since=now, left=left)
        else:
            self._unread.taken += max(0, self._unread.left - left)
            self._unread.left = left
            seconds = now - self._unread.since
            if seconds > patience.read_seconds and self._unread.taken < seconds * patience.slowest_read:
                self.cut()
                return
        if self._cut_at is not None:
            if now > self._cut_at:
                self.cut()
        elif self._body_due and now - self._body_since > patience.body_seconds:
            self.cut()
        elif self.head_since is not None and now - self.head_since > patience.head_seconds:
            self._refuse(
                Problem(
                    f"the request's head did not arrive within {patience.head_seconds:g} s",
                    remedy="send it at once",
                    status=408,
                    title="Request timeout",
                )
            )

    def cut(self) -> None:
        """Drop the connection with everything that was still to be sent."""
        self.transport.abort()

    def linger(self) -> None:
        """Throw away what still comes, for a short while: closing at once could destroy the answer on its way."""
        self._deaf = True
        self._cut_at = self.loop.time() + self._patience.linger_seconds
        self.flow.resume_reading()

    def _answered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its type says
        return cycle is None or cycle.response_complete

    def _close_if_quiet(self) -> None:
        if self._answered() and not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, refusal: Problem) -> None:
        """Say no, and close; an answer that is being made goes first, and instead."""
        if self.transport.is_closing():
            return
        if not self._answered():
            if self.cycle.response_started or not self._body_due:
                self.cycle.keep_alive = False
                self._deaf = True
                return
            # The rest of its body cannot come any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        token = problems.request_id.set(secrets.token_hex(8))
        self.transport.write(_wire(refusal.answer()))
        client = self.client[0] if self.client else "unknown"
        what = {"event": "refused", "request_id": problems.request_id.get(), "status": refusal.status}
        logs.LOGGER.warning(what | {"client": client, "why": refusal.title})
        problems.request_id.reset(token)
        self.transport.close()


class _Gentle:
    """A transport whose `close` waits for a client that is still sending to notice."""

    def __init__(self, transport: asyncio.Transport, *, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self._closing = False
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's own
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        if self._connection.sending:
            self._transport.write_eof()
            self._connection.linger()
        else:
            self._transport.close()


def _wire(answer: Response) -> bytes:
    """An answer as it goes over the wire, after which the connection closes."""
    headers = [*answer.raw_headers, (b"connection", b"close"), (b"cache-control", b"no-store")]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[answer.status_code] + lines + b"\r\n" + bytes(answer.body)
