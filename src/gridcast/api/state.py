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
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gridcast.api.logs import place
from gridcast.api.problems import INNER
from gridcast.errors import ArtifactMismatch, GridcastError
from gridcast.market.days import Task
from gridcast.pipeline.champions import Champion
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
        faults: why something that should be there is not, by what it is: ``classic``, ``store``.
        refused: why the champion that the registry names does not reign, by zone.
    """

    generation: int = 0
    write: int = -1
    champions: Mapping[str, Champion] = field(default_factory=lambda: MappingProxyType({}))
    freshness: Mapping[str, Freshness] = field(default_factory=lambda: MappingProxyType({}))
    classic: Classic | None = None
    faults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def require_sound(self, zone: str) -> None:
        """Refuse to compute for a zone whose champion cannot be loaded.

        Raises:
            ArtifactMismatch: the registry names one, and it is not the one that was registered.
        """
        if zone in self.refused and zone not in self.champions:
            raise ArtifactMismatch(
                self.refused[zone], remedy=f"promote a sound one: gridcast train --zone {zone}", path=""
            )

    def readiness(self, *, now: datetime) -> dict[str, Any]:
        """Whether the service may be asked for forecasts, and every check that says so."""
        none = not self.champions and not self.refused
        checks = [_check("champions", "there is no trained model: gridcast train" if none else "")]
        checks += [_check(f"champion {code}", why) for code, why in self.refused.items() if code not in self.champions]
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
            "notices": [f"champion {code}: {why}" for code, why in self.refused.items()],
        }


def _check(name: str, fault: str) -> dict[str, Any]:
    return {"check": name, "ok": not fault, "detail": fault or "as it should be"}


def _why(error: GridcastError | OSError) -> str:
    """What is wrong, without the places of the server's own: everybody may read it."""
    if isinstance(error, OSError):
        return f"a file cannot be read ({error.strerror or type(error).__name__})"
    places = [str(value) for name, value in error.facts.items() if name in INNER and value]
    return reduce(lambda text, inner: text.replace(inner, Path(inner).name), places, error.what)


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
            except (GridcastError, OSError) as error:
                faults = {**before.faults, "store": _why(error)}
                after = before if faults == before.faults else replace(before, faults=MappingProxyType(faults))
            self.state = after
            return after

    def _looked(self, before: State) -> State:
        service = self._service
        write = service.store.last_write()
        faults = {what: why for what, why in before.faults.items() if what == "classic"}
        champions: dict[str, Champion] = {}
        refused: dict[str, str] = {}
        for code in service.known:
            found, why = self._champion(code, old=before.champions.get(code))
            if found is not None:
                champions[code] = found
            if why:
                refused[code] = why
                if before.refused.get(code) != why:
                    _LOGGER.error({"event": "champion refused", "zone": code, "why": why})
        same_models = champions == before.champions
        if same_models and write == before.write and (faults, refused) == (before.faults, before.refused):
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
            refused=MappingProxyType(refused),
        )

    def _champion(self, code: str, *, old: Champion | None) -> tuple[Champion | None, str]:
        """Who reigns over a zone from now on, and why it is not the one that the registry names, if it is not."""
        service, version = self._service, None
        try:
            version = service.registry.champion(code, Task.DAY_AHEAD)
            if version is None or (old is not None and old.version == version):
                return (old if version else None), ""
            found = Champion.load(service.registry, version, zone=service.known[code])
        except (GridcastError, OSError) as error:
            return old, f"{version.id}: {_why(error)}" if version else _why(error)
        if found.fault and old is not None and not old.fault:
            return old, f"{version.id}: {found.fault}"
        _LOGGER.info({"event": "champion", "zone": code, "version": version.id})
        return found, ""

    async def watch(self, *, every: float) -> None:
        """Refresh for ever, beside the event loop."""
        while True:
            await asyncio.sleep(every)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception as error:  # whatever it was, the next look may find it mended
                _LOGGER.error({"event": "look failed", "error": place(error)})


def _classic() -> tuple[Classic | None, dict[str, str]]:
    from gridcast.models.classic_onnx import Classic

    try:
        return Classic.load(), {}
    except GridcastError as error:
        return None, {"classic": error.what}
