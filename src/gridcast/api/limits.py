"""How much one client, and all of them together, may ask for."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gridcast.api.problems import Problem


class Buckets:
    """A token bucket for each client: so many requests a minute, and as many at once after a quiet minute.

    Args:
        rate: requests a minute and client; 0 for no limit.
        burst: requests at once; as many as a minute's by default.
        most: clients to remember; the one longest unheard of is forgotten first, and begins anew with a full bucket.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: float | None = None,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = rate / 60
        self._burst = rate if burst is None else burst
        self._most = most
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, client: str) -> float:
        """Take a token; 0 where there was one, else the seconds until there is.

        >>> buckets = Buckets(rate=60, burst=1, clock=lambda: 0.0)
        >>> buckets.wait("desk"), buckets.wait("desk"), buckets.wait("another")
        (0.0, 1.0, 0.0)
        """
        if not self._per_second:
            return 0.0
        now = self._clock()
        tokens, since = self._left.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        # Whoever asked last stands last; so the first is the one to forget.
        self._left[client] = (tokens - (wait == 0), now)
        if len(self._left) > self._most:
            del self._left[next(iter(self._left))]
        return wait

    def take(self, client: str) -> None:
        """Take a token.

        Raises:
            Problem: 429 with ``Retry-After``: there is none.
        """
        wait = self.wait(client)
        if wait:
            seconds = math.ceil(wait)
            raise Problem(
                f"more than {self._per_second * 60:g} requests a minute",
                remedy=f"wait {seconds} s, and ask less often",
                status=429,
                title="Too many requests",
                headers={"Retry-After": str(seconds)},
                retry_after=seconds,
            )


class Slots:
    """Room for so many pieces of work at once, and so many more that wait; the rest is turned away at once.

    Args:
        most: at once.
        waiting: that may wait for their turn.
        retry_after: seconds that one who is turned away should stay away.

    One object belongs to one event loop.
    """

    def __init__(self, most: int, *, waiting: int = 0, retry_after: int = 1) -> None:
        self._most = most + waiting
        self._retry_after = retry_after
        self._turn = asyncio.Semaphore(most) if waiting else None
        self.taken = 0

    def check(self, places: int = 1) -> None:
        """See whether there is room.

        Raises:
            Problem: 503 with ``Retry-After``: there is none.
        """
        if self.taken + places > self._most:
            raise overloaded(self._retry_after)

    def enter(self, places: int = 1) -> None:
        """Take places; give them back with `leave`. Raises as `check`."""
        self.check(places)
        self.taken += places

    def leave(self, places: int = 1) -> None:
        """Give places back."""
        self.taken -= places

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """A place for as long as the block takes, after waiting for one's turn.

        Raises:
            Problem: 503 with ``Retry-After``: there is none, not even to wait.
        """
        self.enter()
        try:
            if self._turn is None:
                yield
            else:
                async with self._turn:
                    yield
        finally:
            self.leave()


def overloaded(retry_after: int) -> Problem:
    """The problem with one request too many."""
    return Problem(
        "the server has as much to do as it can",
        remedy=f"try again in {retry_after} s",
        status=503,
        title="Overloaded",
        headers={"Retry-After": str(retry_after)},
        retry_after=retry_after,
    )


def client_of(address: str) -> str:
    """Whom an address counts as: itself, or the /64 network of an IPv6 address, which one customer owns whole.

    >>> client_of("192.0.2.7"), client_of("2001:db8:1:2:3:4:5:6")
    ('192.0.2.7', '2001:db8:1:2::')
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
