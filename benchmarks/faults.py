"""docs/faults.md: every fault that an answer of ENTSO-E can have, what we make of it, and what entsoe-py does.

python benchmarks/faults.py [--out docs/faults.md]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from sources.entsoe.fault_classes import CLASSES, UNDECIDABLE, FaultClass, body_of, ours, theirs

HEAD = """\
# Faults in ENTSO-E's answers

Each row is a sound answer of the ENTSO-E web service (6.1.A) with one thing wrong. The sound documents and the ways to
spoil them are `tests/sources/entsoe/fault_classes.py`; a test holds our column to what it says.

- **error**: a typed `BadAnswer` whose `fault` is the word given; its message says where in the document and what to do.
- **refused**: a typed `Refused` with the service's own words and a `kind`. Every acknowledgement has code 999; only its
  text tells. A text that we do not know is never taken for "no data".
- **ban**: no data, whatever the status: nothing is asked until the ban is over, by any process, and then it is asked
  again; `RateLimited` says until when, where that is longer than we may wait.
- **aside**: the row is handed on as doubtful with a reason, kept apart and used by nothing; the others stand.
- **note**: the values are those of the sound document, and a note in the ingest's account says what was odd.
- **note with other values**: the answer is sound as the format goes, but our values are not those of the sound document
  (some of them others, absent, more, or in a finer resolution), and the note says so.
- **same**: the values are those of the sound document.

Curve type A03 leaves out a value that repeats the one before it, so it cannot tell a value that is held from one that
was cut: we fill in what the format says. A Period whose last value is held gets a note; one of which half or more, and
three hours at least, is held at its end is set aside; a value held for three hours inside gets a note; a shorter hold
inside passes without a word (last table).

entsoe-py {version} is the usual client and does not promise to validate. It was measured through its own
`EntsoePandasClient.query_load`: it *raises* an exception of that name; hands on *other values* than the sound document
has, without a word; or the *same values*, which for an answer about another zone or unit is no good news either.

Written by `python benchmarks/faults.py --out docs/faults.md`.
"""

LATER = """
## What no document shows by itself

An answer that is sound in every part can still be wrong. These are left to the data quality verdicts, which know the
days around them, the other sources and the operator's forecast.
"""


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    text = page()
    if chosen.out is None:
        print(text, end="")
    else:
        chosen.out.write_text(text, encoding="utf-8")


def page() -> str:
    """The whole page."""
    measured = {
        fault.name: (ours(body_of(fault), fault.base, status=fault.status).kind, theirs(fault))
        for fault in (*CLASSES, *UNDECIDABLE)
    }
    others = sum(measured[fault.name][0] == "note with other values" for fault in CLASSES)
    mine = Counter(measured[fault.name][0].split()[0] for fault in CLASSES)
    other = Counter(measured[fault.name][1].split()[0] for fault in CLASSES)
    silent = mine.get("silently", 0)
    sums = [
        "",
        f"{len(CLASSES)} classes. Ours: {mine['error']} errors, {mine['refused']} refused, {mine['ban']} bans, "
        f"{mine['no']} no data, {mine['aside']} set aside, {mine['note']} noted, "
        f"{others} of them with other values that the note names, {mine['same']} same, "
        f"**{silent} silently different**. "
        f"entsoe-py: {other['raises']} raise, {other['same']} hand on the same values, "
        f"**{other['silently']} silently other values**.",
    ]
    parts = [HEAD.format(version=version("entsoe-py")), *sums, "", *_table(CLASSES, measured), LATER]
    return "\n".join([*parts, *_table(UNDECIDABLE, measured), ""])


def _table(faults: tuple[FaultClass, ...], measured: dict[str, tuple[str, str]]) -> list[str]:
    rows = [
        f"| {fault.name} | {_mine(measured[fault.name][0])} | {_other(measured[fault.name][1])} |" for fault in faults
    ]
    return ["| fault | ours | entsoe-py |", "| --- | --- | --- |", *rows]


def _mine(kind: str) -> str:
    word, _, rest = kind.partition(" ")
    if word == "silently":
        return "passes (silently different)"
    return f"{word}: {rest}" if word in ("error", "refused") else kind


def _other(kind: str) -> str:
    if kind.startswith("raises"):
        return kind
    return "same values" if kind == "same" else "**silently other values**"


if __name__ == "__main__":
    main()
