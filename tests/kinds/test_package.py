"""A package of somebody else: its kinds are profiled, searched, trained, quantised and exported as ours are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from hwnas.documents import read_json
from hwnas.errors import InputError, UsageError
from hwnas.latency import Table
from hwnas.latency.estimate.analytic import term_ms
from hwnas.latency.estimate.roofline import Roofline
from hwnas.nets import Block, Network, Supernet, deployed
from hwnas.nets.elastic import ElasticBlock
from hwnas.pipeline import RunFolder, compress
from hwnas.profile import network_model
from hwnas.space import SPACES, Conv, Op, SpaceConfig, build, space_from_json
from hwnas.space.builtin import Description
from hwnas.space.kinds.registry import kind_of
from hwnas.space.lowering import registered
from hwnas.space.primitives import OnMap
from hwnas.target import load
from tests.kinds.test_contract import run, scrambled

MEAN, STD = [0.5], [0.25]
THEIRS = {"fused_mbconv", "repvgg", "inception", "maxpool"}


@pytest.fixture(scope="module", autouse=True)
def space(installed: dict[str, str]) -> Any:
    from example_kinds.space import example  # type: ignore[import-not-found]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPACES, "example", Description(example, "kinds of another package", 16))
        yield build(SpaceConfig("example", 16, 1, 10))


def test_the_branches_of_a_block_are_the_convolution_they_are_fused_into() -> None:
    for text in ("repvgg k3 e1 s1 8-8 6x5 relu", "repvgg k5 e1 s1 8-8 6x5 hswish g2", "repvgg k3 e1 s2 8-12 7x5 relu",
                 "repvgg k3 e1 s1 8-8 4x5x6 relu"):
        op = Op.parse(text)
        block = scrambled(op)
        fused = deployed(block)
        branches = 3 if op.keeps_shape else 2
        assert sum(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in block.modules()) == branches
        assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in fused.modules())
        assert sum(isinstance(m, torch.nn.modules.conv._ConvNd) for m in fused.modules()) == 1
        x = torch.randn(3, op.in_channels, *op.size)
        with torch.no_grad():
            assert float(block(x).abs().max()) > 0.1
            torch.testing.assert_close(fused(x), block(x), rtol=1e-4, atol=1e-4)
        assert deployed(Block(Op("conv", 8, 8, 4, 4))) is not None


def test_a_network_without_branches_is_deployed_as_it_is() -> None:
    block = Block(Op("conv", 8, 8, 4, 4))
    assert deployed(block) is block


def test_ops_of_several_kinds_share_weights_among_themselves(space: Any) -> None:
    supernet = Supernet(space, MEAN, STD)
    choice = supernet.candidates[1]
    assert len(choice.shared) == 2
    fused, plain = choice.shared
    assert [op.kind for op in fused.ops] == ["fused_mbconv"] * 3
    assert [op.kind for op in plain.ops] == ["mbconv"] * 2
    assert all(isinstance(choice.module_of(i), ElasticBlock) for i in range(5))
    rng = np.random.default_rng(0)
    x = torch.rand(4, 1, 16, 16)
    for arch in [space.architecture([j % n for n in space.sizes]) for j in range(max(space.sizes))]:
        supernet.eval()
        net = supernet.network(arch).eval()
        with torch.no_grad():
            torch.testing.assert_close(supernet(x, arch), net(x), rtol=1e-4, atol=1e-4)
    assert {op.kind for _ in range(20) for op in space.sample(rng).ops} >= THEIRS


def test_a_table_of_their_kinds_is_read_elsewhere_where_the_package_is(space: Any, installed: dict[str, str]) -> None:
    """Another process that is told of nothing but the path reads their signatures, and one without it says why not."""
    code = "import sys; from hwnas.space import Op; print(Op.parse(sys.argv[1]).flops)"
    text = "repvgg k3 e1 s1 8-8 6x5 relu"
    done = subprocess.run([sys.executable, "-c", code, text], env=installed, capture_output=True, text=True)
    assert done.stdout == f"{Op.parse(text).flops}\n", done.stderr
    bare = {**installed, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code, text], env=bare, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'entry point "hwnas.ops"' in done.stderr


def test_what_a_sum_costs_is_asked_of_the_last_primitive() -> None:
    target = load("raspberry-pi-4")
    assert target.hardware is not None
    line = Roofline.of(target, target.hardware)
    ours, theirs, conv = (Op.parse(text) for text in ("avgpool k3 e1 s1 8-8 8x8 none", "maxpool k3 e1 s1 8-8 8x8 none",
                                                       "repvgg k3 e1 s1 8-8 8x8 relu"))
    assert theirs.sums_apart
    assert term_ms(theirs, line) == term_ms(ours, line) != (0.0, 0.0)
    assert term_ms(conv, line) == (0.0, 0.0)


def test_a_kind_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "wrong-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hwnas.ops]\nwrong = json:dumps\ngone = no_such_module_at_all:X\n"
                                           "other = example_kinds.repvgg:RepVgg\nconv = example_kinds.repvgg:RepVgg\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, why in (("wrong", "must be a subclass"), ("gone", "does not import"), ("other", "with this name")):
        with pytest.raises(UsageError, match=why):
            kind_of(name)
    assert kind_of("conv").name == "conv"  # ours cannot be taken over
    with pytest.raises(InputError, match="small letters"):
        kind_of("Wrong name")


def test_a_primitive_that_no_one_registered_says_where_to() -> None:
    class Unknown(OnMap):
        pass

    from hwnas.nets.modules import module_of

    with pytest.raises(UsageError, match=r"nets knows no Unknown: register it with hwnas\.nets\.modules\.module_of"):
        module_of(Unknown(8, (4, 4)))
    assert registered("nets", module_of, Conv(3, 8, (4, 4))) is module_of.dispatch(Conv)


def test_fields_of_their_own_are_part_of_the_text(space: Any) -> None:
    op = Op("inception", 8, 8, 4, 4, own={"branches": 3})
    assert op.signature == "inception k1 e1 s1 8-8 4x4 none branches=3"
    assert Op("inception", 8, 8, 4, 4, own={"branches": 2}) == Op("inception", 8, 8, 4, 4)  # as it is anyway
    assert Op.parse(op.signature) == op
    for wrong in ({"branches": 1}, {"ways": 3}):
        with pytest.raises(InputError):
            Op("inception", 8, 8, 4, 4, own=wrong)


@pytest.fixture(scope="module")
def finished(space: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A whole compress of the space in int8 on this machine: tables, search, training, choice, export, checks."""
    return compress(
        tmp_path_factory.mktemp("runs") / "example", space="example", data="digits", limit=260, imgsz=16, epochs=2,
        warmup=1, epochs_per_evaluation=0.25, cycles=1, settle=6, top=3, finalists=2, trial_epochs=1, torch_threads=1,
        precision="int8", widths=(1.0,), tables=str(tmp_path_factory.mktemp("tables")),
        budgets={"flops": "80%", "latency": "150%"})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_their_kinds_go_from_the_data_to_an_int8_model(finished: RunFolder) -> None:
    table = Table.read(finished.path / "table.jsonl")
    assert {signature.split()[0] for signature in table.entries} >= THEIRS
    assert finished.result("export")["exact"]["max_difference"] <= 1e-3
    model = onnx.load(finished.path / "model.onnx")
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    assert (finished.path / "report.html").is_file()


