"""The loopback server: routes, the clock's own road, faults, and sockets that a fault may treat badly."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from typing import TextIO
from urllib.parse import parse_qsl, urlencode, urlsplit

from gridcast.errors import ConfigError
from gridcast.pipeline.clock import SystemClock
from gridcast.simulate.clock import VirtualClock
from gridcast.simulate.energidata import Energidata
from gridcast.simulate.entsoe import Entsoe
from gridcast.simulate.exchange import Ask, Reply, json_reply
from gridcast.simulate.faults import NO_FAULTS, Act, Close, Faults, Reset, Send, Wait
from gridcast.simulate.library import Library
from gridcast.simulate.openmeteo import Openmeteo
from gridcast.simulate.traffic import Traffic
from gridcast.simulate.world import World
from gridcast.sources.fetched import Clock

HOST = "127.0.0.1"
_LARGEST_REQUEST = 1 << 20
_SECRETS = ("securityToken", "apikey")

_ABOUT = """\
gridcast grid simulator
=======================
Synthetic, or your file's; on this machine only. Times are UTC unless a provider says otherwise.

ENTSO-E                /entsoe/api?documentType=A65&processType=A16|A01&outBiddingZone_Domain=EIC
                                  &periodStart=yyyyMMddHHmm&periodEnd=yyyyMMddHHmm
                       any token of a UUID's shape, as header SECURITY_TOKEN or parameter securityToken
File Library           /entsoe/login   /entsoe/files/listFolder   /entsoe/files/downloadFileContent
Energi Data Service    /energidata/dataset/{name}   /energidata/meta/dataset/{name}
Open-Meteo             /openmeteo/v1/forecast   /openmeteo/single-runs/v1/forecast
                       /openmeteo/previous-runs/v1/forecast   /openmeteo/historical/v1/forecast
                       /openmeteo/archive/v1/archive   /openmeteo/data/{model}/static/meta.json

Control                GET  /simulator/clock     {"now": ...}
                       POST /simulator/clock     {"sleep": s, "who": name} | {"join": name} | {"leave": name}
                                                 | {"set": instant} | {"advance": s}
                       GET  /simulator/stats     what was asked, how fast, who was banned
                       GET  /simulator/faults    every fault there is
                       POST /simulator/faults    {"names": [...], "rate": 0.2, "seed": 1} | {"script": {"3": name}}
"""


class Simulator(socketserver.ThreadingTCPServer):
    """The server; `running` and `serve` start it."""

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 128

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        clock: Clock | None = None,
        faults: Faults | None = None,
        limits: bool = True,
        log: TextIO | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.faults = faults or NO_FAULTS
        self.log = log
        self.traffic = Traffic()
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        library = Library(world)
        self.providers: dict[str, Callable[[Ask], Reply]] = {
            "/entsoe/api": Entsoe(world, traffic=self.traffic, limits=limits).answer,
            "/entsoe/login": library.login,
            "/entsoe/files": library.answer,
            "/energidata": Energidata(world, limits=limits).answer,
            "/openmeteo": Openmeteo(world, traffic=self.traffic, limits=limits).answer,
        }
        super().__init__((HOST, port), _Connection)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.server_address[1]}"

    def provider(self, path: str) -> Callable[[Ask], Reply] | None:
        """Who answers a path, by its longest known beginning."""
        fitting = [known for known in self.providers if path == known or path.startswith(known.rstrip("/") + "/")]
        return self.providers[max(fitting, key=len)] if fitting else None

    def stop(self) -> None:
        """Close every connection and wait for their threads."""
        self.stopping.set()
        self.shutdown()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error here; anything else is one of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc(file=sys.stderr)


@contextlib.contextmanager
def running(
    world: World,
    *,
    port: int = 0,
    clock: Clock | None = None,
    faults: Faults | None = None,
    limits: bool = True,
    log: TextIO | None = None,
) -> Iterator[str]:
    """The simulator in a thread of this process; yields its URL.

    Args:
        world: what is true.
        port: 0 for a free one.
        clock: default the machine's own.
        faults: which answers are spoilt, and how.
        limits: whether the providers' rate limits hold.
        log: where a line a request goes.

    Raises:
        ConfigError: the port is taken.
    """
    server = _started(world, port=port, clock=clock, faults=faults, limits=limits, log=log)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="grid simulator")
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


def serve(
    world: World,
    *,
    port: int,
    clock: Clock | None = None,
    faults: Faults | None = None,
    limits: bool = True,
    log: TextIO | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM; ``ready`` is told the URL. Logs to stderr unless told where.

    To be called in the main thread, where signals arrive.

    Raises:
        ConfigError: the port is taken.
    """
    server = _started(world, port=port, clock=clock, faults=faults, limits=limits, log=log or sys.stderr)
    stop = threading.Event()
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="grid simulator")
    thread.start()
    try:
        if ready is not None:
            ready(server.url)
        stop.wait()
    finally:
        server.stop()
        thread.join()
        for each, action in before.items():
            signal.signal(each, action)


def _started(world: World, *, port: int, **options: object) -> Simulator:
    try:
        return Simulator(world, port=port, **options)  # type: ignore[arg-type]
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"the simulator cannot listen at port {port} ({error})", remedy="choose another port, or 0 for a free one"
        ) from error


