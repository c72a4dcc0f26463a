"""Run a contestant on a task in a process of its own, and measure it. What a folder holds already is not run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from arena import environments, handing, tasks
from arena.contestants import Contestant
from arena.tasks import BenchTask

COST = "cost.json"
GRIDCAST = [sys.executable, "-c", "from gridcast.cli import main; main()"]
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)


class RunFailed(Exception):
    """A contestant ended with an error; its output says why."""


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds of CPU (user and system) of the whole command and of fitting and predicting alone.

    ``rss_mib`` is the peak of the process, ``install_mib`` what its environment weighs, ``commit`` and ``date`` when
    it was measured.
    """

    cpu_seconds: float
    wall_seconds: float
    fit_seconds: float
    predict_seconds: float
    fits: int
    rss_mib: float
    install_mib: float
    commit: str
    date: str


@dataclass(frozen=True)
class Place:
    """Where things are: the load files, the peers' environments, the folder of runs, and the commit measured."""

    data: Path
    environments: Path
    runs: Path
    commit: str


def run(contestant: Contestant, task: BenchTask, *, place: Place, load_lag: float | None = None) -> Path:
    """The folder with the contestant's ``forecast.parquet`` and ``cost.json`` on the task."""
    inputs = contestant.inputs(task)
    lag = "" if load_lag is None else f"-lag{load_lag:g}h"
    # Tasks that differ only in inputs that a contestant does not take are one run.
    name = f"{contestant.code}{lag}-{task.zone}-{task.task}-{task.first}-{task.last}-{'+'.join(inputs) or 'nothing'}"
    folder = place.runs / name
    if (folder / COST).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if contestant.operator:
        handing.operator_forecast(task, data=place.data).write_parquet(folder / handing.OUTPUT)
        cost = {"cpu_seconds": 0, "wall_seconds": 0, "fit_seconds": 0, "predict_seconds": 0, "fits": 0, "rss_mib": 0}
        cost["install_mib"] = 0
    elif contestant.peer is not None:
        cost = _peer(contestant, task, folder, place=place)
    else:
        cost = _ours(contestant, task, folder, place=place, load_lag=load_lag)
    whole = Cost(**cost, commit=place.commit, date=datetime.now(UTC).date().isoformat())
    (folder / COST).write_text(json.dumps(asdict(whole)), encoding="utf-8")
    return folder


def prepare(contestant: Contestant, *, place: Place) -> Path | None:
    """The Python of the contestant's environment, made where it is not there yet; None for the operator."""
    if contestant.operator:
        return None
    if contestant.peer is not None:
        return environments.of_peer(contestant.peer, folder=place.environments)
    return environments.of_gridcast(contestant.extra, folder=place.environments)


def cost_of(folder: Path) -> Cost:
    """The cost of a run."""
    return Cost(**json.loads((folder / COST).read_text("utf-8")))


def _ours(
    contestant: Contestant, task: BenchTask, folder: Path, *, place: Place, load_lag: float | None
) -> dict[str, float]:
    command = [
        *GRIDCAST, "backtest", "--zone", task.zone, "--file", str(tasks.load_file(task, data=place.data)),
        "--from", str(task.first), "--to", str(task.last), "--models", contestant.model,
        "--task", task.task, "--inputs", ",".join(task.inputs), "--json", "--out", str(folder / handing.OUTPUT),
    ]  # fmt: skip
    command += [] if load_lag is None else ["--load-lag", f"{load_lag:g}"]
    home = folder / "home"  # without a promoted model of this machine's
    measured = _measured(command, folder, environment={"GRIDCAST_HOME": str(home)})
    shutil.rmtree(home, ignore_errors=True)
    found = json.loads((folder / "stdout").read_text("utf-8"))
    if (found["weather_basis"], found["tso_basis"]) != (task.weather_basis, task.tso_basis):
        raise RunFailed(f"{task.code} states other bases than {found['weather_basis']} and {found['tso_basis']}")
    (scores,) = found["models"].values()
    start = (
        pl.read_parquet(folder / handing.OUTPUT).group_by("issue_time").agg(pl.col("valid_time").min())["valid_time"]
    )
    months = start.dt.convert_time_zone(task.bidding_zone.market_tz).dt.truncate("1mo").n_unique()
    return measured | {
        "fit_seconds": scores["fit_seconds"],
        "predict_seconds": scores["predict_seconds"],
        "fits": months,
        "install_mib": environments.mebibytes(prepare(contestant, place=place)),
    }


def _peer(contestant: Contestant, task: BenchTask, folder: Path, *, place: Place) -> dict[str, float]:
    python = prepare(contestant, place=place)
    handing.write(task, folder, data=place.data, inputs=contestant.inputs(task))
    script = contestant.peer.folder / "forecast.py"
    command = [str(python), str(script), str(folder), *([contestant.variant] if contestant.variant else [])]
    measured = _measured(command, folder, environment={"PYTHONPATH": str(script.parents[1])})
    own = json.loads((folder / "peer.json").read_text("utf-8"))
    return measured | own | {"install_mib": environments.mebibytes(python)}


def _measured(command: list[str], folder: Path, *, environment: dict[str, str]) -> dict[str, float]:
    """Run a command with one thread a library; CPU, wall time and memory are of the whole of it."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    begun = time.perf_counter()
    with (folder / "stdout").open("wb") as output, (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, cwd=folder, env=inherited | ONE_THREAD | environment
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = (folder / "stderr").read_text("utf-8", errors="replace")[-2_000:]
        raise RunFailed(f"{folder.name} ended with {process.returncode}:\n{said}")
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "wall_seconds": time.perf_counter() - begun,
        "rss_mib": usage.ru_maxrss / 1024,
    }
