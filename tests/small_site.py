"""The app on a home, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import small_home


@dataclass
class Site:
    """An app, its service, its state and its clock."""

    app: Any
    service: Any
    current: Any
    clock: small_home.Clock
    folder: Path

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[Any]:
        """A client of it, without a network."""
        import httpx

        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield client


def made(folder: Path, **options: Any) -> Site:
    from gridcast.api.app import create_app
    from gridcast.api.guard import Options
    from gridcast.api.state import Current

    clock = small_home.Clock()
    service = small_home.service(folder, clock=clock)
    rules = Options(**{"open_reads": True, "rate": 0} | options)
    current = Current(service)
    return Site(create_app(service=service, options=rules, current=current), service, current, clock, folder)
