"""Randomness as a pure function: the same seed, name and instant give the same draw, whatever period is asked for."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from gridcast.contracts import Floats
from gridcast.market.days import HOUR, Times

_MEMORY = 72
"""How far back noise with a memory reaches, hours."""


def uniform(when: Times, name: str, *, seed: int) -> Floats:
    """A number in (0, 1) for each instant [N] of the process ``name``: SplitMix64 of the second.

    >>> times = np.array(["2024-01-01", "2024-01-02"], "datetime64[us]")
    >>> bool((uniform(times, "x", seed=7)[1:] == uniform(times[1:], "x", seed=7)).all())
    True
    """
    key = when.astype("datetime64[s]").astype(np.int64).astype(np.uint64)
    salt = np.uint64(crc32(name.encode()) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 & 0xFFFFFFFFFFFFFFFF)
    mixed = _mix(key * np.uint64(0x9E3779B97F4A7C15) + salt)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def normal(when: Times, name: str, *, seed: int) -> Floats:
    """A standard normal draw for each instant [N]."""
    return np.asarray(ndtri(uniform(when, name, seed=seed)), float)


def remembered(hours: Times, name: str, *, seed: int, memory: float) -> Floats:
    """Noise of unit variance for consecutive hours [N] that fades with ``memory`` (hours)."""
    before = hours[0] - HOUR * np.arange(_MEMORY, 0, -1)
    shocks = normal(np.concatenate([before, hours]), name, seed=seed)
    kernel = np.exp(-np.arange(_MEMORY + 1) / memory)
    return np.asarray(np.convolve(shocks, kernel / np.sqrt(np.sum(kernel**2)), mode="valid"), float)
