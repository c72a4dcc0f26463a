from __future__ import annotations

import sys
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

import gridcast
from doors import world
from gridcast.contracts import FORECAST, QUANTILES
from gridcast.errors import (
    BadTime,
    ConfigError,
    DataError,
    DuplicateTime,
    ImplausibleValue,
    MissingColumns,
    MissingExtra,
    OutsideData,
    TooLittleHistory,
    UnknownModel,
    UnknownZone,
)

PERIOD = {"first": date(2018, 4, 1), "last": date(2018, 4, 3)}


def polars_frame(**options):
    return world(**options).with_columns(pl.col("ts_utc").str.to_datetime(time_unit="us", time_zone="UTC"))


@pytest.fixture(params=["ns", "us"])
def pandas_frame(request):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    return polars_frame().with_columns(pl.col("ts_utc").dt.cast_time_unit(request.param)).to_pandas()


def seconds_aside(scores):
    return {
        name: {key: value for key, value in row.items() if not key.endswith("_seconds")} for name, row in scores.items()
    }


def test_a_forecast_is_the_day_after_the_last_with_load():
    table = gridcast.forecast(polars_frame(), zone="DK_1", model="linear")
    assert table.schema == FORECAST
    assert table.height == 24 * len(QUANTILES)
    # The load ends at 2018-04-11 00:00Z, which is 02:00 of the 11th in Denmark.
    assert table["valid_time"].min() == datetime(2018, 4, 11, 22, tzinfo=UTC)
    assert table["issue_time"].unique().to_list() == [datetime(2018, 4, 11, 9, tzinfo=UTC)]
    assert table["model_version"].unique().to_list() == ["fitted:linear"]
    fan = table["value"].to_numpy().reshape(-1, len(QUANTILES))
    assert (np.diff(fan, axis=1) >= 0).all()


def test_an_explained_forecast_is_the_forecast_in_terms_that_sum_to_it():
    frame = polars_frame(weather=True)
    table = gridcast.forecast(frame, zone="DK_1", model="linear")
    found = gridcast.explain(frame, zone="DK_1", model="linear")
    assert found.columns[:2] == ["valid_time", "forecast"]
    assert found.columns[2:] == ["typical", "calendar", "holiday", "temperature", "recent_level"]
    median = table.filter(pl.col("quantile") == 0.5)
    assert found["valid_time"].to_list() == median["valid_time"].to_list()
    assert found["forecast"].to_list() == median["value"].to_list()
    assert found.select(pl.sum_horizontal(found.columns[2:])).to_series().to_list() == pytest.approx(
        median["value"].to_list(), rel=1e-9
    )
    with pytest.raises(ConfigError, match="'naive' cannot be explained"):
        gridcast.explain(frame, zone="DK_1", model="naive")


def test_a_past_day_is_forecast_without_what_came_after_it():
    frame, day = polars_frame(), date(2018, 4, 5)
    cut = frame.filter(pl.col("ts_utc") < datetime(2018, 4, 4, 7, tzinfo=UTC))  # public at 11:00 CEST on the 4th
    whole, short = (gridcast.forecast(each, zone="DK_1", model="linear", delivery_day=day) for each in (frame, cut))
    assert whole.equals(short)


def test_polars_and_pandas_frames_give_equal_numbers_in_their_own_kind(pandas_frame):
    import pandas as pd

    before = pandas_frame.copy(deep=True)
    theirs = gridcast.forecast(pandas_frame, zone="DK_1", model="linear")
    frame = polars_frame()
    untouched = frame.clone()
    ours = gridcast.forecast(frame, zone="DK_1", model="linear")
    assert isinstance(ours, pl.DataFrame)
    assert isinstance(theirs, pd.DataFrame)
    assert list(theirs.columns) == ours.columns
    assert theirs["value"].tolist() == ours["value"].to_list()
    assert [each.to_pydatetime() for each in theirs["valid_time"]] == ours["valid_time"].to_list()
    assert frame.equals(untouched)
    pd.testing.assert_frame_equal(pandas_frame, before)


