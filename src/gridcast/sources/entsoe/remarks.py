"""What a document says of itself beside its values: its status, and the service's remarks."""

from __future__ import annotations

from gridcast.sources.entsoe.markup import OWN, Grammar, Record, bad
from gridcast.sources.oneline import one_line

REASON: Grammar = {"code": None, "text": None}
STATUS: Grammar = {OWN: None, "value": None}
WITHDRAWN = {"A09": "cancelled", "A13": "withdrawn"}
"""Values of ``docStatus`` of what no longer holds. Source: ENTSO-E's code list, Status."""


def remarks(record: Record, *, place: str = "") -> list[str]:
    """Notes on the status and the reasons given with sound data.

    Raises:
        BadAnswer: the data no longer hold.
    """
    notes = []
    for status in record.all("docStatus"):
        codes = [status.texts[name] for name in (OWN, "value") if name in status.texts]
        for code in codes:
            if code.upper() in WITHDRAWN:
                raise bad("status", f"docStatus is {code}, {WITHDRAWN[code.upper()]}", place=place)
        notes.append(f"The {place or 'document'} has status {one_line(' '.join(codes), limit=40) or 'of no value'}.")
    texts = [one_line(reason.texts.get("text", "")) for reason in record.all("Reason")]
    return notes + [f"The service remarks: {text}." for text in dict.fromkeys(texts) if text]
