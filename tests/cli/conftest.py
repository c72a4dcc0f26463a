"""The command line as a user meets it, in this process: what it printed, how it ended, what it left behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doors import world
from gridcast.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as strict JSON: NaN and Infinity are none."""

        def strange(word: str) -> object:
            raise ValueError(f"{word} is no JSON")

        return json.loads(self.out, parse_constant=strange)


Command = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home that does not exist yet, and a working directory with nothing in it."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("GRIDCAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def gridcast(home, monkeypatch, capsys) -> Command:
    def call(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gridcast", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def good_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.csv"
    world().write_csv(path)
    return path
