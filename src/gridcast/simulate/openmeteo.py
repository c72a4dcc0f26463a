"""Open-Meteo's five interfaces and its note of each model's newest run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from gridcast.contracts import Floats
from gridcast.errors import Refused
from gridcast.market.days import DAY, HOUR, Times, instant
from gridcast.simulate.climate import MODELS, NOWHERE, RUN_EVERY, VARIABLES, Climate, newest_run
from gridcast.simulate.exchange import Ask, Reply, json_reply
from gridcast.simulate.traffic import Traffic, Window
from gridcast.simulate.world import World

LIMITS = {
    "Minutely": (timedelta(minutes=1), 600, "in one minute"),
    "Hourly": (timedelta(hours=1), 5_000, "in the next hour"),
    "Daily": (timedelta(days=1), 10_000, "tomorrow"),
}
"""Call weights that a free client may use. Source: Open-Meteo's documentation (August 2026)."""

AT_ONCE = 6
"""Requests of one address that may be under way; the real server works on one while five wait."""

_INTERFACES = {
    "/openmeteo/v1/forecast": "forecast",
    "/openmeteo/single-runs/v1/forecast": "single",
    "/openmeteo/previous-runs/v1/forecast": "previous",
    "/openmeteo/historical/v1/forecast": "historical",
    "/openmeteo/archive/v1/archive": "archive",
}
_OBSERVED_ONLY = ("era5", "era5_land", "era5_seamless", "ecmwf_ifs", "best_match")
_WINDS = {"kmh": ("km/h", 3.6), "ms": ("m/s", 1.0), "mph": ("mp/h", 2.236936), "kn": ("kn", 1.943844)}


class Openmeteo:
    """Answers ``/openmeteo/...``."""

    def __init__(self, world: World, *, traffic: Traffic, limits: bool) -> None:
        self._climate = Climate(world)
        self._traffic = traffic
        self._limits = limits
        self._lock = threading.Lock()
        self._busy: dict[str, int] = {}
        self._used: dict[str, dict[str, Window]] = {}

    def answer(self, ask: Ask) -> Reply:
        """The weather, or why not."""
        if ask.path.startswith("/openmeteo/data/"):
            return _newest(ask)
        interface = _INTERFACES.get(ask.path)
        if interface is None or ask.method != "GET":
            return _error(404, "Not Found")
        with self._lock:
            self._busy[ask.peer] = self._busy.get(ask.peer, 0) + 1
            crowded = self._limits and self._busy[ask.peer] > AT_ONCE
        try:
            if crowded:
                return _error(429, "Too many concurrent requests")
            return self._weather(ask, interface)
        finally:
            with self._lock:
                self._busy[ask.peer] -= 1

    def _weather(self, ask: Ask, interface: str) -> Reply:
        try:
            wish = _Wish.of(ask, interface)
        except (Refused, OverflowError) as refusal:
            over = self._spend(ask, 1.0)
            return over or _error(400, refusal.what if isinstance(refusal, Refused) else "Invalid date")
        over = self._spend(ask, wish.weight)
        if over:
            return over
        answers = [self._place(wish, place) for place in wish.places]
        return json_reply(answers if len(answers) > 1 else answers[0])

    def _spend(self, ask: Ask, weight: float) -> Reply | None:
        """Book a request's weight; the refusal, where a limit is reached."""
        with self._lock:
            windows = self._used.setdefault(ask.peer, {name: Window(span) for name, (span, _, _) in LIMITS.items()})
            for name, (_, most, when) in LIMITS.items():
                if self._limits and windows[name].sum(ask.at) + weight > most:
                    return _error(429, f"{name} API request limit exceeded. Please try again {when}.")
            for window in windows.values():
                window.add(ask.at, weight)
        with self._traffic.lock:
            self._traffic.weights[ask.path] += weight
        return None

    def _place(self, wish: _Wish, place: tuple[float, float]) -> dict[str, object]:
        units: dict[str, str] = {"time": "unixtime" if wish.unix else "iso8601"}
        hourly: dict[str, object] = {"time": wish.stamps()}
        for model in wish.models:
            for name in wish.variables:
                shown = name if len(wish.models) == 1 else f"{name}_{model}"
                unit, values = self._series(wish, place, name, model=model)
                units[shown], hourly[shown] = unit, values
        grid = MODELS[wish.models[0]].resolution if wish.models[0] in MODELS else 0.25
        return {
            "latitude": round(round(place[0] / grid) * grid, 5),
            "longitude": round(round(place[1] / grid) * grid, 5),
            "generationtime_ms": 0.25,
            "utc_offset_seconds": int(wish.offset.total_seconds()),
            "timezone": wish.timezone,
            "timezone_abbreviation": "GMT" if not wish.offset else f"GMT{wish.offset.total_seconds() / 3600:+.0f}",
            "elevation": 10.0,
            "hourly_units": units,
            "hourly": hourly,
        }

    def _series(
        self, wish: _Wish, place: tuple[float, float], name: str, *, model: str
    ) -> tuple[str, list[float | None]]:
        """A variable's unit and values; ``undefined`` and nothing where the model does not have it."""
        variable, days = _variable(name)
        if variable in NOWHERE:
            return "undefined", [None] * len(wish.hours)
        kind = VARIABLES[variable]
        values = self._values(wish, place, variable, days=days, model=model)
        if not np.isfinite(values).any():
            return "undefined", [None] * len(wish.hours)
        unit, factor = _WINDS[wish.wind] if variable.startswith("wind") else (kind.unit, 1.0)
        rounded = np.round(values * factor, kind.digits).tolist()
        return unit, [None if value != value else value for value in rounded]  # noqa: PLR0124  # NaN

    def _values(self, wish: _Wish, place: tuple[float, float], variable: str, *, days: int, model: str) -> Floats:
        hours, now = wish.hours, wish.now
        if wish.interface == "archive":
            lag = 5 * DAY if model.startswith("era5") else DAY
            return np.where(hours <= now - lag, self._climate.truth(place, variable, hours=hours), np.nan)
        facts = MODELS[model]
        newest = newest_run(facts, hours - days * DAY, now=now)
        run = newest if wish.run is None else np.full(len(hours), wish.run)
        if days > facts.previous:
            return np.full(len(hours), np.nan)
        said = self._climate.forecast(place, variable, hours=hours, run=run, model=model)
        return np.where(run >= np.datetime64(facts.since, "us"), said, np.nan) if wish.interface == "previous" else said


