"""A local grid simulator: ENTSO-E, Energi Data Service and Open-Meteo on loopback, with faults and a virtual clock.

Importing this package loads nothing: a process that only shares the clock needs no world.
"""

from __future__ import annotations

import typing as _typing

if _typing.TYPE_CHECKING:
    from gridcast.simulate.clock import RemoteClock, VirtualClock
    from gridcast.simulate.faults import FAULTS, Fault, Faults
    from gridcast.simulate.server import running, serve
    from gridcast.simulate.world import World

__all__ = ["FAULTS", "Fault", "Faults", "RemoteClock", "VirtualClock", "World", "running", "serve"]

_HOMES = {
    "FAULTS": "faults",
    "Fault": "faults",
    "Faults": "faults",
    "RemoteClock": "clock",
    "VirtualClock": "clock",
    "World": "world",
    "running": "server",
    "serve": "server",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"gridcast.simulate.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
