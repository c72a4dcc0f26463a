"""What kind of day it is where people live: weekday, holiday, bridge day, Christmas. Models learn the effect of each.

Source: the ``holidays`` library, calendars of `BiddingZone.country` and ``subdivision``, with names in American English
so that a day keeps one name in every locale. A year before the library's calendar of a country begins has no holidays
(Spain begins in 2008, Serbia in 2007).
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.errors import ConfigError
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
    }
)
"""Columns of `day_types`."""

HALF_HOLIDAYS = ("bank", "de_facto", "half_day", "optional")
"""Categories of the library that many people observe though they are no public holidays.

The others concern schools, one faith, or commemorations on which people work.
"""

EVERYWHERE_SPECIAL = {(12, 24): "Christmas Eve", (12, 31): "New Year's Eve"}

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

        Days off are Saturdays, Sundays and public holidays; every other day is a working day, a special one too.

    Raises:
        ConfigError: there is no holiday calendar of the zone's country and subdivision.

    >>> from gridcast.market.zones import zone
    >>> friday_after_ascension = np.array(["2024-05-10"], "datetime64[D]")
    >>> day_types(zone("DK_1"), friday_after_ascension)["bridge"].item()
    True
    """
    if not len(days):
        return DAY_TYPES.to_frame()
    number = days.astype("datetime64[D]").astype(np.int64)
    first, last = int(number.min()) - 1, int(number.max()) + 1  # a day more at either end, for the neighbours
    span = np.arange(first, last + 1)
    weekday = (span + 3) % 7  # 1970-01-01 was a Thursday
    holidays, specials = _names(zone, first=first, last=last)
    is_holiday = np.fromiter((day in holidays for day in span.tolist()), np.bool_, len(span))
    on_weekday = is_holiday & (weekday < 5)
    off = is_holiday | (weekday >= 5)
    eve, morrow = _next(on_weekday), _previous(on_weekday)
    place = number - first
    dates = pl.Series("day", days.astype("datetime64[D]"))
    return pl.DataFrame(
        {
            "day": dates,
            "weekday": weekday[place].astype(np.int8),
            "holiday": [holidays.get(day) for day in number.tolist()],
            "special": [specials.get(day) for day in number.tolist()],
            "bridge": (~off & _previous(off) & _next(off) & (eve | morrow))[place],
            "before": (~off & eve)[place],
            "after": (~off & morrow)[place],
            "christmas": (
                ((dates.dt.month() == 12) & (dates.dt.day() >= 23)) | ((dates.dt.month() == 1) & (dates.dt.day() <= 2))
            ),
        },
        schema=DAY_TYPES,
    )


def _next(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.append(flags[1:], False)


def _previous(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.append(False, flags[:-1])


def _names(zone: BiddingZone, *, first: int, last: int) -> tuple[dict[int, str], dict[int, str]]:
    """Public holidays and special days from ``first`` to ``last`` (days since 1970), in whole years."""
    holidays: dict[int, str] = {}
    specials: dict[int, str] = {}
    for year in range((_EPOCH + timedelta(days=first)).year, (_EPOCH + timedelta(days=last)).year + 1):
        of_year = _calendar(zone.country, subdivision=zone.subdivision, year=year)
        holidays.update(of_year[0])
        specials.update(of_year[1])
    return holidays, specials


@lru_cache(maxsize=4096)
def _calendar(country: str, *, subdivision: str | None, year: int) -> tuple[Names, Names]:
    """Public holidays and special days of one year: name by day since 1970."""
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
    return MappingProxyType(public), MappingProxyType(special)
