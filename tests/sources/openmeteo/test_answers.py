"""What an answer of Open-Meteo is refused for, what is set aside, and what is read from the rest."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import observations
from gridcast.errors import BadAnswer, Refused, SourceError
from gridcast.market.days import delivery_window
from gridcast.market.zones import zone
from gridcast.sources.openmeteo import answers
from gridcast.sources.openmeteo.models import MODELS, VARIABLES
from gridcast.sources.openmeteo.requests import plan
from openmeteo_answers import document, mean, received

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
DK_1 = zone("DK_1")
START, END = delivery_window(DK_1, date(2026, 11, 24))
NAMES = ("temperature_2m", "shortwave_radiation")


def asked(where=DK_1, names=NAMES, model="ecmwf_ifs") -> dict[str, str]:
    (request,), _ = plan(where, start=START, end=END, now=NOW, variables=names, model=MODELS[model])
    return request.params(where)


PARAMS = asked()
GOOD = document(PARAMS)


def changed(change: Callable[[list], object]) -> bytes:
    """The good answer after a change."""
    places = copy.deepcopy(GOOD)
    change(places)
    return json.dumps(places).encode()


def column(position: int, value: object, *, place: int = 2, name: str = "temperature_2m") -> bytes:
    """The good answer with one value changed."""
    return changed(lambda places: places[place]["hourly"][name].__setitem__(position, value))


def times(change: Callable[[list], object]) -> bytes:
    """The good answer with one place's time axis changed."""
    return changed(lambda places: change(places[2]["hourly"]["time"]))


def each(change: Callable[[dict], object]) -> bytes:
    """The good answer with every place changed."""
    return changed(lambda places: [change(place) for place in places])


def stretched(places: list) -> None:
    """A quarter-hourly axis of the same length."""
    for place in places:
        axis = place["hourly"]["time"]
        place["hourly"]["time"] = [axis[0] + 900 * n for n in range(len(axis))]


WHOLE = json.dumps(GOOD).encode()
REFUSED = {
    "an HTML page": (b"<html>maintenance</body>", "json"),
    "an empty body": (b"\n", "empty"),
    "cut short": (WHOLE[:-50], "json"),
    "NaN": (column(3, float("nan")), "json"),
    "minus infinity": (column(3, float("-inf")), "json"),
    "an infinite value": (column(3, "X").replace(b'"X"', b"-1e999"), "number"),
    "a key twice": (WHOLE.replace(b'"timezone"', b'"hourly": {}, "timezone"', 1), "json"),
    "100,000 brackets": (b"[" * 100_000, "json"),
    "UTF-16": (WHOLE.decode().encode("utf-16"), "json"),
    "a number": (b"42", "places"),
    "one place for six": (json.dumps(GOOD[0]).encode(), "places"),
    "a place missing": (changed(lambda places: places.pop()), "places"),
    "a place too many": (changed(lambda places: places.append(copy.deepcopy(places[0]))), "places"),
    "a place that is null": (changed(lambda places: places.__setitem__(2, None)), "places"),
    "the places backwards": (changed(lambda places: places.reverse()), "places"),
    "two neighbours exchanged": (changed(lambda places: places.insert(4, places.pop(3))), "places"),
    "a place elsewhere": (changed(lambda places: places[2].update(latitude=50.0)), "places"),
    "latitude and longitude exchanged": (
        each(lambda place: place.update(latitude=place["longitude"], longitude=place["latitude"])),
        "places",
    ),
    "a place without coordinates": (changed(lambda places: places[2].pop("latitude")), "places"),
    "coordinates as text": (changed(lambda places: places[2].update(latitude="55.4")), "places"),
    "no hourly values": (changed(lambda places: places[2].pop("hourly")), "shape"),
    "no units": (changed(lambda places: places[2].pop("hourly_units")), "shape"),
    "hourly values in a list": (changed(lambda places: places[2].update(hourly=[])), "shape"),
    "local time": (each(lambda place: place.update(utc_offset_seconds=3600)), "clock"),
    "no offset": (each(lambda place: place.pop("utc_offset_seconds")), "clock"),
    "times in words": (each(lambda place: place["hourly_units"].update(time="iso8601")), "clock"),
    "no times": (each(lambda place: place["hourly"].pop("time")), "time"),
    "a time as text": (times(lambda axis: axis.__setitem__(3, "2026-11-24T02:00")), "time"),
    "a time missing": (times(lambda axis: axis.pop(3)), "time"),
    "a time twice": (times(lambda axis: axis.__setitem__(3, axis[2])), "time"),
    "times backwards": (times(lambda axis: axis.reverse()), "time"),
    "times off the hour": (
        each(lambda place: place["hourly"].update(time=[t - 60 for t in place["hourly"]["time"]])),
        "time",
    ),
    "an hour late": (
        each(lambda place: place["hourly"].update(time=[t + 3600 for t in place["hourly"]["time"]])),
        "time",
    ),
    "yesterday's answer": (
        each(lambda place: place["hourly"].update(time=[t - 86_400 for t in place["hourly"]["time"]])),
        "time",
    ),
    "quarters of an hour": (changed(stretched), "time"),
    "milliseconds": (
        each(lambda place: place["hourly"].update(time=[t * 1000 for t in place["hourly"]["time"]])),
        "time",
    ),
    "no values at all": (each(lambda place: place["hourly"].update(time=[], temperature_2m=[])), "time"),
    "a column missing": (changed(lambda places: places[2]["hourly"].pop("temperature_2m")), "columns"),
    "columns with the model's name behind": (WHOLE.replace(b"temperature_2m", b"temperature_2m_ecmwf_ifs"), "columns"),
    "a value missing": (changed(lambda places: places[2]["hourly"]["temperature_2m"].pop()), "columns"),
    "a value too many": (changed(lambda places: places[2]["hourly"]["temperature_2m"].append(1.0)), "columns"),
    "a number as text": (column(3, "12.5"), "number"),
    "true for a number": (column(3, True), "number"),
    "an object for a number": (column(3, {}), "number"),
    "Fahrenheit": (each(lambda place: place["hourly_units"].update(temperature_2m="°F")), "unit"),
    "one place in Kelvin": (changed(lambda places: places[2]["hourly_units"].update(temperature_2m="K")), "unit"),
    "no unit": (each(lambda place: place["hourly_units"].pop("temperature_2m")), "unit"),
    "undefined, with values": (each(lambda place: place["hourly_units"].update(temperature_2m="undefined")), "unit"),
    "a variable the model lacks": (
        each(
            lambda place: (
                place["hourly_units"].update(temperature_2m="undefined"),
                place["hourly"].update(temperature_2m=[None] * len(place["hourly"]["time"])),
            )
        ),
        "undefined",
    ),
}
DOUBTED = {
    "Kelvin under the name of Celsius": (column(3, 281.5), "temperature_2m", [2, 3]),
    "Fahrenheit under the name of Celsius": (column(3, 81.0), "temperature_2m", [2, 3]),
    "Fahrenheit of a mild winter day": (column(3, 41.0), "temperature_2m", [2, 3]),
    "a temperature in hundredths": (column(0, -1250.0), "temperature_2m", [0]),
    "negative radiation": (column(3, -20.0, name="shortwave_radiation"), "shortwave_radiation", [2]),
    "a whole day's radiation in an hour": (column(24, 9000.0, name="shortwave_radiation"), "shortwave_radiation", [23]),
}
MISSED = {
    "a null at one place": (column(3, None), "temperature_2m", [2, 3]),
    "a null of radiation": (column(3, None, name="shortwave_radiation"), "shortwave_radiation", [2]),
    "nothing but nulls": (
        each(lambda place: place["hourly"].update(temperature_2m=[None] * 25)),
        "temperature_2m",
        list(range(24)),
    ),
}


