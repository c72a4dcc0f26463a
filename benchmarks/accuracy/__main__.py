"""The public benchmark of national load forecasts, safe from leakage: gridcast and its peers, side by side.

    python benchmarks/accuracy [--data DIR] [--only dk_2018,..] [--contestants champion,..] [--out docs/benchmarks]

Each task is a file in ``tasks``, each contestant an entry of ``contestants.toml``. Peers run in environments of their
own, which are made on the first run. The data folder is not part of the repository; without it there is nothing to
measure. A whole run takes hours: ``--resume FOLDER`` keeps every finished run there and goes on where one broke, and
``--again champion,linear`` measures some of them anew. A run of all tasks writes its page to ``docs/benchmarks``,
any other prints it unless ``--out`` is given.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from arena import contestants, drawing, handing, running, scoring, tasks, writing
from arena.contestants import Contestant
from arena.running import Place
from arena.tasks import BenchTask, TaskError
from arena.writing import Result
from platformdirs import user_cache_path

from gridcast.contracts import Floats

REPOSITORY = Path(__file__).resolve().parents[2]
LAGS, DEFAULT_LAG, LAG_TASK = (1, 2, 3, 6), 2, "dk_2018"
HOUR_TASKS = ("dk_2018", "fr_2018", "vic_2014")
ALWAYS = ("champion", "naive", "operator")


@dataclass
class Findings:
    """Everything that the page and the plots show."""

    results: list[Result] = field(default_factory=list)
    reliability: dict[str, list[Floats]] = field(default_factory=dict)
    hours: dict[str, dict[str, Floats]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def main() -> None:
    """Run what was asked for, score it and write it down."""
    chosen = _arguments()
    everyone, every_task = contestants.everyone(), tasks.everything()
    names = _listed(chosen.contestants, everyone)
    codes = _listed(chosen.only, every_task)
    whole = not (chosen.contestants or chosen.only)
    if not chosen.data.is_dir():
        sys.exit(f"{chosen.data} is no folder: name the one with the load files with --data")
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(
            chosen.data.resolve(),
            chosen.environments.resolve(),
            (chosen.resume or Path(temporary)).resolve(),
            _commit(),
        )
        for name in filter(None, chosen.again.split(",")):
            for folder in place.runs.glob(f"{name}-*"):
                shutil.rmtree(folder)
        findings = Findings()
        for player in [everyone[name] for name in (*ALWAYS, *names)]:
            running.prepare(player, place=place)
        try:
            for code in codes:
                _play(every_task[code], [everyone[name] for name in names], findings, place=place, jobs=chosen.jobs)
            lags = (
                list(_lags(every_task[LAG_TASK], everyone, place=place))
                if LAG_TASK in codes and "champion" in names
                else []
            )
        except TaskError as error:
            sys.exit(str(error))
    out = chosen.out or (REPOSITORY / "docs" / "benchmarks" if whole else None)
    _write(findings, lags, out=out)
    if findings.failed:
        sys.exit("failed: " + ", ".join(findings.failed))


def _play(task: BenchTask, players: list[Contestant], findings: Findings, *, place: Place, jobs: int) -> None:
    """Run everyone on a task and score them on the champion's rows."""
    first = [player for name, player in contestants.everyone().items() if name in ALWAYS and player.takes_part(task)]
    others = [player for player in players if player.code not in ALWAYS and player.takes_part(task)]

    def run(player: Contestant) -> Path | None:
        print(f"{task.code}: {player.code}", file=sys.stderr, flush=True)
        try:
            return running.run(player, task, place=place)
        except (running.RunFailed, subprocess.CalledProcessError, OSError) as error:
            print(error, file=sys.stderr, flush=True)
            findings.failed.append(f"{player.code} on {task.code}")
            return None

    with ThreadPoolExecutor(jobs) as pool:
        began = list(pool.map(run, first))
        if None in began:
            return
        folders = dict(zip([*first, *others], [*began, *pool.map(run, others)], strict=True))
    forecasts = {
        player.code: (folder, pl.read_parquet(folder / handing.OUTPUT)) for player, folder in folders.items() if folder
    }
    rows = scoring.truth(forecasts["champion"][1], task)
    fans = {code: rows.aligned(forecast) for code, (_, forecast) in forecasts.items()}
    for player in players:
        if player.code not in fans:
            continue
        fan, cost = fans[player.code], running.cost_of(forecasts[player.code][0])
        scores = scoring.scores(
            fan, rows, naive=fans["naive"], operator=fans.get("operator"), champion=fans["champion"]
        )
        findings.results.append(Result(task, player, cost, scores))
        observed = scoring.reliability(fan, rows)
        if not pl.Series(observed).is_nan().any():
            findings.reliability.setdefault(player.label, []).append(observed)
        if task.code in HOUR_TASKS:
            findings.hours.setdefault(task.code, {})[player.label] = scoring.by_hour(fan, rows)


