from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from doors import world
from gridcast import models, pipeline
from gridcast.contracts import QUANTILES
from gridcast.errors import NotForecastable, OutsideData, TooLittleHistory
from gridcast.market.days import HOUR, Task
from gridcast.market.zones import zone
from gridcast.sources import tabular

DE = zone("DE_LU")
FETCHED = datetime(2018, 6, 1, tzinfo=UTC)
NOW = datetime(2018, 4, 10, 12, tzinfo=UTC)
ISSUE = NOW.replace(hour=9)
RAMP = np.array([0.94, 0.98, 1.02, 1.06])


def observed(frame, code="DE_LU"):
    return tabular.from_frame(frame, zone=zone(code), fetched_at=FETCHED)


def turned_quarter_hourly(*, since):
    """The hourly world whose newest part comes in quarter-hours that rise within the hour; and its hourly twin."""
    hourly = world().with_columns(pl.col("ts_utc").str.to_datetime(time_zone="UTC"))
    new = hourly.filter(pl.col("ts_utc") >= since)
    parts = [
        new.with_columns(ts_utc=pl.col("ts_utc") + timedelta(minutes=15 * n), load_mw=pl.col("load_mw") * float(ratio))
        for n, ratio in enumerate(RAMP)
    ]
    return pl.concat([hourly.filter(pl.col("ts_utc") < since), *parts]), hourly


def trained(observations, *, where=DE, at=ISSUE, model="linear", task=Task.DAY_AHEAD):
    return pipeline.train(observations, zone=where, recipe=models.recipe(model), at=at, task=task)


def issued(observations, *, where=DE, now=NOW, day=None, model=None):
    model = model or trained(observations, where=where)
    origin = pipeline.window_to_issue(where, now=now, delivery_day=day)
    return pipeline.issue(observations, trained=model, origin=origin, model_version="v")


def fan(table):
    return table["value"].to_numpy().reshape(-1, len(QUANTILES))


def test_a_zone_that_turned_quarter_hourly_is_modelled_hourly_and_issued_quarter_hourly():
    mixed, hourly = (observed(frame) for frame in turned_quarter_hourly(since=datetime(2018, 2, 20, tzinfo=UTC)))
    model = trained(mixed)
    assert model.resolution == HOUR
    fine, coarse = issued(mixed, model=model), issued(hourly)
    assert coarse["degraded"].unique().to_list() == [""]
    assert fine["degraded"].n_unique() == 1
    assert fine["degraded"][0].startswith("finer than the model: its 60-minute forecast")
    assert fine["resolution"].unique().to_list() == [timedelta(minutes=15)]
    assert fine["valid_time"].n_unique() == 96
    by_hour = fan(fine).reshape(24, 4, len(QUANTILES))
    assert by_hour.mean(axis=1) == pytest.approx(fan(coarse), rel=1e-9)
    assert by_hour[:, :, 4] / by_hour[:, :, 4].mean(axis=1, keepdims=True) == pytest.approx(np.tile(RAMP, (24, 1)))
    assert (np.diff(fan(fine), axis=1) >= 0).all()


@pytest.mark.parametrize(("day", "quarters"), [(date(2018, 3, 25), 92), (date(2018, 3, 26), 96)])
def test_a_quarter_hourly_forecast_is_complete_on_the_day_the_clocks_change(day, quarters):
    mixed, _ = turned_quarter_hourly(since=datetime(2018, 2, 20, tzinfo=UTC))
    at = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=12)
    observations = observed(mixed)
    table = issued(observations, now=at, model=trained(observations, at=at))
    assert table["valid_time"].n_unique() == quarters


def test_a_portfolio_with_one_quarter_hourly_member_stays_hourly():
    mixed, hourly = turned_quarter_hourly(since=datetime(2018, 2, 20, tzinfo=UTC))
    both = pl.concat([observed(mixed, "DK_1"), observed(hourly, "DK_2")])
    table = issued(both, where=zone("DK"))
    assert table["resolution"].unique().to_list() == [timedelta(hours=1)]
    assert table["degraded"].unique().to_list() == [""]


def test_a_portfolio_that_lacks_a_member_says_so():
    west = observed(world(), "DK_1")
    with pytest.raises((OutsideData, TooLittleHistory)):
        trained(west, where=zone("DK"))
    old = observed(world(), "DK_2").filter(pl.col("valid_time") < datetime(2018, 3, 20, tzinfo=UTC))
    both = pl.concat([west, old])
    table = issued(both, where=zone("DK"))
    assert "the newest load is" in table["degraded"][0]
    with pytest.raises(OutsideData, match="from all of DK_1, DK_2"):
        issued(west, where=zone("DK"), model=trained(both, where=zone("DK")))


