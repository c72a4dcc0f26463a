"""What is news and what was known when, row by row in plain loops: what the store is held against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gridcast.contracts import LOAD
from gridcast.store.vintages import WATCHED, Look

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
MINUTE, HOUR, TICK = timedelta(minutes=1), timedelta(hours=1), timedelta(microseconds=1)
HOURS, WEATHER = 3, "temperature_2m"

Row = dict[str, Any]


@dataclass(frozen=True)
class Fetch:
    rows: list[Row]
    looks: list[Look]


class SlowStore:
    """The rule of `gridcast.store.vintages.news`, row by row."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.looks: list[tuple[Look, datetime]] = []
        """With the instant of the last answer; a look that failed was over at once."""
        self.aside: list[Row] = []

    def doubt(self, rows: list[Row]) -> None:
        """Sets rows aside that are not in quarantine yet."""
        for row in rows:
            if not any(same_value(row, old, "published_at", "published_at_basis", "resolution") for old in self.aside):
                self.aside.append(row)

    def usable(self) -> list[Row]:
        """The vintages whose value is not in quarantine."""
        return [row for row in self.rows if not any(same_value(row, old) for old in self.aside)]

    def contradicts(self, fetch: Fetch) -> bool:
        """Whether a value that has a publication of its own was fetched at the same instant with another value."""
        return any(
            row["published_at_basis"] == "reported"
            and old["published_at"] == row["published_at"]
            and old["fetched_at"] == row["fetched_at"]
            and content(old) != content(row)
            for row in fetch.rows
            for old in self.same(row)
        )

    def put(self, fetch: Fetch) -> None:
        brought = {
            look: [row["fetched_at"] for row in fetch.rows if look.answered and covers(look, row)]
            for look in fetch.looks
        }
        self.looks += [(look, max([at for at in brought[look] if at >= look.at], default=look.at)) for look in brought]
        chains: dict[datetime, list[Row]] = {}
        for row in sorted(fetch.rows, key=lambda row: row["published_at"]):
            chains.setdefault(row["valid_time"], []).append(row)
        added: list[Row] = []
        for chain in chains.values():
            one = chain[0]
            if one["variable"] == WEATHER:
                added += self.of_runs(chain, self.same(one))
            else:
                added += self.of_word(one) if one["published_at_basis"] == "reported" else self.of_one(one)
        self.rows += added
        self.aside = [
            old
            for old in self.aside
            if not any(same_value(row, old) and row["fetched_at"] > old["fetched_at"] for row in fetch.rows)
        ]

    def same(self, row: Row) -> list[Row]:
        """The stored vintages of a row's value."""
        return [
            old for old in self.rows if all(old[name] == row[name] for name in ("variable", "valid_time", "source"))
        ]

    def beside(self, row: Row) -> list[Row]:
        """The stored vintages of the hour that a row is a part of, where it overlaps one of them."""
        hour = [
            old
            for old in self.rows
            if (old["variable"], old["source"]) == (row["variable"], row["source"])
            and (old["valid_time"] - START) // HOUR == (row["valid_time"] - START) // HOUR
        ]
        return hour if HOUR in [old["resolution"] for old in [*hour, row]] else []

    def of_one(self, row: Row) -> list[Row]:
        """A variable that is published once and then revised."""
        seen, assumed = row["fetched_at"], row["published_at"]
        stored = self.same(row) or self.beside(row)
        if stored:
            newest = max(stored, key=lambda old: (old["published_at"], old["fetched_at"]))
            again = newest["valid_time"] == row["valid_time"] and content(row) == content(newest)
            if (again and self.same(row)) or seen <= newest["fetched_at"]:
                return []
            return [dated(row, max(seen, newest["published_at"] + TICK))]
        looks = [(look, over) for look, over in self.looks if covers(look, row)]
        absent = any(look.answered and assumed <= look.at and over < seen for look, over in looks)
        watched = any(assumed - WATCHED < look.at <= assumed and look.at < seen for look, _ in looks)
        early = seen < assumed
        return [dated(row, seen) if early or absent or watched else row | {"run": assumed}]

    def of_word(self, row: Row) -> list[Row]:
        """A value that says itself when it was published."""
        same = self.same(row)
        if not any(old["published_at"] == row["published_at"] for old in same):
            return [row | {"run": row["published_at"]}]
        newest = max(same, key=lambda old: old["published_at"])
        own = [old for old in same if old["run"] == row["published_at"]]  # none, where it was seen at that instant
        held = [newest, *sorted(own, key=lambda old: (old["fetched_at"], old["published_at"]))[-1:]]
        if content(row) in map(content, held) or row["fetched_at"] <= newest["fetched_at"]:
            return []
        return [dated(row, max(row["fetched_at"], newest["published_at"] + TICK))]

    def of_runs(self, chain: list[Row], same: list[Row]) -> list[Row]:
        """Weather forecasts: each assumed publication is a run."""
        again = [row for row in chain if any(old["run"] == row["published_at"] for old in same)]
        added: list[Row] = []
        if again:
            row = again[-1]
            newest = max(same, key=lambda old: old["published_at"])
            own = max((old for old in same if old["run"] == row["published_at"]), key=lambda old: old["published_at"])
            if content(row) not in (content(newest), content(own)) and row["fetched_at"] > newest["fetched_at"]:
                added.append(dated(row, max(row["fetched_at"], newest["published_at"] + TICK)))
        for turn, row in enumerate(row for row in chain if row not in again):
            earlier = [old["published_at"] for old in same if old["published_at"] <= row["published_at"]]
            after = max(earlier) + TICK if earlier else row["fetched_at"]
            if row["fetched_at"] < row["published_at"]:
                fresh = dated(row, max(row["fetched_at"], after) + turn * TICK)
            elif row["published_at"] in earlier:
                fresh = row | {"run": row["published_at"], "published_at": after}
            else:
                fresh = row | {"run": row["published_at"]}
            added = [old for old in added if old["published_at"] != fresh["published_at"]] + [fresh]
        return added


def same_value(row: Row, other: Row, *more: str) -> bool:
    return all(row[name] == other[name] for name in ("variable", "valid_time", "source", "value", *more))


def covers(look: Look, row: Row) -> bool:
    asked = (look.variable, look.source) == (row["variable"], row["source"])
    return asked and look.start <= row["valid_time"] < look.end


def content(row: Row) -> tuple[object, object]:
    return row["value"], row["resolution"]


def dated(row: Row, published_at: datetime) -> Row:
    basis = "observed" if published_at <= row["fetched_at"] + timedelta(milliseconds=1) else "assumed"
    return row | {"run": row["published_at"], "published_at": published_at, "published_at_basis": basis}


def slow_answer(rows: list[Row], *, hour: int, issued: datetime) -> float:
    """The load of an hour as known at an instant: of the best source that has any, its latest."""
    begin = START + hour * HOUR
    for source in ("best:files", "second"):
        own = [
            row for row in rows if (row["variable"], row["source"]) == (LOAD, source) and row["published_at"] <= issued
        ]
        found = [
            (row["published_at"], 1, row["value"])
            for row in own
            if (row["valid_time"], row["resolution"]) == (begin, HOUR)
        ]
        parts = [
            max(
                (
                    (row["published_at"], row["value"])
                    for row in own
                    if (row["valid_time"], row["resolution"]) == (begin + n * 15 * MINUTE, 15 * MINUTE)
                ),
                default=None,
            )
            for n in range(4)
        ]
        if all(parts):
            there = [part for part in parts if part]
            found.append((max(part[0] for part in there), 0, sum(part[1] for part in there) / 4))
        if found:
            return max(found)[2]
    return float("nan")
