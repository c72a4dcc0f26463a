"""Danish-like load and weather without key or network: SYNTHETIC, and labelled so in every row.

Load = level of the year x (profile x (1 + response to temperature) + noise), where the profile depends on local hour,
weekday, season and special day. Profiles and factors (``demo.toml``) are statistics of the Denmark of 2015-2018: hardly
a heat pump, electric car or boiler that follows prices. The noise has the size and memory that make a day-ahead
forecast as hard as it was there. The variant `Variant.MODERN` adds what came later: solar power behind the meter,
electric boilers that run when power is cheap, cars that charge at night.

Noise is drawn a UTC year at a time and filtered over that year and the one before: a value depends on zone, variant,
seed and hour alone, never on the period asked for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast import contracts
from gridcast.contracts import Floats
from gridcast.errors import ConfigError
from gridcast.market.days import DAY, HOUR, Times, at_wall_clock, instant, local_wall, weekday
from gridcast.market.daytypes import day_types
from gridcast.market.zones import BiddingZone

TEMPERATURE = "temperature_2m"
ZONES = ("DK_1", "DK_2")

LOAD_DELAY = timedelta(hours=2)
WEATHER_CLOCK = 7 * HOUR
"""UTC time, on the day before, at which the weather forecast of a local day is public."""

_WINDOW = 365 * 24
"""How far back a noise filter reaches, hours."""
_LATITUDE, _LONGITUDE = np.radians(55.8), 10.5


class Variant(StrEnum):
    """Which Denmark the load resembles."""

    DENMARK_2015_2018 = "denmark-2015-2018"
    MODERN = "modern"


def observations(
    zone: BiddingZone,
    *,
    start: date,
    end: date,
    fetched_at: datetime,
    variant: Variant = Variant.DENMARK_2015_2018,
    seed: int = 7,
) -> pl.DataFrame:
    """Hourly load and day-ahead temperature forecasts of the local days from ``start`` to ``end`` (exclusive).

    ``load`` [MW] is published two hours after the end of its hour (basis ``assumed``). ``temperature_2m`` [°C] is a
    weather forecast whose error of about 1 °C grows with lead time, published at 07:00 UTC on the day before its local
    day (basis ``reported``); the load follows the true temperature, which nobody is told. Every row's source is
    ``demo:synthetic:<variant>``.

    Returns:
        A valid Observations table (`gridcast.contracts.OBSERVATIONS`).

    Raises:
        ConfigError: the zone is not DK_1 or DK_2, the period is empty, or the seed is negative.

    >>> from gridcast.market.zones import zone
    >>> day, now = date(2018, 3, 25), datetime(2018, 3, 27, tzinfo=UTC)
    >>> frame = observations(zone("DK_1"), start=day, end=day + timedelta(days=1), fetched_at=now)
    >>> frame.height, frame["source"][0]  # the clocks go forward: 23 hours of load and of temperature
    (46, 'demo:synthetic:denmark-2015-2018')
    """
    if zone.code not in ZONES:
        remedy = f"use {' or '.join(ZONES)}, or a file of your own"
        raise ConfigError(f"the demo has no synthetic load for {zone.code}", remedy=remedy, zone=zone.code, known=ZONES)
    if end <= start:
        raise ConfigError(f"the demo was asked for {start} to {end}, no day", remedy="let the end be after the start")
    if seed < 0:
        raise ConfigError(f"the demo was asked for seed {seed}", remedy="use a seed of 0 or more", seed=seed)
    world = _World.of(zone, seed=seed, start=start, end=end)
    temperature, published_at = _temperature_forecast(world)
    load = pl.DataFrame({"valid_time": world.utc, "value": _load(world, variant)}).with_columns(
        variable=pl.lit(contracts.LOAD),
        published_at=pl.col("valid_time") + timedelta(hours=1) + LOAD_DELAY,
        published_at_basis=pl.lit("assumed"),
    )
    weather = pl.DataFrame({"valid_time": world.utc, "value": temperature, "published_at": published_at}).with_columns(
        variable=pl.lit(TEMPERATURE), published_at_basis=pl.lit("reported")
    )
    frame = pl.concat([load, weather], how="diagonal").with_columns(
        pl.col("valid_time", "published_at").dt.replace_time_zone("UTC"),
        zone=pl.lit(zone.code),
        resolution=pl.lit(timedelta(hours=1)),
        fetched_at=pl.lit(fetched_at.astimezone(UTC)),
        source=pl.lit(f"demo:synthetic:{variant}"),
    )
    return contracts.observations(frame.cast(contracts.OBSERVATIONS), where="the demo")


def weather_public(day: date) -> datetime:
    """When the weather forecast of a local day is public (UTC)."""
    at: datetime = (np.datetime64(day, "us") + WEATHER_CLOCK - DAY).astype(datetime)
    return at.replace(tzinfo=UTC)


@cache
def _facts() -> Mapping[str, Any]:
    table: dict[str, Any] = tomllib.loads(files("gridcast.sources").joinpath("demo.toml").read_text("utf-8"))
    return table


@dataclass(frozen=True)
class _World:
    """The hours [N] asked for, on the clocks that matter, and the random processes in them."""

    zone: BiddingZone
    seed: int
    utc: Times
    day: NDArray[np.datetime64]
    """Local calendar day."""
    hour: NDArray[np.intp]
    """Local hour of the day."""
    season: Floats
    """Local day of the year as an angle, 0 on 1 January."""

    @classmethod
    def of(cls, zone: BiddingZone, *, seed: int, start: date, end: date) -> _World:
        first, last = (instant(at_wall_clock(day, time(0), tz=zone.local_tz)) for day in (start, end))
        utc = np.arange(first, last, HOUR)
        wall = local_wall(utc, zone.local_tz)
        day = wall.astype("datetime64[D]")
        season = (day - day.astype("datetime64[Y]")).astype(float) * 2 * np.pi / 365.25
        return cls(zone, seed, utc, day, (wall - day).astype("timedelta64[h]").astype(np.intp), season)

    @property
    def weekday(self) -> NDArray[np.intp]:
        """0 is Monday."""
        return weekday(self.day).astype(np.intp)

    def by_hour(self, table: list[float]) -> Floats:
        return np.array(table, float)[self.hour]

    def wave(self, terms: Mapping[str, Any]) -> Floats:
        """The seasonal curve of ``cos1``, ``sin1``, ``cos2`` and ``sin2``, each a number or one a local hour."""
        total = np.zeros(len(self.utc))
        for order in (1, 2):
            for name, curve in ((f"cos{order}", np.cos), (f"sin{order}", np.sin)):
                total += np.broadcast_to(np.array(terms[name], float), 24)[self.hour] * curve(order * self.season)
        return total

    def noise(self, process: str, *, own: bool = False, memory: float = 0.0) -> Floats:
        """The process at unit variance; ``own`` is this zone's alone. With ``memory`` its mean over those hours."""
        first, last = _years(self.utc)
        name = f"{process}/{self.zone.code}" if own else process
        whole = np.concatenate([_year_of_noise(self.seed, y, name=name, memory=memory) for y in range(first, last + 1)])
        skip = int((self.utc[0] - np.datetime64(f"{first}-01-01", "us")) // HOUR)
        return whole[skip : skip + len(self.utc)]

    def scaled(self, process: str, *, own: bool = False) -> Floats:
        return self.noise(process, own=own) * float(_facts()["noise"][process]["std"])


# --- noise -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _year_of_noise(seed: int, year: int, *, name: str, memory: float) -> Floats:
    """White noise of a UTC year and the one before, through the filters of its process: the part in the year."""
    kind = _facts()["noise"][name.partition("/")[0]]
    shocks = np.concatenate([_shocks((seed, past), name=name, tail=kind.get("tail")) for past in (year - 1, year)])
    filtered = _convolved(shocks, _kernel(tuple(kind["memory"]), memory=memory))
    return filtered[len(shocks) - _hours_of(year) : len(shocks)]


def _shocks(seed: tuple[int, int], *, name: str, tail: float | None) -> Floats:
    """White noise of unit variance in a UTC year (``seed[1]``); with a tail, a Student t shock a day near midnight."""
    random = np.random.default_rng([*seed, *name.encode()])
    hours = _hours_of(seed[1])
    if tail is None:
        return random.standard_normal(hours)
    shocks = np.zeros((hours // 24, 24))
    shocks[:, 22] = random.standard_t(tail, len(shocks)) * np.sqrt(24 * (tail - 2) / tail)
    return shocks.reshape(-1)


@cache
def _kernel(filters: tuple[float, ...], *, memory: float = 0.0) -> Floats:
    """Response of exponential filters in series (hours), scaled to keep unit variance, averaged over ``memory``."""
    lags = np.arange(_WINDOW)
    kernel: Floats = (lags == 0).astype(float)
    for hours in filters:
        kernel = _convolved(kernel, np.exp(-lags / hours))[:_WINDOW]
    kernel = kernel / float(np.sqrt(np.sum(kernel**2)))
    if memory:
        average = np.exp(-lags / memory)
        kernel = _convolved(kernel, average / average.sum())[:_WINDOW]
    return kernel


def _convolved(left: Floats, right: Floats) -> Floats:
    size = 1 << (len(left) + len(right) - 1).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(left, size) * np.fft.rfft(right, size), size), float)


def _hours_of(year: int) -> int:
    return (date(year + 1, 1, 1) - date(year, 1, 1)).days * 24


def _years(times: NDArray[np.datetime64]) -> tuple[int, int]:
    """The first and the last year of sorted times."""
    first, last = times[[0, -1]].astype("datetime64[Y]").astype(int) + 1970
    return int(first), int(last)


# --- weather ---------------------------------------------------------------------------------------------------------


def _climate(world: _World) -> Floats:
    """Mean temperature of the day of the year, °C."""
    facts = _facts()["temperature"]
    peak = 2 * np.pi * facts["peak_day"] / 365.25
    return np.asarray(facts["mean"] + facts["amplitude"] * np.cos(world.season - peak))


def _anomaly(world: _World, *, memory: float = 0.0) -> tuple[Floats, Floats]:
    """Departure of the temperature from its climate, and the standard deviation of that, °C."""
    facts = _facts()["temperature"]
    std = facts["anomaly"] * (1 + facts["winter"] * np.cos(world.season))
    both, own = (world.noise("weather", own=own, memory=memory) for own in (False, True))
    shrunk = np.sqrt(np.sum(_kernel(tuple(_facts()["noise"]["weather"]["memory"]), memory=memory) ** 2))
    return std * (np.sqrt(facts["common"]) * both + np.sqrt(1 - facts["common"]) * own), std * shrunk


def _temperature(world: _World) -> Floats:
    """The true temperature, °C."""
    facts = _facts()["temperature"]
    winter, summer = facts["swing"]
    swing = (winter + summer) / 2 - (summer - winter) / 2 * np.cos(world.season)
    clock = np.cos((world.hour - facts["warmest"]) * np.pi / 12)
    return np.asarray(_climate(world) + swing / 2 * clock + _anomaly(world)[0])


def _temperature_forecast(world: _World) -> tuple[Floats, Times]:
    """What the weather service says of it the day before, °C to a tenth, and when."""
    published_at: Times = np.add(world.day, WEATHER_CLOCK - DAY)
    lead: Floats = np.subtract(world.utc, published_at) / HOUR
    at_once, growth = _facts()["temperature"]["forecast_error"]
    std = at_once + growth * lead
    error = np.sqrt(0.7) * world.noise("forecast") + np.sqrt(0.3) * world.noise("forecast", own=True)
    return np.asarray(np.round(_temperature(world) + std * error, 1)), published_at


def _response(world: _World) -> Floats:
    """What the temperature adds to the load beyond the usual of the season, relative."""
    facts = _facts()["response"]
    anomaly, std = _anomaly(world, memory=facts["memory"])
    climate = _climate(world)

    def at(temperature: Floats) -> Floats:
        cold = np.maximum(facts["heating_below"] - temperature, 0)
        warm = np.maximum(temperature - facts["cooling_above"], 0)
        return np.asarray(facts["heating"] * cold + facts["cooling"] * warm)

    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    usual = sum(weight * at(climate + node * std) for node, weight in zip(nodes, weights / weights.sum(), strict=True))
    return np.asarray(at(climate + anomaly) - usual)


# --- load ------------------------------------------------------------------------------------------------------------


def _load(world: _World, variant: Variant) -> Floats:
    """Load of the zone, MW to a tenth."""
    profile, west = _profile(world)
    west = west + world.scaled("west") + world.scaled("west_day")
    share = west if world.zone.code == "DK_1" else 1 - west
    dusk = np.exp(-(((world.hour - 18) / 2) ** 2)) * world.scaled("dusk")
    noise = world.scaled("slow") + world.scaled("day") + world.scaled("hour") + dusk + world.scaled("white", own=True)
    relative = profile * (1 + _response(world)) + np.sqrt(profile) * noise
    if variant == Variant.MODERN:
        relative = relative + _modern(world)
    return np.asarray(np.round(_level(world) * share * relative, 1))


def _level(world: _World) -> Floats:
    """Mean load of Denmark, MW: that of each year at its middle, straight lines between."""
    facts = _facts()["level"]

    def of(year: int) -> float:
        wander = np.random.default_rng([world.seed, year, *b"level"]).standard_normal()
        return float(facts["years"].get(str(year), facts["mean"] * (1 + facts["wander"] * wander)))

    first, last = _years(world.day)
    years = range(first - 1, last + 2)
    middles = np.array([f"{year}-07-01" for year in years], "datetime64[D]").astype(float)
    return np.asarray(np.interp(world.day.astype(float), middles, [of(year) for year in years]), float)


def _profile(world: _World) -> tuple[Floats, Floats]:
    """Load relative to the level of the year without weather and noise, and DK_1's share in it."""
    facts = _facts()
    kinds = [facts["profile"][name] for name in ("weekday", "saturday", "sunday")]
    loads = [world.by_hour(kind["mean"]) + world.wave(kind) for kind in kinds]
    wests = [world.by_hour(kind["west"]) for kind in kinds]
    kind = np.maximum(world.weekday - 4, 0)
    load, west = np.choose(kind, loads), np.choose(kind, wests)
    for number, name in ((0, "monday"), (4, "friday")):
        offset = facts["weekday_offset"][name]
        load = load + (world.weekday == number) * world.by_hour(offset["load"])
        west = west + (world.weekday == number) * offset["west"]
    holiday = facts["industry_holiday"]
    week = pl.Series(world.day).dt.week().to_numpy()
    closed = np.array([holiday["weeks"].get(str(number), 0.0) for number in range(54)])[week] * (kind == 0)
    load = load * (1 + closed * world.by_hour(holiday["hours"]))
    west = west + closed * holiday["west"]
    opened, level, west_change = _special_days(world)
    return (
        level * (loads[2] + opened * (load - loads[2])),
        wests[2] + opened * (west - wests[2]) + west_change + world.wave(facts["west_season"]),
    )


def _special_days(world: _World) -> tuple[Floats, Floats, Floats]:
    """How far each hour's day is from a Sunday (0) to its own weekday (1), its factor, the change of DK_1's share."""
    facts, jitter = _facts()["special"], _facts()["noise"]["special"]
    opened, level, west = np.ones(len(world.utc)), np.ones(len(world.utc)), np.zeros(len(world.utc))
    days, first_hour = np.unique(world.day, return_index=True)
    starts = dict(zip(days, zip(first_hour, np.append(first_hour[1:], len(world.utc)), strict=True), strict=True))
    for day, key in zip(days, _special_keys(world.zone, days), strict=True):
        if key:
            hours, kind = slice(*starts[day]), facts[key]
            luck = np.random.default_rng([world.seed, int(day.astype(int)), *b"special"]).standard_normal(2)
            opened[hours] = kind["open"] + jitter["open"] * luck[0]
            level[hours] = kind["level"] + jitter["level"] * luck[1]
            if "shape" in kind:
                level[hours] *= world.by_hour(kind["shape"])[hours]
            west[hours] = kind.get("west", 0.0) * (world.weekday[hours] < 5)
    return opened, level, west


def _special_keys(zone: BiddingZone, days: NDArray[np.datetime64]) -> list[str | None]:
    """For each day its key in the table of special days, or None."""
    facts = _facts()["special"]
    today, yesterday, before = (day_types(zone, days - np.timedelta64(n, "D"))["holiday"].to_list() for n in range(3))
    keys: list[str | None] = []
    for day, now, one_ago, two_ago in zip(days, today, yesterday, before, strict=True):
        date_key = str(day)[5:]
        if date_key in facts and (now is None or date_key[:2] in {"12", "01"}):
            keys.append(date_key)
        elif now:
            keys.append(now if now in facts else "public")
        elif one_ago == "Ascension Day":
            keys.append("Friday after Ascension")
        else:
            keys.append("Easter Saturday" if two_ago == "Maundy Thursday" else None)
    return keys


# --- the modern variant ----------------------------------------------------------------------------------------------


def _modern(world: _World) -> Floats:
    """What solar power behind the meter, electric boilers and cars add, relative to the level of the year."""
    facts = _facts()["modern"]
    sun = _sun_height(world) * (0.2 + 0.8 / (1 + np.exp(-1.5 * world.noise("cloud") - 0.5)))
    night = (world.hour < 6) | (world.hour >= 22)
    supper = np.exp(-(((world.hour - 18) / 3) ** 2))
    cheap = world.noise("wind") + 0.7 * night + sun - supper
    heat_demand = 0.6 + 0.4 * np.cos(world.season)
    boilers = heat_demand / (1 + np.exp(-4 * (cheap + 0.8 * world.noise("boiler") - 1.1)))
    after_two = (world.hour - 2 + 12) % 24 - 12
    cars = np.exp(-((after_two / 2.5) ** 2)) * np.maximum(1 + 0.3 * world.noise("car"), 0)
    return np.asarray(facts["boiler"] * boilers + facts["car"] * cars - facts["solar"] * sun)


def _sun_height(world: _World) -> Floats:
    """Sine of the sun's height over the middle of Denmark at half past the hour, 0 at night."""
    declination = np.radians(-23.44) * np.cos(world.season + 2 * np.pi * 10 / 365.25)
    solar_hour = (world.utc - world.utc.astype("datetime64[D]")) / HOUR + 0.5 + _LONGITUDE / 15
    across = np.cos(_LATITUDE) * np.cos(declination) * np.cos((solar_hour - 12) * np.pi / 12)
    return np.asarray(np.maximum(np.sin(_LATITUDE) * np.sin(declination) + across, 0))
