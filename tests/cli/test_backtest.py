from __future__ import annotations

import hashlib
import math
from datetime import timedelta

import polars as pl
import pytest

from doors import world
from gridcast.contracts import QUANTILES

PERIOD = ("--from", "2018-03-24", "--to", "2018-03-28")
"""The clocks go forward on 2018-03-25."""
HOURS = 24 + 23 + 24 + 24

SCORES = {
    "mae_mw",
    "rmse_mw",
    "mape_pct",
    "bias_mw",
    "crps_mw",
    "coverage_50_pct",
    "coverage_80_pct",
    "coverage_90_pct",
    "coverage_95_pct",
    "mape_ordinary_pct",
    "mape_holiday_pct",
    "mape_bridge_pct",
    "skill_vs_naive",
    "skill_vs_tso",
    "n",
    "origins",
    "fit_seconds",
    "predict_seconds",
}
DAYS = {
    "peak_mae_mw",
    "peak_hour_hit_pct",
    "peak_coverage_80_pct",
    "energy_mape_pct",
    "energy_coverage_80_pct",
    "n",
}
BESIDE = {
    "models",
    "zone",
    "task",
    "from",
    "to",
    "inputs",
    "resolution",
    "weather_basis",
    "tso_basis",
    "n_excluded",
    "data_sha256",
}
SECONDS = ("fit_seconds", "predict_seconds")


def without_seconds(scores):
    return {name: value for name, value in scores.items() if name not in SECONDS}


@pytest.fixture
def backtest(gridcast, good_file):
    """The scores of a backtest of the good file, or of another."""

    def call(*words, file=good_file):
        found = gridcast("backtest", "--zone", "DK_1", "--file", file, *PERIOD, *words, "--json")
        assert found.code == 0, found.err
        assert found.err == ""  # no progress bar, no warning: stderr is no terminal
        return found.document

    return call


@pytest.fixture(scope="session")
def weather_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weather") / "weather.parquet"
    frame = world(weather=True).with_columns(pl.col("ts_utc").str.to_datetime(time_zone="UTC"))
    frame.with_columns(tso_forecast_mw=pl.col("load_mw") * 1.01).write_parquet(path)
    return path


