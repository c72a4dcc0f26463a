from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from doors import world
from gridcast import models, pipeline, settings
from gridcast.contracts import MEDIAN, QUANTILES
from gridcast.errors import ConfigError, ModelNotFound
from gridcast.market.zones import zone
from gridcast.registry import Registry
from gridcast.sources import tabular
from gridcast.store.database import Store

DK, DK_1, DK_2, DE = (zone(code) for code in ("DK", "DK_1", "DK_2", "DE_LU"))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRAINED = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def store():
    with Store("sqlite://") as store:
        yield store


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


@pytest.fixture(scope="module")
def demo_rows():
    return pipeline.fetch(DK_1, source=pipeline.DEMO, start=date(2026, 8, 1), end=date(2026, 11, 22), fetched_at=NOW)


def train(store, registry, where=DK_1, model="linear"):
    experiment = settings.compose([f"zone={where.code}", f"model={model}"])
    return pipeline.train_and_register(store, registry, zone=where, experiment=experiment, at=TRAINED)


def assert_sums(found, forecast):
    """The terms sum to the median of this Forecast table, interval by interval."""
    median = forecast.filter(pl.col("quantile") == QUANTILES[MEDIAN]).sort("valid_time")
    assert found.terms["valid_time"].to_list() == median["valid_time"].to_list()
    np.testing.assert_allclose(found.terms["forecast"].to_numpy(), median["value"].to_numpy(), rtol=1e-12)
    total = found.terms.select(pl.sum_horizontal(found.names)).to_series()
    np.testing.assert_allclose(total.to_numpy(), median["value"].to_numpy(), rtol=1e-9)


def test_what_was_issued_is_explained_as_it_was_issued_whatever_came_later(store, registry, demo_rows):
    hole = (pl.col("valid_time") > datetime(2026, 11, 19, 12, tzinfo=UTC)) & (pl.col("variable") == "load")
    pipeline.ingest(store, demo_rows.filter(~hole), zone=DK_1)
    train(store, registry)
    issued = pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW).forecast
    before = pipeline.explain(store, registry, zone=DK_1, now=NOW)
    pipeline.ingest(store, demo_rows, zone=DK_1)
    after = pipeline.explain(store, registry, zone=DK_1, now=NOW)
    assert_sums(after, issued)
    assert before.terms.equals(after.terms)
    assert after.names == ("typical", "calendar", "holiday", "temperature", "recent_level")
    assert after.forecast.equals(issued)


def test_what_was_not_issued_is_explained_and_not_stored(store, registry, demo_rows):
    pipeline.ingest(store, demo_rows, zone=DK_1)
    with pytest.raises(ModelNotFound, match="gridcast train --zone DK_1"):
        pipeline.explain(store, registry, zone=DK_1, now=NOW)
    train(store, registry)
    found = pipeline.explain(store, registry, zone=DK_1, now=NOW)
    assert store.forecasts("DK_1").is_empty()
    assert_sums(found, pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW).forecast)


def test_a_champion_that_has_no_parts_is_refused(store, registry, demo_rows):
    pipeline.ingest(store, demo_rows, zone=DK_1)
    train(store, registry, model="similar_day")
    with pytest.raises(ConfigError, match=r"'similar_day' cannot be explained.*linear, boosted"):
        pipeline.explain(store, registry, zone=DK_1, now=NOW)


def test_a_forecast_finer_than_its_model_has_finer_terms():
    hourly, since = world(), datetime(2018, 4, 1, tzinfo=UTC)
    stamps = pl.col("ts_utc").str.to_datetime(time_unit="us", time_zone="UTC")
    hourly = hourly.with_columns(stamps)
    parts = [
        hourly.filter(pl.col("ts_utc") >= since).with_columns(
            pl.col("ts_utc") + timedelta(minutes=15 * n), pl.col("load_mw") * (0.97 + 0.02 * n)
        )
        for n in range(4)
    ]
    mixed = pl.concat([hourly.filter(pl.col("ts_utc") < since), *parts]).sort("ts_utc")
    observations = tabular.from_frame(mixed, zone=DE, fetched_at=NOW, where="the frame")
    at = datetime(2018, 4, 10, 9, tzinfo=UTC)
    recipe = models.recipe("linear")
    trained = pipeline.train(observations, zone=DE, recipe=recipe, at=datetime(2018, 4, 1, tzinfo=UTC))
    origin = pipeline.window_to_issue(DE, now=at)
    found = pipeline.explained(observations, trained=trained, origin=origin, model_version="v")
    assert found.terms.height == 96
    assert_sums(found, pipeline.issue(observations, trained=trained, origin=origin, model_version="v"))
    for name in ("typical", "calendar"):
        within = found.terms[name].to_numpy().reshape(24, 4)
        np.testing.assert_allclose(within / within.mean(axis=1, keepdims=True), [[0.97, 0.99, 1.01, 1.03]] * 24, 1e-6)


def test_what_moved_so_that_members_add_up_has_a_term_of_its_own(store, registry, demo_rows):
    hours = pl.col("valid_time").dt.epoch("s") / 3600
    other = pl.when(pl.col("variable") == "load").then(pl.col("value") + 100 * (hours / 17).sin())
    pipeline.ingest(store, demo_rows, zone=DK_1)
    pipeline.ingest(store, demo_rows.with_columns(zone=pl.lit("DK_2"), value=other.otherwise("value")), zone=DK_2)
    for where in (DK, DK_1, DK_2):
        train(store, registry, where=where)
    issued = pipeline.issue_with_members(store, registry, zone=DK, members=[DK_1, DK_2], now=NOW)
    for where, each in zip((DK, DK_1, DK_2), issued, strict=True):
        found = pipeline.explain(store, registry, zone=where, now=NOW)
        assert_sums(found, each.forecast)
        assert found.names[-1] == "coherence"
        assert 0 < found.terms["coherence"].abs().max() < 100
