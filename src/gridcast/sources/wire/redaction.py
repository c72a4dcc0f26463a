"""Where a secret may not be seen: in what a server said, and in what libraries write to the log."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

REDACTED = "[redacted]"
SHORTEST = 4
"""A shorter secret is not looked for: it would be found where it is not."""

TALKATIVE = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Loggers that write whole URLs or an answer's headers."""

_asking: ContextVar[bool] = ContextVar("asking", default=False)


class Veil:
    """Takes secrets out of what a server sent back, in whatever way it may have written them.

    >>> Veil([SecretStr("Bearer abc-123")]).text("Invalid token ABC-123.")
    'Invalid token [redacted].'
    """

    def __init__(self, secrets: Collection[SecretStr]) -> None:
        self._secrets = tuple(secrets)

    @property
    def longest(self) -> int:
        """Bytes that the longest way to write a secret takes."""
        return max((2 * len(form) for form in self._forms()), default=0)

    def text(self, text: str) -> str:
        """The text without the secrets."""
        for form in self._forms():
            text = re.sub(re.escape(form), REDACTED, text, flags=re.IGNORECASE)
        return text

    def content(self, body: bytes) -> bytes:
        """The bytes without the secrets, be they in an encoding that extends ASCII or in UTF-16."""
        lowered = body.lower()
        for form in self._forms():
            for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                wanted = form.encode(encoding)
                if wanted.lower() in lowered:
                    body = re.sub(re.escape(wanted), REDACTED.encode(encoding), body, flags=re.IGNORECASE)
        return body

    def _forms(self) -> Iterator[str]:
        for secret in self._secrets:
            plain = secret.get_secret_value()
            scheme, _, credentials = plain.partition(" ")
            for value in (plain, credentials) if scheme.lower() in ("basic", "bearer") else (plain,):
                escaped = {quote(value), quote(value, safe=""), quote_plus(value)}
                forms = {value, *escaped, json.dumps(value)[1:-1], html.escape(value)}
                forms |= {turned for form in forms if not form.isascii() for turned in (form.upper(), form.lower())}
                yield from sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)


class _Silence(logging.Filter):
    """Drops what is written while the wire asks; whatever else the process does with httpx is logged as ever."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _asking.get()


_SILENCE = _Silence()


@contextmanager
def silence() -> Iterator[None]:
    """Nothing that this thread has httpx and httpcore do meanwhile is logged by them."""
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_SILENCE)
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)
