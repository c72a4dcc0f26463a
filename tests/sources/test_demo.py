"""The demo's table: valid, labelled synthetic, and the same whatever the period asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import OBSERVATIONS, Floats
from gridcast.errors import ConfigError
from gridcast.market.days import Times
from gridcast.market.zones import zone
from gridcast.sources.demo import Variant, observations

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COPENHAGEN = "Europe/Copenhagen"


@cache
def table(code: str, *, variant: Variant = Variant.DENMARK_2015_2018, seed: int = 7) -> pl.DataFrame:
    return observations(
        zone(code), start=date(2015, 1, 1), end=date(2019, 1, 1), fetched_at=NOW, variant=variant, seed=seed
    )


def series(frame: pl.DataFrame, variable: str = "load") -> tuple[Times, Floats]:
    rows = frame.filter(pl.col("variable") == variable)
    return rows["valid_time"].dt.replace_time_zone(None).to_numpy(), rows["value"].to_numpy()


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("code", ["DK_1", "DK_2"])
def test_every_row_says_that_it_is_synthetic_and_which_variant(code, variant):
    frame = table(code, variant=variant)
    assert frame.schema == OBSERVATIONS
    assert frame["source"].unique().to_list() == [f"demo:synthetic:{variant.value}"]
    assert frame["zone"].unique().to_list() == [code]
    assert set(frame["variable"]) == {"load", "temperature_2m"}, "the true temperature is nobody's to know"


def test_each_variable_has_every_hour_of_four_years_once():
    for variable in ("load", "temperature_2m"):
        utc, values = series(table("DK_1"), variable)
        assert utc[0] == np.datetime64("2014-12-31T23:00")
        assert np.array_equal(utc, utc[0] + np.arange(35_064) * np.timedelta64(1, "h"))
        assert np.isfinite(values).all()


def test_load_is_published_two_hours_after_the_end_of_its_hour():
    rows = table("DK_2").filter(pl.col("variable") == "load")
    assert (rows["published_at"] - rows["valid_time"]).unique().to_list() == [timedelta(hours=3)]
    assert rows["published_at_basis"].unique().to_list() == ["assumed"]


def test_the_weather_forecast_of_a_local_day_is_out_at_seven_utc_on_the_day_before():
    rows = table("DK_2").filter(pl.col("variable") == "temperature_2m")
    local_day = rows["valid_time"].dt.convert_time_zone(COPENHAGEN).dt.date()
    assert (rows["published_at"].dt.date() == local_day.dt.offset_by("-1d")).all()
    assert (rows["published_at"].dt.time() == datetime(2015, 1, 1, 7, tzinfo=UTC).time()).all()
    assert rows["published_at_basis"].unique().to_list() == ["reported"]


@given(first=st.dates(date(2015, 1, 1), date(2018, 12, 25)), days=st.integers(1, 6), modern=st.booleans())
def test_a_value_does_not_depend_on_the_period_asked_for(first, days, modern):
    variant = Variant.MODERN if modern else Variant.DENMARK_2015_2018
    part = observations(zone("DK_1"), start=first, end=first + timedelta(days=days), fetched_at=NOW, variant=variant)
    whole = table("DK_1", variant=variant)
    assert part.equals(whole.join(part, on=["variable", "valid_time"], how="semi"))
    assert part.height in {2 * (24 * days + shift) for shift in (-1, 0, 1)}


def test_four_years_and_two_of_them_agree_hour_by_hour():
    inner = observations(zone("DK_2"), start=date(2016, 1, 1), end=date(2018, 1, 1), fetched_at=NOW)
    assert inner.equals(table("DK_2").join(inner, on=["variable", "valid_time"], how="semi"))


def test_another_seed_is_another_history():
    same = np.mean(series(table("DK_1"))[1] == series(table("DK_1", seed=1))[1])
    assert same < 0.01


@pytest.mark.parametrize("year", [2010, 2023, 2024, 2035])
def test_any_year_from_2010_to_2035_has_a_danish_load(year):
    frame = observations(zone("DK_1"), start=date(year, 1, 1), end=date(year + 1, 1, 1), fetched_at=NOW)
    _, values = series(frame)
    assert np.mean(values) == pytest.approx(2263, rel=0.06)
    assert 0.45 < values.min() / values.mean() < values.max() / values.mean() < 1.75


@pytest.mark.parametrize("code", ["DK", "SE_4", "FR"])
def test_a_zone_without_a_synthetic_load_is_refused_with_the_zones_that_have_one(code):
    with pytest.raises(ConfigError, match=f"no synthetic load for {code}: use DK_1 or DK_2"):
        observations(zone(code), start=date(2015, 1, 1), end=date(2015, 1, 2), fetched_at=NOW)


def test_an_empty_period_and_a_negative_seed_are_refused():
    with pytest.raises(ConfigError, match="no day"):
        observations(zone("DK_1"), start=date(2015, 1, 1), end=date(2015, 1, 1), fetched_at=NOW)
    with pytest.raises(ConfigError, match="seed -1"):
        observations(zone("DK_1"), start=date(2015, 1, 1), end=date(2015, 1, 2), fetched_at=NOW, seed=-1)
