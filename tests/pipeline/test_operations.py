from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast import models, pipeline, settings
from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.errors import ConfigError, ModelNotFound
from gridcast.market.days import Task
from gridcast.market.zones import zone
from gridcast.pipeline import ingesting
from gridcast.registry import Registry
from gridcast.sources.fetched import DUE, Fetched
from gridcast.store.database import Store

DK_1 = zone("DK_1")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def store():
    with Store("sqlite://") as store:
        yield store


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


@pytest.fixture(scope="module")
def demo_rows():
    return pipeline.fetch(DK_1, source=pipeline.DEMO, start=date(2026, 7, 1), end=date(2026, 11, 22), fetched_at=NOW)


def train(store, registry, *words, at=NOW, promote=False):
    experiment = settings.compose(["zone=DK_1", *words])
    return pipeline.train_and_register(store, registry, zone=DK_1, experiment=experiment, at=at, promote=promote)


def test_the_demo_gives_nothing_that_is_not_public_yet(demo_rows):
    assert demo_rows["published_at"].max() <= NOW
    assert all("synthetic" in source for source in demo_rows["source"].unique())


def test_ingest_is_idempotent(store, demo_rows):
    first = pipeline.ingest(store, demo_rows, zone=DK_1)
    second = pipeline.ingest(store, demo_rows.sample(fraction=1.0, shuffle=True, seed=1), zone=DK_1)
    assert (first.new, second.new) == (demo_rows.height, 0)
    assert (first.missing, second.missing) == ((), ())
    assert (first.first, first.last) == (second.first, second.last)


def test_the_digest_of_the_store_is_that_of_its_rows(store, demo_rows):
    pipeline.ingest(store, demo_rows.head(1000), zone=DK_1)
    one = pipeline.read_store(store, zone=DK_1)[1]
    assert pipeline.read_store(store, zone=DK_1)[1] == one
    pipeline.ingest(store, demo_rows, zone=DK_1)
    assert pipeline.read_store(store, zone=DK_1)[1] != one


def test_a_registered_model_issues_what_it_would_have_issued_unsaved(store, registry, demo_rows):
    pipeline.ingest(store, demo_rows, zone=DK_1)
    found = train(store, registry, "model=linear")
    made = pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW)
    trained = pipeline.train(
        pipeline.read_store(store, zone=DK_1)[0], zone=DK_1, recipe=models.recipe("linear"), at=NOW
    )
    unsaved = pipeline.issue(
        demo_rows,
        trained=trained,
        origin=pipeline.window_to_issue(DK_1, now=NOW, trained_at=NOW),
        model_version=found.version.id,
    )
    assert made.forecast["value"].to_list() == pytest.approx(unsaved["value"].to_list(), rel=1e-9)
    assert store.forecasts("DK_1").height == made.forecast.height


def test_the_champion_lends_its_recipe_to_backtests(store, registry, demo_rows):
    pipeline.ingest(store, demo_rows, zone=DK_1)
    assert pipeline.champion_recipe(registry, zone=DK_1, task=Task.DAY_AHEAD) is None
    train(store, registry, "model=linear", "model.strength=3")
    recipe = pipeline.champion_recipe(registry, zone=DK_1, task=Task.DAY_AHEAD)
    assert recipe == models.recipe("linear", {"strength": 3.0})
    assert pipeline.champion_recipe(registry, zone=DK_1, task=Task.NEXT_24H) is None
    assert pipeline.recipes(["champion", "naive"], champion=recipe) == {
        "champion": recipe,
        "naive": models.recipe("naive"),
    }
    assert pipeline.recipes(["champion"])["champion"] == models.recipe("ensemble")


def test_tasks_have_champions_of_their_own(store, registry, demo_rows):
    pipeline.ingest(store, demo_rows, zone=DK_1)
    train(store, registry, "model=naive")
    with pytest.raises(ModelNotFound, match="next_24h"):
        pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW, task="next_24h")


def test_an_issued_forecast_is_never_overwritten(store, registry, demo_rows):
    hole = (pl.col("valid_time") > datetime(2026, 11, 19, 12, tzinfo=UTC)) & (pl.col("variable") == "load")
    pipeline.ingest(store, demo_rows.filter(~hole), zone=DK_1)
    train(store, registry, "model=linear")
    first = pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW).forecast
    # Load that was public all the while, but came late to us.
    pipeline.ingest(store, demo_rows, zone=DK_1)
    again = pipeline.issue_and_store(store, registry, zone=DK_1, now=NOW).forecast
    assert again.equals(first.sort("issue_time", "valid_time", "quantile"))
    assert store.forecasts("DK_1").equals(again)


