"""The servers that are measured, each in processes of its own: gridcast on its demo, and its peers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

PEERS = Path(__file__).resolve().parents[1] / "peers"
FORECAST = "/v1/zones/DK_1/forecast"
_PREPARING_SECONDS = 300.0
_MOST_ERRORS = 100
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        address: such as ``http://127.0.0.1:8000``.
        process: the one that was started.
        seconds: from its start to its first answer of 200.
        errors: the first lines of its log that are errors; they grow while it runs.
    """

    address: str
    process: subprocess.Popen[bytes]
    seconds: float
    errors: list[str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def get(self, path: str) -> dict[str, Any]:
        """A document of it."""
        answer = httpx.get(self.address + path, timeout=60)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def workers(self) -> list[int]:
        """The processes that answer: those that it started, or itself."""
        every = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(pid) for file in every for pid in file.read_text().split()]
        spawned = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return spawned or [self.process.pid]


def memory(pid: int) -> float:
    """MiB that a process holds."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def gridcast(home: str, *, workers: int = 2) -> Iterator[Server]:
    """``gridcast serve --demo`` without a limit of requests, ready to be asked."""
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--demo", "--rate", "0"]
    with _running([*command, "--workers", str(workers)], ready="/ready", changes={"GRIDCAST_HOME": home}) as server:
        yield server


@contextmanager
def peer(app: str, *, threads: int | None = 1) -> Iterator[Server]:
    """An app of ``peers`` under ``uvicorn --workers 2``; ``threads`` is of torch, by itself where there is none."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(PEERS), "--workers", "2", "--no-access-log"]
    changes = dict.fromkeys(_THREADS) if threads is None else {"CLASSIC_THREADS": str(threads)}
    with _running([*command, "--log-level", "error", f"{app}:app"], ready="/", changes=changes) as server:
        yield server


@contextmanager
def _running(command: list[str], *, ready: str, changes: dict[str, str | None]) -> Iterator[Server]:
    # Whoever serves lets Python keep its byte code.
    wanted = os.environ | dict.fromkeys(_THREADS, "1") | {"PYTHONDONTWRITEBYTECODE": None} | changes
    environment = {name: value for name, value in wanted.items() if value is not None}
    port = _free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors: list[str] = []
    reader = threading.Thread(target=_read, args=(process.stderr, errors), daemon=True)
    reader.start()
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(process, address + ready)
        yield Server(address, process, time.perf_counter() - began, errors)
    except _Silent:
        raise RuntimeError(f"it does not serve: {command}\n{''.join(errors)}") from None
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(timeout=5)


class _Silent(Exception):
    """A server that never answered."""


def _read(stream: IO[bytes], errors: list[str]) -> None:
    """Read a log to its end, so that nobody waits for its reader; what is no JSON is a traceback."""
    with stream:
        for line in stream:
            if len(errors) < _MOST_ERRORS and (not line.startswith(b"{") or b'"level": "error"' in line):
                errors.append(line.decode(errors="replace"))


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.perf_counter() + _PREPARING_SECONDS
    with httpx.Client(timeout=5) as client:
        while process.poll() is None and time.perf_counter() < until:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.01)
    raise _Silent


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
