"""The four shapes: what they refuse, what a snapshot answers, what a slice of a design keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast import contracts
from gridcast.contracts import (
    FORECAST,
    LOAD,
    MEDIAN,
    OBSERVATION_KEY,
    OBSERVATIONS,
    OBSERVED,
    QUANTILES,
    TSO_FORECAST,
    Series,
    Snapshot,
)
from gridcast.errors import (
    DataError,
    DuplicateTime,
    ImplausibleValue,
    LookaheadError,
    MissingColumns,
    NotForecastable,
)
from gridcast.features.design import design
from gridcast.market.days import DAY, HOUR, Origins, origins
from gridcast.market.zones import zone
from gridcast.store import snapshot
from strategies import history, minutes, rows, utc

DK_1 = zone("DK_1")
SPRING = date(2024, 3, 31)
START = np.datetime64("2024-03-30T23:00", "us")


def three() -> pl.DataFrame:
    times = START + np.arange(3) * HOUR
    return rows("DK_1", LOAD, times, value=np.array([1.0, 2.0, 3.0]), published_at=times + HOUR)


# --- Observations ----------------------------------------------------------------------------------------------------


def test_valid_observations_come_back_sorted_by_their_key_with_the_columns_in_order() -> None:
    shuffled = three().reverse().select(reversed(list(OBSERVATIONS))).with_columns(note=pl.lit("not ours"))
    valid = contracts.observations(shuffled)
    assert valid.equals(three().sort(OBSERVATION_KEY))
    assert valid.schema == OBSERVATIONS
    assert contracts.observations(three().clear()).is_empty()


@pytest.mark.parametrize("column", list(OBSERVATIONS))
def test_observations_without_a_column_are_refused(column: str) -> None:
    with pytest.raises(MissingColumns, match=f"the file lacks {column}") as caught:
        contracts.observations(three().drop(column), where="the file")
    assert (caught.value.where, caught.value.missing) == ("the file", [column])


@pytest.mark.parametrize(
    ("column", "kind"), [("value", pl.Float32), ("valid_time", pl.Datetime("us")), ("resolution", pl.Duration("ms"))]
)
def test_observations_of_another_type_are_refused(column: str, kind: pl.DataType) -> None:
    frame = three()
    wrong = frame[column].dt.replace_time_zone(None) if column == "valid_time" else frame[column].cast(kind)
    with pytest.raises(DataError, match=f"columns of another type: {column} is"):
        contracts.observations(frame.with_columns(wrong))


@pytest.mark.parametrize("column", list(OBSERVATIONS))
def test_observations_with_a_null_are_refused(column: str) -> None:
    first = pl.int_range(pl.len()) == 0
    with pytest.raises(DataError, match=f"nulls in {column}"):
        contracts.observations(three().with_columns(pl.when(~first).then(column).alias(column)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_observations_with_a_value_that_is_not_finite_are_refused(value: float) -> None:
    wild = three().with_columns(value=pl.when(pl.col("value") == 2).then(value).otherwise("value"))
    with pytest.raises(ImplausibleValue, match="1 values that are not finite, first at 2024-03-31 00:00") as caught:
        contracts.observations(wild)
    assert len(caught.value.rows) == 1  # type: ignore[arg-type]


def test_observations_with_an_unknown_basis_are_refused() -> None:
    with pytest.raises(DataError, match="published_at_basis guessed"):
        contracts.observations(three().with_columns(published_at_basis=pl.lit("guessed")))


def test_observations_with_a_key_twice_are_refused_and_vintages_are_not() -> None:
    again = three().with_columns(value=pl.lit(9.0))
    with pytest.raises(DuplicateTime, match="6 rows with the same key, first at 2024-03-30 23:00"):
        contracts.observations(pl.concat([three(), again]))
    for other in ({"source": pl.lit("b")}, {"published_at": pl.col("published_at") + HOUR.item()}):
        assert contracts.observations(pl.concat([three(), again.with_columns(**other)])).height == 6


# --- Series and Snapshot ---------------------------------------------------------------------------------------------


def test_what_was_published_at_the_very_instant_is_public_and_no_vintage_never_is() -> None:
    published = np.array([START - HOUR, START, START + np.timedelta64(1, "us"), np.datetime64("NaT")])
    assert contracts.public(published, START).tolist() == [True, True, False, False]


def series() -> Series:
    nat = np.datetime64("NaT")
    return Series(
        start=START,
        resolution=HOUR,
        values=np.array([[1.0, 2.0, np.nan], [10.0, np.nan, np.nan]]),
        published_at=np.array([[START, START + HOUR, nat], [START + 5 * HOUR, nat, nat]]),
        basis="reported",
        source="a",
    )


def test_a_series_answers_with_the_latest_public_vintage_of_the_interval_that_holds_each_time() -> None:
    times = START + np.array([-1, 0, 59, 60, 119, 120, 180]) * np.timedelta64(1, "m")
    times[0] = START - np.timedelta64(1, "us")
    late, early = START + 5 * HOUR, START
    np.testing.assert_array_equal(series().known(times, late), [np.nan, 10, 10, 2, 2, np.nan, np.nan])
    np.testing.assert_array_equal(series().known(times, early), [np.nan, 1, 1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(series().known(times, early, observed=True), [np.nan, 10, 10, 2, 2, np.nan, np.nan])
    of_each = np.where(np.arange(7) == 1, late, early)
    np.testing.assert_array_equal(series().known(times, of_each)[:3], [np.nan, 10, 1])
    assert series().times.tolist() == (START + np.arange(3) * HOUR).tolist()


def of(**held: Series) -> Snapshot:
    return Snapshot(DK_1, np.array([START, START + HOUR]), HOUR, held)


def test_a_snapshot_refuses_to_say_what_was_public_after_its_last_issue_time() -> None:
    at = np.array([START])
    made = of(load=series())
    assert made.known(LOAD, at, issue_time=START + HOUR)[0] == 1.0
    with pytest.raises(LookaheadError, match=r"DK_1.*2024-03-31T00:00.*2024-03-31T00:00:00\.000001"):
        made.known(LOAD, at, issue_time=START + HOUR + np.timedelta64(1, "us"))
    with pytest.raises(LookaheadError):
        made.known("nothing", at, issue_time=np.array([START + 2 * HOUR]))
    assert made.known(LOAD, at[:0], issue_time=START + 9 * HOUR).size == 0


def test_a_snapshot_knows_its_variables_and_nothing_of_others() -> None:
    made = of(**{LOAD: series(), TSO_FORECAST: series(), "wind": series(), f"sun{OBSERVED}": series()})
    assert made.weather == (f"sun{OBSERVED}", "wind")
    assert "wind" in made
    assert "rain" not in made
    at, issue = np.array([START]), START + HOUR
    np.testing.assert_array_equal(made.known("rain", at, issue_time=issue), [np.nan])
    assert made.known("wind", at, issue_time=issue)[0] == 1.0
    assert made.known(f"sun{OBSERVED}", at, issue_time=issue)[0] == 10.0


# --- Design ----------------------------------------------------------------------------------------------------------


def test_a_slice_of_a_design_renumbers_its_rows_and_forgets_those_before_it() -> None:
    asked = origins(DK_1, first=date(2024, 3, 1), last=date(2024, 3, 20))
    frame = history(DK_1, first=date(2024, 1, 10), last=date(2024, 3, 20))
    whole = design(snapshot(frame, zone=DK_1, issue_times=asked.issue_time), asked)
    wanted = whole.origins.start == asked.start[-1]
    part = whole.take(wanted, run_up=5 * DAY)
    assert len(part.origins) == 6
    assert part.wanted.tolist() == [False] * 5 + [True]
    assert part.wanted_rows.sum() == 24
    assert part.slots == 24
    for field, load in (("lag_row", part.lag_load), ("recent_row", part.recent_load)):
        row = getattr(part, field)
        assert row.max() < len(part.valid_time)
        assert ((row == -1) | np.isfinite(load)).all()
    inside = part.lag_row[part.wanted_rows][:, [1, 4, 5]]
    assert (inside[:, :2] >= 0).all()
    assert (inside[:, 2] == -1).all()
    np.testing.assert_array_equal(part.valid_time[inside[:, 0]], part.valid_time[part.wanted_rows] - 2 * DAY)
    assert part.with_target(np.zeros(len(part.valid_time))).target.sum() == 0


# --- Forecast --------------------------------------------------------------------------------------------------------


def issued(asked: Origins, *, step: int = 60) -> pl.DataFrame:
    origin, times = asked.rows(minutes(step))
    many = len(QUANTILES)
    return pl.DataFrame(
        {
            "zone": "DK_1",
            "issue_time": np.repeat(asked.issue_time[origin], many),
            "valid_time": np.repeat(times, many),
            "resolution": timedelta(minutes=step),
            "quantile": np.tile(QUANTILES, len(times)),
            "value": np.tile(np.linspace(900, 1100, many), len(times)),
            "model_version": "test",
            "degraded": "",
        }
    ).with_columns(pl.col("issue_time", "valid_time").dt.replace_time_zone("UTC"))


ASKED = origins(DK_1, first=SPRING - timedelta(days=1), last=SPRING + timedelta(days=1))


def test_a_complete_forecast_is_accepted_in_any_order_and_comes_back_sorted() -> None:
    frame = issued(ASKED)
    assert frame.height == (24 + 23) * len(QUANTILES)
    valid = contracts.forecast(frame.sample(fraction=1.0, shuffle=True, seed=1), origins=ASKED)
    assert valid.equals(frame)
    assert valid.schema == FORECAST
    assert QUANTILES[MEDIAN] == 0.5
    assert contracts.forecast(issued(ASKED, step=15), origins=ASKED).height == 4 * frame.height


@pytest.mark.parametrize("column", list(FORECAST))
def test_a_forecast_without_a_column_is_refused(column: str) -> None:
    with pytest.raises(MissingColumns, match=f"forecast lacks {column}"):
        contracts.forecast(issued(ASKED).drop(column), origins=ASKED)


def changed(row: int, **values: object) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == row
    return issued(ASKED).with_columns(
        **{
            name: pl.when(at).then(pl.lit(value, dtype=FORECAST[name])).otherwise(name)
            for name, value in values.items()
        }
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (issued(ASKED).with_columns(pl.col("value").cast(pl.Int64)), "value is Int64"),
        (changed(5, value=None), "missing values"),
        (changed(5, value=float("nan")), "missing values"),
        (changed(5, value=float("inf")), "missing values"),
        (changed(5, model_version=None), "missing values"),
        (changed(0, valid_time=utc(2024, 3, 29, 10)), "issued at 2024-03-29 10:00.* forecasts 2024-03-29 10:00"),
        (changed(5, value=1.0), "quantiles cross"),
        (changed(5, value=1e9), "quantiles cross"),
    ],
)
def test_a_forecast_that_breaks_its_contract_is_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        contracts.forecast(frame, origins=ASKED)


def test_a_forecast_with_a_quantile_twice_is_refused() -> None:
    with pytest.raises(DuplicateTime, match="a quantile twice"):
        contracts.forecast(pl.concat([issued(ASKED), issued(ASKED).head(1)]), origins=ASKED)


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(pl.col("valid_time") != utc(2024, 3, 31, 1), id="an hour is missing"),
        pytest.param(pl.col("quantile") != 0.5, id="a quantile is missing everywhere"),
        pytest.param(
            (pl.col("quantile") != 0.5) | (pl.col("valid_time") != utc(2024, 3, 31, 1)),
            id="a quantile of one hour is missing",
        ),
        pytest.param(pl.lit(value=False), id="everything is missing"),
    ],
)
def test_an_incomplete_forecast_is_refused(kept: pl.Expr) -> None:
    with pytest.raises(NotForecastable, match="DK_1"):
        contracts.forecast(issued(ASKED).filter(kept), origins=ASKED)


def test_a_forecast_of_other_intervals_than_the_origins_own_is_refused() -> None:
    later = issued(ASKED).with_columns(pl.col("valid_time") + timedelta(hours=1))
    with pytest.raises(NotForecastable, match="DK_1"):
        contracts.forecast(later, origins=ASKED)


def test_a_forecast_of_two_resolutions_is_refused() -> None:
    quarters = issued(ASKED.take(slice(1, 2)), step=15)
    with pytest.raises(NotForecastable, match="DK_1"):
        contracts.forecast(pl.concat([issued(ASKED.take(slice(0, 1))), quarters]), origins=ASKED)


def test_a_forecast_of_no_origin_is_empty() -> None:
    nobody = replace(ASKED.take(slice(0, 0)))
    assert contracts.forecast(issued(ASKED).clear(), origins=nobody).is_empty()
