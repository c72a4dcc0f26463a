"""What an answer of Open-Meteo says, and whether it may be believed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from gridcast.contracts import OBSERVATIONS, OBSERVED, UTC_TIME, Floats, observations
from gridcast.errors import Refused
from gridcast.market.days import HOUR, Times, instant
from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import DOUBTFUL, DUE, Answer, Fetched
from gridcast.sources.oneline import one_line
from gridcast.sources.openmeteo.models import (
    MODELS,
    REANALYSIS,
    REANALYSIS_CELL_KM,
    REANALYSIS_LAG,
    VARIABLES,
    hottest,
    in_time,
    previous_out,
)
from gridcast.sources.openmeteo.requests import PREVIOUS, Api
from gridcast.sources.strictjson import bad_answer, document, number

SOURCE = "openmeteo"
EARTH_KM = 6371.0
CELLS = 3.5
"""How many cells of its grid a point's answer may lie away: the nearest cell on land is looked for."""
ROUNDING_KM = 1e-6
SPREAD = timedelta(minutes=10)
"""How long a run takes to reach all of the service's servers. Source: open-meteo.com, model updates."""
LATE = timedelta(minutes=20)
"""How late an update may be before its stated time is doubted. Source: the same page's own mark."""
LATEST = 4e9
"""Seconds since 1970: what is no time in this century or the next is none."""
EPOCH = np.datetime64(0, "us")
SECOND = np.timedelta64(1, "s")

_COLUMN = re.compile(rf"(?P<variable>[a-z0-9_]+?)(?:{PREVIOUS}(?P<lead>[1-7]))?")


@dataclass(frozen=True)
class Asked:
    """What a request asked for, read from the parameters that are kept with its answer.

    ``columns`` maps each to its variable and how many days back it looks (0 for none); ``stamps`` [T] are hourly.
    """

    api: Api
    model: str
    columns: dict[str, tuple[str, int]]
    stamps: Times
    run: datetime | None
    places: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Publication:
    """When what the forecast service served was published, and how we know."""

    at: datetime
    basis: str


def asked(answer: Answer) -> Asked | None:
    """What was asked, or None if it was no weather (a model's update times).

    Raises:
        BadAnswer: ``fault`` is ``request``: it is no request of ours.
    """
    path = urlsplit(answer.url).path
    if path.endswith("/meta.json"):
        return None
    params = answer.params
    try:
        parts = {name: _COLUMN.fullmatch(name) for name in params["hourly"].split(",")}
        columns = {name: (part["variable"], int(part["lead"] or 0)) for name, part in parts.items() if part}
        latitudes, longitudes = (params[name].split(",") for name in ("latitude", "longitude"))
        places = tuple((float(north), float(east)) for north, east in zip(latitudes, longitudes, strict=True))
        if path.endswith("/archive"):
            api = Api.ARCHIVE
            first, last = f"{params['start_date']}T00:00", f"{params['end_date']}T23:00"
        else:
            leads = any(lead for _, lead in columns.values())
            api = Api.SINGLE_RUNS if "run" in params else Api.PREVIOUS_RUNS if leads else Api.FORECAST
            first, last = params["start_hour"], params["end_hour"]
        stamps = np.arange(np.datetime64(first, "us"), np.datetime64(last, "us") + HOUR, HOUR)
        run = datetime.fromisoformat(params["run"]).replace(tzinfo=UTC) if "run" in params else None
        known = params["models"] in ((REANALYSIS,) if api is Api.ARCHIVE else MODELS)
        known &= None not in parts.values() and {name for name, _ in columns.values()} <= set(VARIABLES)
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise bad_answer(answer, "belongs to a request that is none of ours", fault="request")
    return Asked(api, params["models"], columns, stamps, run, places)


