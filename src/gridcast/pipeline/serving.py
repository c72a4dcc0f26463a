"""What a service says: stored forecasts and what is known around them as documents, and forecasts on demand.

Nothing here knows HTTP. Every method reads the store anew; who wants to be quick keeps an answer until the store's last
write or a champion is another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, TSO_FORECAST, Snapshot
from gridcast.errors import BadTime, ModelNotFound, NotForecastable, OutsideData, RegistryError
from gridcast.market.days import Origins, Task, delivery_window, instant
from gridcast.market.zones import BiddingZone, zone, zones
from gridcast.pipeline import answers, scoring
from gridcast.pipeline.champions import Champion
from gridcast.pipeline.documents import explanation_document, iso, issued_document, stamp
from gridcast.pipeline.explaining import explain_asked
from gridcast.pipeline.forecasting import Trained, outlook
from gridcast.pipeline.operations import Asked, restored
from gridcast.pipeline.posted import YEARS, Posted
from gridcast.registry import Registry, Version
from gridcast.sources.fetched import Clock
from gridcast.sources.publication import LOAD_LAG
from gridcast.store import snapshot, spans
from gridcast.store.canonical import canonical
from gridcast.store.journal import Entry, Journal

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gridcast.models.classic_onnx import Classic
    from gridcast.store.database import Store

MOST_LOAD = timedelta(days=31)
"""How much load one answer may hold."""

_SHOWN = timedelta(days=7)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Stored:
    """A Forecast table of one delivery day, as it was issued."""

    zone: BiddingZone
    day: date
    table: pl.DataFrame

    @property
    def origin(self) -> Origins:
        """What it is a forecast of."""
        edges = (self.table["issue_time"][0], *delivery_window(self.zone, self.day))
        return Origins(self.zone, Task.DAY_AHEAD, *(np.array([instant(each)]) for each in edges))

    @property
    def version(self) -> Version:
        """What made it.

        Raises:
            ModelNotFound: it has no version of ours.
        """
        return Version(zone=self.zone.code, task=Task.DAY_AHEAD, id=self.table["model_version"][0])


@dataclass(frozen=True)
class Freshness:
    """The end of the newest load, and when the newest forecast was issued (UTC); None without any."""

    load_until: datetime | None
    issued: datetime | None


class Service:
    """The answers to every question, from a store, a registry and a clock that are handed in.

    Args:
        store: with observations, forecasts and the forecast log.
        registry: of models.
        clock: the time.
        zones_file: TOML with the user's own zones.
    """

    def __init__(self, *, store: Store, registry: Registry, clock: Clock, zones_file: Path | None = None) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock
        self.known = zones(user_file=zones_file)
        self._zones_file = zones_file
        self.journal = Journal(store)

    def zone(self, code: str) -> BiddingZone:
        """The zone of that code.

        Raises:
            UnknownZone: there is none; fact ``nearest``.
        """
        return self.known.get(code) or zone(code, user_file=self._zones_file)

    def zones_document(self) -> dict[str, Any]:
        """Every zone, where it is, and what there is of it: the days of its load, and of its forecasts.

        Those with forecasts come first, then those with data.
        """
        rows = [self._zone_row(each) for each in self.known.values()]
        return {"zones": sorted(rows, key=lambda row: (not row["has_forecast"], not row["has_data"]))}

    def _zone_row(self, where: BiddingZone) -> dict[str, Any]:
        load, issued = self._load_span(where), spans.forecast(self.store, where.code)
        points = where.weather_points

        def place(name: str) -> float | None:
            return round(sum(getattr(point, name) * point.weight for point in points), 4) if points else None

        def days(span: spans.Span | None) -> list[str | None]:
            return [None, None] if span is None else [f"{self._day(where, at)}" for at in (span.first, span.last)]

        (first, last), (first_forecast, last_forecast) = days(load), days(issued)
        return {
            "zone": where.code,
            "name": where.name,
            "country": where.country,
            "market_tz": where.market_tz,
            "local_tz": where.local_tz,
            "latitude": place("latitude"),
            "longitude": place("longitude"),
            "has_data": load is not None,
            "has_forecast": issued is not None,
            "first_day": first,
            "last_day": last,
            "first_forecast_day": first_forecast,
            "last_forecast_day": last_forecast,
            "synthetic": load is not None and "synthetic" in load.source,
        }

    def _load_span(self, where: BiddingZone) -> spans.Span | None:
        """That of the zone, or of all its members together."""
        own = spans.observed(self.store, where.code, variable=LOAD)
        parts = [spans.observed(self.store, code, variable=LOAD) for code in where.members]
        if own is not None or not parts:
            return own
        found = [each for each in parts if each is not None]
        if len(found) < len(parts):
            return None
        last = min(found, key=lambda each: each.end)
        return spans.Span(max(each.first for each in found), last.last, last.end, source=last.source)

    def freshness(self, where: BiddingZone) -> Freshness:
        """How new the zone's data and forecasts are."""
        load, issued = self._load_span(where), spans.forecast(self.store, where.code)
        return Freshness(None if load is None else load.end, None if issued is None else issued.issued)

    def stored(self, where: BiddingZone, *, day: date | None = None) -> Stored:
        """The forecast of a delivery day that was issued last; of the newest day that has one, unless a day is named.

        Raises:
            NotForecastable: the day is beyond tomorrow, or not of our time.
            OutsideData: no forecast of it is stored; facts ``first`` and ``last`` say of which days there are.
        """
        span = spans.forecast(self.store, where.code)
        edges = [] if span is None else [self._day(where, edge) for edge in (span.first, span.last)]
        if day is not None:
            self._check_day(where, day)
            days = [day]
        else:  # the window of a `next_24h` forecast may reach into a day that has no other
            days = [edge - timedelta(days=n) for edge in edges[1:] for n in (0, 1)]
        for each in days:
            start, end = delivery_window(where, each)
            table = scoring.newest(self.store.forecasts(where.code, start=start, end=end), zone=where, day=each)
            if table is not None:
                return Stored(where, each, table)
        raise OutsideData(
            f"no forecast of {where.code}{f' for {day}' if day else ''} is stored",
            remedy=f"ask for a day from {edges[0]} to {edges[1]}" if edges else f"gridcast issue --zone {where.code}",
            first=edges[0] if edges else None,
            last=edges[1] if edges else None,
        )

    def _check_day(self, where: BiddingZone, day: date) -> None:
        tomorrow = self._today(where) + timedelta(days=1)
        if day.year not in YEARS or day > tomorrow:
            raise NotForecastable(
                f"{day} of {where.code} is outside the horizon",
                remedy=f"the latest day is {tomorrow}",
                delivery_day=day,
                latest=tomorrow,
            )

    def _today(self, where: BiddingZone) -> date:
        return self._day(where, self.clock.now())

    @staticmethod
    def _day(where: BiddingZone, at: datetime) -> date:
        return at.astimezone(where.market_zone).date()

    def forecast_document(self, found: Stored) -> dict[str, Any]:
        """A stored forecast as JSON: the very document that ``gridcast issue --format json`` printed."""
        try:
            trained = self._trained(found)
        except RegistryError:  # an old version may be gone; its forecast stands
            return issued_document(found.table, zone=found.zone, day=None)
        day = outlook(found.table, trained=trained, origin=found.origin)
        return issued_document(found.table, zone=found.zone, day=day)

    def explanation_document(self, found: Stored) -> dict[str, Any]:
        """Why a stored forecast is what it is, in megawatt terms that sum to its median.

        Raises:
            ModelNotFound: its model is gone.
            ConfigError: its model cannot be explained.
        """
        asked = Asked(found.version.id, self._trained(found), found.origin)
        return explanation_document(explain_asked(self.store, asked), zone=found.zone)

    def _trained(self, found: Stored) -> Trained:
        trained, _ = restored(self.registry, found.version, zone=found.zone)
        return trained

    def load_document(
        self, where: BiddingZone, *, start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, Any]:
        """Load and the operator's forecast of it from ``start`` to ``end`` (exclusive), null where they are unknown.

        The last week and what is known of the next two days, unless instants are given.

        Raises:
            BadTime: no period of at most `MOST_LOAD`, or not of our time.
            OutsideData: the store has no load of the zone.
        """
        now = self.clock.now()
        strange = [each.isoformat() for each in (start, end) if each and each.year not in YEARS]
        if strange:
            raise BadTime(f"{strange[0]} is not of our time", remedy=f"ask for the years {YEARS[0]} to {YEARS[-1]}")
        last = end or (start + _SHOWN if start else now.replace(minute=0, second=0, microsecond=0) + timedelta(days=2))
        first = start or last - _SHOWN - timedelta(days=2)
        if not timedelta(0) < last - first <= MOST_LOAD:
            raise BadTime(
                f"from {first.isoformat()} to {last.isoformat()} is no period that can be shown",
                remedy=f"let end be after start, by {MOST_LOAD.days} days at most",
            )
        self._require_load(where)
        known = self._known(where, start=first, end=last)
        step = int(known.resolution / np.timedelta64(1, "us"))
        edges = [-(-int(instant(each).astype(np.int64)) // step) * step for each in (first, last)]
        times = np.arange(edges[0], edges[1], step).astype("datetime64[us]")
        load, tso = (known.known(name, times, issue_time=instant(now)) for name in (LOAD, TSO_FORECAST))
        return {
            "zone": where.code,
            "unit": "MW",
            "resolution": iso(known.resolution),
            "tso_basis": known.tso_basis,
            "intervals": [
                {"valid_time": f"{at}Z", "load": _number(one), "tso": _number(other)}
                for at, one, other in zip(np.datetime_as_string(times, unit="s"), load, tso, strict=True)
            ],
        }

    def _known(self, where: BiddingZone, *, start: datetime, end: datetime) -> Snapshot:
        rows = self.store.observations(
            [where.code, *where.members], variables=[LOAD, TSO_FORECAST], start=start - _HOUR, end=end
        )
        return snapshot(rows, zone=where, issue_times=np.array([instant(self.clock.now())]))

    def _require_load(self, where: BiddingZone) -> spans.Span:
        span = self._load_span(where)
        if span is None:
            raise OutsideData(
                f"the store has no load of {where.code}",
                remedy="GET /v1/zones says which zones have data",
                first=None,
                last=None,
            )
        return span

    def scores_document(self, where: BiddingZone, *, days: int) -> dict[str, Any]:
        """How good the stored forecasts of the last ``days`` delivery days were; today counts as far as it is known."""
        return scoring.scores_document(self._scored(where, days=days), zone=where)

    def drift_document(self, where: BiddingZone) -> dict[str, Any]:
        """Whether the errors of the last seven days are larger than those of the four weeks before."""
        found = self._scored(where, days=scoring.RECENT + scoring.USUAL)
        return scoring.drift_document(found, zone=where)

    def _scored(self, where: BiddingZone, *, days: int) -> list[scoring.Scored]:
        today = self._today(where)
        asked = [today - timedelta(days=n) for n in range(days, -1, -1)]
        return scoring.scored_days(self.store, zone=where, days=asked, now=self.clock.now())

    def quality_document(self, where: BiddingZone, *, days: int) -> dict[str, Any]:
        """Of each of the last ``days`` delivery days how many intervals of load are due, known and in quarantine.

        Raises:
            OutsideData: the store has no load of the zone.
        """
        span, now, today = self._require_load(where), self.clock.now(), self._today(where)
        asked = [today - timedelta(days=n) for n in range(days - 1, -1, -1)]
        begin, finish = delivery_window(where, asked[0])[0], delivery_window(where, asked[-1])[1]
        known = self._known(where, start=begin, end=finish)
        aside = (
            pl.concat(
                [
                    self.store.quarantined(code, variable=LOAD, start=begin, end=finish)
                    for code in (where.code, *where.members)
                ]
            )["valid_time"]
            .dt.replace_time_zone(None)
            .unique()
            .to_numpy()
        )
        rows = []
        for day in asked:
            start, end = (instant(edge) for edge in delivery_window(where, day))
            times = np.arange(start, end, known.resolution)
            due = times + known.resolution + np.timedelta64(LOAD_LAG) <= instant(now)
            there = np.isfinite(known.known(LOAD, times, issue_time=instant(now)))
            rows.append(
                {
                    "day": day.isoformat(),
                    "due": int(due.sum()),
                    "known": int(there.sum()),
                    "in_quarantine": int(((aside >= start) & (aside < end)).sum()),
                }
            )
        return {
            "zone": where.code,
            "newest_load": stamp(span.last),
            "data_age_hours": round((now - span.end) / _HOUR, 2),
            "resolution": iso(known.resolution),
            "days": rows,
        }

    def card_document(self, champion: Champion) -> dict[str, Any]:
        """The model card of a champion."""
        digest = hashlib.sha256(champion.manifest.to_json().encode()).hexdigest()
        return champion.card(manifest_sha256=digest)

    def on_demand(self, asked: Posted, *, champion: Champion | None) -> Entry:
        """The forecast of a posted history, as an entry of the forecast log; no answer before it is written there.

        Raises:
            ModelNotFound: the zone has no champion.
            DataError: the history will not do; see `posted.forecast`.
        """
        if champion is None:
            code = asked.zone.code
            raise ModelNotFound(
                f"{code} has no trained model", remedy=f"gridcast train --zone {code}", zone=code, version=None
            )
        now = self.clock.now()
        settled = asked.settled(now=now)
        answer = answers.on_demand(settled, champion=champion)
        return Entry("on_demand", now, asked.zone.code, champion.version.id, canonical(settled.request()), answer)

    def classic(self, features: ArrayLike, *, request: bytes, network: Classic) -> Entry:
        """The classic network's answer, as an entry of the forecast log; no answer before it is written there.

        Args:
            features: the window.
            request: the JSON that had it as ``features``.
            network: which.

        Raises:
            DataError: the window has another shape, or values that cannot be.
        """
        answer = answers.classic(features, network=network)
        return Entry("classic", self.clock.now(), "", network.version, request, answer)


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
