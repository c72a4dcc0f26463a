"""Scores of made-up forecasts against what can be reckoned by hand, and what the tables make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from arena import contestants, drawing, scoring, tasks, writing
from arena.running import Cost

from gridcast.contracts import MEDIAN, QUANTILES

DAYS = 60  # from 1 November to 30 December 2018
COST = Cost(12.0, 20.0, 6.0, 1.0, 3, 300.0, 400.0, "abc1234", "2026-11-01")


def forecast(rows, values):
    """Fans [N, Q] as the table that a contestant leaves."""
    long = rows.key.select(pl.all().repeat_by(len(QUANTILES)).explode())
    return long.with_columns(quantile=pl.Series(np.tile(QUANTILES, len(values))), value=pl.Series(values.reshape(-1)))


@pytest.fixture(scope="module")
def rows():
    """A task's truth: hours of Danish days, the load 1000 MW but for one excluded row."""
    start = datetime(2018, 10, 31, 23, tzinfo=UTC)
    times = pl.datetime_range(start, start + timedelta(hours=24 * DAYS - 1), "1h", eager=True, time_unit="us")
    day = (pl.col("valid_time") + pl.duration(hours=1)).dt.truncate("1d")
    table = pl.DataFrame({"valid_time": times}).select(
        issue_time=day - pl.duration(hours=14),
        valid_time="valid_time",
        quantile=pl.lit(0.5),
        actual=pl.when(pl.int_range(pl.len()) != 5).then(1000.0),
    )
    return scoring.truth(table, tasks.everything()["dk_2018"])


def fan_around(rows, error, width=0.0):
    """Quantiles ``error`` above the truth, spread by ``width`` times their distance from the median."""
    spread = width * (np.array(QUANTILES) - 0.5)
    return rows.actual[:, None] + np.broadcast_to(error, rows.actual.shape)[:, None] + spread


def scored(fan, rows, *, champion=None, **references):
    naive = references.get("naive", fan_around(rows, 100.0))
    mine = fan_around(rows, 20.0) if champion is None else champion
    return scoring.scores(fan, rows, naive=naive, operator=references.get("operator"), champion=mine)


def test_rows_without_a_truth_are_no_rows(rows):
    assert len(rows.actual) == 24 * DAYS - 1
    assert np.isfinite(rows.actual).all()


def test_errors_are_means_over_the_rows_and_ratios_those_of_the_errors(rows):
    found = scored(fan_around(rows, 50.0), rows, operator=fan_around(rows, 25.0))
    assert found["mae_mw"] == pytest.approx(50)
    assert found["mape_pct"] == pytest.approx(5)
    assert found["mae_to_naive"] == pytest.approx(0.5)
    assert found["mae_to_operator"] == pytest.approx(2)
    assert found["mae_to_champion"] == pytest.approx(2.5)
    assert found["dm_p"] == 0
    assert (found["n"], found["lacking"]) == (len(rows.actual), 0)


def test_a_contestant_is_compared_on_the_rows_of_both_and_its_gaps_are_counted(rows):
    fan, champion = fan_around(rows, 50.0), fan_around(rows, 20.0)
    champion[:700] += 1000
    fan[:700] = np.nan
    found = scored(fan, rows, champion=champion)
    assert found["lacking"] == 700
    assert found["mae_to_champion"] == pytest.approx(2.5)


def test_a_forecast_of_one_quantile_has_errors_and_no_bands(rows):
    fan = np.full((len(rows.actual), len(QUANTILES)), np.nan)
    fan[:, MEDIAN] = rows.actual + 10
    found = scored(fan, rows)
    assert found["mae_mw"] == pytest.approx(10)
    assert found["crps_mw"] is None
    assert np.isnan(scoring.reliability(fan, rows)).all()


def test_the_champion_is_not_tested_against_itself(rows):
    champion = fan_around(rows, 20.0)
    found = scored(champion, rows, champion=champion)
    assert (found["mae_to_champion"], found["dm_p"], found["mae_to_champion_low"]) == (1.0, None, None)


def test_holidays_are_told_from_ordinary_days_and_their_ratio_lies_in_its_interval(rows):
    random = np.random.default_rng(1)
    error = np.where(rows.kind == 1, 60.0, 20.0) * random.uniform(0.5, 1.5, len(rows.kind))
    found = scored(fan_around(rows, error), rows)
    assert found["holiday_days"] == 2  # 25 and 26 December
    assert found["ordinary_days"] + found["holiday_days"] + found["bridge_days"] == DAYS
    assert found["holiday_ratio"] == pytest.approx(3, rel=0.1)
    assert found["holiday_ratio_low"] < found["holiday_ratio"] < found["holiday_ratio_high"]


