"""Finding and changing the places of a sound load document, whose layout is our own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_PERIOD = re.compile(r"        <Period>.*?</Period>\n", re.DOTALL)
_POINT = re.compile(r"<position>(\d+)</position>\s*<quantity>([^<]*)</quantity>")
_START, _END = re.compile(r"<start>([^<]*)</start>"), re.compile(r"<end>([^<]*)</end>")
_STEP = re.compile(r"<resolution>PT(\d+)M</resolution>")
_ONE_POINT = re.compile(r" *<Point>.*?</Point>\n", re.DOTALL)
_QUANTITY = re.compile(r"(?<=<quantity>)[^<]*(?=</quantity>)")

Points = tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Period:
    """A period of a document, and where it stands."""

    where: tuple[int, int]
    start: datetime
    end: datetime
    minutes: int
    points: Points

    @property
    def step(self) -> timedelta:
        """The resolution."""
        return timedelta(minutes=self.minutes)

    @property
    def length(self) -> int:
        """How many intervals it has."""
        return (self.end - self.start) // self.step

    def full(self) -> list[str]:
        """The quantity of every position, repeats written out."""
        known = dict(self.points)
        texts: list[str] = []
        for position in range(1, self.length + 1):
            texts.append(known.get(position) or texts[-1])
        return texts

    def holding(self, texts: list[str], *, start: datetime | None = None) -> Period:
        """A period of these quantities, one a position, from the same start or another."""
        begin = start or self.start
        points = tuple(enumerate(texts, start=1))
        return replace(self, start=begin, end=begin + len(texts) * self.step, points=points)

    def text(self) -> str:
        """As it stands in a document."""
        points = "".join(
            f"            <Point>\n              <position>{position}</position>\n"
            f"              <quantity>{quantity}</quantity>\n            </Point>\n"
            for position, quantity in self.points
        )
        return (
            f"        <Period>\n          <timeInterval>\n            <start>{self.start:%Y-%m-%dT%H:%MZ}</start>\n"
            f"            <end>{self.end:%Y-%m-%dT%H:%MZ}</end>\n          </timeInterval>\n"
            f"          <resolution>PT{self.minutes}M</resolution>\n{points}        </Period>\n"
        )


def periods(text: str) -> list[Period]:
    """Every period of a document."""
    found = []
    for match in _PERIOD.finditer(text):
        part = match.group()
        start, end = (
            datetime.strptime(pattern.search(part)[1], "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)  # type: ignore[index]
            for pattern in (_START, _END)
        )
        points = tuple((int(position), quantity) for position, quantity in _POINT.findall(part))
        found.append(Period(match.span(), start, end, int(_STEP.search(part)[1]), points))  # type: ignore[index]
    return found


def longest(text: str) -> Period:
    """The period with the most intervals."""
    return max(periods(text), key=lambda period: period.length)


def put(text: str, old: Period, *new: Period) -> str:
    """The document with other periods in one's place."""
    return text[: old.where[0]] + "".join(period.text() for period in new) + text[old.where[1] :]


def with_quantity(text: str, change: Callable[[str], str]) -> str:
    """The document with its middle quantity changed."""
    found = list(_QUANTITY.finditer(text))
    match = found[len(found) // 2]
    return text[: match.start()] + change(match.group()) + text[match.end() :]


def with_point(text: str, change: Callable[[str], str]) -> str:
    """The document with its middle point changed."""
    found = list(_ONE_POINT.finditer(text))
    match = found[len(found) // 2]
    return text[: match.start()] + change(match.group()) + text[match.end() :]


def with_quantities(text: str, change: Callable[[str], str]) -> str:
    """The document with every quantity changed."""
    return _QUANTITY.sub(lambda match: change(match.group()), text)


def without(text: str, element: str) -> str:
    """The document without any element of that name."""
    name = re.escape(element)
    return re.sub(rf" *<{name}(?: [^>]*)?>.*?</{name}>\n", "", text, flags=re.DOTALL)


def retagged(text: str, element: str, *, value: str) -> str:
    """The document with another value in the first element of that name."""
    name = re.escape(element)
    return re.sub(rf"(<{name}(?: [^>]*)?>)[^<]*(</{name}>)", rf"\g<1>{value}\g<2>", text, count=1)


def scaled(quantity: str, factor: float) -> str:
    """A quantity times a factor, in the same form."""
    return f"{float(quantity) * factor:.2f}".rstrip("0").rstrip(".")
