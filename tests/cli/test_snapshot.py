"""A training snapshot stands in for the store: same scores, same bytes, at every run."""

from __future__ import annotations

import json

import pytest

PERIOD = ("--start", "2026-01-01", "--end", "2026-03-20")
NOW = "2026-03-20T12:00:00Z"


@pytest.fixture
def filled(gridcast):
    found = gridcast("ingest", "--zone", "DK_1", "--source", "demo", *PERIOD, "--now", NOW)
    assert found.code == 0, found.err
    return gridcast


@pytest.fixture
def snapshot(filled, tmp_path):
    found = filled("snapshot", "--zone", "DK_1", "--out", tmp_path / "s.parquet", "--as-of", NOW, "--json")
    assert found.code == 0, found.err
    assert found.document == json.loads((tmp_path / "s.json").read_text())
    return tmp_path / "s.parquet"


def scores(gridcast, out, *words):
    days = ("--from", "2026-03-17", "--to", "2026-03-19")
    found = gridcast("backtest", "--zone", "DK_1", *days, "--models", "linear,naive", "--scores", out, *words)
    assert found.code == 0, found.err
    return out.read_bytes()


def test_a_snapshot_is_scored_like_the_store_it_was_written_from(filled, snapshot, tmp_path):
    of_the_store = json.loads(scores(filled, tmp_path / "store.json"))
    of_the_snapshot = json.loads(scores(filled, tmp_path / "snapshot.json", "--snapshot", snapshot))
    assert of_the_snapshot["models"] == of_the_store["models"]
    assert of_the_snapshot["data_sha256"] == json.loads(snapshot.with_suffix(".json").read_text())["digest"]


def test_scores_are_the_same_bytes_at_every_run_and_hold_no_timing(filled, snapshot, tmp_path):
    first, second = (scores(filled, tmp_path / f"{n}.json", "--snapshot", snapshot) for n in (1, 2))
    assert first == second
    assert b"seconds" not in first
    assert b"mae_mw" in first


def test_a_snapshot_is_trained_on_as_at_its_as_of_and_needs_no_store(filled, snapshot, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDCAST_HOME", str(tmp_path / "elsewhere"))
    found = filled("train", "--zone", "DK_1", "--snapshot", snapshot, "--json", "model=linear")
    assert (found.code, found.err) == (0, "")
    assert found.document["version"].startswith("20260320T120000Z-")
    assert not (tmp_path / "elsewhere" / "gridcast.db").exists()


def test_now_may_set_another_instant_of_training(filled, snapshot):
    later = ("--now", "2026-03-21T00:00:00Z")
    found = filled("train", "--zone", "DK_1", "--snapshot", snapshot, "--json", *later, "model=linear")
    assert found.document["version"].startswith("20260321T000000Z-")


def test_a_snapshot_in_words_says_where_its_statement_is(filled, tmp_path):
    found = filled(
        "snapshot", "--zone", "DK_1", "--out", tmp_path / "s.json", "--start", "2026-01-02", "--end", "2026-01-03"
    )
    assert found.out.startswith("DK_1: 48 rows, public at 2026-01-0")
    assert found.out.endswith("stated in s.json\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("backtest", "--zone", "DK_1", "--from", "2026-03-17", "--to", "2026-03-19", "--file", "a.csv"), "both name"),
        (("train", "--zone", "DK_2"), "a snapshot of DK_1, not of DK_2"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(filled, snapshot, words, says):
    found = filled(*words, "--snapshot", snapshot)
    assert (found.code, found.out) == (2, "")
    assert says in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("there", ["s.parquet", "s.json"])
def test_what_is_there_is_not_overwritten_unless_asked(filled, tmp_path, there):
    (tmp_path / there).write_text("mine")
    words = ("snapshot", "--zone", "DK_1", "--out", tmp_path / "s.parquet")
    found = filled(*words)
    assert found.code == 1
    assert f"{there} exists" in found.err
    assert (tmp_path / there).read_text() == "mine"
    assert filled(*words, "--force").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--out", "s.csv"), "does not end in"), (("--out", "s.json", "--as-of", "noon"), "--as-of 'noon' is no instant")],
)
def test_wrong_words_are_refused(filled, words, says):
    found = filled("snapshot", "--zone", "DK_1", *words)
    assert found.code == 2
    assert says in found.err
