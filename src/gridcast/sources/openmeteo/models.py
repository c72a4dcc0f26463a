"""The weather models and variables we know, and when a model's run was out.

Sources: open-meteo.com, pages on ECMWF, single runs, previous runs and model updates; its server's code for what
"previous day" means; its maintainer on the cut of 2 April 2026 (open-meteo issue 1969).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Floats
from gridcast.market.days import DAY, HOUR, Times, instant, issue_time, local_day
from gridcast.market.zones import BiddingZone

REANALYSIS = "era5"
REANALYSIS_CELL_KM = 28.0
REANALYSIS_LAG = timedelta(days=6)
"""How long after an interval's end its reanalysis is assumed public: about five days, and a night to be loaded."""


@dataclass(frozen=True)
class Variable:
    """A weather variable: its unit, what is plausible, and whether a stamp means the hour before it or the instant."""

    unit: str
    low: float
    high: float
    preceding: bool = False


VARIABLES: Mapping[str, Variable] = {
    "temperature_2m": Variable("°C", low=-60, high=55),
    "relative_humidity_2m": Variable("%", low=0, high=100),
    "cloud_cover": Variable("%", low=0, high=100),
    "wind_speed_10m": Variable("m/s", low=0, high=75),
    "shortwave_radiation": Variable("W/m²", low=0, high=1400, preceding=True),
    "direct_radiation": Variable("W/m²", low=0, high=1400, preceding=True),
    "diffuse_radiation": Variable("W/m²", low=0, high=1000, preceding=True),
}
"""By their names at the provider, which are ours too."""


def hottest(latitude: Floats, times: Times) -> Floats:
    """A temperature (°C) that no place at these latitudes [P] has ever had at these times of the year [T]: [P, T].

    It notices Fahrenheit under the name of Celsius. Drawn some degrees above the records of Europe and Australia from
    36 degrees of latitude to the pole (general knowledge); nearer to the equator it does not fall.

    >>> midwinter, midsummer = np.array(["2026-01-22T12:00", "2026-07-24T12:00"], "datetime64[us]")
    >>> hottest(np.array([56.0]), np.array([midwinter, midsummer])).round(1).tolist()
    [[24.0, 43.0]]
    """
    beyond = np.maximum(np.abs(latitude) - 36, 0)[:, None]
    summer, winter = 51 - 0.4 * beyond, 34 - 0.5 * beyond
    day = (times - times.astype("datetime64[Y]")) / DAY + np.where(latitude < 0, 182.6, 0.0)[:, None]
    warmth = (1 + np.cos(2 * np.pi * (day - 204) / 365.25)) / 2
    limit: Floats = winter + (summer - winter) * warmth
    return limit


@dataclass(frozen=True)
class Model:
    """A weather model and its archives.

    Args:
        name: as in ``models=``.
        meta: its folder with the times of its updates.
        cycle: from one run's initialisation to the next.
        delay: from a run's initialisation to its being out, assumed.
        reach: what the runs of 00 and 12 UTC cover.
        cell_km: the size of its grid's cells.
        single_runs: the first run in the single-runs archive.
        previous_runs: the first delivery day in the previous-runs archive, and for some variables an earlier one.
    """

    name: str
    meta: str
    cycle: timedelta
    delay: timedelta
    reach: timedelta
    cell_km: float
    single_runs: date
    previous_runs: date
    earlier: Mapping[str, date] = field(default_factory=dict)

    def previous_since(self, variable: str) -> date:
        """The first delivery day that the previous-runs archive may have the variable for."""
        return self.earlier.get(variable, self.previous_runs)


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "ecmwf_ifs",
            meta="ecmwf_ifs",
            cycle=timedelta(hours=6),
            delay=timedelta(hours=7, minutes=30),
            reach=timedelta(days=15),
            cell_km=9,
            single_runs=date(2024, 3, 14),
            previous_runs=date(2024, 1, 1),
        ),
        Model(
            "dwd_icon_eu",
            meta="dwd_icon_eu",
            cycle=timedelta(hours=3),
            delay=timedelta(hours=3),
            reach=timedelta(days=5),
            cell_km=7,
            single_runs=date(2026, 4, 2),
            previous_runs=date(2024, 1, 1),
        ),
        Model(
            "ncep_gfs_global",
            meta="ncep_gfs013",
            cycle=timedelta(hours=6),
            delay=timedelta(hours=6),
            reach=timedelta(days=16),
            cell_km=28,
            single_runs=date(2026, 4, 2),
            previous_runs=date(2024, 1, 1),
            earlier={"temperature_2m": date(2021, 3, 24)},
        ),
    )
}
"""Each a single model with runs at 00 and 12 UTC: a seamless mixture of models has no one delay."""


def known_run(zone: BiddingZone, day: date, *, model: Model) -> datetime:
    """The newest run of 00 or 12 UTC that is out when the forecast of delivery day ``day`` is issued.

    >>> from gridcast.market.zones import zone
    >>> known_run(zone("DK_1"), date(2026, 7, 2), model=MODELS["ecmwf_ifs"]).isoformat()
    '2026-07-01T00:00:00+00:00'
    """
    half_day = timedelta(hours=12)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (issue_time(zone, day) - model.delay - epoch) // half_day * half_day


def previous_out(start: Times, *, lead: int, model: Model) -> Times:
    """When the run behind the hours that start at ``start`` [N] was out, ``lead`` days back.

    An hour uses the stamps at its start and its end, and a stamp holds the newest run that was initialised at least
    ``lead`` x 24 hours before it: the end's is the younger one.

    >>> noon = np.array(["2026-01-15T12:00"], "datetime64[us]")
    >>> previous_out(noon, lead=2, model=MODELS["ecmwf_ifs"])[0].item().isoformat()
    '2026-01-13T19:30:00'
    """
    cycle, delay = (np.timedelta64(span) for span in (model.cycle, model.delay))
    latest = start + HOUR - lead * DAY
    return latest - (latest - np.datetime64(0, "us")) % cycle + delay


def in_time(start: Times, out: Times, *, zone: BiddingZone) -> NDArray[np.bool_]:
    """Whether what was ``out`` then [N] was known when the delivery day of each hour [N] was forecast."""
    days, place = np.unique(local_day(start, zone.market_tz), return_inverse=True)
    issued = np.array([instant(issue_time(zone, day.item())) for day in days], "datetime64[us]")
    known: NDArray[np.bool_] = out <= issued[place]
    return known
