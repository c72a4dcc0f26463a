"""Why a forecast is what it is: megawatt terms that sum to its median.

Models work in the logarithm of the load, where their parts add up; a part of a logarithm becomes megawatts by the
logarithmic mean of the forecast and the typical load, which leaves no remainder.

Source: Ang 2005, "The LMDI approach to decomposition analysis: a practical guide".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from gridcast.contracts import MEDIAN, Block, Design, Floats
from gridcast.errors import ConfigError
from gridcast.market.days import weekday
from gridcast.models import Fitted

TYPICAL, CALENDAR, HOLIDAY, TEMPERATURE, WEATHER, RECENT_LEVEL, TSO, LIMIT = TERMS = (
    "typical",
    "calendar",
    "holiday",
    "temperature",
    "weather",
    "recent_level",
    "tso",
    "limit",
)
"""Every term a forecast can have, in the order in which they are shown.

``typical`` is one number for all rows: the load of a mean hour of an ordinary week, all year long. The others say how a
row differs from it: ``calendar`` by clock, weekday, season and school holidays, as if the day were ordinary;
``holiday`` because it is not; ``temperature`` and other ``weather`` by how they differ from the mean of the training
period; ``recent_level`` by the load and the errors of the days before; ``tso`` by the operator's forecast and how it
erred. ``limit`` is what the bounds of a regression held back, and stands there only where they did.
"""

_KINDS = dict.fromkeys(("constant", "weekday", "season", "week_profile", "vacation", "school", "clock"), CALENDAR)
_KINDS |= dict.fromkeys(
    ("holiday", "around_holiday", "christmas", "christmas_day", "holiday_name", "special_day"), HOLIDAY
)
_KINDS |= {"load": RECENT_LEVEL, "hours": RECENT_LEVEL, "tso": TSO}
_ON_REST_DAYS = " on rest days"


@runtime_checkable
class Explainable(Protocol):
    """A fitted model that can say what its point forecasts are made of."""

    def parts(self, design: Design) -> dict[str, Floats]:
        """What each of some `TERMS` adds to the log forecasts of the wanted rows, [M] each: they sum to `point`."""
        ...


def term(name: str) -> str:
    """The term that a block of columns belongs to; a block that is nothing else is weather.

    >>> term("week_profile"), term("temperature_2m"), term("wind_speed_10m")
    ('calendar', 'temperature', 'weather')
    """
    return _KINDS.get(name, TEMPERATURE if name.startswith("temperature") else WEATHER)


def parts(fitted: Fitted, design: Design) -> dict[str, Floats]:
    """What each term adds to the log point forecasts of the wanted rows, [M] each.

    Raises:
        ConfigError: the model is of a kind that cannot say so.
    """
    if not isinstance(fitted, Explainable):
        raise ConfigError(
            f"a forecast of the model {fitted.recipe.name!r} cannot be explained",
            remedy="choose linear, boosted or an ensemble of them",
        )
    return fitted.parts(design)


def terms(fitted: Fitted, design: Design) -> dict[str, Floats]:
    """The terms of the median forecast of the wanted rows in MW, [M] each, in the order of `TERMS`.

    What the calibration adds to the model's own point forecast is part of ``recent_level``: it makes up for the errors
    of the days before.

    Raises:
        ConfigError: the model is of a kind that cannot say so.
    """
    found = parts(fitted, design)
    calibrated = np.log(fitted.predict(design)[:, MEDIAN]) - fitted.point(design)[design.wanted_rows]
    found[RECENT_LEVEL] = found[RECENT_LEVEL] + calibrated
    return in_megawatts({name: found[name] for name in TERMS if name in found and (name != LIMIT or found[name].any())})


def in_megawatts(parts: Mapping[str, Floats]) -> dict[str, Floats]:
    """Parts of a log load as MW: ``typical`` becomes its load, and the others what they add to it.

    A load that is 10 % higher by two parts, from 1000 MW, is 1210 MW: each of them adds the half of what is added.

    >>> tenth = np.log([1.1])
    >>> {name: mw.round(6).tolist() for name, mw in in_megawatts(
    ...     {"typical": np.log([1000.0]), "calendar": tenth, "tso": tenth}).items()}
    {'typical': [1000.0], 'calendar': [105.0], 'tso': [105.0]}
    """
    typical = np.exp(parts[TYPICAL])
    added = np.sum([values for name, values in parts.items() if name != TYPICAL], axis=0)
    there = added != 0
    logarithmic_mean = typical * np.where(there, np.expm1(added) / np.where(there, added, 1.0), 1.0)
    return {name: typical if name == TYPICAL else logarithmic_mean * values for name, values in parts.items()}


def ordinary(design: Design) -> list[Block]:
    """The calendar of the design's rows as it would be were no day a holiday, or near one.

    What separates it from the true one is the effect of holidays: not only the columns that bear the name, for on a
    holiday those of its weekday are 0.
    """
    of_day = weekday(design.local_day)

    def plain(block: Block) -> Block:
        values = block.values
        if term(block.name) == HOLIDAY:
            values = np.zeros_like(values)
        elif block.name == "weekday":
            values = np.eye(7)[of_day]
        elif block.name == "week_profile":
            of_rest = np.array([name.endswith(_ON_REST_DAYS) for name in block.columns])
            values = np.where(of_rest & (of_day < 5)[:, None], 0.0, values)
        return replace(block, values=values)

    return [plain(block) for block in design.calendar]


def shared_out(value: Floats, among: Mapping[str, Floats]) -> dict[str, Floats]:
    """A value [M] that several terms caused together, by how large each of these is; all of the first if all are 0.

    >>> shared_out(np.array([8.0]), {"calendar": np.array([-3.0]), "tso": np.array([1.0])})
    {'calendar': array([6.]), 'tso': array([2.])}
    """
    size = np.abs(list(among.values()))
    size[0] += size.sum(axis=0) == 0
    return dict(zip(among, value * (size / size.sum(axis=0)), strict=True))
