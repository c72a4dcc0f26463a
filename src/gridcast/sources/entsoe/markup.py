"""XML from a stranger: bytes become records by a fixed grammar, or a typed error.

The standard library's expat reads; document types and entities are refused before they are looked at, and the size of
the answer, its number of elements, and the length of each token and text are bounded, so that no answer takes long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias
from xml.parsers import expat

from gridcast.errors import BadAnswer
from gridcast.sources.oneline import one_line

MAX_BYTES = 16 << 20
"""A year of quarter-hours has about 4 MiB."""
MAX_ELEMENTS = 130_000
"""A point has three: fifteen months of quarter-hours."""
MAX_TOKEN = 1 << 17
MAX_TEXT = 4_000
"""Characters of one element."""
MAX_UNKNOWN = 2_000
"""Elements of other names."""
CHUNK = 1 << 16
CUT = frozenset(
    expat.errors.codes[text]
    for text in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
"""Expat's errors where the document ends too early."""

REMEDY = "ask again later; if it comes back the same, take another source and tell ENTSO-E's service desk"

Grammar: TypeAlias = "Mapping[str, Grammar | None]"
"""Child elements by name: None holds text, a grammar holds elements; under the name `OWN` text of its own too."""
OWN = ""
_Qualified: TypeAlias = "dict[str, tuple[str, _Qualified | None]]"