def test_a_replay_of_an_issued_forecast_is_the_same_to_the_bit_whatever_came_later(store, registry, demo_rows):
    hole = (pl.col("valid_time") > datetime(2026, 11, 19, 12, tzinfo=UTC)) & (pl.col("variable") == "load")
    pipeline.ingest(store, demo_rows.filter(~hole), zone=DK_1)
    found = train(store, registry, "model=linear", at=datetime(2026, 11, 20, 9, tzinfo=UTC))
    early = datetime(2026, 11, 20, 10, tzinfo=UTC)  # a pretended past: the rows were fetched at `NOW`
    made = pipeline.issue_and_store(store, registry, zone=DK_1, now=early)
    at = made.forecast["issue_time"][0]
    made_at = store.made_at("DK_1", issue_time=at, model_version=found.version.id)
    assert made_at == NOW
    pipeline.ingest(store, demo_rows, zone=DK_1)
    replayed = store.observations(["DK_1"], start=made.observations["valid_time"].min(), made_at=made_at)
    assert replayed.equals(made.observations)
    assert store.observations(["DK_1"]).height > replayed.height


@pytest.mark.parametrize(
    ("words", "says"),
    [({"task": "week_ahead"}, "week_ahead"), ({"inputs": ["wether"]}, "wether"), ({"inputs": []}, "no input")],
)
def test_a_plan_of_unknown_words_is_refused(words, says):
    with pytest.raises(ConfigError, match=says):
        pipeline.plan(DK_1, first=date(2018, 1, 1), last=date(2018, 2, 1), **words)


def test_no_model_at_all_is_refused():
    with pytest.raises(ConfigError, match="no model"):
        pipeline.recipes([])


def test_a_spike_is_used_by_nothing_from_the_poll_on_that_finds_it(store, registry, demo_rows):
    """Polled by the hour: stored while it is the newest value, withdrawn when the next ones come, then released."""
    weather = demo_rows.filter((pl.col("variable") != LOAD) & (pl.col("valid_time") >= NOW - 80 * DAY))
    store.put(weather.with_columns(fetched_at=pl.lit(NOW - DAY)))
    spike = NOW - 6 * HOUR
    load = demo_rows.filter((pl.col("variable") == LOAD) & (pl.col("valid_time") >= NOW - 80 * DAY)).with_columns(
        value=pl.when(pl.col("valid_time") == spike).then(pl.col("value") * 1.8).otherwise("value")
    )
    steps = {}

    def poll(at):
        rows = load.filter(pl.col("valid_time") + pl.col("resolution") <= at).with_columns(fetched_at=pl.lit(at))
        fetched = Fetched(rows, due=rows.select(list(DUE)), doubtful=DOUBTFUL.to_frame())
        return ingesting.keep(store, fetched, source="demo", zone=DK_1).doubtful["valid_time"].to_list()

    def issue(at):
        made = pipeline.issue_and_store(store, registry, zone=DK_1, now=at, task="next_24h")
        steps[store.made_at("DK_1", issue_time=made.forecast["issue_time"][0], model_version=version.id)] = made
        return at

    def has_spike(**known):
        rows = store.observations(["DK_1"], variables=[LOAD], start=spike, **known)
        times = np.array([np.datetime64(spike.replace(tzinfo=None), "us")])
        made = store.as_of(DK_1, NOW + DAY, **known)
        there = np.isfinite(made.known(LOAD, times, issue_time=made.issue_times[0])).all()
        assert there == (spike in rows["valid_time"].to_list())
        return bool(there)

    assert poll(spike - DAY) == []
    version = train(store, registry, "model=linear", "task=next_24h", at=spike - DAY).version
    assert poll(spike + HOUR) == []
    before = issue(spike + HOUR)
    assert has_spike()
    assert poll(spike + 2 * HOUR) == poll(spike + 3 * HOUR) == [spike]
    after = issue(spike + 3 * HOUR)
    assert not has_spike()
    assert store.release("DK_1", at=NOW + HOUR).rows == 0
    assert poll(NOW + 2 * HOUR) == []  # the word of a person stands
    last = issue(NOW + 2 * HOUR)
    assert has_spike()
    assert {at: has_spike(made_at=at) for at in steps} == {before: True, after: False, last: True}
    for at, made in steps.items():
        replayed = store.observations(["DK_1"], start=made.observations["valid_time"].min(), made_at=at)
        assert replayed.equals(made.observations)


def test_two_zones_forecast_at_one_pretended_instant_have_a_replay_each(store, registry, demo_rows):
    early = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    for name in ("DK_1", "DK_2"):
        there = zone(name)
        rows = demo_rows.with_columns(zone=pl.lit(name))
        pipeline.ingest(store, rows, zone=there)
        experiment = settings.compose([f"zone={name}", "model=linear"])
        pipeline.train_and_register(store, registry, zone=there, experiment=experiment, at=early)
        made = pipeline.issue_and_store(store, registry, zone=there, now=early)
        assert pipeline.issue_and_store(store, registry, zone=there, now=early).forecast.equals(made.forecast)
        first = made.forecast.row(0, named=True)
        made_at = store.made_at(name, issue_time=first["issue_time"], model_version=first["model_version"])
        replayed = store.observations([name], start=made.observations["valid_time"].min(), made_at=made_at)
        assert replayed.equals(made.observations)
