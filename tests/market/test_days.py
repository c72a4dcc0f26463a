from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridcast.market.days import (
    HOUR,
    Task,
    at_wall_clock,
    delivery_window,
    from_local_wall,
    gate_closure,
    instant,
    issue_time,
    lagged,
    local_day,
    local_wall,
    next_24h_window,
    origins,
)
from gridcast.market.zones import zone, zones

ZONES = tuple(zones().values())
CLOCKS = sorted({zone_.local_tz for zone_ in ZONES} | {zone_.market_tz for zone_ in ZONES})
OF_EACH_MARKET_CLOCK = {zone_.market_tz: zone_ for zone_ in ZONES}
QUARTER = HOUR // 4
FIRST, LAST = date(2006, 1, 1), date(2032, 1, 1)

every_zone = pytest.mark.parametrize("zone_", ZONES, ids=lambda zone_: zone_.code)
days = st.dates(FIRST, LAST - timedelta(days=1))
quarters = st.integers(*((day - date(1970, 1, 1)).days * 96 for day in (FIRST, LAST)))  # since 1970
clocks = st.sampled_from(CLOCKS)


def instants(numbers):
    return (np.array(numbers, np.int64) * 15).astype("datetime64[m]").astype("datetime64[us]")


def near_clock_changes(tz):
    """The days on which the offset of ``tz`` changes, by asking Python's own table about every noon."""
    noons = [datetime.combine(FIRST + timedelta(days=n), time(12), ZoneInfo(tz)) for n in range((LAST - FIRST).days)]
    return [b.date() for a, b in pairwise(noons) if a.utcoffset() != b.utcoffset()]


