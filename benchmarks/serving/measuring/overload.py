"""More than it can do: the peak of a closed loop, four times its clients, and four times its rate in an open loop."""

from __future__ import annotations

import json
from typing import Any

from measuring import arriving, bodies, servers, wrk
from measuring.computed import ON_DEMAND, PREDICT
from measuring.figures import Figure, Found, Setting, p99

from gridcast.pipeline.operations import NEEDED

TIMES = 4
_CALM = {200, 503}


def measure(setting: Setting) -> Found:
    """Stored forecasts, posted histories and classic windows."""
    wrk.require()
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    seconds = setting.part(4)
    with servers.gridcast(setting.home) as ours:
        history = json.dumps(bodies.history(ours.get, days=NEEDED.days)).encode()
        window = json.dumps(bodies.window(ours.get)).encode()
        for path, clients, body in ((servers.FORECAST, 50, None), (ON_DEMAND, 8, history), (PREDICT, 50, window)):
            calm, crowd = (
                wrk.load(ours.address + path, clients=count, seconds=seconds, body=body)
                for count in (clients, TIMES * clients)
            )
            figures += [
                Figure(f"`{path}`, peak, {clients} clients", calm.rate, "good answers/s"),
                Figure(f"`{path}`, {TIMES * clients} clients, over the peak", crowd.rate / calm.rate, least=0.7),
                Figure(f"`{path}`, {TIMES * clients} clients, p99", crowd.p99_ms, "ms"),
                Figure(f"`{path}`, {TIMES * clients} clients, without an answer", crowd.broken, most=0),
            ]
            facts[path] = {"peak": wrk.Rounds([calm]).facts, "crowd": wrk.Rounds([crowd]).facts}
            if body is None:
                continue
            met = arriving.offer(ours.address, path=path, rate=TIMES * calm.rate, seconds=seconds, body=body)
            figures += _figures(path, calm=calm, met=met)
            facts[path] |= {
                "offered": met.offered,
                "unsent": met.unsent,
                "took_seconds": met.took,
                "statuses": {str(status): count for status, count in sorted(met.statuses.items())},
            }
    return Found(figures, facts)


def _figures(path: str, *, calm: wrk.Load, met: arriving.Answers) -> list[Figure]:
    strange = sum(count for status, count in met.statuses.items() if status not in _CALM)
    seen = ", ".join(f"{status or 'none'} {count:,} times" for status, count in sorted(met.statuses.items()))
    return [
        Figure(f"`{path}`, sent in an open loop", (met.offered - met.unsent) / met.took, "requests/s"),
        Figure(f"`{path}`, for which the client had no connection left", met.unsent, "requests"),
        Figure(f"`{path}`, good answers meanwhile", met.goodput, "good answers/s"),
        Figure(f"`{path}`, over its peak", met.goodput / calm.rate, least=0.7),
        Figure(f"`{path}`, p99 of good answers", p99(met.milliseconds), "ms"),
        Figure(f"`{path}`, answers other than 200 and 503 (seen: {seen})", strange, most=0),
        Figure(f"`{path}`, 503 without Retry-After", met.bare_503, most=0),
    ]
