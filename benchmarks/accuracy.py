"""Accuracy, bands, time and memory of the shipped models on real load files, through the command line that users call.

    python benchmarks/accuracy.py [--data ../shared/data] [--only DK,VIC] [--out docs/benchmarks/accuracy.md]

The data folder is not part of the repository; without it there is nothing to measure and the script says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


CLASSIC = "naive,conv1d_classic,ensemble"


@dataclass(frozen=True)
class Case:
    """One backtest: a zone's file and period, what the models may use and who takes part."""

    name: str
    zone: str
    file: str
    first: str
    last: str
    inputs: str
    models: str = "naive,similar_day,linear,boosted,ensemble"
    task: str = "day_ahead"


_2018 = ("2018-01-01", "2019-01-01")
_Q4 = ("2020-10-01", "2021-01-01")
_FR, _ES = "FR_load_tso_weather_2015_2018.csv.gz", "ES_load_tso_2015_2018.csv.gz"
_DE, _DK = "DE_LU_load_tso_2020.csv.gz", "DK_load_2015_2018.csv.gz"
CASES = (
    Case("DK 2018, no weather", "DK", _DK, *_2018, "load,calendar"),
    Case(
        "Victoria 2014", "VIC", "VIC_load_weather_2012_2014.csv.gz", "2014-01-01", "2015-01-01", "load,calendar,weather"
    ),
    Case("France 2018", "FR", _FR, *_2018, "load,calendar,weather"),
    Case("France 2018, TSO", "FR", _FR, *_2018, "load,calendar,weather,tso"),
    Case("Spain 2018", "ES", _ES, *_2018, "load,calendar"),
    Case("Spain 2018, TSO", "ES", _ES, *_2018, "load,calendar,tso"),
    Case("Austria 2016", "AT", "AT_load_weather_2011_2016.csv.gz", "2016-01-01", "2017-01-01", "load,calendar,weather"),
    Case("NO_1 2018", "NO_1", "NO_1_load_2013_2018.csv.gz", *_2018, "load,calendar"),
    Case("NO_5 2018", "NO_5", "NO_5_load_2013_2018.csv.gz", *_2018, "load,calendar,weather"),
    Case("DE_LU Q4 2020", "DE_LU", _DE, *_Q4, "load,calendar"),
    Case("DE_LU Q4 2020, TSO", "DE_LU", _DE, *_Q4, "load,calendar,tso"),
    Case("DK, next 24 h", "DK", _DK, "2018-09-13", "2019-01-01", "load,calendar", CLASSIC, "next_24h"),
)


def main() -> None:
    """Run the cases and print a Markdown table, a row a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=HERE.parent / "shared" / "data")
    parser.add_argument("--only", default="", help="comma-separated zones")
    parser.add_argument("--models", default="", help="instead of each case's own")
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        sys.exit(f"{chosen.data} is no folder: name the data with --data")
    only = set(filter(None, chosen.only.split(",")))
    lines = [_commit(), "", *_HEADER]
    print("\n".join(lines), flush=True)
    for case in CASES:
        if not only or case.zone in only:
            for line in rows(case, data=chosen.data, models=chosen.models or case.models):
                print(line, flush=True)
                lines.append(line)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text("\n".join(["# Accuracy", "", *lines, ""]), encoding="utf-8")


_COLUMNS = (
    "case", "model", "MAE MW", "MAPE %", "MAE / naive", "skill vs TSO", "80 % band", "95 % band", "CRPS MW",
    "fit CPU-s", "wall s", "RSS MiB", "inputs", "weather basis", "TSO basis",
)  # fmt: skip
_HEADER = (f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|")


def rows(case: Case, *, data: Path, models: str) -> list[str]:
    """The table's lines of one case; wall time and memory are of the whole command."""
    command = [
        sys.executable, "-c", "from gridcast.cli import main; main()", "backtest", "--zone", case.zone,
        "--file", str(data / case.file), "--from", case.first, "--to", case.last, "--models", models,
        "--task", case.task, "--inputs", case.inputs, "--json",
    ]  # fmt: skip
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    wall, memory = time.perf_counter() - started, usage.ru_maxrss / 1024
    if status:
        sys.exit(f"{case.name}: the backtest failed")
    result = json.loads(output)
    return [
        "| "
        + " | ".join(
            [
                case.name,
                name,
                f"{row['mae_mw']:.1f}",
                f"{row['mape_pct']:.2f}",
                f"{1 - row['skill_vs_naive']:.3f}",
                "-" if row["skill_vs_tso"] is None else f"{row['skill_vs_tso']:.3f}",
                f"{row['coverage_80_pct']:.1f}",
                f"{row['coverage_95_pct']:.1f}",
                f"{row['crps_mw']:.1f}",
                f"{row['fit_seconds']:.1f}",
                f"{wall:.0f}",
                f"{memory:.0f}",
                case.inputs,
                result["weather_basis"],
                result["tso_basis"],
            ]
        )
        + " |"
        for name, row in result["models"].items()
    ]


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    return f"Measured at commit {found or 'unknown'}, on {os.cpu_count()} cores, by `python benchmarks/accuracy.py`."


if __name__ == "__main__":
    main()
