"""The shelf of trained models: immutable versions by zone and task, one of them the champion.

::

    <root>/<zone>/<task>/
        20260102T030405Z-0123abcd/    when it was trained (UTC), and how the hash of its content begins
            manifest.json             what it is, from what, how good; the SHA-256 of every file of the model
            model/                    what `Fitted.save` wrote
        champion.json                 every promotion and rollback, oldest first

A version appears whole, by one rename, or not at all, and never changes; ``champion.json`` is replaced whole, by one
rename too. So readers need no lock, and writers queue behind one.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory

from gridcast import models
from gridcast.errors import ArtifactMismatch, BadTime, ModelNotFound, RegistryError
from gridcast.models import Fitted
from gridcast.registry import disk
from gridcast.registry.manifest import (
    ID,
    UNREADABLE,
    Details,
    Manifest,
    Version,
    check_shelf,
    describe,
    read,
    to_json,
    utc,
)

__all__ = ["Action", "Details", "Manifest", "Move", "Registry", "Version"]

_MANIFEST, _MODEL, _CHAMPION, _LOCK, _SCRATCH = "manifest.json", "model", "champion.json", ".lock", ".writing-"


class Action(StrEnum):
    """Why a champion changed."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One change of champion: ``version`` reigns from ``at`` (UTC) on."""

    at: datetime
    action: Action
    version: Version


