"""A fitted model on disk: a folder of data-only files, ``model.json`` and ``arrays.safetensors``. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcast.errors import ArtifactMismatch

_META, _ARRAYS = "model.json", "arrays.safetensors"


def save(folder: Path, *, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the two files; the same content gives the same bytes."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / _META).write_text(json.dumps(meta, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    save_file({name: np.ascontiguousarray(values) for name, values in sorted(arrays.items())}, folder / _ARRAYS)


def load(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read them back.

    Raises:
        ArtifactMismatch: a file is absent or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return json.loads((folder / _META).read_text(encoding="utf-8")), load_file(folder / _ARRAYS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactMismatch(
            f"{folder} holds no readable model ({error})",
            remedy="train the model again or restore the folder",
            path=str(folder),
        ) from error


def flatten(prefix: str, part: object) -> dict[str, NDArray[Any]]:
    """The array fields of a dataclass, nested ones included, under dotted names."""
    arrays: dict[str, NDArray[Any]] = {}
    for each in fields(part):  # type: ignore[arg-type]  # callers pass dataclass instances
        value = getattr(part, each.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}.{each.name}"] = value
        elif is_dataclass(value):
            arrays |= flatten(f"{prefix}.{each.name}", value)
    return arrays


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose dotted name is ``prefix`` and one more word, by that word."""
    head = f"{prefix}."
    return {
        name[len(head) :]: values
        for name, values in arrays.items()
        if name.startswith(head) and "." not in name[len(head) :]
    }
