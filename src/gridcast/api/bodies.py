"""Bodies read strictly: one JSON document, and nothing that two readers could read differently."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import NoReturn, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gridcast.api import problems
from gridcast.api.problems import Problem

MAX_DEPTH = 32
LONGEST_NUMBER = 100
"""Characters of a number; the longest that Python writes for a float has 25."""

_LARGEST = 2**63
_AT_ONCE = 1 << 16
"""Bytes that are read on the event loop; a longer document is read beside it."""

_BRACKETS = bytes(1 if chr(byte) in "[{" else 255 if chr(byte) in "]}" else 0 for byte in range(256))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Model = TypeVar("Model", bound=BaseModel)


async def document(request: Request, *, max_depth: int = MAX_DEPTH) -> object:
    """The JSON document that a request carries.

    Args:
        request: its body must not have been read; how long it may be and take is the guard's matter.
        max_depth: how many arrays and objects may stand in one another.

    Raises:
        Problem: 415 for another type or a compressed body, 400 for what `strict` refuses.
    """
    _check_type(request)
    body = await request.body()
    if len(body) <= _AT_ONCE:
        return strict(body, max_depth=max_depth)
    return await run_in_threadpool(strict, body, max_depth=max_depth)


def strict(body: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """The value of a JSON document in UTF-8 (RFC 8259, with the limits of RFC 7493).

    Raises:
        Problem: 400: empty, not UTF-8, with a byte order mark, not JSON or cut short, a key twice in one object,
            ``NaN`` or ``Infinity``, a number beyond a float or beyond 64 bits, half a surrogate pair, too deep.

    >>> strict(b'{"load": [1, 2.5]}')
    {'load': [1, 2.5]}
    """
    if not body.strip():
        raise _bad("is empty", remedy="send one JSON document")
    if body.startswith(b"\xef\xbb\xbf"):
        raise _bad("begins with a byte order mark", remedy="send plain UTF-8")
    bare = _without_texts(body)
    if _depth(bare) > max_depth:
        raise _bad(f"is nested deeper than {max_depth}", remedy="send a flatter document", max_depth=max_depth)
    if bare.count(b":") <= 1 and _plain(bare):  # no key can stand twice
        with suppress(ValueError):  # the slower reader says better what is wrong
            return from_json(body, allow_inf_nan=False)
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_constant,
            object_pairs_hook=_once,
        )
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise _bad("is not UTF-8", remedy="send plain UTF-8") from None
    except UnicodeEncodeError:
        raise _bad("has half a surrogate pair", remedy="send both halves, or the character itself") from None
    except json.JSONDecodeError as error:
        raise _bad(
            f"is not JSON ({error.msg} at character {error.pos})", remedy="send one JSON document", position=error.pos
        ) from None
    except RecursionError:
        raise _bad("is nested too deeply", remedy="send a flatter document") from None
    return value


def parsed(model: type[Model], value: object) -> Model:
    """A value that keeps a schema.

    Raises:
        Problem: 422; it names the first places that break it, and repeats none of the values.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise problems.invalid(found, where="body") from None


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise Problem(
            f"the body's type is {given[:100]!r}" if given else "the body has no Content-Type",
            remedy="send Content-Type: application/json",
            status=415,
            title="Unsupported media type",
            headers={"Accept": "application/json"},
        )
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise Problem(
            f"the body is encoded as {encoding[:100]!r}",
            remedy="send it as it is",
            status=415,
            title="Unsupported media type",
            headers={"Accept-Encoding": "identity"},
        )


def _without_texts(body: bytes) -> bytes:
    bare = _ESCAPED.sub(b"", body) if b"\\" in body else body
    return b"".join(bare.split(b'"')[::2])  # every other piece is a text


def _plain(bare: bytes) -> bool:
    """Whether all numbers are surely finite and below 64 bits: without an exponent, and of 18 digits at most."""
    return b"e" not in bare and b"E" not in bare and b"0" * 19 not in bare.translate(_DIGITS)


def _depth(bare: bytes) -> int:
    """The most brackets open at once; of JSON that is cut short or wrong, a number no smaller."""
    steps = np.frombuffer(bare.translate(_BRACKETS, _NO_BRACKETS), np.int8)
    return int(steps.cumsum(dtype=np.int64).max(initial=0))


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise _too_long(text)
    number = int(text)
    if not -_LARGEST <= number < _LARGEST:
        raise _bad("has a whole number beyond 64 bits", remedy="send numbers that can be MW")
    return number


def _finite(text: str) -> float:
    if len(text) > LONGEST_NUMBER:
        raise _too_long(text)
    number = float(text)
    if not math.isfinite(number):
        raise _bad("has a number beyond what a 64-bit float can hold", remedy="send numbers that can be MW")
    return number


def _too_long(text: str) -> Problem:
    return _bad(f"has a number of {len(text)} characters", remedy=f"send at most {LONGEST_NUMBER}", most=LONGEST_NUMBER)


def _constant(name: str) -> NoReturn:
    raise _bad(f"has {name}, which is no JSON number", remedy="leave out what is not known, or send null")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _bad("has a key twice in one object", remedy="send each key once")
    return found


def _bad(what: str, *, remedy: str, **facts: object) -> Problem:
    return Problem(f"the body {what}", remedy=remedy, status=400, title="Bad body", headers=None, **facts)
