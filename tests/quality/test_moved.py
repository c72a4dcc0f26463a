"""An answer that is late or early as a whole, against what was fetched of its intervals before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD
from gridcast.market.zones import zone
from gridcast.quality import moved
from gridcast.sources import demo, tabular

DAY = timedelta(days=1)
TZ = "Europe/Copenhagen"
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
    assert moved(late(hours, days=days, noise=noise), KNOWN, tz=TZ) == hours


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.05, 0.3])
def test_a_revision_is_no_move(noise):
    assert moved(late(0, noise=noise), KNOWN, tz=TZ) == 0


def test_too_little_in_common_says_nothing():
    assert moved(late(1), KNOWN.head(8), tz=TZ) == 0
    assert moved(late(1), KNOWN.clear(), tz=TZ) == 0


def test_another_level_is_no_move():
    assert moved(KNOWN.with_columns(value=pl.col("value") * 1.2), KNOWN, tz=TZ) == 0


def test_the_later_of_two_vintages_is_what_was_known():
    revised = late(1).with_columns(published_at=pl.col("published_at") + DAY)
    assert moved(late(1), pl.concat([KNOWN, revised]), tz=TZ) == 0


def real(folder, name: str) -> tuple[pl.DataFrame, str]:
    place = zone(name.split("_load", maxsplit=1)[0])
    rows = tabular.read(folder / f"{name}.csv.gz", zone=place, fetched_at=datetime(2026, 1, 1, tzinfo=UTC))
    return rows.filter(pl.col("variable") == LOAD), place.local_tz


def judged(folder, name: str, *, days: int, hours: int) -> list[int]:
    """What is said of answers of so many days, so many hours late, from every 11th day on."""
    rows, tz = real(folder, name)
    found = []
    last = rows["valid_time"].max()
    start = rows["valid_time"].min() + 75 * DAY
    while start + (days + 1) * DAY < min(last, rows["valid_time"].min() + 365 * DAY):
        before = rows.filter(pl.col("valid_time").is_between(start - 70 * DAY, start, closed="left"))
        late = rows.with_columns(pl.col("valid_time") + timedelta(hours=hours))
        answer = late.filter(pl.col("valid_time").is_between(start, start + days * DAY, closed="left"))
        found.append(moved(answer, before, tz=tz))
        start += 11 * DAY
    return found


@pytest.mark.parametrize("days", [3, 10])
@pytest.mark.parametrize("name", ["DK_1_load_2018", "AT_load_weather_2011_2016", "NO_5_load_2013_2018"])
def test_no_sound_answer_of_real_load_is_called_moved(shared_data, name, days):
    assert set(judged(shared_data, name, days=days, hours=0)) == {0}


@pytest.mark.parametrize("hours", [-2, -1, 1, 2])
@pytest.mark.parametrize("name", ["DK_1_load_2018", "AT_load_weather_2011_2016"])
def test_most_moved_answers_are_found_by_the_weeks_before_alone(shared_data, name, hours):
    found = judged(shared_data, name, days=10, hours=hours)
    assert found.count(hours) >= 0.8 * len(found)
    assert set(found) <= {0, hours}
