"""One request and one answer, as every simulated provider sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

JSON = "application/json; charset=utf-8"
XML = "text/xml"
HTML = "text/html"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Ask:
    """A request: header names in lower case, ``peer`` the client's address, ``at`` the simulated instant."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str
    at: datetime


@dataclass(frozen=True)
class Reply:
    """An answer before it is put on the wire."""

    status: int
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()

    def head(self, at: datetime, *, length: int | None) -> bytes:
        """Status line and headers; without a ``Content-Length`` where ``length`` is None."""
        known = self.status in HTTPStatus.__members__.values()
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase if known else 'Unknown'}"]
        lines.append(f"Date: {format_datetime(at.astimezone(UTC), usegmt=True)}")
        if self.kind:
            lines.append(f"Content-Type: {self.kind}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def wire(self, at: datetime) -> bytes:
        """The whole answer as bytes."""
        return self.head(at, length=len(self.body)) + self.body


def json_reply(value: object, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON answer, compact and with its letters as they are."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, JSON, headers)
