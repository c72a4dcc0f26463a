"""Many writers at one journal, and writers that are killed. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import journal_writing
from gridcast.store.database import Store
from gridcast.store.journal import Journal, Logged
from journal_writing import entry

Acknowledged = list[tuple[int, int, int, str]]
"""Thread, turn, number and hash of an entry."""


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, journal_writing.__file__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def acknowledged(out: str) -> Acknowledged:
    """What a writer said; a line that it did not finish is none."""
    lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(thread), int(turn), int(number), word) for thread, turn, number, word in lines]


def lost(who: object, said: Acknowledged, *, there: dict[int, Logged]) -> int:
    """How many entries were acknowledged and are not there as they were written."""
    count = 0
    for thread, turn, number, word in said:
        expected = entry(str(who), thread, turn)
        found = there.get(number)
        count += found is None or (found.hash, found.request, found.answer) != (
            word,
            expected.request,
            expected.answer,
        )
    return count


def test_two_processes_of_several_threads_make_one_chain(shared_url: str) -> None:
    writers = [start(shared_url, who, 4, 25) for who in range(2)]
    said = []
    for process in writers:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        said.append(acknowledged(out))
    with Store(shared_url) as store:
        journal = Journal(store)
        there = {each.number: each for each in journal.entries()}
        assert [lost(who, each, there=there) for who, each in enumerate(said)] == [0, 0]
        assert sorted(number for each in said for _, _, number, _ in each) == list(range(1, 201))
        assert (journal.head().count, journal.verify()) == (200, [])


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])
def test_a_kill_loses_no_acknowledged_entry_and_breaks_no_chain(
    shared_url: str, kills: int, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(kills)
    said: list[Acknowledged] = []
    missing = 0
    for who in range(kills):
        process = start(shared_url, who, 4, 100_000)
        assert process.stdout is not None
        head = "".join(process.stdout.readline() for _ in range(chance.randrange(1, 60)))
        time.sleep(chance.random() * 0.02)
        process.kill()
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == -9
        said.append(acknowledged(head + rest))
        with Store(shared_url) as store:
            journal = Journal(store)
            there = {each.number: each for each in journal.entries()}
            missing += lost(who, said[-1], there=there)
            assert journal.verify() == []
            assert journal.head().count == len(there)
            assert store.check() == []
    assert sum(lost(who, each, there=there) for who, each in enumerate(said)) == missing == 0
    total = sum(map(len, said))
    assert total >= kills
    # What was on its way may be there or not: a few at most for each thread.
    assert total <= len(there) <= total + 4 * kills
    for name, value in {"kills": kills, "acknowledged": total, "lost": missing}.items():
        record_property(name, value)
    print(f"{kills} kills, {total} acknowledged, {missing} lost, {len(there)} there")
