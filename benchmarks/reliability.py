"""What the long lanes of the tests measured: faults tried, requests made, commits, kills, and how many went wrong.

    python benchmarks/reliability.py [--out docs/benchmarks/reliability.md] [--title Reliability] [PATH ...]

Runs the tests below the paths (default: all) with HYPOTHESIS_PROFILE=long, and tells for each test what it recorded
by pytest's `record_property`. Exits with pytest's own code. PostgreSQL's lanes need GRIDCAST_TEST_POSTGRES_URL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent.parent
LARGEST = ("max", "mean", "slowest", "resolutions", "curves")
"""A figure so named is the largest of a test's cases; any other number is their sum, and texts are counted."""


@dataclass
class Test:
    """One test function: its cases, and what they recorded."""

    cases: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, case: ElementTree.Element) -> None:
        """Count one more case."""
        self.cases += 1
        self.seconds += float(case.get("time", 0))
        for each in case.iterfind("properties/property"):
            name, text = each.attrib["name"].replace("_", " "), each.attrib["value"]
            try:
                value = float(text)
            except ValueError:
                name, value = text, 1.0
            known = self.figures.get(name, 0.0)
            self.figures[name] = max(known, value) if name.startswith(LARGEST) else known + value


def main() -> int:
    """Run the tests, print the page or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--title", default="Reliability")
    parser.add_argument("paths", nargs="*")
    chosen = parser.parse_args()
    commit = subprocess.check_output(["git", "describe", "--always", "--dirty"], text=True, cwd=HERE).strip()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *chosen.paths]
        code = subprocess.call(words, cwd=HERE, env=os.environ | {"HYPOTHESIS_PROFILE": "long"})
        text = page(ElementTree.parse(report).getroot(), title=chosen.title, commit=commit, paths=chosen.paths)
    if chosen.out is None:
        print(text, end="")
    else:
        chosen.out.write_text(text, encoding="utf-8")
    return code


def page(report: ElementTree.Element, *, title: str, commit: str, paths: list[str]) -> str:
    """The page of a run's JUnit report."""
    tests: dict[tuple[str, str], Test] = {}
    outcomes: Counter[str] = Counter()
    for case in report.iter("testcase"):
        outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        outcomes[outcome] += 1
        if outcome == "passed":
            name = case.attrib["name"].split("[", maxsplit=1)[0]
            tests.setdefault((case.attrib["classname"], name), Test()).add(case)
    minutes = sum(float(suite.get("time", 0)) for suite in report.iter("testsuite")) / 60
    count = ", ".join(f"{outcomes[kind]:,} {kind}" for kind in ("passed", "failure", "error", "skipped"))
    command = " ".join(["python benchmarks/reliability.py", *paths])
    lines = [
        f"# {title}",
        "",
        f"Measured at commit {commit} on {os.cpu_count()} cores by `{command}` in {minutes:.0f} minutes: {count}.",
        "Each row is a test, named by its sentence, and what it recorded; continuous integration samples each.",
        "",
        "| test | cases | figures | seconds |",
        "|---|---|---|---|",
    ]
    for (module, name), test in sorted(tests.items()):
        if test.figures:
            figures = "; ".join(f"{key} {_plain(value)}" for key, value in test.figures.items())
            what = f"{module.removeprefix('tests.').replace('.', '/')}: {name.removeprefix('test_').replace('_', ' ')}"
            lines.append(f"| {what} | {test.cases} | {figures} | {test.seconds:.0f} |")
    return "\n".join([*lines, ""])


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
