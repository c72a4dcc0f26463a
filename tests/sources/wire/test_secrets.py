"""A planted token goes over the wire to the provider and is found nowhere else."""

from __future__ import annotations

import base64
import gc
import gzip
import html
import json
import logging
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from gridcast.errors import ConfigError, GridcastError
from gridcast.sources.wire.redaction import Veil
from scripted import FREE, Delay, Reset, Scripted, Send, answer

TOKEN = "5f2c7a1e-93d4-4b8f-a6e0-c1d2e3f40517"
PASSWORD = "pässword & <more>"
KEY = SecretStr(TOKEN)


def echo(status: int, **headers: str):
    """An answer that tells the request back: in a header, in the body, whole and in capitals."""

    def made(request: bytes) -> bytes:
        line = request.split(b"\r\n")[0].decode()
        body = b"You sent:\n" + request + request.upper() + request.decode("latin-1").encode("utf-16-le")
        return answer(
            status, body, x_echo=line + line.upper(), location=f"https://{TOKEN}.evil.example/?t={TOKEN}", **headers
        )

    return Send(made)


def zipped_echo(request: bytes) -> bytes:
    return answer(200, gzip.compress(request), content_encoding="gzip")


SCRIPTS = {
    "an answer": echo(200),
    "a packed answer": Send(zipped_echo),
    "a refusal": echo(400),
    "a wrong key": echo(401),
    "a redirect": echo(307),
    "a failure": echo(503),
    "a limit": echo(429, retry_after="100000"),
    "a part": echo(206),
    "a reset": [Send(b"HTTP/1.1 200 OK\r\nX: "), Send(lambda request: request[:60]), Reset()],
    "no HTTP": Send(lambda request: request),
    "a bad coding": echo(200, content_encoding="br"),
    "an error cut within the token": [
        Send(lambda request: answer(403, request + TOKEN.encode()[:-1], length=9999)),
        Delay(0.05),
        Reset(),
    ],
}


def asked(line, url: str, *, way: str) -> str:
    """Everything that the caller could print of a call; nothing that holds the token stays in this frame."""
    try:
        if way == "header":
            found = line.get(url, params={"a": "1"}, permit=FREE, headers={"SECURITY_TOKEN": KEY, "X-Plain": "x"})
        elif way == "bearer":
            headers = {"Authorization": SecretStr("Bearer " + KEY.get_secret_value())}
            found = line.get(url, params={}, permit=FREE, headers=headers)
        elif way == "parameter":
            found = line.get(url, params={"a": "1"}, permit=FREE, secret_params={"securityToken": KEY})
        else:
            found = line.post(url, permit=FREE, form={"username": "grid", "password": KEY})
    except GridcastError as error:
        if error.__cause__ or error.__context__:
            pytest.fail("the error drags another one along")
        whole = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join([str(error), repr(error), repr(error.facts), *whole.format()])
    return repr(found) + str(found.headers) + found.body.decode("latin-1")


@pytest.mark.parametrize("way", ["header", "bearer", "parameter", "form"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_token_is_sent_and_shown_nowhere(name, way, *, wire, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for logger in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection", "gridcast"):
        caplog.set_level(logging.DEBUG, logger=logger)
    with Scripted(SCRIPTS[name]) as server, wire(budget=3.0) as line:
        shown = asked(line, server.url, way=way)
        assert all(TOKEN.encode() in request for request in server.requests)

    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for place in (shown, logged, *capfd.readouterr()):
        assert holding(place.encode("utf-8", "surrogateescape")) == []
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert written
    for file in written:
        content = file.read_bytes()
        assert holding(gzip.decompress(content) if file.suffix == ".gz" else content) == []
        assert holding(str(file).encode()) == []


def holding(content: bytes) -> list[str]:
    """The ways in which the token, or most of it, stands in the content."""
    lowered = content.lower()
    ways = {
        "plain": TOKEN[:-1].encode(),
        "utf-16": TOKEN[:-1].encode("utf-16-le"),
        "base64": base64.b64encode(TOKEN.encode())[:-4].lower(),
    }
    return [way for way, form in ways.items() if form in lowered]


def test_a_token_is_found_where_it_stands():
    for content in (TOKEN.upper().encode(), b"x" + TOKEN.encode("utf-16-le"), base64.b64encode(TOKEN.encode())):
        assert len(holding(content)) == 1


def test_a_password_is_found_in_every_way_to_write_it(wire, kept):
    with Scripted(Send(lambda request: answer(200, request.split(b"\r\n\r\n")[1] + PASSWORD.encode()))) as server:
        found = wire().post(server.url, permit=FREE, form={"user": "grid", "password": SecretStr(PASSWORD)})
    assert b"password=p%C3%A4ssword+%26+%3Cmore%3E" in server.requests[0]
    assert found.body == b"user=grid&password=[redacted][redacted]"
    assert [each.body for each in kept.answers("grid")] == [found.body]


@pytest.mark.parametrize("turn", [str.upper, quote, quote_plus, html.escape, lambda text: json.dumps(text)[1:-1]])
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("secret", [PASSWORD, "pLaNt+3d/0m=k3y"])
def test_a_secret_is_taken_out_in_capitals_and_with_any_escapes(secret, coding, turn):
    veil = Veil([SecretStr(secret)])
    written = turn(secret)
    assert veil.text(f"<{written}>") == "<[redacted]>"
    assert veil.content(f"<{written}>".encode(coding)) == "<[redacted]>".encode(coding)


def test_an_answer_that_is_a_secret_is_not_kept(wire, tmp_path):
    with Scripted(answer(401, b'{"error":"no"}'), answer(200, b'{"access_token":"abc"}')) as server:
        line = wire()
        with pytest.raises(GridcastError):
            line.post(server.url, permit=FREE, form={"password": KEY}, keep=False)
        assert line.post(server.url, permit=FREE, form={"password": KEY}, keep=False).body == b'{"access_token":"abc"}'
    assert not Path(tmp_path / "kept").exists()


@pytest.mark.parametrize("key", [TOKEN + "\n", "\r\nX: " + TOKEN, TOKEN + "\0", TOKEN + "é", " " + TOKEN])
def test_a_key_that_no_header_may_hold_is_a_sentence_without_the_key(key, wire, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with Scripted(answer(200, b"x")) as server, pytest.raises(ConfigError) as caught:
        wire().get(server.url, params={}, permit=FREE, headers={"SECURITY_TOKEN": SecretStr(key)})
    assert "key" in caught.value.remedy
    assert holding((str(caught.value) + repr(caught.value.facts) + caplog.text).encode()) == []
    assert caught.value.__context__ is None
    assert [request for request in server.requests if TOKEN.encode() in request] == []


def test_no_object_that_survives_a_call_holds_the_token(wire):
    import httpx

    def alive() -> list[object]:
        gc.collect()
        # `isinstance` would ask an object for its class, and some libraries' objects warn when they are asked.
        return [each for each in gc.get_objects() if issubclass(type(each), httpx.Request | httpx.Response)]

    before = alive()  # other tests keep theirs
    with Scripted(echo(400)) as server, wire() as line:
        asked(line, server.url, way="parameter")
    assert [each for each in alive() if not any(each is other for other in before)] == []


def test_what_others_do_with_httpx_is_logged_as_ever(wire, caplog):
    import httpx

    caplog.set_level(logging.INFO, logger="httpx")
    with Scripted(answer(200, b"x")) as server:
        wire().get(server.url, params={}, permit=FREE)
        assert caplog.records == []
        httpx.get(server.url, trust_env=False)
        assert len(caplog.records) == 1
