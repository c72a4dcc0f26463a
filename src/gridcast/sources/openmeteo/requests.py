"""Which of Open-Meteo's services is asked for which interval, in how many requests, and what they weigh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from zoneinfo import ZoneInfo

import polars as pl

from gridcast.contracts import OBSERVED, UTC_TIME
from gridcast.errors import ConfigError
from gridcast.market.days import delivery_window
from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import DUE
from gridcast.sources.hours import HOUR, hour_of, whole_hours
from gridcast.sources.openmeteo.models import REANALYSIS, Model, known_run
from gridcast.sources.wire import Limit

DAY = timedelta(days=1)
PREVIOUS = "_previous_day"

MOST = 300
"""Calls that one request may weigh: all that a minute of the free service allows at once."""
LONGEST = timedelta(days=366)
"""What one request may span, so that its answer stays small."""

FREE_LIMITS = (
    Limit(calls=600, seconds=60, burst=MOST),
    Limit(calls=5_000, seconds=3_600, burst=2_500),
    Limit(calls=10_000, seconds=86_400, burst=5_000),
    Limit(calls=300_000, seconds=30 * 86_400, burst=30_000),
)
"""Calls a minute, an hour, a day and a month. Source: the service's terms."""
CUSTOMER_LIMITS = (Limit(calls=600, seconds=60, burst=MOST),)
"""A customer's plan has no such limits; this one is politeness."""


class Api(StrEnum):
    """Open-Meteo's services, by the name that ``source`` gives them."""

    FORECAST = "forecast"
    SINGLE_RUNS = "single-runs"
    PREVIOUS_RUNS = "previous-runs"
    ARCHIVE = "archive"


