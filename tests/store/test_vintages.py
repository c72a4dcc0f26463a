"""When values became public: what was assumed gives way to what was seen. On PostgreSQL: GRIDCAST_TEST_POSTGRES_URL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import BadTime, DataError, DuplicateTime, StoreError
from gridcast.store.database import Store
from gridcast.store.vintages import WATCHED, Added, Look
from stores import HOUR, START, ZONE, load

MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE
TICK = timedelta(microseconds=1)
DUE = START + 3 * HOUR
"""When the first load is assumed to be public."""


def look(at: datetime, *, start: datetime = START, end: datetime = START + 2 * HOUR, **other: Any) -> Look:
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
    store.put(load(), looks=[look(DUE + QUARTER, end=START + HOUR)])
    late = DUE + 5 * HOUR
    assert store.put(load(1.0, 2.0, fetched_at=late), looks=[look(late)]) == Added(2, 0)
    assert stored(store) == [(1.0, late, "observed"), (2.0, DUE + HOUR, "assumed")]
    assert store.put(load(1.0, 2.0, fetched_at=late + HOUR)) == Added(0, 0)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("before", [timedelta(), 3 * MINUTE, WATCHED - TICK])
def test_a_value_that_came_after_its_assumed_publication_while_we_watched_was_public_when_it_came(
    store: Store, before: timedelta, answered: bool
) -> None:
    came = DUE + 12 * MINUTE
    store.put(load(), looks=[look(DUE - before, answered=answered)])
    assert store.put(load(1.0, fetched_at=came), looks=[look(came - MINUTE)]) == Added(1, 0)
    assert stored(store) == [(1.0, came, "observed")]
    assert store.put(load(1.0, fetched_at=came + QUARTER)) == Added(0, 0)


def test_a_watched_value_that_comes_at_the_very_instant_of_the_rule_was_seen(store: Store) -> None:
    store.put(load(), looks=[look(DUE - QUARTER)])
    store.put(load(1.0, fetched_at=DUE), looks=[look(DUE)])
    assert stored(store) == [(1.0, DUE, "observed")]


def test_a_long_fetch_watches_what_comes_out_meanwhile(store: Store) -> None:
    store.put(load(1.0, fetched_at=DUE + 9 * MINUTE), looks=[look(DUE - MINUTE)])
    assert stored(store) == [(1.0, DUE + 9 * MINUTE, "observed")]


def test_what_came_out_during_an_outage_was_not_public_before_its_end(store: Store) -> None:
    for n in range(8):
        store.put(load(), looks=[look(DUE - HOUR + n * HOUR, end=START + 9 * HOUR, answered=n == 0)])
    back = DUE + 7 * HOUR
    store.put(load(1.0, 2.0, 3.0, 4.0, fetched_at=back), looks=[look(back - MINUTE, end=START + 9 * HOUR)])
    assert stored(store) == [(float(n), back, "observed") for n in range(1, 5)]
    assert LOAD not in store.as_of(ZONE, back - TICK).series
    assert store.as_of(ZONE, back).series[LOAD].values.shape == (1, 4)
    assert store.lags("X", variable=LOAD, source="a").is_empty()


def test_a_backfill_is_dated_by_the_rule(store: Store) -> None:
    years = timedelta(days=1000)
    store.put(load(1.0, fetched_at=DUE + years), looks=[look(DUE + years - MINUTE)])
    assert stored(store) == [(1.0, DUE, "assumed")]


def test_nobody_watches_a_weather_run(store: Store) -> None:
    store.put(load(), looks=[look(DUE - MINUTE, variable="temperature_2m")])
    store.put(load(1.0, variable="temperature_2m", fetched_at=DUE + HOUR))
    assert stored(store) == [(1.0, DUE, "assumed")]


@pytest.mark.parametrize(
    "harmless",
    [
        look(DUE - WATCHED),
        look(DUE + MINUTE, answered=False),
        look(DUE + 5 * HOUR),
        look(DUE + 6 * HOUR),
        look(DUE, start=START + HOUR),
        look(DUE, start=START - HOUR, end=START),
        look(DUE, source="b"),
        look(DUE, variable=TSO_FORECAST),
        look(DUE, zone="Y"),
    ],
    ids=[
        "too early",
        "failed",
        "in the fetch",
        "after it",
        "from later",
        "until earlier",
        "elsewhere",
        "another",
        "other zone",
    ],
)
def test_only_a_look_that_should_have_found_it_makes_a_value_late(store: Store, harmless: Look) -> None:
    store.put(load(), looks=[harmless])
    store.put(load(1.0, fetched_at=DUE + 5 * HOUR))
    assert stored(store) == [(1.0, DUE, "assumed")]


def test_a_look_proves_nothing_against_the_rows_it_brought(store: Store) -> None:
    fetched = DUE + 5 * HOUR
    store.put(load(1.0, fetched_at=fetched), looks=[look(fetched - timedelta(seconds=3))])
    assert stored(store) == [(1.0, DUE, "assumed")]


def test_a_look_proves_nothing_against_rows_of_its_fetch_that_are_put_later(store: Store) -> None:
    fetched = DUE + 5 * HOUR
    store.put(load(1.0, fetched_at=fetched), looks=[look(fetched - timedelta(seconds=3))])
    store.put(load(2.0, valid_time=START + HOUR, published_at=DUE + HOUR, fetched_at=fetched))
    assert stored(store) == [(1.0, DUE, "assumed"), (2.0, DUE + HOUR, "assumed")]


def test_fetches_put_together_are_dated_as_if_put_one_by_one(store: Store) -> None:
    rows = [load(1.0, fetched_at=DUE + 5 * HOUR), load(2.0, valid_time=START + HOUR, published_at=DUE + HOUR)]
    looks = [look(DUE + 5 * HOUR - MINUTE), look(START + 24 * HOUR - MINUTE)]
    store.put(pl.concat(rows[::-1]), looks=looks[::-1])
    assert stored(store) == [(1.0, DUE, "assumed"), (2.0, START + 24 * HOUR, "observed")]


def test_a_look_said_to_have_failed_and_to_have_been_answered_was_answered(store: Store) -> None:
    both = [look(DUE + MINUTE, answered=answered) for answered in (False, True)]
    store.put(load(), looks=both)
    store.put(load(1.0, fetched_at=DUE + HOUR))
    assert stored(store) == [(1.0, DUE + HOUR, "observed")]


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


def quarters(*values: float, first: int = 0, fetched_at: datetime = START + 48 * HOUR) -> pl.DataFrame:
    """The first hour's load in quarters."""
    starts = [START + (first + n) * QUARTER for n in range(len(values))]
    due = [start + QUARTER + 2 * HOUR for start in starts]
    return load(*values, valid_time=starts, resolution=QUARTER, published_at=due, fetched_at=fetched_at)


