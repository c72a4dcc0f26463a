"""Open-Meteo answers that are wrong in what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults.catalogue import Spoilt, add, described

Places = list[dict[str, Any]]
Edit = Callable[[Places], Places | dict[str, Any] | str]


def _weather(edit: Edit) -> Edit:
    """A fault of a weather answer: the function gets its places, one or more, and may give back raw text."""
    name, sentence = described(edit)

    def spoil(reply: Reply, _ask: Ask) -> Spoilt:
        if b'"hourly":{' not in reply.body:
            return None
        sound = json.loads(reply.body)
        single = isinstance(sound, dict)
        edited = edit([sound] if single else sound)
        if isinstance(edited, list) and single and len(edited) == 1:
            edited = edited[0]
        text = edited if isinstance(edited, str) else _text(edited)
        return None if text.encode() == reply.body else replace(reply, body=text.encode())

    add(name, sentence, layer="content", providers=("openmeteo",), spoil=spoil)
    return edit


def _text(value: object) -> str:
    text: str = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text


def _variable(place: dict[str, Any]) -> str:
    names: list[str] = list(place["hourly"])
    return names[names[0] == "time"]


def _change(places: Places, change: Callable[[list[Any]], list[Any]]) -> Places:
    """The places with the series of their first variable changed."""
    for place in places:
        name = _variable(place)
        place["hourly"][name] = change(place["hourly"][name])
    return places


def _one(values: list[Any], value: object) -> list[Any]:
    return [*values[: len(values) // 2], value, *values[len(values) // 2 + 1 :]]


@_weather
def lengths_differ(places: Places) -> Places:
    """A series is shorter than its times."""
    return _change(places, lambda values: values[:-1])


@_weather
def times_missing(places: Places) -> Places:
    """There are values and no times."""
    for place in places:
        del place["hourly"]["time"]
    return places


@_weather
def times_twice(places: Places) -> Places:
    """A time stands twice."""
    for place in places:
        time = place["hourly"]["time"]
        time[len(time) // 2] = time[len(time) // 2 - 1]
    return places


@_weather
def times_local(places: Places) -> Places:
    """The times are local ones, with an offset of two hours."""
    for place in places:
        time = place["hourly"]["time"]
        place["hourly"]["time"] = [stamp + 7200 if isinstance(stamp, int) else stamp for stamp in time]
        place |= {"utc_offset_seconds": 7200, "timezone": "Europe/Copenhagen", "timezone_abbreviation": "GMT+2"}
    return places


@_weather
def times_as_text(places: Places) -> Places:
    """The times are text where numbers were asked for."""
    for place in places:
        place["hourly"]["time"] = [str(stamp) for stamp in place["hourly"]["time"]]
        place["hourly_units"]["time"] = "iso8601"
    return places


@_weather
def half_hours(places: Places) -> Places:
    """The times are half an hour off."""
    for place in places:
        time = place["hourly"]["time"]
        place["hourly"]["time"] = [stamp + 1800 if isinstance(stamp, int) else stamp for stamp in time]
    return places


@_weather
def wrong_unit(places: Places) -> Places:
    """The first variable is in another unit, and says so."""
    units = {"°C": "°F", "km/h": "mph", "m/s": "km/h", "W/m²": "J/m²"}
    for place in places:
        name = _variable(place)
        place["hourly_units"][name] = units.get(place["hourly_units"][name], "kn")
    return places


@_weather
def unit_missing(places: Places) -> Places:
    """The first variable has no unit."""
    for place in places:
        del place["hourly_units"][_variable(place)]
    return places


@_weather
def fahrenheit_unsaid(places: Places) -> Places:
    """The values are Fahrenheit under another unit's name."""
    return _change(places, lambda values: [value if value is None else round(value * 1.8 + 32, 1) for value in values])


@_weather
def kelvin_unsaid(places: Places) -> Places:
    """The values are in Kelvin under another unit's name."""
    return _change(places, lambda values: [value if value is None else round(value + 273.15, 1) for value in values])


@_weather
def some_nulls(places: Places) -> Places:
    """Every third value is null."""
    return _change(places, lambda values: [value if n % 3 else None for n, value in enumerate(values)])


@_weather
def all_nulls(places: Places) -> Places:
    """The first variable is null throughout, its unit undefined."""
    for place in places:
        place["hourly_units"][_variable(place)] = "undefined"
    return _change(places, lambda values: [None] * len(values))


@_weather
def text_values(places: Places) -> Places:
    """A value is text."""
    return _change(places, lambda values: _one(values, "12,5"))


@_weather
def boolean_weather(places: Places) -> Places:
    """A value is true."""
    return _change(places, lambda values: _one(values, True))


@_weather
def weather_nan(places: Places) -> Places:
    """A value is the bare word NaN."""
    return _change(places, lambda values: _one(values, float("nan")))


@_weather
def absurd_value(places: Places) -> Places:
    """A value is a million."""
    return _change(places, lambda values: _one(values, 1e6))


@_weather
def variable_missing(places: Places) -> Places:
    """The first variable is absent."""
    for place in places:
        name = _variable(place)
        del place["hourly"][name], place["hourly_units"][name]
    return places


@_weather
def variable_renamed(places: Places) -> Places:
    """The first variable bears the model's name too, as with several models."""
    for place in places:
        name = _variable(place)
        for part in ("hourly", "hourly_units"):
            place[part][f"{name}_other_model"] = place[part].pop(name)
    return places


@_weather
def single_place(places: Places) -> Places | dict[str, Any]:
    """One object comes where several places were asked for, or a list where it was one."""
    return places[0] if len(places) > 1 else [places[0], places[0]]


@_weather
def place_missing(places: Places) -> str:
    """The last place is absent."""
    return _text(places[:-1])


@_weather
def wrong_order(places: Places) -> Places:
    """The places come in another order."""
    return places[::-1]


@_weather
def other_place(places: Places) -> Places:
    """The places are on the other side of the earth."""
    for place in places:
        place["latitude"], place["longitude"] = -place["latitude"], place["longitude"] - 180
    return places


@_weather
def other_days(places: Places) -> Places:
    """The times are a week earlier than asked for."""
    for place in places:
        time = place["hourly"]["time"]
        place["hourly"]["time"] = [stamp - 7 * 86400 if isinstance(stamp, int) else stamp for stamp in time]
    return places


@_weather
def weather_json_truncated(places: Places) -> str:
    """The JSON ends in the middle of a series."""
    text = _text(places)
    return text[: len(text) // 2]


@_weather
def weather_error_with_200(_places: Places) -> dict[str, Any]:
    """An error comes with status 200."""
    return {"error": True, "reason": "The service is overloaded"}


@_weather
def hourly_missing(places: Places) -> Places:
    """There are places and no series."""
    for place in places:
        del place["hourly"]
    return places
