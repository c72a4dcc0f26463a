"""From a source into the store: fetch, judge, set aside what may not be used, keep the rest, and account for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from gridcast import quality
from gridcast.contracts import DOUBTFUL, LOAD, OBSERVATION_KEY, OBSERVATIONS, TSO_FORECAST
from gridcast.errors import ConfigError, GridcastError, OutsideData, SourceError
from gridcast.market.days import at_wall_clock
from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import DUE, Clock, Fetched, LiveSource
from gridcast.store.vintages import Look

if TYPE_CHECKING:
    from gridcast.settings import Settings
    from gridcast.store.database import Store

CONTEXT = timedelta(weeks=10)
"""How much of what is stored before a fetch a verdict on it looks at."""

FIRST_FETCH = timedelta(days=3 * 365)
"""How far back a source is asked for a zone of which nothing is stored."""

SECOND_LOOK = timedelta(days=14)
"""How far back it is asked again later on: values come late and change."""

JUDGED = (LOAD, TSO_FORECAST)
"""Variables on whose days there are verdicts."""

AHEAD = timedelta(days=2)
"""How far ahead: forecasts of tomorrow."""


@dataclass(frozen=True)
class Missing:
    """An interval that was due and did not come."""

    variable: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Account:
    """What an ingest brought.

    Every interval ``requested`` was either ``received`` or is named in ``missing``. Of those received some are
    ``quarantined``: stored apart, with a reason, and used by nothing. ``new`` values were not known before, ``revised``
    ones replace a value that was. ``verdicts`` counts the local days of load by verdict; ``failed`` says which sources
    gave no answer, and why.
    """

    zone: str
    source: str
    requested: int
    received: int
    missing: tuple[Missing, ...]
    revised: int
    new: int
    quarantined: int
    first: datetime | None
    last: datetime | None
    verdicts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Brought:
    """What one source brought, and what became of it."""

    source: str
    fetched: Fetched
    new: int
    revised: int
    kept: pl.DataFrame
    doubtful: pl.DataFrame
    days: pl.DataFrame
    """Verdicts on the local days of load."""


def window(
    store: Store, *, zone: BiddingZone, now: datetime, start: date | None, end: date | None
) -> tuple[datetime, datetime]:
    """The instants from which and until which a live source is asked: the local days given, or what is useful.

    Without ``start``: the last two weeks of what is stored, or three years where nothing is. Without ``end``: the day
    after tomorrow.
    """
    today = now.astimezone(zone.market_zone).date()
    if start is None:
        known = store.coverage(zone.code, LOAD).last
        start = (min(known, now) - SECOND_LOOK if known else now - FIRST_FETCH).astimezone(zone.market_zone).date()
        if end is not None and end <= start:
            raise ConfigError(f"what is new begins at {start}, after --end {end}", remedy="give --start too")
    if end is None:
        end = max(today, start) + AHEAD
    return tuple(at_wall_clock(day, time(0), tz=zone.local_tz) for day in (start, end))  # type: ignore[return-value]


def ingest_live(
    store: Store,
    sources: Sequence[LiveSource],
    *,
    zone: BiddingZone,
    start: datetime,
    end: datetime,
    clock: Clock,
    variables: Sequence[str] | None = None,
) -> Account:
    """Ask the sources in order for the zone's intervals from ``start`` to ``end`` and store what they have.

    The second is asked only for what the first failed to bring, and so on. What was asked and did not come is kept
    too, as a look: a value that comes later is known to be late.

    Args:
        store: where it goes.
        sources: the best one first.
        zone: whose intervals.
        start: the first interval's start, UTC.
        end: no interval starts at it or later, UTC.
        clock: tells when each source was asked.
        variables: what to ask each source for that has it; without them each source's own, and a gap in the load
            alone sends us on to the next source.

    Raises:
        ConfigError: no source has one of the variables.
        SourceError: no source gave an answer; the error is the first one's.
    """
    brought: list[Brought] = []
    failed: dict[str, GridcastError] = {}
    unknown = set(variables or ()).difference(*(source.offers for source in sources))
    if unknown:
        raise ConfigError(
            f"none of {', '.join(source.name for source in sources)} has {', '.join(sorted(unknown))}",
            remedy="; ".join(f"{source.name} has {', '.join(source.offers)}" for source in sources),
        )
    asked = {LOAD} if variables is None else set(variables)
    span = (start, end)
    for source in sources:
        wanted = None if variables is None else [name for name in variables if name in source.offers]
        if wanted == []:
            continue
        at = clock.now()
        looks = [
            Look(zone.code, name, source.source, start=span[0], end=span[1], at=at)
            for name in wanted or source.variables
            if name in JUDGED
        ]
        try:
            fetched = source.fetch(zone, start=span[0], end=span[1], variables=wanted)
        except SourceError as error:
            failed[source.name] = error
            store.put(OBSERVATIONS.to_frame(), looks=[replace(look, answered=False) for look in looks])
            continue
        except ConfigError as error:
            failed[source.name] = error
            continue
        brought.append(keep(store, fetched, source=source.name, zone=zone, looks=looks))
        gaps = _absent(brought, come=[each.kept for each in brought]).filter(pl.col("variable").is_in(list(asked)))
        if gaps.is_empty():
            break
        first, last = _ends(gaps)
        span = (max(start, first), min(end, last + gaps["resolution"].max()))  # type: ignore[operator]
    if not brought:
        raise next(iter(failed.values()))
    return account(brought, zone=zone, failed={name: str(error) for name, error in failed.items()})


def keep(store: Store, fetched: Fetched, *, source: str, zone: BiddingZone, looks: Sequence[Look] = ()) -> Brought:
    """Judge what a source brought, quarantine the doubtful part, store the rest."""
    judged = {name: _judged(store, fetched, zone=zone, variable=name) for name in JUDGED}
    aside = pl.concat([fetched.doubtful, *(each.doubtful for each in judged.values())])
    aside = aside.join(store.acquitted(aside), on=list(DOUBTFUL), how="anti")
    sound = fetched.observations.join(aside, on=list(OBSERVATION_KEY), how="anti")
    store.quarantine(aside)
    added = store.put(sound, looks=looks)
    return Brought(source, fetched, added.new, added.revised, sound, aside, judged[LOAD].days)


def _judged(store: Store, fetched: Fetched, *, zone: BiddingZone, variable: str) -> quality.Judgement:
    """The verdict on what was fetched of a variable, beside what is stored of its weeks and of the weeks before."""
    rows, due = (each.filter(pl.col("variable") == variable) for each in (fetched.observations, fetched.due))
    if rows.is_empty():
        return quality.Judgement(days=quality.DAYS.to_frame(), doubtful=DOUBTFUL.to_frame())
    until = pl.concat([rows, due], how="diagonal").select((pl.col("valid_time") + pl.col("resolution")).max()).item()
    start, end = days_of(rows, zone=zone)
    before = at_wall_clock(start, time(0), tz=zone.local_tz) - CONTEXT
    known = store.observations([zone.code], variables=[variable], start=before)
    history = known.join(rows, on="valid_time", how="anti")
    found = quality.judge(rows, zone=zone, variable=variable, start=start, end=end, history=history, now=until)
    if hours := quality.moved(rows, known, tz=zone.local_tz):
        what = f"shifted clock: all of the answer is {hours:+d} h off what was fetched before"
        verdict = quality.Verdict.SHIFTED_CLOCK.value
        days = found.days.with_columns(verdict=pl.lit(verdict), verdicts=pl.lit([verdict]), detail=pl.lit(what))
        return quality.Judgement(days.cast(quality.DAYS), rows.with_columns(reason=pl.lit(what)))
    return found


def ingest(store: Store, observations: pl.DataFrame, *, zone: BiddingZone) -> Account:
    """Put a file's or the demo's Observations of a zone, some of them load, into the store.

    What such data are is their owner's business: days of load are judged and counted, and nothing is set aside.
    """
    load = observations.filter(pl.col("variable") == LOAD)
    fetched = Fetched(observations, due=_grid(load), doubtful=DOUBTFUL.to_frame())
    added = store.put(observations)
    names = ", ".join(sorted(observations["source"].unique()))
    start, end = days_of(load, zone=zone)
    days = quality.judge(load, zone=zone, start=start, end=end).days
    return account([Brought(names, fetched, added.new, added.revised, observations, fetched.doubtful, days)], zone=zone)


def read_again(
    store: Store, sources: Sequence[LiveSource], *, settings: Settings, zone: BiddingZone, at: datetime
) -> Account:
    """Read the kept raw answers of a zone once more: after a parser was mended, nobody need be asked again.

    Of several answers on an interval the youngest counts. What differs from the store, or is not in it, is known since
    ``at``, so that no forecast made before changes.

    Raises:
        OutsideData: no answer about the zone is kept.
    """
    from gridcast.sources.wire import Kept

    kept = Kept(settings.raw_dir)
    brought: list[Brought] = []
    unread: list[str] = []
    for source in sources:
        parts = []
        for answer in kept.answers(source.name):
            try:
                parts.append(source.read(answer, zone=zone))
            except ConfigError:  # it is about another zone
                continue
            except SourceError as error:
                unread.append(f"The answer fetched at {answer.fetched_at:%Y-%m-%dT%H:%M:%SZ}: {error}.")
        if parts:
            brought.append(keep(store, _youngest(parts, at=at), source=source.name, zone=zone))
    if not brought:
        raise OutsideData(
            f"no raw answer about {zone.code} is kept that can be read",
            remedy="ask for it without --again",
            first=None,
            last=None,
        )
    made = account(brought, zone=zone)
    return replace(made, notes=(*made.notes, *unread))


def _youngest(parts: Sequence[Fetched], *, at: datetime) -> Fetched:
    """The parts as one, fetched at ``at``: of several rows on an interval, sound or doubtful, those fetched last."""
    frames = [frame for part in parts for frame in (part.observations, part.doubtful)]
    rows = pl.concat(frames, how="diagonal").sort("fetched_at")
    last = pl.col("fetched_at") == pl.col("fetched_at").max().over("variable", "valid_time", "source")
    rows = rows.filter(last).unique(list(OBSERVATION_KEY), keep="last").with_columns(fetched_at=pl.lit(at))
    return Fetched(
        rows.filter(pl.col("reason").is_null()).select(list(OBSERVATIONS)).cast(OBSERVATIONS),
        due=pl.concat([part.due for part in parts]).unique(),
        doubtful=rows.filter(pl.col("reason").is_not_null()).cast(DOUBTFUL),
        answers=tuple(name for part in parts for name in part.answers),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _grid(load: pl.DataFrame) -> pl.DataFrame:
    """Every interval from the first to the last, at the finest resolution there is."""
    step: timedelta = load["resolution"].sort()[0]
    first, last = _ends(load)
    whole = pl.select(valid_time=pl.datetime_range(first, last, step, time_unit="us", time_zone="UTC"))
    return whole.select(variable=pl.lit(LOAD), valid_time="valid_time", resolution=pl.lit(step)).cast(DUE)


def days_of(rows: pl.DataFrame, *, zone: BiddingZone) -> tuple[date, date]:
    """The first local day of some rows, and the day after the last."""
    first, last = _ends(rows)
    tz = ZoneInfo(zone.local_tz)
    return first.astimezone(tz).date(), last.astimezone(tz).date() + timedelta(days=1)


def _ends(rows: pl.DataFrame) -> tuple[datetime, datetime]:
    """The first and the last interval's start in rows of which there is one at least."""
    times = rows["valid_time"].sort()
    return times[0], times[-1]