class Registry:
    """Model versions in a folder, safe for any number of threads and processes of one machine.

    Args:
        root: the folder; it is made when something is first registered.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def register(self, fitted: Fitted, *, zone: str, task: str, trained_at: datetime, details: Details) -> Version:
        """Add a model.

        The same model of the same data, by the same gridcast, is the same version, whenever it was trained and whatever
        its metrics: one that is there already, undamaged, is returned as it is.

        Raises:
            BadTime: ``trained_at`` has no time zone.
            RegistryError: the recipe or details cannot be written down as JSON, a name is wrong, or the disk failed.
                Nothing is registered then.
        """
        model, parameters = describe(fitted.recipe)
        with self._writing(zone, task) as shelf, TemporaryDirectory(prefix=_SCRATCH, dir=shelf) as scratch:
            fresh = Path(scratch) / "version"
            fitted.save(fresh / _MODEL)
            manifest = Manifest(
                zone=zone,
                task=task,
                model=model,
                parameters=parameters,
                trained_at=utc(trained_at),
                details=details,
                gridcast=installed_version("gridcast"),
                files={name: disk.sha256(fresh / name) for name in sorted(disk.files(fresh))},
            )
            same = self._same(manifest)
            if same is not None:
                return same
            (fresh / _MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
            disk.settle(fresh)
            fresh.rename(self._place(manifest.version))
            for folder in (shelf, shelf.parent, self._root):
                disk.settle_names(folder)
        return manifest.version

    def versions(self, zone: str, task: str) -> list[Version]:
        """Every version, oldest first.

        Raises:
            RegistryError: a name is wrong.
        """
        try:
            names = sorted(each.name for each in self._shelf(zone, task).iterdir() if ID.fullmatch(each.name))
        except FileNotFoundError:
            return []
        return [Version(zone=zone, task=task, id=name) for name in names]

    def manifest(self, version: Version) -> Manifest:
        """What stands beside a version; the model's files are not looked at.

        Raises:
            ModelNotFound: no such version.
            ArtifactMismatch: the manifest is damaged, or another version's.
            RegistryError: another release of gridcast wrote it, in another layout.
        """
        path = self._place(version) / _MANIFEST
        try:
            manifest = read(path.read_text(encoding="utf-8"), where=path)
        except (OSError, *UNREADABLE, BadTime) as error:
            if not path.parent.is_dir():
                raise ModelNotFound(
                    f"{version.zone} {version.task} has no model version {version}",
                    remedy="choose another, or train one with `gridcast train`",
                    version=version.id,
                ) from None
            raise _mismatch(path, "is damaged or unreadable") from error
        if (manifest.zone, manifest.task, manifest.id) != (version.zone, version.task, version.id):
            raise _mismatch(path, "is not the one that was registered")
        return manifest

    def load(self, version: Version) -> tuple[Fitted, Manifest]:
        """The model, once every file of it proved to be the one that was registered.

        Raises:
            ModelNotFound: no such version.
            ArtifactMismatch: a file is missing, changed or not of the version; fact ``path``.
            UnknownModel, MissingExtra: the model's code or library is not installed.
        """
        manifest = self._verified(version)
        recipe = models.recipe(manifest.model, manifest.parameters)
        return recipe.load(self._place(version) / _MODEL), manifest

    def champion(self, zone: str, task: str) -> Version | None:
        """The version that forecasts, or None where none was ever promoted.

        Raises:
            RegistryError: ``champion.json`` is damaged.
        """
        line = _line(self.history(zone, task))
        return line[-1] if line else None

    def history(self, zone: str, task: str) -> tuple[Move, ...]:
        """Every change of champion, oldest first.

        Raises:
            RegistryError: ``champion.json`` is damaged.
        """
        path = self._shelf(zone, task) / _CHAMPION
        try:
            moves = tuple(
                Move(
                    at=utc(datetime.fromisoformat(move["at"])),
                    action=Action(move["action"]),
                    version=Version(zone=zone, task=task, id=move["version"]),
                )
                for move in json.loads(path.read_text(encoding="utf-8"))
            )
            _line(moves)
        except FileNotFoundError:
            return ()
        except (OSError, *UNREADABLE, RegistryError, BadTime) as error:
            raise RegistryError(
                f"{path} is damaged or unreadable",
                remedy="restore it from a copy, or remove it and promote a version",
                path=str(path),
            ) from error
        return moves

    def promote(self, version: Version, *, at: datetime) -> None:
        """Make a version the champion from ``at`` on; the one before is kept for `rollback`.

        Raises:
            ModelNotFound, ArtifactMismatch: the version is not there, or not whole.
        """
        self._verified(version)
        with self._writing(version.zone, version.task) as shelf:
            moves = self.history(version.zone, version.task)
            if _line(moves)[-1:] != [version]:
                _replace(shelf / _CHAMPION, [*moves, Move(at=utc(at), action=Action.PROMOTE, version=version)])

    def rollback(self, zone: str, task: str, *, at: datetime) -> Version:
        """Make the champion before this one reign again from ``at`` on; twice goes back two.

        Raises:
            ModelNotFound: there was none before, or its version is gone.
            ArtifactMismatch: it is not whole.
        """
        with self._writing(zone, task) as shelf:
            moves = self.history(zone, task)
            line = _line(moves)
            if len(line) < 2:
                raise ModelNotFound(
                    f"{zone} {task} had no champion before {line[-1] if line else 'any'}",
                    remedy="promote another version first",
                    version=line[-1].id if line else "",
                )
            self._verified(line[-2])
            _replace(shelf / _CHAMPION, [*moves, Move(at=utc(at), action=Action.ROLLBACK, version=line[-2])])
        return line[-2]

    def _shelf(self, zone: str, task: str) -> Path:
        check_shelf(zone, task)
        return self._root / zone / task

    def _place(self, version: Version) -> Path:
        return self._shelf(version.zone, version.task) / version.id

    def _verified(self, version: Version) -> Manifest:
        manifest, folder = self.manifest(version), self._place(version)
        found, expected = disk.files(folder), {_MANIFEST, *manifest.files}
        for name in sorted(expected - found):
            raise _mismatch(folder / name, "is missing")
        for name in sorted(found - expected):
            raise _mismatch(folder / name, "is no file of this version", remedy="remove it")
        for name, sha256 in manifest.files.items():
            if disk.sha256(folder / name) != sha256:
                raise _mismatch(folder / name, "is not the file that was registered")
        return manifest

    def _same(self, manifest: Manifest) -> Version | None:
        """An undamaged version of the same content."""
        ending = manifest.version.id.partition("-")[2]
        for version in self.versions(manifest.zone, manifest.task):
            if version.id.endswith(ending):
                with suppress(RegistryError):
                    if self._verified(version).content == manifest.content:
                        return version
        return None

    @contextmanager
    def _writing(self, zone: str, task: str) -> Iterator[Path]:
        """The shelf of a zone and task, every other writer kept out, and what crashed ones left swept away."""
        shelf = self._shelf(zone, task)
        try:
            shelf.mkdir(parents=True, exist_ok=True)
            with disk.alone(shelf / _LOCK):
                for left in shelf.glob(f"{_SCRATCH}*"):
                    shutil.rmtree(left)
                yield shelf
        except (OSError, sqlite3.Error) as error:
            raise RegistryError(
                f"{shelf} cannot be written ({error})",
                remedy="check the folder's rights and the disk's free space, and that no other writer hangs",
                path=str(shelf),
            ) from error


def _line(moves: Sequence[Move]) -> list[Version]:
    """The champions so far, the reigning one last: a promotion adds one, a rollback takes one away."""
    line: list[Version] = []
    for move in moves:
        if move.action is Action.PROMOTE:
            line.append(move.version)
        else:
            line.pop()
    return line


def _mismatch(
    path: Path, what: str, *, remedy: str = "restore it from a copy, or train the model again"
) -> ArtifactMismatch:
    return ArtifactMismatch(f"{path} {what}", remedy=remedy, path=str(path))


def _replace(path: Path, moves: Sequence[Move]) -> None:
    """Put the moves in the place of the file, all of them or, at a crash, none."""
    rows = [{"at": move.at, "action": move.action, "version": move.version.id} for move in moves]
    with TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
        fresh = Path(scratch) / path.name
        fresh.write_text(to_json(rows), encoding="utf-8")
        disk.settle(fresh)
        fresh.replace(path)
    disk.settle_names(path.parent)
