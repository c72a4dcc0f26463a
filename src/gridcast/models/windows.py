"""The window view of a design, for networks: the hours before each issue and the intervals to forecast, as arrays.

A view, not another source: it is made of the design's rows alone, by the same code for one origin and for thousands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Design, Floats
from gridcast.market.days import HOUR, Times


@dataclass(frozen=True)
class Windows:
    """T past hours, oldest first, and H intervals to forecast at each of O origins.

    Past: ``time`` [O, T] the start of each whole hour, ``load`` [O, T] its mean in MW (NaN unless all of it is known),
    ``past`` [O, T, F] the mean columns of the rows that forecast it, ``known`` [O, T] whether its load and these are
    known; ``past`` is 0 where they are not. Future: ``future`` [O, H, G] columns and ``row`` [O, H] number of the row
    in the design. H is that of a 25-hour day: a shorter window ends in rows of -1, columns of 0.
    """

    time: Times
    load: Floats
    past: Floats
    known: NDArray[np.bool_]
    future: Floats
    row: NDArray[np.intp]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which steps of the future exist [O, H]: on a 23- or 24-hour day the last ones do not."""
        return self.row >= 0


def windows(
    design: Design,
    *,
    hours: int,
    past: Floats | None = None,
    future: Floats | None = None,
    origins: NDArray[np.bool_] | None = None,
    skip: int = 0,
) -> Windows:
    """The windows of some origins.

    Args:
        design: the rows.
        hours: T, how many whole hours before the issue; beyond what the design reaches nothing is known.
        past: [N, F] what is to be seen of a row once it is past; finite. Nothing unless given.
        future: [N, G] what is to be seen of a row while it is to be forecast; finite. Nothing unless given.
        origins: [O] whose windows; the wanted ones unless given.
        skip: how many of the newest hours to leave out, as the windows end with the last hour usually published.
    """
    nothing = np.empty((len(design.valid_time), 0))
    past, future = (nothing if columns is None else columns for columns in (past, future))
    chosen = np.flatnonzero(design.wanted if origins is None else origins)
    place = _recent_place(design, chosen, hours=hours, skip=skip)
    reached = place < design.recent_load.shape[1]
    at = (chosen[:, None, None], np.where(reached, place, 0))
    load = np.where(reached, design.recent_load[at], np.nan)
    past_row = np.where(reached, design.recent_row[at], -1)
    known: NDArray[np.bool_] = np.asarray((past_row >= 0).all(axis=2))
    row = future_rows(design)[chosen]
    newest = design.origins.issue_time[chosen].astype("datetime64[h]").astype("datetime64[us]")
    return Windows(
        time=np.subtract(newest[:, None], np.arange(hours + skip, skip, -1) * HOUR),
        load=load.mean(axis=2),
        past=np.where(known[..., None], past[np.maximum(past_row, 0)].mean(axis=2), 0.0),
        known=known,
        future=np.where(row[:, :, None] >= 0, future[np.maximum(row, 0)], 0.0),
        row=row,
    )


def future_rows(design: Design) -> NDArray[np.intp]:
    """The rows of every origin in the order of time [O, H], -1 beyond its last; H is that of a 25-hour day."""
    count = np.bincount(design.origin, minlength=len(design.origins))
    step = np.arange(design.slots * 25 // 24)
    return np.where(step < count[:, None], (np.cumsum(count) - count)[:, None] + step, -1)


def _recent_place(design: Design, chosen: NDArray[np.intp], *, hours: int, skip: int) -> NDArray[np.intp]:
    """Where in ``recent_load`` each whole hour's intervals are [O, T, intervals an hour], oldest hour first."""
    origins, resolution = design.origins, design.resolution
    parts = int(HOUR / resolution)
    newest = origins.issue_time[chosen] - (origins.issue_time[chosen] - origins.start[chosen]) % resolution
    begun = ((newest - newest.astype("datetime64[h]")) // resolution).astype(np.intp)
    hour = np.arange(hours + skip - 1, skip - 1, -1)
    return np.asarray(begun[:, None, None] + hour[:, None] * parts + np.arange(parts - 1, -1, -1), np.intp)
