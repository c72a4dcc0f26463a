"""The people of `benchmarks/serving/locustfile.py`, for a few seconds, before the server as it is started."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import small_home
from serving import served

LOCUSTFILE = Path(__file__).resolve().parents[2] / "benchmarks" / "serving" / "locustfile.py"
SCENARIOS = {"dashboard", "trader", "engineer's reading", "engineer's history", "engineer's window", "hostile"}

# It is not imported here: that would put its own threads and sockets in place of those of every other test.
pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is absent: pip install --group load")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of `gridcast serve` on a copy of the small home."""
    home = small_home.copy(tmp_path / "home")
    with served(home, "--rate", "0") as (found, _):
        yield found
        assert '"level": "error"' not in (home / "serve.log").read_text("utf-8")


def test_everybody_is_answered_as_they_should_be(address, tmp_path):
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", str(LOCUSTFILE), "--host", address]
    numbers = ["-u", "6", "-r", "6", "-t", "6s", "--exit-code-on-error", "0", "--csv", str(tmp_path / "run")]
    run = subprocess.run([*command, *numbers], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr

    asked: Counter[str] = Counter()
    with (tmp_path / "run_stats.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            asked[row["Name"]] += int(row["Request Count"])
    assert asked.pop("Aggregated") == asked.total()
    print(dict(asked))
    assert set(asked) == SCENARIOS
    assert min(asked.values()) > 0
    failures = (tmp_path / "run_failures.csv").read_text().splitlines()[1:]
    assert failures == []
    assert "Traceback" not in run.stderr