def test_what_is_published_after_the_issue_changes_nothing():
    observations = observed(world(weather=True))
    late = pl.col("published_at") > NOW.replace(hour=9)
    poisoned = observations.with_columns(
        value=pl.when(late & ~pl.col("variable").str.ends_with("_observed")).then(99_999.0).otherwise("value")
    )
    model, other = (
        pipeline.train(each, zone=DE, recipe=models.recipe("linear"), at=NOW.replace(hour=9))
        for each in (observations, poisoned)
    )
    assert issued(observations, model=model).equals(issued(poisoned, model=other))


def test_a_replay_leaves_out_what_was_fetched_later():
    observations = observed(world())
    model = trained(observations)
    origin = pipeline.window_to_issue(DE, now=NOW)
    made_at = datetime(2018, 6, 2, tzinfo=UTC)
    fetched_later = observations.with_columns(
        value=pl.col("value") * 2,
        published_at=pl.col("published_at") + timedelta(minutes=1),
        fetched_at=pl.lit(made_at + timedelta(days=1), dtype=observations.schema["fetched_at"]),
    )
    both = pl.concat([observations, fetched_later])
    first = pipeline.issue(observations, trained=model, origin=origin, model_version="v", made_at=made_at)
    again = pipeline.issue(both, trained=model, origin=origin, model_version="v", made_at=made_at)
    unaware = pipeline.issue(both, trained=model, origin=origin, model_version="v")
    assert again.equals(first)
    assert not unaware.equals(first)


def test_a_model_is_trained_on_what_was_public_then_and_says_which_days():
    model = trained(observed(world()))
    assert (model.first_day, model.last_day) == (date(2018, 1, 1), date(2018, 4, 10))
    assert (model.weather_basis, model.tso_basis) == ("none", "none")
    with pytest.raises(OutsideData):
        trained(observed(world()), at=datetime(2017, 1, 1, tzinfo=UTC))
    with pytest.raises(OutsideData):
        trained(observed(world()), at=datetime(2018, 1, 1, 9, tzinfo=UTC))
    with pytest.raises(TooLittleHistory) as error:
        trained(observed(world()), at=datetime(2018, 2, 1, tzinfo=UTC))
    assert error.value.needed == 60
    assert error.value.have < 60


@pytest.mark.parametrize(
    ("now", "day", "issue_time"),
    [
        ("2026-11-20T12:00", None, "2026-11-20T10:00"),
        ("2026-11-20T08:00", None, "2026-11-20T08:00"),
        ("2026-11-19T23:00", None, "2026-11-19T23:00"),  # midnight in Germany: the 21st opens
        ("2026-11-19T22:59", None, "2026-11-19T10:00"),
        ("2026-11-20T12:00", date(2026, 11, 20), "2026-11-19T10:00"),
        ("2026-11-20T12:00", date(2020, 2, 29), "2020-02-28T10:00"),
    ],
)
def test_a_day_is_forecast_at_its_usual_issue_time_or_now(now, day, issue_time):
    origin = pipeline.window_to_issue(DE, now=datetime.fromisoformat(now).replace(tzinfo=UTC), delivery_day=day)
    assert origin.issue_time.tolist() == [datetime.fromisoformat(issue_time)]


def test_a_day_after_tomorrow_cannot_be_forecast():
    now = datetime(2026, 11, 19, 22, 59, tzinfo=UTC)
    with pytest.raises(NotForecastable) as error:
        pipeline.window_to_issue(DE, now=now, delivery_day=date(2026, 11, 21))
    assert error.value.delivery_day == date(2026, 11, 21)


def test_the_peak_is_the_highest_median():
    table = issued(observed(world()))
    found = pipeline.peak(table)
    median = table.filter(pl.col("quantile") == 0.5)
    assert found.value == median["value"].max()
    assert median.filter(pl.col("valid_time") == found.valid_time)["value"].item() == found.value


def test_recent_load_holds_the_latest_that_was_public():
    recent = pipeline.recent_load(observed(world()), zone=DE, until=NOW)
    assert recent["valid_time"].max() == datetime(2018, 4, 10, 9, tzinfo=UTC)  # ended at 10:00, public at 12:00
    assert recent["valid_time"].min() == NOW - timedelta(days=7)
    assert recent["value"].null_count() == 0
