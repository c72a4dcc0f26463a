"""How long a large store takes: put, read, digest, backup, verify and restore of years of hourly load of many zones.

    python benchmarks/store.py [--years 10] [--zones 40]

The store is SQLite in a file, made and thrown away in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS
from gridcast.store import digest
from gridcast.store.backup import backup, restore, verify
from gridcast.store.database import Store

START = datetime(2015, 1, 1, tzinfo=UTC)
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--zones", type=int, default=40)
    chosen = parser.parse_args()
    hours = chosen.years * 8766
    print(f"{chosen.zones} zones x {hours} hours = {chosen.zones * hours} rows on {os.cpu_count()} cores, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        file, saved, again = (Path(folder) / name for name in ("store.db", "store.backup", "again.db"))
        with Store(f"sqlite:///{file}") as store:
            with measured("put"):
                for number in range(chosen.zones):
                    store.put(load(f"Z{number:02d}", hours=hours))
            with measured("read and digest one zone"):
                digest(store.observations(["Z00"]))
            with measured("backup"):
                manifest = backup(store, saved)
            with measured("check"):
                assert store.check() == []
        with measured("verify"):
            verify(saved)
        with Store(f"sqlite:///{again}") as store, measured("restore, read back and compare"):
            assert restore(store, saved) == manifest
        print(f"database {file.stat().st_size / 1e6:.0f} MB, backup {saved.stat().st_size / 1e6:.0f} MB")


def load(zone: str, *, hours: int) -> pl.DataFrame:
    """Hourly load with noise."""
    times = pl.datetime_range(START, START + (hours - 1) * HOUR, "1h", time_zone="UTC", eager=True)
    values = np.random.default_rng(hours).normal(3000, 500, hours).round(1)
    return pl.DataFrame({"valid_time": times.dt.cast_time_unit("us"), "value": values}).select(
        zone=pl.lit(zone),
        variable=pl.lit(LOAD),
        valid_time="valid_time",
        resolution=pl.lit(HOUR),
        value="value",
        published_at=pl.col("valid_time") + 3 * HOUR,
        published_at_basis=pl.lit("assumed"),
        fetched_at=pl.lit(FETCHED, dtype=OBSERVATIONS["fetched_at"]),
        source=pl.lit("entsoe"),
    )


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long the block took."""
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
