"""Every way an answer can be wrong that we know of: how to make it, what we say, and what entsoe-py makes of it.

``benchmarks/faults.py`` writes docs/faults.md from it.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from gridcast.errors import BadAnswer, Refused
from gridcast.sources.entsoe.api import banned_until
from gridcast.sources.entsoe.document import NoData, parse
from gridcast.sources.fetched import Answer
from sources.entsoe.documents import END, START, Load, Period, acknowledgement, levels, sound, stamp

HOURS = sound()
QUARTERS = sound(minutes=15, curve="A03")
GAP = Load(
    (
        Period(START, 60, levels(9, minutes=60), "A03"),
        Period(START + timedelta(hours=12), 60, levels(12, minutes=60), "A03"),
    )
)
MIXED = Load(
    (
        Period(START, 60, levels(12, minutes=60)),
        Period(START + timedelta(hours=12), 15, levels(48, minutes=15)),
    )
)

Change = Callable[[str], str | bytes]


@dataclass(frozen=True)
class FaultClass:
    """A fault: what stands wrong, in which sound document, and what must come of it.

    ``outcome``: ``error FAULT``, ``refused KIND``, ``ban``, ``no data``, ``aside`` (rows set aside), ``note`` (the
    values of the sound document), ``note with other values``, or ``same`` (for what looks like a fault and is none).
    """

    name: str
    change: Change
    outcome: str
    base: Load = HOURS
    status: int = 200
    kind: str = "application/xml"


def swap(old: str, new: str, count: int = 1) -> Change:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, count)

    return change


def drop(pattern: str, count: int = 1) -> Change:
    return sub(pattern, "", count)


def sub(pattern: str, new: str, count: int = 1) -> Change:
    def change(text: str) -> str:
        result, times = re.subn(pattern, new, text, count=count, flags=re.DOTALL)
        assert times, pattern
        return result

    return change


def always(body: str | bytes) -> Change:
    return lambda _: body


def point(position: int) -> str:
    return rf"<Point><position>{position}</position><quantity>([^<]*)</quantity></Point>\n"


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("answer.xml", text)
    return buffer.getvalue()


def later(text: str, hours: int) -> str:
    """Every time of the data moved, the outer interval left."""
    head, _, tail = text.partition("<TimeSeries>")

    def move(found: re.Match[str]) -> str:
        when = datetime.strptime(found.group(1), "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        return f">{stamp(when + timedelta(hours=hours))}<"

    return head + "<TimeSeries>" + re.sub(r">(\d{4}-\d\d-\d\dT\d\d:\d\dZ)<", move, tail)


def series(text: str) -> str:
    found = re.search(r"<TimeSeries>.*</TimeSeries>\n", text, re.DOTALL)
    assert found
    return found.group(0)


def again(text: str, change: Change = lambda text: text) -> str:
    """The document with its series, changed, a second time."""
    more = change(series(text))
    assert isinstance(more, str)
    return text.replace("</GL_MarketDocument>", more + "</GL_MarketDocument>")


def bridged(text: str) -> str:
    """Two Periods as one, with the gap's positions absent."""
    period = GAP.periods[0]
    whole = Period(START, 60, (*period.values, *period.values[-1:] * 3, *GAP.periods[1].values), "A03")
    return text.replace(series(text), series(Load((whole,)).xml()))


def means(text: str, offset: float = 0.0) -> str:
    """The document with quarter-hours that average to its hours, plus an offset."""
    period = HOURS.periods[0]
    fine = Period(START, 15, tuple(f"{float(value) + offset + d:g}" for value in period.values for d in (-2, 1, 2, -1)))
    return text.replace("</GL_MarketDocument>", series(Load((fine,)).xml()) + "</GL_MarketDocument>")


def no_data(**facts: str) -> Change:
    """The text of 2026 with all its facts, some of them changed."""
    ours = {"item": "6.1.A", "area": "10YDK-1--------W", "begin": "2026-03-10", "end": "2026-03-11T23:00:00Z"}
    return always(acknowledgement(NO_DATA_OF.format(**ours | facts)))


