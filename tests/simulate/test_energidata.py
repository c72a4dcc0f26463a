"""Energi Data Service: three data sets, Danish clocks, one request a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gridcast.market.zones import zone
from gridcast.simulate import World, running

HOURS = "/energidata/dataset/GenerationProdTypeExchange"
FIVES = "/energidata/dataset/ElectricityProdex5MinRealtime"
SETTLED = "/energidata/dataset/ProductionConsumptionSettlement"
BOTH = '{"PriceArea":["DK1","DK2"]}'


@pytest.fixture(scope="module")
def world():
    return World(begins=datetime(2024, 12, 31, 23, tzinfo=UTC))


@pytest.fixture
def url(world, clock):
    with running(world, clock=clock, limits=False) as url:
        yield url


def true_hours(world, begin, end):
    strip = world.load(zone("DK_1"), begin=begin, end=end)
    return dict(zip((str(when)[:19] for when in strip.start), strip.value[-1], strict=True))


def test_a_period_is_on_danish_clocks_with_its_end_excluded(url, get):
    params = {"start": "2025-07-01T00:00", "end": "2025-07-02T00:00", "limit": 0, "sort": "TimeUTC,PriceArea"}
    records = get(url, HOURS, params=params | {"filter": BOTH}).json["records"]

    assert len(records) == 48
    assert (records[0]["TimeUTC"], records[0]["TimeDK"]) == ("2025-06-30T22:00:00", "2025-07-01T00:00:00")
    assert records[-1]["TimeDK"] == "2025-07-01T23:00:00"


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25)])
def test_a_day_on_which_the_clocks_change_has_its_own_length(url, get, day, hours):
    after = str(datetime.fromisoformat(day).date() + timedelta(days=1))
    params = {"start": day, "end": after, "limit": 0, "sort": "TimeUTC", "filter": '{"PriceArea":["DK1"]}'}
    stamps = [record["TimeUTC"] for record in get(url, HOURS, params=params).json["records"]]

    assert len(set(stamps)) == len(stamps) == hours


def test_final_hours_are_the_truth_and_the_newest_two_hours_are_absent(world, url, get):
    period = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 2, tzinfo=UTC)
    params = {"start": "2025-06-01T02:00", "end": "2025-06-02T02:00", "limit": 0, "filter": '{"PriceArea":["DK1"]}'}
    records = get(url, HOURS, params=params).json["records"]
    assert {record["Version"] for record in records} == {"Final"}
    assert {record["TimeUTC"]: record["GrossCon"] for record in records} == true_hours(world, *period)

    newest = get(url, HOURS, params={"start": "now-P1D", "limit": 0}).json["records"]
    assert newest[0]["TimeUTC"] == "2025-11-18T06:00:00"
    assert {record["Version"] for record in newest} == {"Initial"}


def test_an_hour_can_stand_in_two_versions(url, get):
    params = {"start": "2025-11-01", "end": "2025-11-18", "limit": 0, "filter": '{"PriceArea":["DK2"]}'}
    records = get(url, HOURS, params=params).json["records"]
    versions = {}
    for record in records:
        versions.setdefault(record["TimeUTC"], []).append(record["Version"])

    assert sorted({tuple(sorted(both)) for both in versions.values()}) == [
        ("Initial",),
        ("Initial", "Preliminary"),
        ("Preliminary",),
    ]


def test_production_and_exchange_of_five_minutes_add_up_to_the_load(world, url, get):
    params = {"start": "2025-11-17T10:00", "end": "2025-11-17T12:00", "limit": 0, "sort": "Minutes5UTC,PriceArea"}
    records = [row for row in get(url, FIVES, params=params).json["records"] if row["PriceArea"] == "DK1"]
    parts = ("Production", "OffshoreWindPower", "OnshoreWindPower", "SolarPower", "Exchange")
    sums = [sum(value or 0.0 for name, value in row.items() if name.startswith(parts)) for row in records]
    hours = true_hours(world, datetime(2025, 11, 17, 9, tzinfo=UTC), datetime(2025, 11, 17, 11, tzinfo=UTC))

    assert len(sums) == 24
    assert np.reshape(sums, (2, 12)).mean(axis=1) == pytest.approx(list(hours.values()), rel=0.005)
    assert len(set(sums)) == 24


def test_a_border_that_an_area_does_not_have_is_null(url, get):
    row = get(url, FIVES, params={"start": "now-PT1H", "filter": '{"PriceArea":["DK2"]}'}).json["records"][0]

    assert row["ExchangeNorway"] is None
    assert row["ExchangeSweden"] is not None


def test_settlement_is_eight_days_late_and_a_little_higher(world, url, get):
    records = get(url, SETTLED, params={"start": "2025-10-01", "limit": 0, "filter": '{"PriceArea":["DK1"]}'}).json
    records = records["records"]
    assert records[0]["HourUTC"] == "2025-11-10T08:00:00"
    truth = true_hours(world, datetime(2025, 9, 30, 22, tzinfo=UTC), datetime(2025, 11, 10, 9, tzinfo=UTC))
    ratio = [record["GrossConsumptionMWh"] / truth[record["HourUTC"]] for record in records]

    assert 1.004 < min(ratio) < max(ratio) < 1.031


def test_a_page_is_100_newest_first_unless_asked_otherwise(url, get):
    page = get(url, HOURS).json
    assert (len(page["records"]), page["limit"], page["sort"]) == (100, 100, "TimeUTC DESC")
    stamps = [record["TimeUTC"] for record in page["records"]]
    assert stamps == sorted(stamps, reverse=True)

    params = {"start": "2025-06-01", "end": "2025-06-03", "sort": "TimeUTC,PriceArea", "columns": "TimeUTC,PriceArea"}
    first = get(url, HOURS, params=params | {"limit": 60}).json
    second = get(url, HOURS, params=params | {"limit": 60, "offset": 60}).json
    rows = [tuple(row.values()) for row in first["records"] + second["records"]]
    assert first["total"] == 96 == len(rows)
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("start", ["2025", "2025-11", "2025-11-17", "2025-11-17T10:00", "now-P1D", "StartOfDay-P1D",
                                   "StartOfMonth", "StartOfYear", "now-P1M", "StartOfYear+P10M"])  # fmt: skip
def test_a_start_may_be_a_date_or_a_word(url, get, start):
    got = get(url, HOURS, params={"start": start, "limit": 1})
    assert (got.status, len(got.json["records"])) == (200, 1)


@pytest.mark.parametrize(
    "params",
    [
        {"start": "yesterday"},
        {"start": "now-1D"},
        {"filter": '{"PriceArea": ["DK1"]}'},
        {"filter": '{"Area":["DK1"]}'},
        {"filter": "DK1"},
        {"sort": "Nothing"},
        {"columns": "Nothing"},
        {"limit": "all"},
        {"timezone": "dk"},
    ],
)
def test_a_wrong_request_is_400_with_a_message(url, get, params):
    got = get(url, HOURS, params=params)
    assert got.status == 400
    assert got.json["message"]


def test_one_request_a_data_set_and_minute(world, clock, get):
    with running(world, clock=clock) as url:
        assert get(url, HOURS).status == 200
        assert get(url, FIVES, params={"start": "now-PT1H"}).status == 200
        clock.sleep(18)
        got = get(url, HOURS)
        assert (got.status, got.headers["retry-after"]) == (429, "42")
        assert "42 seconds" in got.json["message"]
        clock.sleep(42)
        assert get(url, HOURS).status == 200


def test_a_data_set_is_described_and_an_unknown_one_is_not_found(url, get):
    described = get(url, "/energidata/meta/dataset/GenerationProdTypeExchange").json
    assert {"TimeUTC", "PriceArea", "Version", "GrossCon"} <= {column["dbColumn"] for column in described["columns"]}
    assert get(url, "/energidata/dataset/Elspotprices").status == 404
    assert get(url, "/energidata/dataset").status == 404
