"""Four processes fill in history through one permit file, against a server that bans whoever asks too often."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridcast import simulate
from gridcast.market.zones import zones

WORKER = Path(__file__).resolve().parents[1] / "backfiller.py"
NOW = datetime(2026, 1, 10, tzinfo=UTC)
PROCESSES = 4
LIMIT, LEAST = 360, 324
SERVED = [code for code, place in zones().items() if place.eic and not place.files_only]


def backfill(home: Path, *, codes: list[str], start: datetime, end: datetime, days: int) -> tuple[dict, int]:
    """The simulator's statistics of the busiest token, and how many values came."""
    clock = simulate.VirtualClock(NOW)
    with simulate.running(simulate.World(), clock=clock) as url:
        runs = [
            subprocess.Popen(
                [
                    sys.executable,
                    WORKER,
                    url,
                    home,
                    f"process {n}",
                    start.isoformat(),
                    end.isoformat(),
                    str(days),
                    *part,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(PROCESSES)
            if (part := codes[n::PROCESSES])
        ]
        ended = [(run.communicate(), run.returncode) for run in runs]
        assert [code for _, code in ended] == [0] * len(runs), [err for (_, err), _ in ended]
        with urllib.request.urlopen(f"{url}/simulator/stats") as answer:
            stats = json.load(answer)
    return stats, sum(int(out) for (out, _), _ in ended)


def check(stats: dict, *, requests: int) -> None:
    (caller,) = stats["tokens"]
    assert caller["requests"] == requests
    assert caller["bans"] == 0
    assert caller["max_per_minute"] <= LIMIT
    assert caller["mean_per_minute"] >= LEAST


def test_four_processes_use_the_limit_of_a_provider_and_never_pass_it(tmp_path):
    start = datetime(2025, 1, 1, tzinfo=UTC)
    codes = SERVED[:8]
    stats, values = backfill(tmp_path, codes=codes, start=start, end=start + timedelta(days=60), days=2)
    check(stats, requests=8 * 30 * 2)
    assert values == 8 * 60 * 24 * 2


@pytest.mark.long
def test_ten_years_of_forty_zones_are_filled_in_without_a_ban(tmp_path, record_property):
    start, end, codes = datetime(2015, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), SERVED[:40]
    stats, values = backfill(tmp_path, codes=codes, start=start, end=end, days=365)
    (caller,) = stats["tokens"]
    facts = {"zones": len(codes), "years": end.year - start.year, "processes": PROCESSES, "values": values}
    for name, value in (facts | caller).items():
        record_property(name, value)
    check(stats, requests=40 * 11 * 2)