def inward(eic: str) -> str:
    return f'<inBiddingZone_Domain.mRID codingScheme="A01">{eic}</inBiddingZone_Domain.mRID>'


NO_DATA = "No matching data found"
NO_DATA_2026 = (
    "No matching data found for Data item ACTUAL_TOTAL_LOAD_R3 [6.1.A] ({{outBiddingZone_Domain}}) and interval "
    "2026-03-10T23:00:00Z/2026-03-11T23:00:00Z."
)
NO_DATA_OF = (
    "No matching data found for Data item ACTUAL_TOTAL_LOAD_R3 [{item}] ({area}) and interval {begin}T23:00:00Z/{end}."
)
LIMIT = "The amount of requested data exceeds allowed limit, allowed: 366 days, requested: 800 days."
BANNED = "<html><body><p>Requester banned until '2026-03-12T10:05:00.545Z'.</p></body></html>"
MAINTENANCE = "<html><head><title>503</title></head><body><h1>Scheduled maintenance</h1></body></html>"
BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(9))
FIRST = "<mRID>1<"
QUANTITY = f"<quantity>{HOURS.periods[0].values[2]}</quantity>"
POSITION = "<position>3</position>"
UNIT = "<quantity_Measure_Unit.name>"
QUANTITIES = "error unknown quantity"
NOTED = "note with other values"

