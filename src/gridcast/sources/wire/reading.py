"""What an answer says besides its data: how long to wait, where it points, its first words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from gridcast.sources.fetched import Answer

LONGEST_RETRY_AFTER = timedelta(hours=1)
"""A header that asks for more is either a slip or will say so again after an hour."""

MOST_WORDS = 200
READ_FOR_WORDS = 8192


def retry_after(headers: Mapping[str, str], *, now: datetime) -> datetime | None:
    """Until when ``Retry-After`` (RFC 9110, 10.2.3) wants us to wait; None where it says nothing that makes sense.

    A date is taken relative to the answer's own ``Date`` where there is one, so that a server's wrong clock does no
    harm.

    >>> retry_after({"retry-after": "120"}, now=datetime(2026, 11, 22, tzinfo=UTC))
    datetime.datetime(2026, 11, 22, 0, 2, tzinfo=datetime.timezone.utc)
    >>> retry_after({"retry-after": "soon"}, now=datetime(2026, 11, 22, tzinfo=UTC))
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        digits = value.split(".")[0].lstrip("0")
        wait = LONGEST_RETRY_AFTER if len(digits) > 9 else timedelta(seconds=float(value))
    elif (date := _date(value)) is not None:
        wait = date - (_date(headers.get("date", "")) or now)
    else:
        return None
    return now + min(max(wait, timedelta(0)), LONGEST_RETRY_AFTER)


def redirect_host(answer: Answer) -> str:
    """The host that a redirect points to: nothing else of its address, which may hold what we sent."""
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return _clean(host)[:MOST_WORDS] if host else "another path of its own"


def first_words(answer: Answer) -> str:
    """The beginning of a body as one line of plain text, markup left out; empty for a body that is no text."""
    head = answer.body[:READ_FOR_WORDS]
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
    encoding = next((name for mark, name in marks.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        return ""
    text = head.decode(encoding, errors="replace")
    text = re.sub(r"(?is)<(script|style|head)\b.*?(</\1\s*>|$)", " ", text)
    return _clean(re.sub(r"<[^<>]*>", " ", text))[:MOST_WORDS].rstrip()


def _clean(text: str) -> str:
    """One line of printable characters; no escape sequence and no mark that turns the direction of writing."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None
