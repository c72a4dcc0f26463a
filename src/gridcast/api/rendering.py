"""Answers to reads, made once and kept while they are true."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api.guard import App, Receive, Send
from gridcast.api.keys import Scope, require

JSON = "application/json"

_CHOOSING = frozenset({b"accept", b"if-none-match"})
_MOST_GIVEN = 4096

_NO_CACHE = "no-cache"
"""A browser may keep an answer, but asks each time whether it still holds."""


@dataclass(frozen=True)
class Rendered:
    """An answer's bytes; ``filename`` makes it a download."""

    body: bytes
    media_type: str = JSON
    filename: str = ""

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Its headers as they go out."""
        found = {
            "content-type": self.media_type,
            "content-length": str(len(self.body)),
            "etag": f'"{hashlib.sha256(self.body).hexdigest()[:24]}"',
            "cache-control": _NO_CACHE,
            "vary": "accept",
        }
        if self.filename:
            found["content-disposition"] = f'attachment; filename="{self.filename}"'
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.items()]

    @property
    def etag(self) -> str:
        """What names these very bytes."""
        return dict(self.headers)[b"etag"].decode("latin-1")

    def answer(self, request: Request) -> Response:
        """The answer to a request; 304 where the client says that it has it."""
        known = request.headers.get("if-none-match")
        if known is not None and (
            known.strip() == "*" or self.etag in [each.strip().removeprefix("W/") for each in known.split(",")]
        ):
            response = Response(status_code=304)
            response.raw_headers = [
                pair for pair in self.headers if pair[0] not in (b"content-type", b"content-length")
            ]
            return response
        response = Response(self.body)
        response.raw_headers = list(self.headers)
        return response


@dataclass
class Kept:
    """Rendered answers by what was asked: those of one generation, the longest unused let go of first.

    What is asked for by many at once is made once. One object belongs to one event loop.

    Args:
        most_bytes: of all answers together.
        threads: in which answers are made.
    """

    most_bytes: int = 32 << 20
    threads: int = 4
    _generation: int = -1
    _size: int = 0
    _kept: OrderedDict[Hashable, Rendered] = field(default_factory=OrderedDict)
    _coming: dict[Hashable, asyncio.Future[Rendered]] = field(default_factory=dict)
    _limiter: CapacityLimiter | None = None

    async def get(self, key: Hashable, make: Callable[[], Rendered], *, generation: int) -> Rendered:
        """What is kept under a key since this generation began, or else what ``make`` makes, in a thread.

        Raises:
            GridcastError: ``make`` did; nothing is kept then.
        """
        if generation > self._generation:
            self._generation, self._size = generation, 0
            self._kept.clear()
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        coming = self._coming.get((generation, key))
        if coming is None:
            task = asyncio.ensure_future(self._make(key, make, generation=generation))
            self._coming[generation, key] = coming = task
            task.add_done_callback(lambda done: self._arrived(done, place=(generation, key)))
        return await asyncio.shield(coming)

    async def _make(self, key: Hashable, make: Callable[[], Rendered], *, generation: int) -> Rendered:
        self._limiter = self._limiter or CapacityLimiter(self.threads)
        made = await to_thread.run_sync(make, limiter=self._limiter)
        if generation == self._generation and len(made.body) <= self.most_bytes // 4:
            self._kept[key] = made
            self._size += len(made.body)
            while self._size > self.most_bytes:
                self._size -= len(self._kept.popitem(last=False)[1].body)
        return made

    def _arrived(self, done: asyncio.Future[Rendered], *, place: tuple[int, Hashable]) -> None:
        del self._coming[place]
        if not done.cancelled():
            done.exception()  # whoever waited has it; with nobody left it is nobody's


@dataclass(frozen=True)
class _Given:
    rendered: Rendered
    route: object
    tell: Callable[[], None] | None


class Again:
    """Gives again what was given to a request of the very same bytes, before any of it is parsed again.

    It stands between the guard and the routes, and knows only what a route gave it to `keep`: reads, for callers who
    may read. All is forgotten when the moment is another.

    Args:
        app: the routes.
        moment: what says that time has gone on: the state's generation, and the minute.
        most_bytes: of all answers together; then all are forgotten.
    """

    def __init__(self, app: App, *, moment: Callable[[], Hashable], most_bytes: int = 8 << 20) -> None:
        self._app = app
        self._moment = moment
        self._most_bytes = most_bytes
        self._size = 0
        self._since: Hashable = None
        self._given: dict[Hashable, _Given] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._found(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        require(scope, Scope.READ)
        scope["route"] = found.route
        if found.tell is not None:
            found.tell()
        headers = list(found.rendered.headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found.rendered.body})

    def moment(self) -> Hashable:
        """What time it is, to be asked before an answer is made."""
        return self._moment()

    def keep(
        self, request: Request, rendered: Rendered, *, moment: Hashable, tell: Callable[[], None] | None = None
    ) -> None:
        """Give this, made at a moment, again to whoever sends the same; ``tell`` is called each time."""
        now = self._moment()
        if now != moment:
            return
        if now != self._since or len(self._given) >= _MOST_GIVEN or self._size > self._most_bytes:
            self._since, self._size = now, 0
            self._given.clear()
        self._size += len(rendered.body)
        self._given[_asked(request.scope)] = _Given(rendered, request.scope.get("route"), tell)

    def _found(self, scope: MutableMapping[str, Any]) -> _Given | None:
        return self._given.get(_asked(scope)) if self._moment() == self._since else None


def _asked(scope: MutableMapping[str, Any]) -> Hashable:
    """All of a request that its answer depends on."""
    chosen = [pair for pair in scope["headers"] if pair[0] in _CHOOSING]
    return (scope["path"], scope["query_string"], *chosen)
