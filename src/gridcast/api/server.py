"""The server: one listening socket, so many worker processes, and a stop that drops nothing.

One worker runs in this process. More of them run in processes of their own, which are started anew where they die;
they share the socket, so the kernel gives each connection to a worker that is free to take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

import uvicorn

from gridcast.api import logs
from gridcast.api.connections import Connection, Patience
from gridcast.errors import ConfigError, GridcastError

MakeApp = Callable[[], Any]

BACKLOG = 2048
_STOPS = (signal.SIGINT, signal.SIGTERM)
_EVERY = 0.25
"""Seconds between two looks at the connections."""
_PAUSE = 1.0
"""Seconds between two starts of a worker that dies before it is ready."""


def run(
    make_app: MakeApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    patience: Patience | None = None,
    trusted_proxies: str = "",
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what was asked, and return.

    Args:
        make_app: makes the ASGI app; called once in every worker, and with more than one it must be picklable (a
            function of a module, or a `functools.partial` of one). What it raises ends the server.
        host: address to listen at.
        port: 0 for a free one.
        workers: processes.
        patience: how long a client is waited for.
        trusted_proxies: addresses whose ``X-Forwarded-For`` is believed, comma-separated; nobody's by default.
        announce: called with the address, such as ``http://127.0.0.1:8000``, when the server answers; by default it is
            a line on stderr.

    Raises:
        ConfigError: the address cannot be had, or a worker does not start.
        GridcastError: what ``make_app`` raised.
    """
    if workers < 1:
        raise ConfigError(f"{workers} workers cannot serve", remedy="ask for at least one", workers=workers)
    _room_for_connections()
    listener = _listener(host, port=port)
    address = _address(listener)
    plan = _Plan(make_app, patience=patience or Patience(), trusted_proxies=trusted_proxies)
    ready = partial(announce or partial(_announce, workers=workers), address)
    with listener:
        if workers == 1:
            _work(plan, listener=listener, ready=ready)
        else:
            with logs.to(sys.stderr):
                _Workers(plan, listener=listener, count=workers, ready=ready).serve()


@dataclass(frozen=True)
class _Plan:
    """What a worker does."""

    make_app: MakeApp
    patience: Patience = field(kw_only=True)
    trusted_proxies: str = field(kw_only=True)


