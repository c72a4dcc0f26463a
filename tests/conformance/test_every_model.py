"""What every model keeps, the shipped ones and a plugged-in one: a user's own recipe passes this file too."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from gridcast import models
from gridcast.contracts import LOAD, MEDIAN, QUANTILES, Design
from gridcast.errors import ArtifactMismatch, ConfigError, TooLittleHistory
from gridcast.features.design import design, with_target
from gridcast.market.days import Origins, local_wall, origins
from gridcast.market.zones import zone
from gridcast.sources import demo
from gridcast.store import snapshot

DK_1 = zone("DK_1")
BEGIN, TESTED, END = date(2017, 6, 1), date(2018, 2, 5), date(2018, 3, 1)
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
ISSUE = origins(DK_1, first=TESTED, last=TESTED + timedelta(days=1)).issue_time[0]
ENOUGH_RUN_UP = np.timedelta64(9999, "D")

DEEP = {"conv1d", "conv1d_classic"}
# Small ones: what is tested here does not depend on their size.
PARAMETERS: dict[str, dict[str, object]] = {
    "boosted": {"rounds": 40},
    "conv1d": {"members": 2, "epochs": 4, "channels": 16},
    "conv1d_classic": {"rate": 3e-3},
}
SEES_THE_WEATHER = {"linear", "boosted", "conv1d", "ensemble"}
# Eight months are some 170 windows of a day: too few for its 34 thousand weights. On years it is better (tests/models).
NEEDS_YEARS = {"conv1d_classic"}
# `naive` repeats last week's spike, the classic network is linear in the load: neither can know better.
REPEATS_A_SPIKE = {"naive", "conv1d_classic"}

PLUGGED = '''
from dataclasses import dataclass, field
import numpy as np
from gridcast.models import artifact, calibration

@dataclass(frozen=True)
class LastWeek:
    """The same hour a week before, times half of what has changed in a week; spikes are cut."""

    name = "last_week"
    share: float = 0.5

    def fit(self, design, *, seed=0):
        point = self.point(design)
        return Fitted(self, calibration.fit(design, np.log(design.target) - point), point)

    def load(self, folder):
        meta, arrays = artifact.load(folder)
        return Fitted(LastWeek(**meta), calibration.Calibration(**artifact.under("bands", arrays)))

    def point(self, design):
        load = np.log(design.lag_load)
        week = np.minimum(load[:, 6], load[:, 13] + 0.15)
        return week + self.share * np.nan_to_num(np.clip(load[:, 1] - load[:, 8], -0.1, 0.1))

@dataclass(frozen=True)
class Fitted:
    recipe: LastWeek
    bands: calibration.Calibration
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0))

    def point(self, design):
        return self.recipe.point(design)

    def predict(self, design):
        return self.bands.fan(self.point(design), design=design)

    def save(self, folder):
        artifact.save(folder, meta={"share": self.recipe.share}, arrays=artifact.flatten("bands", self.bands))
'''


@pytest.fixture(scope="module", autouse=True)
def plugged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A distribution of somebody else's on the path, with an entry point of our group."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "somebodys.py").write_text(PLUGGED, encoding="utf-8")
    facts = folder / "somebodys-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[gridcast.models]\nlast_week = somebodys:LastWeek\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        models._known.cache_clear()
        yield
    sys.modules.pop("somebodys", None)
    models._known.cache_clear()


def every_model(*, but: set[str] = frozenset()) -> pytest.MarkDecorator:
    named = [name for name in dict.fromkeys((*models.names(), "last_week")) if name not in but]
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.deep] if name in DEEP else []) for name in named]
    )


@dataclass(frozen=True)
class World:
    """Rows, and the designs that they give."""

    rows: pl.DataFrame

    def design(self, first: date, last: date) -> Design:
        asked = origins(DK_1, first=first, last=last)
        return self.design_of(asked)

    def design_of(self, asked: Origins) -> Design:
        return design(snapshot(self.rows, zone=DK_1, issue_times=asked.issue_time), asked)

    def training(self, first: date = BEGIN + timedelta(days=2)) -> Design:
        asked = origins(DK_1, first=first, last=TESTED)
        seen = snapshot(self.rows, zone=DK_1, issue_times=np.append(asked.issue_time, ISSUE))
        made = design(seen, asked)
        return with_target(made.take(made.wanted, run_up=ENOUGH_RUN_UP), seen, at=ISSUE)

    def load_changed(self, change: pl.Expr, *, between: tuple[np.datetime64, np.datetime64]) -> World:
        inside = (pl.col("variable") == LOAD) & pl.col("valid_time").dt.replace_time_zone(None).is_between(
            *(pl.lit(edge) for edge in between), closed="left"
        )
        return World(self.rows.with_columns(value=pl.when(inside).then(change).otherwise("value")).drop_nulls("value"))


@cache
def world() -> World:
    return World(demo.observations(DK_1, start=BEGIN, end=END, fetched_at=FETCHED))


@cache
def training() -> Design:
    return world().training()


@cache
def february() -> Design:
    return world().design(TESTED, END)


@cache
def actual() -> np.ndarray:
    final = np.datetime64("2018-03-05T00:00", "us")
    seen = snapshot(world().rows, zone=DK_1, issue_times=np.append(february().origins.issue_time, final))
    return with_target(february(), seen, at=final).target[february().wanted_rows]


@cache
def fitted(name: str) -> models.Fitted:
    return models.recipe(name, PARAMETERS.get(name)).fit(training(), seed=3)


def mean_error(name: str) -> float:
    return float(np.abs(fitted(name).predict(february())[:, MEDIAN] - actual()).mean())


def same_everywhere(name: str) -> float:
    """Sums of other lengths end in other last bits; networks add up more of them."""
    return 1e-6 if name in DEEP else 1e-10


@every_model()
def test_it_gives_every_quantile_of_every_interval_finite_positive_and_in_order(name):
    fan = fitted(name).predict(february())

    assert fan.shape == (february().wanted_rows.sum(), len(QUANTILES))
    assert np.isfinite(fan).all()
    assert (fan > 0).all()
    assert (np.diff(fan, axis=1) >= 0).all()
    assert ((fan[:, -1] - fan[:, 0]) > 0).all()


@every_model()
def test_its_point_forecasts_are_of_every_row_and_its_median_is_near_them(name):
    """The median makes up for a share of the last days' errors, and for no more."""
    point = fitted(name).point(february())
    wanted = february().wanted_rows

    assert point.shape == wanted.shape
    assert np.isfinite(point[wanted]).all()
    assert np.isfinite(point[~wanted]).mean() > 0.7  # what the errors of the last four weeks are counted from
    moved = np.log(fitted(name).predict(february())[:, MEDIAN]) - point[wanted]
    assert np.abs(moved).max() < 0.1
    assert np.abs(moved).mean() < 0.5 * np.abs(np.log(actual()) - point[wanted]).mean()


