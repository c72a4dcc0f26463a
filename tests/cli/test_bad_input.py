from __future__ import annotations

import gzip
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from doors import world

PERIOD = ("--from", "2018-04-01", "--to", "2018-04-04")


def left(*folders: Path) -> dict[str, bytes]:
    """Every file under some folders, and what it holds."""
    return {str(path): path.read_bytes() for each in folders for path in each.rglob("*") if path.is_file()}


@pytest.fixture
def refused(gridcast, home):
    """Runs a command that must fail with one line, an empty stdout and nothing written; returns the line."""

    def call(*words: object, says: str, code: int | None = None) -> str:
        desk = Path.cwd()
        before = left(home, desk), home.exists()
        found = gridcast(*words)
        assert found.code in ((1, 2) if code is None else (code,)), found
        assert found.out == ""
        assert found.err.startswith("gridcast: ")
        assert found.err.count("\n") == 1, found.err
        assert found.err.endswith("\n")
        assert re.search(says, found.err), found.err
        assert "Traceback" not in found.err
        assert (left(home, desk), home.exists()) == before
        return found.err

    return call


# --- files ---------------------------------------------------------------------------------------------------------


def good() -> list[str]:
    return world(days=5).write_csv().splitlines()


def spoilt(number: int, line: str) -> str:
    lines = good()
    lines[number] = line
    return "\n".join(lines)


