"""Four real processes share a bucket and a folder of answers; one is killed, and a fifth prunes and reads meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridcast.pipeline.clock import SystemClock
from gridcast.sources.wire import Bucket, Kept, Limit, Permit

LIMIT = Limit(80, 1, 20)
TIMES = 25
WORKER = """
import hashlib, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from gridcast.pipeline.clock import SystemClock
from gridcast.sources.fetched import Answer
from gridcast.sources.wire import Bucket, Kept, Limit, Permit
folder, who, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
bucket, kept = Bucket(folder / "b.sqlite", clock=SystemClock()), Kept(folder / "kept")
permit = Permit("grid", (Limit(80, 1, 20),))
print("ready", flush=True)
sys.stdin.readline()
for number in range(times):
    bucket.take(permit, patience=60)
    print(time.time(), flush=True)
    body = b"shared %d" % number if number % 2 else b"own %d %d" % (who, number)
    at = datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=number * 10 + who)
    kept.keep(Answer("grid", "u", {}, 200, {}, body, at, hashlib.sha256(body).hexdigest()))
"""


def begun(folder: Path) -> list[subprocess.Popen]:
    """Four processes that begin together."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(who), str(TIMES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(4)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return workers


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_processes_keep_to_one_limit_and_lose_nothing_and_a_killed_one_harms_nobody(tmp_path):
    victim, *others = begun(tmp_path)
    instants = [float(victim.stdout.readline()) for _ in range(3)]
    os.kill(victim.pid, signal.SIGKILL)
    kept = Kept(tmp_path / "kept")
    while any(worker.poll() is None for worker in others):
        assert kept.prune(datetime(2026, 11, 21, tzinfo=UTC)) == 0
        time.sleep(0.02)
    for worker in others:
        output, _ = worker.communicate()
        assert (worker.returncode, len(output.splitlines())) == (0, TIMES)
        instants += [float(line) for line in output.splitlines()]
    rest, _ = victim.communicate()
    instants += [float(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    # A process notes the instant a moment after it was granted; the count allows for 100 ms of that.
    busiest = max(sum(start <= each <= start + LIMIT.seconds - 0.1 for each in instants) for start in instants)
    print(f"{len(instants)} grants in {max(instants) - min(instants):.2f} s, at most {busiest} in 0.9 s")
    assert busiest <= LIMIT.calls
    Bucket(tmp_path / "b.sqlite", clock=SystemClock()).take(Permit("grid", (LIMIT,)), patience=2)

    bodies = [each.body for each in kept.answers("grid")]
    assert 3 * TIMES + 2 <= len(bodies) <= 4 * TIMES
    assert {b"own %d %d" % (who, number) for who in (1, 2, 3) for number in range(0, TIMES, 2)} <= set(bodies)
    assert all("cut or damaged" in sentence for sentence in kept.verify())
    assert len(kept.verify()) <= 1
    assert kept.prune(datetime(2026, 11, 23, tzinfo=UTC)) == len(bodies)
