"""The tree stays readable, and nothing in it ties it to one machine or one registry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted(file for room in ("src", "tests", "benchmarks") for file in (ROOT / room).rglob("*.py"))

MOST_LINES = 500
LARGEST_BYTES = 1 << 20
VAGUE_NAMES = {"common", "handler", "helper", "helpers", "manager", "misc", "util", "utils"}
# In pieces, so that this file does not name what it forbids.
HOSTS = ["pypi" + ".org", "python" + "hosted", "deb" + ".debian", "npmjs" + ".org"]
PATHS = ["/" + folder + "/" for folder in ("work", "root", "opt")]
FOREIGN = re.compile("|".join(map(re.escape, HOSTS + PATHS)), re.IGNORECASE)
PROMISES = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")


@pytest.fixture(scope="module")
def ours() -> list[Path]:
    """Every file that is, or is about to be, in the repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    found = []
    for file in files:
        content = file.read_bytes()
        if b"\0" in content:
            continue
        lines = enumerate(content.decode("utf-8").splitlines(), start=1)
        found += [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in lines if pattern.search(line)
        ]
    return found


def test_no_python_file_is_longer_than_can_be_read_in_one_sitting():
    lengths = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in PYTHON}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_module_has_a_name_that_says_nothing():
    named = {file: set(file.with_suffix("").relative_to(ROOT).parts[-1].split("_")) for file in PYTHON}
    rooms = {room: set(room.name.split("_")) for room in {file.parent for file in PYTHON}}
    assert [str(place) for place, words in (named | rooms).items() if words & VAGUE_NAMES] == []


def test_no_line_names_a_package_registry_or_a_path_of_one_machine(ours):
    assert len(ours) > len(PYTHON) > 0
    assert lines_with(FOREIGN, ours) == []


def test_the_pattern_for_foreign_lines_finds_one(tmp_path):
    assert all(FOREIGN.search(f"see https://{host}/simple") for host in HOSTS)
    assert all(FOREIGN.search(f"cd {path}somewhere") for path in PATHS)
    assert not FOREIGN.search("work/root, network options and a workshop")


def test_no_line_of_python_promises_work_instead_of_doing_it():
    assert lines_with(PROMISES, PYTHON) == []


def test_no_file_is_too_large_for_a_repository_of_text(ours):
    assert {file.name: file.stat().st_size for file in ours if file.stat().st_size > LARGEST_BYTES} == {}
