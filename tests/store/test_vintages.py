"""When values became public: what was assumed gives way to what was seen. On PostgreSQL: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadTime, DataError
from gridcast.store.database import Store
from gridcast.store.vintages import Added, Look
from stores import HOUR, START, load

MINUTE = timedelta(minutes=1)
DUE = START + 3 * HOUR
"""When the first load is assumed to be public."""


def look(at: datetime, *, start: datetime = START, end: datetime = START + 2 * HOUR, **other: str) -> Look:
    return Look(**({"zone": "X", "variable": LOAD, "source": "a"} | other), start=start, end=end, at=at)


def stored(store: Store) -> list[tuple[object, ...]]:
    rows = store.observations(["X"]).sort("valid_time", "published_at")
    return rows.select("value", "published_at", "published_at_basis").rows()


def test_a_value_seen_before_its_assumed_publication_was_public_when_it_was_seen(store: Store) -> None:
    early = load(1.0, 2.0, fetched_at=DUE)
    assert store.put(early) == Added(2, 0)
    assert stored(store) == [(1.0, DUE, "assumed"), (2.0, DUE, "observed")]
    assert store.put(early) == Added(0, 0)
    assert store.put(load(1.0, 2.0)) == Added(0, 0)
    assert store.put(load(1.0, 3.0)) == Added(0, 1)


def test_a_value_that_an_earlier_look_did_not_find_is_late(store: Store) -> None:
    store.put(load(), looks=[look(DUE)])
    late = DUE + 5 * HOUR
    assert store.put(load(1.0, 2.0, fetched_at=late), looks=[look(late)]) == Added(2, 0)
    assert stored(store) == [(1.0, late, "observed"), (2.0, DUE + HOUR, "assumed")]
    assert store.put(load(1.0, 2.0, fetched_at=late + HOUR)) == Added(0, 0)


@pytest.mark.parametrize(
    "harmless",
    [
        look(DUE - timedelta(microseconds=1)),
        look(DUE + 5 * HOUR),
        look(DUE + 6 * HOUR),
        look(DUE, start=START + HOUR),
        look(DUE, start=START - HOUR, end=START),
        look(DUE, source="b"),
        look(DUE, variable=TSO_FORECAST),
        look(DUE, zone="Y"),
    ],
    ids=["too early", "in the fetch", "after it", "from later", "until earlier", "elsewhere", "another", "other zone"],
)
def test_only_a_look_that_should_have_found_it_makes_a_value_late(store: Store, harmless: Look) -> None:
    store.put(load(), looks=[harmless])
    store.put(load(1.0, fetched_at=DUE + 5 * HOUR))
    assert stored(store) == [(1.0, DUE, "assumed")]


def test_a_look_proves_nothing_against_the_rows_it_brought(store: Store) -> None:
    fetched = DUE + 5 * HOUR
    store.put(load(1.0, fetched_at=fetched), looks=[look(fetched - timedelta(seconds=3))])
    assert stored(store) == [(1.0, DUE, "assumed")]


def test_a_late_value_is_unknown_until_it_came(store: Store) -> None:
    store.put(load(), looks=[look(DUE)])
    store.put(load(1.0, fetched_at=DUE + 5 * HOUR))
    public = store.observations(["X"])["published_at"][0]
    assert public == DUE + 5 * HOUR


def test_reported_rows_are_taken_at_their_word(store: Store) -> None:
    store.put(load(), looks=[look(DUE)])
    store.put(load(1.0, fetched_at=DUE - HOUR, published_at_basis="reported"))
    assert stored(store) == [(1.0, DUE, "reported")]


def test_looks_of_one_put_and_the_same_look_twice_are_kept_once(store: Store) -> None:
    for _ in range(2):
        store.put(load(), looks=[look(DUE), look(DUE), look(DUE + HOUR)])
    assert store.retain(since=START + 48 * HOUR, dry_run=True).looks == 2


def test_a_look_with_bad_times_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="ends at"):
        store.put(load(1.0), looks=[look(DUE, end=START)])
    with pytest.raises(BadTime, match="no time zone"):
        store.put(load(1.0), looks=[look(DUE.replace(tzinfo=None))])
    assert store.zones() == []


def test_a_look_at_one_weather_run_says_nothing_about_another(store: Store) -> None:
    store.put(load(), looks=[look(START + 10 * HOUR, variable="temperature_2m")])
    store.put(load(1.0, variable="temperature_2m", published_at=START - HOUR))
    assert stored(store) == [(1.0, START - HOUR, "assumed")]


def test_a_weather_run_seen_early_is_known_again(store: Store) -> None:
    def run(value: float, *, fetched_at: datetime, published_at: datetime = START) -> pl.DataFrame:
        return load(value, variable="temperature_2m", published_at=published_at, fetched_at=fetched_at)

    early = START - HOUR
    assert store.put(run(1.0, fetched_at=START - 9 * HOUR, published_at=START - 10 * HOUR)) == Added(1, 0)
    assert store.put(run(2.0, fetched_at=early)) == Added(1, 0)
    assert store.put(run(2.0, fetched_at=early)) == Added(0, 0)
    assert store.put(run(2.0, fetched_at=START + HOUR)) == Added(0, 0)
    assert store.put(run(3.0, fetched_at=START + 8 * HOUR, published_at=START + 6 * HOUR)) == Added(1, 0)
    assert stored(store) == [
        (1.0, START - 10 * HOUR, "assumed"),
        (2.0, early, "observed"),
        (3.0, START + 6 * HOUR, "assumed"),
    ]


def test_several_runs_seen_early_at_once_keep_their_order(store: Store) -> None:
    runs = [load(float(n), variable="temperature_2m", published_at=START + n * HOUR) for n in (1, 2)]
    frame = pl.concat(runs).with_columns(fetched_at=pl.lit(START))
    assert store.put(frame) == Added(2, 0)
    expected = [(1.0, START, "observed"), (2.0, START + timedelta(microseconds=1), "observed")]
    assert stored(store) == expected
    assert store.put(frame) == Added(0, 0)
    assert store.put(frame.with_columns(fetched_at=pl.lit(START + 5 * HOUR))) == Added(0, 0)
    assert stored(store) == expected
    assert store.check() == []


def test_runs_fetched_early_in_two_parts_do_not_collide(store: Store) -> None:
    for hour in (1, 2):
        frame = load(float(hour), variable="temperature_2m", published_at=START + hour * HOUR, fetched_at=START)
        assert store.put(frame) == Added(1, 0)
    assert [value for value, *_ in stored(store)] == [1.0, 2.0]


def test_a_value_that_comes_back_at_another_resolution_is_a_revision_even_if_it_is_equal(store: Store) -> None:
    store.put(load(4.0))
    quarters = pl.concat(
        load(
            4.0,
            valid_time=START + n * 15 * MINUTE,
            resolution=15 * MINUTE,
            published_at=START + (n + 1) * 15 * MINUTE + 2 * HOUR,
            fetched_at=START + 48 * HOUR,
        )
        for n in range(4)
    )
    assert store.put(quarters) == Added(3, 1)
    assert store.put(quarters) == Added(0, 0)
    found = store.observations(["X"]).filter(pl.col("resolution") == 15 * MINUTE)
    assert found.height == 4


def test_added_tells_first_vintages_from_revisions(store: Store) -> None:
    assert store.put(load(1.0, 2.0)) == Added(new=2, revised=0)
    assert store.put(load(1.0, 9.0, 5.0, fetched_at=START + 48 * HOUR)) == Added(new=1, revised=1)
    reported = load(7.0, published_at=START + 50 * HOUR, published_at_basis="reported", fetched_at=START + 50 * HOUR)
    assert store.put(reported) == Added(new=0, revised=1)
    older = load(6.0, published_at=START + 2 * HOUR, published_at_basis="reported")
    assert store.put(older) == Added(new=1, revised=0)
    assert Added(3, 4).rows == 7


def test_the_true_lag_of_a_source_becomes_known(store: Store) -> None:
    store.put(load(1.0, 2.0, 3.0, fetched_at=DUE + 90 * MINUTE), looks=[look(DUE + 90 * MINUTE, end=START + 9 * HOUR)])
    store.put(load(1.0, 2.0, 3.0, 4.0, fetched_at=DUE + 4 * HOUR), looks=[look(DUE + 4 * HOUR, end=START + 9 * HOUR)])
    store.put(load(1.0, 2.0, 8.0, 4.0, 5.0, fetched_at=DUE + 20 * HOUR))
    assert store.put(load(1.0, source="b", published_at_basis="reported")) == Added(1, 0)
    found = store.lags("X", variable=LOAD, source="a")
    assert found.columns == ["valid_time", "end", "published_at", "lag"]
    # The first two are only assumed; the third was seen early; the fourth came between the looks, where it was due.
    assert found.select("valid_time", "lag").rows() == [
        (START + 2 * HOUR, 90 * MINUTE),
        (START + 4 * HOUR, DUE + 20 * HOUR - (START + 5 * HOUR)),
    ]
    assert found["end"].to_list() == [START + 3 * HOUR, START + 5 * HOUR]
    assert store.lags("X", variable=LOAD, source="b")["lag"].to_list() == [2 * HOUR]
    assert store.lags("X", variable=LOAD, source="c").is_empty()