@dataclass(frozen=True)
class Request:
    """One request: the hours that start from ``first`` to ``end`` (exclusive, UTC), of the provider's ``variables``.

    ``leads`` are the days back of the previous-runs service, ``run`` the initialisation for the single-runs service.
    """

    api: Api
    model: str
    variables: tuple[str, ...]
    first: datetime
    end: datetime
    leads: tuple[int, ...] = ()
    run: datetime | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to ask for."""
        return columns(self.variables, self.leads)

    def params(self, zone: BiddingZone) -> dict[str, str]:
        """The query. An hour needs the stamps at both its ends, so the last one asked for is ``end``."""
        query = {
            "latitude": ",".join(f"{shortened(point.latitude)}" for point in zone.weather_points),
            "longitude": ",".join(f"{shortened(point.longitude)}" for point in zone.weather_points),
            "hourly": ",".join(self.columns),
            "models": self.model,
            "timezone": "GMT",
            "timeformat": "unixtime",
            "wind_speed_unit": "ms",
        }
        if self.run is not None:
            query["run"] = f"{self.run:%Y-%m-%dT%H:%M}"
        if self.api is Api.ARCHIVE:
            return query | {"start_date": f"{self.first:%Y-%m-%d}", "end_date": f"{self.end:%Y-%m-%d}"}
        return query | {"start_hour": f"{self.first:%Y-%m-%dT%H:%M}", "end_hour": f"{self.end:%Y-%m-%dT%H:%M}"}

    def due(self) -> pl.DataFrame:
        """Every hour of every variable (schema `DUE`), for a forecast that cannot be had."""
        hours = pl.datetime_range(self.first, self.end, HOUR, closed="left", eager=True).cast(UTC_TIME)
        parts = [pl.DataFrame({"valid_time": hours}).with_columns(variable=pl.lit(name)) for name in self.variables]
        step = pl.lit(HOUR, dtype=pl.Duration("us"))
        return pl.concat(parts).with_columns(resolution=step).select(list(DUE))

    def weight(self, points: int) -> float:
        """How many calls it counts for."""
        hours = (self.end - self.first) / HOUR + 1
        return weight(points, values=len(self.columns), days=hours / 24)


def shortened(degrees: float) -> float:
    """A coordinate to 4 decimals, 11 m: what is sent.

    >>> shortened(55.6760968)
    55.6761
    """
    return round(degrees, 4)


def columns(variables: Sequence[str], leads: Sequence[int]) -> tuple[str, ...]:
    """The provider's columns of ``variables``.

    >>> columns(["temperature_2m"], [2, 1])
    ('temperature_2m_previous_day2', 'temperature_2m_previous_day1')
    """
    if not leads:
        return tuple(variables)
    return tuple(f"{name}{PREVIOUS}{lead}" for name in variables for lead in leads)


def weight(points: int, *, values: int, days: float) -> float:
    """How many calls a request of ``values`` columns counts for. Source: open-meteo.com, pricing.

    Four years of five variables at six points:

    >>> round(weight(6, values=5, days=1461))
    313
    """
    return points * max(1.0, values / 10, days / 14 * values / 10)


def plan(
    zone: BiddingZone,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    variables: Sequence[str],
    model: Model,
    archive: Api = Api.SINGLE_RUNS,
    leads: tuple[int, ...] = (2, 1),
) -> tuple[list[Request], list[str]]:
    """The requests for the hours that start from ``start`` to ``end`` (exclusive), and notes on what none can bring.

    Delivery days of the past, and the one under way, are asked for as a whole. The hours from the present one on are
    asked of the newest run, so the rest of the day under way comes as it was known yesterday and as it is known now.

    Raises:
        ConfigError: the zone has no weather points, or more than one request may hold.
    """
    count = len(zone.weather_points)
    if not count:
        remedy = f"ingest {' and '.join(zone.members)}, or give it" if zone.members else "give it"
        raise ConfigError(f"{zone.code} has no weather points", remedy=f"{remedy} weather_points", zone=zone.code)
    forecast = tuple(name for name in variables if not name.endswith(OBSERVED))
    observed = tuple(name.removesuffix(OBSERVED) for name in variables if name.endswith(OBSERVED))
    (first, last), hour = whole_hours(start, end), hour_of(now)
    found: list[Request] = []
    notes: list[str] = []
    if forecast and first < hour:
        days = _delivery_days(zone, first, min(last, hour))
        past, notes = _past(zone, days, variables=forecast, model=model, archive=archive, leads=leads)
        found += past
    ahead, edge = max(first, hour), hour + model.reach - DAY
    if forecast and ahead < min(last, edge):
        found.append(Request(Api.FORECAST, model.name, forecast, first=ahead, end=min(last, edge)))
    if forecast and last > edge:
        notes.append(f"{model.name} is not asked for hours after {edge:%Y-%m-%d %H:%M} UTC: too far ahead.")
    if observed and first < min(last, hour):
        found.append(Request(Api.ARCHIVE, REANALYSIS, observed, first=first, end=min(last, hour)))
    found = [part for request in found for part in _split(request, points=count)]
    heaviest = max((request.weight(count) for request in found), default=0)
    if heaviest > MOST:
        raise ConfigError(
            f"a day of {zone.code} with its {count} weather points weighs {heaviest:.0f} calls, and {MOST} may be made",
            remedy="give it fewer weather_points, or ask for fewer variables",
            zone=zone.code,
        )
    return found, notes


def _past(
    zone: BiddingZone,
    days: Sequence[date],
    *,
    variables: tuple[str, ...],
    model: Model,
    archive: Api,
    leads: tuple[int, ...],
) -> tuple[list[Request], list[str]]:
    """The requests for whole delivery days of the past."""

    def service(day: date) -> tuple[Api | None, tuple[str, ...]]:
        if archive is Api.SINGLE_RUNS and known_run(zone, day, model=model).date() >= model.single_runs:
            return Api.SINGLE_RUNS, variables
        kept = tuple(name for name in variables if day >= model.previous_since(name))
        return (Api.PREVIOUS_RUNS if kept else None), kept

    found = []
    bare: dict[str, date] = {}
    for (api, names), group in groupby(days, key=service):
        stretch = list(group)
        bare |= {name: stretch[-1] for name in variables if name not in names}
        if api is Api.SINGLE_RUNS:
            for day in stretch:
                start, end = delivery_window(zone, day)
                run = known_run(zone, day, model=model)
                found.append(Request(api, model.name, names, first=start, end=end, run=run))
        elif api is Api.PREVIOUS_RUNS:
            start, end = delivery_window(zone, stretch[0])[0], delivery_window(zone, stretch[-1])[1]
            found.append(Request(api, model.name, names, first=start, end=end, leads=leads))
    notes = [
        f"No forecast of {name} by {model.name} is kept for {day} and the days before it; "
        f"{name}{OBSERVED} is what was observed."
        for name, day in bare.items()
    ]
    return found, notes


def _delivery_days(zone: BiddingZone, first: datetime, end: datetime) -> list[date]:
    clock = ZoneInfo(zone.market_tz)
    day, last = first.astimezone(clock).date(), (end - HOUR).astimezone(clock).date()
    return [day + n * DAY for n in range((last - day).days + 1)]


def _split(request: Request, *, points: int) -> Iterator[Request]:
    """The request in parts of whole days that each weigh at most `MOST`."""
    per_day = weight(points, values=len(request.columns), days=10_000) / 10_000
    step = max(1, int(min(LONGEST / DAY, MOST / per_day - 1))) * DAY
    start = request.first
    while start < request.end:
        yield replace(request, first=start, end=min(start + step, request.end))
        start += step
