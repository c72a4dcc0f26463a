"""The service over HTTP: `create_app` makes the ASGI app from what it is handed; `gridcast serve` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridcast.api.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> object:
    """The app's modules load when it is asked for: a keys file can be read without them."""
    if name == "create_app":
        from gridcast.api.app import create_app

        return create_app
    raise AttributeError(name)
