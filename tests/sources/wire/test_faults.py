"""Every way in which a provider or the network fails, over real sockets: a typed error in time, or the whole answer."""

from __future__ import annotations

import gzip
import random
import socket
import ssl
import time
import tracemalloc
import zlib
from dataclasses import dataclass, field

import httpcore
import pytest

from gridcast.errors import BadAnswer, ConfigError, RateLimited, Refused, Unauthorized, Unreachable
from gridcast.sources.wire.body import Broken, unpacked
from gridcast.sources.wire.network import Sockets
from scripted import FREE, Delay, Drip, Flood, Reset, Scripted, Send, VirtualClock, answer

BODY = b"<load>" + b"3080 " * 200 + b"</load>"
GOOD = answer(200, BODY, content_type="text/xml")
ZIPPED = gzip.compress(BODY, mtime=0)
BOMB = gzip.compress(bytes(30 << 20), mtime=0)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\n\r\n"
ELSEWHERE = "https://evil.example/steal?securityToken=1"


@dataclass(frozen=True)
class Case:
    name: str
    scripts: tuple
    error: type[Exception] | None = None
    requests: int = 1
    facts: dict = field(default_factory=dict)
    body: bytes = BODY
    options: dict = field(default_factory=dict)


def once(name: str, script: object) -> Case:
    """A fault that passes: the second attempt has the answer."""
    return Case(f"{name}, then the answer", (script, GOOD), requests=2)


def ever(name: str, script: object, fault: str, **facts: object) -> Case:
    """A fault that stays: so many attempts, and an error."""
    return Case(f"{name}, for ever", (script,), Unreachable, 10, {"fault": fault, "attempts": 10, **facts})


def bad(name: str, script: object, fault: str, **facts: object) -> Case:
    """A fault that another attempt could not mend."""
    return Case(name, (script,), BadAnswer, 1, {"fault": fault, "attempts": 1, **facts})


def passes(name: str, script: object, body: bytes = BODY) -> Case:
    """Odd, but an answer."""
    return Case(name, (script,), None, 1, {}, body)


