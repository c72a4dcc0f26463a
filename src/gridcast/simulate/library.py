"""ENTSO-E's File Library: a month of every area as tab-separated text in a ZIP, with the time of each row's update."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import polars as pl

from gridcast.market.zones import BiddingZone, zones
from gridcast.simulate.exchange import Ask, Reply, json_reply
from gridcast.simulate.world import MINUTE, World

CLIENT = "tp-fms-public"
TOKEN_SECONDS = 300
FOLDERS = {
    "ActualTotalLoad_6.1.A_r3": ("ActualTotalLoad_6.1.A_r3", "load"),
    "DayAheadTotalLoadForecast_6.1.B_r3": ("DayAheadTotalLoadForecast_6.1.B_r3", "forecast"),
}
_TOP = "TP_export"


class Library:
    """Answers ``/entsoe/login`` and ``/entsoe/files/...``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lock = threading.Lock()
        self._tokens: dict[str, datetime] = {}
        self._text: Callable[..., bytes] = lru_cache(maxsize=2)(self._written)

    def login(self, ask: Ask) -> Reply:
        """A token that lasts five minutes, for any name and password."""
        form = {name: values[-1] for name, values in parse_qs(ask.body.decode("utf-8", "replace")).items()}
        if ask.method != "POST" or form.get("client_id") != CLIENT or form.get("grant_type") != "password":
            return json_reply({"error": "invalid_client", "error_description": "Invalid client"}, status=400)
        if not form.get("username") or not form.get("password"):
            words = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
            return json_reply(words, status=401)
        with self._lock:
            token = uuid5(NAMESPACE_URL, f"{ask.at}{len(self._tokens)}").hex
            self._tokens[token] = ask.at + timedelta(seconds=TOKEN_SECONDS)
        return json_reply({"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"})

    def answer(self, ask: Ask) -> Reply:
        """A folder's list or a file."""
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        with self._lock:
            valid = self._tokens.get(token, ask.at) > ask.at
        if not valid:
            return json_reply({"error": "invalid_token"}, status=401)
        try:
            words = json.loads(ask.body)
        except ValueError:
            words = None
        action = ask.path.rpartition("/")[2]
        if ask.method != "POST" or not isinstance(words, dict) or action not in ("listFolder", "downloadFileContent"):
            return json_reply({"error": "Bad Request"}, status=400)
        return self._list(words, ask) if action == "listFolder" else self._download(words, ask)

    def _list(self, words: dict[str, object], ask: Ask) -> Reply:
        folder = _folder(words.get("path"))
        if folder is None:
            return json_reply({"error": "Folder not found"}, status=404)
        months = self._months(ask.at)
        page = words.get("pageInfo")
        page = page if isinstance(page, dict) else {}
        size, index = (page.get(name, default) for name, default in (("pageSize", 5000), ("pageIndex", 0)))
        if not isinstance(size, int) or not isinstance(index, int):
            return json_reply({"error": "Bad Request"}, status=400)
        items = [
            {
                "name": _file(month, folder),
                "fileId": _file_id(month, folder),
                "lastUpdatedTimestamp": ask.at.isoformat(),
                "periodCovered": {"from": month.isoformat(), "to": _next(month).isoformat()},
            }
            for month in months[index * size : (index + 1) * size]
        ]
        return json_reply({"contentItemList": items, "totalCount": len(months)})

    def _download(self, words: dict[str, object], ask: Ask) -> Reply:
        months: dict[object, tuple[datetime, str]] = {}
        for folder in FOLDERS:
            for month in self._months(ask.at):
                months[_file_id(month, folder)] = (month, folder)
                months[f"/{_TOP}/{folder}/", _file(month, folder)] = (month, folder)
        wanted = words.get("fileIdList") or [(f"{str(words.get('folder')).rstrip('/')}/", words.get("filename"))]
        if not isinstance(wanted, list) or any(name not in months for name in wanted):
            return json_reply({"error": "File not found"}, status=404)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name in wanted:
                month, folder = months[name]
                text = self._text(month, folder, now=ask.at)
                archive.writestr(zipfile.ZipInfo(_file(month, folder)), text, zipfile.ZIP_DEFLATED, 1)
        if words.get("downloadAsZip", True) is False and len(wanted) == 1:
            return Reply(200, self._text(*months[wanted[0]], now=ask.at), "text/csv")
        return Reply(200, packed.getvalue(), "application/zip")

    def _months(self, now: datetime) -> list[datetime]:
        """The first instant of every month there is a file of."""
        month, found = self.world.begins.replace(day=1, hour=0, minute=0, second=0, microsecond=0), []
        while month <= now + timedelta(days=1):
            found.append(month)
            month = _next(month)
        return found

    def _written(self, month: datetime, folder: str, *, now: datetime) -> bytes:
        """A file's text, with a byte order mark."""
        kind = FOLDERS[folder][1]
        frames = []
        for zone in zones().values():
            if not zone.eic or not self.world.serves(zone):
                continue
            series = self.world.load if kind == "load" else self.world.forecast
            strip = series(zone, begin=month, end=_next(month))
            shown = strip.as_of(now)
            here = np.isfinite(shown)
            frame = pl.DataFrame(
                {
                    "DateTime(UTC)": strip.start[here],
                    "minutes": (strip.resolution[here] // MINUTE).astype(np.int64),
                    "TotalLoad[MW]": shown[here],
                    "UpdateTime(UTC)": strip.updated_at(now)[here],
                }
            )
            frames += [_area(frame, zone, kind=kind) for kind in _area_types(zone)]
        text = pl.concat(frames).write_csv(separator="\t", float_precision=2)
        return b"\xef\xbb\xbf" + text.encode()


def _area(frame: pl.DataFrame, zone: BiddingZone, *, kind: str) -> pl.DataFrame:
    stamps = pl.col("DateTime(UTC)", "UpdateTime(UTC)").dt.strftime("%Y-%m-%d %H:%M:%S")
    short = zone.code.replace("_", "")
    return frame.with_columns(
        stamps,
        ResolutionCode=pl.format("PT{}M", "minutes"),
        AreaCode=pl.lit(zone.eic),
        AreaDisplayName=pl.lit(short),
        AreaTypeCode=pl.lit(kind),
        AreaMapCode=pl.lit(short),
    ).select(
        *("DateTime(UTC)", "ResolutionCode", "AreaCode", "AreaDisplayName", "AreaTypeCode", "AreaMapCode"),
        *("TotalLoad[MW]", "UpdateTime(UTC)"),
    )


def _area_types(zone: BiddingZone) -> tuple[str, ...]:
    """A country that is one zone stands in the file as zone, country and control area."""
    if zone.members:
        return ("CTY",)
    return ("BZN",) if "_" in zone.code else ("BZN", "CTY", "CTA")


def _folder(path: object) -> str | None:
    parts = str(path).strip("/").split("/")
    return parts[1] if len(parts) == 2 and parts[0] == _TOP and parts[1] in FOLDERS else None


def _file(month: datetime, folder: str) -> str:
    return f"{month:%Y_%m}_{FOLDERS[folder][0]}.csv"


def _file_id(month: datetime, folder: str) -> str:
    return str(uuid5(NAMESPACE_URL, _file(month, folder)))


def _next(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
