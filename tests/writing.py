"""What the processes of the tests do: writers that commit many rows at a time, readers that look for torn ones.

python writing.py write URL NUMBER COMMITS       prints the number of each commit once it is acknowledged
python writing.py read URL WRITERS SECONDS       prints how many whole commits it saw last
python writing.py serve                          imports everything, then runs each line of its input in a fork
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta

import polars as pl

from gridcast.contracts import OBSERVATIONS
from gridcast.errors import StoreError
from gridcast.store.database import Store
from gridcast.store.vintages import Look

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 24
HOUR = timedelta(hours=1)


def commit(writer: int, number: int) -> pl.DataFrame:
    """A day of load whose every value is the number of the commit."""
    starts = [START + timedelta(days=number) + n * HOUR for n in range(ROWS)]
    return pl.DataFrame(
        {
            "zone": f"W{writer}",
            "variable": "load",
            "valid_time": starts,
            "resolution": HOUR,
            "value": float(number),
            "published_at": [start + 3 * HOUR for start in starts],
            "published_at_basis": "assumed",
            "fetched_at": START + timedelta(days=1000),
            "source": "a",
        },
        schema=OBSERVATIONS,
    )


def put(store: Store, writer: int, number: int) -> None:
    frame = commit(writer, number)
    start = frame["valid_time"][0]
    look = Look(f"W{writer}", "load", "a", start, start + timedelta(days=1), START + timedelta(days=1000))
    added = store.put(frame, looks=[look])
    assert added.rows in (0, ROWS)


def whole(store: Store, writer: int) -> list[int]:
    """The commits of a writer, each of which must be there with all its rows or not at all."""
    rows = store.observations([f"W{writer}"])
    days = rows.group_by("value").agg(pl.len(), first=pl.col("valid_time").min())
    assert (days["len"] == ROWS).all(), "a torn commit"
    assert (days["first"] == START + days["value"].cast(pl.Int64) * timedelta(days=1)).all()
    return sorted(int(value) for value in days["value"])


def write(url: str, writer: int, commits: int) -> None:
    with Store(url) as store:
        for number in range(commits):
            put(store, writer, number)
            print(number, flush=True)


def read(url: str, writers: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    seen = {writer: [] for writer in range(writers)}
    with Store(url) as store:
        while time.monotonic() < until and not sys.stdin.closed:
            for writer, before in seen.items():
                now = whole(store, writer)
                assert now[: len(before)] == before, "a commit was lost"
                assert now == list(range(len(now))), "a hole"
                seen[writer] = now
    print(sum(map(len, seen.values())))


def serve() -> None:
    """Forks a child for each line ``URL FIRST LAST``, which waits to be traced, puts those commits and says how."""
    for line in sys.stdin:
        url, first, last = line.split()
        child = os.fork()
        if child:
            print(child, flush=True)
            _, status = os.waitpid(child, 0)
            print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)
            continue
        while "TracerPid:\t0" in open("/proc/self/status", encoding="ascii").read():  # noqa: PTH123, SIM115
            time.sleep(0.002)
        code = 0
        try:
            with Store(url) as store:
                for number in range(int(first), int(last)):
                    put(store, 0, number)
                    os.write(1, f"ack {number}\n".encode())
        except StoreError as error:
            os.write(1, f"refused {error}\n".encode())
            code = 3
        except BaseException as error:
            os.write(1, f"untyped {error!r}\n".encode())
            code = 4
        os._exit(code)


if __name__ == "__main__":
    job, *words = sys.argv[1:]
    if job == "write":
        write(words[0], int(words[1]), int(words[2]))
    elif job == "read":
        read(words[0], int(words[1]), float(words[2]))
    else:
        serve()
