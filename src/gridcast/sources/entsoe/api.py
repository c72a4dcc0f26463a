"""ENTSO-E's web service: actual total load (6.1.A) and the operators' day-ahead forecast of it (6.1.B)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadAnswer, ConfigError, Refused, SourceError, Unauthorized
from gridcast.market.zones import BiddingZone
from gridcast.sources.endpoints import Endpoints, on_loopback
from gridcast.sources.entsoe.account import PROCESSES, Part, asked_for, handed_on, serves
from gridcast.sources.entsoe.document import DOCUMENT_TYPE, ROWS, Expected, NoData, parse
from gridcast.sources.fetched import Answer, Clock, Fetched
from gridcast.sources.hours import whole_hours
from gridcast.sources.publication import LOAD_LAG
from gridcast.sources.wire import Limit, Permit, Wire

if TYPE_CHECKING:
    from pydantic import SecretStr

PERMIT = Permit("entsoe", (Limit(360, 60, burst=20),))
"""The service bans for ten minutes at 400 requests a minute, by token and by address."""

LONGEST = timedelta(days=365)
"""The service takes a year at most."""

BAN = timedelta(minutes=10)
ACCEPTED = (200, 400)
"""What has a body to read: 400 comes with an acknowledgement, which may say that there is no data."""
PASSING = frozenset({"html", "not xml", "empty", "zip", "gzip", "encoding", "cut short", "not well-formed"})
"""Faults of an answer that is no XML: maintenance pages and the like, worth another attempt."""
PAUSES = (5.0, 20.0)
"""Seconds before each further attempt."""

_MINUTE = "%Y%m%d%H%M"
_BANNED = re.compile(rb"(?i)banned until(?:\W|&apos;|&#39;)*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_LIMITED = re.compile(rb"(?i)banned until|max allowed requests per minute")
_WORDS = re.compile(
    rb"(?i)(?:\xef\xbb\xbf)?\s*(?:<\?xml\b[^>]*>\s*)?"
    rb"(?:(?!PK[\3\5])[!-;=-~]|<(?:!doctype\s+html|html|head|title|body|center|div|pre|p|h[1-6])\b"
    rb"|<(?:\w+:)?acknowledgement_marketdocument\b)"
)
"""How a web page, a plain text or an acknowledgement begins, and no load document, ZIP or gzip."""


class Entsoe:
    """The web service as a source.

    The token goes into the header ``SECURITY_TOKEN``; where that is not accepted, once into the query, which nobody
    sees. Publication is assumed: the service reports none.

    Args:
        wire: asks the provider ``entsoe``.
        endpoints: where it is.
        clock: tells what is due.
        token: the account's; a simulator on this machine may do without.
        lag: how long after an interval's end its load is assumed public.
    """

    name = source = "entsoe"
    variables: tuple[str, ...] = (LOAD, TSO_FORECAST)
    offers = variables

    def __init__(
        self, wire: Wire, *, endpoints: Endpoints, clock: Clock, token: SecretStr | None, lag: timedelta = LOAD_LAG
    ) -> None:
        self._wire = wire
        self._url = endpoints.entsoe
        self._clock = clock
        self._token = token
        self._lag = lag
        self._in_query = False
        self._settled = False

    def fetch(
        self, zone: BiddingZone, *, start: datetime, end: datetime, variables: Sequence[str] | None = None
    ) -> Fetched:
        """What the service has of the zone's intervals that start from ``start`` to ``end`` (exclusive), UTC.

        All of it or an error, which says how far the fetch had come.

        Raises:
            SourceError: there was no usable answer to one of the requests.
            ConfigError: the zone or a variable is not served.
        """
        wanted = asked_for(zone, source=self.name, start=start, end=end, variables=variables)
        requests = [(name, *span) for name in wanted for span in _spans(start, end)]
        parts: list[Part] = []
        for done, (name, begin, finish) in enumerate(requests):
            try:
                parts += self._parts(zone, name, begin=begin, end=finish)
            except SourceError as error:
                raise _broken_off(
                    error, zone=zone, name=name, span=(begin, finish), done=done, of=len(requests)
                ) from None
        return handed_on(
            parts,
            zone=zone,
            source=self.name,
            variables=wanted,
            start=start,
            end=end,
            now=self._clock.now(),
            lag=self._lag,
        )

    def read(self, answer: Answer, *, zone: BiddingZone) -> Fetched:
        """What a kept answer says, as `fetch` would have read it then.

        Raises:
            SourceError: nothing that can be used.
            ConfigError: it is not an answer about this zone.
        """
        names = {process: name for name, process in PROCESSES.items()}
        name = names.get(answer.params.get("processType", ""))
        span = [_minute(answer.params.get(key, "")) for key in ("periodStart", "periodEnd")]
        if name is None or answer.params.get("outBiddingZone_Domain") != serves(zone, source=self.name) or None in span:
            raise ConfigError(
                f"a kept answer of {answer.source} is not about {zone.code}", remedy="replay it for the zone it is of"
            )
        start, end = (when for when in span if when is not None)
        part = _part(answer, zone=zone, name=name, start=start, end=end)
        return handed_on(
            [part],
            zone=zone,
            source=self.name,
            variables=[name],
            start=start,
            end=end,
            now=answer.fetched_at,
            lag=self._lag,
        )

    def _parts(self, zone: BiddingZone, name: str, *, begin: datetime, end: datetime) -> Iterator[Part]:
        """One request, or as many as the service wants it split into."""
        try:
            yield self._part(zone, name, begin=begin, end=end)
        except Refused as refusal:
            days = (end - begin) // timedelta(days=1)
            if refusal.facts.get("kind") != "limit" or days < 2:
                raise
            middle = begin + days // 2 * timedelta(days=1)
        else:
            return
        yield from self._parts(zone, name, begin=begin, end=middle)
        yield from self._parts(zone, name, begin=middle, end=end)

    def _part(self, zone: BiddingZone, name: str, *, begin: datetime, end: datetime) -> Part:
        params = {
            "documentType": DOCUMENT_TYPE,
            "processType": PROCESSES[name],
            "outBiddingZone_Domain": serves(zone, source=self.name),
            "periodStart": begin.strftime(_MINUTE),
            "periodEnd": end.strftime(_MINUTE),
        }
        for pause in PAUSES:
            try:
                return _part(self._get(params), zone=zone, name=name, start=begin, end=end)
            except BadAnswer as error:
                if error.facts.get("fault") not in PASSING:
                    raise
            self._clock.sleep(pause)
        return _part(self._get(params), zone=zone, name=name, start=begin, end=end)

    def _get(self, params: dict[str, str]) -> Answer:
        if self._token is None and not on_loopback(self._url):
            remedy = "set ENTSOE_API_KEY to the token of your account at ENTSO-E, or take --source entsoe-files"
            raise Unauthorized(
                "ENTSO-E's web service needs a token, and there is none", remedy=remedy, source=self.name
            )
        try:
            answer = self._ask(params, in_query=self._in_query)
        except Unauthorized as refusal:
            if self._settled or self._token is None or refusal.facts.get("status") != 401:
                raise
            self._settled = True
            answer = self._ask(params, in_query=True)
            self._in_query = True
        self._settled = True
        return answer

    def _ask(self, params: dict[str, str], *, in_query: bool) -> Answer:
        token = {} if self._token is None else {"securityToken" if in_query else "SECURITY_TOKEN": self._token}
        return self._wire.get(
            self._url,
            params=params,
            permit=PERMIT,
            headers={} if in_query else token,
            secret_params=token if in_query else {},
            accept=ACCEPTED,
            wait_for=banned_until,
            ban=BAN,
        )


def banned_until(answer: Answer) -> datetime | None:
    """Until when a refusal bans us (UTC): what its text says, else ten minutes as in the service's terms, else None.

    The page that bans may come with an accepted status too; a load document is no ban, whatever it says.
    """
    if answer.status in ACCEPTED and not _WORDS.match(answer.body):
        return None
    told = _BANNED.search(answer.body)
    if told:
        try:
            return datetime.strptime(told.group(1).decode(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC) + timedelta(
                seconds=1
            )
        except ValueError:
            return answer.fetched_at + BAN
    return answer.fetched_at + BAN if _LIMITED.search(answer.body) else None


def _part(answer: Answer, *, zone: BiddingZone, name: str, start: datetime, end: datetime) -> Part:
    expected = Expected(PROCESSES[name], str(zone.eic), start, end, fetched_at=answer.fetched_at)
    document = parse(answer.body, expected=expected)
    span = f"{name} of {zone.code} from {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
    if isinstance(document, NoData):
        rows = pl.DataFrame(schema=ROWS)
        notes = (f"ENTSO-E has nothing: {document.reason}", *document.notes)
        return Part(name, rows, rows, answer.fetched_at, answer.sha256, tuple(f"{span}: {note}" for note in notes))
    notes = tuple(f"{span}: {note}" for note in document.notes)
    return Part(name, document.rows, document.doubtful, answer.fetched_at, answer.sha256, notes)


def _spans(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The whole UTC hours of the period, in pieces of at most a year.

    >>> [end.year for _, end in _spans(datetime(2019, 6, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))]
    [2020, 2021]
    """
    begin, last = whole_hours(start, end)
    spans = []
    while begin < last:
        spans.append((begin, min(begin + LONGEST, last)))
        begin += LONGEST
    return spans


def _minute(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None


def _broken_off(
    error: SourceError, *, zone: BiddingZone, name: str, span: tuple[datetime, datetime], done: int, of: int
) -> SourceError:
    """The same error, which says too what was being asked and what had come."""
    begin, end = (f"{when:%Y-%m-%dT%H:%MZ}" for when in span)
    what = f"{error.what}; asked was {name} of {zone.code} from {begin} to {end}"
    if done:
        what += f", {done} of {of} requests had been answered, and none of it was handed on"
    return type(error)(what, remedy=error.remedy, **{**error.facts, "zone": zone.code, "variable": name, "done": done})
