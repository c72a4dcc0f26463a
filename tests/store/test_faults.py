"""A store that is killed, or whose disk fails, at any write call: nothing acknowledged is lost, nothing is torn.

The calls are counted and the faults injected by strace, which attaches to a fork of a process that has imported
everything. Skipped where there is no strace or no right to trace.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import writing
from gridcast.store.database import Store
from writing import put, whole

CALLS = "write,pwrite64,pwritev,fsync,fdatasync,ftruncate,fallocate,unlink,openat"
BEFORE, AFTER = 2, 4
"""Commits that are there before, and that the child makes it."""


@dataclass(frozen=True)
class End:
    """How a child ended: its exit status (negative: the signal), the commits it acknowledged, what it said."""

    status: int
    acknowledged: list[int]
    said: str


class Server:
    """A process that forks children to be traced."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "strace.log"
        command = [sys.executable, "-W", "ignore", writing.__file__, "serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, url: str, *options: str) -> End:
        """One child under strace with these options."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{url} {BEFORE} {AFTER}\n")
        self.process.stdin.flush()
        child = self.process.stdout.readline().strip()
        trace = ["strace", "-qq", "-o", str(self.log), "-y", "-p", child, "-e", f"trace={CALLS}", *options]
        tracer = subprocess.Popen(trace, stderr=subprocess.PIPE, text=True)
        said = []
        if not attached(int(child), tracer):
            subprocess.run(["kill", "-9", child], check=True)
        for line in self.process.stdout:
            if line.startswith("ended "):
                break
            said.append(line)
        _, complaint = tracer.communicate(timeout=30)
        if "ptrace" in complaint:
            pytest.skip(f"tracing is forbidden here: {complaint.strip()}")
        acknowledged = [int(line.split()[1]) for line in said if line.startswith("ack ")]
        return End(int(line.split()[1]), acknowledged, "".join(said))


def attached(child: int, tracer: subprocess.Popen[str]) -> bool:
    status = Path(f"/proc/{child}/status")
    while tracer.poll() is None:
        if not status.exists() or "TracerPid:\t0" not in status.read_text(encoding="ascii"):
            return True
        time.sleep(0.002)
    return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    made = Server(tmp_path_factory.mktemp("strace"))
    yield made
    made.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.db"
    with Store(f"sqlite:///{path}") as store:
        for number in range(BEFORE):
            put(store, 0, number)
    return path


def copy(template: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return Path(shutil.copy(template, folder / "store.db"))


def points(server: Server, template: Path, folder: Path) -> list[tuple[str, int]]:
    """Every call that a sound run makes on the store's files, as its name and which of that name it is."""
    end = server.run(f"sqlite:///{copy(template, folder)}")
    assert (end.status, end.acknowledged) == (0, list(range(BEFORE, AFTER))), end.said
    found: list[tuple[str, int]] = []
    count: Counter[str] = Counter()
    for line in server.log.read_text(encoding="utf-8").splitlines():
        name = line.partition("(")[0]
        count[name] += 1
        if "store.db" in line:
            found.append((name, count[name]))
    assert len(found) > 20
    return found


def missing(path: Path, end: End) -> int:
    """How many commits were acknowledged and are not there."""
    with Store(f"sqlite:///{path}") as store:
        return len({*range(BEFORE), *end.acknowledged} - set(whole(store, 0)))


def check(path: Path, end: End, *, fault: object) -> None:
    """All that was acknowledged is there, and what is there is whole; and the store goes on."""
    for _ in range(2):
        with Store(f"sqlite:///{path}") as store:
            there = whole(store, 0)
            assert there == list(range(len(there))), fault
            assert {*range(BEFORE), *end.acknowledged} <= set(there), fault
            assert store.check() == [], fault
    with Store(f"sqlite:///{path}") as store:
        for number in range(AFTER):
            put(store, 0, number)
        assert whole(store, 0) == list(range(AFTER)), fault


EVERY = [pytest.param(7, id="sample"), pytest.param(1, id="all", marks=pytest.mark.long)]


@pytest.mark.parametrize("every", EVERY)
def test_a_kill_at_any_write_call_loses_and_tears_nothing(
    server: Server, template: Path, tmp_path: Path, every: int, record_property: Callable[[str, object], None]
) -> None:
    chosen = points(server, template, tmp_path / "sound")[::every]
    killed = lost = 0
    for name, which in chosen:
        path = copy(template, tmp_path / "killed")
        end = server.run(f"sqlite:///{path}", "-e", f"inject={name}:signal=KILL:when={which}")
        assert end.status in (0, -9), end.said
        killed += end.status == -9
        lost += missing(path, end)
        check(path, end, fault=(name, which))
    for fact, value in {"killed_at": killed, "write_calls": len(chosen), "lost": lost}.items():
        record_property(fact, value)
    assert killed >= 0.9 * len(chosen)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "ENOSPC+"])
def test_a_disk_that_fails_at_any_write_call_is_one_typed_error(
    server: Server, template: Path, tmp_path: Path, fault: str, every: int
) -> None:
    refused = 0
    for name, which in points(server, template, tmp_path / "sound")[3 :: 3 * every if every > 1 else 1]:
        path = copy(template, tmp_path / "failed")
        when = f"{which}{'+' * fault.endswith('+')}"
        end = server.run(f"sqlite:///{path}", "-e", f"inject={name}:error={fault.rstrip('+')}:when={when}")
        assert end.status in (0, 3), (name, which, end.said)
        refused += end.status == 3
        check(path, end, fault=(name, which))
    assert refused
