"""The virtual clock: alone, and shared by processes as a simulation of discrete events."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from gridcast.errors import ConfigError, Unreachable
from gridcast.pipeline.clock import SystemClock
from gridcast.simulate import RemoteClock, VirtualClock, World, running
from gridcast.sources.endpoints import Endpoints
from scripted import Delay, Scripted

START = datetime(2024, 1, 1, tzinfo=UTC)

SLEEPER = """
import sys
from gridcast.simulate.clock import RemoteClock
url, who, seconds, times = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
with RemoteClock(url, who) as clock:
    print("joined", flush=True)
    sys.stdin.readline()
    for _ in range(times):
        clock.sleep(seconds)
        print(clock.now().isoformat(), flush=True)
"""


@pytest.fixture
def shared():
    clock = VirtualClock(START)
    with running(World(), clock=clock) as url:
        yield url, clock


def sleeper(url, who, *, seconds, times):
    return subprocess.Popen(
        [sys.executable, "-c", SLEEPER, url, who, str(seconds), str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_alone_sleep_lets_time_pass_at_once():
    clock = VirtualClock(START)
    before = time.monotonic()
    clock.sleep(86_400)

    assert clock.now() == START + timedelta(days=1)
    assert time.monotonic() - before < 1


def test_time_never_goes_back_by_sleeping_and_can_be_set():
    clock = VirtualClock(START)
    clock.sleep(-5)
    assert clock.now() == START
    clock.set(START - timedelta(days=1))
    assert clock.now() == START - timedelta(days=1)


def test_two_processes_see_one_time_and_events_in_order(shared):
    url, clock = shared
    people = [sleeper(url, "a", seconds=3, times=5), sleeper(url, "b", seconds=5, times=3)]
    for person in people:
        assert person.stdout.readline() == "joined\n"
    outputs = [None, None]
    threads = []
    for number, person in enumerate(people):
        thread = threading.Thread(target=lambda n=number, p=person: outputs.__setitem__(n, p.communicate("go\n")[0]))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(30)

    seen = [[(datetime.fromisoformat(line) - START).total_seconds() for line in text.split()] for text in outputs]
    assert seen == [[3, 6, 9, 12, 15], [5, 10, 15]]
    assert clock.now() == START + timedelta(seconds=15)


def test_time_stands_still_while_one_of_two_works(shared):
    url, _ = shared
    with RemoteClock(url, "worker") as worker, RemoteClock(url, "sleeper") as other:
        thread = threading.Thread(target=other.sleep, args=(60,))
        # The thread is another participant than the one that made the clock, which must not hold it up.
        other.close()
        thread.start()
        time.sleep(0.3)
        assert worker.now() == START
        assert thread.is_alive()
        worker.sleep(100)
        thread.join(5)
        assert not thread.is_alive()
        assert worker.now() == START + timedelta(seconds=100)


def test_a_killed_process_does_not_freeze_the_others(shared):
    url, clock = shared
    victim = sleeper(url, "victim", seconds=1, times=1)
    assert victim.stdout.readline() == "joined\n"
    with RemoteClock(url, "survivor") as survivor:
        thread = threading.Thread(target=clock.sleep_among, args=("witness",), kwargs={"seconds": 30})
        clock.join("witness")
        thread.start()
        timer = threading.Timer(0.3, victim.kill)
        timer.start()
        # Wakes everybody up should the death go unnoticed: a wrong time is a better failure than none.
        rescue = threading.Timer(10, clock.set, [START + timedelta(days=1)])
        rescue.start()
        survivor.sleep(10)
        rescue.cancel()
        assert clock.now() == START + timedelta(seconds=10)
    clock.leave("witness")
    thread.join(5)
    assert not thread.is_alive()
    victim.communicate()
    timer.join()
    rescue.join()


def test_a_sleeper_whose_connection_drops_is_forgotten(shared):
    url, clock = shared
    victim = sleeper(url, "victim", seconds=1000, times=1)
    assert victim.stdout.readline() == "joined\n"
    clock.join("me")
    victim.stdin.write("go\n")
    victim.stdin.flush()
    time.sleep(0.3)
    victim.kill()
    victim.communicate()
    clock.sleep_among("me", seconds=5000)
    assert clock.now() == START + timedelta(seconds=5000)


def test_a_name_that_comes_back_before_its_old_connection_is_gone_stays(shared):
    _, clock = shared
    clock.join("a")
    clock.join("a")
    clock.leave("a")
    thread = threading.Thread(target=clock.sleep_among, args=("b",), kwargs={"seconds": 1})
    clock.join("b")
    thread.start()
    time.sleep(0.2)
    assert clock.now() == START
    clock.leave("a")
    thread.join(5)
    assert clock.now() == START + timedelta(seconds=1)


def test_the_clock_is_read_moved_and_set_over_http(shared, get):
    url, _ = shared
    assert get(url, "/simulator/clock").json == {"now": START.isoformat()}
    assert get(url, "/simulator/clock", body={"advance": 90}).json == {"now": "2024-01-01T00:01:30+00:00"}
    assert get(url, "/simulator/clock", body={"set": "2023-06-01T00:00:00+00:00"}).json["now"].startswith("2023-06")
    assert get(url, "/simulator/clock", body={"yawn": 1}).status == 400
    assert get(url, "/simulator/clock", body=b"{").status == 400


def test_the_machines_own_clock_cannot_be_moved(get):
    with running(World(), clock=SystemClock()) as url:
        assert get(url, "/simulator/clock", body={"advance": 90}).status == 409
        now = datetime.fromisoformat(get(url, "/simulator/clock").json["now"])
        assert abs((now - datetime.now(UTC)).total_seconds()) < 5
        with pytest.raises(ConfigError):
            RemoteClock(url, "me")


def test_a_clock_elsewhere_or_nowhere_is_an_error_of_ours():
    with pytest.raises(ConfigError):
        RemoteClock("http://example.com:80", "me")
    with pytest.raises(Unreachable):
        RemoteClock("http://127.0.0.1:9", "me")


def test_a_server_that_stops_wakes_its_sleepers():
    clock = VirtualClock(START)
    clock.join("somebody who never sleeps")
    with running(World(), clock=clock) as url:
        remote = RemoteClock(url, "me")
        caught = []

        def sleep():
            try:
                remote.sleep(10)
            except Unreachable as error:
                caught.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        time.sleep(0.2)
    thread.join(5)
    remote.close()
    assert len(caught) == 1


def http(status, body):
    head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "said",
    [
        http(200, b"<html>router</html>"),
        http(200, b"[]"),
        http(200, b"[" * 9000),
        http(200, b'{"now": 5}'),
        http(200, b'{"now": "2024-01-01T00:00:00"}'),
        http(200, b'{"now": "0001-01-01T00:00:00+14:00"}'),
        http(404, b"\xff\xfe"),
        http(409, b"taken"),
    ],
)
def test_what_is_no_simulator_is_called_so(said):
    with Scripted(said) as server, pytest.raises(ConfigError, match="is no grid simulator: start one") as caught:
        RemoteClock(server.url, "me")
    assert not caught.value.facts.get("own")


def test_a_port_that_says_nothing_is_given_up_and_a_long_sleep_is_not(monkeypatch):
    monkeypatch.setattr("gridcast.simulate.clock.PROMPT", 0.2)
    with Scripted(Delay(30)) as server, pytest.raises(Unreachable):
        RemoteClock(server.url, "me")
    clock = VirtualClock(START)
    clock.join("witness")
    with running(World(), clock=clock) as url, RemoteClock(url, "me") as remote:
        timer = threading.Timer(0.6, clock.leave, ["witness"])
        timer.start()
        remote.sleep(60)
        timer.join()
        assert remote.now() == START + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost:8765", "has a name"),
        ("http://127.0.0.1", "names no port"),
        ("http://127.0.0.1:99999", "none of 1 to 65535"),
        ("http://127.0.0.1:8765/foo", "more than a host and a port"),
        ("http://user:secret@127.0.0.1:8765", "more than a host and a port"),
        ("http://[::1", "is no URL"),
        ("127.0.0.1:8765", "no plain http URL"),
        ("http://10.0.0.1:80", "not on this machine"),
    ],
)
def test_an_address_where_no_simulator_can_be_is_told_why(url, why):
    for use in (Endpoints.simulated, lambda url: RemoteClock(url, "me")):
        with pytest.raises(ConfigError, match=why) as caught:
            use(url)
        assert "secret" not in str(caught.value)
