"""A virtual environment for each peer, made once from its pinned requirements, and what it weighs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from arena.contestants import Peer

REPOSITORY = Path(__file__).resolve().parents[3]
READY = "ready"


def of_peer(peer: Peer, *, folder: Path) -> Path:
    """The Python of the peer's environment, which is made where it is not there yet."""
    requirements = peer.folder / "requirements.txt"
    return _made(
        folder / f"{peer.name}-{_digest(peer.python + requirements.read_text('utf-8'))}",
        ["-r", str(requirements)],
        python=peer.python,
        installer=peer.installer,
    )


def of_gridcast(extra: str | None, *, folder: Path) -> Path:
    """The Python of an environment with gridcast as a user installs it: to be weighed, not to be run."""
    digest = _digest((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    return _made(
        folder / f"gridcast-{extra or 'core'}-{digest}",
        [f"{REPOSITORY}[{extra}]" if extra else str(REPOSITORY)],
        python="3.11",
        installer="pip" if extra else "uv",
    )


def mebibytes(python: Path) -> float:
    """What the environment of a Python weighs, each file once."""
    seen = {}
    for root, _, names in os.walk(python.parents[1]):
        for name in names:
            facts = (Path(root) / name).lstat()
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values()) / 2**20


def _made(folder: Path, what: list[str], *, python: str, installer: str) -> Path:
    found = folder / "bin" / "python"
    if (folder / READY).exists():
        return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"making the environment {folder.name}", file=sys.stderr, flush=True)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    seed = ["--seed"] if installer == "pip" else []
    subprocess.run([uv, "venv", "-q", "--python", _interpreter(python), *seed, str(folder)], check=True)
    install = [str(found), "-m", "pip"] if installer == "pip" else [uv, "pip"]
    where = [] if installer == "pip" else ["--python", str(found)]
    subprocess.run([*install, "install", "-q", *where, *what], check=True, stdout=sys.stderr)
    (folder / READY).touch()
    return found


def _interpreter(version: str) -> str:
    """A Python of the version that runs; else the version itself, which uv fetches."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in filter(None, [shutil.which(f"python{version}"), *map(str, installed)]):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return version


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
