"""Closed loops by wrk: so many clients, each of which asks again as soon as it is answered."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring.figures import Absent

SCRIPT = Path(__file__).with_name("closed.lua")


@dataclass(frozen=True)
class Load:
    """What wrk saw: ``refused`` answers were no 2xx or 3xx, ``broken`` requests had none (wrk's socket errors)."""

    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.refused) / self.seconds

    @property
    def errors(self) -> int:
        """Requests that had no good answer."""
        return self.refused + self.broken


@dataclass(frozen=True)
class Rounds:
    """Several loads of the same kind."""

    loads: list[Load]

    @property
    def rate(self) -> float:
        """Median of good answers a second."""
        return statistics.median(each.rate for each in self.loads)

    @property
    def p99_ms(self) -> float:
        """Median of the 99th percentiles."""
        return statistics.median(each.p99_ms for each in self.loads)

    @property
    def errors(self) -> int:
        """All of them."""
        return sum(each.errors for each in self.loads)

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Every round."""
        return [asdict(each) for each in self.loads]


def require() -> None:
    """Raise `Absent` where there is no wrk."""
    if shutil.which("wrk") is None:
        raise Absent("wrk is not installed: apt-get install wrk")


def load(url: str, *, clients: int, seconds: int, body: bytes | None = None) -> Load:
    """Ask for so many seconds; with a body it is posted as JSON."""
    options = ["-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(SCRIPT)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(body or b"")
        file.flush()
        given = [] if body is None else ["--", file.name]
        out = subprocess.run(["wrk", *options, url, *given], capture_output=True, text=True, check=True).stdout
    return Load(**json.loads(out.splitlines()[-1]))


def alternating(contestants: dict[str, Callable[[int], Load]], *, rounds: int, seconds: int) -> dict[str, Rounds]:
    """Every contestant once a round for so many seconds, after a second that does not count."""
    for ask in contestants.values():
        ask(1)
    found: dict[str, list[Load]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, ask in contestants.items():
            found[name].append(ask(seconds))
    return {name: Rounds(loads) for name, loads in found.items()}
