from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import strategies
from gridcast.contracts import LOAD, QUANTILES
from gridcast.features.shape import PERIOD, refined, within_hour
from gridcast.market.days import DAY, HOUR, delivery_window, instant, local_wall
from gridcast.market.zones import zone

QUARTER = strategies.minutes(15)
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
RAMP = np.array([0.94, 0.98, 1.02, 1.06])


def quarters(code="DE_LU", *, days=70, ratio=RAMP, level=1000.0, until=AT):
    """Quarter-hours up to ``until``, each hour of another size, all of one shape."""
    end = instant(until).astype("datetime64[h]").astype("datetime64[us]")
    times = end - np.arange(days * 96, 0, -1) * QUARTER
    hour, part = (times - times.astype("datetime64[D]")) // HOUR, ((times - end) // QUARTER) % 4
    return strategies.rows(
        code,
        LOAD,
        times,
        value=(level + 10 * hour.astype(float)) * ratio[part],
        published_at=times + QUARTER,
        resolution=QUARTER,
    )


def learned(observations, *, code="DE_LU", at=AT):
    return within_hour(observations, zone=zone(code), at=at, coarse=HOUR, fine=QUARTER)


def test_the_shape_of_an_hour_is_what_its_quarters_have_in_common():
    shape = learned(quarters())
    assert shape == pytest.approx(np.tile(RAMP, 24), rel=1e-9)
    assert shape.reshape(24, 4).mean(axis=1) == pytest.approx(np.ones(24))


def test_the_shape_goes_by_the_local_clock():
    observations = quarters()
    wall = local_wall(observations["valid_time"].dt.replace_time_zone(None).to_numpy(), "Europe/Berlin")
    at_six = (wall - wall.astype("datetime64[D]")) // HOUR == 6
    level = pl.lit(1000.0)
    shape = learned(observations.with_columns(value=pl.when(pl.Series(at_six)).then("value").otherwise(level)))
    steep = np.flatnonzero(np.abs(shape - 1) > 0.01) // 4
    assert set(steep) == {6}


def test_without_fine_load_the_shape_is_flat():
    assert (learned(quarters().clear()) == 1).all()
    hourly = strategies.rows(
        "DE_LU", LOAD, np.array([instant(AT) - DAY]), value=5.0, published_at=np.array([instant(AT)])
    )
    assert (learned(hourly) == 1).all()


def test_nothing_published_after_the_issue_or_older_than_the_period_shapes_it():
    known = quarters()
    late = known.with_columns(value=pl.col("value") * np.tile([9.0, 1, 1, 1], known.height // 4))
    late = late.with_columns(published_at=pl.lit(AT + timedelta(microseconds=1), dtype=known.schema["published_at"]))
    old = quarters(until=AT - PERIOD - timedelta(hours=1), ratio=RAMP[::-1])
    assert learned(pl.concat([old, known.filter(pl.col("valid_time") > AT - PERIOD), late])) == pytest.approx(
        learned(known)
    )


def test_of_several_vintages_the_latest_shapes_it():
    known = quarters()
    turned = known.with_columns(
        value=pl.Series(known["value"].to_numpy().reshape(-1, 4)[:, ::-1].reshape(-1)),
        published_at=pl.col("published_at") + timedelta(minutes=1),
    ).filter(pl.col("published_at") <= AT)
    shape = learned(pl.concat([turned, known.filter(pl.col("valid_time") < AT - timedelta(hours=1))]))
    assert shape == pytest.approx(np.tile(RAMP[::-1], 24), rel=1e-9)


def test_an_hour_that_lacks_a_quarter_does_not_bend_the_shape():
    # Only large hours lack their last quarter: its mean over days would be of small ones.
    known = quarters()
    big = (pl.col("valid_time").dt.date().cast(pl.Int32) % 2 == 0).alias("big")
    known = known.with_columns(value=pl.when(big).then(pl.col("value") * 3).otherwise("value"))
    holes = known.filter(~(big & (pl.col("valid_time").dt.minute() == 45)))
    assert learned(holes) == pytest.approx(np.tile(RAMP, 24), rel=1e-9)


def test_a_member_that_lacks_a_quarter_does_not_bend_the_shape_of_the_sum():
    west, east = quarters("DK_1"), quarters("DK_2")
    both = pl.concat([west, east.filter(pl.col("valid_time").dt.minute() != 45)])
    assert (learned(both, code="DK") == 1).all()  # no hour of the sum is known
    assert learned(pl.concat([west, east]), code="DK") == pytest.approx(np.tile(RAMP, 24), rel=1e-9)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_a_refined_day_is_complete_and_its_hours_keep_their_mean(day, hours):
    berlin = zone("DE_LU")
    start, end = (instant(at) for at in delivery_window(berlin, date.fromisoformat(day)))
    coarse = np.arange(start, end, HOUR)
    fan = 1000 + np.arange(len(coarse))[:, None] * 10.0 + np.arange(len(QUANTILES))
    times, fine = refined(coarse, fan, shape=np.tile(RAMP, 24), zone=berlin)
    assert len(times) == 4 * hours
    assert (np.diff(times) == QUARTER).all()
    assert (times[0], times[-1]) == (start, end - QUARTER)
    assert fine.reshape(hours, 4, -1).mean(axis=1) == pytest.approx(fan)
    assert (np.diff(fine, axis=1) >= 0).all()
    assert fine[:4, 0] == pytest.approx(1000 * RAMP)
