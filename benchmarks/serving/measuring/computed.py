"""What is computed while one waits: forecasts of a posted history, and the classic window beside its old server."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
from measuring import bodies, servers, wrk
from measuring.figures import Absent, Figure, Found, Setting

from gridcast.pipeline.operations import NEEDED
from gridcast.pipeline.posted import DAYS_NEEDED

ON_DEMAND, PREDICT = "/v1/forecast", "/predict"
CLIENTS, ROUNDS = (8, 50), 3


def on_demand(setting: Setting) -> Found:
    """Eight clients post a whole history, then the shortest one."""
    wrk.require()
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    with servers.gridcast(setting.home) as ours:
        for name, days in {"whole": NEEDED.days, "shortest": DAYS_NEEDED}.items():
            body = json.dumps(bodies.history(ours.get, days=days)).encode()
            answer = httpx.post(ours.address + ON_DEMAND, content=body, headers=_JSON, timeout=30).raise_for_status()
            load = wrk.load(ours.address + ON_DEMAND, clients=8, seconds=setting.part(4), body=body)
            what = f"{name} history ({days} days, {len(body) / 1e3:.0f} kB)"
            figures += [
                Figure(what, load.rate, "requests/s", least=20),
                Figure(f"{name} history, p99", load.p99_ms, "ms", most=1000),
                Figure(f"{name} history, errors", load.errors, most=0),
            ]
            facts[name] = {"load": wrk.Rounds([load]).facts, "degraded": answer.json()["degraded"]}
    return Found(figures, facts)


def predict(setting: Setting) -> Found:
    """The classic window: gridcast and the classic project's design in turn, with torch's threads and with one."""
    wrk.require()
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise Absent("torch is not installed, which the classic server runs on: just install-deep") from None
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    with (
        servers.gridcast(setting.home) as ours,
        servers.peer("classic", threads=None) as many,
        servers.peer("classic", threads=1) as one,
    ):
        body = json.dumps(bodies.window(ours.get)).encode()
        asked = {"gridcast": ours, "classic, torch's own threads": many, "classic, one thread": one}
        for clients in CLIENTS:
            ask = {
                name: partial(_predict, server.address, clients=clients, body=body) for name, server in asked.items()
            }
            found = wrk.alternating(ask, rounds=ROUNDS, seconds=setting.part(4 * ROUNDS))
            for name, rounds in found.items():
                figures += [
                    Figure(f"{name}, {clients} clients", rounds.rate, "requests/s"),
                    Figure(f"{name}, {clients} clients, p99", rounds.p99_ms, "ms"),
                ]
            own, *theirs = found.values()
            better = max(each.rate for each in theirs)
            figures += [
                Figure(
                    f"requests a second at {clients} clients, over the better classic", own.rate / better, least=1.5
                ),
                Figure(f"errors of gridcast, {clients} clients", own.errors, most=0),
            ]
            facts[f"{clients} clients"] = {name: rounds.facts for name, rounds in found.items()}
    return Found(figures, facts)


_JSON = {"Content-Type": "application/json"}


def _predict(address: str, seconds: int, *, clients: int, body: bytes) -> wrk.Load:
    return wrk.load(address + PREDICT, clients=clients, seconds=seconds, body=body)
