"""``gridcast journal``, as a user runs it on a home that has forecast."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta

import polars as pl
import pytest

import small_home
from gridcast.cli.journal import log
from gridcast.pipeline import answers
from gridcast.registry import Registry
from gridcast.store.canonical import canonical
from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal

ENTRIES = small_home.ISSUED_DAYS + 1
NOW = small_home.NOW.isoformat()


@pytest.fixture
def home(home):
    """A home of the test's own, with a log of seven issued forecasts."""
    return small_home.copy(home)


@pytest.fixture
def journal(gridcast, home):
    def call(*words):
        return gridcast("journal", *words)

    return call


def edit(home, statement, *values):
    """Change the database behind the log's back."""
    with closing(sqlite3.connect(home / "gridcast.db")) as database, database:
        changed = database.execute(statement, values).rowcount
    assert changed > 0


def append(home, *entries):
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        for each in entries:
            Journal(store).append(each)


def test_a_stored_forecast_that_was_changed_or_taken_is_found(home, journal):
    edit(home, "UPDATE forecast SET value = value * 2 WHERE valid_time = (SELECT min(valid_time) FROM forecast)")
    found = journal("verify")
    assert found.code == 1
    assert "is not the one of entry 1" in found.out
    edit(home, "DELETE FROM forecast")
    assert journal("verify").out.count("is not the one of entry") == ENTRIES


def window(version="conv1d_classic-00000000"):
    """An entry of the classic network."""
    return Entry("classic", small_home.NOW, "", version, canonical({"features": [[1.0]]}), b"{}")


def test_every_command_and_option_has_help(journal):
    names = [each.callback.__name__ for each in log.registered_commands]
    assert names == ["head", "verify", "replay", "entries"]
    assert all(f"\n  {name} " in journal("--help").out for name in names)
    for name in names:
        assert journal(name, "--help").out.count("--json  ") == 1


def test_the_head_is_printed_as_verify_wants_it(journal):
    found = journal("head")
    assert (found.code, found.err) == (0, "")
    count, _, noted = found.out.strip().partition(":")
    assert journal("head", "--json").document == {"count": int(count), "hash": noted}
    assert (int(count), len(noted)) == (ENTRIES, 64)
    later = journal("verify", "--noted", found.out.strip())
    assert (later.code, later.out) == (0, f"whole: {ENTRIES} entries, with the head of {ENTRIES} that was noted\n")


def test_a_whole_log_says_how_many_entries_it_has(journal):
    assert (journal("verify").code, journal("verify").out) == (0, f"whole: {ENTRIES} entries\n")
    assert journal("verify", "--json").document == {"whole": True, "count": ENTRIES, "faults": []}


def test_a_home_without_a_store_has_a_log_without_entries(journal, home):
    shutil.rmtree(home)
    assert journal("head").out == f"0:{'0' * 64}\n"
    assert journal("verify").out == "whole: 0 entries\n"
    assert journal("replay").code == 0
    assert journal("entries").out == "0 entries\n"
    assert journal("verify", "--noted", f"{ENTRIES}:{'a' * 64}").code == 1
    assert not home.exists()


