"""``gridcast serve`` in a process of its own, and how it is asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder, *words):
    """The command in a process of its own, from the line that tells its address to its end."""
    environment = os.environ | {"GRIDCAST_HOME": str(folder)}
    command = [str(Path(sys.executable).with_name("gridcast")), "serve", "--port", "0", *words]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in process.stderr:
            found = re.search(r"serving at (http://\S+)", line)
            if found:
                yield found[1], process
                break
        else:
            raise AssertionError("it never served")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=20)
        process.stderr.close()


def ask(address, path, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
