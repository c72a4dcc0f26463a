"""Danish load from Energi Data Service: what is asked, what is read, and what is refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energidata_answers import (
    DANISH,
    DK_1,
    FIVE_MINUTES,
    HOUR,
    HOURLY,
    NOON,
    Service,
    document,
    five_minutes,
    hourly,
    mw,
    received,
    stamps,
)
from gridcast import simulate
from gridcast.contracts import observations
from gridcast.errors import BadAnswer, ConfigError, RateLimited, Refused, SourceError
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.energidata import DATASETS, Energidata
from gridcast.sources.fetched import DOUBTFUL, DUE, Answer, Fetched
from gridcast.sources.wire import Bucket, Kept, Wire
from scripted import Scripted, Send, VirtualClock, answer


def source(url: str, tmp_path, clock: VirtualClock, **wire) -> Energidata:
    bucket = Bucket(tmp_path / "bucket.sqlite", clock=clock)
    wired = Wire("energidata", clock=clock, bucket=bucket, **wire)
    return Energidata(wired, endpoints=Endpoints.simulated(url), clock=clock)


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Energidata:
    """It is asked nothing, so it needs no server."""
    return source("http://127.0.0.1:9", tmp_path_factory.mktemp("reader"), VirtualClock())


VARIABLES = tuple(dataset.variable for dataset in DATASETS)


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + n * HOUR for n in range(count)]


def test_three_variables_come_from_three_data_sets_and_are_never_spliced(tmp_path):
    clock = VirtualClock(NOON + timedelta(days=30))
    start, end = NOON, NOON + 3 * HOUR
    with Scripted(Send(Service(NOON - timedelta(days=9), NOON + timedelta(days=9)))) as server:
        found = source(server.url, tmp_path, clock).fetch(DK_1, start=start, end=end, variables=VARIABLES)

    counts = dict(found.observations["variable"].value_counts().iter_rows())
    assert counts == {"load": 3, "load_realtime": 36, "load_settlement": 3}
    assert found.observations["source"].unique().to_list() == ["energidata"]
    assert found.observations["value"].to_list() == [mw(at) for at in found.observations["valid_time"]]
    assert (found.observations["published_at_basis"] == "assumed").all()
    lag = found.observations.with_columns(lag=pl.col("published_at") - pl.col("valid_time") - pl.col("resolution"))
    assert dict(lag.select("variable", "lag").unique().iter_rows()) == {
        "load": 2 * HOUR,
        "load_realtime": timedelta(minutes=10),
        "load_settlement": timedelta(days=8),
    }
    assert found.due.height == found.observations.height
    assert len(found.answers) == 3
    observations(found.observations)
    assert found.doubtful.schema == DOUBTFUL
    assert found.due.schema == DUE


def test_five_minutes_of_the_east_have_no_norwegian_border(tmp_path):
    clock = VirtualClock(NOON + timedelta(days=1))
    with Scripted(Send(Service(NOON - timedelta(days=2), NOON + timedelta(days=1)))) as server:
        found = source(server.url, tmp_path, clock).fetch(
            zone("DK_2"), start=NOON, end=NOON + HOUR, variables=["load_realtime"]
        )

    assert found.observations["value"].to_list() == [mw(NOON + n * timedelta(minutes=5)) for n in range(12)]
    assert found.doubtful.is_empty()


@pytest.mark.parametrize("day", [date(2025, 3, 30), date(2025, 10, 26), date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_of_a_clock_change_is_whole(day, tmp_path):
    start = datetime(day.year, day.month, day.day, tzinfo=DANISH).astimezone(UTC)
    end = (datetime(day.year, day.month, day.day, tzinfo=DANISH) + timedelta(days=1)).astimezone(UTC)
    with Scripted(Send(Service(start - timedelta(days=3), end + timedelta(days=3)))) as server:
        clock = VirtualClock(end + timedelta(days=9))
        found = source(server.url, tmp_path, clock).fetch(DK_1, start=start, end=end, variables=["load"])

    assert found.observations["valid_time"].to_list() == hours(start, (end - start) // HOUR)
    assert found.due["valid_time"].to_list() == found.observations["valid_time"].to_list()
    assert found.doubtful.is_empty()


@given(
    begin=st.timedeltas(timedelta(0), timedelta(days=15 * 365)),
    length=st.timedeltas(timedelta(minutes=1), timedelta(days=3)),
)
def test_whatever_period_is_asked_for_its_hours_and_no_others_come(tmp_path_factory, begin, length):
    start = datetime(2015, 1, 1, tzinfo=UTC) + begin
    end = start + length
    first = start.replace(minute=0, second=0, microsecond=0)
    with Scripted(Send(Service(first - timedelta(days=4), end + timedelta(days=4)))) as server:
        clock = VirtualClock(end + timedelta(days=9))
        found = source(server.url, tmp_path_factory.mktemp("any"), clock).fetch(
            DK_1, start=start, end=end, variables=["load"]
        )

    expected = [at for at in hours(first, 24 * 4) if start <= at < end]
    assert found.observations["valid_time"].to_list() == expected
    assert found.due["valid_time"].to_list() == expected
    assert found.observations["value"].to_list() == [mw(at) for at in expected]


def test_what_is_not_public_yet_is_not_due_and_the_future_is_not_asked_for(tmp_path):
    clock = VirtualClock(NOON + timedelta(minutes=1))
    with Scripted(Send(Service(NOON - timedelta(days=3), NOON - 2 * HOUR))) as server:
        adapter = source(server.url, tmp_path, clock)
        found = adapter.fetch(DK_1, start=NOON - 6 * HOUR, end=NOON + timedelta(days=2), variables=["load"])
        later = adapter.fetch(DK_1, start=NOON + HOUR, end=NOON + 2 * HOUR)
        (request,) = server.requests

    assert found.due["valid_time"].to_list() == hours(NOON - 6 * HOUR, 4)
    assert found.observations.height == 4
    assert b"end=2026-03-12&" in request
    assert later.observations.is_empty()
    assert later.due.is_empty()


def test_a_missing_hour_is_due_and_absent(reader):
    records = [hourly(at) for at in hours(NOON, 5)]
    records[2]["GrossCon"] = None
    del records[4]
    found = reader.read(received(document(records)), zone=DK_1)

    missing = found.due.join(found.observations, on="valid_time", how="anti")["valid_time"].to_list()
    assert {NOON + 2 * HOUR, NOON + 4 * HOUR} <= set(missing)


@given(order=st.permutations(["Initial", "Preliminary", "Final"]), count=st.integers(1, 3))
def test_of_several_versions_the_best_counts_in_whatever_order_they_come(reader, order, count):
    kept = order[:count]
    records = [hourly(NOON, version=version, value=float(len(version))) for version in kept]
    found = reader.read(received(document(records)), zone=DK_1)

    best = max(kept, key=["Initial", "Preliminary", "Final"].index)
    assert found.observations["value"].to_list() == [float(len(best))]
    assert any(f"1 {best}" in note for note in found.notes)
    assert any("later version" in note for note in found.notes) == (count > 1)


def test_an_empty_final_value_leaves_the_preliminary_one(reader):
    records = [hourly(NOON, version="Preliminary"), hourly(NOON, version="Final")]
    records[1]["GrossCon"] = None
    assert reader.read(received(document(records)), zone=DK_1).observations["value"].to_list() == [mw(NOON)]


def test_a_link_that_was_not_open_yet_may_be_empty_and_one_that_was_may_not(reader):
    before, after = datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 1, 10, tzinfo=UTC)
    for at, expected in ((before, [mw(before)]), (after, [])):
        record = five_minutes(at) | {"ExchangeGreatBritain": None}
        span = {"start": f"{at:%Y-%m-%d}", "end": f"{at + timedelta(days=1):%Y-%m-%d}"}
        found = reader.read(received(document([record], FIVE_MINUTES), FIVE_MINUTES, **span), zone=DK_1)
        assert found.observations["value"].to_list() == expected


GOOD = [hourly(at) for at in hours(NOON, 12)]


def changed(position: int, **cells) -> bytes:
    """The good answer with one record changed."""
    return json.dumps(document([row | (cells if n == position else {}) for n, row in enumerate(GOOD)])).encode()


def without(name: str) -> bytes:
    return json.dumps(document([{key: row[key] for key in row if key != name} for row in GOOD])).encode()


WHOLE = json.dumps(document(GOOD)).encode()
SHIFTED = [row | {"TimeUTC": stamps(HOURLY, NOON + (n + 1) * HOUR)["TimeUTC"]} for n, row in enumerate(GOOD)]
REFUSED = {
    "an empty body": (b"  ", "empty"),
    "an HTML page": (b"<html><body>maintenance</body></html>", "json"),
    "cut inside a number": (WHOLE[: WHOLE.rindex(b".")], "json"),
    "cut at a record": (WHOLE[: WHOLE.rindex(b", {")], "json"),
    "NaN": (changed(3, GrossCon=float("nan")), "json"),
    "Infinity": (changed(3, GrossCon=float("inf")), "json"),
    "a number beyond a float": (WHOLE.replace(str(mw(NOON)).encode(), b"1e999"), "number"),
    "a whole number of 5,000 digits": (WHOLE.replace(str(mw(NOON)).encode(), b"1" * 5000), "number"),
    "a key twice": (WHOLE.replace(b'"GrossCon"', b'"GrossCon": 1.0, "GrossCon"', 1), "json"),
    "100,000 brackets": (b"[" * 100_000, "json"),
    "100,000 objects": (b'{"records":' * 100_000, "json"),
    "UTF-16": (WHOLE.decode().encode("utf-16"), "json"),
    "a byte order mark": (b"\xef\xbb\xbf" + WHOLE, "json"),
    "no UTF-8": (WHOLE.replace(b"Final", b"Fin\xe6l", 1), "json"),
    "a list instead of an object": (b"[]", "shape"),
    "no records": (json.dumps({"dataset": HOURLY.name}).encode(), "shape"),
    "records that are text": (json.dumps(document(["a", "b"])).encode(), "shape"),
    "a message with status 200": (b'{"message": "Too many requests"}', "shape"),
    "another data set": (json.dumps(document(GOOD) | {"dataset": "Elspotprices"}).encode(), "dataset"),
    "a limit that was not asked for": (json.dumps(document(GOOD, limit=12)).encode(), "cut short"),
    "a column missing": (without("GrossCon"), "columns"),
    "the old names of the clocks": (WHOLE.replace(b"TimeUTC", b"HourUTC"), "columns"),
    "a number as text": (changed(3, GrossCon="2345.6"), "number"),
    "a number with a decimal comma": (changed(3, GrossCon="2345,6"), "number"),
    "true for a number": (changed(3, GrossCon=True), "number"),
    "a list for a number": (changed(3, GrossCon=[1]), "number"),
    "an unknown area": (changed(3, PriceArea="SE4"), "area"),
    "the other area": (changed(3, PriceArea="DK2"), "area"),
    "no area": (changed(3, PriceArea=None), "area"),
    "a time with a zone": (changed(3, TimeUTC="2026-03-10T15:00:00Z"), "time"),
    "a time in words": (changed(3, TimeUTC="tomorrow"), "time"),
    "a day that does not exist": (changed(3, TimeUTC="2026-02-30T15:00:00"), "time"),
    "a leap second": (changed(3, TimeUTC="2026-03-10T15:59:60"), "time"),
    "digits of another script": (changed(3, TimeUTC="2026-03-10T1\u0665:00:00"), "time"),
    "a time as a number": (changed(3, TimeUTC=1773154800), "time"),
    "a time off the grid": (changed(3, TimeUTC="2026-03-10T15:07:00"), "grid"),
    "two values for one hour": (changed(3, **stamps(HOURLY, NOON), GrossCon=1.0), "conflict"),
    "another period": (json.dumps(document([hourly(NOON - timedelta(days=90))])).encode(), "period"),
}

NOTICED = {
    "a negative load": (changed(3, GrossCon=-2100.0), "below 0"),
    "kilowatts": (changed(3, GrossCon=mw(NOON) * 1000), "over 20000 MW"),
    "an unknown version": (changed(3, Version="Corrected\r\n\x1b[31m"), "version Corrected [31m is unknown"),
    "no version": (changed(3, Version=None), "version None is unknown"),
    "a version that is a list": (changed(3, Version=["Final"]), "is unknown"),
    "a clock shifted by an hour": (json.dumps(document(SHIFTED)).encode(), "disagree"),
    "one hour shifted": (changed(3, TimeDK="2026-03-10T15:00:00"), "disagree"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_answer_is_refused(fault, reader):
    body, kind = REFUSED[fault]
    with pytest.raises(BadAnswer) as caught:
        reader.read(received(body), zone=DK_1)
    assert caught.value.fault == kind
    assert str(caught.value).isprintable()
    assert caught.value.source == "energidata"


@pytest.mark.parametrize("fault", NOTICED)
def test_a_doubtful_row_is_set_aside_and_the_others_stay_true(fault, reader):
    body, reason = NOTICED[fault]
    found = reader.read(received(body, at=NOON + timedelta(days=1)), zone=DK_1)

    assert found.doubtful.height == (12 if body == NOTICED["a clock shifted by an hour"][0] else 1)
    assert all(reason in text for text in found.doubtful["reason"])
    assert found.observations.height == 12 - found.doubtful.height
    assert found.observations["value"].to_list() == [mw(at) for at in found.observations["valid_time"]]


def test_an_hour_that_is_not_over_yet_is_doubtful(reader):
    found = reader.read(received(WHOLE, at=NOON + timedelta(hours=11, minutes=50)), zone=DK_1)
    assert found.doubtful.select("valid_time", "reason").rows() == [
        (NOON + 11 * HOUR, "it was not over yet when it was fetched")
    ]


@pytest.mark.parametrize("ahead", [timedelta(hours=10), timedelta(minutes=60)])
def test_one_value_from_the_future_puts_the_whole_answer_in_doubt(reader, ahead):
    body = document([*GOOD[:3], hourly(NOON + timedelta(days=1) + ahead)])
    found = reader.read(received(body, at=NOON + timedelta(days=1)), zone=DK_1)
    assert found.observations.is_empty()
    assert found.doubtful.height == 4
    assert all("from the future" in reason for reason in found.doubtful["reason"])


def test_both_clocks_an_hour_late_show_at_the_edges_of_the_days_asked_for(reader):
    span = hours(datetime(2026, 3, 8, 23, tzinfo=UTC), 72)
    truth = reader.read(received(document([hourly(at) for at in span])), zone=DK_1)
    late = [hourly(at + HOUR, value=mw(at)) for at in span]
    for records in (late, late[:40]):
        assert any("clock may be shifted" in note for note in reader.read(received(document(records)), zone=DK_1).notes)
    assert not any("clock may be shifted" in note for note in truth.notes)


def test_a_row_that_comes_twice_word_for_word_is_one_and_noted(reader):
    found = reader.read(received(document(GOOD + GOOD[3:5])), zone=DK_1)
    assert found.observations.height == 12
    assert any("2 rows twice" in note for note in found.notes)


def test_rows_in_any_order_are_the_same_rows(reader):
    backwards = reader.read(received(document(GOOD[::-1])), zone=DK_1)
    assert backwards.observations.equals(reader.read(received(document(GOOD)), zone=DK_1).observations)


def test_exchange_over_a_border_that_an_area_lacks_is_doubtful(reader):
    row = five_minutes(NOON, area="DK2") | {"ExchangeNorway": 400.0}
    found = reader.read(received(document([row], FIVE_MINUTES), FIVE_MINUTES, area="DK2"), zone=zone("DK_2"))
    assert found.observations.is_empty()
    assert found.doubtful["reason"].to_list() == ["exchange over a border that DK2 does not have"]


@given(data=st.data())
def test_no_broken_answer_is_an_untyped_error(reader, data):
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["cut", "drop", "put", "flip", "repeat"])):
            case "cut":
                del body[place:]
            case "drop":
                del body[place : place + data.draw(st.integers(1, 40))]
            case "put":
                body[place:place] = data.draw(st.binary(max_size=8))
            case "flip" if place < len(body):
                body[place] ^= 1 << data.draw(st.integers(0, 7))
            case "repeat":
                body[place:place] = body[place : place + 60]
    with contextlib.suppress(SourceError):
        observations(reader.read(received(bytes(body)), zone=DK_1).observations)


def test_a_kept_answer_reads_as_it_was_fetched(tmp_path):
    clock = VirtualClock(NOON + timedelta(days=20))
    kept = Kept(tmp_path / "kept")
    with Scripted(Send(Service(NOON - timedelta(days=9), NOON + timedelta(days=9)))) as server:
        adapter = source(server.url, tmp_path, clock, kept=kept)
        found = adapter.fetch(DK_1, start=NOON, end=NOON + 5 * HOUR, variables=VARIABLES)
    again = [adapter.read(each, zone=DK_1) for each in kept.answers("energidata")]
    inside = pl.col("valid_time").is_between(NOON, NOON + 5 * HOUR, closed="left")
    replayed = observations(pl.concat(each.observations for each in again).filter(inside))

    assert replayed.equals(found.observations)
    assert found.observations.height == 70
    other = [adapter.read(each, zone=zone("DK_2")) for each in kept.answers("energidata")]
    assert all(each.observations.is_empty() and each.notes for each in other)


def test_an_answer_of_another_data_set_is_not_read(reader):
    strange = received(WHOLE)
    strange = Answer(**(vars(strange) | {"url": "https://api.energidataservice.dk/dataset/Elspotprices"}))
    with pytest.raises(BadAnswer, match="none of ours"):
        reader.read(strange, zone=DK_1)


def test_one_request_a_minute_and_data_set(tmp_path):
    clock = VirtualClock(NOON + timedelta(days=30))
    began = clock.now()
    with Scripted(Send(Service(NOON, NOON + HOUR))) as server:
        adapter = source(server.url, tmp_path, clock)
        for _ in range(3):
            adapter.fetch(DK_1, start=NOON, end=NOON + HOUR, variables=VARIABLES)
        assert len(server.requests) == 9
    # Three data sets share nothing, so only the second and the third round wait.
    assert timedelta(minutes=2) <= clock.now() - began < timedelta(minutes=2, seconds=5)


def test_a_long_period_is_asked_for_in_parts_that_join_without_a_seam(tmp_path):
    start, end = datetime(2022, 1, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
    with Scripted(Send(Service(start - timedelta(days=3), end + timedelta(days=3)))) as server:
        clock = VirtualClock(end + timedelta(days=9))
        found = source(server.url, tmp_path, clock).fetch(DK_1, start=start, end=end, variables=["load"])
        assert len(server.requests) == 3
    assert found.observations["valid_time"].to_list() == hours(start, (end - start) // HOUR)


@pytest.mark.parametrize(
    "refusal",
    [
        answer(429, b'{"message": "Rate limit exceeded, try again in 42 seconds please"}'),
        answer(429, b"{}", retry_after="42"),
    ],
)
def test_a_limit_in_words_or_in_a_header_is_waited_out(refusal, tmp_path):
    clock = VirtualClock(NOON + timedelta(days=30))
    began = clock.now()
    with Scripted(Send(refusal), Send(Service(NOON, NOON + HOUR))) as server:
        found = source(server.url, tmp_path, clock).fetch(DK_1, start=NOON, end=NOON + HOUR, variables=["load"])
    assert found.observations.height == 1
    assert timedelta(seconds=42) <= clock.now() - began <= timedelta(seconds=120)


def test_a_limit_that_never_ends_is_a_typed_error(tmp_path):
    clock = VirtualClock(NOON)
    with Scripted(Send(answer(429, b'{"message": "in 5000 seconds"}'))) as server, pytest.raises(RateLimited):
        source(server.url, tmp_path, clock).fetch(DK_1, start=NOON - HOUR, end=NOON, variables=["load"])


def test_a_refusal_says_why(tmp_path):
    said = b'{"message": "Invalid column GrossConn"}'
    with Scripted(Send(answer(400, said))) as server, pytest.raises(Refused, match="Invalid column"):
        source(server.url, tmp_path, VirtualClock(NOON)).fetch(DK_1, start=NOON - HOUR, end=NOON, variables=["load"])


@pytest.mark.parametrize(("code", "remedy"), [("DK", "ingest DK_1 and DK_2"), ("FR", "it serves DK_1 and DK_2")])
def test_a_zone_without_data_of_its_own_is_told_where_they_are(code, remedy, reader):
    with pytest.raises(ConfigError, match=remedy):
        reader.fetch(zone(code), start=NOON, end=NOON + HOUR)


def test_an_unknown_variable_and_an_empty_period_are_wrong_usage(reader):
    with pytest.raises(ConfigError, match="its variables are load, load_realtime, load_settlement"):
        reader.fetch(DK_1, start=NOON, end=NOON + HOUR, variables=["temperature_2m"])
    for start, end in ((NOON, NOON), (NOON.replace(tzinfo=None), NOON.replace(tzinfo=None) + HOUR)):
        with pytest.raises(ConfigError, match="empty or has no time zone"):
            reader.fetch(DK_1, start=start, end=end)


def simulated(folder, *, variable: str, fault: str | None = None) -> Fetched:
    """Three days of one variable from the grid simulator, every answer with the fault."""
    clock = VirtualClock(NOON + timedelta(days=20))
    faults = None if fault is None else simulate.Faults([fault])
    with simulate.running(simulate.World(), clock=clock, faults=faults) as url:
        return source(url, folder, clock).fetch(DK_1, start=NOON, end=NOON + timedelta(days=3), variables=[variable])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """What the simulator says without a fault, by variable."""
    folder = tmp_path_factory.mktemp("truth")
    return {name: simulated(folder, variable=name) for name in VARIABLES}


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_simulator_serves_every_variable_whole(truth, variable):
    found = truth[variable]
    assert found.observations.height == found.due.height == (72 * 12 if variable == "load_realtime" else 72)
    assert found.doubtful.is_empty()


CONTENT = [
    name for name, fault in simulate.FAULTS.items() if fault.layer == "content" and "energidata" in fault.providers
]


@pytest.mark.parametrize("fault", CONTENT)
def test_no_fault_of_the_simulator_is_silently_wrong(fault, truth, tmp_path):
    try:
        found = simulated(tmp_path, variable="load", fault=fault)
    except SourceError:
        return
    told = any("clock may be shifted" in note for note in found.notes)
    same = ["valid_time", "published_at", "value"]
    assert told or found.observations.join(truth["load"].observations, on=same, how="anti").is_empty()


def test_the_catalogue_of_the_simulator_is_long_enough():
    assert len(CONTENT) >= 20