FILES = {
    "without ts_utc": ("\n".join(good()).replace("ts_utc", "time"), "no column ts_utc"),
    "without load_mw": ("\n".join(good()).replace("load_mw", "mw"), "no column load_mw"),
    "with semicolons": ("\n".join(good()).replace(",", ";"), "no column"),
    "naive": ("\n".join(good()).replace("Z,", ","), "time zone"),
    "mixed": (spoilt(9, "2018-01-01T08:00:00,2000"), "not all.*line 10"),
    "not a stamp": (spoilt(9, "yesterday,2000"), "not a time stamp in line 10.*yesterday"),
    "no such day": (spoilt(9, "2018-02-30T08:00:00Z,2000"), "line 10"),
    "without a stamp": (spoilt(9, ",2000"), "line 10"),
    "duplicate": (spoilt(9, good()[8]), "line 9.*10"),
    "off the grid": (spoilt(9, "2018-01-01T08:07:00Z,2000"), "line 10"),
    "negative": (spoilt(9, "2018-01-01T08:00:00Z,-1"), "negative.*line 10"),
    "infinite": (spoilt(9, "2018-01-01T08:00:00Z,inf"), "line 10"),
    "not a number": (spoilt(9, "2018-01-01T08:00:00Z,nan"), "line 10"),
    "text": (spoilt(9, "2018-01-01T08:00:00Z,a lot"), "line 10.*a lot"),
    "ragged": (spoilt(9, "2018-01-01T08:00:00Z,1,2,3"), "not CSV"),
    "a header only": ("ts_utc,load_mw\n", "header only"),
    "one row": ("\n".join(good()[:2]), "one row"),
    "empty": ("", "is empty"),
    "blank": ("\n\n\n", "empty|no column"),
    "without a value": ("ts_utc,load_mw\n2018-01-01T00:00:00Z,\n2018-01-01T01:00:00Z,\n", "no load"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("verb", ["backtest", "ingest"])
def test_a_bad_file_gets_one_line_that_says_what_and_where(refused, tmp_path, case, verb):
    text, says = FILES[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    rest = PERIOD if verb == "backtest" else ("--source", "tabular")
    line = refused(verb, "--zone", "DK_1", "--file", path, *rest, says=says)
    assert "bad.csv" in line or "load" in line


def test_a_truncated_gzip_is_refused(refused, tmp_path):
    path = tmp_path / "cut.csv.gz"
    whole = gzip.compress("\n".join(good()).encode())
    for cut in (whole[: len(whole) // 2], whole[:-4], whole[:5]):
        path.write_bytes(cut)
        refused("backtest", "--zone", "DK_1", "--file", path, *PERIOD, says="cut.csv.gz is a damaged or truncated gzip")


@pytest.mark.parametrize("name", ["bad.csv", "bad.csv.gz", "bad.parquet", "bad"])
def test_a_binary_file_is_refused(refused, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 40)
    refused("backtest", "--zone", "DK_1", "--file", path, *PERIOD, says=re.escape(name))


def test_a_missing_file_and_a_folder_are_refused(refused, tmp_path):
    refused("backtest", "--zone", "DK_1", "--file", tmp_path / "none.csv", *PERIOD, says="none.csv does not exist")
    refused("backtest", "--zone", "DK_1", "--file", tmp_path, *PERIOD, says="cannot be read")
    refused("ingest", "--zone", "DK_1", "--source", "tabular", "--file", tmp_path, says="cannot be read")


def test_a_parquet_file_without_its_columns_is_refused(refused, tmp_path):
    path = tmp_path / "bad.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    refused("backtest", "--zone", "DK_1", "--file", path, *PERIOD, says="no column ts_utc and no column load_mw")


def test_unsorted_rows_are_accepted_and_give_identical_scores(gridcast, good_file, tmp_path):
    path = tmp_path / "shuffled.csv"
    pl.read_csv(good_file).sample(fraction=1.0, shuffle=True, seed=1).write_csv(path)
    documents = []
    for file in (good_file, path):
        found = gridcast("backtest", "--zone", "DK_1", "--file", file, *PERIOD, "--models", "naive,linear", "--json")
        assert found.code == 0, found.err
        documents.append(found.document)
    one, other = documents
    assert one.pop("data_sha256") != other.pop("data_sha256")
    for document in documents:
        for scores in document["models"].values():
            del scores["fit_seconds"], scores["predict_seconds"]
    assert one == other


# --- periods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("2017-01-01", "2017-02-01", "reaches from 2018-01-01 to 2018-04-11"),
        ("2019-01-01", "2019-02-01", "reaches from 2018-01-01 to 2018-04-11"),
        ("2017-12-01", "2018-02-01", "reaches from"),
        ("2018-04-01", "2018-05-01", "reaches from"),
        ("2017-01-01", "2020-01-01", "reaches from"),
        ("2018-04-04", "2018-04-01", "--to is exclusive"),
        ("2018-04-04", "2018-04-04", "--to is exclusive"),
        ("2018-01-05", "2018-01-08", "3 days|needed"),
    ],
)
def test_a_period_outside_the_file_is_refused(refused, good_file, first, last, says):
    refused("backtest", "--zone", "DK_1", "--file", good_file, "--from", first, "--to", last, says=says)


def test_too_little_history_says_how_much_is_needed_and_there(refused, good_file):
    refused(
        *("backtest", "--zone", "DK_1", "--file", good_file, "--from", "2018-02-01", "--to", "2018-02-03"),
        *("--models", "linear"),
        says=r"has \d+ days of load to train on and 60 are needed",
        code=1,
    )


@pytest.mark.parametrize("day", ["soon", "2018-13-01", "2018-02-30", "", "01.04.2018", "0001-01-01", "9999-12-31"])
def test_a_bad_date_is_refused(refused, good_file, day):
    refused(
        "backtest", "--zone", "DK_1", "--file", good_file, "--from", day, "--to", "2018-04-04", says="--from", code=2
    )
    refused("backtest", "--zone", "DK_1", "--file", good_file, "--from", "2018-04-01", "--to", day, says="--to", code=2)
    if day:
        refused("issue", "--zone", "DK_1", "--delivery-day", day, says="--delivery-day", code=2)
        refused("ingest", "--zone", "DK_1", "--source", "demo", "--start", day, says="--start", code=2)


@pytest.mark.parametrize("now", ["soon", "2026-01-31", "2026-01-31T09:00", "0001-01-01T00:00:00+14:00", ""])
def test_a_bad_now_is_refused(refused, now):
    for verb in (
        ("issue",),
        ("explain",),
        ("train",),
        ("ingest", "--source", "demo", "--start", "2026-01-01", "--end", "2026-01-09"),
    ):
        refused(*verb, "--zone", "DK_1", "--now", now, says="is no instant", code=2)
    refused("demo", "--now", now, says="is no instant", code=2)


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "nearest"), [("DK1", "DK_1"), ("DK_3", "DK_1"), ("dk_2", "DK_2"), ("DE", "DE_LU")])
def test_an_unknown_zone_names_the_nearest(refused, good_file, code, nearest):
    for verb in (
        ("backtest", "--file", good_file, *PERIOD),
        ("ingest", "--source", "tabular", "--file", good_file),
        ("train",),
        ("issue",),
        ("explain",),
    ):
        refused(*verb, "--zone", code, says=f"there is no zone '{code}'.*{nearest}", code=2)


@pytest.mark.parametrize("code", ["", " ", "DK_1,DK_2", "zone=DK_1", "${oc.env:HOME}", "Gotham"])
def test_a_strange_zone_is_an_unknown_one(refused, code):
    refused("train", "--zone", code, says="there is no zone", code=2)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--models", "boostd", "boosted"),
        ("--models", "naive,conv2d", "conv1d"),
        ("--models", ",", "no model is named"),
        ("--inputs", "load,wether", "wether"),
        ("--inputs", "", "no input"),
        ("--task", "week_ahead", "day_ahead"),
        ("--seed", "-1", "seed"),
        ("--seed", "x", "seed"),
        ("--bogus", "x", "bogus"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(refused, good_file, option, value, says):
    refused("backtest", "--zone", "DK_1", "--file", good_file, *PERIOD, option, value, says=says, code=2)


def test_an_unknown_task_of_issue_is_refused(refused):
    refused("issue", "--zone", "DK_1", "--task", "week_ahead", says="day_ahead", code=2)


def test_wrong_usage_is_one_line_too(refused):
    refused("bogus", says="bogus", code=2)
    refused("backtest", "--zone", "DK_1", says="--from|--to", code=2)
    refused("ingest", "--zone", "DK_1", "--source", "crystal-ball", says="tabular.*demo", code=2)
    for verb in ("issue", "explain"):
        refused(verb, "--zone", "DK_1", "--format", "xml", says="table.*json.*csv", code=2)


def test_ingest_and_its_sources_go_with_their_options(refused, good_file):
    refused("ingest", "--zone", "DK_1", "--source", "tabular", says="--file", code=2)
    refused("ingest", "--zone", "DK_1", "--source", "demo", "--file", good_file, says="--file", code=2)
    refused("ingest", "--zone", "DK_1", "--source", "demo", says="--start", code=2)
    refused(*("ingest", "--zone", "FR", "--source", "demo", "--start", "2026-01-01", "--end", "2026-02-01"), says="FR")
    refused(
        *("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file, "--start", "2020-01-01"),
        says="no load in the days",
    )
    refused(
        *("ingest", "--zone", "DK_1", "--source", "demo", "--start", "2026-02-01", "--end", "2026-01-01"),
        says="is not after --start",
        code=2,
    )


@pytest.mark.parametrize("command", ["report", "quarantine", "snapshot"])
def test_days_are_written_one_way_and_in_their_order(refused, command):
    words = (command, "--zone", "DK_1", *(() if command == "quarantine" else ("--out", "out.html")))
    if command == "snapshot":
        words = (*words[:-1], "out.parquet")
    refused(*words, "--start", "2026-02-01", "--end", "2026-01-01", says="is not after --start", code=2)
    for day in ("20260201", "2026-W10-1", "1-2-2026"):
        refused(*words, "--start", day, says="YYYY-MM-DD", code=2)


@pytest.mark.parametrize(
    "override", ["model=linera", "model.strenth=2", "model.strength=much", "seed=-1", "nonsense", "task=week_ahead"]
)
def test_a_bad_override_is_refused(refused, override):
    refused("train", "--zone", "DK_1", override, says=re.escape(override), code=2)


def test_a_model_without_its_extra_is_refused_with_what_to_install(refused, good_file, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("torch", "lightning")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("gridcast.models.training", "gridcast.models.networks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "lightning", None)
    for model in ("conv1d", "conv1d_classic"):
        refused(
            *("backtest", "--zone", "DK_1", "--file", good_file, *PERIOD, "--models", model),
            says=rf'{model}.*pip install "gridcast\[deep\]"',
            code=2,
        )


@pytest.mark.parametrize(
    "text", ["[zones", "[zones.MINE]\nlocal_tz = 'Mars/Olympus'\n", "[MINE]\nmembers = ['DK_1', 'NOWHERE']\n"]
)
def test_a_zones_file_with_an_error_is_refused(refused, tmp_path, monkeypatch, text):
    path = tmp_path / "zones.toml"
    path.write_text(text)
    monkeypatch.setenv("GRIDCAST_ZONES", str(path))
    refused("zones", says="zones.toml", code=2)
    refused("issue", "--zone", "DK_1", says="zones.toml", code=2)


# --- outputs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_work(monkeypatch):
    """Fails the test where the long work begins."""

    def begun(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("gridcast.pipeline.read_file", begun)
    monkeypatch.setattr("gridcast.pipeline.replay", begun)
    monkeypatch.setattr("gridcast.pipeline.fetch", begun)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("--out there.csv", "there.csv exists.*--force"),
        ("--report there.html", "there.html exists.*--force"),
        ("--out out.xlsx", r"\.parquet or \.csv"),
        ("--out out", r"\.parquet or \.csv"),
        ("--out out.csv.gz", r"\.parquet or \.csv"),
        ("--report out.pdf", r"\.html"),
        ("--out nowhere/out.csv", "nowhere"),
        ("--report nowhere/out.html", "nowhere"),
        ("--out folder.csv", "folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_work(refused, good_file, no_work, output, says):
    for there in ("there.csv", "there.html"):
        Path(there).write_text("mine")
    Path("folder.csv").mkdir()
    refused("backtest", "--zone", "DK_1", "--file", good_file, *PERIOD, *output.split(), says=says)
    if output.startswith("--report"):
        refused("demo", *output.split(), says=says)


def test_force_overwrites_an_output(gridcast, good_file):
    Path("out.csv").write_text("mine")
    words = ("backtest", "--zone", "DK_1", "--file", good_file, *PERIOD, "--models", "naive", "--out", "out.csv")
    assert gridcast(*words).code == 1
    assert Path("out.csv").read_text() == "mine"
    assert gridcast(*words, "--force").code == 0
    assert Path("out.csv").read_text().startswith("zone,")


# --- stores --------------------------------------------------------------------------------------------------------


def test_a_corrupt_database_is_refused(refused, home):
    home.mkdir()
    (home / "gridcast.db").write_bytes(b"this is no database" * 500)
    for words in (("backtest", *PERIOD), ("train",), ("issue",), ("explain",)):
        refused(*words, "--zone", "DK_1", says="gridcast.db cannot be opened", code=1)


def test_a_foreign_database_is_refused_and_keeps_its_tables(gridcast, home):
    home.mkdir()
    path = home / "gridcast.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE observation (id INTEGER)")
    for words in (("backtest", *PERIOD), ("train",), ("issue",)):
        found = gridcast(*words, "--zone", "DK_1")
        assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
        assert "gridcast.db has a table observation with other columns" in found.err
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("observation",)]


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all/x.db", "postgresql+psycopg://me:geheim@127.0.0.1:9/x", "mysql://x", "nonsense"]
)
def test_an_unreachable_database_is_refused_without_its_password(refused, good_file, monkeypatch, url):
    monkeypatch.setenv("GRIDCAST_DATABASE_URL", url)
    for words in (("backtest", *PERIOD), ("ingest", "--source", "tabular", "--file", good_file)):
        assert "geheim" not in refused(*words, "--zone", "DK_1", says="database|driver")


def test_an_empty_store_says_what_to_ingest_and_leaves_nothing_behind(refused):
    refused("train", "--zone", "DK_1", says="gridcast ingest --zone DK_1", code=1)
    refused("backtest", "--zone", "DK_1", *PERIOD, says="no load of DK_1", code=1)
    for verb in ("issue", "explain"):
        refused(verb, "--zone", "DK_1", says="gridcast train --zone DK_1", code=1)


def test_a_delivery_day_that_is_not_forecastable_yet_is_refused(refused, gridcast, good_file):
    assert gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file).code == 0
    now = "2018-04-11T09:00:00Z"
    refused("issue", "--zone", "DK_1", "--now", now, says="gridcast train --zone DK_1", code=1)
    assert gridcast("train", "--zone", "DK_1", "model=naive", "--now", now).code == 0
    line = refused(
        "issue", "--zone", "DK_1", "--now", now, "--delivery-day", "2018-04-13", says="cannot be forecast yet", code=1
    )
    assert "2018-04-12" in line
    refused("issue", "--zone", "DK_1", "--now", "2017-01-01T00:00:00Z", says="no load of DK_1 was public", code=1)
    for words in (("train",), ("train", "model=naive")):
        refused(*words, "--zone", "DK_1", "--now", "2018-01-03T00:00:00Z", says="needed", code=1)
    refused("train", "--zone", "DK_1", "--now", "2018-01-01T05:00:00Z", says="history", code=1)


def test_ingesting_twice_adds_nothing(gridcast, good_file, home):
    words = ("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file, "--json")
    first, second = gridcast(*words).document, gridcast(*words).document
    rows = pl.read_csv(good_file).height
    assert (first["requested"], first["received"], first["new"], first["missing"]) == (rows, rows, rows, [])
    assert (second["received"], second["new"], second["revised"]) == (rows, 0, 0)
    assert (first["first"], first["last"]) == ("2018-01-01T00:00:00Z", "2018-04-10T23:00:00Z")


def test_ingest_names_the_intervals_that_are_missing(gridcast, tmp_path):
    path = tmp_path / "gaps.csv"
    world(days=9).filter(~pl.int_range(pl.len()).is_in([5, 6, 100])).write_csv(path)
    account = gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", path, "--json").document
    starts = ["2018-01-01T05:00:00Z", "2018-01-01T06:00:00Z", "2018-01-05T04:00:00Z"]
    assert [each["start"] for each in account["missing"]] == starts
    assert account["requested"] == account["received"] + len(starts)


def test_a_bad_file_after_a_good_one_changes_nothing_in_the_store(gridcast, refused, good_file, tmp_path):
    assert gridcast("ingest", "--zone", "DK_1", "--source", "tabular", "--file", good_file).code == 0
    path = tmp_path / "bad.csv"
    path.write_text(spoilt(9, "2018-01-01T08:00:00Z,-1"))
    refused("ingest", "--zone", "DK_1", "--source", "tabular", "--file", path, says="negative")


# --- through a real process ----------------------------------------------------------------------------------------


def in_process(*words: object, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from gridcast.cli import main; main()", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=home.parent,
        env={**os.environ, "GRIDCAST_HOME": str(home)},
    )


def test_a_process_ends_with_one_line_and_its_code(home, good_file):
    found = in_process("backtest", "--zone", "DK1", "--file", good_file, *PERIOD, home=home)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    found = in_process("issue", "--zone", "DK_1", home=home)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert not home.exists()


def test_a_reader_that_leaves_early_is_no_error_of_ours(home):
    script = f"{sys.executable} -c 'from gridcast.cli import main; main()' zones | head -n 1"
    found = subprocess.run(
        script,
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "GRIDCAST_HOME": str(home)},
    )
    assert found.stdout.startswith("zone")
    assert found.stderr == ""