def _lags(task: BenchTask, everyone: dict[str, Contestant], *, place: Place) -> Iterator[tuple[float, Result]]:
    """The champion where the load is public earlier or later than by default."""
    naive = pl.read_parquet(running.run(everyone["naive"], task, place=place) / handing.OUTPUT)
    for lag in LAGS:
        print(f"{task.code}: champion, load public after {lag} h", file=sys.stderr, flush=True)
        folder = running.run(everyone["champion"], task, place=place, load_lag=None if lag == DEFAULT_LAG else lag)
        forecast = pl.read_parquet(folder / handing.OUTPUT)
        rows = scoring.truth(forecast, task)
        fan = rows.aligned(forecast)
        scores = scoring.scores(fan, rows, naive=rows.aligned(naive), operator=None, champion=fan)
        yield lag, Result(task, everyone["champion"], running.cost_of(folder), scores)


def _write(findings: Findings, lags: list[tuple[float, Result]], *, out: Path | None) -> None:
    cores = os.cpu_count()
    head = f"Measured on {cores} cores, at the commits in the last table, by `python benchmarks/accuracy`."
    plots = {}
    if out is not None and findings.results:
        folder = out / "accuracy"
        folder.mkdir(parents=True, exist_ok=True)
        drawing.cost(findings.results, folder / drawing.COST)
        drawing.reliability(findings.reliability, folder / drawing.RELIABILITY)
        plots = dict(drawing.CAPTIONS)
        if findings.hours:
            drawing.hours(findings.hours, folder / drawing.HOURS)
        else:
            del plots[drawing.HOURS]
        writing.append(findings.results, folder / writing.RESULTS)
    page = writing.page(findings.results, head=head, plots=plots, lags=lags)
    if out is None:
        print(page)
    else:
        (out / "accuracy.md").write_text(page, encoding="utf-8", newline="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="the load files")
    parser.add_argument("--only", default="", help="tasks, comma-separated")
    parser.add_argument("--contestants", default="", help="contestants, comma-separated")
    parser.add_argument("--out", type=Path, default=None, help="where the page, plots and record go")
    parser.add_argument("--resume", type=Path, default=None, help="a folder of runs to keep and to reuse")
    parser.add_argument("--again", default="", help="contestants whose kept runs are measured anew")
    parser.add_argument("--jobs", type=int, default=1, help="contestants at a time, each on one thread")
    parser.add_argument(
        "--environments",
        type=Path,
        default=user_cache_path("gridcast") / "benchmarks",
        help="where the peers' environments are kept",
    )
    return parser.parse_args()


def _listed(text: str, known: dict[str, object]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()] or list(known)
    strange = [name for name in names if name not in known]
    if strange:
        sys.exit(f"there is no {', '.join(strange)}; choose of {', '.join(known)}")
    return [name for name in known if name in names]


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "src", "benchmarks/accuracy"]
    dirty = subprocess.run(changed, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    return f"{found or 'unknown'}{' and changes' * bool(dirty)}"


if __name__ == "__main__":
    main()
