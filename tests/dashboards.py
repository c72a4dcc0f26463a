"""Ways to read the dashboard in a browser. Its policy forbids `eval`, and so Playwright's own `wait_for_function`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
"""The hour at which the clocks of the server and the browser stand."""

TO = "\N{EN DASH}"
PATIENCE = 10.0


def until(page: Any, script: str) -> None:
    """Wait until an expression is true in the page."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(f"() => Boolean({script})"):
        assert time.monotonic() < end, f"never came true: {script}"
        time.sleep(0.02)


def settle(page: Any) -> None:
    """Wait until nothing on the page loads any more, and every chart is drawn."""
    until(page, "document.querySelector('.part [role=alert], .headfacts')")
    until(page, "document.querySelectorAll('[aria-busy], .loading').length === 0")
    until(page, "[...document.querySelectorAll('.plot')].every((each) => each.querySelector('canvas'))")
    page.evaluate("() => document.fonts.ready.then(() => true)")


def text(page: Any, selector: str) -> str:
    """What an element says, its white space made plain."""
    return " ".join(page.locator(selector).inner_text().split())


def rows(page: Any, part: str) -> list[list[str]]:
    """The cells of the table of a part, row by row; it need not be unfolded."""
    script = """(part) => [...document.querySelectorAll(`#${part} table tbody tr`)]
      .map((row) => [...row.cells].map((cell) => cell.textContent))"""
    found: list[list[str]] = page.evaluate(script, part)
    return found
