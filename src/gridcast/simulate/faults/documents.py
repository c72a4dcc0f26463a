"""ENTSO-E documents that are wrong in form: their numbers, positions, elements and times."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults import editing
from gridcast.simulate.faults.catalogue import Spoilt, add, described
from gridcast.simulate.faults.editing import retagged, with_point, with_quantity, without

Edit = Callable[[str], str | bytes]


def document(edit: Edit) -> Edit:
    """A fault of load documents: the function gets the sound text; one that leaves it alone is not applicable."""
    name, sentence = described(edit)

    def spoil(reply: Reply, _ask: Ask) -> Spoilt:
        if b"<GL_MarketDocument" not in reply.body:
            return None
        text = reply.body.decode()
        edited = edit(text)
        body = edited if isinstance(edited, bytes) else edited.encode()
        return None if body == reply.body else replace(reply, body=body)

    add(name, sentence, layer="content", providers=("entsoe",), spoil=spoil)
    return edit


def _number(name: str, sentence: str, change: Callable[[str], str]) -> None:
    """A fault of one quantity."""

    def edit(text: str) -> str:
        return with_quantity(text, change)

    edit.__name__, edit.__doc__ = name, sentence
    document(edit)


def _tag(name: str, sentence: str, element: str, *, value: str | None = None) -> None:
    """A fault of one element: another value, or the element left out."""

    def edit(text: str) -> str:
        return without(text, element) if value is None else retagged(text, element, value=value)

    edit.__name__, edit.__doc__ = name, sentence
    document(edit)


# --- numbers ---------------------------------------------------------------------------------------------------------

_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}

_number("decimal-comma", "A quantity has a decimal comma.", lambda text: f"{text.replace('.', ',')},5")
_number("thousands-separator", "A quantity has a separator of thousands.", lambda text: f"{text[:1]},{text[1:]}")
_number("overflowing-exponent", "A quantity is 1e999.", lambda _: "1e999")
_number("not-a-number", "A quantity is NaN.", lambda _: "NaN")
_number("infinite-value", "A quantity is INF.", lambda _: "INF")
_number("negative-value", "A quantity is negative.", lambda text: f"-{text}")
_number("empty-quantity", "A quantity is empty.", lambda _: "")
_number("blank-quantity", "A quantity is a blank.", lambda _: " ")
_number("word-for-quantity", "A quantity is a word.", lambda _: "n/e")
_number("hexadecimal-quantity", "A quantity is written in base 16.", lambda text: hex(int(float(text))))
_number(
    "underscored-quantity", "A quantity has an underscore, which Python reads as nothing.", lambda t: f"{t[0]}_{t[1:]}"
)
_number("foreign-digits", "A quantity is in full-width digits.", lambda text: text.translate(_FULL_WIDTH))
_number("endless-number", "A quantity has 100,000 digits.", lambda text: text + "0" * 100_000)
_number("two-numbers", "A quantity holds two numbers.", lambda text: f"{text} {text}")


@document
def missing_quantity(text: str) -> str:
    """A point has a position and no quantity."""
    return with_point(text, lambda point: re.sub(r" *<quantity>.*</quantity>\n", "", point))


@document
def two_quantities(text: str) -> str:
    """A point has two quantities."""
    return with_point(text, lambda point: re.sub(r"( *<quantity>)(.*\n)", r"\g<1>\g<2>\g<1>1\g<2>", point))


@document
def nested_quantity(text: str) -> str:
    """A quantity holds another element around its number."""
    return with_quantity(text, lambda number: f"<value>{number}</value>")


@document
def cdata_in_number(text: str) -> str:
    """A part of a quantity stands in a CDATA section."""
    return with_quantity(text, lambda number: f"{number[:1]}<![CDATA[{number[1:]}]]>")


@document
def comment_in_number(text: str) -> str:
    """A comment cuts a quantity in two."""
    return with_quantity(text, lambda number: f"{number[:1]}<!-- -->{number[1:]}")


@document
def processing_instruction_in_number(text: str) -> str:
    """A processing instruction cuts a quantity in two."""
    return with_quantity(text, lambda number: f"{number[:1]}<?cut here?>{number[1:]}")


# --- positions -------------------------------------------------------------------------------------------------------


def _position(name: str, sentence: str, new: str | None) -> None:
    """A fault of one position."""

    def edit(text: str) -> str:
        line = "" if new is None else f"<position>{new}</position>\n"
        return with_point(text, lambda point: re.sub(r"<position>.*</position>\n", line, point))

    edit.__name__, edit.__doc__ = name, sentence
    document(edit)


_position("position-zero", "A position is 0.", "0")
_position("position-negative", "A position is -1.", "-1")
_position("position-beyond-period", "A position is 99,999, far behind the period's end.", "99999")
_position("position-not-whole", "A position is 1.5.", "1.5")
_position("position-a-word", "A position is a word.", "one")
_position("position-empty", "A position is empty.", "")
_position("position-missing", "A point has a quantity and no position.", None)


@document
def duplicate_position_same_value(text: str) -> str:
    """A point stands twice."""
    return with_point(text, lambda point: point + point)


@document
def duplicate_position_other_value(text: str) -> str:
    """A position stands twice, with two values."""
    return with_point(text, lambda point: point + re.sub(r"(<quantity>)", r"\g<1>1", point))


@document
def positions_out_of_order(text: str) -> str:
    """The points of a period stand backwards."""
    period = editing.longest(text)
    return editing.put(text, period, replace(period, points=period.points[::-1]))


# --- elements --------------------------------------------------------------------------------------------------------

_tag("wrong-document-type", "The document is of another type: actual generation.", "type", value="A75")
_tag("wrong-business-type", "The series is of another business type.", "businessType", value="A93")
_tag("wrong-aggregation", "The values are aggregated over something else.", "objectAggregation", value="A06")
_tag("unknown-curve-type", "The curve is of a type that loads do not have.", "curveType", value="A02")
_tag("unknown-resolution", "The resolution is 7 minutes.", "resolution", value="PT7M")
_tag("calendar-resolution", "The resolution is a month.", "resolution", value="P1M")
_tag("garbled-resolution", "The resolution is no duration.", "resolution", value="hourly")
_tag("unit-kwh", "The unit is KWH.", "quantity_Measure_Unit.name", value="KWH")
_tag("unit-mwh", "The unit is MWH.", "quantity_Measure_Unit.name", value="MWH")
_tag("unknown-zone", "The zone's EIC is nobody's.", "outBiddingZone_Domain.mRID", value="10YNOWHERE-----Q")
_tag("missing-unit", "There is no unit.", "quantity_Measure_Unit.name")
_tag("missing-curve-type", "There is no curve type.", "curveType")
_tag("missing-resolution", "There is no resolution.", "resolution")
_tag("missing-zone", "There is no zone.", "outBiddingZone_Domain.mRID")
_tag("missing-mrid", "Neither the document nor its series has an mRID.", "mRID")
_tag("missing-business-type", "There is no business type.", "businessType")
_tag("missing-document-type", "The document does not say what it is.", "type")
_tag("missing-process-type", "The document does not say of which process it is.", "process.processType")
_tag("missing-created-time", "The document does not say when it was made.", "createdDateTime")
_tag("missing-series", "The document has no series.", "TimeSeries")
_tag("missing-period", "The series has no period.", "Period")
_tag("missing-interval", "The periods do not say when they are.", "timeInterval")
_tag("empty-period", "The periods have no points.", "Point")


@document
def wrong_process_type(text: str) -> str:
    """The document is of the other process: forecast for actual, or the reverse."""
    value = "A01" if "<process.processType>A16" in text else "A16"
    return retagged(text, "process.processType", value=value)


@document
def wrong_namespace(text: str) -> str:
    """The document is of a namespace nobody knows."""
    return text.replace("generationloaddocument:3:0", "generationloaddocument:9:9", 1)


@document
def no_namespace(text: str) -> str:
    """The document has no namespace."""
    return re.sub(r' xmlns="[^"]*"', "", text, count=1)


@document
def other_root(text: str) -> str:
    """The document is a publication of prices."""
    return text.replace("GL_MarketDocument", "Publication_MarketDocument")


@document
def foreign_element(text: str) -> str:
    """An element of another namespace passes itself off as a quantity."""
    return with_point(text, lambda point: point.replace("<quantity>", '<quantity xmlns="urn:elsewhere">'))


# --- times -----------------------------------------------------------------------------------------------------------


def _stamped(text: str, pattern: str, new: str) -> str:
    """The document with the stamps of its periods rewritten; those of the whole stay."""
    head, tail = text[: text.index("<TimeSeries>")], text[text.index("<TimeSeries>") :]
    return head + re.sub(pattern, new, tail)


@document
def naive_times(text: str) -> str:
    """The periods' times have no zone."""
    return _stamped(text, r"(T\d\d:\d\d)Z<", r"\1<")


@document
def times_with_offset(text: str) -> str:
    """The periods' times say +01:00 where they said Z."""
    return _stamped(text, r"(T\d\d:\d\d)Z<", r"\1+01:00<")


@document
def times_off_grid(text: str) -> str:
    """The periods begin and end at seven past."""
    return _stamped(text, r"(T\d\d):00Z<", r"\1:07Z<")


@document
def impossible_date(text: str) -> str:
    """A period begins on 30 February."""
    return _stamped(text, r"<start>(\d{4})-\d\d-\d\dT", r"<start>\1-02-30T")


@document
def word_for_time(text: str) -> str:
    """A period begins at a word."""
    return _stamped(text, r"<start>[^<]*<", "<start>midnight<")
