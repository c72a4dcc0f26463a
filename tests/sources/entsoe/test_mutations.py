"""Documents spoilt at random: a typed error or a document, never anything else, and never after a second."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from gridcast.errors import BadAnswer, Refused
from gridcast.sources.entsoe.document import NoData, parse
from sources.entsoe.documents import Load, acknowledgement
from sources.entsoe.fault_classes import GAP, HOURS, MIXED, NO_DATA_2026, QUARTERS

ALPHABET = b"0123456789.,-+eE<>/&;\"'= \n\0\xc3\xff AazZTP:"
WORDS = [
    *(b"NaN", b"-1", b"1e999", b"0", b"99999", b"3080,5", b"A01", b"A03", b"A16", b"PT15M", b"PT60M", b"MAW", b"999"),
    *(b"<Point>", b"</Point>", b"<!--", b"-->", b"]]>", b"<![CDATA[", b"&lt;", b"&#0;", b"<Period>", b"</TimeSeries>"),
]


def mutated(body: bytes, dice: random.Random) -> bytes:
    """One to three edits: a byte, a piece lost, doubled, moved or overwritten, a number changed, the end lost."""
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(len(body) + 1)
        length = min(len(body) - at, dice.choice((1, 1, 2, 5, 20, 80, 400)))
        piece = body[at : at + length]
        kind = dice.randrange(8)
        if kind == 0:
            body = body[:at] + bytes([dice.choice(ALPHABET)]) + body[at + 1 :]
        elif kind == 1:
            body = body[:at] + body[at + length :]
        elif kind == 2:
            body = body[:at] + piece + body[at:]
        elif kind == 3:
            to = dice.randrange(len(body) + 1)
            body = body[:to] + piece + body[to:]
        elif kind == 4:
            body = body[:at] + dice.choice(WORDS) + body[at + dice.choice((0, length)) :]
        elif kind == 5:
            digits = [found.start() for found in re.finditer(rb"\d", body)]
            if digits:
                here = dice.choice(digits)
                body = body[:here] + str(dice.randrange(10)).encode() + body[here + 1 :]
        elif kind == 6:
            texts = list(re.finditer(rb">([^<>\n]+)<", body))
            if texts:
                found = dice.choice(texts)
                body = body[: found.start(1)] + dice.choice(WORDS) + body[found.end(1) :]
        else:
            body = body[:at]
    return body


@dataclass
class Tally:
    kinds: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    slowest: float = 0.0
    strange: list[bytes] = field(default_factory=list)


def skeleton(body: bytes) -> bytes:
    """The series of a document without their digits, quantities, names and white space.

    What the header says that matters is checked by the parser; its other edits change nothing.
    """
    series = body[body.find(b"<TimeSeries>") :]
    series = re.sub(rb"<mRID>[^<]*</mRID>", b"", series)
    return re.sub(rb"<quantity>\s*-?[0-9.]*\s*</quantity>|[0-9]|\s", b"", series)


def positions(body: bytes) -> set[bytes]:
    return set(re.findall(rb"<position>\s*([0-9]+)", body))


def run(count: int, seed: int) -> Tally:
    dice = random.Random(seed)
    tally = Tally()
    loads = [load.of() for load in (HOURS, QUARTERS, GAP, MIXED)]
    bodies: list[tuple[Load, bytes]] = [(load, load.xml().encode()) for load in loads]
    bodies.append((HOURS, acknowledgement(NO_DATA_2026).encode()))
    for _ in range(count):
        load, sound = dice.choice(bodies)
        body = mutated(sound, dice)
        began = time.process_time()
        try:
            document = parse(body, expected=load.expected)
        except (BadAnswer, Refused) as error:
            kind = type(error).__name__
            if not str(error).isprintable() or len(str(error)) > 700:
                tally.untyped.append(f"{error!s:.900}")
        except Exception as error:
            tally.untyped.append(f"{type(error).__name__}: {error}")
            kind = "untyped"
        else:
            kind = judged(document, load, sound=sound, body=body)
        tally.kinds[kind] += 1
        tally.slowest = max(tally.slowest, time.process_time() - began)
        if kind == "strange":
            tally.strange.append(body)
    return tally


def judged(document, load: Load, *, sound: bytes, body: bytes) -> str:
    """What a document that was read is worth, beside the sound one."""
    if isinstance(document, NoData):
        return "no data" if b"Acknowledgement" in sound else "strange"
    if document.notes or document.doubtful.height:
        return "noted"
    if list(document.rows.iter_rows()) == load.rows:
        return "unchanged"
    if skeleton(body) == skeleton(sound):
        return "a digit"
    # An A03 curve without one of its points is a sound document that says something else.
    return "a point lost (A03)" if positions(body) < positions(sound) and b">A03<" in body else "strange"


def report(tally: Tally, count: int, *, record) -> None:
    facts = {"mutations": count, "untyped": len(tally.untyped), "strange": len(tally.strange)}
    for name, value in (facts | {"slowest_seconds": round(tally.slowest, 3)}).items():
        record(name, value)
    parts = ", ".join(f"{kind} {number}" for kind, number in tally.kinds.most_common())
    print(f"{count} mutated answers: {parts}; slowest {tally.slowest:.3f} s, untyped {len(tally.untyped)}")


def check(tally: Tally, count: int, *, record) -> None:
    report(tally, count, record=record)
    assert tally.untyped == []
    assert tally.slowest < 1
    assert tally.strange == []
    assert tally.kinds["BadAnswer"] > count / 2


def test_5_000_mutated_answers_are_refused_noted_or_differ_by_digits(record_property):
    check(run(5_000, seed=2026), 5_000, record=record_property)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_200_000_mutated_answers_are_refused_noted_or_differ_by_digits(seed, record_property):
    check(run(50_000, seed=seed), 50_000, record=record_property)
