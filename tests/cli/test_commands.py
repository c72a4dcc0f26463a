from __future__ import annotations

import io
import sys
from importlib.metadata import version

import pytest

from gridcast.cli.app import app
from gridcast.cli.options import progress_bar

COMMANDS = ("zones", "ingest", "simulate", "report", "doctor", "quarantine", "backup", "restore", "retain", "snapshot")
COMMANDS += ("train", "backtest", "issue", "explain", "demo", "serve", "key")


class Terminal(io.StringIO):
    """A terminal that remembers what it was shown."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_lists_every_command(gridcast, words):
    found = gridcast(*words)
    assert (found.code, found.err) == (0, "")
    assert all(f"\n  {name} " in found.out for name in COMMANDS)


def test_every_command_and_option_has_help(gridcast):
    assert {each.callback.__name__ for each in app.registered_commands} == set(COMMANDS)
    for name in COMMANDS:
        found = gridcast(name, "--help")
        assert (found.code, found.err) == (0, "")
        usage, options = found.out.split("Options:\n")
        assert len(usage.strip().splitlines()) > 2, name
        for number, line in enumerate(lines := options.splitlines()):
            if line.startswith("  --"):
                explained = len(line.strip().split("  ", 1)) == 2 or lines[number + 1].startswith(" " * 10)
                assert explained, (name, line)


def test_progress_is_shown_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr(sys, "stderr", plain := io.StringIO())
    with progress_bar("replaying") as moved:
        assert moved is None
    assert plain.getvalue() == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress_bar("replaying") as moved:
        moved(1, 2)
        moved(2, 2)
    assert "replaying" in terminal.getvalue()


def test_a_terminal_sees_the_bar_and_stdout_stays_one_document(gridcast, good_file, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    words = f"backtest --zone DK_1 --file {good_file} --from 2018-04-01 --to 2018-04-03 --models naive --json"
    assert gridcast(*words.split()).document["models"]["naive"]["n"] == 48
    assert "replaying" in terminal.getvalue()


def test_zones_are_listed_as_a_table_and_as_json(gridcast):
    zones = gridcast("zones", "--json").document["zones"]
    assert {"DK_1", "DK_2", "DK", "NO_1", "SE_4", "FI", "DE_LU", "FR", "ES", "NL", "BE", "AT", "PL", "CZ"} <= set(zones)
    assert {"GB", "VIC"} <= set(zones)
    assert zones["DK"]["members"] == ["DK_1", "DK_2"]
    assert (zones["DK"]["gate_closure"], zones["DK_1"]["gate_closure"]) == (None, "12:00")
    assert zones["DK_1"]["issue_time"] == "11:00"
    table = gridcast("zones").out
    assert all(any(line.startswith(f"{code} ") for line in table.splitlines()) for code in zones)


def test_zones_of_ones_own_are_listed_and_used(gridcast, good_file, tmp_path, monkeypatch):
    path = tmp_path / "zones.toml"
    path.write_text('[ISLE]\nname = "An isle"\nmarket_tz = "Europe/Copenhagen"\ncountry = "DK"\n')
    monkeypatch.setenv("GRIDCAST_ZONES", str(path))
    found = gridcast("zones", "--json")
    assert found.code == 0, found.err
    assert found.document["zones"]["ISLE"]["name"] == "An isle"
    words = f"backtest --zone ISLE --file {good_file} --from 2018-04-01 --to 2018-04-03 --models naive --json"
    assert gridcast(*words.split()).document["zone"] == "ISLE"


def test_the_version_is_printed_alone(gridcast):
    answer = gridcast("--version")
    assert (answer.code, answer.out.split()) == (0, ["gridcast", version("gridcast")])