@every_model()
def test_what_it_held_out_is_as_long_as_its_training_and_no_better_than_a_forecast(name):
    held_out, target = fitted(name).held_out, training().target
    error = np.abs(np.log(target) - held_out)
    tested = np.abs(np.log(actual()) - fitted(name).point(february())[february().wanted_rows])

    assert held_out.shape == target.shape
    assert np.isfinite(error).mean() > (0.1 if name in DEEP else 0.5)  # a network may hold out its last weeks only
    assert np.nanmean(error) > 0.5 * tested.mean()


@every_model()
def test_the_same_seed_writes_the_same_bytes(name, tmp_path):
    fitted(name).save(tmp_path / "one")
    models.recipe(name, PARAMETERS.get(name)).fit(training(), seed=3).save(tmp_path / "two")

    one, two = (
        {file.relative_to(tmp_path / each): file.read_bytes() for file in sorted((tmp_path / each).rglob("*.*"))}
        for each in ("one", "two")
    )
    assert one
    assert one == two


@every_model()
def test_saved_and_loaded_it_forecasts_the_same(name, tmp_path):
    fitted(name).save(tmp_path)
    again = models.recipe(name).load(tmp_path)

    np.testing.assert_array_equal(again.predict(february()), fitted(name).predict(february()))
    assert again.recipe == fitted(name).recipe
    assert len(again.held_out) == 0


@every_model()
def test_it_writes_data_only(name, tmp_path):
    fitted(name).save(tmp_path)

    endings = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    assert endings <= {".json", ".safetensors", ".txt", ".onnx"}


