from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gridcast.cli import main
from gridcast.store.database import Store

NOW = "2026-11-20T09:00:00Z"


def demo(home, *words):
    """Runs the demo in a home: its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("GRIDCAST_HOME", str(home))
        patch.setattr(sys, "argv", ["gridcast", "demo", "--now", NOW, *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The demo's home, and the document and the log of its first run."""
    home = tmp_path_factory.mktemp("demo") / "not" / "there" / "yet"
    code, out, err = demo(home, "--json")
    assert code == 0, err
    return home, json.loads(out), err


def test_the_demo_prints_one_document_that_is_labelled_synthetic(first):
    _, document, _ = first
    assert set(document) == {"synthetic", "forecasts", "backtest", "report"}
    assert document["synthetic"] is True
    assert [each["zone"] for each in document["forecasts"]] == ["DK_1", "DK_2"]
    for each in document["forecasts"]:
        assert each["issue_time"] == "2026-11-20T09:00:00Z"
        assert each["degraded"] == ""
        assert len(each["intervals"]) == 24
        assert each["intervals"][0]["valid_time"] == "2026-11-20T23:00:00Z"


def test_the_demo_scores_its_models_on_four_weeks(first):
    _, document, _ = first
    backtest = document["backtest"]
    assert list(backtest["models"]) == ["naive", "linear", "boosted", "ensemble"]
    assert backtest["weather_basis"] == "forecast"
    assert {scores["origins"] for scores in backtest["models"].values()} == {28}
    assert backtest["models"]["ensemble"]["mae_mw"] < 0.8 * backtest["models"]["naive"]["mae_mw"]
    assert 60 < backtest["models"]["ensemble"]["coverage_80_pct"] < 95


def test_the_demo_says_what_it_does_without_a_bar_or_a_trace(first):
    _, _, err = first
    assert all(line.startswith("gridcast demo: ") for line in err.splitlines())
    assert "synthetic" in err
    assert "\x1b" not in err


def test_the_report_of_the_demo_stands_alone(first):
    home, document, _ = first
    path = Path(document["report"])
    assert path == home / "demo" / "report.html"
    page = path.read_text(encoding="utf-8")
    assert "synthetic" in page.lower()
    linked = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)|url\(\s*["']?([^"')]*)""", page)
    assert all((link or address).startswith(("data:", "#")) for link, address in linked)
    assert not re.search(r"<script|<link|@import", page)
    assert "/demo" not in page  # no path of the machine it was made on


def test_the_demo_leaves_the_store_of_the_user_alone(first):
    home, _, _ = first
    assert [path.name for path in home.iterdir()] == ["demo"]
    with Store(f"sqlite:///{home / 'demo' / 'gridcast.db'}") as store:
        assert store.zones() == ["DK_1", "DK_2"]
        assert store.forecasts("DK_1").height == 24 * 9


@pytest.mark.long
def test_a_second_demo_finds_its_store_filled_and_says_the_same(first):
    home, document, _ = first
    code, out, err = demo(home, "--json")
    assert code == 0, err
    again = json.loads(out)
    for scores in (*again["backtest"]["models"].values(), *document["backtest"]["models"].values()):
        scores["fit_seconds"] = scores["predict_seconds"] = 0
    assert again == document
    code, out, err = demo(home)
    assert code == 0, err
    assert "Synthetic data" in out
