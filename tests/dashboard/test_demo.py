"""A newcomer's one command: `gridcast serve --demo`, and the page that it opens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dashboards import settle, text

pytestmark = pytest.mark.long

FACTS = ("#headline", "#kicker", "#facts .huge", "#facts div:nth-child(2) .large", "#facts small", "#facts time")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the demo is served, of a home that was empty."""
    environment = {**os.environ, "GRIDCAST_HOME": str(tmp_path_factory.mktemp("demo"))}
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        found = next((each for line in process.stderr if (each := re.search(r"serving at (http://\S+)", line))), None)
        assert found is not None
        yield f"{found[1]}/"
        process.terminate()
        process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_one_command_shows_zone_day_peak_hour_band_and_issue_time_unscrolled(
    browser: Any, url: str, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.goto("")
    settle(page)
    for selector in FACTS:
        box = page.locator(selector).first.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
    assert str(datetime.now(UTC).year) in text(page, "#kicker")
    assert text(page, "#fan .badge") == "Synthetic data"
    assert page.locator("#record table tbody tr").count() >= 28
    page.get_by_label("Bidding zone", exact=True).select_option("DK_2")
    settle(page)
    assert text(page, "#headline").startswith("Eastern Denmark")
    assert page.locator("#facts .huge").is_visible()
    assert complaints == []
    context.close()
