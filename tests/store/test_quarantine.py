"""Rows that may not be used are kept apart and never lost. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.errors import DataError, ImplausibleValue, MissingColumns, StoreError
from gridcast.market.days import instant
from gridcast.store.database import Store
from gridcast.store.vintages import Added
from stores import HOUR, START, ZONE, doubtful, load

NOW = START + 100 * HOUR


def test_what_is_set_aside_comes_back_and_is_used_by_nothing(store: Store) -> None:
    frame = doubtful(1.0, 2.5)
    assert store.quarantine(frame) == 2
    assert store.quarantined("X").equals(frame)
    assert store.quarantined("Y").is_empty()
    assert store.observations(["X"]).is_empty()
    assert store.zones() == []
    assert dict(store.as_of(ZONE, NOW).series) == {}


def test_setting_aside_twice_is_setting_aside_once_whenever_it_was_fetched(store: Store) -> None:
    assert [store.quarantine(doubtful(1.0)) for _ in range(2)] == [1, 0]
    assert store.quarantine(doubtful(1.0, fetched_at=START + 50 * HOUR)) == 0
    assert store.quarantined("X")["fetched_at"].to_list() == [START + 24 * HOUR]
    assert store.quarantine(doubtful(1.5)) == 1
    assert store.quarantine(doubtful(1.0, reason="flat")) == 1
    assert store.quarantine(pl.concat([doubtful(7.0), doubtful(7.0, fetched_at=START + 30 * HOUR)])) == 1
    assert store.quarantined("X").height == 4


def test_any_value_can_be_set_aside(store: Store) -> None:
    frame = doubtful(math.nan, math.inf, -math.inf, -5.0)
    assert [store.quarantine(frame) for _ in range(2)] == [4, 0]
    assert store.quarantined("X").equals(frame)
    assert store.check() == []


def test_a_frame_that_is_not_of_the_schema_is_refused(store: Store) -> None:
    with pytest.raises(MissingColumns):
        store.quarantine(load(1.0))
    with pytest.raises(DataError, match="guessed"):
        store.quarantine(doubtful(1.0, published_at_basis="guessed"))
    assert store.quarantine(DOUBTFUL.to_frame()) == 0


def test_quarantined_can_be_narrowed(store: Store) -> None:
    store.quarantine(pl.concat([doubtful(1.0, 2.0, 3.0), doubtful(4.0, variable="temperature_2m")]))
    assert store.quarantined("X", variable="temperature_2m")["value"].to_list() == [4.0]
    inner = store.quarantined("X", variable=LOAD, start=START + HOUR, end=START + 2 * HOUR)
    assert inner["value"].to_list() == [2.0]


def test_a_released_row_counts_from_now_on_but_no_replay_sees_it(store: Store) -> None:
    store.put(load(1.0))
    store.quarantine(doubtful(1.0, 2.0, 3.0))
    assert store.release("X", at=NOW, start=START + HOUR, end=START + 2 * HOUR) == Added(1, 0)
    assert store.quarantined("X")["value"].to_list() == [1.0, 3.0]
    row = store.observations(["X"]).row(1, named=True)
    assert (row["value"], row["published_at"], row["fetched_at"]) == (2.0, START + 4 * HOUR, NOW)
    second = np.array([instant(START + HOUR)])
    for made_at, expected in ((None, 2.0), (NOW, 2.0), (NOW - HOUR, math.nan)):
        made = store.as_of(ZONE, NOW, made_at=made_at)
        np.testing.assert_array_equal(made.known(LOAD, second, issue_time=made.issue_times[0]), [expected])
    assert store.release("X", at=NOW, start=START + HOUR, end=START + 2 * HOUR) == Added(0, 0)


def test_releasing_what_is_stored_already_adds_nothing(store: Store) -> None:
    store.put(load(1.0))
    store.quarantine(doubtful(1.0))
    assert store.release("X", at=NOW) == Added(0, 0)
    assert store.quarantined("X").is_empty()
    assert store.observations(["X"]).equals(load(1.0))


def test_values_that_came_one_after_another_are_released_as_vintages(store: Store) -> None:
    store.quarantine(doubtful(1.0))
    store.quarantine(doubtful(2.0, fetched_at=START + 48 * HOUR))
    assert store.release("X", at=NOW) == Added(1, 1)
    found = store.observations(["X"]).sort("published_at")
    assert found.select("value", "published_at").rows() == [(1.0, START + 3 * HOUR), (2.0, START + 48 * HOUR)]
    assert found["fetched_at"].to_list() == [NOW, NOW]


@pytest.mark.parametrize(
    ("aside", "kind", "says"),
    [
        (doubtful(9.0), StoreError, "stored as"),
        (pl.concat([doubtful(7.0, source="b"), doubtful(8.0, source="b")]), StoreError, "two values at once"),
        (doubtful(math.inf, source="b"), ImplausibleValue, "not finite"),
        (doubtful(7.0, source="b", fetched_at=NOW + HOUR), StoreError, "were fetched at"),
    ],
    ids=["another value", "two values", "infinite", "from the future"],
)
def test_a_release_that_cannot_be_moves_nothing(
    store: Store, aside: pl.DataFrame, kind: type[Exception], says: str
) -> None:
    store.put(load(1.0))
    store.quarantine(pl.concat([aside, doubtful(5.0, valid_time=START + 5 * HOUR)]))
    before = store.quarantined("X")
    with pytest.raises(kind, match=says):
        store.release("X", at=NOW)
    assert store.quarantined("X").equals(before)
    assert store.observations(["X"]).equals(load(1.0))
