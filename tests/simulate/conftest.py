"""A client that hides nothing of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

from gridcast.simulate import VirtualClock

TOKEN = "0e1d2c3b-4a59-4687-9000-feedfacecafe"


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


def fetch(url, path, *, params=None, headers=None, body=None):
    """One request over a connection of its own."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    query = f"?{urlencode(params)}" if params else ""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    try:
        connection.request("POST" if body is not None else "GET", path + query, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="session")
def get():
    return fetch


@pytest.fixture(scope="session")
def load():
    """Asks for the load of a zone from one instant to another, as ENTSO-E wants it asked."""

    def ask(url, *, eic="10YDK-1--------W", begin, end, process="A16", token=TOKEN, **more):
        params = {
            "documentType": "A65",
            "processType": process,
            "outBiddingZone_Domain": eic,
            "periodStart": f"{begin:%Y%m%d%H%M}",
            "periodEnd": f"{end:%Y%m%d%H%M}",
            **more,
        }
        return fetch(url, "/entsoe/api", params=params, headers={"SECURITY_TOKEN": token})

    return ask


@pytest.fixture
def clock():
    """A Tuesday morning in November 2025, 10:30 in Denmark."""
    return VirtualClock(datetime(2025, 11, 18, 9, 30, tzinfo=UTC))
