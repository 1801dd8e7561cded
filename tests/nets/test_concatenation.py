"""Nodes that put maps side by side: counted, trained, exported and charged as what is executed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hwnas.errors import InputError
from hwnas.export import to_onnx
from hwnas.latency.estimate import estimate
from hwnas.latency.executed_ops import charged_ops, live_ops
from hwnas.nets import Supernet
from hwnas.profile import network_model, random_weights
from hwnas.profile.blocks import Block as TimedBlock
from hwnas.quantize import to_form
from hwnas.runtime import open_runtime
from hwnas.space import Op, Position, Space, SpaceConfig, resized, space_from_json, space_to_json
from hwnas.target import load

MEAN, STD = [0.5] * 3, [0.25] * 3


def inception() -> Space:
    """A stem; beside each other a 1x1 convolution, a choice that may be nothing, and the map itself; then a choice."""
    shape = (8, 8)
    beside: dict[str, Any] = {"reads": "stem", "writes": "join", "merge": "concat"}
    wide = Op("mbconv", 8, 16, *shape, kernel=3, expand=2, act="relu")
    return Space(SpaceConfig("inception", 16, 3, 5), (
        Position("stem", (Op("conv", 3, 8, 16, 16, kernel=3, stride=2, act="relu"),)),
        Position("left", (Op("conv", 8, 8, *shape, act="relu"), Op("none", 8, 8, *shape)), **beside),
        Position("middle", (wide, wide.replaced(kernel=5), Op("none", 8, 16, *shape)), **beside),
        Position("right", (Op("identity", 8, 8, *shape), Op("none", 8, 8, *shape)), **beside),
        Position("mix", (Op("conv", 32, 16, *shape, act="relu"), Op("conv", 32, 16, *shape, kernel=3, act="relu"))),
        Position("head", (Op("head", 16, 5, *shape, act="relu", hidden=(12,)),)),
    ))


SPACE = inception()
ALL = [SPACE.architecture(choice) for choice in itertools.product(*(range(n) for n in SPACE.sizes))]


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    out: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return out


def test_shapes_and_text() -> None:
    assert SPACE.edges[1].part == (0, 8)
    assert SPACE.edges[2].part == (8, 24)
    assert SPACE.edges[3].part == (24, 32)
    assert SPACE.signatures[-1] == "concat k1 e1 s1 8-32 8x8 none"
    one = (*SPACE.positions[:2], Position("head", (Op("head", 8, 5, 8, 8),)))
    summed = tuple(Position(p.name, p.ops, p.reads, p.writes) for p in one)
    assert Space(SPACE.config, one).fingerprint != Space(SPACE.config, summed).fingerprint


def test_to_json_and_back() -> None:
    data = space_to_json(SPACE)
    assert data["nodes"]["join"] == {"shape": [32, 8, 8], "merge": "concat"}
    assert "merge" not in data["nodes"]["stem"]
    found = space_from_json(data)
    assert found.positions == SPACE.positions
    assert found.fingerprint == SPACE.fingerprint
    data["nodes"]["join"]["shape"] = [16, 8, 8]
    with pytest.raises(InputError, match="join is said to be"):
        space_from_json(data)


def test_wirings_that_cannot_be_are_refused() -> None:
    stem, left, middle, right, mix, head = SPACE.positions
    for wrong, why in (
        ((stem, left, Position("middle", middle.ops, "stem", "join"), right, mix, head), "both sum and concat"),
        ((stem, left, middle, mix, head), "puts maps together"),
        ((stem, left, middle, right, Position("mix", (Op("conv", 32, 16, 4, 4),)), head), "join|mix"),
        ((stem, Position("head", (Op("head", 8, 5, 8, 8),), merge="concat")), "ends the network"),
    ):
        with pytest.raises(InputError, match=why):
            Space(SPACE.config, wrong)


def test_memory_is_what_lies_on_the_nodes() -> None:
    """By hand: what is alive while each op of the largest network runs, and while maps are put together."""
    arch, place = SPACE.largest(), 64
    stem, join = 8 * place, 32 * place
    middle = 16 * place  # hidden channels of the inverted residual, before and behind its depthwise convolution
    alive = [
        3 * 256 + stem, 8 * place + stem, stem + 8 * place + 2 * middle, stem + (8 + 16) * place, 2 * join,
        join + 16 * place,
    ]
    assert arch.memory_bytes(1) == max(alive) == 2 * join
    for arch in ALL:
        fixed, rows = SPACE.counts("memory")
        assert arch.memory_bytes(1) == max(fixed, *(row[i] for row, i in zip(rows, arch.choice, strict=True)))
        for cost, amount in (("flops", arch.flops), ("params", arch.params)):
            fixed, rows = SPACE.counts(cost)  # type: ignore[arg-type]
            assert amount == fixed + sum(row[i] for row, i in zip(rows, arch.choice, strict=True))


def test_a_path_of_the_supernet_is_the_network_and_the_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    supernet = Supernet(SPACE, MEAN, STD)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05)
    x, labels = torch.rand(6, 3, 16, 16), torch.arange(6) % 5
    for arch in ALL[::7]:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(supernet.train()(x, arch), labels)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
    supernet.eval()
    for number, arch in enumerate(ALL):
        net = supernet.network(arch).eval()
        with torch.no_grad():
            expected = net(x)
            torch.testing.assert_close(supernet(x, arch), expected, rtol=1e-4, atol=1e-5)
        if all(arch.live):
            assert sum(p.numel() for p in net.parameters()) == arch.params
        model = onnx.load_from_string(network_model(arch))
        onnx.checker.check_model(model, full_check=True)
        joined = sum(node.op_type == "Concat" for node in model.graph.node)
        assert joined == arch.connected
        if number % 6 == 0:
            to_onnx(net, tmp_path / "model.onnx", {})
            out = run((tmp_path / "model.onnx").read_bytes(), x.numpy())
            np.testing.assert_allclose(out, expected.numpy(), rtol=1e-3, atol=1e-4)  # type: ignore[union-attr]


def test_zeros_stand_where_nothing_is_written() -> None:
    supernet = Supernet(SPACE, MEAN, STD).eval()
    arch = SPACE.architecture([1, 0, 1, 0])  # the middle alone
    seen: list[torch.Tensor] = []
    supernet.candidates[4].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        supernet(torch.rand(2, 3, 16, 16), arch)
    (x,) = seen
    assert x.shape == (2, 32, 8, 8)
    assert x[:, :8].abs().sum() == x[:, 24:].abs().sum() == 0
    assert x[:, 8:24].abs().sum() > 0


def test_costs_are_those_of_what_is_executed() -> None:
    fixed, rows = charged_ops(SPACE)
    concat = Op("concat", 8, 32, 8, 8)
    for arch in ALL:
        executed = [op.signature for op in live_ops(arch)]
        assert executed.count(concat.signature) == arch.connected
        assert not any(op.kind == "identity" for op in live_ops(arch))  # nothing is added
        charged = [op.signature for op in fixed]
        charged += [op.signature for row, i in zip(rows, arch.choice, strict=True) for op in row[i]]
        if arch.connected:
            assert sorted(charged) == sorted(executed)  # a network that is not cut is charged what it executes
        else:
            assert executed == []
    model = estimate(SPACE, load("raspberry-pi-4"), "compiled")
    for arch in ALL:
        if arch.connected:
            assert model.predict(arch).latency_ms == pytest.approx(
                sum(model.entries_ms[op.signature] for op in live_ops(arch)) + model.calibration.b_ms)


def test_putting_together_is_timed_and_runs_in_eight_bits() -> None:
    block = TimedBlock(Op("concat", 8, 32, 8, 8))
    for model in (block.model(1, random_weights()), *(part.build(1, random_weights()) for part in block.base)):
        session = open_runtime("onnxruntime").load(model)
        assert np.isfinite(session.run(session.example())[0]).all()
    arch = SPACE.largest()
    exact = network_model(arch, seed=1)
    rng = np.random.default_rng(0)
    *samples, x = (rng.random((1, 3, 16, 16), dtype=np.float32) for _ in range(4))
    rounded = to_form(exact, "int8", samples=[{"input": s} for s in samples])
    kinds = {node.output[0]: node for node in onnx.load_from_string(rounded).graph.node}
    (concat,) = [node for node in kinds.values() if node.op_type == "Concat"]
    assert all(kinds[name].op_type == "DequantizeLinear" for name in concat.input)  # integers go in
    a, b = run(exact, x), run(rounded, x)
    assert np.sqrt(np.mean((a - b) ** 2)) < 0.06 * np.ptp(a)


def test_other_widths_keep_the_parts() -> None:
    half = resized(SPACE.as_data(), width=2.0, classes=7)
    assert half.edges[2].part == (16, 48)
    assert half.positions[4].ops[0].in_channels == 64
    assert half.positions[-1].ops[0].out_channels == 7
