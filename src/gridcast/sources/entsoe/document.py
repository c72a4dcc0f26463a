"""A load document of the ENTSO-E web service: checked in every part, and refused rather than mended.

Format: ``GL_MarketDocument`` of IEC 62325-451-6, curve types A01 (every position stands) and A03 (an absent position
repeats the value before it, inside its Period; a gap is two Periods). ``createdDateTime`` is the time of the answer and
``revisionNumber`` always 1: neither says when a value became public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.contracts import UTC_TIME
from gridcast.sources.entsoe import acknowledgement
from gridcast.sources.entsoe.acknowledgement import Asked, NoData, acknowledged
from gridcast.sources.entsoe.markup import Grammar, Markup, Record, Root, bad, read
from gridcast.sources.entsoe.overlaps import settled
from gridcast.sources.entsoe.remarks import REASON, STATUS, remarks

__all__ = ["Document", "Expected", "NoData", "parse"]

DOCUMENT_TYPE = "A65"
ITEMS = {"A16": "6.1.A", "A01": "6.1.B"}
"""Data items of Regulation (EU) 543/2013 by process type: actual total load, day-ahead forecast."""

RESOLUTIONS = {f"PT{minutes}M": timedelta(minutes=minutes) for minutes in (15, 30, 60)}
MAX_INTERVALS = 43_000
"""Fifteen months of quarter-hours."""
LONG_HOLD = 180
"""Minutes that no load stays the same; a curve that says so may bridge a gap."""
CEILING_MW = 200_000.0
"""No zone's load reaches it (Germany's is 85 GW at most); a value beyond is of another unit."""
CLOCK_SLACK = timedelta(hours=1)
"""How far ``createdDateTime`` may be from the fetch."""

ROWS = pl.Schema({"valid_time": UTC_TIME, "resolution": pl.Duration("us"), "value": pl.Float64()})

_INTERVAL: Grammar = {"start": None, "end": None}
_POINT: Grammar = {"position": None, "quantity": None, "Reason": REASON}
_PERIOD: Grammar = {
    "timeInterval": _INTERVAL,
    "resolution": None,
    "Point": _POINT,
    "docStatus": STATUS,
    "Reason": REASON,
}
_SERIES: Grammar = {
    "mRID": None,
    "businessType": None,
    "objectAggregation": None,
    "inBiddingZone_Domain.mRID": None,
    "outBiddingZone_Domain.mRID": None,
    "quantity_Measure_Unit.name": None,
    "curveType": None,
    "Period": _PERIOD,
    "docStatus": STATUS,
    "Reason": REASON,
}
_HEADER = (
    "mRID",
    "revisionNumber",
    "type",
    "process.processType",
    "sender_MarketParticipant.mRID",
    "sender_MarketParticipant.marketRole.type",
    "receiver_MarketParticipant.mRID",
    "receiver_MarketParticipant.marketRole.type",
    "createdDateTime",
)
ROOTS = {
    "GL_MarketDocument": Root(
        "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:",
        "3:0",
        dict.fromkeys(_HEADER)
        | {"time_Period.timeInterval": _INTERVAL, "TimeSeries": _SERIES, "docStatus": STATUS, "Reason": REASON},
    ),
    "Acknowledgement_MarketDocument": acknowledgement.ROOT,
}

_TIME = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\dZ", re.ASCII)
_CREATED = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_POSITION = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_QUANTITY = re.compile(r"-?\d{1,9}(\.\d{1,15})?", re.ASCII)

Minutes = NDArray[np.int64]


@dataclass(frozen=True)
class Expected:
    """What was asked for: process type, area, the intervals that start from ``start`` to ``end`` (exclusive), UTC.

    ``fetched_at`` (UTC), where given, lets the parser see an answer from a cache and loads of the future.
    """

    process_type: str
    eic: str
    start: datetime
    end: datetime
    fetched_at: datetime | None = None


@dataclass(frozen=True)
class Document:
    """What a load document says, cut to what was asked.

    ``rows``: ``valid_time`` (UTC, start), ``resolution``, ``value`` [MW], sorted, without overlaps. ``doubtful``: rows
    set aside, with a ``reason``. ``notes``: what was odd, though sound.
    """

    rows: pl.DataFrame
    doubtful: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Span:
    """The intervals of one Period.

    Starts in minutes since 1970, length in minutes, MW. ``held`` of them repeat the last point to the Period's end,
    ``absent`` more have no point at all, ``repeated`` points came twice; ``longest`` is how many intervals one point
    stands for at most.
    """

    starts: Minutes
    minutes: int
    values: NDArray[np.float64]
    held: int
    absent: int
    repeated: int
    longest: int

    @property
    def cut(self) -> str | None:
        """Why the whole Period is doubtful, if it is.

        No load stands still for hours, least of all for half of a Period: its points were cut, or it is of another
        resolution than it says.
        """
        if self.held * self.minutes < LONG_HOLD or 2 * self.held < len(self.starts):
            return None
        return f"the last point of its Period stands for {self.held + 1} of {len(self.starts)} intervals (A03)"


def parse(body: bytes, *, expected: Expected) -> Document | NoData:
    """The load document in ``body``, or that the service has no data.

    Raises:
        BadAnswer: it is broken, or not what was asked for; ``fault`` says why, ``place`` where.
        Refused: the service turned the request down.
    """
    markup = read(body, roots=ROOTS)
    if markup.name == "Acknowledgement_MarketDocument":
        asked = Asked(ITEMS[expected.process_type], expected.eic, expected.start, expected.end)
        return acknowledged(markup.record, asked=asked, notes=markup.notes)
    notes = [*markup.notes, *_header(markup.record, expected)]
    _no_other_quantity(markup)
    spans: list[_Span] = []
    total = 0
    for number, series in enumerate(markup.record.all("TimeSeries"), 1):
        curve = _series(series, expected, place=f"TimeSeries {number}")
        notes += remarks(series, place=f"TimeSeries {number}")
        for count, period in enumerate(series.all("Period"), 1):
            place = f"TimeSeries {number}, Period {count}"
            start, minutes, intervals = _period(period, place=place)
            total += intervals
            if total > MAX_INTERVALS:
                raise bad("size", f"more than {MAX_INTERVALS} intervals", place=place)
            spans.append(_points(period, curve, start=start, minutes=minutes, intervals=intervals, place=place))
            notes += remarks(period, place=place)
    notes += _repeats(spans)
    rows, found = settled(_rows(spans))
    return _asked(rows, expected, notes=notes + found)


def _header(document: Record, expected: Expected) -> list[str]:
    _must(document, "type", DOCUMENT_TYPE, fault="document type")
    _must(document, "process.processType", expected.process_type, fault="process type")
    first, last = _interval(document, "time_Period.timeInterval", place="time_Period")
    asked = _minute(expected.start), _minute(expected.end)
    if last <= asked[0] or asked[1] <= first:
        told = f"it is about {_shown(first)} to {_shown(last)}, asked were {_shown(asked[0])} to {_shown(asked[1])}"
        raise bad("period", told, place="time_Period")
    if not document.all("TimeSeries"):
        raise bad("no series", "a load document without a TimeSeries")
    notes = remarks(document)
    if first > asked[0] or last < asked[1]:
        notes.append(f"The answer is about {_shown(first)} to {_shown(last)} only, a part of what was asked.")
    created = document.texts.get("createdDateTime", "")
    made = _instant(created, _CREATED, "%Y-%m-%dT%H:%M:%SZ")
    if made is None:
        raise bad("time", f"createdDateTime is {created!r}", place="createdDateTime")
    if expected.fetched_at is not None and abs(made - expected.fetched_at) > CLOCK_SLACK:
        notes.append(f"The answer was made at {created}, not when it was fetched: it may come from a cache.")
    return notes


def _series(series: Record, expected: Expected, *, place: str) -> str:
    """The curve type of a TimeSeries that is of our area, unit and kind."""
    _must(series, "businessType", "A04", fault="business type", place=place)
    _must(series, "objectAggregation", "A01", fault="aggregation", place=place)
    _must(series, "outBiddingZone_Domain.mRID", expected.eic, fault="area", place=place)
    _must(series, "outBiddingZone_Domain.mRID@codingScheme", "A01", fault="area", place=place)
    if series.texts.get("inBiddingZone_Domain.mRID", expected.eic) != expected.eic:
        _must(series, "inBiddingZone_Domain.mRID", expected.eic, fault="area", place=place)
    _must(series, "quantity_Measure_Unit.name", "MAW", fault="unit", place=place)
    curve = series.texts.get("curveType", "")
    if curve not in ("A01", "A03"):
        raise bad("curve type", f"curveType is {curve!r}, not A01 or A03", place=place)
    if not series.all("Period"):
        raise bad("structure", "a TimeSeries without a Period", place=place)
    return curve


def _period(period: Record, *, place: str) -> tuple[int, int, int]:
    """Start and length of the first interval, in minutes, and how many there are."""
    start, end = _interval(period, "timeInterval", place=place)
    name = period.texts.get("resolution", "")
    if name not in RESOLUTIONS:
        raise bad("resolution", f"resolution is {name!r}, not one of {', '.join(RESOLUTIONS)}", place=place)
    minutes = RESOLUTIONS[name] // timedelta(minutes=1)
    if start % minutes:
        raise bad("grid", f"{_shown(start)} is not on the grid of {name}", place=place)
    intervals, rest = divmod(end - start, minutes)
    if rest:
        raise bad("period length", f"{_shown(start)} to {_shown(end)} is no multiple of {name}", place=place)
    return start, minutes, intervals


def _points(period: Record, curve: str, *, start: int, minutes: int, intervals: int, place: str) -> _Span:
    """The intervals of a Period, by its curve type."""
    positions: list[int] = []
    values: list[float] = []
    repeated = 0
    for count, point in enumerate(period.all("Point"), 1):
        position, value = _point(point, count=count, place=place)
        last = positions[-1] if positions else 0
        if position == last and value == values[-1]:
            repeated += 1
            continue
        if position <= last:
            fault = "duplicate position" if position == last else "position order"
            raise bad(fault, f"position {position} comes after {last}", place=f"{place}, position {position}")
        if position > intervals:
            detail = f"position {position} of {intervals} that fit into the Period"
            raise bad("position range", detail, place=f"{place}, position {position}")
        positions.append(position)
        values.append(value)
    if not positions:
        raise bad("no points", "a Period without a Point", place=place)
    if positions[0] != 1 and curve == "A03":
        raise bad("first position", f"the first position is {positions[0]}, not 1", place=place)
    place_in_period = np.array(positions, np.int64) - 1
    quantity = np.array(values)
    if curve == "A01":
        if positions[-1] < intervals:
            detail = f"the last position is {positions[-1]} of {intervals} that the Period spans: A01 names every one"
            raise bad("missing position", detail, place=place)
        absent = intervals - len(positions)
        return _Span(start + place_in_period * minutes, minutes, quantity, 0, absent, repeated, 1)
    counts = np.diff(place_in_period, append=intervals)
    starts = start + np.arange(intervals, dtype=np.int64) * minutes
    held = intervals - positions[-1]
    return _Span(starts, minutes, np.repeat(quantity, counts), held, 0, repeated, int(counts.max()))


def _point(point: Record, *, count: int, place: str) -> tuple[int, float]:
    position, quantity = point.texts.get("position", ""), point.texts.get("quantity", "")
    if not _POSITION.fullmatch(position):
        raise bad("position", f"position is {position!r}, not a number from 1", place=f"{place}, Point {count}")
    if not _QUANTITY.fullmatch(quantity):
        detail = f"quantity is {quantity!r}, not a decimal number"
        raise bad("quantity", detail, place=f"{place}, position {position}")
    if any(name.startswith("quantity@") for name in point.texts):
        raise bad("unknown quantity", "a quantity with an attribute", place=f"{place}, position {position}")
    return int(position), float(quantity)


def _no_other_quantity(markup: Markup) -> None:
    """Refuses what may change the meaning of a quantity: a factor, a unit or another one beside it."""
    for each in markup.unknown:
        if each.inside == "Point" and each.name.lower().startswith("quantity"):
            raise bad("unknown quantity", f"{each.name} is {each.text!r}, which we do not know", place=each.place)


def _rows(spans: list[_Span]) -> pl.DataFrame:
    starts = np.concatenate([span.starts for span in spans])
    lengths = [len(span.starts) for span in spans]
    minutes = np.repeat([span.minutes for span in spans], lengths)
    reasons = pl.Series([span.cut for span in spans], dtype=pl.String)
    return pl.DataFrame(
        {
            "valid_time": (starts * 60_000_000).astype("datetime64[us]"),
            "resolution": (minutes * 60_000_000).astype("timedelta64[us]"),
            "value": np.concatenate([span.values for span in spans]),
            "reason": reasons.gather(np.repeat(np.arange(len(spans)), lengths)),
        }
    ).with_columns(pl.col("valid_time").dt.replace_time_zone("UTC").cast(UTC_TIME))


def _repeats(spans: list[_Span]) -> list[str]:
    notes = []
    again = sum(span.repeated for span in spans)
    if again:
        notes.append(f"{again} positions stand twice with the same value.")
    absent = sum(span.absent for span in spans)
    if absent:
        notes.append(f"{absent} positions are absent inside Periods of curve type A01, which names every one.")
    held = [span for span in spans if span.held]
    if held:
        last = held[-1]
        notes.append(
            f"{sum(span.held for span in held)} intervals at the end of {len(held)} Periods hold the last value given "
            f"before them (A03), the last of them from {_shown(int(last.starts[-last.held]))}: "
            "that is what the format says, and what a cut Period looks like."
        )
    long = sum(span.longest * span.minutes >= LONG_HOLD for span in spans)
    if long:
        notes.append(f"In {long} Periods a value is held for {LONG_HOLD // 60} hours or more (A03): maybe over a gap.")
    return notes


def _asked(rows: pl.DataFrame, expected: Expected, *, notes: list[str]) -> Document:
    """Cuts to what was asked, and sets aside what no file may hold."""
    inside = rows.filter(pl.col("valid_time").is_between(expected.start, expected.end, closed="left"))
    if inside.height < rows.height:
        notes.append(f"{rows.height - inside.height} intervals outside the period asked for were left out.")
    end = pl.col("valid_time") + pl.col("resolution")
    future = pl.lit(False)
    if expected.process_type == "A16" and expected.fetched_at is not None:
        future = end > expected.fetched_at
    value = pl.col("value")
    judged = inside.with_columns(
        reason=pl.when(value < 0)
        .then(pl.lit("negative"))
        .when(value > CEILING_MW)
        .then(pl.lit(f"above {CEILING_MW:.0f} MW, which no zone reaches"))
        .when(future)
        .then(pl.lit("a load of an interval that was not over when it was fetched"))
        .otherwise("reason")
    )
    sound = pl.col("reason").is_null()
    return Document(judged.filter(sound).drop("reason"), judged.filter(~sound), tuple(notes))


def _must(record: Record, name: str, value: str, *, fault: str, place: str = "") -> None:
    found = record.texts.get(name)
    if found != value:
        told = "is missing" if found is None else f"is {found!r}"
        raise bad(fault, f"{name} {told}, not {value}", place=place)


def _interval(record: Record, name: str, *, place: str) -> tuple[int, int]:
    """Start and end in minutes since 1970."""
    found = record.all(name)
    if len(found) != 1:
        raise bad("structure", f"{len(found)} elements {name}, not 1", place=place)
    start, end = (_time(found[0].texts.get(key, ""), f"{place}, {key}") for key in ("start", "end"))
    if end <= start:
        raise bad("period length", f"it ends at {_shown(end)}, and begins at {_shown(start)}", place=place)
    return start, end


def _time(text: str, place: str) -> int:
    when = _instant(text, _TIME, "%Y-%m-%dT%H:%MZ")
    if when is None:
        raise bad("time", f"{text!r} is not a time of the form 2026-01-31T23:00Z", place=place)
    return _minute(when)


def _instant(text: str, pattern: re.Pattern[str], form: str) -> datetime | None:
    if not pattern.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _minute(when: datetime) -> int:
    return int(when.timestamp() // 60)


def _shown(minute: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%MZ")
