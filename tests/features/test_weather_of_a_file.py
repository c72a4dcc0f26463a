"""Every weather column of a user's file reaches the models: temperature, wind, radiation, and what else it has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.features.design import design, with_target
from gridcast.market.days import origins
from gridcast.market.zones import zone
from gridcast.models import expected, recipe
from gridcast.sources import tabular
from gridcast.store import snapshot

AT = zone("AT")
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, DAYS = date(2016, 3, 1), 120
COLUMNS = {
    "temperature_c": "temperature_2m_observed",
    "wind_ms": "wind_speed_10m_observed",
    "rad_direct_wm2": "direct_radiation_observed",
    "rad_diffuse_wm2": "diffuse_radiation_observed",
    "humidity": "humidity_observed",
}
"""A column of the file, and the variable that it is read as; the last one has no name of its own."""


def file(without: str | None = None) -> pl.DataFrame:
    """Load that sinks by 4 % an hour of bright sun, as rooftops produce, whatever the temperature."""
    random = np.random.default_rng(0)
    hours = np.arange(24 * DAYS)
    sun = np.maximum(np.sin((hours % 24 - 6) * np.pi / 12), 0) * np.repeat(random.uniform(0, 800, DAYS), 24)
    weather = {
        "temperature_c": 10 + np.repeat(random.normal(0, 4, DAYS), 24),
        "wind_ms": np.repeat(random.uniform(0, 12, DAYS), 24),
        "rad_direct_wm2": sun,
        "rad_diffuse_wm2": 0.3 * sun + random.uniform(0, 5, len(hours)),
        "humidity": random.uniform(40, 90, len(hours)),
    }
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    load = (
        6000
        * (1 + 0.2 * np.sin((hours % 24 - 9) * np.pi / 12))
        * np.exp(-5e-5 * sun + random.normal(0, 0.004, len(sun)))
    )
    stamps = [start + timedelta(hours=int(n)) for n in hours]
    return pl.DataFrame({"ts_utc": stamps, "load_mw": load, **{k: v for k, v in weather.items() if k != without}})


def trained_on(frame: pl.DataFrame):
    """The design of all but the last two weeks, and of those two."""
    rows = tabular.from_frame(frame, zone=AT, fetched_at=FETCHED)
    turn, last = FIRST + timedelta(days=DAYS - 16), FIRST + timedelta(days=DAYS - 2)
    learned, asked = origins(AT, first=FIRST + timedelta(days=2), last=turn), origins(AT, first=turn, last=last)
    end = np.datetime64(FIRST + timedelta(days=DAYS + 1), "us")
    known = snapshot(rows, zone=AT, issue_times=np.concatenate([learned.issue_time, asked.issue_time, [end]]))
    train = with_target(design(known, learned), known, at=asked.issue_time[0])
    return train, with_target(design(known, asked), known, at=end)


def error(frame: pl.DataFrame) -> float:
    train, test = trained_on(frame)
    fan, actual = recipe("linear").fit(train).predict(test), test.target[test.wanted_rows]
    return float(np.mean(np.abs(fan[:, 4] / actual - 1)))


def test_every_weather_column_becomes_a_block_that_models_use():
    train, _ = trained_on(file())
    assert {block.name for block in train.weather} == set(COLUMNS.values())
    assert set(expected.usable_weather(train)) == set(COLUMNS.values())
    assert train.weather_basis == "observed"
    fitted = recipe("linear").fit(train)
    assert set(fitted.base.weather) == set(COLUMNS.values())


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_a_file_lacks_is_not_there(column):
    train, _ = trained_on(file(without=column))
    assert {block.name for block in train.weather} == set(COLUMNS.values()) - {COLUMNS[column]}


def test_radiation_explains_what_temperature_does_not():
    everything = file()
    assert error(everything) < 0.8 * error(everything.drop("rad_direct_wm2", "rad_diffuse_wm2"))


@pytest.mark.parametrize(
    ("name", "weather"),
    [
        ("FR_load_tso_weather_2015_2018.csv.gz", {"temperature_2m", "direct_radiation", "diffuse_radiation"}),
        (
            "AT_load_weather_2011_2016.csv.gz",
            {"temperature_2m", "direct_radiation", "diffuse_radiation", "wind_speed_10m"},
        ),
    ],
)
def test_the_weather_of_real_files_enters(name, weather, shared_data):
    where = zone(name[:2])
    rows = tabular.read(shared_data / name, zone=where, fetched_at=FETCHED)
    first = date(2016, 5, 1)
    asked = origins(where, first=first, last=first + timedelta(days=100))
    known = snapshot(rows, zone=where, issue_times=asked.issue_time)
    made = with_target(design(known, asked), known, at=asked.issue_time[-1])
    assert set(expected.usable_weather(made)) == {f"{each}_observed" for each in weather}
