"""The server itself: loopback only, a log without tokens, clean ends, and fast enough for a back-fill."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection

import pytest

from gridcast.errors import ConfigError
from gridcast.simulate import VirtualClock, World, running
from gridcast.sources.endpoints import Endpoints

TOKEN = "0e1d2c3b-4a59-4687-9000-feedfacecafe"
PERIOD = {"begin": datetime(2024, 5, 1, tzinfo=UTC), "end": datetime(2024, 5, 2, tzinfo=UTC)}

SERVER = """
from datetime import UTC, datetime
from gridcast.simulate import VirtualClock, World, serve
serve(World(), port=0, clock=VirtualClock(datetime(2025, 1, 1, tzinfo=UTC)), ready=lambda url: print(url, flush=True))
"""


def test_the_front_page_lists_what_is_spoken(clock, get):
    with running(World(), clock=clock) as url:
        page = get(url, "/")
    assert page.headers["content-type"].startswith("text/plain")
    for word in ("/entsoe/api", "/energidata/dataset", "/openmeteo/archive", "/simulator/faults"):
        assert word in page.text


def test_every_endpoint_of_the_adapters_has_an_answer(clock, get):
    with running(World(), clock=clock) as url:
        ends = Endpoints.simulated(url)
        paths = [
            ends.entsoe,
            ends.entsoe_login,
            f"{ends.entsoe_files}/listFolder",
            f"{ends.energidata}/dataset/ElectricityProdex5MinRealtime",
            f"{ends.openmeteo}/v1/forecast",
            f"{ends.openmeteo_single_runs}/v1/forecast",
            f"{ends.openmeteo_previous_runs}/v1/forecast",
            f"{ends.openmeteo_historical}/v1/forecast",
            f"{ends.openmeteo_archive}/v1/archive",
        ]
        answers = [get(url, path.removeprefix(url)).status for path in paths]
        assert get(url, "/elsewhere").status == 404
        assert get(url, "/entsoe/apifoo").status == 404
    assert answers == [401, 400, 401, 200, 400, 400, 400, 400, 400]


def test_the_log_has_a_line_a_request_and_no_token(clock, get, load):
    log = io.StringIO()
    with running(World(), clock=clock, log=log) as url:
        load(url, **PERIOD)
        get(url, "/entsoe/api", params={"documentType": "A65", "securityToken": TOKEN})
        get(url, "/openmeteo/v1/forecast", params={"apikey": "planted-key"})
    lines = log.getvalue().splitlines()

    assert len(lines) == 3
    assert lines[0].startswith("2025-11-18T09:30:00Z GET /entsoe/api?documentType=A65&")
    assert " 200 " in lines[0]
    assert TOKEN not in log.getvalue()
    assert "planted-key" not in log.getvalue()


def test_statistics_count_and_never_show_a_token(clock, get, load):
    with running(World(), clock=clock) as url:
        for _ in range(3):
            load(url, **PERIOD)
        got = get(url, "/simulator/stats")
    assert got.json["paths"] == {"/entsoe/api": 3}
    assert got.json["addresses"]["127.0.0.1"]["requests"] == 3
    assert TOKEN not in got.text


def test_it_listens_on_loopback_only(clock):
    with running(World(), clock=clock) as url:
        port = int(url.rpartition(":")[2])
        with socket.socket() as other:
            other.settimeout(1)
            assert other.connect_ex(("127.0.0.2", port)) != 0


def started(port):
    with running(World(), port=port):
        pass


def test_a_port_in_use_is_an_error_of_ours(clock):
    with running(World(), clock=clock) as url, pytest.raises(ConfigError, match="cannot listen"):
        started(int(url.rpartition(":")[2]))
    with pytest.raises(ConfigError):
        started(70_000)


def test_a_connection_serves_many_requests(clock):
    with running(World(), clock=clock) as url:
        connection = HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(5):
            connection.request("GET", "/simulator/clock")
            answer = connection.getresponse()
            assert b"now" in answer.read()
        own = connection.sock
        assert own is not None
        connection.close()


def test_a_body_that_is_too_large_is_refused(clock, get):
    with running(World(), clock=clock) as url:
        with pytest.raises((BrokenPipeError, ConnectionResetError, AssertionError)):
            assert get(url, "/entsoe/login", body=b"x" * (8 << 20)).status != 413
        assert get(url, "/").status == 200


def test_many_clients_at_once_get_the_same_answer_and_no_thread_is_left(clock, load):
    before = threading.active_count()
    with running(World(), clock=clock) as url, ThreadPoolExecutor(16) as pool:
        bodies = set(pool.map(lambda _: load(url, **PERIOD).body, range(64)))
    assert len(bodies) == 1
    assert threading.active_count() == before


def test_served_in_the_foreground_it_ends_at_an_interrupt():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    connection = HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]), timeout=10)
    connection.request("GET", "/entsoe/api?securityToken=" + TOKEN)
    assert connection.getresponse().status == 400
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    connection.close()

    assert process.returncode == 0
    assert err.count("\n") == 1
    assert "securityToken=***" in err


def test_a_year_of_quarters_is_written_in_well_under_a_third_of_a_second(load):
    world = World(resolution=timedelta(minutes=15))
    year = {"begin": datetime(2023, 12, 31, 23, tzinfo=UTC), "end": datetime(2024, 12, 31, 23, tzinfo=UTC)}
    with running(world, clock=VirtualClock(datetime(2025, 6, 1, tzinfo=UTC))) as url:
        load(url, **year)
        seconds = []
        for eic in ("10YFR-RTE------C", "10YNL----------L", "10YBE----------2"):
            begin = time.perf_counter()
            assert len(load(url, eic=eic, **year).body) > 3_000_000
            seconds.append(time.perf_counter() - begin)
    print(f"a PT15M year: {min(seconds):.3f} s, the transfer included")
    assert min(seconds) < 0.3
