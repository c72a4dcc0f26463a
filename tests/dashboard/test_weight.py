"""The page is light and quick: what one visit carries over the wire, and when it is first painted, on loopback."""

from __future__ import annotations

import statistics

from dashboards import settle

WEIGHT_KB = 400
FIRST_PAINT_MS = 1000
PAINTED = """() => new Promise((done) => new PerformanceObserver((seen) => {
  for (const each of seen.getEntriesByName('first-contentful-paint')) done(each.startTime);
}).observe({ type: 'paint', buffered: true }))"""


def test_a_visit_carries_at_most_400_kb(blank, record_property):
    page, sizes = blank(), {}
    page.on("response", lambda answer: sizes.update({answer.url: len(answer.body()) if answer.status == 200 else 0}))
    page.goto("")
    settle(page)
    total = sum(sizes.values()) / 1000
    record_property("page_kb", total)
    print(f"page weight: {total:.0f} kB in {len(sizes)} answers, nothing compressed")
    assert len(sizes) > 25
    assert total <= WEIGHT_KB


def test_the_first_paint_comes_within_a_second(blank, record_property):
    paints = []
    for _ in range(3):
        page = blank()
        page.goto("")
        paints.append(page.evaluate(PAINTED))
    record_property("first_paint_ms", statistics.median(paints))
    print(f"first contentful paint: {', '.join(f'{paint:.0f}' for paint in paints)} ms")
    assert statistics.median(paints) <= FIRST_PAINT_MS
