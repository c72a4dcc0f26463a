"""An answer's body, read no further than it may be long, on the wire or unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

GZIP = 16 + zlib.MAX_WBITS
CODINGS = ("gzip", "x-gzip")


class Broken(Exception):
    """A body or request cannot be used; ``fault`` says why. It never leaves the wire."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def unpacked(chunks: Iterable[bytes], *, coding: str, most: int) -> Iterator[bytes]:
    """The body's pieces with its content coding undone, at most ``most`` bytes, packed or not.

    Raises:
        Broken: ``too large``; ``coding`` (unknown, or the bytes are not in it); ``cut`` (they end before it does).
    """
    names = [name for name in (part.strip().lower() for part in coding.split(",")) if name not in ("", "identity")]
    if len(names) > 1 or not set(names) <= set(CODINGS):
        raise Broken("coding")
    pieces = _within(chunks, most=most)
    yield from _within(_gunzipped(pieces, most=most), most=most) if names else pieces


def _within(pieces: Iterable[bytes], *, most: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise Broken("too large")
        yield piece


def _gunzipped(pieces: Iterable[bytes], *, most: int) -> Iterator[bytes]:
    """Unpacks one gzip member after the other, never more at once than could still be allowed."""
    decoder, begun = zlib.decompressobj(GZIP), False
    for piece in pieces:
        rest = piece
        while rest:
            if decoder.eof:
                decoder = zlib.decompressobj(GZIP)
            begun = True
            try:
                yield decoder.decompress(rest, most + 1)
            except zlib.error:
                raise Broken("coding") from None
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if begun and not decoder.eof:
        raise Broken("cut")
