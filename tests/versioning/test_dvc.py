"""Versions of data by the real tools: DVC in a git repository, its remotes a folder and an emulated Google bucket."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gridcast import pipeline
from gridcast.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
TRACKED = ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
TOOLS = Path(sys.executable).parent
SNAPSHOT = Path("data/snapshot.parquet")

needs_dvc = pytest.mark.skipif(
    find_spec("dvc") is None or shutil.which("git") is None,
    reason="dvc or git is absent: pip install 'gridcast[versioning]'",
)
needs_emulator = pytest.mark.skipif(
    find_spec("gcp_storage_emulator") is None or find_spec("dvc_gs") is None,
    reason="dvc-gs or gcp-storage-emulator is absent: pip install --group emulators 'gridcast[versioning]'",
)


@dataclass(frozen=True)
class Checkout:
    """A git repository with data versions, and a home that has nothing of the user's."""

    folder: Path
    home: Path

    def run(self, *words: object) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
        environment |= {
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(self.home / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.home / "system"),
            "NO_GCE_CHECK": "true",  # this machine is none of Google's, and need not be asked
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(
            list(map(str, words)), cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def git(self, *words: object) -> str:
        return self.run("git", *words)

    def dvc(self, *words: object) -> str:
        return self.run("dvc", *words)

    def set(self, **values: object) -> None:
        """Change params.yaml; a double underscore leads into a group."""
        params = OmegaConf.load(self.folder / "params.yaml")
        for name, value in values.items():
            OmegaConf.update(params, name.replace("__", "."), value)
        OmegaConf.save(params, self.folder / "params.yaml")

    def commit(self, tag: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", tag)
        self.git("tag", tag)

    def bytes(self, name: Path | str = SNAPSHOT) -> bytes:
        return (self.folder / name).read_bytes()

    def cached(self) -> Path:
        """Where DVC's cache has the snapshot that is checked out."""
        key = hashlib.md5(self.bytes()).hexdigest()
        return self.folder / ".dvc" / "cache" / "files" / "md5" / key[:2] / key[2:]

    def forget(self) -> None:
        """Remove the snapshot that is checked out, from the cache too."""
        self.cached().unlink()
        (self.folder / SNAPSHOT).unlink()


def checkout(folder: Path) -> Checkout:
    """A new repository with the project's own files for DVC in it."""
    made = Checkout(folder / "checkout", folder / "home")
    for path in (made.folder, made.home):
        path.mkdir()
    for name in TRACKED:
        (made.folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, made.folder / name)
    made.git("init", "-q")
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Checkout, dict[str, bytes]]:
    """Two versions, v1 of three weeks of data and v2 of a day more, pushed to the folder beside; and their bytes."""
    history, content = checkout(tmp_path_factory.mktemp("history")), {}
    history.set(ingest__start="2018-01-01")
    for tag, end in {"v1": "2018-01-22", "v2": "2018-01-23"}.items():
        now = f"{end}T09:00:00Z"
        history.set(ingest__end=end, ingest__now=now, snapshot={"as-of": now, "end": end})
        history.dvc("repro", "-q", "snapshot")
        history.commit(tag)
        content[tag] = history.bytes()
    history.dvc("push", "-q", "--all-tags", "snapshot")
    return history, content


@pytest.fixture
def history(made) -> Iterator[Checkout]:
    """The repository at v2, all of whose data are there."""
    yield made[0]
    made[0].git("checkout", "-qf", "v2")
    if made[0].bytes() != made[1]["v2"]:
        made[0].dvc("checkout", "-q", "--force", "snapshot")


@needs_dvc
def test_git_holds_statements_and_hashes_but_no_data(history):
    files = set(history.git("ls-files").split())
    assert {"dvc.lock", "data/snapshot.json", "data/store.json"} <= files
    assert not {"data/snapshot.parquet", "data/gridcast.db"} & files
    assert not [name for name in files if name.startswith((".dvc/cache", ".dvc/tmp"))]


@needs_dvc
def test_more_data_change_the_lock_and_checkout_brings_the_old_bytes_back(history, made):
    before = history.bytes("dvc.lock")
    history.git("checkout", "-q", "v1")
    assert history.bytes("dvc.lock") != before
    with pytest.raises(DataError, match="SHA-256 is another"):
        pipeline.read_snapshot(history.folder / SNAPSHOT)
    history.dvc("checkout", "-q", "snapshot")
    assert history.bytes() == made[1]["v1"] != made[1]["v2"]
    assert pipeline.read_snapshot(history.folder / SNAPSHOT)["valid_time"].max() == datetime(
        2018, 1, 21, 22, tzinfo=UTC
    )


@needs_dvc
@pytest.mark.long
def test_a_store_that_knows_more_by_now_still_gives_the_old_snapshot(history, made):
    history.git("checkout", "-q", "v1")
    history.dvc("repro", "-q", "--force", "snapshot")
    assert history.bytes() == made[1]["v1"]
    assert history.git("status", "--porcelain") == ""


@needs_dvc
def test_a_folder_as_remote_gives_back_what_was_pushed(history, made):
    history.forget()
    history.dvc("pull", "-q", "snapshot")
    assert history.bytes() == made[1]["v2"]


@needs_dvc
def test_bit_rot_that_dvc_takes_for_up_to_date_is_refused_by_us_and_pulled_again(history, made):
    """DVC trusts a cached file that is write-protected, whatever is in it (its issue 9641)."""
    good, cached = history.bytes(), history.cached()
    cached.chmod(0o644)
    cached.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    cached.chmod(0o444)
    (history.folder / SNAPSHOT).unlink()

    history.dvc("checkout", "-q", "snapshot")
    assert history.bytes() != good
    with pytest.raises(DataError, match=r"its SHA-256 is another: remove it and \.dvc/cache, then `dvc pull`"):
        pipeline.read_snapshot(history.folder / SNAPSHOT)

    cached.unlink()
    (history.folder / SNAPSHOT).unlink()
    history.dvc("pull", "-q", "snapshot")
    assert history.bytes() == good == made[1]["v2"]


@contextmanager
def bucket(name: str) -> Iterator[str]:
    """The URL of a Google Cloud Storage of our own with one bucket, on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [TOOLS / "gcp-storage-emulator", "start", *where, "--in-memory", "--quiet", "--default-bucket", name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as emulator:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert emulator.poll() is None, "the emulator did not start"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            emulator.terminate()


@needs_dvc
@needs_emulator
def test_a_google_bucket_gives_back_what_was_pushed(history, made):
    with bucket("our-bucket") as url:
        (history.folder / ".dvc/config.local").write_text(
            f"['remote \"gcs\"']\n    url = gs://our-bucket/store\n    endpointurl = {url}\n"
        )
        assert history.dvc("push", "-r", "gcs", "snapshot").strip().endswith("1 file pushed")
        history.forget()
        history.dvc("pull", "-q", "-r", "gcs", "snapshot")
    assert history.bytes() == made[1]["v2"]
    assert history.git("status", "--porcelain") == ""


@needs_dvc
@pytest.mark.long
def test_the_whole_pipeline_gives_the_same_lock_in_two_clean_clones_and_does_nothing_the_second_time(tmp_path):
    locks = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = checkout(tmp_path / name)
        began = time.perf_counter()
        made.dvc("repro", "-q")
        print(f"dvc repro: {time.perf_counter() - began:.0f} s")
        made.commit("v1")
        locks.append(made.bytes("dvc.lock"))
        again = made.dvc("repro")
        assert again.count("didn't change, skipping") == 3
        assert made.git("status", "--porcelain") == ""
    assert locks[0] == locks[1]


def test_the_committed_configuration_is_of_no_machine_and_tells_nobody_anything():
    text = (ROOT / ".dvc" / "config").read_text()
    urls = [line.split("=")[1].strip() for line in text.splitlines() if line.strip().startswith("url")]
    assert len(urls) == 2
    assert all(url.startswith(("gs://", "../")) for url in urls)
    assert "analytics = false" in text
    assert "http" not in text
    assert "/config.local" in (ROOT / ".dvc" / ".gitignore").read_text().split()


def test_the_committed_lock_was_made_of_the_committed_parameters_and_statements():
    lock = OmegaConf.to_container(OmegaConf.load(ROOT / "dvc.lock"))["stages"]
    params = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    assert list(lock) == list(OmegaConf.load(ROOT / "dvc.yaml").stages)
    for stage in lock.values():
        used = stage["params"]["params.yaml"]
        assert used == {name: params[name] for name in used}
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    kept = [name for name in outs if name.endswith(".json")]
    assert len(kept) == 3
    assert {name: hashlib.md5((ROOT / name).read_bytes()).hexdigest() for name in kept} == {
        name: outs[name] for name in kept
    }
