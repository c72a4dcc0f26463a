"""What docs/serving.md tells people to type does what it says there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import small_home
from serving import served

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(small_home.copy(tmp_path_factory.mktemp("served") / "home")) as (found, _):
        yield found


def at(address: str, text: str) -> str:
    host = address.removeprefix("http://")
    return text.replace("localhost:8000", host).replace("127.0.0.1:8000", host)


def run(script: str, *, folder: Path) -> str:
    done = subprocess.run(script, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_line_of_curl_is_answered(address, tmp_path):
    reads, refused = (block for block in blocks("bash") if block.startswith("curl"))
    for line in reads.splitlines():
        said = run(at(address, line), folder=tmp_path)
        assert '"remedy"' not in said, line
        assert said or "-o " in line
    assert pl.read_csv(tmp_path / "tomorrow.csv").height == 24
    assert pl.read_parquet(tmp_path / "tomorrow.parquet").height == 24 * 9
    problem = json.loads(run(at(address, refused), folder=tmp_path))
    assert problem["needed"] > problem["have"]
    assert problem["remedy"]


def test_a_load_of_ones_own_is_forecast(address, tmp_path):
    (snippet,) = blocks("python")
    rows = small_home.history(small_home.service(small_home.copy(tmp_path / "home")))
    pl.DataFrame(rows, schema=["ts_utc", "load_mw"], orient="row").write_csv(tmp_path / "load.csv")
    (tmp_path / "own.py").write_text(
        at(address, snippet).replace(
            "load=load)", f"load=load, issue_time=pl.Series([{small_home.NOW.isoformat()!r}]).str.to_datetime()[0])"
        ),
        encoding="utf-8",
    )
    assert "value=" in run(f"{sys.executable} own.py", folder=tmp_path)
