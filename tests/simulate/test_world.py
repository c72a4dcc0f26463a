"""The simulated truth: the same whatever is asked for, gaps and versions included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.errors import ConfigError
from gridcast.market.zones import zone, zones
from gridcast.simulate import World
from gridcast.simulate.chance import normal, remembered, uniform
from gridcast.simulate.world import clock_shift
from gridcast.sources import demo, tabular

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
AFTERWARDS = datetime(2030, 1, 1, tzinfo=UTC)


def at(*when):
    return datetime(*when, tzinfo=UTC)


def test_danish_load_is_the_demos():
    frame = demo.observations(
        zone("DK_2"), start=date(2024, 5, 1), end=date(2024, 5, 3), fetched_at=at(2024, 6, 1)
    ).filter(pl.col("variable") == "load")

    strip = World(decimals=1).load(zone("DK_2"), begin=at(2024, 4, 30, 22), end=at(2024, 5, 2, 22))

    assert strip.as_of(AFTERWARDS).tolist() == frame["value"].to_list()


@pytest.mark.parametrize("code", ["DK_1", "FI", "PT", "FR"])
def test_a_value_does_not_depend_on_the_period_asked_for(code):
    world = World(resolution=QUARTER)
    long = world.load(zone(code), begin=at(2023, 12, 30), end=at(2024, 1, 3))
    short = World(resolution=QUARTER).load(zone(code), begin=at(2023, 12, 31, 22), end=at(2024, 1, 1, 2))
    inside = np.isin(long.start, short.start)

    assert len(short.start) == 16
    assert (long.value[:, inside] == short.value).all()
    assert (long.published_at[:, inside] == short.published_at).all()


def test_quarters_keep_the_mean_of_their_hour():
    period = {"begin": at(2024, 3, 1), "end": at(2024, 3, 8)}
    hours = World(decimals=3).load(zone("DK_1"), **period).value[-1]
    quarters = World(decimals=3, resolution=QUARTER).load(zone("DK_1"), **period).value[-1]

    assert quarters.reshape(-1, 4).mean(axis=1) == pytest.approx(hours, abs=1e-3)
    assert (np.diff(quarters.reshape(-1, 4), axis=1) != 0).mean() > 0.9


def test_denmark_is_the_sum_of_its_zones():
    world, period = World(), {"begin": at(2024, 3, 1), "end": at(2024, 3, 8)}
    parts = [world.load(zone(code), **period).as_of(AFTERWARDS) for code in ("DK_1", "DK_2")]

    assert (world.load(zone("DK"), **period).as_of(AFTERWARDS) == sum(parts)).all()


def test_every_zone_that_publishes_at_entsoe_has_load_and_no_other():
    world, period = World(), {"begin": at(2024, 3, 1), "end": at(2024, 3, 2)}

    for known in zones().values():
        assert world.serves(known) != known.files_only
    served = [known for known in zones().values() if world.serves(known)]
    means = {known.code: world.load(known, **period).value[-1].mean() for known in served}
    assert len(means) == 49
    assert all(300 < mean < 90_000 for mean in means.values()), means


def test_a_value_is_out_about_an_hour_after_its_interval_and_the_forecast_before_the_gate():
    world, period = World(late=0, revised=0), {"begin": at(2024, 1, 1), "end": at(2024, 7, 1)}
    load, forecast = (series(zone("FR"), **period) for series in (world.load, world.forecast))
    lag = (load.published_at[0] - load.start - load.resolution) / np.timedelta64(1, "m")
    lead = (forecast.start - forecast.published_at[0]) / np.timedelta64(1, "h")

    assert (lag.min(), lag.max()) == (pytest.approx(48, abs=1), pytest.approx(72, abs=1))
    assert 13.9 < lead.min() < lead.max() < 40.1


def test_revisions_come_later_and_the_last_is_the_truth():
    strip = World(revised=0.3).load(zone("DK_1"), begin=at(2024, 1, 1), end=at(2024, 7, 1))
    changed = strip.value[0] != strip.value[-1]

    assert changed.mean() == pytest.approx(0.3, abs=0.03)
    assert (np.diff(strip.published_at, axis=0) >= np.timedelta64(0, "us")).all()
    assert (strip.published_at[1] > strip.published_at[0])[changed].all()
    assert (strip.as_of(AFTERWARDS) == strip.value[-1]).all()


def test_the_forecasts_error_has_a_memory():
    world, period = World(), {"begin": at(2024, 1, 1), "end": at(2024, 12, 31)}
    load, forecast = (series(zone("NL"), **period).value[0] for series in (world.load, world.forecast))
    error = forecast / load - 1

    assert 0.01 < np.abs(error).mean() < 0.03
    assert np.corrcoef(error[1:], error[:-1])[0, 1] > 0.7


def test_resolution_changes_at_the_instant_given():
    world = World(switches=((at(2025, 9, 30, 22), QUARTER),))
    strip = world.load(zone("DK_1"), begin=at(2025, 9, 30, 20), end=at(2025, 10, 1))

    assert (strip.resolution / np.timedelta64(1, "m")).tolist() == [60] * 2 + [15] * 8


def test_gaps_are_never_published():
    strip = World(gaps=0.1).load(zone("DK_1"), begin=at(2024, 1, 1), end=at(2025, 1, 1))

    assert np.isnan(strip.as_of(AFTERWARDS)).mean() == pytest.approx(0.1, abs=0.02)


def test_a_files_gaps_stay_gaps_and_its_forecast_is_served(tmp_path):
    rows = [(at(2024, 5, 1) + n * HOUR, 100.0 + n, 90.0 + n) for n in range(48) if n not in (7, 8)]
    lines = [f"{when:%Y-%m-%dT%H:%M:%SZ},{load},{tso}" for when, load, tso in rows]
    file = tmp_path / "town.csv"
    file.write_text("ts_utc,load_mw,tso_forecast_mw\n" + "\n".join(lines) + "\n")
    world = World.of_file(file, zone=zone("GB"))
    period = {"begin": at(2024, 5, 1), "end": at(2024, 5, 3)}

    load, forecast = world.load(zone("GB"), **period), world.forecast(zone("GB"), **period)

    assert world.serves(zone("GB"))
    assert load.as_of(AFTERWARDS).tolist() == [load for _, load, _ in rows]
    assert forecast.as_of(AFTERWARDS).tolist() == [tso for _, _, tso in rows]
    assert len(world.load(zone("DK_1"), **period).start) == 48


def test_a_file_without_a_forecast_gets_one_made(tmp_path):
    lines = [f"{at(2024, 5, 1) + n * HOUR:%Y-%m-%dT%H:%M:%SZ},{100 + n}" for n in range(48)]
    (tmp_path / "town.csv").write_text("ts_utc,load_mw\n" + "\n".join(lines) + "\n")
    frame = tabular.read(tmp_path / "town.csv", zone=zone("FI"), fetched_at=AFTERWARDS)
    forecast = World(files={"FI": frame}, decimals=3).forecast(zone("FI"), begin=at(2024, 5, 1), end=at(2024, 5, 3))

    assert np.abs(forecast.value[0] / np.arange(100, 148) - 1).max() < 0.15


@pytest.mark.parametrize("wrong", [{"resolution": timedelta(minutes=7)}, {"gaps": 1.5}, {"curve": "A02"}])
def test_a_world_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        World(**wrong)


def test_chance_has_the_moments_it_should_have():
    hours = np.arange(np.datetime64("2024-01-01", "us"), np.datetime64("2026-01-01", "us"), np.timedelta64(1, "h"))
    flat, bell = uniform(hours, "a", seed=1), normal(hours, "b", seed=1)
    kept = remembered(hours, "c", seed=1, memory=12)

    assert flat.mean() == pytest.approx(0.5, abs=0.01)
    assert (bell.mean(), bell.std()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))
    assert kept.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(kept[1:], kept[:-1])[0, 1] == pytest.approx(np.exp(-1 / 12), abs=0.03)
    assert (uniform(hours, "a", seed=2) != flat).all()


def test_zones_to_the_east_are_ahead():
    assert [clock_shift(zone(code)) for code in ("FI", "FR", "PT")] == [1, 0, -1]
