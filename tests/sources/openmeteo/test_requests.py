"""Which service is asked for which hours, in how many requests and at what weight."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.errors import ConfigError
from gridcast.market.days import delivery_window
from gridcast.market.zones import zone
from gridcast.sources.openmeteo.models import MODELS
from gridcast.sources.openmeteo.requests import FREE_LIMITS, MOST, Api, plan, weight

HOUR = timedelta(hours=1)
IFS = MODELS["ecmwf_ifs"]
DK_1 = zone("DK_1")
NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
FIVE = ("temperature_2m", "wind_speed_10m", "shortwave_radiation", "cloud_cover", "relative_humidity_2m")


def planned(start, end, *, now=NOW, variables=("temperature_2m",), model=IFS, where=DK_1, **more):
    return plan(where, start=start, end=end, now=now, variables=variables, model=model, **more)


def at(year, month, day, hour=0):
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("points", "values", "days", "calls"),
    [(1, 1, 1, 1), (6, 5, 1, 6), (6, 10, 14, 6), (6, 10, 28, 12), (1, 20, 7, 2), (6, 5, 1461, 313.07), (7, 1, 140, 7)],
)
def test_a_request_weighs_what_the_service_says(points, values, days, calls):
    assert weight(points, values=values, days=days) == pytest.approx(calls, abs=0.01)


def test_tomorrow_is_asked_of_the_newest_run():
    start, end = delivery_window(DK_1, date(2026, 11, 24))
    (request,), notes = planned(start, end)
    assert (request.api, request.first, request.end, request.run) == (Api.FORECAST, start, end, None)
    assert notes == []


def test_the_day_under_way_comes_as_it_was_known_yesterday_and_as_it_is_known_now():
    start, end = delivery_window(DK_1, date(2026, 11, 23))
    (past, ahead), _ = planned(start, end)
    assert (past.api, past.first, past.end, past.run) == (Api.SINGLE_RUNS, start, end, at(2026, 11, 22))
    assert (ahead.api, ahead.first, ahead.end) == (Api.FORECAST, at(2026, 11, 23, 10), end)


def test_each_past_day_is_asked_of_the_run_that_was_known_then():
    start, end = delivery_window(DK_1, date(2026, 3, 27))[0], delivery_window(DK_1, date(2026, 4, 1))[1]
    requests, _ = planned(start, end)
    assert [request.run for request in requests] == [at(2026, 3, day) for day in range(26, 32)]
    assert [request.first for request in requests][1:] == [request.end for request in requests][:-1]
    # The clocks go forward on 29 March.
    assert [(request.end - request.first) // HOUR for request in requests] == [24, 24, 23, 24, 24, 24]


def test_before_the_single_runs_the_previous_runs_are_asked_in_one_stretch():
    requests, notes = planned(at(2024, 3, 1), at(2024, 3, 18), variables=FIVE)
    assert [request.api for request in requests] == [Api.PREVIOUS_RUNS] + [Api.SINGLE_RUNS] * 4
    first = requests[0]
    assert first.leads == (2, 1)
    assert len(first.columns) == 10
    assert first.columns[:2] == ("temperature_2m_previous_day2", "temperature_2m_previous_day1")
    # The archive begins with the run of 14 March, which serves the 15th.
    assert first.end == delivery_window(DK_1, date(2024, 3, 15))[0]
    assert requests[1].run == at(2024, 3, 14)
    assert notes == []


def test_before_the_previous_runs_nothing_is_honest_and_a_note_says_so():
    requests, notes = planned(at(2023, 12, 1), at(2024, 1, 3))
    assert [request.api for request in requests] == [Api.PREVIOUS_RUNS]
    assert requests[0].first == delivery_window(DK_1, date(2024, 1, 1))[0]
    (note,) = notes
    assert "2023-12-31" in note
    assert "temperature_2m_observed" in note


def test_the_american_model_has_temperature_three_years_earlier_and_nothing_else():
    requests, notes = planned(at(2022, 6, 1), at(2022, 6, 10), variables=FIVE, model=MODELS["ncep_gfs_global"])
    assert [(request.api, request.variables) for request in requests] == [(Api.PREVIOUS_RUNS, ("temperature_2m",))]
    assert len(notes) == 4


def test_previous_runs_can_be_chosen_throughout():
    requests, _ = planned(at(2025, 1, 1), at(2025, 12, 31), archive=Api.PREVIOUS_RUNS, leads=(2,), variables=FIVE)
    assert [request.api for request in requests] == [Api.PREVIOUS_RUNS]
    assert requests[0].weight(6) < 80


def test_what_was_observed_is_asked_for_only_by_its_name():
    requests, _ = planned(at(2020, 1, 1), at(2020, 1, 5), variables=("temperature_2m_observed",))
    assert [(request.api, request.model, request.variables) for request in requests] == [
        (Api.ARCHIVE, "era5", ("temperature_2m",))
    ]
    requests, _ = planned(NOW - 5 * HOUR, NOW + timedelta(days=2), variables=("temperature_2m_observed",))
    assert requests[0].end == at(2026, 11, 23, 10)


def test_a_year_of_single_runs_is_one_request_a_day_at_a_call_a_point():
    requests, _ = planned(at(2025, 1, 1), at(2026, 1, 1), variables=FIVE)
    print(
        f"single runs, DK_1, a year: {len(requests)} requests, {sum(request.weight(6) for request in requests)} calls"
    )
    assert sum(request.weight(6) for request in requests) == 6 * 366
    previous, _ = planned(at(2025, 1, 1), at(2026, 1, 1), variables=FIVE, archive=Api.PREVIOUS_RUNS)
    calls = sum(request.weight(6) for request in previous)
    print(f"previous runs, DK_1, a year, two leads: {len(previous)} requests, {calls:.0f} calls")
    assert calls == pytest.approx(157, abs=1)
    observed, _ = planned(at(2025, 1, 1), at(2026, 1, 1), variables=[f"{name}_observed" for name in FIVE])
    assert sum(request.weight(6) for request in observed) == pytest.approx(79, abs=1)


@given(
    code=st.sampled_from(["DK_1", "DK_2", "DK", "DE_LU", "VIC", "FI", "GB"]),
    begin=st.integers(0, 24 * 365 * 8),
    length=st.integers(1, 24 * 800),
    model=st.sampled_from(sorted(MODELS)),
    archive=st.sampled_from([Api.SINGLE_RUNS, Api.PREVIOUS_RUNS]),
)
def test_every_hour_that_can_be_had_is_asked_for_by_requests_light_enough(code, begin, length, model, archive):
    where = zone(code)
    start = at(2019, 1, 1) + begin * HOUR
    end = start + length * HOUR
    variables = ("temperature_2m", "temperature_2m_observed")
    requests, _ = planned(start, end, where=where, variables=variables, model=MODELS[model], archive=archive)
    hours = [start + n * HOUR for n in range(length)]
    points = len(where.weather_points)

    def covered(*apis):
        return {
            request.first + n * HOUR
            for request in requests
            if request.api in apis
            for n in range((request.end - request.first) // HOUR)
        }

    past = covered(Api.SINGLE_RUNS, Api.PREVIOUS_RUNS)
    honest_since = delivery_window(where, MODELS[model].previous_since("temperature_2m"))[0]
    assert past >= {hour for hour in hours if honest_since <= hour < NOW.replace(minute=0)}
    assert all(hour >= honest_since for hour in past)
    ahead = {hour for hour in hours if NOW.replace(minute=0) <= hour < NOW.replace(minute=0) + timedelta(days=4)}
    assert covered(Api.FORECAST) >= ahead
    assert not any(hour < NOW.replace(minute=0) for hour in covered(Api.FORECAST))
    assert covered(Api.ARCHIVE) == {hour for hour in hours if hour < NOW.replace(minute=0)}
    assert all(request.weight(points) <= MOST for request in requests)
    for request in requests:
        if request.run is not None:
            assert request.run.date() >= MODELS[model].single_runs


def test_one_request_fits_every_limit_at_once():
    assert all(limit.burst >= MOST for limit in FREE_LIMITS)
    assert [(limit.calls, limit.seconds) for limit in FREE_LIMITS] == [
        (600, 60),
        (5_000, 3_600),
        (10_000, 86_400),
        (300_000, 30 * 86_400),
    ]


def test_a_zone_without_points_or_with_too_many_is_told_what_to_do():
    with pytest.raises(ConfigError, match="ingest DK_1 and DK_2, or give it weather_points"):
        planned(at(2025, 1, 1), at(2025, 1, 2), where=replace(zone("DK"), weather_points=()))
    crowd = replace(DK_1, weather_points=DK_1.weather_points * 60)
    with pytest.raises(ConfigError, match="fewer weather_points"):
        planned(at(2025, 1, 1), at(2025, 1, 2), where=crowd)


def test_the_query_pins_model_clock_and_units():
    (request,), _ = planned(at(2026, 11, 24), at(2026, 11, 25))
    query = request.params(DK_1)
    assert query["latitude"] == "56.16,57.05,55.4,55.49,56.14,55.47"
    assert query["models"] == "ecmwf_ifs"
    assert (query["timezone"], query["timeformat"], query["wind_speed_unit"]) == ("GMT", "unixtime", "ms")
    # An hour has an end, too.
    assert (query["start_hour"], query["end_hour"]) == ("2026-11-24T00:00", "2026-11-25T00:00")
