"""The open loop: requests arrive at fixed times, whether or not earlier ones were answered."""

from __future__ import annotations

import asyncio
import errno
import math
import re
import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import uvloop

_LATE_SECONDS = 15.0
"""How long the last answers are waited for."""
_FULL = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL}
"""Why a client of this process cannot connect, whatever the server does."""
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass
class Answers:
    """What came back.

    Attributes:
        offered: requests.
        seconds: in which they were to arrive.
        took: seconds in which they did.
        good: answers of 200 within that time.
        unsent: of them, for which this process could not open another connection.
        statuses: of all answers; 0 stands for none.
        milliseconds: from the planned arrival to the end of the answer, of those of 200.
        bare_503: of them without ``Retry-After``.
    """

    offered: int
    seconds: float
    took: float = 0.0
    good: int = 0
    unsent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    bare_503: int = 0

    @property
    def goodput(self) -> float:
        """Answers of 200 a second."""
        return self.good / self.took

    @property
    def unanswered(self) -> int:
        """Requests that nothing is known of yet."""
        return self.offered - self.unsent - self.statuses.total()


def offer(address: str, *, path: str, rate: float, seconds: float, body: bytes | None = None) -> Answers:
    """Ask ``rate`` times a second; with a body it is posted as JSON."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host = address.removeprefix("http://")
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    crowd = _Crowd(host, request=head.encode() + b"\r\n" + (body or b""))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(crowd.ask(rate, seconds=seconds))


class _Crowd:
    """Everybody who asks, and their connections: one that is free is used again, else there is another."""

    def __init__(self, host: str, *, request: bytes) -> None:
        self.request = request
        self._host, _, self._port = host.partition(":")
        self._free: list[_Client] = []
        self._open: set[_Client] = set()
        self._coming: set[asyncio.Task[None]] = set()
        self._answers = Answers(0, 0.0)
        self._end = math.inf

    async def ask(self, rate: float, *, seconds: float) -> Answers:
        loop = asyncio.get_running_loop()
        self._answers = found = Answers(max(1, int(rate * seconds)), seconds)
        began, sent = loop.time(), 0
        while sent < found.offered:
            due = min(found.offered, int((loop.time() - began) * rate) + 1)
            for number in range(sent, due):
                self._arrive(began + number / rate)
            sent = due
            await asyncio.sleep(0.001)
        found.took = max(seconds, loop.time() - began)
        self._end = began + found.took
        until = loop.time() + _LATE_SECONDS
        while found.unanswered and loop.time() < until:
            await asyncio.sleep(0.05)
        if found.unanswered:
            found.statuses[0] += found.unanswered
        for client in list(self._open):
            client.transport.abort()
        for task in self._coming:
            task.cancel()
        return found

    def opened(self, client: _Client) -> None:
        self._open.add(client)

    def answered(self, client: _Client, head: bytes) -> None:
        now, found, status = asyncio.get_running_loop().time(), self._answers, int(head[9:12])
        found.statuses[status] += 1
        if status == 200:
            found.milliseconds.append((now - client.due) * 1e3)
            found.good += now <= self._end
        elif status == 503 and b"\r\nretry-after:" not in head.lower():
            found.bare_503 += 1
        if b"\r\nconnection: close" in head.lower():
            client.transport.close()
        else:
            self._free.append(client)

    def lost(self, client: _Client) -> None:
        self._open.discard(client)
        if client in self._free:
            self._free.remove(client)
        if client.asking:
            self._answers.statuses[0] += 1

    def _arrive(self, due: float) -> None:
        if self._free:
            self._free.pop().ask(due)
        else:
            task = asyncio.get_running_loop().create_task(self._come(due))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _come(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_connection(lambda: _Client(self), self._host, int(self._port))
        except OSError as error:
            if error.errno in _FULL:
                self._answers.unsent += 1
            else:
                self._answers.statuses[0] += 1
        else:
            client.ask(due)


class _Client(asyncio.Protocol):
    """A connection, and the request that is in flight on it."""

    def __init__(self, crowd: _Crowd) -> None:
        self.due = 0.0
        self.asking = False
        self._crowd = crowd
        self._came = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._crowd.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost(self)

    def ask(self, due: float) -> None:
        self.due, self.asking = due, True
        self._came.clear()
        self.transport.write(self._crowd.request)

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and len(body) >= (int(length[1]) if length else 0):
            self.asking = False
            self._crowd.answered(self, bytes(head))
