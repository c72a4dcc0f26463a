"""A process that appends to a journal: `journal_writing.py URL WHO THREADS COUNT`.

Each thread appends COUNT entries, and prints `thread turn number hash` of each once it is acknowledged.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal, canonical

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(who: str, thread: int, turn: int) -> Entry:
    """An entry that says whose it is."""
    load = [(thread + 1) * 1000.0 + turn + hour / 7 for hour in range(200)]
    request = canonical({"who": who, "thread": thread, "turn": turn, "load": load})
    return Entry("on_demand", AT, f"W{who}", "v1", request, canonical({"turn": turn}))


def main(url: str, who: str, threads: int, count: int) -> None:
    with Store(url) as store, ThreadPoolExecutor(threads) as pool:
        journal = Journal(store)

        def write(thread: int) -> None:
            for turn in range(count):
                receipt = journal.append(entry(who, thread, turn))
                os.write(1, f"{thread} {turn} {receipt.number} {receipt.hash}\n".encode())

        for done in [pool.submit(write, thread) for thread in range(threads)]:
            done.result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
