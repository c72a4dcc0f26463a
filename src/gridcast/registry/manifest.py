"""What a model version is called, and what stands beside it: values, and their JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridcast import models
from gridcast.errors import BadTime, ModelNotFound, RegistryError
from gridcast.market.days import Task
from gridcast.models import Recipe

SCHEMA = 1
"""Version of the manifest's own layout."""

ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What reading JSON of another shape raises."""
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Version:
    """The name of a model version; whether it exists is the registry's to say.

    Raises:
        RegistryError: the zone or task could not name a folder of the registry.
        ModelNotFound: no version has such an ``id``.
    """

    zone: str
    task: str
    id: str

    def __post_init__(self) -> None:
        check_shelf(self.zone, self.task)
        if not ID.fullmatch(self.id):
            raise ModelNotFound(
                f"{self.zone} {self.task} has no model version {self.id!r}",
                remedy="name one like 20260102T030405Z-0123abcd",
                version=self.id,
            )

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class Details:
    """What only the trainer knows: what a model was fitted on, and how good it was found to be.

    ``first_day`` to ``last_day`` (inclusive, market-local) is the training period, ``data_sha256`` its data's hash.
    ``metrics`` are JSON values.
    """

    inputs: tuple[str, ...]
    resolution: np.timedelta64
    first_day: date
    last_day: date
    data_sha256: str
    weather_basis: str
    tso_basis: str
    seed: int
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What stands beside a registered model.

    ``model`` and ``parameters`` are the recipe's, ``gridcast`` is the release that trained it, and ``files`` maps each
    file of the version to its SHA-256.
    """

    zone: str
    task: str
    model: str
    parameters: Mapping[str, Any]
    trained_at: datetime
    details: Details
    gridcast: str
    files: Mapping[str, str]

    @property
    def content(self) -> str:
        """SHA-256 of what makes a model this one: all of the manifest but when it was trained and how good it is."""
        facts = self._facts()
        del facts["trained_at"], facts["details"]["metrics"]
        return hashlib.sha256(to_json(facts).encode()).hexdigest()

    @property
    def version(self) -> Version:
        """The version that it stands beside."""
        return Version(zone=self.zone, task=self.task, id=self.id)

    @property
    def id(self) -> str:
        """The version's id: when it was trained (UTC), and how the hash of its content begins."""
        return f"{self.trained_at:%Y%m%dT%H%M%SZ}-{self.content[:_DIGITS]}"

    def to_json(self) -> str:
        """The text of the file.

        Raises:
            RegistryError: a value of it is no JSON.
        """
        return to_json(self._facts())

    def _facts(self) -> dict[str, Any]:
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        details = {each.name: getattr(self.details, each.name) for each in fields(self.details)}
        return {"schema": SCHEMA} | own | {"details": details}


def read(text: str, *, where: Path) -> Manifest:
    """The manifest that `Manifest.to_json` wrote; text of another shape raises one of `UNREADABLE`.

    Raises:
        RegistryError: it has another layout than `SCHEMA`.
    """
    facts = json.loads(text)
    if facts.pop("schema") != SCHEMA:
        raise RegistryError(
            f"{where} is not of layout {SCHEMA}",
            remedy="use the gridcast that wrote it, or train the model again",
            path=str(where),
        )
    details = facts.pop("details")
    details["inputs"] = tuple(details["inputs"])
    details["resolution"] = np.timedelta64(details["resolution"], "s")
    details |= {name: date.fromisoformat(details[name]) for name in ("first_day", "last_day")}
    facts["trained_at"] = utc(datetime.fromisoformat(facts["trained_at"]))
    facts["parameters"] = {name: _tuples(value) for name, value in facts["parameters"].items()}
    return Manifest(**facts, details=Details(**details))


def describe(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """A recipe's name and parameters, proved to make the same recipe once they went through JSON.

    Raises:
        RegistryError: they do not.
        UnknownModel: its name is not one that can be loaded again.
    """
    chosen = {each.name: getattr(recipe, each.name) for each in fields(recipe) if each.init}  # type: ignore[arg-type]
    parameters = {name: _tuples(value) for name, value in json.loads(to_json(chosen)).items()}
    if models.recipe(recipe.name, parameters) != recipe:
        raise RegistryError(
            f"the parameters of the model {recipe.name!r} do not survive JSON",
            remedy="make them numbers, text, truth values, None or tuples of these",
            model=recipe.name,
        )
    return recipe.name, parameters


def to_json(value: object) -> str:
    """The value as JSON: days and instants in ISO 8601, durations in seconds.

    Raises:
        RegistryError: it holds something else, or a number that is not finite.
    """
    try:
        return json.dumps(value, default=_plain, sort_keys=True, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise RegistryError(
            f"the registry cannot write this down as JSON ({error})",
            remedy="give finite numbers, text and plain tables",
        ) from error


def utc(moment: datetime) -> datetime:
    """The instant in UTC.

    Raises:
        BadTime: it has no time zone.
    """
    if moment.tzinfo is None:
        raise BadTime(f"{moment} has no time zone", remedy="give an instant in UTC", where="the registry")
    return moment.astimezone(UTC)


def check_shelf(zone: str, task: str) -> None:
    """Refuse what could lead out of the registry's folder.

    Raises:
        RegistryError: the zone is no word, or there is no such task.
    """
    if not _ZONE.fullmatch(zone):
        raise RegistryError(f"{zone!r} is no name of a zone", remedy="use letters, digits and underscores", zone=zone)
    if task not in list(Task):
        raise RegistryError(f"there is no task {task!r}", remedy=f"choose one of {', '.join(Task)}", task=task)


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, np.timedelta64):
        return int(value / np.timedelta64(1, "s"))
    return json.JSONEncoder().default(value)


def _tuples(value: object) -> object:
    """The same value with every list a tuple: a recipe is frozen, and JSON knows lists only."""
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
