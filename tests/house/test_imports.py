"""Importing is free: nothing heavy is loaded, nothing happens, and every module stands by itself."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import gridcast

SOURCE = Path(__file__).resolve().parents[2] / "src"
MODULES = sorted(
    ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for file in (SOURCE / "gridcast").rglob("*.py")
    if file.name != "__main__.py"
)
HEAVY = {
    "fastapi", "lightgbm", "matplotlib", "mlflow", "onnx", "onnxruntime", "pandas", "plotly", "pyarrow", "sqlalchemy",
    "torch",
}  # fmt: skip
OF_AN_EXTRA = {
    "fastapi", "httptools", "lightning", "onnx", "onnxruntime", "onnxscript", "opentelemetry", "prometheus_client",
    "psycopg", "starlette", "torch", "uvicorn", "uvloop",
}  # fmt: skip

PROBE = """
import json, logging, os, sys, threading, time, warnings
def state():
    return [dict(os.environ), logging.getLogger().handlers[:], threading.active_count(), warnings.filters[:]]
before, began = state(), time.perf_counter()
import gridcast
seconds, after = time.perf_counter() - began, state()
print(json.dumps({"seconds": seconds, "untouched": before == after, "modules": sorted(sys.modules)}))
"""


def probe(folder: Path) -> dict[str, object]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    assert list(folder.iterdir()) == []
    return json.loads(answer.stdout)


def test_importing_gridcast_does_nothing_and_loads_no_heavy_library(tmp_path):
    answers = [probe(tmp_path) for _ in range(3)]

    print(f"import gridcast: median {statistics.median(answer['seconds'] for answer in answers):.3f} s")
    assert all(answer["untouched"] for answer in answers)
    assert "gridcast" in answers[0]["modules"]
    assert not HEAVY & set(answers[0]["modules"])


@pytest.fixture
def nothing_imported() -> Iterator[None]:
    """The state before the first ``import gridcast``; the modules of the other tests come back afterwards."""
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "gridcast"}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "gridcast"]:
        del sys.modules[name]
    sys.modules.update(ours)


@pytest.mark.usefixtures("nothing_imported")
@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_the_first_to_be_imported(module):
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as absent:
        if absent.name is None or absent.name.split(".")[0] not in OF_AN_EXTRA:
            raise
        pytest.skip(f"{absent.name} is absent: it comes with an extra")


def test_every_public_name_is_in_all_and_exists():
    public = {
        name
        for name, value in vars(gridcast).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }
    assert len(gridcast.__all__) == len(set(gridcast.__all__)) > 0
    assert public <= set(gridcast.__all__)
    assert [name for name in gridcast.__all__ if not hasattr(gridcast, name)] == []