@pytest.mark.parametrize("tz", OF_EACH_MARKET_CLOCK)
def test_delivery_days_tile_the_time_line_with_23_24_or_25_hours_on_every_day_of_26_years(tz):
    windows = origins(OF_EACH_MARKET_CLOCK[tz], first=FIRST, last=LAST)
    assert len(windows) == (LAST - FIRST).days
    np.testing.assert_array_equal(windows.start[1:], windows.end[:-1])
    hours, days_each = np.unique((windows.end - windows.start) // HOUR, return_counts=True)
    assert dict(zip(hours.tolist(), days_each.tolist(), strict=True)) == {23: 26, 24: len(windows) - 52, 25: 26}


@every_zone
def test_around_every_clock_change_a_zones_day_has_92_96_or_100_quarters_and_starts_at_its_midnight(zone_):
    changes = near_clock_changes(zone_.market_tz)
    assert len(changes) == 52
    for change in changes:
        around = origins(zone_, first=change - timedelta(days=1), last=change + timedelta(days=2))
        number, starts = around.rows(QUARTER)
        assert np.bincount(number).tolist() in ([96, 92, 96], [96, 100, 96])
        assert (np.diff(starts) == QUARTER).all()
        wall = local_wall(around.start, zone_.market_tz)
        assert (wall == wall.astype("datetime64[D]")).all()
        assert (local_day(starts, zone_.market_tz) == wall.astype("datetime64[D]")[number]).all()


@every_zone
@given(day=days)
def test_issue_comes_before_the_gate_and_the_gate_on_the_day_before_delivery(zone_, day):
    issued, closed = issue_time(zone_, day), gate_closure(zone_, day)
    start, end = delivery_window(zone_, day)
    assert issued < start < end
    assert issued.astimezone(zone_.market_zone).date() == day - timedelta(days=1)
    if closed is None:
        assert zone_.members or zone_.code in ["AL", "BA", "CY", "MD", "ME", "MK", "UA", "XK"]
    else:
        assert issued < closed < start


@given(day=days)
def test_the_gate_of_the_coupled_auction_closes_at_noon_of_market_time_the_day_before(day):
    closed = [gate_closure(zone(code), day) for code in ("DK_1", "FI", "PT", "GR")]
    assert len(set(closed)) == 1
    assert closed[0].astimezone(ZoneInfo("Europe/Brussels")) == datetime.combine(
        day - timedelta(days=1), time(12), ZoneInfo("Europe/Brussels")
    )


def test_denmark_the_country_has_no_gate():
    assert gate_closure(zone("DK"), date(2026, 7, 1)) is None


@given(day=days)
def test_the_coupled_zones_lead_times_are_13_to_37_hours_but_for_the_hour_that_the_clocks_take(day):
    start, end = delivery_window(zone("DK_1"), day)
    issued = issue_time(zone("DK_1"), day)
    assert start - issued == timedelta(hours=13)
    assert end - issued - timedelta(hours=37) == (end - start) - timedelta(hours=24)


@given(day=days)
def test_finlands_delivery_day_runs_from_one_to_one_by_its_own_clocks(day):
    for edge, on in zip(delivery_window(zone("FI"), day), (day, day + timedelta(days=1)), strict=True):
        assert edge.astimezone(ZoneInfo("Europe/Helsinki")).replace(tzinfo=None) == datetime.combine(on, time(1))


@pytest.mark.parametrize(
    ("code", "hour"), [("PT", 23), ("IE_SEM", 23), ("EE", 1), ("GR", 1), ("FR", 0), ("GB", 0), ("VIC", 0)]
)
def test_the_market_day_starts_at_the_local_hour_that_the_market_clock_gives(code, hour):
    start, _ = delivery_window(zone(code), date(2026, 7, 1))
    assert start.astimezone(ZoneInfo(zone(code).local_tz)).hour == hour


def test_victoria_issues_at_local_noon_in_either_season():
    for day in (date(2014, 1, 15), date(2014, 7, 15)):
        issued = issue_time(zone("VIC"), day).astimezone(ZoneInfo("Australia/Melbourne"))
        assert (issued.date(), issued.hour) == (day - timedelta(days=1), 12)


# Origins ------------------------------------------------------------


def test_origins_agree_with_one_day_at_a_time():
    zone_ = zone("DK_1")
    some = origins(zone_, first=date(2026, 3, 27), last=date(2026, 4, 1))
    for number in range(len(some)):
        day = date(2026, 3, 27) + timedelta(days=number)
        start, end = delivery_window(zone_, day)
        assert (some.issue_time[number], some.start[number], some.end[number]) == tuple(
            map(instant, (issue_time(zone_, day), start, end))
        )


def test_taking_origins_keeps_their_rows():
    some = origins(zone("DK_1"), first=date(2026, 10, 24), last=date(2026, 10, 27))
    number, starts = some.take(np.array([False, True, False])).rows(HOUR)
    assert (number == 0).all()
    assert len(starts) == 25
    assert starts[0] == np.datetime64("2026-10-24T22:00")


@every_zone
@given(day=days)
def test_windows_of_the_next_24_hours_start_after_their_issue_and_stay_inside_the_period(zone_, day):
    some = origins(zone_, first=day, last=day + timedelta(days=3), task=Task.NEXT_24H)
    assert len(some) in (8, 9)
    opening, closing = delivery_window(zone_, day)[0], delivery_window(zone_, day + timedelta(days=3))[0]
    assert (some.start > some.issue_time).all()
    assert (some.end - some.start == 24 * HOUR).all()
    assert some.start.min() >= instant(opening)
    assert some.end.max() <= instant(closing)
    hours = {when.astype("datetime64[h]").astype(int) % 24 for when in local_wall(some.issue_time, zone_.local_tz)}
    assert hours <= {0, 6, 12, 18}


@given(quarters)
def test_the_next_24_hours_start_at_the_first_whole_hour_after_the_issue(number):
    issued = datetime.fromtimestamp(number * 900, UTC)
    start, end = next_24h_window(issued)
    assert timedelta(0) < start - issued <= timedelta(hours=1)
    assert (start.minute, start.second, start.microsecond) == (0, 0, 0)
    assert end - start == timedelta(hours=24)


# Clocks ------------------------------------------------------------


def test_an_instant_is_utc_whatever_clock_told_it():
    told = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Copenhagen"))
    assert instant(told) == np.datetime64("2026-07-01T10:00")


@given(st.lists(quarters, min_size=1, max_size=20), clocks)
def test_what_the_clocks_show_agrees_with_python(numbers, tz):
    times = instants(numbers)
    expected = [when.replace(tzinfo=UTC).astimezone(ZoneInfo(tz)).replace(tzinfo=None) for when in times.tolist()]
    assert local_wall(times, tz).tolist() == expected


@given(quarters, clocks)
def test_reading_the_clock_back_gives_the_instant_or_the_first_of_two(number, tz):
    times = instants([number])
    back = from_local_wall(local_wall(times, tz), tz)
    second = times.tolist()[0].replace(tzinfo=UTC).astimezone(ZoneInfo(tz)).fold
    assert back == times - second * HOUR


@given(quarters, clocks)
def test_columns_and_single_instants_read_a_wall_clock_alike_even_where_it_is_skipped_or_comes_twice(number, tz):
    wall = instants([number])
    shown = wall.tolist()[0]
    assert from_local_wall(wall, tz)[0] == instant(at_wall_clock(shown.date(), shown.time(), tz=tz))


@pytest.mark.parametrize("tz", CLOCKS)
def test_columns_and_single_instants_agree_in_every_quarter_of_every_day_of_a_clock_change(tz):
    change = [day for day in near_clock_changes(tz) if day.year in (2006, 2018, 2031)]
    assert len(change) == 6
    wall = (np.array(change, "datetime64[us]")[:, None] + np.arange(96) * QUARTER).astype("datetime64[us]")
    expected = [[instant(at_wall_clock(at.date(), at.time(), tz=tz)) for at in day] for day in wall.tolist()]
    np.testing.assert_array_equal(from_local_wall(wall, tz), np.array(expected))


@given(quarters, st.integers(1, 400), clocks)
def test_a_lag_keeps_the_clock_time_unless_that_hour_was_skipped(number, lag, tz):
    times = instants([number])
    wanted = local_wall(times, tz) - np.timedelta64(lag, "D")
    shown = local_wall(lagged(times, lag, tz=tz), tz)
    at = wanted.tolist()[0].replace(tzinfo=ZoneInfo(tz))
    exists = at.astimezone(UTC).astimezone(ZoneInfo(tz)).replace(tzinfo=None) == wanted.tolist()[0]
    assert shown == (wanted if exists else wanted + HOUR)


@given(quarters, st.integers(1, 400), clocks)
def test_going_back_and_forth_by_the_same_lag_shows_the_same_clock_time(number, lag, tz):
    times = instants([number])
    earlier = lagged(times, lag, tz=tz)
    assume(local_wall(earlier, tz) == local_wall(times, tz) - np.timedelta64(lag, "D"))
    assert local_wall(lagged(earlier, -lag, tz=tz), tz) == local_wall(times, tz)


@given(quarters, st.integers(1, 400), clocks)
def test_a_lag_of_n_days_lies_n_days_back_give_or_take_the_hour_of_a_clock_change(number, lag, tz):
    times = instants([number])
    assert abs(times - lagged(times, lag, tz=tz) - np.timedelta64(lag, "D")) <= HOUR


def test_lags_keep_the_shape_of_their_times():
    times = instants(np.arange(12).reshape(3, 4) + 2_000_000)
    assert lagged(times, 7, tz="Europe/Copenhagen").shape == (3, 4)
    assert lagged(times[:0], 7, tz="Europe/Copenhagen").shape == (0, 4)
    np.testing.assert_array_equal(lagged(times, 7, tz="Europe/Oslo")[1], lagged(times[1], 7, tz="Europe/Oslo"))
