"""`gridcast explain`: the terms of a forecast as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from doors import world

NOW = "2018-04-10T12:00:00Z"
TERMS = ["typical", "calendar", "holiday", "temperature", "recent_level"]


@pytest.fixture
def explained(gridcast, tmp_path):
    """`gridcast explain` of a home with a linear champion, told what else to say."""
    path = tmp_path / "load.csv"
    world(weather=True).write_csv(path)
    at = ("--now", "2018-04-10T08:00:00Z")
    assert gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", path, *at).code == 0
    assert gridcast("train", "--zone", "DK_1", "model=linear", *at).code == 0

    def call(*words):
        found = gridcast("explain", "--zone", "DK_1", "--now", NOW, *words)
        assert (found.code, found.err) == (0, "")
        return found

    return call


def test_the_terms_in_json_sum_to_the_forecast_that_is_issued(explained, gridcast):
    document = explained("--format", "json").document
    issued = gridcast("issue", "--zone", "DK_1", "--now", NOW, "--format", "json").document
    assert {
        key: document[key] for key in ("zone", "issue_time", "unit", "resolution", "model_version", "degraded")
    } == {key: issued[key] for key in ("zone", "issue_time", "unit", "resolution", "model_version", "degraded")}
    assert document["terms"] == TERMS
    for row, each in zip(document["intervals"], issued["intervals"], strict=True):
        assert row["valid_time"] == each["valid_time"]
        assert row["forecast_mw"] == pytest.approx(each["quantiles"]["0.5"], abs=1e-3)
        assert list(row["terms_mw"]) == TERMS
        assert sum(row["terms_mw"].values()) == pytest.approx(row["forecast_mw"], rel=1e-9)
    assert document["intervals"][0]["valid_time"] == "2018-04-10T22:00:00Z"
    assert document["intervals"][0]["local_time"] == "2018-04-11T00:00+02:00"


def test_csv_has_what_json_has(explained):
    document = explained("--format", "json").document
    rows = list(csv.DictReader(io.StringIO(explained("--format", "csv").out)))
    assert list(rows[0])[:5] == ["zone", "issue_time", "valid_time", "model_version", "degraded"]
    assert list(rows[0])[5:] == ["forecast_mw", *(f"{name}_mw" for name in TERMS)]
    for row, each in zip(rows, document["intervals"], strict=True):
        assert row["valid_time"] == each["valid_time"]
        assert float(row["forecast_mw"]) == each["forecast_mw"]
        assert {name: float(row[f"{name}_mw"]) for name in TERMS} == each["terms_mw"]


def test_the_rows_of_the_table_add_up_and_the_last_one_is_the_mean(explained):
    document, table = explained("--format", "json").document, explained().out
    lines = table.splitlines()
    assert "Wednesday 11 April 2018" in lines[0]
    assert lines[2].split() == ["from", "forecast", *" ".join(TERMS).replace("_", " ").split()]
    rows = [[int(cell.replace(",", "")) for cell in line.split()[1:]] for line in lines[3:28]]
    assert [line.split()[0] for line in lines[3:28]] == [*(f"{hour:02}:00" for hour in range(24)), "mean"]
    for row in rows:
        assert sum(row[1:]) == row[0]
    true = [[each["forecast_mw"], *each["terms_mw"].values()] for each in document["intervals"]]
    true.append(list(np.mean(true, axis=0)))
    np.testing.assert_allclose(rows, true, rtol=0, atol=1.001)
    assert document["model_version"] in lines[-1]


def test_another_day_and_task_can_be_explained(explained, gridcast):
    day = explained("--delivery-day", "2018-04-10", "--format", "json").document
    assert day["issue_time"] == "2018-04-09T09:00:00Z"
    assert day["degraded"].startswith("a replay")
    assert "degraded: a replay" in explained("--delivery-day", "2018-04-10").out
    train = ("train", "--zone", "DK_1", "model=linear", "task=next_24h", "--now", "2018-04-10T08:00:00Z")
    assert gridcast(*train).code == 0
    assert len(explained("--task", "next_24h", "--format", "json").document["intervals"]) == 24


def test_what_cannot_be_explained_says_what_can(explained, gridcast):
    explained()
    at = ("--now", "2018-04-10T08:30:00Z")
    assert gridcast("train", "--zone", "DK_1", "model=naive", "--promote", *at).code == 0
    found = gridcast("explain", "--zone", "DK_1", "--now", NOW)
    assert (found.code, found.out) == (2, "")
    assert found.err == (
        "gridcast: a forecast of the model 'naive' cannot be explained: choose linear, boosted or an ensemble of them\n"
    )
    assert gridcast("explain", "--zone", "FR", "--now", NOW).code == 1