def test_the_worst_month_is_the_one_farthest_from_what_the_band_promises(rows):
    fan = fan_around(rows, 0.0, width=10.0)
    december = rows.wall >= np.datetime64("2018-12-01")
    fan[december] += 500
    found = scored(fan, rows)
    assert found["coverage_80_worst_month_pct"] == 0
    assert found["coverage_80_pct"] == pytest.approx(100 * (~december).mean())
    assert found["coverage_80_worst_quarter_pct"] == found["coverage_80_pct"]
    assert found["sharpness_pct"] == pytest.approx(0.8)


def test_reliability_is_the_share_at_or_below_each_quantile_and_hours_are_local(rows):
    fan = fan_around(rows, np.where((rows.wall - rows.day) == np.timedelta64(7, "h"), 100.0, 0.0), width=10.0)
    assert scoring.reliability(fan, rows)[[0, MEDIAN, -1]] == pytest.approx([1 / 24, 1, 1], abs=1e-3)
    assert scoring.by_hour(fan, rows)[[6, 7, 8]] == pytest.approx([0, 10, 0])


def test_forecasts_are_put_in_the_order_of_the_truth_whatever_their_order_and_their_unit_of_time(rows):
    fan = fan_around(rows, np.arange(len(rows.actual), dtype=float), width=3.0)
    table = forecast(rows, fan).sample(fraction=1, shuffle=True, seed=1)
    np.testing.assert_allclose(rows.aligned(table.with_columns(pl.col("valid_time").dt.cast_time_unit("ns"))), fan)
    medians = rows.aligned(table.filter(pl.col("quantile") == 0.5).head(100))
    assert np.isfinite(medians).sum() == np.isfinite(medians[:, MEDIAN]).sum() == 100


def test_a_row_that_is_forecast_twice_is_an_error(rows):
    table = forecast(rows, fan_around(rows, 1.0))
    with pytest.raises(pl.exceptions.PolarsError):
        rows.aligned(pl.concat([table, table.head(1)]))


@pytest.fixture
def results(rows):
    task, everyone = tasks.everything()["dk_2018"], contestants.everyone()
    fans = {"champion": fan_around(rows, 20.0, width=30.0), "naive": fan_around(rows, 100.0, width=30.0)}
    return [
        writing.Result(task, everyone[name], COST, scored(fan, rows, champion=fans["champion"]))
        for name, fan in fans.items()
    ]


def test_the_page_has_a_row_for_each_contestant_in_tables_whose_lines_are_equally_wide(results):
    page = writing.page(results, head="Measured.", plots={drawing.COST: "a plot"}, lags=[(3, results[0])])
    lines = page.splitlines()
    assert sum(line.startswith("| seasonal naive |") for line in lines) == 4
    assert "| **gridcast champion** | 1.00 |" in lines
    assert any(line.startswith("| 3 h | 20.0 |") for line in lines)
    blocks = "\n".join(lines).split("\n\n")
    for block in [block for block in blocks if block.startswith("|")]:
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1


def test_the_record_only_grows_and_takes_no_line_twice(results, tmp_path):
    path = tmp_path / "results.jsonl"
    assert writing.append(results, path) == 2
    assert writing.append(results, path) == 0
    before = path.read_text("utf-8")
    later = [replace(result, cost=replace(COST, commit="def5678")) for result in results]
    assert writing.append(later, path) == 2
    assert path.read_text("utf-8").startswith(before)
    facts = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [each["commit"] for each in facts] == ["abc1234"] * 2 + ["def5678"] * 2
    assert facts[0]["inputs"] == ["load", "calendar"]


def test_plots_are_small_pictures(results, rows, tmp_path):
    fan = fan_around(rows, 0.0, width=30.0)
    drawing.cost(results, tmp_path / drawing.COST)
    drawing.reliability({"**champion**": [scoring.reliability(fan, rows)]}, tmp_path / drawing.RELIABILITY)
    drawing.hours({"dk_2018": {"naive": scoring.by_hour(fan, rows)}}, tmp_path / drawing.HOURS)
    sizes = [path.stat().st_size for path in tmp_path.glob("*.png")]
    assert len(sizes) == 3
    assert max(sizes) < 60_000
