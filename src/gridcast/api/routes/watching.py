"""What supervisors ask: is the process alive, may it be asked, what has it done."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api import schemas
from gridcast.api.metrics import CONTENT_TYPE
from gridcast.api.rendering import JSON
from gridcast.api.routes import REFUSALS, Site, answers, examples, only
from gridcast.pipeline.answers import compact


def router(site: Site) -> APIRouter:
    """``GET /health``, ``GET /ready`` and ``GET /metrics``, which need no key."""
    routes = APIRouter(tags=["watching"])
    alive = compact({"status": "alive"})

    @routes.get("/health", summary="The process lives", responses=answers(schemas.Alive, example={"status": "alive"}))
    async def health(request: Request) -> Response:
        only(request)
        return Response(alive, media_type=JSON)

    ready_or_not = answers(schemas.Ready, example=examples.READY)
    ready_or_not[503] = {"model": schemas.Ready, "description": "The service is not ready; `checks` say why."}

    @routes.get("/ready", summary="The service may be asked for forecasts", responses=ready_or_not)
    async def ready(request: Request) -> Response:
        only(request)
        found = site.state.readiness(now=site.service.clock.now())
        return Response(compact(found), status_code=200 if found["ready"] else 503, media_type=JSON)

    @routes.get(
        "/metrics",
        summary="For Prometheus",
        responses={200: {"description": "Prometheus's text format.", "content": {"text/plain": {}}}, **REFUSALS},
    )
    async def metrics(request: Request) -> Response:
        only(request)
        page = await to_thread.run_sync(site.metrics.page)
        return Response(page, headers={"content-type": CONTENT_TYPE})

    return routes
