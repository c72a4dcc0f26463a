"""One zone's table of a TOML file: typed keys, and errors that name file, zone, key and remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from gridcast.errors import ConfigError

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class Table:
    """A table and where it stands: ``file``, ``zone``, and ``below`` of which key, such as ``regions[1].``."""

    def __init__(self, raw: object, *, file: str, zone: str, below: str = "") -> None:
        self.file = file
        self.zone = zone
        self.below = below
        if not isinstance(raw, dict):
            raise ConfigError(
                f"{file} has the key {zone!r} outside any zone",
                remedy="put keys below a table such as [MY_ZONE]",
                file=file,
                zone=None,
                key=zone,
            )
        self.raw: dict[str, Any] = raw

    def wrong(self, key: str, what: str, *, remedy: str) -> ConfigError:
        """The error for a key."""
        key = self.below + key
        return ConfigError(
            f"{self.file}, zone {self.zone}, {key}: {what}", remedy=remedy, file=self.file, zone=self.zone, key=key
        )

    def check_keys(self, allowed: frozenset[str], raw: Mapping[str, object] | None = None, *, below: str = "") -> None:
        """Refuse a key that is not allowed, here or in the table ``raw`` below."""
        for key in self.raw if raw is None else raw:
            if key not in allowed:
                like = difflib.get_close_matches(key, allowed, n=1)
                remedy = did_you_mean(like) if like else f"the keys are {', '.join(sorted(allowed))}"
                raise self.wrong(below + key, "unknown key", remedy=remedy)

    def optional_text(self, key: str, default: str | None = None) -> str | None:
        """A text, or the default where the key is absent."""
        return self.text(key) if key in self.raw else default

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not blank."""
        value = self.raw.get(key, default)
        if value is None:
            raise self.wrong(key, "missing", remedy=f'write {key} = "..."')
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, f"{value!r} is not a text", remedy=f'write {key} = "..."')
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"{value!r} is neither true nor false", remedy="write true or false, without quotes")
        return value

    def time_zone(self, key: str, default: str | None = None) -> str:
        """The IANA name of a time zone."""
        name = self.text(key, default)
        if not _is_time_zone(name):
            raise self.wrong(key, f"no time zone {name!r}", remedy='write an IANA name in exact case ("Europe/Oslo")')
        return name

    def clock(self, key: str, default: time | None) -> time:
        """A time of day, "HH:MM"."""
        value = self.raw.get(key, default)
        if isinstance(value, time):
            return value
        if value is None:
            raise self.wrong(key, "missing, and the members differ", remedy=f'write {key} = "11:00"')
        if not isinstance(value, str) or not _CLOCK.fullmatch(value):
            raise self.wrong(key, f"{value!r} is not a time of day", remedy='write "HH:MM", 00:00 to 23:59')
        return time.fromisoformat(value)

    def number(self, key: str, value: object, *, low: float, high: float, remedy: str) -> float:
        """A finite number in [low, high]."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(key, "missing" if value is None else f"{value!r} is not such a number", remedy=remedy)
        return float(value)

    def weight(self, key: str, value: object) -> float:
        """A number above 0."""
        return self.number(key, value, low=1e-9, high=1e12, remedy="write a number above 0")

    def degrees(self, key: str, value: object, *, limit: int, positive: str) -> float:
        """Degrees of latitude or longitude; ``positive`` is the side that counts up."""
        remedy = f"write degrees from -{limit} to {limit}, {positive} positive"
        return self.number(key, value, low=-limit, high=limit, remedy=remedy)

    def tables(self, key: str, *, example: str) -> list[dict[str, object]]:
        """A list of tables, empty where the key is absent."""
        raw = self.raw.get(key, [])
        if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
            raise self.wrong(key, "not a list of tables", remedy=f"write {key} = [{example}]")
        return raw


def did_you_mean(nearest: Sequence[str]) -> str:
    """A remedy that names what was perhaps meant."""
    return f"did you mean {', '.join(nearest)}?"


@lru_cache(maxsize=256)
def _is_time_zone(name: str) -> bool:
    """Whether both clocks of the house know the zone: Python's for single instants, Polars' for columns."""
    try:
        ZoneInfo(name)
        # Polars reads the name exactly; a file system that ignores case would let Python accept "europe/oslo".
        pl.Series([datetime(2000, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.PolarsError):
        return False
    return True
