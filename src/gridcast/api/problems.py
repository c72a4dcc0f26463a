"""Answers that say no: ``application/problem+json`` (RFC 9457), with what to do about it.

Every such answer has ``type``, ``title``, ``status``, ``detail``, ``remedy`` and ``request_id``; the facts of the error
stand beside them. What is the server's own trouble is told without inner words: those are in the log.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from gridcast import errors
from gridcast.api import logs
from gridcast.errors import GridcastError

if TYPE_CHECKING:
    from fastapi import FastAPI

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:gridcast:problem:"

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request at hand, set by the guard."""

_LONGEST_TEXT = 500
_MOST_ITEMS = 20
_DEEPEST = 4
_OURS = frozenset({"type", "title", "status", "detail", "remedy", "request_id"})
INNER = frozenset({"path", "file", "url", "where", "sha256"})
"""Facts that name places of the server's own."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(GridcastError):
    """A request that is turned down before a route could answer it.

    Args:
        what: what is wrong with the request.
        remedy: what to do about it.
        status: the answer's status.
        title: a few words, the same for every problem of the kind.
        headers: the answer's own headers, such as ``Retry-After``.
        **facts: the values behind the sentence.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str,
        status: int,
        title: str,
        headers: Mapping[str, str] | None = None,
        **facts: object,
    ) -> None:
        super().__init__(what, remedy=remedy, **facts)
        self.status = status
        self.title = title
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[object, ...]:
        made = partial(
            Problem,
            remedy=self.remedy,
            status=self.status,
            title=self.title,
            headers=self.headers,
            **cast(dict[str, Any], self.facts),
        )
        return (made, (self.what,))

    def answer(self) -> Response:
        """The problem as an answer."""
        return problem(
            self.status, title=self.title, detail=self.what, remedy=self.remedy, headers=self.headers, **self.facts
        )


def problem(
    status: int,
    *,
    title: str,
    detail: str,
    remedy: str,
    headers: Mapping[str, str] | None = None,
    **facts: object,
) -> Response:
    """An answer that says no.

    Args:
        status: 4xx or 5xx.
        title: a few words, the same for every problem of the kind; ``type`` is made of it.
        detail: what is wrong this time.
        remedy: what to do about it.
        headers: further headers.
        **facts: the values behind ``detail``; what JSON cannot say is left empty, and long ones are cut.

    >>> answer = problem(404, title="Unknown zone", detail="there is no zone 'DK_9'", remedy="ask for DK_1")
    >>> answer.media_type, json.loads(answer.body)["type"]
    ('application/problem+json', 'urn:gridcast:problem:unknown-zone')
    """
    content = {
        "type": TYPE_PREFIX + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"),
        "title": title,
        "status": status,
        "detail": _plain(detail),
        "remedy": _plain(remedy),
        "request_id": request_id.get(),
    } | {name: _plain(value) for name, value in facts.items() if name not in _OURS}
    body = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(body, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of(error: GridcastError, *, method: str = "POST") -> Response:
    """The answer to an error of the house.

    A period or day that does not exist is 404 where it was to be read (``GET``) and 422 where it was to be computed.
    """
    if isinstance(error, Problem):
        return error.answer()
    title = _words(type(error).__name__)
    facts = {name: value for name, value in error.facts.items() if name not in INNER}
    status = _status(error, reading=method in ("GET", "HEAD"))
    if status == 500:
        return unexpected()
    if status == 503:
        logs.LOGGER.error({"event": "unable", "request_id": request_id.get(), "why": str(error)[:_LONGEST_TEXT]})
        return problem(
            503,
            title=title,
            detail="the server cannot answer this just now",
            remedy="try again later; GET /ready says what is missing",
            headers={"Retry-After": "5"},
        )
    remedy = error.remedy
    if isinstance(error, errors.UnknownZone) and not error.facts.get("nearest"):
        remedy = "GET /v1/zones lists them"
    return problem(status, title=title, detail=error.what, remedy=remedy, headers=None, **_renamed(facts))


def install(app: FastAPI) -> None:
    """Make the app answer every error as a problem."""
    from fastapi.exceptions import RequestValidationError

    app.add_exception_handler(GridcastError, _of_the_house)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _of_starlette)
    app.add_exception_handler(Exception, _of_anything)


