"""Random histories of fetches: late, revised, doubted, out of order, of two sources and changing resolutions.

After each of them the store holds what plain loops say it should, a snapshot answers what plain loops find in it and
never knows more than its instant, and the replay of every forecast made on the way finds the same to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.contracts import DOUBTFUL, LOAD, OBSERVATIONS, TSO_FORECAST, Snapshot
from gridcast.errors import StoreError
from gridcast.market.days import instant
from gridcast.market.zones import BiddingZone
from gridcast.store.database import Store
from gridcast.store.vintages import Look
from slow_store import HOUR, HOURS, MINUTE, START, TICK, WEATHER, Fetch, Row, SlowStore, slow_answer

ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen", sources=("best", "second"))
STEP = np.timedelta64(60 * 60_000_000, "us")
EXAMPLES = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60


@dataclass(frozen=True)
class Made:
    """A forecast is made at that instant."""

    at: datetime


@dataclass(frozen=True)
class Doubt:
    """Those rows are set aside."""

    rows: list[Row]


@dataclass(frozen=True)
class Release:
    """Everything in quarantine is released at that instant."""

    at: datetime


Event = Fetch | Made | Doubt | Release


@st.composite
def fetches(draw: st.DrawFn) -> Fetch:
    """One answer of a source at one instant, asked for shortly before: some of the intervals it was asked for."""
    variable = draw(st.sampled_from((LOAD, LOAD, LOAD, TSO_FORECAST, WEATHER)))
    source = draw(st.sampled_from(("best:files", "second")))
    at = START + 30 * MINUTE * draw(st.integers(-2, 20))
    told = (variable, source) == (LOAD, "best:files") and draw(st.booleans())
    step = draw(st.sampled_from((60, 60, 15))) * MINUTE
    begin, end = sorted(draw(st.lists(st.integers(0, HOURS), min_size=2, max_size=2, unique=True)))
    start, stop = START + begin * HOUR, START + end * HOUR
    rows: list[Row] = []
    for number in range((stop - start) // step):
        valid_time = start + number * step
        runs = {LOAD: [valid_time + step + 2 * HOUR], TSO_FORECAST: [START + HOUR]}.get(
            variable, [START + n * HOUR for n in draw(st.sets(st.integers(0, 3), max_size=2))]
        )
        if told:
            runs = [valid_time + step + 30 * MINUTE * draw(st.integers(1, 5))]
        for published_at in runs:
            value = draw(st.sampled_from((None, 1.0, 2.0, 3.0)))
            if value is not None and not (told and published_at > at):
                rows.append(
                    {
                        "zone": "X",
                        "variable": variable,
                        "valid_time": valid_time,
                        "resolution": step,
                        "value": value,
                        "published_at": published_at,
                        "published_at_basis": "reported" if told else "assumed",
                        "fetched_at": at,
                        "source": source,
                    }
                )
    asked = at - MINUTE * draw(st.sampled_from((0, 0, 20)))
    return Fetch(rows, [Look("X", variable, source, start, stop, asked)] if draw(st.booleans()) else [])


@st.composite
def late(draw: st.DrawFn) -> list[Fetch]:
    """A look that finds nothing or fails, and a fetch of the same intervals later on."""
    came = draw(fetches())
    if not came.rows:
        return [came]
    row = came.rows[0]
    at = row["fetched_at"] - 30 * MINUTE * draw(st.integers(0, 12))
    end, answered = START + HOURS * HOUR, draw(st.booleans())
    look = Look("X", row["variable"], row["source"], row["valid_time"], end, at, answered=answered)
    return [Fetch([], [look]), came]


@st.composite
def doubted(draw: st.DrawFn) -> list[Event]:
    """A fetch whose values are set aside at once or later, before it is stored or after."""
    came = draw(fetches())
    later = 30 * MINUTE * draw(st.integers(0, 8))
    rows = [row | {"fetched_at": row["fetched_at"] + later} for row in came.rows if draw(st.booleans())]
    story: list[Event] = [came, Doubt(rows)] if draw(st.booleans()) else [Doubt(rows), came]
    if draw(st.booleans()):  # they come once more, and nothing is said against them
        again = later + 30 * MINUTE * draw(st.integers(-1, 2))
        story.append(Fetch([row | {"fetched_at": row["fetched_at"] + again} for row in came.rows], []))
    return story


INSTANTS = st.integers(-2, 22).map(lambda half: START + 30 * MINUTE * half)
MADE = st.builds(Made, INSTANTS)
EVENTS: st.SearchStrategy[list[Event]] = st.one_of(
    fetches().map(lambda each: [each]), late(), late(), doubted(), MADE.map(lambda each: [each])
)


@st.composite
def released(draw: st.DrawFn) -> list[Event]:
    """Values that are set aside and released, and forecasts made around that, at one instant or several."""
    story: list[Event] = [*draw(doubted()), Release(draw(LATE))]
    for _ in range(draw(st.integers(1, 4))):
        story.insert(draw(st.integers(0, len(story))), Made(draw(LATE)))
    return story


LATE = st.integers(20, 32).map(lambda half: START + 30 * MINUTE * half)


def histories(events: st.SearchStrategy[list[Event]]) -> st.SearchStrategy[list[Event]]:
    return st.lists(events, max_size=7).map(lambda parts: [event for part in parts for event in part])


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


def test_any_history_is_kept_as_it_was_seen_and_every_forecast_can_be_replayed(
    record_property: Callable[[str, object], None],
) -> None:
    tried = 0

    @settings(max_examples=EXAMPLES, derandomize=EXAMPLES == 60)
    @given(history=histories(EVENTS))
    def any_history(history: list[Event]) -> None:
        nonlocal tried
        tried += 1
        check(history)

    any_history()
    record_property("histories", tried)


@settings(max_examples=EXAMPLES, derandomize=EXAMPLES == 60)
@given(history=histories(st.one_of(EVENTS, released(), released())))
def test_every_forecast_can_be_replayed_whatever_is_set_aside_and_released(history: list[Event]) -> None:
    replays: dict[datetime, Snapshot] = {}
    with Store("sqlite://") as store:
        for event in history:
            match event:
                case Made(at):
                    seal(store, at, replays)
                case Fetch(rows, looks):
                    with suppress(StoreError):  # fetched at the same instant as something else that claims to be it
                        store.put(pl.DataFrame(rows, schema=OBSERVATIONS), looks=looks)
                case Doubt(rows):
                    store.quarantine(doubts(rows))
                case Release(at):
                    before, aside = store.observations(["X"]), store.quarantined("X")
                    try:
                        store.release("X", at=at)
                    except StoreError:  # they contradict each other or came later
                        assert store.quarantined("X").equals(aside)
                        assert store.observations(["X"]).equals(before)
                    else:
                        value = ["variable", "valid_time", "source", "value"]
                        assert store.quarantined("X").is_empty()
                        assert aside.join(store.observations(["X"]), on=value, how="anti").is_empty()
        for made_at, made in replays.items():
            assert same_snapshot(store.as_of(ZONE, made_at, made_at=made_at, resolution=STEP), made)
        assert store.check() == []


def seal(store: Store, at: datetime, replays: dict[datetime, Snapshot]) -> None:
    """Makes a forecast of all that is known, as `gridcast.pipeline.issue_and_store` does, and notes what it knew."""
    known = store.observations(["X"])
    made_at = store.seal(max([at, *known["fetched_at"]]))
    assert store.observations(["X"], made_at=made_at).equals(known)
    made = store.as_of(ZONE, made_at, made_at=made_at, resolution=STEP)
    assert same_snapshot(replays.setdefault(made_at, made), made)


def doubts(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=OBSERVATIONS).with_columns(reason=pl.lit("odd")).select(list(DOUBTFUL))


def check(history: list[Event]) -> None:
    """The store after a history beside plain loops, and every forecast made on the way beside its replay."""
    slow = SlowStore()
    replays: dict[datetime, Snapshot] = {}
    with Store("sqlite://") as store:
        for event in history:
            if isinstance(event, Made):
                seal(store, event.at, replays)
                continue
            if isinstance(event, Doubt):
                slow.doubt(event.rows)
                store.quarantine(doubts(event.rows))
                assert store.quarantine(doubts(event.rows)) == 0
                continue
            assert isinstance(event, Fetch)
            frame = pl.DataFrame(event.rows, schema=OBSERVATIONS)
            if slow.contradicts(event):
                with pytest.raises(StoreError, match="came again as"):
                    store.put(frame, looks=event.looks)
                continue
            before = len(slow.rows)
            slow.put(event)
            assert store.put(frame, looks=event.looks).rows == len(slow.rows) - before
            assert store.put(frame, looks=event.looks).rows == 0
        expected = pl.DataFrame(slow.usable(), schema=OBSERVATIONS)
        assert store.observations(["X"]).equals(
            expected.sort("zone", "variable", "valid_time", "published_at", "source")
        )
        issues = [START + 30 * MINUTE * half for half in range(-2, 23, 3 if EXAMPLES > 60 else 6)]
        every = store.as_of(ZONE, np.array([instant(at) for at in issues]), resolution=STEP)
        for issued in issues:
            alone = store.as_of(ZONE, issued, resolution=STEP)
            for series in alone.series.values():
                assert series.published_at[~np.isnat(series.published_at)].max() <= instant(issued)
            wanted = [slow_answer(slow.usable(), hour=hour, issued=issued) for hour in range(HOURS)]
            np.testing.assert_array_equal(answers(alone, issued), wanted)
            np.testing.assert_array_equal(answers(every, issued), wanted)
        for made_at, made in replays.items():
            assert same_snapshot(store.as_of(ZONE, made_at, made_at=made_at, resolution=STEP), made)
        assert store.check() == []


def test_the_slow_twin_can_tell_right_from_wrong() -> None:
    row: Row = {"variable": LOAD, "source": "second", "valid_time": START, "resolution": HOUR, "value": 5.0}
    row |= {"published_at": START + 3 * HOUR, "fetched_at": START + 9 * HOUR, "published_at_basis": "assumed"}
    for hour, answered, expected in ((4, True, 9), (4, False, 3), (2, False, 9), (1, True, 3)):
        slow = SlowStore()
        slow.put(Fetch([], [Look("X", LOAD, "second", START, START + HOUR, START + hour * HOUR, answered=answered)]))
        slow.put(Fetch([row], []))
        assert slow.rows[0]["published_at"] == START + expected * HOUR
        assert slow_answer(slow.rows, hour=0, issued=START + expected * HOUR) == 5.0
        assert np.isnan(slow_answer(slow.rows, hour=0, issued=START + expected * HOUR - TICK))


def test_a_report_of_an_instant_at_which_another_value_was_seen_replaces_it_when_it_is_fetched() -> None:
    plain: Row = {"zone": "X", "variable": LOAD, "valid_time": START, "resolution": 15 * MINUTE, "source": "best:files"}
    seen = {"published_at": START + 2 * HOUR, "published_at_basis": "assumed", "fetched_at": START + HOUR}
    told = {"published_at": START + HOUR, "published_at_basis": "reported", "fetched_at": START + 5 * HOUR}
    check([Fetch([plain | seen | {"value": 1.0}], []), Fetch([plain | told | {"value": 2.0}], [])])


def test_a_report_that_was_stored_beside_what_was_seen_since_is_no_news_when_it_comes_again() -> None:
    plain: Row = {"zone": "X", "variable": LOAD, "valid_time": START, "resolution": 15 * MINUTE, "source": "best:files"}
    failed = Look("X", LOAD, "best:files", START, START + HOUR, START + HOUR, answered=False)
    seen = {"published_at": START + HOUR, "published_at_basis": "assumed", "fetched_at": START + HOUR + 30 * MINUTE}
    told = {"published_at": START + HOUR, "published_at_basis": "reported", "fetched_at": START + 2 * HOUR}
    check([Fetch([], [failed]), Fetch([plain | seen | {"value": 1.0}], []), Fetch([plain | told | {"value": 2.0}], [])])


def test_a_question_that_failed_and_was_answered_at_the_same_instant_was_answered() -> None:
    row: Row = {
        "zone": "X",
        "variable": LOAD,
        "valid_time": START,
        "resolution": HOUR,
        "source": "second",
        "value": 1.0,
    }
    row |= {"published_at": START + 3 * HOUR, "published_at_basis": "assumed", "fetched_at": START + 5 * HOUR}
    failed, answered = (
        Look("X", LOAD, "second", START, START + HOUR, START + 4 * HOUR, answered=on) for on in (False, True)
    )
    for looks in ([failed, answered], [answered, failed]):
        check([*(Fetch([], [look]) for look in looks), Fetch([row], [])])


@st.composite
def polls(draw: st.DrawFn) -> list[Fetch]:
    """Polls of one source one after the other: each interval comes with one of them, whole or in quarters."""
    ends = [START + 30 * MINUTE * half for half in sorted(draw(st.sets(st.integers(0, 20), min_size=1, max_size=5)))]
    came = {START + n * HOUR: draw(st.sampled_from([*ends, None])) for n in range(HOURS)}
    step = draw(st.sampled_from((HOUR, 15 * MINUTE)))
    made: list[Fetch] = []
    for at in ends:
        starts = [hour + n * step for hour, then in came.items() if then == at for n in range(HOUR // step)]
        plain = {"zone": "X", "variable": LOAD, "resolution": step, "value": 1.0, "published_at_basis": "assumed"}
        plain |= {"fetched_at": at, "source": "second"}
        rows = [plain | {"valid_time": start, "published_at": start + step + 2 * HOUR} for start in starts]
        answered = bool(rows) or draw(st.booleans())
        asked = at - MINUTE * draw(st.integers(0, 20))
        made.append(Fetch(rows, [Look("X", LOAD, "second", START, START + HOURS * HOUR, asked, answered=answered)]))
    return made


@settings(max_examples=EXAMPLES, derandomize=EXAMPLES == 60)
@given(made=polls(), order=st.randoms(use_true_random=False))
def test_polls_are_dated_alike_one_by_one_together_and_in_pieces(made: list[Fetch], order: Random) -> None:
    """A fetch may come in pieces with its look first; looks without rows in any order; several fetches in one put."""
    pieces: list[Fetch] = []
    waiting: list[Look] = []
    for poll in made:
        if poll.rows:
            order.shuffle(waiting)
            pieces += [Fetch([], [look]) for look in waiting]
            pieces += [Fetch(poll.rows[-1:], poll.looks), Fetch(poll.rows[:-1], [])]
            waiting = []
        else:
            waiting += poll.looks
    rows = [row for poll in made for row in poll.rows]
    looks = [look for poll in made for look in poll.looks]
    order.shuffle(rows)
    order.shuffle(looks)
    dated_so = [kept(each) for each in (made, [Fetch(rows, looks)], pieces)]
    assert dated_so[1].equals(dated_so[0])
    assert dated_so[2].equals(dated_so[0])


def kept(fetches_made: list[Fetch]) -> pl.DataFrame:
    with Store("sqlite://") as store:
        for fetch in fetches_made:
            store.put(pl.DataFrame(fetch.rows, schema=OBSERVATIONS), looks=fetch.looks)
        return store.observations(["X"])
