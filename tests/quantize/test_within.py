"""Eight bits, or half precision, for some nodes of a graph alone: all others compute as they did, to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwnas.quantize import VARIANTS, to_form
from hwnas.quantize.calibrate import Range
from tests.surgery.networks import Drawing, chain, image_of, run, session, small

FORMS = ("int8", "fp16")


def made(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output]


def samples(model: onnx.ModelProto, n: int = 4) -> list[dict[str, NDArray[Any]]]:
    return [{"image": image_of(model, seed)} for seed in range(n)]


def lowered(model: onnx.ModelProto, within: set[str] | None, form: str = "int8", **words: Any) -> onnx.ModelProto:
    data = to_form(model.SerializeToString(), form, samples=samples(model), within=within, **words)
    found = onnx.load_model_from_string(data)
    onnx.checker.check_model(found, full_check=True)
    return found


def values(model: onnx.ModelProto, names: list[str], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Tensors by name, nothing optimised."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {v.name for v in model.graph.output}
    watched.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names
                                if n not in known)
    found = session(watched, optimised=False)
    outputs = [v.name for v in found.get_outputs()]
    return {n: v for n, v in zip(outputs, found.run(None, {"image": x}), strict=True) if n in names}


def distance(model: onnx.ModelProto, changed: onnx.ModelProto) -> float:
    x = image_of(model, 1)
    exact, rounded = run(model, x)[0], run(changed, x)[0]
    return float(np.sqrt(np.mean((exact - rounded) ** 2)) / np.ptp(exact))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("hard_swish", [False, True])
def test_all_within_is_the_same_as_no_limits_byte_by_byte(hard_swish: bool, variant: str) -> None:
    model = small(hard_swish=hard_swish)
    assert lowered(model, set(made(model)), variant=variant).SerializeToString() == lowered(
        model, None, variant=variant).SerializeToString()


def test_all_within_in_half_precision() -> None:
    model = small()
    whole, some = to_form(model.SerializeToString(), "fp16"), lowered(model, set(made(model)), "fp16")
    x = image_of(model)
    assert np.array_equal(run(whole, x)[0], run(some, x)[0])


@pytest.mark.parametrize("form", FORMS)
def test_nothing_within_is_the_float_network(form: str) -> None:
    for hard_swish in (False, True):
        model = small(hard_swish=hard_swish)
        changed = lowered(model, set(), form)
        assert [n.SerializeToString() for n in changed.graph.node] == [n.SerializeToString() for n in model.graph.node]


def test_brain_floats_between_two_casts() -> None:
    """ONNX Runtime has no convolution in bf16, so nodes and types are looked at; weights are the nearest there are."""
    model, names = fork()
    data = to_form(model.SerializeToString(), "bf16", within={names["left"], names["left end"]})
    found = onnx.load_model_from_string(data)
    onnx.checker.check_model(found)
    casts = {n.output[0]: onnx.helper.get_node_attr_value(n, "to") for n in found.graph.node if n.op_type == "Cast"}
    assert casts == {f"{names['shared']}/brain": TensorProto.BFLOAT16, names["left end"]: TensorProto.FLOAT}
    exact = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    halves = {t.name: t for t in found.graph.initializer if t.data_type == TensorProto.BFLOAT16}
    assert len(halves) == 2  # weights and a bias
    for name, tensor in halves.items():
        values, whole = numpy_helper.to_array(tensor).astype(np.float32), exact[name.removesuffix("/brain")]
        assert 0 < np.abs(values - whole).max() <= np.abs(whole).max() * 2**-8


def after(model: onnx.ModelProto, names: set[str]) -> set[str]:
    """Tensors that depend on some."""
    reached = set(names)
    for node in model.graph.node:
        if reached & set(node.input):
            reached |= set(node.output)
    return reached


@pytest.mark.parametrize("form, variant", [*(("int8", v) for v in VARIANTS), ("fp16", "u8s8")])
@pytest.mark.parametrize("seed", range(4))
def test_nodes_outside_compute_as_they_did(form: str, variant: str, seed: int) -> None:
    """What does not depend on a lowered node has the same bits; what does is near, and nodes outside are unchanged."""
    model = small(seed, hard_swish=seed % 2 == 1)
    rng = np.random.default_rng(seed)
    names = made(model)
    within = {str(name) for name in rng.permutation(names[2:])[: len(names) // 3]}
    changed = lowered(model, within, form, variant=variant)
    x = image_of(model, 9)
    kept = [n for n in names if n not in after(model, within)]
    before, now = values(model, kept, x), values(changed, kept, x)
    assert kept
    assert all(np.array_equal(before[n], now[n]) for n in kept)
    nodes = {n.output[0]: (n.op_type, list(n.attribute)) for n in changed.graph.node}
    for node in model.graph.node:
        if node.output[0] not in within and form == "int8":
            assert nodes[node.output[0]] == (node.op_type, list(node.attribute))
    assert distance(model, changed) < 0.1


def fork() -> tuple[onnx.ModelProto, dict[str, str]]:
    """A tensor that two convolutions and an output read; each of the two has an activation."""
    d = Drawing((1, 4, 8, 8))
    shared = d.relu(d.conv("image", 8, 3))
    left, right = d.conv(shared, 8, 3), d.conv(shared, 8, 3)
    ends = d.relu(left), d.relu(right)
    model = d.shaped(*ends, shared)
    return model, {"shared": shared, "left": left, "right": right, "left end": ends[0], "right end": ends[1]}


def test_a_tensor_that_floats_read_too_is_rounded_for_the_integers_alone() -> None:
    model, names = fork()
    changed = lowered(model, {names["left"], names["left end"]})
    x = image_of(model, 5)
    wanted = [names["shared"], names["right"], names["right end"]]
    before, now = values(model, wanted, x), values(changed, wanted, x)
    assert all(np.array_equal(before[n], now[n]) for n in wanted)  # the output and the other branch
    readers = {n.output[0]: n.input[0] for n in changed.graph.node}
    assert readers[names["right"]] == names["shared"]
    (twin,) = (n.output[0] for n in changed.graph.node if n.op_type == "DequantizeLinear"
               and n.input[0] == f"{names['shared']}/q")
    assert twin == f"{names['shared']}/rounded"
    assert twin in {n.input[0] for n in changed.graph.node if n.op_type == "Conv"}
    rounded = values(changed, [twin], x)[twin]
    step = np.diff(np.unique(rounded)).min()
    exact = before[names["shared"]]
    high = rounded.max()
    assert np.abs(np.clip(exact, 0, high) - rounded).max() <= step / 2 + 1e-6


def test_what_integers_make_is_read_back_once_for_all() -> None:
    model, names = fork()
    changed = lowered(model, {model.graph.node[0].output[0], names["shared"]})
    reads = [n for n in changed.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == f"{names['shared']}/q"]
    assert [n.output[0] for n in reads] == [names["shared"]]
    assert {n.input[0] for n in changed.graph.node if n.output[0] in (names["left"], names["right"])} == {
        names["shared"]}
    assert [v.name for v in changed.graph.output] == [v.name for v in model.graph.output]


def pairs(model: onnx.ModelProto) -> set[str]:
    return {n.input[0].removesuffix("/float") for n in model.graph.node if n.op_type == "QuantizeLinear"}


def test_pairs_stand_where_integers_begin_and_end() -> None:
    """Of six convolutions the third and the fourth: one tensor enters, and each activation is rounded."""
    model = chain(6)
    nodes = list(model.graph.node)
    within = {nodes[i].output[0] for i in (4, 5, 6, 7)}
    changed = lowered(model, within)
    assert {n.split("/")[0] for n in pairs(changed)} <= {nodes[3].output[0], *within}
    assert nodes[3].output[0] in pairs(changed)  # entering
    assert nodes[7].output[0] in {n.input[0].split("/")[0] for n in changed.graph.node
                                  if n.op_type == "DequantizeLinear"}  # leaving
    weights = {t.name: numpy_helper.to_array(t).dtype for t in changed.graph.initializer if t.name.endswith("/q")}
    assert sum(v == np.int8 for v in weights.values()) == 2


def test_the_first_node_alone_rounds_the_image_and_no_one_else_sees_it() -> None:
    d = Drawing((1, 3, 8, 8))
    first, other = d.conv("image", 4, 3), d.conv("image", 4, 3)
    model = d.shaped(d.relu(first), other)
    changed = lowered(model, {first})
    reads = {n.output[0].removesuffix("/float"): n.input[0] for n in changed.graph.node if n.op_type == "Conv"}
    assert reads[first] == "image/rounded"
    assert reads[other] == "image"


def test_an_output_of_the_graph_keeps_its_name() -> None:
    model = chain(3)
    tap = helper.make_tensor_value_info(model.graph.node[3].output[0], TensorProto.FLOAT, (1, 8, 8, 8))
    model.graph.output.insert(0, tap)
    for form in FORMS:
        changed = lowered(model, {model.graph.node[2].output[0], model.graph.node[3].output[0]}, form)
        assert [v.name for v in changed.graph.output] == [v.name for v in model.graph.output]
        assert run(changed, image_of(model))[0].dtype == np.float32


def gated() -> tuple[onnx.ModelProto, list[str]]:
    """Hard swish, and a block with squeeze and excite behind it; names in order."""
    d = Drawing((1, 4, 8, 8), seed=2)
    x = d.node("HardSwish", d.conv("image", 8, 3))
    pooled = d.node("ReduceMean", x, axes=[2, 3], keepdims=1)
    gate = d.node("HardSigmoid", d.conv(d.relu(d.conv(pooled, 4)), 8), alpha=1 / 6, beta=0.5)
    x = d.node("HardSwish", d.conv(d.node("Mul", x, gate), 8))
    model = d.shaped(d.conv(x, 4))
    return model, made(model)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("first, last", [
    (0, 11), (0, 1), (1, 2), (2, 6), (2, 7), (3, 6), (6, 7), (7, 9), (8, 11), (9, 9)])
def test_gates_and_hard_swish_inside_and_at_the_border(first: int, last: int, variant: str) -> None:
    model, names = gated()
    within = set(names[first : last + 1])
    changed = lowered(model, within, variant=variant)
    assert distance(model, changed) < 0.06
    outside = [n for n in names if n not in within]
    ops = {n.output[0]: n.op_type for n in model.graph.node}
    assert {n.output[0]: n.op_type for n in changed.graph.node if n.output[0] in outside} == {
        n: ops[n] for n in outside}


def test_ranges_that_are_known_are_taken_and_what_is_found_is_added() -> None:
    model = chain(4)
    known: dict[str, Range] = {}
    within = {n.output[0] for n in model.graph.node[:4]}
    first = lowered(model, within, known=known)
    assert set(known) >= {"image", model.graph.node[1].output[0], model.graph.node[3].output[0]}
    filled = dict(known)
    # Again, with nothing to look for: samples that would raise are never asked for.
    again = to_form(model.SerializeToString(), "int8", within=within, known=known, samples=[])
    assert again == first.SerializeToString()
    assert known == filled
    known["image"] = (-30.0, 30.0)
    wide = onnx.load_model_from_string(to_form(model.SerializeToString(), "int8", within=within, known=known))
    scales = {t.name: numpy_helper.to_array(t) for t in wide.graph.initializer}
    assert float(scales["image/s"]) == pytest.approx(60 / 255)
    assert known["image"] == (-30.0, 30.0)


def test_more_within_looks_only_for_what_is_new() -> None:
    model = chain(4)
    known: dict[str, Range] = {}
    lowered(model, {model.graph.node[0].output[0]}, known=known)
    before = dict(known)
    lowered(model, set(made(model)), known=known)
    assert {k: known[k] for k in before} == before
    assert len(known) > len(before)


@pytest.mark.parametrize("form", FORMS)
def test_nodes_without_names_are_told_apart_by_what_they_make(form: str) -> None:
    model = chain(4)
    within = {n.output[0] for n in model.graph.node[2:4]}
    named = lowered(model, within, form)
    for node in model.graph.node:
        node.name = ""
    changed = lowered(model, within, form)
    x = image_of(model)
    assert np.array_equal(run(changed, x)[0], run(named, x)[0])
    assert not np.array_equal(run(changed, x)[0], run(model, x)[0])


def test_half_precision_of_some_nodes_halves_their_weights_alone() -> None:
    model = chain(6)
    within = {n.output[0] for n in model.graph.node[2:6]}
    changed = lowered(model, within, "fp16")
    halves = {t.name for t in changed.graph.initializer if t.data_type == TensorProto.FLOAT16}
    assert halves == {f"{name}/half" for n in model.graph.node[2:6:2] for name in n.input[1:]}
    assert sum(n.op_type == "Cast" for n in changed.graph.node) == 2
    assert 0 < distance(model, changed) < 0.01


def test_half_precision_and_eight_bits_side_by_side() -> None:
    model = chain(6)
    half, eight = ({n.output[0] for n in model.graph.node[a : a + 4]} for a in (2, 6))
    changed = lowered(lowered(model, half, "fp16"), eight)
    kinds = {t.data_type for t in changed.graph.initializer}
    assert {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8} <= kinds
    assert distance(model, changed) < 0.05


def test_both_halves_side_by_side_share_a_bound_and_a_boundary() -> None:
    """A clip's bound that nodes of both read is there in both, and so is the map between them."""
    rng, nodes, made_of = np.random.default_rng(0), [], [numpy_helper.from_array(np.array(6, np.float32), "six")]
    made_of.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    for i in range(2):
        weight = rng.normal(0, 0.3, (8, 8, 3, 3)).astype(np.float32)
        made_of.append(numpy_helper.from_array(weight, f"w{i}"))
        nodes += [helper.make_node("Conv", [f"y{i - 1}" if i else "image", f"w{i}"], [f"c{i}"], pads=[1] * 4),
                  helper.make_node("Clip", [f"c{i}", "zero", "six"], [f"y{i}"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 6, 6]) for name in ("image", "y1")]
    model = helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], made_of),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data = model.SerializeToString()
    for form, within in (("bf16", {"c0", "y0"}), ("fp16", {"c1", "y1"})):
        data = to_form(data, form, within=within)
    found = onnx.load_model_from_string(data)
    onnx.checker.check_model(found)
    kinds = {t.name: t.data_type for t in found.graph.initializer}
    assert len(kinds) == len(found.graph.initializer)
    for node in found.graph.node:
        wanted = {"y0/brain": TensorProto.BFLOAT16, "y1/half": TensorProto.FLOAT16}.get(node.output[0])
        if wanted:
            assert [kinds[name] for name in node.input[1:]] == [wanted, wanted]


SPLIT = """
import sys
import numpy as np
import onnx
from hwnas.quantize import to_form
model = onnx.load(sys.argv[1])
x = np.random.default_rng(0).normal(0, 1, (1, 8, 16, 16)).astype(np.float32)
within = {n.output[0] for n in model.graph.node if n.op_type == "Conv"}
found = to_form(model.SerializeToString(), "int8", samples=[{"image": x * i} for i in range(1, 9)], within=within)
import hashlib
print(hashlib.sha256(found).hexdigest())
"""


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """A float node that makes several tensors which integers read: their order decides what calibration draws."""
    d = Drawing((1, 8, 16, 16))
    parts = d.node("Split", "image", outputs=4, axis=1, channels=2)
    model = d.shaped(*(d.conv(part, 4, 3) for part in parts))
    onnx.save(model, tmp_path / "split.onnx")
    found = {subprocess.run([sys.executable, "-c", SPLIT, str(tmp_path / "split.onnx")], capture_output=True, text=True,
                            check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)}).stdout for seed in (0, 1, 2)}
    assert len(found) == 1
