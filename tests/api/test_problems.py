"""Every refusal is problem+json with a remedy, and tells nothing of the server's inside."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from gridcast import errors
from gridcast.api import problems
from gridcast.api.problems import Problem

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.GridcastError)]
OURS = {"type", "title", "status", "detail", "remedy", "request_id"}


def content(answer) -> dict[str, object]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(bytes(answer.body), parse_constant=refuse)


@pytest.mark.parametrize(
    ("error", "method", "status"),
    [
        (errors.UnknownZone, "GET", 404),
        (errors.UnknownModel, "GET", 404),
        (errors.NotForecastable, "GET", 404),
        (errors.NotForecastable, "POST", 422),
        (errors.OutsideData, "GET", 404),
        (errors.OutsideData, "POST", 422),
        (errors.ModelNotFound, "GET", 404),
        (errors.ModelNotFound, "POST", 422),
        (errors.TooLittleHistory, "POST", 422),
        (errors.ImplausibleValue, "POST", 422),
        (errors.ConfigError, "GET", 422),
        (errors.StoreError, "GET", 503),
        (errors.ArtifactMismatch, "GET", 503),
        (errors.Unreachable, "GET", 503),
        (errors.MissingExtra, "GET", 500),
        (errors.LookaheadError, "GET", 500),
        (errors.GridcastError, "GET", 500),
    ],
)
def test_an_error_of_the_house_has_its_status(error, method, status):
    answer = problems.of(error("what", remedy="do"), method=method)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_is_a_whole_problem(kind):
    found = content(problems.of(kind("what of it", remedy="do this", zone="DK_1")))
    assert set(found) >= OURS
    assert str(found["type"]).startswith("urn:gridcast:problem:")
    if found["status"] < 500:
        remedy = "GET /v1/zones lists them" if kind is errors.UnknownZone else "do this"
        assert (found["detail"], found["remedy"], found["zone"]) == ("what of it", remedy, "DK_1")
    else:
        assert "what of it" not in json.dumps(found)
        assert "zone" not in found


def test_places_of_the_server_stay_inside():
    error = errors.DataError("bad", remedy="do", path="/srv/x", file="/srv/y", url="http://in.side", where="/srv/z")
    assert set(content(problems.of(error))) == OURS


def test_an_unknown_zone_names_the_nearest_or_where_they_are_listed():
    known = errors.UnknownZone("no", remedy="did you mean DK_1?", nearest=["DK_1"], zone="DK1")
    assert content(problems.of(known))["nearest"] == ["DK_1"]
    strange = errors.UnknownZone("no", remedy="`gridcast zones` lists them", nearest=[], zone="?")
    assert content(problems.of(strange))["remedy"] == "GET /v1/zones lists them"


def test_a_fact_never_stands_in_for_what_every_problem_has():
    error = errors.DataError("bad", remedy="do", status=200, type="x", headers={"Set-Cookie": "a"})
    answer = problems.of(error)
    found = content(answer)
    assert (found["status"], answer.status_code) == (422, 422)
    assert "set-cookie" not in answer.headers


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.timedeltas()
    | st.binary(max_size=5)
    | st.just(object()),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=30,
)


@given(anything, st.text(st.characters()))
@example(value={"\ud800": None}, text="\ud800")
def test_whatever_the_facts_are_the_answer_is_valid_json_and_bounded(value, text):
    answer = problems.problem(400, title="A title", detail=text, remedy=text, fact=value)
    assert content(answer)["title"] == "A title"
    bytes(answer.body).decode("utf-8")


def test_facts_are_told_plainly_and_cut():
    told = problems.problem(
        400,
        title="t",
        detail="d",
        remedy="r",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        day=date(2026, 1, 1),
        long="x" * 10_000,
        many=list(range(1000)),
        step=timedelta(hours=1),
        nan=float("nan"),
        huge=10**400,
    )
    found = content(told)
    assert (found["at"], found["day"], found["step"]) == ("2026-01-01T00:00:00Z", "2026-01-01", 3600)
    assert (len(found["long"]), len(found["many"])) == (500, 20)
    assert (found["nan"], found["huge"]) == (None, None)


def test_a_problem_survives_the_way_between_processes():
    problem = Problem("what", remedy="do", status=429, title="T", headers={"Retry-After": "1"}, most=3)
    again = pickle.loads(pickle.dumps(problem))
    assert (again.what, again.status, again.title, again.headers, again.facts) == (
        "what",
        429,
        "T",
        {"Retry-After": "1"},
        {"most": 3},
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = FastAPI()
    problems.install(app)
    routes = APIRouter(prefix="/v1")

    @routes.get("/thing/{number}")
    async def read(number: int, share: float = 1.0) -> dict[str, float]:
        return {"number": number, "share": share}

    @routes.post("/thing/{number}")
    async def write(number: int) -> None:
        raise errors.TooLittleHistory(f"{number} days", remedy="send more", needed=28, have=number)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=tmp_path_factory.mktemp("static")))
    return app


@pytest.fixture
def ask(app):
    def send(method: str, path: str) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path)

        return asyncio.run(go())

    return send


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1", 404),
        ("GET", "/static/none.js", 404),
        ("PUT", "/v1/thing/1", 405),
        ("POST", "/static/none.js", 405),
        ("GET", "/v1/thing/one", 422),
        ("GET", "/v1/thing/1?share=many", 422),
        ("POST", "/v1/thing/3", 422),
        ("GET", "/teapot", 418),
        ("GET", "/broken", 500),
    ],
)
def test_every_refusal_of_an_app_is_a_whole_problem(ask, method, path, status):
    answer = ask(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert set(answer.json()) >= OURS
    assert "hunter2" not in answer.text


def test_a_wrong_method_is_told_every_right_one(ask):
    assert ask("DELETE", "/v1/thing/1").headers["allow"] == "GET, POST"
    assert ask("POST", "/broken").headers["allow"] == "GET"
    assert ask("DELETE", "/static/none.js").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_a_parameter_that_is_no_finite_number_is_never_an_error_of_the_server(ask, value):
    assert ask("GET", f"/v1/thing/{value}").status_code == 422
