"""What is computed while one waits: forecasts of a posted history, and the classic window."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api import bodies, schemas
from gridcast.api.keys import Scope, needs
from gridcast.api.problems import Problem
from gridcast.api.rendering import JSON
from gridcast.api.routes import Site, answers, examples, only
from gridcast.errors import ArtifactMismatch
from gridcast.pipeline.posted import Cells, Posted
from gridcast.pipeline.serving import Service
from gridcast.store.journal import Entry


def router(site: Site) -> APIRouter:
    """``POST /v1/forecast`` and ``POST /predict``."""
    routes = APIRouter(tags=["computed"], dependencies=[Depends(needs(Scope.FORECAST))])
    service = site.service

    async def noted(entry: Entry) -> Response:
        await site.notes.append(entry)
        return Response(entry.answer, media_type=JSON)

    @routes.post(
        "/v1/forecast",
        summary="Forecast a delivery day from a load history that you post",
        responses=answers(schemas.Forecast, example=examples.FORECAST, zone="/zone"),
        openapi_extra=_body(schemas.History, example=examples.HISTORY),
    )
    async def on_demand(request: Request) -> Response:
        only(request)
        given = await bodies.document(request)
        state = site.state

        def work() -> Entry:
            asked = _posted(bodies.parsed(schemas.History, given), service=service)
            state.require_sound(asked.zone.code)
            return service.on_demand(asked, champion=state.champions.get(asked.zone.code))

        async with site.computing.hold():
            entry = await to_thread.run_sync(work)
        return await noted(entry)

    @routes.post(
        "/predict",
        summary="The classic window: 96 hours of 12 features in, 24 hours out",
        responses=answers(schemas.Predictions, example=examples.PREDICTIONS),
        openapi_extra=_body(schemas.Window, example=_window(site)),
    )
    async def predict(request: Request) -> Response:
        only(request)
        async with site.predicting.hold():
            given = await bodies.document(request)
            network = site.state.classic
            if network is None:
                raise ArtifactMismatch(
                    "there is no classic network", remedy="install gridcast again, with the extra api"
                )
            # Quicker than a turn of another thread would be.
            return await noted(service.classic(_features(given), request=await request.body(), network=network))

    return routes


def _body(model: type[BaseModel], *, example: object) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {JSON: content}}}


def _window(site: Site) -> dict[str, Any] | None:
    network = site.state.classic
    return None if network is None else {"features": network.example.tolist()}


def _posted(given: schemas.History, *, service: Service) -> Posted:
    def cells(intervals: list[schemas.Megawatts] | list[schemas.Celsius]) -> Cells:
        return tuple((each.valid_time, each.value) for each in intervals)

    try:
        day = None if given.delivery_day is None else date.fromisoformat(given.delivery_day)
        at = None if given.issue_time is None else datetime.fromisoformat(given.issue_time)
    except ValueError as error:
        raise Problem(
            f"there is no such day or instant ({error})",
            remedy="write delivery_day as 2026-11-24 and issue_time as 2026-11-23T10:00:00Z",
            status=422,
            title="Invalid request",
        ) from None
    zone = service.zone(given.zone)
    return Posted(zone, cells(given.load), cells(given.tso), cells(given.temperature), delivery_day=day, issue_time=at)


def _features(given: object) -> Any:  # noqa: ANN401  # the network itself says what is wrong with it
    if not isinstance(given, dict) or set(given) != {"features"}:
        keys = ", ".join(sorted(given))[:100] or "nothing" if isinstance(given, dict) else ""
        raise Problem(
            f"the body is an object of {keys}" if keys else "the body is no object",
            remedy='send {"features": [96 rows of 12 numbers]}',
            status=422,
            title="Invalid request",
            expected="features",
        )
    return given["features"]
