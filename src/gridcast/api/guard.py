"""What stands between the server and a route: one pure ASGI layer that every request passes, in this order.

Request id; caps on path, query and headers; ``Host`` allow-list; who asks (`keys`); rate limit; the whole body, within
its cap and time; places; answer time; security headers; one line of log. A route behind it sees no request that breaks
one of these rules, and whoever sends a body slowly takes no place from others.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from gridcast.api import limits, logs, problems
from gridcast.api.keys import CALLER, Caller, Keys, KeysFile, Scope
from gridcast.api.limits import Buckets, Slots
from gridcast.api.problems import Problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer; a route may set one of them itself."""


@dataclass(frozen=True)
class Options:
    """The rules that a server keeps.

    Attributes:
        allowed_hosts: names (without a port) that ``Host`` may have; ``*.example.org`` stands for every name below,
            ``*`` for any.
        keys: the keys that the server knows.
        open_reads: everybody may read and compute (the scopes ``read`` and ``forecast``); ``operate`` needs a key
            always.
        max_body: bytes of a body.
        max_bodies: bytes of all bodies that are held at once in each worker.
        max_path: bytes of a path.
        max_query: bytes of a query.
        max_headers: bytes of all headers together.
        body_seconds: for the whole body to arrive.
        answer_seconds: for the whole answer to be made.
        rate: requests a minute, by key or else by address, in each worker; 0 for no limit.
        burst: requests at once; as many as a minute's by default.
        concurrency: requests at once in each worker.
        rooms: places by path: a request for which its path has none is refused before the app hears of it.
        unlimited: paths that are neither counted nor shed: a supervisor must reach them most when all is full.
        observe: called with every request when it is done, for metrics.
    """

    allowed_hosts: tuple[str, ...] = LOOPBACK
    keys: Keys | KeysFile = field(default_factory=Keys)
    open_reads: bool = False
    max_body: int = 1 << 20
    max_bodies: int = 64 << 20
    max_path: int = 1024
    max_query: int = 2048
    max_headers: int = 16 << 10
    body_seconds: float = 5.0
    answer_seconds: float = 30.0
    rate: float = 1200.0
    burst: float | None = None
    concurrency: int = 1024
    rooms: Mapping[str, Slots] = field(default_factory=dict)
    unlimited: frozenset[str] = frozenset({"/health", "/ready", "/metrics"})
    observe: Callable[[logs.Seen], None] | None = None


def guarded(app: App, options: Options) -> App:
    """The app behind the guard."""
    return _Guard(app, options)


class _Guard:
    """The layer itself; one for each worker process."""

    def __init__(self, app: App, options: Options) -> None:
        self._app = app
        self._options = options
        self._buckets = Buckets(rate=options.rate, burst=options.burst)
        self._slots = Slots(options.concurrency)
        self._bodies = Slots(options.max_bodies)
        self._hosts = _Hosts(options.allowed_hosts)
        self._open = frozenset({Scope.READ, Scope.FORECAST}) if options.open_reads else frozenset()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, receive=receive, send=send, options=self._options)
        token = problems.request_id.set(exchange.request_id)
        counted = False
        try:
            exchange.check_size()
            self._hosts.check(exchange.headers)
            exchange.caller = self._options.keys.caller(exchange.headers, open_scopes=self._open)
            scope[CALLER] = exchange.caller
            limited = scope["path"] not in self._options.unlimited
            if limited:
                self._buckets.take(exchange.client_id)
            if exchange.has_body():
                await exchange.read_body(self._bodies)
            if limited:
                if (room := self._options.rooms.get(scope["path"])) is not None:
                    room.check()
                self._slots.enter()
                counted = True
            if not exchange.gone:
                await self._within_time(exchange)
        except Problem as refusal:
            exchange.refusal = refusal
        except Exception as error:
            exchange.error = logs.place(error)
        finally:
            if counted:
                self._slots.leave()
            self._bodies.leave(exchange.bytes_in)
            try:
                await exchange.finish()
            finally:
                seen = exchange.seen()
                logs.request(seen)
                if self._options.observe is not None:
                    self._options.observe(seen)
                problems.request_id.reset(token)

    async def _within_time(self, exchange: _Exchange) -> None:
        try:
            async with asyncio.timeout(self._options.answer_seconds) as deadline:
                if exchange.scope["method"] == "HEAD":  # the server leaves out the body itself
                    exchange.scope = {**exchange.scope, "method": "GET"}
                await self._app(exchange.scope, exchange.receive, exchange.pass_on)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Problem(
                f"the answer was not ready within {self._options.answer_seconds:g} s",
                remedy="ask for less, or try again later",
                status=503,
                title="Too slow",
                headers={"Retry-After": "5"},
                retry_after=5,
            ) from None


class _Hosts:
    """The names that ``Host`` may have: against pages that make a browser ask a server of its own network."""

    _HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

    def __init__(self, allowed: tuple[str, ...]) -> None:
        names = [name.lower() for name in allowed]
        self._any = "*" in names
        self._names = frozenset(names)
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))

    def check(self, headers: Headers) -> None:
        """Raise a `Problem`: 400 without one host that is one, 421 for a host that is not served here."""
        given = [value for name, value in headers if name == b"host"]
        found = self._HOST.fullmatch(given[0].decode("latin-1")) if len(given) == 1 else None
        if found is None:
            raise Problem(
                f"the request has {'no' if not given else 'more than one' if len(given) > 1 else 'a malformed'} Host",
                remedy="send one Host header, as HTTP/1.1 asks for",
                status=400,
                title="Bad host",
            )
        name = found[1].lower()
        if not (self._any or name in self._names or name.endswith(self._endings or ("\n",))):
            raise Problem(
                f"{name[:100]} is not served here",
                remedy="use the server's own name, or start it with this one among its allowed hosts",
                status=421,
                title="Misdirected request",
            )


