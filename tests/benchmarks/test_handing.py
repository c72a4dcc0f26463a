"""What peers are handed, and that no load younger than was public reaches them."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from arena import contestants, environments, handing, running
from made_up_load import MISSING, task_on
from platformdirs import user_cache_path

pd = pytest.importorskip("pandas", reason="what peers read with is pandas")

import case as cases  # noqa: E402

ADAPTERS = [name for name, contestant in contestants.everyone().items() if contestant.peer is not None]


def handed(task, folder, *, inputs=None):
    place = folder / "case"
    place.mkdir(exist_ok=True)
    handing.write(task, place, data=folder, inputs=task.inputs if inputs is None else inputs)
    return cases.read(place)


@pytest.mark.parametrize("code", ["dk_2018", "vic_2014", "dk_next_24h"])
def test_the_newest_known_load_is_the_last_one_that_ended_two_hours_before_the_issue_time(tmp_path, code):
    task = task_on(tmp_path, code=code)
    table = handing.origin_table(task, handing.observations(task, data=tmp_path))
    hour = timedelta(hours=1)
    for row in table.iter_rows(named=True):
        assert row["known_until"] + hour + 2 * hour <= row["issue_time"]
        assert row["known_until"] + 2 * hour + 2 * hour > row["issue_time"]
    assert table["start"].is_sorted()
    assert (table["start"] > table["issue_time"]).all()


def test_a_newest_load_that_is_missing_is_not_known(tmp_path):
    task = task_on(tmp_path, code="dk_2018", missing=24 * 30 + 6)  # 06:00 UTC, else known at 09:00: 11:00 in Denmark
    known = handing.origin_table(task, handing.observations(task, data=tmp_path))["known_until"]
    assert known.dt.hour().to_list() == [6, 5, 6, 6, 6]


def test_a_refit_is_due_at_the_first_origin_and_where_a_month_of_delivery_days_begins(tmp_path):
    case = handed(task_on(tmp_path), tmp_path)
    month = [origin.start.tz_convert("Europe/Paris").month for origin in case.origins]
    assert [origin.refit for origin in case.origins] == [
        True,
        *(a != b for a, b in pairwise(month)),
    ]
    assert [len(block) for block in case.blocks()] == [month.count(each) for each in sorted(set(month))]
    assert sum(case.blocks(), ()) == case.origins
    assert sum(case.blocks(every=6), ()) == case.origins


def test_columns_are_those_that_the_task_allows_and_a_gap_stays_one(tmp_path):
    task = task_on(tmp_path)
    everything = handed(task, tmp_path).history
    assert sorted(everything) == ["load", "load_forecast_tso", "temperature_2m"]
    assert everything["load"].isna().to_numpy().nonzero()[0].tolist() == [MISSING]
    assert list(handed(task, tmp_path, inputs=("load", "calendar")).history) == ["load"]


def corrupted(case, origin):
    """The case with every load that was not public at the origin made absurd."""
    history = case.history.copy()
    history.loc[history.index > origin.known_until, "load"] = -1e9
    return cases.Case(**{**vars(case), "history": history})


def test_what_a_peer_sees_and_learns_does_not_change_with_the_future(tmp_path):
    case = handed(task_on(tmp_path), tmp_path)
    for origin in case.origins:
        other = corrupted(case, origin)
        pd.testing.assert_frame_equal(case.seen(origin), other.seen(origin))
        pd.testing.assert_frame_equal(case.learned(origin), other.learned(origin))
        seen = case.seen(origin)
        assert seen["load"].last_valid_index() == case.learned(origin).index[-1] == origin.known_until
        assert seen.index[-1] + case.step == origin.end
        assert cases.filled(seen["load"][: origin.known_until], 168).notna().all()


def test_a_gap_is_filled_from_the_week_before(tmp_path):
    case = handed(task_on(tmp_path), tmp_path)
    load = case.history["load"]
    assert cases.filled(load, 168).iloc[MISSING] == load.iloc[MISSING - 168]


def test_the_calendar_is_that_of_local_days(tmp_path):
    case = handed(task_on(tmp_path, days=70), tmp_path)
    found = cases.calendar(case.history.index, case)
    night = pd.Timestamp("2018-04-01T22:00Z")  # Easter Monday begins in Paris
    assert found.loc[night, ["hour", "weekday", "holiday", "day_after_holiday"]].tolist() == [0, 0, 1, 0]
    assert found.loc[night - case.step, ["hour", "weekday", "holiday", "day_before_holiday"]].tolist() == [23, 6, 0, 1]


def test_the_operator_forecasts_every_interval_of_every_window_by_its_median(tmp_path):
    task = task_on(tmp_path)
    found = handing.operator_forecast(task, data=tmp_path)
    assert found["quantile"].unique().to_list() == [0.5]
    assert found.height == 24 * 5
    lead = (found["valid_time"] - found["issue_time"]).dt.total_hours()
    assert lead.min() >= 12


@pytest.mark.long
@pytest.mark.parametrize("name", ADAPTERS)
def test_a_peers_first_forecast_does_not_change_with_the_future(name, tmp_path):
    contestant = contestants.everyone()[name]
    folder = user_cache_path("gridcast") / "benchmarks"
    if not list(folder.glob(f"{contestant.peer.name}-*/{environments.READY}")):
        pytest.skip(f"{contestant.peer.name} has no environment: python benchmarks/accuracy makes it")
    python, script = environments.of_peer(contestant.peer, folder=folder), contestant.peer.folder / "forecast.py"
    found = []
    for part in ("as it is", "corrupted"):
        place = tmp_path / part
        place.mkdir()
        case = handed(task_on(place, days=212), place)
        if part == "corrupted":
            corrupted(case, case.origins[0]).history.reset_index().to_parquet(place / "case" / "history.parquet")
        environment = os.environ | running.ONE_THREAD | {"PYTHONPATH": str(script.parents[1])}
        command = [str(python), str(script), str(place / "case"), *filter(None, [contestant.variant])]
        subprocess.run(command, env=environment, cwd=place, check=True, capture_output=True)
        made = pl.read_parquet(place / "case" / handing.OUTPUT).sort("issue_time", "valid_time", "quantile")
        found.append([made.filter(pl.col("issue_time") == origin.issue_time)["value"] for origin in case.origins[:2]])
    (first, second), (other, changed) = found
    assert first.equals(other)
    assert not np.isnan(first.to_numpy()).any()
    assert not second.equals(changed)
