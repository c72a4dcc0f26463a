"""Faults planted into sound synthetic data: each kind is found, at its place, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, Floats
from gridcast.market.days import HOUR, local_day
from gridcast.market.zones import zone
from gridcast.quality import Judgement, Verdict, judge
from gridcast.sources import demo
from strategies import rows

FIRST, LAST = date(2017, 9, 1), date(2017, 12, 20)
FETCHED = datetime(2018, 1, 1, tzinfo=UTC)
DAYS = (LAST - FIRST).days

Plant = Callable[[Floats, int, int, np.random.Generator], tuple[int, int]]
"""Changes the values in place for the fault that begins on the day at ``at``; says which intervals are faulty."""


@cache
def sound(code: str, minutes: int) -> pl.DataFrame:
    """Sound load; a finer one than hourly is the demo's, drawn through its hours, with a noise of its own."""
    place = zone(code)
    hourly = demo.observations(place, start=FIRST, end=LAST, fetched_at=FETCHED).filter(pl.col("variable") == LOAD)
    if minutes == 60:
        return hourly
    step = np.timedelta64(minutes * 60_000_000, "us")
    middle = hourly["valid_time"].dt.replace_time_zone(None).to_numpy()
    times = np.arange(middle[0], middle[-1] + HOUR, step)
    at = (times - middle[0]) / HOUR + minutes / 120 - 0.5
    noise = np.random.default_rng(1).normal(0, 0.003, len(times))
    value = np.interp(at, np.arange(len(middle)), hourly["value"].to_numpy()) * np.exp(noise)
    return rows(code, LOAD, times, value=value, published_at=times + 3 * HOUR, resolution=step)


