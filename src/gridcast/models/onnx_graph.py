"""An ONNX file read in Python, before native code sees it: a chain of plain operators and its numbers, nothing else.

Whatever such a file can hold beyond that (other files' data, functions, subgraphs, sparse tensors, fields nobody knows,
one field twice) is refused, so that what a runtime will see is what was looked at here. Field numbers: the ONNX
project's ``onnx.proto``; wire format: the Protocol Buffers encoding guide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridcast.errors import ArtifactMismatch

FLOAT, INT64 = 1, 7
"""``TensorProto.DataType`` of the tensors that may occur."""

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Port:
    """An input or output of the graph; a dimension that is free has a name."""

    name: str
    kind: int
    shape: Shape


@dataclass(frozen=True)
class Node:
    """One operator: the names it reads and writes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class Graph:
    """What a file says. ``weights`` are its tensors by name, of float32 or int64."""

    ir_version: int
    opset: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    weights: Mapping[str, NDArray[Any]]


def read(model: bytes, *, where: str) -> Graph:
    """What the bytes of an ONNX file say.

    Args:
        model: the file.
        where: what to call it.

    Raises:
        ArtifactMismatch: it is cut off, says a thing twice, or holds what a chain of plain operators has no use for.
    """
    try:
        return _graph(_decode(memoryview(model), _MODEL))
    except _Refused as refused:
        raise ArtifactMismatch(
            f"{where} is not a plain ONNX graph: {str(refused)[:200]}",
            remedy="use the file that gridcast wrote; any other is not loaded",
            path=where,
        ) from None


class _Refused(Exception):  # it becomes an ArtifactMismatch
    pass


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    name: str
    kind: Literal["int", "float", "text", "bytes"] | _Message
    many: bool = False


@dataclass(frozen=True)
class _Message:
    """The fields that may occur, by number, and the names of some that may not."""

    name: str
    fields: Mapping[int, _Field]
    refused: Mapping[int, str] = field(default_factory=dict)


_OPSET = _Message("OperatorSetIdProto", {1: _Field("domain", "text"), 2: _Field("version", "int")})
_TENSOR = _Message(
    "TensorProto",
    {1: _Field("dims", "int", True), 2: _Field("kind", "int"), 8: _Field("name", "text"), 9: _Field("raw", "bytes")},
    {4: "float_data", 7: "int64_data", 13: "external_data", 14: "data_location"},
)
_ATTRIBUTE = _Message(
    "AttributeProto",
    {
        1: _Field("name", "text"),
        2: _Field("f", "float"),
        3: _Field("i", "int"),
        4: _Field("s", "text"),
        8: _Field("ints", "int", True),
        20: _Field("type", "int"),
    },
    {5: "t", 6: "g", 10: "tensors", 11: "graphs", 21: "ref_attr_name", 22: "sparse_tensor", 23: "sparse_tensors"},
)
_NODE = _Message(
    "NodeProto",
    {
        1: _Field("inputs", "text", True),
        2: _Field("outputs", "text", True),
        3: _Field("name", "text"),
        4: _Field("operator", "text"),
        5: _Field("attributes", _ATTRIBUTE, True),
    },
    {7: "domain", 8: "overload", 9: "metadata_props"},
)
_DIMENSION = _Message("Dimension", {1: _Field("value", "int"), 2: _Field("name", "text")})
_SHAPE = _Message("TensorShapeProto", {1: _Field("dims", _DIMENSION, True)})
_DENSE = _Message("TypeProto.Tensor", {1: _Field("kind", "int"), 2: _Field("shape", _SHAPE)})
_TYPE = _Message("TypeProto", {1: _Field("tensor", _DENSE)}, {4: "sequence_type", 8: "sparse_tensor_type"})
_PORT = _Message("ValueInfoProto", {1: _Field("name", "text"), 2: _Field("type", _TYPE)}, {4: "metadata_props"})
_GRAPH = _Message(
    "GraphProto",
    {
        1: _Field("nodes", _NODE, True),
        2: _Field("name", "text"),
        5: _Field("weights", _TENSOR, True),
        11: _Field("inputs", _PORT, True),
        12: _Field("outputs", _PORT, True),
    },
    {13: "value_info", 14: "quantization_annotation", 15: "sparse_initializer", 16: "metadata_props"},
)
_MODEL = _Message(
    "ModelProto",
    {
        1: _Field("ir_version", "int"),
        2: _Field("producer_name", "text"),
        3: _Field("producer_version", "text"),
        7: _Field("graph", _GRAPH),
        8: _Field("opsets", _OPSET, True),
    },
    {14: "metadata_props", 20: "training_info", 25: "functions"},
)

_ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 7: "ints"}
_ITEM: Mapping[int, np.dtype[Any]] = {FLOAT: np.dtype("<f4"), INT64: np.dtype("<i8")}


