"""When forecasts were made, what a replay knows, what is removed, and what is found wrong.

On PostgreSQL too where GRIDCAST_TEST_POSTGRES_URL says where.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from gridcast.errors import BadTime, StoreError
from gridcast.store.database import Store
from gridcast.store.retention import Retained
from gridcast.store.vintages import Look
from stores import HOUR, START, ZONE, doubtful, issued, load

NOW = START + 30 * HOUR
TICK = timedelta(microseconds=1)


def test_a_forecast_knows_when_it_was_made(store: Store) -> None:
    assert store.made_at("X", issue_time=START, model_version="v1") is None
    store.put_forecast(issued(1.0), made_at=NOW)
    assert store.put_forecast(issued(1.0), made_at=NOW + HOUR) == 0
    assert store.made_at("X", issue_time=START, model_version="v1") == NOW
    assert store.made_at("X", issue_time=START, model_version="v2") is None
    with pytest.raises(BadTime):
        store.put_forecast(issued(2.0, zone="Y"), made_at=NOW.replace(tzinfo=None))
    assert store.forecasts("Y").is_empty()


def test_a_replay_does_not_see_what_was_fetched_before_but_stored_after(store: Store) -> None:
    store.put(load(1.0))
    store.put_forecast(issued(1.0), made_at=NOW)
    store.put(load(1.0, 2.0))
    assert store.observations(["X"], made_at=NOW).equals(load(1.0))
    assert store.as_of(ZONE, NOW, made_at=NOW).series["load"].values.tolist() == [[1.0]]
    assert store.observations(["X"], made_at=NOW + HOUR).height == 2
    assert store.observations(["X"], made_at=START).is_empty()


def test_what_arrives_while_a_forecast_is_made_is_no_part_of_its_replay(store: Store) -> None:
    store.put(load(1.0))
    last = store.last_write()
    store.put(load(1.0, 2.0))
    assert store.observations(["X"], last_write=last).equals(load(1.0))
    store.put_forecast(issued(1.0), made_at=NOW, last_write=last)
    assert store.observations(["X"], made_at=NOW).equals(load(1.0))
    assert store.observations(["X"]).height == 2
    assert store.last_write() > last


def test_two_forecasts_of_one_instant_have_a_replay_each(store: Store) -> None:
    store.put(load(1.0))
    store.put_forecast(issued(1.0), made_at=NOW)
    store.put(load(1.0, zone="Y"))
    store.put_forecast(issued(1.0, zone="Y"), made_at=NOW)
    store.quarantine(doubtful(1.0, zone="Y", fetched_at=NOW))
    store.put_forecast(issued(1.0, zone="Y", model_version="v2"), made_at=NOW)
    made = [
        store.made_at(zone, issue_time=START, model_version=version)
        for zone, version in (("X", "v1"), ("Y", "v1"), ("Y", "v2"))
    ]
    assert made == [NOW, NOW + TICK, NOW + 2 * TICK]
    assert [store.observations(["X", "Y"], made_at=at)["zone"].to_list() for at in made] == [["X"], ["X", "Y"], ["X"]]


def test_an_instant_stays_the_same_while_the_data_do(store: Store) -> None:
    store.put(load(1.0))
    assert [store.seal(NOW), store.seal(NOW)] == [NOW, NOW]
    store.put(load(1.0))
    store.put_forecast(issued(1.0), made_at=NOW)
    store.put_forecast(issued(1.0, zone="Y"), made_at=NOW)
    assert [store.made_at(zone, issue_time=START, model_version="v1") for zone in "XY"] == [NOW, NOW]
    store.put(load(1.0, 2.0))
    assert [store.seal(NOW), store.seal(NOW)] == [NOW + TICK, NOW + TICK]
    assert store.put_forecast(issued(1.0), made_at=NOW) == 0
    assert store.made_at("X", issue_time=START, model_version="v1") == NOW
    assert store.observations(["X"], made_at=NOW).equals(load(1.0))
    assert store.observations(["X"], made_at=NOW + TICK).equals(load(1.0, 2.0))


def test_retention_removes_what_ended_and_nothing_else(store: Store) -> None:
    store.put(load(1.0, 2.0, 3.0))
    store.put(
        load(9.0, fetched_at=NOW),
        looks=[Look("X", "load", "a", START, START + n * HOUR, NOW) for n in (2, 3)],
    )
    store.quarantine(doubtful(7.0, 8.0, 9.0))
    for n in (2, 3):
        store.put_forecast(issued(1.0, issue_time=START - HOUR, valid_time=START + (n - 1) * HOUR), made_at=NOW)
    since = START + 2 * HOUR
    counted = Retained(observations=3, forecasts=1, quarantined=2, looks=1)
    assert store.retain(since=since, dry_run=True) == counted
    assert store.observations(["X"]).height == 4
    assert store.retain(since=since) == counted
    assert store.retain(since=since) == Retained(0, 0, 0, 0)
    assert store.observations(["X"]).equals(load(1.0, 2.0, 3.0).tail(1))
    assert store.quarantined("X").equals(doubtful(7.0, 8.0, 9.0).tail(1))
    assert store.forecasts("X")["valid_time"].to_list() == [since]
    with pytest.raises(BadTime):
        store.retain(since=since.replace(tzinfo=None))


def test_a_sound_store_has_no_findings(store: Store) -> None:
    store.put(load(1.0, 2.0), looks=[Look("X", "load", "a", START, NOW, NOW)])
    store.put_forecast(issued(1.0), made_at=NOW)
    assert store.check() == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE observation SET value = 9e999", "observation: 1 rows have a value that is not finite"),
        ("UPDATE forecast SET value = -9e999", "forecast: 1 rows have a value that is not finite"),
        ("UPDATE observation SET published_at_basis = 'guessed'", "unknown published_at_basis"),
        (
            "UPDATE observation SET published_at = fetched_at + 1001, published_at_basis = 'observed'",
            "public after we fetched them",
        ),
        ("UPDATE observation SET resolution = 0", "a resolution that is none"),
        ("UPDATE observation SET write = 99", "observation: 1 rows are of a write that never was"),
        ("UPDATE seal SET write = -1", "seal: 1 rows are of a write that never was"),
        ("UPDATE quarantine SET write = -1", "quarantine: 1 rows are of a write that never was"),
        ("UPDATE look SET write = -1", "look: 1 rows are of a write that never was"),
        ("UPDATE quarantine SET released_by = NULL", "released before they were set aside, or by nobody"),
        ("UPDATE quarantine SET released_at = NULL", "released before they were set aside, or by nobody"),
        ("UPDATE quarantine SET released_at = 0", "released before they were set aside, or by nobody"),
        ("UPDATE quarantine SET released_write = 99", "released before they were set aside, or by nobody"),
        ("UPDATE quarantine SET released_write = write", "released before they were set aside, or by nobody"),
        ("UPDATE forecast SET valid_time = issue_time", "forecast the past of their issue"),
        ('UPDATE look SET "end" = "start"', "look: 1 rows end before they start"),
    ],
)
def test_a_check_finds_rows_that_cannot_be(store: Store, statement: str, says: str) -> None:
    store.put(load(1.0), looks=[Look("X", "load", "a", START, NOW, NOW)])
    store.put_forecast(issued(1.0), made_at=NOW)
    store.quarantine(doubtful(1.0))
    store.release("X", at=NOW)
    if not store.database.is_sqlite:
        statement = statement.replace("-9e999", "'NaN'").replace("9e999", "'Infinity'")
    with store.database.writing() as connection:
        connection.exec_driver_sql(statement)
    (found,) = store.check()
    assert says in found


def test_a_check_finds_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(f"sqlite:///{path}") as store:
        store.put(load(*range(5000)))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    body = bytearray(path.read_bytes())
    middle = len(body) // 2 // 4096 * 4096
    body[middle : middle + 4096] = bytes(4096)
    path.write_bytes(body)
    with Store(f"sqlite:///{path}") as store:
        assert any("damaged" in finding or "malformed" in finding for finding in store.check())
        with pytest.raises(StoreError, match="cannot be"):
            store.put(load(*range(5000), value=1.0, fetched_at=NOW))
