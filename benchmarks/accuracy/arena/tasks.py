"""A task is a small file: a zone, a load file, a period, an issue time, and what a forecast may know."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gridcast.market.days import Task
from gridcast.market.zones import BiddingZone, zone

FOLDER = Path(__file__).resolve().parents[1] / "tasks"
PUBLISHED = FOLDER / "published.txt"


class TaskError(Exception):
    """A task file, or the load file it names, is not what was published."""


@dataclass(frozen=True)
class BenchTask:
    """One task; ``last`` is exclusive. The bases say what the file's weather and operator's forecast are."""

    code: str
    name: str
    zone: str
    file: str
    sha256: str
    first: date
    last: date
    task: str
    issue_time: str
    inputs: tuple[str, ...]
    weather_basis: str
    tso_basis: str
    refits: str

    @property
    def bidding_zone(self) -> BiddingZone:
        """Its zone, as gridcast knows it."""
        return zone(self.zone)


def read(path: Path) -> BenchTask:
    """The task of one file, its zone's issue time checked against gridcast's own."""
    stated = tomllib.loads(path.read_text("utf-8"))
    task = BenchTask(code=path.stem, **stated | {"inputs": tuple(stated["inputs"])})
    expected = issue_text(task.bidding_zone, Task(task.task))
    if task.issue_time != expected:
        raise TaskError(f"{path.name} is issued at {task.issue_time!r}, gridcast issues at {expected!r}")
    if task.refits != "monthly":
        raise TaskError(f"{path.name} asks for {task.refits} refits; the backtest refits monthly")
    return task


def everything(folder: Path = FOLDER) -> dict[str, BenchTask]:
    """Every task by its code, in the order of publication."""
    return {Path(name).stem: read(folder / name) for _, name in published(folder / PUBLISHED.name)}


def published(listing: Path = PUBLISHED) -> list[tuple[str, str]]:
    """The (SHA-256, file name) of every task that was ever published, in order."""
    lines = listing.read_text("utf-8").splitlines()
    return [(digest, name) for digest, name in (line.split() for line in lines if line.strip())]


def sha256(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_file(task: BenchTask, *, data: Path) -> Path:
    """The task's load file in the data folder, if it is the one that the task was published with."""
    path = data / task.file
    if not path.is_file():
        raise TaskError(f"{path} does not exist: name the folder of load files with --data")
    if sha256(path) != task.sha256:
        raise TaskError(f"{path} is not the file that the task {task.code} was published with")
    return path


def issue_text(zone: BiddingZone, task: Task) -> str:
    """When gridcast issues the forecasts of a task, in words."""
    if task is Task.DAY_AHEAD:
        return f"{zone.issue_time:%H:%M} {zone.market_tz} on the day before delivery"
    return f"00:00, 06:00, 12:00 and 18:00 {zone.local_tz}, for the 24 hours that follow"
