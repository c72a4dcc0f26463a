"""What stands in the journal of a forecast: JSON that says how it was made, and the forecast to the last bit.

An answer has the keys of `documents.forecast_document`; where a forecast was issued its numbers are not rounded.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gridcast.contracts import FORECAST
from gridcast.errors import DataError
from gridcast.market.days import Origins, Task, instant
from gridcast.market.zones import BiddingZone
from gridcast.pipeline.documents import iso
from gridcast.store import digest
from gridcast.store.canonical import canonical

if TYPE_CHECKING:
    from gridcast.store.journal import Entry

_INSTANTS = ("issue_time", "start", "end", "made_at", "needed_from")


@dataclass(frozen=True)
class Companion:
    """One of the forecasts that were made to add up: ``stored`` ones had been issued before, and did not move."""

    zone: str
    model_version: str
    stored: bool


@dataclass(frozen=True)
class Request:
    """How a forecast was issued, all instants in UTC.

    Attributes:
        task: of the model.
        issue_time: as of when.
        start: of the window.
        end: of the window, exclusive.
        made_at: when; the store still knows what it knew then.
        needed_from: observations of earlier intervals were not looked at.
        rows: how many observations it was made from.
        sha256: the `digest` of them.
        together: the portfolio and its members where they were issued together, in their order; empty for one alone.
    """

    task: Task
    issue_time: datetime
    start: datetime
    end: datetime
    made_at: datetime
    needed_from: datetime
    rows: int
    sha256: str
    together: tuple[Companion, ...] = ()

    def to_json(self) -> bytes:
        """The bytes of the journal."""
        edges = {name: getattr(self, name).astimezone(UTC).isoformat() for name in _INSTANTS}
        return canonical(asdict(self) | edges)

    @classmethod
    def of(cls, request: bytes) -> Request:
        """What `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            facts = json.loads(request)
            facts |= {name: datetime.fromisoformat(facts[name]) for name in _INSTANTS}
            companions = tuple(Companion(**each) for each in facts["together"])
            return cls(**facts | {"task": Task(facts["task"]), "together": companions})
        except (ValueError, LookupError, TypeError) as error:
            raise _strange("request") from error

    def origin(self, zone: BiddingZone) -> Origins:
        """What was forecast, for a zone."""
        return Origins(zone, self.task, *(np.array([instant(at)]) for at in (self.issue_time, self.start, self.end)))

    def agrees(self, observations: pl.DataFrame) -> bool:
        """Whether these are the observations that it was made from."""
        return observations.height == self.rows and digest(observations) == self.sha256


def issued_entry(forecast: pl.DataFrame, request: Request) -> Entry:
    """The entry of a Forecast table of one origin."""
    from gridcast.store.journal import Entry

    first = forecast.row(0, named=True)
    return Entry(
        kind="issued",
        at=request.made_at,
        zone=first["zone"],
        model_version=first["model_version"],
        request=request.to_json(),
        answer=answer_of(forecast),
    )


def answer_of(forecast: pl.DataFrame) -> bytes:
    """A Forecast table of one origin as it stands in the journal."""
    table, first = forecast.sort("valid_time", "quantile"), forecast.row(0, named=True)
    steps = table.group_by("valid_time", maintain_order=True).agg("quantile", "value")
    return canonical(
        {
            "zone": first["zone"],
            "issue_time": first["issue_time"].isoformat(),
            "unit": "MW",
            "resolution": iso(table["resolution"].to_numpy()[0]),
            "model_version": first["model_version"],
            "degraded": first["degraded"],
            "intervals": [
                {
                    "valid_time": valid_time.isoformat(),
                    "quantiles": {f"{level:g}": value for level, value in zip(levels, values, strict=True)},
                }
                for valid_time, levels, values in steps.iter_rows()
            ],
        }
    )


def forecast_of(answer: bytes) -> pl.DataFrame:
    """The Forecast table of an answer.

    Raises:
        DataError: it is no forecast of a zone.
    """
    try:
        document = json.loads(answer)
        cells = [
            (datetime.fromisoformat(each["valid_time"]), float(level), value)
            for each in document["intervals"]
            for level, value in each["quantiles"].items()
        ]
        minutes = int(document["resolution"].removeprefix("PT").removesuffix("M"))
        return (
            pl.DataFrame(cells, schema=["valid_time", "quantile", "value"], orient="row")
            .select(
                pl.lit(document["zone"]).alias("zone"),
                pl.lit(datetime.fromisoformat(document["issue_time"])).alias("issue_time"),
                "valid_time",
                pl.lit(timedelta(minutes=minutes)).alias("resolution"),
                "quantile",
                "value",
                pl.lit(document["model_version"]).alias("model_version"),
                pl.lit(document["degraded"]).alias("degraded"),
            )
            .cast(FORECAST)
            .sort("valid_time", "quantile")
        )
    except (ValueError, LookupError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        raise _strange("answer") from error


def _strange(what: str) -> DataError:
    return DataError(
        f"the {what} of an entry of the journal is not one that this gridcast writes",
        remedy="read it with the gridcast that wrote it",
        where="journal",
    )
