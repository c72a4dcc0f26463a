"""Random histories of fetches: late, revised, out of order, of two sources and changing resolutions.

After each of them the store holds what plain loops say it should, a snapshot answers what plain loops find in it and
never knows more than its instant, and the replay of every forecast made on the way finds the same to the bit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.contracts import LOAD, OBSERVATIONS, TSO_FORECAST, Snapshot
from gridcast.market.days import instant
from gridcast.market.zones import BiddingZone
from gridcast.store.database import Store
from gridcast.store.vintages import Look

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
HOURS = 3
ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen", sources=("best", "second"))
MINUTE, HOUR, TICK = timedelta(minutes=1), timedelta(hours=1), timedelta(microseconds=1)
WEATHER = "temperature_2m"
STEP = np.timedelta64(60 * 60_000_000, "us")
EXAMPLES = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60

Row = dict[str, Any]


@dataclass(frozen=True)
class Fetch:
    rows: list[Row]
    looks: list[Look]


@dataclass(frozen=True)
class Made:
    """A forecast is made at that instant."""

    at: datetime


@st.composite
def fetches(draw: st.DrawFn) -> Fetch:
    """One answer of a source at one instant: some of the intervals it was asked for."""
    variable = draw(st.sampled_from((LOAD, LOAD, LOAD, TSO_FORECAST, WEATHER)))
    source = draw(st.sampled_from(("best:files", "second")))
    at = START + 30 * MINUTE * draw(st.integers(-2, 20))
    step = draw(st.sampled_from((60, 60, 15))) * MINUTE
    begin, end = sorted(draw(st.lists(st.integers(0, HOURS), min_size=2, max_size=2, unique=True)))
    start, stop = START + begin * HOUR, START + end * HOUR
    rows: list[Row] = []
    for number in range((stop - start) // step):
        valid_time = start + number * step
        runs = {LOAD: [valid_time + step + 2 * HOUR], TSO_FORECAST: [START + HOUR]}.get(
            variable, [START + n * HOUR for n in draw(st.sets(st.integers(0, 3), max_size=2))]
        )
        for published_at in runs:
            value = draw(st.sampled_from((None, 1.0, 2.0, 3.0)))
            if value is not None:
                rows.append(
                    {
                        "zone": "X",
                        "variable": variable,
                        "valid_time": valid_time,
                        "resolution": step,
                        "value": value,
                        "published_at": published_at,
                        "published_at_basis": "assumed",
                        "fetched_at": at,
                        "source": source,
                    }
                )
    looks = [Look("X", variable, source, start, stop, at)] if draw(st.booleans()) else []
    return Fetch(rows, looks)


@st.composite
def late(draw: st.DrawFn) -> list[Fetch]:
    """A look that finds nothing, and a fetch of the same intervals later on."""
    came = draw(fetches())
    if not came.rows:
        return [came]
    row = came.rows[0]
    at = row["fetched_at"] - 30 * MINUTE * draw(st.integers(0, 12))
    look = Look("X", row["variable"], row["source"], row["valid_time"], START + HOURS * HOUR, at)
    return [Fetch([], [look]), came]


MADE = st.builds(Made, st.integers(-2, 22).map(lambda half: START + 30 * MINUTE * half))
EVENTS = st.one_of(fetches().map(lambda each: [each]), late(), late(), MADE.map(lambda each: [each]))
HISTORIES = st.lists(EVENTS, max_size=7).map(lambda parts: [event for part in parts for event in part])


class SlowStore:
    """The rule of `gridcast.store.vintages.news`, row by row."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.looks: list[Look] = []

    def put(self, fetch: Fetch) -> None:
        chains: dict[datetime, list[Row]] = {}
        for row in sorted(fetch.rows, key=lambda row: row["published_at"]):
            chains.setdefault(row["valid_time"], []).append(row)
        for chain in chains.values():
            one = chain[0]
            same = [
                old for old in self.rows if all(old[name] == one[name] for name in ("variable", "valid_time", "source"))
            ]
            self.rows += self.of_runs(chain, same) if one["variable"] == WEATHER else self.of_one(one, same)
        self.looks += fetch.looks

    def of_one(self, row: Row, same: list[Row]) -> list[Row]:
        """A variable that is published once and then revised."""
        seen = row["fetched_at"]
        if same:
            newest = max(same, key=lambda old: old["published_at"])
            if content(row) == content(newest) or seen <= newest["fetched_at"]:
                return []
            return [dated(row, max(seen, newest["published_at"] + TICK))]
        absent = any(
            (look.variable, look.source) == (row["variable"], row["source"])
            and look.start <= row["valid_time"] < look.end
            and row["published_at"] <= look.at < seen
            for look in self.looks
        )
        return [dated(row, seen) if absent or seen < row["published_at"] else row | {"run": row["published_at"]}]

    def of_runs(self, chain: list[Row], same: list[Row]) -> list[Row]:
        """Weather forecasts: each assumed publication is a run."""
        again = [row for row in chain if any(old["run"] == row["published_at"] for old in same)]
        added: list[Row] = []
        if again:
            row = again[-1]
            newest = max(same, key=lambda old: old["published_at"])
            own = max((old for old in same if old["run"] == row["published_at"]), key=lambda old: old["published_at"])
            if content(row) not in (content(newest), content(own)) and row["fetched_at"] > newest["fetched_at"]:
                added.append(dated(row, max(row["fetched_at"], newest["published_at"] + TICK)))
        for turn, row in enumerate(row for row in chain if row not in again):
            earlier = [old["published_at"] for old in same if old["published_at"] <= row["published_at"]]
            after = max(earlier) + TICK if earlier else row["fetched_at"]
            if row["fetched_at"] < row["published_at"]:
                fresh = dated(row, max(row["fetched_at"], after) + turn * TICK)
            elif row["published_at"] in earlier:
                fresh = row | {"run": row["published_at"], "published_at": after}
            else:
                fresh = row | {"run": row["published_at"]}
            added = [old for old in added if old["published_at"] != fresh["published_at"]] + [fresh]
        return added


