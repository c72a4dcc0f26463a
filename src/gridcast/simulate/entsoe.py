"""ENTSO-E's web service: actual total load (6.1.A) and its day-ahead forecast (6.1.B) as XML documents.

The forms follow real answers of 2023-2026; refusals are acknowledgements whose code is 999, whatever the reason.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain, pairwise, repeat
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

import numpy as np

from gridcast.contracts import Floats
from gridcast.errors import Refused
from gridcast.market.days import delivery_window
from gridcast.market.zones import BiddingZone, zones
from gridcast.simulate.exchange import HTML, XML, Ask, Reply
from gridcast.simulate.traffic import Traffic
from gridcast.simulate.world import MINUTE, Strip, World

CALLS_A_MINUTE = 400
BAN = timedelta(minutes=10)

ITEMS = {"A16": "ACTUAL_TOTAL_LOAD_R3 [6.1.A]", "A01": "DAY_AHEAD_TOTAL_LOAD_FORECAST_R3 [6.1.B]"}
_LATER_ITEMS = {"A31": "6.1.C", "A32": "6.1.D", "A33": "6.1.E"}
_PARAMS = {
    *("securityToken", "documentType", "processType", "outBiddingZone_Domain", "periodStart", "periodEnd"),
    *("timeInterval", "curveType", "offset"),
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTIES = """\
  <sender_MarketParticipant.mRID codingScheme="A01">10X1001A1001A450</sender_MarketParticipant.mRID>
  <sender_MarketParticipant.marketRole.type>A32</sender_MarketParticipant.marketRole.type>
  <receiver_MarketParticipant.mRID codingScheme="A01">10X1001A1001A450</receiver_MarketParticipant.mRID>
  <receiver_MarketParticipant.marketRole.type>{role}</receiver_MarketParticipant.marketRole.type>
