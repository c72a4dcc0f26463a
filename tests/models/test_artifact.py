"""A model on disk: the same content gives the same bytes, and a damaged folder is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gridcast.contracts import Floats
from gridcast.errors import ArtifactMismatch
from gridcast.models import artifact

META = {"recipe": {"b": 1.5, "a": [1, 2]}, "name": "ø"}
ARRAYS = {
    "z": np.arange(6.0).reshape(2, 3).T,
    "a.flags": np.array([True, False]),
    "a.numbers": np.array([1, 2, 3], np.int64),
    "empty": np.empty((0, 4)),
}


def test_what_was_saved_is_what_is_read(tmp_path: Path) -> None:
    artifact.save(tmp_path / "deep" / "model", meta=META, arrays=ARRAYS)
    meta, arrays = artifact.load(tmp_path / "deep" / "model")
    assert meta == META
    assert arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == values.dtype
    assert sorted(path.name for path in (tmp_path / "deep" / "model").iterdir()) == ["arrays.safetensors", "model.json"]


def test_the_same_content_in_another_order_gives_the_same_bytes(tmp_path: Path) -> None:
    artifact.save(tmp_path / "one", meta=META, arrays=ARRAYS)
    artifact.save(
        tmp_path / "two",
        meta=dict(reversed(META.items())),
        arrays={name: np.asfortranarray(ARRAYS[name]) for name in reversed(ARRAYS)},
    )
    for name in ("model.json", "arrays.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:9])],
    ids=["absent", "empty", "cut short"],
)
def test_a_damaged_folder_is_refused_and_named(name: str, damage: Callable[[Path], object], tmp_path: Path) -> None:
    artifact.save(tmp_path, meta=META, arrays=ARRAYS)
    damage(tmp_path / name)
    with pytest.raises(ArtifactMismatch, match="holds no readable model") as caught:
        artifact.load(tmp_path)
    assert caught.value.path == str(tmp_path)


@dataclass(frozen=True)
class Inner:
    values: Floats
    label: str


@dataclass(frozen=True)
class Outer:
    inner: Inner
    scale: Floats
    number: float = 1.0


def test_array_fields_get_dotted_names_and_come_back_by_their_prefix() -> None:
    part = Outer(Inner(np.ones(2), "x"), np.zeros(3))
    flat = artifact.flatten("model", part)
    assert list(flat) == ["model.inner.values", "model.scale"]
    assert list(artifact.under("model", flat)) == ["scale"]
    assert list(artifact.under("model.inner", flat)) == ["values"]
    assert artifact.under("mod", flat) == {}
