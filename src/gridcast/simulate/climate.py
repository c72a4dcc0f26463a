"""The simulated weather: what it is at a place, and what a model's run says of it.

Temperature is the demo's Danish one, moved to the place's latitude and clock; wind, clouds and the rest are noise with
a memory. A run's error grows with its lead time, and neighbouring runs share most of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gridcast.contracts import Floats
from gridcast.market.days import DAY, HOUR, Times
from gridcast.market.zones import BiddingZone, zones
from gridcast.simulate.chance import remembered
from gridcast.simulate.world import World, danish
from gridcast.sources import demo

RUN_EVERY = 6 * HOUR
_FAMILIES = 8
"""So many different errors of their own do the runs take turns with."""


@dataclass(frozen=True)
class Variable:
    """``unit`` and ``digits`` in the answer by default, ``error`` of a run at no lead and per day of it."""

    unit: str
    digits: int
    error: tuple[float, float] = (0.0, 0.0)
    low: float = -np.inf
    high: float = np.inf


VARIABLES = {
    "temperature_2m": Variable("°C", 1, (0.3, 0.5)),
    "dew_point_2m": Variable("°C", 1, (0.4, 0.5)),
    "relative_humidity_2m": Variable("%", 0, (3, 3), 1, 100),
    "pressure_msl": Variable("hPa", 1, (0.3, 0.8)),
    "cloud_cover": Variable("%", 0, (8, 8), 0, 100),
    "wind_speed_10m": Variable("km/h", 1, (0.5, 0.5), 0),
    "wind_speed_100m": Variable("km/h", 1, (0.7, 0.7), 0),
    "precipitation": Variable("mm", 1, (0.05, 0.05), 0),
    "shortwave_radiation": Variable("W/m²", 0, (0, 0), 0),
    "direct_radiation": Variable("W/m²", 0, (0, 0), 0),
    "diffuse_radiation": Variable("W/m²", 0, (0, 0), 0),
}
"""What every model has; wind speeds are m/s until they are answered."""

RADIATION = ("shortwave_radiation", "direct_radiation", "diffuse_radiation")
"""Means of the hour BEFORE the stamp, as precipitation is a sum of it; all else holds at the stamp."""

_PROCESSES: dict[str, tuple[str, float, Callable[[Floats], Floats]]] = {
    "wind_speed_10m": ("wind", 18, lambda noise: 6 * np.exp(0.45 * noise)),
    "wind_speed_100m": ("wind", 18, lambda noise: 8.1 * np.exp(0.45 * noise)),
    "relative_humidity_2m": ("humidity", 12, lambda noise: 100 * ndtr(1 + 0.6 * noise)),
    "pressure_msl": ("pressure", 48, lambda noise: 1013 + 9 * noise),
    "cloud_cover": ("cloud", 8, lambda noise: 100 * ndtr(0.3 + noise)),
    "precipitation": ("rain", 4, lambda noise: 1.5 * np.clip(noise - 1.2, 0, None)),
}
"""What noise with a memory (hours) becomes."""

NOWHERE = ("soil_temperature_0cm", "soil_moisture_0_to_1cm", "snow_depth", "visibility", "apparent_temperature")
"""Variables with a name that no simulated model has."""


@dataclass(frozen=True)
class Model:
    """``delay`` from a run's initialisation to its publication, ``reach`` of its forecasts (of 06 and 18Z: ``half``).

    ``previous`` is the most days back that previous-runs keeps, ``since`` when that begins, ``single_since`` when
    single runs do.
    """

    delay: np.timedelta64
    reach: np.timedelta64
    half: np.timedelta64
    previous: int = 7
    since: str = "2024-01-01"
    single_since: str = "2026-04-02"
    resolution: float = 0.125


def _model(delay: float, reach: int, *, half: int | None = None, **more: object) -> Model:
    spans = (np.timedelta64(round(hours * 3600), "s") for hours in (delay, reach, half or reach))
    return Model(*(span.astype("timedelta64[us]") for span in spans), **more)  # type: ignore[arg-type]


MODELS = {
    "best_match": _model(3, 384, single_since="9999-01-01"),
    "ecmwf_ifs": _model(6.5, 240, half=144, single_since="2024-03-14", since="2024-01-01", resolution=0.1),
    "ecmwf_ifs025": _model(7.5, 240, half=144, resolution=0.25),
    "dwd_icon_seamless": _model(3, 180),
    "dwd_icon_eu": _model(2.67, 120),
    "dwd_icon_d2": _model(0.75, 48, previous=1),
    "ncep_gfs_seamless": _model(5, 384, since="2021-03-23"),
    "ncep_gfs_global": _model(5, 384, since="2021-03-23"),
    "metno_seamless": _model(1, 240),
    "metno_nordic": _model(0.5, 60, previous=1),
    "dmi_seamless": _model(2.5, 240, since="2024-07-01"),
    "dmi_harmonie_arome_europe": _model(2.5, 60, previous=1, since="2024-07-01"),
    "knmi_seamless": _model(2.5, 240, since="2024-07-01"),
    "meteofrance_seamless": _model(4, 96),
    "ukmo_seamless": _model(4, 168),
    "geosphere_seamless": _model(3, 60, previous=1),
}
"""Weather models. Source of delays, reaches and beginnings: Open-Meteo's documentation and server code (August 2026),
simplified: every model runs at 00, 06, 12 and 18Z."""


def newest_run(model: Model, limit: Times | np.datetime64, *, now: np.datetime64) -> Times:
    """The initialisation of the newest run that began by ``limit`` [N] and is out ``now``."""
    out = _six_hours(np.asarray(now - model.delay))
    newest: Times = np.minimum(_six_hours(np.asarray(limit)), out)
    return newest


def _six_hours(when: Times) -> Times:
    midnight = when.astype("datetime64[D]").astype("datetime64[us]")
    floored: Times = midnight + (when - midnight) // RUN_EVERY * RUN_EVERY
    return floored


class Climate:
    """The weather of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._true: Callable[..., Floats] = lru_cache(maxsize=256)(self._make)

    def truth(self, place: tuple[float, float], variable: str, *, hours: Times) -> Floats:
        """What the weather is at a place (latitude, longitude) at consecutive hours [N]; wind in m/s."""
        return self._true(place, variable, hours[0], len(hours))

    def forecast(self, place: tuple[float, float], variable: str, *, hours: Times, run: Times, model: str) -> Floats:
        """What runs [N] of a model say of consecutive hours [N]: NaN beyond their reach and before they begin."""
        facts, lead = MODELS[model], hours - run
        midnight = run.astype("datetime64[D]").astype("datetime64[us]")
        reach = np.where((run - midnight) % (2 * RUN_EVERY) == np.timedelta64(0, "us"), facts.reach, facts.half)
        if variable in RADIATION:
            cloud = self.forecast(place, "cloud_cover", hours=hours, run=run, model=model)
            said = _radiation(place, variable, hours, cloud)
        else:
            kind = VARIABLES[variable]
            std = kind.error[0] + kind.error[1] * lead / DAY
            said = self.truth(place, variable, hours=hours) + std * self._error(
                place, variable, hours, run=run, model=model
            )
            said = np.clip(said, kind.low, kind.high)
        return np.where((lead >= np.timedelta64(0, "us")) & (lead <= reach), said, np.nan)

    def _error(self, place: tuple[float, float], variable: str, hours: Times, *, run: Times, model: str) -> Floats:
        name, seed = f"{model}/{variable}/{place}", self.world.seed
        shared = remembered(hours, name, seed=seed, memory=8)
        family = (run.astype(np.int64) // RUN_EVERY.astype(np.int64)) % _FAMILIES
        own = np.zeros(len(hours))
        for number in np.unique(family):
            chosen = family == number
            own[chosen] = remembered(hours, f"{name}/{number}", seed=seed, memory=8)[chosen]
        return np.asarray(np.sqrt(0.6) * shared + np.sqrt(0.4) * own)

    def _make(self, place: tuple[float, float], variable: str, first: np.datetime64, count: int) -> Floats:
        hours = first + np.arange(count) * HOUR
        given = self.world.observed(nearest_zone(*place), variable)
        made = self._made(place, variable, hours)
        if given is None:
            return made
        known = given["valid_time"].to_numpy()
        at = np.searchsorted(known, hours)
        found = at < len(known)
        found[found] = known[at[found]] == hours[found]
        made[found] = given["value"].to_numpy()[at[found]]
        return made

    def _made(self, place: tuple[float, float], variable: str, hours: Times) -> Floats:
        def noise(name: str, memory: float) -> Floats:
            return remembered(hours, f"{name}/{place}", seed=self.world.seed, memory=memory)

        if variable == "temperature_2m":
            return self._temperature(place, hours) + 0.5 * noise("temperature", 24)
        if variable == "dew_point_2m":
            dry = self.truth(place, "temperature_2m", hours=hours)
            return np.asarray(dry - (100 - self.truth(place, "relative_humidity_2m", hours=hours)) / 5)
        if variable in RADIATION:
            return _radiation(place, variable, hours, self.truth(place, "cloud_cover", hours=hours))
        name, memory, shape = _PROCESSES[variable]
        return np.asarray(shape(noise(name, memory)), float)

    def _temperature(self, place: tuple[float, float], hours: Times) -> Floats:
        """The demo's, warmer to the south, later to the west."""
        near = nearest_zone(*place).code
        if near not in demo.ZONES:
            hours = hours - round((10.5 - place[1]) / 15) * HOUR
        years = range(hours[0].astype(object).year, hours[-1].astype(object).year + 1)
        code = near if near in demo.ZONES else "DK_1"
        whole = [danish(code, year, seed=self.world.seed, variant=self.world.variant)[1][24:-24] for year in years]
        begin = np.datetime64(f"{years[0]}-01-01", "us")
        skip = int((hours[0] - begin) // HOUR)
        values = np.concatenate(whole)[skip : skip + len(hours)]
        if near in demo.ZONES:
            return values
        return np.asarray(values + 0.6 * (55.8 - place[0]), float)


def _radiation(place: tuple[float, float], variable: str, hours: Times, cloud: Floats) -> Floats:
    """Mean of the hour before each stamp, W/m², below so much cloud [%]."""
    middle = hours - HOUR / 2
    season = (middle - middle.astype("datetime64[Y]")) / DAY
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (season + 10) / 365.25)
    clock = (middle - middle.astype("datetime64[D]")) / HOUR + place[1] / 15
    latitude = np.radians(place[0])
    across = np.cos(latitude) * np.cos(declination) * np.cos((clock - 12) * np.pi / 12)
    height = np.maximum(np.sin(latitude) * np.sin(declination) + across, 0)
    # Source: Kasten and Czeplak (1980), global radiation under cloud.
    total = 990 * height * (1 - 0.75 * (cloud / 100) ** 3.4)
    direct = total * (1 - 0.8 * cloud / 100)
    return np.asarray({"shortwave_radiation": total, "direct_radiation": direct}.get(variable, total - direct))


@lru_cache(maxsize=1024)
def nearest_zone(latitude: float, longitude: float) -> BiddingZone:
    """The zone with the weather point that is nearest."""
    plain = [known for known in zones().values() if not known.members]
    points = np.array([(p.latitude, p.longitude) for known in plain for p in known.weather_points])
    owners = [known for known in plain for _ in known.weather_points]
    east = np.cos(np.radians(latitude)) * (points[:, 1] - longitude)
    distance: NDArray[np.float64] = (points[:, 0] - latitude) ** 2 + east**2
    return owners[int(np.argmin(distance))]
