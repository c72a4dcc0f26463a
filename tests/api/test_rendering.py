"""Answers that are kept: made once, true while they are kept, and never too many."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="the extra `api` is absent")

from gridcast.api.rendering import Kept, Rendered
from gridcast.errors import OutsideData


class Maker:
    """Makes an answer, slowly, and counts how often."""

    def __init__(self, body: bytes = b"{}", *, seconds: float = 0.02) -> None:
        self.body, self.seconds, self.made = body, seconds, 0
        self._lock = threading.Lock()

    def __call__(self) -> Rendered:
        time.sleep(self.seconds)
        with self._lock:
            self.made += 1
        return Rendered(self.body)


def test_fifty_who_ask_at_once_have_it_made_once():
    maker = Maker()

    async def ask():
        kept = Kept()
        return await asyncio.gather(*(kept.get("forecast", maker, generation=1) for _ in range(50)))

    answers = asyncio.run(ask())
    assert maker.made == 1
    assert len({id(each) for each in answers}) == 1


def test_a_new_generation_makes_everything_anew():
    maker = Maker()

    async def ask():
        kept = Kept()
        for generation in (1, 1, 2, 2):
            await kept.get("forecast", maker, generation=generation)

    asyncio.run(ask())
    assert maker.made == 2


def test_what_was_begun_before_a_change_is_not_kept_after_it():
    slow, quick = Maker(b"old", seconds=0.2), Maker(b"new", seconds=0)

    async def ask():
        kept = Kept()
        early = asyncio.create_task(kept.get("forecast", slow, generation=1))
        await asyncio.sleep(0.05)
        late = await kept.get("forecast", quick, generation=2)
        await early
        return late, await kept.get("forecast", quick, generation=2)

    late, after = asyncio.run(ask())
    assert late.body == after.body == b"new"


def test_the_longest_unused_is_let_go_of_when_there_is_too_much():
    makers = {name: Maker(b"x" * 20, seconds=0) for name in "abcde"}

    async def ask():
        kept = Kept(most_bytes=80)
        for name in "abcd":
            await kept.get(name, makers[name], generation=1)
        await kept.get("a", makers["a"], generation=1)
        await kept.get("e", makers["e"], generation=1)
        for name in "ab":
            await kept.get(name, makers[name], generation=1)

    asyncio.run(ask())
    assert (makers["a"].made, makers["b"].made) == (1, 2)


def test_a_refusal_reaches_everybody_who_waits_and_is_not_kept():
    tries = []

    def make() -> Rendered:
        time.sleep(0.02)
        tries.append(1)
        raise OutsideData("nothing there", remedy="ask for another")

    async def ask():
        kept = Kept()
        at_once = await asyncio.gather(*(kept.get("x", make, generation=1) for _ in range(5)), return_exceptions=True)
        with pytest.raises(OutsideData):
            await kept.get("x", make, generation=1)
        return at_once

    assert all(isinstance(each, OutsideData) for each in asyncio.run(ask()))
    assert len(tries) == 2


def test_one_who_leaves_does_not_take_the_answer_from_the_others():
    maker = Maker(seconds=0.1)

    async def ask():
        kept = Kept()
        first = asyncio.create_task(kept.get("x", maker, generation=1))
        second = asyncio.create_task(kept.get("x", maker, generation=1))
        await asyncio.sleep(0.02)
        first.cancel()
        return await second

    assert asyncio.run(ask()).body == b"{}"
    assert maker.made == 1


def test_the_same_request_is_answered_again_without_its_route_until_the_minute_is_over(own_site):
    async def ask():
        async with own_site.client() as client:
            first = await client.get("/v1/zones/DK_1/load")
            again = await client.get("/v1/zones/DK_1/load")
            own_site.clock.at = own_site.clock.at.replace(hour=12)
            return first, again, await client.get("/v1/zones/DK_1/load")

    first, again, later = asyncio.run(ask())
    assert first.content == again.content != later.content


def test_an_answer_is_given_again_only_to_who_may_read(tmp_path):
    import small_home
    from gridcast.api.keys import Keys, Scope
    from small_site import made

    reader, known = Keys.create("reader", scopes=[Scope.READ])
    maker, other = Keys.create("maker", scopes=[Scope.FORECAST])
    site = made(small_home.home(), open_reads=False, keys=Keys((known, other)))

    async def ask():
        async with site.client() as client:
            path = "/v1/zones/DK_1/forecast"
            keys = ({"x-api-key": reader}, {"x-api-key": reader}, {}, {"x-api-key": maker}, {"x-api-key": "gk_none"})
            return [(await client.get(path, headers=key)).status_code for key in keys]

    assert asyncio.run(ask()) == [200, 200, 401, 403, 401]
    site.service.store.close()
