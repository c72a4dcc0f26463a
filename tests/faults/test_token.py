"""Tokens and passwords are planted, thousands of spoilt answers come, and no secret is found but on the wire.

`gridcast ingest` runs as its user runs it, with every fault of the catalogue in turn and with answers that tell the
request back. Searched are what it printed and logged (every logger at DEBUG), each error with its whole chain and the
local variables of every frame, and every byte under its home: the store, the permits, the kept raw answers.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import itertools
import json
import logging
import random
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from gridcast import cli, simulate
from gridcast.cli import app as door
from gridcast.simulate.exchange import HTML, JSON, XML, Ask, Reply
from gridcast.simulate.faults import Act, Send
from gridcast.sources import wire

WORLD = simulate.World(gaps=0.02)
NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
PLANTED = {
    "ENTSOE_API_KEY": "5f2c7a1e-93d4-4b8f-a6e0-c1d2e3f40517",
    "ENTSOE_USER": "plånted.user+grid@example.org",
    "ENTSOE_PASSWORD": 'pl@nted "pass" & <wörd>',
    "OPENMETEO_API_KEY": "pLaNt+3d/0m=k3y",
}
SOURCES = ("entsoe", "energidata", "openmeteo", "entsoe-files")
ONCE = ("--start", "2024-04-24", "--end", "2024-04-26")
POLLED = ("--watch", "--every", "60", "--polls", "8")
SLOW = ("silence", "silence-in-body", "drip", "gzip-bomb", "huge-body")
"""Faults that cost real time; met in one round of forty, on a wire that soon gives up."""

MOST_OF_IT = 20
"""So many characters of a session's token are as bad as all of it."""


def told(ask: Ask) -> str:
    """The request as the server saw it, and once more with its escapes undone."""
    line = f"{ask.method} {ask.path}?" + "&".join(f"{name}={value}" for name, value in ask.params.items())
    headers = "\n".join(f"{name}: {value}" for name, value in ask.headers.items())
    body = ask.body.decode("utf-8", "replace")
    secrets = " ".join(value for name, value in PLANTED.items() if value in line or quote_plus(value) in body)
    return f"{line}\n{headers}\n\n{body}\n{secrets} {quote(secrets)} {quote_plus(secrets)}"


def credentials(ask: Ask) -> str:
    """What of the request no header of an answer may hold, as one line of Latin-1."""
    return quote(" ".join((*ask.params.values(), *ask.headers.values())), safe=" /:-=").strip()


def echoed(status: int, kind: str, *, turn: Callable[[str], str] = str, **headers: str):
    """An answer that tells the request back in its body and in headers that are kept."""

    def spoil(_reply: Reply, ask: Ask) -> Reply:
        words = turn(told(ask))
        if kind == JSON:
            words = json.dumps({"error": True, "reason": words, "title": words})
        if kind == XML:
            words = f"<Acknowledgement_MarketDocument><Reason><text>{words}</text></Reason>{words}"
        line = credentials(ask)
        more = {"ETag": line, "Content-Disposition": line, "Location": f"https://x.example/{line}", "Set-Cookie": line}
        return Reply(status, words.encode(), kind, tuple((more | headers).items()))

    return spoil


def echoed_in_utf_16(_reply: Reply, ask: Ask) -> Reply:
    return Reply(400, told(ask).encode("utf-16"), HTML)


def echoed_in_gzip(_reply: Reply, ask: Ask) -> Reply:
    return Reply(200, gzip.compress(told(ask).encode()), XML, (("Content-Encoding", "gzip"),))


def echoed_beside_the_data(reply: Reply, ask: Ask) -> Reply:
    return Reply(reply.status, reply.body, reply.kind, (*reply.headers, ("ETag", credentials(ask))))


def echoed_as_the_reason(_reply: Reply, ask: Ask) -> list[Act]:
    return [
        Send(f"HTTP/1.1 400 {credentials(ask)}\r\nContent-Length: 0\r\nX-{ask.method}: 1\r\n\r\n".encode("latin-1"))
    ]


