"""Who asked how often, and who must wait: sliding windows in simulated time."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)


@dataclass
class Window:
    """What came in the last ``span``: instants with a weight each, and the most there ever was at once."""

    span: timedelta
    held: deque[tuple[datetime, float]] = field(default_factory=deque)
    total: float = 0.0
    most: float = 0.0

    def add(self, at: datetime, weight: float = 1.0) -> float:
        """Count one in; returns the sum in the window that ends now."""
        self.held.append((at, weight))
        self.total += weight
        while self.held[0][0] <= at - self.span:
            self.total -= self.held.popleft()[1]
        self.most = max(self.most, self.total)
        return self.total

    def sum(self, at: datetime) -> float:
        """The sum in the window that would end at ``at``."""
        return sum(weight for when, weight in self.held if when > at - self.span)


@dataclass
class Caller:
    """One token or one address."""

    first: datetime
    last: datetime
    requests: int = 0
    bans: int = 0
    banned_until: datetime | None = None
    window: Window = field(default_factory=lambda: Window(MINUTE))

    def facts(self) -> dict[str, float]:
        """For the statistics: the most in any 60 seconds, and the mean per minute from the first to the last."""
        minutes = max((self.last - self.first) / MINUTE, 1.0)
        mean = round(self.requests / minutes, 3)
        return {
            "requests": self.requests,
            "max_per_minute": self.window.most,
            "mean_per_minute": mean,
            "bans": self.bans,
        }


class Traffic:
    """What the server was asked, for ``/simulator/stats``; safe between threads. Tokens are counted, never shown."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.callers: dict[tuple[str, str], Caller] = {}
        self.all = Window(MINUTE)
        self.weights: defaultdict[str, float] = defaultdict(float)
        self._span: tuple[datetime, datetime] | None = None

    def note(self, path: str, *, at: datetime) -> int:
        """Count a request to a provider; returns its number, from 1."""
        with self.lock:
            self.paths[path] += 1
            self.all.add(at)
            self._span = (self._span[0] if self._span else at, at)
            return self.paths.total()

    def caller(self, kind: str, name: str, *, at: datetime) -> Caller:
        """The token or address of that name."""
        return self.callers.setdefault((kind, name), Caller(first=at, last=at))

    def stats(self) -> dict[str, object]:
        """Everything counted, as JSON."""
        with self.lock:
            minutes = max((self._span[1] - self._span[0]) / MINUTE, 1.0) if self._span else 1.0
            tokens = [caller for (kind, _), caller in self.callers.items() if kind == "token"]
            return {
                "requests": self.paths.total(),
                "paths": dict(self.paths),
                "statuses": dict(self.statuses),
                "faults": dict(self.faults),
                "max_per_minute": self.all.most,
                "mean_per_minute": round(self.paths.total() / minutes, 3),
                "tokens": [caller.facts() for caller in tokens],
                "addresses": {name: caller.facts() for (kind, name), caller in self.callers.items() if kind == "ip"},
                "bans": sum(caller.bans for caller in tokens),
                "call_weights": dict(self.weights),
            }