TAMPERED = {
    "a column": "UPDATE journal SET zone = 'DK_2'",
    "an entry gone": "DELETE FROM journal",
    "a body gone": "UPDATE journal SET request = NULL",
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_changed_is_a_line_and_exit_1(journal, home, case):
    edit(home, f"{TAMPERED[case]} WHERE number = 3")
    found = journal("verify")
    assert (found.code, found.err) == (1, "")
    lines = found.out.splitlines()
    assert len(lines) == 1
    assert "entry 3 " in lines[0]
    document = journal("verify", "--json")
    assert document.code == 1
    assert document.document == {"whole": False, "count": ENTRIES, "faults": lines}


def test_one_byte_of_an_answer_is_found(journal, home):
    with closing(sqlite3.connect(home / "gridcast.db")) as database:
        (answer,) = database.execute("SELECT answer FROM journal WHERE number = 3").fetchone()
    spoilt = bytearray(answer)
    spoilt[40] ^= 1
    edit(home, "UPDATE journal SET answer = ? WHERE number = 3", bytes(spoilt))
    found = journal("verify")
    assert (found.code, found.out) == (1, "the answer of entry 3 is not the one that was appended\n")
    found = journal("replay")
    assert (found.code, "entry 3" in found.out + found.err) == (1, True)


def test_a_log_without_a_head_is_not_whole(journal, home):
    edit(home, "DELETE FROM journal_head")
    found = journal("verify", "--json")
    assert (found.code, found.document["count"]) == (1, None)
    assert any("0 heads" in fault for fault in found.document["faults"])
    assert journal("head").code == 1


def test_a_log_that_was_cut_is_found_by_the_head_that_was_noted(journal, home):
    noted = journal("head").out.strip()
    with closing(sqlite3.connect(home / "gridcast.db")) as database:
        (last,) = database.execute("SELECT hash FROM journal WHERE number = 5").fetchone()
    edit(home, "DELETE FROM journal WHERE number > 5")
    edit(home, "UPDATE journal_head SET count = 5, hash = ?", last)
    assert journal("verify").code == 0
    found = journal("verify", "--noted", noted)
    assert (found.code, found.out) == (1, "entries 6 to 7 are gone, though a head of 7 entries was noted\n")


def test_every_entry_replays_to_the_bit(journal):
    found = journal("replay", "--seed", 3)
    assert (found.code, found.out) == (0, f"{ENTRIES} same, 0 different, 0 impossible (seed 3)\n")
    few = journal("replay", "--count", 2, "--json")
    assert few.code == 0
    assert few.document | {"seed": 0} == {"seed": 0, "same": 2, "different": 0, "impossible": 0, "entries": []}


def test_an_entry_that_comes_out_different_is_named_and_exit_1(journal, home):
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        first, *_ = Journal(store).entries()
    document = json.loads(first.answer)
    document["intervals"][0]["quantiles"]["0.5"] += 1
    append(home, Entry("issued", first.at, first.zone, first.model_version, first.request, canonical(document)))
    found = journal("replay")
    assert found.code == 1
    line, counts = found.out.splitlines()
    assert line == f"entry {ENTRIES + 1}: different: its inputs and its model give another answer"
    assert counts.startswith(f"{ENTRIES} same, 1 different, 0 impossible (seed ")


def test_without_its_model_nothing_replays_which_proves_nothing(journal, home):
    shutil.rmtree(home / "models")
    found = journal("replay", "--json")
    assert found.code == 1
    assert (found.document["same"], found.document["impossible"]) == (0, ENTRIES)
    assert [each["number"] for each in found.document["entries"]] == list(range(1, ENTRIES + 1))
    assert all("no model version" in each["why"] for each in found.document["entries"])


def test_one_entry_whose_model_is_gone_is_named_and_no_failure(journal, home):
    append(home, Entry("on_demand", small_home.NOW, "DK_1", "20260102T030405Z-0123abcd", b'{"load": []}', b"{}"))
    found = journal("replay")
    assert found.code == 0
    line, counts = found.out.splitlines()
    assert line.startswith(f"entry {ENTRIES + 1}: impossible: ")
    assert counts.startswith(f"{ENTRIES} same, 0 different, 1 impossible")


def test_the_classic_network_is_loaded_for_its_entries_alone(journal, home, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert journal("replay").code == 0
    append(home, window())
    found = journal("replay")
    assert found.code == 0
    assert f"entry {ENTRIES + 1}: impossible: " in found.out
    assert 'pip install "gridcast[api]"' in found.out


def test_an_entry_of_the_classic_network_replays(journal, home):
    pytest.importorskip("onnxruntime", reason="the extra `api` is absent")
    from gridcast.models.classic_onnx import Classic

    network = Classic.load()
    answer = answers.classic(network.example, network=network)
    request = canonical({"features": network.example.tolist()})
    append(home, Entry("classic", small_home.NOW, "", network.version, request, answer))
    assert journal("replay", "--json").document["same"] == ENTRIES + 1


def test_forecasts_of_a_zone_of_ones_own_are_found_again(journal, gridcast, home, tmp_path, monkeypatch):
    path = tmp_path / "zones.toml"
    path.write_text('[ISLE]\nname = "An isle"\nmarket_tz = "Europe/Copenhagen"\ncountry = "DK"\n')
    monkeypatch.setenv("GRIDCAST_ZONES", str(path))
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        rows = store.observations(["DK_1"], variables=["load"])
        store.put(rows.with_columns(zone=pl.lit("ISLE")))
        registry = Registry(home / "models")
    trained = ("--now", (small_home.NOW - timedelta(days=1)).isoformat(), "model=linear")
    assert gridcast("train", "--zone", "ISLE", *trained).code == 0
    assert registry.champion("ISLE", "day_ahead")
    assert gridcast("issue", "--zone", "ISLE", "--now", NOW).code == 0
    assert journal("replay", "--json").document["same"] == ENTRIES + 1
    found = journal("entries", "--zone", "ISLE", "--json").document["entries"]
    assert [(each["number"], each["zone"]) for each in found] == [(ENTRIES + 1, "ISLE")]


def test_entries_are_written_beside_the_load_that_came(journal):
    found = journal("entries", "--out", "log.csv", "--now", NOW)
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert len(lines) == ENTRIES + 1
    assert lines[0].startswith("1 DK_1 from 2026-03-25T23:00:00Z, issued 2026-03-31T10:20:00Z by ")
    assert lines[-2].endswith("load of 0 of 24 intervals, MAE -")
    table = pl.read_csv("log.csv", try_parse_dates=True)
    rows = 9 * (24 * ENTRIES - 1)  # one day has 23 hours
    assert lines[-1] == f"{ENTRIES} entries, {rows} rows: log.csv"
    assert (table.height, table["number"].n_unique()) == (rows, ENTRIES)
    known = table.filter(pl.col("actual").is_not_null())
    assert known["valid_time"].max() < small_home.NOW
    median = known.filter(quantile=0.5, number=1)
    error = (median["value"] - median["actual"]).abs().mean()
    assert 0 < error < 0.1 * median["actual"].mean()
    assert f"MAE {error:.1f} MW" in lines[0]
    assert journal("entries", "--out", "log.csv").code == 1
    assert journal("entries", "--out", "log.parquet", "--force").code == 0
    assert pl.read_parquet("log.parquet").columns == table.columns


def test_entries_of_a_zone_and_of_days_are_chosen(journal, home):
    append(home, window())
    day = ("--from", "2026-03-31", "--to", "2026-04-01")
    found = journal("entries", "--zone", "DK_1", *day, "--json", "--now", NOW).document
    assert (len(found["entries"]), found["file"]) == (ENTRIES, None)
    assert found["entries"][3] | {"mae_mw": None} == {
        "number": 4,
        "kind": "issued",
        "zone": "DK_1",
        "made_at": "2026-03-31T10:20:00Z",
        "model_version": found["entries"][0]["model_version"],
        "start": "2026-03-28T23:00:00Z",
        "intervals": 23,
        "known": 23,
        "mae_mw": None,
    }
    assert journal("entries", "--zone", "DK_2").out == "0 entries\n"
    assert journal("entries", "--to", "2026-03-31").out == "0 entries\n"
    assert journal("entries", "--from", "2026-04-01").out == "0 entries\n"


def test_the_log_stays_whole_when_retention_lets_go_of_its_bodies(journal, gridcast):
    noted = journal("head").out.strip()
    assert gridcast("retain", "--since", "2026-04-01", "--delete").code == 0
    assert journal("verify", "--noted", noted).out == (
        f"whole: {ENTRIES + 1} entries, with the head of {ENTRIES} that was noted\n"
    )
    assert journal("replay", "--seed", 0).out == "0 same, 0 different, 0 impossible (seed 0)\n"
    assert journal("entries").out == "0 entries\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("verify --noted 7", 2, "COUNT:HASH"),
        ("verify --noted x:y", 2, "COUNT:HASH"),
        (f"verify --noted -1:{'a' * 64}", 2, "COUNT:HASH"),
        (f"verify --noted 7:{'A' * 64}", 2, "COUNT:HASH"),
        (f"verify --noted {'9' * 30}:{'a' * 64}", 2, "COUNT:HASH"),
        ("replay --count 0", 2, "--count"),
        ("replay --count many", 2, "--count"),
        ("replay --seed -1", 2, "--seed"),
        ("entries --zone DK_9", 2, "there is no zone"),
        ("entries --from 1.4.2026", 2, "--from '1.4.2026' is no day"),
        ("entries --from 2026-03-31 --to 2026-03-31", 2, "--to 2026-03-31 is not after --from"),
        ("entries --out nowhere/log.csv", 2, "there is no folder"),
        ("entries --out log.xlsx", 2, "does not end in .parquet or .csv"),
        ("entries --now soon", 2, "is no instant"),
        ("entries --out .csv", 2, "--out"),
        ("", 2, "gridcast journal --help"),
        ("burn", 2, "burn"),
    ],
)
def test_bad_input_is_one_line(journal, words, code, says):
    found = journal(*words.split())
    assert (found.code, found.out, found.err.count("\n")) == (code, "", 1), found
    assert says in found.err
