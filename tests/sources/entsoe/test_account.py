"""What should have come: each interval once, at the resolution around it, and not before its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.market.zones import zone
from gridcast.sources.entsoe.account import due
from gridcast.sources.entsoe.document import ROWS
from gridcast.sources.fetched import DUE

DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, HALF, QUARTER = (timedelta(minutes=n) for n in (60, 30, 15))
LATER = DAY + timedelta(days=60)
DK = zone("DK_1")


def came(*spans: tuple[datetime, datetime, timedelta]) -> pl.DataFrame:
    rows = [(at, step) for begin, end, step in spans for at in [begin + n * step for n in range((end - begin) // step)]]
    return pl.DataFrame(
        {"valid_time": [at for at, _ in rows], "resolution": [step for _, step in rows], "value": [1.0] * len(rows)},
        schema=ROWS,
    )


def expected(rows: pl.DataFrame, *, days: int, now: datetime = LATER, variable: str = LOAD) -> pl.DataFrame:
    return due(rows, zone=DK, variable=variable, start=DAY, end=DAY + timedelta(days), now=now)


def steps(frame: pl.DataFrame, day: int) -> list[timedelta]:
    begin = DAY + timedelta(day)
    return frame.filter(pl.col("valid_time").is_between(begin, begin + timedelta(1), closed="left"))[
        "resolution"
    ].to_list()


def test_where_nothing_came_every_hour_is_due():
    frame = expected(came(), days=2)

    assert frame.schema == DUE
    assert steps(frame, 0) == steps(frame, 1) == [HOUR] * 24


def test_a_missing_day_takes_the_resolution_of_the_day_before_it_or_else_after_it():
    frame = expected(came((DAY + timedelta(1), DAY + timedelta(2), QUARTER)), days=4)

    assert [steps(frame, day) for day in range(4)] == [[QUARTER] * 96] * 4


def test_a_gap_takes_the_finest_resolution_of_its_day_and_what_came_stands_for_itself():
    rows = came((DAY, DAY + 6 * HOUR, HOUR), (DAY + 12 * HOUR, DAY + 24 * HOUR, QUARTER))

    assert steps(expected(rows, days=1), 0) == [HOUR] * 6 + [QUARTER] * 72


def test_a_load_is_due_a_lag_after_its_end_and_a_forecast_from_ten_on_the_day_before():
    noon = DAY + 12 * HOUR
    loads = expected(came(), days=3, now=noon)
    before = expected(came(), days=3, now=DAY + 8.99 * HOUR, variable=TSO_FORECAST)
    after = expected(came(), days=3, now=DAY + 9 * HOUR, variable=TSO_FORECAST)

    assert loads["valid_time"].max() == noon - 3 * HOUR
    assert before["valid_time"].max() == DAY + 22 * HOUR
    assert after["valid_time"].max() == DAY + 46 * HOUR


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[datetime, datetime, timedelta]]:
    at, spans = DAY, []
    while at < DAY + timedelta(days=4):
        at += draw(st.integers(0, 30)) * HOUR
        end = at + draw(st.integers(1, 30)) * HOUR
        spans.append((at, end, draw(st.sampled_from([QUARTER, HALF, HOUR]))))
        at = end
    return spans


@given(histories(), st.integers(1, 5))
def test_what_is_due_covers_the_period_once_and_holds_everything_that_came(spans, days):
    rows = came(*spans)
    frame = expected(rows, days=days)
    starts, ends = frame["valid_time"], frame["valid_time"] + frame["resolution"]
    asked = rows.filter(pl.col("valid_time") < DAY + timedelta(days))

    assert starts[0] == DAY
    assert (starts.slice(1) == ends.head(-1)).all()
    assert ends[-1] >= DAY + timedelta(days)
    assert asked.join(frame, on=["valid_time", "resolution"], how="anti").is_empty()


@pytest.mark.parametrize("minute", [7, 30])
def test_a_period_may_begin_and_end_at_any_minute(minute):
    begin = DAY + timedelta(minutes=minute)

    frame = due(came(), zone=DK, variable=LOAD, start=begin, end=begin + 3 * HOUR, now=LATER)

    assert frame["valid_time"].to_list() == [DAY + n * HOUR for n in (1, 2, 3)]