def read(answer: Answer, *, zone: BiddingZone, published: Publication | None = None) -> Fetched:
    """The zone's weather in an answer, for every hour that was asked for.

    Args:
        answer: of one of the four services.
        zone: whose points were asked for.
        published: for the forecast service, when its newest run was out; by default when the answer was fetched.

    Raises:
        Refused: the service turned the request down.
        BadAnswer: the answer is not what was asked for.
    """
    request = asked(answer)
    if request is None:
        raise bad_answer(answer, "is no weather", fault="request")
    places = _per_place(answer, request)
    parts = [
        _column_rows(answer, request, column, places=places, zone=zone, published=published)
        for column in request.columns
    ]
    rows = pl.concat(parts).with_columns(
        pl.col("valid_time", "published_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        zone=pl.lit(zone.code),
        resolution=pl.lit(timedelta(hours=1), dtype=pl.Duration("us")),
        fetched_at=pl.lit(answer.fetched_at).dt.convert_time_zone("UTC").cast(UTC_TIME),
        source=pl.lit(f"{SOURCE}:{request.api}:{request.model}"),
    )
    served = rows.group_by("column", maintain_order=True).agg(pl.col("value").is_not_null().any())
    notes = [
        f"{request.api} has no {column} of {request.model} from {request.stamps[0]} to {request.stamps[-1]} UTC."
        for column, any_value in served.iter_rows()
        if not any_value
    ]
    found = rows.filter(pl.col("value").is_not_null())
    sound = pl.col("reason").is_null()
    return Fetched(
        observations(found.filter(sound).select(list(OBSERVATIONS)), where=answer.url),
        due=rows.filter(pl.col("published_at") <= answer.fetched_at).select(list(DUE)).unique(maintain_order=True),
        doubtful=found.filter(~sound).select(list(DOUBTFUL)),
        answers=(answer.sha256,),
        notes=tuple(notes),
    )


def newest_run_out(answer: Answer, *, fetched_at: datetime) -> datetime | None:
    """When the run was out that a forecast fetched at ``fetched_at`` shows, by the model's update times.

    None where the run was still on its way to all servers, or the next one is so late that this may be an old copy.

    Raises:
        BadAnswer: the update times make no sense.
    """
    body = document(answer)
    names = ("last_run_initialisation_time", "last_run_availability_time", "update_interval_seconds")
    found = [body.get(name) for name in names] if isinstance(body, dict) else []
    times = [value for value in found if isinstance(value, float) and 0 < value < LATEST]
    if len(times) < len(names) or times[0] > times[1]:
        raise bad_answer(answer, "has no update times that make sense", fault="shape")
    available = datetime.fromtimestamp(times[1], UTC)
    everywhere = available + SPREAD
    overdue = available + timedelta(seconds=times[2]) + LATE
    return everywhere if everywhere <= fetched_at <= overdue else None


def _column_rows(
    answer: Answer,
    request: Asked,
    column: str,
    *,
    places: list[dict[str, Floats]],
    zone: BiddingZone,
    published: Publication | None,
) -> pl.DataFrame:
    """A row for each hour of a column that may be used: the zone's weighted mean, null where a point has none."""
    name, lead = request.columns[column]
    kind = VARIABLES[name]
    start = request.stamps[:-1]
    stamped = np.stack([place[column] for place in places])
    high: float | Floats = kind.high
    if name.startswith("temperature"):
        high = hottest(np.array([latitude for latitude, _ in request.places]), request.stamps)
    odd = (stamped < kind.low) | (stamped > high)
    if kind.preceding:
        hours, odd = stamped[:, 1:], odd[:, 1:]
    else:
        hours, odd = (stamped[:, :-1] + stamped[:, 1:]) / 2, odd[:, :-1] | odd[:, 1:]
    out, basis = _published(answer, request, lead=lead, published=published)
    rows = pl.DataFrame(
        {
            "valid_time": start,
            "value": _mean(hours, zone=zone),
            "published_at": out,
            "odd": odd.any(axis=0),
        }
    ).filter(pl.lit(in_time(start, out, zone=zone)) if lead else pl.lit(True))
    bounds = f"a point's {name} is below {kind.low:g} or above {np.max(high):.0f} {kind.unit}"
    return rows.select(
        "valid_time",
        "published_at",
        column=pl.lit(column),
        variable=pl.lit(name + OBSERVED if request.api is Api.ARCHIVE else name),
        value=pl.col("value").fill_nan(None),
        published_at_basis=pl.lit(basis),
        reason=pl.when("odd").then(pl.lit(bounds)),
    )


def _mean(hours: Floats, *, zone: BiddingZone) -> Floats:
    """The mean over the zone's points [P, N] by their weights; NaN where one point has none.

    Summed point by point: a product of matrices rounds by how many hours it has, and the same hour asked for again
    would be another number.
    """
    return reduce(np.add, (point.weight * each for point, each in zip(zone.weather_points, hours, strict=True)))


def _published(answer: Answer, request: Asked, *, lead: int, published: Publication | None) -> tuple[Times, str]:
    """When each hour's value was out, and how we know."""
    start = request.stamps[:-1]
    if lead:
        return previous_out(start, lead=lead, model=MODELS[request.model]), "assumed"
    if request.api is Api.ARCHIVE:
        return start + HOUR + np.timedelta64(REANALYSIS_LAG), "assumed"
    if request.run is not None:
        published = Publication(request.run + MODELS[request.model].delay, "assumed")
    elif published is None:
        published = Publication(answer.fetched_at, "observed")
    return np.full(start.shape, instant(published.at)), published.basis


def _per_place(answer: Answer, request: Asked) -> list[dict[str, Floats]]:
    """For each place its columns at the stamps [T] that were asked for, NaN where null."""
    body = document(answer)
    if isinstance(body, dict) and body.get("error"):
        reason = one_line(body.get("reason"))
        raise Refused(
            f"{SOURCE} turned a request to {answer.url} down ({reason})",
            remedy="mend the model, the variables or the period",
            source=SOURCE,
            url=answer.url,
            status=answer.status,
            reason=reason,
        )
    places: list[Any] = body if isinstance(body, list) else [body]
    if len(places) != len(request.places) or not all(isinstance(place, dict) for place in places):
        raise bad_answer(
            answer, f"has {len(places)} places for {len(request.places)} that were asked for", fault="places"
        )
    _check_places(answer, request, places)
    return [_columns(answer, request, place) for place in places]


def _check_places(answer: Answer, request: Asked, places: list[dict[str, Any]]) -> None:
    """Refuse an answer about other places, or about ours in another order."""
    if not all(number(place.get(name)) for place in places for name in ("latitude", "longitude")):
        raise bad_answer(answer, "does not say for which places it is", fault="places")
    found = np.radians([[place["latitude"], place["longitude"]] for place in places])
    wanted = np.radians(request.places)
    apart = _distance_km(wanted[:, None], found[None])
    own = np.diag(apart)
    cell = REANALYSIS_CELL_KM if request.api is Api.ARCHIVE else MODELS[request.model].cell_km
    far = int(np.argmax(own))
    if own[far] > CELLS * cell:
        raise bad_answer(answer, f"is {own[far]:.0f} km away from place {far + 1}", fault="places")
    if (own[:, None] + own > apart + apart.T + ROUNDING_KM).any():
        raise bad_answer(answer, "has the places in another order", fault="places")


def _distance_km(here: Floats, there: Floats) -> Floats:
    """Great-circle distance of (latitude, longitude) in radians, over the last axis."""
    north, east = np.moveaxis(there - here, -1, 0)
    chord = np.sin(north / 2) ** 2 + np.cos(here[..., 0]) * np.cos(there[..., 0]) * np.sin(east / 2) ** 2
    distance: Floats = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))
    return distance


