"""A small app behind the guard and the real server, in a process of its own; and clients that speak bytes."""

from __future__ import annotations

import asyncio
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from gridcast.api import bodies, guard, problems, server
from gridcast.api.connections import Patience
from gridcast.errors import ConfigError

BIG = 32 << 20
HASTY = {"head_seconds": 1.0, "body_seconds": 1.5, "idle_seconds": 2.0, "read_seconds": 1.5, "linger_seconds": 0.5}


def app(*, body_seconds: float = 1.0, fails: bool = False) -> Any:
    """Echoes, sleeps, streams and dies on demand."""
    if fails:
        raise ConfigError("there is no model", remedy="train one")
    routes = FastAPI(openapi_url=None)
    problems.install(routes)

    @routes.get("/hello")
    async def hello() -> dict[str, int]:
        return {"pid": os.getpid()}

    @routes.get("/wait/{seconds}")
    async def wait(seconds: float) -> dict[str, float]:
        await asyncio.sleep(seconds)
        return {"waited": seconds}

    @routes.get("/big")
    async def big() -> Response:
        return Response(b"x" * BIG, media_type="text/plain")

    @routes.post("/echo")
    async def echo(request: Request) -> dict[str, object]:
        return {"value": await bodies.document(request)}

    @routes.post("/deaf")
    async def deaf() -> dict[str, bool]:
        return {"read": False}

    return guard.guarded(routes, guard.Options(rate=0, body_seconds=body_seconds, open_reads=True))


@dataclass
class Served:
    """A server that runs: its process, its port, and what it writes on stderr."""

    process: subprocess.Popen[str]
    port: int
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def connect(self, *, timeout: float = 15) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def say(self, request: bytes) -> tuple[int, bytes, float]:
        """Send bytes on a new connection: the answer's status, all that came before the end, and the seconds."""
        with self.connect() as client:
            began = time.perf_counter()
            client.sendall(request)
            answer = until_closed(client)
        return status(answer), answer, time.perf_counter() - began

    def stop(self, *, within: float = 15) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=within)


def until_closed(client: socket.socket) -> bytes:
    """Everything until the server closes; a reset is an end too."""
    found = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            found += part
    return bytes(found)


def one_answer(client: socket.socket) -> bytes:
    """One answer that has a length, over a connection that stays."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = client.recv(1 << 16)
        if not part:
            return found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    assert length is not None, head
    while len(body) < int(length[1]):
        part = client.recv(1 << 16)
        if not part:
            return b""
        body += part
    return head + b"\r\n\r\n" + body


def status(answer: bytes) -> int:
    """The status of an answer; 0 for none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def get(path: str, *, keep: bool = False, extra: str = "") -> bytes:
    """A GET as bytes."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    ).encode()


@contextmanager
def serving(*, workers: int = 1, patience: str = "", app_options: str = "", ready: bool = True) -> Iterator[Served]:
    """The server, from its start to its end."""
    program = (
        "from functools import partial; import served; from gridcast.api.connections import Patience;"
        f"served.main({workers}, Patience({patience}), dict({app_options}))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True)
    served = Served(process, 0)

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            served.lines.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while ready and not served.port:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", served.lines.get(timeout=30))
            served.port = int(found[1]) if found else 0
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(timeout=5)
        assert process.stderr is not None
        process.stderr.close()


def main(workers: int, patience: Patience, options: dict[str, Any]) -> None:
    """What the process of `serving` runs."""
    from functools import partial

    try:
        server.run(partial(app, **options), port=0, workers=workers, patience=patience)
    except ConfigError as error:
        sys.stderr.write(f"gridcast: {error}\n")
        sys.exit(1)
