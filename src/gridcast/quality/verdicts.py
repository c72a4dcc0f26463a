"""What can be said of a day's data, and what a judgement consists of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

Places = NDArray[np.intp]


class Verdict(StrEnum):
    """What is the matter with a local day, from the worst to nothing at all."""

    EMPTY = "empty"
    UNIT_CHANGE = "unit change"
    SHIFTED_CLOCK = "shifted clock"
    IMPLAUSIBLE = "implausible"
    FLAT = "flat"
    SPIKE = "spike"
    PARTIAL = "partial"
    COMPLETE = "complete"


VERDICTS: tuple[Verdict, ...] = tuple(Verdict)
"""The verdicts, the worst first."""

DAYS = pl.Schema(
    {
        "zone": pl.String(),
        "variable": pl.String(),
        "day": pl.Date(),
        "expected": pl.Int64(),
        "received": pl.Int64(),
        "verdict": pl.String(),
        "verdicts": pl.List(pl.String()),
        "detail": pl.String(),
    }
)
"""One row a local day. ``verdict`` is the worst of ``verdicts``; ``detail`` says in a few words what is where (UTC)."""


@dataclass(frozen=True)
class Judgement:
    """``days`` (schema `DAYS`), and ``doubtful``: the Observations to set aside, with a column ``reason``."""

    days: pl.DataFrame
    doubtful: pl.DataFrame


@dataclass(frozen=True)
class Fault:
    """Intervals ``at`` [K] of a grid (numbers) that have one thing the matter with them."""

    verdict: Verdict
    at: Places
    reason: str


def runs(flags: NDArray[np.bool_]) -> list[slice]:
    """The stretches of True.

    >>> runs(np.array([True, True, False, True]))
    [slice(0, 2, None), slice(3, 4, None)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [slice(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
