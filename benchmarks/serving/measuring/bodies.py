"""What is posted: a history of the server's own load, and its own example of a window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

Get = Callable[[str], dict[str, Any]]

ZONE = "DK_1"
_DAY = timedelta(days=1)
_PIECE = 31
"""Days of load that are given at once."""


def history(get: Get, *, days: int) -> dict[str, Any]:
    """The newest ``days`` days of `ZONE`'s load, known when the last of them had ended.

    Args:
        get: gives the document of a path.
        days: of load.
    """
    intervals = _newest_load(get, days=days + 2)
    first, second = (datetime.fromisoformat(each["valid_time"]) for each in intervals[:2])
    chosen = intervals[-days * int(_DAY / (second - first)) :]
    known = datetime.fromisoformat(chosen[-1]["valid_time"]) + (second - first)
    cells = [{"valid_time": each["valid_time"], "value": each["load"]} for each in chosen]
    return {"zone": ZONE, "issue_time": _stamp(known), "load": cells}


def window(get: Get) -> dict[str, Any]:
    """The window that the server's own description shows."""
    operation = get("/openapi.json")["paths"]["/predict"]["post"]
    found: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["example"]
    return found


def _newest_load(get: Get, *, days: int) -> list[dict[str, Any]]:
    (zone,) = (each for each in get("/v1/zones")["zones"] if each["zone"] == ZONE)
    newest = date.fromisoformat(zone["last_day"])
    end = datetime(newest.year, newest.month, newest.day, tzinfo=UTC) + 2 * _DAY
    start, found = end - (days + 2) * _DAY, []
    while start < end:
        until = min(end, start + _PIECE * _DAY)
        path = f"/v1/zones/{ZONE}/load?start={_stamp(start)}&end={_stamp(until)}"
        found += [each for each in get(path)["intervals"] if each["load"] is not None]
        start = until
    return found


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
