"""A portfolio and its members: issued together they add up, and what was issued before stays as it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import reduce
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast import pipeline, settings
from gridcast.contracts import LOAD, MEDIAN, QUANTILES, Floats
from gridcast.errors import ConfigError, ModelNotFound, StoreError
from gridcast.market.days import HOUR
from gridcast.market.zones import zone
from gridcast.pipeline import coherence
from gridcast.pipeline.forecasting import fan_of
from gridcast.registry import Registry
from gridcast.store.database import Store

ZONES = [zone(code) for code in ("DK", "DK_1", "DK_2")]
DK, *MEMBERS = ZONES
TRAINED, NOW = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
OTHER = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def rows():
    """Five months of demo data of both Danish zones."""
    return pl.concat(
        pipeline.fetch(each, source=pipeline.DEMO, start=date(2026, 8, 1), end=date(2026, 11, 22), fetched_at=TRAINED)
        for each in MEMBERS
    )


@pytest.fixture(scope="module")
def champions(rows, tmp_path_factory):
    """A registry with a linear champion of each of the three."""
    registry = Registry(tmp_path_factory.mktemp("models"))
    for each in ZONES:
        experiment = settings.compose([f"zone={each.code}", "model=linear"])
        pipeline.train_on(rows, registry, sha256="0" * 64, zone=each, experiment=experiment, at=TRAINED)
    return registry


@pytest.fixture
def store(rows):
    with Store("sqlite://") as store:
        store.put(rows.filter(pl.col("valid_time") >= datetime(2026, 9, 1, tzinfo=UTC)))
        yield store


def together(store, registry, *, now=NOW, **words):
    return pipeline.issue_with_members(store, registry, zone=DK, members=MEMBERS, now=now, **words)


def fans(issued) -> Floats:
    return np.stack([fan_of(each.forecast) for each in issued])


def assert_adds_up(issued):
    median = fans(issued)[:, :, MEDIAN]
    np.testing.assert_allclose(median[0], median[1:].sum(axis=0), rtol=0, atol=1e-9)


def test_the_members_add_up_and_no_quantiles_cross(store, champions):
    made = together(store, champions)
    assert_adds_up(made)
    found = fans(made)
    assert found.shape == (3, 24, len(QUANTILES))
    assert (np.diff(found, axis=2) > 0).all()
    for each, where in zip(made, ZONES, strict=True):
        version = champions.champion(where.code, "day_ahead")
        assert each.forecast["zone"].unique().to_list() == [where.code]
        assert each.forecast["model_version"].unique().to_list() == [version.id]
        assert each.forecast["degraded"].unique().to_list() == [""]
        assert store.forecasts(where.code).equals(each.forecast)
    # They were near each other before: each moves by little, and its bands keep their relative width.
    for each, where in zip(found, ZONES, strict=True):
        alone = alone_fan(champions, store, where)
        assert np.abs(each / alone - 1).max() < 0.05
        np.testing.assert_allclose(each / each[:, [MEDIAN]], alone / alone[:, [MEDIAN]], rtol=1e-9)


def alone_fan(registry, store, where) -> Floats:
    """What the zone's champion says by itself."""
    with Store("sqlite://") as empty:
        empty.put(store.observations([each.code for each in MEMBERS]))
        return fan_of(pipeline.issue_and_store(empty, registry, zone=where, now=NOW).forecast)


def test_peaks_and_energies_of_all_zones_come_from_the_same_futures(store, champions):
    made = together(store, champions)
    days = [each.day for each in made]
    for issued, day in zip(fans(made), days, strict=True):
        assert (day.peak[0] >= issued.max(axis=0)).all()
        assert day.energy[0, MEDIAN] == pytest.approx(issued[:, MEDIAN].sum(), rel=0.005)
        assert day.hour.sum() == pytest.approx(1)
    energy = np.stack([day.energy[0] for day in days])
    assert energy[0, MEDIAN] == pytest.approx(energy[1:, MEDIAN].sum(), rel=0.002)
    # Two zones never err the same way all of the time: their sum is surer than the sum of their bands.
    width = energy[:, 6] - energy[:, 2]
    assert max(width[1:]) < width[0] < width[1:].sum()


def test_the_energy_of_the_portfolio_is_that_of_the_sum_of_its_members_futures(store, champions):
    made = together(store, champions)
    origin = pipeline.window_to_issue(DK, now=NOW, trained_at=TRAINED)
    found = [champions.load(champions.champion(each.code, "day_ahead"))[0].calibration for each in ZONES]
    issued = reduce(np.intersect1d, [each.origin_of_path for each in found])
    assert len(issued) > 60
    own = [
        each.of_issues(issued).scenarios(fan, origins=origin, resolution=HOUR)
        for each, fan in zip(found, fans(made), strict=True)
    ]
    futures = coherence.closed(np.stack(own), shares=coherence.shares(fans(made)))
    summed = np.quantile(futures[1:].sum(axis=(0, 2)), QUANTILES, method="hazen")
    np.testing.assert_allclose(made[0].day.energy[0], summed, rtol=1e-9)
    assert np.abs(own[0].sum(axis=1) - own[1].sum(axis=1) - own[2].sum(axis=1)).max() > 1


