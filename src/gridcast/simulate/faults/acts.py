"""What may be done to a connection instead of answering properly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Send:
    """Put these bytes on the wire."""

    data: bytes


@dataclass(frozen=True)
class Wait:
    """Let so many real seconds pass, or fewer if the client goes."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Break the connection off with a TCP reset."""


@dataclass(frozen=True)
class Close:
    """End the connection."""


Act = Send | Wait | Reset | Close
