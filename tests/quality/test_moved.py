"""An answer that is late or early as a whole, against what was fetched of its intervals before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD
from gridcast.market.zones import zone
from gridcast.quality import moved
from gridcast.sources import demo

DAY = timedelta(days=1)
KNOWN = demo.observations(
    zone("DK_1"), start=date(2024, 4, 1), end=date(2024, 4, 8), fetched_at=datetime(2024, 4, 9, tzinfo=UTC)
).filter(pl.col("variable") == LOAD)


def late(hours: int, *, days: int = 7, noise: float = 0.0) -> pl.DataFrame:
    """The first days of what is known with every value so many hours late, and revised a little."""
    factors = 1 + noise * np.random.default_rng(1).standard_normal(KNOWN.height)
    rows = KNOWN.with_columns(
        valid_time=pl.col("valid_time") + timedelta(hours=hours), value=pl.col("value") * pl.Series(factors)
    )
    return rows.filter(pl.col("valid_time") < KNOWN["valid_time"].min() + days * DAY)


@pytest.mark.parametrize("hours", [-2, -1, 1, 2])
@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_an_answer_that_is_late_as_a_whole_is_told_by_its_hours(hours, days, noise):
    assert moved(late(hours, days=days, noise=noise), KNOWN) == hours


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.05, 0.3])
def test_a_revision_is_no_move(noise):
    assert moved(late(0, noise=noise), KNOWN) == 0


def test_too_little_in_common_says_nothing():
    assert moved(late(1), KNOWN.head(8)) == 0
    assert moved(late(1), KNOWN.clear()) == 0


def test_another_level_is_no_move():
    assert moved(KNOWN.with_columns(value=pl.col("value") * 1.2), KNOWN) == 0


def test_the_later_of_two_vintages_is_what_was_known():
    revised = late(1).with_columns(published_at=pl.col("published_at") + DAY)
    assert moved(late(1), pl.concat([KNOWN, revised])) == 0
