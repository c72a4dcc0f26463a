"""The two networks: the classic one exact to the weight, the other better; both without torch until they are used."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gridcast import models
from gridcast.contracts import LOAD, MEDIAN, QUANTILES, Design
from gridcast.errors import MissingExtra, TooLittleHistory
from gridcast.features.design import design, with_target
from gridcast.market.days import HOUR, Task, origins
from gridcast.market.zones import zone
from gridcast.models import expected
from gridcast.models.conv1d import Conv1d
from gridcast.models.conv1d_classic import FEATURES, Conv1dClassic, clock_features, raw_windows
from gridcast.sources import demo, tabular
from gridcast.store import snapshot

DK_1 = zone("DK_1")
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN, CUT, END = date(2018, 6, 1), date(2018, 10, 20), date(2018, 11, 3)
BACK = date(2018, 10, 28)
QUICK = {"conv1d": Conv1d(members=2, epochs=1, channels=4), "conv1d_classic": Conv1dClassic(epochs=2)}
SHAPE = np.array([0.98, 0.99, 1.01, 1.02])
deep = pytest.mark.deep
each_network = pytest.mark.parametrize("name", sorted(QUICK))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return demo.observations(DK_1, start=BEGIN, end=END, fetched_at=FETCHED)


def quarter_hours(rows: pl.DataFrame) -> pl.DataFrame:
    """The same load, with a shape inside each hour."""
    hourly = rows.filter(pl.col("variable") == LOAD)
    quarters = [
        hourly.with_columns(
            pl.col("valid_time") + timedelta(minutes=15 * n),
            value=pl.col("value") * SHAPE[n],
            resolution=pl.lit(timedelta(minutes=15)).cast(pl.Duration("us")),
        )
        for n in range(4)
    ]
    return pl.concat(quarters)


def design_of(rows: pl.DataFrame, first: date, last: date, task: Task = Task.DAY_AHEAD) -> Design:
    asked = origins(DK_1, first=first, last=last, task=task)
    seen = snapshot(rows, zone=DK_1, issue_times=asked.issue_time)
    return with_target(design(seen, asked), seen, at=asked.issue_time[-1])


@pytest.fixture(scope="module")
def training(rows: pl.DataFrame) -> Design:
    return design_of(rows, BEGIN + timedelta(days=5), CUT)


def test_neither_recipe_imports_torch_before_it_is_used():
    probe = (
        "import sys; from gridcast import models; "
        "print([models.recipe(name).name for name in ('conv1d', 'conv1d_classic')]); "
        "print(sorted({'torch', 'lightning'} & set(sys.modules)))"
    )
    source = str(Path(models.__file__).parents[2])
    answer = subprocess.run(
        [sys.executable, "-c", probe], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines() == ["['conv1d', 'conv1d_classic']", "[]"]


@each_network
def test_without_torch_a_fit_says_which_extra_is_missing(name, training, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "gridcast.models.training", raising=False)

    with pytest.raises(MissingExtra, match="torch") as missing:
        QUICK[name].fit(training)
    assert missing.value.extra == "deep"
    assert "gridcast[deep]" in str(missing.value)


def test_the_classic_features_are_the_twelve_of_old_by_the_local_clock():
    # Sunday 2018-12-30, 13:00 in Denmark: week 52 of the ISO year.
    at = np.array(["2018-12-30T12:00"], "datetime64[us]")
    turns = [13 / 24, 30 / 31, 6 / 7, 52 / 53, 12 / 12]
    expected = [turn(2 * np.pi * share) for share in turns for turn in (np.sin, np.cos)]

    assert FEATURES[:3] == ("load", "sin_hour", "cos_hour")
    assert len(FEATURES) == 12
    np.testing.assert_allclose(clock_features(at, DK_1)[0], [*expected, 1.0], atol=1e-12)


@pytest.mark.parametrize(("day", "flag"), [("2018-12-30", 1), ("2018-12-31", 0), ("2019-01-01", 1), ("2018-12-29", 0)])
def test_sundays_and_holidays_are_flagged(day, flag):
    noon = np.array([day], "datetime64[us]") + 12 * HOUR

    assert clock_features(noon, DK_1)[0, -1] == flag


def test_a_missing_hour_of_the_window_has_last_weeks_load_and_no_target_is_filled(rows):
    asked = origins(DK_1, first=CUT, last=CUT + timedelta(days=1))
    whole = design(snapshot(rows, zone=DK_1, issue_times=asked.issue_time), asked)
    gap = whole.recent_load.copy()
    gap[:, 10:13] = np.nan  # two hours behind the delay, three hours long
    gap[:, 30] = np.nan
    gap[:, 30 + 168] = np.nan
    holed = replace(whole, recent_load=gap)

    usual, filled = (raw_windows(each, origins=each.wanted, skip=2)[0, ::-1, 0] for each in (whole, holed))
    newest = whole.recent_load[whole.wanted][0]
    np.testing.assert_array_equal(usual, newest[2:98])
    np.testing.assert_array_equal(filled[8:11], newest[10 + 168 : 13 + 168])
    assert filled[28] == newest[31]  # unknown a week before too: the last known one
    others = np.setdiff1d(np.arange(96), [8, 9, 10, 28])
    np.testing.assert_array_equal(filled[others], usual[others])


@deep
def test_the_classic_network_has_the_layers_of_old():
    from torch import nn

    from gridcast.models.networks import Classic

    body = Classic(features=12, hours=96, out=24).body
    kinds = [nn.Conv1d, nn.BatchNorm1d, nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.Conv1d, nn.Flatten, nn.Linear]
    convolutions = (12 * 3 + 1) * 64 + (64 * 3 + 1) * 64 + (64 + 1) * 15
    assert [type(layer) for layer in body] == kinds
    assert sum(each.numel() for each in body.parameters()) == convolutions + 2 * 2 * 64 + (15 * 48 + 1) * 24


@deep
def test_the_classic_network_takes_raw_windows_and_answers_in_megawatts(training, rows):
    fitted = QUICK["conv1d_classic"].fit(training)
    day = design_of(rows, CUT, CUT + timedelta(days=1))
    raw = raw_windows(day, origins=day.wanted, skip=fitted.skip)

    assert fitted.skip == 2
    assert raw.shape == (1, 96, 12)
    hourly = fitted.megawatts(raw)
    assert hourly.shape == (1, 24)
    np.testing.assert_allclose(hourly[0], fitted.predict(day)[:, MEDIAN], rtol=1e-12)
    assert 0.5 < hourly.mean() / raw[0, :, 0].mean() < 1.5


@deep
def test_only_the_latest_origins_are_held_out_by_the_classic_network(training):
    held = np.isfinite(QUICK["conv1d_classic"].fit(training).held_out)

    assert len(held) == len(training.target)
    assert 0.1 < held.mean() < 0.2
    learned = np.isin(training.origin, training.origin[np.isfinite(training.target) & ~held])
    complete = training.valid_time < training.valid_time.max() - np.timedelta64(72, "h")
    assert training.valid_time[held].min() > training.valid_time[learned & complete].max()


@deep
def test_every_row_that_could_be_learned_from_is_held_out_once_by_the_other(training):
    held = np.isfinite(QUICK["conv1d"].fit(training).held_out)

    np.testing.assert_array_equal(held, np.isfinite(training.target))


@deep
def test_fits_side_by_side_are_those_of_one_after_the_other(training):
    recipe = replace(QUICK["conv1d"], epochs=2)
    alone = [recipe.fit(training, seed=seed).held_out for seed in (0, 7)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: recipe.fit(training, seed=seed).held_out, (0, 7)))

    np.testing.assert_array_equal(together, alone)


@deep
@pytest.mark.parametrize("members", [2, 6, 8])
def test_a_held_out_fold_is_forecast_by_networks_that_have_not_seen_it(members):
    draw, recipe = np.random.default_rng(1), replace(QUICK["conv1d"], members=members, rate=0.02, batch=8)
    past, future, wanted = (draw.normal(size=shape) for shape in ((60, 72, 4), (60, 25, 3), (60, 25)))
    fold = np.repeat(np.arange(6), 10)
    changed = np.where((fold == 2)[:, None], 1 - wanted, wanted)

    (_, one), (_, other) = (recipe._members([past, future, y], fold=fold, seed=0) for y in (wanted, changed))
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(other[fold == 2], one[fold == 2])
    assert not np.array_equal(other[fold == 5], one[fold == 5])


def test_a_held_out_fold_deviates_from_an_expectation_that_does_not_know_it(training):
    recipe, fold = QUICK["conv1d"], expected.folds(training)
    base = expected.fit(training, half_life_days=recipe.half_life_days)
    changed = training.with_target(np.where(fold == fold[-1], 1.3 * training.target, training.target))

    one, other, all_seen = (
        recipe._without(each, base, out=out).mu
        for each, out in ((training, fold[-1]), (changed, fold[-1]), (changed, -1))
    )
    np.testing.assert_array_equal(other, one)
    assert np.abs(all_seen - one).max() > 0.05


def test_with_too_little_history_to_leave_a_fold_out_none_is(training):
    late = training.valid_time > training.valid_time.max() - np.timedelta64(70, "D")
    short = training.with_target(np.where(late, training.target, np.nan))
    base = expected.fit(short, half_life_days=1500.0)
    most = np.bincount(expected.folds(short)[late]).argmax()

    np.testing.assert_array_equal(QUICK["conv1d"]._without(short, base, out=int(most)).mu, base.predict(short))


@deep
def test_a_network_that_is_less_sure_widens_the_bands_and_leaves_the_point(training, rows):
    fitted = QUICK["conv1d"].fit(training)
    day = design_of(rows, CUT, CUT + timedelta(days=1))
    bias = "write.5.bias"  # of the steps between the quantiles
    step = np.where(np.arange(len(QUANTILES)) == MEDIAN, 0.0, 5.0)
    first, *others = fitted.weights
    unsure = replace(fitted, weights=({**first, bias: first[bias] + step}, *others))

    np.testing.assert_allclose(unsure.point(day), fitted.point(day))
    wide, narrow = (np.ptp(np.log(each.predict(day)), axis=1) for each in (unsure, fitted))
    assert (wide > 1.05 * narrow).all()  # errors so far are small for bands so wide, which narrows them again


@deep
def test_the_network_begins_at_the_least_squares_of_its_columns():
    import torch

    from gridcast.models.networks import Deviation

    draw = np.random.default_rng(3)
    past, future = draw.normal(size=(2000, 72, 2)), draw.normal(size=(2000, 24, 3))
    target = 0.5 + future @ np.array([1.0, 0.0, -2.0])
    target[:5] = np.nan
    network = Deviation(past=2, future=3, steps=24, newest=48, channels=4, dropout=0.1, levels=9).double().eval()

    with torch.no_grad():
        answer = network.begun(future, target)(torch.from_numpy(past), torch.from_numpy(future)).numpy()
    assert np.abs(answer[5:, :, 4] - target[5:]).mean() < 0.1  # a twentieth is the penalty's
    assert (np.diff(answer, axis=2) > 0).all()


@deep
def test_the_quantile_loss_is_least_at_the_quantiles():
    import torch

    from gridcast.models.networks import pinball

    target = torch.linspace(0.0, 1.0, 101)

    def loss(*answer: float) -> float:
        return float(pinball(torch.tensor([answer] * 101), target, levels=(0.1, 0.5)))

    assert loss(0.1, 0.5) < min(loss(0.15, 0.5), loss(0.05, 0.5), loss(0.1, 0.55), loss(0.1, 0.45))
    one = pinball(torch.tensor([[2.0]]), torch.tensor([5.0]), levels=(0.9,))
    assert float(one) == pytest.approx(2.7)


@deep
def test_a_25th_hour_repeats_the_hour_of_its_clock_in_the_classic_forecast(training, rows):
    day = design_of(rows, BACK, BACK + timedelta(days=1))
    megawatts = QUICK["conv1d_classic"].fit(training).predict(day)[:, MEDIAN]

    assert len(megawatts) == 25
    assert megawatts[2] == megawatts[3]
    assert len(np.unique(megawatts)) == 24


@deep
def test_the_shape_within_the_hour_is_learned_from_quarter_hours(rows):
    fine = quarter_hours(rows)
    fitted = QUICK["conv1d_classic"].fit(design_of(fine, BEGIN + timedelta(days=5), CUT))
    fan = fitted.predict(design_of(fine, CUT, CUT + timedelta(days=1)))

    np.testing.assert_allclose(fitted.shape.reshape(24, 4), np.tile(SHAPE, (24, 1)), rtol=1e-6)
    hours = fan[:, MEDIAN].reshape(24, 4)
    np.testing.assert_allclose(hours / hours.mean(axis=1, keepdims=True), np.tile(SHAPE, (24, 1)), rtol=1e-6)


@deep
@each_network
def test_the_24_hours_after_any_issue_can_be_forecast(name, rows):
    task = Task.NEXT_24H
    tested = design_of(rows, CUT, END, task)
    fan = QUICK[name].fit(design_of(rows, date(2018, 8, 1), CUT, task)).predict(tested)

    assert len(fan) == 24 * tested.wanted.sum() > 24 * 50
    assert np.isfinite(fan).all()
    assert (fan > 0).all()


@deep
@each_network
def test_another_seed_gives_another_network(name, training, rows):
    day = design_of(rows, CUT, CUT + timedelta(days=1))
    one, two = (QUICK[name].fit(training, seed=seed).predict(day) for seed in (0, 7))

    assert not np.array_equal(one, two)


@deep
@each_network
def test_a_fit_is_silent_and_leaves_torch_and_the_world_as_they_were(name, training, capfd, tmp_path, monkeypatch):
    import torch

    QUICK[name].fit(training)  # what Lightning does at its import is not the fit's
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()

    def state() -> list[object]:
        switches = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]
        levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")]
        return [torch.get_rng_state().tolist(), switches, levels, warnings.filters[:]]

    before = state()
    QUICK[name].fit(training)
    assert state() == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@deep
def test_windows_that_are_never_whole_are_too_little_for_the_classic_network(training):
    holed = np.where(training.slot == 5, np.nan, training.target)

    with pytest.raises(TooLittleHistory, match="0 complete windows") as refused:
        QUICK["conv1d_classic"].fit(training.with_target(holed))
    assert refused.value.needed > refused.value.have == 0


@deep
@pytest.mark.long
def test_on_real_load_the_classic_network_beats_last_week_and_the_other_beats_both(shared_data):
    there = zone("DK")
    frame = tabular.read(shared_data / "DK_load_2015_2018.csv.gz", zone=there, fetched_at=FETCHED)
    asked = origins(there, first=date(2015, 1, 5), last=date(2018, 12, 30))
    seen = snapshot(frame, zone=there, issue_times=asked.issue_time)
    made = design(seen, asked, inputs=("load", "calendar"))
    year = made.wanted & (made.origins.start >= np.datetime64("2018-01-01T00:00") - HOUR)
    at = made.origins.issue_time[year][0]
    training = with_target(made.take(made.wanted & ~year, run_up=np.timedelta64(9999, "D")), seen, at=at)
    tested = with_target(made.take(year, run_up=np.timedelta64(45, "D")), seen, at=asked.issue_time[-1])
    actual = tested.target[tested.wanted_rows]

    forecasts = {"naive": tested.lag_load[tested.wanted_rows, 6]}
    for name in ("conv1d_classic", "conv1d"):
        forecasts[name] = models.recipe(name).fit(training).predict(tested)[:, MEDIAN]
    usable = np.isfinite(actual) & np.isfinite(forecasts["naive"])
    error = {name: float(np.abs(each - actual)[usable].mean()) for name, each in forecasts.items()}
    print("DK 2018, one fit on 2015-2017, MAE in MW:", {name: round(each, 1) for name, each in error.items()})
    assert error["conv1d_classic"] < 0.8 * error["naive"]
    assert error["conv1d"] < 0.8 * error["conv1d_classic"]
