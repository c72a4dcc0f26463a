"""A virtual clock, for one process or shared by several as a conservative simulation of discrete events.

Shared, time stands still while anybody works and jumps to the earliest wake-up once everybody sleeps. A participant
takes part from its ``join`` (or its first sleep) until it leaves or its connection ends.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Self
from urllib.parse import urlsplit

from gridcast.errors import ConfigError, Unreachable
from gridcast.sources.endpoints import simulator_at
from gridcast.sources.oneline import one_line

PROMPT = 10.0
"""Real seconds within which the clock answers whoever does not sleep."""

_LONGEST_ANSWER = 1 << 16
_GLANCE = 0.05
"""Real seconds after which a sleeper's connection is looked at again."""


class VirtualClock:
    """Time that passes only when somebody lets it.

    >>> clock = VirtualClock(datetime(2024, 1, 1, tzinfo=UTC))
    >>> clock.sleep(90)
    >>> clock.now().isoformat()
    '2024-01-01T00:01:30+00:00'
    """

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._changed = threading.Condition()
        self._here: Counter[str] = Counter()
        self._wakes: dict[str, datetime] = {}

    def now(self) -> datetime:
        """The present instant, UTC."""
        with self._changed:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass at once: for a process that has the clock to itself."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        with self._changed:
            self._move(self._now + timedelta(seconds=max(0.0, seconds)))

    def set(self, when: datetime) -> None:
        """Put the clock to an instant, earlier ones too."""
        with self._changed:
            self._move(when.astimezone(UTC))

    def join(self, who: str) -> None:
        """Take part: from now on time waits for ``who``, until it has left as often as it joined."""
        with self._changed:
            self._here[who] += 1

    def leave(self, who: str) -> None:
        """Take part no longer: time need not wait for ``who``."""
        with self._changed:
            self._here -= Counter([who])
            if who not in self._here:
                self._wakes.pop(who, None)
            self._jump()

    def sleep_among(self, who: str, *, seconds: float, gone: Callable[[], bool] = lambda: False) -> None:
        """Sleep with the others: returns when time has come so far, or once ``gone()`` says that nobody waits.

        Only who has joined keeps time from passing while at work.
        """
        with self._changed:
            if seconds <= 0:
                return
            self._wakes[who] = self._now + timedelta(seconds=seconds)
            self._jump()
            while who in self._wakes:
                self._changed.wait(_GLANCE)
                if gone():
                    self._wakes.pop(who, None)

    def _jump(self) -> None:
        """To the earliest wake-up, if everybody sleeps."""
        if self._wakes and self._here.keys() <= self._wakes.keys():
            self._move(max(self._now, min(self._wakes.values())))

    def _move(self, when: datetime) -> None:
        self._now = when
        # Whoever is due works again from this very moment, so that no second jump can leave them behind.
        self._wakes = {who: wake for who, wake in self._wakes.items() if wake > when}
        self._changed.notify_all()


class _Line(HTTPConnection):
    """A connection that ends with its thread, and with it the thread's part in the simulation."""

    def __del__(self) -> None:
        self.close()


class RemoteClock:
    """The clock of a running simulator, shared with other processes; a `gridcast.sources.fetched.Clock`.

    The thread that makes it takes part as ``who``; another thread takes part, under a name of its own, from its first
    sleep on. Each keeps a connection of its own, and whoever dies leaves with it.

    Raises:
        ConfigError: there is no simulator at the address, or its clock is the machine's own (fact ``own``).
        Unreachable: it does not answer, there or in any method.
    """

    def __init__(self, url: str, who: str) -> None:
        self._url = simulator_at(url)
        parts = urlsplit(url)
        self._address = (str(parts.hostname), parts.port)
        self._who = who
        self._owner = threading.get_ident()
        self._own = threading.local()
        self._ask("POST", {"join": self._name()})

    def now(self) -> datetime:
        """The simulated instant, UTC."""
        return self._ask("GET")

    def sleep(self, seconds: float) -> None:
        """Sleep until the simulated time has come so far."""
        self._ask("POST", {"sleep": max(0.0, seconds), "who": self._name()}, patient=True)

    def close(self) -> None:
        """Leave, so that the others' time goes on without this thread."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            del self._own.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _name(self) -> str:
        thread = threading.get_ident()
        return self._who if thread == self._owner else f"{self._who}/{thread}"

    def _ask(self, method: str, words: dict[str, object] | None = None, *, patient: bool = False) -> datetime:
        if not hasattr(self._own, "connection"):
            self._own.connection = _Line(*self._address)
        connection: _Line = self._own.connection
        connection.timeout = None if patient else PROMPT
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        body = json.dumps(words) if words else None
        try:
            connection.request(method, "/simulator/clock", body=body)
            answer = connection.getresponse()
            text = answer.read(_LONGEST_ANSWER)
        except (OSError, HTTPException) as error:
            self.close()
            raise Unreachable(
                f"the simulator's clock does not answer ({type(error).__name__})", remedy="see that it runs"
            ) from error
        if answer.status >= 500:
            raise Unreachable("the simulator's clock has stopped", remedy="start the simulator again")
        said = _read(text)
        if answer.status == 200 and (now := _instant(said.get("now"))) is not None:
            return now
        self.close()
        if answer.status in (400, 409) and "error" in said:
            raise ConfigError(
                f"the simulator's clock says {one_line(said['error'])!r}",
                remedy="start it with a virtual clock",
                own=answer.status == 409,
            )
        raise ConfigError(f"{self._url} is no grid simulator", remedy="start one: gridcast simulate")


def _read(text: bytes) -> dict[str, object]:
    """The JSON object that an answer is; empty for anything else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _instant(text: object) -> datetime | None:
    try:
        when = datetime.fromisoformat(str(text))
        return None if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
