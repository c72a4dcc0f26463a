"""gridcast: tomorrow's electricity load of a bidding zone, as a calibrated fan of quantiles.

The Python interface is `forecast`, `explain` and `backtest`; importing this package loads neither models nor data.
"""

from __future__ import annotations

import typing as _typing

if _typing.TYPE_CHECKING:
    from gridcast.interface import backtest, explain, forecast

__version__ = "0.1.0"
__all__ = ["__version__", "backtest", "explain", "forecast"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from gridcast import interface

        return getattr(interface, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