def read(body: bytes, params=PARAMS, where=DK_1):
    return answers.read(received(body, params, at=NOW), zone=where)


def all_true(found) -> bool:
    """Whether every sound row holds the mean worked out by hand."""
    return all(
        row["value"] == pytest.approx(mean(DK_1, row["variable"], start=row["valid_time"]), abs=1e-9)
        for row in found.observations.iter_rows(named=True)
    )


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_answer_is_refused(fault):
    body, kind = REFUSED[fault]
    with pytest.raises(BadAnswer) as caught:
        read(body)
    assert caught.value.fault == kind
    assert str(caught.value).isprintable()
    assert caught.value.source == "openmeteo"


@pytest.mark.parametrize("fault", DOUBTED)
def test_an_implausible_value_is_set_aside_and_the_others_stay_true(fault):
    body, name, places = DOUBTED[fault]
    found = read(body)
    assert found.doubtful["variable"].unique().to_list() == [name]
    assert found.doubtful["valid_time"].to_list() == [START + n * HOUR for n in places]
    assert all("is below" in reason for reason in found.doubtful["reason"])
    assert found.observations.height == 48 - len(places)
    assert all_true(found)


@pytest.mark.parametrize("fault", MISSED)
def test_a_null_is_due_and_missing_and_the_others_stay_true(fault):
    body, name, places = MISSED[fault]
    found = read(body)
    missing = found.due.join(found.observations, on=["variable", "valid_time"], how="anti")
    assert missing["variable"].unique().to_list() == [name]
    assert sorted(missing["valid_time"]) == [START + n * HOUR for n in places]
    assert all_true(found)
    assert any("has no temperature_2m" in note for note in found.notes) == (len(places) == 24)


def test_an_error_with_status_200_is_a_refusal_in_the_providers_words():
    with pytest.raises(Refused, match="No data is available for this location") as caught:
        read(b'{"error": true, "reason": "No data is available\\nfor this location"}')
    assert caught.value.reason == "No data is available for this location"


