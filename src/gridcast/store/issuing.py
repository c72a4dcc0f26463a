"""How issued forecasts get into the tables, each with its entry in the journal, both or neither."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl
from sqlalchemy.engine import Connection

from gridcast.contracts import FORECAST
from gridcast.errors import ImplausibleValue, StoreError
from gridcast.store import chain, replays
from gridcast.store.journal import Entry, row_of
from gridcast.store.tables import FORECAST_KEY, ISSUED, aware, insert_rows, microseconds, select_rows, table_of

Noted = Callable[[datetime], Entry]
"""What to note in the journal of a forecast, given the instant that it is stored with."""


def refuse_wild(rows: pl.DataFrame) -> None:
    """Raises an `ImplausibleValue` where a value is not finite."""
    wild = rows.filter(~pl.col("value").is_finite())
    if wild.height:
        raise ImplausibleValue(
            f"forecasts to store: {wild.height} values are not finite, first at {wild['valid_time'][0]}",
            remedy="mend the model that made them",
            where="forecasts to store",
            rows=wild.head(5).rows(),
        )


def add(
    connection: Connection, rows: pl.DataFrame, *, made_at: datetime, last_write: int | None, noted: Noted | None
) -> int:
    """Adds the forecasts that are not stored yet, and counts them; the journal's entry comes with new ones only.

    Raises:
        StoreError: a stored forecast would have to be overwritten, or the journal has no head.
    """
    known = pl.concat([table_of(FORECAST.to_frame(), FORECAST, where="forecasts"), *_stored(connection, rows)])
    fresh = rows.join(known, on=list(FORECAST), how="anti")
    other = fresh.join(known, on=FORECAST_KEY, how="semi")
    twice = fresh.filter(pl.struct(FORECAST_KEY).is_duplicated())
    if other.height or twice.height:
        first = pl.concat([other, twice]).row(0, named=True)
        raise StoreError(
            f"the forecast of {first['zone']} issued {first['issue_time']} by {first['model_version']} has "
            f"two different rows for {first['valid_time']}, quantile {first['quantile']}",
            remedy="give a new model a new version; an issued forecast is never overwritten",
        )
    if fresh.height:
        made = replays.seal(connection, aware(made_at), last_write=last_write)
        insert_rows(connection, fresh.with_columns(made_at=pl.lit(microseconds(made))), into=ISSUED)
        if noted is not None:
            chain.add(connection, [row_of(noted(made))])
    return fresh.height


def _stored(connection: Connection, rows: pl.DataFrame) -> list[pl.DataFrame]:
    """What is stored of the same zones and models in the same span of issue times."""
    column = ISSUED.c
    span = [pl.col("issue_time").min().alias("start"), pl.col("issue_time").max().alias("end")]
    return [
        select_rows(
            connection,
            column.zone == group["zone"],
            column.model_version == group["model_version"],
            column.issue_time.between(microseconds(group["start"]), microseconds(group["end"])),
            table=ISSUED,
            schema=FORECAST,
        )
        for group in rows.group_by("zone", "model_version").agg(span).iter_rows(named=True)
    ]
