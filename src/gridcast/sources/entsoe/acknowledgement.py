"""ENTSO-E's other answer: an acknowledgement, whose code is 999 for everything, so that only its text tells."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gridcast.errors import Refused
from gridcast.sources.entsoe.markup import Grammar, Record, Root, bad, clean

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
REASON: Grammar = {"code": None, "text": None}
ROOT = Root(
    "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:",
    "7:0",
    dict.fromkeys(_LEAVES) | {"Reason": REASON},
)

_NO_DATA = re.compile(r"no matching data found\b", re.IGNORECASE)
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


def acknowledged(record: Record, *, item: str, notes: tuple[str, ...] = ()) -> NoData:
    """What an acknowledgement means for a request of ``item`` (``6.1.A``).

    Raises:
        Refused: the request was turned down, or the text is one we do not know; ``kind`` is ``limit``, ``area``,
            ``dependency``, ``request`` or ``unknown``, ``reason`` the service's own words.
        BadAnswer: it gives no reason.
    """
    reasons = record.all("Reason")
    texts = [clean(reason.texts.get("text", ""), limit=400) for reason in reasons]
    if not any(texts):
        raise bad("no reason", "an acknowledgement without a reason")
    for text in texts:
        if not _NO_DATA.match(text):
            raise _refused(text)
    named = re.search(r"\[([^\]]*)\]", texts[0])
    if named and not _names(named.group(1), item):
        notes = (*notes, f"The answer 'no data' speaks of item {named.group(1)}, not {item}.")
    codes = {reason.texts.get("code", "") for reason in reasons} - {"999"}
    if codes:
        notes = (*notes, f"The acknowledgement has code {clean(', '.join(sorted(codes)), limit=40)}, not 999.")
    return NoData(texts[0], notes)


def _names(text: str, item: str) -> bool:
    """Whether ``6.1.C&D&E`` names ``6.1.D``."""
    chapter, _, letter = item.rpartition(".")
    return chapter in text and letter in re.split(r"[.&]", text)


def _refused(text: str) -> Refused:
    known = [(kind, remedy) for kind, (pattern, remedy) in _REFUSALS.items() if pattern.search(text)]
    unknown = ("unknown", "read what it says; if it makes no sense, tell ENTSO-E's service desk")
    kind, remedy = (*known, unknown)[0]
    what = f"ENTSO-E turned the request down: {text.rstrip('.')}"
    return Refused(what, remedy=remedy, source="entsoe", reason=text, kind=kind)
