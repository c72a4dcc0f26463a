"""The client reads what the service writes, and raises what the service met."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, date, datetime, timedelta

import httpx
import polars as pl
import pytest

from gridcast import errors
from gridcast.api import problems
from gridcast.client import Client, Peak

KEY = "gk_0123456789abcdefghijklmnopqrstuvwxyz"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

FORECAST = {
    "zone": "DK_1",
    "issue_time": "2026-11-23T10:00:00Z",
    "unit": "MW",
    "resolution": "PT60M",
    "model_version": "v1",
    "degraded": "",
    "peak": {"valid_time": "2026-11-24T16:00:00Z", "value": 3001.5},
    "intervals": [
        {"valid_time": f"2026-11-24T{hour:02}:00:00Z", "quantiles": {"0.1": 1.0, "0.5": 2.0, "0.9": 3}}
        for hour in range(24)
    ],
    "day": None,
}


class Scripted:
    """A service that answers what it is told to, and remembers what it was asked."""

    def __init__(self, content: object = None, *, status: int = 200, raw: bytes | None = None) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = {"content": raw if raw is not None else json.dumps(content).encode(), "status_code": status}

    def client(self, **options: object) -> Client:
        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return httpx.Response(**self._answer)

        return Client("http://service.test", transport=httpx.MockTransport(answer), **options)


def refusing(error: errors.GridcastError, *, method: str = "POST") -> Scripted:
    """A service that met that error, and says so with the server's own words."""
    answer = problems.of(error, method=method)
    return Scripted(status=answer.status_code, raw=bytes(answer.body))


def test_a_forecast_is_typed_and_framed():
    service = Scripted(FORECAST)
    with service.client(key=KEY) as client:
        found = client.forecast("DK_1", date(2026, 11, 24))

    assert str(service.asked[0].url) == "http://service.test/v1/zones/DK_1/forecast?delivery_day=2026-11-24"
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert (found.zone, found.resolution, found.degraded) == ("DK_1", timedelta(hours=1), "")
    assert found.peak == Peak(datetime(2026, 11, 24, 16, tzinfo=UTC), 3001.5)
    assert found.quantiles.columns == ["valid_time", "q0.1", "q0.5", "q0.9"]
    assert found.quantiles.schema["valid_time"] == pl.Datetime("us", "UTC")
    assert found.median["value"].to_list() == [2.0] * 24


def test_history_goes_out_in_utc_with_its_values_untouched():
    service = Scripted(FORECAST)
    local = pl.DataFrame({"valid_time": [NOON, NOON + timedelta(hours=1)], "value": [0.1 + 0.2, 3]}).with_columns(
        pl.col("valid_time").dt.convert_time_zone("Europe/Copenhagen")
    )
    service.client().on_demand("DK_1", load=local, delivery_day=date(2026, 11, 24), issue_time=NOON)

    assert json.loads(service.asked[0].content) == {
        "zone": "DK_1",
        "load": [
            {"valid_time": "2026-11-23T12:00:00Z", "value": 0.1 + 0.2},
            {"valid_time": "2026-11-23T13:00:00Z", "value": 3.0},
        ],
        "delivery_day": "2026-11-24",
        "issue_time": "2026-11-23T12:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (pl.DataFrame({"value": [1.0]}), errors.MissingColumns),
        (pl.DataFrame({"valid_time": [NOON.replace(tzinfo=None)], "value": [1.0]}), errors.BadTime),
        (pl.DataFrame({"valid_time": ["2026-01-01"], "value": [1.0]}), errors.BadTime),
        (pl.DataFrame({"valid_time": [NOON], "value": [float("nan")]}), errors.ImplausibleValue),
        (pl.DataFrame({"valid_time": [NOON], "value": [None]}), errors.ImplausibleValue),
        (pl.DataFrame({"valid_time": [NOON], "value": ["1"]}), errors.ImplausibleValue),
    ],
)
def test_history_that_cannot_be_sent_is_not_sent(frame, error):
    service = Scripted(FORECAST)
    with pytest.raises(error):
        service.client().on_demand("DK_1", load=frame)
    assert service.asked == []


@pytest.mark.parametrize("window", [[[float("nan")] * 12] * 96, [["x"] * 12] * 96, "x", [[None]]])
def test_a_window_of_no_numbers_is_not_sent(window):
    service = Scripted(FORECAST)
    with pytest.raises(errors.ImplausibleValue):
        service.client().predict(window)
    assert service.asked == []


@pytest.mark.parametrize(("url", "key"), [("http://[::1", None), ("http://localhost", "kлюч"), ("http://x", "a\nb")])
def test_an_address_or_key_that_cannot_be_is_told_at_once(url, key):
    with pytest.raises(errors.ConfigError):
        Client(url, key=key)


