"""What Open-Meteo makes of a query: answers in its format, with values that name their run, place and hour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import Answer
from gridcast.sources.openmeteo.models import VARIABLES
from scripted import answer

HOUR = 3600


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def stamps(params: Mapping[str, str]) -> list[int]:
    """The hourly stamps of a query, the last one included."""
    if "start_date" in params:
        return list(range(moment(params["start_date"]), moment(params["end_date"]) + 24 * HOUR, HOUR))
    return list(range(moment(params["start_hour"]), moment(params["end_hour"]) + HOUR, HOUR))


def value(column: str, *, latitude: float, stamp: int, run: str = "") -> float:
    """A plausible value of its own for every column, place, stamp and run."""
    name, _, lead = column.partition("_previous_day")
    seed = latitude + stamp / HOUR % 97 / 10 + float(lead or 0) / 10
    if run:
        seed += moment(run) / HOUR % 89 / 7
    return round(seed % 12 + list(VARIABLES).index(name), 3)


Value = Callable[..., float | None]


def document(params: Mapping[str, str], *, worth: Value = value) -> list | dict:
    """The document that answers a query; its places are a little beside those that were asked for."""
    times = stamps(params)
    columns = params["hourly"].split(",")
    places = []
    for north, east in zip(params["latitude"].split(","), params["longitude"].split(","), strict=True):
        served = {
            column: [worth(column, latitude=float(north), stamp=stamp, run=params.get("run", "")) for stamp in times]
            for column in columns
        }
        places.append(
            {
                "latitude": float(north) + 0.03,
                "longitude": float(east) - 0.04,
                "generationtime_ms": 0.2,
                "utc_offset_seconds": 0,
                "timezone": "GMT",
                "timezone_abbreviation": "GMT",
                "elevation": 12.0,
                "hourly_units": {"time": "unixtime"}
                | {column: VARIABLES[column.partition("_previous_day")[0]].unit for column in columns},
                "hourly": {"time": times} | served,
            }
        )
    return places if len(places) > 1 else places[0]


def mean(zone: BiddingZone, column: str, *, start: datetime, run: str = "") -> float:
    """The zone's weighted mean over the hour from ``start``, worked out by hand."""
    stamp = int(start.timestamp())
    total = 0.0
    for point in zone.weather_points:
        ends = [value(column, latitude=point.latitude, stamp=at, run=run) for at in (stamp, stamp + HOUR)]
        total += point.weight * (ends[1] if "radiation" in column else sum(ends) / 2)
    return total


class Service:
    """Answers every service; ``asked`` are the paths and queries, oldest first.

    Args:
        meta: the document with the update times, or None for a 404.
        refused: runs (``YYYY-MM-DDTHH:MM``) that are not kept.
    """

    def __init__(self, *, meta: dict | None = None, refused: tuple[str, ...] = (), worth: Value = value) -> None:
        self.meta = meta
        self.refused = refused
        self.worth = worth
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, request: bytes) -> bytes:
        target = urlsplit(request.split(b" ")[1].decode())
        params = dict(parse_qsl(target.query, strict_parsing=True))
        self.asked.append((target.path, params))
        if target.path.endswith("meta.json"):
            return answer(404, b"{}") if self.meta is None else answer(body=json.dumps(self.meta).encode())
        if params.get("run") in self.refused:
            reason = f"The requested model run is not available. Model: {params['models']}, run: {params['run']}"
            return answer(400, json.dumps({"error": True, "reason": reason}).encode())
        return answer(body=json.dumps(document(params, worth=self.worth)).encode(), content_type="application/json")

    def weather(self) -> list[tuple[str, dict[str, str]]]:
        """What was asked beside update times."""
        return [(path, params) for path, params in self.asked if not path.endswith("meta.json")]


def update_times(available: datetime, *, initialised: datetime | None = None, every: int = 6 * HOUR) -> dict:
    """A model's ``meta.json``."""
    initialised = initialised or available - timedelta(hours=6)
    return {
        "last_run_initialisation_time": int(initialised.timestamp()),
        "last_run_modification_time": int(available.timestamp()) - 60,
        "last_run_availability_time": int(available.timestamp()),
        "update_interval_seconds": every,
        "temporal_resolution_seconds": HOUR,
    }


def received(body: bytes, params: Mapping[str, str], *, at: datetime, path: str = "v1/forecast") -> Answer:
    """An answer as the wire hands it over."""
    return Answer(
        source="openmeteo",
        url=f"https://api.open-meteo.com/{path}",
        params=dict(params),
        status=200,
        headers={},
        body=body,
        fetched_at=at,
        sha256=hashlib.sha256(body).hexdigest(),
    )
