"""What the service works with at one moment, as one value that is replaced whole.

A request takes the `State` once and answers from it alone, so no answer mixes two models. A new champion is loaded and
asked its canary beside the reigning one; only then is the state replaced. One that cannot be loaded never reigns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gridcast.errors import GridcastError
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.champions import Champion, reigning
from gridcast.pipeline.serving import Freshness, Service

if TYPE_CHECKING:
    from gridcast.models.classic_onnx import Classic

FRESH = timedelta(hours=24)
"""Load that ends longer ago than this makes a forecast degraded, and the service not ready."""

_LOGGER = logging.getLogger("gridcast.api")


@dataclass(frozen=True, eq=False)
class State:
    """Models, verified, and how new the data are.

    Attributes:
        generation: another number whenever the store or a champion changed: what was rendered before is out of date.
        write: the store's last write that is known of.
        champions: by zone.
        freshness: of the zones that have a champion.
        classic: the network behind ``/predict``, or None where it cannot be used.
        faults: why something that should be there is not, by what it is.
    """

    generation: int = 0
    write: int = -1
    champions: Mapping[str, Champion] = field(default_factory=lambda: MappingProxyType({}))
    freshness: Mapping[str, Freshness] = field(default_factory=lambda: MappingProxyType({}))
    classic: Classic | None = None
    faults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def readiness(self, *, now: datetime) -> dict[str, Any]:
        """Whether the service may be asked for forecasts, and every check that says so."""
        checks = [_check("champions", "there is no trained model: gridcast train" if not self.champions else "")]
        checks += [_check(f"canary {code}", each.fault) for code, each in self.champions.items()]
        checks += [_check(f"data {code}", _stale(self.freshness.get(code), now=now)) for code in self.champions]
        if self.classic is not None or "classic" in self.faults:
            checks.append(_check("classic", self.faults.get("classic", "")))
        if "store" in self.faults:
            checks.append(_check("store", self.faults["store"]))
        ages = [(now - each.load_until).total_seconds() / 3600 for each in self.freshness.values() if each.load_until]
        faulty = [each.fault for each in self.champions.values() if each.fault]
        return {
            "ready": all(each["ok"] for each in checks),
            "model_version": ",".join(sorted({each.version.id for each in self.champions.values()})),
            "canary": "matches" if self.champions and not faulty else (faulty or ["no model"])[0],
            "data_age_hours": round(max(ages), 2) if ages else None,
            "checks": checks,
            "notices": [f"{what}: {why}" for what, why in self.faults.items() if what not in ("classic", "store")],
        }


def _check(name: str, fault: str) -> dict[str, Any]:
    return {"check": name, "ok": not fault, "detail": fault or "as it should be"}


def _stale(found: Freshness | None, *, now: datetime) -> str:
    if found is None or found.load_until is None:
        return "there is no load"
    age = now - found.load_until
    return f"the newest load ended {age / timedelta(hours=1):.0f} h ago" if age > FRESH else ""


class Current:
    """The state of the moment, and who keeps it up to date.

    Args:
        service: whose store and registry are watched.
        classic: load the network behind ``/predict``.
    """

    def __init__(self, service: Service, *, classic: bool = True) -> None:
        self._service = service
        self._turn = threading.Lock()
        network, faults = _classic() if classic else (None, {})
        self.state = State(classic=network, faults=MappingProxyType(faults))

    def refresh(self) -> State:
        """Look at the store and the registry, and replace the state where they changed. Never raises one of our errors.

        A registry or store that cannot be read leaves everything as it was, and a fault beside it.
        """
        with self._turn:
            before = self.state
            try:
                after = self._looked(before)
            except GridcastError as error:
                faults = {**before.faults, "store": error.what}
                after = before if faults == before.faults else replace(before, faults=MappingProxyType(faults))
            self.state = after
            return after

    def _looked(self, before: State) -> State:
        service = self._service
        write = service.store.last_write()
        faults = {what: why for what, why in before.faults.items() if what == "classic"}
        champions: dict[str, Champion] = {}
        for code, version in reigning(service.registry, service.known).items():
            old = before.champions.get(code)
            if old is not None and old.version == version:
                champions[code] = old
                continue
            try:
                champions[code] = Champion.load(service.registry, version, zone=service.known[code])
                _LOGGER.info({"event": "champion", "zone": code, "version": version.id})
            except GridcastError as error:
                faults[f"champion {code} {version.id}"] = error.what
                if before.faults.get(f"champion {code} {version.id}") != error.what:
                    _LOGGER.error({"event": "champion refused", "zone": code, "version": version.id})
                if old is not None:
                    champions[code] = old
        same_models = champions == before.champions
        if same_models and write == before.write and faults == before.faults:
            return before
        freshness: Mapping[str, Freshness] = before.freshness
        if write != before.write or not same_models:
            freshness = {code: service.freshness(service.known[code]) for code in champions}
        return State(
            generation=before.generation + 1,
            write=write,
            champions=MappingProxyType(champions),
            freshness=MappingProxyType(dict(freshness)),
            classic=before.classic,
            faults=MappingProxyType(faults),
        )

    async def watch(self, *, every: float) -> None:
        """Refresh for ever, beside the event loop."""
        while True:
            await asyncio.sleep(every)
            await asyncio.to_thread(self.refresh)

    def zone(self, code: str) -> BiddingZone:
        """The zone of that code; see `Service.zone`."""
        return self._service.zone(code)


def _classic() -> tuple[Classic | None, dict[str, str]]:
    from gridcast.models.classic_onnx import Classic

    try:
        return Classic.load(), {}
    except GridcastError as error:
        return None, {"classic": error.what}