CLASSES = (
    # What is no load document
    FaultClass("an empty body", always(""), "error empty"),
    FaultClass("white space only", always(" \n\n "), "error empty"),
    FaultClass("a maintenance page with status 200", always(MAINTENANCE), "error html", kind="text/html"),
    FaultClass("a page with a document type", always("<!DOCTYPE html>" + MAINTENANCE), "error html", kind="text/html"),
    FaultClass("plain text", always("404 page not found"), "error not xml", kind="text/plain"),
    FaultClass("JSON", always('{"error": "no"}'), "error not xml", kind="application/json"),
    FaultClass("a ZIP instead of XML", zipped, "error zip", kind="application/zip"),
    FaultClass("gzip left on", lambda text: gzip.compress(text.encode()), "error gzip"),
    FaultClass("UTF-16", lambda text: text.encode("utf-16"), "error encoding"),
    FaultClass("another encoding declared", swap('encoding="UTF-8"', 'encoding="ISO-8859-1"'), "error encoding"),
    FaultClass("cut in the middle", lambda text: text[: len(text) // 2], "error cut short"),
    FaultClass("cut inside a number", lambda text: text[: text.index(QUANTITY) + 12], "error cut short"),
    FaultClass("cut inside the last tag", lambda text: text.rstrip()[:-1], "error cut short"),
    FaultClass("a byte that is no UTF-8", lambda text: text.encode().replace(b"d1", b"\xff1"), "error not well-formed"),
    FaultClass("a NUL byte", swap("d1", "d\0"), "error not well-formed"),
    FaultClass("a tag left open", drop("</Point>"), "error structure"),
    FaultClass("tags that cross", swap("</Point>\n</Period>", "</Period>\n</Point>"), "error not well-formed"),
    FaultClass("two documents in one body", lambda text: text + text[text.index("<GL") :], "error not well-formed"),
    FaultClass("text after the document", lambda text: text + "ok", "error not well-formed"),
    FaultClass("entity expansion (billion laughs)", swap("<GL_", f"<!DOCTYPE x [{BOMB}]><GL_"), "error dtd"),
    FaultClass(
        "an external entity",
        lambda text: text.replace("<GL_", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><GL_').replace(
            "d1", "&e;"
        ),
        "error dtd",
    ),
    FaultClass("an undeclared entity", swap("d1", "&nbsp;"), "error not well-formed"),
    FaultClass("a processing instruction", swap("<mRID>", "<?php x?><mRID>"), "error structure"),
    FaultClass(
        "elements without end", lambda t: t.replace("<Period>", "<Period>" + "<Point/>" * 300_000), "error size"
    ),
    FaultClass("a tag of a megabyte", swap("<Period>", f'<Period a="{"x" * (1 << 20)}">'), "error size"),
    FaultClass("more than 16 MiB", lambda text: text + " " * (16 << 20), "error size"),
    FaultClass("deep nesting", swap("<Point>", "<Point>" * 500), "error structure"),
    FaultClass("another root", lambda text: text.replace("GL_Market", "Publication_Market"), "error other document"),
    FaultClass("another namespace", swap("generationloaddocument", "publicationdocument"), "error namespace"),
    FaultClass("no namespace", drop(' xmlns="[^"]*"'), "error namespace"),
    FaultClass("another version of the format", swap("document:3:0", "document:4:1"), "note"),
    # Acknowledgements
    FaultClass("no data, the old text", always(acknowledgement(NO_DATA)), "no data"),
    FaultClass("no data, the text of 2026, status 400", always(acknowledgement(NO_DATA_2026)), "no data", status=400),
    FaultClass("over the limit", always(acknowledgement(LIMIT)), "refused limit", status=400),
    FaultClass("over the limit, status 200", always(acknowledgement(LIMIT)), "refused limit"),
    FaultClass(
        "too many instances",
        always(acknowledgement("The number of instances (149) exceeds the allowed maximum (100)")),
        "refused limit",
        status=400,
    ),
    FaultClass(
        "not valid for this area",
        always(acknowledgement("The outBiddingZone_Domain is not valid for this area.")),
        "refused area",
        status=400,
    ),
    FaultClass(
        "dependency tables",
        always(acknowledgement("Please check you request against dependency tables.")),
        "refused dependency",
        status=400,
    ),
    FaultClass("an unknown refusal, status 200", always(acknowledgement("Try tomorrow.")), "refused unknown"),
    FaultClass(
        "an unknown reason beside no data", always(acknowledgement(NO_DATA, "Internal error.")), "refused unknown"
    ),
    FaultClass("an acknowledgement without a reason", always(acknowledgement()), "error no reason"),
    FaultClass(
        "no data, over the limit",
        always(acknowledgement("No matching data found, amount of requested data exceeds allowed limit")),
        "refused limit",
        status=400,
    ),
    FaultClass("no data, with more words", always(acknowledgement(f"{NO_DATA}, try the archive.")), "refused unknown"),
    FaultClass("no data of another zone", no_data(area="10YFR-RTE------C"), "error area"),
    FaultClass("no data of another item", no_data(item="12.1.D"), "error item"),
    FaultClass("no data of an item of another chapter", no_data(item="16.1.A"), "error item"),
    FaultClass("no data of another period", no_data(begin="2001-07-01", end="2001-07-02T23:00:00Z"), "error period"),
    FaultClass("no data of a part of the period", no_data(end="2026-03-11T20:00:00Z"), "error period"),
    FaultClass("no data, named to the minute and with the zone", no_data(end="2026-03-11T23:00Z"), "no data"),
    # Bans
    FaultClass("a ban, status 429", always(BANNED), "ban", status=429, kind="text/html"),
    FaultClass("a ban, status 200", always(BANNED), "ban", kind="text/html"),
    FaultClass("a ban, status 400", always(BANNED), "ban", status=400, kind="text/html"),
    FaultClass("a ban in plain text, status 200", always("Requester banned until further notice."), "ban"),
    FaultClass("a ban in an acknowledgement", always(acknowledgement("Requester banned until 10:05.")), "ban"),
    FaultClass(
        "a remark about a ban in a sound document",
        swap("<mRID>1<", "<Reason><text>banned until '2026-03-12T10:05:00Z'</text></Reason><mRID>1<"),
        "note",
    ),
    # Another answer than was asked for
    FaultClass("another document type", swap("<type>A65", "<type>A75"), "error document type"),
    FaultClass("no document type", drop("<type>A65</type>"), "error document type"),
    FaultClass("the forecast instead of the load", swap("processType>A16", "processType>A01"), "error process type"),
    FaultClass("another zone", swap("10YDK-1--------W", "10YDK-2--------M"), "error area"),
    FaultClass(
        "another coding scheme of the zone", swap('codingScheme="A01">10Y', 'codingScheme="NDK">10Y'), "error area"
    ),
    FaultClass("no zone", drop("<outBidding.*?</outBiddingZone_Domain.mRID>"), "error area"),
    FaultClass("another zone that takes in", swap(UNIT, inward("10YDK-2--------M") + UNIT), "error area"),
    FaultClass("our zone that takes in", swap(UNIT, inward("10YDK-1--------W") + UNIT), "same"),
    FaultClass("MWh instead of MW", swap("MAW", "MWH"), "error unit"),
    FaultClass("kW instead of MW", swap("MAW", "KWT"), "error unit"),
    FaultClass("no unit", drop("<quantity_Measure.*?</quantity_Measure_Unit.name>"), "error unit"),
    FaultClass("generation instead of consumption", swap("A04", "A01"), "error business type"),
    FaultClass("another aggregation", swap("objectAggregation>A01", "objectAggregation>A03"), "error aggregation"),
    FaultClass(
        "one of two series of another zone", lambda t: again(t, swap("DK-1--------W", "DK-2--------M")), "error area"
    ),
    FaultClass(
        "another period altogether",
        lambda text: text.replace("2026-03-1", "2025-03-1").replace("2025-03-12T10", "2026-03-12T10"),
        "error period",
    ),
    FaultClass("a part of the period only", sub(r"<end>2026-03-11T23:00Z", "<end>2026-03-11T20:00Z"), "note"),
    FaultClass("an answer from a cache", swap("2026-03-12T10:00:02Z", "2026-03-09T10:00:02Z"), "note"),
    FaultClass("an answer made in the future", swap("2026-03-12T10:00:02Z", "2027-03-12T10:00:02Z"), "note"),
    FaultClass("createdDateTime that is no time", swap("2026-03-12T10:00:02Z", "yesterday"), "error time"),
    # Structure
    FaultClass("no TimeSeries", drop("<TimeSeries>.*</TimeSeries>"), "error no series"),
    FaultClass("a TimeSeries without a Period", drop("<Period>.*</Period>"), "error structure"),
    FaultClass("a Period without a Point", drop("<Point>.*</Point>"), "error no points"),
    FaultClass(
        "no outer interval", drop("<time_Period.timeInterval>.*?</time_Period.timeInterval>"), "error structure"
    ),
    FaultClass("a Period without an interval", drop("<timeInterval>.*?</timeInterval>"), "error structure"),
    FaultClass("a Period with two intervals", sub("(<timeInterval>.*?</timeInterval>)", r"\1\1"), "error structure"),
    FaultClass("text between elements", swap("<Period>", "<Period>3080"), "error structure"),
    FaultClass("an element inside a number", swap(POSITION, "<position><b>3</b></position>"), "error structure"),
    FaultClass("an unknown element that holds others", lambda t: t.replace("Period>", "Perio>"), "error structure"),
    FaultClass("an unknown element with text", swap(FIRST, "<remark>A13</remark><mRID>1<"), "note"),
    FaultClass("an unknown element in a point", swap(QUANTITY, f"{QUANTITY}<quality>A03</quality>"), "note"),
    FaultClass("a factor in a point", swap(QUANTITY, f"{QUANTITY}<quantity.factor>1000</quantity.factor>"), QUANTITIES),
    FaultClass("a unit in a point", swap(QUANTITY, f"{QUANTITY}<Quantity_Unit>KWT</Quantity_Unit>"), QUANTITIES),
    FaultClass("a quantity with an attribute", swap(QUANTITY, QUANTITY.replace("y>", 'y unit="KWT">', 1)), QUANTITIES),
    FaultClass("a cancelled document", swap("<time_Per", "<docStatus>A09</docStatus><time_Per"), "error status"),
    FaultClass(
        "a withdrawn document", swap("<time_P", "<docStatus><value>A13</value></docStatus><time_P"), "error status"
    ),
    FaultClass("a withdrawn series", swap(FIRST, "<docStatus>A13</docStatus><mRID>1<"), "error status"),
    FaultClass("an intermediate document", swap("<time_P", "<docStatus>\nA01\n</docStatus><time_P"), "note"),
    FaultClass("an active document", swap("<time_P", "<docStatus>\n<value>A05</value>\n</docStatus><time_P"), "note"),
    FaultClass("a document in revision 2", swap("revisionNumber>1", "revisionNumber>2"), "same"),
    FaultClass("a remark of the service", swap("<mRID>1<", "<Reason><text>late</text></Reason><mRID>1<"), "note"),
    FaultClass("a comment inside a number", swap("</quantity>", "<!-- MW --></quantity>"), "same"),
    FaultClass("a byte order mark", lambda text: b"\xef\xbb\xbf" + text.encode(), "same"),
    FaultClass(
        "a prefix for the namespace",
        lambda text: re.sub(r"<(/?)([A-Za-z])", r"<\1n:\2", text).replace("xmlns=", "xmlns:n="),
        "same",
    ),
    # Times
    FaultClass("a time with seconds", swap("T23:00Z</start><end>", "T23:00:00Z</start><end>"), "error time"),
    FaultClass("a time without Z", swap("T23:00Z</start><end>", "T23:00</start><end>"), "error time"),
    FaultClass("a time with an offset", swap("T23:00Z</start><end>", "T23:00+01:00</start><end>"), "error time"),
    FaultClass(
        "a day that does not exist", swap("2026-03-11T23:00Z</end></t", "2026-02-30T23:00Z</end></t"), "error time"
    ),
    FaultClass("24:00", swap("2026-03-11T23:00Z</end></t", "2026-03-11T24:00Z</end></t"), "error time"),
    FaultClass("no start", drop("<start>[^<]*</start>(?=<end>)"), "error time"),
    FaultClass(
        "end before start", swap("2026-03-11T23:00Z</end></t", "2026-03-09T23:00Z</end></t"), "error period length"
    ),
    FaultClass("an end that is no multiple", swap("11T23:00Z</end></t", "11T22:45Z</end></t"), "error period length"),
    FaultClass("a start off the grid", swap("10T23:00Z</start><end>", "10T22:15Z</start><end>"), "error grid"),
    FaultClass(
        "a Period of a hundred years", swap("2026-03-11T23:00Z</end></t", "2126-03-11T23:00Z</end></t"), "error size"
    ),
    FaultClass("more than asked for", lambda text: text, "note", HOURS.of(asked=(START + timedelta(hours=3), END))),
    FaultClass("a load of the future", lambda text: text, "aside", HOURS.of(fetched_at=END - timedelta(hours=3))),
    # Resolutions
    FaultClass("hours relabelled as quarter-hours", swap("PT60M", "PT15M"), "error missing position"),
    FaultClass("quarter-hours relabelled as hours", swap("PT15M", "PT60M"), "error position range", QUARTERS),
    FaultClass("hours relabelled as quarter-hours, A03", swap("PT60M", "PT15M"), "aside", sound(curve="A03")),
    FaultClass("an unknown resolution", swap("PT60M", "PT1M"), "error resolution"),
    FaultClass("days", swap("PT60M", "P1D"), "error resolution"),
    FaultClass("no resolution", drop("<resolution>.*?</resolution>"), "error resolution"),
    FaultClass("hours and agreeing quarter-hours of the same time", means, NOTED),
    FaultClass("hours and other quarter-hours of the same time", lambda text: means(text, 40.0), "error overlap"),
    FaultClass(
        "an hour that overlaps the quarter-hours",
        lambda t: t.replace("11T11:00Z</end>", "11T12:00Z</end>").replace(
            "<position>12</position>",
            "<position>13</position><quantity>2400</quantity></Point><Point><position>12</position>",
            1,
        ),
        "error position order",
        MIXED,
    ),
    # Curve types and positions
    FaultClass("an unknown curve type", swap("curveType>A01", "curveType>A02"), "error curve type"),
    FaultClass("no curve type", drop("<curveType>.*?</curveType>"), "error curve type"),
    FaultClass("A01 with its tail cut", drop("".join(point(n) for n in (22, 23, 24))), "error missing position"),
    FaultClass("A01 with a point missing inside", drop(point(7)), NOTED),
    FaultClass("A03 with its tail cut", drop("".join(point(n) for n in (94, 95, 96))), NOTED, QUARTERS),
    FaultClass("A03 with most of its points cut", drop(f"{point(20)}.*{point(96)}"), "aside", QUARTERS),
    FaultClass("A03 without its first position", drop(point(1)), "error first position", QUARTERS),
    FaultClass("A03 that bridges a gap", bridged, NOTED, GAP),
    FaultClass(
        "a Period that ends before its points", swap("11T23:00Z</end></t", "11T20:00Z</end></t"), "error position range"
    ),
    FaultClass("a position twice, the same value", sub(f"({point(3)})", r"\1\1"), "note"),
    FaultClass("a position twice, another value", swap("<position>4<", "<position>3<"), "error duplicate position"),
    FaultClass("positions out of order", sub(f"({point(3)})({point(4)})", r"\3\1"), "error position order"),
    FaultClass("position 99 of 24", swap("<position>24<", "<position>99<"), "error position range"),
    FaultClass("one position too many", swap("<position>24<", "<position>25<"), "error position range"),
    FaultClass("position 0", swap("<position>1<", "<position>0<"), "error position"),
    FaultClass("a negative position", swap(POSITION, "<position>-3</position>"), "error position"),
    FaultClass("a position that is no number", swap(POSITION, "<position>three</position>"), "error position"),
    FaultClass("a position with a comma", swap("<position>24<", "<position>2,4<"), "error position"),
    FaultClass("a position of other digits", swap(POSITION, "<position>\u0663</position>"), "error position"),
    FaultClass("no position", swap(POSITION, ""), "error position"),
    FaultClass("two positions in a point", swap(POSITION, POSITION * 2), "error structure"),
    FaultClass("the whole series twice", again, "note"),
    FaultClass(
        "the whole series twice, a value changed",
        lambda t: again(t, swap(QUANTITY, "<quantity>1</quantity>")),
        "error overlap",
    ),
    FaultClass(
        "Periods that overlap and differ",
        lambda text: text.replace("2026-03-11T11:00Z</start>", "2026-03-11T07:00Z</start>").replace(
            "2026-03-11T23:00Z</end></t", "2026-03-11T19:00Z</end></t"
        ),
        "error overlap",
        GAP,
    ),
    # Quantities
    FaultClass("a decimal comma", swap(QUANTITY, "<quantity>3080,5</quantity>"), "error quantity"),
    FaultClass("thousands with a comma", swap(QUANTITY, "<quantity>2,075</quantity>"), "error quantity"),
    FaultClass("an exponent", swap(QUANTITY, "<quantity>2.1e3</quantity>"), "error quantity"),
    FaultClass("an exponent that overflows", swap(QUANTITY, "<quantity>1e999</quantity>"), "error quantity"),
    FaultClass("NaN", swap(QUANTITY, "<quantity>NaN</quantity>"), "error quantity"),
    FaultClass("infinite", swap(QUANTITY, "<quantity>INF</quantity>"), "error quantity"),
    FaultClass("N/A", swap(QUANTITY, "<quantity>N/A</quantity>"), "error quantity"),
    FaultClass("an empty quantity", swap(QUANTITY, "<quantity/>"), "error quantity"),
    FaultClass("no quantity", swap(QUANTITY, ""), "error quantity"),
    FaultClass("two quantities", swap(QUANTITY, QUANTITY * 2), "error structure"),
    FaultClass("a unit in the quantity", swap(QUANTITY, "<quantity>2075 MW</quantity>"), "error quantity"),
    FaultClass("underscores in the quantity", swap(QUANTITY, "<quantity>2_075</quantity>"), "error quantity"),
    FaultClass("hexadecimal", swap(QUANTITY, "<quantity>0x81B</quantity>"), "error quantity"),
    FaultClass("a number of 400 digits", swap(QUANTITY, f"<quantity>{'9' * 400}</quantity>"), "error quantity"),
    FaultClass("other digits", swap(QUANTITY, "<quantity>\u0662\u0660\u0667\u0665</quantity>"), "error quantity"),
    FaultClass("a negative load", swap(QUANTITY, "<quantity>-2075</quantity>"), "aside"),
    FaultClass("a load above every zone's", swap(QUANTITY, "<quantity>2075000</quantity>"), "aside"),
    FaultClass("white space around a quantity", swap(QUANTITY, QUANTITY.replace(">2", ">\n 2")), "same"),
)

SMALL = Load((Period(START, 60, tuple(f"{150 + n % 7}" for n in range(24))),))
PASSES = "silently different"
UNDECIDABLE = (
    FaultClass("one digit changed", swap(QUANTITY, "<quantity>2175</quantity>"), PASSES),
    FaultClass("a spike", swap(QUANTITY, "<quantity>20750</quantity>"), PASSES),
    FaultClass("zeros", swap(QUANTITY, "<quantity>0</quantity>"), PASSES),
    FaultClass("a flat line in every position (A01)", sub("<quantity>[^<]*", "<quantity>2500", 24), PASSES),
    FaultClass("all values x 1000, in a small zone", sub("</quantity>", "000</quantity>", 24), PASSES, SMALL),
    FaultClass("A03 with a point missing inside", drop(point(50)), PASSES, QUARTERS),
    FaultClass("the data moved by an hour, their times with them", lambda text: later(text, 1), NOTED),
)
"""What no document shows by itself, for the quality room, which knows the days around; and what the parser says."""


@dataclass(frozen=True)
class Outcome:
    """What came of an answer: its kind as in `FaultClass.outcome`, the values, and whether a row was set aside."""

    kind: str
    values: dict[tuple[datetime, timedelta], float] | None


@cache
def body_of(fault: FaultClass) -> bytes:
    body = fault.change(fault.base.xml())
    return body if isinstance(body, bytes) else body.encode()


def ours(body: bytes, base: Load, *, status: int = 200) -> Outcome:
    try:
        banned = banned_until(Answer("entsoe", "", {}, status, {}, body, base.fetched_at, ""))
        document = parse(body, expected=base.expected) if banned is None else None
    except BadAnswer as error:
        return Outcome(f"error {error.fault}", None)
    except Refused as error:
        return Outcome(f"refused {error.kind}", None)
    if document is None or isinstance(document, NoData):
        return Outcome("ban" if document is None else "no data", None)
    values = {(start, step): value for start, step, value in document.rows.iter_rows()}
    if document.doubtful.height:
        return Outcome("aside", values)
    same = values == {(start, step): value for start, step, value in base.rows}
    if document.notes:
        return Outcome("note" if same else NOTED, values)
    return Outcome("same" if same else "silently different", values)


def theirs(fault: FaultClass) -> str:
    """What entsoe-py's client makes of the answer: ``raises X``, ``same`` or ``silently different``."""
    import pandas as pd
    import requests
    from entsoe import EntsoePandasClient

    class Session(requests.Session):
        body, status, kind = b"", 200, "application/xml"

        def get(self, *_: Any, **__: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer._content = self.status, self.body
            answer.headers["content-type"] = self.kind
            answer.encoding = "utf-8"
            return answer

    session = Session()
    client = EntsoePandasClient(api_key="none", session=session, retry_count=1, retry_delay=0)
    start, end = (pd.Timestamp(when) for when in fault.base.asked)

    def ask(body: bytes, status: int, kind: str) -> dict[datetime, float]:
        session.body, session.status, session.kind = body, status, kind
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = client.query_load("DK_1", start=start, end=end)
        column = frame.iloc[:, 0]
        if column.index.has_duplicates:
            return {stamp: float("nan") for stamp in column.index}
        return {stamp.to_pydatetime(): float(value) for stamp, value in column.items()}

    wanted = {start: value for start, _, value in fault.base.rows}
    try:
        values = ask(body_of(fault), fault.status, fault.kind)
    except Exception as error:
        return f"raises {type(error).__name__}"
    equal = values.keys() == wanted.keys() and all(math.isclose(values[key], wanted[key]) for key in wanted)
    return "same" if equal else "silently different"
