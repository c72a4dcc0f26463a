"""What the service turns down, as the errors of the house."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from gridcast import errors
from gridcast.errors import BadAnswer, GridcastError, RateLimited, Refused, Unauthorized, Unreachable

SOURCE = "the gridcast service"
TYPE_PREFIX = "urn:gridcast:problem:"

_OURS = ("type", "title", "status", "detail", "remedy")


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


_KINDS: dict[str, type[GridcastError]] = {
    _kebab(kind.__name__): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GridcastError)
}


def error_of(answer: httpx.Response, *, url: str) -> GridcastError:
    """What the service says, as an error of the house."""
    try:
        told = answer.json()
        what, remedy = str(told["detail"]), str(told["remedy"])
        kind = _KINDS.get(str(told["type"]).removeprefix(TYPE_PREFIX))
    except (KeyError, TypeError, ValueError):
        return bad_answer(answer, url=url, fault="no problem+json")
    facts = {name: _fact(value) for name, value in told.items() if name not in (*_OURS, "source", "url", "what")}
    if kind is not None:
        return kind(what, remedy=remedy, **facts, status=answer.status_code)
    about: dict[str, Any] = facts | {"source": SOURCE, "url": url, "status": answer.status_code}
    match answer.status_code:
        case 401 | 403:
            return Unauthorized(what, remedy=remedy, **about)
        case 429:
            wait = timedelta(seconds=float(facts.get("retry_after") or 60))
            return RateLimited(what, remedy=remedy, **about, until=datetime.now(UTC) + wait)
        case 503:
            return Unreachable(what, remedy=remedy, **about, attempts=1)
        case _:
            return Refused(what, remedy=remedy, **about, reason=what)


def _fact(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return date.fromisoformat(value)
    return value


def bad_answer(answer: httpx.Response, *, url: str, fault: str) -> BadAnswer:
    """The error that says that an answer is none."""
    return BadAnswer(
        f"the answer of {url} (status {answer.status_code}) is not what was asked for ({fault})",
        remedy="see that the address is a gridcast service of this version",
        source=SOURCE,
        url=url,
        status=answer.status_code,
        fault=fault,
    )
