"""What is asked of Energi Data Service, and when."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS, observations
from gridcast.errors import ConfigError
from gridcast.market.zones import BiddingZone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.energidata import answers
from gridcast.sources.energidata.datasets import AREAS, DANISH, DATASETS, SOURCE, Dataset
from gridcast.sources.fetched import DOUBTFUL, DUE, Answer, Clock, Fetched
from gridcast.sources.oneline import one_line
from gridcast.sources.strictjson import bad_answer
from gridcast.sources.wire import Wire


class Energidata:
    """Danish load from Energi Data Service; a `LiveSource`."""

    name = source = SOURCE
    variables: tuple[str, ...] = (LOAD,)
    offers = tuple(dataset.variable for dataset in DATASETS)

    def __init__(self, wire: Wire, *, endpoints: Endpoints, clock: Clock) -> None:
        self._wire = wire
        self._base = endpoints.energidata
        self._clock = clock

    def fetch(
        self, zone: BiddingZone, *, start: datetime, end: datetime, variables: Sequence[str] | None = None
    ) -> Fetched:
        """What the service has of the zone; see `LiveSource.fetch`. A data set is asked once for each of its spans.

        Raises:
            ConfigError: the zone is neither DK_1 nor DK_2, a variable is unknown or none is named, or the period is
                empty.
            SourceError: there was no usable answer.
        """
        area = _area(zone)
        wanted = self.variables if variables is None else tuple(variables)
        unknown = [name for name in wanted if name not in self.offers]
        if unknown or not wanted:
            raise ConfigError(
                f"{SOURCE} has no {', '.join(unknown) or 'variable without a name'}",
                remedy=f"its variables are {', '.join(self.offers)}",
            )
        if start.tzinfo is None or end.tzinfo is None or start >= end:
            raise ConfigError(
                f"the period from {start} to {end} is empty or has no time zone", remedy="give UTC, start before end"
            )
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        found = [Fetched(OBSERVATIONS.to_frame(), due=DUE.to_frame(), doubtful=DOUBTFUL.to_frame())]
        for dataset in DATASETS:
            if dataset.variable in wanted:
                for first, last in _spans(start, min(end, self._clock.now()), dataset.span):
                    found.append(
                        answers.read(self._ask(dataset, area, first, last), dataset, zone=zone, span=(first, last))
                    )
        return Fetched(
            observations(pl.concat(part.observations for part in found), where=SOURCE),
            due=pl.concat(part.due for part in found),
            doubtful=pl.concat(part.doubtful for part in found),
            answers=tuple(sha256 for part in found for sha256 in part.answers),
            notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
        )

    def read(self, answer: Answer, *, zone: BiddingZone) -> Fetched:
        """What a kept answer says of all the days it was asked for; nothing if it was asked for the other area.

        Raises:
            BadAnswer: it is of no data set of ours, or faulty.
            ConfigError: the zone is neither DK_1 nor DK_2.
        """
        area = _area(zone)
        name = urlsplit(answer.url).path.rpartition("/")[2]
        dataset = next((dataset for dataset in DATASETS if dataset.name == name), None)
        if dataset is None:
            raise bad_answer(answer, f"is of the data set {one_line(name)}, which is none of ours", fault="dataset")
        span = answers.asked_days(answer)
        if answer.params.get("filter") != _filter(area):
            note = f"An answer of {name} is about {answer.params.get('filter')}, not about {area}: it was left out."
            return Fetched(OBSERVATIONS.to_frame(), DUE.to_frame(), DOUBTFUL.to_frame(), (answer.sha256,), (note,))
        return answers.read(answer, dataset, zone=zone, span=span)

    def _ask(self, dataset: Dataset, area: str, first: datetime, last: datetime) -> Answer:
        danish = ZoneInfo(DANISH)
        begin = first.astimezone(danish).date() - timedelta(days=1)
        finish = last.astimezone(danish).date() + timedelta(days=2)
        unique = f"{dataset.clock}UTC,PriceArea" + ",Version" * dataset.versioned
        return self._wire.get(
            f"{self._base}/dataset/{dataset.name}",
            params={
                "start": begin.isoformat(),
                "end": finish.isoformat(),
                "columns": ",".join(dataset.columns),
                "filter": _filter(area),
                "sort": unique,
                # All rows in one answer: pages would cost a minute each, and shift while rows arrive.
                "limit": "0",
            },
            permit=dataset.permit,
            wait_for=_told_to_wait,
        )


def _area(zone: BiddingZone) -> str:
    if zone.code in AREAS:
        return AREAS[zone.code]
    inside = [code for code in zone.members if code in AREAS]
    remedy = f"ingest {' and '.join(inside)}" if inside else f"it serves {' and '.join(AREAS)}"
    raise ConfigError(f"{SOURCE} has no data of its own for {zone.code}", remedy=remedy, zone=zone.code)


def _filter(area: str) -> str:
    """The filter as compact JSON: blanks inside have been refused."""
    return json.dumps({"PriceArea": [area]}, separators=(",", ":"))


def _spans(start: datetime, end: datetime, longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(end, start + longest)
        start += longest


def _told_to_wait(answer: Answer) -> datetime | None:
    """Until when a refusal in words ("... in 42 seconds ...") asks us to wait; None where it does not say."""
    found = re.search(rb"\bin ([0-9]{1,5}) second", answer.body[:10_000]) if answer.status >= 400 else None
    return answer.fetched_at + timedelta(seconds=int(found[1])) if found else None
