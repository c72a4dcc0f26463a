"""ENTSO-E's other answer: an acknowledgement, whose code is 999 for everything, so that only its text tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from gridcast.errors import Refused
from gridcast.sources.entsoe.markup import Record, Root, bad
from gridcast.sources.entsoe.remarks import REASON
from gridcast.sources.oneline import one_line

_LEAVES = (
    "mRID",
    "createdDateTime",
    "sender_MarketParticipant.mRID",
    "sender_MarketParticipant.marketRole.type",
    "receiver_MarketParticipant.mRID",
    "receiver_MarketParticipant.marketRole.type",
    "received_MarketDocument.createdDateTime",
    "received_MarketDocument.mRID",
    "received_MarketDocument.revisionNumber",
    "received_MarketDocument.type",
)
ROOT = Root(
    "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:",
    "7:0",
    dict.fromkeys(_LEAVES) | {"Reason": REASON},
)

_NO_DATA = re.compile(r"(?i:no matching data found)\b")
_ITEM = r"\[([^\[\]]*)\]"
_EIC = r"\b\d\d[A-Z][0-9A-Z-]{12}[0-9A-Z]\b"
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z"
_INTERVAL = rf"({_STAMP})/({_STAMP})"
_AREA = rf"(?:\{{\{{\w+\}}\}}|{_EIC})"
_WHOLE = re.compile(
    rf"{_NO_DATA.pattern}(?:(?i: for data item )[^\[\]()]*{_ITEM}(?: \({_AREA}(?:, {_AREA})*\))?"
    rf"(?:(?i: and interval ){_INTERVAL})?)?\.?"
)
"""All that the text says where it says no more than it should; the placeholder of the area is really in it."""
_REFUSALS = {
    "limit": (
        re.compile(r"exceeds? (the )?allowed (limit|maximum)", re.IGNORECASE),
        "ask for a shorter period",
    ),
    "area": (
        re.compile(r"is not valid for this area", re.IGNORECASE),
        "check the zone's EIC: `gridcast zones` lists them",
    ),
    "dependency": (
        re.compile(r"check you(r)? request against dependency tables", re.IGNORECASE),
        "this combination of item and area does not exist: take another zone or source",
    ),
    "request": (
        re.compile(r"mandatory parameter|input parameter|parameter .* (missing|invalid|incorrect)", re.IGNORECASE),
        "report it: the request was built wrong",
    ),
}
"""What a refusal says (sources: the API guide and clients' issue threads), by its kind, with the remedy."""


@dataclass(frozen=True)
class NoData:
    """The service has nothing of what was asked. ``reason`` is its text, ``notes`` what was odd."""

    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a request was about: the data item (``6.1.A``), the area, and the period, UTC."""

    item: str
    eic: str
    start: datetime
    end: datetime


def acknowledged(record: Record, *, asked: Asked, notes: tuple[str, ...] = ()) -> NoData:
    """What an acknowledgement means for a request.

    Raises:
        Refused: the request was turned down, or the text is one we do not know; ``kind`` is ``limit``, ``area``,
            ``dependency``, ``request`` or ``unknown``, ``reason`` the service's own words.
        BadAnswer: it gives no reason, or has no data of an item, area or period that was not asked for.
    """
    reasons = record.all("Reason")
    texts = [one_line(reason.texts.get("text", ""), limit=400) for reason in reasons]
    if not any(texts):
        raise bad("no reason", "an acknowledgement without a reason")
    for text in texts:
        if not _NO_DATA.match(text) or _kinds(text):
            raise _refused(text)
    for text in texts:
        notes = (*notes, *_compared(text, asked))
        if not _WHOLE.fullmatch(text):
            raise _refused(text)
    codes = {reason.texts.get("code", "") for reason in reasons} - {"999"}
    if codes:
        notes = (*notes, f"The acknowledgement has code {one_line(', '.join(sorted(codes)), limit=40)}, not 999.")
    return NoData(texts[0], notes)


def _compared(text: str, asked: Asked) -> list[str]:
    """Notes on what 'no data' is about.

    Raises:
        BadAnswer: it is not what was asked for.
    """
    for item in re.findall(_ITEM, text):
        if not _names(item, asked.item):
            raise bad("item", f"it has no data of item {item}, asked was {asked.item}")
    for eic in re.findall(_EIC, text):
        if eic != asked.eic:
            raise bad("area", f"it has no data of {eic}, asked was {asked.eic}")
    notes = []
    for stamps in re.findall(_INTERVAL, text):
        try:
            start, end = (datetime.fromisoformat(stamp) for stamp in stamps)
        except ValueError:
            raise _refused(text) from None
        told = f"{'/'.join(stamps)}, asked was {asked.start:%Y-%m-%dT%H:%MZ}/{asked.end:%Y-%m-%dT%H:%MZ}"
        if asked.start < start or end < asked.end:
            raise bad("period", f"it has no data from {told}")
        if (start, end) != (asked.start, asked.end):
            notes.append(f"The answer 'no data' is about {told}.")
    return notes


def _names(text: str, item: str) -> bool:
    """Whether ``6.1.C&D&E`` names ``6.1.D``."""
    chapter, _, letters = text.rpartition(".")
    return item in {f"{chapter}.{letter}" for letter in letters.split("&")}


def _kinds(text: str) -> list[tuple[str, str]]:
    """The kinds of refusal that the text speaks of, each with its remedy."""
    return [(kind, remedy) for kind, (pattern, remedy) in _REFUSALS.items() if pattern.search(text)]


def _refused(text: str) -> Refused:
    unknown = ("unknown", "read what it says; if it makes no sense, tell ENTSO-E's service desk")
    kind, remedy = (*_kinds(text), unknown)[0]
    what = f"ENTSO-E turned the request down: {text.rstrip('.')}"
    return Refused(what, remedy=remedy, source="entsoe", reason=text, kind=kind)
