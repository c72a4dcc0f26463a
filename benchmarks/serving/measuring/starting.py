"""From the start to the first answer, what the workers weigh, and what a visit of the page does."""

from __future__ import annotations

import json
import shutil
import statistics
from typing import Any

from measuring import arriving, bodies, servers
from measuring.computed import ON_DEMAND, PREDICT
from measuring.figures import Absent, Figure, Found, Setting

from gridcast.pipeline.operations import NEEDED

STARTS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def measure(setting: Setting) -> Found:
    """Starts on a home that is prepared; then some load, and a visit."""
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    with servers.gridcast(setting.home):
        pass  # the demo is prepared by now
    for workers in (1, 2):
        name = f"{workers} worker{'s' * (workers > 1)}"
        starts = []
        for _ in range(STARTS):
            with servers.gridcast(setting.home, workers=workers) as ours:
                starts.append(ours.seconds)
        with servers.gridcast(setting.home, workers=workers) as ours:
            _use(ours, seconds=min(10, setting.part(6)))
            weights = [servers.memory(pid) for pid in ours.workers()]
        figures += [
            Figure(f"{name}: start to the first 200 of `/ready`", statistics.median(starts), "s", most=3),
            Figure(f"{name}: memory of the largest, after some load", max(weights), "MiB", most=350),
        ]
        facts[name] = {"starts_seconds": starts, "memory_mib": weights}
    try:
        with servers.gridcast(setting.home) as ours:
            plain, sent, answers = _visit(ours.address)
    except Absent as absent:
        return Found(figures, facts | {"left out": str(absent)})
    figures += [
        Figure(f"a visit of the page: {answers} answers, uncompressed", plain / 1e3, "kB", most=400),
        Figure("a visit of the page, as sent with headers", sent / 1e3, "kB", most=400),
    ]
    return Found(figures, facts)


def _use(ours: servers.Server, *, seconds: int) -> None:
    history = json.dumps(bodies.history(ours.get, days=NEEDED.days)).encode()
    window = json.dumps(bodies.window(ours.get)).encode()
    for path, rate, body in ((servers.FORECAST, 500, None), (PREDICT, 100, window), (ON_DEMAND, 10, history)):
        arriving.offer(ours.address, path=path, rate=rate, seconds=seconds, body=body)


def _visit(address: str) -> tuple[int, int, int]:
    """Bytes of a first visit: of all bodies, of all that was sent; and the answers."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    try:
        from playwright.sync_api import Request, sync_playwright
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise Absent("playwright or Chromium is not installed: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page, requests = browser.new_page(), []

        def keep(request: Request) -> None:
            requests.append(request)

        page.on("requestfinished", keep)
        page.goto(address, wait_until="networkidle")
        answers = {each.url: each for each in requests if each.url.startswith(address)}.values()
        plain = sum(len(each.response().body()) for each in answers)
        sizes = [each.sizes() for each in answers]
        browser.close()
    return plain, sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes), len(sizes)
