"""Full disks, crashes and crowds: a version is there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridcast.errors import RegistryError
from gridcast.registry import disk

SOURCE = Path(__file__).resolve().parents[2] / "src"
SHELF = {"zone": "DK_1", "task": "day_ahead"}
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_disk_that_fails_is_one_error_and_leaves_no_version(registry, register, root, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RegistryError, match=r"No space left on device.*free space"):
        register()
    assert {path.name for path in (root / "DK_1" / "day_ahead").iterdir()} == {".lock"}


def test_a_root_that_is_a_file_is_one_error(registry, register, root):
    root.parent.mkdir()
    root.write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        register()


def test_a_version_and_a_champion_are_on_the_disk_before_they_can_be_seen(registry, register, root, monkeypatch):
    steps: list[tuple[str, str]] = []
    fsync, rename, swap = os.fsync, Path.rename, Path.replace

    def synced(descriptor):
        steps.append(("synced", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def moved(move):
        return lambda path, to: steps.append(("moved", Path(to).name)) or move(path, to)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell a descriptor's name")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", moved(rename))
    monkeypatch.setattr(Path, "replace", moved(swap))

    version = register()
    at = steps.index(("moved", version.id))
    assert {name for _, name in steps[:at]} == {"model.json", "arrays.safetensors", "manifest.json", "model", "version"}
    assert [name for _, name in steps[at + 1 :]] == ["day_ahead", "DK_1", "models"]

    steps.clear()
    registry.promote(version, at=NOON)
    assert [step for step in steps if step[1] != "version"][:1] == [("synced", "champion.json")]
    assert steps[-2:] == [("moved", "champion.json"), ("synced", "day_ahead")]


def test_a_writer_that_waits_in_vain_says_so(registry, register, root, monkeypatch):
    register()
    monkeypatch.setattr(disk, "PATIENCE_S", 0.05)
    with disk.alone(root / "DK_1" / "day_ahead" / ".lock"), pytest.raises(RegistryError, match="no other writer hangs"):
        register(2.0)


def test_a_reader_never_waits_for_a_writer(registry, register, root):
    version = register()
    registry.promote(version, at=NOON)
    with disk.alone(root / "DK_1" / "day_ahead" / ".lock"):
        assert registry.champion(**SHELF) == version
        registry.load(version)


def test_a_reader_beside_many_writers_sees_whole_versions_and_a_champion_only(registry, register):
    registry.promote(register(1.0), at=NOON)
    done = threading.Event()

    def read():
        seen = 0
        while not done.is_set():
            for version in registry.versions(**SHELF):
                registry.load(version)
                seen += 1
            champion = registry.champion(**SHELF)
            assert champion is not None
            registry.manifest(champion)
        return seen

    def write(number):
        # Two of each content, which race for one version.
        version = register(2.0 + number // 2, trained_at=NOON + number * HOUR)
        registry.promote(version, at=NOON + number * HOUR)
        return version

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        written = list(pool.map(write, range(16)))
        done.set()
        assert all(reader.result() > 0 for reader in readers)

    assert len(registry.versions(**SHELF)) == len(set(written)) + 1 == 9
    assert {move.version for move in registry.history(**SHELF)} == set(registry.versions(**SHELF))


CHILD = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from datetime import UTC, date, datetime
from gridcast.contracts import QUANTILES
from gridcast.models.calibration import Calibration
from gridcast.models.naive import FittedNaive, Naive
from gridcast.registry import Details, Registry

registry = Registry(Path(sys.argv[2]))
details = Details(
    inputs=("load",), resolution=np.timedelta64(1, "h"), first_day=date(2023, 1, 1), last_day=date(2026, 1, 1),
    data_sha256="ab", weather_basis="", tso_basis="", seed=0,
)

def add(width):
    bands = Calibration(np.ones(24), np.ones(12), np.ones(3), width * np.linspace(-1, 1, len(QUANTILES)))
    fitted = FittedNaive(Naive(), bands)
    at = datetime(2026, 1, 2, int(width), tzinfo=UTC)
    return registry.register(fitted, zone="DK_1", task="day_ahead", trained_at=at, details=details)

def die(*_):
    os._exit(9)
"""


def child(root: Path, work: str) -> subprocess.Popen[str]:
    script = CHILD + textwrap.dedent(work)
    return subprocess.Popen([sys.executable, "-c", script, str(SOURCE), str(root)], stderr=subprocess.PIPE, text=True)


def test_a_writer_that_dies_before_its_rename_leaves_nothing_to_see_and_the_next_one_sweeps_up(
    registry, register, root
):
    shelf = root / "DK_1" / "day_ahead"
    with child(root, "Path.rename = die\nadd(1)") as process:
        process.communicate()
        assert process.returncode == 9
    assert [path for path in shelf.iterdir() if path.name.startswith(".writing-")]
    assert registry.versions(**SHELF) == []

    version = register()
    assert {path.name for path in shelf.iterdir()} == {".lock", version.id}
    registry.load(version)


def test_a_promotion_that_dies_before_its_rename_never_was(registry, register, root):
    first, second = register(1.0), register(2.0, trained_at=NOON + HOUR)
    registry.promote(first, at=NOON)
    work = "Path.replace = die\nregistry.promote(registry.versions('DK_1', 'day_ahead')[1], at=datetime.now(UTC))"
    with child(root, work) as process:
        process.communicate()
        assert process.returncode == 9

    assert registry.champion(**SHELF) == first
    registry.promote(second, at=NOON)
    assert [move.version for move in registry.history(**SHELF)] == [first, second]
    assert not list((root / "DK_1" / "day_ahead").glob(".writing-*"))


def test_processes_that_register_the_same_models_at_once_make_each_of_them_once(registry, root):
    work = "for width in range(1, 7): registry.promote(add(width), at=datetime(2026, 1, 2, tzinfo=UTC))"
    processes = [child(root, work) for _ in range(3)]
    for process in processes:
        _, trouble = process.communicate()
        assert process.returncode == 0, trouble

    versions = registry.versions(**SHELF)
    assert len(versions) == 6
    for version in versions:
        registry.load(version)
    assert len(registry.history(**SHELF)) >= 6
