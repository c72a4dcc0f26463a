"""What the service says of a store, held against the store itself."""

from __future__ import annotations

import shutil
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

import small_home
from gridcast import pipeline
from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.errors import BadTime, NotForecastable, OutsideData, UnknownZone
from gridcast.market.days import Task, delivery_window
from gridcast.market.zones import zone
from small_home import NOW, TODAY, TOMORROW

DK_1 = zone("DK_1")


@pytest.fixture(scope="module")
def service():
    return small_home.service(small_home.home())


@pytest.fixture
def own(tmp_path):
    found = small_home.service(small_home.copy(tmp_path / "home"))
    yield found
    found.store.close()


def median(document):
    return {each["valid_time"]: each["quantiles"]["0.5"] for each in document["intervals"]}


def truth(service):
    return {each["valid_time"]: each["load"] for each in service.load_document(DK_1)["intervals"]}


def test_the_forecast_is_the_document_that_issuing_it_gave(own):
    day = TODAY - timedelta(days=1)
    issued = pipeline.issue_and_store(own.store, own.registry, zone=DK_1, now=NOW, delivery_day=day)
    document = pipeline.documents.issued_document(issued.forecast, zone=DK_1, day=issued.day)
    assert own.forecast_document(own.stored(DK_1, day=day)) == document


def test_of_two_forecasts_of_a_day_the_one_issued_last_is_given(own):
    before = own.stored(DK_1, day=TOMORROW)
    late = NOW + timedelta(hours=3)
    small_home.train(own.store, own.registry, at=NOW + timedelta(hours=2), promote=True)
    pipeline.issue_and_store(own.store, own.registry, zone=DK_1, now=late, delivery_day=TOMORROW)
    after = own.stored(DK_1, day=TOMORROW)
    assert before.table["issue_time"][0] < after.table["issue_time"][0] == late


def test_a_forecast_of_the_next_24_hours_does_not_pass_for_one_of_a_day(own):
    from gridcast import settings

    experiment = settings.compose(["zone=DK_1", "model=linear", "task=next_24h"])
    at = NOW - timedelta(days=1)
    pipeline.train_and_register(own.store, own.registry, zone=DK_1, experiment=experiment, at=at)
    pipeline.issue_and_store(own.store, own.registry, zone=DK_1, now=NOW + timedelta(hours=12), task=Task.NEXT_24H)

    assert own.stored(DK_1).day == TOMORROW
    assert own.stored(DK_1).table["issue_time"][0] < NOW


def test_a_forecast_whose_model_is_gone_is_still_told_without_its_outlook(own):
    shutil.rmtree(small_home_models := own.registry._root / "DK_1" / Task.DAY_AHEAD)
    assert not small_home_models.exists()
    document = own.forecast_document(own.stored(DK_1))
    assert document["day"] is None
    assert len(document["intervals"]) == 24


def test_days_beyond_the_horizon_and_days_without_a_forecast_are_told_apart(service):
    with pytest.raises(NotForecastable):
        service.stored(DK_1, day=TOMORROW + timedelta(days=1))
    with pytest.raises(OutsideData) as refusal:
        service.stored(DK_1, day=TODAY - timedelta(days=200))
    assert refusal.value.last == TOMORROW
    with pytest.raises(UnknownZone):
        service.zone("DK_9")


def test_scores_are_the_mean_errors_of_the_medians_and_of_a_week_before(service):
    known, day = truth(service), TODAY - timedelta(days=3)
    assert day.isoformat() == "2026-03-28"
    forecast = median(service.forecast_document(service.stored(DK_1, day=day)))
    week = small_home.history(service, days=30)
    before = dict(week)
    naive = {
        time: before[f"{np.datetime64(time.rstrip('Z')) - np.timedelta64(7, 'D')}Z"] for time in forecast
    }  # no change of clocks between the two weeks

    row = next(
        each for each in service.scores_document(DK_1, days=10)["days"] if each["delivery_day"] == day.isoformat()
    )
    assert row["n"] == 24
    assert row["mae_mw"] == pytest.approx(np.mean([abs(forecast[t] - known[t]) for t in forecast]), abs=1e-3)
    assert row["mape_pct"] == pytest.approx(
        100 * np.mean([abs(forecast[t] - known[t]) / known[t] for t in forecast]), abs=1e-3
    )
    assert row["naive_mae_mw"] == pytest.approx(np.mean([abs(naive[t] - known[t]) for t in forecast]), abs=1e-3)
    assert row["tso_mae_mw"] is None