def account(
    brought: Sequence[Brought],
    *,
    zone: BiddingZone,
    failed: Mapping[str, str] | None = None,
) -> Account:
    """The account of what some sources brought together."""
    parts = [each.fetched for each in brought]
    received = _intervals([frame for part in parts for frame in (part.observations, part.doubtful)])
    absent = _absent(brought, come=[received])
    load = received.filter(pl.col("variable") == LOAD)
    times = load["valid_time"] if load.height else received["valid_time"]
    # A day that two sources brought parts of is judged whole by the later one, which sees what the first has stored.
    days = pl.concat([each.days for each in brought]).unique("day", keep="last", maintain_order=True)
    missing = [
        Missing(variable, begin, begin + step)
        for variable, begin, step in absent.sort("variable", "valid_time").iter_rows()
    ]
    return Account(
        zone=zone.code,
        source=", ".join(each.source for each in brought),
        requested=received.height + absent.height,
        received=received.height,
        missing=tuple(missing),
        revised=sum(each.revised for each in brought),
        new=sum(each.new for each in brought),
        quarantined=sum(each.doubtful.height for each in brought),
        first=times.min(),  # type: ignore[arg-type]
        last=times.max(),  # type: ignore[arg-type]
        verdicts=dict(days["verdict"].value_counts().sort("count", "verdict", descending=[True, False]).iter_rows()),
        notes=tuple(dict.fromkeys(note for each in parts for note in each.notes)),
        failed=failed or {},
    )


def _intervals(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The intervals of some rows; of those that start together the longest."""
    rows = pl.concat([frame.select(list(DUE)) for frame in frames]).sort("resolution")
    return rows.unique(["variable", "valid_time"], keep="last")


def _absent(brought: Sequence[Brought], *, come: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The intervals that were due and are not among those that have come; one within one that came counts as come."""
    due = pl.concat([each.fetched.due for each in brought]).sort("resolution")
    due = due.unique(["variable", "valid_time"], keep="first")
    there = _intervals(come).select("variable", "valid_time", until=pl.col("valid_time") + pl.col("resolution"))
    held = due.sort("valid_time").join_asof(
        there.sort("valid_time"), on="valid_time", by="variable", strategy="backward", check_sortedness=False
    )
    return held.filter(pl.col("until").is_null() | (pl.col("until") <= pl.col("valid_time"))).select(list(DUE))
