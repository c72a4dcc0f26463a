"""ENTSO-E's File Library: the same data as files of a month, with the time of each row's last update.

The library stayed up while the web service was down for weeks in September 2026. Source of its interface: entsoe-py
and the File Library guide of ENTSO-E's help centre.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadAnswer, ConfigError, SourceError, Unauthorized
from gridcast.market.zones import BiddingZone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.entsoe.account import Part, asked_for, handed_on, serves
from gridcast.sources.entsoe.markup import bad
from gridcast.sources.entsoe.monthly import rows, table
from gridcast.sources.fetched import Answer, Clock, Fetched
from gridcast.sources.oneline import one_line
from gridcast.sources.publication import LOAD_LAG
from gridcast.sources.wire import Limit, Permit, Wire

if TYPE_CHECKING:
    from pydantic import SecretStr

PERMIT = Permit("entsoe-files", (Limit(60, 60, burst=10),))
"""No limit is published; files are large."""

TOP = "TP_export"
FOLDERS = {LOAD: "ActualTotalLoad_6.1.A_r3", TSO_FORECAST: "DayAheadTotalLoadForecast_6.1.B_r3"}
CLIENT_ID = "tp-fms-public"
PAGE = 5000
MOST_PAGES = 20
EARLY = timedelta(seconds=30)
"""A token is renewed so long before it expires."""
EDGE = timedelta(hours=3)
"""Months may be cut by a local clock: the neighbour's file is looked at where the period comes so near."""


class EntsoeFiles:
    """The File Library as a source. Rows are of source ``entsoe:files``; publication is `reported`: the last update.

    A value that was updated after an issue time proves that the value before is lost, not that there was none.

    Args:
        wire: asks the provider ``entsoe-files``.
        endpoints: where it is.
        clock: tells what is due, and when the login expires.
        user: the account's name at ENTSO-E.
        password: its password.
        lag: how long after an interval's end its load is expected, and assumed public where no update is reported.
    """

    name = "entsoe-files"
    source = "entsoe:files"
    variables: tuple[str, ...] = (LOAD, TSO_FORECAST)
    offers = variables

    def __init__(
        self,
        wire: Wire,
        *,
        endpoints: Endpoints,
        clock: Clock,
        user: str,
        password: SecretStr,
        lag: timedelta = LOAD_LAG,
    ) -> None:
        self._wire = wire
        self._endpoints = endpoints
        self._clock = clock
        self._user = user
        self._password = password
        self._lag = lag
        self._login: tuple[SecretStr, datetime] | None = None

    def fetch(
        self, zone: BiddingZone, *, start: datetime, end: datetime, variables: Sequence[str] | None = None
    ) -> Fetched:
        """What the library has of the zone's intervals that start from ``start`` to ``end`` (exclusive), UTC.

        A month that has no file (yet) brings nothing, and a note.

        Raises:
            SourceError: there was no usable answer.
            ConfigError: the zone or a variable is not served.
        """
        wanted = asked_for(zone, source=self.name, start=start, end=end, variables=variables)
        parts: list[Part] = []
        notes: list[str] = []
        for name in wanted:
            files = self._files(FOLDERS[name])
            for month in _months(start - EDGE, end + EDGE):
                filename = f"{month}_{FOLDERS[name]}.csv"
                if filename in files:
                    answer = self._post("downloadFileContent", _download(FOLDERS[name], filename), keep=True)
                    parts.append(_part(answer, zone=zone, name=name, what=filename))
                elif month in _months(start, end):
                    notes.append(f"The File Library has no file {filename}.")
        fetched = handed_on(
            parts,
            zone=zone,
            source=self.source,
            variables=wanted,
            start=start,
            end=end,
            now=self._clock.now(),
            lag=self._lag,
        )
        return Fetched(fetched.observations, fetched.due, fetched.doubtful, fetched.answers, (*fetched.notes, *notes))

    def read(self, answer: Answer, *, zone: BiddingZone) -> Fetched:
        """What a kept file says of the zone, over the whole month.

        Raises:
            SourceError: nothing that can be used.
            ConfigError: it is not a file of a month.
        """
        serves(zone, source=self.name)
        name, filename = _requested(answer)
        part = _part(answer, zone=zone, name=name, what=filename)
        year, month = int(filename[:4]), int(filename[5:7])
        start = datetime(year, month, 1, tzinfo=UTC)
        return handed_on(
            [part],
            zone=zone,
            source=self.source,
            variables=[name],
            start=start,
            end=_next_month(start),
            now=answer.fetched_at,
            lag=self._lag,
        )

    def _files(self, folder: str) -> set[str]:
        """The names of the files in a folder, page by page."""
        names: set[str] = set()
        for page in range(MOST_PAGES):
            answer = self._post("listFolder", _listing(folder, page), keep=False)
            listed = _items(answer)
            fresh = set(listed) - names
            names |= fresh
            if len(listed) < PAGE or not fresh:
                return names
        raise bad("listing", f"the folder {folder} has more than {MOST_PAGES * PAGE} files")

    def _post(self, what: str, document: dict[str, object], *, keep: bool) -> Answer:
        url = f"{self._endpoints.entsoe_files}/{what}"
        headers = self._bearer()
        try:
            return self._wire.post(url, permit=PERMIT, json=document, headers=headers, keep=keep)
        except Unauthorized:
            self._login = None
        return self._wire.post(url, permit=PERMIT, json=document, headers=self._bearer(), keep=keep)

    def _bearer(self) -> dict[str, str | SecretStr]:
        from pydantic import SecretStr

        if self._login is None or self._clock.now() >= self._login[1]:
            self._login = self._logged_in()
        return {"Authorization": SecretStr(f"Bearer {self._login[0].get_secret_value()}")}

    def _logged_in(self) -> tuple[SecretStr, datetime]:
        from pydantic import SecretStr

        form: dict[str, str | SecretStr] = {
            "client_id": CLIENT_ID,
            "grant_type": "password",
            "username": SecretStr(self._user),
            "password": self._password,
        }
        answer = self._wire.post(self._endpoints.entsoe_login, permit=PERMIT, form=form, keep=False)
        token, seconds, wrong = _session(answer)
        if wrong:
            raise bad("not json" if "JSON" in wrong else "login", wrong)
        return SecretStr(token), answer.fetched_at + timedelta(seconds=seconds) - EARLY


