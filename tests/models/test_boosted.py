"""`boosted`: it learns what `linear` leaves, each half of the trees on rows the other half holds out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from gridcast.contracts import LOAD, MEDIAN, Design
from gridcast.errors import ArtifactMismatch
from gridcast.market.zones import zone
from gridcast.models import expected
from gridcast.models.boosted import Boosted, FittedBoosted
from gridcast.models.linear import Linear
from strategies import history, to_forecast, training

DK_1 = zone("DK_1")
WIND = "wind_speed_10m_observed"
FIRST, TESTED = date(2023, 6, 1), date(2024, 6, 3)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """A load that is 12 % higher at middling wind: `linear` has one straight line for wind."""
    made = history(DK_1, first=FIRST, last=TESTED + timedelta(days=30), weather=(WIND,))
    wind = made.filter(pl.col("variable") == WIND).select("valid_time", wind="value")
    high = (pl.col("variable") == LOAD) & pl.col("wind").is_between(13, 17)
    return (
        made.join(wind, on="valid_time", how="left", maintain_order="left")
        .with_columns(value=pl.when(high).then(1.12 * pl.col("value")).otherwise("value"))
        .drop("wind")
    )


@pytest.fixture(scope="module")
def learned(frame: pl.DataFrame) -> tuple[Design, FittedBoosted]:
    train = training(DK_1, frame, first=FIRST + timedelta(days=2), last=TESTED)
    return train, Boosted().fit(train, seed=1)


@pytest.fixture(scope="module")
def made(frame: pl.DataFrame) -> Design:
    return to_forecast(DK_1, frame, first=TESTED, days=28)


def test_it_finds_what_linear_has_no_column_for(
    frame: pl.DataFrame, learned: tuple[Design, FittedBoosted], made: Design
) -> None:
    load = frame.filter(pl.col("variable") == LOAD).sort("published_at").unique("valid_time", keep="last")
    by_time = dict(zip(load["valid_time"].dt.replace_time_zone(None), load["value"], strict=True))
    truth = np.array([by_time[time] for time in made.valid_time[made.wanted_rows].astype(object)])
    model = learned[1]
    linear, boosted = (np.abs(each.predict(made)[:, MEDIAN] - truth).mean() for each in (model.linear, model))
    assert boosted < 0.8 * linear


def test_a_linear_model_of_the_same_rows_may_be_handed_in(learned: tuple[Design, FittedBoosted], made: Design) -> None:
    train, model = learned
    linear = Linear().fit(train)
    handed = Boosted().fit(train, seed=1, linear=linear)
    assert handed.linear is linear
    np.testing.assert_array_equal(handed.predict(made), model.predict(made))


def quarter(train: Design) -> NDArray[np.int64]:
    """Which of two halves, in turns of 91 days, a row [N] belongs to."""
    return (train.valid_time.astype("datetime64[D]").astype(np.int64) // 91) % 2


def test_each_half_of_the_trees_holds_out_what_the_other_half_learned(learned: tuple[Design, FittedBoosted]) -> None:
    train, model = learned
    target = expected.log_target(train)
    rows = np.isfinite(model.held_out)
    assert rows.mean() > 0.75
    np.testing.assert_array_equal(rows, np.isfinite(target - model.linear.held_out))
    assert len(model.trees) == 2
    own, rest = target - model.linear.held_out, target - model.held_out
    limit = 5 * model.linear.base.sigma[train.slot]
    for half in range(2):
        out = rows & (quarter(train) == half) & (np.abs(own) < limit)
        assert out.sum() > 1000
        assert np.abs(rest[out]).mean() < np.abs(own[out]).mean()


def test_a_history_that_lies_in_one_block_is_dealt_out_in_shorter_ones(frame: pl.DataFrame, made: Design) -> None:
    """A day, a long hole, and eleven weeks: all of it within one quarter of a year."""
    train = training(DK_1, frame, first=FIRST + timedelta(days=2), last=TESTED)
    number = train.valid_time.astype("datetime64[D]").astype(np.int64) // 91
    block = number == int(np.median(number))
    only = train.with_target(np.where(block | (train.origin == 0), train.target, np.nan))
    model = Boosted().fit(only)
    assert np.isfinite(model.held_out[block]).mean() > 0.9
    assert np.isfinite(model.predict(made)).all()


@pytest.mark.parametrize("half", [0, 1])
def test_trees_that_hold_out_a_quarter_of_a_year_have_not_seen_its_load(
    half: int, learned: tuple[Design, FittedBoosted]
) -> None:
    train, model = learned
    out = quarter(train) == half
    changed = train.with_target(np.where(out, train.target * (1 + 0.02 * (train.slot % 2)), train.target))
    other = Boosted().fit(changed, seed=1, linear=model.linear)
    same = [
        tree.model_to_string() == mine.model_to_string() for tree, mine in zip(other.trees, model.trees, strict=True)
    ]
    assert same == [half == 0, half == 1]
    np.testing.assert_array_equal(other.held_out[out], model.held_out[out])
    assert not np.array_equal(other.held_out[~out], model.held_out[~out], equal_nan=True)


def test_with_weather_all_of_the_trees_correction_counts_and_without_it_half(
    frame: pl.DataFrame, learned: tuple[Design, FittedBoosted], made: Design
) -> None:
    blind = Boosted().fit(training(DK_1, frame, first=FIRST, last=TESTED, inputs=("load", "calendar")), seed=1)
    assert (learned[1].share, blind.share) == (1.0, 0.5)
    for model in (learned[1], blind):
        base = model.linear.point(made)
        np.testing.assert_array_equal(replace(model, share=0.0).point(made), base)
        whole = replace(model, share=1.0).point(made) - base
        assert np.abs(whole).mean() > 1e-4
        np.testing.assert_allclose(model.point(made) - base, model.share * whole, atol=1e-12)


def test_what_is_held_out_has_as_much_of_the_correction_as_a_forecast(
    frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = training(DK_1, frame, first=FIRST, last=TESTED, inputs=("load", "calendar"))
    linear, held_out = Linear().fit(train), {}
    for share in (0.5, 1.0):
        monkeypatch.setattr("gridcast.models.boosted._SHARE_WITHOUT", share)
        held_out[share] = Boosted(rounds=40).fit(train, linear=linear).held_out - linear.held_out
    np.testing.assert_allclose(2 * held_out[0.5], held_out[1.0], atol=1e-12)
    assert np.nanmean(np.abs(held_out[1.0])) > 1e-4


def test_its_seed_changes_the_trees_and_its_size_is_as_asked(
    learned: tuple[Design, FittedBoosted], made: Design
) -> None:
    train, model = learned
    other = Boosted().fit(train, seed=2, linear=model.linear)
    assert not np.array_equal(other.predict(made), model.predict(made))
    small = Boosted(rounds=7, leaves=5).fit(train, linear=model.linear)
    assert [tree.num_trees() for tree in small.trees] == [7, 7]
    assert all(tree.dump_model()["tree_info"][0]["num_leaves"] <= 5 for tree in small.trees)


def test_a_spike_in_the_history_moves_no_tree_by_more_than_its_cut(
    learned: tuple[Design, FittedBoosted], made: Design
) -> None:
    train, model = learned
    row = int(np.flatnonzero(np.isfinite(train.target))[-500])
    spiked = replace(train, target=np.where(np.arange(len(train.target)) == row, 50 * train.target, train.target))
    ratio = Boosted().fit(spiked, seed=1).predict(made)[:, MEDIAN] / model.predict(made)[:, MEDIAN]
    assert np.abs(np.log(ratio)).mean() < 0.01


def test_a_fortnight_in_another_unit_is_not_learned_from(learned: tuple[Design, FittedBoosted], made: Design) -> None:
    train, model = learned
    late = train.valid_time > train.valid_time.max() - np.timedelta64(30, "D")
    wild, unknown = (
        Boosted().fit(train.with_target(np.where(late, value, train.target)), seed=1, linear=model.linear)
        for value in (1000 * train.target, np.nan)
    )
    np.testing.assert_array_equal(wild.predict(made), unknown.predict(made))


def test_weather_that_is_absent_is_as_weather_that_is_unknown(
    learned: tuple[Design, FittedBoosted], made: Design
) -> None:
    model = learned[1]
    unknown = tuple(replace(block, values=np.full_like(block.values, np.nan)) for block in made.weather)
    fan = model.predict(replace(made, weather=()))
    assert np.isfinite(fan).all()
    np.testing.assert_array_equal(fan, model.predict(replace(made, weather=unknown)))


@pytest.mark.parametrize("text", ["", "[", '["tree"]', '["not\\na tree at all"]'])
def test_damaged_trees_are_refused(text: str, learned: tuple[Design, FittedBoosted], tmp_path: Path) -> None:
    learned[1].save(tmp_path)
    (tmp_path / "trees.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactMismatch, match="holds no readable trees") as caught:
        Boosted().load(tmp_path)
    assert caught.value.path == str(tmp_path / "trees.txt")
