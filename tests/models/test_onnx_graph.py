"""The reader of ONNX files: it says what a file holds, and refuses whatever a chain of operators has no use for."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.errors import ArtifactMismatch
from gridcast.models import onnx_graph
from onnx_edits import GRAPH, INPUT, NODE, OPSET, WEIGHT, field, fields, inside, joined, varint

MODEL = files("gridcast.models").joinpath("classic.onnx").read_bytes()
DIM = field(1, 2)
BIG = varint(1 << 62)


def in_graph(extra: bytes) -> bytes:
    return inside(MODEL, GRAPH, lambda graph: graph + extra)


def in_weight(extra: bytes) -> bytes:
    return inside(MODEL, GRAPH, lambda graph: inside(graph, WEIGHT, lambda weight: weight + extra))


def in_node(extra: bytes) -> bytes:
    return inside(MODEL, GRAPH, lambda graph: inside(graph, NODE, lambda node: node + extra))


def in_attribute(extra: bytes) -> bytes:
    def edited(graph: bytes) -> bytes:
        return inside(graph, NODE, lambda node: inside(node, 5, lambda attribute: attribute + extra), which=2)

    return inside(MODEL, GRAPH, edited)


BAD = {
    "functions": MODEL + field(25, b""),
    "training_info": MODEL + field(20, b""),
    "metadata_props": MODEL + field(14, b""),
    "a field nobody knows": MODEL + field(99, 1),
    "a second graph": MODEL + field(GRAPH, b""),
    "another operator set": MODEL + field(OPSET, field(1, b"com.microsoft") + field(2, 1)),
    "no operator set": joined(part for part in fields(MODEL) if part[0] != OPSET),
    "no graph": joined(part for part in fields(MODEL) if part[0] != GRAPH),
    "nothing": b"",
    "sparse_initializer": in_graph(field(15, b"")),
    "quantization_annotation": in_graph(field(14, b"")),
    "value_info": in_graph(field(13, b"")),
    "one tensor twice": in_graph(field(WEIGHT, dict(fields(dict(fields(MODEL))[GRAPH]))[WEIGHT])),
    "external_data": in_weight(field(13, field(1, b"location") + field(2, b"/etc/passwd"))),
    "data_location": in_weight(field(14, 1)),
    "float_data": in_weight(field(4, b"\0\0\0\0")),
    "a dimension more": in_weight(field(1, 2)),
    "a dimension below zero": in_weight(field(1, -1)),
    "a size beyond all bounds": in_weight(field(1, BIG)),
    "domain": in_node(field(7, b"com.microsoft")),
    "overload": in_node(field(8, b"x")),
    "a subgraph": in_attribute(field(6, b"")),
    "a tensor as an attribute": in_attribute(field(5, b"")),
    "ref_attr_name": in_attribute(field(21, b"x")),
    "an attribute of two types": in_attribute(field(4, b"NOTSET")),
    "a dimension with two meanings": inside(
        MODEL,
        GRAPH,
        lambda graph: graph + field(INPUT, field(2, field(1, field(2, field(1, field(1, 96) + field(2, b"n")))))),
    ),
    "a type that is no tensor": in_graph(field(INPUT, field(2, field(4, b"")))),
    "a group, wire type 3": MODEL + varint(26 << 3 | 3),
    "a name that is not UTF-8": MODEL.replace(b"network.body.0.bias", b"network.body.0.b\xff\xff\xff"),
}


def test_the_reader_says_what_the_onnx_package_says():
    onnx = pytest.importorskip("onnx", reason="of the extra deep")
    theirs = onnx.load_from_string(MODEL)
    ours = onnx_graph.read(MODEL, where="classic.onnx")

    assert (ours.ir_version, ours.opset) == (theirs.ir_version, theirs.opset_import[0].version)
    assert [(node.operator, list(node.inputs), list(node.outputs)) for node in ours.nodes] == [
        (node.op_type, list(node.input), list(node.output)) for node in theirs.graph.node
    ]
    for mine, node in zip(ours.nodes, theirs.graph.node, strict=True):
        found = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        plain = {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}
        assert dict(mine.attributes) == {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
        }
    assert len(ours.weights) == len(theirs.graph.initializer)
    for each in theirs.graph.initializer:
        np.testing.assert_array_equal(ours.weights[each.name], onnx.numpy_helper.to_array(each))
    assert [(port.name, port.shape) for port in ours.inputs + ours.outputs] == [
        ("features", ("batch", 96, 12)),
        ("predictions", ("batch", 24)),
    ]


@pytest.mark.parametrize("what", BAD)
def test_a_file_is_refused_that_has(what):
    with pytest.raises(ArtifactMismatch, match="not a plain ONNX graph") as refused:
        onnx_graph.read(BAD[what], where="theirs.onnx")
    assert refused.value.path == "theirs.onnx"
    assert "theirs.onnx" in str(refused.value)
    if what in {"functions", "training_info", "external_data", "data_location", "sparse_initializer", "domain"}:
        assert what in str(refused.value)


def test_the_edits_of_these_tests_alone_change_nothing():
    for untouched in (in_graph(b""), in_weight(b""), in_node(b""), in_attribute(b"")):
        assert onnx_graph.read(untouched, where="a file").nodes == onnx_graph.read(MODEL, where="a file").nodes


@given(cut=st.integers(0, len(MODEL) - 1))
def test_a_file_that_is_cut_off_is_refused(cut):
    with pytest.raises(ArtifactMismatch):
        onnx_graph.read(MODEL[:cut], where="a file")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(noise):
    with pytest.raises(ArtifactMismatch):
        onnx_graph.read(noise, where="a file")


@given(at=st.integers(0, len(MODEL) - 1), noise=st.binary(min_size=1, max_size=12))
def test_a_damaged_file_is_read_or_refused(at, noise):
    with suppress(ArtifactMismatch):
        onnx_graph.read(MODEL[:at] + noise + MODEL[at + len(noise) :], where="a file")
