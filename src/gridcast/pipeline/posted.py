"""A forecast on demand, from a history that somebody brings along: checked, forecast by a champion, never stored.

The history is what its owner knew at the issue time. A load is taken to have been public by our usual rule, and at the
issue time at the latest; a temperature to have been forecast two days ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS, OBSERVED, TSO_FORECAST, UTC_TIME
from gridcast.errors import (
    BadTime,
    DataError,
    DuplicateTime,
    ImplausibleValue,
    NotForecastable,
    OffGrid,
    TooLittleHistory,
)
from gridcast.features.design import LAG_DAYS
from gridcast.market.days import Origins, Task, delivery_window, instant, issue_time
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.champions import Champion
from gridcast.pipeline.documents import issued_document, stamp
from gridcast.pipeline.forecasting import issue, outlook
from gridcast.pipeline.operations import NEEDED
from gridcast.sources.publication import load_public, tso_forecast_public
from gridcast.sources.tabular import RESOLUTIONS

DAYS_NEEDED = LAG_DAYS
"""Days of load that a history has at least: as far back as a lag reaches."""
OLDEST = timedelta(days=7)
"""How long before the issue the history may end."""
YEARS = range(1980, 2100)

_OF_ZONE = 3.0
"""A history whose median is this many times the zone's usual load, or so small a part of it, is in another unit."""
_OF_ITSELF = 6.0
"""A value this many times the median of its history, or so small a part of it, is no load."""
_SHOWN = 5

Cells = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Posted:
    """A history: (start of the interval in ISO 8601 with offset, MW or °C) by time, and what to forecast from it.

    Attributes:
        zone: whose load it is.
        load: MW.
        tso: the operator's day-ahead forecast, MW; used by a model that was trained with one.
        temperature: °C, past and forecast; used by a model that was trained with weather.
        delivery_day: market-local; the day after the issue unless given.
        issue_time: when all of this was known (UTC); unless given now, and for a past day the zone's usual issue time.
    """

    zone: BiddingZone
    load: Cells
    tso: Cells = ()
    temperature: Cells = ()
    delivery_day: date | None = None
    issue_time: datetime | None = None

    def settled(self, *, now: datetime) -> Settled:
        """The same with its delivery day and issue time settled: it gives the same forecast whenever it is asked.

        Raises:
            BadTime: the issue time is still to come.
            NotForecastable: the day is too far ahead, or had begun when the forecast was to be issued.
        """
        zone, at = self.zone, self.issue_time or now
        if at.year not in YEARS or at > now:
            raise BadTime(
                f"the issue time {at.isoformat()} is {'still to come' if at > now else 'before our time'}",
                remedy="leave it out, or give the instant at which the history was known",
            )
        tomorrow = at.astimezone(zone.market_zone).date() + timedelta(days=1)
        day = self.delivery_day or tomorrow
        if day.year not in YEARS or day > tomorrow:
            raise NotForecastable(
                f"{day} of {zone.code} cannot be forecast at {stamp(at)}",
                remedy=f"the latest day is {tomorrow}",
                delivery_day=day,
                latest=tomorrow,
            )
        start, _ = delivery_window(zone, day)
        if self.issue_time is None and at >= start:
            at = issue_time(zone, day)
        if at >= start:
            raise NotForecastable(
                f"{day} of {zone.code} had begun when its forecast was to be issued, at {stamp(at)}",
                remedy=f"give an issue time before {stamp(start)}",
                delivery_day=day,
                latest=tomorrow,
            )
        return Settled(self, delivery_day=day, issue_time=at)


@dataclass(frozen=True)
class Settled:
    """A history, and which day is forecast from it when (UTC)."""

    posted: Posted
    delivery_day: date
    issue_time: datetime

    @property
    def zone(self) -> BiddingZone:
        """Whose load it is."""
        return self.posted.zone

    @property
    def origin(self) -> Origins:
        """The one origin that is asked for."""
        edges = (self.issue_time, *delivery_window(self.zone, self.delivery_day))
        return Origins(self.zone, Task.DAY_AHEAD, *(np.array([instant(each)]) for each in edges))

    def request(self) -> dict[str, Any]:
        """All that it takes to make the forecast again, as JSON; `of` reads it."""
        return {
            "zone": self.zone.code,
            "delivery_day": self.delivery_day.isoformat(),
            "issue_time": self.issue_time.astimezone(UTC).isoformat(),
            "load": list(self.posted.load),
            "tso": list(self.posted.tso),
            "temperature": list(self.posted.temperature),
        }

    @classmethod
    def of(cls, request: Mapping[str, Any], *, zone: BiddingZone) -> Settled:
        """What `request` gave."""
        load, tso, temperature = (
            tuple((str(time), float(value)) for time, value in request[name]) for name in ("load", "tso", "temperature")
        )
        return cls(
            Posted(zone, load, tso, temperature),
            delivery_day=date.fromisoformat(request["delivery_day"]),
            issue_time=datetime.fromisoformat(request["issue_time"]),
        )


