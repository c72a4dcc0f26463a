"""No fault that we know of passes in silence, and docs/faults.md lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridcast.errors import BadAnswer, Refused
from gridcast.sources.entsoe.document import parse
from sources.entsoe.fault_classes import CLASSES, GAP, HOURS, MIXED, QUARTERS, SMALL, UNDECIDABLE, body_of, ours, theirs

PAGE = Path(__file__).resolve().parents[3] / "docs" / "faults.md"
BY_NAME = {fault.name: fault for fault in (*CLASSES, *UNDECIDABLE)}


def names(faults):
    return [fault.name for fault in faults]


@pytest.mark.parametrize("fault", CLASSES, ids=names(CLASSES))
def test_a_fault_becomes_a_typed_error_a_note_or_rows_set_aside(fault, record_property):
    kind = ours(body_of(fault), fault.base, status=fault.status).kind
    record_property("classes", 1)
    record_property("silently_wrong", int(kind == "silently different"))
    assert kind == fault.outcome


@pytest.mark.parametrize("fault", UNDECIDABLE, ids=names(UNDECIDABLE))
def test_what_no_document_shows_by_itself_is_handed_on_as_the_page_says(fault, record_property):
    record_property("undecidable", 1)
    assert ours(body_of(fault), fault.base).kind == fault.outcome


@pytest.mark.parametrize("base", [HOURS, QUARTERS, GAP, MIXED, SMALL])
def test_the_documents_that_are_spoilt_are_sound_before(base):
    assert ours(base.xml().encode(), base).kind == "same"


def test_there_are_at_least_60_classes_and_no_two_of_a_name():
    assert len(CLASSES) >= 60
    assert len(BY_NAME) == len(CLASSES) + len(UNDECIDABLE)


REFUSED = [fault for fault in CLASSES if fault.outcome.startswith(("error", "refused"))]


@pytest.mark.parametrize("fault", REFUSED, ids=names(REFUSED))
def test_an_error_is_one_bounded_line_that_names_the_fault_and_ends_with_the_remedy(fault):
    with pytest.raises((BadAnswer, Refused)) as caught:
        parse(body_of(fault), expected=fault.base.expected)

    assert str(caught.value).endswith(caught.value.remedy)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a decimal comma", "TimeSeries 1, Period 1, position 3"),
        ("position 99 of 24", "TimeSeries 1, Period 1, position 99"),
        ("two quantities", "TimeSeries 1, Period 1, Point 3"),
        ("one of two series of another zone", "TimeSeries 2"),
        ("a time without Z", "TimeSeries 1, Period 1, start"),
        ("Periods that overlap and differ", "at 2026-03-11T07:00Z"),
    ],
)
def test_an_error_says_where_in_the_document_it_is(name, place):
    fault = BY_NAME[name]

    with pytest.raises(BadAnswer) as caught:
        parse(body_of(fault), expected=fault.base.expected)

    assert caught.value.place == place
    assert place in str(caught.value)


def rows_of_the_page() -> dict[str, list[str]]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {row[0]: row[1:] for row in cells if row[0] not in ("fault", "---") and len(row) == 3}


def test_the_page_lists_every_fault_in_order_with_what_we_make_of_it():
    page = rows_of_the_page()

    assert list(page) == [*names(CLASSES), *names(UNDECIDABLE)]
    for name, (said, _) in page.items():
        assert BY_NAME[name].outcome.split(maxsplit=1)[-1] in said


@pytest.mark.parametrize("name", ["a decimal comma", "another zone", "A03 with its tail cut", "plain text", "NaN"])
def test_the_page_says_of_entsoe_py_what_it_does(name):
    pytest.importorskip("entsoe")

    assert theirs(BY_NAME[name]).split()[0] in rows_of_the_page()[name][1]
