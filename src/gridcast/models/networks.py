"""The networks themselves. Importing this module imports torch: the recipes do it when they fit, load or predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcast.contracts import Floats
from gridcast.models.deep import Weights

_BATCH = 512


class Classic(nn.Module):
    """96 hours of 12 features in [B, 96, 12], 24 hours out [B, 24]; no activation function, the pooling alone bends."""

    def __init__(self, *, features: int, hours: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(features, 64, 3, padding=1),
            nn.BatchNorm1d(64),
            nn.Conv1d(64, 64, 3, padding=1),
            nn.BatchNorm1d(64),
            nn.MaxPool1d(2),  # [B, 64, hours / 2]
            nn.Conv1d(64, 15, 1),
            nn.Flatten(),
            nn.Linear(15 * (hours // 2), out),
        )

    def forward(self, past: Tensor) -> Tensor:
        """[B, T, F] to [B, out]."""
        answer: Tensor = self.body(past.transpose(1, 2))
        return answer


class _Residual(nn.Module):
    """Two dilated convolutions added to what they were given, [B, C, T]."""

    def __init__(self, channels: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.change(x)
        return changed


class Deviation(nn.Module):
    """How the load will deviate from what is expected, from how it lately did.

    Dilated convolutions read the past [B, T, F] and leave one vector of what matters in it; convolutions along the
    future [B, H, G] see that vector at every step. The sum of their answer and a linear one is the deviation [B, H].
    """

    def __init__(self, *, past: int, future: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.read = nn.Sequential(
            nn.Conv1d(past, channels, 5, stride=3, padding=2),  # T / 3 steps
            nn.GELU(),
            *(_Residual(channels, dilation=dilation, dropout=dropout) for dilation in (1, 2, 4, 8)),
        )
        self.keep = nn.Linear(2 * channels, channels)
        self.enter = nn.Conv1d(future, channels, 1)
        self.write = nn.Sequential(
            nn.GELU(),
            *(_Residual(channels, dilation=dilation, dropout=dropout) for dilation in (1, 2, 4)),
            nn.GELU(),
            nn.Conv1d(channels, 1, 1),
        )
        self.linear = nn.Conv1d(future, 1, 1)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """[B, T, F] and [B, H, G] to [B, H]."""
        seen = self.read(past.transpose(1, 2))
        context = self.keep(torch.cat([seen.mean(dim=2), seen[:, :, -1]], dim=1))
        ahead = future.transpose(1, 2)
        answer: Tensor = self.write(self.enter(ahead) + context[:, :, None]) + self.linear(ahead)
        return answer.squeeze(1)


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """The weights as arrays, to be saved as data."""
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def run(build: Callable[[], nn.Module], weights: Weights, *, inputs: Sequence[Floats]) -> Floats:
    """The network's answer for every row of the inputs [B, ...], in double precision: a batch's size does not show."""
    with torch.random.fork_rng(devices=[]):  # its first weights, soon overwritten, are drawn from the common generator
        network = build()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: torch.tensor(values).reshape(shapes[name]) for name, values in weights.items()})
    network.double().eval()
    count = len(inputs[0])
    with one_thread(), torch.inference_mode():
        parts = [
            network(*(torch.from_numpy(np.ascontiguousarray(each[begin : begin + _BATCH])) for each in inputs)).numpy()
            for begin in range(0, count, _BATCH)
        ]
    return np.concatenate(parts) if parts else np.empty(0)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside: the order of the sums, and with it every bit of the answer, stays the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