def invalid(found: Sequence[Mapping[str, Any]], *, where: str) -> Problem:
    """The problem with values that break the schema; the values themselves are not repeated.

    Args:
        found: what Pydantic found: ``loc`` and ``msg`` of each error.
        where: ``body``, ``query`` or ``path``, for errors that do not say so themselves.
    """
    places = [
        {"where": ".".join(str(part) for part in error["loc"]) or where, "what": error["msg"]}
        for error in found[:_MOST_ITEMS]
    ]
    first = places[0]
    return Problem(
        f"{first['where'][:100]}: {first['what']}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
        remedy="send what GET /openapi.json describes",
        status=422,
        title="Invalid request",
        errors=places,
        n_errors=len(found),
    )


def _status(error: GridcastError, *, reading: bool) -> int:
    match error:
        case errors.UnknownZone() | errors.UnknownModel():
            return 404
        case errors.NotForecastable() | errors.OutsideData() | errors.ModelNotFound():
            return 404 if reading else 422
        case errors.MissingExtra() | errors.OutputExists() | errors.LookaheadError():
            return 500
        case errors.ConfigError() | errors.DataError():
            return 422
        case errors.StoreError() | errors.RegistryError() | errors.SourceError():
            return 503
        case _:
            return 500


async def _of_the_house(request: Request, error: Exception) -> Response:
    return of(cast(GridcastError, error), method=request.method)


async def _invalid_request(_: Request, error: Exception) -> Response:
    from fastapi.exceptions import RequestValidationError

    return invalid(cast(RequestValidationError, error).errors(), where="request").answer()


async def _of_starlette(request: Request, error: Exception) -> Response:
    found = cast(HTTPException, error)
    headers = dict(found.headers or {})
    if found.status_code == 404:
        return problem(
            404,
            title="Not found",
            detail=f"there is nothing at {request.scope['path'][:200]}",
            remedy="GET /openapi.json lists what there is",
            headers=headers,
        )
    if found.status_code == 405:
        allowed = _allowed(request)
        return problem(
            405,
            title="Method not allowed",
            detail=f"{request.method} is not for {request.scope['path'][:200]}",
            remedy=f"use {' or '.join(allowed)}",
            headers=headers | {"Allow": ", ".join(allowed)},
            allow=allowed,
        )
    if found.status_code >= 500:
        return unexpected()
    return problem(
        found.status_code,
        title="Bad request",
        detail=str(found.detail),
        remedy="send what GET /openapi.json describes",
        headers=headers,
    )


async def _of_anything(_: Request, __: Exception) -> Response:
    return unexpected()


def unexpected() -> Response:
    """The answer to an error that nobody foresaw: 500, without inner words."""
    return problem(
        500,
        title="Internal error",
        detail="the server failed in a way nobody foresaw",
        remedy="report it with the request_id; the server's log has the rest",
    )


def _allowed(request: Request) -> list[str]:
    """The methods that some route takes for this path."""
    routes = request.app.routes

    def served(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    found = [method for method in _METHODS if served(method)]
    # A mounted folder matches every method, or none any more, and turns down all but these two itself.
    return found if found and request.method not in found else ["GET", "HEAD"]


def _renamed(facts: Mapping[str, object]) -> dict[str, Any]:
    """Facts under names that are free in a problem."""
    return {f"{name}_" if name in _OURS or name == "headers" else name: value for name, value in facts.items()}


def _words(name: str) -> str:
    """An error's name as a title.

    >>> _words("TooLittleHistory")
    'Too little history'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()


def _text(value: str, longest: int) -> str:
    return value[:longest].encode("utf-8", "replace").decode("utf-8")


def _plain(value: object, *, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """A fact as JSON can say it: finite, bounded, and text that UTF-8 can carry."""
    plain: Any
    match value:
        case None | bool():
            plain = value
        case str():
            plain = _text(value, _LONGEST_TEXT)
        case int():
            plain = value if abs(value) < 2**53 else None
        case float():
            plain = value if math.isfinite(value) else None
        case datetime():
            plain = value.isoformat().replace("+00:00", "Z")
        case date():
            plain = value.isoformat()
        case timedelta():
            plain = value.total_seconds()
        case Mapping() if depth < _DEEPEST:
            plain = {_text(str(key), 100): _plain(value[key], depth=depth + 1) for key in list(value)[:_MOST_ITEMS]}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            plain = [_plain(each, depth=depth + 1) for each in list(value)[:_MOST_ITEMS]]
        case _:
            plain = _plain(str(value))
    return plain