"""
_VALUE_END = "</quantity>\n            </Point>\n"


class Entsoe:
    """Answers ``/entsoe/api``."""

    def __init__(self, world: World, *, traffic: Traffic, limits: bool) -> None:
        self.world = world
        self._traffic = traffic
        self._limits = limits

    def answer(self, ask: Ask) -> Reply:
        """The document, the refusal or the ban."""
        token = ask.headers.get("security_token") or ask.params.get("securityToken", "")
        until = self._banned(ask, token)
        if until is not None:
            stamp = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{until.microsecond // 1000:03d}Z"
            return Reply(429, f"<html><body><p>Requester banned until '{stamp}'.</p></body></html>".encode(), HTML)
        if not _UUID.fullmatch(token):
            return acknowledgement("Authentication failed: missing or invalid security token.", ask.at, status=401)
        if ask.method != "GET":
            return acknowledgement("Only GET is served here.", ask.at, status=405)
        try:
            return self._document(ask)
        except Refused as refusal:
            return acknowledgement(refusal.what, ask.at, status=400)

    def _banned(self, ask: Ask, token: str) -> datetime | None:
        """Count the request; until when its token or address is banned, if it is."""
        with self._traffic.lock:
            callers = [self._traffic.caller("ip", ask.peer, at=ask.at)]
            if token:
                callers.append(self._traffic.caller("token", token, at=ask.at))
            for caller in callers:
                caller.requests += 1
                caller.last = ask.at
                over = caller.window.add(ask.at) > CALLS_A_MINUTE
                banned = caller.banned_until is not None and caller.banned_until > ask.at
                if over and not banned and self._limits:
                    caller.banned_until = ask.at + BAN
                    caller.bans += 1
            ends = [caller.banned_until for caller in callers if caller.banned_until and caller.banned_until > ask.at]
            return max(ends, default=None)

    def _document(self, ask: Ask) -> Reply:
        place, process, (begin, end) = _zone(ask), _process(ask), _interval(ask)
        curve = ask.params.get("curveType", self.world.curve)
        if curve not in ("A01", "A03"):
            raise _refused(f"The curveType {curve} is not valid.")
        wide = _whole_days(place, begin, end) if self.world.whole_documents else (begin, end)
        if process in ITEMS and self.world.serves(place):
            series = self.world.load if process == "A16" else self.world.forecast
            strip = series(place, begin=wide[0], end=wide[1])
            shown = strip.as_of(ask.at)
            if np.isfinite(shown).any():
                body = document(strip, shown, zone=place, process=process, asked=(begin, end), curve=curve, at=ask.at)
                return Reply(200, body.encode(), XML)
        item = ITEMS.get(process) or f"TOTAL_LOAD_FORECAST [{_LATER_ITEMS[process]}]"
        span = f"{begin:%Y-%m-%dT%H:%M:%S}Z/{end:%Y-%m-%dT%H:%M:%S}Z"
        text = f"No matching data found for Data item {item} ({{{{outBiddingZone_Domain}}}}) and interval {span}."
        return acknowledgement(text, ask.at, status=200)


def acknowledgement(text: str, at: datetime, *, status: int) -> Reply:
    """A refusal, or the news that there is nothing."""
    stamp = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">\n'
        f"  <mRID>{str(uuid5(NAMESPACE_URL, text + stamp))[:15]}</mRID>\n"
        f"  <createdDateTime>{stamp}</createdDateTime>\n"
        f"{_PARTIES.format(role='A39')}"
        f"  <received_MarketDocument.createdDateTime>{stamp}</received_MarketDocument.createdDateTime>\n"
        f"  <Reason>\n    <code>999</code>\n    <text>{escape(text)}</text>\n  </Reason>\n"
        "</Acknowledgement_MarketDocument>\n"
    )
    return Reply(status, body.encode(), XML)


def document(
    strip: Strip,
    shown: Floats,
    *,
    zone: BiddingZone,
    process: str,
    asked: tuple[datetime, datetime],
    curve: str,
    at: datetime,
) -> str:
    """The load document of what is ``shown`` [N] of a strip, NaN being absent; a new series at each new resolution."""
    present = np.flatnonzero(np.isfinite(shown))
    start, step = strip.start[present], strip.resolution[present]
    texts = _texts(shown[present])
    new = np.flatnonzero((start[1:] != start[:-1] + step[:-1]) | (step[1:] != step[:-1])) + 1
    edges = [0, *new.tolist(), len(present)]
    stamp = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<GL_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0">\n'
        f"  <mRID>{uuid5(NAMESPACE_URL, f'{zone.code}{process}{asked}{stamp}').hex}</mRID>\n"
        "  <revisionNumber>1</revisionNumber>\n  <type>A65</type>\n"
        f"  <process.processType>{process}</process.processType>\n"
        f"{_PARTIES.format(role='A33')}"
        f"  <createdDateTime>{stamp}</createdDateTime>\n"
        f"  <time_Period.timeInterval>\n    <start>{asked[0]:%Y-%m-%dT%H:%MZ}</start>\n"
        f"    <end>{asked[1]:%Y-%m-%dT%H:%MZ}</end>\n  </time_Period.timeInterval>\n"
    ]
    series, minutes = 0, -1
    for first, last in pairwise(edges):
        length = int(step[first] // MINUTE)
        if length != minutes:
            parts.append("    </TimeSeries>\n" * (series > 0))
            series, minutes = series + 1, length
            parts.append(
                f"    <TimeSeries>\n      <mRID>{series}</mRID>\n      <businessType>A04</businessType>\n"
                "      <objectAggregation>A01</objectAggregation>\n"
                f'      <outBiddingZone_Domain.mRID codingScheme="A01">{zone.eic}</outBiddingZone_Domain.mRID>\n'
                "      <quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>\n"
                f"      <curveType>{curve}</curveType>\n"
            )
        begin, end = (str(when)[:16] + "Z" for when in (start[first], start[last - 1] + step[last - 1]))
        parts.append(
            "        <Period>\n          <timeInterval>\n"
            f"            <start>{begin}</start>\n            <end>{end}</end>\n          </timeInterval>\n"
            f"          <resolution>PT{minutes}M</resolution>\n"
        )
        parts.append(_points(texts[first:last], repeats_left_out=curve == "A03"))
        parts.append("        </Period>\n")
    return "".join([*parts, "    </TimeSeries>\n</GL_MarketDocument>"])


def _points(texts: list[str], *, repeats_left_out: bool) -> str:
    heads: list[str] | tuple[str, ...] = _heads(1 << (len(texts) - 1).bit_length())[: len(texts)]
    if repeats_left_out:
        keep = [0, *(n for n in range(1, len(texts)) if texts[n] != texts[n - 1])]
        heads, texts = [heads[n] for n in keep], [texts[n] for n in keep]
    return "".join(chain.from_iterable(zip(heads, texts, repeat(_VALUE_END), strict=False)))


@lru_cache(maxsize=20)
def _heads(count: int) -> tuple[str, ...]:
    """What stands before each quantity."""
    return tuple(
        f"            <Point>\n              <position>{n}</position>\n              <quantity>"
        for n in range(1, count + 1)
    )


def _texts(values: Floats) -> list[str]:
    """Numbers as ENTSO-E writes them: no exponent, no superfluous zero."""
    if (values == np.floor(values)).all():
        return list(map(str, values.astype(np.int64).tolist()))
    texts = map(repr, values.tolist())
    return [
        np.format_float_positional(float(text), trim="-") if "e" in text else text.removesuffix(".0") for text in texts
    ]


def _refused(text: str) -> Refused:
    return Refused(text, remedy="ask for what there is", reason=text)


def _zone(ask: Ask) -> BiddingZone:
    strange = set(ask.params) - _PARAMS
    if strange:
        raise _refused(f"The parameter {min(strange)} is unknown: please check you request against dependency tables.")
    if ask.params.get("documentType") != "A65":
        raise _refused(
            f"The combination of [DocumentType={ask.params.get('documentType')}] is not valid: "
            "please check you request against dependency tables."
        )
    eic = ask.params.get("outBiddingZone_Domain", "")
    found = {place.eic: place for place in zones().values() if place.eic}.get(eic)
    if found is None:
        raise _refused(f"The outBiddingZone_Domain {eic or '(missing)'} is not valid for this area.")
    return found


def _process(ask: Ask) -> str:
    process = ask.params.get("processType", "")
    if process not in ITEMS and process not in _LATER_ITEMS:
        raise _refused(
            f"The combination of [DocumentType=A65, ProcessType={process}] is not valid: "
            "please check you request against dependency tables."
        )
    return process


def _interval(ask: Ask) -> tuple[datetime, datetime]:
    both = ask.params.get("timeInterval", "").split("/")
    pattern = "%Y-%m-%dT%H:%MZ"
    if len(both) != 2:
        both = [ask.params.get("periodStart", ""), ask.params.get("periodEnd", "")]
        pattern = "%Y%m%d%H%M"
        if not all(re.fullmatch(r"\d{12}", text) for text in both):
            raise _refused("periodStart and periodEnd are required and must be of the form yyyyMMddHHmm.")
    try:
        begin, end = (datetime.strptime(text, pattern).replace(tzinfo=UTC) for text in both)
    except ValueError:
        raise _refused("The time interval is not one.") from None
    if end <= begin:
        raise _refused("The end of the period must be after its start.")
    if (end.year - 1, end.month, end.day, end.time()) > (begin.year, begin.month, begin.day, begin.time()):
        asked = (end - begin).days
        raise _refused(
            f"The amount of requested data exceeds allowed limit, allowed: 366 days, requested: {asked} days."
        )
    return begin, end


def _whole_days(zone: BiddingZone, begin: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The delivery days that a period touches."""
    days = [when.astimezone(zone.market_zone).date() for when in (begin, end - timedelta(microseconds=1))]
    return delivery_window(zone, days[0])[0], delivery_window(zone, days[1])[1]
