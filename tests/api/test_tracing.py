"""Spans as a collector gets them: an HTTP server that speaks OTLP, and nothing between it and the service."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

import small_home
from gridcast.errors import ConfigError, MissingExtra

pytest.importorskip("fastapi", reason="the extra `api` is absent")
pytest.importorskip("onnxruntime", reason="the extra `api` is absent")

from gridcast.api import starting
from gridcast.api.app import create_app
from gridcast.api.guard import Options
from gridcast.api.keys import Keys, Scope
from gridcast.registry import Registry
from gridcast.store.database import Store

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORECAST = "/v1/zones/DK_1/forecast"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("OTEL_", "FASTAPI_OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def sdk():
    """What needs the extra."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra `tracing` is absent")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `tracing` is absent")


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent: the path and the bytes."""

    def __init__(self):
        self.sent: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):  # noqa: N805
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.sent.append((handler.path, str(handler.headers).encode() + body))
                self.bodies.append(body)
                handler.send_response(200)
                handler.send_header("content-type", "application/x-protobuf")
                handler.send_header("content-length", "0")
                handler.end_headers()

            def log_message(handler, *_):  # noqa: N805
                pass

        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"

    def batches(self):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        assert {path for path, _ in self.sent} <= {"/v1/traces"}
        return [each for body in self.bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]

    def spans(self):
        return [span for batch in self.batches() for scope in batch.scope_spans for span in scope.spans]


@pytest.fixture
def collector(sdk):
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


@pytest.fixture
def endpoint(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    return collector


@contextmanager
def traced(folder, **options):
    """The app with its traces on a home, and what asks it; when it ends its spans are sent."""
    from gridcast.api.tracing import Traces

    traces = Traces()
    with Store(f"sqlite:///{folder / 'gridcast.db'}") as store:
        service = traces.service(store=store, registry=Registry(folder / "models"), clock=small_home.Clock())
        rules = Options(**{"open_reads": True, "rate": 0} | options)
        app = traces.around(create_app(service=service, options=rules))

        async def go(requests):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return [await client.request(method, path, **words) for method, path, words in requests]

        yield service, lambda *requests: [each.status_code for each in asyncio.run(go(requests))]
    traces.close()


def facts(span):
    found = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = getattr(each.value, kind)
    return found


def test_a_request_is_a_span_that_says_only_what_it_may(endpoint):
    with traced(small_home.home()) as (_, send):
        asked = ("GET", f"{FORECAST}?delivery_day=2026-03-31", {"headers": {"X-Request-Id": "desk-7"}})
        assert send(asked, asked) == [200, 200]  # the second answer is given again before any route is asked
    first, second = endpoint.spans()
    assert first.name == "GET /v1/zones/{zone}/forecast"
    assert first.kind == first.SPAN_KIND_SERVER
    assert facts(first) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": FORECAST,
        "http.route": "/v1/zones/{zone}/forecast",
        "http.response.status_code": 200,
        "gridcast.request_id": "desk-7",
    }
    assert (second.name, facts(second)) == (first.name, facts(first))
    assert first.status.code == first.status.STATUS_CODE_UNSET
    assert first.end_time_unix_nano > first.start_time_unix_nano
    assert (first.trace_id != second.trace_id, first.parent_span_id) == (True, b"")
    (batch,) = endpoint.batches()
    named = {each.key: each.value.string_value for each in batch.resource.attributes}
    assert named["service.name"] == "gridcast"
    assert named["service.version"]
    assert not [key for key in named if key.startswith(("process.", "host."))]


def test_a_service_goes_by_the_name_that_the_environment_gives_it(endpoint, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gridcast-west")
    with traced(small_home.home()) as (_, send):
        send(("GET", "/health", {}))
    (batch,) = endpoint.batches()
    assert {each.key: each.value.string_value for each in batch.resource.attributes}["service.name"] == "gridcast-west"


def test_a_span_is_part_of_the_trace_that_the_caller_named(endpoint):
    with traced(small_home.home()) as (_, send):
        parents = (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", "00-nonsense", "\xff" * 9)
        headers = [{"traceparent": each.encode("latin-1"), "baggage": "key=gk_baggage"} for each in parents]
        send(*(("GET", "/health", {"headers": each}) for each in headers))
    ours, *others = endpoint.spans()
    assert (ours.trace_id.hex(), ours.parent_span_id.hex()) == (TRACE, SPAN)
    assert len(others) == 2  # the caller said that nobody wants to hear of the second
    assert all(each.trace_id.hex() != TRACE and not each.parent_span_id for each in others)


def test_what_is_refused_has_a_span_too(endpoint):
    with traced(small_home.home(), open_reads=False, max_body=10) as (_, send):
        send(
            ("GET", FORECAST, {}),
            ("GET", "/health", {"headers": {"host": "evil.example"}}),
            ("GET", "/nowhere", {}),
            ("BREW", "/nowhere", {}),
            ("POST", "/predict", {"content": b"x" * 11}),
        )
    found = [(each.name, facts(each).get("http.response.status_code")) for each in endpoint.spans()]
    assert found == [
        ("GET /v1/zones/{zone}/forecast", 401),
        ("GET", 421),
        ("GET", 404),
        ("HTTP", 404),
        ("POST", 413),
    ]
    assert all(each.status.code == each.status.STATUS_CODE_UNSET for each in endpoint.spans())
    assert not any("nowhere" in str(each) or "BREW" in str(each) for each in endpoint.spans())


def test_a_forecast_on_demand_is_a_span_in_its_request(endpoint, tmp_path):
    folder = small_home.copy(tmp_path / "home")
    with traced(folder) as (service, send):
        load = [{"valid_time": at, "value": value} for at, value in small_home.history(service)]
        posted = [("POST", "/v1/forecast", {"json": {"zone": code, "load": load}}) for code in ("DK_1", "DK_2")]
        assert send(*posted) == [200, 422]
    made, request, failed, refused = endpoint.spans()
    assert [each.name for each in (made, request)] == ["forecast", "POST /v1/forecast"]
    assert (made.parent_span_id, made.trace_id) == (request.span_id, request.trace_id)
    assert facts(made) == {"gridcast.zone": "DK_1"}
    assert facts(failed) == {"gridcast.zone": "DK_2", "error.type": "ModelNotFound"}
    assert (failed.parent_span_id, len(failed.events)) == (refused.span_id, 0)


def test_an_error_nobody_foresaw_is_told_without_its_words(endpoint, monkeypatch):
    word = secrets.token_hex(8)

    def fails(*_):
        raise RuntimeError(word)

    with traced(small_home.home()) as (service, send):
        monkeypatch.setattr(service, "zones_document", fails)
        assert send(("GET", "/v1/zones", {})) == [500]
    (span,) = endpoint.spans()
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert (facts(span)["error.type"], len(span.events), span.status.message) == ("500", 0, "")
    assert word.encode() not in b"".join(body for _, body in endpoint.sent)


@contextmanager
def served(folder, *words, **environment):
    """``gridcast serve`` in a process of its own: its address, and how it is stopped."""
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--port", "0", *words]
    surroundings = os.environ | {"GRIDCAST_HOME": str(folder)} | environment
    process = subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []

    def stop():
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        lines.extend(process.stderr)
        return time.perf_counter() - began, "".join(lines)

    try:
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"serving at (http://\S+)", line)
            if found:
                break
        else:
            raise AssertionError("it never served: " + "".join(lines))
        yield found[1], stop
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=20)
        process.stderr.close()


def ask(address, path, *, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, body, named), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_two_workers_send_what_is_left_when_they_stop_and_no_secret_with_it(collector, tmp_path):
    folder = small_home.copy(tmp_path / "home")
    secret, made = Keys.create("desk", scopes=[Scope.READ, Scope.FORECAST])
    (tmp_path / "keys").write_text(made.line + "\n")
    words = {name: f"gk_{name}{secrets.token_hex(8)}" for name in ("wrong", "query", "body", "path", "agent", "cookie")}
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint + "/",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",  # FastAPI's own would tell more
    }
    rules = ("--workers", "2", "--require-keys", "--keys-file", str(tmp_path / "keys"))
    with served(folder, *rules, **environment) as (address, stop):
        for number in range(10):
            assert ask(address, FORECAST, X_API_Key=secret) == 200, number
            assert ask(address, FORECAST, Authorization=f"Bearer {secret}") == 200
            assert ask(address, FORECAST, X_API_Key=words["wrong"]) == 401
            assert ask(address, FORECAST, Authorization=f"Bearer {words['wrong']}") == 401
        with_key = {"X_API_Key": secret, "User_Agent": words["agent"], "Cookie": f"a={words['cookie']}"}
        assert ask(address, f"{FORECAST}?api_key={words['query']}", **with_key) == 422
        assert ask(address, f"/{words['path']}", **with_key) == 404
        body = json.dumps({"zone": words["body"], "load": []}).encode()
        assert ask(address, "/v1/forecast", body=body, Content_Type="application/json", **with_key) in (404, 422)
        assert collector.sent == []
        stop()
    assert len(collector.spans()) == 43
    everything = b"".join(sent for _, sent in collector.sent)
    assert [name for name, word in words.items() if word.encode() in everything] == []
    assert secret.encode() not in everything
    assert secret.partition("_")[2].encode() not in everything
    assert b"desk" not in everything


@pytest.fixture
def hanging():
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("how", ["closed", "hanging"])
def test_a_dead_collector_harms_no_answer_and_holds_up_no_stop(tmp_path, how, hanging):
    folder = small_home.copy(tmp_path / "home")
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hanging if how == "hanging" else closed(),
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    with served(folder, **environment) as (address, stop):
        began = time.perf_counter()
        for _ in range(100):
            assert ask(address, FORECAST) == 200
        seconds = time.perf_counter() - began
        time.sleep(3)
        taken, said = stop()
    print(f"{how}: 100 requests in {seconds:.2f} s, stop in {taken:.1f} s")
    assert taken < 10
    assert said.count('"traces are lost"') == 1
    assert "Traceback" not in said
    assert all(line.startswith(("{", "gridcast:")) for line in said.splitlines())


def test_without_the_variables_nothing_of_it_is_loaded(tmp_path):
    folder = small_home.copy(tmp_path / "home")
    program = (
        "import sys; from pathlib import Path; from gridcast.api.guard import Options;"
        "from gridcast.api.starting import application; folder = Path(sys.argv[1]);"
        "app = application(database_url=f'sqlite:///{folder}/gridcast.db', models=folder / 'models', zones_file=None,"
        " options=Options());"
        "print(type(app).__module__, [name for name in sys.modules if name == 'gridcast.api.tracing'"
        " or name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.proto'))])"
    )
    found = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert found.stdout == "gridcast.api.guard []\n"


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "OTLP", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SERVICE_NAME": "gridcast"}, False),
    ],
)
def test_the_environment_asks_by_opentelemetrys_own_variables(variables, wanted):
    assert starting.traces_wanted(variables) is wanted


REFUSED = {
    "exporter": ({"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp or none"),
    "protocol": ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    "endpoint": ({"OTEL_EXPORTER_OTLP_ENDPOINT": "user:gk_secret@collector:4318"}, "no address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(case):
    variables, says = REFUSED[case]
    with pytest.raises(ConfigError, match=says) as refusal:
        starting.traces_wanted(variables)
    assert "gk_secret" not in str(refusal.value)


@pytest.mark.parametrize("absent", ["opentelemetry", "opentelemetry.sdk"])
def test_without_the_extra_the_remedy_is_to_install_it(monkeypatch, absent):
    from importlib.util import find_spec

    def find(name):
        if name.startswith(absent + "."):
            raise ModuleNotFoundError(name)
        return None if name == absent else find_spec(name)

    monkeypatch.setattr(starting, "find_spec", find)
    with pytest.raises(MissingExtra, match=r'pip install "gridcast\[tracing\]"') as refusal:
        starting.traces_wanted({"OTEL_TRACES_EXPORTER": "otlp"})
    assert refusal.value.extra == "tracing"


def test_the_command_does_not_start_where_traces_are_asked_for_and_cannot_be(tmp_path):
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--port", "0"]
    environment = os.environ | {"GRIDCAST_HOME": str(tmp_path / "home"), "OTEL_TRACES_EXPORTER": "console"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert "OTEL_TRACES_EXPORTER is console: set it to otlp or none" in found.stderr
    assert not (tmp_path / "home").exists()
