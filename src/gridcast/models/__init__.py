"""Recipes that are fitted, and what they become: one model a file.

A `Recipe` is a frozen value; `Recipe.fit` RETURNS a `Fitted`, another type, which predicts, saves and is loaded by
its recipe. A user's own recipe plugs in by an entry point of the group ``gridcast.models`` and passes
``tests/conformance``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from gridcast.contracts import Design, Floats
from gridcast.errors import ConfigError, MissingExtra, UnknownModel

if TYPE_CHECKING:
    from gridcast.models.calibration import Calibration

_SHIPPED = {
    "naive": "gridcast.models.naive:Naive",
    "similar_day": "gridcast.models.similar_day:SimilarDay",
    "linear": "gridcast.models.linear:Linear",
    "boosted": "gridcast.models.boosted:Boosted",
    "conv1d": "gridcast.models.conv1d:Conv1d",
    "conv1d_classic": "gridcast.models.conv1d_classic:Conv1dClassic",
    "ensemble": "gridcast.models.ensemble:Ensemble",
}
CHAMPION = "ensemble"
"""The recipe that a zone has until another is promoted."""


class Fitted(Protocol):
    """A fitted model."""

    @property
    def recipe(self) -> Recipe:
        """What it was fitted from."""
        ...

    @property
    def calibration(self) -> Calibration:
        """What its own errors say: how wide its bands are, and how the errors of a window hang together."""
        ...

    @property
    def held_out(self) -> Floats:
        """Log forecasts of the training rows made without them, [N], NaN where there is none; empty once loaded."""
        ...

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included; NaN where there is no input for it."""
        ...

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the design's wanted rows, [M, Q] by `contracts.QUANTILES`: finite, positive, not crossing.

        A row that the model has no input for is NaN.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write data-only files, scalers and calibration included."""
        ...


@runtime_checkable
class Recipe(Protocol):
    """What to build: a frozen dataclass of plain values."""

    name: Any

    def fit(self, design: Design, *, seed: int = 0) -> Fitted:
        """Fit on the rows whose target is known. The same design and seed give the same bytes.

        Raises:
            TooLittleHistory: the design has too few days.
        """
        ...

    def load(self, folder: Path) -> Fitted:
        """Read what `Fitted.save` wrote.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        ...


@cache
def _known() -> dict[str, Any]:
    plugged = {point.name: point for point in entry_points(group="gridcast.models")}
    return {**_SHIPPED, **plugged}


def names() -> tuple[str, ...]:
    """Every model that can be named, the shipped ones first."""
    return tuple(_known())


def recipe(name: str, parameters: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name, with other parameters than its own where given.

    Raises:
        UnknownModel: no such model; facts ``model``, ``known``.
        MissingExtra: the model's library is not installed; fact ``extra``.
        ConfigError: a parameter it does not have.
    """
    if name not in _known():
        near = difflib.get_close_matches(name, names(), n=3)
        raise UnknownModel(
            f"there is no model {name!r}",
            remedy=f"choose one of {', '.join(near or names())}",
            model=name,
            known=names(),
        )
    where = _known()[name]
    try:
        if isinstance(where, str):
            module, _, attribute = where.partition(":")
            kind = getattr(import_module(module), attribute)
        else:
            kind = where.load()
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the model {name!r} needs {error.name}", remedy='pip install "gridcast[deep]"', extra="deep"
        ) from error
    chosen = dict(parameters or {})
    unknown = set(chosen) - {each.name for each in fields(kind)}
    if unknown:
        raise ConfigError(
            f"the model {name!r} has no parameter {', '.join(sorted(unknown))}",
            remedy=f"it has {', '.join(each.name for each in fields(kind)) or 'none'}",
        )
    return cast(Recipe, kind(**chosen))


def require_positive(model: str, **parameters: float) -> None:
    """Raise unless every parameter is a positive, finite number.

    Raises:
        ConfigError: one is not; it is named.
    """
    wrong = [name for name, value in parameters.items() if not 0 < value < float("inf")]
    if wrong:
        raise ConfigError(
            f"the model {model!r} cannot have such {' and '.join(wrong)}", remedy="give a larger, finite number"
        )
