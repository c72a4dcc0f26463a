"""`boosted`: it learns what `linear` leaves, each half of the trees on rows the other half holds out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

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


def test_each_half_of_the_trees_holds_out_what_the_other_half_learned(learned: tuple[Design, FittedBoosted]) -> None:
    train, model = learned
    target, fold = expected.log_target(train), expected.folds(train) % 2
    rows = np.isfinite(model.held_out)
    assert rows.mean() > 0.85
    np.testing.assert_array_equal(rows, np.isfinite(target - model.linear.held_out))
    assert len(model.trees) == 2
    own = target - model.linear.held_out
    limit = 5 * model.linear.base.sigma[train.slot]
    rest = target - model.held_out
    for half in range(2):
        out = rows & (fold == half) & (np.abs(own) < limit)
        assert out.any()
        assert np.abs(rest[out]).mean() < np.abs(own[out]).mean()


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