ECHOES = {
    "echo-200": echoed(200, JSON),
    "echo-200-xml": echoed(200, XML),
    "echo-400": echoed(400, JSON),
    "echo-400-xml": echoed(400, XML, turn=str.upper),
    "echo-401": echoed(401, HTML),
    "echo-403": echoed(403, "text/plain"),
    "echo-307": echoed(307, HTML),
    "echo-429": echoed(429, HTML, **{"Retry-After": "2"}),
    "echo-503": echoed(503, XML),
    "echo-utf-16": echoed_in_utf_16,
    "echo-gzip": echoed_in_gzip,
    "echo-beside": echoed_beside_the_data,
    "echo-reason": echoed_as_the_reason,
}


class Turns:
    """A plan of faults: every one that can befall a provider in turn, and a few sound answers to get on with.

    It also sees what was asked: how many requests, which secrets came, which sessions a login opened.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.turn: dict[str, Iterator[str]] = {}
        self.slow = False
        self.requests = 0
        self.met: Counter[str] = Counter()
        self.carried: Counter[str] = Counter()
        self.sessions: list[str] = []

    def strike(self, number: int, ask: Ask, *, reply: Reply) -> tuple[str, Reply | list[Act]]:
        """The next fault of the provider; a login and its listing are let through now and then."""
        with self.lock:
            self.requests += 1
            whole = "\n".join((*ask.params.values(), *ask.headers.values(), ask.body.decode("utf-8", "replace")))
            self.carried.update(name for name, text in PLANTED.items() if text in whole or quote_plus(text) in whole)
            if ask.path == "/entsoe/login" and reply.status == 200:
                self.sessions.append(json.loads(reply.body)["access_token"])
            road = ask.path if ask.path.startswith("/entsoe") else ask.path.split("/")[1]
            if number % 2 and road in ("/entsoe/login", "/entsoe/files/listFolder"):
                return "", reply
            for _ in range(len(simulate.FAULTS)):
                name = next(self.turn.setdefault(road, self._turns(ask.path.split("/")[1])))
                if name in SLOW and not self.slow:
                    continue
                spoilt = ECHOES[name](reply, ask) if name in ECHOES else simulate.FAULTS[name].spoil(reply, ask)
                if spoilt is not None:
                    self.met[name] += 1
                    return name, spoilt
        return "", reply

    @staticmethod
    def _turns(provider: str) -> Iterator[str]:
        """All faults of a provider in an order of its own, an echo after every third."""
        fitting = [name for name, fault in simulate.FAULTS.items() if provider in fault.providers]
        random.Random(provider).shuffle(fitting)
        echoes = itertools.cycle(ECHOES)
        for number, name in enumerate(itertools.cycle(fitting)):
            yield name
            if number % 3 == 0:
                yield next(echoes)


class Ears(logging.Handler):
    """Everything that is logged, with all that a record carries."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{record.getMessage()} {vars(record)!r}")


def forms(secret: str) -> set[str]:
    """The ways to write a secret, in small letters: plain, escaped, as bytes, in base64 alone or after a name."""
    plain = secret.encode()
    pair = f"{PLANTED['ENTSOE_USER']}:{secret}".encode()
    escaped = (quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret))
    packed = [base64.b64encode(each).decode().rstrip("=")[:-1] for each in (plain, pair)]
    return {each.lower() for each in (secret, *escaped, repr(plain)[2:-1], plain.hex(), *packed)}


WANTED = {name: forms(secret) for name, secret in PLANTED.items()}


def found(content: bytes | str, sessions: list[str]) -> list[str]:
    """Which secrets stand in the content; zero bytes are left out, so that UTF-16 is read as well."""
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    raw = raw.replace(b"\0", b"").replace(b"\\x00", b"")
    text = raw.decode("utf-8", "replace").lower()
    text += "" if raw.isascii() else raw.decode("latin-1").lower()
    here = [name for name, ways in WANTED.items() if any(way in text for way in ways)]
    return here + [f"session {token}" for token in sessions if token[:MOST_OF_IT] in text]


def opened(path: Path) -> bytes:
    content = path.read_bytes()
    return content + gzip.decompress(content) if path.suffix == ".gz" else content


