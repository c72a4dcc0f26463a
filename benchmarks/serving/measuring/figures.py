"""What a step found: figures, each beside its aim, and the raw facts behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


class Absent(Exception):
    """A tool that a step needs is not installed; the words say which."""


@dataclass(frozen=True)
class Setting:
    """What every step is handed.

    Attributes:
        home: the folder that ``gridcast serve --demo`` prepares and reuses.
        seconds: that each contestant of `stored` is under load; everything else takes a part of it.
    """

    home: str
    seconds: int

    def part(self, share: int) -> int:
        """A whole part of the seconds, and one at least."""
        return max(1, round(self.seconds / share))


@dataclass(frozen=True)
class Figure:
    """One number; ``least`` or ``most`` is its aim."""

    what: str
    value: float
    unit: str = ""
    least: float | None = field(default=None, kw_only=True)
    most: float | None = field(default=None, kw_only=True)

    @property
    def aim(self) -> str:
        """The aim in words; empty without one."""
        if self.least is not None:
            return f"at least {plain(self.least)}"
        return "" if self.most is None else f"at most {plain(self.most)}" if self.most else "none"

    @property
    def verdict(self) -> str:
        """Whether the aim is met."""
        if not self.aim:
            return ""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return "met" if low <= self.value <= high else "SHORT"

    @property
    def row(self) -> str:
        """A row of a table."""
        return f"| {self.what} | {' '.join([plain(self.value), self.unit]).strip()} | {self.aim} | {self.verdict} |"

    @property
    def facts(self) -> dict[str, Any]:
        """The same for a program; a number that there is not is null."""
        value = self.value if math.isfinite(self.value) else None
        return {"what": self.what, "value": value, "unit": self.unit, "aim": self.aim, "verdict": self.verdict}


@dataclass(frozen=True)
class Found:
    """What a step found."""

    figures: list[Figure]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> list[str]:
        """Every figure in a row."""
        return ["| figure | measured | aim | |", "| --- | ---: | ---: | --- |", *(each.row for each in self.figures)]


def plain(value: float) -> str:
    """Three digits, and no less than the whole number."""
    if not math.isfinite(value):
        return "no answer"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def p99(values: list[float]) -> float:
    """What one value in a hundred is above; NaN of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))] if values else math.nan