def forecast(asked: Settled, *, champion: Champion) -> dict[str, Any]:
    """The forecast document of a history, by the champion of its zone.

    Raises:
        BadTime, DuplicateTime, OffGrid: a time stamp is wrong.
        DataError: the load has gaps.
        ImplausibleValue: a value cannot be this zone's in MW.
        TooLittleHistory: fewer days of load than `DAYS_NEEDED`.
    """
    trained, origin = champion.trained, asked.origin
    rows, days = _observations(asked.posted, at=asked.issue_time, champion=champion)
    table = issue(rows, trained=trained, origin=origin, model_version=champion.version.id)
    if days < NEEDED.days:
        why = f"{days} days of history were posted; the model looks at {NEEDED.days}"
        degraded = pl.concat_str(
            pl.lit(why), pl.when(pl.col("degraded") != "").then("degraded"), separator="; ", ignore_nulls=True
        )
        table = table.with_columns(degraded=degraded)
    return issued_document(table, zone=asked.zone, day=outlook(table, trained=trained, origin=origin))


def _observations(posted: Posted, *, at: datetime, champion: Champion) -> tuple[pl.DataFrame, int]:
    """The history as Observations, and how many days of load it has."""
    zone, trained = posted.zone, champion.trained
    start, step = pl.col("valid_time"), pl.col("resolution")
    load = _load(posted, at=at, level=champion.level)
    days = int((load["valid_time"][-1] - load["valid_time"][0] + load["resolution"][0]) / timedelta(days=1))
    parts = [_published(load, LOAD, public=load_public(start, resolution=step), at=at)]
    if posted.tso and trained.tso_basis != "none":
        rows = _series(posted.tso, "tso")
        _check(rows.filter(pl.col("value") <= 0), what="is not positive", where="tso")
        parts.append(_published(rows, TSO_FORECAST, public=tso_forecast_public(start, zone=zone), at=at))
    if posted.temperature and trained.weather_basis != "none":
        rows = _series(posted.temperature, "temperature")
        _check(rows.filter(~pl.col("value").is_between(-90, 60)), what="is no °C of this planet", where="temperature")
        name = "temperature_2m" + OBSERVED * (trained.weather_basis == "observed")
        parts.append(_published(rows, name, public=start - timedelta(days=2), at=at))
    table = pl.concat(parts).filter(start >= at - NEEDED)
    return table.with_columns(
        zone=pl.lit(zone.code),
        published_at_basis=pl.lit("assumed"),
        fetched_at=pl.lit(at).dt.convert_time_zone("UTC").cast(UTC_TIME),
        source=pl.lit("posted"),
    ).select(list(OBSERVATIONS)), days


def _published(rows: pl.DataFrame, variable: str, *, public: pl.Expr, at: datetime) -> pl.DataFrame:
    latest = pl.lit(at).dt.convert_time_zone("UTC").cast(UTC_TIME)
    return rows.select(
        "valid_time",
        "resolution",
        "value",
        variable=pl.lit(variable),
        published_at=pl.min_horizontal(public.cast(UTC_TIME), latest),
    )


def _load(posted: Posted, *, at: datetime, level: float | None) -> pl.DataFrame:
    rows = _series(posted.load, "load")
    step, first, last = rows["resolution"][0], rows["valid_time"][0], rows["valid_time"][-1]
    late = rows.filter(pl.col("valid_time") + pl.col("resolution") > at)
    if late.height:
        raise BadTime(
            f"load: {late.height} intervals end after the issue at {stamp(at)}, the first begins {stamp(late[0, 0])}",
            remedy="leave them out, or give a later issue_time",
            count=late.height,
            first=late[0, 0],
        )
    _no_gaps(rows, step=step)
    days = (last + step - first) / timedelta(days=1)
    if days < DAYS_NEEDED:
        raise TooLittleHistory(
            f"load: {days:.1f} days, from {stamp(first)} to {stamp(last + step)}",
            remedy=f"post at least {DAYS_NEEDED} days up to the issue at {stamp(at)}",
            needed=DAYS_NEEDED,
            have=round(days, 2),
        )
    if at - last - step > OLDEST:
        raise TooLittleHistory(
            f"load: it ends {stamp(last + step)}, {(at - last - step).days} days before the issue at {stamp(at)}",
            remedy=f"post load up to at most {OLDEST.days} days before the issue",
            needed=DAYS_NEEDED,
            have=0,
        )
    _in_mw(rows, zone=posted.zone, level=level)
    return rows


