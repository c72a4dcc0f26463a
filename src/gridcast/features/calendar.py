"""Calendar columns: they depend on the local day alone, so they are the same in every snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.contracts import Block, Floats
from gridcast.market.days import Times
from gridcast.market.daytypes import day_types
from gridcast.market.zones import BiddingZone

_NAMES_FROM, _NAMES_TO = date(2000, 1, 1), date(2040, 1, 1)
_CHRISTMAS_DAYS = ((12, 23), (12, 27), (12, 28), (12, 29), (12, 30), (1, 2))
_VACATION_CENTRES = range(7, 366, 14)
_VACATION_WIDTH = 6.0


@lru_cache(maxsize=64)
def _vocabulary(zone: BiddingZone) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the public holidays and of the special days that the zone ever has: the same columns in every design."""
    days = day_types(zone, np.arange(np.datetime64(_NAMES_FROM), np.datetime64(_NAMES_TO)))
    return tuple(sorted(days["holiday"].drop_nulls().unique())), tuple(sorted(days["special"].drop_nulls().unique()))


def day_kind(zone: BiddingZone, days: Times) -> NDArray[np.intp]:
    """0 ordinary, 1 public holiday, 2 bridge day, for each local day."""
    kinds = day_types(zone, days)
    return np.where(kinds["holiday"].is_not_null(), 1, np.where(kinds["bridge"], 2, 0)).astype(np.intp)


def blocks(zone: BiddingZone, days: Times) -> tuple[Block, ...]:
    """Calendar columns of the given local days, [N, K] a block.

    Holidays count by name and by whether they fall on a working day, so that each one's effect is learned and a name
    that was never seen falls back on the effect of holidays at large.
    """
    unique, back = np.unique(days, return_inverse=True)
    return tuple(Block(b.name, b.columns, b.values[back]) for b in _of_days(zone, unique))


def _of_days(zone: BiddingZone, days: Times) -> list[Block]:
    kinds = day_types(zone, days)
    weekday = kinds["weekday"].to_numpy()
    holiday = kinds["holiday"].is_not_null().to_numpy()
    working, rest = weekday < 5, (weekday >= 5) | holiday
    yearday = kinds.select(pl.col("day").dt.ordinal_day()).to_series().to_numpy()
    angle = 2 * np.pi * yearday / 365.25
    season = np.stack([turn(k * angle) for k in (1, 2, 3, 4) for turn in (np.sin, np.cos)], axis=1)
    month_day = list(zip(kinds["day"].dt.month(), kinds["day"].dt.day(), strict=True))
    distance = np.abs(yearday[:, None] - np.array(_VACATION_CENTRES))
    bumps = np.exp(-0.5 * (np.minimum(distance, 365.25 - distance) / _VACATION_WIDTH) ** 2)
    between = kinds["christmas"].to_numpy() & ~holiday

    def columns(name: str, pairs: Mapping[str, NDArray[np.bool_] | Floats]) -> Block:
        return Block(name, tuple(pairs), np.stack([values.astype(np.float64) for values in pairs.values()], axis=1))

    def by_name(name: str, field: str, *, names: tuple[str, ...]) -> list[Block]:
        if not names:
            return []
        is_name = {each: (kinds[field] == each).fill_null(value=False).to_numpy() for each in names}
        return [
            columns(
                name,
                {f"{each}, working day": flag & working for each, flag in is_name.items()}
                | {f"{each}, weekend": flag & ~working for each, flag in is_name.items()},
            )
        ]

    holidays, specials = _vocabulary(zone)
    profile = {
        f"season {n} on {kind}": season[:, n] * flag
        for kind, flag in {
            "rest days": rest,
            "Saturdays": weekday == 5,
            "Fridays": weekday == 4,
            "Mondays": weekday == 0,
        }.items()
        for n in range(4)
    }
    return [
        columns("constant", {"constant": np.ones(len(days))}),
        columns("weekday", {f"weekday {n}": (weekday == n) & ~holiday for n in range(7)}),
        columns("season", {f"season {n}": season[:, n] for n in range(season.shape[1])}),
        columns("week_profile", profile),
        columns(
            "holiday",
            {"holiday, working day": holiday & working}
            | {f"holiday, weekday {n}": holiday & (weekday == n) for n in (5, 6)},
        ),
        columns("around_holiday", {name: kinds[name].to_numpy() for name in ("bridge", "before", "after")}),
        columns("christmas", {"between, working day": between & working, "between, weekend": between & ~working}),
        columns(
            "christmas_day",
            {
                f"{day} {month}": np.array([md == (month, day) for md in month_day]) & working
                for month, day in _CHRISTMAS_DAYS
            },
        ),
        columns("vacation", {f"year day {centre}": bumps[:, n] for n, centre in enumerate(_VACATION_CENTRES)}),
        *by_name("holiday_name", "holiday", names=holidays),
        *by_name("special_day", "special", names=specials),
    ]
