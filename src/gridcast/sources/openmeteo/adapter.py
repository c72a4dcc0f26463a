"""What is asked of Open-Meteo, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import polars as pl
from pydantic import SecretStr

from gridcast.contracts import OBSERVATIONS, OBSERVED, observations
from gridcast.errors import ConfigError, Refused, SourceError
from gridcast.market.zones import BiddingZone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.fetched import DOUBTFUL, DUE, Answer, Clock, Fetched
from gridcast.sources.openmeteo import answers
from gridcast.sources.openmeteo.answers import SOURCE, Publication
from gridcast.sources.openmeteo.models import MODELS, VARIABLES
from gridcast.sources.openmeteo.requests import CUSTOMER_LIMITS, FREE_LIMITS, Api, Request, plan, shortened
from gridcast.sources.wire import Limit, Permit, Wire

DEFAULT_VARIABLES = (
    "temperature_2m",
    "wind_speed_10m",
    "shortwave_radiation",
    "cloud_cover",
    "relative_humidity_2m",
)
META = Permit(f"{SOURCE}:meta", (Limit(calls=60, seconds=60, burst=10),))
"""Update times count towards no limit; this one is politeness."""
NOT_KEPT = "run is not available"


class OpenMeteo:
    """Weather from Open-Meteo; a `LiveSource`.

    Args:
        wire: how the service is asked.
        endpoints: where it is.
        clock: what is past and what is to come.
        api_key: of a customer; it leads to the customer hosts and lifts the limits of the free service.
        model: one of `MODELS`.
        variables: what `fetch` brings by default: names of `VARIABLES`, forecast, or with ``_observed`` reanalysed.
        archive: where past forecasts come from: ``single-runs`` where it reaches, or ``previous-runs`` throughout, a
            little older than what was really known, but a fourteenth of the cost.
        leads: how many days back previous runs are asked for; only hours whose run was out in time are taken.

    Raises:
        ConfigError: the model, a variable, the archive or a lead is unknown.
    """

    name = source = SOURCE
    offers = (*VARIABLES, *(name + OBSERVED for name in VARIABLES))

    def __init__(
        self,
        wire: Wire,
        *,
        endpoints: Endpoints,
        clock: Clock,
        api_key: SecretStr | None = None,
        model: str = "ecmwf_ifs",
        variables: Sequence[str] = DEFAULT_VARIABLES,
        archive: str = Api.SINGLE_RUNS,
        leads: Sequence[int] = (2, 1),
    ) -> None:
        if model not in MODELS:
            raise ConfigError(f"{model!r} is no weather model of ours", remedy=f"choose one of {', '.join(MODELS)}")
        if archive not in (Api.SINGLE_RUNS, Api.PREVIOUS_RUNS):
            raise ConfigError(
                f"{archive!r} is no archive of forecasts", remedy=f"choose {Api.SINGLE_RUNS} or {Api.PREVIOUS_RUNS}"
            )
        if not leads or not all(lead in range(1, 8) for lead in leads) or len(set(leads)) < len(leads):
            raise ConfigError(f"{list(leads)} are no days back", remedy="name different days from 1 to 7")
        self.variables = _known(variables)
        self._wire = wire
        self._endpoints = endpoints
        self._clock = clock
        self._key = api_key
        self._model = MODELS[model]
        self._archive = Api(archive)
        self._leads = tuple(leads)

    def fetch(
        self, zone: BiddingZone, *, start: datetime, end: datetime, variables: Sequence[str] | None = None
    ) -> Fetched:
        """The zone's weather; see `LiveSource.fetch` and the table in the package's description.

        A run that the service does not keep leaves its day missing, with a note; any other refusal is an error.

        Raises:
            ConfigError: the zone has no weather points, a variable is unknown, or the period is empty.
            SourceError: there was no usable answer.
        """
        if start.tzinfo is None or end.tzinfo is None or start >= end:
            raise ConfigError(
                f"the period from {start} to {end} is empty or has no time zone", remedy="give UTC, start before end"
            )
        requests, notes = plan(
            zone,
            start=start,
            end=end,
            now=self._clock.now(),
            variables=self.variables if variables is None else _known(variables),
            model=self._model,
            archive=self._archive,
            leads=self._leads,
        )
        found = [_nothing(tuple(notes))]
        found += [self._fetched(request, zone=zone) for request in requests]
        inside = pl.col("valid_time").is_between(start, end, closed="left")
        return Fetched(
            observations(pl.concat(part.observations for part in found).filter(inside), where=SOURCE),
            due=pl.concat(part.due for part in found).filter(inside).unique(maintain_order=True),
            doubtful=pl.concat(part.doubtful for part in found).filter(inside),
            answers=tuple(sha256 for part in found for sha256 in part.answers),
            notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
        )

    def read(self, answer: Answer, *, zone: BiddingZone) -> Fetched:
        """What a kept answer says of all the hours it was asked for; nothing if it was asked for another zone's points.

        When the newest run was out stands in an answer of its own, so a forecast counts as published when it was
        fetched: never too early.

        Raises:
            Refused: the service turned the request down.
            BadAnswer: it is no answer to a request of ours, or faulty.
        """
        points = zone.weather_points
        request = answers.asked(answer)
        if request is None:
            return _nothing((), seen=(answer.sha256,))
        if request.places != tuple((shortened(point.latitude), shortened(point.longitude)) for point in points):
            note = f"An answer is not about the weather points of {zone.code}: it was left out."
            return _nothing((note,), seen=(answer.sha256,))
        return answers.read(answer, zone=zone)

    def _fetched(self, request: Request, *, zone: BiddingZone) -> Fetched:
        try:
            answer = self._ask(request, zone=zone)
        except Refused as refused:
            if NOT_KEPT not in str(refused.reason):
                raise
            note = f"{SOURCE} does not keep the run of {request.run:%Y-%m-%d %H:%M} UTC of {request.model}."
            return replace(_nothing((note,)), due=request.due())
        if request.api is not Api.FORECAST:
            return answers.read(answer, zone=zone)
        published, seen, notes = self._newest_run(answer)
        found = answers.read(answer, zone=zone, published=published)
        return replace(found, answers=seen, notes=found.notes + notes)

    def _ask(self, request: Request, *, zone: BiddingZone) -> Answer:
        limits, name = (FREE_LIMITS, SOURCE) if self._key is None else (CUSTOMER_LIMITS, f"{SOURCE}:customer")
        bases = {
            Api.FORECAST: self._endpoints.openmeteo,
            Api.SINGLE_RUNS: self._endpoints.openmeteo_single_runs,
            Api.PREVIOUS_RUNS: self._endpoints.openmeteo_previous_runs,
            Api.ARCHIVE: self._endpoints.openmeteo_archive,
        }
        return self._wire.get(
            f"{self._host(bases[request.api])}/v1/{'archive' if request.api is Api.ARCHIVE else 'forecast'}",
            params=request.params(zone),
            secret_params={} if self._key is None else {"apikey": self._key},
            permit=Permit(name, limits, cost=request.weight(len(zone.weather_points))),
            wait_for=told_to_wait,
        )

    def _newest_run(self, answer: Answer) -> tuple[Publication | None, tuple[str, ...], tuple[str, ...]]:
        """When the run behind a forecast was out, asked after it was fetched; None unless that is beyond doubt.

        Also the hashes of the answers behind it, and notes.
        """
        try:
            meta = self._wire.get(
                f"{self._host(self._endpoints.openmeteo)}/data/{self._model.meta}/static/meta.json",
                # A copy from a cache would name the run before.
                params={"cache_buster": f"{answer.fetched_at.timestamp():.0f}"},
                permit=META,
            )
            out = answers.newest_run_out(meta, fetched_at=answer.fetched_at)
        except SourceError as error:
            note = f"When the newest run was out is not known, so the forecast counts as of its fetch ({error.what})."
            return None, (answer.sha256,), (note,)
        if out is None:
            note = f"A run of {self._model.name} was just coming in or late, so the forecast counts as of its fetch."
            return None, (answer.sha256, meta.sha256), (note,)
        return Publication(out, "reported"), (answer.sha256, meta.sha256), ()

    def _host(self, base: str) -> str:
        """The address for us: a customer has hosts of their own."""
        parts = urlsplit(base)
        host = parts.hostname or ""
        if self._key is None or not host.endswith(".open-meteo.com") or host.startswith("customer-"):
            return base
        return urlunsplit(parts._replace(netloc=f"customer-{host}"))


def told_to_wait(answer: Answer) -> datetime | None:
    """Until when a refusal in words asks us to wait; None where it does not say.

    The words are about the clock: the next minute, the next hour, tomorrow, next month.
    """
    now = answer.fetched_at.astimezone(UTC)
    minute = now.replace(second=0, microsecond=0)
    day = minute.replace(hour=0, minute=0)
    text = answer.body[:10_000].lower() if answer.status >= 400 else b""
    if b"too many concurrent requests" in text:
        return now + timedelta(seconds=5)
    if b"api request limit exceeded" not in text:
        return None
    if b"minutely" in text:
        return minute + timedelta(minutes=1)
    if b"hourly" in text:
        return minute.replace(minute=0) + timedelta(hours=1)
    if b"daily" in text:
        return day + timedelta(days=1)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) if b"monthly" in text else None


def _known(variables: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in variables if name.removesuffix(OBSERVED) not in VARIABLES]
    if unknown or not variables:
        raise ConfigError(
            f"{SOURCE} has no {', '.join(unknown) or 'variable without a name'}",
            remedy=f"its variables are {', '.join(VARIABLES)}, and these with {OBSERVED} behind",
        )
    return tuple(dict.fromkeys(variables))


def _nothing(notes: tuple[str, ...], *, seen: tuple[str, ...] = ()) -> Fetched:
    return Fetched(OBSERVATIONS.to_frame(), DUE.to_frame(), DOUBTFUL.to_frame(), seen, notes)
