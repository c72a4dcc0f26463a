"""Load documents as ENTSO-E writes them, of any content, and what a reader must make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gridcast.sources.entsoe.document import Expected

EIC = "10YDK-1--------W"
START = datetime(2026, 3, 10, 23, tzinfo=UTC)
END = START + timedelta(days=1)
FETCHED = datetime(2026, 3, 12, 10, tzinfo=UTC)
NAMESPACE = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
ACKNOWLEDGEMENT = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%MZ")


@dataclass(frozen=True)
class Period:
    """Consecutive intervals: what they are worth, as texts."""

    start: datetime
    minutes: int
    values: tuple[str, ...]
    curve: str = "A01"

    @property
    def end(self) -> datetime:
        return self.start + len(self.values) * timedelta(minutes=self.minutes)

    def points(self) -> list[tuple[int, str]]:
        """Positions and quantities; A03 leaves out what repeats."""
        kept = enumerate(self.values, 1)
        if self.curve == "A01":
            return list(kept)
        return [(n, value) for n, value in kept if n == 1 or value != self.values[n - 2]]

    def rows(self) -> list[tuple[datetime, timedelta, float]]:
        step = timedelta(minutes=self.minutes)
        return [(self.start + n * step, step, float(value)) for n, value in enumerate(self.values)]

    def xml(self) -> str:
        points = "".join(
            f"<Point><position>{n}</position><quantity>{value}</quantity></Point>\n" for n, value in self.points()
        )
        return (
            f"<Period>\n<timeInterval><start>{stamp(self.start)}</start><end>{stamp(self.end)}</end></timeInterval>\n"
            f"<resolution>PT{self.minutes}M</resolution>\n{points}</Period>\n"
        )


@dataclass(frozen=True)
class Load:
    """A document: its periods, grouped into series of one curve type, and its frame."""

    periods: tuple[Period, ...]
    process: str = "A16"
    eic: str = EIC
    asked: tuple[datetime, datetime] = (START, END)
    fetched_at: datetime = FETCHED

    @property
    def expected(self) -> Expected:
        return Expected(self.process, self.eic, *self.asked, fetched_at=self.fetched_at)

    @property
    def rows(self) -> list[tuple[datetime, timedelta, float]]:
        """What a reader must make of it."""
        return sorted(
            row for period in self.periods for row in period.rows() if self.asked[0] <= row[0] < self.asked[1]
        )

    def xml(self) -> str:
        created = self.fetched_at + timedelta(seconds=2)
        series = "".join(
            f"<TimeSeries>\n<mRID>{number}</mRID>\n<businessType>A04</businessType>\n"
            "<objectAggregation>A01</objectAggregation>\n"
            f'<outBiddingZone_Domain.mRID codingScheme="A01">{self.eic}</outBiddingZone_Domain.mRID>\n'
            "<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>\n"
            f"<curveType>{period.curve}</curveType>\n{period.xml()}</TimeSeries>\n"
            for number, period in enumerate(self.periods, 1)
        )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<GL_MarketDocument xmlns="{NAMESPACE}">\n<mRID>d1</mRID>\n'
            f"<revisionNumber>1</revisionNumber>\n<type>A65</type>\n"
            f"<process.processType>{self.process}</process.processType>\n"
            '<sender_MarketParticipant.mRID codingScheme="A01">10X1001A1001A450</sender_MarketParticipant.mRID>\n'
            f"<createdDateTime>{created:%Y-%m-%dT%H:%M:%SZ}</createdDateTime>\n"
            f"<time_Period.timeInterval>\n<start>{stamp(self.asked[0])}</start>\n<end>{stamp(self.asked[1])}</end>\n"
            f"</time_Period.timeInterval>\n{series}</GL_MarketDocument>\n"
        )

    def of(self, **changes: object) -> Load:
        return replace(self, **changes)  # type: ignore[arg-type]


def acknowledgement(*texts: str, code: str = "999") -> str:
    reasons = "".join(f"<Reason><code>{code}</code><text>{text}</text></Reason>" for text in texts)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Acknowledgement_MarketDocument xmlns="{ACKNOWLEDGEMENT}">'
        f"<mRID>a1</mRID><createdDateTime>2026-03-12T10:00:02Z</createdDateTime>{reasons}"
        "</Acknowledgement_MarketDocument>"
    )


def levels(count: int, *, minutes: int) -> tuple[str, ...]:
    """A day-like curve without equal neighbours."""
    return tuple(f"{2000 + 37 * (n * minutes // 15 % 23) + n % 2 * 0.25 + n * 0.5:g}" for n in range(count))


def sound(*, minutes: int = 60, curve: str = "A01", start: datetime = START, days: int = 1) -> Load:
    count = days * 1440 // minutes
    return Load(
        (Period(start, minutes, levels(count, minutes=minutes), curve),), asked=(start, start + timedelta(days))
    )


def join(loads: Sequence[Period]) -> Load:
    return Load(tuple(loads))
