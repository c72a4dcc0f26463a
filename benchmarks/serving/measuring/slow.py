"""Clients that trickle, an honest one beside them, and a body that is too large."""

from __future__ import annotations

import http.client
import resource
import selectors
import socket
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

from measuring import servers
from measuring.figures import Figure, Found, Setting, p99

TRICKLERS = 1000
LARGE = (1 << 20) + (1 << 18)
TRIES = 9
_GIVEN_UP = 60.0


def measure(setting: Setting) -> Found:
    """The tricklers live in a process of their own, so that the honest client's clock is only its own."""
    with servers.gridcast(setting.home) as ours, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        _honest(ours.port)
        large = [_too_large(ours.port) for _ in range(TRIES)]
        trickling = other.submit(trickle, ours.port, count=TRICKLERS)
        latencies = []
        while not trickling.done():
            latencies.append(_honest(ours.port))
            time.sleep(0.005)
        closed = trickling.result()
    strange = sum(status != 413 for status, _ in large)
    milliseconds = [each for _, each in large]
    return Found(
        [
            Figure(f"{TRICKLERS:,} trickling clients: the last is closed after", max(closed), "s", most=10),
            Figure("an honest client meanwhile, p99 with its connecting", p99(latencies), "ms", most=150),
            Figure("a body over 1 MiB: answers other than 413", strange, most=0),
            Figure("a body over 1 MiB: to the answer", statistics.median(milliseconds), "ms", most=50),
        ],
        {
            "closed_after_seconds": {"first": min(closed), "median": statistics.median(closed), "last": max(closed)},
            "honest_requests": len(latencies),
            "large": [{"status": status, "ms": each} for status, each in large],
        },
    )


def trickle(port: int, *, count: int) -> list[float]:
    """A header byte a second on so many connections; the seconds from its first byte until each was closed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    waiting, began, closed = selectors.DefaultSelector(), {}, []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nx: ")
        client.setblocking(False)
        began[client] = time.perf_counter()
        waiting.register(client, selectors.EVENT_READ)
    first = next_drop = time.perf_counter()
    while began and time.perf_counter() - first < _GIVEN_UP:
        over = {key.fileobj for key, _ in waiting.select(timeout=max(0.0, next_drop - time.perf_counter()))}
        over = {client for client in over if _ended(client)}
        if time.perf_counter() >= next_drop:
            next_drop += 1.0
            over |= {client for client in began if client not in over and not _dropped(client)}
        for client in over:
            closed.append(time.perf_counter() - began.pop(client))
            waiting.unregister(client)
            client.close()
    return closed + [_GIVEN_UP] * len(began)


def _ended(client: socket.socket) -> bool:
    try:
        return not client.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _dropped(client: socket.socket) -> bool:
    try:
        return client.send(b"a") == 1
    except OSError:
        return False


def _honest(port: int) -> float:
    """Milliseconds of one request over a connection of its own."""
    began = time.perf_counter()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", servers.FORECAST)
    answer = client.getresponse()
    answer.read()
    client.close()
    if answer.status != 200:
        raise RuntimeError(f"an honest client was answered {answer.status}")
    return (time.perf_counter() - began) * 1e3


def _too_large(port: int) -> tuple[int, float]:
    """The status of a body over 1 MiB, and the milliseconds until it is known."""
    head = f"POST /v1/forecast HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {LARGE}"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        began = time.perf_counter()
        with suppress(ConnectionError):  # what the server said before it hung up may still be read
            client.sendall(head.encode() + b"\r\n\r\n" + b"1" * LARGE)
        answer = b""
        with suppress(ConnectionError):
            answer = client.recv(65536)
    return int(answer[9:12] or 0), (time.perf_counter() - began) * 1e3
