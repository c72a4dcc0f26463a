from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from gridcast import __version__, models
from gridcast.errors import ArtifactMismatch, BadTime, ModelNotFound, RegistryError, UnknownModel
from gridcast.market.days import Task
from gridcast.models.ensemble import Ensemble, FittedEnsemble
from gridcast.models.naive import FittedNaive
from gridcast.registry import Action, Registry, Version

SHELF = {"zone": "DK_1", "task": "day_ahead"}
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def files(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def folder_of(root: Path, version: Version) -> Path:
    return root / version.zone / version.task / version.id


def test_a_model_comes_back_as_it_was_registered_with_all_that_was_said_of_it(registry, register, naive, details):
    fitted, manifest = registry.load(register(2.0))

    assert isinstance(fitted, FittedNaive)
    assert np.array_equal(fitted.calibration.offsets, naive(2.0).calibration.offsets)
    assert (manifest.zone, manifest.task, manifest.model, manifest.parameters) == ("DK_1", "day_ahead", "naive", {})
    assert (manifest.trained_at, manifest.details, manifest.gridcast) == (NOON, details, __version__)
    assert set(manifest.files) == {"model/model.json", "model/arrays.safetensors"}


def test_a_recipe_with_tuples_and_models_inside_comes_back_equal(registry, register, naive):
    recipe = Ensemble(members=("naive",), weights=(1.0,))
    member = naive(1.0)
    version = register(FittedEnsemble(recipe, (member,), member.calibration))
    fitted, manifest = registry.load(version)

    assert fitted.recipe == models.recipe(manifest.model, manifest.parameters) == recipe
    assert "model/naive/arrays.safetensors" in manifest.files


def test_a_version_is_named_after_its_time_in_utc_and_its_content(registry, register):
    cet = timezone(HOUR)
    version = register(trained_at=datetime(2026, 1, 2, 4, 4, 5, 999_999, tzinfo=cet))

    assert version.id.startswith("20260102T030405Z-")
    assert version.id.endswith(registry.manifest(version).content[:8])
    assert registry.versions(**SHELF) == [version]


def test_a_time_without_time_zone_is_refused(register, root):
    with pytest.raises(BadTime, match="UTC"):
        register(trained_at=datetime(2026, 1, 2))  # noqa: DTZ001  # what is refused
    assert Registry(root).versions(**SHELF) == []


def test_the_same_model_of_the_same_data_is_one_version_whenever_and_however_scored(register, details, root):
    first = register()
    before = files(root)

    assert register(trained_at=NOON + HOUR, details=replace(details, metrics={})) == first
    assert files(root) == before


@pytest.mark.parametrize(
    "other",
    [
        {"model": 3.0},
        {"data_sha256": "cd" * 32},
        {"inputs": ("load",)},
        {"resolution": np.timedelta64(1, "h")},
        {"seed": 1},
        {"zone": "DK_2"},
        {"task": "next_24h"},
    ],
)
def test_anything_else_is_another_version(register, details, other):
    described = {name: value for name, value in other.items() if hasattr(details, name)}
    named = {name: value for name, value in other.items() if name not in described}
    assert register(details=replace(details, **described), **named).id != register().id


def test_versions_are_listed_oldest_first_for_their_zone_and_task_alone(registry, register):
    late, early = register(1.0, trained_at=NOON + HOUR), register(2.0, trained_at=NOON)
    register(zone="DK_2")
    register(task=Task.NEXT_24H)

    assert registry.versions("DK_1", Task.DAY_AHEAD) == [early, late]


def test_an_empty_registry_has_nothing_and_makes_nothing(registry, root):
    assert registry.versions(**SHELF) == []
    assert registry.champion(**SHELF) is None
    assert registry.history(**SHELF) == ()
    with pytest.raises(ModelNotFound, match="train one"):
        registry.load(Version(**SHELF, id="20260102T030405Z-0123abcd"))
    assert not root.exists()


@pytest.mark.parametrize("zone", ["../DK_1", "..", ".", "", "a/b", "a\\b", "DK_1\0", "/DK_1", "DK_1\n", "DK 1"])
def test_a_zone_that_could_lead_elsewhere_is_refused(registry, register, tmp_path, zone):
    for act in (
        lambda: register(zone=zone),
        lambda: registry.versions(zone, "day_ahead"),
        lambda: registry.champion(zone, "day_ahead"),
        lambda: registry.rollback(zone, "day_ahead", at=NOON),
        lambda: Version(zone=zone, task="day_ahead", id="20260102T030405Z-0123abcd"),
    ):
        with pytest.raises(RegistryError, match="no name of a zone"):
            act()
    assert files(tmp_path) == {}


@pytest.mark.parametrize("task", ["..", "week", ""])
def test_a_task_that_does_not_exist_is_refused(registry, task):
    with pytest.raises(RegistryError, match="choose one of day_ahead, next_24h"):
        registry.versions("DK_1", task)


@pytest.mark.parametrize(
    "name", ["../20260102T030405Z-0123abcd", "champion.json", "20260102T030405Z-0123ABCD", "", "٢"]
)
def test_an_id_that_no_version_can_have_is_not_found(name):
    with pytest.raises(ModelNotFound, match="name one like"):
        Version(**SHELF, id=name)


@dataclass(frozen=True)
class Brought:
    """A recipe of a user's own, whose parameter JSON changes."""

    name: ClassVar[str] = "brought"
    since: object = None

    def fit(self, design, *, seed=0): ...

    def load(self, folder): ...


@dataclass(frozen=True)
class FittedBrought:
    recipe: Brought

    def save(self, folder):
        folder.mkdir(parents=True)


@pytest.fixture
def brought(monkeypatch):
    class Point:
        load = staticmethod(lambda: Brought)

    monkeypatch.setattr(models, "_known", lambda: {"brought": Point})


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("since", [date(2020, 1, 1), {1: 2}, object(), float("nan"), [1, 2]])
def test_a_recipe_that_json_would_change_is_refused(register, root, since):
    with pytest.raises(RegistryError, match="JSON"):
        register(FittedBrought(Brought(since)))
    assert not root.exists()


@pytest.mark.usefixtures("brought")
def test_a_recipe_of_nested_tuples_and_tables_is_kept(registry, register):
    since = (1, ("a", None), {"b": (2.5, True)})
    manifest = registry.manifest(register(FittedBrought(Brought(since))))
    assert manifest.parameters == {"since": since}


def test_a_recipe_that_could_not_be_loaded_again_is_refused(register, root):
    with pytest.raises(UnknownModel):
        register(FittedBrought(Brought()))
    assert not root.exists()


def test_metrics_that_are_no_json_are_refused_and_nothing_is_left(register, details, root):
    with pytest.raises(RegistryError, match="finite"):
        register(details=replace(details, metrics={"mae_mw": float("nan")}))
    assert {path.name for path in (root / "DK_1" / "day_ahead").iterdir()} == {".lock"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(path: Path, **facts: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | facts), "utf-8")


DAMAGE = {
    "a flipped bit": lambda version: flip(version / "model" / "arrays.safetensors"),
    "a missing file": lambda version: (version / "model" / "model.json").unlink(),
    "an extra file": lambda version: (version / "model" / "code.py").write_text(""),
    "an extra file deep down": lambda version: (
        (version / "model" / "a" / "b").mkdir(parents=True) or (version / "model" / "a" / "b" / "c").write_text("")
    ),
    "an extra file beside": lambda version: (version / "notes.txt").write_text(""),
    "an extra link": lambda version: (version / "model" / "more").symlink_to("/"),
    "no manifest": lambda version: (version / "manifest.json").unlink(),
    "an empty manifest": lambda version: (version / "manifest.json").write_text(""),
    "a manifest that is a list": lambda version: (version / "manifest.json").write_text("[]"),
    "a manifest without a fact": lambda version: (version / "manifest.json").write_text('{"schema": 1}'),
    "a manifest with a fact too many": lambda version: rewrite(version / "manifest.json", colour="blue"),
    "a manifest of another recipe": lambda version: rewrite(version / "manifest.json", model="linear"),
    "a manifest of another zone": lambda version: rewrite(version / "manifest.json", zone="DK_2"),
    "a manifest of no zone": lambda version: rewrite(version / "manifest.json", zone="../x"),
    "a manifest of another time": lambda version: rewrite(version / "manifest.json", trained_at="2026-01-02T13:00:00Z"),
    "a manifest of no time zone": lambda version: rewrite(version / "manifest.json", trained_at="2026-01-02T12:00:00"),
    "a manifest without files": lambda version: rewrite(version / "manifest.json", files={}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_version_is_neither_loaded_nor_promoted_nor_returned_to_nor_taken_for_whole(
    registry, register, root, damage
):
    version, later = register(1.0), register(2.0, trained_at=NOON + HOUR)
    registry.promote(version, at=NOON)
    registry.promote(later, at=NOON + HOUR)
    DAMAGE[damage](folder_of(root, version))

    for act in (
        lambda: registry.load(version),
        lambda: registry.promote(version, at=NOON),
        lambda: registry.rollback(**SHELF, at=NOON),
    ):
        with pytest.raises(ArtifactMismatch) as refused:
            act()
        assert str(folder_of(root, version)) in refused.value.path
    assert registry.champion(**SHELF) == later
    whole = register(1.0, trained_at=NOON + 2 * HOUR)
    assert whole != version
    registry.load(whole)


def test_a_manifest_of_another_layout_says_who_can_read_it(registry, register, root):
    version = register()
    rewrite(folder_of(root, version) / "manifest.json", schema=2)
    with pytest.raises(RegistryError, match=r"layout 1: use the gridcast that wrote it") as refused:
        registry.load(version)
    assert not isinstance(refused.value, ArtifactMismatch)


def test_a_champion_is_promoted_and_rolled_back_step_by_step_and_all_of_it_is_remembered(registry, register):
    a, b, c = (register(width, trained_at=NOON + width * HOUR) for width in (1.0, 2.0, 3.0))
    for hour, version in enumerate((a, b, c)):
        registry.promote(version, at=NOON + hour * HOUR)
        assert registry.champion(**SHELF) == version

    assert registry.rollback(**SHELF, at=NOON + 3 * HOUR) == b
    assert registry.rollback(**SHELF, at=NOON + 4 * HOUR) == a
    with pytest.raises(ModelNotFound, match=f"no champion before {a}"):
        registry.rollback(**SHELF, at=NOON)
    registry.promote(c, at=NOON + 5 * HOUR)
    assert registry.rollback(**SHELF, at=NOON + 6 * HOUR) == a == registry.champion(**SHELF)

    history = registry.history(**SHELF)
    assert [move.version for move in history] == [a, b, c, b, a, c, a]
    assert [move.action for move in history] == [Action(word) for word in ["promote"] * 3 + ["rollback"] * 2] + [
        Action.PROMOTE,
        Action.ROLLBACK,
    ]
    assert [move.at for move in history] == [NOON + hour * HOUR for hour in range(7)]


def test_promoting_the_champion_again_changes_nothing(registry, register):
    version = register()
    registry.promote(version, at=NOON)
    registry.promote(version, at=NOON + HOUR)
    assert len(registry.history(**SHELF)) == 1


def test_champions_of_zones_and_tasks_are_apart(registry, register):
    registry.promote(register(), at=NOON)
    assert registry.champion("DK_2", "day_ahead") is None
    assert registry.champion("DK_1", "next_24h") is None


def test_a_version_that_does_not_exist_is_not_promoted(registry, register, root):
    register()
    with pytest.raises(ModelNotFound):
        registry.promote(Version(**SHELF, id="20260102T030405Z-0123abcd"), at=NOON)
    with pytest.raises(ModelNotFound, match="no champion before any"):
        registry.rollback(**SHELF, at=NOON)
    assert not (root / "DK_1" / "day_ahead" / "champion.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        "[1]",
        '[{"at": "2026-01-01", "action": "promote", "version": "20260102T030405Z-0123abcd"}]',
        '[{"at": "2026-01-01T00:00:00Z", "action": "rollback", "version": "20260102T030405Z-0123abcd"}]',
        '[{"at": "2026-01-01T00:00:00Z", "action": "promote", "version": "../other"}]',
        '[{"at": "2026-01-01T00:00:00Z", "action": "elect", "version": "20260102T030405Z-0123abcd"}]',
    ],
)
def test_a_damaged_champion_file_is_reported_and_not_overwritten(registry, register, root, text):
    version = register()
    path = root / "DK_1" / "day_ahead" / "champion.json"
    path.write_text(text)

    for act in (lambda: registry.champion(**SHELF), lambda: registry.promote(version, at=NOON)):
        with pytest.raises(RegistryError, match="restore it"):
            act()
    assert path.read_text() == text
