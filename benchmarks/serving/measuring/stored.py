"""Stored forecasts, beside a bare FastAPI echo in the same minutes."""

from __future__ import annotations

from functools import partial

from measuring import servers, wrk
from measuring.figures import Figure, Found, Setting

CLIENTS, ROUNDS = 50, 6


def measure(setting: Setting) -> Found:
    """Both servers run all the time, and are asked in turn."""
    wrk.require()
    with servers.peer("echo") as echo, servers.gridcast(setting.home) as ours:
        urls = {"echo": echo.address + "/", "gridcast": ours.address + servers.FORECAST}
        ask = {name: partial(_ask, url) for name, url in urls.items()}
        found = wrk.alternating(ask, rounds=ROUNDS, seconds=setting.part(ROUNDS))
    own, bare = found["gridcast"], found["echo"]
    return Found(
        [
            Figure("gridcast, a stored forecast", own.rate, "requests/s"),
            Figure("FastAPI echo", bare.rate, "requests/s"),
            Figure("requests a second, gridcast over echo", own.rate / bare.rate, least=0.6),
            Figure("gridcast, p99", own.p99_ms, "ms"),
            Figure("FastAPI echo, p99", bare.p99_ms, "ms"),
            Figure("p99, gridcast over echo", own.p99_ms / bare.p99_ms, most=2),
            Figure("errors of gridcast", own.errors, most=0),
        ],
        {name: rounds.facts for name, rounds in found.items()},
    )


def _ask(url: str, seconds: int) -> wrk.Load:
    return wrk.load(url, clients=CLIENTS, seconds=seconds)
