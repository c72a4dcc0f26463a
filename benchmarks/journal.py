"""How many entries a second the forecast log takes, so many in one transaction, each durable before the next.

python benchmarks/journal.py [--url sqlite:///FILE | postgresql+psycopg://...] [--seconds S] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal, canonical

AT = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = (1, 8, 50)


def entries() -> dict[str, Entry]:
    """An entry as the classic network makes it, and one of 60 days of posted hours."""
    chance = random.Random(1)
    window = [[round(chance.uniform(0, 3000), 1), *(round(chance.random(), 6) for _ in range(11))] for _ in range(96)]
    history = [[f"2026-01-01T{n % 24:02}:00:00Z", round(chance.uniform(1000, 3000), 1)] for n in range(60 * 24)]
    levels = {f"{level:g}": round(chance.uniform(1000, 3000), 3) for level in (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)}
    made = {
        "classic": ({"features": window}, {"predictions": [round(chance.uniform(1000, 3000), 3) for _ in range(24)]}),
        "on_demand": ({"load": history}, {"intervals": [levels] * 24}),
    }
    return {
        kind: Entry("on_demand", AT, "DK_1", "v1", canonical(request), canonical(answer))
        for kind, (request, answer) in made.items()
    }


def rate(journal: Journal, entry: Entry, *, at_once: int, seconds: float) -> float:
    """Entries a second where so many share a transaction."""
    until, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        done += len(journal.append_all([entry] * at_once))
    return done / seconds


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--url", help="an empty database; a new SQLite file unless given")
    asked.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    asked.add_argument("--json", action="store_true")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, Store(options.url or f"sqlite:///{Path(folder) / 'log.db'}") as store:
        journal = Journal(store)
        found = {
            kind: {count: round(rate(journal, entry, at_once=count, seconds=options.seconds)) for count in AT_ONCE}
            for kind, entry in entries().items()
        }
        began = time.perf_counter()
        wrong = journal.verify()
        checked = round(journal.head().count / (time.perf_counter() - began))
    if options.json:
        print(json.dumps({"appends_per_second": found, "verified_per_second": checked, "wrong": wrong}))
        return
    for kind, rates in found.items():
        print(f"{kind}: " + ", ".join(f"{value} entries/s with {count} at once" for count, value in rates.items()))
    print(f"verify: {checked} entries/s, {wrong or 'whole'}")


if __name__ == "__main__":
    main()
