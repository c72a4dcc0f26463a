"""Which run was out when a day was forecast: every hour of winter, summer and clock-change days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.market.days import HOUR, delivery_window, instant, issue_time
from gridcast.market.zones import zone, zones
from gridcast.sources.openmeteo.models import MODELS, in_time, known_run, previous_out

IFS = MODELS["ecmwf_ifs"]
DK_1 = zone("DK_1")
WINTER, SUMMER = date(2026, 1, 15), date(2026, 7, 15)
CHANGES = [date(2026, 3, 29), date(2026, 3, 30), date(2026, 10, 25), date(2026, 10, 26)]


def hours_of(day, where=DK_1):
    start, end = delivery_window(where, day)
    return np.arange(instant(start), instant(end), HOUR)


def slow_out(start: datetime, *, lead: int, model) -> datetime:
    """By walking through the runs, one at a time."""
    latest = start + timedelta(hours=1) - timedelta(days=lead)
    run = datetime(latest.year, latest.month, latest.day, tzinfo=UTC)
    while run + model.cycle <= latest:
        run += model.cycle
    return run + model.delay


@pytest.mark.parametrize(
    ("day", "honest_hours"),
    [
        # 11:00 is 10:00Z in winter: the run of 00Z (07:30Z) is out, that of 06Z (13:30Z) is not. It serves the
        # stamps before 06:00Z of D, so the last honest hour ends at 05:00Z, 06:00 by the clock.
        (WINTER, 6),
        # 11:00 is 09:00Z in summer: the same run, and 05:00Z is 07:00 by the clock.
        (SUMMER, 7),
    ],
)
def test_one_day_back_is_honest_for_the_first_hours_of_the_day_only(day, honest_hours):
    start = hours_of(day)
    known = in_time(start, previous_out(start, lead=1, model=IFS), zone=DK_1)

    assert known.tolist() == [True] * honest_hours + [False] * (24 - honest_hours)


@pytest.mark.parametrize("code", sorted(zones()))
@pytest.mark.parametrize("name", MODELS)
def test_two_days_back_is_honest_for_every_hour_of_every_zone(name, code):
    where = zone(code)
    for day in (WINTER, SUMMER, *CHANGES):
        start = hours_of(day, where)
        assert in_time(start, previous_out(start, lead=2, model=MODELS[name]), zone=where).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("day", [WINTER, SUMMER, *CHANGES])
@pytest.mark.parametrize("lead", [1, 2, 3])
def test_the_rule_agrees_with_walking_through_the_runs(name, day, lead):
    start, model = hours_of(day), MODELS[name]
    out = previous_out(start, lead=lead, model=model)
    slow = [slow_out(at.item().replace(tzinfo=UTC), lead=lead, model=model) for at in start]

    assert [at.item().replace(tzinfo=UTC) for at in out] == slow
    issued = issue_time(DK_1, day)
    assert in_time(start, out, zone=DK_1).tolist() == [at <= issued for at in slow]


@given(hour=st.integers(0, 24 * 365 * 5), lead=st.integers(1, 7), name=st.sampled_from(sorted(MODELS)))
def test_a_run_is_at_least_as_old_as_its_lead_says_and_less_than_a_cycle_older(hour, lead, name):
    model = MODELS[name]
    start = np.array(["2024-01-01"], "datetime64[us]") + hour * HOUR
    run = previous_out(start, lead=lead, model=model) - np.timedelta64(model.delay)
    age = start + HOUR - run

    assert np.timedelta64(lead, "D") <= age[0] < np.timedelta64(lead, "D") + np.timedelta64(model.cycle)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("code", sorted(zones()))
def test_the_known_run_is_out_at_the_issue_and_the_one_after_is_not(name, code):
    where, model = zone(code), MODELS[name]
    for day in (WINTER, SUMMER, *CHANGES):
        run = known_run(where, day, model=model)
        assert run.hour in (0, 12)
        assert run + model.delay <= issue_time(where, day) < run + timedelta(hours=12) + model.delay
        assert delivery_window(where, day)[1] <= run + model.reach


def test_for_an_issue_at_eleven_it_is_the_run_of_midnight_never_that_of_six():
    for day in (WINTER, SUMMER, *CHANGES):
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
        assert known_run(DK_1, day, model=IFS) == midnight
        assert midnight + timedelta(hours=6) + IFS.delay > issue_time(DK_1, day)


def test_where_the_day_is_issued_before_that_run_is_out_it_is_the_evening_run():
    # Melbourne: noon is 01:00Z in January.
    assert known_run(zone("VIC"), WINTER, model=IFS) == datetime(2026, 1, 13, 12, tzinfo=UTC)
