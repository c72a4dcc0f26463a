"""The shared bucket: exact against a brute-force count, among processes, after a kill and under a moving clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridcast.errors import ConfigError, RateLimited, StoreError
from gridcast.sources.wire import Bucket, Limit, Permit
from scripted import VirtualClock

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def spent_in(grants: list[tuple[float, float]], *, start: float, seconds: float) -> float:
    """What was spent from ``start`` to ``start + seconds``, both included."""
    return sum(cost for instant, cost in grants if start <= instant <= start + seconds)


@st.composite
def limits(draw: st.DrawFn) -> tuple[Limit, ...]:
    spans = draw(st.lists(st.sampled_from([0.5, 1, 7, 60]), min_size=1, max_size=3, unique=True))
    made = []
    for seconds in spans:
        calls = draw(st.integers(1, 40))
        made.append(Limit(calls, seconds, draw(st.integers(1, calls))))
    return tuple(made)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=limits(), steps=st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 6)), min_size=1, max_size=12))
def test_no_window_holds_more_than_its_limit_whatever_is_asked(limits, steps, tmp_path):
    clock = VirtualClock(START)
    database = tmp_path / f"{time.monotonic_ns()}.sqlite"
    bucket = Bucket(database, clock=clock)
    grants = []
    for idle, cost in steps:
        clock.sleep(idle)
        permit = Permit("grid", limits, min(cost, *(limit.burst for limit in limits), 40))
        bucket.take(permit, patience=1e9)
        grants.append(((clock.now() - START).total_seconds(), permit.cost))
    database.unlink()

    for limit in limits:
        for instant, _ in grants:
            assert spent_in(grants, start=instant, seconds=limit.seconds) <= limit.calls + 1e-9
            assert spent_in(grants, start=instant, seconds=0) <= limit.burst + 1e-9


def test_the_lasting_rate_comes_near_to_what_is_allowed(tmp_path):
    clock = VirtualClock(START)
    bucket, permit = Bucket(tmp_path / "b.sqlite", clock=clock), Permit("entsoe", (Limit(360, 60, 20),))
    for _ in range(20):
        bucket.take(permit, patience=0)
    for _ in range(200):
        bucket.take(permit, patience=60)
    minutes = (clock.now() - START).total_seconds() / 60
    assert 324 <= 200 / minutes <= 360


def test_names_and_limits_are_counted_apart(tmp_path):
    clock = VirtualClock(START)
    bucket, once = Bucket(tmp_path / "b.sqlite", clock=clock), (Limit(1, 60, 1),)
    bucket.take(Permit("GenerationProdTypeExchange", once), patience=0)
    bucket.take(Permit("ProductionConsumptionSettlement", once), patience=0)
    with pytest.raises(RateLimited) as caught:
        bucket.take(Permit("GenerationProdTypeExchange", once), patience=59.9)
    assert caught.value.until == START + timedelta(seconds=60, microseconds=1)
    assert clock.slept == []
    bucket.take(Permit("GenerationProdTypeExchange", once), patience=60.1)
    assert clock.now() == caught.value.until


def test_a_refused_permit_spends_nothing(tmp_path):
    bucket = Bucket(tmp_path / "b.sqlite", clock=VirtualClock(START))
    both = Permit("grid", (Limit(10, 60, 5), Limit(1, 3600, 1)))
    bucket.take(both, patience=0)
    for _ in range(20):
        with pytest.raises(RateLimited):
            bucket.take(both, patience=0)
    bucket.take(Permit("grid", (Limit(10, 60, 5),), 4), patience=0)


def test_a_block_holds_for_everybody_until_then(tmp_path):
    clock = VirtualClock(START)
    one, other = (Bucket(tmp_path / "b.sqlite", clock=clock) for _ in range(2))
    free = Permit("grid", (Limit(10, 60, 10),))
    one.block("grid", until=START + timedelta(minutes=10))
    one.block("grid", until=START + timedelta(minutes=5))
    with pytest.raises(RateLimited) as caught:
        other.take(free, patience=599)
    assert caught.value.until == START + timedelta(minutes=10)
    other.take(Permit("another", free.limits), patience=0)
    other.take(free, patience=600)
    assert clock.now() == START + timedelta(minutes=10)


def test_a_block_in_the_past_changes_nothing(tmp_path):
    bucket = Bucket(tmp_path / "b.sqlite", clock=VirtualClock(START))
    bucket.block("grid", until=START - timedelta(days=1))
    bucket.take(Permit("grid", (Limit(1, 60, 1),)), patience=0)


@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(hours=3), timedelta(days=400)])
def test_a_clock_that_is_set_back_freezes_nothing(back, tmp_path):
    clock = VirtualClock(START)
    bucket, permit = Bucket(tmp_path / "b.sqlite", clock=clock), Permit("grid", (Limit(10, 60, 5),))
    for _ in range(5):
        bucket.take(permit, patience=0)
    bucket.block("grid", until=START + timedelta(seconds=20))
    clock.set(START - back)
    bucket.take(permit, patience=60)
    assert sum(clock.slept) <= 20
    for _ in range(5):
        bucket.take(permit, patience=60)


def test_a_clock_that_is_set_back_gives_nothing_away(tmp_path):
    clock = VirtualClock(START)
    bucket, permit = Bucket(tmp_path / "b.sqlite", clock=clock), Permit("grid", (Limit(10, 60, 5),))
    for _ in range(5):
        bucket.take(permit, patience=0)
    for hours in range(1, 4):
        clock.set(START - timedelta(hours=hours))
        with pytest.raises(RateLimited):
            bucket.take(permit, patience=9)


def test_a_clock_that_never_moves_ends_in_an_error_not_in_a_loop(tmp_path):
    class Stopped(VirtualClock):
        def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)

    bucket, permit = Bucket(tmp_path / "b.sqlite", clock=Stopped(START)), Permit("grid", (Limit(1, 60, 1),))
    bucket.take(permit, patience=0)
    with pytest.raises(RateLimited):
        bucket.take(permit, patience=500)


@pytest.mark.parametrize(
    "numbers", [(0, 60, 0), (10, 0, 1), (10, -1, 1), (10, 60, 11), (10, 60, 0.5), (float("inf"), 1, 1)]
)
def test_a_limit_that_cannot_be_kept_is_refused(numbers):
    with pytest.raises(ConfigError):
        Limit(*numbers)


@pytest.mark.parametrize("cost", [0, -1, float("nan"), float("inf")])
def test_a_cost_that_is_none_is_refused(cost):
    with pytest.raises(ConfigError):
        Permit("grid", (Limit(10, 60, 5),), cost)


def test_a_request_above_the_burst_is_refused_and_two_limits_of_one_span_are(tmp_path):
    bucket = Bucket(tmp_path / "b.sqlite", clock=VirtualClock(START))
    with pytest.raises(ConfigError, match="no more than 5"):
        bucket.take(Permit("grid", (Limit(10, 60, 5),), 5.1), patience=1e9)
    with pytest.raises(ConfigError):
        Permit("grid", (Limit(10, 60, 5), Limit(20, 60, 5)))
    with pytest.raises(ConfigError, match="time zone"):
        bucket.block("grid", until=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "b.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    bucket = Bucket(path, clock=VirtualClock(START))
    with pytest.raises(StoreError) as caught:
        bucket.take(Permit("grid", (Limit(1, 1, 1),)), patience=0)
    assert str(path) in str(caught.value)
    assert caught.value.__context__ is None


def test_what_is_given_back_can_be_had_again_unless_another_was_handed_out_since(bucket, clock):
    once = Permit("grid", (Limit(1, 60, 1),))
    start = clock.now()
    bucket.give_back(bucket.take(once, patience=0))
    late = bucket.take(once, patience=0)
    clock.sleep(61)
    bucket.take(once, patience=0)
    bucket.give_back(late)
    with pytest.raises(RateLimited):
        bucket.take(once, patience=59)
    assert clock.now() - start == timedelta(seconds=61)
