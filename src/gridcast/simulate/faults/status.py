"""Faults in the status, or in what stands beside it: another answer than the one that was meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

from gridcast.simulate.exchange import HTML, TEXT, Ask, Reply
from gridcast.simulate.faults.catalogue import PROVIDERS, add, described

Turn = Callable[[Reply, Ask], Reply]


def _status(turn: Turn) -> Turn:
    name, sentence = described(turn)
    add(name, sentence, layer="status", spoil=turn)
    return turn


def _page(status: int, title: str, *headers: tuple[str, str]) -> Reply:
    return Reply(
        status, f"<html><head><title>{title}</title></head><body>{title}</body></html>".encode(), HTML, headers
    )


def _plain(status: int, title: str) -> Turn:
    return lambda _reply, _ask: _page(status, f"{status} {title}")


for _code, _title in {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    520: "Unknown Error",
}.items():
    add(f"status-{_code}", f"Status {_code} with a page of HTML.", layer="status", spoil=_plain(_code, _title))


@_status
def limited_with_retry_after(_reply: Reply, _ask: Ask) -> Reply:
    """Status 429 with Retry-After: 2 seconds."""
    return _page(429, "Too Many Requests", ("Retry-After", "2"))


@_status
def limited_with_absurd_retry_after(_reply: Reply, _ask: Ask) -> Reply:
    """Status 429 with Retry-After: three years."""
    return _page(429, "Too Many Requests", ("Retry-After", "99999999"))


@_status
def limited_with_garbled_retry_after(_reply: Reply, _ask: Ask) -> Reply:
    """Status 429 with a Retry-After that is neither a number nor a date."""
    return _page(429, "Too Many Requests", ("Retry-After", "soon"))


@_status
def limited_with_negative_retry_after(_reply: Reply, _ask: Ask) -> Reply:
    """Status 429 with a negative Retry-After."""
    return _page(429, "Too Many Requests", ("Retry-After", "-60"))


@_status
def unavailable_with_retry_after(_reply: Reply, _ask: Ask) -> Reply:
    """Status 503 with Retry-After: 2 seconds."""
    return _page(503, "Service Unavailable", ("Retry-After", "2"))


@_status
def unavailable_with_retry_date(_reply: Reply, ask: Ask) -> Reply:
    """Status 503 with a Retry-After that is a date, three seconds ahead."""
    date = format_datetime(ask.at + timedelta(seconds=3), usegmt=True)
    return _page(503, "Service Unavailable", ("Retry-After", date))


@_status
def maintenance(_reply: Reply, _ask: Ask) -> Reply:
    """Status 503: scheduled maintenance."""
    return _page(503, "Service Temporarily Unavailable: Scheduled maintenance")


@_status
def page_not_found(_reply: Reply, _ask: Ask) -> Reply:
    """Status 404 in plain text, as during a migration."""
    return Reply(404, b"404 page not found\n", TEXT)


@_status
def redirect_elsewhere(_reply: Reply, ask: Ask) -> Reply:
    """A redirect to another host."""
    return _page(302, "Found", ("Location", f"http://127.0.0.2:9{ask.path}"))


@_status
def redirect_to_itself(_reply: Reply, ask: Ask) -> Reply:
    """A permanent redirect to the same path, round and round."""
    return _page(308, "Permanent Redirect", ("Location", ask.path))


@_status
def no_content(reply: Reply, _ask: Ask) -> Reply:
    """Status 204, and so no body."""
    return replace(reply, status=204, body=b"", kind="")


@_status
def partial_content(reply: Reply, _ask: Ask) -> Reply:
    """Status 206: the first half of the body."""
    half = reply.body[: len(reply.body) // 2]
    span = f"bytes 0-{max(len(half) - 1, 0)}/{len(reply.body)}"
    return replace(reply, status=206, body=half, headers=(*reply.headers, ("Content-Range", span)))


@_status
def not_modified(reply: Reply, _ask: Ask) -> Reply:
    """Status 304, though nobody asked whether it was."""
    return replace(reply, status=304, body=b"", kind="")


@_status
def html_page(_reply: Reply, _ask: Ask) -> Reply:
    """Status 200 with a page of HTML."""
    return _page(200, "Welcome")


@_status
def empty_answer(reply: Reply, _ask: Ask) -> Reply:
    """Status 200 with nothing."""
    return replace(reply, body=b"")


@_status
def banned(_reply: Reply, ask: Ask) -> Reply:
    """Status 429: the requester is banned for ten minutes, says a page of HTML."""
    until = (ask.at + timedelta(minutes=10)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Reply(429, f"<html><body><p>Requester banned until '{until}'.</p></body></html>".encode(), HTML)


@_status
def limit_reached(_reply: Reply, _ask: Ask) -> Reply:
    """Status 429 in the words of the old ENTSO-E service, which say nothing of how long."""
    return Reply(429, b"Max allowed requests per minute from each unique IP is max up to 400 only", TEXT)


add(
    "overloaded",
    "Status 503 in JSON.",
    layer="status",
    providers=PROVIDERS[1:],
    spoil=lambda _reply, _ask: Reply(503, b'{"error":true,"reason":"The service is overloaded"}', "application/json"),
)
