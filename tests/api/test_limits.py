"""Token buckets and places, on a clock of our own."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.api.limits import Buckets, Slots, client_of
from gridcast.api.problems import Problem


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate_then_the_burst_again():
    clock = Clock()
    buckets = Buckets(rate=60, burst=3, clock=clock)
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now = 1
    assert [buckets.wait("a"), buckets.wait("a")] == [0, 1]
    clock.now = 100
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 1]


def test_too_many_requests_are_told_when_to_come_back():
    clock = Clock()
    buckets = Buckets(rate=6, burst=1, clock=clock)
    buckets.take("a")
    clock.now = 0.5
    with pytest.raises(Problem) as caught:
        buckets.take("a")
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "10"}
    clock.now = 10.5
    buckets.take("a")


def test_a_rate_of_nothing_is_no_limit():
    buckets = Buckets(rate=0, clock=Clock())
    assert {buckets.wait("a") for _ in range(1000)} == {0}
    assert len(buckets) == 0


def test_memory_is_bounded_and_the_longest_unheard_of_is_forgotten():
    buckets = Buckets(rate=60, burst=1, most=100, clock=Clock())
    buckets.wait("first")
    for number in range(99):
        buckets.wait(str(number))
    assert buckets.wait("first") == 1
    for number in range(100, 10_000):
        buckets.wait(str(number))
    assert len(buckets) == 100
    assert buckets.wait("first") == 0


@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from("ab")), max_size=80),
    st.floats(1, 600),
    st.floats(1, 20),
)
def test_no_client_ever_gets_more_than_burst_and_rate_allow(steps, rate, burst):
    clock = Clock()
    buckets = Buckets(rate=rate, burst=burst, clock=clock)
    got: dict[str, list[float]] = {"a": [], "b": []}
    for pause, client in steps:
        clock.now += pause
        wait = buckets.wait(client)
        if wait == 0:
            got[client].append(clock.now)
        else:
            assert 0 < wait <= 60 / rate + 1e-6
    for times in got.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                allowed = burst + (times[last] - times[first]) * rate / 60
                assert last - first + 1 <= allowed + 1e-6


def test_places_are_given_waited_for_and_refused():
    async def go() -> list[str]:
        slots, seen = Slots(1, waiting=1), []
        done = asyncio.Event()

        async def work(name: str) -> None:
            try:
                async with slots.hold():
                    seen.append(f"{name} in")
                    await done.wait()
            except Problem as problem:
                seen.append(f"{name} {problem.status} {problem.headers['Retry-After']}")

        tasks = [asyncio.create_task(work(name)) for name in "abc"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.set()
        await asyncio.gather(*tasks)
        assert slots.taken == 0
        return seen

    assert asyncio.run(go()) == ["a in", "c 503 1", "b in"]


def test_a_place_comes_back_after_a_failure_and_after_a_cancelled_wait():
    async def go() -> None:
        slots = Slots(1, waiting=1)
        with pytest.raises(ZeroDivisionError):
            async with slots.hold():
                _ = 1 / 0
        async with slots.hold():
            waiting = asyncio.create_task(slots.hold().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert slots.taken == 1
        assert slots.taken == 0

    asyncio.run(go())


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unix:"),
    ],
)
def test_an_address_counts_as_its_customer(address, client):
    assert client_of(address) == client