class Record:
    """An element that holds elements: ``texts`` of those with text (and ``name@attribute``), and further records."""

    __slots__ = ("_children", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._children: dict[str, list[Record]] | None = None

    def add(self, name: str, child: Record) -> None:
        """One more element of that name."""
        if self._children is None:
            self._children = {}
        self._children.setdefault(name, []).append(child)

    def all(self, name: str) -> list[Record]:
        """The elements of that name."""
        return [] if self._children is None else self._children.get(name, [])


@dataclass(frozen=True)
class Root:
    """A document that may come: its namespace up to the version, the version we know, and what it may hold."""

    namespace: str
    version: str
    grammar: Grammar


@dataclass(frozen=True)
class Unknown:
    """An element that the grammar does not have: where it stands, inside which element, and what it says."""

    name: str
    text: str
    inside: str
    place: str


@dataclass(frozen=True)
class Markup:
    """What was read: the root's name, its record, what was odd, and the elements that are not known."""

    name: str
    record: Record
    notes: tuple[str, ...]
    unknown: tuple[Unknown, ...]


def bad(fault: str, detail: str, *, place: str = "", remedy: str = REMEDY, **facts: object) -> BadAnswer:
    """The error for an answer that cannot be used; ``place`` is where in the document."""
    place = one_line(place, limit=160)
    what = f"ENTSO-E's answer cannot be used ({fault}){f', {place}' * bool(place)}: {one_line(detail, limit=160)}"
    return BadAnswer(what, remedy=remedy, source="entsoe", fault=fault, place=place, **facts)


def read(body: bytes, *, roots: Mapping[str, Root]) -> Markup:
    """The document in ``body``, if it is one of ``roots`` and well-formed.

    Raises:
        BadAnswer: it is not; ``fault`` says why in a word or two.
    """
    _look(body)
    return _Reader(roots).read(body)


def _look(body: bytes) -> None:
    """Names what is no XML at all."""
    if len(body) > MAX_BYTES:
        remedy = "ask for a shorter period"
        raise bad("size", f"{len(body)} bytes, more than {MAX_BYTES} that a year needs", remedy=remedy)
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or body[:4] in (b"<\0?\0", b"\0<\0?"):
        raise bad("encoding", "it is UTF-16, not UTF-8")
    if body[:4] in (b"PK\3\4", b"PK\5\6"):
        raise bad("zip", "it is a ZIP archive, not XML")
    if body[:2] == b"\x1f\x8b":
        raise bad("gzip", "it is still compressed")
    start = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise bad("empty", "there is nothing in it")
    if re.match(rb"(?i)<!doctype\s+html|<html|<head|<body", start):
        raise bad("html", f"it is a web page: {_visible(body)}")
    if not start.startswith(b"<"):
        raise bad("not xml", f"it is text: {start[:80].decode('utf-8', 'replace')}")


def _visible(body: bytes) -> str:
    return re.sub(r"<[^>]{0,500}>", " ", body[:2048].decode("utf-8", "replace"))


class _Reader:
    """One document on its way through expat."""

    def __init__(self, roots: Mapping[str, Root]) -> None:
        self.roots = roots
        self.name = ""
        self.root = Record()
        self.record = self.root
        self.grammar: _Qualified = {}
        self.path: list[tuple[str, _Qualified, Record]] = []
        self.leaf: str | None = None
        self.known = True
        self.text: list[str] = []
        self.elements = 0
        self.unknown: list[Unknown] = []
        self.notes: list[str] = []
        # The declaration cannot choose another encoding than UTF-8, of which ASCII is a part.
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text.append
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.EntityDeclHandler = self.refuse
        self.parser.ProcessingInstructionHandler = self.instruction

    def read(self, body: bytes) -> Markup:
        try:
            for begin in range(0, len(body), CHUNK):
                self.parser.Parse(body[begin : begin + CHUNK], False)
                if begin - self.parser.CurrentByteIndex > MAX_TOKEN:
                    raise self.bad("size", f"a tag or comment is longer than {MAX_TOKEN} bytes")
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            fault = "cut short" if error.code in CUT else "not well-formed"
            reason = f"{expat.ErrorString(error.code)} in line {error.lineno}, column {error.offset}"
            raise self.bad(fault, reason) from None
        if self.unknown:
            first = reversed(self.unknown)
            told = {one_line(each.name, limit=60): one_line(each.text, limit=40) for each in first}
            shown = ", ".join(f"{name} = {text!r}" for name, text in reversed(told.items()))
            self.notes.append(f"The answer has elements that we do not know: {shown}.")
        return Markup(self.name, self.root, tuple(self.notes), tuple(self.unknown))

    def place(self) -> str:
        """Where the reader is, as ``TimeSeries 1, Period 2, Point 17``."""
        return ", ".join(f"{name} {len(parent.all(name))}" for name, _, parent in self.path[1:])

    def bad(self, fault: str, detail: str) -> BadAnswer:
        return bad(fault, detail, place=self.place())

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise self.bad("size", f"more than {MAX_ELEMENTS} elements")
        if self.leaf is not None:
            raise self.bad("structure", f"{_local(tag)} stands inside {self.leaf}")
        if self.text:
            self.blank()
        entry = self.grammar.get(tag)
        if entry is None:
            if not self.path:
                self.open_root(tag)
            else:
                self.leaf, self.known = _local(tag), False
            return
        name, inner = entry
        if inner is not None:
            record = Record()
            self.record.add(name, record)
            self.path.append((name, self.grammar, self.record))
            self.grammar, self.record = inner, record
            return
        self.leaf = name
        if attributes:
            self.record.texts.update((f"{name}@{attribute}", value) for attribute, value in attributes.items())

    def end(self, tag: str) -> None:
        if self.leaf is None:
            if self.text:
                self.blank()
            _, self.grammar, self.record = self.path.pop()
            return
        text = "".join(self.text).strip(" \t\r\n")
        self.text.clear()
        if len(text) > MAX_TEXT:
            raise self.bad("size", f"the text of {self.leaf} is longer than {MAX_TEXT} characters")
        if not self.known:
            self.unknown.append(Unknown(self.leaf, text, self.path[-1][0], self.place()))
            if len(self.unknown) > MAX_UNKNOWN:
                raise self.bad("structure", f"more than {MAX_UNKNOWN} elements that we do not know, like {self.leaf}")
            self.known = True
        elif self.leaf in self.record.texts:
            raise self.bad("structure", f"{self.leaf} stands twice")
        else:
            self.record.texts[self.leaf] = text
        self.leaf = None

    def blank(self) -> None:
        """Refuses text between elements, unless the element may have one of its own."""
        text = "".join(self.text)
        self.text.clear()
        if text.isspace():
            return
        if OWN not in self.grammar or OWN in self.record.texts:
            raise self.bad("structure", f"text between elements: {text[:200].strip()}")
        self.record.texts[OWN] = text.strip()

    def open_root(self, tag: str) -> None:
        namespace, _, name = tag.rpartition(" ")
        root = self.roots.get(name)
        if root is None:
            raise bad("other document", f"its root is {name}, not {' or '.join(self.roots)}")
        if not namespace.startswith(root.namespace):
            raise bad("namespace", f"{name} is of {namespace or 'no namespace'}")
        if namespace != root.namespace + root.version:
            self.notes.append(f"The answer is of another version of the format: {one_line(namespace, limit=160)}.")
        self.name = name
        self.path.append((name, {}, Record()))
        self.grammar = _qualified(root.grammar, namespace)

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise bad("encoding", f"it declares {encoding}, not UTF-8")

    def refuse(self, *declared: object) -> NoReturn:
        raise bad("dtd", "it declares a document type or an entity, which this format never does")

    def instruction(self, target: str, data: str) -> NoReturn:
        raise self.bad("structure", f"a processing instruction for {target}")


def _local(tag: str) -> str:
    return tag.rpartition(" ")[2]


def _qualified(grammar: Grammar, namespace: str) -> _Qualified:
    return {
        f"{namespace} {name}" if name else OWN: (name, None if inner is None else _qualified(inner, namespace))
        for name, inner in grammar.items()
    }
