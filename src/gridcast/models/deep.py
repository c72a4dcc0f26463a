"""The door to the extra ``deep``: what the networks' recipes need before torch is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from gridcast.errors import MissingExtra

Weights = Mapping[str, NDArray[Any]]
"""The weights of a network by name."""


@contextmanager
def needed_by(model: str) -> Iterator[None]:
    """Around the imports of torch and of what is built on it.

    Raises:
        MissingExtra: it is not installed; fact ``extra``.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the model {model!r} needs {error.name}", remedy='pip install "gridcast[deep]"', extra="deep"
        ) from error


def to_arrays(prefix: str, weights: Weights) -> dict[str, NDArray[Any]]:
    """The weights under a prefix, as a model's file holds them."""
    return {f"{prefix}.{name}": values for name, values in weights.items()}


def from_arrays(prefix: str, arrays: Weights) -> Weights:
    """What `to_arrays` put there."""
    head = f"{prefix}."
    return {name.removeprefix(head): values for name, values in arrays.items() if name.startswith(head)}
