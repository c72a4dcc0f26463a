"""Faults below HTTP, or in its framing."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

from gridcast.simulate.exchange import Ask, Reply
from gridcast.simulate.faults.acts import Act, Close, Reset, Send, Wait
from gridcast.simulate.faults.catalogue import add, described

_FOREVER = 3600.0
_MIB = 1 << 20

Play = Callable[[Reply, Ask], list[Act]]


def _network(play: Play) -> Play:
    name, sentence = described(play)
    add(name, sentence, layer="network", spoil=play)
    return play


def _head(reply: Reply, ask: Ask, *, length: int | None, **headers: str) -> bytes:
    more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return replace(reply, headers=reply.headers + more).head(ask.at, length=length)


def _whole(reply: Reply, ask: Ask, body: bytes, **headers: str) -> list[Act]:
    return [Send(_head(reply, ask, length=len(body), **headers) + body)]


@_network
def reset_before_headers(_reply: Reply, _ask: Ask) -> list[Act]:
    """The connection is reset before anything is answered."""
    return [Reset()]


@_network
def reset_in_headers(reply: Reply, ask: Ask) -> list[Act]:
    """The connection is reset in the middle of the headers."""
    head = _head(reply, ask, length=len(reply.body))
    return [Send(head[: len(head) // 2]), Wait(0.05), Reset()]


@_network
def reset_at_byte(reply: Reply, ask: Ask) -> list[Act]:
    """The connection is reset in the middle of the body."""
    half = reply.body[: len(reply.body) // 2]
    return [Send(_head(reply, ask, length=len(reply.body)) + half), Wait(0.05), Reset()]


@_network
def closed_before_headers(_reply: Reply, _ask: Ask) -> list[Act]:
    """The connection is closed politely before anything is answered."""
    return [Close()]


@_network
def body_shorter(reply: Reply, ask: Ask) -> list[Act]:
    """The body ends before its Content-Length."""
    half = reply.body[: len(reply.body) // 2]
    return [Send(_head(reply, ask, length=len(reply.body)) + half), Close()]


@_network
def body_longer(reply: Reply, ask: Ask) -> list[Act]:
    """The body goes on after its Content-Length, which cuts it in the middle."""
    return [Send(_head(reply, ask, length=len(reply.body) // 2) + reply.body), Close()]


@_network
def body_without_length(reply: Reply, ask: Ask) -> list[Act]:
    """The body has no length, ends with the connection, and that comes too early."""
    return [Send(_head(reply, ask, length=None) + reply.body[: len(reply.body) // 2]), Close()]


@_network
def two_lengths(reply: Reply, ask: Ask) -> list[Act]:
    """There are two Content-Lengths, and they differ."""
    return [*_whole(reply, ask, reply.body, Content_Length=str(len(reply.body) + 7)), Close()]


@_network
def silence(_reply: Reply, _ask: Ask) -> list[Act]:
    """Nothing is answered, and the connection stays open."""
    return [Wait(_FOREVER)]


@_network
def silence_in_body(reply: Reply, ask: Ask) -> list[Act]:
    """Half of the body comes, then nothing more."""
    half = reply.body[: len(reply.body) // 2]
    return [Send(_head(reply, ask, length=len(reply.body)) + half), Wait(_FOREVER)]


@_network
def drip(reply: Reply, ask: Ask) -> list[Act]:
    """The body comes at one byte a second."""
    acts: list[Act] = [Send(_head(reply, ask, length=len(reply.body)))]
    for byte in reply.body[: int(_FOREVER)]:
        acts += [Send(bytes([byte])), Wait(1.0)]
    return acts


@_network
def bad_chunking(reply: Reply, ask: Ask) -> list[Act]:
    """A chunk's size is no number."""
    head = _head(reply, ask, length=None, Transfer_Encoding="chunked")
    return [Send(head + b"zz\r\n" + reply.body + b"\r\n0\r\n\r\n"), Close()]


@_network
def cut_chunking(reply: Reply, ask: Ask) -> list[Act]:
    """The chunk that would end the body never comes."""
    half = reply.body[: len(reply.body) // 2]
    head = _head(reply, ask, length=None, Transfer_Encoding="chunked")
    return [Send(head + f"{len(half):x}\r\n".encode() + half + b"\r\n"), Close()]


@_network
def gzip_bomb(reply: Reply, ask: Ask) -> list[Act]:
    """A small compressed body unpacks to 256 MiB of nothing."""
    return _whole(reply, ask, _bomb(), Content_Encoding="gzip")


@_network
def truncated_gzip(reply: Reply, ask: Ask) -> list[Act]:
    """The compressed body is cut, and its Content-Length with it."""
    packed = gzip.compress(reply.body, mtime=0)
    return _whole(reply, ask, packed[: len(packed) // 2], Content_Encoding="gzip")


@_network
def damaged_gzip(reply: Reply, ask: Ask) -> list[Act]:
    """The compressed body's checksum is wrong."""
    packed = bytearray(gzip.compress(reply.body, mtime=0))
    packed[-8] ^= 0xFF
    return _whole(reply, ask, bytes(packed), Content_Encoding="gzip")


@_network
def wrong_coding(reply: Reply, ask: Ask) -> list[Act]:
    """A plain body says that it is compressed."""
    return _whole(reply, ask, reply.body, Content_Encoding="gzip")


@_network
def unknown_coding(reply: Reply, ask: Ask) -> list[Act]:
    """A body is coded in a way that nobody asked for."""
    return _whole(reply, ask, reply.body[::-1], Content_Encoding="x-backwards")


@_network
def huge_body(reply: Reply, ask: Ask) -> list[Act]:
    """The body is 100 MiB long."""
    block = Send(b" " * _MIB)
    rest = 100 * _MIB - len(reply.body)
    blocks: list[Act] = [block] * (rest // _MIB)
    return [Send(_head(reply, ask, length=100 * _MIB) + reply.body), *blocks, Send(b" " * (rest % _MIB))]


@_network
def huge_headers(reply: Reply, ask: Ask) -> list[Act]:
    """The headers are 1 MiB long."""
    return [*_whole(reply, ask, reply.body, X_Padding="x" * _MIB), Close()]


@_network
def not_http(_reply: Reply, _ask: Ask) -> list[Act]:
    """Something that does not speak HTTP answers."""
    return [Send(b"SSH-2.0-simulated\r\n"), Close()]


@_network
def date_skew(reply: Reply, ask: Ask) -> list[Act]:
    """The Date header is three days ahead; all else is sound."""
    return [Send(reply.wire(ask.at + timedelta(days=3)))]


@cache
def _bomb() -> bytes:
    """256 MiB of zeros as gzip: one compressed block again and again."""
    block = bytes(_MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    end, check = packer.flush(), 0
    for _ in range(256):
        check = zlib.crc32(block, check)
    header = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    return header + packed * 256 + end + check.to_bytes(4, "little") + (256 * _MIB).to_bytes(4, "little")
