"""API keys: who may do what. A key is 32 random bytes; only its SHA-256 is kept, and it is never logged.

A keys file has one line a key, ``NAME SCOPE[,SCOPE...] SHA256``; blank lines and lines that begin with ``#`` are
skipped::

    # name     scopes            sha256 of the key
    desk       read,forecast     9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A client sends it as ``Authorization: Bearer gk_...`` or ``X-API-Key: gk_...``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from gridcast.api.logs import LOGGER
from gridcast.api.problems import Problem
from gridcast.errors import ConfigError

PREFIX = "gk_"
CALLER = "gridcast.caller"
"""Where the guard leaves the `Caller` in the request's scope."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST = 200


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    FORECAST = "forecast"
    OPERATE = "operate"


@dataclass(frozen=True)
class Key:
    """A key that the server knows: its owner's name, its scopes, and the SHA-256 of the key itself."""

    name: str
    scopes: frozenset[Scope]
    digest: str = field(repr=False)

    @property
    def line(self) -> str:
        """Its line in a keys file."""
        return f"{self.name} {','.join(sorted(self.scopes))} {self.digest}"


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may: set by the guard for every request.

    Attributes:
        name: of the key; empty without one.
        scopes: what the caller may do, by the key or because the server leaves it open.
        wrong_key: a key was sent that the server does not know.
    """

    name: str = ""
    scopes: frozenset[Scope] = frozenset()
    wrong_key: bool = False


@dataclass(frozen=True)
class Keys:
    """The keys that a server knows."""

    known: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self.known)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The keys in a file.

        Raises:
            ConfigError: it cannot be read, or a line is wrong.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} cannot be read as a keys file ({type(error).__name__})",
                remedy="name a text file with a line a key",
                file=str(path),
            ) from None
        return cls.parse(text, where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "the keys") -> Self:
        """The keys in a text of lines.

        Raises:
            ConfigError: a line is wrong, or two keys share a name or are the same.
        """
        found: list[Key] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                found.append(_key(line, where=f"line {number} of {where}"))
        for what, values in (("name", [key.name for key in found]), ("key", [key.digest for key in found])):
            if len(set(values)) < len(values):
                raise ConfigError(f"{where} has the same {what} twice", remedy="leave one of them out")
        return cls(tuple(found))

    @staticmethod
    def create(name: str, *, scopes: Iterable[Scope]) -> tuple[str, Key]:
        """A new key: the secret for its owner, to be shown once, and what the server keeps.

        Raises:
            ConfigError: the name has blanks or signs, or there is no scope.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(name, frozenset(scopes), _digest(secret))
        return secret, _key(key.line, where="the new key")

    def find(self, secret: str) -> Key | None:
        """The key of that secret; the time it takes does not depend on how nearly a wrong one is right."""
        digest, found = _digest(secret), None
        for key in self.known:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def caller(self, headers: Iterable[tuple[bytes, bytes]], *, open_scopes: frozenset[Scope]) -> Caller:
        """Who sends these headers, and what they may.

        Args:
            headers: as ASGI has them, names in lower case.
            open_scopes: what everybody may, key or not.
        """
        given = [_secret(name, value) for name, value in headers if name in (b"authorization", b"x-api-key")]
        if not given:
            return Caller(scopes=open_scopes)
        secret = given[0] if len(set(given)) == 1 else ""
        key = self.find(secret) if secret.startswith(PREFIX) and len(secret) <= _LONGEST else None
        if key is None:
            return Caller(wrong_key=True)
        return Caller(name=key.name, scopes=key.scopes | open_scopes)


class KeysFile:
    """The keys of a file, as it stands: it is looked at again when somebody asks, once a second at most.

    Where it cannot be read any more, or has a wrong line, its keys stay what they were, and the log says why.

    Args:
        path: of the file.
        clock: seconds that only grow.

    Raises:
        ConfigError: it cannot be read, or a line is wrong.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._stamp = _stamp(path)
        self._keys = Keys.load(path)

    def __len__(self) -> int:
        return len(self._keys)

    def caller(self, headers: Iterable[tuple[bytes, bytes]], *, open_scopes: frozenset[Scope]) -> Caller:
        """As `Keys.caller`."""
        now = self._clock()
        if now - self._looked >= 1:
            self._looked = now
            self._look()
        return self._keys.caller(headers, open_scopes=open_scopes)

    def _look(self) -> None:
        stamp = _stamp(self._path)  # before the file is read: a change meanwhile is seen at the next look
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = Keys.load(self._path)
        except ConfigError as error:
            LOGGER.error({"event": "keys stay as they were", "why": error.what})
        else:
            LOGGER.info({"event": "keys", "count": len(self._keys)})


def require(scope: Mapping[str, Any], wanted: Scope) -> Caller:
    """The caller of a request, where they may do what is wanted.

    Raises:
        Problem: 401 without a key or with a wrong one, 403 with a key of other scopes.
    """
    # Nobody came through the guard: nobody may do anything.
    caller: Caller = scope.get(CALLER, Caller())
    if caller.wrong_key:
        raise _unauthorized("the server does not know this key", remedy="check the key, or ask for a new one")
    if wanted in caller.scopes:
        return caller
    if not caller.name:
        raise _unauthorized(
            f"this needs a key with the scope {wanted}", remedy="send Authorization: Bearer gk_... or X-API-Key: gk_..."
        )
    raise Problem(
        f"the key {caller.name!r} lacks the scope {wanted}",
        remedy="ask for a key that has it",
        status=403,
        title="Forbidden",
        scope=wanted.value,
    )


class needs(SecurityBase):  # noqa: N801 - it is read as a verb: Depends(needs(Scope.READ))
    """A FastAPI dependency that lets only callers with that scope pass, and says so in the OpenAPI document.

    >>> from fastapi import APIRouter, Depends
    >>> router = APIRouter(dependencies=[Depends(needs(Scope.READ))])
    """

    model = HTTPBearer(description="`Authorization: Bearer gk_...`, or the same key as `X-API-Key: gk_...`")
    scheme_name = "key"

    def __init__(self, wanted: Scope) -> None:
        self.wanted = wanted

    async def __call__(self, request: Request) -> Caller:
        """The caller; a `Problem` where they may not."""
        return require(request.scope, self.wanted)


def _key(line: str, *, where: str) -> Key:
    parts = line.split()
    if len(parts) != 3:
        raise ConfigError(f"{where} has {len(parts)} parts", remedy="write NAME SCOPE[,SCOPE...] SHA256")
    name, scopes, digest = parts
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where} has a name with signs", remedy="use at most 64 letters, digits, dots and dashes")
    strange = sorted(set(scopes.split(",")) - set(Scope))
    if strange:
        raise ConfigError(f"{where} has a scope that is none", remedy=f"choose some of {', '.join(Scope)}")
    if not _SHA256.fullmatch(digest):
        raise ConfigError(f"{where} has no SHA-256", remedy="give 64 hexadecimal digits, in lower case")
    return Key(name, frozenset(Scope(each) for each in scopes.split(",")), digest)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _secret(name: bytes, value: bytes) -> str:
    """The key in a header; empty for an Authorization of another kind."""
    text = value.decode("latin-1").strip()
    if name == b"x-api-key":
        return text
    kind, _, rest = text.partition(" ")
    return rest.strip() if kind.lower() == "bearer" else ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _unauthorized(what: str, *, remedy: str) -> Problem:
    return Problem(
        what, remedy=remedy, status=401, title="Unauthorized", headers={"WWW-Authenticate": 'Bearer realm="gridcast"'}
    )