def test_the_other_answers_are_typed():
    score = {"n": 24, "mae_mw": 30.5, "mape_pct": 1.5, "naive_mae_mw": None, "tso_mae_mw": None, "coverage_80_pct": 80}
    scores = Scripted({"zone": "DK_1", "days": [{"delivery_day": "2026-11-22"} | score], "mean": score}).client()
    found = scores.scores("DK_1", days=7)
    assert found.days["delivery_day"].to_list() == [date(2026, 11, 22)]
    assert found.days["naive_mae_mw"].to_list() == [None]
    assert found.mean["mae_mw"] == 30.5

    row = {"valid_time": "2026-11-23T12:00:00Z", "load": 2000.5, "tso": None}
    load = Scripted({"zone": "DK_1", "intervals": [row]}).client().load("DK_1", start=NOON, end=NOON)
    assert load.rows() == [(NOON, 2000.5, None)]

    made = Scripted({"predictions": [1] * 24, "unit": "MW", "model_version": "c1"}).client().predict([[0.0] * 12] * 96)
    assert made.predictions == (1.0,) * 24

    checks = [{"check": "canary", "ok": True, "detail": ""}, {"check": "data", "ok": False, "detail": "2 days old"}]
    content = {"ready": False, "model_version": "v1", "canary": "matches", "data_age_hours": 48.0, "checks": checks}
    assert Scripted(content, status=503).client().ready().faults == {"data": "2 days old"}

    zone = {"zone": "DK_1", "name": "West", "country": "DK", "market_tz": "CET", "local_tz": "CET", "latitude": 56.0}
    zone |= {"longitude": 9.0, "has_data": True, "has_forecast": False, "first_day": "2023-01-01", "last_day": None}
    zone |= {"first_forecast_day": None, "last_forecast_day": "2026-11-24", "synthetic": True}
    listed = Scripted({"zones": [zone | {"told_by_a_newer_server": 1}]}).client().zones()
    assert (listed[0].zone, listed[0].first_day, listed[0].last_day) == ("DK_1", date(2023, 1, 1), None)

    assert Scripted({"model": "boosted"}).client().document("/v1/models/champion", zone="DK_1") == {"model": "boosted"}


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownZone("there is no zone 'DK_9'", remedy="did you mean DK_1?", zone="DK_9", nearest=["DK_1"]),
        errors.NotForecastable("too far", remedy="ask nearer", delivery_day=date(2027, 1, 1)),
        errors.OutsideData("no forecast", remedy="ask", first=date(2026, 1, 1), last=date(2026, 2, 1)),
        errors.TooLittleHistory("too short", remedy="send more", needed=28, have=3),
        errors.OffGrid("off", remedy="round", rows=["2026-01-01T00:01:00Z"]),
        errors.ModelNotFound("none", remedy="train", version=None),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_service_met_comes_back_as_the_same_error_with_its_facts(error):
    with pytest.raises(type(error)) as caught:
        refusing(error).client().forecast("DK_1")

    assert type(caught.value) is type(error)
    assert (caught.value.what, caught.value.remedy) == (error.what, error.remedy)
    assert {name: caught.value.facts[name] for name in error.facts} == error.facts


def problem(status: int, **facts: object) -> Scripted:
    answer = problems.problem(status, title="Some title", detail="what", remedy="do", **facts)
    return Scripted(status=status, raw=bytes(answer.body))


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        (problem(401), errors.Unauthorized),
        (problem(403), errors.Unauthorized),
        (problem(429, retry_after=7), errors.RateLimited),
        (problem(503, retry_after=1), errors.Unreachable),
        (refusing(errors.StoreError("inner words", remedy="inner")), errors.StoreError),
        (problem(413), errors.Refused),
        (problem(500), errors.Refused),
        (Scripted(raw=b"<html>", status=502), errors.BadAnswer),
        (Scripted(raw=b"[1]", status=404), errors.BadAnswer),
        (Scripted(raw=b"<html>"), errors.BadAnswer),
        (Scripted({"zone": "DK_1"}), errors.BadAnswer),
        (Scripted([]), errors.BadAnswer),
        (Scripted(FORECAST | {"resolution": "an hour"}), errors.BadAnswer),
        (Scripted(FORECAST | {"intervals": [{"valid_time": "noon", "quantiles": {}}]}), errors.BadAnswer),
    ],
)
def test_every_other_refusal_and_every_broken_answer_is_an_error_of_the_house(service, kind):
    with pytest.raises(kind) as caught:
        service.client(key=KEY).forecast("DK_1")
    assert type(caught.value) is kind
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_too_many_requests_says_until_when():
    before = datetime.now(UTC)
    with pytest.raises(errors.RateLimited) as caught:
        problem(429, retry_after=7).client().zones()
    assert timedelta(seconds=7) <= caught.value.until - before < timedelta(seconds=30)


def test_no_answer_is_unreachable_and_the_key_stays_out_of_it():
    def failing(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = Client("http://service.test", key=KEY, transport=httpx.MockTransport(failing))
    with pytest.raises(errors.Unreachable) as caught:
        client.ready()
    assert caught.value.__context__ is None
    assert KEY not in f"{client!r} {caught.value!r} {caught.value.facts}"


@pytest.mark.parametrize("url", ["ftp://a", "http://user:pw@host", "localhost:8000", "http://a b", "http://a?key=1"])
def test_an_address_that_is_none_or_holds_a_password_is_refused(url):
    with pytest.raises(errors.ConfigError) as caught:
        Client(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("zone", ["../admin", "DK_1?x=1", "", "a" * 65, "DK/1"])
def test_a_zone_that_is_no_code_never_reaches_the_address(zone):
    service = Scripted(FORECAST)
    with pytest.raises(errors.UnknownZone):
        service.client().forecast(zone)
    assert service.asked == []
