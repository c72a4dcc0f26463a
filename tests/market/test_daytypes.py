from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from time import perf_counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridcast.errors import ConfigError
from gridcast.market.daytypes import DAY_TYPES, day_types
from gridcast.market.zones import Region, zone, zones

every_zone = pytest.mark.parametrize("zone_", zones().values(), ids=lambda zone_: zone_.code)
YEARS = np.arange("2006-01-01", "2032-01-01", dtype="datetime64[D]")


def day_type(code, day):
    return day_types(zone(code), np.array([day], "datetime64[D]")).row(0, named=True)


@pytest.mark.parametrize(
    ("code", "day", "name"),
    [
        ("DK_1", "2023-05-05", "Great Prayer Day"),
        ("DK_1", "2024-04-26", None),
        ("DK_2", "2024-03-28", "Maundy Thursday"),
        ("DK", "2024-12-24", None),
        ("DK", "2024-12-25", "Christmas Day"),
        ("FR", "2018-07-14", "National Day"),
        ("DE_LU", "2020-10-03", "German Unity Day"),
        ("DE_LU", "2017-10-31", "Reformation Day"),
        ("DE_LU", "2018-10-31", None),
        ("VIC", "2014-11-04", "Melbourne Cup Day"),
        ("VIC", "2014-04-25", "ANZAC Day"),
        ("NO_1", "2018-05-17", "Constitution Day"),
        ("FI", "2024-12-06", "Independence Day"),
        ("GB", "2024-04-01", "Easter Monday"),
        ("PL", "2024-11-11", "National Independence Day"),
    ],
)
def test_a_day_carries_the_name_of_its_public_holiday(code, day, name):
    assert day_type(code, day)["holiday"] == name


def test_great_prayer_day_ends_with_2023():
    names = day_types(zone("DK_1"), YEARS).filter(pl.col("holiday") == "Great Prayer Day")["day"].dt.year().to_list()
    assert names == list(range(2006, 2024))


@pytest.mark.parametrize(
    ("day", "name"),
    [("05-01", "Workers' Day"), ("06-05", "Constitution Day"), ("12-24", "Christmas Eve"), ("12-31", "New Year's Eve")],
)
def test_days_that_danes_take_off_without_a_holiday_are_special(day, name):
    assert day_type("DK_1", f"2019-{day}") | {"holiday": None, "special": name} == day_type("DK_1", f"2019-{day}")


@every_zone
def test_24_and_31_december_are_special_or_holidays_everywhere(zone_):
    ends = day_types(zone_, YEARS).filter(pl.col("day").dt.month() == 12, pl.col("day").dt.day().is_in([24, 31]))
    assert ends.height == 52
    assert (ends["holiday"].is_not_null() ^ ends["special"].is_not_null()).all()


@pytest.mark.parametrize("day", ["2026-12-28", "2021-12-27", "2022-01-03"])
def test_a_day_given_in_lieu_has_the_holidays_own_name(day):
    assert day_type("GB", day)["holiday"] in {"Christmas Day", "Boxing Day", "New Year's Day"}


@every_zone
def test_names_are_plain_and_single(zone_):
    types = day_types(zone_, YEARS)
    names = pl.concat([types["holiday"], types["special"]]).drop_nulls().unique()
    assert len(names) > 5
    assert names.filter(names.str.contains(";|observed|substitut|estimated")).to_list() == []


@pytest.mark.parametrize(
    ("code", "day", "bridge"),
    [
        ("DK_1", "2024-05-10", True),  # the Friday after Ascension
        ("DK_1", "2024-05-08", False),  # the Wednesday before it
        ("DK_1", "2024-05-11", False),  # and the Saturday
        ("DK_1", "2024-12-23", False),  # the Monday before a Tuesday that is only special
        ("DK_1", "2018-12-31", True),  # the Monday before New Year on a Tuesday
        ("DE_LU", "2018-04-30", True),  # the Monday before 1 May on a Tuesday
        ("DE_LU", "2019-10-04", True),  # the Friday after 3 October on a Thursday
        ("FR", "2018-05-07", True),  # the Monday before 8 May on a Tuesday
        ("FR", "2018-05-09", True),  # the Wednesday between 8 May and Ascension
        ("VIC", "2014-11-03", True),  # the Monday before the Melbourne Cup
        ("DK_1", "2022-12-27", False),  # the Tuesday after Christmas
    ],
)
def test_a_bridge_day_is_a_working_day_between_a_holiday_and_a_weekend(code, day, bridge):
    assert day_type(code, day)["bridge"] is bridge


