"""What Energi Data Service makes of a query: records in its format, with another value for every interval."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from gridcast.market.zones import zone
from gridcast.sources.energidata import DATASETS
from gridcast.sources.energidata.datasets import EXCHANGES, PRODUCTION
from gridcast.sources.fetched import Answer
from scripted import answer

HOUR = timedelta(hours=1)
DANISH = ZoneInfo("Europe/Copenhagen")
DK_1 = zone("DK_1")
HOURLY, FIVE_MINUTES, SETTLEMENT = DATASETS
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def stamps(dataset, start: datetime) -> dict[str, str]:
    local = start.astimezone(DANISH).replace(tzinfo=None)
    return {f"{dataset.clock}UTC": f"{start:%Y-%m-%dT%H:%M:%S}", f"{dataset.clock}DK": f"{local:%Y-%m-%dT%H:%M:%S}"}


def mw(start: datetime) -> float:
    """The truth of the tests: another value for every interval."""
    return 2000.0 + (start.timestamp() // 300) % 1009


def hourly(start: datetime, *, version: str = "Final", value: float | None = None, area: str = "DK1") -> dict:
    return {
        **stamps(HOURLY, start),
        "PriceArea": area,
        "Version": version,
        "GrossCon": mw(start) if value is None else value,
    }


def five_minutes(start: datetime, *, area: str = "DK1") -> dict:
    parts = dict.fromkeys((*PRODUCTION, *EXCHANGES), 0.0) | {
        "ProductionGe100MW": mw(start) - 100,
        "ExchangeSweden": 100,
    }
    if area == "DK2":
        parts |= {"ExchangeNetherlands": None, "ExchangeGreatBritain": None, "ExchangeNorway": None}
    return {**stamps(FIVE_MINUTES, start), "PriceArea": area, **parts, "BornholmSE4": 50.0}


def settlement(start: datetime, *, area: str = "DK1") -> dict:
    return {**stamps(SETTLEMENT, start), "PriceArea": area, "GrossConsumptionMWh": mw(start)}


RECORDS = {dataset.name: make for dataset, make in zip(DATASETS, (hourly, five_minutes, settlement), strict=True)}


def document(records: list[dict], dataset=HOURLY, **more) -> dict:
    return {"total": len(records), "sort": "TimeUTC", "dataset": dataset.name, "records": records, **more}


def received(
    body: bytes | dict, dataset=HOURLY, *, area: str = "DK1", start="2026-03-09", end="2026-03-12", at=None, status=200
) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        source="energidata",
        url=f"https://api.energidataservice.dk/dataset/{dataset.name}",
        params={"start": start, "end": end, "filter": f'{{"PriceArea":["{area}"]}}'},
        status=status,
        headers={},
        body=raw,
        fetched_at=at or NOON + timedelta(days=3),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


class Service:
    """What the real service makes of a query: rows whose Danish time lies in [start, end), newest last."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self.first, self.last = first, last

    def __call__(self, request: bytes) -> bytes:
        target = urlsplit(request.split(b" ")[1].decode())
        query = {name: values[0] for name, values in parse_qs(target.query, strict_parsing=True).items()}
        dataset = next(each for each in DATASETS if target.path.endswith(f"/dataset/{each.name}"))
        begin, finish = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        (area,) = json.loads(query["filter"])["PriceArea"]
        assert " " not in query["filter"]
        assert query["limit"] == "0"
        rows, start = [], self.first
        while start < self.last:
            if begin <= start.astimezone(DANISH).replace(tzinfo=None) < finish:
                row = RECORDS[dataset.name](start, area=area)
                rows.append({name: row[name] for name in query["columns"].split(",")})
            start += dataset.resolution
        return answer(body=json.dumps(document(rows, dataset)).encode(), content_type="application/json")