class _Server(uvicorn.Server):
    """uvicorn's server, with deadlines for its connections and a stop that drops nothing."""

    def __init__(
        self, config: uvicorn.Config, *, listener: socket.socket, patience: Patience, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._patience = patience
        self._ready = ready
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup([self._listener.dup()])
        self._watch = asyncio.create_task(self._cut_the_overdue())
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in who has connected already, answer what was asked, and end within `Patience.stop_seconds`."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            server.close()
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                break
            client.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, client)
        self._listener.close()
        for connection in self._open():
            connection.shutdown()
        until = loop.time() + self._patience.stop_seconds
        while self.server_state.connections and loop.time() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        for connection in self._open():
            connection.cut()
        for task in list(self.server_state.tasks):
            task.cancel()
        if self._watch is not None:
            self._watch.cancel()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and at once at the second; end when whoever started us has ended."""
        loop = asyncio.get_running_loop()
        for each in _STOPS:
            loop.add_signal_handler(each, self._stop)
        parent = multiprocessing.parent_process()
        if parent is not None:
            loop.add_reader(parent.sentinel, self._orphaned, parent.sentinel)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    def _orphaned(self, sentinel: int) -> None:
        asyncio.get_running_loop().remove_reader(sentinel)
        self.should_exit = True

    def _open(self) -> list[Connection]:
        return list(cast("set[Connection]", self.server_state.connections))

    def _protocol(self) -> asyncio.Protocol:
        return Connection(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            patience=self._patience,
        )

    async def _cut_the_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_EVERY)
            now = loop.time()
            for connection in self._open():
                connection.overdue(now)


def _work(plan: _Plan, *, listener: socket.socket, ready: Callable[[], None]) -> None:
    """One worker, until it is told to stop."""
    with logs.to(sys.stderr):
        config = uvicorn.Config(
            plan.make_app(),
            http=cast("type[asyncio.Protocol]", partial(Connection, patience=plan.patience)),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(plan.trusted_proxies),
            forwarded_allow_ips=plan.trusted_proxies,
            timeout_keep_alive=round(plan.patience.idle_seconds),
        )
        _Server(config, listener=listener, patience=plan.patience, ready=ready).run()


def _child(plan: _Plan, listener: socket.socket, pipe: Pipe) -> None:
    """A worker in a process of its own: it tells through the pipe that it is ready, or why not."""
    try:
        _work(plan, listener=listener, ready=partial(pipe.send, None))
    except GridcastError as error:
        pipe.send(error)
        sys.exit(1)


@dataclass
class _Worker:
    """A process, and what is known of it."""

    process: SpawnProcess
    pipe: Pipe
    began: float
    ready: bool = False


class _Workers:
    """The processes, watched by the one that started them."""

    def __init__(self, plan: _Plan, *, listener: socket.socket, count: int, ready: Callable[[], None]) -> None:
        self._plan = plan
        self._listener = listener
        self._count = count
        self._announce: Callable[[], None] | None = ready
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")
        self._wakes, self._woken = socket.socketpair()
        self._stopping = False

    def serve(self) -> None:
        """Start them, keep them alive, and stop them at a signal."""
        before = {each: signal.signal(each, self._on_signal) for each in _STOPS}
        try:
            for _ in range(self._count):
                self._start()
            while not self._stopping:
                self._look()
        finally:
            self._stop()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _on_signal(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._wakes.send(b".")

    def _start(self) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_child, args=(self._plan, self._listener, theirs), name=f"gridcast-worker-{len(self._workers)}"
        )
        # A Ctrl-C reaches every process of a terminal; one that only begins must not die of it with a traceback.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.start()
        signal.signal(signal.SIGINT, handler)
        theirs.close()
        self._workers.append(_Worker(process, ours, began=time.monotonic()))

    def _look(self) -> None:
        """Wait for something to happen to a worker, and act on it."""
        news = [worker.pipe for worker in self._workers if not worker.ready]
        changed = wait([self._woken, *news, *(worker.process.sentinel for worker in self._workers)])
        for worker in list(self._workers):
            if worker.pipe in changed and not worker.ready:
                self._hear(worker)
            if worker.process.sentinel in changed and not self._stopping:
                self._replace(worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            said = worker.pipe.recv()
        except EOFError:
            said = ConfigError(
                "a worker ended before it was ready", remedy="see its lines above", exitcode=worker.process.exitcode
            )
        if said is None:
            worker.ready = True
            if self._announce is not None and all(each.ready for each in self._workers):
                self._announce()
                self._announce = None
        elif self._announce is not None:
            raise said

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        logs.LOGGER.error({"event": "worker ended", "pid": worker.process.pid, "exitcode": worker.process.exitcode})
        if not worker.ready:
            time.sleep(max(0.0, _PAUSE - (time.monotonic() - worker.began)))
        if not self._stopping:
            self._start()

    def _stop(self) -> None:
        """Close our end of the socket first: the last worker to close its own then leaves nobody behind."""
        self._listener.close()
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        until = time.monotonic() + self._plan.patience.stop_seconds + 2
        for worker in self._workers:
            worker.process.join(timeout=max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._wakes.close()
        self._woken.close()


def _listener(host: str, *, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"{host} is no address ({error.strerror})", remedy="name one of this machine's") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen at port {port} of {host} ({error.strerror})",
            remedy="choose another --port, or 0 for a free one",
            host=host,
            port=port,
        ) from None
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(address: str, *, workers: int) -> None:
    sys.stderr.write(f"gridcast: serving at {address} ({workers} worker{'s' * (workers > 1)})\n")
    sys.stderr.flush()


def _room_for_connections() -> None:
    """As many open files as this process may have: a connection is one."""
    try:
        import resource
    except ImportError:  # Windows counts otherwise
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if most == resource.RLIM_INFINITY else min(most, 65536)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
