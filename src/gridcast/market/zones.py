"""Bidding zones: code, EIC, clocks, gate, weather points. The facts and their sources stand in ``zones.toml``.

A user's own zones and portfolios come from a TOML file of the same shape, one table a zone::

    [TOWN]                              # a zone of one's own: its load comes from files
    name = "Our town"
    country = "DK"                      # holiday calendar, with an optional subdivision
    regions = [{ weight = 3 }, { country = "SE", weight = 1 }]   # whose holidays its people have, where they differ
    market_tz = "Europe/Copenhagen"     # local_tz is the same unless given
    sources = []                        # live sources of the load, best first; default ["entsoe"] where there is an eic
    issue_time = "09:30"                # default 11:00; gate_closure = "12:00" is the default, or "none"
    weather_points = [{ name = "Town", latitude = 55.7, longitude = 12.6, weight = 1 }]

    [NORDIC]                            # a portfolio: the sum of its members
    name = "Our Nordic customers"
    members = ["DK_1", "SE_4", "TOWN"]
    member_weights = [5, 3, 1]          # shares of the load: with them the members' weather points are taken over
    country = "DK"                      # a key may be left out where all members share its value

Weights need not sum to 1: they are normalised on load.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from gridcast.errors import ConfigError, UnknownZone
from gridcast.market.tables import Table, did_you_mean

Value = TypeVar("Value")

DEFAULT_GATE = time(12)
DEFAULT_ISSUE = time(11)
DEFAULT_SOURCES = ("entsoe",)


@dataclass(frozen=True)
class WeatherPoint:
    """A place whose weather stands for a part of the zone.

    ``latitude`` and ``longitude`` in degrees; ``weight`` is the share of the zone's people;
    the weights of a zone sum to 1.
    """

    name: str
    latitude: float
    longitude: float
    weight: float


@dataclass(frozen=True)
class Region:
    """A part of the zone with a holiday calendar of its own; the weights of a zone, shares of its people, sum to 1."""

    country: str
    subdivision: str | None
    weight: float


@dataclass(frozen=True)
class BiddingZone:
    """A zone and its clocks.

    ``market_tz`` sets the delivery day and the gate, ``local_tz`` how people live (profiles, holidays, lags).
    ``gate_closure`` and ``issue_time`` are wall-clock times of ``market_tz`` on the day before delivery; a country has
    no gate. ``country`` and ``subdivision`` name the holiday calendar; ``regions`` are the calendars of its people
    where they differ, else empty. ``members`` are the zones that a portfolio or country is the sum of,
    ``member_weights`` their shares of its load (sum 1; empty where unknown). ``tso_input`` says whether the operator's
    published forecast is an honest day-ahead input, ``files_only`` that no live source serves the load. ``sources``
    are the live sources of its load, best first: what one of them has not, the next is asked for.
    """

    code: str
    name: str
    country: str
    market_tz: str
    local_tz: str
    eic: str | None = None
    subdivision: str | None = None
    regions: tuple[Region, ...] = ()
    gate_closure: time | None = DEFAULT_GATE
    issue_time: time = DEFAULT_ISSUE
    weather_points: tuple[WeatherPoint, ...] = ()
    members: tuple[str, ...] = ()
    member_weights: tuple[float, ...] = ()
    tso_input: bool = True
    files_only: bool = False
    sources: tuple[str, ...] = DEFAULT_SOURCES

    @property
    def market_zone(self) -> ZoneInfo:
        """The market's clock."""
        return ZoneInfo(self.market_tz)