@pytest.mark.parametrize(
    ("day", "before", "after"),
    [
        ("2024-05-08", True, False),  # before Ascension
        ("2024-05-10", False, True),  # after it
        ("2024-04-02", False, True),  # after Easter Monday
        ("2024-03-30", False, False),  # Easter Saturday is no working day
        ("2024-03-28", False, False),  # nor is Maundy Thursday
        ("2023-01-02", False, False),  # the holiday was a Sunday
        ("2024-12-24", True, False),  # special, yet before Christmas
    ],
)
def test_the_working_days_around_a_holiday_are_marked(day, before, after):
    assert (day_type("DK_1", day)["before"], day_type("DK_1", day)["after"]) == (before, after)


@every_zone
def test_every_day_of_26_years_agrees_with_a_slow_reading_of_the_rules(zone_):
    types = day_types(zone_, YEARS)
    holiday = {row["day"] for row in types.rows(named=True) if row["holiday"] is not None}

    def off(day):
        return day.weekday() >= 5 or day in holiday

    def feast(day):
        return day.weekday() < 5 and day in holiday

    one = timedelta(days=1)
    for row in types.rows(named=True)[1:-1]:
        day, free = row["day"], off(row["day"])
        assert row["weekday"] == day.weekday()
        assert row["before"] == (not free and feast(day + one))
        assert row["after"] == (not free and feast(day - one))
        squeezed = off(day - one) and off(day + one) and (feast(day - one) or feast(day + one))
        assert row["bridge"] == (not free and squeezed)
        assert row["christmas"] == ((day.month, day.day) >= (12, 23) or (day.month, day.day) <= (1, 2))


@given(st.sampled_from(sorted(zones())), st.lists(st.dates(date(2006, 1, 1), date(2031, 12, 31)), max_size=8))
def test_a_days_type_does_not_depend_on_the_days_asked_with_it_nor_on_their_order(code, days):
    asked = day_types(zone(code), np.array(days, "datetime64[D]"))
    assert asked.schema == DAY_TYPES
    assert asked["day"].to_list() == days
    alone = [day_types(zone(code), np.array([day], "datetime64[D]")) for day in days]
    if days:
        assert_frame_equal(asked, pl.concat(alone))


@pytest.mark.parametrize(
    ("code", "day", "name", "share"),
    [
        ("DE_LU", "2024-10-31", "Reformation Day", 0.309),  # BB HB HH MV NI SH SN ST TH: 26271 of 84959
        ("DE_LU", "2016-10-31", "Reformation Day", 0.148),  # BB MV SN ST TH; the four in the north have it since 2018
        ("DE_LU", "2024-06-23", "National Day", 0.008),  # Luxembourg's
        ("ES", "2018-03-29", "Maundy Thursday", 0.693),  # all but Catalonia, Valencia, Cantabria (by the library)
        ("ES", "2018-05-02", "Madrid Day", 0.154),
        ("ES", "2018-04-23", "Castile and León Day", 0.084),  # and Saint George's Day of fewer people in Aragon
        ("FR", "2018-03-30", "Good Friday", 0.046),  # Alsace-Moselle
        ("GB", "2018-01-02", "New Year Holiday", 0.084),  # Scotland
        ("IE_SEM", "2018-07-12", "Battle of the Boyne", 0.271),
        ("IT_CSUD", "2018-06-29", "Saints Peter and Paul's Day", 0.204),  # Rome
    ],
)
def test_a_holiday_that_some_regions_have_is_no_national_one_but_has_a_name_and_a_share(code, day, name, share):
    found = day_type(code, day)
    assert (found["holiday"], found["regional"]) == (None, name)
    assert found["holiday_share"] == pytest.approx(share, abs=0.0006)


def test_a_holiday_of_the_zones_calendar_that_some_regions_lack_keeps_its_name_with_a_share_below_one():
    easter = day_type("GB", "2018-04-02")
    assert (easter["holiday"], easter["regional"]) == ("Easter Monday", None)
    assert easter["holiday_share"] == pytest.approx((56500 + 3130) / (56500 + 3130 + 5450))
    assert day_type("DE_LU", "2024-05-01")["holiday_share"] == 1


def test_a_friday_after_a_regional_holiday_is_a_bridge_for_the_people_who_had_it():
    friday = day_type("DE_LU", "2024-05-31")  # after Corpus Christi
    thursday = day_type("DE_LU", "2024-05-30")
    assert (friday["bridge"], friday["after"]) == (False, False)
    assert friday["bridge_share"] == friday["after_share"] == pytest.approx(thursday["holiday_share"])
    assert day_type("DE_LU", "2024-05-29")["before_share"] == pytest.approx(thursday["holiday_share"])


