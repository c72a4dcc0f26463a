"""How long the doors take to open, and how large the house is: import, --help, demo, installed size.

    python benchmarks/speed.py [--install] [--out docs/benchmarks/speed.md]

``--install`` also builds a fresh environment and weighs it.

Times are medians of five runs of fresh processes on this machine, beside `import numpy, polars` in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
COMMANDS = {
    "import numpy, polars (for comparison)": ["-c", "import numpy, polars"],
    "import gridcast": ["-c", "import gridcast"],
    "gridcast --help": ["-c", "import sys; sys.argv = ['gridcast', '--help']; from gridcast.cli import main; main()"],
}


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    lines = []
    for line in measurements(install=chosen.install):
        print(line, flush=True)
        lines.append(f"* {line}")
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        head = f"Measured at commit {_commit()} on {os.cpu_count()} cores, by `python benchmarks/speed.py --install`."
        chosen.out.write_text("\n".join(["# Speed and size", "", head, "", *lines, ""]), encoding="utf-8")


def measurements(*, install: bool) -> Iterator[str]:
    """A line a measurement."""
    yield f"python itself: {_median(['-c', 'pass']):.3f} s"
    for name, arguments in COMMANDS.items():
        yield f"{name}: {_median(arguments):.3f} s"
    with tempfile.TemporaryDirectory() as home:
        for run in ("first", "second"):
            seconds, memory = _timed(
                ["-c", "import sys; sys.argv = ['gridcast', 'demo']; from gridcast.cli import main; main()"],
                environment={"GRIDCAST_HOME": home},
            )
            yield f"gridcast demo, {run} run: {seconds:.1f} s, {memory:.0f} MiB"
    if install:
        with tempfile.TemporaryDirectory() as folder:
            yield from _installed(Path(folder))


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _installed(folder: Path) -> Iterator[str]:
    """Weigh a fresh environment as the README's first line makes it, before and after."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    before = _megabytes(folder)
    for flag, name in (("--no-compile", "without byte code, as in the README"), ("--compile", "with byte code")):
        subprocess.run([folder / "bin" / "pip", "install", "-q", "--force-reinstall", flag, HERE], check=True)
        after = _megabytes(folder)
        yield f"core install {name}: {after - before:.0f} MB on top of an empty environment's {before:.0f} MB"


def _megabytes(folder: Path) -> float:
    out = subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True).stdout
    return int(out.split()[0]) / 1024


def _median(arguments: list[str]) -> float:
    return statistics.median(_timed(arguments)[0] for _ in range(5))


def _timed(arguments: list[str], *, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Wall seconds and peak memory (MiB) of one Python process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{arguments} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
