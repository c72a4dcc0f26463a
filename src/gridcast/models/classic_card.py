"""The card beside the classic network's file: what each column means, how it is scaled, and what its canary answers."""

from __future__ import annotations

import hashlib
from datetime import date

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from gridcast.contracts import Floats
from gridcast.errors import ArtifactMismatch
from gridcast.models.conv1d_classic import FEATURES, HOURS_IN, HOURS_OUT

MODEL_FILE, CARD_FILE = "classic.onnx", "classic.json"
MAX_CARD = 60_000
"""Bytes that the card may have."""
_RETRAIN = "restore the file, or make it anew: python -m gridcast.pipeline.exporting"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Feature(_Strict):
    """A column of the window: what it says in which unit, and between which values, ``low`` and ``high``, it can be.

    ``whole`` columns hold no fractions. The network sees (value - ``centre``) / ``spread``.
    """

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    whole: bool
    centre: float
    spread: float


class Target(_Strict):
    """What comes out, in MW: the network's number times ``spread`` plus ``centre``, and nothing below ``least``."""

    unit: str
    centre: float
    spread: float
    least: float


class Canary(_Strict):
    """A window [96, 12] with the SHA-256 of its values (float64, little-endian) and the MW [24] that torch answered."""

    features: tuple[tuple[float, ...], ...]
    features_sha256: str
    expected: tuple[float, ...]


class Scores(_Strict):
    """How good it was on days it never saw, ``naive`` being the same hour a week before; MW and %."""

    first_day: date
    last_day: date
    windows: int
    mae_mw: float
    mape_pct: float
    naive_mae_mw: float


class Card(_Strict):
    """What stands beside the network: ``first_day`` to ``last_day`` (inclusive) of ``data`` it was trained on."""

    name: str
    version: str
    zone: str
    data: str
    first_day: date
    last_day: date
    seed: int
    sha256: str
    features: tuple[Feature, ...]
    target: Target
    scores: Scores
    canary: Canary


def read(text: bytes) -> Card:
    """The card in the JSON of its file.

    Raises:
        ArtifactMismatch: it is not one, or contradicts itself.
    """
    if len(text) > MAX_CARD:
        raise refused(f"has {len(text)} bytes, and {MAX_CARD} are allowed", path=CARD_FILE)
    try:
        card = Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise refused(f"is no card of a classic network ({where}: {first['msg']})", path=CARD_FILE) from None
    features, canary = tuple(each.name for each in card.features), card.canary
    shaped = len(canary.features) == HOURS_IN and {len(row) for row in canary.features} == {len(FEATURES)}
    if features != FEATURES or not shaped or len(canary.expected) != HOURS_OUT or min(canary.expected) <= 0:
        raise refused("describes another window, or has no canary for it", path=CARD_FILE)
    if window_sha256(np.array(canary.features)) != canary.features_sha256:
        raise refused("has a canary whose window was changed", path=CARD_FILE)
    if card.version != version_of(card.sha256):
        raise refused(f"names the version {card.version}, which is not of its hash", path=CARD_FILE)
    return card


def window_sha256(features: Floats) -> str:
    """What `Canary.features_sha256` is of a window."""
    return hashlib.sha256(np.ascontiguousarray(features, "<f8").tobytes()).hexdigest()


def version_of(sha256: str) -> str:
    """What a network is called whose file has that hash.

    >>> version_of("0123456789abcdef")
    'conv1d_classic-01234567'
    """
    return f"conv1d_classic-{sha256[:8]}"


def refused(what: str, *, path: str = MODEL_FILE) -> ArtifactMismatch:
    """The error to raise where a file of the classic network is not what it should be: ``what`` follows its name."""
    return ArtifactMismatch(f"{path} {what}", remedy=_RETRAIN, path=path)
