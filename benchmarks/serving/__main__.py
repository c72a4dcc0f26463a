"""How the served API does under load: gridcast's own figures, each beside its aim.

    python benchmarks/serving [--seconds N] [--only stored overload ...] [--home DIR] [--json]
                              [--out docs/benchmarks/serving.md]

Everything is measured in one run: the servers have two workers of one thread each, and the clients share their cores.
wrk makes the closed loops, an event loop of this process the open ones, Locust the scenarios. A step whose tool is not
installed is left out, and said so. The demo is prepared on the first start, for half a minute; ``--home`` keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measuring import computed, overload, scenarios, servers, slow, starting, stored
from measuring.figures import Absent, Found, Setting

REPOSITORY = Path(__file__).resolve().parents[2]

Step = tuple[str, Callable[[Setting], Found]]
STEPS: dict[str, Step] = {
    "stored": (
        "Stored forecasts: `GET /v1/zones/DK_1/forecast` and a bare FastAPI route with uvicorn's defaults, "
        "50 clients in turn; medians of the rounds.",
        stored.measure,
    ),
    "on_demand": ("Forecasts on demand: `POST /v1/forecast`, 8 clients.", computed.on_demand),
    "predict": (
        "The classic window: `POST /predict`, beside the classic project's design (FastAPI, torch, a thread a request) "
        "in turn; medians of the rounds.",
        computed.predict,
    ),
    "overload": (
        "Overload: the peak of a closed loop; four times its clients, who ask again at once when they are refused; and "
        "four times its rate from clients that do not wait for each other. They are a program on the same cores, and "
        "so take from the server what they cost.",
        overload.measure,
    ),
    "start": ("Start and size: medians of five starts on a prepared home.", starting.measure),
    "slow": (
        "Slow and large clients: a header byte a second on a thousand connections; a body over the cap.",
        slow.measure,
    ),
    "scenarios": ("Scenarios: 20 users of Locust, each with an errand.", scenarios.measure),
}


def main() -> None:
    """Take the steps that were asked for, and write down what they found."""
    chosen = _arguments()
    steps = {name: step for name, step in STEPS.items() if not chosen.only or name in chosen.only}
    found: dict[str, Found] = {}
    absent: dict[str, str] = {}
    failed: list[str] = []
    with ExitStack() as stack:
        home = chosen.home or stack.enter_context(tempfile.TemporaryDirectory(prefix="gridcast-serving-"))
        setting = Setting(str(Path(home).resolve()), chosen.seconds)
        _say("prepare")
        with servers.gridcast(setting.home):
            pass
        for name, (_, measure) in steps.items():
            _say(name)
            try:
                found[name] = measure(setting)
            except Absent as why:
                absent[name] = str(why)
                _say(f"{name} is left out: {why}")
            except Exception:  # the other steps took minutes, and are to be written down
                traceback.print_exc()
                failed.append(name)
    commit = _commit()
    if chosen.json:
        print(json.dumps(_facts(found, absent, commit=commit, seconds=chosen.seconds), indent=1))
    only = ["--only", *steps] if chosen.only else []
    command = " ".join(["python benchmarks/serving --seconds", str(chosen.seconds), *only])
    text = _page(found, absent, commit=commit, command=command)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text, encoding="utf-8", newline="\n")
    elif not chosen.json:
        print(text, end="")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def _page(found: dict[str, Found], absent: dict[str, str], *, commit: str, command: str) -> str:
    figures = [each for one in found.values() for each in one.figures]
    short = sum(each.verdict == "SHORT" for each in figures)
    lines = [
        "# Serving",
        "",
        f"Measured at commit {commit} on {os.cpu_count()} cores, by `{command}`.",
        "The server (two workers, one thread each) and its clients share these cores, so figures hold beside each",
        "other more than by themselves. SHORT stands by an aim that this run missed: "
        f"{short} of {sum(bool(each.aim) for each in figures)}.",
    ]
    for name, one in found.items():
        lines += ["", STEPS[name][0], "", *one.table]
    for name, why in absent.items():
        lines += ["", f"`{name}` is left out: {why}."]
    return "\n".join([*lines, ""])


def _facts(found: dict[str, Found], absent: dict[str, str], *, commit: str, seconds: int) -> dict[str, Any]:
    steps = {name: {"figures": [each.facts for each in one.figures], "facts": one.facts} for name, one in found.items()}
    return {"commit": commit, "cores": os.cpu_count(), "seconds": seconds, "steps": steps, "left_out": absent}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=120, help="of load for each contestant of `stored`")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=[], help="steps")
    parser.add_argument("--home", type=Path, default=None, help="a folder to keep the demo in, and to reuse")
    parser.add_argument("--out", type=Path, default=None, help="where the page goes")
    parser.add_argument("--json", action="store_true", help="print the raw facts as one JSON document")
    return parser.parse_args()


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "src", "benchmarks/serving"]
    dirty = subprocess.run(changed, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    return f"{found or 'unknown'}{' and changes' * bool(dirty)}"


if __name__ == "__main__":
    main()
