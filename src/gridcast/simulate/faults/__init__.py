"""Faults on demand: the catalogue, and the plan that says which answers they befall."""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gridcast.errors import ConfigError
from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults import documents, markup, meaning, network, records, status, tables, weather
from gridcast.simulate.faults.acts import Act, Close, Reset, Send, Wait
from gridcast.simulate.faults.catalogue import FAULTS, LAYERS, PROVIDERS, Fault

__all__ = ["FAULTS", "NO_FAULTS", "Act", "Close", "Fault", "Faults", "Reset", "Send", "Wait"]

CHAPTERS = (network, status, documents, markup, meaning, tables, records, weather)
"""The modules that put faults on the list by being imported."""


@dataclass(frozen=True)
class Faults:
    """Which requests meet which fault.

    Args:
        names: faults to draw from, by name or by layer (``network``, ``status``, ``content``), or ``all``; a request
            draws among those that can befall its provider.
        rate: share of the requests that draw one.
        seed: of the draw; the same seed and request number draw the same fault.
        script: instead of a draw, the fault of the request with that number, counted from 1.

    Raises:
        ConfigError: there is no such fault, or the rate is no share.

    >>> sorted(Faults(["status-503"]).described())
    ['catalogue', 'names', 'rate', 'script', 'seed']
    """

    names: Iterable[str] = ()
    rate: float = 1.0
    seed: int = 0
    script: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [each for name in self.names for each in _expanded(name)]
        for name in self.script.values():
            _known(name)
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"the fault rate is {self.rate}", remedy="give a share from 0 to 1")
        object.__setattr__(self, "names", tuple(dict.fromkeys(names)))

    @classmethod
    def of_json(cls, words: Mapping[str, object]) -> Faults:
        """The plan in a POST to ``/simulator/faults``."""
        strange = set(words) - {"names", "rate", "seed", "script"}
        names, script = words.get("names", []), words.get("script", {})
        if strange or not isinstance(names, list) or not isinstance(script, dict):
            raise ConfigError("that is no plan of faults", remedy='say {"names": [...], "rate": 0.2, "seed": 1}')
        return cls(
            [str(name) for name in names],
            rate=float(str(words.get("rate", 1.0))),
            seed=int(str(words.get("seed", 0))),
            script={int(number): str(name) for number, name in script.items()},
        )

    def strike(self, number: int, ask: Ask, *, reply: Reply) -> tuple[str, Reply | list[Act]]:
        """The name of the fault that befalls a request, empty for none, and what becomes of its sound answer."""
        for name in self._drawn(number, ask):
            spoilt = FAULTS[name].spoil(reply, ask)
            if spoilt is not None:
                return name, spoilt
        return "", reply

    def _drawn(self, number: int, ask: Ask) -> list[str]:
        """The faults to try in turn: some cannot befall the answer."""
        if self.script:
            return [self.script[number]] if number in self.script else []
        # Draws of a simulation need no secrecy.
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311
        if chance.random() >= self.rate:
            return []
        provider = ask.path.split("/")[1]
        fitting = [name for name in self.names if provider in FAULTS[name].providers]
        return chance.sample(fitting, len(fitting))

    def described(self) -> dict[str, object]:
        """The plan and the catalogue, as JSON."""
        catalogue = {
            fault.name: {"layer": fault.layer, "providers": sorted(fault.providers), "what": fault.sentence}
            for fault in FAULTS.values()
        }
        script = {str(number): name for number, name in self.script.items()}
        return {
            "names": list(self.names),
            "rate": self.rate,
            "seed": self.seed,
            "script": script,
            "catalogue": catalogue,
        }


def _known(name: str) -> str:
    if name not in FAULTS:
        like = difflib.get_close_matches(name, FAULTS, n=3)
        remedy = f"did you mean {', '.join(like)}?" if like else "`gridcast simulate --faults list` lists them"
        raise ConfigError(f"there is no fault {name!r}", remedy=remedy, fault=name)
    return name


def _expanded(name: str) -> list[str]:
    if name == "all":
        return list(FAULTS)
    if name in LAYERS:
        return [fault.name for fault in FAULTS.values() if fault.layer == name]
    if name in PROVIDERS:
        return [fault.name for fault in FAULTS.values() if fault.layer == "content" and name in fault.providers]
    return [_known(name)]


NO_FAULTS = Faults()