def _listing(folder: str, page: int) -> dict[str, object]:
    return {
        "path": f"/{TOP}/{folder}/",
        "sorterList": [{"key": "periodCovered.from", "ascending": True}],
        "pageInfo": {"pageIndex": page, "pageSize": PAGE},
    }


def _download(folder: str, filename: str) -> dict[str, object]:
    return {
        "folder": f"/{TOP}/{folder}/",
        "filename": filename,
        "downloadAsZip": True,
        "topLevelFolder": TOP,
    }


def _items(answer: Answer) -> list[str]:
    items = _json(answer).get("contentItemList")
    if not isinstance(items, list):
        raise bad("listing", "the answer has no contentItemList")
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if not all(isinstance(name, str) for name in names):
        raise bad("listing", "an item of the folder has no name")
    return [str(name) for name in names]


def _session(answer: Answer) -> tuple[str, float, str]:
    """The login's token and how many seconds it lasts; or neither, and what is wrong.

    Raised out there, so that no frame of the error holds a token.
    """
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return "", 0.0, "it is no JSON"
    if not isinstance(document, dict):
        return "", 0.0, "it is no JSON object"
    token, seconds = document.get("access_token"), document.get("expires_in")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,20000}", token):
        return "", 0.0, "the answer to the login has no access_token"
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e8:
        return "", 0.0, "the answer to the login does not say when it expires"
    return token, float(seconds), ""


def _json(answer: Answer) -> dict[str, object]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise bad("not json", f"it is no JSON: {one_line(answer.body[:100].decode('utf-8', 'replace'))}") from None
    if not isinstance(document, dict):
        raise bad("not json", "it is no JSON object")
    return document


def _part(answer: Answer, *, zone: BiddingZone, name: str, what: str) -> Part:
    try:
        found, doubtful, notes = rows(
            table(answer.body), eic=str(zone.eic), variable=name, fetched_at=answer.fetched_at
        )
    except BadAnswer as error:
        raise _named(error, what=what) from None
    if found.is_empty():
        notes = [*notes, f"no rows of {zone.code} ({zone.eic})"]
    return Part(name, found, doubtful, answer.fetched_at, answer.sha256, tuple(f"{what}: {note}" for note in notes))


def _named(error: SourceError, *, what: str) -> SourceError:
    return type(error)(f"{error.what}; the file is {what}", remedy=error.remedy, **error.facts)


def _requested(answer: Answer) -> tuple[str, str]:
    """The variable and name of the file that was asked for."""
    try:
        document = json.loads(answer.params.get("json", ""))
        filename = str(document["filename"])
    except (ValueError, KeyError, TypeError, RecursionError):
        filename = ""
    for name, folder in FOLDERS.items():
        if re.fullmatch(rf"(19|20)\d\d_(0[1-9]|1[0-2])_{re.escape(folder)}\.csv", filename):
            return name, filename
    raise ConfigError(
        f"a kept answer of {answer.source} is no file of the File Library", remedy="replay downloaded files only"
    )


def _months(start: datetime, end: datetime) -> list[str]:
    """The months that a period touches.

    >>> _months(datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    ['2025_12', '2026_01']
    """
    month, months = start.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0), []
    while month < end:
        months.append(f"{month:%Y_%m}")
        month = _next_month(month)
    return months


def _next_month(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)