def test_their_network_is_exported_as_it_is_timed(space: Any, tmp_path: Path) -> None:
    """The deployed form of a trained network is the graph that stands in the table: one convolution a RepVGG block."""
    from hwnas.export import to_onnx

    arch = space.architecture([5] * len(space.sizes))
    net = Network(arch, MEAN, STD).eval()
    for name, block in net.blocks.items():
        block.load_state_dict(scrambled(dict(zip([p.name.replace(".", "_") for p in space.positions], arch.ops,
                                                 strict=True))[name]).state_dict())
    to_onnx(net, tmp_path / "model.onnx", {})
    ours, theirs = onnx.load_from_string(network_model(arch)), onnx.load(tmp_path / "model.onnx")
    count = [sum(node.op_type == "Conv" for node in model.graph.node) for model in (ours, theirs)]
    assert count[0] == count[1] == len(space.sizes) + 2
    assert not any(node.op_type == "BatchNormalization" for node in theirs.graph.node)
    x = np.random.default_rng(0).random((2, 1, 16, 16), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(run((tmp_path / "model.onnx").read_bytes(), x), expected, rtol=1e-3, atol=1e-3)


def test_their_backbone_is_written_as_source(space: Any, tmp_path: Path, installed: dict[str, str]) -> None:
    from hwnas.export.backbone import write_backbone

    arch = space.architecture([6, 5, 5, 5])
    net = Network(arch, MEAN, STD).eval()
    write_backbone(net, tmp_path, {"hwnas": "test"})
    code = ("import torch; from model import load; torch.manual_seed(0); "
            "print([tuple(m.shape) for m in load('backbone.safetensors')(torch.rand(1, 1, 16, 16))])")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[(1, 16, 8, 8), (1, 32, 4, 4)]"


def test_the_command_line_takes_their_space(installed: dict[str, str], tmp_path: Path) -> None:
    """Another process that knows the package by its entry points alone writes the space down and estimates it."""
    words = ["spaces", "show", "example_kinds.space:example", "--imgsz", "16", "--channels", "1", "--classes", "10",
             "--out", "theirs.json"]
    environment = {**installed, "HWNAS_TABLES": str(tmp_path / "tables"), "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-m", "hwnas", *words], cwd=tmp_path, env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    written = space_from_json(read_json(tmp_path / "theirs.json"))
    assert {op.kind for p in written.positions for op in p.ops} >= THEIRS
