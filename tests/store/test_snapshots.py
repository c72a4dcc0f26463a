"""Snapshots: grids, resolutions, sources and portfolios. The as-of rule itself is tested against its slow twin."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, OBSERVATIONS, TSO_FORECAST, Snapshot
from gridcast.errors import DataError
from gridcast.market.days import instant
from gridcast.market.zones import BiddingZone
from gridcast.store import model_resolution, snapshot

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONE = BiddingZone("X", "X", "DK", "Europe/Copenhagen", "Europe/Copenhagen")
LATER = np.array([instant(START + 3000 * DAY)])


def rows(values: list[float], **columns: object) -> pl.DataFrame:
    """Values from `START` (or ``first``) in steps of ``resolution``, each published at the end of its interval."""
    step = columns.pop("resolution", HOUR)
    first = columns.pop("first", START)
    assert isinstance(step, timedelta)
    assert isinstance(first, datetime)
    starts = [first + n * step for n in range(len(values))]
    plain: dict[str, object] = {
        "zone": "X",
        "variable": LOAD,
        "valid_time": starts,
        "resolution": step,
        "value": values,
        "published_at": [start + step for start in starts],
        "published_at_basis": "assumed",
        "fetched_at": START,
        "source": "a",
    }
    return pl.DataFrame(plain | columns, schema=OBSERVATIONS)


def minutes(resolution: np.timedelta64) -> int:
    return int(resolution / np.timedelta64(1, "m"))


def test_a_gap_is_not_filled() -> None:
    made = snapshot(rows([1.0, 2.0, 3.0]).filter(pl.col("value") != 2.0), zone=ZONE, issue_times=LATER)
    np.testing.assert_array_equal(made.series[LOAD].values, [[1.0, np.nan, 3.0]])
    assert np.isnat(made.series[LOAD].published_at).tolist() == [[False, True, False]]
    assert (made.series[LOAD].basis, made.series[LOAD].source) == ("assumed", "a")


def test_a_load_of_another_name_is_no_input_and_displaces_none() -> None:
    others = [rows([9.0], variable=name) for name in ("load_settlement", "load_realtime")]
    weather = rows([4.0], variable="temperature_2m_observed")
    made = snapshot(pl.concat([rows([1.0]), *others, weather]), zone=ZONE, issue_times=LATER)
    assert sorted(made.series) == [LOAD, "temperature_2m_observed"]


def test_of_two_sources_the_later_published_counts_and_the_last_name_breaks_a_tie() -> None:
    late = rows([5.0], source="a", published_at=START + 2 * HOUR)
    made = snapshot(pl.concat([late, rows([6.0], source="b")]), zone=ZONE, issue_times=LATER)
    assert made.series[LOAD].values.tolist() == [[6.0], [5.0]]
    assert made.series[LOAD].source == "a+b"
    tie = snapshot(pl.concat([rows([6.0], source="b"), rows([5.0], source="a")]), zone=ZONE, issue_times=LATER)
    assert tie.series[LOAD].values.tolist() == [[6.0]]


def test_a_zone_is_modelled_at_the_finest_resolution_with_400_days_behind_it() -> None:
    coarse, fine = rows([1.0] * 24 * 500), rows([1.0] * 96 * 400, resolution=15 * MINUTE, first=START + 500 * DAY)
    assert minutes(model_resolution(pl.concat([coarse, fine]))) == 15
    assert minutes(model_resolution(pl.concat([coarse, fine.head(96 * 400 - 1)]))) == 60
    assert minutes(model_resolution(fine.head(10))) == 15
    assert minutes(model_resolution(coarse.clear())) == 60
    seconds = rows([1.0] * 48 * 400, resolution=30 * MINUTE)
    assert minutes(model_resolution(pl.concat([coarse, seconds, fine.head(5)]))) == 30


def test_only_what_was_public_at_the_first_issue_time_sets_the_resolution() -> None:
    frame = pl.concat([rows([1.0] * 24), rows([1.0] * 96 * 400, resolution=15 * MINUTE, first=START + DAY)])
    early, late = instant(START + 2 * DAY), instant(START + 500 * DAY)
    assert minutes(snapshot(frame, zone=ZONE, issue_times=np.array([late])).resolution) == 15
    assert minutes(snapshot(frame, zone=ZONE, issue_times=np.array([early, late])).resolution) == 60
    before = np.array([instant(START - DAY), late])
    assert minutes(snapshot(frame, zone=ZONE, issue_times=before).resolution) == 15
    forced = snapshot(frame, zone=ZONE, issue_times=np.array([late]), resolution=np.timedelta64(1, "h"))
    assert forced.series[LOAD].resolution == np.timedelta64(1, "h")


def test_a_coarse_interval_is_the_mean_of_its_parts_once_all_are_there() -> None:
    hour = np.timedelta64(1, "h").astype("timedelta64[us]")
    quarters = rows([1.0, 2.0, 3.0, 6.0, 9.0, 9.0, 9.0], resolution=15 * MINUTE)
    revised = quarters[1:2].with_columns(value=pl.lit(10.0), published_at=pl.lit(START + 2 * HOUR))
    made = snapshot(pl.concat([quarters, revised]), zone=ZONE, issue_times=LATER, resolution=hour)
    assert made.series[LOAD].values.tolist() == [[3.0], [5.0]]
    assert made.series[LOAD].published_at.tolist() == [
        [(START + HOUR).replace(tzinfo=None)],
        [(START + 2 * HOUR).replace(tzinfo=None)],
    ]
    nothing = snapshot(quarters[:3], zone=ZONE, issue_times=LATER, resolution=hour)
    assert LOAD not in nothing


def test_coarser_load_is_left_out_and_coarser_weather_and_forecasts_hold() -> None:
    half = np.timedelta64(30 * 60_000_000, "us")
    frame = pl.concat(
        [
            rows([1.0, 2.0], first=START),
            rows([7.0], resolution=30 * MINUTE, first=START + 5 * HOUR),
            rows([3.0], variable=TSO_FORECAST),
            rows([4.0], variable="temperature_2m"),
        ]
    )
    made = snapshot(frame, zone=ZONE, issue_times=LATER, resolution=half)
    assert made.series[LOAD].values.tolist() == [[7.0]]
    assert made.series[TSO_FORECAST].values.tolist() == [[3.0, 3.0]]
    assert made.series["temperature_2m"].resolution == np.timedelta64(1, "h")
    at = np.array([instant(START + 59 * MINUTE)])
    assert made.known("temperature_2m", at, issue_time=LATER[0])[0] == 4.0


def test_a_resolution_that_does_not_fit_the_grid_is_left_out() -> None:
    twenty = np.timedelta64(20 * 60_000_000, "us")
    frame = pl.concat([rows([7.0], resolution=15 * MINUTE), rows([8.0], resolution=30 * MINUTE, variable=TSO_FORECAST)])
    assert dict(snapshot(frame, zone=ZONE, issue_times=LATER, resolution=twenty).series) == {}


def test_a_portfolio_sums_power_and_weighs_weather_where_every_member_has_a_value() -> None:
    parts = [
        rows([1.0, 2.0, 3.0], zone="A"),
        rows([10.0, 20.0], zone="B"),
        rows([4.0], zone="A", variable="temperature_2m_observed"),
        rows([8.0], zone="B", variable="temperature_2m_observed"),
        rows([5.0], zone="A", variable="wind_speed_10m_observed"),
    ]
    both = {"code": "S", "name": "S", "country": "DK", "market_tz": "UTC", "local_tz": "UTC", "members": ("A", "B")}
    weighed = BiddingZone(**both, member_weights=(0.75, 0.25))  # type: ignore[arg-type]
    plain = BiddingZone(**both)  # type: ignore[arg-type]
    made = snapshot(pl.concat(parts), zone=weighed, issue_times=LATER)
    assert made.series[LOAD].values.tolist() == [[11.0, 22.0]]
    assert made.weather == ("temperature_2m_observed",)
    assert made.series["temperature_2m_observed"].values.tolist() == [[5.0]]
    equal = snapshot(pl.concat(parts), zone=plain, issue_times=LATER)
    assert equal.series["temperature_2m_observed"].values.tolist() == [[6.0]]
    own = snapshot(pl.concat([*parts, rows([99.0], zone="S")]), zone=weighed, issue_times=LATER)
    assert own.series[LOAD].values.tolist() == [[99.0]]
    assert own.weather == ("temperature_2m_observed",)


def test_members_of_two_resolutions_meet_at_the_coarser_one() -> None:
    total = BiddingZone("S", "S", "DK", "UTC", "UTC", members=("A", "B"))
    frame = pl.concat([rows([1.0], zone="A"), rows([1.0, 2.0, 3.0, 4.0], zone="B", resolution=15 * MINUTE)])
    made = snapshot(frame, zone=total, issue_times=LATER)
    assert (minutes(made.resolution), made.series[LOAD].values.tolist()) == (60, [[3.5]])


def test_a_replay_leaves_out_what_was_fetched_later() -> None:
    frame = pl.concat([rows([1.0]), rows([2.0], source="b", fetched_at=START + DAY)])
    made = snapshot(frame, zone=ZONE, issue_times=LATER, made_at=START)
    assert made.series[LOAD].values.tolist() == [[1.0]]


def test_other_zones_and_empty_frames_give_an_empty_snapshot() -> None:
    for frame in (rows([]), rows([1.0], zone="OTHER")):
        made = snapshot(frame, zone=ZONE, issue_times=LATER[0])
        assert dict(made.series) == {}
        assert minutes(made.resolution) == 60


def test_a_snapshot_without_an_issue_time_is_refused() -> None:
    with pytest.raises(DataError, match="no issue time"):
        snapshot(rows([1.0]), zone=ZONE, issue_times=LATER[:0])


def test_four_years_of_five_variables_take_less_than_half_a_second() -> None:
    names = (LOAD, TSO_FORECAST, "temperature_2m_observed", "direct_radiation_observed", "diffuse_radiation_observed")
    hours = 35_000
    one = rows([1.0] * hours)
    frame = pl.concat([one.with_columns(variable=pl.lit(name)) for name in names])
    began = time.process_time()
    made = snapshot(frame, zone=ZONE, issue_times=LATER)
    assert time.process_time() - began < 0.5
    assert {series.values.shape for series in made.series.values()} == {(1, hours)}


RANKED = replace(ZONE, sources=("best", "second"))


def answers(made: Snapshot, *hours: float) -> list[float]:
    """The value of the first interval as known so many hours after `START`."""
    at = np.array([instant(START)])
    return [made.known(LOAD, at, issue_time=instant(START + hour * HOUR))[0] for hour in hours]


def test_a_worse_source_counts_only_until_a_better_one_has_the_interval() -> None:
    frame = pl.concat(
        [
            rows([5.0], source="second", published_at=START + HOUR),
            rows([7.0], source="best:files", published_at=START + 3 * HOUR),
            rows([6.0], source="second:x", published_at=START + 4 * HOUR),
            rows([8.0], source="best", published_at=START + 6 * HOUR),
        ]
    )
    made = snapshot(frame, zone=RANKED, issue_times=LATER)
    assert answers(made, 1, 2, 3, 4, 5, 6) == [5.0, 5.0, 7.0, 7.0, 7.0, 8.0]
    assert snapshot(frame, zone=RANKED, issue_times=LATER - np.timedelta64(9000, "D")).series == {}
    early = snapshot(frame, zone=RANKED, issue_times=np.array([instant(START + 2 * HOUR)]))
    assert (answers(early, 2), early.series[LOAD].source) == ([5.0], "second")
    unranked = snapshot(frame, zone=ZONE, issue_times=LATER)
    assert answers(unranked, 4) == [6.0]


def test_what_is_published_at_once_is_taken_from_the_better_source() -> None:
    frame = pl.concat([rows([5.0], source="second"), rows([7.0], source="best")])
    made = snapshot(frame, zone=RANKED, issue_times=LATER)
    assert (made.series[LOAD].values.tolist(), made.series[LOAD].source) == ([[7.0]], "best")


def test_a_source_that_is_not_listed_is_as_good_as_the_first() -> None:
    frame = pl.concat(
        [
            rows([5.0], source="second", published_at=START + 2 * HOUR),
            rows([6.0], source="tabular"),
            rows([7.0], source="best", published_at=START + 3 * HOUR),
        ]
    )
    assert answers(snapshot(frame, zone=RANKED, issue_times=LATER), 1, 2, 3) == [6.0, 6.0, 7.0]


def test_an_hour_is_never_put_together_from_a_better_and_a_worse_source() -> None:
    hour = np.timedelta64(1, "h").astype("timedelta64[us]")
    quarters = rows([1.0, 1.0, 1.0, 1.0], resolution=15 * MINUTE, source="second")
    better = rows([9.0, 9.0, 9.0], resolution=15 * MINUTE, source="best")
    made = snapshot(pl.concat([quarters, better]), zone=RANKED, issue_times=LATER, resolution=hour)
    assert (made.series[LOAD].values.tolist(), made.series[LOAD].source) == ([[1.0]], "second")
    hours = rows([3.0], source="best")
    whole = snapshot(pl.concat([quarters, hours]), zone=RANKED, issue_times=LATER, resolution=hour)
    assert (whole.series[LOAD].values.tolist(), whole.series[LOAD].source) == ([[3.0]], "best")


def test_members_of_a_portfolio_take_their_best_source_each() -> None:
    total = BiddingZone("S", "S", "DK", "UTC", "UTC", members=("A", "B"), sources=("best", "second"))
    frame = pl.concat(
        [
            rows([1.0, 2.0], zone="A", source="best"),
            rows([9.0, 9.0], zone="A", source="second", published_at=START + 9 * HOUR),
            rows([10.0, 20.0], zone="B", source="second"),
        ]
    )
    made = snapshot(frame, zone=total, issue_times=LATER)
    assert made.series[LOAD].values.tolist() == [[11.0, 22.0]]
    assert made.series[LOAD].source == "best+second"


def test_only_load_has_better_and_worse_sources() -> None:
    frame = pl.concat(
        [
            rows([5.0], source="best", variable=TSO_FORECAST),
            rows([6.0], source="second", variable=TSO_FORECAST, published_at=START + 2 * HOUR),
        ]
    )
    made = snapshot(frame, zone=RANKED, issue_times=LATER)
    assert made.series[TSO_FORECAST].values.tolist() == [[5.0], [6.0]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, "assumed"),
        ({"fetched_at": START}, "assumed"),
        ({"fetched_at": START + MINUTE}, "last-version"),
        ({"fetched_at": START + MINUTE, "published_at_basis": "reported"}, "reported"),
        ({"fetched_at": START + MINUTE, "published_at_basis": "observed"}, "observed"),
        ({"source": "tabular:last-version"}, "last-version"),
    ],
)
def test_an_assumed_forecast_fetched_once_its_delivery_began_is_the_last_version(
    columns: dict[str, object], expected: str
) -> None:
    frame = rows([1.0], variable=TSO_FORECAST, **({"fetched_at": START - DAY} | columns))
    assert snapshot(frame, zone=ZONE, issue_times=LATER).tso_basis == expected
    other = rows([1.0], variable=TSO_FORECAST, first=START + DAY, published_at_basis="reported")
    mixed = snapshot(pl.concat([frame, other]), zone=ZONE, issue_times=LATER).tso_basis
    assert (mixed == "last-version") == (expected == "last-version")


def test_a_second_source_costs_little() -> None:
    hours = 35_000
    one = rows([1.0] * hours, source="best")
    both = pl.concat([one, one.with_columns(source=pl.lit("second"), published_at=pl.col("published_at") + HOUR)])
    began = time.process_time()
    made = snapshot(both, zone=RANKED, issue_times=LATER)
    assert time.process_time() - began < 0.5
    assert made.series[LOAD].values.shape == (1, hours)