def test_parts_of_a_stored_interval_are_a_revision_of_it_all_of_one_instant(store: Store) -> None:
    store.put(load(4.0, 5.0))
    came = START + 48 * HOUR
    assert store.put(quarters(4.0, 4.0, 4.0, 4.0)) == Added(0, 4)
    assert store.put(quarters(4.0, 4.0, 4.0, 4.0)) == Added(0, 0)
    assert store.put(quarters(4.0, 4.0, 4.0, 4.0, fetched_at=came + HOUR)) == Added(0, 0)
    found = store.observations(["X"]).filter(pl.col("resolution") == QUARTER)
    assert found.select("published_at", "published_at_basis").rows() == [(came, "observed")] * 4
    between = store.as_of(ZONE, came - TICK, resolution=np.timedelta64(QUARTER))
    assert LOAD not in between.series


def test_parts_of_which_the_first_is_missing_are_a_revision_too(store: Store) -> None:
    store.put(load(4.0))
    assert store.put(quarters(2.0, 3.0, first=2)) == Added(0, 2)
    assert store.put(quarters(4.0, first=4)) == Added(1, 0)


def test_an_interval_is_a_revision_of_its_stored_parts(store: Store) -> None:
    store.put(quarters(2.0, 3.0, first=2, fetched_at=START + 10 * HOUR))
    assert store.put(load(4.0)) == Added(0, 1)
    assert stored(store)[0] == (4.0, START + 24 * HOUR, "observed")
    assert store.put(quarters(1.0, 2.0, 3.0, 4.0, fetched_at=START + 9 * HOUR)) == Added(0, 0)
    assert store.put(quarters(1.0, 2.0, 3.0, 4.0)) == Added(0, 4)