def zone(code: str, *, user_file: Path | None = None) -> BiddingZone:
    """The zone of that code.

    Args:
        code: as in `zones`, upper and lower case told apart.
        user_file: TOML file of the user's own zones and portfolios.

    Raises:
        UnknownZone: no zone of that code; ``nearest`` holds the codes it resembles, best first.
        ConfigError: the user's file is wrong.

    >>> zone("FI").local_tz
    'Europe/Helsinki'
    """
    table = zones(user_file=user_file)
    if code in table:
        return table[code]
    nearest = _nearest(code, table)
    remedy = did_you_mean(nearest) if nearest else "`gridcast zones` lists them, and a TOML file adds your own"
    raise UnknownZone(f"there is no zone {code!r}", remedy=remedy, zone=code, nearest=nearest)


def zones(*, user_file: Path | None = None) -> dict[str, BiddingZone]:
    """Every zone by its code, sorted; the user's among them where a file is given.

    Raises:
        ConfigError: the user's file cannot be read or breaks a rule; facts ``file``, ``zone``, ``key``.
    """
    table = _built_in()
    if user_file is not None:
        table = table | _of_user(_read(user_file), where=str(user_file))
    return dict(sorted(table.items()))


def eic_check_character(stem: str) -> str:
    """The 16th character of an Energy Identification Code, from the first 15.

    Source: ENTSO-E, Energy Identification Coding Scheme (EIC) reference manual: weights 16 to 2, modulo 37.

    >>> eic_check_character("10YDK-1--------")
    'W'
    """
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
    total = sum(weight * alphabet.index(character) for weight, character in zip(range(16, 1, -1), stem, strict=True))
    return alphabet[36 - (total - 1) % 37]


