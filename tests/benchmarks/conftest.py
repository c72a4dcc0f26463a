"""The benchmark is no installed package: its parts, and what its peers read with, are imported from their folders."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ACCURACY = HERE.parents[1] / "benchmarks" / "accuracy"
sys.path += [str(HERE), str(ACCURACY), str(ACCURACY / "peers")]
