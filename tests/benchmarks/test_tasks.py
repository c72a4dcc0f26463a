"""Tasks stay what they were when they were published, and agree with gridcast's zones."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from arena import contestants, tasks

CODES = [name.removesuffix(".toml") for _, name in tasks.published()]
FIRST_TWELVE = "cdde242d"


def test_every_published_task_is_there_and_unchanged():
    for digest, name in tasks.published():
        assert tasks.sha256(tasks.FOLDER / name) == digest, f"{name} was published: write a new task instead"


def test_every_task_is_published():
    assert sorted(path.name for path in tasks.FOLDER.glob("*.toml")) == sorted(f"{code}.toml" for code in CODES)


def test_the_list_of_published_tasks_only_grows():
    first = "\n".join(f"{digest}  {name}" for digest, name in tasks.published()[:12])
    assert hashlib.sha256(first.encode()).hexdigest()[:8] == FIRST_TWELVE


@pytest.mark.parametrize("code", CODES)
def test_a_task_names_a_period_and_its_inputs_have_a_basis(code):
    task = tasks.everything()[code]
    assert task.first < task.last
    assert ("weather" in task.inputs) == (task.weather_basis != "none")
    assert "tso" not in task.inputs or task.tso_basis != "none"


def test_a_task_that_is_issued_when_gridcast_would_not_is_refused(tmp_path):
    text = (tasks.FOLDER / "vic_2014.toml").read_text("utf-8")
    (tmp_path / "vic.toml").write_text(text.replace("12:00 Australia", "06:00 Australia"), encoding="utf-8")
    with pytest.raises(tasks.TaskError, match="12:00 Australia/Melbourne"):
        tasks.read(tmp_path / "vic.toml")


def test_a_task_with_other_refits_than_the_backtest_makes_is_refused(tmp_path):
    text = (tasks.FOLDER / "dk_2018.toml").read_text("utf-8")
    (tmp_path / "dk.toml").write_text(text.replace("monthly", "daily"), encoding="utf-8")
    with pytest.raises(tasks.TaskError, match="monthly"):
        tasks.read(tmp_path / "dk.toml")


def test_another_load_file_than_the_published_one_is_refused(tmp_path):
    task = replace(tasks.everything()["dk_2018"], file="a.csv")
    with pytest.raises(tasks.TaskError, match="does not exist"):
        tasks.load_file(task, data=tmp_path)
    (tmp_path / "a.csv").write_text("ts_utc,load_mw\n", encoding="utf-8")
    with pytest.raises(tasks.TaskError, match="is not the file"):
        tasks.load_file(task, data=tmp_path)


@pytest.mark.parametrize("code", CODES)
def test_the_load_files_are_the_published_ones(code, shared_data):
    assert tasks.load_file(tasks.everything()[code], data=shared_data).is_file()


def test_contestants_run_on_tasks_that_exist_and_peers_have_pinned_requirements():
    everyone = contestants.everyone()
    assert {"champion", "naive", "operator"} <= everyone.keys()
    for contestant in everyone.values():
        assert set(contestant.tasks) <= set(CODES)
        assert (contestant.model is not None) + contestant.operator + (contestant.peer is not None) == 1
        if contestant.peer is not None:
            assert (contestant.peer.folder / "forecast.py").is_file()
            lines = (contestant.peer.folder / "requirements.txt").read_text("utf-8").splitlines()
            assert lines
            assert all("==" in line for line in lines)


def test_the_operator_takes_part_where_its_forecast_is_in_the_file():
    operator, every = contestants.everyone()["operator"], tasks.everything()
    assert operator.takes_part(every["fr_2018"])
    assert not operator.takes_part(every["dk_2018"])


def test_a_contestant_that_takes_no_operator_forecast_has_the_same_inputs_with_and_without_it():
    naive, every = contestants.everyone()["naive"], tasks.everything()
    assert naive.inputs(every["fr_2018"]) == naive.inputs(every["fr_2018_tso"]) == ("load",)