@dataclass(frozen=True)
class _Wish:
    """What a request asks for; ``hours`` [N] are UTC instants."""

    interface: str
    now: np.datetime64
    places: tuple[tuple[float, float], ...]
    variables: tuple[str, ...]
    models: tuple[str, ...]
    hours: Times
    run: np.datetime64 | None
    unix: bool
    wind: str
    timezone: str
    offset: timedelta

    @property
    def weight(self) -> float:
        """Calls that it counts as. Source: Open-Meteo's documentation (August 2026)."""
        width = len(self.variables) * len(self.models) / 10
        days = len(self.hours) / 24
        return len(self.places) * max(1.0, width, days / 14 * width)

    @classmethod
    def of(cls, ask: Ask, interface: str) -> _Wish:
        params = ask.params
        variables = tuple(part for part in params.get("hourly", "").split(",") if part)
        for name in variables:
            variable, days = _variable(name)
            if variable not in (*VARIABLES, *NOWHERE) or (days and interface != "previous"):
                raise _refused(
                    f"Data corrupted at path ''. Cannot initialize WeatherVariable from invalid String value {name}."
                )
        wind = params.get("wind_speed_unit", "kmh")
        if wind not in _WINDS:
            raise _refused(
                f"Data corrupted at path ''. Cannot initialize WindspeedUnit from invalid String value {wind}."
            )
        timezone, offset = _timezone(params, ask.at)
        models, run = _models(params, interface), _run(params, interface, now=ask.at)
        return cls(
            interface=interface,
            now=instant(ask.at),
            places=_places(params),
            variables=variables,
            models=models,
            hours=_hours(params, interface, now=ask.at, run=run, offset=offset),
            run=run,
            unix=params.get("timeformat", "iso8601") == "unixtime",
            wind=wind,
            timezone=timezone,
            offset=offset,
        )

    def stamps(self) -> list[int] | list[str]:
        """The times as asked for: UTC seconds, or local clocks without a zone."""
        if self.unix:
            return [int(second) for second in self.hours.astype("datetime64[s]").astype(np.int64).tolist()]
        local = self.hours + np.timedelta64(int(self.offset.total_seconds()), "s")
        return [str(when)[:16] for when in local]


def _variable(name: str) -> tuple[str, int]:
    """A variable and how many days back: ``temperature_2m_previous_day2`` is two."""
    variable, _, days = name.partition("_previous_day")
    return (variable, int(days)) if days in tuple("01234567") and days else (name, 0)


def _places(params: Mapping[str, str]) -> tuple[tuple[float, float], ...]:
    try:
        north, east = ([float(part) for part in params.get(key, "").split(",")] for key in ("latitude", "longitude"))
    except ValueError:
        raise _refused("Value of type 'Float' required for key 'latitude'.") from None
    if len(north) != len(east):
        raise _refused("Parameter 'latitude' and 'longitude' must have the same number of elements")
    if not all(-90 <= lat <= 90 and -180 <= lon <= 180 for lat, lon in zip(north, east, strict=True)):
        raise _refused("Latitude must be in range of -90 to 90°.")
    return tuple(zip(north, east, strict=True))


def _models(params: Mapping[str, str], interface: str) -> tuple[str, ...]:
    models = tuple((params.get("models") or "best_match").split(","))
    known = _OBSERVED_ONLY if interface == "archive" else MODELS
    for model in models:
        if model not in known:
            raise _refused(
                f"Data corrupted at path ''. Cannot initialize MultiDomains from invalid String value {model}."
            )
    return models


