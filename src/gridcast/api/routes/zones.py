"""What is stored of a zone: its forecasts, why they are so, how good they were, and the data behind them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import date, datetime
from enum import StrEnum
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api import schemas
from gridcast.api.keys import Scope, needs
from gridcast.api.rendering import Rendered
from gridcast.api.routes import DayQuery, DaysQuery, InstantQuery, Site, answers, examples, only
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.answers import compact
from gridcast.pipeline.documents import forecast_csv
from gridcast.pipeline.serving import Stored

CSV, PARQUET = "text/csv; charset=utf-8", "application/vnd.apache.parquet"

Zone = Annotated[str, Path(max_length=64, description="Code of a bidding zone.", examples=["DK_1"])]


class Format(StrEnum):
    """How a forecast is downloaded."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


FormatQuery = Annotated[Format | None, Query(description="Instead of an Accept header; csv and parquet come as files.")]


def router(site: Site) -> APIRouter:
    """The routes below ``/v1/zones``."""
    routes = APIRouter(prefix="/v1/zones", tags=["stored"], dependencies=[Depends(needs(Scope.READ))])
    service = site.service

    async def kept(
        request: Request, make: Callable[[], Rendered], *, key: Hashable, tell: Callable[[], None] | None = None
    ) -> Response:
        moment = site.again.moment()
        rendered = await site.kept.get(key, make, generation=site.state.generation)
        if "if-none-match" not in request.headers:
            site.again.keep(request, rendered, moment=moment, tell=tell)
        if tell is not None:
            tell()
        return rendered.answer(request)

    async def document(request: Request, make: Callable[[], dict[str, Any]], *, key: Hashable) -> Response:
        return await kept(request, lambda: Rendered(compact(make())), key=key)

    @routes.get(
        "", summary="Every zone", responses=answers(schemas.Zones, example=examples.ZONES, zone="/zones/0/zone")
    )
    async def zones(request: Request) -> Response:
        only(request)
        return await document(request, service.zones_document, key="zones")

    @routes.get(
        "/{zone}/forecast",
        summary="The newest stored forecast of a delivery day",
        responses=_downloads(answers(schemas.Forecast, example=examples.FORECAST, zone="/zone")),
    )
    async def forecast(
        request: Request,
        *,
        zone: Zone,
        delivery_day: DayQuery = None,
        format: FormatQuery = None,
    ) -> Response:
        only(request, "delivery_day", "format")
        where, chosen = service.zone(zone), format or _accepted(request)

        def make() -> Rendered:
            return _rendered(site, service.stored(where, day=_date(delivery_day)), chosen)

        key = ("forecast", zone, delivery_day, chosen, _today(where))
        return await kept(request, make, key=key, tell=lambda: site.metrics.read(zone))

    @routes.get(
        "/{zone}/explanation",
        summary="Why a stored forecast is what it is, in megawatts",
        responses=answers(schemas.Explanation, example=examples.EXPLANATION),
    )
    async def explanation(request: Request, *, zone: Zone, delivery_day: DayQuery = None) -> Response:
        only(request, "delivery_day")
        where = service.zone(zone)

        def make() -> dict[str, Any]:
            return service.explanation_document(service.stored(where, day=_date(delivery_day)))

        return await document(request, make, key=("explanation", zone, delivery_day, _today(where)))

    @routes.get(
        "/{zone}/load",
        summary="The newest known load, and the operator's forecast of it",
        responses=answers(schemas.Load, example=examples.LOAD),
    )
    async def load(request: Request, *, zone: Zone, start: InstantQuery = None, end: InstantQuery = None) -> Response:
        only(request, "start", "end")
        where, first, last = service.zone(zone), _at(start), _at(end)

        def make() -> dict[str, Any]:
            return service.load_document(where, start=first, end=last)

        return await document(request, make, key=("load", zone, first, last, site.minute()))

    @routes.get(
        "/{zone}/scores",
        summary="How good the stored forecasts were",
        responses=answers(schemas.Scores, example=examples.SCORES),
    )
    async def scores(request: Request, *, zone: Zone, days: DaysQuery = 28) -> Response:
        only(request, "days")
        where = service.zone(zone)
        key = ("scores", zone, days, site.minute())
        return await document(request, lambda: service.scores_document(where, days=days), key=key)

    @routes.get(
        "/{zone}/drift",
        summary="Whether forecasts have lately become worse",
        responses=answers(schemas.Drift, example=examples.DRIFT),
    )
    async def drift(request: Request, zone: Zone) -> Response:
        only(request)
        where = service.zone(zone)
        return await document(request, lambda: service.drift_document(where), key=("drift", zone, site.minute()))

    @routes.get(
        "/{zone}/quality",
        summary="Which load is due, known and in quarantine",
        responses=answers(schemas.Quality, example=examples.QUALITY),
    )
    async def quality(request: Request, *, zone: Zone, days: DaysQuery = 28) -> Response:
        only(request, "days")
        where = service.zone(zone)
        key = ("quality", zone, days, site.minute())
        return await document(request, lambda: service.quality_document(where, days=days), key=key)

    def _today(where: BiddingZone) -> date:
        return service.clock.now().astimezone(where.market_zone).date()

    return routes


def _downloads(described: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    described[200]["content"] |= {
        CSV.partition(";")[0]: {"schema": {"type": "string"}},
        PARQUET: {"schema": {"type": "string", "format": "binary"}},
    }
    return described


def _accepted(request: Request) -> Format:
    accept = request.headers.get("accept", "")
    if "json" in accept:
        return Format.JSON
    return Format.CSV if "text/csv" in accept else Format.PARQUET if PARQUET in accept else Format.JSON


def _rendered(site: Site, found: Stored, chosen: Format) -> Rendered:
    name = f"gridcast_{found.zone.code}_{found.day}.{chosen}"
    if chosen is Format.CSV:
        return Rendered(forecast_csv(found.table).encode(), CSV, filename=name)
    if chosen is Format.PARQUET:
        buffer = BytesIO()
        found.table.write_parquet(buffer)
        return Rendered(buffer.getvalue(), PARQUET, filename=name)
    return Rendered(compact(site.service.forecast_document(found)))


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
