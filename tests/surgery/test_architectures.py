"""Whole architectures, weights drawn anew: units hold all that has weights, and three programs give the same.

They are ONNX Runtime without any optimisation on the file as it came, ONNX Runtime on the
one form, and torch through the interpreter.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from hwnas.surgery import NOTHING, Cut, Fragment, assemble
from hwnas.surgery.canonical import canonical
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.regions import MOST_WEIGHTED
from tests.surgery.networks import RESNET20, image_of, light, run

SLOW = [pytest.mark.slow, pytest.mark.timeout(900)]
LIGHTEST = ("squeezenet", "shufflenet")
HEAVIER = ("inception_v1", "inception_v2", "resnet50", "densenet121", "bvlc_alexnet", "zfnet512", "vgg19")
OWN = "HWNAS_TEST_NETWORKS"  # folders or files of further networks, as a path variable lists them


def others() -> list[Path]:
    found: list[Path] = [RESNET20]
    for part in os.environ.get(OWN, "").split(os.pathsep):
        path = Path(part)
        found += sorted(path.glob("*.onnx")) if part and path.is_dir() else [path] if part else []
    return found


def apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(a - b).max() / np.abs(a).max())


def holds(model: onnx.ModelProto, plans: int) -> None:
    """Everything that must hold of a network whose inputs are images."""
    made = canonical(model, sizes(model))
    x = image_of(made)
    original = onnx.ModelProto()
    original.CopyFrom(model)
    before, after = run(original, x, optimised=False), run(made, x, optimised=False)
    assert all(np.ptp(a) > 0 for a in before)  # else nothing would be shown
    assert max(apart(a, b) for a, b in zip(before, after, strict=True)) < 1e-5
    cut = Cut.of(made)
    weighted = [i for i in range(len(cut.flow.nodes)) if cut.flow.is_weighted(i)]
    assert {cut.flow.nodes[i].output[0] for i in weighted} >= {
        n.output[0] for n in made.graph.node if n.op_type in ("Conv", "Gemm")}
    assert set(weighted) <= set(cut.unit_of)
    assert all(1 <= u.region.weighted <= MOST_WEIGHTED for u in cut.units)
    assert assemble(cut, {}).SerializeToString() == made.SerializeToString()
    rng = np.random.default_rng(0)
    for _ in range(plans):
        agree(cut, x, rng)


def agree(cut: Cut, x: NDArray[np.float32], rng: np.random.Generator) -> None:
    """A random plan: units as they are, in their own place again, or left out; by ONNX Runtime and by torch."""
    plan = {}
    for unit in cut.units:
        if rng.random() < 0.4:
            plan[unit.name] = Fragment(cut.model_of(unit))
        elif unit.keeps_shape and rng.random() < 0.3:
            plan[unit.name] = NOTHING
    model = assemble(cut, plan)
    onnx.checker.check_model(model)
    with torch.inference_mode():
        found = [value.numpy() for value in OnnxModule(model)(torch.from_numpy(x))]
    for a, b in zip(run(model, x), found, strict=True):
        assert apart(a, b) < 1e-4


def sizes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of inputs whose size is open: images of 64 by 96."""
    constants, found = {t.name for t in model.graph.initializer}, {}
    for value in model.graph.input:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.name not in constants and min(dims) < 1:
            found[value.name] = tuple(d if d > 0 else usual for d, usual in zip(dims, (1, 3, 64, 96), strict=True))
    return found


def unsaturated(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what would flatten differences at the end: a network that is sure, or was given noise, hides them."""
    ends = {v.name: v for v in model.graph.output}
    for node in list(model.graph.node):
        if node.op_type in ("Softmax", "Sigmoid") and node.output[0] in ends:
            ends[node.output[0]].name = node.input[0]
            model.graph.node.remove(node)
    return model


@pytest.mark.parametrize("name", [*LIGHTEST, *(pytest.param(name, marks=SLOW) for name in HEAVIER)])
def test_a_light_architecture(name: str) -> None:
    holds(light(name, thin=1 if name in LIGHTEST else 4), plans=2 if name in LIGHTEST else 4)


@pytest.mark.parametrize("path", others(), ids=lambda path: path.stem)
def test_a_trained_network(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    holds(unsaturated(onnx.load(path)), plans=4)