def scaled(factor: float) -> Plant:
    def plant(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
        value[at : at + day] *= factor
        return at, at + day

    return plant


def flat(hours: int) -> Plant:
    def plant(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
        first = at + (0 if hours == 24 else int(random.integers(0, day - day * hours // 24)))
        last = first + day * hours // 24
        value[first:last] = value[first]
        return first, last

    return plant


def shift(hours: int, days: int) -> Plant:
    def plant(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
        move = hours * day // 24
        value[at : at + days * day] = value[at - move : at - move + days * day].copy()
        return at, at + days * day

    return plant


def held(constant: float) -> Plant:
    def plant(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
        first = at + int(random.integers(0, day - 3))
        value[first : first + 3] = constant
        return first, first + 3

    return plant


def spike(factor: float, hours: int) -> Plant:
    def plant(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
        first = at + int(random.integers(0, day))
        last = first + hours * day // 24
        value[first:last] *= factor
        return first, last

    return plant


def swapped(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
    other = sound("DK_2", 1440 // day)["value"].to_numpy()
    value[at : at + day] = other[at : at + day]
    return at, at + day


def duplicated(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
    value[at : at + day] = value[at - day : at].copy()
    return at, at + day


def gap(value: Floats, at: int, day: int, random: np.random.Generator) -> tuple[int, int]:
    first = at + int(random.integers(0, day - 5))
    value[first : first + 5] = np.nan
    return first, first + 5


PLANTED: dict[str, tuple[Plant, set[Verdict], float]] = {
    "x1000": (scaled(1000), {Verdict.UNIT_CHANGE}, 1.0),
    "/1000": (scaled(1e-3), {Verdict.UNIT_CHANGE}, 1.0),
    "x4": (scaled(4), {Verdict.UNIT_CHANGE}, 1.0),
    "x0.25": (scaled(0.25), {Verdict.UNIT_CHANGE}, 1.0),
    "flat 8 h": (flat(8), {Verdict.FLAT}, 1.0),
    "flat day": (flat(24), {Verdict.FLAT}, 1.0),
    "a day an hour late": (shift(1, 1), {Verdict.SHIFTED_CLOCK}, 0.4),
    "a day an hour early": (shift(-1, 1), {Verdict.SHIFTED_CLOCK}, 0.4),
    "three days an hour late": (shift(1, 3), {Verdict.SHIFTED_CLOCK}, 0.7),
    "three days an hour early": (shift(-1, 3), {Verdict.SHIFTED_CLOCK}, 0.7),
    "a week an hour late": (shift(1, 7), {Verdict.SHIFTED_CLOCK}, 0.95),
    "a week an hour early": (shift(-1, 7), {Verdict.SHIFTED_CLOCK}, 0.95),
    "a day two hours late": (shift(2, 1), {Verdict.SHIFTED_CLOCK}, 0.5),
    "zeros": (held(0.0), {Verdict.IMPLAUSIBLE}, 1.0),
    "negative": (held(-5.0), {Verdict.IMPLAUSIBLE}, 1.0),
    "an hour's spike up": (spike(1.25, 1), {Verdict.SPIKE}, 0.85),
    "an hour's spike down": (spike(0.75, 1), {Verdict.SPIKE}, 0.95),
    "a two-hour spike up": (spike(1.25, 2), {Verdict.SPIKE}, 0.5),
    "a two-hour spike down": (spike(0.75, 2), {Verdict.SPIKE}, 0.8),
    "another zone's load": (swapped, {Verdict.IMPLAUSIBLE}, 0.95),
    "the day before again": (duplicated, {Verdict.IMPLAUSIBLE}, 1.0),
    "a gap": (gap, {Verdict.PARTIAL}, 1.0),
}


def judged(name: str, *, seed: int, minutes: int, live: bool) -> tuple[Judgement, date, date]:
    """A fault on a day of its own; live: as on the day after it ended, with the past only."""
    frame = sound("DK_1", minutes)
    random = np.random.default_rng([seed, *name.encode()])
    day = 1440 // minutes
    place = zone("DK_1")
    local = local_day(frame["valid_time"].dt.replace_time_zone(None).to_numpy(), place.local_tz)
    number = int(random.integers(40, DAYS - 10))
    at = int(np.searchsorted(local, np.datetime64(FIRST) + number))
    value = frame["value"].to_numpy().copy()
    first, last = PLANTED[name][0](value, at, day, random)
    faulty = frame.with_columns(value=pl.Series(value)).filter(~pl.col("value").is_nan())
    begin, end = local[first].astype(object), local[last - 1].astype(object)
    if not live:
        return judge(faulty, zone=place, start=FIRST, end=LAST), begin, end
    until = frame["valid_time"][int(np.searchsorted(local, np.datetime64(end) + 1))]
    opening = frame["valid_time"][int(np.searchsorted(local, np.datetime64(begin)))]
    known = faulty.filter(pl.col("valid_time") < until)
    new, old = known.filter(pl.col("valid_time") >= opening), known.filter(pl.col("valid_time") < opening)
    return judge(new, zone=place, start=begin, end=end + timedelta(days=1), history=old, now=until), begin, end


@pytest.mark.parametrize(
    ("minutes", "live", "trials"),
    [
        (60, False, 4),
        (60, True, 3),
        (15, False, 1),
        *(pytest.param(*case, marks=pytest.mark.long) for case in [(60, False, 60), (60, True, 60), (15, False, 30)]),
    ],
)
def test_planted_faults_are_found_by_name_and_nothing_else_is(minutes, live, trials, record_property):
    table = []
    for name, (_, wanted, least) in PLANTED.items():
        hits = strays = 0
        for seed in range(trials):
            judgement, begin, end = judged(name, seed=seed, minutes=minutes, live=live)
            inside = pl.col("day").is_between(begin, end)
            found = judgement.days.filter(inside)["verdicts"].explode().to_list()
            hits += bool(wanted & set(found))
            beyond = judgement.days.filter(~pl.col("day").is_between(begin - timedelta(1), end + timedelta(1)))
            strays += beyond.filter(pl.col("verdict") != "complete").height
        table.append((name, hits / trials, least, strays))
        print(f"{minutes} min {'live' if live else 'batch'} {name:24} {hits}/{trials} strays {strays}")
    record_property("planted each", trials)
    for name, share, _, strays in table:
        record_property(name, round(share * trials))
        record_property("sound days doubted", strays)
    few = 1 / trials if trials < 10 else 0.0  # one miss in so small a sample says nothing
    assert [(name, share) for name, share, least, _ in table if share < least - few * (least < 1)] == []
    # a week of another clock wears on the days around it
    assert sum(strays for *_, strays in table) <= trials * len(PLANTED) / 500


@pytest.mark.parametrize("name", ["three days an hour late", "three days an hour early"])
def test_days_that_were_moved_together_are_set_aside_together(name):
    found = []
    for seed in range(10):
        judgement, _, _ = judged(name, seed=seed, minutes=60, live=True)
        found.append(judgement.days["verdicts"].list.contains(Verdict.SHIFTED_CLOCK.value).sum())
    assert sum(days > 0 for days in found) >= 6
    assert sum(days == 3 for days in found) >= 0.8 * sum(days > 0 for days in found)
