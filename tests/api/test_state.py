"""One state at a time: a champion that changes is swapped whole, and readiness says what is so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

import small_home
from gridcast import pipeline
from gridcast.market.days import Task
from gridcast.registry import Version


def ready(site):
    async def ask():
        async with site.client() as client:
            return await client.get("/ready")

    answer = asyncio.run(ask())
    return answer.status_code, answer.json()


def failing(found):
    return [each["check"] for each in found["checks"] if not each["ok"]]


def another_champion(site, *, strength=3.0, promote=True) -> Version:
    service = site.service
    at = small_home.NOW - timedelta(days=small_home.ISSUED_DAYS)
    return small_home.train(service.store, service.registry, at=at, promote=promote, strength=strength)


def test_a_service_with_a_sound_champion_and_fresh_data_is_ready(site):
    status, found = ready(site)
    assert (status, found["ready"], found["canary"], failing(found)) == (200, True, "matches", [])
    assert found["model_version"] == site.current.state.champions["DK_1"].version.id


def test_data_that_grow_old_make_it_not_ready_and_new_ones_ready_again(own_site):
    own_site.clock.at += timedelta(hours=21)
    assert ready(own_site)[1]["ready"]

    own_site.clock.at += timedelta(hours=1)
    status, found = ready(own_site)
    assert (status, failing(found)) == (503, ["data DK_1"])

    now, where = own_site.clock.now(), own_site.service.zone("DK_1")
    rows = pipeline.fetch(
        where, source=pipeline.DEMO, start=now.date() - timedelta(days=2), end=now.date(), fetched_at=now
    )
    pipeline.ingest(own_site.service.store, rows, zone=where)
    own_site.current.refresh()
    assert ready(own_site)[0] == 200


def test_it_lives_though_it_is_not_ready(own_site):
    own_site.clock.at += timedelta(days=30)

    async def ask():
        async with own_site.client() as client:
            return await client.get("/health")

    assert asyncio.run(ask()).json() == {"status": "alive"}


def test_no_model_at_all_is_not_ready(tmp_path):
    from small_site import made

    (tmp_path / "empty").mkdir()
    status, found = ready(made(tmp_path / "empty"))
    assert (status, failing(found), found["canary"]) == (503, ["champions"], "no model")


def test_a_model_whose_canary_is_another_is_not_ready(own_site):
    shelf = own_site.folder / "models" / "DK_1" / Task.DAY_AHEAD
    place = next(shelf.glob("2026*")) / "manifest.json"
    manifest = json.loads(place.read_text("utf-8"))
    manifest["details"]["metrics"]["canary"]["median_mw"][0] += 1.0
    place.write_text(json.dumps(manifest), "utf-8")

    from gridcast.api.state import Current

    current = Current(own_site.service, classic=False)
    found = current.refresh().readiness(now=small_home.NOW)
    assert (found["ready"], failing(found)) == (False, ["canary DK_1"])


def test_a_promotion_is_served_after_the_next_look_and_a_rollback_too(own_site):
    first = own_site.current.state.champions["DK_1"]
    version = another_champion(own_site)
    assert own_site.current.state.champions["DK_1"] is first

    own_site.current.refresh()
    assert own_site.current.state.champions["DK_1"].version == version

    own_site.service.registry.rollback("DK_1", Task.DAY_AHEAD, at=small_home.NOW)
    assert own_site.current.refresh().champions["DK_1"].version == first.version


def test_a_champion_whose_files_were_touched_never_reigns_and_the_old_one_goes_on(own_site):
    before = own_site.current.state
    version = another_champion(own_site)
    model = own_site.folder / "models" / "DK_1" / Task.DAY_AHEAD / version.id / "model"
    weights = next(model.rglob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    after = own_site.current.refresh()
    assert after.champions["DK_1"] is before.champions["DK_1"]
    status, found = ready(own_site)
    assert (status, found["ready"]) == (200, True)
    assert version.id in found["notices"][0]


def test_a_file_that_cannot_be_read_is_told_and_what_comes_later_is_seen(own_site):
    """A link to itself is an error of the operating system, which nobody here raised."""
    version = another_champion(own_site)
    model = own_site.folder / "models" / "DK_1" / Task.DAY_AHEAD / version.id / "model"
    weights = next(model.rglob("*.safetensors"))
    sound = weights.read_bytes()
    weights.unlink()
    weights.symlink_to(weights.name)

    assert own_site.current.refresh().champions["DK_1"].version != version
    assert version.id in ready(own_site)[1]["notices"][0]
    weights.unlink()
    weights.write_bytes(sound)
    assert own_site.current.refresh().champions["DK_1"].version == version


def test_a_look_that_fails_is_not_the_last(own_site, monkeypatch):
    current, looks, plain = own_site.current, [], own_site.current._looked

    def failing_once(before):
        looks.append(before)
        if len(looks) == 1:
            raise RuntimeError("nobody foresaw this")
        return plain(before)

    monkeypatch.setattr(current, "_looked", failing_once)

    async def watched():
        watch = asyncio.create_task(current.watch(every=0.01))
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        watch.cancel()

    asyncio.run(asyncio.wait_for(watched(), 10))


def test_the_fault_of_one_zone_holds_up_no_other(own_site):
    where = own_site.folder / "models" / "DK_2" / Task.DAY_AHEAD
    where.mkdir(parents=True)
    (where / "champion.json").write_text("garbage", "utf-8")
    version = another_champion(own_site)

    assert own_site.current.refresh().champions["DK_1"].version == version
    status, found = ready(own_site)
    assert (status, failing(found)) == (503, ["champion DK_2"])


def test_a_service_that_starts_with_a_damaged_champion_is_not_ready_and_says_so(own_site):
    from small_site import made

    model = next((own_site.folder / "models" / "DK_1").rglob("*.safetensors"))
    model.write_bytes(model.read_bytes() + b"x")
    later = made(own_site.folder)
    status, found = ready(later)
    assert (status, failing(found)) == (503, ["champion DK_1"])
    assert str(own_site.folder) not in str(found)

    async def ask():
        load = [{"valid_time": time, "value": value} for time, value in small_home.history(later.service)]
        async with later.client() as client:
            return await client.post("/v1/forecast", json={"zone": "DK_1", "load": load})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    later.service.store.close()


def test_a_champion_with_another_canary_does_not_dethrone_a_sound_one(own_site):
    version = another_champion(own_site)
    manifest = own_site.folder / "models" / "DK_1" / Task.DAY_AHEAD / version.id / "manifest.json"
    content = json.loads(manifest.read_text("utf-8"))
    recorded = content["details"]["metrics"]["canary"]
    recorded["median_mw"] = [value + 5 for value in recorded["median_mw"]]
    manifest.write_text(json.dumps(content), "utf-8")

    assert own_site.current.refresh().champions["DK_1"].version != version
    status, found = ready(own_site)
    assert (status, version.id in found["notices"][0]) == (200, True)


def test_a_state_that_nothing_changed_is_the_same_object(own_site):
    before = own_site.current.refresh()
    assert own_site.current.refresh() is before


def test_a_registry_that_cannot_be_read_is_told_and_the_models_go_on(own_site):
    before = own_site.current.state
    place = own_site.folder / "models" / "DK_1" / Task.DAY_AHEAD / "champion.json"
    text = place.read_text("utf-8")
    place.write_text("{", "utf-8")

    own_site.current.refresh()
    status, found = ready(own_site)
    assert (status, failing(found)) == (200, [])
    assert found["notices"][0].startswith("champion DK_1")
    assert str(own_site.folder) not in str(found)
    assert own_site.current.state.champions == before.champions

    place.write_text(text, "utf-8")
    own_site.current.refresh()
    assert ready(own_site)[0] == 200


@pytest.mark.parametrize("swaps", [10, pytest.param(100, marks=pytest.mark.long)])
def test_swaps_under_load_mix_no_two_models_and_fail_nobody(own_site, swaps, record_property):
    """Each answer is one of the two that the two models give alone."""
    service = own_site.service
    load = [{"valid_time": time, "value": value} for time, value in small_home.history(service)]
    body = {"zone": "DK_1", "load": load}
    first = own_site.current.state.champions["DK_1"].version
    second = another_champion(own_site, promote=False)
    alone: dict[str, str] = {}
    stop = asyncio.Event()

    async def ask(client) -> tuple[str, str]:
        answer = await client.post("/v1/forecast", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["model_version"], answer.text

    async def keep_asking(client) -> list[tuple[str, str]]:
        found = []
        while not stop.is_set():
            found.append(await ask(client))
        return found

    async def drill() -> list[tuple[str, str]]:
        async with own_site.client() as client:
            for version in (second, first):
                service.registry.promote(version, at=small_home.NOW)
                own_site.current.refresh()
                alone.update([await ask(client)])
            askers = [asyncio.create_task(keep_asking(client)) for _ in range(4)]
            for number in range(swaps):
                service.registry.promote((second, first)[number % 2], at=small_home.NOW)
                await asyncio.to_thread(own_site.current.refresh)
                await asyncio.sleep(0.05)
            stop.set()
            return [each for found in await asyncio.gather(*askers) for each in found]

    answers = asyncio.run(drill())
    assert set(alone) == {first.id, second.id}
    mixed = sum(alone[version] != text for version, text in answers)
    for name, value in {"swaps": swaps, "answers": len(answers), "failed or mixed": mixed}.items():
        record_property(name, value)
    assert len(answers) >= swaps / 2
    assert mixed == 0


@pytest.mark.parametrize("fault", ["store", "classic"])
def test_a_fault_of_the_store_or_the_classic_network_is_not_ready(site, fault):
    state = replace(site.current.state, faults={fault: "it is gone"})
    assert failing(state.readiness(now=small_home.NOW)) == [fault]
