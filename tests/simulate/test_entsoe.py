"""ENTSO-E's documents say exactly what is true in the world, to the parser that everybody uses."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from gridcast.market.days import delivery_window
from gridcast.market.zones import zone
from gridcast.simulate import VirtualClock, World, running

HOUR = timedelta(hours=1)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
DK_1 = "10YDK-1--------W"


def at(*when):
    return datetime(*when, tzinfo=UTC)


def parsed(text, process="A16"):
    """The document's values by entsoe-py: {instant: MW}."""
    parsers = pytest.importorskip("entsoe.parsers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = parsers.parse_loads(text, process_type=process)
    values = frame.iloc[:, 0]
    assert values.index.is_unique
    return {when.to_pydatetime(): value for when, value in values.items()}


def true_values(world, *, begin, end, now, series="load"):
    strip = getattr(world, series)(zone("DK_1"), begin=begin, end=end)
    shown = strip.as_of(now)
    times = strip.start.astype(object)
    return {when.replace(tzinfo=UTC): value for when, value in zip(times, shown, strict=True) if np.isfinite(value)}


def answered(world, load, *, begin, end, now=LATER, **more):
    with running(world, clock=VirtualClock(now)) as url:
        got = load(url, begin=begin, end=end, **more)
    assert got.status == 200
    return got.text


@pytest.mark.parametrize("curve", ["A01", "A03"])
@pytest.mark.parametrize("minutes", [15, 30, 60])
@pytest.mark.parametrize("day", [(2024, 3, 31), (2024, 10, 27), (2024, 6, 5)])
def test_the_usual_parser_reads_exactly_the_world(load, curve, minutes, day):
    world = World(resolution=timedelta(minutes=minutes), gaps=0.05, decimals=-1)
    begin, end = delivery_window(zone("DK_1"), date(*day))
    begin, end = begin - 24 * HOUR, end + 24 * HOUR

    text = answered(world, load, begin=begin, end=end, curveType=curve)

    expected = true_values(world, begin=begin, end=end, now=LATER)
    assert parsed(text) == expected
    assert len(expected) > 0.8 * (end - begin) / timedelta(minutes=minutes)
    declared = text.count("<Point>")
    assert declared < len(expected) if curve == "A03" and minutes == 15 else declared <= len(expected)
    if curve == "A01":
        assert declared == len(expected)


def test_the_forecast_is_another_document(load):
    world = World()
    period = {"begin": at(2024, 5, 1), "end": at(2024, 5, 3)}

    text = answered(world, load, process="A01", **period)

    assert "<process.processType>A01<" in text
    assert parsed(text, "A01") == true_values(world, **period, now=LATER, series="forecast")


def test_two_resolutions_stand_in_one_answer(load):
    world = World(switches=((at(2025, 9, 30, 22), timedelta(minutes=15)),))
    period = {"begin": at(2025, 9, 30, 12), "end": at(2025, 10, 1, 12)}

    text = answered(world, load, **period)

    assert re.findall(r"<resolution>(\w+)<", text) == ["PT60M", "PT15M"]
    assert parsed(text) == true_values(world, **period, now=LATER)


def test_values_to_many_decimals_are_written_without_an_exponent(load):
    world = World(decimals=6)
    period = {"begin": at(2024, 5, 1), "end": at(2024, 5, 2)}

    assert parsed(answered(world, load, **period)) == true_values(world, **period, now=LATER)


def test_only_what_is_public_by_the_clock_is_answered(load):
    world, clock = World(late=0), VirtualClock(at(2024, 5, 1, 12, 30))
    period = {"begin": at(2024, 5, 1), "end": at(2024, 5, 3)}
    with running(world, clock=clock) as url:
        first = parsed(load(url, **period).text)
        assert "<createdDateTime>2024-05-01T12:30:00Z<" in load(url, **period).text
        clock.sleep(3600)
        second = parsed(load(url, **period).text)

    assert first == true_values(world, **period, now=at(2024, 5, 1, 12, 30))
    assert max(first) in (at(2024, 5, 1, 10), at(2024, 5, 1, 11))
    assert set(second) - set(first) == {max(first) + HOUR}


def test_a_revision_shows_once_it_is_published(load):
    world = World(revised=1)
    period = {"begin": at(2024, 5, 1), "end": at(2024, 5, 2)}
    early = parsed(answered(world, load, **period, now=at(2024, 5, 2, 2)))
    late = parsed(answered(world, load, **period))

    assert early != late
    assert late == true_values(world, **period, now=LATER)


def test_whole_days_are_answered_where_the_world_wants_it(load):
    text = answered(World(whole_documents=True), load, begin=at(2024, 5, 1, 5), end=at(2024, 5, 1, 6))

    values = parsed(text)
    assert (min(values), len(values)) == (at(2024, 4, 30, 22), 24)
    assert "<start>2024-05-01T05:00Z</start>" in text


def test_there_is_no_data_for_what_nobody_publishes(load):
    with running(World(), clock=VirtualClock(LATER)) as url:
        british = load(url, eic="10YGB----------A", begin=at(2024, 5, 1), end=at(2024, 5, 2))
        future = load(url, begin=at(2026, 7, 1), end=at(2026, 7, 2))
        week = load(url, begin=at(2024, 7, 1), end=at(2024, 7, 2), process="A31")

    assert (british.status, future.status, week.status) == (200, 200, 200)
    expected = (
        "No matching data found for Data item ACTUAL_TOTAL_LOAD_R3 [6.1.A] ({{outBiddingZone_Domain}}) "
        "and interval 2026-07-01T00:00:00Z/2026-07-02T00:00:00Z."
    )
    assert expected in future.text
    assert "<code>999</code>" in british.text
    assert "[6.1.C]" in week.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"documentType": "A44"}, "check you request against dependency tables"),
        ({"processType": "A77"}, "check you request against dependency tables"),
        ({"in_Domain": DK_1}, "check you request against dependency tables"),
        ({"outBiddingZone_Domain": "10YNOWHERE-----Q"}, "is not valid for this area"),
        ({"periodStart": "2024-05-01"}, "yyyyMMddHHmm"),
        ({"periodStart": "202413010000"}, "not one"),
        ({"periodEnd": "202404300000"}, "after its start"),
        ({"periodEnd": "202505010001"}, "exceeds allowed limit"),
        ({"curveType": "A02"}, "curveType"),
    ],
)
def test_a_wrong_request_is_refused_in_the_providers_words(load, change, words):
    with running(World(), clock=VirtualClock(LATER)) as url:
        got = load(url, begin=at(2024, 5, 1), end=at(2024, 5, 2), **change)

    assert got.status == 400
    assert words in got.text
    assert "<code>999</code>" in got.text


