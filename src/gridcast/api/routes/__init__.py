"""The routes, a file a subject; each is handed the `Site` it answers for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator
from starlette.requests import Request

from gridcast.api import schemas
from gridcast.api.limits import Slots
from gridcast.api.metrics import Metrics
from gridcast.api.noting import Notes
from gridcast.api.problems import MEDIA_TYPE, Problem
from gridcast.api.rendering import Again, Kept
from gridcast.api.state import Current, State
from gridcast.pipeline.serving import Service

OF_A_ZONE = ("forecast", "explanation", "load", "scores", "drift", "quality")
"""Names of the operations below ``/v1/zones/{zone}``."""
PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is refused; `remedy` says what to do.", **PROBLEM},
    "5XX": {"description": "The server cannot answer now.", **PROBLEM},
}


@dataclass(frozen=True)
class Site:
    """What the routes of one worker share."""

    service: Service
    current: Current
    kept: Kept
    again: Again
    notes: Notes
    metrics: Metrics
    computing: Slots
    predicting: Slots

    @property
    def state(self) -> State:
        """The state of the moment: take it once a request."""
        return self.current.state

    def minute(self) -> int:
        """Part of the key of an answer that also the time changes."""
        return int(self.service.clock.now().timestamp()) // 60


def answers(
    model: type[schemas.Answer], *, example: object, description: str = "", zone: str = ""
) -> dict[int | str, dict[str, Any]]:
    """What a route answers, for OpenAPI; ``zone`` points to where the answer names one, of which more can be asked."""
    own = {
        "model": model,
        "description": description or (model.__doc__ or "").strip(),
        "content": {"application/json": {"example": example}},
    }
    if zone:
        parameters = {"zone": f"$response.body#{zone}"}
        own["links"] = {name: {"operationId": name, "parameters": parameters} for name in OF_A_ZONE}
    return {200: own, **REFUSALS}


def only(request: Request, *names: str) -> None:
    """Refuse a query with parameters that mean nothing here, or one of ours twice: a slip would pass for the default.

    Raises:
        Problem: 422.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    strange = sorted(set(given) - set(names))
    if strange or len(given) > len(set(given)):
        raise Problem(
            f"the query has {', '.join(strange)[:200]}" if strange else "the query has a parameter twice",
            remedy=f"it takes {', '.join(names)}, once each" if names else "send none",
            status=422,
            title="Unknown parameter" if strange else "Repeated parameter",
        )


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


def _instant(text: str) -> str:
    datetime.fromisoformat(text)
    return text


DayQuery = Annotated[
    str | None,
    AfterValidator(lambda text: text if text is None else _day(text)),
    Query(pattern=schemas.DAY, description="Market-local, YYYY-MM-DD.", examples=["2026-11-24"]),
]
InstantQuery = Annotated[
    str | None,
    AfterValidator(lambda text: text if text is None else _instant(text)),
    Query(pattern=schemas.INSTANT, description="ISO 8601 with offset.", examples=["2026-11-23T00:00:00Z"]),
]
DaysQuery = Annotated[int, Query(ge=1, le=366, description="How many days back.")]