def _fold(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _nearest(code: str, table: Mapping[str, BiddingZone]) -> list[str]:
    """Codes like ``code``, best first, at most three; punctuation and case do not count, names count too."""
    wanted = _fold(code)
    if not wanted:
        return []
    codes = {_fold(known): known for known in table}
    names = {_fold(known.name): known.code for known in table.values()}
    like = codes | names
    begin = [folded for folded in like if folded.startswith(wanted)]
    close = [folded for group in (codes, names) for folded in difflib.get_close_matches(wanted, group, n=3)]
    return list(dict.fromkeys(like[folded] for folded in begin + close))[:3]


@lru_cache(maxsize=1)
def _built_in() -> dict[str, BiddingZone]:
    text = files(__package__).joinpath("zones.toml").read_text(encoding="utf-8")
    return _parse(text, where="zones.toml", known={})


@lru_cache(maxsize=8)
def _of_user(text: str, *, where: str) -> dict[str, BiddingZone]:
    return _parse(text, where=where, known=_built_in())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        what = f"the zone file {path} cannot be read ({why})"
        raise ConfigError(what, remedy="give the path of a TOML file", file=str(path)) from error


def _parse(text: str, *, where: str, known: Mapping[str, BiddingZone]) -> dict[str, BiddingZone]:
    """The zones of a TOML text, sorted by code; portfolios may name members that stand anywhere in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML ({error})", remedy="mend that line", file=where) from error
    tables = [_ZoneTable(raw, file=where, zone=code) for code, raw in document.items()]
    taken = {_fold(code): code for code in known}
    for table in tables:
        table.check_code(taken)
    built: dict[str, BiddingZone] = {}
    for table in tables:
        if "members" not in table.raw:
            built[table.zone] = _plain_zone(table)
    plain = {**known, **built}
    for table in tables:
        if "members" in table.raw:
            built[table.zone] = _portfolio(table, plain)
    return dict(sorted(built.items()))


_COMMON_KEYS = frozenset(
    {"name", "country", "subdivision", "market_tz", "local_tz", "eic", "gate_closure", "issue_time", "weather_points"}
    | {"regions", "tso_input", "files_only", "sources"}
)
_POINT_KEYS = frozenset({"name", "latitude", "longitude", "weight"})
_REGION_KEYS = frozenset({"country", "subdivision", "weight"})
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _plain_zone(table: _ZoneTable) -> BiddingZone:
    table.check_keys(_COMMON_KEYS)
    country, subdivision = table.text("country"), table.optional_text("subdivision")
    market_tz = table.time_zone("market_tz")
    eic = table.eic()
    files_only = table.flag("files_only", eic is None)
    return BiddingZone(
        code=table.zone,
        name=table.text("name"),
        country=country,
        market_tz=market_tz,
        local_tz=table.time_zone("local_tz", market_tz),
        eic=eic,
        subdivision=subdivision,
        regions=table.regions(Region(country, subdivision, 1.0)),
        gate_closure=table.gate(DEFAULT_GATE),
        issue_time=table.clock("issue_time", DEFAULT_ISSUE),
        weather_points=table.weather_points(),
        tso_input=table.flag("tso_input", True),
        files_only=files_only,
        sources=table.sources(() if files_only else DEFAULT_SOURCES),
    )


def _portfolio(table: _ZoneTable, known: Mapping[str, BiddingZone]) -> BiddingZone:
    table.check_keys(_COMMON_KEYS | {"members", "member_weights"})
    parts = table.members(known)
    weights = table.member_weights(len(parts))
    points = table.weather_points()
    if not points and weights and all(part.weather_points for part in parts):
        points = tuple(
            replace(point, weight=point.weight * weight)
            for part, weight in zip(parts, weights, strict=True)
            for point in part.weather_points
        )
    shared_country = _shared(part.country for part in parts)
    country = table.text("country", shared_country)
    shared_subdivision = _shared(part.subdivision for part in parts) if country == shared_country else None
    subdivision = table.optional_text("subdivision", shared_subdivision)
    regions = table.regions(Region(country, subdivision, 1.0))
    if not regions and weights and any(part.regions for part in parts):
        regions = tuple(
            replace(region, weight=region.weight * weight)
            for part, weight in zip(parts, weights, strict=True)
            for region in part.regions or (Region(part.country, part.subdivision, 1.0),)
        )
    return BiddingZone(
        code=table.zone,
        name=table.text("name"),
        country=country,
        market_tz=table.time_zone("market_tz", _shared(part.market_tz for part in parts)),
        local_tz=table.time_zone("local_tz", _shared(part.local_tz for part in parts)),
        eic=table.eic(),
        subdivision=subdivision,
        regions=regions,
        gate_closure=table.gate(None),
        issue_time=table.clock("issue_time", _shared(part.issue_time for part in parts)),
        weather_points=points,
        members=tuple(part.code for part in parts),
        member_weights=weights,
        tso_input=table.flag("tso_input", all(part.tso_input for part in parts)),
        files_only=table.flag("files_only", any(part.files_only for part in parts)),
        sources=table.sources(tuple(dict.fromkeys(name for part in parts for name in part.sources))),
    )


def _shared(values: Iterable[Value]) -> Value | None:
    """The value where all are the same, else None."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


class _ZoneTable(Table):
    """One zone's table: what only a zone has."""

    def check_code(self, taken: dict[str, str]) -> None:
        """Refuse a malformed code and one that differs from another at most by case and punctuation."""
        if not _CODE.fullmatch(self.zone):
            raise self.wrong("code", "not a zone code", remedy="use 1 to 32 letters, digits and _, a letter first")
        other = taken.setdefault(_fold(self.zone), self.zone)
        if other is not self.zone:
            raise self.wrong("code", f"there is a zone {other} already", remedy="choose another code")

    def gate(self, default: time | None) -> time | None:
        if self.raw.get("gate_closure", default) in (None, "none"):
            return None
        return self.clock("gate_closure", default)

    def eic(self) -> str | None:
        code = self.optional_text("eic")
        if code is None:
            return None
        if not re.fullmatch(r"[0-9A-Z-]{15}[0-9A-Z]", code) or eic_check_character(code[:15]) != code[15]:
            raise self.wrong("eic", f"{code!r} fails the check of an EIC", remedy="copy its 16 characters again")
        return code

    def regions(self, own: Region) -> tuple[Region, ...]:
        """The regions; ``own`` is the zone's calendar, which one without a name has."""
        raw = self.tables("regions", example='{ weight = 3 }, { country = "SE", weight = 1 }')
        regions = [
            _ZoneTable(each, file=self.file, zone=self.zone, below=f"regions[{number}].").region(own)
            for number, each in enumerate(raw, start=1)
        ]
        if len({(region.country, region.subdivision) for region in regions}) < len(regions):
            raise self.wrong("regions", "a region stands twice", remedy="name each once; one, the rest, needs no name")
        shares = _normalised([region.weight for region in regions])
        return tuple(replace(region, weight=share) for region, share in zip(regions, shares, strict=True))

    def region(self, own: Region) -> Region:
        """This table as a region, with its weight as written."""
        self.check_keys(_REGION_KEYS)
        weight = self.weight("weight", self.raw.get("weight"))
        if self.raw.keys() == {"weight"}:
            return replace(own, weight=weight)
        return Region(self.text("country", own.country), self.optional_text("subdivision"), weight)

    def weather_points(self) -> tuple[WeatherPoint, ...]:
        raw = self.tables("weather_points", example='{ name = "...", latitude = 55.7, longitude = 12.6, weight = 1 }')
        points = [self.weather_point(point, number=number) for number, point in enumerate(raw, start=1)]
        shares = _normalised([point.weight for point in points])
        return tuple(replace(point, weight=share) for point, share in zip(points, shares, strict=True))

    def weather_point(self, point: Mapping[str, object], *, number: int) -> WeatherPoint:
        """The point with its weight as written; ``number`` counts from 1."""
        below = f"weather_points[{number}]."
        self.check_keys(_POINT_KEYS, point, below=below)
        name = point.get("name")
        if not isinstance(name, str) or not name.strip():
            raise self.wrong(below + "name", "missing or not a text", remedy='write name = "..."')
        return WeatherPoint(
            name,
            latitude=self.degrees(below + "latitude", point.get("latitude"), limit=90, positive="north"),
            longitude=self.degrees(below + "longitude", point.get("longitude"), limit=180, positive="east"),
            weight=self.weight(below + "weight", point.get("weight")),
        )

    def members(self, known: Mapping[str, BiddingZone]) -> list[BiddingZone]:
        names = self.raw["members"]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise self.wrong("members", "not a list of zone codes", remedy='write members = ["DK_1", "DK_2"]')
        if len(set(names)) < len(names):
            raise self.wrong("members", "a member stands twice", remedy="name each zone once")
        for name in names:
            if name not in known:
                like = _nearest(name, known)
                remedy = did_you_mean(like) if like else "name zones of `gridcast zones` or this file, no portfolios"
                raise self.wrong("members", f"there is no zone {name!r} to be a member", remedy=remedy)
            if known[name].members:
                inner = ", ".join(known[name].members)
                raise self.wrong("members", f"{name} is itself a sum of zones", remedy=f"name {inner} instead")
        return [known[name] for name in names]

    def sources(self, default: tuple[str, ...]) -> tuple[str, ...]:
        raw = self.raw.get("sources", list(default))
        if not isinstance(raw, list) or not all(isinstance(name, str) and _SOURCE.fullmatch(name) for name in raw):
            raise self.wrong("sources", "not a list of sources", remedy='write sources = ["entsoe", "energidata"]')
        if len(set(raw)) < len(raw):
            raise self.wrong("sources", "a source stands twice", remedy="name each once, the best first")
        return tuple(raw)

    def member_weights(self, count: int) -> tuple[float, ...]:
        raw = self.raw.get("member_weights")
        if raw is None:
            return ()
        if not isinstance(raw, list) or len(raw) != count:
            raise self.wrong("member_weights", f"not a list of {count} numbers", remedy="write one weight a member")
        return _normalised([self.weight("member_weights", value) for value in raw])


def _normalised(weights: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)
