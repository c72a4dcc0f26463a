"""``gridcast serve`` and ``gridcast key``, as a user starts them."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

import small_home
from serving import ask, served

pytest.importorskip("fastapi", reason="the extra `api` is absent")
pytest.importorskip("onnxruntime", reason="the extra `api` is absent")


@pytest.fixture
def folder(tmp_path):
    return small_home.copy(tmp_path / "home")


def test_it_serves_what_the_home_has_and_stops_at_a_signal(folder):
    with served(folder) as (address, process):
        status, body = ask(address, "/v1/zones/DK_1/forecast")
        assert (status, len(json.loads(body)["intervals"])) == (200, 24)
        status, body = ask(address, "/ready")
        assert status == 503
        assert [each["check"] for each in json.loads(body)["checks"] if not each["ok"]] == ["data DK_1"]
        assert ask(address, "/")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_two_workers_count_together(folder):
    with served(folder, "--workers", "2") as (address, _):
        for _ in range(20):
            assert ask(address, "/health")[0] == 200
        _, page = ask(address, "/metrics")
    assert 'gridcast_requests_total{method="GET",route="/health",status="200"} 20.0' in page.decode()


class Askers:
    """Clients that post one window after another, each its own, until nobody answers."""

    def __init__(self, address, *, who, window):
        self.acknowledged = []
        self.refused = []
        self._url = f"{address}/predict"
        self._threads = [threading.Thread(target=self._ask, args=(who * 10 + n, window)) for n in range(4)]
        for thread in self._threads:
            thread.start()

    def end(self):
        for thread in self._threads:
            thread.join()

    def _ask(self, who, window):
        with httpx.Client(timeout=20) as client:
            for turn in range(100_000):
                rows = [[round(row[0] + who / 100 + turn / 1e5, 5), *row[1:]] for row in window]
                body = json.dumps({"features": rows}).encode()
                try:
                    answer = client.post(self._url, content=body, headers={"content-type": "application/json"})
                except httpx.TransportError:
                    return
                (self.acknowledged if answer.status_code == 200 else self.refused).append((body, answer.content))


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_kill_under_load_loses_no_acknowledged_entry(folder, kills, record_property):
    from gridcast.models.classic_onnx import Classic
    from gridcast.store.database import Store
    from gridcast.store.journal import Journal

    chance, window, acknowledged = random.Random(kills), Classic.load().example.tolist(), []
    for who in range(kills):
        with served(folder, "--workers", "2", "--rate", "0") as (address, process):
            askers = Askers(address, who=who, window=window)
            time.sleep(0.3 + chance.random() / 2)
            os.killpg(process.pid, signal.SIGKILL)
            askers.end()
        assert askers.refused == []
        acknowledged.append(askers.acknowledged)
    with Store(f"sqlite:///{folder / 'gridcast.db'}") as store:
        journal = Journal(store)
        there = {(each.request, each.answer) for each in journal.entries(kind="classic")}
        wrong = [*journal.verify(), *store.check()]
    lost = sum(each not in there for of_one in acknowledged for each in of_one)
    for name, value in {"kills": kills, "acknowledged": sum(map(len, acknowledged)), "lost": lost}.items():
        record_property(name, value)
    assert (lost, wrong) == (0, [])
    assert all(acknowledged)


def test_where_keys_are_required_one_that_was_made_here_opens_the_door(folder, gridcast, tmp_path):
    file = tmp_path / "keys"
    made = gridcast("key", "--name", "desk", "--scopes", "read,forecast", "--keys-file", file)
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("gk_")
    assert secret not in made.err + file.read_text("utf-8")

    with served(folder, "--require-keys", "--keys-file", str(file), "--workers", "2") as (address, _):
        path = "/v1/zones/DK_1/forecast"
        assert ask(address, path)[0] == 401
        assert ask(address, path, **{"X-API-Key": secret})[0] == 200
        assert ask(address, path, Authorization=f"Bearer {secret}")[0] == 200
        assert ask(address, "/health")[0] == 200
        file.write_text("", "utf-8")
        until = time.monotonic() + 20
        while ask(address, path, **{"X-API-Key": secret})[0] != 401:
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.mark.parametrize("words", [("--require-keys",), ("--host", "0.0.0.0"), ("--demo", "--require-keys")])
def test_a_service_that_nobody_could_use_does_not_start(gridcast, words):
    found = gridcast("serve", *words)
    assert (found.code, "gridcast key" in found.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--name", "desk"), "no keys file"),
        (("--name", "a desk", "--keys-file", "keys"), "the new key"),
        (("--name", "desk", "--scopes", "rule", "--keys-file", "keys"), "scope"),
        (("--name", "desk", "--scopes", "", "--keys-file", "keys"), "scope"),
    ],
)
def test_a_key_that_cannot_be_made_leaves_no_file(gridcast, words, why):
    found = gridcast("key", *words)
    assert (found.code, why in found.err) == (2, True), found.err
    assert not Path("keys").exists()


def test_a_name_is_given_once(gridcast):
    assert gridcast("key", "--name", "desk", "--keys-file", "keys").code == 0
    before = Path("keys").read_text("utf-8")
    assert gridcast("key", "--name", "desk", "--keys-file", "keys").code == 2
    assert Path("keys").read_text("utf-8") == before


def test_the_demo_is_prepared_once_and_brought_up_to_date_later(tmp_path):
    from gridcast.cli import preparing
    from gridcast.market.zones import zone
    from gridcast.registry import Registry
    from gridcast.store.database import Store

    demo = preparing.Demo(zones=("DK_1",), history=110, scored=3, overrides=("model=linear",))
    seen: list[tuple[int, int]] = []
    preparing.prepare(tmp_path, now=small_home.NOW, demo=demo, progress=lambda *news: seen.append(news))

    assert seen[-1] == (6, 6)  # ingest, train, three days before tomorrow and tomorrow
    registry = Registry(preparing.models(tmp_path))
    champion = registry.champion("DK_1", "day_ahead")
    assert registry.manifest(champion).trained_at < small_home.NOW - timedelta(days=3)
    with Store(preparing.database_url(tmp_path)) as store:
        service = small_home.Service(store=store, registry=registry, clock=small_home.Clock())
        days = service.scores_document(zone("DK_1"), days=10)["days"]
        assert [each["delivery_day"] for each in days] == ["2026-03-29", "2026-03-30", "2026-03-31"]
        assert all("replay" not in text for text in store.forecasts("DK_1")["degraded"].unique())

        seen.clear()
        preparing.prepare(tmp_path, now=small_home.NOW + timedelta(hours=1), demo=demo, progress=seen.append)
        assert seen == []

        day_after = small_home.TOMORROW + timedelta(days=1)
        for clock, steps, why in (
            ("00:30", 2, "weather is missing"),
            ("00:45", 0, "weather is missing"),
            ("07:15", 2, ""),
            ("10:00", 2, ""),
            ("10:15", 0, ""),
        ):
            now = datetime.fromisoformat(f"{small_home.TOMORROW}T{clock}Z")
            todo = preparing._all_steps(store, registry, demo=demo, now=now)
            for step in todo:
                step()
            found = service.stored(zone("DK_1"))
            assert (len(todo), found.day, found.table["degraded"][0]) == (steps, day_after, why), clock
