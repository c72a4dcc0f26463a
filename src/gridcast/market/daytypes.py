"""What kind of day it is where people live: weekday, holiday, bridge day, Christmas. Models learn the effect of each.

Source: the ``holidays`` library, calendars of `BiddingZone.country` and ``subdivision``, with names in American English
so that a day keeps one name in every locale. A year before the library's calendar of a country begins has no holidays
(Spain begins in 2008, Serbia in 2007). Where `BiddingZone.regions` differ, their calendars say what share of the people
has a holiday. School holidays are there for the regions of AT (from 2021), BE, DE, FR (2018), NL (2014) and PL (2018).
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.errors import ConfigError
from gridcast.market.days import weekday
from gridcast.market.zones import BiddingZone

Days = NDArray[np.datetime64]
Names = MappingProxyType[int, str]

DAY_TYPES = pl.Schema(
    {
        "day": pl.Date,
        "weekday": pl.Int8,
        "holiday": pl.String,
        "special": pl.String,
        "bridge": pl.Boolean,
        "before": pl.Boolean,
        "after": pl.Boolean,
        "christmas": pl.Boolean,
        "holiday_share": pl.Float64,
        "bridge_share": pl.Float64,
        "before_share": pl.Float64,
        "after_share": pl.Float64,
        "regional": pl.String,
        "school_share": pl.Float64,
    }
)
"""Columns of `day_types`."""

HALF_HOLIDAYS = ("bank", "de_facto", "half_day", "optional")
"""Categories of the library that many people observe though they are no public holidays.

The others concern schools, one faith, or commemorations on which people work.
"""

EVERYWHERE_SPECIAL = {(12, 24): "Christmas Eve", (12, 31): "New Year's Eve"}

LEAST_SCHOOL_HOLIDAYS = 60
"""Days of school holidays below which the library does not know a year, or only its end: no country has so few."""

_SHARES = ("holiday_share", "bridge_share", "before_share", "after_share")
_EPOCH = date(1970, 1, 1)
_SUFFIX = re.compile(r"\s*\((?:observed|estimated|substituted)[^)]*\)")


def day_types(zone: BiddingZone, days: Days) -> pl.DataFrame:
    """The type of each local calendar day, one row a day in the given order (a day may stand more than once).

    Args:
        zone: whose holiday calendar.
        days: ``datetime64[D]`` of shape [N].

    Returns:
        Columns of `DAY_TYPES`:

        - ``day``; ``weekday``, Monday is 0.
        - ``holiday``: the public holiday's name, or null. A day given in lieu has the holiday's own name; of two names
          on one day the first by alphabet.
        - ``special``: a day that is no public holiday but that many people take off, by name, or null: optional and
          half holidays of the country, 24 and 31 December everywhere.
        - ``bridge``: a working day squeezed between a holiday on a weekday and another day off.
        - ``before``, ``after``: a working day before, after a holiday on a weekday. (A holiday at the weekend changes
          nothing for the Friday before and the Monday after.)
        - ``christmas``: 23 December to 2 January.
        - ``holiday_share``, ``bridge_share``, ``before_share``, ``after_share``: the share of the people, 0 to 1, for
          whom the day is a public holiday, a bridge, before or after a holiday, by the calendar of their region.
          0 or 1, as the flags say, in a zone without regions.
        - ``regional``: the name of a public holiday that some regions have and the zone's own calendar has not, or
          null; of several the one that most people have.
        - ``school_share``: the share of the people in whose region schools are closed for a holiday; null where no
          region's school holidays of that year are known, and in a zone without regions.

        Days off are Saturdays, Sundays and public holidays; every other day is a working day, a special one too.

    Raises:
        ConfigError: there is no holiday calendar of the zone's or a region's country and subdivision.

    >>> from gridcast.market.zones import zone
    >>> friday_after_ascension = np.array(["2024-05-10"], "datetime64[D]")
    >>> day_types(zone("DK_1"), friday_after_ascension)["bridge"].item()
    True

    All Saints' Day is a holiday of five German states and of Luxembourg, where 57 % of the people live.

    >>> all_saints = day_types(zone("DE_LU"), np.array(["2024-11-01"], "datetime64[D]")).row(0, named=True)
    >>> all_saints["holiday"], all_saints["regional"], round(all_saints["holiday_share"], 2)
    (None, "All Saints' Day", 0.57)
    """
    if not len(days):
        return DAY_TYPES.to_frame()
    number = days.astype("datetime64[D]").astype(np.int64)
    first, last = int(number.min()) - 1, int(number.max()) + 1  # a day more at either end, for the neighbours
    span = np.arange(first, last + 1)
    years = range((_EPOCH + timedelta(days=first)).year, (_EPOCH + timedelta(days=last)).year + 1)
    holidays, specials = _names(zone.country, zone.subdivision, years=years)
    flags = _flags(span, holidays=holidays)
    shares, regional = _regions(zone, span, years=years, flags=flags, holidays=holidays)
    place = number - first
    dates = pl.Series("day", days.astype("datetime64[D]"))
    return pl.DataFrame(
        {
            "day": dates,
            "weekday": weekday(span.astype("datetime64[D]"))[place].astype(np.int8),
            "holiday": [holidays.get(day) for day in number.tolist()],
            "special": [specials.get(day) for day in number.tolist()],
            **dict(zip(("bridge", "before", "after"), flags[1:, place], strict=True)),
            "christmas": (
                ((dates.dt.month() == 12) & (dates.dt.day() >= 23)) | ((dates.dt.month() == 1) & (dates.dt.day() <= 2))
            ),
            **dict(zip(_SHARES, shares[:, place], strict=True)),
            "regional": [regional.get(day) for day in number.tolist()],
            "school_share": pl.Series(_school(zone, span, years=years)[place], nan_to_null=True),
        },
        schema=DAY_TYPES,
    )


def _regions(
    zone: BiddingZone, span: NDArray[np.int64], *, years: range, flags: NDArray[np.bool_], holidays: dict[int, str]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Shares of the people for whom each flag holds [4, D], and names of the days that only some have off."""
    shares, people = flags.astype(np.float64), defaultdict[int, dict[str, float]](lambda: defaultdict(float))
    for region in zone.regions:
        theirs, _ = _names(region.country, region.subdivision, years=years)
        shares += region.weight * (_flags(span, holidays=theirs).astype(np.float64) - flags)
        for day in theirs.keys() - holidays.keys():
            people[day][theirs[day]] += region.weight
    names = {day: min(count, key=lambda name: (-count[name], name)) for day, count in people.items()}
    return np.clip(shares, 0.0, 1.0), names


