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
    days = _all_days(zone)
    holidays = pl.concat([days["holiday"], days["regional"]])
    return tuple(sorted(holidays.drop_nulls().unique())), tuple(sorted(days["special"].drop_nulls().unique()))


@lru_cache(maxsize=64)
def _usual_school(zone: BiddingZone) -> Floats | None:
    """The mean share whose schools are closed on each day of the year [366], of the years known; None if none is."""
    known = _all_days(zone).drop_nulls("school_share")
    if not len(known):
        return None
    of_day = known.group_by(pl.col("day").dt.ordinal_day().alias("n")).agg(pl.col("school_share").mean()).sort("n")
    usual = np.interp(np.arange(1, 367), of_day["n"].to_numpy(), of_day["school_share"].to_numpy())
    return np.asarray(usual, np.float64)


def _all_days(zone: BiddingZone) -> pl.DataFrame:
    return day_types(zone, np.arange(np.datetime64(_NAMES_FROM), np.datetime64(_NAMES_TO)))


def day_kind(zone: BiddingZone, days: Times) -> NDArray[np.intp]:
    """0 ordinary, 1 public holiday, 2 bridge day, for each local day."""
    numbers, back = _numbers(days)
    kinds = _types(zone, numbers)
    return np.where(kinds["holiday"].is_not_null(), 1, np.where(kinds["bridge"], 2, 0)).astype(np.intp)[back]


def blocks(zone: BiddingZone, days: Times) -> tuple[Block, ...]:
    """Calendar columns of the given local days, [N, K] a block.

    Holidays count by name and by whether they fall on a working day, so that each one's effect is learned and a name
    that was never seen falls back on the effect of holidays at large. They count by the share of the people who have
    them: 1 is all the zone. The block ``school`` is there where the zone's school holidays are known for some years;
    in the others they are the usual ones of the day of the year.
    """
    numbers, back = _numbers(days)
    return tuple(Block(b.name, b.columns, b.values[back]) for b in _of_days(zone, numbers))


def _numbers(days: Times) -> tuple[tuple[int, ...], NDArray[np.intp]]:
    """The days once each, since 1970, and the place of every given day among them."""
    unique, back = np.unique(days, return_inverse=True)
    return tuple(unique.astype(np.int64).tolist()), back


@lru_cache(maxsize=16)
def _types(zone: BiddingZone, numbers: tuple[int, ...]) -> pl.DataFrame:
    """The types of days since 1970: a day's forecasts, however many are asked for, all need the same."""
    return day_types(zone, np.array(numbers, np.int64).astype("datetime64[D]"))


@lru_cache(maxsize=16)
def _of_days(zone: BiddingZone, numbers: tuple[int, ...]) -> list[Block]:
    kinds = _types(zone, numbers)
    weekday = kinds["weekday"].to_numpy()
    holiday = kinds["holiday_share"].to_numpy()
    at_work = 1 - holiday
    working = weekday < 5
    yearday = kinds.select(pl.col("day").dt.ordinal_day()).to_series().to_numpy()
    angle = 2 * np.pi * yearday / 365.25
    season = np.stack([turn(k * angle) for k in (1, 2, 3, 4) for turn in (np.sin, np.cos)], axis=1)
    month_day = list(zip(kinds["day"].dt.month(), kinds["day"].dt.day(), strict=True))
    distance = np.abs(yearday[:, None] - np.array(_VACATION_CENTRES))
    bumps = np.exp(-0.5 * (np.minimum(distance, 365.25 - distance) / _VACATION_WIDTH) ** 2)
    between = kinds["christmas"].to_numpy() * at_work
    usual = _usual_school(zone)

    def columns(name: str, pairs: Mapping[str, NDArray[np.bool_] | Floats]) -> Block:
        return Block(name, tuple(pairs), np.stack([values.astype(np.float64) for values in pairs.values()], axis=1))

    def by_name(name: str, field: pl.Expr, *, names: tuple[str, ...], share: Floats) -> list[Block]:
        if not names:
            return []
        named = kinds.select(field).to_series()
        shares = {each: (named == each).fill_null(value=False).to_numpy() * share for each in names}
        return [
            columns(
                name,
                {f"{each}, working day": values * working for each, values in shares.items()}
                | {f"{each}, weekend": values * ~working for each, values in shares.items()},
            )
        ]

    holidays, specials = _vocabulary(zone)
    school = []
    if usual is not None:
        closed = kinds["school_share"].fill_null(pl.Series(usual[yearday - 1])).to_numpy()
        school = [columns("school", {"school holidays, working day": closed * working * at_work})]
    profile = {
        f"season {n} on {kind}": season[:, n] * flag
        for kind, flag in {
            "rest days": np.where(working, holiday, 1.0),
            "Saturdays": weekday == 5,
            "Fridays": weekday == 4,
            "Mondays": weekday == 0,
        }.items()
        for n in range(4)
    }
    return [
        columns("constant", {"constant": np.ones(len(kinds))}),
        # A holiday is a Sunday, and as far from one as its own columns say.
        columns("weekday", {f"weekday {n}": (weekday == n) * at_work + holiday * (n == 6) for n in range(7)}),
        columns("season", {f"season {n}": season[:, n] for n in range(season.shape[1])}),
        columns("week_profile", profile),
        columns(
            "holiday",
            {"holiday, working day": holiday * working}
            | {f"holiday, weekday {n}": holiday * (weekday == n) for n in (5, 6)},
        ),
        columns("around_holiday", {name: kinds[f"{name}_share"].to_numpy() for name in ("bridge", "before", "after")}),
        columns("christmas", {"between, working day": between * working, "between, weekend": between * ~working}),
        columns(
            "christmas_day",
            {
                f"{day} {month}": np.array([md == (month, day) for md in month_day]) & working
                for month, day in _CHRISTMAS_DAYS
            },
        ),
        columns("vacation", {f"year day {centre}": bumps[:, n] for n, centre in enumerate(_VACATION_CENTRES)}),
        *by_name("holiday_name", pl.coalesce("holiday", "regional"), names=holidays, share=holiday),
        *by_name("special_day", pl.col("special"), names=specials, share=np.ones(len(kinds))),
        *school,
    ]
