"""The store, on each database it promises to run on: PostgreSQL too where GRIDCAST_TEST_POSTGRES_URL says where."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.errors import (
    BadTime,
    DataError,
    GridcastError,
    ImplausibleValue,
    MissingColumns,
    MissingExtra,
    StoreError,
)
from gridcast.market.days import instant
from gridcast.market.zones import BiddingZone
from gridcast.store import snapshot
from gridcast.store.database import Coverage, Store
from gridcast.store.vintages import Added
from stores import HOUR, START, ZONE, issued, load


def test_what_is_put_comes_back(store: Store) -> None:
    frame = load(1.0, 2.5, 1 / 3)
    assert store.put(frame).rows == 3
    assert store.observations(["X"]).equals(frame)
    assert store.zones() == ["X"]


def test_putting_twice_is_putting_once(store: Store) -> None:
    frame = load(1.0, 2.0)
    assert (store.put(frame), store.put(frame)) == (Added(2, 0), Added(0, 0))
    assert store.observations(["X"]).equals(frame)


def test_putting_nothing_adds_nothing(store: Store) -> None:
    assert store.put(load()).rows == 0
    assert store.observations(["X"]).equals(load())
    assert store.zones() == []
    assert store.put_forecast(issued(), made_at=START) == 0


@pytest.mark.parametrize("basis", ["reported", "observed"])
def test_a_stored_value_is_never_overwritten(store: Store, basis: str) -> None:
    store.put(load(1.0, 2.0, published_at_basis=basis))
    with pytest.raises(StoreError, match=r"stored as 2\.0 and came again as 9\.0"):
        store.put(load(1.0, 9.0, 5.0, published_at_basis=basis))
    assert store.observations(["X"])["value"].to_list() == [1.0, 2.0]


def test_a_changed_assumed_value_is_a_vintage_of_the_instant_it_was_fetched(store: Store) -> None:
    store.put(load(1.0, 2.0))
    later = START + 48 * HOUR
    assert store.put(load(1.0, 9.0, fetched_at=later)).rows == 1
    newest = store.observations(["X"]).filter(value=9.0)
    assert newest.select("published_at", "published_at_basis", "fetched_at").row(0) == (later, "observed", later)
    assert store.put(load(1.0, 9.0, fetched_at=later + HOUR)).rows == 0
    second = np.array([instant(START + HOUR)])
    before, after = store.as_of(ZONE, later - timedelta(microseconds=1)), store.as_of(ZONE, later)
    assert before.known(LOAD, second, issue_time=before.issue_times[0])[0] == 2.0
    assert after.known(LOAD, second, issue_time=after.issue_times[0])[0] == 9.0


def test_a_value_that_changes_back_is_a_third_vintage(store: Store) -> None:
    for day, value in enumerate((1.0, 2.0, 1.0), start=1):
        assert store.put(load(value, fetched_at=START + 24 * day * HOUR)).rows == 1
    assert store.observations(["X"]).sort("published_at")["value"].to_list() == [1.0, 2.0, 1.0]


def test_an_older_look_than_the_stored_one_is_no_news(store: Store) -> None:
    store.put(load(1.0))
    assert store.put(load(2.0, fetched_at=START + 23 * HOUR)).rows == 0
    assert store.put(load(2.0, fetched_at=START + 24 * HOUR)).rows == 0


def test_a_revision_seen_before_the_assumed_publication_still_replaces_what_it_revises(store: Store) -> None:
    store.put(load(1.0, fetched_at=START + HOUR))
    assert store.put(load(2.0, fetched_at=START + 2 * HOUR)).rows == 1
    made = store.as_of(ZONE, START + 4 * HOUR)
    assert made.known(LOAD, np.array([instant(START)]), issue_time=made.issue_times[0])[0] == 2.0


def test_one_frame_may_hold_several_looks(store: Store) -> None:
    frame = pl.concat(
        [
            load(1.0, 5.0),
            load(2.0, 5.0, fetched_at=START + 48 * HOUR, published_at=[START + 4 * HOUR, START + 5 * HOUR]),
        ]
    )
    assert store.put(frame).rows == 3
    assert store.put(frame).rows == 0


def test_runs_of_a_weather_forecast_are_vintages_in_whatever_order_they_come(store: Store) -> None:
    def run(hour: int, value: float) -> pl.DataFrame:
        return load(value, variable="temperature_2m", published_at=START - hour * HOUR)

    assert [store.put(run(*each)).rows for each in ((6, 1.0), (12, 2.0), (0, 3.0))] == [1, 1, 1]
    assert [store.put(run(*each)).rows for each in ((6, 1.0), (12, 2.0), (0, 3.0))] == [0, 0, 0]
    stored = store.observations(["X"]).sort("published_at")
    assert stored["value"].to_list() == [2.0, 1.0, 3.0]
    assert stored["published_at_basis"].unique().to_list() == ["assumed"]


def test_an_old_run_that_comes_again_does_not_replace_a_newer_one(store: Store) -> None:
    runs = [
        load(value, variable="temperature_2m", published_at=START - hour * HOUR) for hour, value in ((6, 1.0), (0, 2.0))
    ]
    store.put(pl.concat(runs))
    again = runs[0].with_columns(fetched_at=pl.lit(START + 48 * HOUR))
    assert store.put(again).rows == 0
    assert store.put(again.with_columns(value=pl.lit(3.0))).rows == 1


def test_of_several_assumed_publications_in_one_look_only_the_newest_is_compared(store: Store) -> None:
    def look(fetched_at: datetime) -> pl.DataFrame:
        first = load(1.0, fetched_at=fetched_at)
        return pl.concat([first, load(2.0, published_at=START + 5 * HOUR, fetched_at=fetched_at)])

    assert store.put(look(START + 24 * HOUR)).rows == 2
    assert store.put(look(START + 48 * HOUR)).rows == 0


def test_sources_are_kept_apart(store: Store) -> None:
    assert store.put(load(1.0)).rows == 1
    assert store.put(load(2.0, source="b")).rows == 1


def test_a_put_that_fails_leaves_nothing_behind(store: Store) -> None:
    store.put(load(1.0, published_at_basis="reported", variable="price"))
    mixed = pl.concat([load(7.0), load(2.0, published_at_basis="reported", variable="price")])
    with pytest.raises(StoreError):
        store.put(mixed)
    assert store.observations(["X"], variables=[LOAD]).is_empty()


def test_observations_can_be_narrowed(store: Store) -> None:
    store.put(pl.concat([load(1.0, 2.0, 3.0), load(4.0, zone="Y"), load(5.0, variable=TSO_FORECAST)]))
    assert store.observations(["X", "Y"]).height == 5
    assert store.observations(["X"], variables=[TSO_FORECAST])["value"].to_list() == [5.0]
    inner = store.observations(["X"], variables=[LOAD], start=START + HOUR, end=START + 2 * HOUR)
    assert inner["value"].to_list() == [2.0]
    with pytest.raises(BadTime, match="no time zone"):
        store.observations(["X"], start=START.replace(tzinfo=None))


def test_a_snapshot_of_the_store_is_the_snapshot_of_its_rows(store: Store) -> None:
    frame = pl.concat([load(1.0, 2.0, 3.0), load(7.0, 8.0, 9.0, fetched_at=START + 48 * HOUR, source="b")])
    store.put(frame)
    issue_times = np.array([instant(START + n * HOUR) for n in range(8)])
    for made_at in (None, START + 24 * HOUR):
        stored = store.as_of(ZONE, issue_times, made_at=made_at)
        plain = snapshot(frame, zone=ZONE, issue_times=issue_times, made_at=made_at)
        np.testing.assert_array_equal(stored.series[LOAD].values, plain.series[LOAD].values)
        np.testing.assert_array_equal(stored.series[LOAD].published_at, plain.series[LOAD].published_at)
    assert store.as_of(ZONE, issue_times, start=START + HOUR).series[LOAD].values.shape[1] == 2
    assert dict(store.as_of(ZONE, START - HOUR).series) == {}
    coarse = store.as_of(ZONE, issue_times, resolution=np.timedelta64(3_600_000_000, "us"))
    assert coarse.resolution == np.timedelta64(1, "h")


def test_a_snapshot_of_a_portfolio_sums_its_members(store: Store) -> None:
    store.put(pl.concat([load(1.0, 2.0), load(10.0, zone="Y")]))
    total = BiddingZone("SUM", "Sum", "DK", "Europe/Copenhagen", "Europe/Copenhagen", members=("X", "Y"))
    made = store.as_of(total, START + 24 * HOUR)
    assert made.series[LOAD].values.tolist() == [[11.0]]


@pytest.mark.parametrize("kind", [pl.DataFrame.to_pandas, pl.DataFrame.to_arrow, pl.DataFrame.clone])
def test_any_arrow_table_can_be_put(store: Store, kind: Callable[[pl.DataFrame], pd.DataFrame | pa.Table]) -> None:
    frame = load(1.0, 2.0)
    assert store.put(kind(frame)).rows == 2
    assert store.put_forecast(kind(issued(1.0, 2.0)), made_at=START) == 2
    assert store.observations(["X"]).equals(frame)


def test_times_of_another_unit_or_zone_are_the_same_instants(store: Store) -> None:
    local = load(1.0).with_columns(pl.col("valid_time").dt.convert_time_zone("Europe/Paris").dt.cast_time_unit("ns"))
    store.put(local)
    assert store.observations(["X"]).equals(load(1.0))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda frame: frame.drop("source"), MissingColumns),
        (lambda frame: frame.with_columns(pl.col("valid_time").dt.replace_time_zone(None)), BadTime),
        (lambda frame: frame.with_columns(pl.col("value").cast(pl.String)), DataError),
        (lambda frame: frame.with_columns(value=pl.lit([1.0])), DataError),
        (lambda frame: frame.with_columns(value=pl.lit(None, pl.Float64)), DataError),
        (lambda frame: frame.with_columns(value=pl.lit(float("nan"))), ImplausibleValue),
        (lambda frame: frame.with_columns(published_at_basis=pl.lit("guessed")), DataError),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], kind: type[GridcastError]
) -> None:
    with Store("sqlite://") as store:
        with pytest.raises(kind) as caught:
            store.put(spoil(load(1.0)))
        assert caught.type is kind
        assert store.zones() == []


def test_forecasts_come_back_and_are_never_overwritten(store: Store) -> None:
    frame = issued(1.0, 2.0)
    assert (store.put_forecast(frame, made_at=START), store.put_forecast(frame, made_at=START)) == (2, 0)
    assert store.forecasts("X").equals(frame)
    assert store.put_forecast(issued(1.0, 2.0, 3.0), made_at=START) == 1
    with pytest.raises(StoreError, match="two different rows"):
        store.put_forecast(issued(1.0, 2.5), made_at=START)
    with pytest.raises(StoreError, match="two different rows"):
        store.put_forecast(pl.concat([issued(1.0, zone="Y"), issued(2.0, zone="Y")]), made_at=START)
    with pytest.raises(ImplausibleValue, match="not finite"):
        store.put_forecast(issued(float("nan"), zone="Y"), made_at=START)
    assert store.forecasts("X")["value"].to_list() == [1.0, 2.0, 3.0]
    assert store.forecasts("Y").is_empty()
    assert store.put_forecast(issued(9.0, model_version="v2"), made_at=START) == 1


def test_forecasts_can_be_narrowed(store: Store) -> None:
    parts = [issued(float(n), issue_time=START + n * HOUR, valid_time=START + (n + 13) * HOUR) for n in range(4)]
    store.put_forecast(pl.concat(parts), made_at=START)
    store.put_forecast(issued(9.0, model_version="v2"), made_at=START)

    def values(**wanted: Any) -> list[float]:
        return store.forecasts("X", **wanted)["value"].to_list()

    assert values(model_version="v1") == [0.0, 1.0, 2.0, 3.0]
    assert values(issued_from=START + HOUR, issued_until=START + 3 * HOUR) == [1.0, 2.0]
    assert values(start=START + 14 * HOUR, end=START + 15 * HOUR) == [1.0]


def test_coverage_tells_the_gaps(store: Store) -> None:
    assert store.coverage("X", LOAD) == Coverage(None, None, 0, ())
    store.put(load(1.0, 2.0, 3.0, 4.0, 5.0, 6.0).filter(~pl.col("value").is_in([3.0, 4.0])))
    store.put(load(1.5, fetched_at=START + 48 * HOUR))
    found = store.coverage("X", LOAD)
    assert found == Coverage(START, START + 5 * HOUR, 4, ((START + 2 * HOUR, START + 4 * HOUR),))


def test_opening_again_finds_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(url) as store:
        store.put(load(1.0))
    with Store(url) as store:
        assert store.put(load(1.0)).rows == 0
        assert store.zones() == ["X"]


def test_a_file_store_is_safe_against_power_cuts_and_waits_for_its_turn(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store, store.database.engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]
    assert settings == ["wal", 2, 30_000, 1]


def test_writers_at_the_same_time_queue_up(shared_url: str) -> None:

    def write(n: int) -> int:
        with Store(shared_url) as store:
            return store.put(load(*range(n, n + 20)[:20], fetched_at=START + n * HOUR, source="all")).rows

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(write, [30] * 8))
    assert sorted(added) == [0] * 7 + [20]


def test_a_writer_does_not_even_read_before_its_turn(shared_url: str) -> None:
    with Store(shared_url) as first, Store(shared_url) as second, ThreadPoolExecutor(1) as pool:
        with first.database.writing():
            waiting = pool.submit(second.put, load(1.0))
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=30) == Added(1, 0)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"sqlite:///{path}")


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        Store(f"sqlite:///{tmp_path / 'nowhere' / 'store.db'}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ada:s3cr%24t@127.0.0.1:1/grid?connect_timeout=1&application_name=s3cr$t",
        "nosuch+driver://ada:s3cr%24t@127.0.0.1:1/grid",
        "postgresql+psycopg://ada:s3cr$t@[::bad/grid",
        "s3cr$t",
    ],
)
def test_no_error_shows_a_password(url: str) -> None:
    if "psycopg" in url:
        pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    with pytest.raises(StoreError) as caught:
        Store(url)
    error = caught.value
    assert "s3cr" not in str(error)
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_a_driver_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match="gridcast\\[postgres\\]"):
        Store("postgresql+psycopg://ada@127.0.0.1:1/grid")


def test_two_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    frame = load(*range(200_000))
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        assert store.put(frame).rows == frame.height
        assert store.put(frame).rows == 0