def _graph(model: dict[str, Any]) -> Graph:
    opsets = [(each.get("domain", ""), each.get("version")) for each in model["opsets"]]
    if len(opsets) != 1 or opsets[0][0] or "graph" not in model or "ir_version" not in model:
        raise _Refused(f"it wants the operator sets {opsets}, or has no graph")
    graph = model["graph"]
    weights = {each.get("name", ""): _tensor(each) for each in graph["weights"]}
    if len(weights) < len(graph["weights"]):
        raise _Refused("two tensors have one name")
    return Graph(
        ir_version=model["ir_version"],
        opset=opsets[0][1],
        inputs=tuple(map(_port, graph["inputs"])),
        outputs=tuple(map(_port, graph["outputs"])),
        nodes=tuple(map(_node, graph["nodes"])),
        weights=weights,
    )


def _node(node: dict[str, Any]) -> Node:
    attributes = {}
    for each in node["attributes"]:
        kind = _ATTRIBUTE_TYPES.get(each.get("type"))
        given = {name for name in _ATTRIBUTE_TYPES.values() if each.get(name) not in (None, [])}
        if kind is None or given - {kind} or each.get("name") in attributes:
            raise _Refused(f"the attribute {each.get('name')!r} stands twice or is not what it says")
        value = each.get(kind)
        attributes[each.get("name", "")] = tuple(value) if isinstance(value, list) else value
    return Node(node.get("operator", ""), tuple(node["inputs"]), tuple(node["outputs"]), attributes)


def _port(port: dict[str, Any]) -> Port:
    tensor = port.get("type", {}).get("tensor", {})
    dims = tensor.get("shape", {}).get("dims", [])
    if any(len(dim) != 1 for dim in dims):
        raise _Refused(f"a dimension of {port.get('name')!r} has no size and no name, or both")
    return Port(port.get("name", ""), tensor.get("kind", 0), tuple(next(iter(dim.values())) for dim in dims))


def _tensor(tensor: dict[str, Any]) -> NDArray[Any]:
    name, kind, dims, raw = tensor.get("name"), tensor.get("kind", 0), tensor["dims"], tensor.get("raw")
    if kind not in _ITEM or raw is None or min(dims, default=0) < 0:
        raise _Refused(f"the tensor {name!r} is not plain float32 or int64")
    count = 1
    for dim in dims:
        count *= dim
    if count * _ITEM[kind].itemsize != len(raw):
        raise _Refused(f"the tensor {name!r} says {dims} and holds {len(raw)} bytes")
    held: NDArray[Any] = np.frombuffer(raw, _ITEM[kind])
    return held.reshape(dims)


# --- wire format -----------------------------------------------------------------------------------------------------

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_WIRE = {"int": _VARINT, "float": _FOUR, "text": _LENGTH, "bytes": _LENGTH}


def _decode(data: memoryview, message: _Message) -> dict[str, Any]:
    """The fields of a message by name: lists of those that may come many times, else the one value."""
    found: dict[str, Any] = {each.name: [] for each in message.fields.values() if each.many}
    for number, wire, raw in _fields(data):
        if number not in message.fields:
            name = message.refused.get(number)
            raise _Refused(f"{message.name} has the field {name or number}")
        known = message.fields[number]
        if known.many and known.kind == "int" and wire == _LENGTH:
            found[known.name] += [_signed(value) for value in _packed(raw)]
            continue
        if wire != (_LENGTH if isinstance(known.kind, _Message) else _WIRE[known.kind]):
            raise _Refused(f"the field {known.name} of {message.name} is written in another way")
        value = _value(raw, known.kind)
        if known.many:
            found[known.name].append(value)
        elif known.name in found:
            raise _Refused(f"{message.name} has the field {known.name} twice")
        else:
            found[known.name] = value
    return found


def _value(raw: Any, kind: str | _Message) -> Any:  # noqa: ANN401  # an int or bytes in; any field's value out
    if isinstance(kind, _Message):
        return _decode(raw, kind)
    if kind == "int":
        return _signed(raw)
    if kind == "float":
        return struct.unpack("<f", raw)[0]
    if kind == "text":
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            raise _Refused("a name in it is not UTF-8") from None
    return raw


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and raw value of each field: an int where it is a varint, else bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _LENGTH:
            size, at = _varint(data, at)
        elif wire in (_EIGHT, _FOUR):
            size = 8 if wire == _EIGHT else 4
        else:
            raise _Refused(f"it has a field of wire type {wire}")
        if size > len(data) - at:
            raise _Refused("it is cut off")
        yield number, wire, data[at : at + size]
        at += size


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise _Refused("it is cut off")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _Refused("a number in it has no end")


def _signed(value: int) -> int:
    """A varint as the 64-bit integer it stands for."""
    if value >= 1 << 64:
        raise _Refused("a number in it is too large")
    return value - (1 << 64) if value >= 1 << 63 else value
