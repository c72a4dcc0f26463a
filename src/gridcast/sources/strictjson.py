"""JSON answers read strictly: what a lenient reader lets pass is a `BadAnswer` here."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from gridcast.errors import BadAnswer
from gridcast.sources.fetched import Answer


def document(answer: Answer, *, status: int = 200) -> object:
    """The JSON document in the body; every number is a ``float``.

    Raises:
        BadAnswer: ``fault`` is ``status`` (the answer has another one), ``empty``, or ``json``: no UTF-8, not JSON, cut
            short, nested too deeply, a key twice in one object, or ``NaN`` and its like, which are no JSON.
    """

    def constant(name: str) -> NoReturn:
        raise bad_answer(answer, f"has {name}, which is no JSON number", fault="json")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise bad_answer(answer, "has a key twice in one object", fault="json")
        return found

    if answer.status != status:
        raise bad_answer(answer, f"has the status {answer.status}", fault="status")
    if not answer.body.strip():
        raise bad_answer(answer, "is empty", fault="empty")
    try:
        text = answer.body.decode("utf-8")
        # Whole numbers become floats too: one type to check, and a number of 4,000 digits is just infinite.
        return json.loads(text, parse_int=float, parse_constant=constant, object_pairs_hook=once)
    except UnicodeDecodeError:
        raise bad_answer(answer, "is not UTF-8 text", fault="json") from None
    except json.JSONDecodeError as error:
        raise bad_answer(answer, f"is not JSON ({error.msg} at {error.pos})", fault="json") from None
    except RecursionError:
        raise bad_answer(answer, "is nested too deeply", fault="json") from None


def number(value: object) -> bool:
    """Whether a value of `document` is a finite number (a text that looks like one is not).

    >>> number(1.5), number("1.5"), number(True), number(float("inf"))
    (True, False, False, False)
    """
    return type(value) is float and math.isfinite(value)


def bad_answer(answer: Answer, what: str, *, fault: str) -> BadAnswer:
    """The error that says what is wrong with an answer."""
    return BadAnswer(
        f"the answer of {answer.source} from {answer.url} {what}",
        remedy="try again later; if it stays, report it with the kept answer",
        source=answer.source,
        url=answer.url,
        status=answer.status,
        fault=fault,
        sha256=answer.sha256,
    )
