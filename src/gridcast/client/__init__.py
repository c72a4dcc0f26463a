"""A client of the service, with typed answers.

::

    from gridcast.client import Client

    with Client("http://127.0.0.1:8000") as service:
        forecast = service.forecast("DK_1")
        print(forecast.peak, forecast.quantiles)

What the service turns down is raised as the very error of `gridcast.errors` that it met, with its facts and its remedy.
Values are in MW, instants in UTC; an interval is named by its start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import polars as pl

from gridcast import errors
from gridcast.client import answers
from gridcast.client.answers import Forecast, Peak, Prediction, Readiness, Scores, Zone
from gridcast.client.refusals import SOURCE, bad_answer, error_of
from gridcast.errors import ConfigError, Unreachable

__all__ = ["Client", "Forecast", "Peak", "Prediction", "Readiness", "Scores", "Zone"]

Answer = TypeVar("Answer")


class Client:
    """One connection pool to one service; close it, or use it in a ``with``.

    Args:
        url: the service's address.
        key: an API key, ``gk_...``; it is sent as a header and shown nowhere.
        timeout: seconds that each step of a request may take.
        transport: what carries requests instead of the network, for tests.

    Every method raises the `GridcastError` that the service met; and `Unreachable` where there is no answer in time or
    the service is overloaded, `Unauthorized` without the right key, `RateLimited` after too many requests (``until``),
    `Refused` for another refusal, `BadAnswer` for an answer that is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not re.fullmatch(r"https?://[^@/?#\s]+(/[^@?#\s]*)?", url):
            raise ConfigError(
                "the service's address must be http(s)://HOST[:PORT], without a password", remedy="pass a key as key="
            )
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise ConfigError("an API key has letters, digits and underscores only", remedy="pass it as it was printed")
        self._url = url.rstrip("/")
        try:
            self._http = httpx.Client(
                base_url=self._url,
                headers={"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
                timeout=timeout,
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise ConfigError(f"the service's address is none ({error})", remedy="write http://HOST:PORT") from None

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def zones(self) -> list[Zone]:
        """Every zone that the service knows."""
        return self._get("/v1/zones", read=lambda found: [answers.zone(row) for row in found["zones"]])

    def forecast(self, zone: str, delivery_day: date | None = None) -> Forecast:
        """The newest stored forecast of a delivery day; of the newest day that has one, unless a day is given.

        Raises:
            UnknownZone: there is no such zone; ``nearest`` holds what it resembles.
            NotForecastable: the day is outside the horizon.
            OutsideData: no forecast of that day is stored.
        """
        asked = {} if delivery_day is None else {"delivery_day": delivery_day.isoformat()}
        return self._get(f"/v1/zones/{_code(zone)}/forecast", query=asked, read=answers.forecast)

    def on_demand(
        self,
        zone: str,
        *,
        load: pl.DataFrame,
        tso: pl.DataFrame | None = None,
        temperature: pl.DataFrame | None = None,
        delivery_day: date | None = None,
        issue_time: datetime | None = None,
    ) -> Forecast:
        """A forecast from history that you bring.

        Args:
            zone: whose model to use.
            load: ``valid_time`` (UTC) and ``value`` (MW), without gaps; other columns are ignored.
            tso: the operator's forecast, likewise.
            temperature: degrees Celsius, likewise.
            delivery_day: tomorrow by default, seen from the issue time.
            issue_time: when the history was known; now by default, and for a past day the zone's usual issue time.

        Raises:
            DataError: the history will not do; the subclass and its facts say why.
        """
        content: dict[str, Any] = {"zone": zone, "load": _rows(load, name="load")}
        if tso is not None:
            content["tso"] = _rows(tso, name="tso")
        if temperature is not None:
            content["temperature"] = _rows(temperature, name="temperature")
        if delivery_day is not None:
            content["delivery_day"] = delivery_day.isoformat()
        if issue_time is not None:
            content["issue_time"] = issue_time.isoformat()
        return self._post("/v1/forecast", content, read=answers.forecast)

    def predict(self, features: Sequence[Sequence[float]]) -> Prediction:
        """The 24 hours after a classic window of 96 rows, an hour each, of 12 unscaled values.

        Raises:
            ImplausibleValue: a value is no finite number.
        """
        try:
            content = {"features": [[float(value) for value in row] for row in features]}
            finite = all(math.isfinite(value) for row in content["features"] for value in row)
        except (TypeError, ValueError):
            finite = False
        if not finite:
            raise errors.ImplausibleValue(
                "the window has values that are no finite numbers",
                remedy="give 96 rows of 12 numbers",
                where="features",
                rows=[],
            )
        return self._post(
            "/predict",
            content,
            read=lambda found: Prediction(
                tuple(float(value) for value in found["predictions"]), str(found["model_version"])
            ),
        )

    def load(self, zone: str, *, start: datetime, end: datetime) -> pl.DataFrame:
        """``valid_time``, ``load`` and ``tso`` (MW, null where unknown) of at most 31 days; ``end`` is exclusive."""
        asked = {"start": start.isoformat(), "end": end.isoformat()}
        return self._get(f"/v1/zones/{_code(zone)}/load", query=asked, read=answers.load)

    def scores(self, zone: str, *, days: int = 28) -> Scores:
        """How good the stored forecasts of so many days back were."""
        return self._get(f"/v1/zones/{_code(zone)}/scores", query={"days": str(days)}, read=answers.scores)

    def ready(self) -> Readiness:
        """Whether the service may be asked for forecasts; false is an answer, no error."""
        return self._read(self._send("GET", "/ready", fine=(200, 503)), read=answers.readiness)

    def document(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Any JSON answer as it is, such as ``document("/v1/models/champion", zone="DK_1")``."""
        return self._get(path, query=query, read=lambda found: found)

    def _get(self, path: str, *, read: Callable[[Any], Answer], query: Mapping[str, str] | None = None) -> Answer:
        return self._read(self._send("GET", path, query=query), read=read)

    def _post(self, path: str, content: Mapping[str, Any], *, read: Callable[[Any], Answer]) -> Answer:
        return self._read(self._send("POST", path, content=content), read=read)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
        fine: tuple[int, ...] = (200,),
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, params=query, json=content)
        except httpx.HTTPError as error:
            failure = type(error).__name__
        else:
            if answer.status_code not in fine:
                raise error_of(answer, url=self._url + path)
            return answer
        # Out of the handler: httpx's error holds the request, and the request holds the key.
        raise Unreachable(
            f"{self._url} gives no answer ({failure})",
            remedy="see that the service runs: gridcast serve",
            source=SOURCE,
            url=self._url + path,
            attempts=1,
        )

    def _read(self, answer: httpx.Response, *, read: Callable[[Any], Answer]) -> Answer:
        try:
            return read(answer.json())
        except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            fault = type(error).__name__
        raise bad_answer(answer, url=str(answer.request.url.copy_with(query=None)), fault=fault)


def _rows(frame: pl.DataFrame, *, name: str) -> list[dict[str, Any]]:
    missing = [column for column in ("valid_time", "value") if column not in frame.columns]
    if missing:
        raise errors.MissingColumns(
            f"{name} lacks {', '.join(missing)}", remedy="select them before", where=name, missing=missing
        )
    times, values = frame["valid_time"], frame["value"]
    if not isinstance(times.dtype, pl.Datetime) or times.dtype.time_zone is None or times.has_nulls():
        raise errors.BadTime(
            f"valid_time of {name} is no instant with a time zone", remedy="make it UTC", where=name, rows=[]
        )
    if not values.dtype.is_numeric() or not values.cast(pl.Float64).is_finite().fill_null(value=False).all():
        raise errors.ImplausibleValue(
            f"{name} has values that are no numbers", remedy="leave those rows out", where=name, rows=[]
        )
    told = frame.select(
        pl.col("valid_time").dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pl.col("value").cast(pl.Float64),
    )
    return told.to_dicts()


def _code(zone: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", zone):
        raise errors.UnknownZone(
            f"{zone[:64]!r} is no code of a zone", remedy="Client.zones() lists them", zone=zone, nearest=[]
        )
    return zone