def _school(zone: BiddingZone, span: NDArray[np.int64], *, years: range) -> NDArray[np.float64]:
    """Share of the people whose schools are closed [D], of those whose school holidays are known; NaN of none."""
    year = span.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + _EPOCH.year
    closed, known = np.zeros(len(span)), np.zeros(len(span))
    for region in zone.regions:
        for each in years:
            days = _calendar(region.country, region.subdivision, year=each).school
            if len(days) >= LEAST_SCHOOL_HOLIDAYS:
                known += region.weight * (year == each)
                closed += region.weight * np.isin(span, list(days))
    return closed / np.where(known > 0, known, np.nan)


def _flags(span: NDArray[np.int64], *, holidays: dict[int, str]) -> NDArray[np.bool_]:
    """Whether each day is a holiday, a bridge, before and after a holiday, [4, D]."""
    holiday = np.fromiter((day in holidays for day in span.tolist()), np.bool_, len(span))
    on_weekday = holiday & (weekday(span.astype("datetime64[D]")) < 5)
    off = holiday | (weekday(span.astype("datetime64[D]")) >= 5)
    eve, morrow = _next(on_weekday), _previous(on_weekday)
    return np.stack([holiday, ~off & _previous(off) & _next(off) & (eve | morrow), ~off & eve, ~off & morrow])


def _next(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.append(flags[1:], False)


def _previous(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.append(False, flags[:-1])


def _names(country: str, subdivision: str | None, *, years: range) -> tuple[dict[int, str], dict[int, str]]:
    """Public holidays and special days of whole years: name by day since 1970."""
    of_years = [_calendar(country, subdivision, year=year) for year in years]
    holidays = {day: name for year in of_years for day, name in year.holidays.items()}
    return holidays, {day: name for year in of_years for day, name in year.specials.items()}


class _Year(NamedTuple):
    """Public holidays and special days of one year, and days of school holidays: days since 1970."""

    holidays: Names
    specials: Names
    school: frozenset[int]


@lru_cache(maxsize=32768)
def _calendar(country: str, subdivision: str | None, *, year: int) -> _Year:
    from holidays import country_holidays

    def named(categories: tuple[str, ...]) -> dict[int, str]:
        table = country_holidays(
            country, subdiv=subdivision, years=year, categories=categories, language="en_US", expand=False
        )
        return {(day - _EPOCH).days: min(_SUFFIX.sub("", name) for name in table.get_list(day)) for day in table}

    try:
        supported = country_holidays(country, subdiv=subdivision).supported_categories
    except NotImplementedError as error:
        where = country if subdivision is None else f"{country}, {subdivision}"
        raise ConfigError(
            f"there is no holiday calendar of {where}",
            remedy="give the zone's country as two letters, and a subdivision of that country or none",
            country=country,
            subdivision=subdivision,
        ) from error
    public = named(("public",))
    half = tuple(category for category in HALF_HOLIDAYS if category in supported)
    special = {(date(year, month, day) - _EPOCH).days: name for (month, day), name in EVERYWHERE_SPECIAL.items()}
    special |= named(half) if half else {}
    special = {day: name for day, name in special.items() if day not in public}
    school = frozenset(named(("school",)) if "school" in supported else ())
    return _Year(MappingProxyType(public), MappingProxyType(special), school)
