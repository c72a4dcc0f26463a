"""ENTSO-E documents that are wrong as XML, and what may come in a document's place."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace

from gridcast.simulate.entsoe import acknowledgement
from gridcast.simulate.exchange import HTML, JSON, Ask, Reply
from gridcast.simulate.faults.catalogue import Spoilt, add
from gridcast.simulate.faults.documents import document
from gridcast.simulate.faults.editing import with_point, with_quantity


@document
def cut_inside_number(text: str) -> str:
    """The document ends in the middle of a quantity."""
    return with_quantity(text, lambda number: number[:2] + "\0cut").partition("\0cut")[0]


@document
def truncated_xml(text: str) -> str:
    """The document ends after a point."""
    return with_point(text, lambda point: point + "\0cut").partition("\0cut")[0]


@document
def cut_and_closed(text: str) -> str:
    """The document ends in the middle of a quantity, and somebody closed its elements."""
    cut = cut_inside_number(text)
    assert isinstance(cut, str)  # noqa: S101  # text goes in, text comes out
    closing = ("quantity", "Point", "Period", "TimeSeries", "GL_MarketDocument")
    return cut + "".join(f"</{name}>" for name in closing)


@document
def mismatched_tag(text: str) -> str:
    """An element ends under another name."""
    return text.replace("</Period>", "</Span>", 1)


@document
def bare_ampersand(text: str) -> str:
    """A bare ampersand stands in the text."""
    return with_quantity(text, lambda number: number + "&")


@document
def two_roots(text: str) -> str:
    """Two documents stand one after the other."""
    return text + text.partition("?>\n")[2]


@document
def trailing_text(text: str) -> str:
    """Words follow after the document's end."""
    return text + "\nBye."


@document
def deep_nesting(text: str) -> str:
    """A quantity lies 100,000 elements deep."""
    return with_quantity(text, lambda number: "<a>" * 100_000 + number + "</a>" * 100_000)


@document
def huge_attribute(text: str) -> str:
    """An attribute is 12 MB long."""
    return text.replace("<TimeSeries>", f'<TimeSeries note="{"x" * 12_000_000}">', 1)


@document
def many_attributes(text: str) -> str:
    """An element has 50,000 attributes."""
    return text.replace("<TimeSeries>", "<TimeSeries " + " ".join(f'a{n}="1"' for n in range(50_000)) + ">", 1)


def _with_dtd(text: str, dtd: str, *, use: str) -> str:
    head, _, rest = text.partition("?>\n")
    return with_quantity(f"{head}?>\n{dtd}\n{rest}", lambda _: use)


@document
def entity(text: str) -> str:
    """A quantity is an entity that the document itself declares."""
    return _with_dtd(text, '<!DOCTYPE GL_MarketDocument [<!ENTITY load "3000">]>', use="&load;")


@document
def billion_laughs(text: str) -> str:
    """Entities of entities unpack to a billion."""
    lines = ['<!ENTITY l0 "1">'] + [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return _with_dtd(text, f"<!DOCTYPE GL_MarketDocument [{''.join(lines)}]>", use="&l9;")


@document
def external_entity(text: str) -> str:
    """A quantity is an entity that stands for a file of the reader's machine."""
    return _with_dtd(text, '<!DOCTYPE GL_MarketDocument [<!ENTITY f SYSTEM "file:///etc/hostname">]>', use="&f;")


@document
def external_dtd(text: str) -> str:
    """The document's grammar is to be fetched from elsewhere."""
    return text.replace("?>\n", '?>\n<!DOCTYPE GL_MarketDocument SYSTEM "http://127.0.0.1:9/load.dtd">\n', 1)


@document
def processing_instruction(text: str) -> str:
    """A processing instruction stands before the document."""
    return text.replace("?>\n", '?>\n<?xml-stylesheet href="http://127.0.0.1:9/a.xsl" type="text/xsl"?>\n', 1)


@document
def utf_16(text: str) -> bytes:
    """The document is in UTF-16, and says so."""
    return text.replace("utf-8", "utf-16", 1).encode("utf-16")


@document
def utf_16_unsaid(text: str) -> bytes:
    """The document is in UTF-16, and says that it is UTF-8."""
    return text.encode("utf-16-le")


@document
def byte_order_mark(text: str) -> bytes:
    """A byte order mark stands before the document; all else is sound."""
    return text.encode("utf-8-sig")


@document
def unknown_encoding(text: str) -> str:
    """The document says that it is in an encoding nobody knows."""
    return text.replace("utf-8", "x-klingon", 1)


@document
def invalid_utf_8(text: str) -> bytes:
    """A byte is no UTF-8."""
    return with_quantity(text, lambda number: number[:2] + "\x00" + number[2:]).encode().replace(b"\x00", b"\xff")


@document
def nul_bytes(text: str) -> bytes:
    """NUL bytes stand in a quantity."""
    return with_quantity(text, lambda number: number[:2] + "\x00\x00" + number[2:]).encode()


# --- something else instead ------------------------------------------------------------------------------------------


def _instead(name: str, sentence: str, answer: Callable[[Ask], Reply]) -> None:
    """A fault that puts something else in a load document's place."""

    def spoil(reply: Reply, ask: Ask) -> Spoilt:
        return answer(ask) if b"<GL_MarketDocument" in reply.body else None

    add(name, sentence, layer="content", providers=("entsoe",), spoil=spoil)


def _zipped(_ask: Ask) -> Reply:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("load.xml"), "<GL_MarketDocument/>")
    return Reply(200, packed.getvalue(), "application/zip")


def _no_reason(ask: Ask) -> Reply:
    sound = acknowledgement("", ask.at, status=200)
    return replace(sound, body=re.sub(rb"  <Reason>.*</Reason>\n", b"", sound.body, flags=re.DOTALL))


def _other_code(ask: Ask) -> Reply:
    sound = acknowledgement("No matching data found", ask.at, status=200)
    return replace(sound, body=sound.body.replace(b"999", b"A59"))


_instead("zip-instead", "A ZIP archive comes instead of a document.", _zipped)
_instead("json-instead", "JSON comes instead of XML.", lambda _: Reply(200, json.dumps({"load": []}).encode(), JSON))
_instead(
    "html-as-xml", "A page of HTML comes as XML.", lambda _: Reply(200, b"<html><body>Sorry</body></html>", "text/xml")
)
_instead(
    "login-page",
    "A page to log in comes instead of a document.",
    lambda _: Reply(200, b"<!doctype html><p>Log in", HTML),
)
_instead(
    "acknowledgement-unknown-text",
    "An acknowledgement gives a reason nobody knows.",
    lambda ask: acknowledgement("Unexpected error occurred.", ask.at, status=200),
)
_instead("acknowledgement-without-reason", "An acknowledgement gives no reason.", _no_reason)
_instead("acknowledgement-other-code", "An acknowledgement has another code than 999.", _other_code)
_instead(
    "false-no-data",
    "An acknowledgement says that there is nothing, though there is.",
    lambda ask: acknowledgement("No matching data found", ask.at, status=200),
)