def test_hours_and_then_quarters_put_together_are_as_if_put_one_by_one(store: Store) -> None:
    assert store.put(pl.concat([quarters(1.0, first=3), load(4.0)])) == Added(1, 1)
    assert stored(store) == [(4.0, DUE, "assumed"), (1.0, START + 48 * HOUR, "observed")]


def test_hours_and_quarters_of_one_fetch_stand_beside_each_other(store: Store) -> None:
    both = pl.concat([load(4.0), quarters(1.0, 2.0, 3.0, 4.0, fetched_at=START + 24 * HOUR)])
    assert store.put(both).rows == 5
    assert set(store.observations(["X"])["published_at_basis"]) == {"assumed"}
    assert store.put(both.with_columns(fetched_at=pl.lit(START + 30 * HOUR))) == Added(0, 0)


def told(value: float, *, hours: int, said: int = 3, **columns: Any) -> pl.DataFrame:
    """A value of which its source says when it was published; hours after `START`."""
    at = {"published_at": START + said * HOUR, "fetched_at": START + hours * HOUR}
    return load(value, **at, published_at_basis="reported", **columns)


@pytest.mark.parametrize("variable", [LOAD, "temperature_2m"])
def test_a_value_that_changes_without_a_new_publication_is_a_vintage_of_when_it_was_fetched(
    store: Store, variable: str
) -> None:
    def put(value: float, hours: int, said: int = 3) -> Added:
        return store.put(told(value, hours=hours, said=said, variable=variable))

    assert put(1.0, 24) == Added(1, 0)
    assert put(2.0, 48) == Added(0, 1)
    assert [put(2.0, 48), put(2.0, 50), put(1.0, 24), put(9.0, 23)] == [Added(0, 0)] * 4
    assert put(1.0, 60) == Added(0, 1)
    assert put(7.0, 70, said=65).rows == 1
    assert put(1.0, 71) == Added(0, 0)
    assert stored(store) == [
        (1.0, DUE, "reported"),
        (2.0, START + 48 * HOUR, "observed"),
        (1.0, START + 60 * HOUR, "observed"),
        (7.0, START + 65 * HOUR, "reported"),
    ]
    assert store.check() == []


def test_two_values_of_one_key_and_one_instant_are_refused(store: Store) -> None:
    store.put(told(1.0, hours=24))
    with pytest.raises(StoreError, match=r"stored as 1\.0 and came again as 2\.0"):
        store.put(told(2.0, hours=24))
    with pytest.raises(DuplicateTime):
        store.put(pl.concat([told(1.0, hours=30), told(2.0, hours=31)]))
    assert stored(store) == [(1.0, DUE, "reported")]


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


def test_lags_are_what_the_watch_saw(store: Store) -> None:
    every = [
        (DUE - 3 * MINUTE, True, 0),
        (DUE + 12 * MINUTE, True, 1),  # public in between, five minutes late
        (DUE + HOUR, True, 1),
        (DUE + HOUR + 30 * MINUTE, False, 1),
        (DUE + 2 * HOUR, True, 3),  # the second and the third came while the source did not answer
        (DUE + 3 * HOUR, True, 3),
        (DUE + 9 * HOUR, True, 4),  # nobody had looked
    ]
    for at, answered, there in every:
        asked = look(at - MINUTE, end=START + 9 * HOUR, answered=answered)
        store.put(load(*range(there), fetched_at=at), looks=[asked])
    assert [basis for *_, basis in stored(store)] == ["observed"] * 4
    found = store.lags("X", variable=LOAD, source="a")
    assert found.select("valid_time", "lag").rows() == [(START, 2 * HOUR + 12 * MINUTE)]


def test_a_reported_lag_counts_whatever_we_saw(store: Store) -> None:
    store.put(load(), looks=[look(DUE - MINUTE, answered=False)])
    store.put(told(1.0, hours=24), looks=[look(START + 24 * HOUR)])
    assert store.lags("X", variable=LOAD, source="a")["lag"].to_list() == [2 * HOUR]


def test_an_interval_that_is_divided_later_has_one_lag(store: Store) -> None:
    store.put(load(4.0, fetched_at=DUE - HOUR), looks=[look(DUE - HOUR)])
    store.put(quarters(1.0, 2.0, 3.0, 4.0, fetched_at=DUE), looks=[look(DUE)])
    assert store.lags("X", variable=LOAD, source="a").select("valid_time", "lag").rows() == [(START, HOUR)]