FAILING = (408, 425, 429, 500, 501, 502, 503, 504, 520, 599)
CASES = [
    passes("an ordinary answer", GOOD),
    *(once(f"status {status}", answer(status, b"try later")) for status in FAILING),
    *(ever(f"status {status}", answer(status, b"no"), "status", status=status) for status in (408, 500, 503, 520)),
    Case("status 429, for ever", (answer(429, b"slow down"),), RateLimited, 10, {"status": 429, "said": "slow down"}),
    Case("status 401", (answer(401, b"Unauthorized"),), Unauthorized, 1, {"status": 401, "said": "Unauthorized"}),
    Case("status 403", (answer(403, b""),), Unauthorized, 1, {"status": 403}),
    *(
        Case(f"status {status}", (answer(status, b"<p>no\n such</p>"),), Refused, 1, {"reason": "no such"})
        for status in (400, 404, 405, 407, 409, 410, 413, 414, 418, 422, 451)
    ),
    *(
        bad(f"a redirect {status} to another host", answer(status, location=ELSEWHERE), "redirect", host="evil.example")
        for status in (301, 302, 303, 307, 308)
    ),
    bad("a redirect within the host", answer(302, location="/login"), "redirect", host="another path of its own"),
    bad("a redirect to no address", answer(302, location="http://[bad"), "redirect"),
    bad("a redirect that says not where", answer(300, b"choose"), "redirect"),
    bad("204 without a body", b"HTTP/1.1 204 No Content\r\n\r\n", "empty", status=204),
    bad("304, which nobody asked for", b"HTTP/1.1 304 Not Modified\r\n\r\n", "not modified", status=304),
    bad("206, a part", answer(206, BODY[:100], content_range="bytes 0-99/1013"), "partial", status=206),
    bad("202, not ready", answer(202, b"queued"), "status", status=202),
    bad("200 without a body", answer(200), "empty", status=200),
    bad("200 with an empty gzip body", answer(200, gzip.compress(b""), content_encoding="gzip"), "empty"),
    Case("status 999", (answer(999, b"?"),), Unreachable, 10, {"status": 999}),
    once("a reset before the headers", Reset()),
    once("a reset in the headers", [Send(GOOD[:20]), Reset()]),
    once("a reset after the headers", [Send(GOOD[:70]), Delay(0.05), Reset()]),
    once("a reset at byte 500", [Send(GOOD[:570]), Delay(0.05), Reset()]),
    ever("a reset before the headers", Reset(), "reset", status=None),
    once("a connection closed without a word", b""),
    once("a connection closed in the headers", GOOD[:30]),
    once("a body shorter than announced", answer(200, BODY, length=len(BODY) + 1)),
    ever("a body shorter than announced", answer(200, BODY, length=len(BODY) + 1), "broken HTTP", status=200),
    passes("a body longer than announced, read as long as announced", answer(200, BODY + b"more", length=len(BODY))),
    once("two announced lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello"),
    once("an announced length that is no number", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
    once("a chunk whose size is no number", CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n"),
    once("a chunk longer than it says", CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"),
    once("chunks that break off", CHUNKED + b"5\r\nhello\r\n"),
    once("a chunk cut in the middle", CHUNKED + b"ff\r\nhello"),
    passes("good chunks", CHUNKED + b"3f5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    passes("a body that ends with the connection", CLOSED + BODY),
    once("a status line that is garbage", b"\x00\xff hello \r\n\r\n"),
    once("a status line of another protocol", b"SSH-2.0-OpenSSH_9.6\r\n"),
    once("a status that is no number", b"HTTP/1.1 abc OK\r\n\r\n"),
    once("a header line without a name", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"),
    once("headers without end", [Send(b"HTTP/1.1 200 OK\r\n"), Flood(b"X-Pad: " + b"a" * 8000 + b"\r\n", 40)]),
    passes("a hundred first words before the answer", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100 + GOOD),
    passes("gzip", answer(200, ZIPPED, content_encoding="gzip")),
    passes("gzip under its old name", answer(200, ZIPPED, content_encoding="X-GZIP")),
    passes(
        "gzip in two members",
        answer(200, gzip.compress(b"ab") + gzip.compress(b"cd"), content_encoding="gzip"),
        b"abcd",
    ),
    passes(
        "gzip byte by byte",
        [Drip(answer(200, ZIPPED[:60], length=len(ZIPPED), content_encoding="gzip"), 0.0005), Send(ZIPPED[60:])],
    ),
    bad("a gzip bomb", answer(200, BOMB, content_encoding="gzip"), "too large"),
    bad("a gzip bomb in a gzip bomb", answer(200, gzip.compress(BOMB), content_encoding="gzip, gzip"), "coding"),
    bad("a label of gzip on plain text", answer(200, BODY, content_encoding="gzip"), "coding"),
    bad("gzip with rubbish behind", answer(200, ZIPPED + b"rubbish", content_encoding="gzip"), "coding"),
    bad("gzip with a wrong checksum", answer(200, ZIPPED[:-8] + bytes(8), content_encoding="gzip"), "coding"),
    once("gzip that breaks off", answer(200, ZIPPED[:-9], content_encoding="gzip")),
    ever(
        "gzip that ends with the connection", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + ZIPPED[:40], "cut"
    ),
    bad("an unknown coding", answer(200, BODY, content_encoding="br"), "coding"),
    bad("deflate, which was not offered", answer(200, zlib.compress(BODY), content_encoding="deflate"), "coding"),
    passes("an identity coding", answer(200, BODY, content_encoding="identity")),
    passes("gzip bytes without a label", answer(200, ZIPPED), ZIPPED),
    passes("UTF-16", answer(200, "Last 3080 MW".encode("utf-16")), "Last 3080 MW".encode("utf-16")),
    passes("a byte order mark", answer(200, b"\xef\xbb\xbf<load/>"), b"\xef\xbb\xbf<load/>"),
    passes("HTML with 200", answer(200, b"<html>Maintenance</html>"), b"<html>Maintenance</html>"),
    passes("a ZIP in place of XML", answer(200, b"PK\x03\x04 data"), b"PK\x03\x04 data"),
    bad("100 MB announced", [Send(answer(200, b"", length=100_000_000)), Flood(b"x" * 65536, 1600)], "too large"),
    bad("100 MB unannounced", [Send(CLOSED), Flood(b"x" * 65536, 1600)], "too large"),
    bad("100 MB in chunks", [Send(CHUNKED), Flood(b"10000\r\n" + b"x" * 65536 + b"\r\n", 1600)], "too large"),
    Case("an error of 100 MB", ([Send(answer(404, b"", length=10**8)), Flood(b"no " * 20000, 1600)],), Refused, 1),
    Case("an error cut in its body", (answer(401, b"bad key", length=999),), Unauthorized, 1, {"said": "bad key"}),
    Case("an error in an unknown coding", (answer(403, b"\x01\x02", content_encoding="br"),), Unauthorized, 1),
]


@pytest.mark.usefixtures("nothing_leaks")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_ends_in_its_own_error_or_in_the_whole_answer(case, wire):
    began = time.perf_counter()
    with Scripted(*case.scripts) as server, wire(max_bytes=2 << 20, budget=200.0) as line:
        if case.error is None:
            assert line.get(f"{server.url}/api", params={"zone": "DK_1"}, permit=FREE).body == case.body
        else:
            with pytest.raises(case.error) as caught:
                line.get(f"{server.url}/api", params={"zone": "DK_1"}, permit=FREE)
            assert {name: getattr(caught.value, name) for name in case.facts} == case.facts
            if case.error is not ConfigError:
                assert (caught.value.source, caught.value.url) == ("grid", f"{server.url}/api")
        assert len(server.requests) == case.requests
    assert time.perf_counter() - began < 10


def test_there_are_enough_cases():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_a_bomb_takes_no_more_memory_than_an_answer_may():
    tracemalloc.start()
    try:
        with pytest.raises(Broken, match="too large"):
            list(unpacked([BOMB], coding="gzip", most=1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


SLOW = {
    "silence": [Delay(30)],
    "a drip in the headers": [Drip(GOOD, 0.02)],
    "a drip in the body": [Send(GOOD[:80]), Drip(GOOD[80:] * 9, 0.02)],
    "a drip of first words": [Drip(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 99, 0.02)],
    "a drip of chunk sizes": [Send(CHUNKED), Drip(b"0" * 999, 0.02)],
    "a drip in an error's body": [Send(answer(500, b"", length=999)), Drip(b"no " * 333, 0.02)],
}


@pytest.mark.usefixtures("nothing_leaks")
@pytest.mark.parametrize("name", SLOW)
def test_a_server_that_never_ends_is_left_within_the_budget(name, wire):
    with Scripted(SLOW[name]) as server, wire(budget=0.5) as line:
        began = time.perf_counter()
        with pytest.raises(Unreachable) as caught:
            line.get(server.url, params={}, permit=FREE)
        assert 0.1 < time.perf_counter() - began < 1.5
        assert caught.value.fault in ("time-out", "status")


def test_a_server_that_was_silent_once_is_asked_again_within_the_budget(wire):
    with Scripted([Delay(30)], GOOD) as server, wire(budget=0.9) as line:
        assert line.get(server.url, params={}, permit=FREE).body == BODY
        assert len(server.requests) == 2


def test_pauses_count_against_the_budget(wire, clock):
    with Scripted(answer(503)) as server, wire(budget=5.0) as line:
        with pytest.raises(Unreachable) as caught:
            line.get(server.url, params={}, permit=FREE)
        assert 1 < caught.value.attempts == len(server.requests) < 10
        assert 0 < sum(clock.slept) < 5


def test_pauses_are_random_and_grow(wire, clock):
    def pauses(seed: int) -> list[float]:
        clock.slept.clear()
        line = wire(budget=1e6, pauses=random.Random(seed))
        with Scripted(answer(503)) as server, pytest.raises(Unreachable):
            line.get(server.url, params={}, permit=FREE)
        return list(clock.slept)

    several = [pauses(seed) for seed in range(4)]
    assert pauses(0) == several[0] != several[1]
    for attempts in zip(*several, strict=True):
        assert len(set(attempts)) == 4
    for run in several:
        assert [pause <= min(30, 0.5 * 2**number) for number, pause in enumerate(run)] == [True] * 9
    assert max(max(run) for run in several) > 10


def test_a_port_that_nobody_listens_at_is_unreachable(wire):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with wire() as line, pytest.raises(Unreachable) as caught:
        line.get(f"http://127.0.0.1:{port}", params={}, permit=FREE)
    assert (caught.value.fault, caught.value.status, "refused" in str(caught.value)) == ("refused", None, True)


@pytest.mark.usefixtures("nothing_leaks")
def test_a_host_that_has_no_address_is_unreachable(wire, monkeypatch):
    def getaddrinfo(*_: object, **__: object) -> list:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with wire() as line, pytest.raises(Unreachable) as caught:
        line.get("https://api.energidataservice.dk/x", params={}, permit=FREE)
    assert caught.value.fault == "no such host"


def test_a_resolver_that_does_not_answer_is_left_within_the_budget(wire, monkeypatch):
    import threading

    late = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: late.wait(20) and [])
    began = time.perf_counter()
    with wire(budget=0.3) as line, pytest.raises(Unreachable) as caught:
        line.get("https://api.energidataservice.dk/x", params={}, permit=FREE)
    late.set()
    assert time.perf_counter() - began < 1.5
    assert caught.value.fault == "time-out"


def test_a_deadline_that_passes_before_the_handshake_closes_the_connection():
    with Scripted(GOOD) as server:
        stream = Sockets(silence=1).connect_tcp("127.0.0.1", server.port, timeout=time.monotonic() + 5)
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(ssl.create_default_context(), "localhost", timeout=time.monotonic() - 1)
        assert stream.get_extra_info("socket").fileno() == -1


@pytest.mark.usefixtures("nothing_leaks")
def test_what_is_no_tls_gets_no_request(wire, monkeypatch):
    with Scripted(GOOD) as server:
        to_the_server(monkeypatch, server)
        with wire(budget=0.6) as line, pytest.raises(Unreachable):
            line.get("https://api.energidataservice.dk/x", params={}, permit=FREE)
        assert [request for request in server.requests if b"GET" in request] == []


def test_a_wrong_certificate_ends_the_call_at_once(wire, monkeypatch):
    def wrap_socket(*_: object, **__: object) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap_socket)
    with Scripted(GOOD) as server:
        to_the_server(monkeypatch, server)
        with wire() as line, pytest.raises(BadAnswer) as caught:
            line.get("https://api.energidataservice.dk/x", params={}, permit=FREE)
        assert (caught.value.fault, caught.value.attempts) == ("certificate", 1)


def to_the_server(monkeypatch: pytest.MonkeyPatch, server: Scripted) -> None:
    """What would go to a provider's port 443 goes to the scripted server."""
    connect = socket.create_connection
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, *__, **___: [(2, 1, 6, "", ("127.0.0.1", port))])
    monkeypatch.setattr(
        socket, "create_connection", lambda _, *rest, **options: connect(("127.0.0.1", server.port), *rest, **options)
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "https://evil.example/x",
        "http://127.0.0.1:1@evil.example",
        "ftp://127.0.0.1:21",
        "http://localhost:1",
    ],
)
def test_an_address_that_is_no_providers_is_refused_before_anything_is_sent(url, wire, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    with wire() as line, pytest.raises(ConfigError):
        line.get(url, params={}, permit=FREE)


def test_proxies_of_the_environment_are_not_used(wire, monkeypatch):
    with Scripted(answer(200, b"from the proxy")) as proxy, Scripted(GOOD) as server, wire() as line:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert line.get(server.url, params={}, permit=FREE).body == BODY
        assert proxy.requests == []


def test_an_accepted_status_is_an_answer_whatever_its_number(wire):
    with Scripted(answer(400, b"<Acknowledgement/>")) as server:
        found = wire().get(server.url, params={"a": "1"}, permit=FREE, accept=(200, 400))
        assert (found.status, found.body, found.params) == (400, b"<Acknowledgement/>", {"a": "1"})


def test_a_query_goes_out_as_it_was_given(wire):
    asked = {"filter": '{"PriceArea":["DK1","DK2"]}', "end": "2026-01-01T00:00", "x": "a b&c=d+e/ø"}
    with Scripted(GOOD) as server:
        wire().get(f"{server.url}/dataset/Load", params=asked, permit=FREE)
    from urllib.parse import parse_qsl, urlsplit

    target = server.requests[0].split(b" ")[1].decode()
    assert dict(parse_qsl(urlsplit(target).query, strict_parsing=True)) == asked
    assert urlsplit(target).path == "/dataset/Load"


def test_a_document_or_a_form_is_posted_and_tried_again(wire):
    with Scripted(Reset(), answer(200, b"[1]")) as server:
        line = wire()
        found = line.post(f"{server.url}/listFolder", permit=FREE, json={"path": "/TP_export/"})
        assert (found.body, found.params) == (b"[1]", {"json": '{"path": "/TP_export/"}'})
        line.post(server.url, permit=FREE, form={"client_id": "tp-fms-public", "x": "å b"})
    assert server.requests[1].endswith(b'\r\n\r\n{"path":"/TP_export/"}')
    assert server.requests[2].endswith(b"\r\n\r\nclient_id=tp-fms-public&x=%C3%A5+b")


def test_a_cookie_is_not_sent_back(wire):
    with Scripted(answer(200, b"x", set_cookie="id=1; Path=/")) as server:
        line = wire()
        assert "set-cookie" not in line.get(server.url, params={}, permit=FREE).headers
        line.get(server.url, params={}, permit=FREE)
    assert b"ookie" not in server.requests[1]


def test_what_a_server_says_becomes_one_clean_line(wire):
    body = (
        "<html><head><style>p {}</style></head><p>Requester\r\n banned \x1b[31m\u202euntil 10:01</p></html>" + "x" * 999
    )
    with Scripted(answer(400, body.encode())) as server, pytest.raises(Refused) as caught:
        wire().get(server.url, params={}, permit=FREE)
    assert caught.value.reason.startswith("Requester banned [31m until 10:01 xxx")
    assert len(caught.value.reason) <= 200
    assert str(caught.value).isprintable()


def test_the_answer_tells_when_it_was_fetched(wire, clock: VirtualClock):
    with Scripted(GOOD) as server:
        assert wire().get(server.url, params={}, permit=FREE).fetched_at == clock.now()
