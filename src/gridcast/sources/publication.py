"""When a value is assumed to have become public, where its provider does not say."""

from __future__ import annotations

from datetime import time, timedelta

import polars as pl

from gridcast.contracts import UTC_TIME
from gridcast.market.zones import BiddingZone

LOAD_LAG = timedelta(hours=2)
"""How long after its interval's end a load is assumed public.

One hour is the law (Regulation (EU) 543/2013, Art. 6(2)(a)), not practice.
"""

TSO_PUBLICATION = time(10)
"""When an operator's day-ahead forecast is assumed public: market time on D-1, two hours before gate closure.

Source: Regulation (EU) 543/2013, Art. 6(2)(b).
"""


def load_public(start: pl.Expr, *, resolution: pl.Expr, lag: timedelta = LOAD_LAG) -> pl.Expr:
    """``lag`` after the end of each interval; ``start`` and the result are UTC.

    >>> from datetime import UTC, datetime
    >>> rows = pl.DataFrame({"at": [datetime(2026, 1, 1, 12, tzinfo=UTC)], "long": [timedelta(minutes=15)]})
    >>> rows.select(load_public(pl.col("at"), resolution=pl.col("long"))).item().isoformat()
    '2026-01-01T14:15:00+00:00'
    """
    return (start + resolution + lag).cast(UTC_TIME)


def tso_forecast_public(start: pl.Expr, *, zone: BiddingZone) -> pl.Expr:
    """10:00 market time on the day before each interval's delivery day; ``start`` and the result are UTC.

    >>> from datetime import UTC, datetime
    >>> from gridcast.market.zones import zone
    >>> rows = pl.DataFrame({"at": [datetime(2026, 6, 30, 22, tzinfo=UTC)]})       # midnight in Denmark, 1 July
    >>> rows.select(tso_forecast_public(pl.col("at"), zone=zone("DK_1"))).item().isoformat()
    '2026-06-30T08:00:00+00:00'
    """
    midnight = start.dt.convert_time_zone(zone.market_tz).dt.replace_time_zone(None).dt.truncate("1d")
    wall = midnight - timedelta(days=1) + timedelta(hours=TSO_PUBLICATION.hour)
    return wall.dt.replace_time_zone(zone.market_tz).dt.convert_time_zone("UTC").cast(UTC_TIME)
