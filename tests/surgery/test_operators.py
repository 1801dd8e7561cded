"""Every operator that torch carries out, in every variant, held against ONNX Runtime (or the reference of onnx)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwnas.errors import UsageError
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.operators import FUNCTIONS
from tests.surgery.networks import OPSET, session

F, LONG = np.float32, np.int64
RNG = np.random.default_rng(0)


def some(*shape: int, low: float = -2.0, high: float = 2.0) -> NDArray[np.float32]:
    return RNG.uniform(low, high, shape).astype(F)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, LONG)


X, SQUARE, ROW = some(2, 4, 7, 9), some(1, 3, 6, 6), some(3, 8)
POSITIVE = some(2, 5, low=0.1, high=3.0)


@dataclass(frozen=True)
class Case:
    """One node.

    Args:
        inputs: what it reads; the first is given, the others are constants, None is left out.
        given: how many of the inputs are given and not constants.
    """

    kind: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = OPSET
    given: int = 1
    outputs: int = 1

    def model(self) -> onnx.ModelProto:
        names = ["" if v is None else f"i{i}" for i, v in enumerate(self.inputs)]
        node = helper.make_node(self.kind, names, [f"o{i}" for i in range(self.outputs)], **self.attributes)
        values = [helper.make_tensor_value_info(names[i], helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                  for i, v in enumerate(self.inputs[: self.given])]
        constants = [numpy_helper.from_array(v, names[i]) for i, v in enumerate(self.inputs)
                     if i >= self.given and v is not None]
        untyped = [helper.make_value_info(f"o{i}", onnx.TypeProto()) for i in range(self.outputs)]
        graph = helper.make_graph([node], "case", values, untyped, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        typed = onnx.shape_inference.infer_shapes(model)
        for end, found in zip(model.graph.output, typed.graph.output, strict=True):
            kind = found.type.tensor_type.elem_type or TensorProto.FLOAT
            end.CopyFrom(helper.make_tensor_value_info(end.name, kind, None))
        return model

    def __str__(self) -> str:
        told = [f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in self.attributes.items()
                if not isinstance(v, onnx.TensorProto)]
        shapes = ["-" if v is None else "x".join(map(str, v.shape)) or "1" for v in self.inputs]
        return " ".join([self.kind, *shapes, *told, *([f"opset {self.opset}"] if self.opset != OPSET else [])])


def truth(case: Case) -> list[NDArray[Any]]:
    model, feed = case.model(), {f"i{i}": v for i, v in enumerate(case.inputs[: case.given])}
    try:
        found: list[NDArray[Any]] = session(model, optimised=False).run(None, feed)
    except (onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
            onnxruntime.capi.onnxruntime_pybind11_state.Fail):
        found = ReferenceEvaluator(model).run(None, feed)
    return found


def pools(kind: str, opset: int) -> list[Case]:
    variants: list[dict[str, Any]] = [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [0, 1, 2, 0]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [0, 0, 2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 4], "strides": [2, 3], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "VALID"},
        {"kernel_shape": [3, 3], "pads": [2, 2, 2, 2]},
    ]
    return [Case(kind, (X,), v, opset) for v in variants]


def resized(mode: str, where: str, rounding: str = "", **more: Any) -> list[Case]:
    """Larger, smaller, by factors that are no ratio of the sizes, and by sizes."""
    how = {"mode": mode, "coordinate_transformation_mode": where} | ({"nearest_mode": rounding} if rounding else {})
    none = np.empty(0, F)
    return [*(Case("Resize", (SQUARE, none, np.array([1, 1, *f], F)), how | more)
              for f in ((2, 2), (0.5, 0.5), (1.5, 0.7), (1.3, 2.4), (0.17, 1))),
            *(Case("Resize", (SQUARE, none, none, ints(1, 3, *s)), how | more) for s in ((9, 4), (1, 12), (6, 6)))]


CASES = [
    # convolutions and products
    *(Case("Conv", (X, some(6, 4, 3, 3), *b), a) for b in ((), (some(6),)) for a in (
        {}, {"pads": [1, 1, 1, 1]}, {"pads": [0, 1, 2, 1]}, {"strides": [2, 1]}, {"dilations": [2, 3]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [3, 2]}, {"auto_pad": "SAME_LOWER", "kernel_shape": [3, 3]},
        {"auto_pad": "VALID"})),
    Case("Conv", (X, some(8, 2, 3, 3), some(8)), {"group": 2, "pads": [1, 1, 1, 1]}),
    Case("Conv", (X, some(4, 1, 5, 5)), {"group": 4, "auto_pad": "SAME_UPPER"}),
    Case("Conv", (X, some(4, 4, 2, 2)), {"auto_pad": "SAME_LOWER"}),
    Case("Conv", (some(1, 3, 9), some(5, 3, 4), some(5)), {"pads": [1, 2], "strides": [2]}),
    Case("Conv", (some(1, 2, 4, 5, 6), some(3, 2, 2, 3, 2)), {"pads": [1, 0, 1, 0, 1, 0]}),
    Case("Conv", (X, some(6, 4, 3, 3), some(6)), {}, 9),
    *(Case("ConvTranspose", (X, some(4, 3, 3, 3), *b), a) for b in ((), (some(3),)) for a in (
        {}, {"strides": [2, 2]}, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"dilations": [2, 1]}, {"strides": [2, 2], "pads": [0, 0, 1, 1]}, {"pads": [1, 0, 2, 1]})),
    Case("ConvTranspose", (X, some(4, 2, 2, 2), some(4)), {"group": 2, "strides": [2, 2]}),
    Case("ConvTranspose", (some(1, 3, 5), some(3, 2, 3)), {"strides": [2]}),
    *(Case("Gemm", (ROW, some(8, 5), *c), a) for c in ((), (some(5),), (some(3, 5),), (some(1),)) for a in (
        {}, {"alpha": 0.5, "beta": 2.0})),
    Case("Gemm", (ROW, some(5, 8), some(5)), {"transB": 1}),
    Case("Gemm", (some(8, 3), some(5, 8)), {"transA": 1, "transB": 1, "alpha": 0.3}),
    Case("MatMul", (some(2, 3, 4, 5), some(5, 6))),
    Case("MatMul", (some(2, 1, 4, 5), some(3, 5, 6))),
    Case("MatMul", (some(5), some(5, 6))),
    Case("MatMul", (some(2, 4, 5), some(2, 5, 3)), given=2),
    # norms
    *(Case("BatchNormalization", (X, some(4), some(4), some(4), some(4, low=0.2)), a, o) for a in ({}, {"epsilon": 0.1})
      for o in (9, 14, 17)),
    Case("InstanceNormalization", (X, some(4), some(4)), {"epsilon": 1e-3}),
    *(Case("LayerNormalization", (X, some(*s), *b), a)
      for s, a in (((9,), {}), ((7, 9), {"axis": 2}), ((4, 7, 9), {"axis": -3, "epsilon": 0.1}), ((1, 9), {"axis": 2}))
      for b in ((), (some(*s),))),
    *(Case("LRN", (some(1, 7, 3, 3),), {"size": n, "alpha": 0.5, "beta": 0.6, "bias": 1.5}) for n in (1, 3, 5)),
    Case("LRN", (X,), {"size": 5}),
    # pools
    *pools("MaxPool", 12), *pools("AveragePool", 11), *pools("AveragePool", 19),
    *(Case("AveragePool", c.inputs, c.attributes | {"count_include_pad": 1}, 19) for c in pools("AveragePool", 19)),
    Case("MaxPool", (X,), {"kernel_shape": [2, 2], "dilations": [2, 3], "strides": [1, 2]}),
    *(Case("AveragePool", (X,), {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [1, 2]} | a, 19) for a in (
        {}, {"pads": [1, 1, 1, 1]}, {"pads": [1, 0, 0, 1], "count_include_pad": 1}, {"ceil_mode": 1})),
    Case("MaxPool", (some(1, 2, 9),), {"kernel_shape": [3], "strides": [2]}),
    Case("AveragePool", (some(1, 2, 4, 4, 4),), {"kernel_shape": [2, 2, 2]}),
    Case("GlobalAveragePool", (X,)), Case("GlobalAveragePool", (some(2, 3, 5),)), Case("GlobalMaxPool", (X,)),
    # values one by one
    *(Case(kind, (X,)) for kind in (
        "Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Erf", "Floor", "Ceil", "Softplus", "HardSwish", "Mish",
        "Reciprocal", "Softsign", "Sin", "Cos", "Sign", "HardSigmoid", "Elu", "Selu", "LeakyRelu") if kind != "Mish"),
    Case("Mish", (X,), opset=18),
    Case("Round", (np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3], F),)),
    Case("Log", (POSITIVE,)), Case("Sqrt", (POSITIVE,)),
    Case("HardSigmoid", (X,), {"alpha": 0.3, "beta": 0.4}), Case("Elu", (X,), {"alpha": 0.4}),
    Case("Selu", (X,), {"alpha": 1.3, "gamma": 0.7}), Case("LeakyRelu", (X,), {"alpha": 0.2}),
    Case("Softplus", (np.array([-100, -1, 0, 19, 21, 100], F),)),
    *(Case("Gelu", (X,), {"approximate": how}, 20) for how in ("none", "tanh")), Case("Gelu", (X,), opset=20),
    Case("PRelu", (X, some(4, 1, 1))), Case("PRelu", (X, some(1))),
    *(Case("Clip", (X, low, high)) for low in (None, np.array(-1, F)) for high in (None, np.array(1, F))),
    Case("Clip", (X,)), Case("Clip", (X,), {"min": -0.5, "max": 0.7}, 6), Case("Clip", (X,), {"max": 0.7}, 6),
    *(Case(kind, (X,), a, o) for kind in ("Softmax", "LogSoftmax") for a, o in (
        ({}, 13), ({"axis": 1}, 13), ({"axis": -2}, 13), ({}, 11), ({"axis": 2}, 11), ({"axis": -1}, 11),
        ({"axis": 0}, 11))),
    # values of several
    *(Case(kind, (X, y)) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")
      for y in (some(2, 4, 7, 9, low=0.5), some(4, 1, 1, low=0.5), np.array(1.5, F))),
    *(Case(kind, (X, some(4, 1, 1)), given=2) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")),
    *(Case(kind, (ints(7, -7, 8, 0), ints(2, 2, -3, 5)), given=2)
      for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    Case("Sum", (X, some(4, 1, 1), some(9)), given=2), Case("Sum", (X,)),
    Case("Max", (X, some(4, 1, 1), some(9))), Case("Min", (X,)),
    Case("Pow", (POSITIVE, np.array(2, F))), Case("Pow", (POSITIVE, np.array(-0.5, F))), Case("Pow", (X, ints(2))),
    Case("Pow", (POSITIVE, some(5)), given=2),
    *(Case(kind, (np.round(X), np.round(some(9)))) for kind in ("Equal", "Greater", "Less")),
    *(Case(kind, (X,), {"axes": a, "keepdims": k}, 11) for kind in (
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd")
      for a in ([1], [2, 3], [-1], [0, 2]) for k in (0, 1)),
    *(Case(kind, (X, ints(*a)), {"keepdims": k}, 18) for kind in (
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd")
      for a in ((1,), (-2, -1)) for k in (0, 1)),
    *(Case(kind, (SQUARE,), {"keepdims": k}, 18) for kind in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceProd")
      for k in (0, 1)),
    Case("ReduceSum", (X, np.empty(0, LONG)), {"noop_with_empty_axes": 1}, 13),
    Case("ReduceSum", (X, np.empty(0, LONG)), {}, 13),
    # shapes
    Case("Identity", (X,)), Case("Dropout", (X,)), Case("Dropout", (X,), {"ratio": 0.3}, 10),
    Case("Constant", (), {"value": numpy_helper.from_array(X)}, given=0),
    *(Case("Constant", (), {k: v}, given=0) for k, v in (
        ("value_int", 3), ("value_ints", [3, 4]), ("value_float", 1.5), ("value_floats", [1.5, 2.5]))),
    Case("Shape", (X,)), Case("Shape", (X,), {"start": 1, "end": -1}), Case("Shape", (X,), {"start": -2}),
    *(Case("Cast", (X,), {"to": to}) for to in (
        TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.DOUBLE)),
    Case("ConstantOfShape", (ints(2, 3),), given=0),
    Case("ConstantOfShape", (ints(2, 3),), {"value": numpy_helper.from_array(ints(7))}, given=0),
    *(Case("Flatten", (X,), {"axis": a}) for a in (0, 1, 2, 4, -1, -3)), Case("Flatten", (X,)),
    *(Case("Reshape", (X, ints(*s))) for s in ((2, -1), (0, 0, 63), (8, 63), (-1,), (2, 2, 2, 63), (0, -1, 3, 3))),
    Case("Reshape", (some(0, 4), ints(4, 0)), {"allowzero": 1}),
    Case("Transpose", (X,)), Case("Transpose", (X,), {"perm": [0, 2, 3, 1]}),
    Case("Squeeze", (some(1, 4, 1, 1), ints(0, -1))), Case("Squeeze", (some(1, 4, 1, 1),)),
    Case("Squeeze", (some(1, 4, 1, 1),), {"axes": [2, 3]}, 11),
    Case("Unsqueeze", (ROW, ints(0, -1))), Case("Unsqueeze", (ROW,), {"axes": [1, 3]}, 11),
    *(Case("Concat", (X, some(2, 4, 7, 9), X), {"axis": a}, given=2) for a in (0, 1, -1)),
    *(Case("Split", (X, ints(1, 3)), {"axis": 1}, outputs=2) for _ in "1"),
    Case("Split", (X,), {"axis": 1}, outputs=2), Case("Split", (X,), {"axis": -1, "split": [4, 5]}, 11, outputs=2),
    Case("Split", (X,), {"axis": 3, "num_outputs": 4}, 18, outputs=4), Case("Split", (some(6),), {}, outputs=3),
    *(Case("Slice", (X, *(None if v is None else ints(*v) for v in s))) for s in (
        ((1,), (3,), (1,)), ((0, -3), (-1, 100), (1, 3)), ((1, 0), (2, 3)), ((-1,), (-100,), (3,), (-1,)),
        ((5,), (0,), (2,), (-2,)), ((0,), (2**62,), (3,), (3,)), ((3,), (3,), (1,)), ((-100,), (4,), (-1,), (2,)),
        ((100,), (-2**62,), (2,), (-3,)), ((1, 1), (2, 3), None, (1, 2)))),
    Case("Slice", (X,), {"starts": [1, 2], "ends": [3, -1], "axes": [1, 3]}, 9),
    Case("Slice", (X,), {"starts": [1], "ends": [2]}, 9),
    *(Case("Gather", (X, i), {"axis": a}) for i, a in (
        (ints(0, 2, -1), 1), (np.array(2, LONG), 3), (np.array([[0, 1], [1, 0]], LONG), 0),
        (np.array(-1, np.int32), -2))),
    Case("Gather", (ints(5, 6, 7), ints(2, 0)), {}, given=1),
    *(Case("Expand", (some(3, 1), ints(*s))) for s in ((3, 4), (2, 1, 5), (1, 1))),
    Case("Tile", (ROW, ints(2, 3))),
    Case("Where", (X > 0, X, some(9)), given=2), Case("Where", (X > 0, X, np.array(0, F)), given=2),
    Case("Where", (X > 0, some(9), np.array(0, F))),
    *(Case("Pad", (X, ints(*p), *v)) for p in (
        (0, 0, 1, 2, 0, 0, 3, 0), (0, 1, 0, 0, 1, 0, 0, 0), (0, 0, -1, 2, 0, 0, 1, -2))
      for v in ((), (np.array(0.5, F),))),
    *(Case("Pad", (X, ints(0, 0, 1, 2, 0, 0, 3, 0)), {"mode": m}) for m in ("reflect", "edge")),
    Case("Pad", (X, ints(0, 0, 1, 2, 0, 0, 3, 0)), {"mode": "wrap"}, 19),
    *(Case("Pad", (X, ints(0, 1, 0, 0, 0, 2, 0, 0)), {"mode": m}) for m in ("reflect", "edge")),
    *(Case("Pad", (ROW, ints(0, 2, 1, 1)), {"mode": m}) for m in ("reflect", "edge")),
    Case("Pad", (X, ints(1, 2, 0, 3), np.array(0.5, F), ints(3, -2)), {}, 18),
    Case("Pad", (X,), {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}, 9),
    Case("Pad", (X,), {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "mode": "reflect"}, 9),
    *(Case("DepthToSpace", (some(2, 12, 3, 4),), {"blocksize": 2, "mode": m}) for m in ("DCR", "CRD")),
    # sizes
    *(c for where in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
      for mode in ("linear", "cubic") for c in resized(mode, where)),
    *(c for where in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
      for r in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil") for c in resized("nearest", where, r)),
    *(Case("Resize", (SQUARE, np.array([1, 1, 2, 2], F)), {"mode": m}, 10) for m in ("nearest", "linear")),
    Case("Resize", (SQUARE, np.array([1, 1, 0.6, 1.7], F)), {"mode": "nearest"}, 10),
    Case("Resize", (SQUARE, None, np.array([1, 1, 2, 3], F))),
    Case("Resize", (SQUARE, None, np.array([2, 3], F)), {"axes": [2, 3]}, 18),
    Case("Resize", (SQUARE, None, None, ints(12, 3)), {"axes": [3, 2], "mode": "linear"}, 18),
    Case("Resize", (SQUARE, None, np.array([1, 2, 2, 1], F)), {"mode": "nearest"}),
    *(Case("Resize", (SQUARE, None, np.array([1, 1, 2, 0.5], F)),
           {"mode": "cubic", "cubic_coeff_a": -0.5} | a) for a in ({}, {"exclude_outside": 1})),
    *(Case("Upsample", (SQUARE, np.array([1, 1, 2, 3], F)), {"mode": m}, 9) for m in ("nearest", "linear")),
    Case("Upsample", (SQUARE,), {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 2.0]}, 7),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_what_onnx_says(case: Case) -> None:
    want = truth(case)
    given = [torch.from_numpy(v) for v in case.inputs[: case.given]]
    found = OnnxModule(case.model())(*given)
    assert len(found) == len(want)
    for a, b in zip(want, found, strict=True):
        got = b.detach().numpy() if isinstance(b, torch.Tensor) else np.asarray(b)
        assert got.shape == a.shape
        assert got.dtype.kind == a.dtype.kind
        assert np.allclose(got, a, rtol=1e-4, atol=2e-5, equal_nan=True), np.abs(got - a).max()


def test_every_operator_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(FUNCTIONS)


def refused(*cases: tuple[str, Case]) -> Any:
    return pytest.mark.parametrize("rule, case", cases, ids=lambda part: str(part)[:60])


@refused(
    ("resizing by linear and tf_crop_and_resize", Case(
        "Resize", (SQUARE, np.array([0, 0, 0, 0, 1, 1, 1, 1], F), np.array([1, 1, 2, 2], F)),
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"})),
    ("resizing with antialias = 1", Case("Resize", (SQUARE, None, np.array([1, 1, 0.5, 0.5], F)),
                                         {"mode": "linear", "antialias": 1}, 18)),
    ("resizing with keep_aspect_ratio_policy = not_larger", Case(
        "Resize", (SQUARE, None, None, ints(1, 3, 4, 9)), {"keep_aspect_ratio_policy": "not_larger"}, 18)),
    ("a maximum pool that gives places", Case("MaxPool", (X,), {"kernel_shape": [2, 2]}, outputs=2)),
    ("a transposed convolution that pads by itself", Case(
        "ConvTranspose", (X, some(4, 3, 3, 3)), {"strides": [2, 2], "output_shape": [14, 18]})),
    ("padding of .* by replicate", Case("Pad", (some(1, 1, 2, 2, 2, 2), ints(0, 1, *[1] * 4, 0, 1, *[1] * 4)),
                                      {"mode": "edge"})),
)
def test_what_is_not_carried_out_is_refused_and_not_wrong(rule: str, case: Case) -> None:
    with pytest.raises(UsageError, match=rule):
        OnnxModule(case.model())(*(torch.from_numpy(v) for v in case.inputs[: case.given]))


@pytest.mark.parametrize("case", [c for c in CASES if any(
    v is not None and v.dtype == F and v.size > 1 for v in c.inputs[c.given:])], ids=str)
def test_gradients_reach_every_weight_and_the_input(case: Case) -> None:
    module = OnnxModule(case.model())
    given = [torch.from_numpy(v).requires_grad_(v.dtype == F) for v in case.inputs[: case.given]]
    outputs = [out for out in module(*given) if isinstance(out, torch.Tensor) and out.requires_grad]
    if case.kind in ("Equal", "Greater", "Less"):
        assert not outputs
        return
    rng = torch.Generator().manual_seed(0)
    sum((out * torch.rand(out.shape, generator=rng)).sum() for out in outputs).backward()  # type: ignore[union-attr]
    for values in (*module.parameters(), *(x for x in given if x.requires_grad)):
        assert values.grad is not None
        assert torch.isfinite(values.grad).all()
    weights = list(module.parameters())
    assert len(weights) + len(list(module.buffers())) <= sum(
        v is not None and v.dtype == F and v.size > 1 for v in case.inputs[case.given:])