def test_asked_again_the_same_comes_back(store, champions):
    first, again = together(store, champions), together(store, champions)
    for one, two in zip(first, again, strict=True):
        assert one.forecast.equals(two.forecast)
        for name in ("peak", "energy", "hour"):
            np.testing.assert_array_equal(getattr(one.day, name), getattr(two.day, name))
    alone = pipeline.issue_and_store(store, champions, zone=MEMBERS[0], now=NOW)
    assert alone.forecast.equals(first[1].forecast)


@pytest.mark.parametrize("before", [[2], [1, 2], [0, 1]])
def test_what_was_issued_alone_stays_and_the_others_move(store, champions, before):
    kept = {n: pipeline.issue_and_store(store, champions, zone=ZONES[n], now=NOW).forecast for n in before}
    made = together(store, champions)
    assert_adds_up(made)
    for number, forecast in kept.items():
        assert made[number].forecast.equals(forecast)


def test_three_that_were_issued_alone_are_left_alone(store, champions):
    for each in ZONES:
        pipeline.issue_and_store(store, champions, zone=each, now=NOW)
    with pytest.raises(StoreError, match="DK, DK_1, DK_2 were each issued alone as of 2026-11-20T10:00"):
        together(store, champions)
    assert_adds_up(together(store, champions, now=OTHER))


def test_all_zones_without_a_champion_are_named_with_what_to_do(store, champions, tmp_path):
    with pytest.raises(
        ModelNotFound, match="DK, DK_1, DK_2: no trained model for day_ahead: gridcast train --zone DK;"
    ):
        together(store, Registry(tmp_path))
    with pytest.raises(ModelNotFound, match="gridcast train --zone DK_2 task=next_24h"):
        together(store, champions, task="next_24h")
    assert all(store.forecasts(each.code).is_empty() for each in ZONES)


def test_a_zone_without_members_is_refused(store, champions):
    with pytest.raises(ConfigError, match="DK_1 has no members"):
        pipeline.issue_with_members(store, champions, zone=MEMBERS[0], members=[], now=NOW)


def test_a_model_that_is_too_young_for_peaks_issues_its_hours_all_the_same(rows, tmp_path):
    since = datetime(2026, 10, 15, tzinfo=UTC)
    young, registry = rows.filter(pl.col("valid_time") >= since, pl.col("variable") == LOAD), Registry(tmp_path)
    with Store("sqlite://") as store:
        for each in ZONES:
            experiment = settings.compose([f"zone={each.code}", "model=naive"])
            pipeline.train_on(young, registry, sha256="0" * 64, zone=each, experiment=experiment, at=TRAINED)
        for each in MEMBERS:
            pipeline.ingest(store, young.filter(pl.col("zone") == each.code), zone=each)
        made = together(store, registry)
    assert [each.day for each in made] == [None, None, None]
    assert_adds_up(made)


@given(data=st.data(), members=st.integers(1, 5))
def test_a_gap_is_closed_by_the_less_sure_ones(data, members):
    random = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    median = np.exp(random.normal(7, 0.1, (members + 1, 6)))
    median[0] = median[1:].sum(axis=0) * np.exp(random.normal(0, 0.03, 6))
    width = np.exp(random.normal(-4, 1, (members + 1, 6)))
    found = median[:, :, None] * np.exp(width[:, :, None] * np.linspace(-2, 2, len(QUANTILES)))
    shares = coherence.shares(found)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    moved = coherence.closed(median, shares=shares)
    np.testing.assert_allclose(moved[0], moved[1:].sum(axis=0), rtol=1e-12)
    order = (found[:, :, 6] - found[:, :, 2])[:, 0].argsort()
    move = np.abs(moved - median)[:, 0]
    assert all(move[one] <= move[two] * (1 + 1e-9) for one, two in pairwise(order))
    # A second time there is nothing to close.
    np.testing.assert_allclose(coherence.closed(moved, shares=shares), moved, rtol=1e-12)


def test_futures_are_closed_interval_by_interval():
    random = np.random.default_rng(0)
    futures = 1000 + random.normal(0, 50, (3, 40, 24))
    moved = coherence.closed(futures, shares=np.full((3, 24), 1 / 3))
    np.testing.assert_allclose(moved[0], moved[1] + moved[2], rtol=1e-12)
