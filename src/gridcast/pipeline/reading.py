"""Observations from where they are at hand: a file, the demo, the store."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gridcast.contracts import LOAD
from gridcast.errors import ConfigError, OutsideData
from gridcast.market.zones import BiddingZone
from gridcast.sources import demo, tabular
from gridcast.sources.publication import LOAD_LAG
from gridcast.store import digest

if TYPE_CHECKING:
    from gridcast.store.database import Store


def fetch(
    zone: BiddingZone,
    *,
    source: str,
    fetched_at: datetime,
    file: Path | None = None,
    start: date | None = None,
    end: date | None = None,
) -> pl.DataFrame:
    """A file's or the demo's Observations of the local days from ``start`` to ``end`` (exclusive).

    Raises:
        ConfigError: a file without ``tabular``, or none with it; ``demo`` without days.
        DataError: the file breaks a contract, or has no load on the days.
    """
    if source == "tabular" and file is None:
        raise ConfigError("--source tabular needs a file", remedy="name it with --file")
    if source != "tabular" and file is not None:
        raise ConfigError(f"--source {source} reads no file", remedy="leave --file out, or use --source tabular")
    if file is not None:
        frame = tabular.read(file, zone=zone, fetched_at=fetched_at)
        frame = _between(frame, zone=zone, start=start, end=end)
    else:
        if start is None or end is None:
            raise ConfigError(
                "--source demo needs --start and --end", remedy="name the days to generate, e.g. --start 2022-01-01"
            )
        frame = demo.observations(zone, start=start, end=end, fetched_at=fetched_at)
        frame = frame.filter(pl.col("published_at") <= fetched_at)
    if frame.filter(pl.col("variable") == LOAD).is_empty():
        raise OutsideData(
            f"{zone.code} has no load in the days asked for",
            remedy="choose days that the source covers",
            first=start,
            last=end,
        )
    return frame


def _between(frame: pl.DataFrame, *, zone: BiddingZone, start: date | None, end: date | None) -> pl.DataFrame:
    day = pl.col("valid_time").dt.convert_time_zone(zone.local_tz).dt.date()
    if start is not None:
        frame = frame.filter(day >= start)
    return frame if end is None else frame.filter(day < end)


def read_file(
    file: Path, *, zone: BiddingZone, fetched_at: datetime, load_lag: timedelta = LOAD_LAG
) -> tuple[pl.DataFrame, str]:
    """A tabular file as Observations, load public ``load_lag`` after each interval, and the SHA-256 of its bytes."""
    observations = tabular.read(file, zone=zone, fetched_at=fetched_at, load_lag=load_lag)
    return observations, hashlib.sha256(file.read_bytes()).hexdigest()


def read_store(store: Store, *, zone: BiddingZone) -> tuple[pl.DataFrame, str]:
    """The store's Observations of a zone and its members, and the SHA-256 of the rows."""
    observations = store.observations([zone.code, *zone.members])
    return observations, digest(observations.drop("fetched_at"))
