"""Which models forecast."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api import schemas
from gridcast.api.keys import Scope, needs
from gridcast.api.rendering import Rendered
from gridcast.api.routes import Site, answers, examples, only
from gridcast.errors import ModelNotFound
from gridcast.pipeline.answers import compact


def router(site: Site) -> APIRouter:
    """The routes below ``/v1/models``."""
    routes = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(needs(Scope.READ))])

    @routes.get(
        "/champion", summary="The model card of a champion", responses=answers(schemas.Card, example=examples.CARD)
    )
    async def champion(
        request: Request,
        zone: Annotated[str, Query(max_length=64, description="Code of a bidding zone.", examples=["DK_1"])],
    ) -> Response:
        only(request, "zone")
        where, state = site.service.zone(zone), site.state
        found = state.champions.get(where.code)
        if found is None:
            raise ModelNotFound(
                f"{zone} has no trained model", remedy=f"gridcast train --zone {zone}", zone=zone, version=None
            )
        return Rendered(compact(site.service.card_document(found))).answer(request)

    return routes
