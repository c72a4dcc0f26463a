"""Forecasts of a history that somebody brings along."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_home
from gridcast import pipeline
from gridcast.errors import BadTime, DataError, ImplausibleValue, NotForecastable, TooLittleHistory
from gridcast.market.days import Task, delivery_window, issue_time
from gridcast.market.zones import zone
from gridcast.pipeline import answers, posted
from gridcast.pipeline.champions import Champion
from gridcast.pipeline.posted import Posted, Settled
from small_home import NOW, TODAY, TOMORROW

DK_1 = zone("DK_1")


@pytest.fixture(scope="module")
def service():
    return small_home.service(small_home.home())


@pytest.fixture(scope="module")
def champion(service):
    return Champion.load(service.registry, service.registry.champion("DK_1", Task.DAY_AHEAD), zone=DK_1)


@pytest.fixture(scope="module")
def history(service):
    """As much as the model looks at."""
    load = small_home.history(service, days=100, until=NOW - timedelta(minutes=140))
    return Posted(DK_1, tuple(load), temperature=tuple(small_home.temperature(service, days=100)))


def test_with_all_that_the_store_knows_it_is_the_forecast_that_the_store_gives(service, champion, history):
    """The two differ in when past weather counts as known, and so in the errors of the past: by less than 1 %."""
    asked = replace(history, issue_time=NOW).settled(now=NOW)
    document = posted.forecast(asked, champion=champion)

    observations = service.store.observations(["DK_1"])
    table = pipeline.issue(
        observations, trained=champion.trained, origin=asked.origin, model_version=champion.version.id
    )
    medians = table.filter(table["quantile"] == 0.5)["value"].to_list()
    assert [each["quantiles"]["0.5"] for each in document["intervals"]] == pytest.approx(medians, rel=0.01)
    assert document["degraded"] == ""
    assert document["day"] is not None


def test_a_short_history_is_forecast_and_says_that_it_is_short(champion, history):
    document = posted.forecast(replace(history, load=history.load[-24 * 30 :]).settled(now=NOW), champion=champion)
    assert document["degraded"].startswith("30 days of history were posted; the model looks at 76")


def test_without_weather_it_says_so(champion, history):
    document = posted.forecast(replace(history, temperature=()).settled(now=NOW), champion=champion)
    assert document["degraded"] == "weather is missing"


def test_the_order_of_a_history_does_not_matter(champion, history):
    shuffled = list(history.load)
    random.Random(3).shuffle(shuffled)
    one, other = (
        answers.on_demand(replace(history, load=tuple(load)).settled(now=NOW), champion=champion)
        for load in (history.load, shuffled)
    )
    assert one == other


def test_what_the_log_keeps_gives_the_same_bytes_again_whenever_it_is_asked(champion, history):
    asked = history.settled(now=NOW)
    again = Settled.of(json.loads(json.dumps(asked.request())), zone=DK_1)
    assert answers.on_demand(again, champion=champion) == answers.on_demand(asked, champion=champion)


def test_an_operators_forecast_does_not_harm_a_model_that_knows_none(champion, history):
    one, other = (
        answers.on_demand(replace(history, tso=tso).settled(now=NOW), champion=champion) for tso in ((), history.load)
    )
    assert one == other


def test_tomorrow_is_forecast_now_unless_another_day_is_asked_for(history):
    asked = history.settled(now=NOW)
    assert (asked.delivery_day, asked.issue_time) == (TOMORROW, NOW)


def test_a_past_day_is_forecast_as_at_its_usual_issue_time(history):
    day = TODAY - timedelta(days=3)
    assert replace(history, delivery_day=day).settled(now=NOW).issue_time == issue_time(DK_1, day)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"delivery_day": TOMORROW + timedelta(days=1)}, NotForecastable),
        ({"delivery_day": date(1, 1, 1)}, NotForecastable),
        ({"delivery_day": date(9999, 12, 31)}, NotForecastable),
        ({"delivery_day": TODAY, "issue_time": NOW}, NotForecastable),
        ({"issue_time": NOW + timedelta(seconds=1)}, BadTime),
        ({"issue_time": datetime.fromisoformat("0001-01-01T00:00:00+00:00")}, BadTime),
    ],
)
def test_a_day_that_cannot_be_forecast_is_refused(history, change, error):
    with pytest.raises(error):
        replace(history, **change).settled(now=NOW)


@given(hours=st.integers(0, 24 * 4))
def test_whatever_is_asked_for_is_issued_before_it_begins(hours):
    now = NOW + timedelta(hours=hours)
    asked = Posted(DK_1, ()).settled(now=now)
    start, _ = delivery_window(DK_1, asked.delivery_day)
    assert asked.issue_time < start <= asked.issue_time + timedelta(hours=24)


@given(factor=st.one_of(st.floats(1e-6, 0.25), st.floats(4, 1e6)))
def test_a_load_in_another_unit_is_refused_and_told_the_usual_one(champion, history, factor):
    load = tuple((time, value * factor) for time, value in history.load)
    with pytest.raises(ImplausibleValue, match="its median") as refusal:
        posted.forecast(replace(history, load=load).settled(now=NOW), champion=champion)
    assert refusal.value.usual_mw == champion.level


@given(data=st.data())
def test_a_gap_anywhere_is_found_with_its_edges(champion, history, data):
    first = data.draw(st.integers(1, len(history.load) - 10))
    count = data.draw(st.integers(1, 8))
    load = history.load[:first] + history.load[first + count :]

    with pytest.raises(DataError, match=f"{count} intervals are missing in 1 gaps") as refusal:
        posted.forecast(replace(history, load=load).settled(now=NOW), champion=champion)
    start = refusal.value.missing[0]["start"]
    assert f"{start:%Y-%m-%dT%H:%M:%SZ}" == history.load[first][0]


def test_a_history_that_ended_long_ago_is_refused(champion, history):
    load = history.load[: -24 * 8]
    with pytest.raises(TooLittleHistory, match="8 days before the issue"):
        posted.forecast(replace(history, load=load).settled(now=NOW), champion=champion)


def test_quarter_hours_are_averaged_for_a_model_of_hours(champion, history):
    """The same load four times an hour gives the same energy; only the shape within the hour is new."""

    def quarters(time: str, value: float) -> list[tuple[str, float]]:
        start = datetime.fromisoformat(time)
        return [(f"{start + timedelta(minutes=15 * n):%Y-%m-%dT%H:%M:%SZ}", value) for n in range(4)]

    fine = tuple(each for cell in history.load for each in quarters(*cell))
    hourly, quarterly = (
        posted.forecast(replace(history, load=load).settled(now=NOW), champion=champion)
        for load in (history.load, fine)
    )
    assert quarterly["resolution"] == "PT15M"
    assert len(quarterly["intervals"]) == 4 * len(hourly["intervals"])
    mean = sum(each["quantiles"]["0.5"] for each in quarterly["intervals"]) / len(quarterly["intervals"])
    assert mean == pytest.approx(sum(each["quantiles"]["0.5"] for each in hourly["intervals"]) / 24, rel=0.01)
