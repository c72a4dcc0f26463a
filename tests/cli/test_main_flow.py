from __future__ import annotations

import csv
import io
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout

import polars as pl
import pytest

from doors import world
from gridcast.cli import main
from gridcast.contracts import QUANTILES
from gridcast.store.database import Store

TRAINED = "2026-11-20T09:00:00Z"
NOW = "2026-11-20T12:00:00Z"
"""13:00 in Denmark, two hours after the usual issue time of the 21st."""


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A home with a year of demo data of both Danish zones, and a linear champion for DK_1."""
    folder = tmp_path_factory.mktemp("stocked")
    ingest = "--source demo --start 2025-12-01 --end 2026-11-22 --now"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDCAST_HOME", str(folder / "home"))
        for words in (
            f"ingest --zone DK_1 {ingest} {TRAINED}",
            f"ingest --zone DK_2 {ingest} {TRAINED}",
            f"train --zone DK_1 model=linear --now {TRAINED}",
        ):
            patch.setattr(sys, "argv", ["gridcast", *words.split()])
            said = io.StringIO()
            with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as end:
                main()
            assert end.value.code == 0, said.getvalue()
    return folder / "home"


@pytest.fixture
def flow(gridcast, home, stocked):
    """Commands in a copy of the stocked home, each of which succeeds."""
    shutil.copytree(stocked, home)

    def call(words):
        found = gridcast(*words.split())
        assert found.code == 0, found.err
        assert found.err == ""
        return found

    return call


def issued(home, zone="DK_1"):
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        return store.forecasts(zone)


def test_an_issued_forecast_is_complete_ordered_and_named(flow, home):
    document = flow(f"issue --zone DK_1 --format json --now {NOW}").document
    assert set(document) == {
        *("zone", "issue_time", "unit", "resolution", "model_version", "degraded", "peak", "intervals", "day")
    }
    assert (document["zone"], document["unit"], document["resolution"]) == ("DK_1", "MW", "PT60M")
    assert document["degraded"] == ""
    stamps = [each["valid_time"] for each in document["intervals"]]
    assert stamps == ["2026-11-20T23:00:00Z", *(f"2026-11-21T{hour:02}:00:00Z" for hour in range(23))]
    for each in document["intervals"]:
        assert list(each["quantiles"]) == [f"{q:g}" for q in QUANTILES]
        values = list(each["quantiles"].values())
        assert values == sorted(values)
        assert 500 < values[0] < values[-1] < 5000
    top = max(document["intervals"], key=lambda each: each["quantiles"]["0.5"])
    assert document["peak"] == {"valid_time": top["valid_time"], "value": top["quantiles"]["0.5"]}
    assert issued(home).height == 24 * len(QUANTILES)


@pytest.mark.parametrize(
    ("now", "issue_time"),
    [
        ("2026-11-20T12:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T22:59:59Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T09:59:00Z", "2026-11-20T09:59:00Z"),
        ("2026-11-20T01:30:00+01:00", "2026-11-20T00:30:00Z"),
    ],
)
def test_the_issue_time_is_eleven_o_clock_or_now_where_that_is_earlier(flow, now, issue_time):
    document = flow(f"issue --zone DK_1 --format json --now {now}").document
    assert document["issue_time"] == issue_time
    assert document["intervals"][0]["valid_time"] == "2026-11-20T23:00:00Z"


@pytest.mark.parametrize(
    ("now", "hours"), [("2026-03-28T12:00:00Z", 23), ("2026-10-24T12:00:00Z", 25), ("2026-10-24T05:00:00Z", 25)]
)
def test_a_day_on_which_the_clocks_change_has_23_or_25_hours(flow, now, hours):
    document = flow(f"issue --zone DK_1 --format json --now {now}").document
    assert len(document["intervals"]) == hours
    assert len({each["valid_time"] for each in document["intervals"]}) == hours
    table = flow(f"issue --zone DK_1 --now {now}").out
    assert sum(line[2:5] == ":00" for line in table.splitlines()) == hours


def test_a_second_issue_is_identical_and_adds_nothing(flow, home):
    first = flow(f"issue --zone DK_1 --format json --now {NOW}")
    stored = issued(home)
    assert flow(f"issue --zone DK_1 --format json --now {NOW}") == first
    later = flow("issue --zone DK_1 --format json --delivery-day 2026-11-21 --now 2026-11-21T08:00:00Z")
    assert later == first
    assert issued(home).equals(stored)


def test_table_csv_and_json_show_one_forecast(flow):
    document = flow(f"issue --zone DK_1 --format json --now {NOW}").document
    rows = list(csv.DictReader(io.StringIO(flow(f"issue --zone DK_1 --format csv --now {NOW}").out)))
    assert [row["valid_time"] for row in rows] == [each["valid_time"] for each in document["intervals"]]
    for row, each in zip(rows, document["intervals"], strict=True):
        for name, value in each["quantiles"].items():
            assert float(row[f"q{name}"]) == pytest.approx(value, abs=1e-3)
    table = flow(f"issue --zone DK_1 --now {NOW}").out
    assert "Saturday 21 November 2026" in table
    assert f"{document['intervals'][0]['quantiles']['0.5']:,.0f}" in table
    assert document["model_version"] in table
    sparkline = table.splitlines()[2]
    assert len(sparkline) == 24
    assert set(sparkline) <= set("▁▂▃▄▅▆▇█")
    assert {"▁", "█"} <= set(sparkline)


def test_a_challenger_is_champion_only_when_promoted(flow):
    before = flow(f"issue --zone DK_1 --format json --now {NOW}").document["model_version"]
    challenger = flow("train --zone DK_1 model=naive --json --now 2026-11-20T09:30:00Z").document
    assert (challenger["champion"], challenger["model"]) == (False, "naive")
    assert flow(f"issue --zone DK_1 --format json --now {NOW}").document["model_version"] == before
    promoted = flow("train --zone DK_1 model=similar_day --promote --json --now 2026-11-20T09:40:00Z").document
    assert promoted["champion"] is True
    after = flow(f"issue --zone DK_1 --format json --now {NOW}").document["model_version"]
    assert after == promoted["version"] != before


def test_the_same_training_gives_the_same_version(flow):
    one, other = (flow(f"train --zone DK_2 model=linear --json --now {TRAINED}").document for _ in range(2))
    assert one == other


def test_old_load_and_missing_weather_are_said(flow):
    document = flow("issue --zone DK_1 --format json --now 2026-11-22T12:00:00Z").document
    assert "the newest load is" in document["degraded"]
    assert "h old" in document["degraded"]
    assert "weather is missing" in document["degraded"]
    assert "degraded: the newest load is" in flow("issue --zone DK_1 --now 2026-11-22T12:00:00Z").out
    early = flow("issue --zone DK_1 --format json --now 2026-11-20T02:00:00Z").document
    assert early["degraded"].startswith("a replay: its model was trained later, at 2026-11-20")
    assert early["degraded"].endswith("; weather is missing")  # the weather forecast of the 21st comes at 07:00Z


def test_a_model_trained_after_the_usual_issue_time_issues_now_and_not_as_of_then(flow):
    flow("train --zone DK_1 model=linear model.strength=2 --promote --now 2026-11-20T13:00:00Z")
    document = flow("issue --zone DK_1 --format json --now 2026-11-20T13:30:00Z").document
    assert (document["issue_time"], document["degraded"]) == ("2026-11-20T13:30:00Z", "")
    past = flow("issue --zone DK_1 --format json --delivery-day 2026-11-20 --now 2026-11-20T13:30:00Z").document
    assert past["issue_time"] == "2026-11-19T10:00:00Z"
    assert past["degraded"] == "a replay: its model was trained later, at 2026-11-20 13:00Z"
    flow("train --zone DK_1 model=linear --promote --now 2026-11-20T09:00:00Z")


def test_denmark_is_forecast_as_the_sum_of_its_zones(flow):
    assert flow(f"train --zone DK model=linear --now {TRAINED} --json").document["champion"] is True
    west = flow(f"issue --zone DK_1 --format json --now {NOW}").document["intervals"]
    flow(f"train --zone DK_2 model=linear --now {TRAINED}")
    east = flow(f"issue --zone DK_2 --format json --now {NOW}").document["intervals"]
    both = flow(f"issue --zone DK --format json --now {NOW}").document
    assert (both["zone"], both["degraded"], len(both["intervals"])) == ("DK", "", 24)
    for one, other, total in zip(west, east, both["intervals"], strict=True):
        parts = one["quantiles"]["0.5"] + other["quantiles"]["0.5"]
        assert total["quantiles"]["0.5"] == pytest.approx(parts, rel=0.05)
    wide, added = (
        sum(each["quantiles"]["0.9"] - each["quantiles"]["0.1"] for each in intervals)
        for intervals in (both["intervals"], [*west, *east])
    )
    assert wide < added  # errors of the two do not always go together: quantiles are not added


def test_the_24_hours_from_now_can_be_issued(flow):
    flow(f"train --zone DK_1 model=linear task=next_24h --now {TRAINED}")
    document = flow("issue --zone DK_1 --task next_24h --format json --now 2026-11-20T12:34:00Z").document
    assert document["issue_time"] == "2026-11-20T12:34:00Z"
    assert document["intervals"][0]["valid_time"] == "2026-11-20T13:00:00Z"
    assert len(document["intervals"]) == 24


def test_a_backtest_of_the_store_uses_its_weather_forecasts(flow):
    words = "backtest --zone DK_1 --from 2026-11-10 --to 2026-11-13 --models champion,naive --json"
    document = flow(words).document
    assert (document["weather_basis"], document["tso_basis"]) == ("forecast", "none")
    assert document["models"]["champion"]["skill_vs_naive"] > 0


def test_what_is_revised_after_the_issue_changes_no_forecast(gridcast, home, tmp_path):
    path = tmp_path / "load.csv"
    words = ("ingest", "--zone", "DK_1", "--source", "tabular", "--file", path, "--json", "--now")
    when = "--now 2018-04-10T12:00:00Z --delivery-day 2018-04-11"
    issue = f"issue --zone DK_1 --format json {when}".split()
    world().write_csv(path)
    assert gridcast(*words, "2018-04-10T08:00:00Z").code == 0
    assert gridcast("train", "--zone", "DK_1", "model=linear", "--now", "2018-04-10T08:30:00Z").code == 0
    first = gridcast(*issue)
    assert first.code == 0, first.err
    world().with_columns(load_mw=pl.col("load_mw") * 1.5).write_csv(path)
    revised = gridcast(*words, "2018-04-11T08:00:00Z").document
    assert (revised["new"], revised["revised"]) == (0, revised["received"])
    assert gridcast(*issue) == first
    # A forecast that is issued later has heard of it.
    later = gridcast(*["issue", "--zone", "DK_1", "--format", "json", "--now", "2018-04-11T12:00:00Z"]).document
    assert later["intervals"][12]["quantiles"]["0.5"] > 1.005 * first.document["intervals"][12]["quantiles"]["0.5"]
