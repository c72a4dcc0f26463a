"""Requests that wait at once share a transaction, and each hears what became of its own entry."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridcast.errors import StoreError
from gridcast.store import chain
from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal

pytest.importorskip("fastapi", reason="the extra `api` is absent")
noting = pytest.importorskip("gridcast.api.noting")

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int) -> Entry:
    return Entry("on_demand", AT, "DK_1", "v1", b'{"load":[%d]}' % number, b"%d" % number)


@pytest.fixture
def journal(tmp_path: Path):
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield Journal(store)


def appended(journal: Journal, *, count: int) -> list[object]:
    """What so many requests at once are told."""

    async def ask() -> list[object]:
        notes = noting.Notes(journal)
        return await asyncio.gather(*(notes.append(entry(number)) for number in range(count)), return_exceptions=True)

    return asyncio.run(ask())


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each transaction had."""
    plain, found = chain.add, []

    def counting(connection: object, rows: list[object]) -> object:
        found.append(len(rows))
        return plain(connection, rows)

    monkeypatch.setattr(chain, "add", counting)
    return found


def test_each_is_told_its_own_place_and_all_make_one_chain(journal, sizes):
    receipts = appended(journal, count=450)
    there = {each.number: each for each in journal.entries()}
    assert sizes == [200, 200, 50]
    for number, receipt in enumerate(receipts):
        assert there[receipt.number].hash == receipt.hash
        assert there[receipt.number].answer == entry(number).answer
    assert journal.verify() == []


def test_who_comes_while_one_is_written_waits_for_the_next_transaction(journal, sizes, monkeypatch):
    go_on, plain = threading.Event(), journal.append_all

    def held(entries: list[Entry]) -> object:
        assert go_on.wait(10)
        return plain(entries)

    monkeypatch.setattr(journal, "append_all", held)

    async def ask() -> list[int]:
        notes = noting.Notes(journal)
        first = asyncio.create_task(notes.append(entry(0)))
        await asyncio.sleep(0.05)
        later = [asyncio.create_task(notes.append(entry(number))) for number in range(1, 8)]
        await asyncio.sleep(0.05)
        go_on.set()
        return [(await each).number for each in (first, *later)]

    assert asyncio.run(ask()) == list(range(1, 9))
    assert sizes == [1, 7]


def test_a_database_that_fails_tells_everybody_takes_nothing_and_goes_on_when_it_can(journal, monkeypatch):
    def failing(*_: object) -> None:
        raise StoreError("the disk is full", remedy="make room")

    with monkeypatch.context() as patch:
        patch.setattr(chain, "add", failing)
        found = appended(journal, count=5)
    assert [str(each) for each in found] == ["the disk is full: make room"] * 5
    assert [each.number for each in appended(journal, count=3)] == [1, 2, 3]
    assert journal.verify() == []


def test_an_error_that_nobody_foresaw_leaves_nobody_waiting(journal, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("what is this")

    with monkeypatch.context() as patch:
        patch.setattr(chain, "add", broken)
        found = appended(journal, count=2)
    assert ["interrupted" in str(each) for each in found] == [True, True]


def test_a_request_that_is_given_up_is_written_and_harms_no_other(journal):
    async def ask() -> list[int]:
        notes = noting.Notes(journal)
        tasks = [asyncio.create_task(notes.append(entry(number))) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return [(await tasks[number]).number for number in (0, 2)]

    assert asyncio.run(ask()) == [1, 3]
    assert (journal.head().count, journal.verify()) == (3, [])
