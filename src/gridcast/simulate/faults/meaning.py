"""ENTSO-E documents that are well formed and wrong in what they say: how much, of when, how often."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gridcast.simulate.faults.documents import document
from gridcast.simulate.faults.editing import (
    Period,
    longest,
    periods,
    put,
    retagged,
    scaled,
    with_quantities,
    with_quantity,
)

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_CLOCKS = ZoneInfo("Europe/Copenhagen")


def _made(text: str) -> datetime:
    """When the document was made."""
    stamp = re.search(r"<createdDateTime>([^<]*)Z<", text)
    return datetime.fromisoformat(stamp[1]).replace(tzinfo=UTC) if stamp else datetime.max.replace(tzinfo=UTC)


def _series(text: str) -> str:
    """The first series of a document."""
    return text[text.index("    <TimeSeries>") : text.index("</TimeSeries>") + len("</TimeSeries>\n")]


def _doubled(text: str, second: str) -> str:
    series = _series(text)
    return text.replace(series, series + retagged(second, "mRID", value="99"), 1)


def _changed(text: str, first: int, values: list[str]) -> str:
    """The document with other values from a place of its longest period on."""
    period = longest(text)
    full = period.full()
    full[first : first + len(values)] = values[: len(full) - first]
    return put(text, period, period.holding(full))


# --- how much --------------------------------------------------------------------------------------------------------


@document
def times_thousand(text: str) -> str:
    """Every value is in kW, under the unit of MW."""
    return with_quantities(text, lambda quantity: scaled(quantity, 1000))


@document
def some_times_thousand(text: str) -> str:
    """The second half of the values is in kW, under the unit of MW."""
    period = longest(text)
    full = period.full()
    half = len(full) // 2
    return _changed(text, half, [scaled(quantity, 1000) for quantity in full[half:]])


@document
def all_negative(text: str) -> str:
    """Every value has the other sign."""
    return with_quantities(text, lambda quantity: f"-{quantity}")


@document
def zeros(text: str) -> str:
    """Six intervals are 0, as if missing meant none."""
    return _changed(text, longest(text).length // 2, ["0"] * 6)


@document
def spike(text: str) -> str:
    """One value is five times too large."""
    return with_quantity(text, lambda quantity: scaled(quantity, 5))


@document
def dip(text: str) -> str:
    """One value is a fifth of what it should be."""
    return with_quantity(text, lambda quantity: scaled(quantity, 0.2))


@document
def flat_line(text: str) -> str:
    """Twelve hours have one value."""
    period = longest(text)
    count = min(period.length, int(12 * _HOUR / period.step))
    return _changed(text, 0, [period.points[0][1]] * count)


@document
def all_one_value(text: str) -> str:
    """Every value is the same."""
    first = longest(text).points[0][1]
    return with_quantities(text, lambda _: first)


@document
def digit_lost(text: str) -> str:
    """A value has lost its last digit."""
    return with_quantity(text, lambda quantity: quantity[:-1] or "0")


# --- of when ---------------------------------------------------------------------------------------------------------


@document
def resolution_relabelled(text: str) -> str:
    """The resolution is relabelled, and the periods' ends are not."""
    period = longest(text)
    return put(text, period, replace(period, minutes=15 if period.minutes != 15 else 60))