def _run(params: Mapping[str, str], interface: str, *, now: datetime) -> np.datetime64 | None:
    text = params.get("run")
    if interface != "single":
        if text is not None:
            raise _refused("Parameter 'run' must not be set")
        return None
    if not text:
        raise _refused("Parameter 'run' is required")
    model = (params.get("models") or "best_match").split(",")[0]
    try:
        run = np.datetime64(datetime.strptime(text, "%Y-%m-%dT%H:%M"), "us")  # noqa: DTZ007  # UTC by contract
    except ValueError:
        raise _refused("Invalid date format. Make sure to use 'YYYY-MM-DDTHH:MM'") from None
    facts = MODELS.get(model, MODELS["best_match"])
    whole = (run - run.astype("datetime64[D]")) % RUN_EVERY == np.timedelta64(0, "us")
    if not whole or run + facts.delay > instant(now) or run < np.datetime64(facts.single_since, "us"):
        raise _refused(f"The requested model run is not available. Model: {model}, run: {text}")
    return run


def _timezone(params: Mapping[str, str], now: datetime) -> tuple[str, timedelta]:
    name = params.get("timezone", "GMT")
    if name in ("GMT", "UTC"):
        return "GMT", timedelta()
    try:
        return name, now.astimezone(ZoneInfo(name)).utcoffset() or timedelta()
    except (ZoneInfoNotFoundError, ValueError):
        raise _refused("Invalid timezone") from None


def _hours(
    params: Mapping[str, str], interface: str, *, now: datetime, run: np.datetime64 | None, offset: timedelta
) -> Times:
    """The hours asked for: by dates (both included), by hours, or by days around today."""
    today = (now + offset).date() if run is None else run.astype("datetime64[D]").astype(object)
    earliest = {"forecast": today - timedelta(days=93), "archive": datetime(1940, 1, 1, tzinfo=UTC).date()}.get(
        interface, datetime(2016, 1, 1, tzinfo=UTC).date()
    )
    latest = (now + offset).date() + timedelta(days=0 if interface == "archive" else 16)
    if params.get("start_hour") and params.get("end_hour"):
        first, last = (_date(params, key, form="%Y-%m-%dT%H:%M") for key in ("start_hour", "end_hour"))
        last += timedelta(hours=1)
    elif params.get("start_date") or params.get("end_date") or interface == "archive":
        first, last = (_date(params, key, form="%Y-%m-%d") for key in ("start_date", "end_date"))
        last += timedelta(days=1)
    else:
        past, ahead = (_days(params, key, default=default) for key, default in (("past_days", 0), ("forecast_days", 7)))
        middle = datetime(today.year, today.month, today.day)  # noqa: DTZ001  # a wall clock
        first, last = middle - timedelta(days=past), middle + timedelta(days=ahead)
    if not earliest <= first.date() or first.date() > latest:
        raise _refused(f"Parameter 'start_date' is out of allowed range from {earliest} to {latest}")
    if (last - timedelta(hours=1)).date() > latest:
        raise _refused(f"Parameter 'end_date' is out of allowed range from {earliest} to {latest}")
    if last <= first:
        raise _refused("End-date must be larger or equals than start-date")
    shift = np.timedelta64(int(offset.total_seconds()), "s")
    return np.arange(np.datetime64(first, "us"), np.datetime64(last, "us"), HOUR) - shift


def _date(params: Mapping[str, str], key: str, *, form: str) -> datetime:
    if not params.get(key):
        raise _refused(f"Parameter '{key}' is required")
    try:
        return datetime.strptime(params[key], form)  # noqa: DTZ007  # a wall clock of the zone asked for
    except ValueError:
        raise _refused("Invalid date format. Make sure to use 'YYYY-MM-DD'") from None


def _days(params: Mapping[str, str], key: str, *, default: int) -> int:
    text = params.get(key, str(default))
    most = 92 if key == "past_days" else 16
    if not text.isdigit() or int(text) > most:
        raise _refused(f"Parameter '{key}' is out of allowed range from 0 to {most}")
    return int(text)


def _newest(ask: Ask) -> Reply:
    """What ``meta.json`` of a model says of its newest run."""
    parts = ask.path.split("/")
    if len(parts) != 6 or parts[3] not in MODELS or parts[4:] != ["static", "meta.json"]:
        return _error(404, "Not Found")
    model = MODELS[parts[3]]
    run = newest_run(model, instant(ask.at), now=instant(ask.at))

    def seconds(when: Times) -> int:
        return int(when.astype("datetime64[s]").astype(np.int64))

    return json_reply(
        {
            "data_end_time": seconds(run + model.reach),
            "last_run_availability_time": seconds(run + model.delay),
            "last_run_initialisation_time": seconds(run),
            "last_run_modification_time": seconds(run + model.delay),
            "temporal_resolution_seconds": 3600,
            "update_interval_seconds": int(RUN_EVERY / np.timedelta64(1, "s")),
        }
    )


def _error(status: int, reason: str) -> Reply:
    return json_reply({"error": True, "reason": reason}, status=status)


def _refused(text: str) -> Refused:
    return Refused(text, remedy="ask for what there is", reason=text)
