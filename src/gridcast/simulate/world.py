"""What is true in the simulated grid, and when each value becomes public.

Synthetic, from the demo's Denmark: DK_1 and DK_2 are its series, DK their sum, every other zone a mixture of the two,
scaled and put on its own clock. A file's zone has the file's values instead, and where the file has a gap, nothing.
The last version of a value is the truth; an earlier one may differ from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zlib import crc32
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, OBSERVED, TSO_FORECAST, Floats
from gridcast.errors import ConfigError
from gridcast.market.days import DAY, HOUR, Times, from_local_wall, instant, local_day
from gridcast.market.zones import BiddingZone, zone, zones
from gridcast.simulate.chance import normal, remembered, uniform
from gridcast.sources import demo, tabular

MINUTE = np.timedelta64(60_000_000, "us")
RESOLUTIONS = tuple(timedelta(minutes=n) for n in (5, 15, 30, 60))

_MARGIN = 24
"""Hours that a year of Danish truth holds before its first and after its last."""


@dataclass(frozen=True)
class Strip:
    """Every version of one variable over intervals in order.

    ``start`` [N] and ``resolution`` [N] name them; ``value`` [K, N] (MW) and ``published_at`` [K, N] hold the versions,
    oldest first. A version that an interval does not have repeats the one before; NaN in all of them is a gap.
    """

    start: Times
    resolution: np.ndarray[tuple[int], np.dtype[np.timedelta64]]
    value: Floats
    published_at: Times

    def as_of(self, now: datetime) -> Floats:
        """What was public at ``now`` [N], NaN where nothing was."""
        shown = np.full(len(self.start), np.nan)
        for value, published_at in zip(self.value, self.published_at, strict=True):
            shown = np.where(published_at <= instant(now), value, shown)
        return shown

    def updated_at(self, now: datetime) -> Times:
        """When the version that `as_of` shows became public [N], NaT where nothing was."""
        shown = np.full(len(self.start), np.datetime64("NaT"), "datetime64[us]")
        for published_at in self.published_at:
            shown = np.where(published_at <= instant(now), published_at, shown)
        return shown

    def overlapping(self, begin: np.datetime64, end: np.datetime64) -> Strip:
        """The intervals that lie in ``begin`` .. ``end`` (exclusive), or partly so."""
        keep = (self.start + self.resolution > begin) & (self.start < end)
        return Strip(self.start[keep], self.resolution[keep], self.value[:, keep], self.published_at[:, keep])


@dataclass(frozen=True, eq=False)
class World:
    """A simulated grid.

    Args:
        seed: of everything random.
        resolution: of the load (60, 30 or 15 minutes) and of the operator's forecast, until a switch.
        switches: instants, in order, from which another resolution holds.
        begins: the first interval there is.
        decimals: to which synthetic values are rounded, MW.
        gaps: share of the hours whose load is never published.
        revised: share of the load values whose first publication differed from the truth.
        late: share of the load values that come 3 to 48 hours late.
        curve: the curve type of ENTSO-E's documents where a request names none, ``A03`` or ``A01``.
        whole_documents: answer with whole delivery days, however little of them was asked for.
        variant: which Denmark it resembles.
        files: Observations, as `sources.tabular.read` gives them, of zones that are not synthetic.

    Raises:
        ConfigError: a resolution, share or curve is none of these.
    """

    seed: int = 7
    resolution: timedelta = timedelta(hours=1)
    switches: tuple[tuple[datetime, timedelta], ...] = ()
    begins: datetime = datetime(2014, 12, 31, 23, tzinfo=UTC)
    decimals: int = 0
    gaps: float = 0.0
    revised: float = 0.05
    late: float = 0.002
    curve: str = "A03"
    whole_documents: bool = False
    variant: demo.Variant = demo.Variant.DENMARK_2015_2018
    files: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    _year: Callable[[str, str, int], Strip] = field(init=False, repr=False)
    _file: Callable[[str, str], Strip] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for step in (self.resolution, *(step for _, step in self.switches)):
            if step not in RESOLUTIONS:
                raise ConfigError(f"a simulated resolution of {step}", remedy="use 5, 15, 30 or 60 minutes")
        for name in ("gaps", "revised", "late"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", remedy="give a share from 0 to 1")
        if self.curve not in ("A01", "A03"):
            raise ConfigError(f"there is no curve type {self.curve!r} of loads", remedy="use A03 or A01")
        object.__setattr__(self, "_year", lru_cache(maxsize=96)(self._make_year))
        object.__setattr__(self, "_file", lru_cache(maxsize=16)(self._read_file))

    @classmethod
    def of_file(cls, path: Path, *, zone: BiddingZone, **options: object) -> World:
        """The grid of a user's file for its zone, and the synthetic one for the others.

        Raises:
            DataError: the file cannot be read (see `sources.tabular.read`).
        """
        frame = tabular.read(path, zone=zone, fetched_at=datetime(2000, 1, 1, tzinfo=UTC))
        return cls(files={zone.code: frame}, **options)  # type: ignore[arg-type]

    def serves(self, zone: BiddingZone) -> bool:
        """Whether there is load for the zone: synthetic ones need an operator that publishes at ENTSO-E."""
        return zone.code in self.files or not zone.files_only

    def load(self, zone: BiddingZone, *, begin: datetime, end: datetime) -> Strip:
        """Actual load of the intervals that overlap ``begin`` .. ``end`` (exclusive)."""
        return self._strip(zone, LOAD, begin=begin, end=end)

    def forecast(self, zone: BiddingZone, *, begin: datetime, end: datetime) -> Strip:
        """The operator's day-ahead forecast of the intervals that overlap ``begin`` .. ``end`` (exclusive)."""
        return self._strip(zone, TSO_FORECAST, begin=begin, end=end)

    def hourly(self, zone: BiddingZone, year: int) -> Floats:
        """True mean load of each hour of a UTC year and the `_MARGIN` hours around it [H + 2 * margin], MW."""
        if zone.members:
            known = zones()
            return np.asarray(sum(self.hourly(known[code], year) for code in zone.members), float)
        west, east = (danish(code, year, seed=self.seed, variant=self.variant)[0] for code in demo.ZONES)
        if zone.code in demo.ZONES:
            return west if zone.code == "DK_1" else east
        kind = _kind(zone.code)
        mixed = kind.scale * (kind.west * west + (1 - kind.west) * 1.5 * east)
        hours = year_hours(year, margin=_MARGIN)
        own = remembered(hours, f"own/{zone.code}", seed=self.seed, memory=8)
        return np.asarray(np.roll(mixed, -clock_shift(zone)) * (1 + 0.01 * own), float)

    def observed(self, zone: BiddingZone, variable: str) -> pl.DataFrame | None:
        """What the zone's file says of a weather variable: hourly ``valid_time`` (naive UTC) and ``value``."""
        frame = self.files.get(zone.code)
        if frame is None:
            return None
        rows = frame.filter(pl.col("variable") == variable + OBSERVED)
        if rows.is_empty():
            return None
        hours = rows.group_by(pl.col("valid_time").dt.truncate("1h")).agg(pl.col("value").mean()).sort("valid_time")
        return hours.with_columns(pl.col("valid_time").dt.replace_time_zone(None))

    def _strip(self, zone: BiddingZone, variable: str, *, begin: datetime, end: datetime) -> Strip:
        first, last = instant(max(begin, self.begins)), instant(end)
        if zone.code in self.files:
            return self._file(zone.code, variable).overlapping(first, last)
        years = range(max(begin, self.begins).year, end.year + 1) if first < last else range(0)
        parts = [self._year(zone.code, variable, year).overlapping(first, last) for year in years]
        return joined(parts) if parts else _empty()

    def _make_year(self, code: str, variable: str, year: int) -> Strip:
        place = zones()[code]
        if place.members:
            return _summed([self._year(member, variable, year) for member in place.members])
        start, resolution = self._grid(year)
        truth = np.round(
            within_hour(self.hourly(place, year), start, resolution=resolution, margin=_MARGIN), self.decimals
        )
        if variable == LOAD:
            holes = uniform(start.astype("datetime64[h]").astype("datetime64[us]"), f"gap/{code}", seed=self.seed)
            return self._published(np.where(holes < self.gaps, np.nan, truth), start, resolution, code=code)
        return self._foreseen(truth, start, resolution, place=place, updated=0.15)

    def _grid(self, year: int) -> tuple[Times, np.ndarray[tuple[int], np.dtype[np.timedelta64]]]:
        """Interval starts and resolutions of a UTC year."""
        first, last = year_edges(year)
        changes = [(first, self.resolution), *((instant(when), step) for when, step in self.switches)]
        starts, steps = [], []
        for (since, step), until in zip(changes, [*(when for when, _ in changes[1:]), last], strict=True):
            begin, end = (min(max(edge, first), last) for edge in (since, until))
            length = np.timedelta64(step, "us")
            starts.append(np.arange(begin, end, length))
            steps.append(np.full(len(starts[-1]), length))
        return np.concatenate(starts), np.concatenate(steps)

    def _published(
        self,
        truth: Floats,
        start: Times,
        resolution: np.ndarray[tuple[int], np.dtype[np.timedelta64]],
        *,
        code: str,
    ) -> Strip:
        """Load as it comes out: about an hour after the interval, some late, some revised once or twice."""

        def draw(name: str) -> Floats:
            return uniform(start, f"{name}/{code}", seed=self.seed)

        late = np.where(draw("late") < self.late, 3 + 45 * draw("how late"), 0)
        first_at = start + resolution + _span(0.8 + 0.4 * draw("lag") + late)
        again = draw("revised") < self.revised
        twice = again & (draw("twice") < 0.2)
        unit = 10.0**-self.decimals
        error = np.round(0.01 * truth * normal(start, f"error/{code}", seed=self.seed), self.decimals)
        error = np.where(error == 0, unit, error)
        first = np.where(again, np.maximum(truth + error, 0), truth)
        second = np.where(twice, np.maximum(truth + np.round(error / 2, self.decimals), 0), truth)
        second_at = np.where(again, first_at + _span(2 * 120 ** draw("when")), first_at)
        third_at = np.where(twice, second_at + _span(24 * (1 + 30 * draw("when again"))), second_at)
        return Strip(start, resolution, np.stack([first, second, truth]), np.stack([first_at, second_at, third_at]))

    def _foreseen(
        self,
        truth: Floats,
        start: Times,
        resolution: np.ndarray[tuple[int], np.dtype[np.timedelta64]],
        *,
        place: BiddingZone,
        updated: float,
    ) -> Strip:
        """The operator's forecast: the load with an error that has a memory, out at 08:00-10:00 of the day before."""
        hours = np.arange(start[0].astype("datetime64[h]").astype("datetime64[us]"), start[-1] + resolution[-1], HOUR)
        error = 0.025 * remembered(hours, f"tso/{place.code}", seed=self.seed, memory=12)
        error = error[(start - hours[0]) // HOUR]
        day, published_at = self._announced(start, place=place)
        again = uniform(day, f"update/{place.code}", seed=self.seed) < updated
        update_at = published_at + _span(4 + 5 * uniform(day, f"update at/{place.code}", seed=self.seed))
        first = np.round(truth * (1 + error), self.decimals)
        second = np.where(again, np.round(truth * (1 + 0.6 * error), self.decimals), first)
        when = np.stack([published_at, np.where(again, update_at, published_at)])
        return Strip(start, resolution, np.stack([first, second]), when)

    def _announced(self, start: Times, *, place: BiddingZone) -> tuple[Times, Times]:
        """Each interval's delivery day, and when its forecast is first out."""
        day = local_day(start, place.market_tz).astype("datetime64[us]")
        eight = from_local_wall(np.add(day, 8 * HOUR - DAY), place.market_tz)
        return day, eight + _span(2 * uniform(day, f"announced/{place.code}", seed=self.seed))

    def _read_file(self, code: str, variable: str) -> Strip:
        frame, place = self.files[code], zone(code)
        rows = frame.filter(pl.col("variable") == variable).sort("valid_time")
        given = not rows.is_empty()
        rows = rows if given else frame.filter(pl.col("variable") == LOAD).sort("valid_time")
        start = rows["valid_time"].dt.replace_time_zone(None).to_numpy()
        resolution, truth = rows["resolution"].to_numpy().astype("timedelta64[us]"), rows["value"].to_numpy()
        if not len(start):
            return _empty()
        if variable == LOAD:
            return self._published(truth, start, resolution, code=code)
        if given:
            return Strip(start, resolution, truth[None], self._announced(start, place=place)[1][None])
        return self._foreseen(truth, start, resolution, place=place, updated=0.15)


# fmt: off
_SIZES = {
    "AL": 0.9, "BA": 1.3, "CY": 0.6, "MD": 0.7, "ME": 0.4, "MK": 0.8, "UA": 14, "XK": 0.8,
    "AT": 7, "BE": 9.5, "BG": 4.3, "CH": 7, "CZ": 7.3, "DE_LU": 55, "EE": 0.95, "ES": 27, "FI": 9.5, "FR": 51,
    "GR": 5.8, "HR": 2.1, "HU": 4.9, "IT_CALA": 0.7, "IT_CNOR": 3.3, "IT_CSUD": 5.4, "IT_NORD": 18.5, "IT_SARD": 1,
    "IT_SICI": 2.1, "IT_SUD": 2.9, "LT": 1.4, "LV": 0.8, "NL": 12.8, "NO_1": 4, "NO_2": 4.2, "NO_3": 3.1, "NO_4": 2.1,
    "NO_5": 1.9, "PL": 19, "PT": 5.7, "RO": 6, "RS": 4, "SE_1": 1.2, "SE_2": 1.8, "SE_3": 9.6, "SE_4": 2.6, "SI": 1.5,
    "SK": 3.2,
}
# fmt: on
"""Mean load in GW, roughly (general knowledge): a synthetic zone should at least be of its own size."""


@dataclass(frozen=True)
class _Kind:
    """How a synthetic zone differs from Denmark: ``scale`` to western Denmark's 2.3 GW, and its likeness to it."""

    scale: float
    west: float


def _kind(code: str) -> _Kind:
    return _Kind(scale=_SIZES.get(code, 2.0) / 2.3, west=crc32(code.encode()) % 100 / 100)


def clock_shift(zone: BiddingZone) -> int:
    """Hours that the zone's clocks are ahead of Copenhagen's in winter.

    >>> from gridcast.market.zones import zone
    >>> clock_shift(zone("FI")), clock_shift(zone("PT"))
    (1, -1)
    """
    winter = datetime(2024, 1, 15, 12)  # noqa: DTZ001  # a wall clock
    here, there = (winter.replace(tzinfo=ZoneInfo(tz)).utcoffset() for tz in ("Europe/Copenhagen", zone.local_tz))
    return round(((there or timedelta()) - (here or timedelta())) / timedelta(hours=1))


@lru_cache(maxsize=64)
def danish(code: str, year: int, *, seed: int, variant: demo.Variant) -> tuple[Floats, Floats]:
    """Hourly load [MW] and temperature [°C] of DK_1 or DK_2 in a UTC year and `_MARGIN` hours around it."""
    frame = demo.observations(
        zone(code),
        start=date(year - 1, 12, 30),
        end=date(year + 1, 1, 4),
        fetched_at=datetime(2000, 1, 1, tzinfo=UTC),
        variant=variant,
        seed=seed,
    ).with_columns(pl.col("valid_time").dt.replace_time_zone(None))
    hours = pl.Series("valid_time", year_hours(year, margin=_MARGIN))
    parts = [
        frame.filter(pl.col("valid_time").is_in(hours.implode()), variable=name) for name in (LOAD, demo.TEMPERATURE)
    ]
    load, temperature = (part.sort("valid_time")["value"].to_numpy() for part in parts)
    return load, temperature


def year_edges(year: int) -> tuple[np.datetime64, np.datetime64]:
    """The first instant of a UTC year, and of the next."""
    return np.datetime64(f"{year:04d}-01-01", "us"), np.datetime64(f"{year + 1:04d}-01-01", "us")


def year_hours(year: int, *, margin: int = 0) -> Times:
    """The hours of a UTC year, and as many before and after it."""
    first, last = year_edges(year)
    return np.arange(first - margin * HOUR, last + margin * HOUR, HOUR)


def within_hour(
    hourly: Floats,
    start: Times,
    *,
    resolution: np.ndarray[tuple[int], np.dtype[np.timedelta64]],
    margin: int,
) -> Floats:
    """Means of parts of hours [N] from the hours' means: a straight line through each hour that keeps its mean.

    ``hourly`` begins ``margin`` hours before the year of ``start[0]``.
    """
    first = start[0].astype("datetime64[Y]").astype("datetime64[us]") - margin * HOUR
    hour = ((start - first) // HOUR).astype(np.intp)
    place = ((start - first) % HOUR + resolution / 2) / HOUR - 0.5
    slope = np.gradient(hourly)
    return np.asarray(hourly[hour] + slope[hour] * place, float)


def joined(parts: list[Strip]) -> Strip:
    """Strips of one variable one after the other."""
    return Strip(
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.resolution for part in parts]),
        np.concatenate([part.value for part in parts], axis=1),
        np.concatenate([part.published_at for part in parts], axis=1),
    )


def _summed(parts: list[Strip]) -> Strip:
    """The sum of zones: its k-th version is out when all of theirs are."""
    value = np.sum([part.value for part in parts], axis=0)
    return Strip(parts[0].start, parts[0].resolution, value, np.max([part.published_at for part in parts], axis=0))


def _empty() -> Strip:
    none = np.empty(0, "datetime64[us]")
    return Strip(none, np.empty(0, "timedelta64[us]"), np.empty((1, 0)), none[None])


def _span(hours: Floats) -> np.ndarray[tuple[int], np.dtype[np.timedelta64]]:
    """Hours as whole seconds."""
    return np.round(hours * 3600).astype("timedelta64[s]").astype("timedelta64[us]")
