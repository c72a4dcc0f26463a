"""The one graph that a file of the classic network may hold: operators in order, and the tensors that each one brings.

Such a file brings numbers, never structure: what ONNX Runtime is given was written down here before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcast.models import onnx_graph
from gridcast.models.classic_card import MODEL_FILE, Card, refused
from gridcast.models.conv1d_classic import FEATURES, HOURS_IN, HOURS_OUT
from gridcast.models.onnx_graph import FLOAT, Node, Port

INPUT, OUTPUT = "features", "predictions"
OPSET = 18
"""The operators are those of this version of the ONNX standard."""

_IR = 10


def _convolution(width: int) -> dict[str, object]:
    edge = width // 2
    return {
        "auto_pad": "NOTSET",
        "dilations": (1,),
        "group": 1,
        "kernel_shape": (width,),
        "pads": (edge, edge),
        "strides": (1,),
    }


_FLAT = 15 * HOURS_IN // 2
_CHAIN: tuple[tuple[str, dict[str, object], tuple[tuple[int, ...], ...]], ...] = (
    ("Sub", {}, ((len(FEATURES),),)),
    ("Div", {}, ((len(FEATURES),),)),
    ("Transpose", {"perm": (0, 2, 1)}, ()),
    ("Conv", _convolution(3), ((64, len(FEATURES), 3), (64,))),
    ("Conv", _convolution(3), ((64, 64, 3), (64,))),
    (
        "MaxPool",
        {
            "auto_pad": "NOTSET",
            "ceil_mode": 0,
            "dilations": (1,),
            "kernel_shape": (2,),
            "pads": (0, 0),
            "storage_order": 0,
            "strides": (2,),
        },
        (),
    ),
    ("Conv", _convolution(1), ((15, 64, 1), (15,))),
    ("Reshape", {"allowzero": 1}, ((2,),)),
    ("Gemm", {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}, ((HOURS_OUT, _FLAT), (HOURS_OUT,))),
    ("Mul", {}, ((1,),)),
    ("Add", {}, ((1,),)),
    ("Max", {}, ((1,),)),
)
"""The one graph there is: operators in order, their attributes, the shapes of the tensors that each one brings."""


def check(model: bytes, card: Card) -> None:
    """Refuse a file that holds another graph than this one, or that scales in another way than its card says.

    Raises:
        ArtifactMismatch: so it is.
    """
    graph = onnx_graph.read(model, where=MODEL_FILE)
    batch = graph.inputs[0].shape[0] if graph.inputs and graph.inputs[0].shape else 0
    ports = (
        (Port(INPUT, FLOAT, (batch, HOURS_IN, len(FEATURES))),),
        (Port(OUTPUT, FLOAT, (batch, HOURS_OUT)),),
    )
    if (graph.ir_version, graph.opset) != (_IR, OPSET):
        raise refused(f"has format {graph.ir_version} and operator set {graph.opset}, not {_IR} and {OPSET}")
    if (graph.inputs, graph.outputs) != ports or not isinstance(batch, str):
        raise refused(f"does not take any number of {INPUT} and give {OUTPUT}")
    if len(graph.nodes) != len(_CHAIN):
        raise refused(f"has {len(graph.nodes)} operators, not {len(_CHAIN)}")
    brought: list[str] = []
    before = INPUT
    for node, (operator, attributes, shapes) in zip(graph.nodes, _CHAIN, strict=True):
        own = [graph.weights.get(name) for name in node.inputs[1:]]
        if (node.operator, node.attributes, node.inputs[:1]) != (operator, attributes, (before,)):
            raise refused(f"has the operator {_shown(node)} where {operator} {attributes} belongs")
        if [None if each is None else each.shape for each in own] != list(shapes) or len(node.outputs) != 1:
            raise refused(f"has an operator {operator} with other tensors than it should have")
        before = node.outputs[0]
        brought += node.inputs[1:]
    written = [INPUT, *(node.outputs[0] for node in graph.nodes), *graph.weights]
    if before != OUTPUT or sorted(brought) != sorted(graph.weights) or len(set(written)) != len(written):
        raise refused("has tensors that nobody reads, or a name that means two things")
    tensors = [graph.weights[name] for name in brought]
    if not all(np.isfinite(each).all() for each in tensors):
        raise refused("has a weight that is not finite")
    _check_numbers(tensors, card)


def _check_numbers(tensors: list[NDArray[Any]], card: Card) -> None:
    """Refuse another shape to flatten to, other types, or another scaling than the card's; tensors in reading order."""
    centre, spread = tensors[:2]
    flat, *_, load_spread, load_centre, least = tensors[-6:]
    if any(each.dtype != np.float32 for each in tensors if each is not flat) or flat.tolist() != [-1, _FLAT]:
        raise refused("has tensors of another type, or flattens in another way")
    said = (
        [each.centre for each in card.features],
        [each.spread for each in card.features],
        *([value] for value in (card.target.spread, card.target.centre, card.target.least)),
    )
    held = (centre, spread, load_spread, load_centre, least)
    if not all(np.array_equal(np.array(one, np.float32), other) for one, other in zip(said, held, strict=True)):
        raise refused("scales in another way than its card says")


def _shown(node: Node) -> str:
    return f"{node.operator[:40]!r} {dict(node.attributes)!s:.200}"
