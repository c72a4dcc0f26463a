"""The app in this process, on the small home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import small_home
from small_site import Site, made

pytest.importorskip("fastapi", reason="the extra `api` is absent")
pytest.importorskip("onnxruntime", reason="the extra `api` is absent")


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The app that nobody changes."""
    found = made(small_home.home())
    yield found
    found.service.store.close()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """An app on a copy of the home, to be changed."""
    folder = small_home.copy(tmp_path / "home")
    found = made(folder)
    yield found
    found.service.store.close()