def content(row: Row) -> tuple[object, object]:
    return row["value"], row["resolution"]


def dated(row: Row, published_at: datetime) -> Row:
    basis = "observed" if published_at <= row["fetched_at"] + timedelta(milliseconds=1) else "assumed"
    return row | {"run": row["published_at"], "published_at": published_at, "published_at_basis": basis}


def slow_answer(rows: list[Row], *, hour: int, issued: datetime) -> float:
    """The load of an hour as known at an instant: of the best source that has any, its latest."""
    begin = START + hour * HOUR
    for source in ("best:files", "second"):
        own = [
            row for row in rows if (row["variable"], row["source"]) == (LOAD, source) and row["published_at"] <= issued
        ]
        found = [
            (row["published_at"], 1, row["value"])
            for row in own
            if (row["valid_time"], row["resolution"]) == (begin, HOUR)
        ]
        parts = [
            max(
                (
                    (row["published_at"], row["value"])
                    for row in own
                    if (row["valid_time"], row["resolution"]) == (begin + n * 15 * MINUTE, 15 * MINUTE)
                ),
                default=None,
            )
            for n in range(4)
        ]
        if all(parts):
            there = [part for part in parts if part]
            found.append((max(part[0] for part in there), 0, sum(part[1] for part in there) / 4))
        if found:
            return max(found)[2]
    return float("nan")


def answers(made: Snapshot, issued: datetime) -> list[float]:
    times = np.array([instant(START + hour * HOUR) for hour in range(HOURS)])
    return made.known(LOAD, times, issue_time=instant(issued)).tolist()


def same_snapshot(one: Snapshot, other: Snapshot) -> bool:
    return one.series.keys() == other.series.keys() and all(
        series.start == other.series[name].start
        and series.resolution == other.series[name].resolution
        and series.values.tobytes() == other.series[name].values.tobytes()
        and series.published_at.tobytes() == other.series[name].published_at.tobytes()
        for name, series in one.series.items()
    )


@settings(max_examples=EXAMPLES)
@given(history=HISTORIES)
def test_any_history_is_kept_as_it_was_seen_and_every_forecast_can_be_replayed(history: list[Fetch | Made]) -> None:
    slow = SlowStore()
    replays: dict[datetime, Snapshot] = {}
    with Store("sqlite://") as store:
        for event in history:
            if isinstance(event, Made):
                store.seal(event.at)
                made = store.as_of(ZONE, event.at, made_at=event.at, resolution=STEP)
                assert same_snapshot(replays.setdefault(event.at, made), made)
                continue
            before = len(slow.rows)
            slow.put(event)
            frame = pl.DataFrame(event.rows, schema=OBSERVATIONS)
            assert store.put(frame, looks=event.looks).rows == len(slow.rows) - before
            assert store.put(frame, looks=event.looks).rows == 0
        expected = pl.DataFrame(slow.rows, schema=OBSERVATIONS)
        assert store.observations(["X"]).equals(
            expected.sort("zone", "variable", "valid_time", "published_at", "source")
        )
        issues = [START + 30 * MINUTE * half for half in range(-2, 23, 3 if EXAMPLES > 60 else 6)]
        every = store.as_of(ZONE, np.array([instant(at) for at in issues]), resolution=STEP)
        for issued in issues:
            alone = store.as_of(ZONE, issued, resolution=STEP)
            for series in alone.series.values():
                assert series.published_at[~np.isnat(series.published_at)].max() <= instant(issued)
            wanted = [slow_answer(slow.rows, hour=hour, issued=issued) for hour in range(HOURS)]
            np.testing.assert_array_equal(answers(alone, issued), wanted)
            np.testing.assert_array_equal(answers(every, issued), wanted)
        for made_at, made in replays.items():
            assert same_snapshot(store.as_of(ZONE, made_at, made_at=made_at, resolution=STEP), made)
        assert store.check() == []


def test_the_slow_twin_can_tell_right_from_wrong() -> None:
    row: Row = {"variable": LOAD, "source": "second", "valid_time": START, "resolution": HOUR, "value": 5.0}
    row |= {"published_at": START + 3 * HOUR, "fetched_at": START + 9 * HOUR}
    look = Look("X", LOAD, "second", START, START + HOUR, START + 4 * HOUR)
    for looks, expected in (([], 3), ([look], 9)):
        slow = SlowStore()
        slow.looks += looks
        slow.put(Fetch([row], []))
        assert slow.rows[0]["published_at"] == START + expected * HOUR
        assert slow_answer(slow.rows, hour=0, issued=START + expected * HOUR) == 5.0
        assert np.isnan(slow_answer(slow.rows, hour=0, issued=START + expected * HOUR - TICK))