def _columns(answer: Answer, request: Asked, place: dict[str, Any]) -> dict[str, Floats]:
    """One place's columns at the stamps that were asked for."""
    hourly, units = place.get("hourly"), place.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        raise bad_answer(answer, "has no hourly values", fault="shape")
    if place.get("utc_offset_seconds") != 0 or units.get("time") != "unixtime":
        raise bad_answer(answer, "is not in UTC seconds", fault="clock")
    times = hourly.get("time")
    if not isinstance(times, list) or not all(number(stamp) for stamp in times):
        raise bad_answer(answer, "has no time axis", fault="time")
    axis = np.array(times, np.float64)
    wanted = (request.stamps - EPOCH) / SECOND
    if not len(axis) or not np.array_equal(axis, axis[0] + 3600 * np.arange(len(axis))):
        raise bad_answer(answer, "has a time axis that is not hourly", fault="time")
    before = (wanted[0] - axis[0]) / 3600
    if before < 0 or before % 1 or axis[-1] < wanted[-1]:
        raise bad_answer(answer, "does not span the hours that were asked for", fault="time")
    part = slice(int(before), int(before) + len(wanted))
    return {
        column: _values(answer, request, column, hourly=hourly, units=units, count=len(axis))[part]
        for column in request.columns
    }


def _values(
    answer: Answer, request: Asked, column: str, *, hourly: dict[str, Any], units: dict[str, Any], count: int
) -> Floats:
    """One column of one place at all its stamps."""
    values, unit = hourly.get(column), units.get(column)
    expected = VARIABLES[request.columns[column][0]].unit
    if not isinstance(values, list) or len(values) != count:
        raise bad_answer(answer, f"lacks values of {column} for each of its times", fault="columns")
    if unit == "undefined" and all(value is None for value in values):
        raise bad_answer(answer, f"has no {column}: {request.model} does not serve it here", fault="undefined")
    if unit != expected:
        raise bad_answer(answer, f"has {column} in {one_line(unit)}, not in {expected}", fault="unit")
    wrong = [value for value in values if not (value is None or number(value))]
    if wrong:
        raise bad_answer(answer, f"has {one_line(wrong[0])!r} for {column}, no finite number", fault="number")
    return np.array([np.nan if value is None else value for value in values], np.float64)