@every_model()
@pytest.mark.parametrize("damage", ["cut in half", "gone", "not JSON"])
def test_a_damaged_folder_is_refused(name, damage, tmp_path):
    fitted(name).save(tmp_path)
    arrays = tmp_path / "arrays.safetensors"
    if damage == "cut in half":
        arrays.write_bytes(arrays.read_bytes()[: arrays.stat().st_size // 2])
    elif damage == "gone":
        arrays.unlink()
    else:
        (tmp_path / "model.json").write_text("{", encoding="utf-8")

    with pytest.raises(ArtifactMismatch) as refused:
        models.recipe(name).load(tmp_path)
    assert str(tmp_path) in str(refused.value)


@every_model()
def test_many_origins_at_once_are_forecast_as_one_at_a_time(name):
    many = february()
    bulk = fitted(name).predict(many)
    chosen = np.flatnonzero(many.wanted)[[0, 6, 7, -1]]

    for number in chosen:
        alone = fitted(name).predict(world().design_of(many.origins.take(slice(number, number + 1))))
        np.testing.assert_allclose(alone, bulk[many.origin[many.wanted_rows] == number], rtol=same_everywhere(name))


@every_model()
def test_the_newest_two_days_of_load_may_be_missing(name):
    gap = (ISSUE - np.timedelta64(48, "h"), ISSUE)
    without = world().load_changed(pl.lit(None, pl.Float64), between=gap)
    day = without.design(TESTED, TESTED + timedelta(days=1))
    hidden = day.recent_load[day.wanted][0]
    assert np.isnan(hidden[:48]).all()
    assert np.isfinite(hidden[48:72]).all()

    fan, usual = fitted(name).predict(day), fitted(name).predict(february())[: len(day.wanted_rows[day.wanted_rows])]
    assert np.isfinite(fan).all()
    assert np.abs(fan[:, MEDIAN] / usual[:, MEDIAN] - 1).max() < 0.25


@every_model(but=REPEATS_A_SPIKE)
@pytest.mark.parametrize("factor", [2, 5])
@pytest.mark.parametrize("hours_before_issue", [20, 7 * 24 - 20])
def test_a_spike_in_one_past_hour_hardly_moves_it(name, hours_before_issue, factor):
    at = ISSUE - np.timedelta64(hours_before_issue, "h")
    spiked = world().load_changed(pl.col("value") * factor, between=(at, at + np.timedelta64(1, "h")))
    day = spiked.design(TESTED, TESTED + timedelta(days=1))
    usual = world().design(TESTED, TESTED + timedelta(days=1))
    assert (day.recent_load[day.wanted] > usual.recent_load[usual.wanted]).sum() == 1

    moved = fitted(name).predict(day)[:, MEDIAN] / fitted(name).predict(usual)[:, MEDIAN] - 1
    assert np.abs(moved).mean() < 0.01
    assert np.abs(moved).max() < 0.15


@every_model()
def test_too_little_history_is_said_so(name):
    short = World(world().rows.filter(pl.col("valid_time") >= datetime(2018, 1, 28, tzinfo=UTC)))

    with pytest.raises(TooLittleHistory) as refused:
        models.recipe(name, PARAMETERS.get(name)).fit(short.training(date(2018, 1, 29)))
    assert refused.value.have < refused.value.needed


@every_model()
def test_a_flat_history_gives_a_flat_forecast(name):
    noise = 1 + 0.001 * np.sin(np.arange(world().rows.height) * 7.3)
    flat = World(
        world().rows.with_columns(
            value=pl.when(pl.col("variable") == LOAD).then(2000 * pl.Series(noise)).otherwise("value")
        )
    )
    fan = (
        models.recipe(name, PARAMETERS.get(name))
        .fit(flat.training(TESTED - timedelta(days=120)), seed=3)
        .predict(flat.design(TESTED, TESTED + timedelta(days=7)))
    )

    # A network begins anywhere and needs more steps than this to come to rest.
    near = 0.05 if name == "conv1d_classic" else 0.005
    np.testing.assert_allclose(fan[:, MEDIAN], 2000, rtol=near)


@every_model(but={"naive", *NEEDS_YEARS})
def test_it_is_better_than_naive(name):
    assert mean_error(name) < 0.97 * mean_error("naive")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] if name in DEEP else []) for name in sorted(SEES_THE_WEATHER)]
)
def test_a_colder_evening_does_not_lower_the_load(name):
    hour = local_wall(world().rows["valid_time"].dt.replace_time_zone(None).to_numpy(), DK_1.local_tz)
    evening = pl.Series(
        (hour.astype("datetime64[D]") >= np.datetime64(TESTED)) & (hour.astype("M8[h]").astype(int) % 24 >= 17)
    )
    colder = World(
        world().rows.with_columns(
            value=pl.when((pl.col("variable") == demo.TEMPERATURE) & evening)
            .then(pl.col("value") - 6)
            .otherwise("value")
        )
    )
    day = colder.design(TESTED, END)
    rows = day.slot[day.wanted_rows] >= 17

    usual, cold = (fitted(name).predict(each)[rows, MEDIAN] for each in (february(), day))
    assert not np.array_equal(usual, cold)
    assert (cold / usual).mean() > 1.0


@every_model()
def test_its_recipe_is_a_frozen_value_that_json_can_hold(name):
    recipe = models.recipe(name, PARAMETERS.get(name))
    values = dataclasses.asdict(recipe)

    assert isinstance(recipe, models.Recipe)
    assert recipe.name == name
    assert models.recipe(name, PARAMETERS.get(name)) == recipe
    assert hash(recipe) == hash(models.recipe(name, PARAMETERS.get(name)))
    assert json.loads(json.dumps(values)).keys() == values.keys()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.another = 1


@every_model()
def test_a_parameter_it_does_not_have_is_refused(name):
    with pytest.raises(ConfigError, match="no parameter wings"):
        models.recipe(name, {"wings": 2})


def test_a_model_that_was_plugged_in_can_be_named():
    assert models.names()[-1] == "last_week"
    assert type(models.recipe("last_week", {"share": 0.5})).__module__ == "somebodys"