class _Exchange:
    """One request and its answer, as they pass."""

    def __init__(self, scope: MutableMapping[str, Any], *, receive: Receive, send: Send, options: Options) -> None:
        self.scope = scope
        self.headers: Headers = scope["headers"]
        self.request_id = _request_id(self.headers)
        self.caller = Caller()
        self.refusal: Problem | None = None
        self.error = ""
        self.gone = False
        self._receive = receive
        self._send = send
        self._options = options
        self._began = time.perf_counter()
        self._body: bytes | None = None
        self._body_due = False
        self.bytes_in = 0
        self._bytes_out = 0
        self._status = 0
        self._complete = False

    @property
    def client_id(self) -> str:
        """Whom the request counts for; a key cannot be named like an address."""
        return f"key {self.caller.name}" if self.caller.name else self._address()

    def check_size(self) -> None:
        """Raise a `Problem`: 414 for a long path or query, 431 for long headers."""
        options, scope = self._options, self.scope
        for what, value, most in (
            ("path", scope.get("raw_path") or scope["path"].encode(), options.max_path),
            ("query", scope["query_string"], options.max_query),
        ):
            if len(value) > most:
                raise Problem(
                    f"the {what} has {len(value)} bytes",
                    remedy=f"send at most {most}",
                    status=414,
                    title="Address too long",
                    most=most,
                )
        size = sum(len(name) + len(value) for name, value in self.headers)
        if size > options.max_headers:
            raise Problem(
                f"the headers have {size} bytes",
                remedy=f"send at most {options.max_headers}",
                status=431,
                title="Headers too large",
                most=options.max_headers,
            )

    def has_body(self) -> bool:
        """Whether a body is announced; raises a `Problem`: 413 for one that is too long, 400 for no length."""
        for name, value in self.headers:
            if name == b"transfer-encoding":
                if value.strip().lower() != b"chunked":
                    raise Problem(
                        "the transfer encoding is another than chunked",
                        remedy="send the body as it is",
                        status=400,
                        title="Bad request",
                    )
                self._body_due = True
            elif name == b"content-length":
                if not value.isdigit():
                    raise Problem(
                        "Content-Length is no number", remedy="send the body's length", status=400, title="Bad request"
                    )
                self._body_due = self._body_due or value.strip(b"0") != b""
                if len(value) > 18 or int(value) > self._options.max_body:
                    raise self._too_large()
        return self._body_due

    async def read_body(self, room: Slots) -> None:
        """Take in the whole body; raises a `Problem`: 413 when it grows too long, 408 when it takes too long.

        Args:
            room: a place is a byte; 503 where all bodies together need more.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self._options.body_seconds):
                while self._body_due and not self.gone:
                    message = await self._receive()
                    part = message.get("body", b"")
                    room.enter(len(part))
                    body += part
                    self.bytes_in = len(body)
                    self._body_due = message.get("more_body", False)
                    self.gone = message["type"] != "http.request"
                    if self.bytes_in > self._options.max_body:
                        raise self._too_large()
        except TimeoutError:
            raise Problem(
                f"the body did not arrive within {self._options.body_seconds:g} s",
                remedy="send it at once",
                status=408,
                title="Request timeout",
            ) from None
        self._body = bytes(body)

    async def receive(self) -> Message:
        """The body that is here already, then whatever the client does."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def finish(self) -> None:
        """Say what the app did not: why the request was refused, or that the app failed."""
        if self._status or self.gone:
            return
        answer = None
        if self.refusal is not None:
            answer = self.refusal.answer()
            if self._body_due:
                # What is left of it will not be read.
                answer.headers["connection"] = "close"
        elif self.error:
            answer = problems.unexpected()
        if answer is not None:
            await answer(self.scope, self._receive, self.pass_on)

    def seen(self) -> logs.Seen:
        """What is to be said about it."""
        scope = self.scope
        names = scope["query_string"].decode("latin-1").split("&") if scope["query_string"] else []
        return logs.Seen(
            request_id=self.request_id,
            method=scope["method"],
            path=scope["path"],
            route=getattr(scope.get("route"), "path", scope["path"] if scope["path"] in self._options.rooms else ""),
            parameters=tuple(part.partition("=")[0][:40] for part in names[:20]),
            status=self._status if self._complete or not self.gone else 499,
            seconds=time.perf_counter() - self._began,
            bytes_in=self.bytes_in,
            bytes_out=self._bytes_out,
            client=self.caller.name or self._address(),
            error=self.error,
        )

    async def pass_on(self, message: Message) -> None:
        """Hand a message of the answer to the server, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            headers.append((b"x-request-id", self.request_id.encode()))
            message["headers"] = headers + [header for header in _HEADERS if header[0] not in names]
        else:
            self._bytes_out += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        await self._send(message)

    def _address(self) -> str:
        client = self.scope.get("client")
        return limits.client_of(client[0]) if client else "unknown"

    def _too_large(self) -> Problem:
        most = self._options.max_body
        return Problem(
            f"the body has more than {most} bytes",
            remedy=f"send at most {most}",
            status=413,
            title="Body too large",
            most=most,
        )


_HEADERS = [
    (name.encode(), value.encode()) for name, value in ({"cache-control": "no-store"} | SECURITY_HEADERS).items()
]
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def _request_id(headers: Headers) -> str:
    """The client's own id where it is one, so that its log and ours can be laid side by side; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)
