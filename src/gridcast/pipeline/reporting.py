"""The data report of a zone, from what is stored of it."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

import polars as pl

from gridcast import quality
from gridcast.contracts import LOAD
from gridcast.errors import OutsideData
from gridcast.market.days import at_wall_clock
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.ingesting import days_of

if TYPE_CHECKING:
    from gridcast.store.database import Store


def edges(zone: BiddingZone, *, start: date | None, end: date | None) -> tuple[datetime | None, datetime | None]:
    """The instants at which two local days begin; None stays None."""

    def begin(day: date | None) -> datetime | None:
        return None if day is None else at_wall_clock(day, time(0), tz=zone.local_tz)

    return begin(start), begin(end)


def data_report(store: Store, *, zone: BiddingZone, start: date | None = None, end: date | None = None) -> str:
    """A page on the load stored of a zone in the local days from ``start`` to ``end`` (exclusive), as HTML.

    Raises:
        OutsideData: there is no load of the zone in these days.
    """
    from gridcast.report.data import render_data

    first, last = edges(zone, start=start, end=end)
    rows = store.observations([zone.code], variables=[LOAD], start=first, end=last)
    aside = store.quarantined(zone.code, variable=LOAD, start=first, end=last)
    everything = pl.concat([rows, aside.select(rows.columns)])
    if everything.is_empty():
        raise OutsideData(
            f"the store has no load of {zone.code} in these days",
            remedy=f"gridcast ingest --zone {zone.code}, or name other days",
            first=start,
            last=end,
        )
    begin, finish = days_of(everything, zone=zone)
    judgement = quality.judge(everything, zone=zone, start=start or begin, end=end or finish)
    return render_data(
        zone=zone,
        observations=rows,
        judgement=judgement,
        title=f"{zone.code} data",
        labels=["synthetic data"] if rows["source"].str.contains("synthetic").any() else [],
        quarantined=aside,
    )
