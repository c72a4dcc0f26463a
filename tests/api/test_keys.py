"""Who may do what: by key, by scope, and by nothing else."""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle

import pytest
from fastapi import APIRouter, Depends, FastAPI

from gridcast.api.keys import CALLER, Caller, Key, Keys, KeysFile, Scope, needs, require
from gridcast.api.problems import Problem
from gridcast.errors import ConfigError

SECRET, KEY = Keys.create("desk", scopes=[Scope.READ, Scope.FORECAST])
OTHER, OTHER_KEY = Keys.create("robot", scopes=[Scope.OPERATE])
KEYS = Keys((KEY, OTHER_KEY))
OPEN = frozenset({Scope.READ, Scope.FORECAST})


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {secret}".encode("latin-1"))]


def header(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", secret.encode("latin-1"))]


WRONG = {
    "unknown": bearer("gk_" + "A" * 43),
    "no key at all": bearer(""),
    "a hash instead of a key": bearer(KEY.digest),
    "too short": bearer(SECRET[:-1]),
    "too long": bearer(SECRET + "A"),
    "very long": bearer("gk_" + "A" * 5000),
    "in capitals": bearer(SECRET.upper()),
    "without its prefix": header(SECRET.removeprefix("gk_")),
    "as a password": [(b"authorization", b"Basic " + SECRET.encode())],
    "with high bytes": [(b"x-api-key", b"gk_\xff\xfe")],
    "two that differ": bearer(SECRET) + header(OTHER),
}


def test_a_key_is_32_random_bytes_and_only_its_hash_is_kept():
    assert SECRET.startswith("gk_")
    assert len(SECRET) == 3 + 43
    assert KEY.digest == hashlib.sha256(SECRET.encode()).hexdigest()
    assert SECRET not in f"{KEY!r} {KEY.line} {KEYS!r}"
    assert KEY.digest not in f"{KEY!r} {KEYS!r}"
    assert Keys.create("desk", scopes=[Scope.READ])[0] != SECRET


def test_a_keys_file_is_read_back(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# who\n\n{KEY.line}\n   {OTHER_KEY.line}   \n", "utf-8")
    assert Keys.load(file) == KEYS


class Seconds:
    """A clock that is set by hand."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(KEY.line + "\n", "utf-8")
    return path


def names(keys: KeysFile) -> list[str]:
    callers = [keys.caller(bearer(secret), open_scopes=frozenset()) for secret in (SECRET, OTHER)]
    return [each.name for each in callers if not each.wrong_key]


def test_a_key_that_is_made_or_taken_out_counts_within_a_second(file):
    clock = Seconds()
    keys = KeysFile(file, clock=clock)
    assert (names(keys), len(keys)) == (["desk"], 1)
    file.write_text(f"{KEY.line}\n{OTHER_KEY.line}\n", "utf-8")
    clock.at = 0.9
    assert names(keys) == ["desk"]
    clock.at = 1.0
    assert names(keys) == ["desk", "robot"]
    file.write_text(OTHER_KEY.line, "utf-8")
    clock.at = 2.0
    assert names(keys) == ["robot"]


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_seen(file):
    clock = Seconds()
    keys = KeysFile(file, clock=clock)
    line, known = KEY.line, file.stat()
    other = file.with_name("other")
    other.write_text(line.replace(KEY.digest, OTHER_KEY.digest) + "\n", "utf-8")
    os.utime(other, ns=(known.st_atime_ns, known.st_mtime_ns))
    other.replace(file)
    clock.at = 1.0
    assert keys.caller(bearer(SECRET), open_scopes=OPEN).wrong_key


@pytest.mark.parametrize("harm", ["a wrong line", "gone"])
def test_a_file_that_became_wrong_changes_nothing_and_the_log_says_so(file, caplog, harm):
    clock = Seconds()
    keys = KeysFile(file, clock=clock)
    if harm == "gone":
        file.unlink()
    else:
        file.write_text(f"{KEY.line}\nrobot rule {OTHER_KEY.digest}\n", "utf-8")
    for second in (1.0, 2.0, 3.0):
        clock.at = second
        assert names(keys) == ["desk"]
    (line,) = [each.msg for each in caplog.records if each.name == "gridcast.api"]
    assert line["event"] == "keys stay as they were"
    assert ("line 2 of" if harm == "a wrong line" else "cannot be read") in line["why"]
    file.write_text(OTHER_KEY.line, "utf-8")
    clock.at = 4.0
    assert names(keys) == ["robot"]


def test_the_keys_of_a_file_go_to_another_process(file):
    assert names(pickle.loads(pickle.dumps(KeysFile(file)))) == ["desk"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("desk read", "has 2 parts"),
        (f"desk read {'a' * 64} more", "has 4 parts"),
        (f"desk! read {'a' * 64}", "name with signs"),
        (f"desk write {'a' * 64}", "scope that is none"),
        (f"desk read, {'a' * 64}", "scope that is none"),
        (f"desk read {'A' * 64}", "no SHA-256"),
        ("desk read gk_secret", "no SHA-256"),
    ],
)
def test_a_wrong_line_is_refused_without_repeating_it(line, words):
    with pytest.raises(ConfigError, match=words) as caught:
        Keys.parse(f"# one\n{line}", where="keys.txt")
    assert "line 2 of keys.txt" in str(caught.value)
    assert "gk_secret" not in str(caught.value)


def test_a_file_that_is_none_and_a_key_twice_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Keys.load(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        Keys.load(tmp_path / "binary")
    with pytest.raises(ConfigError, match="same name twice"):
        Keys.parse(f"{KEY.line}\n{Keys.create('desk', scopes=[Scope.READ])[1].line}")
    with pytest.raises(ConfigError, match="same key twice"):
        Keys.parse(f"{KEY.line}\nother read {KEY.digest}")
    with pytest.raises(ConfigError):
        Keys.create("no name", scopes=[Scope.READ])
    with pytest.raises(ConfigError):
        Keys.create("desk", scopes=[])


@pytest.mark.parametrize("headers", [bearer(SECRET), header(SECRET), bearer(SECRET) + header(SECRET)])
def test_the_right_key_is_its_owner_by_either_header(headers):
    assert KEYS.caller(headers, open_scopes=frozenset()) == Caller(name="desk", scopes=KEY.scopes)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_key_is_worse_than_none(name):
    assert KEYS.caller(WRONG[name], open_scopes=OPEN) == Caller(wrong_key=True)


def test_every_key_is_compared_in_constant_time(monkeypatch):
    compared: list[str] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    assert KEYS.find(SECRET) == KEY
    assert compared == [KEY.digest, OTHER_KEY.digest]


CALLERS = {
    "nobody": Caller(),
    "anybody, reads open": Caller(scopes=OPEN),
    "reader": Caller(name="r", scopes=frozenset({Scope.READ})),
    "forecaster": Caller(name="f", scopes=frozenset({Scope.FORECAST})),
    "operator": Caller(name="o", scopes=frozenset({Scope.OPERATE})),
    "wrong key": Caller(wrong_key=True),
    "wrong key, though open": Caller(scopes=OPEN, wrong_key=True),
}
ALLOWED = {
    ("anybody, reads open", Scope.READ),
    ("anybody, reads open", Scope.FORECAST),
    ("reader", Scope.READ),
    ("forecaster", Scope.FORECAST),
    ("operator", Scope.OPERATE),
}


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("who", CALLERS)
def test_every_caller_may_do_exactly_what_the_table_says(who, scope):
    if (who, scope) in ALLOWED:
        assert require({CALLER: CALLERS[who]}, scope) is CALLERS[who]
        return
    with pytest.raises(Problem) as caught:
        require({CALLER: CALLERS[who]}, scope)
    assert caught.value.status == (403 if CALLERS[who].name else 401)
    assert ("WWW-Authenticate" in caught.value.headers) == (caught.value.status == 401)


def test_without_the_guard_nobody_may_do_anything():
    with pytest.raises(Problem):
        require({}, Scope.READ)


def test_what_a_route_needs_stands_in_the_openapi_document():
    app, routes = FastAPI(), APIRouter(dependencies=[Depends(needs(Scope.READ))])

    @routes.get("/x")
    async def x() -> None: ...

    app.include_router(routes)
    document = app.openapi()
    assert document["paths"]["/x"]["get"]["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_a_line_of_a_key_is_read_back_as_that_key():
    assert Keys.parse(KEY.line).known == (Key("desk", frozenset({Scope.READ, Scope.FORECAST}), KEY.digest),)