@contextmanager
def listening() -> Iterator[Ears]:
    """The whole process's log at its most talkative; SQLAlchemy tells its statements, not every row that it reads."""
    for name in ("httpx", "httpcore.http11", "httpcore.connection", "gridcast.sources.wire.client"):
        logging.getLogger(name)
    root, made = logging.getLogger(), Ears()
    loggers = [root, *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    before = [(each, each.level) for each in loggers]
    for each in loggers:
        each.setLevel(logging.INFO if each.name.startswith("sqlalchemy") else logging.DEBUG)
    # pytest's own handlers would hold all of it in memory.
    others, root.handlers = root.handlers, [made]
    try:
        yield made
    finally:
        root.handlers = others
        for each, level in before:
            each.setLevel(level)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name, secret in PLANTED.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("GRIDCAST_HOME", str(tmp_path / "home"))
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path


@dataclass(repr=False)
class Search:
    """Where secrets were found, and in how much; it stands in a frame that is searched, so it shows nothing."""

    sessions: list[str]
    occurrences: Counter[str] = field(default_factory=Counter)
    size: int = 0

    def look(self, content: bytes | str, *, place: str, but: str = "") -> None:
        self.size += len(content)
        self.occurrences.update(f"{what} in {place}" for what in found(content, self.sessions) if what != but)


@contextmanager
def witnessed(search: Search, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every error that the command line meets is searched, the variables of its frames too.

    The name of the account is no secret to the process itself: settings hold it in the clear.
    """
    real = door.app

    def app(**words: object) -> object:
        try:
            return real(**words)
        except Exception as error:
            search.look("".join(traceback.format_exception(error)) + repr(error), place="an exception")
            whole = traceback.TracebackException.from_exception(error, capture_locals=True)
            search.look("".join(whole.format()), place="a variable of an exception's frames", but="ENTSOE_USER")
            raise

    with patch.context() as inner:
        inner.setattr(door, "app", app)
        yield


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_secret_is_found_after_so_many_faulted_requests(requests, home, monkeypatch, capfd, record_property):
    turns, clock = Turns(), simulate.VirtualClock(NOW)
    search, codes, logged = Search(turns.sessions), Counter(), 0
    whole, short = wire.Wire, functools.partial(wire.Wire, budget=0.4, max_bytes=8 << 20)
    with (
        listening() as ears,
        witnessed(search, monkeypatch),
        simulate.running(WORLD, clock=clock, faults=turns, limits=False) as url,
    ):
        for number in itertools.count():
            if turns.met.total() >= requests:
                break
            turns.slow = number % 40 == 39
            monkeypatch.setattr(wire, "Wire", short if turns.slow else whole)
            source = SOURCES[number % len(SOURCES)]
            way = ONCE if number // len(SOURCES) % 2 else POLLED
            words = ["ingest", "--zone", "DK_1", "--source", source, *way, "--simulator", url, "--json"]
            monkeypatch.setattr(sys, "argv", ["gridcast", *words])
            with pytest.raises(SystemExit) as end:
                cli.main()
            codes[end.value.code] += 1
            for place, content in zip(("stdout", "stderr"), capfd.readouterr(), strict=True):
                search.look(content, place=place)
            search.look("\n".join(ears.heard), place="the log")
            logged += len(ears.heard)
            ears.heard.clear()
            clock.advance(3600)
    files = {file.relative_to(home).as_posix(): file for file in home.rglob("*") if file.is_file()}
    for name, file in files.items():
        search.look(opened(file), place=f"the file {name}")
        search.look(name, place="a file's name")

    facts = {"requests": turns.requests, "faulted": turns.met.total(), "faults": len(turns.met)}
    facts |= {"searched_bytes": search.size, "occurrences": search.occurrences.total()}
    for name, value in facts.items():
        record_property(name, value)
    assert sorted(search.occurrences) == []
    assert set(turns.carried) == set(PLANTED)
    assert {0, 1} <= set(codes)
    assert turns.sessions
    assert logged
    assert {"home/gridcast.db", "home/simulated/permits.db"} <= set(files)
    assert any(name.startswith("home/simulated/raw/bodies/") for name in files)


@pytest.mark.parametrize("secret", PLANTED)
def test_a_secret_is_found_in_whatever_way_it_is_written(secret):
    value = PLANTED[secret]
    pair = base64.b64encode(f"{PLANTED['ENTSOE_USER']}:{value}".encode())
    written = [value, value.upper(), quote(value), quote_plus(value), repr(value), json.dumps(value)]
    for content in (*written, value.encode("utf-16"), base64.b64encode(value.encode()), pair, value.encode().hex()):
        assert secret in found(content, []), content
    assert found("nothing", ["f" * 32]) == []
    assert found(b"f" * 24, ["f" * 32]) == ["session " + "f" * 32]
