"""Many processes at one store: nothing is lost, nothing is seen half. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import writing
from gridcast.store.database import Store
from writing import ROWS, whole

WRITERS = 8


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, writing.__file__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("commits", [25, pytest.param(250, marks=pytest.mark.long)])
def test_eight_writers_and_a_reader_lose_and_tear_nothing(
    shared_url: str, commits: int, record_property: Callable[[str, object], None]
) -> None:
    writers = [start("write", shared_url, number, commits) for number in range(WRITERS)]
    reader = start("read", shared_url, WRITERS, commits / 8)
    for process in [*writers, reader]:
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        if process in writers:
            assert out.split() == [str(number) for number in range(commits)]
    with Store(shared_url) as store:
        there = [whole(store, number) for number in range(WRITERS)]
        lost = WRITERS * commits - sum(map(len, there))
        for name, value in {"commits": WRITERS * commits, "lost": lost}.items():
            record_property(name, value)
        assert there == [list(range(commits))] * WRITERS
        assert store.observations([f"W{number}" for number in range(WRITERS)]).height == WRITERS * commits * ROWS
        assert store.check() == []
