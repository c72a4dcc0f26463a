"""More than it can do: the peak of a closed loop, then four times that rate from people who do not wait for others."""

from __future__ import annotations

import json
from typing import Any

from measuring import arriving, bodies, servers, wrk
from measuring.computed import ON_DEMAND, PREDICT
from measuring.figures import Figure, Found, Setting, p99

from gridcast.pipeline.operations import NEEDED

TIMES = 4
CROWD = 200
_CALM = {200, 503}


def measure(setting: Setting) -> Found:
    """Posted histories, classic windows, and a crowd that reads."""
    wrk.require()
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    seconds = setting.part(4)
    with servers.gridcast(setting.home) as ours:
        history = json.dumps(bodies.history(ours.get, days=NEEDED.days)).encode()
        window = json.dumps(bodies.window(ours.get)).encode()
        crowd = wrk.load(ours.address + servers.FORECAST, clients=CROWD, seconds=seconds)
        for path, clients, body in ((ON_DEMAND, 8, history), (PREDICT, 50, window)):
            calm = wrk.load(ours.address + path, clients=clients, seconds=seconds, body=body)
            met = arriving.offer(ours.address, path=path, rate=TIMES * calm.rate, seconds=seconds, body=body)
            figures += _figures(path, calm=calm, met=met)
            facts[path] = {
                "peak": calm.rate,
                "offered": met.offered,
                "took_seconds": met.took,
                "statuses": {str(status): count for status, count in sorted(met.statuses.items())},
            }
    facts["crowd"] = wrk.Rounds([crowd]).facts
    figures += [
        Figure(f"stored forecast, {CROWD} clients", crowd.rate, "requests/s"),
        Figure(f"stored forecast, {CROWD} clients, p99", crowd.p99_ms, "ms"),
        Figure(f"stored forecast, {CROWD} clients, errors", crowd.errors, most=0),
    ]
    return Found(figures, facts)


def _figures(path: str, *, calm: wrk.Load, met: arriving.Answers) -> list[Figure]:
    strange = sum(count for status, count in met.statuses.items() if status not in _CALM)
    seen = ", ".join(f"{status or 'none'} {count:,} times" for status, count in sorted(met.statuses.items()))
    return [
        Figure(f"`{path}`, peak", calm.rate, "good answers/s"),
        Figure(f"`{path}`, offered", met.offered / met.took, "requests/s"),
        Figure(f"`{path}`, good answers meanwhile", met.goodput, "good answers/s"),
        Figure(f"`{path}`, over its peak", met.goodput / calm.rate, least=0.7),
        Figure(f"`{path}`, p99 of good answers", p99(met.milliseconds), "ms"),
        Figure(f"`{path}`, answers other than 200 and 503 (seen: {seen})", strange, most=0),
        Figure(f"`{path}`, 503 without Retry-After", met.bare_503, most=0),
    ]
