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
_PRIOR = 100.0
"""Origins that outweigh the ridge penalty of the linear part's first weights."""
_FORGET = 0.3
"""Share of what matters in the past that a training step does without: there are few pasts, and all differ."""
_STEP = 0.3
"""Distance between neighbouring quantiles that an answer of 0 stands for is 0.7 of this, in the deviations' unit."""


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
    """Two convolutions, the first dilated, added to what they were given, [B, C, T]."""

    def __init__(self, channels: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
            nn.GELU(),
            nn.Dropout1d(dropout),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.change(x)
        return changed


class Deviation(nn.Module):
    """Quantiles of how the load will deviate from what is expected, from how it lately did.

    Dilated convolutions read the past [B, T, F], whose first channel is the deviation, and leave one vector of what
    matters in it; convolutions along the future [B, H, G] see that vector at every step. Their answer begins at 0 and
    is added to a linear one, of the future's columns and of the ``newest`` deviations. Quantiles around the median,
    which is the ``middle`` of ``levels``, are sums of positive steps: they never cross.
    """

    def __init__(
        self, *, past: int, future: int, steps: int, newest: int, channels: int, dropout: float, levels: int
    ) -> None:
        super().__init__()
        self.newest, self.middle = newest, levels // 2
        self.read = nn.Sequential(
            nn.Conv1d(past, channels, 5, stride=3, padding=2),  # T / 3 steps
            nn.GELU(),
            *(_Residual(channels, dilation=dilation, dropout=dropout) for dilation in (1, 2, 4, 8)),
        )
        self.keep = nn.Sequential(nn.Linear(2 * channels, channels), nn.Dropout(_FORGET))
        self.some = nn.Dropout1d(dropout)
        self.enter = nn.Conv1d(future, channels, 1)
        self.write = nn.Sequential(
            nn.GELU(),
            *(_Residual(channels, dilation=dilation, dropout=dropout) for dilation in (1, 2, 4)),
            nn.GELU(),
            nn.Conv1d(channels, levels, 1),
        )
        self.linear = nn.Conv1d(future, 1, 1)
        self.fade = nn.Linear(newest, steps)
        for parameter in (*self.write[-1].parameters(), *self.fade.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """[B, T, F] and [B, H, G] to quantiles [B, H, Q]."""
        seen = self.read(past.transpose(1, 2))
        context = self.keep(torch.cat([seen.mean(dim=2), seen[:, :, -1]], dim=1))
        ahead = self.some(future.transpose(1, 2))
        answer = self.write(self.enter(ahead) + context[:, :, None])
        linear = self.linear(future.transpose(1, 2)) + self.fade(past[:, -self.newest :, 0])[:, None, :]
        return self._quantiles(answer, linear).transpose(1, 2)

    def begun(self, future: Floats, target: Floats) -> Deviation:
        """Itself, the linear part of the future's columns [B, H, G] at the least squares of the target [B, H].

        What is worth a whole column, such as another's forecast, is then there before the first step.
        """
        there = np.isfinite(target)
        columns = np.column_stack([np.ones(there.sum()), future[there]])
        prior = np.diag(np.where(np.arange(columns.shape[1]) > 0, _PRIOR * target.shape[1], 0.0))
        first = np.linalg.solve(columns.T @ columns + prior, columns.T @ target[there])
        bias, weight = first[:1], first[None, 1:, None]
        self.linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        return self

    def _quantiles(self, answer: Tensor, linear: Tensor) -> Tensor:
        median = answer[:, self.middle : self.middle + 1] + linear
        steps = _STEP * nn.functional.softplus(answer)
        above = median + steps[:, self.middle + 1 :].cumsum(dim=1)
        below = median - steps[:, : self.middle].flip(1).cumsum(dim=1).flip(1)
        return torch.cat([below, median, above], dim=1)


def pinball(answer: Tensor, target: Tensor, *, levels: Sequence[float]) -> Tensor:
    """The mean quantile loss of answers [K, Q] to targets [K]; of a median alone it is half the absolute error."""
    level, error = torch.tensor(levels), target[:, None] - answer
    return torch.maximum(level * error, (level - 1) * error).mean()


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """The weights as arrays, to be saved as data."""
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def run(build: Callable[[], nn.Module], weights: Weights, *, inputs: Sequence[Floats]) -> Floats:
    """The network's answer for every row of the inputs [B, ...], in double precision: a batch's size does not show."""
    with torch.device("meta"):  # its first weights would be drawn from the generator that another thread may train by
        network = build()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    known = {name: torch.tensor(values).reshape(shapes[name]) for name, values in weights.items()}
    network.load_state_dict(known, assign=True)
    network.double().eval()
    count = len(inputs[0])
    with one_thread(), torch.inference_mode():
        parts = [
            network(*(torch.from_numpy(np.ascontiguousarray(each[begin : begin + _BATCH])) for each in inputs)).numpy()
            for begin in range(0, max(count, 1), _BATCH)
        ]
    return np.concatenate(parts)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside: the order of the sums, and with it every bit of the answer, stays the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
