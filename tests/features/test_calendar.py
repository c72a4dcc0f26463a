"""Calendar columns: their names, their sums, and that they depend on the day alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import Block
from gridcast.features import calendar
from gridcast.market.days import Times
from gridcast.market.daytypes import day_types
from gridcast.market.zones import Region, zone, zones
from strategies import zone_codes

NAMES = (
    "constant",
    "weekday",
    "season",
    "week_profile",
    "holiday",
    "around_holiday",
    "christmas",
    "christmas_day",
    "vacation",
    "holiday_name",
    "special_day",
)


def days(*which: str | date) -> Times:
    return np.array([str(each) for each in which], "datetime64[D]")


def blocks(code: str, *which: str | date) -> dict[str, Block]:
    return {block.name: block for block in calendar.blocks(zone(code), days(*which))}


def on(block: Block, column: str) -> list[float]:
    return list(block.values[:, block.columns.index(column)])


def test_the_blocks_have_the_names_that_models_know_and_distinct_columns() -> None:
    made = blocks("DK_1", "2024-01-01")
    assert tuple(made) == NAMES
    for block in made.values():
        assert block.values.shape == (1, len(block.columns))
        assert len(set(block.columns)) == len(block.columns)
        assert np.isfinite(block.values).all()


@given(
    code=zone_codes(),
    some=st.lists(st.dates(date(2005, 1, 1), date(2035, 1, 1)), min_size=1, max_size=5),
    shift=st.integers(0, 4),
)
def test_columns_are_the_same_for_any_days_and_a_days_values_do_not_depend_on_the_others(
    code: str, some: list[date], shift: int
) -> None:
    together = calendar.blocks(zone(code), days(*some))
    one = some[shift % len(some)]
    alone = calendar.blocks(zone(code), days(one))
    assert [(b.name, b.columns) for b in together] == [(b.name, b.columns) for b in alone]
    for many, single in zip(together, alone, strict=True):
        np.testing.assert_array_equal(many.values[some.index(one)], single.values[0])


def test_great_prayer_day_ends_with_2023() -> None:
    prayer = ["2022-05-13", "2023-05-05", "2024-04-26"]
    made = blocks("DK_1", *prayer)
    names = [name for name in made["holiday_name"].columns if "Prayer" in name]
    assert names == ["Great Prayer Day, working day", "Great Prayer Day, weekend"]
    assert on(made["holiday_name"], names[0]) == [1, 1, 0]
    assert on(made["holiday"], "holiday, working day") == [1, 1, 0]
    assert calendar.day_kind(zone("DK_1"), days(*prayer)).tolist() == [1, 1, 0]
    assert not any("Prayer" in name for name in blocks("SE_1", "2022-05-13")["holiday_name"].columns)


def test_the_friday_after_ascension_is_a_bridge_between_a_holiday_and_a_weekend() -> None:
    made = blocks("DK_1", "2024-05-08", "2024-05-09", "2024-05-10", "2024-05-11", "2024-05-13")
    around = made["around_holiday"]
    assert on(around, "bridge") == [0, 0, 1, 0, 0]
    assert on(around, "before") == [1, 0, 0, 0, 0]
    assert on(around, "after") == [0, 0, 1, 0, 0]
    kinds = calendar.day_kind(zone("DK_1"), days("2024-05-08", "2024-05-09", "2024-05-10", "2024-05-11"))
    assert kinds.tolist() == [0, 1, 2, 0]


def test_a_day_counts_by_its_weekday_and_a_holiday_as_a_sunday_and_by_name() -> None:
    made = blocks("DK_1", "2024-12-25", "2024-12-28", "2022-12-25", "2024-06-12")  # Wednesday, Saturday, Sunday
    assert made["weekday"].values.sum(axis=1).tolist() == [1, 1, 1, 1]
    assert on(made["weekday"], "weekday 5") == [0, 1, 0, 0]
    assert on(made["weekday"], "weekday 6") == [1, 0, 1, 0]
    assert on(made["holiday"], "holiday, working day") == [1, 0, 0, 0]
    assert on(made["holiday"], "holiday, weekday 6") == [0, 0, 1, 0]
    assert on(made["holiday_name"], "Christmas Day, working day") == [1, 0, 0, 0]
    assert on(made["holiday_name"], "Christmas Day, weekend") == [0, 0, 1, 0]


def test_days_that_are_no_holidays_but_are_special_are_columns_of_their_own() -> None:
    made = blocks("DK_1", "2024-12-24", "2024-06-05", "2024-05-01", "2024-12-31", "2024-06-12")
    assert made["special_day"].values.sum(axis=1).tolist() == [1, 1, 1, 1, 0]
    assert on(made["special_day"], "Christmas Eve, working day") == [1, 0, 0, 0, 0]


def test_the_days_about_christmas_count_where_they_are_no_holidays() -> None:
    made = blocks("DK_1", "2024-12-23", "2024-12-25", "2024-12-28", "2025-01-02", "2024-01-03")
    assert on(made["christmas"], "between, working day") == [1, 0, 0, 1, 0]
    assert on(made["christmas"], "between, weekend") == [0, 0, 1, 0, 0]
    assert on(made["christmas_day"], "23 12") == [1, 0, 0, 0, 0]
    assert on(made["christmas_day"], "2 1") == [0, 0, 0, 1, 0]


def test_seasons_and_vacations_run_smoothly_through_the_year_and_across_its_end() -> None:
    year = [date(2022, 12, 1) + timedelta(days=n) for n in range(430)]
    made = blocks("FR", *year)
    angle = 2 * np.pi * np.array([day.timetuple().tm_yday for day in year]) / 365.25
    np.testing.assert_allclose(made["season"].values[:, 0], np.sin(angle))
    np.testing.assert_allclose(made["season"].values[:, 7], np.cos(4 * angle))
    assert np.abs(np.diff(made["season"].values, axis=0)).max() < 0.1
    bumps = made["vacation"].values
    assert np.abs(np.diff(bumps, axis=0)).max() < 0.13
    assert bumps.max() == 1
    assert bumps.max(axis=1).min() > 0.4


def test_the_seasons_of_kinds_of_days_are_seasons_on_those_days_alone() -> None:
    made = blocks("DK_1", "2024-02-16", "2024-02-17", "2024-02-18", "2024-02-19", "2024-02-20")  # Friday to Tuesday
    profile, season = made["week_profile"], made["season"]
    for kind, rows in {"Fridays": [0], "Saturdays": [1], "rest days": [1, 2], "Mondays": [3]}.items():
        for n in range(4):
            expected = [value if row in rows else 0 for row, value in enumerate(on(season, f"season {n}"))]
            assert on(profile, f"season {n} on {kind}") == expected


WITHOUT_REGIONS = sorted(each.code for each in zones().values() if not each.regions)
WITH_SCHOOLS = {"AT", "BE", "DE_LU", "FR", "NL", "PL"}


@pytest.mark.parametrize("code", ["DE_LU", "ES", "CH", "IE_SEM"])
def test_holidays_and_working_days_count_by_the_share_of_the_people_who_have_them(code: str) -> None:
    year = days(*[date(2024, 1, 1) + timedelta(days=n) for n in range(366)])
    share = day_types(zone(code), year)["holiday_share"].to_numpy()
    made = {block.name: block for block in calendar.blocks(zone(code), year)}
    assert ((share > 0) & (share < 1)).sum() > 2
    for name in ("holiday", "holiday_name"):
        np.testing.assert_allclose(made[name].values.sum(axis=1), share, atol=1e-12)
    weekday = made["weekday"].values
    np.testing.assert_allclose(weekday.sum(axis=1), 1, atol=1e-12)  # a holiday is a Sunday to those who have it
    sunday = (year.astype(int) + 3) % 7 == 6
    np.testing.assert_allclose(weekday[~sunday, 6], share[~sunday], atol=1e-12)
    np.testing.assert_allclose(weekday[sunday, 6], 1, atol=1e-12)


def test_a_regional_holiday_counts_by_name_and_the_friday_after_as_a_bridge_of_as_many_people() -> None:
    made = blocks("DE_LU", "2024-05-30", "2024-05-31", "2024-08-15", "2024-10-03")
    corpus, bridge = on(made["holiday_name"], "Corpus Christi, working day"), on(made["around_holiday"], "bridge")
    assert corpus == pytest.approx([bridge[1], 0, 0, 0])
    assert 0.6 < bridge[1] < 0.7
    assert on(made["holiday"], "holiday, working day")[3] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("code", WITHOUT_REGIONS)
def test_a_zone_without_regions_has_whole_days_and_no_schools(code: str) -> None:
    made = blocks(code, *[date(2024, 1, 1) + timedelta(days=n) for n in range(366)])
    assert "school" not in made
    for name in ("weekday", "holiday", "around_holiday", "christmas", "christmas_day", "holiday_name"):
        assert set(np.unique(made[name].values)) <= {0, 1}


@pytest.mark.parametrize("code", ["DK_1", "VIC"])
def test_regions_with_the_zones_own_calendar_leave_the_design_as_it_is(code: str) -> None:
    year = days(*[date(2019, 7, 1) + timedelta(days=n) for n in range(1000)])
    own = replace(zone(code), regions=(Region(zone(code).country, zone(code).subdivision, 1.0),))
    plain, split = calendar.blocks(zone(code), year), calendar.blocks(own, year)
    for one, other in zip(plain, split[: len(plain)], strict=True):
        assert (one.name, one.columns) == (other.name, other.columns)
        np.testing.assert_array_equal(one.values, other.values)
    assert [block.name for block in split[len(plain) :]] == {"DK_1": [], "VIC": ["school"]}[code]


def test_only_zones_whose_regions_have_known_school_holidays_have_a_column_of_them() -> None:
    found = {code for code in zones() if "school" in blocks(code, "2024-01-01")}
    assert found == WITH_SCHOOLS


def test_school_holidays_count_on_working_days_and_are_the_usual_ones_where_they_are_not_known() -> None:
    # Wednesday in the holidays, Saturday in the holidays, national holiday, school day, then years not known
    made = blocks(
        "FR", "2018-08-01", "2018-08-04", "2018-08-15", "2018-06-13", "2015-08-05", "2016-12-30", "2015-06-17"
    )
    school = on(made["school"], "school holidays, working day")
    assert school[:6] == pytest.approx([1, 0, 0, 0, 1, 1])
    assert school[6] == pytest.approx(0, abs=0.01)
    winter = [on(blocks("FR", f"{year}-02-17")["school"], "school holidays, working day")[0] for year in (2015, 2016)]
    assert winter[0] == winter[1]
    assert 0 < winter[0] < 1


@pytest.mark.parametrize("code", ["DK_1", "VIC", "SE_3"])
def test_every_day_is_ordinary_a_holiday_or_a_bridge(code: str) -> None:
    year = days(*[date(2024, 1, 1) + timedelta(days=n) for n in range(366)])
    kinds = calendar.day_kind(zone(code), year)
    assert set(kinds) <= {0, 1, 2}
    made = {block.name: block for block in calendar.blocks(zone(code), year)}
    np.testing.assert_array_equal(made["holiday"].values.sum(axis=1), kinds == 1)
    np.testing.assert_array_equal(on(made["around_holiday"], "bridge"), kinds == 2)
    np.testing.assert_array_equal(made["holiday_name"].values.sum(axis=1), kinds == 1)
