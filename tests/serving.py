"""``gridcast serve`` in a process of its own, and how it is asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder, *words):
    """The command on a home, from when it answers: its address and process. What it logs is in ``serve.log`` there."""
    log = Path(folder) / "serve.log"
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--port", "0", *words]
    with log.open("wb") as file:
        environment = os.environ | {"GRIDCAST_HOME": str(folder)}
        process = subprocess.Popen(command, env=environment, stderr=file, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r"serving at (http://\S+)", log.read_text("utf-8"))):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < until
            time.sleep(0.02)
        yield found[1], process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=20)


def ask(address, path, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
