"""Who makes and reads a tensor, shapes, bytes and work."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.surgery.dataflow import Dataflow, branches_of, read_by, static_shape
from tests.surgery.networks import Drawing, run, small
from tests.surgery.test_regions import branch


def test_makers_and_readers() -> None:
    flow = Dataflow(small())
    assert flow.inputs == ("image",)
    assert len(flow.outputs) == 1
    for i, node in enumerate(flow.nodes):
        assert flow.reads[i] == tuple(dict.fromkeys(n for n in node.input if n not in flow.constants))
        assert all(flow.makers[name] == i for name in node.output)
        assert all(i in flow.readers[name] for name in flow.reads[i])
    assert sum(map(len, flow.readers.values())) == sum(map(len, flow.reads))


def test_what_is_left_out_and_what_is_read_twice() -> None:
    d = Drawing((1, 3, 4, 4))
    twice = d.node("Add", "image", "image")
    end = d.node("Clip", twice, "", d.constant(np.float32(1)))
    flow = Dataflow(d.shaped(end))
    assert flow.reads == (("image",), (twice,))


def test_branches_read_from_outside_what_they_do_not_make() -> None:
    d = Drawing((1, 4, 4, 4))
    constant = d.constant(np.ones((1, 4, 4, 4), np.float32), "outer")
    x = d.relu("image")
    condition = d.node("Less", d.node("ReduceMax", x, keepdims=0), d.constant(np.float32(0)))
    inner = branch(d, condition, constant)
    nested = helper.make_graph([d.nodes.pop()], "nested", [], [helper.make_tensor_value_info(
        inner, TensorProto.FLOAT, None)])
    other = helper.make_graph([helper.make_node("Neg", [x], ["negative"])], "other", [], [
        helper.make_tensor_value_info("negative", TensorProto.FLOAT, None)])
    end = d.node("If", condition, then_branch=nested, else_branch=other)
    flow = Dataflow(d.shaped(end))
    node = flow.nodes[-1]
    assert len(branches_of(node)) == 2
    assert set(read_by(node)) == {condition, constant, x}
    assert set(flow.reads[-1]) == {condition, x}  # constants are none of the flow
    assert branches_of(flow.nodes[0]) == []


@pytest.mark.parametrize("words, channels, kernel, groups", [
    ({"pads": [1, 1, 1, 1]}, 8, 3, 1), ({"strides": [2, 2], "pads": [0, 0, 0, 0]}, 5, 1, 1), ({"group": 4}, 4, 3, 4)])
def test_work_of_a_convolution_is_counted_by_hand(words: dict[str, object], channels: int, kernel: int, groups: int
                                                  ) -> None:
    d = Drawing((1, 4, 9, 7))
    flow = Dataflow(d.shaped(d.conv("image", channels, kernel, **words)))
    _, c, h, w = flow.shapes[flow.outputs[0]]
    assert flow.work_of(0) == flow.work == sum(
        kernel * kernel * (4 // groups) for _ in range(c) for _ in range(h) for _ in range(w))


def test_work_of_other_products() -> None:
    d = Drawing((2, 6, 3, 3))
    up = d.node("ConvTranspose", "image", d.weights(6, 4, 2, 2), strides=[2, 2], channels=4)
    rows = d.node("Flatten", d.node("GlobalAveragePool", up))
    end = d.node("Gemm", rows, d.weights(5, 4), transB=1)
    flow = Dataflow(d.shaped(d.node("MatMul", end, d.weights(5, 7))))
    work = [flow.work_of(i) for i in range(len(flow.nodes))]
    assert work == [2 * 6 * 9 * 4 * 4, 0, 0, 2 * 4 * 5, 2 * 5 * 7]
    assert [flow.is_weighted(i) for i in range(5)] == [True, False, False, True, True]


def test_a_product_of_two_maps_has_no_weights() -> None:
    d = Drawing((1, 3, 4, 4))
    flow = Dataflow(d.shaped(d.node("MatMul", "image", "image")))
    assert not flow.is_weighted(0)
    assert flow.work == 3 * 4 * 4 * 4


def test_bytes_and_types() -> None:
    d = Drawing((1, 3, 4, 5))
    half = d.node("Cast", "image", to=TensorProto.FLOAT16)
    shape = d.node("Shape", "image")
    flow = Dataflow(d.shaped(half, shape, kinds={half: TensorProto.FLOAT16, shape: TensorProto.INT64}))
    assert [flow.bytes_of(n) for n in ("image", half, shape, "nothing")] == [240, 120, 32, 0]
    assert [flow.is_float(n) for n in ("image", half, shape, "nothing")] == [True, False, False, False]


@pytest.mark.parametrize("dims, shape", [
    ((1, 3, 4), (1, 3, 4)), ((1, "n"), None), ((), ()), (None, None), ((None, 2), None)])
def test_static_shapes(dims: tuple[int | str | None, ...] | None, shape: tuple[int, ...] | None) -> None:
    assert static_shape(helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)) == shape


def test_a_sequence_has_none() -> None:
    assert static_shape(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, (1,))) is None


def test_shapes_are_those_that_come_out() -> None:
    model = small()
    flow = Dataflow(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = list(flow.makers)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
    found = run(watched, np.zeros((1, 3, 8, 8), np.float32), optimised=False)
    assert {n: v.shape for n, v in zip(names, found, strict=True)} == {n: flow.shapes[n] for n in names}
