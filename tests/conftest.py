"""What every test stands on: one thread, one private home, two Hypothesis profiles, and the lanes `deep` and `long`."""

from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("ci", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("ci"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the lanes that this run cannot or need not take.

    It is not done by ``-m`` in the options: a ``-m`` of the command line would replace it.
    """
    long_wanted = os.environ.get("HYPOTHESIS_PROFILE") == "long" or "long" in config.getoption("markexpr")
    torch_here = find_spec("torch") is not None
    for item in items:
        if item.get_closest_marker("deep") and not torch_here:
            item.add_marker(pytest.mark.skip(reason="torch is absent: pip install 'gridcast[deep]'"))
        if item.get_closest_marker("long") and not long_wanted:
            item.add_marker(pytest.mark.skip(reason="takes minutes: HYPOTHESIS_PROFILE=long"))


@pytest.fixture(scope="session", autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory of the run's own; no key or database of the user's is seen by a test."""
    with pytest.MonkeyPatch.context() as environment:
        home = tmp_path_factory.mktemp("home")
        environment.setenv("GRIDCAST_HOME", str(home))
        for name in ("ENTSOE_API_KEY", "ENTSOE_API_KEY_FILE", "OPENMETEO_API_KEY", "GRIDCAST_DATABASE_URL"):
            environment.delenv(name, raising=False)
        yield home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real load files beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real load files at {folder}")
    return folder
