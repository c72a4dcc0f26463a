"""The real app on a small synthetic store, at a fixed hour, and the real Chromium in front of it."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboards import NOW, settle

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent: it drives the browser")
pytest.importorskip("fastapi", reason="the extra `api` is absent")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `api` is absent")

ISSUED_DAYS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1440, "height": 900}}


class Stopped:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits here, least of all {seconds} s")


@dataclass(frozen=True)
class Site:
    """A server that runs, and its answers as the page gets them."""

    url: str

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DK_1 with load, an operator's forecast, a champion and forecasts; DK_2 with load alone."""
    from gridcast import pipeline, settings
    from gridcast.contracts import LOAD, TSO_FORECAST
    from gridcast.market.zones import zone
    from gridcast.registry import Registry
    from gridcast.store.database import Store

    folder = tmp_path_factory.mktemp("served")
    first = zone("DK_1")
    with Store(f"sqlite:///{folder / 'gridcast.db'}") as store:
        for code, days in {"DK_1": 200, "DK_2": 20}.items():
            rows = pipeline.fetch(
                zone(code),
                source=pipeline.DEMO,
                start=NOW.date() - timedelta(days=days),
                end=NOW.date() + timedelta(days=2),
                fetched_at=NOW,
            )
            pipeline.ingest(store, rows, zone=zone(code))
            if code == first.code:
                operator = rows.filter(pl.col("variable") == LOAD).with_columns(
                    variable=pl.lit(TSO_FORECAST),
                    value=pl.col("value") * 1.03,
                    published_at=pl.col("valid_time") - timedelta(hours=30),
                )
                store.put(operator.to_arrow())
        registry = Registry(folder / "models")
        recipe = settings.compose(["zone=DK_1", "model=linear"])
        trained = NOW - timedelta(days=ISSUED_DAYS)
        pipeline.train_and_register(store, registry, zone=first, experiment=recipe, at=trained, promote=True)
        for day in range(ISSUED_DAYS):
            pipeline.issue_and_store(store, registry, zone=first, now=NOW - timedelta(days=day, minutes=20))
    return folder


@pytest.fixture(scope="session")
def site(home: Path) -> Iterator[Site]:
    """The app as it is served, guard and all."""
    from gridcast.api.app import create_app
    from gridcast.api.guard import Options
    from gridcast.pipeline.serving import Service
    from gridcast.registry import Registry
    from gridcast.store.database import Store

    with socket.socket() as free, Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        free.bind(("127.0.0.1", 0))
        service = Service(store=store, registry=Registry(home / "models"), clock=Stopped())
        app = create_app(service=service, options=Options(open_reads=True, rate=0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield Site(f"http://127.0.0.1:{free.getsockname()[1]}/")
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The machine's own Chromium, or Chrome."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Seen:
    """What a page complained of, and what it asked for."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def opened(browser: Any, site: Site) -> Opener:
    """Make a page that is not there yet: its clock stands at `NOW`, and ``page.seen`` keeps its complaints."""

    def make(size: str = "desktop", **options: Any) -> Any:
        context = browser.new_context(base_url=site.url, viewport=SIZES[size], timezone_id="America/Lima", **options)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.clock.set_fixed_time(NOW)
        page.seen = Seen()
        page.on("console", lambda said: page.seen.complaints.append(said.text))
        page.on("pageerror", lambda error: page.seen.complaints.append(str(error)))
        page.on("request", lambda request: page.seen.asked.append(request.url))
        return page

    return make


@pytest.fixture(scope="module")
def shown(opened: Opener) -> Iterator[Any]:
    """The page with everything on it, for tests that only look."""
    page = opened()
    page.goto("")
    settle(page)
    yield page
    page.context.close()


@pytest.fixture
def blank(opened: Opener) -> Iterator[Opener]:
    """The same as `opened`, for pages of the test's own."""
    pages = []

    def make(**options: Any) -> Any:
        pages.append(opened(**options))
        return pages[-1]

    yield make
    for page in pages:
        page.context.close()


@pytest.fixture
def visit(blank: Opener) -> Opener:
    """Open the page and wait until every part of it is shown."""

    def go(path: str = "", **options: Any) -> Any:
        page = blank(**options)
        page.goto(path)
        settle(page)
        return page

    return go