def test_an_answer_that_spans_more_than_asked_is_cut_by_its_times():
    wide = document(PARAMS | {"start_hour": "2026-11-22T00:00", "end_hour": "2026-11-27T12:00"})
    assert read(json.dumps(wide).encode()).observations.equals(read(WHOLE).observations)


def test_one_place_comes_without_a_list():
    town = replace(DK_1, weather_points=(DK_1.weather_points[0],))
    params = asked(town)
    found = read(json.dumps(document(params)).encode(), params, town)
    assert found.observations.height == 48


@pytest.mark.parametrize(("north", "refused"), [(0.25, False), (0.35, True)])
def test_a_place_may_be_a_few_cells_of_its_grid_away(north, refused):
    body = changed(lambda places: places[2].update(latitude=DK_1.weather_points[2].latitude + north))
    with pytest.raises(BadAnswer) if refused else contextlib.nullcontext():
        read(body)


def test_neighbours_nearer_than_a_few_cells_may_not_change_places():
    town = replace(DK_1.weather_points[0], longitude=DK_1.weather_points[0].longitude + 0.25)
    close = replace(DK_1, weather_points=(DK_1.weather_points[0], town))
    params = asked(close)
    places = document(params)
    assert read(json.dumps(places).encode(), params, close).observations.height == 48
    with pytest.raises(BadAnswer, match="another order"):
        read(json.dumps(places[::-1]).encode(), params, close)


def test_two_places_in_one_cell_are_no_fault():
    points = DK_1.weather_points
    close = replace(DK_1, weather_points=(points[0], points[0], *points[2:]))
    params = asked(close)
    assert read(json.dumps(document(params)).encode(), params, close).observations.height == 48


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_read(name):
    params = asked(names=(name,))
    found = read(json.dumps(document(params)).encode(), params)
    assert found.observations["variable"].unique().to_list() == [name]
    assert all_true(found)


@pytest.mark.parametrize(
    "params",
    [
        {},
        PARAMS | {"models": "best_match"},
        PARAMS | {"hourly": "temperature_80m"},
        PARAMS | {"hourly": "temperature_2m_previous_day8"},
        PARAMS | {"latitude": "north"},
        PARAMS | {"longitude": "10.21"},
        PARAMS | {"start_hour": "yesterday"},
        PARAMS | {"run": "midnight"},
    ],
)
def test_an_answer_to_a_request_that_is_none_of_ours_is_not_read(params):
    with pytest.raises(BadAnswer) as caught:
        read(WHOLE, params)
    assert caught.value.fault == "request"


@given(
    weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    temperatures=st.lists(st.floats(-40, 20), min_size=6, max_size=6),
)
def test_the_mean_lies_between_the_places(weights, temperatures):
    total = sum(weights)
    points = tuple(
        type(point)(point.name, point.latitude, point.longitude, weight / total)
        for point, weight in zip(DK_1.weather_points, weights, strict=False)
    )
    where = replace(DK_1, weather_points=points)
    params = asked(where, names=("temperature_2m",))
    places = document(params)
    for place, value in zip(places, temperatures, strict=False):
        place["hourly"]["temperature_2m"] = [value] * 25
    (mean_value,) = set(read(json.dumps(places).encode(), params, where).observations["value"].round(9))
    used = temperatures[: len(points)]
    assert min(used) - 1e-6 <= mean_value <= max(used) + 1e-6


@given(data=st.data())
def test_no_broken_answer_is_an_untyped_error(data):
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["cut", "drop", "put", "flip", "repeat"])):
            case "cut":
                del body[place:]
            case "drop":
                del body[place : place + data.draw(st.integers(1, 40))]
            case "put":
                body[place:place] = data.draw(st.binary(max_size=8))
            case "flip" if place < len(body):
                body[place] ^= 1 << data.draw(st.integers(0, 7))
            case "repeat":
                body[place:place] = body[place : place + 60]
    with contextlib.suppress(SourceError):
        observations(read(bytes(body)).observations)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["hourly", "time", "error"]), inner),
    max_leaves=8,
)


@given(junk=JSON, path=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_junk_in_any_place_of_the_document_is_a_typed_error_or_no_matter(junk, path):
    places = copy.deepcopy(GOOD)
    spot: object = places
    for step in path[:-1]:
        inner = list(spot.values()) if isinstance(spot, dict) else spot
        if not isinstance(inner, list) or not inner or not isinstance(inner[step % len(inner)], dict | list):
            break
        spot = inner[step % len(inner)]
    keys = list(spot) if isinstance(spot, dict) else range(len(spot))
    spot[keys[path[-1] % len(keys)]] = junk
    try:
        found = read(json.dumps(places).encode())
    except SourceError:
        return
    sound = found.observations.join(found.doubtful, on=["variable", "valid_time"], how="anti")
    assert sound.height + found.doubtful.height <= 48
