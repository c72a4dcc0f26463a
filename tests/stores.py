"""Rows for the tests of the store, on each database it promises to run on."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import polars as pl

from gridcast.contracts import DOUBTFUL, FORECAST, LOAD, OBSERVATIONS
from gridcast.market.zones import BiddingZone

POSTGRES = os.environ.get("GRIDCAST_TEST_POSTGRES_URL", "")
START = datetime(2026, 3, 28, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen")


def load(*values: float, **columns: object) -> pl.DataFrame:
    """Hourly load from `START`, assumed public two hours after each interval's end; any column may be given."""
    starts = [START + n * HOUR for n in range(len(values))]
    plain: dict[str, object] = {
        "zone": "X",
        "variable": LOAD,
        "valid_time": starts,
        "resolution": HOUR,
        "value": list(values),
        "published_at": [start + 3 * HOUR for start in starts],
        "published_at_basis": "assumed",
        "fetched_at": START + 24 * HOUR,
        "source": "a",
    }
    return pl.DataFrame(plain | columns, schema=OBSERVATIONS)


def doubtful(*values: float, reason: str = "spike", **columns: object) -> pl.DataFrame:
    """The same, with a reason to doubt it."""
    return load(*values, **columns).with_columns(reason=pl.lit(reason)).select(list(DOUBTFUL))


def issued(*values: float, **columns: object) -> pl.DataFrame:
    """One interval of a forecast, a quantile a value."""
    plain: dict[str, object] = {
        "zone": "X",
        "issue_time": START,
        "valid_time": START + 13 * HOUR,
        "resolution": HOUR,
        "quantile": [0.1 * (n + 1) for n in range(len(values))],
        "value": list(values),
        "model_version": "v1",
        "degraded": "",
    }
    return pl.DataFrame(plain | columns, schema=FORECAST)
