"""Rows that may not be used are kept apart and never lost. On PostgreSQL too: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import DOUBTFUL, LOAD
from gridcast.errors import DataError, ImplausibleValue, MissingColumns, StoreError
from gridcast.market.days import instant
from gridcast.store.database import Store
from gridcast.store.vintages import Added, Look
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
    store.quarantine(doubtful(8.0, 2.0, 3.0))
    assert store.release("X", at=NOW, start=START + HOUR, end=START + 2 * HOUR) == Added(1, 0)
    assert store.quarantined("X")["value"].to_list() == [8.0, 3.0]
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
        (doubtful(9.0), StoreError, "another value .* has its place"),
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


def known(store: Store, *, made_at: datetime | None = None) -> list[float]:
    """The first hours of load that a forecast sees, made then or now."""
    made = store.as_of(ZONE, NOW, made_at=made_at)
    values = store.observations(["X"], made_at=made_at)["value"].to_list()
    if LOAD not in made.series:
        assert values == []
        return []
    return made.series[LOAD].values[-1].tolist()


def at(hours: int) -> datetime:
    return START + hours * HOUR


def test_what_is_set_aside_withdraws_what_is_stored_of_it(store: Store) -> None:
    store.put(load(1.0, 2.0, 3.0))
    store.put(load(2.0, 2.0, source="b"))
    assert store.quarantine(doubtful(2.0, valid_time=at(1), fetched_at=at(25))) == 1
    assert store.observations(["X"]).filter(source="a").equals(load(1.0, 2.0, 3.0).filter(pl.col("value") != 2.0))
    assert store.observations(["X"]).filter(source="b").equals(load(2.0, 2.0, source="b"))
    assert store.coverage("X", LOAD).count == 3
    assert store.put(load(1.0, 2.0, 3.0)) == Added(0, 0)
    assert store.observations(["X"], start=at(1), end=at(2))["source"].to_list() == ["b"]
    assert store.observations(["X"], start=at(2)).height == 1
    assert store.observations(["X"], variables=["price"]).is_empty()
    assert store.check() == []


def test_a_withdrawn_value_leaves_a_gap(store: Store) -> None:
    store.put(load(1.0, 2.0, 3.0))
    store.quarantine(doubtful(2.0, valid_time=at(1), fetched_at=at(25)))
    assert store.coverage("X", LOAD).missing == ((at(1), at(2)),)
    assert store.lags("X", variable=LOAD, source="a").is_empty()
    np.testing.assert_array_equal(known(store), [1.0, math.nan, 3.0])


@pytest.mark.parametrize("sealed", [True, False])
def test_a_replay_knows_what_was_in_quarantine_when_the_forecast_was_made(store: Store, sealed: bool) -> None:
    aside = doubtful(1.0, fetched_at=at(30))
    expected = {25: [1.0], 30: [], 35: [], 40: [1.0], 41: [1.0]}

    def made(hours: int) -> None:
        if sealed:
            assert store.seal(at(hours)) == at(hours)

    store.put(load(1.0))
    made(25)
    store.quarantine(aside)
    made(30)
    made(35)
    store.release("X", at=at(40))
    made(40)
    assert store.quarantine(aside.with_columns(fetched_at=pl.lit(at(41)))) == 0
    made(41)
    assert {hours: known(store, made_at=at(hours)) for hours in expected} == expected
    assert known(store) == [1.0]


def test_a_seal_knows_the_order_whatever_the_clock_says(store: Store) -> None:
    store.put(load(1.0))
    store.seal(at(30))
    store.quarantine(doubtful(1.0, fetched_at=at(25)))
    last = store.last_write()
    store.seal(at(31))
    store.release("X", at=at(26))
    assert [known(store, made_at=at(hours)) for hours in (30, 31, 32)] == [[1.0], [], [1.0]]
    assert store.observations(["X"], last_write=last).is_empty()


def test_another_value_of_the_interval_stands(store: Store) -> None:
    store.put(load(9.0))
    store.quarantine(doubtful(9.0, fetched_at=at(30)))
    assert store.put(load(1.0, fetched_at=at(31))) == Added(0, 1)
    assert store.observations(["X"]).select("value", "published_at").rows() == [(1.0, at(31))]
    assert known(store, made_at=at(29)) == [9.0]


def test_a_value_that_comes_again_and_is_sound_is_used_again(store: Store) -> None:
    store.put(load(1.0))
    for aside, back in ((30, 40), (50, 60)):
        assert store.quarantine(doubtful(1.0, fetched_at=at(aside))) == 1
        assert store.put(load(1.0, fetched_at=at(aside))) == Added(0, 0)
        assert known(store) == []
        assert store.put(load(1.0, fetched_at=at(back))) == Added(0, 0)
        assert store.quarantined("X").is_empty()
    assert store.observations(["X"]).equals(load(1.0))
    expected = {29: [1.0], 30: [], 39: [], 40: [1.0], 49: [1.0], 50: [], 59: [], 60: [1.0]}
    assert {hours: known(store, made_at=at(hours)) for hours in expected} == expected


def test_a_value_never_stored_is_used_once_it_is_sound(store: Store) -> None:
    store.quarantine(doubtful(1.0))
    assert store.put(load(1.0, fetched_at=at(30))) == Added(1, 0)
    assert known(store) == [1.0]
    assert store.quarantined("X").is_empty()
    assert known(store, made_at=at(29)) == []


def test_the_word_of_a_person_is_kept(store: Store) -> None:
    store.put(load(1.0))
    store.quarantine(doubtful(1.0, reason="spike: 60 % above its neighbours", fetched_at=at(30)))
    store.release("X", at=at(40))
    again = doubtful(1.0, reason="spike: 61 % above its neighbours", fetched_at=at(41))
    other = doubtful(1.0, reason="flat: the same for 9 hours", fetched_at=at(42))
    assert store.acquitted(pl.concat([again, other])).equals(again)
    assert store.quarantine(again) == 0
    assert known(store) == [1.0]
    assert store.quarantine(other) == 1
    assert known(store) == []


@pytest.mark.parametrize("hour", [0, 5])
def test_a_released_value_is_dated_by_the_looks_before_it(store: Store, hour: int) -> None:
    looks = [Look("X", LOAD, "a", START, at(24), at(n)) for n in (hour, 9)]
    store.put(load(), looks=looks[:1])
    store.quarantine(doubtful(1.0, fetched_at=at(10)))
    store.put(load(), looks=looks[1:])  # the question that brought the row proves nothing
    assert store.release("X", at=at(20)) == Added(1, 0)
    row = store.observations(["X"]).row(0, named=True)
    late = hour == 5
    assert row["published_at"] == (at(10) if late else at(3))
    assert row["published_at_basis"] == ("observed" if late else "assumed")
    assert row["fetched_at"] == at(20)


def test_a_released_revision_is_a_vintage_of_when_it_came(store: Store) -> None:
    store.put(load(1.0))
    store.quarantine(doubtful(2.0, fetched_at=at(30)))
    assert store.release("X", at=at(40)) == Added(0, 1)
    assert store.observations(["X"]).select("value", "published_at").rows() == [(1.0, at(3)), (2.0, at(30))]
    assert known(store, made_at=at(39)) == [1.0]