def test_a_whole_year_may_be_asked_for_and_an_interval_in_one_parameter(load, get):
    with running(World(), clock=VirtualClock(LATER)) as url:
        assert load(url, begin=at(2023, 12, 31, 23), end=at(2024, 12, 31, 23)).status == 200
        params = {"documentType": "A65", "processType": "A16", "outBiddingZone_Domain": DK_1}
        params["timeInterval"] = "2024-05-01T00:00Z/2024-05-02T00:00Z"
        got = get(url, "/entsoe/api", params=params | {"securityToken": "11111111-1111-1111-1111-111111111111"})
    assert len(parsed(got.text)) == 24


@pytest.mark.parametrize("token", ["", "secret"])
def test_a_token_of_another_shape_is_not_let_in(load, token):
    with running(World(), clock=VirtualClock(LATER)) as url:
        got = load(url, begin=at(2024, 5, 1), end=at(2024, 5, 2), token=token)
    assert got.status == 401
    assert "Authentication failed" in got.text


def test_the_401st_request_of_a_minute_brings_a_ban_of_ten(load):
    clock = VirtualClock(LATER)
    period = {"begin": at(2026, 7, 1), "end": at(2026, 7, 2)}
    with running(World(), clock=clock) as url:
        assert {load(url, **period).status for _ in range(400)} == {200}
        banned = load(url, **period)
        assert (banned.status, banned.headers["content-type"]) == (429, "text/html")
        until = "2026-06-01T00:10:00.000Z"
        assert banned.text == f"<html><body><p>Requester banned until '{until}'.</p></body></html>"
        clock.sleep(599)
        assert load(url, **period).status == 429
        clock.sleep(1)
        assert load(url, **period).status == 200


def test_400_in_any_sixty_seconds_are_allowed_for_ever(load, get):
    clock = VirtualClock(LATER)
    period = {"begin": at(2026, 7, 1), "end": at(2026, 7, 2)}
    with running(World(), clock=clock) as url:
        for _ in range(450):
            assert load(url, **period).status == 200
            clock.sleep(0.15)
        stats = get(url, "/simulator/stats").json

    assert stats["requests"] == stats["paths"]["/entsoe/api"] == 450
    assert stats["bans"] == 0
    assert stats["tokens"][0]["max_per_minute"] == 400
    assert stats["tokens"][0]["mean_per_minute"] == pytest.approx(400, rel=0.01)


def test_two_tokens_at_one_address_share_its_limit(load):
    period = {"begin": at(2026, 7, 1), "end": at(2026, 7, 2)}
    tokens = ["11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"]
    with running(World(), clock=VirtualClock(LATER)) as url:
        statuses = [load(url, **period, token=tokens[n % 2]).status for n in range(401)]
    assert (statuses[:400], statuses[400]) == ([200] * 400, 429)