@every_zone
def test_shares_lie_between_none_and_all_and_without_regions_they_are_the_flags(zone_):
    types = day_types(zone_, YEARS).with_columns(national=pl.col("holiday").is_not_null())
    pairs = [("holiday_share", "national"), *((f"{flag}_share", flag) for flag in ("bridge", "before", "after"))]
    for share, flag in pairs:
        assert types[share].is_between(0, 1).all()
        if not zone_.regions:
            assert (types[share] == types[flag].cast(pl.Float64)).all()
    assert types["school_share"].drop_nulls().is_between(0, 1).all()
    assert types["school_share"].is_null().all() or zone_.regions
    assert (types["regional"].is_null() | (types["holiday"].is_null() & (types["holiday_share"] > 0))).all()


def test_regions_with_the_zones_own_calendar_change_nothing():
    one = zone("DK_1")
    split = replace(one, regions=(Region("DK", None, 0.3), Region("DK", None, 0.7)))
    assert_frame_equal(day_types(one, YEARS), day_types(split, YEARS))


@given(st.sampled_from(["DE_LU", "ES", "FR", "IE_SEM", "CH"]), st.dates(date(2006, 1, 1), date(2029, 12, 31)))
def test_a_days_shares_are_the_weights_of_the_regions_that_have_it(code, day):
    here, there = zone(code), np.array([day], "datetime64[D]")
    found = day_types(here, there).row(0, named=True)
    alone = [
        day_types(replace(here, country=r.country, subdivision=r.subdivision, regions=()), there).row(0, named=True)
        for r in here.regions
    ]
    for share, has in [
        ("holiday_share", [each["holiday"] is not None for each in alone]),
        *((f"{flag}_share", [each[flag] for each in alone]) for flag in ("bridge", "before", "after")),
    ]:
        weights = [region.weight for region, yes in zip(here.regions, has, strict=True) if yes]
        assert found[share] == pytest.approx(sum(weights), abs=1e-9)


@pytest.mark.parametrize(
    ("code", "day", "share"),
    [
        ("FR", "2018-02-14", 16900 / 62000),  # zone A alone, of those whose calendar is known
        ("FR", "2018-08-01", 1),
        ("FR", "2018-06-13", 0),
        ("FR", "2017-08-01", None),  # the library's calendar begins in December 2017
        ("AT", "2019-08-01", None),
        ("DE_LU", "2020-08-03", 1 - 1628 / 84298),  # back to school in MV alone
        ("PL", "2024-07-10", 1),
        ("NL", "2024-05-02", 1),
        ("BE", "2024-07-03", 6900 / 11680),  # the French community's summer begins and ends a week later
        ("DK_1", "2024-07-10", None),
        ("VIC", "2026-01-10", None),
    ],
)
def test_the_share_of_closed_schools_is_known_where_the_library_knows_it(code, day, share):
    found = day_type(code, day)["school_share"]
    assert found == (None if share is None else pytest.approx(share, abs=0.01))


def test_one_name_is_chosen_where_two_holidays_fall_on_one_day():
    assert day_type("DE_LU", "2008-05-01")["holiday"] == "Ascension Day"
    assert day_type("VIC", "2011-04-25")["holiday"] == "ANZAC Day"


@every_zone
def test_the_first_and_last_day_of_a_year_know_the_holidays_of_the_year_next_door(zone_):
    ends = np.array(["2018-12-31", "2019-01-01"], "datetime64[D]")
    eve = day_types(zone_, ends).row(0, named=True)
    assert eve == day_type(zone_.code, "2018-12-31")
    assert eve["before"] is (eve["holiday"] is None)


@pytest.mark.parametrize(("country", "subdivision"), [("XX", None), ("DK", "ZZ"), ("dk", None)])
def test_a_country_without_a_calendar_is_named_with_a_remedy(country, subdivision):
    nowhere = replace(zone("DK_1"), country=country, subdivision=subdivision)
    with pytest.raises(ConfigError, match=country) as caught:
        day_types(nowhere, YEARS[:1])
    assert (caught.value.country, caught.value.subdivision) == (country, subdivision)


def test_a_region_without_a_calendar_is_named():
    nowhere = replace(zone("DK_1"), regions=(Region("DK", None, 0.5), Region("DE", "XY", 0.5)))
    with pytest.raises(ConfigError, match="DE, XY"):
        day_types(nowhere, YEARS[:1])


def test_4000_days_take_less_than_50_ms_once_the_calendar_is_known():
    days = YEARS[:4000]
    day_types(zone("DK_1"), days)

    def took():
        begin = perf_counter()
        day_types(zone("DK_1"), days)
        return perf_counter() - begin

    assert min(took() for _ in range(5)) < 0.05


def test_importing_the_market_does_not_load_the_holiday_library():
    code = (
        "import sys, gridcast.market.days, gridcast.market.daytypes, gridcast.market.zones as z; "
        "z.zones(); sys.exit('holidays' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