def test_json_is_one_document_with_the_keys_of_the_design(backtest, good_file):
    document = backtest("--models", "naive,linear")
    assert set(document) == BESIDE
    assert list(document["models"]) == ["naive", "linear"]
    for name, scores in document["models"].items():
        days = scores.pop("days")
        assert (set(days), days["n"]) == (DAYS, 4)
        assert set(scores) == SCORES
        nothing = {"skill_vs_tso", "mape_holiday_pct", "mape_bridge_pct"}  # four ordinary days, no operator
        assert {key for key, value in scores.items() if value is None} == nothing
        assert all(math.isfinite(scores[key]) for key in scores.keys() - nothing), name
        assert scores["mape_ordinary_pct"] == scores["mape_pct"]
        assert (scores["n"], scores["origins"]) == (HOURS, 4)
    assert document["models"]["naive"]["skill_vs_naive"] == pytest.approx(0, abs=1e-12)
    assert document["models"]["linear"]["skill_vs_naive"] != 0
    beside = {key: value for key, value in document.items() if key != "models"}
    assert beside == {
        "zone": "DK_1",
        "task": "day_ahead",
        "from": "2018-03-24",
        "to": "2018-03-28",
        "inputs": ["load", "calendar", "weather", "tso"],
        "resolution": "PT60M",
        "weather_basis": "none",
        "tso_basis": "none",
        "n_excluded": 0,
        "data_sha256": hashlib.sha256(good_file.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_forecasts_of_out_give_the_scores_that_were_printed(backtest, home, ending):
    path = home.parent / f"out{ending}"
    document = backtest("--models", "naive,linear", "--out", path)
    table = pl.read_parquet(path) if ending == ".parquet" else pl.read_csv(path)
    assert table.height == 2 * HOURS * len(QUANTILES)
    for name, scores in document["models"].items():
        rows = table.filter(pl.col("model_version") == f"backtest:{name}")
        error = pl.col("value") - pl.col("actual")
        median = rows.filter(pl.col("quantile") == 0.5)
        assert median.select(error.abs().mean()).item() == pytest.approx(scores["mae_mw"], rel=1e-12)
        assert median.select(error.mean()).item() == pytest.approx(scores["bias_mw"], rel=1e-9)
        low, high = (rows.filter(pl.col("quantile") == q)["value"].to_numpy() for q in (0.1, 0.9))
        actual = median["actual"].to_numpy()
        assert 100 * ((low <= actual) & (actual <= high)).mean() == pytest.approx(scores["coverage_80_pct"])
    fans = table["value"].to_numpy().reshape(-1, len(QUANTILES))
    assert (fans[:, 1:] >= fans[:, :-1]).all()
    assert (table["valid_time"] > table["issue_time"]).all()


def test_the_forecasts_of_out_are_named_by_utc_instants(backtest, home):
    path = home.parent / "out.csv"
    backtest("--models", "naive", "--out", path)
    first = pl.read_csv(path).row(0, named=True)
    assert first["issue_time"] == "2018-03-23T10:00:00Z"  # 11:00 CET on the day before
    assert first["valid_time"] == "2018-03-23T23:00:00Z"
    assert (first["zone"], first["resolution"]) == ("DK_1", 60)


def test_a_load_that_is_public_later_is_forecast_worse_and_the_store_knows_its_own(backtest, gridcast):
    """The synthetic load has a memory of hours: what is known four hours longer helps, a day longer still."""
    by_lag = {lag: backtest("--models", "linear", "--load-lag", lag)["models"]["linear"] for lag in (0, 2, 30)}
    default = backtest("--models", "linear")["models"]["linear"]
    assert without_seconds(by_lag[2]) == without_seconds(default)
    assert by_lag[0]["crps_mw"] != by_lag[2]["crps_mw"]
    assert by_lag[30]["mae_mw"] > by_lag[0]["mae_mw"]
    refused = gridcast("backtest", "--zone", "DK_1", *PERIOD, "--load-lag", 1)
    assert refused.code == 2
    assert "the store knows when its load was public" in refused.err


def test_naive_is_the_same_local_hour_seven_days_before(backtest, home, good_file):
    path = home.parent / "out.parquet"
    backtest("--models", "naive", "--out", path)
    load = pl.read_csv(good_file).select(wall("ts_utc", parse=True) + timedelta(days=7), expected="load_mw")
    median = pl.read_parquet(path).filter(pl.col("quantile") == 0.5).with_columns(ts_utc=wall("valid_time"))
    joined = median.join(load, on="ts_utc")
    assert joined.height == HOURS
    assert joined["value"].to_list() == pytest.approx(joined["expected"].to_list(), rel=1e-9)


def wall(column, *, parse=False):
    """What Danish clocks show, without a zone."""
    times = pl.col(column).str.to_datetime(time_unit="us", time_zone="UTC") if parse else pl.col(column)
    return times.dt.convert_time_zone("Europe/Copenhagen").dt.replace_time_zone(None)


def test_weather_of_a_file_is_observed_and_inputs_drop_it(backtest, weather_file):
    document = backtest("--models", "linear", file=weather_file)
    assert (document["weather_basis"], document["tso_basis"]) == ("observed", "last-version")
    assert math.isfinite(document["models"]["linear"]["skill_vs_tso"])
    document = backtest("--models", "linear", "--inputs", "load,calendar", file=weather_file)
    assert (document["weather_basis"], document["inputs"]) == ("none", ["load", "calendar"])


def test_an_input_that_is_left_out_cannot_change_a_score(backtest, weather_file, tmp_path):
    spoilt = tmp_path / "spoilt.parquet"
    pl.read_parquet(weather_file).with_columns(temperature_c=pl.col("temperature_c").shuffle(seed=1)).write_parquet(
        spoilt
    )
    one, other = (
        backtest("--models", "linear", "--inputs", "load,calendar", file=file) for file in (weather_file, spoilt)
    )
    assert without_seconds(one["models"]["linear"]) == without_seconds(other["models"]["linear"])


def test_the_24_hours_from_any_issue_can_be_replayed(backtest):
    document = backtest("--models", "naive,linear", "--task", "next_24h")
    scores = document["models"]["linear"]
    assert document["task"] == "next_24h"
    assert scores["n"] == 24 * scores["origins"]
    assert scores["origins"] > 4


def test_champion_is_the_shipped_default_until_one_is_promoted(backtest, gridcast, good_file):
    document = backtest("--models", "champion,ensemble")
    assert without_seconds(document["models"]["champion"]) == without_seconds(document["models"]["ensemble"])
    assert gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file).code == 0
    assert (
        gridcast("train", "--zone", "DK_1", "model=linear", "model.strength=3", "--now", "2018-04-01T00:00:00Z").code
        == 0
    )
    document = backtest("--models", "champion,linear,naive")
    promoted, usual = document["models"]["champion"], document["models"]["linear"]
    assert without_seconds(promoted) != without_seconds(usual)  # it has the parameters that were promoted
    assert promoted["mae_mw"] == pytest.approx(usual["mae_mw"], rel=0.3)


def test_the_same_seed_gives_the_same_scores(backtest):
    one, other = (backtest("--models", "boosted", "--seed", 5)["models"]["boosted"] for _ in range(2))
    assert without_seconds(one) == without_seconds(other)


def test_the_store_gives_the_scores_of_the_file(backtest, gridcast, good_file):
    assert gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file).code == 0
    stored = gridcast("backtest", "--zone", "DK_1", *PERIOD, "--models", "linear", "--json").document
    filed = backtest("--models", "linear")
    assert without_seconds(stored["models"]["linear"]) == without_seconds(filed["models"]["linear"])
    again = gridcast("backtest", "--zone", "DK_1", *PERIOD, "--models", "naive", "--json").document
    assert stored["data_sha256"] == again["data_sha256"]


