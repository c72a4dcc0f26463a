"""Every clock-change day of every zone, 2006-2031, in three resolutions and two curve types, to the instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from gridcast.market.zones import zones
from gridcast.sources.entsoe.document import NoData, parse
from sources.entsoe.documents import Load, Period

YEARS = range(2006, 2032)
EUROPE = (
    *("Amsterdam", "Athens", "Belgrade", "Berlin", "Bratislava", "Brussels", "Bucharest", "Budapest", "Chisinau"),
    *("Copenhagen", "Dublin", "Guernsey", "Helsinki", "Isle_of_Man", "Istanbul", "Jersey", "Kaliningrad", "Kiev"),
    *("Lisbon", "Ljubljana", "London", "Luxembourg", "Madrid", "Malta", "Minsk", "Moscow", "Oslo", "Paris"),
    *("Podgorica", "Prague", "Riga", "Rome", "Sarajevo", "Skopje", "Sofia", "Stockholm", "Tallinn", "Tirane"),
    *("Uzhgorod", "Vaduz", "Vienna", "Vilnius", "Warsaw", "Zagreb", "Zurich"),
)
CLOCKS = sorted(
    {tz for place in zones().values() for tz in (place.local_tz, place.market_tz)}
    | {f"Europe/{town}" for town in EUROPE}
    | {"Asia/Tbilisi", "Asia/Nicosia", "Atlantic/Reykjavik"}
)


def midnight(day: date, tz: str) -> int:
    """Seconds since 1970."""
    return int(datetime.combine(day, time(0), ZoneInfo(tz)).timestamp())


@cache
def change_days(tz: str) -> list[date]:
    """The local days that do not have 24 hours."""
    days = [date(YEARS[0], 1, 1) + timedelta(n) for n in range((date(YEARS[-1] + 1, 1, 1) - date(YEARS[0], 1, 1)).days)]
    begins = [midnight(day, tz) for day in days]
    return [day for day, begin, end in zip(days, begins, begins[1:], strict=False) if end - begin != 86_400]


def megawatts(second: int, minutes: int, curve: str) -> str:
    """A value that tells its instant; in A03 every third repeats the one before."""
    number = second // 60 // minutes
    if curve == "A03" and number % 3 == 2:
        number -= 1
    return str(number % 90_000 + 1)


@cache
def read(begin: int, end: int, minutes: int, curve: str) -> tuple[tuple[int, int, float], ...]:
    """What the parser makes of a day's document: seconds since 1970, minutes, MW."""
    start, stop = (datetime.fromtimestamp(second, UTC) for second in (begin, end))
    count = (end - begin) // 60 // minutes
    texts = tuple(megawatts(begin + n * minutes * 60, minutes, curve) for n in range(count))
    load = Load((Period(start, minutes, texts, curve),), asked=(start, stop), fetched_at=stop + timedelta(days=1))
    document = parse(load.xml().encode(), expected=load.expected)
    assert not isinstance(document, NoData)
    assert document.doubtful.is_empty()
    return tuple(
        (int(when.timestamp()), int(step.total_seconds()) // 60, value) for when, step, value in document.rows.rows()
    )


@pytest.mark.parametrize("tz", CLOCKS)
def test_every_clock_change_day_is_read_to_the_instant(tz, record_property):
    days = change_days(tz)
    zones_here = sum(place.local_tz == tz for place in zones().values())
    facts = {"clocks": 1, "zones": zones_here, "days": len(days), "resolutions": 3, "curves": 2}
    for name, value in facts.items():
        record_property(name, value)
    wrong = 0
    for day in days:
        begin, end = midnight(day, tz), midnight(day + timedelta(1), tz)
        assert (end - begin) // 3600 in (23, 25)
        for minutes in (15, 30, 60):
            wanted = range(begin, end, minutes * 60)
            for curve in ("A01", "A03"):
                rows = read(begin, end, minutes, curve)
                told = [(second, minutes, float(megawatts(second, minutes, curve))) for second in wanted]
                wrong += list(rows) != told
    record_property("wrong", wrong)
    assert wrong == 0


def test_the_clocks_are_those_of_every_zone_and_change_as_often_as_the_calendar_says():
    assert {place.local_tz for place in zones().values()} <= set(CLOCKS)
    assert len(change_days("Europe/Copenhagen")) == 2 * len(YEARS)
    assert len(change_days("Europe/Istanbul")) < 2 * len(YEARS)
    print(f"{sum(len(change_days(tz)) for tz in CLOCKS)} clock-change days of {len(CLOCKS)} clocks, x 6 documents")


def test_the_clocks_are_those_of_every_area_that_entsoe_py_knows():
    mappings = pytest.importorskip("entsoe.mappings")

    assert {area.tz for area in mappings.Area} <= {*CLOCKS, "europe/amsterdam"}
