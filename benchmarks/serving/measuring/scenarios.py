"""People with different errands, all at once: the locustfile beside this package, without its own web page."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import servers
from measuring.figures import Absent, Figure, Found, Setting

LOCUSTFILE = Path(__file__).resolve().parents[1] / "locustfile.py"
USERS, RATE = 20, 10


def measure(setting: Setting) -> Found:
    """Requests, failures and p99 of each scenario."""
    if importlib.util.find_spec("locust") is None:
        raise Absent("locust is not installed: pip install --group load")
    with servers.gridcast(setting.home) as ours:
        rows = run(ours.address, seconds=setting.part(4) + USERS // RATE)
    figures: list[Figure] = []
    for row in rows:
        name = f"{row['Name']}, {row['Type']}"
        figures += [
            Figure(f"{name}: requests", float(row["Request Count"])),
            Figure(f"{name}: failures", float(row["Failure Count"]), most=0),
            Figure(f"{name}: p99", float(row["99%"]), "ms"),
        ]
    return Found(figures, {"rows": rows})


def run(address: str, *, seconds: int) -> list[dict[str, str]]:
    """The rows of Locust's table but its last, the sum."""
    command = [sys.executable, "-m", "locust", "--headless", "-f", str(LOCUSTFILE), "--host", address]
    numbers = ["-u", str(USERS), "-r", str(RATE), "-t", f"{seconds}s", "--exit-code-on-error", "0"]
    with tempfile.TemporaryDirectory() as folder:
        files = ["--csv", f"{folder}/run", "--only-summary"]
        subprocess.run([*command, *numbers, *files], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        with Path(folder, "run_stats.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        failures = Path(folder, "run_failures.csv").read_text().splitlines()[1:]
    print(*failures, sep="\n", end="\n" * bool(failures), file=sys.stderr)
    return [row for row in rows if row["Name"] != "Aggregated"]
