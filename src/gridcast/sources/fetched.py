"""What every live source is handed and hands back: a clock, a provider's raw answer, and what was read from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import polars as pl

from gridcast.contracts import DOUBTFUL, UTC_TIME
from gridcast.market.zones import BiddingZone

__all__ = ["DOUBTFUL", "DUE", "Answer", "Clock", "Fetched", "LiveSource"]


class Clock(Protocol):
    """The time, and a way to let it pass: the machine's own, or a simulator's."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let so much of it pass."""
        ...


@dataclass(frozen=True)
class Answer:
    """A provider's answer as it came.

    ``url`` and ``params`` are the request's, without any secret; header names are lower case; ``body`` is what the
    server meant (transfer and content coding undone); ``fetched_at`` is UTC; ``sha256`` is the body's.
    """

    source: str
    url: str
    params: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    fetched_at: datetime
    sha256: str


DUE = pl.Schema({"variable": pl.String(), "valid_time": UTC_TIME, "resolution": pl.Duration("us")})
"""The intervals that a request should have brought."""


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought.

    ``observations`` are valid Observations; ``due`` (schema `DUE`) are the intervals that were asked for and should be
    public by the time of the fetch; ``doubtful`` (schema `DOUBTFUL`) are rows set aside; ``answers`` are the SHA-256 of
    the raw answers; ``notes`` say what was odd, though sound, in whole sentences.
    """

    observations: pl.DataFrame
    due: pl.DataFrame
    doubtful: pl.DataFrame
    answers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class LiveSource(Protocol):
    """A provider that is asked over the network."""

    name: str
    """Its name on the command line."""

    source: str
    """``source`` on every row, or the beginning of it."""

    variables: tuple[str, ...]
    """The variables it brings where none are named."""

    offers: tuple[str, ...]
    """All the variables it can bring."""

    def fetch(
        self, zone: BiddingZone, *, start: datetime, end: datetime, variables: Sequence[str] | None = None
    ) -> Fetched:
        """What the provider has of the zone's intervals that start from ``start`` to ``end`` (exclusive), UTC.

        All of ``variables`` (default: `variables`), or an error: a part is never passed off as the whole.

        Raises:
            SourceError: there was no usable answer.
            ConfigError: the provider does not serve this zone or variable.
        """
        ...

    def read(self, answer: Answer, *, zone: BiddingZone) -> Fetched:
        """What a kept answer says, as `fetch` would have read it: for a replay after the parser was mended."""
        ...
