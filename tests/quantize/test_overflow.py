"""No sum of two products leaves 16 bits in any model for a processor, however it comes to its eight bits.

Kernels for AVX2 and AVX-512 without VNNI multiply u8 activations with s8 weights and add pairs of products in 16 bits,
which saturate in silence (VPMADDUBSW). Which targets are served by such kernels is known by their runtime: a model may
be carried to another processor than the one it was made on, so every one for a processor is safe on the oldest.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from hwnas.profile import network_model
from hwnas.quantize import VARIANTS, in_precisions, to_form, variant_for
from hwnas.runtime import RUNTIMES
from hwnas.space import SpaceConfig, build
from hwnas.surgery import Cut
from hwnas.surgery.assembler import Assembler, feeds_of
from hwnas.surgery.plan import Places
from hwnas.surgery.unit_costs import random_plans
from tests.surgery.networks import chain, image_of

LARGEST = 2**15 - 1
ON_PROCESSORS = ("onnxruntime", "openvino")
OTHERS = [name for name in RUNTIMES if name not in ON_PROCESSORS]


def products(model: bytes) -> list[NDArray[np.int64]]:
    """Codes of all weights whose products are added in pairs, (outputs, inputs): all but depthwise ones."""
    graph = onnx.load_model_from_string(model).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    found = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or (read := makers.get(node.input[1])) is None:
            continue
        codes = constants[read.input[0]].astype(np.int64)
        group = next((a.i for a in node.attribute if a.name == "group"), 1)
        if group == 1 or group != len(codes):
            found.append(codes.reshape(len(codes), -1))
    return found


def worst(codes: NDArray[np.int64]) -> int:
    """The largest sum of two products, whichever two meet and whatever the activations are: u8 codes up to 255."""
    up, down = np.sort(np.maximum(codes, 0), 1)[:, -2:], np.sort(np.maximum(-codes, 0), 1)[:, -2:]
    return int(255 * max(up.sum(1).max(), down.sum(1).max()))


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
@pytest.mark.parametrize("name", ["mobile", "nasbench201"])
def test_networks_of_a_space_whole_and_place_by_place(name: str, runtime: str) -> None:
    space, variant = build(SpaceConfig(name, 16, 3, 10, depth=1)), variant_for(runtime)
    for seed in range(3):
        model = network_model(space.sample(np.random.default_rng(seed)), seed=seed)
        some = {p.name: "int8" for i, p in enumerate(space.positions) if (i + seed) % 2}
        for made in (to_form(model, "int8", variant=variant), in_precisions(model, some, variant=variant)):
            assert products(made)
            assert max(map(worst, products(made))) <= LARGEST


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_units_of_a_users_network_in_any_plan(runtime: str) -> None:
    model = chain(8)
    cut = Cut.of(model)
    made = Assembler(cut, feeds_of("image", [image_of(model)]), variant_for(runtime))
    places = Places.of(cut, ("int8",))
    plans = [places.uniform("int8"), *random_plans(places, 6, seed=2)]
    found = [codes for plan in plans for codes in products(made.model(plan))]
    assert found
    assert max(map(worst, found)) <= LARGEST


def test_the_worst_case_is_reached_by_eight_bits() -> None:
    """The bound bites: weights as other runtimes take them would saturate."""
    model = network_model(build(SpaceConfig("mobile", 16, 3, 10, depth=1)).largest())
    assert max(map(worst, products(to_form(model, "int8", variant="s8s8")))) > LARGEST
    codes = products(to_form(model, "int8"))
    assert max(np.abs(c).max() for c in codes) == 64  # 2 x 255 x 64 is the most that fits
    assert LARGEST < 255 * (65 + 65)


def test_the_target_s_runtime_decides() -> None:
    assert all(VARIANTS[variant_for(name)].narrow for name in ON_PROCESSORS)
    assert not any(VARIANTS[variant_for(name)].narrow for name in OTHERS if "tensorrt" in name)
