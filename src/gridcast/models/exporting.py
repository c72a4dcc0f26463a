"""The classic network as one ONNX file and its card: scalers inside, no other files, nothing that names a machine.

Importing this module imports torch; only who exports needs it (extra ``deep``), `classic_onnx` runs the file without.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Iterator
from datetime import date
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from gridcast.contracts import Floats
from gridcast.market.zones import BiddingZone
from gridcast.models import classic_card, networks
from gridcast.models.classic_card import Canary, Card, Feature, Scores, Target
from gridcast.models.classic_chain import INPUT, OPSET, OUTPUT
from gridcast.models.conv1d_classic import FEATURES, HOURS_IN, Network, build

_HEADROOM = 2.0
"""A load is possible up to this many times the highest one learned from, and down to as small a part of the lowest."""
_DIGITS = 4
"""Decimals of the canary's window."""
_CLOCK = {
    "hour": "2 pi h/24, h the hour of the day from 0",
    "day": "2 pi d/31, d the day of the month from 1",
    "weekday": "2 pi w/7, w the weekday from Monday as 0",
    "week": "2 pi k/53, k the ISO week from 1",
    "month": "2 pi m/12, m the month from 1",
}


class _Scaled(nn.Module):
    """Raw features [B, 96, 12] in, megawatts [B, 24] out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = build()
        shapes = {name: tensor.shape for name, tensor in self.network.state_dict().items()}
        known = {name: torch.tensor(values).reshape(shapes[name]) for name, values in network.weights.items()}
        self.network.load_state_dict(known)
        scaler = network.scaler
        self.centre, self.spread, self.load_centre, self.load_spread, self.least = (
            nn.Buffer(torch.tensor(values, dtype=torch.float32))
            for values in (scaler.centre, scaler.spread, scaler.load_centre, scaler.load_spread, network.least)
        )

    def forward(self, features: Tensor) -> Tensor:
        load = self.network((features - self.centre) / self.spread) * self.load_spread + self.load_centre
        return torch.maximum(load, self.least)


def to_onnx(network: Network) -> bytes:
    """The network as an ONNX file: the same weights and the same torch give the same bytes."""
    scaled = _Scaled(network).eval()
    with networks.one_thread(), _silent():
        program = torch.onnx.export(
            scaled,
            (torch.zeros(2, HOURS_IN, len(FEATURES)),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    model = cast(torch.onnx.ONNXProgram, program).model_proto  # None only for the exporter of old
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del each.metadata_props[:]  # where the code stood, line by line
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def card(
    network: Network,
    model: bytes,
    *,
    zone: BiddingZone,
    data: str,
    period: tuple[date, date],
    load_range: tuple[float, float],
    seed: int,
    scores: Scores,
    canary: Floats,
) -> Card:
    """What stands beside ``model``, the file of ``network``.

    Args:
        network: as torch has it; it answers the canary.
        model: what `to_onnx` made of it.
        zone: whose load it learned.
        data: source of that load.
        period: first and last day learned from.
        load_range: lowest and highest load learned from, MW.
        seed: of the training.
        scores: how good it was found to be.
        canary: a window [96, 12].
    """
    sha256 = hashlib.sha256(model).hexdigest()
    window = np.round(canary, _DIGITS) + 0.0  # no -0
    return Card(
        name="conv1d_classic",
        version=classic_card.version_of(sha256),
        zone=zone.code,
        data=data,
        first_day=period[0],
        last_day=period[1],
        seed=seed,
        sha256=sha256,
        features=tuple(_feature(network, number, load_range=load_range) for number in range(len(FEATURES))),
        target=Target(
            unit="MW",
            centre=_single(network.scaler.load_centre[0]),
            spread=_single(network.scaler.load_spread[0]),
            least=_single(network.least[0]),
        ),
        scores=scores,
        canary=Canary(
            features=tuple(tuple(float(value) for value in row) for row in window),
            features_sha256=classic_card.window_sha256(window),
            expected=tuple(round(float(value), _DIGITS) for value in network.megawatts(window[None])[0]),
        ),
    )


def _feature(network: Network, number: int, *, load_range: tuple[float, float]) -> Feature:
    name = FEATURES[number]
    turn, _, cycle = name.partition("_")
    low, high, unit, whole = -1.0, 1.0, "1", False
    if name == "load":
        low, high = (float(f"{edge:.2g}") for edge in (load_range[0] / _HEADROOM, load_range[1] * _HEADROOM))
        unit, meaning = "MW", "the mean load of the hour"
    elif name == "holiday":
        low, whole, meaning = 0.0, True, "1 on public holidays and Sundays, else 0"
    else:
        meaning = f"the {'sine' if turn == 'sin' else 'cosine'} of {_CLOCK[cycle]}, on the zone's clock"
    return Feature(
        name=name,
        unit=unit,
        meaning=meaning,
        low=low,
        high=high,
        whole=whole,
        centre=_single(network.scaler.centre[number]),
        spread=_single(network.scaler.spread[number]),
    )


def _single(value: float) -> float:
    """The number as the file holds it, in single precision."""
    return float(np.float32(value))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Torch's exporter prints and warns about what it could export besides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