class _Connection(BaseHTTPRequestHandler):
    """One client's connection, request after request."""

    server: Simulator
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.joined: set[str] = set()
        self.server.connections.add(self.connection)

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        if isinstance(self.server.clock, VirtualClock):
            for who in self.joined:
                self.server.clock.leave(who)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """BaseHTTPRequestHandler would write the whole request line, and with it a token."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _LARGEST_REQUEST:
            self.close_connection = True
            self._send(Reply(413, b"the request's body is too large\n"))
            return
        ask = Ask(
            method=self.command,
            path=parts.path,
            params=params,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            peer=str(self.client_address[0]),
            at=self.server.clock.now(),
        )
        provider = self.server.provider(ask.path)
        if provider is None:
            self._send(self._control(ask))
            return
        self._provide(ask, provider)

    def _provide(self, ask: Ask, provider: Callable[[Ask], Reply]) -> None:
        traffic = self.server.traffic
        number = traffic.note(ask.path, at=ask.at)
        try:
            reply = provider(ask)
        except Exception:
            # A client should see a failure of ours as one, and so should whoever reads the log.
            traceback.print_exc(file=sys.stderr)
            reply = Reply(500, b"the simulator failed: see its log\n")
        name, spoilt = self.server.faults.strike(number, ask, reply=reply)
        with traffic.lock:
            traffic.statuses[str(reply.status)] += 1
            if name:
                traffic.faults[name] += 1
        self._note(ask, reply, fault=name)
        if isinstance(spoilt, list):
            self._perform(spoilt)
        else:
            self._send(spoilt)

    def _send(self, reply: Reply) -> None:
        if self.close_connection:
            reply = Reply(reply.status, reply.body, reply.kind, (*reply.headers, ("Connection", "close")))
        self.connection.sendall(reply.wire(self.server.clock.now()))

    def _perform(self, acts: list[Act]) -> None:
        """Do to the socket what a fault wants done."""
        for act in acts:
            if isinstance(act, Send):
                self.connection.sendall(act.data)
            elif isinstance(act, Wait):
                if self._gone(act.seconds):
                    break
            elif isinstance(act, Reset):
                # Lingering for zero seconds makes close() send RST instead of FIN.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
        if any(isinstance(act, Close | Reset | Wait) for act in acts):
            self.close_connection = True

    def _gone(self, seconds: float = 0.0) -> bool:
        """Wait so long in real time, unless the client goes or the server stops; whether one of them did."""
        for _ in range(max(1, int(seconds / 0.05))):
            if self.server.stopping.is_set():
                return True
            try:
                readable, _, _ = select.select([self.connection], [], [], min(seconds, 0.05))
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    return True
            except (OSError, ValueError):
                return True
        return False

    def _note(self, ask: Ask, reply: Reply, *, fault: str) -> None:
        if self.server.log is None:
            return
        shown = {name: "***" if name in _SECRETS else value for name, value in ask.params.items()}
        query = "?" + urlencode(shown, safe="*:,/") if shown else ""
        end = f" fault={fault}" if fault else ""
        line = f"{ask.at:%Y-%m-%dT%H:%M:%SZ} {ask.method} {ask.path}{query} {reply.status} {len(reply.body)}{end}\n"
        self.server.log.write(line)
        self.server.log.flush()

    def _control(self, ask: Ask) -> Reply:
        """The simulator's own paths, which no fault touches."""
        try:
            if ask.path == "/":
                return Reply(200, _ABOUT.encode())
            if ask.path == "/simulator/stats":
                return json_reply(self.server.traffic.stats())
            if ask.path == "/simulator/faults":
                if ask.method == "POST":
                    self.server.faults = Faults.of_json(json.loads(ask.body))
                return json_reply(self.server.faults.described())
            if ask.path == "/simulator/clock":
                return self._clock(json.loads(ask.body) if ask.method == "POST" else {})
        except (ConfigError, ValueError, TypeError, AttributeError, KeyError) as error:
            return json_reply({"error": str(error)}, status=400)
        return Reply(404, b"404 page not found\n")

    def _clock(self, words: dict[str, object]) -> Reply:
        clock = self.server.clock
        if words and not isinstance(clock, VirtualClock):
            return json_reply({"error": "the clock is the machine's own"}, status=409)
        if isinstance(clock, VirtualClock):
            for word, value in words.items():
                self._tell(clock, word, value=value, who=str(words.get("who", "")))
            if self.server.stopping.is_set():
                return json_reply({"error": "the simulator stops"}, status=503)
        return json_reply({"now": clock.now().isoformat()})

    def _join(self, clock: VirtualClock, who: str) -> None:
        """Once a connection: its end is the participant's."""
        if who not in self.joined:
            self.joined.add(who)
            clock.join(who)

    def _tell(self, clock: VirtualClock, word: str, *, value: object, who: str) -> None:
        if word == "join":
            self._join(clock, str(value))
        elif word == "leave":
            self.joined.discard(str(value))
            clock.leave(str(value))
        elif word == "sleep":
            self._join(clock, who)
            clock.sleep_among(who, seconds=float(str(value)), gone=self._gone)
        elif word == "advance":
            clock.advance(float(str(value)))
        elif word == "set":
            clock.set(datetime.fromisoformat(str(value)))
        elif word != "who":
            raise ConfigError(f"the clock does not know {word!r}", remedy="say sleep, join, leave, set or advance")
