"""Who takes part: `contestants.toml` read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from arena.tasks import BenchTask
from gridcast.contracts import INPUTS

FOLDER = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Peer:
    """Another library: where its adapter and pinned requirements are, and how its environment is made."""

    name: str
    python: str
    installer: str

    @property
    def folder(self) -> Path:
        """Of ``forecast.py`` and ``requirements.txt``."""
        return FOLDER / "peers" / self.name


@dataclass(frozen=True)
class Contestant:
    """One row of a task's table: a model of ours, the operator, or a peer."""

    code: str
    label: str
    note: str
    uses: tuple[str, ...] = INPUTS
    tasks: tuple[str, ...] = ()
    model: str | None = None
    extra: str | None = None
    operator: bool = False
    peer: Peer | None = None
    variant: str | None = None

    def takes_part(self, task: BenchTask) -> bool:
        """Whether it runs on the task."""
        if self.operator:
            return task.tso_basis != "none"
        return not self.tasks or task.code in self.tasks

    def inputs(self, task: BenchTask) -> tuple[str, ...]:
        """What it takes of what the task allows."""
        return tuple(name for name in task.inputs if name in self.uses)


def everyone(path: Path = FOLDER / "contestants.toml") -> dict[str, Contestant]:
    """Every contestant by its code, in the order of the table."""
    stated = tomllib.loads(path.read_text("utf-8"))
    peers = {name: Peer(name, **facts) for name, facts in stated["peers"].items()}
    return {
        code: Contestant(
            code,
            **{name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
            | ({"peer": peers[facts["peer"]]} if "peer" in facts else {}),
        )
        for code, facts in stated["contestants"].items()
    }
