"""The list of faults and how one gets onto it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gridcast.errors import ConfigError
from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults.acts import Act

PROVIDERS = ("entsoe", "energidata", "openmeteo")
LAYERS = ("network", "status", "content")

Spoilt = Reply | list[Act] | None
Spoil = Callable[[Reply, Ask], Spoilt]


@dataclass(frozen=True)
class Fault:
    """One way in which an answer can be wrong.

    ``layer`` is ``network``, ``status`` or ``content``; ``providers`` are those it can befall; ``spoil`` turns the
    sound answer to a request into the faulty one, always the same, or gives None where it cannot have this fault.
    """

    name: str
    layer: str
    providers: frozenset[str]
    sentence: str
    spoil: Spoil


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


def add(name: str, sentence: str, *, layer: str, spoil: Spoil, providers: tuple[str, ...] = PROVIDERS) -> None:
    """Put a fault on the list.

    Raises:
        ConfigError: it is on it already.
    """
    if name in FAULTS:
        raise ConfigError(f"there are two faults {name!r}", remedy="give one of them another name")
    FAULTS[name] = Fault(name, layer, frozenset(providers), sentence, spoil)


def described(function: Callable[..., object]) -> tuple[str, str]:
    """A fault's name and sentence: its function's own."""
    return function.__name__.strip("_").replace("_", "-"), (function.__doc__ or "").strip().splitlines()[0]
