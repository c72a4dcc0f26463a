"""The app: every route, behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from gridcast.api import problems, schemas
from gridcast.api.guard import App, Options, guarded
from gridcast.api.limits import Slots
from gridcast.api.metrics import Metrics
from gridcast.api.noting import Notes
from gridcast.api.rendering import Again, Kept
from gridcast.api.routes import Site, computing, models, pages, watching, zones
from gridcast.api.state import Current
from gridcast.pipeline.serving import Service

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

WATCHED_EVERY = 1.0
"""Seconds between two looks at the store and the registry: so old may an answer to a read be."""

FORECASTS, FORECASTS_WAITING = 1, 31
"""Forecasts on demand at once, and that wait for their turn, in each worker: one keeps a core busy by itself."""
PREDICTIONS = 512
"""Classic windows at once in each worker: each is quick, and waits for the forecast log together with others."""

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would export the values of queries and the words of exceptions; `tracing` has what may leave."""

_ABOUT = """Tomorrow's electricity load of bidding zones, as calibrated quantiles in MW, and how good it was.

Instants are UTC, intervals are named by their start. Every error is `application/problem+json` with a `remedy`."""


def create_app(
    *, service: Service, options: Options, current: Current | None = None, watched_every: float = WATCHED_EVERY
) -> App:
    """The ASGI app.

    Models are loaded and verified here, before the first request.

    Args:
        service: what it answers from.
        options: the rules it keeps.
        current: the models, where they are loaded already.
        watched_every: seconds between two looks at the store and the registry; 0 for none.
    """
    current = current or Current(service)
    current.refresh()
    app = FastAPI(
        title="gridcast",
        version=version("gridcast"),
        description=_ABOUT,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_life(current, every=watched_every),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    site = Site(
        service=service,
        current=current,
        kept=Kept(),
        again=Again(app, moment=lambda: (current.state.generation, int(service.clock.now().timestamp()) // 60)),
        notes=Notes(service.journal),
        metrics=Metrics(state=lambda: current.state, clock=service.clock),
        computing=Slots(FORECASTS, waiting=FORECASTS_WAITING),
        predicting=Slots(PREDICTIONS),
    )
    problems.install(app)
    for router in (computing.router(site), zones.router(site), models.router(site), watching.router(site)):
        app.include_router(router)
    app.include_router(pages.router())
    _describe(app, open_reads=options.open_reads)
    rooms = {"/v1/forecast": site.computing, "/predict": site.predicting}
    return guarded(site.again, replace(options, rooms=rooms, observe=site.metrics.observe))


def _life(current: Current, *, every: float) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(current.watch(every=every)) if every else None
        yield
        if watch is not None:
            watch.cancel()

    return life


def _describe(app: FastAPI, *, open_reads: bool) -> None:
    """Add to the OpenAPI document what FastAPI cannot see: the bodies we read ourselves, problems, and open doors."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            known = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (schemas.History, schemas.Window, schemas.Problem):
                own = model.model_json_schema(ref_template="#/components/schemas/{model}")
                known |= own.pop("$defs", {}) | {model.__name__: own}
            for operation in (each for methods in document["paths"].values() for each in methods.values()):
                if open_reads and "security" in operation:
                    operation["security"].append({})
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