def test_a_pandas_frame_in_local_time_or_text_means_the_same_instants(pandas_frame):
    ours = gridcast.forecast(polars_frame(), zone="DK_1", model="naive")["value"].to_list()
    local = pandas_frame.assign(ts_utc=pandas_frame["ts_utc"].dt.tz_convert("Europe/Copenhagen"))
    assert gridcast.forecast(local, zone="DK_1", model="naive")["value"].tolist() == ours
    text = pandas_frame.assign(ts_utc=pandas_frame["ts_utc"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert gridcast.forecast(text, zone="DK_1", model="naive")["value"].tolist() == ours


def test_a_backtest_takes_and_gives_frames_of_one_kind(pandas_frame):
    import pandas as pd

    words = {"zone": "DK_1", "models": ["naive", "linear"], **PERIOD}
    theirs, ours = gridcast.backtest(pandas_frame, **words), gridcast.backtest(polars_frame(), **words)
    assert isinstance(theirs.forecasts, pd.DataFrame)
    assert isinstance(ours.forecasts, pl.DataFrame)
    assert seconds_aside(theirs.scores) == seconds_aside(ours.scores)
    assert theirs.forecasts["value"].tolist() == ours.forecasts["value"].to_list()
    assert (ours.weather_basis, ours.tso_basis, ours.n_excluded) == ("none", "none", 0)
    median = ours.forecasts.filter((pl.col("quantile") == 0.5) & (pl.col("model_version") == "backtest:linear"))
    mae = median.select((pl.col("value") - pl.col("actual")).abs().mean()).item()
    assert mae == pytest.approx(ours.scores["linear"]["mae_mw"])


def test_champion_is_the_shipped_default():
    scores = gridcast.backtest(polars_frame(), zone="DK_1", models=["champion", "ensemble"], **PERIOD).scores
    champion, ensemble = seconds_aside(scores).values()
    assert champion == ensemble


def test_the_rows_may_come_in_any_order():
    frame = polars_frame()
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    one, other = (gridcast.forecast(each, zone="DK_1", model="linear") for each in (frame, shuffled))
    assert one.equals(other)


def test_observed_weather_is_used_and_labelled_unless_it_is_left_out():
    frame = polars_frame(weather=True)
    used = gridcast.backtest(frame, zone="DK_1", models=["linear"], **PERIOD)
    left_out = gridcast.backtest(frame, zone="DK_1", models=["linear"], inputs=["load", "calendar"], **PERIOD)
    assert (used.weather_basis, left_out.weather_basis) == ("observed", "none")
    without = gridcast.backtest(frame.drop("temperature_c"), zone="DK_1", models=["linear"], **PERIOD)
    assert seconds_aside(left_out.scores) == seconds_aside(without.scores)


def test_a_zone_of_ones_own_comes_from_a_file(tmp_path):
    path = tmp_path / "zones.toml"
    path.write_text('[ISLE]\nname = "An isle"\nmarket_tz = "Europe/Copenhagen"\ncountry = "DK"\n')
    table = gridcast.forecast(polars_frame(), zone="ISLE", model="naive", zones_file=path)
    assert table["zone"].unique().to_list() == ["ISLE"]


BAD = {
    "no stamps": (lambda frame: frame.drop("ts_utc"), MissingColumns),
    "no load": (lambda frame: frame.drop("load_mw"), MissingColumns),
    "naive": (lambda frame: frame.with_columns(pl.col("ts_utc").dt.replace_time_zone(None)), BadTime),
    "twice": (lambda frame: pl.concat([frame, frame.head(1)]), DuplicateTime),
    "negative": (lambda frame: frame.with_columns(load_mw=-pl.col("load_mw")), ImplausibleValue),
    "infinite": (lambda frame: frame.with_columns(load_mw=pl.lit(float("inf"))), ImplausibleValue),
    "short": (lambda frame: frame.head(500), TooLittleHistory),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_frame_raises_an_error_of_its_type(case):
    spoil, kind = BAD[case]
    with pytest.raises(kind) as error:
        gridcast.forecast(spoil(polars_frame()), zone="DK_1", model="linear")
    assert "\n" not in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"zone": "DK1"}, UnknownZone),
        ({"model": "linera"}, UnknownModel),
        ({"inputs": ["wether"]}, ConfigError),
        ({"inputs": []}, ConfigError),
        ({"delivery_day": date(2019, 1, 1)}, OutsideData),
        ({"delivery_day": date(2017, 1, 1)}, OutsideData),
    ],
)
def test_a_bad_word_raises_an_error_of_its_type(words, kind):
    with pytest.raises(kind):
        gridcast.forecast(polars_frame(), **{"zone": "DK_1", "model": "linear", **words})


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"task": "week_ahead"}, ConfigError),
        ({"models": []}, ConfigError),
        ({"first": date(2018, 4, 3), "last": date(2018, 4, 1)}, ConfigError),
        ({"last": date(2018, 6, 1)}, OutsideData),
    ],
)
def test_a_bad_plan_raises_an_error_of_its_type(words, kind):
    with pytest.raises(kind):
        gridcast.backtest(polars_frame(), **{"zone": "DK_1", "models": ["naive"], **PERIOD, **words})


@pytest.mark.parametrize("frame", [None, [1, 2], {"ts_utc": []}, "load.csv", pl.LazyFrame()])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(DataError, match="not a frame: give a polars"):
        gridcast.forecast(frame, zone="DK_1")


@pytest.mark.parametrize("absent", ["pandas", "pyarrow"])
def test_without_pandas_a_frame_of_it_names_the_extra(pandas_frame, monkeypatch, absent):
    for name in [name for name in sys.modules if name.split(".")[0] == absent]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingExtra, match="gridcast\\[pandas\\]") as error:
        gridcast.forecast(pandas_frame, zone="DK_1", model="naive")
    assert error.value.extra == "pandas"


def test_the_package_shows_three_functions_and_a_version():
    assert set(gridcast.__all__) == {"__version__", "backtest", "explain", "forecast"}
    with pytest.raises(AttributeError, match="nothing"):
        gridcast.nothing  # noqa: B018
