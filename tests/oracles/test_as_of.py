"""The snapshot against a slow twin: plain loops over plain rows, over random histories of vintages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, OBSERVATIONS, TSO_FORECAST, Snapshot
from gridcast.market.days import instant
from gridcast.market.zones import BiddingZone
from gridcast.store import snapshot
from gridcast.store.database import Store

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
HOURS = 4
VARIABLES = (LOAD, TSO_FORECAST, "temperature_2m", "temperature_2m_observed")
ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen")
SUM = replace(ZONE, code="SUM", members=("X", "Y"), member_weights=(0.75, 0.25))
MINUTE = timedelta(minutes=1)

Row = dict[str, Any]


def slow_twin(rows: list[Row], *, zone: BiddingZone, variable: str, at: datetime, issued: datetime, step: int) -> float:
    """The value of the interval that holds ``at``, as the docstring of `snapshot` defines it; ``step`` in minutes."""
    own = [row for row in rows if row["variable"] == variable]
    exempt = variable.endswith("_observed")
    visible = [row for row in own if exempt or row["published_at"] <= issued]
    if not zone.members:
        return one_zone(visible, variable=variable, at=at, step=step)
    parts = [
        one_zone([row for row in visible if row["zone"] == code], variable=variable, at=at, step=step)
        for code in zone.members
    ]
    weights = (1.0, 1.0) if variable in (LOAD, TSO_FORECAST) else zone.member_weights
    return sum(part * weight for part, weight in zip(parts, weights, strict=True))


def one_zone(rows: list[Row], *, variable: str, at: datetime, step: int) -> float:
    power = variable in (LOAD, TSO_FORECAST)
    candidates: list[tuple[Any, ...]] = []
    for row in rows:
        minutes = row["resolution"] // MINUTE
        covers = row["valid_time"] <= at < row["valid_time"] + row["resolution"]
        usable = not power or minutes == step or (minutes > step and variable == TSO_FORECAST)
        if covers and usable:
            candidates.append((row["published_at"], row["source"], minutes, row["value"]))
    for minutes in (15, 30):
        if power and minutes < step:
            begin = at - (at - START) % timedelta(minutes=step)
            latest: list[Any] = []
            for n in range(step // minutes):
                part = [
                    (row["published_at"], row["source"], row["value"])
                    for row in rows
                    if row["resolution"] == minutes * MINUTE and row["valid_time"] == begin + n * minutes * MINUTE
                ]
                latest.append(max(part, default=None))
            if all(latest):
                published = max(part[0] for part in latest if part)
                candidates.append((published, "", minutes, sum(part[2] for part in latest if part) / len(latest)))
    return float(max(candidates, default=(None, None, None, float("nan")))[3])


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Up to 40 rows over four hours, two zones, three resolutions and two sources, with many equal publications."""
    rows: dict[tuple[object, ...], Row] = {}
    for _ in range(draw(st.integers(0, 40))):
        minutes = draw(st.sampled_from((15, 30, 60)))
        row: Row = {
            "zone": draw(st.sampled_from("XXY")),
            "variable": draw(st.sampled_from(VARIABLES)),
            "valid_time": START + minutes * MINUTE * draw(st.integers(0, HOURS * 60 // minutes - 1)),
            "resolution": minutes * MINUTE,
            "value": float(draw(st.integers(0, 1000))),
            "published_at": START + timedelta(hours=draw(st.integers(-2, 6))),
            "published_at_basis": "reported",
            "fetched_at": START + timedelta(days=1),
            "source": draw(st.sampled_from("ab")),
        }
        rows[tuple(row[name] for name in ("zone", "variable", "valid_time", "published_at", "source"))] = row
    return list(rows.values())


def frame_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=OBSERVATIONS)


ISSUES = [START + timedelta(hours=h) for h in (-3, -2, 0, 1, 2, 4, 7)]
TIMES = [START + n * timedelta(minutes=15) for n in range(-4, HOURS * 4 + 4)]


def answers(made: Snapshot, variable: str, issued: datetime) -> np.ndarray:
    return made.known(variable, np.array([instant(at) for at in TIMES]), issue_time=instant(issued))


@given(rows=histories(), zone=st.sampled_from((ZONE, SUM)), step=st.sampled_from((15, 30, 60)))
def test_a_snapshot_answers_what_plain_loops_find(rows: list[Row], zone: BiddingZone, step: int) -> None:
    if not zone.members:
        rows = [row for row in rows if row["zone"] == zone.code]
    every = snapshot(
        frame_of(rows),
        zone=zone,
        issue_times=np.array([instant(at) for at in ISSUES]),
        resolution=np.timedelta64(step * 60_000_000, "us"),
    )
    for issued in ISSUES:
        alone = snapshot(
            frame_of(rows), zone=zone, issue_times=np.array([instant(issued)]), resolution=every.resolution
        )
        for variable in VARIABLES:
            expected = [slow_twin(rows, zone=zone, variable=variable, at=at, issued=issued, step=step) for at in TIMES]
            np.testing.assert_allclose(answers(alone, variable, issued), expected)
            np.testing.assert_allclose(answers(every, variable, issued), expected)


@given(rows=histories(), issued=st.sampled_from(ISSUES))
def test_a_snapshot_of_one_issue_time_holds_nothing_younger(rows: list[Row], issued: datetime) -> None:
    made = snapshot(frame_of(rows), zone=ZONE, issue_times=np.array([instant(issued)]))
    for name, series in made.series.items():
        if not name.endswith("_observed"):
            there = series.published_at[~np.isnat(series.published_at)]
            assert there.size
            assert there.max() <= instant(issued)
            assert np.isnan(series.values[np.isnat(series.published_at)]).all()


@given(rows=histories(), issued=st.sampled_from(ISSUES))
def test_poison_published_after_the_issue_time_changes_no_answer(rows: list[Row], issued: datetime) -> None:
    frame = frame_of(rows)
    late = (pl.col("published_at") > issued) & ~pl.col("variable").str.ends_with("_observed")
    poisoned = frame.with_columns(value=pl.when(late).then(-1e9).otherwise("value"))
    later = np.array([instant(issued), instant(START + timedelta(days=2))])
    for issue_times in (later[:1], later):
        clean, dirty = (snapshot(each, zone=SUM, issue_times=issue_times) for each in (frame, poisoned))
        assert clean.resolution == dirty.resolution
        for variable in VARIABLES:
            np.testing.assert_array_equal(answers(clean, variable, issued), answers(dirty, variable, issued))


@given(rows=histories(), data=st.data())
def test_the_order_of_puts_of_reported_rows_does_not_matter(rows: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    with Store("sqlite://") as one, Store("sqlite://") as two:
        assert one.put(frame_of(rows)).rows == len(rows)
        assert two.put(frame_of(shuffled[:cut])).rows + two.put(frame_of(shuffled[cut:])).rows == len(rows)
        assert two.put(frame_of(shuffled)).rows == 0
        stored = one.observations(["X", "Y"])
        assert stored.equals(two.observations(["X", "Y"]))
        assert stored.equals(frame_of(rows).sort("zone", "variable", "valid_time", "published_at", "source"))


@given(data=st.data())
def test_looks_at_a_changing_value_are_answered_as_they_were_seen(data: st.DataObject) -> None:
    """A source shows one value after another; at any later instant the store knows what was seen last."""
    look = st.tuples(st.integers(1, 30), st.sampled_from((1.0, 2.0)))
    seen = sorted(data.draw(st.lists(look, min_size=1, unique_by=lambda each: each[0])))
    assumed = START + timedelta(hours=3)
    looks = [
        {
            "zone": "X",
            "variable": LOAD,
            "valid_time": START,
            "resolution": 60 * MINUTE,
            "value": value,
            "published_at": assumed,
            "published_at_basis": "assumed",
            "fetched_at": assumed + timedelta(hours=hours),
            "source": "a",
        }
        for hours, value in seen
    ]
    with Store("sqlite://") as store:
        added = [store.put(frame_of([look])).rows for look in looks]
        assert added[0] == 1
        changes = [a[1] != b[1] for a, b in pairwise(seen)]
        assert added[1:] == changes
        assert [store.put(frame_of([look])).rows for look in looks] == [0] * len(looks)
        for hours, value in seen[1:]:
            made = store.as_of(ZONE, assumed + timedelta(hours=hours))
            assert answers(made, LOAD, assumed + timedelta(hours=hours))[4] == value
        first = store.as_of(ZONE, assumed)
        assert answers(first, LOAD, assumed)[4] == seen[0][1]


def test_the_slow_twin_can_tell_right_from_wrong() -> None:
    row: Row = {
        "zone": "X",
        "variable": LOAD,
        "valid_time": START,
        "resolution": 60 * MINUTE,
        "value": 5.0,
        "published_at": START + timedelta(hours=2),
        "published_at_basis": "reported",
        "fetched_at": START,
        "source": "a",
    }
    at: dict[str, Any] = {"zone": ZONE, "variable": LOAD, "at": START + 59 * MINUTE, "step": 60}
    assert slow_twin([row], issued=START + timedelta(hours=2), **at) == 5.0
    assert np.isnan(slow_twin([row], issued=START + timedelta(hours=1), **at))


MUTANTS = {
    "strictly before": lambda published_at, issue_time: published_at < issue_time,
    "no filter": lambda published_at, issue_time: ~np.isnat(published_at) & ~np.isnat(issue_time),
    "one hour late": lambda published_at, issue_time: published_at <= issue_time + np.timedelta64(1, "h"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_as_of_filter_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {START - timedelta(hours=1): 1.0, START: 2.0, START + timedelta(minutes=30): 3.0}
    rows: list[Row] = [
        {
            "zone": "X",
            "variable": LOAD,
            "valid_time": START,
            "resolution": 60 * MINUTE,
            "value": value,
            "published_at": published_at,
            "published_at_basis": "reported",
            "fetched_at": START,
            "source": "a",
        }
        for published_at, value in values.items()
    ]
    issue_times = np.array([instant(START), instant(START + timedelta(days=1))])

    def found() -> list[float]:
        made = [snapshot(frame_of(rows), zone=ZONE, issue_times=each) for each in (issue_times[:1], issue_times)]
        return [float(answers(each, LOAD, START)[4]) for each in made]

    assert found() == [2.0, 2.0]
    monkeypatch.setattr("gridcast.contracts.public", MUTANTS[mutant])
    wrong = found()
    assert wrong[0] != 2.0
    assert wrong[1] != 2.0