def test_the_day_that_runs_is_scored_as_far_as_it_is_known_and_tomorrow_not_at_all(service):
    days = {each["delivery_day"]: each["n"] for each in service.scores_document(DK_1, days=10)["days"]}
    assert list(days) == sorted(days)
    assert 0 < days[TODAY.isoformat()] < 24
    assert days["2026-03-29"] == 23
    assert TOMORROW.isoformat() not in days
    assert service.scores_document(DK_1, days=10)["mean"]["n"] == sum(days.values())


def test_drift_compares_the_last_week_with_the_days_before(service):
    found = service.drift_document(DK_1)
    assert found["recent_days"] + found["usual_days"] == len(service.scores_document(DK_1, days=35)["days"])
    assert found["ratio"] is None
    assert found["mae_mw"] > 0


def test_a_load_that_is_unknown_is_null_and_stands_in_its_place(service):
    rows = service.load_document(DK_1)["intervals"]
    times = [each["valid_time"] for each in rows]
    assert times == sorted(times)
    assert len(rows) == 24 * 9
    known = [each["load"] is not None for each in rows]
    assert known.index(False) == sum(known)
    assert rows[sum(known) - 1]["valid_time"] == "2026-03-31T07:00:00Z"


def test_a_period_of_load_begins_with_the_first_whole_interval_and_ends_before_the_last(service):
    start = NOW - timedelta(days=3)
    rows = service.load_document(DK_1, start=start, end=start + timedelta(hours=2))["intervals"]
    assert [each["valid_time"] for each in rows] == ["2026-03-28T11:00:00Z", "2026-03-28T12:00:00Z"]


@pytest.mark.parametrize("days", [0, -1, 32])
def test_a_period_that_is_none_or_too_long_is_refused(service, days):
    with pytest.raises(BadTime):
        service.load_document(DK_1, start=NOW, end=NOW + timedelta(days=days))


def test_the_load_of_a_country_is_the_sum_of_its_zones(service):
    whole, west, east = (
        {each["valid_time"]: each["load"] for each in service.load_document(zone(code))["intervals"]}
        for code in ("DK", "DK_1", "DK_2")
    )
    known = [time for time, value in whole.items() if value is not None]
    assert len(known) > 100
    assert all(whole[time] == pytest.approx(west[time] + east[time], abs=2e-3) for time in known)


def test_quality_counts_what_is_due_known_and_aside(own):
    day = TODAY - timedelta(days=2)
    start, _ = delivery_window(DK_1, day)
    own.store.quarantine(
        own.store.observations(["DK_1"], variables=[LOAD], start=start, end=start + timedelta(hours=3))
        .with_columns(reason=pl.lit("spike: made up"))
        .select(list(DOUBTFUL))
    )

    days = {each["day"]: each for each in own.quality_document(DK_1, days=5)["days"]}
    assert len(days) == 5
    assert days[day.isoformat()] == {"day": "2026-03-29", "due": 23, "known": 20, "in_quarantine": 3}
    today = days[TODAY.isoformat()]
    assert today["due"] == today["known"] == 10  # 22:00Z of the day before to 08:00Z, two hours ago


def test_zones_say_what_there_is_of_them(service):
    found = {each["zone"]: each for each in service.zones_document()["zones"]}
    west, east = found["DK_1"], found["DK_2"]
    assert (west["has_data"], west["has_forecast"], west["last_forecast_day"]) == (True, True, TOMORROW.isoformat())
    assert (west["first_day"], west["last_day"]) == ("2025-11-21", TODAY.isoformat())
    assert (west["first_forecast_day"], east["has_data"], east["has_forecast"]) == ("2026-03-26", True, False)
    assert found["DK"]["first_day"] == east["first_day"]
    assert not found["FR"]["has_data"]
    assert 54 < west["latitude"] < 58


def test_a_forecast_on_demand_is_in_the_log_with_what_it_takes_to_make_it_again(own):
    from gridcast.pipeline.champions import Champion
    from gridcast.pipeline.posted import Posted
    from gridcast.pipeline.replaying import Outcome, Replays

    champion = Champion.load(own.registry, own.registry.champion("DK_1", Task.DAY_AHEAD), zone=DK_1)
    made = own.on_demand(Posted(DK_1, tuple(small_home.history(own))), champion=champion)
    own.journal.append(made)

    (entry,) = own.journal.entries(kind="on_demand")
    assert entry.answer == made.answer
    assert own.journal.verify() == []
    assert Replays(own.store, own.registry).compared(entry).outcome is Outcome.SAME
