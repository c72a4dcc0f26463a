"""How fast a year of quarter-hours is parsed, beside entsoe-py on the same bytes in the same run.

    python benchmarks/parsing.py [--runs 5] [--out docs/benchmarks/parsing.md]

Both make a table of times and MW from the XML text that ENTSO-E sends, whose form follows real answers; the runs
alternate, so that a busy machine is busy for both. The ratio is the median of the pairs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from gridcast.sources.entsoe.document import NoData, parse

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "tests"))

from sources.entsoe.documents import Load, Period, levels  # noqa: E402

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def main() -> None:
    """Print the table, and write it where told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    lines = [*_head(), *(_row(name, load, runs=chosen.runs) for name, load in _documents().items())]
    print("\n".join(lines))
    if chosen.out is not None:
        note = f"Measured at commit {_commit()} on {os.cpu_count()} cores, by `python benchmarks/parsing.py`."
        text = "\n".join(["# Parsing ENTSO-E's answers", "", note, "", *lines, ""])
        chosen.out.write_text(text, encoding="utf-8")


def _documents() -> dict[str, Load]:
    def span(days: int, minutes: int, curve: str) -> Load:
        values = levels(days * 1440 // minutes, minutes=minutes)
        end = START + days * DAY
        return Load((Period(START, minutes, values, curve),), asked=(START, end), fetched_at=end + DAY)

    return {
        "a year of quarter-hours, A03": span(366, 15, "A03"),
        "a year of quarter-hours, A01": span(366, 15, "A01"),
        "a year of hours": span(366, 60, "A01"),
        "a day of hours": span(1, 60, "A01"),
    }


def _head() -> list[str]:
    theirs = version("entsoe-py")
    return [
        f"| document | KiB | gridcast, ms | entsoe-py {theirs}, ms | times as fast |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]


def _row(name: str, load: Load, *, runs: int) -> str:
    text = load.xml()
    pairs = [(_seconds(lambda: _ours(text.encode(), load)), _seconds(lambda: _theirs(text))) for _ in range(runs)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(their / our for our, their in pairs)
    return f"| {name} | {len(text) // 1024} | {ours * 1000:.1f} | {theirs * 1000:.1f} | {ratio:.1f} |"


def _ours(body: bytes, load: Load) -> None:
    document = parse(body, expected=load.expected)
    if isinstance(document, NoData) or document.rows.height != len(load.rows):
        sys.exit("the parser lost rows")


def _theirs(text: str) -> None:
    from entsoe.parsers import parse_loads

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parse_loads(text, process_type="A16")


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