@document
def tail_cut(text: str) -> str:
    """The last third of the points is gone; the curve's type makes a flat line of it (A03)."""
    period = longest(text)
    kept = period.points[: len(period.points) * 2 // 3]
    return put(text, period, replace(period, points=kept)).replace("<curveType>A01<", "<curveType>A03<")


@document
def first_point_missing(text: str) -> str:
    """A period has no first point, so that nothing can be repeated (A03)."""
    period = longest(text)
    return put(text, period, replace(period, points=period.points[1:])).replace("<curveType>A01<", "<curveType>A03<")


@document
def hole_in_points(text: str) -> str:
    """A period whose curve has every point (A01) lacks one."""
    period = longest(text)
    points = list(enumerate(period.full(), start=1))
    del points[len(points) // 2]
    return put(text, period, replace(period, points=tuple(points))).replace("<curveType>A03<", "<curveType>A01<")


@document
def end_before_start(text: str) -> str:
    """A period ends before it begins."""
    period = longest(text)
    return put(text, period, replace(period, start=period.end, end=period.start))


@document
def no_length(text: str) -> str:
    """A period ends when it begins."""
    period = longest(text)
    return put(text, period, replace(period, end=period.start))


@document
def period_longer(text: str) -> str:
    """A period goes on six hours after its points (A01)."""
    period = longest(text)
    longer = replace(period.holding(period.full()), end=period.end + 6 * _HOUR)
    return put(text, period, longer).replace("<curveType>A03<", "<curveType>A01<")


@document
def period_shorter(text: str) -> str:
    """A period ends before its last points."""
    period = longest(text)
    return put(text, period, replace(period, end=period.end - min(6, period.length - 1) * period.step))


@document
def periods_overlap(text: str) -> str:
    """A second period says something else of the first one's second half."""
    period = longest(text)
    half = period.length // 2
    again = [scaled(quantity, 1.1) for quantity in period.full()[half:]]
    return put(text, period, period, period.holding(again, start=period.start + half * period.step))


@document
def two_resolutions_overlap(text: str) -> str:
    """The same time stands in the answer in two resolutions."""
    period = longest(text)
    minutes = 30 if period.minutes == 60 else 60
    other = replace(period, minutes=minutes)
    return put(text, period, period, other.holding([period.points[0][1]] * max(1, other.length)))


@document
def shifted_by_an_hour(text: str) -> str:
    """Every value stands an hour too late."""
    for period in reversed(periods(text)):
        full = period.full()
        places = min(len(full), max(1, int(_HOUR / period.step)))
        text = put(text, period, period.holding(full[-places:] + full[:-places]))
    return text


@document
def local_time_as_utc(text: str) -> str:
    """The periods' times are Danish local time and say that they are UTC."""
    for period in reversed(periods(text)):
        offset = period.start.astimezone(_CLOCKS).utcoffset() or _HOUR
        text = put(text, period, replace(period, start=period.start + offset, end=period.end + offset))
    return text


@document
def other_period(text: str) -> str:
    """The answer is about the week before."""
    for period in reversed(periods(text)):
        text = put(text, period, replace(period, start=period.start - 7 * _DAY, end=period.end - 7 * _DAY))
    return text


@document
def other_century(text: str) -> str:
    """The answer is about 1970."""
    for period in reversed(periods(text)):
        length = period.end - period.start
        begin = datetime(1970, 1, 1, tzinfo=UTC)
        text = put(text, period, replace(period, start=begin, end=begin + length))
    return text


@document
def partial_day(text: str) -> str:
    """The last hours of the period are absent, and the period says so."""
    period = longest(text)
    full = period.full()
    return put(text, period, period.holding(full[: max(1, len(full) - int(6 * _HOUR / period.step))]))


@document
def gap(text: str) -> str:
    """Three intervals in the middle are absent, between two periods."""
    period = longest(text)
    full, half = period.full(), period.length // 2
    tail = period.holding(full[half + 3 :], start=period.start + (half + 3) * period.step)
    return put(text, period, period.holding(full[:half]), tail) if half > 0 and half + 3 < len(full) else text


@document
def clock_change_of_24_hours(text: str) -> str:
    """A day on which the clocks change has 24 hours."""
    for period in reversed(periods(text)):
        change = _clock_change(period)
        if change is None:
            continue
        full, places = period.full(), max(1, int(_HOUR / period.step))
        at = int((change - period.start) / period.step)
        autumn = change.month > 6
        full[at:at] = [] if autumn else full[at - places : at]
        if autumn:
            del full[at : at + places]
        return put(text, period, period.holding(full))
    return text


def _clock_change(period: Period) -> datetime | None:
    """The first instant in a period at which the clocks change."""
    when = period.start + _HOUR
    while when < period.end - _HOUR:
        if when.astimezone(_CLOCKS).utcoffset() != (when - _HOUR).astimezone(_CLOCKS).utcoffset():
            return when
        when += _HOUR
    return None


# --- how often -------------------------------------------------------------------------------------------------------


@document
def series_twice(text: str) -> str:
    """A series stands twice, the same both times."""
    return _doubled(text, _series(text))


@document
def series_twice_other_values(text: str) -> str:
    """A series stands twice, with other values the second time."""
    return _doubled(text, with_quantities(_series(text), lambda quantity: scaled(quantity, 1.1)))


@document
def other_zone(text: str) -> str:
    """The series is another zone's."""
    other = "10YNL----------L" if "10YFR-RTE------C" in text else "10YFR-RTE------C"
    return re.sub(r"(outBiddingZone_Domain\.mRID[^>]*>)[^<]*<", rf"\g<1>{other}<", text)


@document
def another_zone_too(text: str) -> str:
    """A second series is another zone's."""
    other = re.sub(r"(Domain\.mRID[^>]*>)[^<]*<", r"\g<1>10YFR-RTE------C<", _series(text))
    return _doubled(text, other)


@document
def old_answer(text: str) -> str:
    """The answer is a day old: it lacks the last day."""
    period = periods(text)[-1]
    full = period.full()
    kept = len(full) - min(len(full) - 1, int(_DAY / period.step))
    stamp = f"{_made(text) - _DAY:%Y-%m-%dT%H:%M:%S}Z"
    return retagged(put(text, period, period.holding(full[:kept])), "createdDateTime", value=stamp)


@document
def future_values(text: str) -> str:
    """Actual values reach six hours beyond the time at which the answer was made."""
    period = periods(text)[-1]
    until = _made(text) + 6 * _HOUR
    if "processType>A16<" not in text or until - period.end > 7 * _DAY:
        return text
    full = period.full()
    return put(text, period, period.holding(full + full[-1:] * (int((until - period.end) / period.step) + 1)))