def _no_gaps(rows: pl.DataFrame, *, step: timedelta) -> None:
    gaps = rows.select("valid_time", ahead=-pl.col("valid_time").diff(-1)).filter(pl.col("ahead") > step)
    if gaps.height:
        missing = [{"start": start + step, "end": start + ahead} for start, ahead in gaps.head(_SHOWN).iter_rows()]
        count = int(gaps.select((pl.col("ahead") / step - 1).sum()).item())
        raise DataError(
            f"load: {count} intervals are missing in {gaps.height} gaps, the first from {stamp(missing[0]['start'])} "
            f"to {stamp(missing[0]['end'])}",
            remedy="post every interval from the first to the last",
            missing=missing,
            count=count,
        )


def _in_mw(rows: pl.DataFrame, *, zone: BiddingZone, level: float | None) -> None:
    """Refuse a history that is in another unit, and values in it that are no load.

    Raises:
        ImplausibleValue: facts ``median_mw``, ``usual_mw``.
    """
    middle = float(rows["value"].median())  # type: ignore[arg-type]
    if level is not None and not 1 / _OF_ZONE < middle / level < _OF_ZONE:
        raise ImplausibleValue(
            f"load: its median is {middle:,.6g}, {middle / level:,.3g} times the usual {level:,.0f} MW of {zone.code}",
            remedy="post MW (not kW, GW, or MWh of a shorter interval), and this zone's load",
            median_mw=middle,
            usual_mw=level,
        )
    value = pl.col("value")
    wild = rows.filter((value <= 0) | (value > middle * _OF_ITSELF) | (value < middle / _OF_ITSELF))
    _check(wild, what=f"cannot be a load where the median is {middle:,.6g}", where="load")


def _series(cells: Cells, where: str) -> pl.DataFrame:
    """``valid_time`` (UTC), ``value`` and ``resolution`` of cells in any order, sorted."""
    times = pl.Series("valid_time", [cell[0] for cell in cells], dtype=pl.String)
    rows = pl.DataFrame(
        {
            "valid_time": times.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False),
            "value": pl.Series([cell[1] for cell in cells], dtype=pl.Float64),
        }
    ).with_row_index("number")
    bad = rows.filter(pl.col("valid_time").is_null() | ~pl.col("valid_time").dt.year().is_between(YEARS[0], YEARS[-1]))
    if bad.height:
        number = bad[0, "number"]
        raise BadTime(
            f"{where}[{number}].valid_time is no time stamp of ours",
            remedy="write it as 2026-01-31T23:00:00Z",
            places=bad["number"].head(_SHOWN).to_list(),
        )
    rows = rows.sort("valid_time", "number")
    twice = rows.filter(pl.col("valid_time").is_duplicated())
    if twice.height:
        raise DuplicateTime(
            f"{where}: {stamp(twice[0, 'valid_time'])} stands twice",
            remedy="post every interval once",
            places=twice["number"].head(_SHOWN).to_list(),
        )
    step = _resolution(rows, where)
    return rows.with_columns(resolution=pl.lit(step).cast(OBSERVATIONS["resolution"])).select(
        "valid_time", "value", "resolution", "number"
    )


def _resolution(rows: pl.DataFrame, where: str) -> timedelta:
    """The smallest step between neighbours, an hour where that is none of `RESOLUTIONS`; every stamp must fit it."""
    if rows.height < 2:
        raise TooLittleHistory(
            f"{where}: {rows.height} intervals show no resolution",
            remedy=f"post {DAYS_NEEDED} days" if where == "load" else "post two at least, or leave it out",
            needed=DAYS_NEEDED,
            have=0,
        )
    smallest = rows["valid_time"].diff().min()
    step: timedelta = smallest if smallest in RESOLUTIONS else timedelta(hours=1)  # type: ignore[assignment]
    off = rows.filter(pl.col("valid_time").dt.epoch("us") % int(step / timedelta(microseconds=1)) != 0)
    if off.height:
        raise OffGrid(
            f"{where}[{off[0, 'number']}].valid_time is no multiple of {int(step.total_seconds() // 60)} minutes",
            remedy="name every interval by its start, in equal steps of 5, 6, 10, 12, 15, 20, 30 or 60 minutes of UTC",
            places=off["number"].head(_SHOWN).to_list(),
        )
    return step


def _check(wild: pl.DataFrame, *, what: str, where: str) -> None:
    if wild.height:
        first = wild.row(0, named=True)
        raise ImplausibleValue(
            f"{where}[{first['number']}] is {first['value']:.6g} at {stamp(first['valid_time'])}, which {what}"
            + (f" (and {wild.height - 1} more)" if wild.height > 1 else ""),
            remedy="post MW" if where != "temperature" else "post °C",
            places=wild["number"].head(_SHOWN).to_list(),
            count=wild.height,
        )
