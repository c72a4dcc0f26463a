"""A provider's wire to a scripted server."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridcast.sources.wire import Bucket, Kept, Wire
from scripted import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def bucket(tmp_path: Path, clock: VirtualClock) -> Bucket:
    return Bucket(tmp_path / "bucket.sqlite", clock=clock)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


@pytest.fixture
def wire(clock: VirtualClock, bucket: Bucket, kept: Kept) -> Iterator[Callable[..., Wire]]:
    """Makes a wire; what is closed after the test has left no thread and no socket behind."""
    wires: list[Wire] = []

    def make(**options: object) -> Wire:
        options = {"budget": 20.0, "patience": 600.0, "pauses": random.Random(3)} | options
        wires.append(Wire("grid", clock=clock, bucket=bucket, kept=kept, **options))
        return wires[-1]

    yield make
    for made in wires:
        made.close()


@pytest.fixture
def nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every socket that was opened to connect is closed at the end, and no thread is left."""
    opened: list[socket.socket] = []
    connect = socket.create_connection

    def create_connection(*arguments: object, **options: object) -> socket.socket:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(socket, "create_connection", create_connection)
    threads = set(threading.enumerate())
    yield
    assert [each for each in opened if each.fileno() >= 0] == []
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(timeout=1)
    assert [thread for thread in left if thread.is_alive()] == []
