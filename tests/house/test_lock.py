"""The lock installs what the project asks for, by hash and from anywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
ASKED_FOR = [
    *PROJECT["project"]["dependencies"],
    *(line for extra in ("api", "pandas", "postgres", "tracing") for line in EXTRAS[extra]),
    *PROJECT["dependency-groups"]["test"],
]


@pytest.fixture(scope="module")
def locked() -> dict[str, set[str]]:
    """The versions of each package; one that differs by platform or Python has several."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", LOCK, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


@pytest.mark.parametrize("line", sorted(set(ASKED_FOR)))
def test_every_direct_dependency_is_locked_at_a_version_it_allows(line, locked):
    wanted = Requirement(line)
    versions = locked[canonicalize_name(wanted.name)]
    assert versions
    assert [version for version in versions if version not in wanted.specifier] == []


def test_every_locked_package_has_hashes_and_no_address(locked):
    entries = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) >= len(locked) > 0
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"\w+://\S*|^-.*", LOCK, flags=re.MULTILINE) == []


def test_torch_stays_out_because_its_build_is_the_machines_own(locked):
    assert "torch" not in locked
