"""Open-Meteo: which run answers for which hour, and what a refusal says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gridcast.simulate import VirtualClock, World, running
from gridcast.simulate.climate import Climate

COPENHAGEN = {"latitude": "55.68", "longitude": "12.57"}
TWO = {"latitude": "55.68,56.16", "longitude": "12.57,10.21"}
UNIX = {"timeformat": "unixtime", "timezone": "GMT"}
IFS = {"models": "ecmwf_ifs"}
FORECAST = "/openmeteo/v1/forecast"
SINGLE = "/openmeteo/single-runs/v1/forecast"
PREVIOUS = "/openmeteo/previous-runs/v1/forecast"
HISTORICAL = "/openmeteo/historical/v1/forecast"
ARCHIVE = "/openmeteo/archive/v1/archive"
DAY = {"start_date": "2025-11-10", "end_date": "2025-11-11"}


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture
def url(world, clock):
    with running(world, clock=clock, limits=False) as url:
        yield url


def series(get, url, path, variable="temperature_2m", **params):
    got = get(url, path, params={**COPENHAGEN, **UNIX, **IFS, "hourly": variable, **params})
    assert got.status == 200, got.text
    return dict(zip(got.json["hourly"]["time"], got.json["hourly"][variable], strict=True))


def second(*when):
    return int(datetime(*when, tzinfo=UTC).timestamp())


def test_one_place_is_an_object_and_several_are_a_list(url, get):
    params = {**UNIX, **IFS, "hourly": "temperature_2m,wind_speed_10m,snow_depth", **DAY}
    one = get(url, HISTORICAL, params=COPENHAGEN | params).json
    two = get(url, HISTORICAL, params=TWO | params | {"wind_speed_unit": "ms"}).json

    assert one["hourly_units"] == {
        "time": "unixtime",
        "temperature_2m": "°C",
        "wind_speed_10m": "km/h",
        "snow_depth": "undefined",
    }
    assert set(one["hourly"]["snow_depth"]) == {None}
    assert [len(values) for values in one["hourly"].values()] == [48] * 4
    assert isinstance(two, list)
    assert two[0]["hourly"]["temperature_2m"] == one["hourly"]["temperature_2m"]
    assert two[1]["hourly"]["temperature_2m"] != one["hourly"]["temperature_2m"]
    assert two[0]["hourly_units"]["wind_speed_10m"] == "m/s"
    ratio = np.array(one["hourly"]["wind_speed_10m"]) / np.array(two[0]["hourly"]["wind_speed_10m"])
    assert ratio == pytest.approx(3.6, rel=0.05)


def test_times_are_text_without_an_offset_unless_asked_for(url, get):
    params = COPENHAGEN | {"hourly": "temperature_2m", "start_date": "2025-11-10", "end_date": "2025-11-10"}
    got = get(url, HISTORICAL, params=params).json
    local = get(url, HISTORICAL, params=params | {"timezone": "Europe/Copenhagen"}).json

    assert got["hourly"]["time"][0] == local["hourly"]["time"][0] == "2025-11-10T00:00"
    assert local["utc_offset_seconds"] == 3600
    assert got["hourly"]["temperature_2m"][:-1] == local["hourly"]["temperature_2m"][1:]


def test_a_previous_day_is_the_newest_run_begun_so_many_days_before_the_hour(url, get):
    previous = {days: series(get, url, PREVIOUS, f"temperature_2m_previous_day{days}", **DAY) for days in (1, 2)}
    for hour, run in [
        (0, "2025-11-08T00:00"),
        (5, "2025-11-08T00:00"),
        (6, "2025-11-08T06:00"),
        (23, "2025-11-08T18:00"),
    ]:
        single = series(get, url, SINGLE, run=run)
        when = second(2025, 11, 10, hour)
        assert previous[2][when] == single[when]
    single = series(get, url, SINGLE, run="2025-11-09T12:00")
    assert previous[1][second(2025, 11, 10, 13)] == single[second(2025, 11, 10, 13)]


def test_the_forecast_is_the_newest_run_that_is_out(url, get):
    # 09:30 UTC: the run of 00 is out since 06:30, that of 06 comes at 12:30.
    forecast = series(get, url, FORECAST, forecast_days="3")
    single = series(get, url, SINGLE, run="2025-11-18T00:00")
    tomorrow = [second(2025, 11, 19, hour) for hour in range(24)]

    assert [forecast[when] for when in tomorrow] == [single[when] for when in tomorrow]
    newest = get(url, "/openmeteo/data/ecmwf_ifs/static/meta.json").json
    assert newest["last_run_initialisation_time"] == second(2025, 11, 18)
    assert newest["last_run_availability_time"] == second(2025, 11, 18, 6, 30)


def test_a_run_has_nothing_before_it_begins_and_beyond_its_reach(url, get):
    values = series(get, url, SINGLE, run="2025-11-17T18:00", start_date="2025-11-17", end_date="2025-11-25")

    assert values[second(2025, 11, 17, 17)] is None
    assert values[second(2025, 11, 17, 18)] is not None
    assert values[second(2025, 11, 23, 18)] is not None
    assert values[second(2025, 11, 23, 19)] is None


def test_errors_grow_with_lead_time(world, url, get):
    period = {"start_date": "2024-06-01", "end_date": "2025-06-01"}
    truth = np.array(list(series(get, url, ARCHIVE, models="era5", **period).values()))
    spread = []
    for days in (0, 2, 5):
        said = series(get, url, PREVIOUS, f"temperature_2m_previous_day{days}" if days else "temperature_2m", **period)
        spread.append(np.std(np.array(list(said.values())) - truth))

    assert spread[0] < 0.6 < spread[1] < spread[2] < 4


def test_the_archive_is_the_truth_of_what_lies_far_enough_back(world, url, get):
    values = series(get, url, ARCHIVE, models="era5", start_date="2025-11-12", end_date="2025-11-18")
    hours = np.array(list(values)).astype("datetime64[s]").astype("datetime64[us]")
    truth = Climate(world).truth((55.68, 12.57), "temperature_2m", hours=hours)

    assert values[second(2025, 11, 14)] is None
    assert values[second(2025, 11, 13)] == pytest.approx(truth[24], abs=0.051)


def test_radiation_is_of_the_hour_before_its_stamp(url, get):
    values = series(
        get, url, ARCHIVE, "shortwave_radiation", models="era5", start_date="2025-06-10", end_date="2025-06-20"
    )
    night = [values[second(2025, 6, 15, hour)] for hour in (22, 23)] + [values[second(2025, 6, 16, 1)]]
    parts = [
        series(get, url, ARCHIVE, name, models="era5", start_date="2025-06-10", end_date="2025-06-20")
        for name in ("direct_radiation", "diffuse_radiation")
    ]

    assert night == [0, 0, 0]
    assert max(values.values()) > 300
    for when, total in values.items():
        assert total == pytest.approx(parts[0][when] + parts[1][when], abs=1.01)


def test_local_models_keep_one_previous_day(url, get):
    params = {**COPENHAGEN, **UNIX, **DAY, "models": "dmi_harmonie_arome_europe"}
    names = "temperature_2m_previous_day1,temperature_2m_previous_day2"
    got = get(url, PREVIOUS, params=params | {"hourly": names}).json

    assert got["hourly_units"]["temperature_2m_previous_day1"] == "°C"
    assert got["hourly_units"]["temperature_2m_previous_day2"] == "undefined"


def test_two_models_get_their_names_into_the_variables(url, get):
    params = {**COPENHAGEN, **UNIX, **DAY, "models": "ecmwf_ifs,dwd_icon_eu", "hourly": "temperature_2m"}
    hourly = get(url, HISTORICAL, params=params).json["hourly"]

    assert set(hourly) == {"time", "temperature_2m_ecmwf_ifs", "temperature_2m_dwd_icon_eu"}
    assert hourly["temperature_2m_ecmwf_ifs"] != hourly["temperature_2m_dwd_icon_eu"]


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        (FORECAST, {"hourly": "temperature_3m"}, "Cannot initialize WeatherVariable from invalid String value"),
        (FORECAST, {"hourly": "temperature_2m_previous_day1"}, "Cannot initialize WeatherVariable"),
        (FORECAST, {"models": "nobody"}, "invalid String value nobody"),
        (FORECAST, {"run": "2025-11-18T00:00"}, "Parameter 'run' must not be set"),
        (SINGLE, {}, "Parameter 'run' is required"),
        (SINGLE, {"run": "2025-11-18T06:00"}, "The requested model run is not available. Model: ecmwf_ifs, run: "),
        (SINGLE, {"run": "2025-11-18T03:00"}, "The requested model run is not available"),
        (SINGLE, {"run": "2024-03-13T00:00"}, "The requested model run is not available"),
        (SINGLE, {"run": "2025-11-17T00:00", "models": "dwd_icon_eu"}, "The requested model run is not available"),
        (SINGLE, {"run": "noon"}, "Invalid date format"),
        (FORECAST, {"start_date": "2025-01-01", "end_date": "2025-01-02"}, "is out of allowed range from"),
        (ARCHIVE, {"models": "era5", "start_date": "2026-01-01", "end_date": "2026-01-02"}, "is out of allowed range"),
        (ARCHIVE, {"models": "era5"}, "Parameter 'start_date' is required"),
        (FORECAST, {"latitude": "55,56"}, "same number of elements"),
        (FORECAST, {"latitude": "north"}, "Float"),
        (FORECAST, {"latitude": "155"}, "Latitude must be in range"),
        (FORECAST, {"timezone": "Nowhere/City"}, "Invalid timezone"),
        (FORECAST, {"past_days": "93"}, "out of allowed range"),
        (FORECAST, {"wind_speed_unit": "bft"}, "WindspeedUnit"),
    ],
)
def test_a_wrong_request_is_400_with_a_reason(url, get, path, change, words):
    got = get(url, path, params={**COPENHAGEN, **IFS, "hourly": "temperature_2m", **change})

    assert (got.status, got.json["error"]) == (400, True)
    assert words in got.json["reason"]


def test_call_weights_are_counted_and_limited(world, get):
    clock = VirtualClock(datetime(2025, 11, 18, 9, 30, tzinfo=UTC))
    # Two places, five variables, 1461 days: 2 x (1461 / 14) x 0.5 calls; ten places more are too much for a minute.
    names = "temperature_2m,wind_speed_10m,cloud_cover,shortwave_radiation,relative_humidity_2m"
    params = {**TWO, **UNIX, "models": "era5", "hourly": names, "start_date": "2021-01-01", "end_date": "2024-12-31"}
    many = {"latitude": ",".join(["55"] * 10), "longitude": ",".join(["12"] * 10)}
    with running(world, clock=clock) as url:
        assert get(url, ARCHIVE, params=params).status == 200
        refused = get(url, ARCHIVE, params=params | many)
        assert refused.status == 429
        assert refused.json["reason"] == "Minutely API request limit exceeded. Please try again in one minute."
        assert get(url, "/simulator/stats").json["call_weights"][ARCHIVE] == pytest.approx(2 * 1461 / 14 * 0.5)
        clock.sleep(61)
        assert get(url, ARCHIVE, params=params | many | {"end_date": "2021-01-31"}).status == 200


@pytest.mark.parametrize("point", [(60.17, 24.94), (38.72, -9.14)])
def test_weather_does_not_depend_on_the_period_asked_for(world, point):
    begin = np.datetime64("2024-05-01", "us")
    hours = begin + np.arange(72) * np.timedelta64(1, "h")
    for variable in ("temperature_2m", "wind_speed_10m", "shortwave_radiation"):
        climate = Climate(world)
        whole, part = climate.truth(point, variable, hours=hours), climate.truth(point, variable, hours=hours[20:40])
        assert whole[20:40] == pytest.approx(part)


def test_a_files_own_weather_is_the_truth_of_its_zone(tmp_path, clock, get):
    from gridcast.market.zones import zone

    lines = [
        f"{datetime(2025, 6, 1, tzinfo=UTC) + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ},{100 + n},{n / 10}"
        for n in range(48)
    ]
    (tmp_path / "town.csv").write_text("ts_utc,load_mw,temperature_c\n" + "\n".join(lines) + "\n")
    with running(World.of_file(tmp_path / "town.csv", zone=zone("DK_2")), clock=clock) as url:
        values = series(get, url, ARCHIVE, models="era5", start_date="2025-06-01", end_date="2025-06-02")

    assert list(values.values()) == [n / 10 for n in range(48)]
