"""No request reaches a route that breaks a rule, and every answer has what every answer has."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from starlette.responses import Response, StreamingResponse

from gridcast.api import bodies, guard, logs, problems
from gridcast.api.guard import CONTENT_SECURITY_POLICY, SECURITY_HEADERS, Options, guarded
from gridcast.api.keys import Keys, Scope, needs
from gridcast.api.limits import Slots

SECRET, KEY = Keys.create("desk", scopes=[Scope.READ])
OPTIONS = Options(allowed_hosts=("localhost", "*.example.org", "[::1]"), keys=Keys((KEY,)), open_reads=True)


def routes() -> FastAPI:
    app = FastAPI(openapi_url=None)
    problems.install(app)

    @app.get("/hello")
    @app.get("/health")
    async def hello() -> dict[str, str]:
        return {"hello": "you"}

    @app.get("/zones/{zone}", dependencies=[Depends(needs(Scope.READ))])
    async def zone(zone: str) -> dict[str, str]:
        return {"zone": zone}

    @app.post("/promote", dependencies=[Depends(needs(Scope.OPERATE))])
    async def promote() -> None: ...

    @app.post("/echo")
    async def echo(request: Request) -> object:
        return await bodies.document(request)

    @app.get("/own-headers")
    async def own() -> Response:
        return Response("x", headers={"Cache-Control": "max-age=5", "X-Frame-Options": "SAMEORIGIN"})

    @app.get("/wait/{seconds}")
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"x"
            raise RuntimeError("password=hunter2")

        return StreamingResponse(parts())

    return app


def ask(*requests: httpx.Request, options: Options = OPTIONS, app: object = None) -> list[httpx.Response]:
    """All of them at once, behind one guard."""

    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(guarded(app or routes(), options), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(*(client.send(request) for request in requests))

    return asyncio.run(go())


def get(path: str, *, host: str = "localhost", **headers: str) -> httpx.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Request("GET", f"http://localhost{path}", headers={"Host": host} | named)


def post(path: str, content: object = b"{}", **headers: str) -> httpx.Request:
    return httpx.Request(
        "POST", f"http://localhost{path}", content=content, headers={"Content-Type": "application/json"} | headers
    )


@pytest.mark.parametrize("path", ["/hello", "/nowhere", "/broken", "/zones/DK_1", "/wait/1"])
def test_every_answer_has_the_security_headers_and_an_id(path):
    (answer,) = ask(get(path), options=replace(OPTIONS, answer_seconds=0.2))
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers["x-request-id"]) == 16
    if answer.status_code >= 400:
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_the_policy_allows_the_server_itself_and_nothing_inline():
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert not {"unsafe-inline", "unsafe-eval", "*", "http:", "https:", "data:"} & set(
        CONTENT_SECURITY_POLICY.replace("'", "").replace(";", "").split()
    )


def test_a_route_may_set_a_header_of_its_own():
    (answer,) = ask(get("/own-headers"))
    assert answer.headers.get_list("cache-control") == ["max-age=5"]
    assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ('a"b', False), ("", False)],
)
def test_a_clients_own_id_is_kept_where_it_is_one(sent, kept):
    (answer,) = ask(get("/nowhere", X_Request_Id=sent))
    assert (answer.headers["x-request-id"] == sent) is kept
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("a.example.org", 200),
        ("a.b.example.org:443", 200),
        ("[::1]:8000", 200),
        ("example.org", 421),
        ("badexample.org", 421),
        ("localhost.evil.com", 421),
        ("127.0.0.1", 421),
        ("localhost:port", 400),
        ("localhost, evil.com", 400),
        ("local host", 400),
        ("user@localhost", 400),
        ("localhost/path", 400),
        ("", 400),
    ],
)
def test_only_allowed_hosts_are_served(host, status):
    (answer,) = ask(get("/hello", host=host))
    assert answer.status_code == status


def test_a_star_allows_any_host_that_is_one():
    options = replace(OPTIONS, allowed_hosts=("*",))
    assert [
        answer.status_code for answer in ask(get("/hello", host="a"), get("/hello", host="b c"), options=options)
    ] == [
        200,
        400,
    ]


def test_without_a_host_or_with_two_there_is_no_answer_from_a_route():
    async def statuses(headers: list[tuple[bytes, bytes]]) -> int:
        sent = []
        scope = {"type": "http", "method": "GET", "path": "/hello", "query_string": b"", "headers": headers}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await guarded(routes(), OPTIONS)(scope, None, send)
        return sent[0]["status"]

    assert asyncio.run(statuses([])) == 400
    assert asyncio.run(statuses([(b"host", b"localhost"), (b"host", b"localhost")])) == 400


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/" + "a" * 1023), 404),
        (get("/" + "a" * 1024), 414),
        (get("/hello?" + "a" * 2048), 200),
        (get("/hello?" + "a" * 2049), 414),
        (get("/hello", X_Long="a" * 15_000), 200),
        (get("/hello", X_Long="a" * 17_000), 431),
    ],
)
def test_paths_queries_and_headers_have_caps(request_, status):
    assert ask(request_)[0].status_code == status


async def chunks(size: int, *, of: int = 1000, pause: float = 0) -> AsyncIterator[bytes]:
    yield b'"'
    for _ in range(size // of):
        await asyncio.sleep(pause)
        yield b"1" * of
    yield b'"'


@pytest.mark.parametrize("path", ["/echo", "/promote", "/nowhere"])
@pytest.mark.parametrize("content", [b"1" * 100_001, lambda: chunks(200_000)], ids=["length", "chunks"])
def test_a_body_over_the_cap_is_413_whatever_the_route(path, content):
    (answer,) = ask(post(path, content() if callable(content) else content), options=replace(OPTIONS, max_body=100_000))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert answer.json()["most"] == 100_000


def test_a_body_at_the_cap_is_read():
    options = replace(OPTIONS, max_body=100_002)
    assert ask(post("/echo", chunks(100_000)), options=options)[0].status_code == 200


def test_a_slow_body_is_408_and_takes_no_place_from_others():
    options = replace(OPTIONS, body_seconds=0.4, concurrency=1)
    slow = [post("/echo", chunks(100, of=1, pause=0.02)) for _ in range(3)]
    *found, honest = ask(*slow, get("/hello"), options=options)
    assert honest.status_code == 200
    assert {answer.status_code for answer in found} == {408}
    assert {answer.headers["connection"] for answer in found} == {"close"}


def test_bodies_together_have_a_cap_too():
    options = replace(OPTIONS, max_bodies=150_000)
    found = ask(*(post("/echo", chunks(100_000, pause=0.001)) for _ in range(3)), options=options)
    assert sorted({answer.status_code for answer in found}) == [200, 503]
    assert ask(post("/echo", chunks(100_000)), options=options)[0].status_code == 200


def test_an_answer_that_takes_too_long_is_503():
    (answer,) = ask(get("/wait/5"), options=replace(OPTIONS, answer_seconds=0.1))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.elapsed.total_seconds() < 10


def test_what_is_too_much_at_once_is_shed_at_once_and_a_supervisor_still_gets_through():
    options = replace(OPTIONS, concurrency=2)
    found = ask(*(get("/wait/0.2") for _ in range(5)), get("/health"), options=options)
    assert [answer.status_code for answer in found] == [200, 200, 503, 503, 503, 200]
    assert found[2].headers["retry-after"] == "1"
    assert "connection" not in found[2].headers


def test_a_path_without_room_is_refused_before_the_app_and_counted_by_its_name():
    seen = []
    options = replace(OPTIONS, rooms={"/echo": Slots(0)}, observe=seen.append)
    found = ask(post("/echo"), get("/hello"), options=options)
    assert [answer.status_code for answer in found] == [503, 200]
    assert found[0].headers["retry-after"] == "1"
    assert "connection" not in found[0].headers
    assert [each.route for each in seen if each.status == 503] == ["/echo"]


def test_places_come_back_after_every_kind_of_end():
    app = guarded(routes(), replace(OPTIONS, concurrency=1, answer_seconds=0.05))

    async def go() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            paths = ["/hello", "/broken", "/nowhere", "/wait/1", "/hello"]
            return [(await client.get(path)).status_code for path in paths]

    assert asyncio.run(go()) == [200, 500, 404, 503, 200]


def test_each_client_has_its_own_rate_and_is_told_when_to_come_back():
    options = replace(OPTIONS, rate=60, burst=2)
    key = {"X_API_Key": SECRET}
    found = ask(*(get("/zones/a") for _ in range(4)), *(get("/zones/a", **key) for _ in range(3)), options=options)
    assert [answer.status_code for answer in found] == [200, 200, 429, 429, 200, 200, 429]
    assert found[2].headers["retry-after"] == "1"
    assert {answer.status_code for answer in ask(*(get("/health") for _ in range(9)), options=options)} == {200}


@pytest.mark.parametrize(
    ("request_", "open_reads", "status"),
    [
        (get("/zones/a"), True, 200),
        (get("/zones/a"), False, 401),
        (get("/zones/a", X_API_Key=SECRET), False, 200),
        (get("/zones/a", Authorization=f"Bearer {SECRET}"), False, 200),
        (get("/zones/a", X_API_Key="gk_wrong"), True, 401),
        (get("/hello"), False, 200),
        (post("/promote"), True, 401),
        (post("/promote", **{"X-API-Key": SECRET}), True, 403),
    ],
)
def test_routes_are_for_those_who_may(request_, open_reads, status):
    assert ask(request_, options=replace(OPTIONS, open_reads=open_reads))[0].status_code == status


def test_an_error_nobody_foresaw_is_500_and_keeps_its_words():
    (answer,) = ask(get("/broken"))
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    (answer,) = ask(get("/broken"), app=guarded(failing, OPTIONS))
    assert answer.status_code == 500


async def failing(scope: object, receive: object, send: object) -> None:
    raise RuntimeError("password=hunter2")


def test_an_answer_that_breaks_off_is_left_unfinished_and_logged():
    seen: list[logs.Seen] = []
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/broken-stream", "query_string": b"", "asgi": {}}
    scope |= {"headers": [(b"host", b"localhost")]}
    asyncio.run(guarded(routes(), replace(OPTIONS, observe=seen.append))(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True
    assert seen[0].error


def test_a_websocket_is_turned_away():
    sent = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(guarded(failing, OPTIONS)({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_one_line_says_everything_about_a_request_but_no_secret(caplog):
    caplog.set_level(logging.INFO, logger=logs.LOGGER.name)
    seen: list[logs.Seen] = []
    ask(
        get("/zones/a?token=s3cret&x", X_API_Key=SECRET, Cookie="s3cret=1"),
        post("/echo", b'"s3cret"'),
        get("/broken"),
        get("/hello", host="evil"),
        options=replace(OPTIONS, observe=seen.append),
    )
    by_path = {each.path: each for each in seen}
    assert {path: (each.status, each.route, each.client) for path, each in by_path.items()} == {
        "/zones/a": (200, "/zones/{zone}", "desk"),
        "/echo": (200, "/echo", "192.0.2.7"),
        "/broken": (500, "/broken", "192.0.2.7"),
        "/hello": (421, "", "192.0.2.7"),
    }
    assert by_path["/zones/a"].parameters == ("token", "x")
    assert (by_path["/echo"].bytes_in, by_path["/echo"].bytes_out) == (8, 8)
    assert by_path["/broken"].error.startswith("RuntimeError at test_guard.py:")
    lines = [logs.Lines().format(record) for record in caplog.records if record.name == logs.LOGGER.name]
    assert len(lines) == 4
    assert all(json.loads(line)["event"] == "request" for line in lines)
    assert not [word for word in ("s3cret", SECRET, KEY.digest, "hunter2") if word in "".join(lines) + repr(seen)]


def test_a_client_that_leaves_in_its_body_is_no_error_of_the_server(caplog):
    caplog.set_level(logging.INFO, logger=logs.LOGGER.name)
    seen: list[logs.Seen] = []
    messages = iter([{"type": "http.request", "body": b"[1", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: dict[str, object]) -> None:
        pytest.fail("nobody is there to be answered")

    headers = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/echo", "query_string": b"", "headers": headers}
    asyncio.run(guarded(routes(), replace(OPTIONS, observe=seen.append))(scope, receive, send))
    assert [(each.status, each.error) for each in seen] == [(499, "")]


def test_the_defaults_are_the_careful_ones():
    assert guard.Options().open_reads is False
    assert guard.Options().allowed_hosts == guard.LOOPBACK
    assert guard.Options().max_body == 1 << 20
