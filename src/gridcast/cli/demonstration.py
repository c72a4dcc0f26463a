"""``gridcast demo``: the main job on embedded data, from nothing to tomorrow's load."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

from gridcast import pipeline, report, settings
from gridcast.cli import show
from gridcast.market.zones import zone
from gridcast.registry import Registry
from gridcast.store.database import Store

ZONES = ("DK_1", "DK_2")
HISTORY = timedelta(days=3 * 365 + 90)
SCORED = timedelta(days=28)
MODELS = ("naive", "linear", "boosted", "ensemble")

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]


def run(*, now: datetime, html: Path | None, as_json: bool, progress: Progress) -> None:
    """Ingest three years of synthetic data, backtest four weeks, train, issue tomorrow's forecast, write the report.

    Everything stands in a store of its own, ``demo`` in the home; a second run finds it filled and goes on from there.
    """
    started = time.perf_counter()
    home = settings.load().home / "demo"
    home.mkdir(parents=True, exist_ok=True)
    registry = Registry(home / "models")
    issued = {}
    with Store(f"sqlite:///{home / 'gridcast.db'}") as store:
        today = now.astimezone(zone(ZONES[0]).market_zone).date()
        for code in ZONES:
            _say(f"{code}: generating and ingesting synthetic load and weather since {today - HISTORY}")
            observations = pipeline.fetch(
                zone(code),
                source=pipeline.DEMO,
                start=today - HISTORY,
                end=today + timedelta(days=2),
                fetched_at=now,
            )
            pipeline.ingest(store, observations, zone=zone(code))
        first = zone(ZONES[0])
        plan = pipeline.plan(first, first=today - SCORED, last=today)
        observations, sha256 = pipeline.read_store(store, zone=first)
        _say(f"{first.code}: replaying the {SCORED.days} days from {plan.first} with {', '.join(MODELS)}")
        with progress("replaying") as moved:
            result = pipeline.replay(plan, observations, recipes=pipeline.recipes(MODELS), progress=moved)
        for code in ZONES:
            _say(f"{code}: training the champion and issuing tomorrow's forecast")
            experiment = settings.compose([f"zone={code}"])
            pipeline.train_and_register(store, registry, zone=zone(code), experiment=experiment, at=now, promote=True)
            issued[code] = pipeline.issue_and_store(store, registry, zone=zone(code), now=now)
    target = html or home / "report.html"
    made = issued[first.code]
    target.write_text(
        report.render(
            zone=first,
            forecast=made.forecast,
            history=pipeline.recent_load(made.observations, zone=first, until=now),
            result=result,
            title="gridcast demo: Denmark West",
            labels=["synthetic data"],
            facts={"data": "the demo's generator, calibrated to Denmark 2015-2018", "data sha256": sha256},
        ),
        encoding="utf-8",
    )
    if as_json:
        show.document(
            {
                "synthetic": True,
                "forecasts": [show.issued_document(each, zone=zone(code)) for code, each in issued.items()],
                "backtest": show.scores_document(result, sha256=sha256),
                "report": str(target),
            }
        )
        return
    for code, each in issued.items():
        show.forecast(each, zone=zone(code), output="table")
        print()
    show.scores(result, sha256=sha256, as_json=False)
    print(f"\nSynthetic data, {time.perf_counter() - started:.0f} s. Report: {target}")


def _say(text: str) -> None:
    print(f"gridcast demo: {text}", file=sys.stderr)
