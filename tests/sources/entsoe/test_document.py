"""The parser reads what is sound exactly, and nothing that is not sound takes long."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.errors import BadAnswer, GridcastError, Refused
from gridcast.sources.entsoe.document import Expected, NoData, parse
from sources.entsoe.documents import EIC, NAMESPACE, START, Load, Period, acknowledgement, levels, sound

HOUR = timedelta(hours=1)
QUANTITIES = st.decimals(0, 99_999, places=2).map(lambda value: f"{value:f}") | st.integers(0, 99_999).map(str)


@st.composite
def loads(draw: st.DrawFn) -> Load:
    """Days of load in a few Periods of mixed resolution and curve type, with gaps, partly outside what is asked."""
    at = START + draw(st.integers(-30, 400)) * 24 * HOUR
    asked = at + draw(st.integers(0, 5)) * HOUR
    periods = []
    for _ in range(draw(st.integers(1, 4))):
        minutes = draw(st.sampled_from([15, 30, 60]))
        hours = draw(st.integers(1, 6))
        pool = draw(st.lists(QUANTITIES, min_size=1, max_size=4))
        values = draw(st.lists(st.sampled_from(pool), min_size=hours * 60 // minutes, max_size=hours * 60 // minutes))
        periods.append(Period(at, minutes, tuple(values), draw(st.sampled_from(["A01", "A03"]))))
        at = periods[-1].end + draw(st.integers(0, 3)) * HOUR
    until = max(at - draw(st.integers(0, 5)) * HOUR, asked + HOUR)
    return Load(
        tuple(periods), process=draw(st.sampled_from(["A16", "A01"])), asked=(asked, until), fetched_at=at + 48 * HOUR
    )


def values(load: Load) -> list[tuple[datetime, timedelta, float]]:
    """Everything that the parser read; a load that stands still for hours is set aside."""
    document = parse(load.xml().encode(), expected=load.expected)
    assert not isinstance(document, NoData)
    assert document.doubtful["reason"].str.starts_with("the last point of its Period stands for").all()
    return sorted([*document.rows.iter_rows(), *document.doubtful.drop("reason").iter_rows()])


@given(loads())
def test_every_sound_document_is_read_exactly(load):
    assert values(load) == load.rows


@pytest.mark.filterwarnings("ignore:It looks like you're using an HTML parser")
@settings(max_examples=max(20, settings.default.max_examples // 10))
@given(loads())
def test_entsoe_py_reads_the_same_from_sound_documents(load):
    parsers = pytest.importorskip("entsoe.parsers")
    whole = load.of(asked=(load.periods[0].start, load.periods[-1].end))

    theirs = parsers.parse_loads(whole.xml(), process_type=load.process).iloc[:, 0]

    assert {start: value for start, _, value in values(whole)} == {
        stamp.to_pydatetime(): value for stamp, value in theirs.items()
    }


def samples(shared_data):
    return sorted((shared_data / "entsoe_samples").glob("*.xml"))


def expected_of(text: str) -> Expected | None:
    """The request that a real document answers; None for other documents."""
    eic = re.search(r'outBiddingZone_Domain.mRID codingScheme="A01">([^<]*)', text)
    process = re.search(r"processType>(A16|A01)<", text)
    span = re.search(r"<start>([^<]*)</start>\s*<end>([^<]*)</end>", text)
    if not (eic and process and span):
        return None
    start, end = (datetime.strptime(when, "%Y-%m-%dT%H:%M%z") for when in span.groups())
    return Expected(process.group(1), eic.group(1), start, end)


@pytest.mark.filterwarnings("ignore:It looks like you're using an HTML parser")
def test_real_answers_are_read_as_entsoe_py_reads_them(shared_data):
    parsers = pytest.importorskip("entsoe.parsers")
    compared, cut = 0, []
    for path in samples(shared_data):
        text = path.read_text("utf-8")
        expected = expected_of(text)
        if expected is None:
            continue
        try:
            document = parse(text.encode(), expected=expected)
        except BadAnswer as error:
            cut.append(error.fault)
            continue
        assert not isinstance(document, NoData)
        assert document.notes == ()
        theirs = parsers.parse_loads(text, process_type=expected.process_type).iloc[:, 0]
        assert document.rows["value"].to_list() == theirs.to_list()
        assert document.rows["valid_time"].to_list() == [stamp.to_pydatetime() for stamp in theirs.index]
        compared += document.rows.height

    print(f"{compared} values of real answers compared")
    assert compared > 10_000
    # Two samples were shortened by hand to their first points, which is the fault we refuse.
    assert cut == ["missing position", "missing position"]


def test_real_answers_of_other_kinds_are_told_apart(shared_data):
    asked = Expected("A16", EIC, START, START + 24 * HOUR)
    kinds = set()
    for path in samples(shared_data):
        if expected_of(path.read_text("utf-8")) is None:
            try:
                document = parse(path.read_bytes(), expected=asked)
            except BadAnswer as error:
                kinds.add(error.fault)
            else:
                assert isinstance(document, NoData)
                assert document.reason.startswith("No matching data found")
                kinds.add("no data")

    assert kinds == {"no data", "item", "other document", "process type"}


SPAN = "2026-03-10T23:00:00Z/2026-03-11T23:00:00Z"
WIDER = "2026-03-10T00:00Z/2026-03-12T00:00Z"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("No matching data found", 0),
        ("no matching data found.", 0),
        ("No matching data found for Data item X [6.1.A&amp;B] ({{outBiddingZone_Domain}}).", 0),
        (f"No matching data found for Data item Total Load [6.1.A] ({EIC}) and interval {SPAN}.", 0),
        (f"No matching data found for Data item X [6.1.A] ({EIC}, {EIC}) and interval {SPAN}.", 0),
        (f"No matching data found for Data item X [6.1.A] and interval {WIDER}.", 1),
    ],
)
def test_the_account_of_no_data_carries_the_services_words(text, notes):
    document = parse(acknowledgement(text).encode(), expected=sound().expected)

    assert isinstance(document, NoData)
    assert document.reason == text.replace("&amp;", "&")
    assert len(document.notes) == notes


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"No matching data found for Data item X [6.1.A] (10YFR-RTE------C) and interval {SPAN}.", "area"),
        (f"No matching data found for Data item X [6.1.A] ({EIC}, 10YFR-RTE------C).", "area"),
        ("No matching data found for Data item DAY_AHEAD_PRICES [12.1.D] (x) and interval.", "item"),
        ("No matching data found for Data item X [6.1.C&amp;D&amp;E] ({{outBiddingZone_Domain}}).", "item"),
        ("No matching data found for Data item X [16.1.A].", "item"),
        ("No matching data found for Data item X [GL EB 6.1.A] (x).", "item"),
        (
            "No matching data found for Data item X [6.1.A] and interval 2001-07-01T22:00:00Z/2001-08-06T22:00Z.",
            "period",
        ),
        ("No matching data found for Data item X [6.1.A] and interval 2026-03-10T23:00Z/2026-03-11T22:00Z.", "period"),
    ],
)
def test_no_data_of_what_was_not_asked_for_is_no_answer(text, fault):
    with pytest.raises(BadAnswer) as caught:
        parse(acknowledgement(text).encode(), expected=sound().expected)

    assert caught.value.fault == fault


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("No matching data found, amount of requested data exceeds allowed limit", "limit"),
        (f"No matching data found. Amount exceeds the allowed maximum of 10YFR-RTE------C {SPAN}", "limit"),
        ("No matching data found: the parameter processType is missing", "request"),
        ("No matching data found, try the archive", "unknown"),
        ("No matching data found" + " " * 3500 + "yet", "unknown"),
        ("No matching data found for Data item X [6.1.A] (somewhere).", "unknown"),
        ("No matching data found for Data item PRICES.", "unknown"),
        ("No matching data found for Data item X [6.1.A] and interval.", "unknown"),
        ("No matching data found for Data item X [6.1.A] and interval 2026-99-10T23:00Z/2026-03-11T23:00Z.", "unknown"),
        ("No matching data foundation", "unknown"),
        (f"No matching data found for Data item X [6.1.A] ({EIC.lower()}).", "unknown"),
        (f"No matching data found for Data item X [6.1.A] and interval {SPAN.lower()}.", "unknown"),
        (f"No matching data found for Data item X [6.1.A] and interval {SPAN}. Try {SPAN[:20]} again.", "unknown"),
    ],
)
def test_a_text_that_says_more_than_no_data_is_a_refusal(text, kind):
    with pytest.raises(Refused) as caught:
        parse(acknowledgement(text).encode(), expected=sound().expected)

    assert caught.value.kind == kind


def test_the_status_of_a_sound_document_is_noted_once_and_a_stray_text_beside_it_is_refused():
    def with_status(text: str) -> bytes:
        return sound().xml().replace("<time_Period", f"<docStatus>{text}</docStatus><time_Period", 1).encode()

    document = parse(with_status("<value>A05</value>"), expected=sound().expected)

    assert not isinstance(document, NoData)
    assert document.notes == ("The document has status A05.",)
    for text, fault in (("A05<value/>A09", "structure"), ("A05<value>A09</value>", "status"), ("a09", "status")):
        with pytest.raises(BadAnswer) as caught:
            parse(with_status(text), expected=sound().expected)
        assert caught.value.fault == fault


def test_a_strangers_text_in_an_error_is_one_printable_bounded_line():
    nasty = "&#10;\u202e\u0085evil &#9;[31m" + "x" * 3000

    with pytest.raises(Refused) as caught:
        parse(acknowledgement(nasty).encode(), expected=sound().expected)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert caught.value.kind == "unknown"
    assert caught.value.reason.startswith("evil [31mxxx")


def test_hours_are_dropped_where_quarter_hours_say_the_same():
    hours = Period(START, 60, ("2000", "2010", "2020"))
    quarters = Period(START + HOUR, 15, ("2008", "2009", "2011", "2012"))
    load = Load((hours, quarters))

    document = parse(load.xml().encode(), expected=load.expected)

    assert not isinstance(document, NoData)
    assert document.rows["value"].to_list() == [2000, 2008, 2009, 2011, 2012, 2020]
    assert document.notes == ("1 intervals came in a finer resolution too, which is kept.",)


@pytest.mark.parametrize(("kept", "aside"), [(13, 0), (12, 24), (1, 24)])
def test_a_period_of_which_half_is_held_is_set_aside_as_cut(kept, aside):
    load = Load(
        (Period(START, 60, (*levels(kept, minutes=60), *(levels(kept, minutes=60)[-1],) * (24 - kept)), "A03"),)
    )

    document = parse(load.xml().encode(), expected=load.expected)

    assert not isinstance(document, NoData)
    assert (document.rows.height, document.doubtful.height) == (24 - aside, aside)
    assert document.notes
    if aside:
        reason = f"the last point of its Period stands for {25 - kept} of 24 intervals (A03)"
        assert set(document.doubtful["reason"]) == {reason}


def test_a_load_of_the_future_is_set_aside_and_a_forecast_of_it_is_not():
    load = sound().of(fetched_at=START + 5 * HOUR)

    actual = parse(load.xml().encode(), expected=load.expected)
    forecast = parse(load.of(process="A01").xml().encode(), expected=load.of(process="A01").expected)

    assert not isinstance(actual, NoData)
    assert not isinstance(forecast, NoData)
    assert (actual.rows.height, actual.doubtful.height) == (5, 19)
    assert (forecast.rows.height, forecast.doubtful.height) == (24, 0)


LARGE = 16 << 20
OPEN = f'<GL_MarketDocument xmlns="{NAMESPACE}">'.encode()
SERIES = OPEN + b"<TimeSeries>"
HOSTILE = {
    "unknown elements": OPEN + b"<a/>" * (LARGE // 4 - 100),
    "points": SERIES + b"<Period>" + b"<Point/>" * (LARGE // 9),
    "points with positions": SERIES + b"<Period>" + b"<Point><position>1</position></Point>" * (LARGE // 38),
    "periods": SERIES + b"<Period/>" * (LARGE // 10),
    "line ends": OPEN + b"\n" * (LARGE - 200),
    "line ends in a text": OPEN + b"<type>" + b"\n" * (LARGE - 200),
    "a text": OPEN + b"<type>" + b"1" * (LARGE - 200),
    "an attribute": OPEN + b'<type a="' + b"\n" * (LARGE - 200),
    "attributes": SERIES[:-1] + b" " + b" ".join(b'a%d="1"' % n for n in range(10_000)) + b">",
    "namespaces": OPEN[:-1] + b" " + b" ".join(b'xmlns:a%d="b%d"' % (n, n) for n in range(6_000)) + b">",
    "a comment": OPEN + b"<!--" + b"x" * (LARGE - 200),
    "comments": OPEN + b"<!---->" * (LARGE // 8),
    "character references": OPEN + b"&#32;" * (LARGE // 6),
    "sections": OPEN + b"<![CDATA[ ]]>" * (LARGE // 14),
    "nesting": SERIES + b"<TimeSeries>" * (LARGE // 13),
    "a name": b"<" + b"a" * (LARGE - 2),
    "a document type": b"<!DOCTYPE " + b"a" * (LARGE - 200),
    "64 MB": b"<" * (64 << 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_answer_of_any_size_is_an_untyped_error_or_takes_more_than_linear_time(name, record_property):
    began = time.process_time()
    with pytest.raises(GridcastError):
        parse(HOSTILE[name], expected=sound().expected)
    seconds = time.process_time() - began

    record_property("slowest_seconds", seconds)
    assert seconds < 10  # they take a tenth to half a second, and what is quadratic takes minutes


def test_a_year_of_quarter_hours_is_read_whole_and_fifteen_months_are_too_many():
    start = datetime(2024, 1, 1, tzinfo=UTC)
    year = Load((Period(start, 15, levels(35_136, minutes=15)),), asked=(start, start + 366 * 24 * HOUR))
    endless = year.of(periods=(Period(start, 15, ("5",) * 50_000, "A03"),))

    document = parse(year.of(fetched_at=start + 400 * 24 * HOUR).xml().encode(), expected=year.expected)

    assert not isinstance(document, NoData)
    assert document.rows.height == 35_136
    with pytest.raises(BadAnswer) as caught:
        parse(endless.xml().encode(), expected=year.expected)
    assert caught.value.fault == "size"
