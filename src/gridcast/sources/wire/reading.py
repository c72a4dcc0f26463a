"""What an answer says besides its data: how long to wait, where it points, its first words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from xml.sax.saxutils import unescape

from gridcast.sources.fetched import Answer
from gridcast.sources.oneline import one_line

LONGEST_BAN = timedelta(days=1)
"""However long a provider wants to be left alone, after so long it is asked again."""

READ_FOR_WORDS = 8192


def retry_after(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    """Until when ``Retry-After`` (RFC 9110, 10.2.3) wants us to wait; None where it says nothing that makes sense.

    A date is taken relative to the answer's own ``Date`` where there is one, so that a server's wrong clock does no
    harm. Of several headers, which come joined by commas, the longest wait counts; none is longer than `LONGEST_BAN`.

    >>> retry_after({"retry-after": "120"}, now=datetime(2026, 11, 22, tzinfo=UTC))
    datetime.datetime(2026, 11, 22, 0, 2, tzinfo=datetime.timezone.utc)
    >>> retry_after({"retry-after": "60, 120"}, now=datetime(2026, 11, 22, tzinfo=UTC))
    datetime.datetime(2026, 11, 22, 0, 2, tzinfo=datetime.timezone.utc)
    >>> retry_after({"retry-after": "soon"}, now=datetime(2026, 11, 22, tzinfo=UTC))
    """
    made = _date(headers.get("date", "")) or now
    told = [_wait(part.strip(), made=made) for part in _PART.findall(headers.get("retry-after", ""))]
    waits = [wait for wait in told if wait is not None]
    return now + min(max(*waits, timedelta(0)), LONGEST_BAN) if waits else None


def redirect_host(answer: Answer) -> str:
    """The host that a redirect points to: nothing else of its address, which may hold what we sent."""
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return one_line(host) if host else "another path of its own"


def first_words(answer: Answer) -> str:
    """The beginning of a body as one line of plain text, markup left out; empty for a body that is no text.

    Of an acknowledgement of ENTSO-E it is the reasons given.
    """
    head = answer.body[:READ_FOR_WORDS]
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
    encoding = next((name for mark, name in marks.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        return ""
    text = head.decode(encoding, errors="replace")
    if "Acknowledgement_MarketDocument" in text and (reasons := _REASON.findall(text)):
        text = "; ".join(unescape(reason) for reason in reasons)
        return one_line(text)
    text = re.sub(r"(?is)<(script|style|head)\b.*?(</\1\s*>|$)", " ", text)
    return one_line(re.sub(r"<[^<>]*>", " ", text))


_REASON = re.compile(r"<(?:\w+:)?text>\s*([^<]*?)\s*</")

_PART = re.compile(r"(?i)\s*(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,[^,]+|[^,]+")
"""One of the values of a header: a date has a comma of its own, after the day of the week."""


def _wait(value: str, *, made: datetime) -> timedelta | None:
    """How long a number of seconds or a date asks to wait from when the answer was made; None for neither."""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        digits = value.split(".", maxsplit=1)[0].lstrip("0")
        return LONGEST_BAN if len(digits) > 9 else timedelta(seconds=float(value))
    date = _date(value)
    return None if date is None else date - made


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None