def test_a_load_that_never_changes_makes_no_score_infinite(backtest, tmp_path):
    path = tmp_path / "flat.csv"
    world().with_columns(load_mw=pl.lit(1000.0)).write_csv(path)
    scores = backtest("--models", "naive,linear", file=path)["models"]["naive"]
    assert scores["mae_mw"] == pytest.approx(0, abs=1e-6)
    assert scores["skill_vs_naive"] is None


def test_missing_and_zero_actuals_are_left_out_for_every_model_alike(backtest, tmp_path):
    path = tmp_path / "gaps.csv"
    load, stamp = pl.col("load_mw"), pl.col("ts_utc")
    gone, nought = stamp.is_in(["2018-03-26T10:00:00Z"]), stamp.is_in(["2018-03-27T10:00:00Z", "2018-03-27T11:00:00Z"])
    world().with_columns(load_mw=pl.when(nought).then(0.0).otherwise(load)).filter(~gone).write_csv(path)
    document = backtest("--models", "naive,linear", file=path)
    assert document["n_excluded"] == 3
    assert [scores["n"] for scores in document["models"].values()] == [HOURS - 3, HOURS - 3]


def test_the_table_says_what_the_scores_stand_on(gridcast, good_file):
    found = gridcast("backtest", "--zone", "DK_1", "--file", good_file, *PERIOD, "--models", "naive")
    assert found.code == 0
    assert "weather basis: none; TSO basis: none" in found.out
    assert f"{HOURS} intervals, 0 excluded" in found.out
    assert "\x1b" not in found.out


def test_a_report_can_be_written_beside(backtest, home):
    path = home.parent / "report.html"
    backtest("--models", "naive,linear", "--report", path)
    page = path.read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "naive" in page


@pytest.mark.parametrize(
    ("name", "period"),
    [("AT_load_weather_2011_2016", "2011-06-01 2011-06-03"), ("VIC_load_weather_2012_2014", "2012-06-01 2012-06-03")],
)
def test_real_files_are_read_as_they_are(gridcast, shared_data, tmp_path, name, period):
    # The first months of the file are enough, and quick.
    path = tmp_path / "head.csv"
    pl.read_csv(shared_data / f"{name}.csv.gz", infer_schema=False).head(9_000).write_csv(path)
    zone, (first, last) = name.split("_")[0], period.split()
    words = f"backtest --zone {zone} --from {first} --to {last} --models naive,linear --json --file {path}"
    found = gridcast(*words.split())
    assert found.code == 0, found.err
    assert found.document["models"]["linear"]["mape_pct"] < 15
    assert found.document["weather_basis"] == "observed"
