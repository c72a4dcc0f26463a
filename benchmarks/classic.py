"""How long one answer of the classic network takes on one thread: the package's file against the network in torch.

python benchmarks/classic.py [--calls 2000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from gridcast.models import conv1d_classic
from gridcast.models.classic_onnx import Classic


def milliseconds(call: Callable[[], object], *, calls: int) -> str:
    for _ in range(calls // 20):
        call()
    spent = np.empty(calls)
    for n in range(calls):
        begun = time.perf_counter()
        call()
        spent[n] = time.perf_counter() - begun
    return f"median {1e3 * np.median(spent):.3f} ms, p99 {1e3 * np.percentile(spent, 99):.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    calls = parser.parse_args().calls
    torch.set_num_threads(1)
    classic, network = Classic.load(), conv1d_classic.build().eval()
    window = [list(row) for row in classic.example.tolist()]

    def in_torch() -> list[float]:
        """What the course project's endpoint does with a posted window."""
        with torch.no_grad():
            return network(torch.tensor(window).unsqueeze(0)).squeeze(0).tolist()

    print(f"torch, network alone, no check, no scaling: {milliseconds(in_torch, calls=calls)}")
    print(f"Classic.predict, checked and scaled:        {milliseconds(lambda: classic.predict(window), calls=calls)}")


if __name__ == "__main__":
    main()
