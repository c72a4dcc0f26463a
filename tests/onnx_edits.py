"""Edits to an ONNX file at the level of its bytes: for tests that need no `onnx` package to make a bad one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable

from gridcast.models import onnx_graph
from gridcast.models.classic_card import version_of

GRAPH, NODE, WEIGHT, INPUT, OUTPUT, OPSET = 7, 1, 5, 11, 12, 8


def varint(value: int) -> bytes:
    value %= 1 << 64
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    found = onnx_graph._fields(memoryview(data))
    return [(number, raw if isinstance(raw, int) else bytes(raw)) for number, wire, raw in found if wire in (0, 2)]


def joined(parts: Iterable[tuple[int, int | bytes]]) -> bytes:
    return b"".join(field(*part) for part in parts)


def inside(data: bytes, number: int, edit: Callable[[bytes], bytes], *, which: int = 0) -> bytes:
    """The message with its ``which``-th field of that number edited; floats must not stand beside it."""
    parts = fields(data)
    place = [at for at, (found, _) in enumerate(parts) if found == number][which]
    parts[place] = (number, edit(parts[place][1]))
    return joined(parts)


def resealed(model: bytes, card: bytes, **changes: object) -> tuple[bytes, bytes]:
    """The file and its card, made to fit again: what somebody could do who may write both."""
    sha256 = hashlib.sha256(model).hexdigest()
    facts = json.loads(card) | {"sha256": sha256, "version": version_of(sha256)} | changes
    return model, json.dumps(facts).encode()
