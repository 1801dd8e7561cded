"""A network as source that people read: it computes what ONNX Runtime computes, at any batch, without hwnas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from hwnas.errors import UsageError
from hwnas.surgery.canonical import canonical
from hwnas.surgery.torch_source import TorchSource, module_of, torch_source
from tests.surgery.networks import Drawing, chain, image_of, light, run, small


def source(model: onnx.ModelProto, **words: object) -> TorchSource:
    return torch_source(model, title="a network", feeding="as you like", **words)  # type: ignore[arg-type]


def held(model: onnx.ModelProto, seeds: int = 2) -> TorchSource:
    """The source, once it gave what ONNX Runtime gives."""
    found = source(model)
    net = module_of(found)
    for seed in range(seeds):
        x = image_of(model, seed)
        with torch.no_grad():
            given = net(torch.from_numpy(x))
        for got, want in zip(given if isinstance(given, tuple) else (given,), run(model, x), strict=True):
            assert got.shape == want.shape
            assert np.abs(got.numpy() - want).max() <= 1e-4 * max(1, np.abs(want).max())
    return found


@pytest.mark.parametrize("hard_swish", [False, True])
def test_layers_are_named_and_calls_are_read(hard_swish: bool) -> None:
    found = held(small(hard_swish=hard_swish))
    assert "self.conv3 = nn.Conv2d(16, 16, 3, padding=1, groups=16)" in found.text
    assert "self.linear1 = nn.Linear(8, 5)" in found.text
    assert ("nn.functional.hardswish" if hard_swish else "torch.relu") in found.text
    assert "hwnas" not in found.text.split('"""', 2)[2]
    assert sum(w.numel() for w in found.weights.values()) == sum(
        numpy_helper.to_array(t).size for t in small().graph.initializer)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_architectures(name: str) -> None:
    assert held(canonical(light(name)), seeds=1).batch is None


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = Drawing((1, 3, 12, 10), seed=seed)
    x, acts = "image", ("Relu", "HardSwish", "Sigmoid", "LeakyRelu", "Elu", "Tanh", "Softplus")
    for _ in range(5):
        kind = rng.integers(0, 6)
        if kind == 0:
            x = d.conv(x, int(rng.integers(2, 5)) * 4, int(rng.choice([1, 3])), dilations=[1, 1])
        elif kind == 1:
            x = d.conv(x, d.channels[x], 3, group=d.channels[x], pads=[0, 1, 2, 1])
        elif kind == 2:
            x = d.node("Add", x, d.relu(d.conv(x, d.channels[x], 3)))
        elif kind == 3:
            x = d.node("Mul", x, d.node("Sigmoid", d.conv(d.node("GlobalAveragePool", x), d.channels[x])))
        elif kind == 4:
            x = d.node("Concat", x, d.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4), axis=1,
                       channels=2 * d.channels[x])
        else:
            x = d.node("Clip", x, d.constant(np.float32(0)), d.constant(np.float32(6)))
        x = d.node(str(rng.choice(acts)), x)
    held(d.shaped(d.head(x), x))


def test_norms_products_resizing_and_constants() -> None:
    d = Drawing((1, 3, 8, 8))
    x = d.conv("image", 8, 3)
    parts = [d.constant(np.random.default_rng(i).uniform(0.5, 1.5, 8).astype(np.float32)) for i in range(4)]
    x = d.relu(d.node("BatchNormalization", x, *parts, epsilon=1e-3))
    x = d.node("Resize", x, "", d.constant(np.float32([1, 1, 2, 2])), mode="linear")
    x = d.node("Mul", x, d.constant(np.random.default_rng(9).normal(size=(1, 8, 1, 1)).astype(np.float32)))
    y = d.node("Slice", x, d.constant(np.array([1])), d.constant(np.array([7])), d.constant(np.array([1])), channels=6)
    flat = d.node("Flatten", d.node("GlobalAveragePool", y))
    z = d.node("MatMul", flat, d.weights(6, 4))
    found = held(d.shaped(d.node("Softmax", z), x))
    assert "nn.BatchNorm2d(8, eps=0.001" in found.text
    assert "nn.Linear(6, 4, bias=False)" in found.text
    assert "self.constant1 = nn.Parameter" in found.text
    assert "0.0010000000474974513" in found.text or "eps=0.001" in found.text


def test_a_network_of_one_image_is_written_for_one() -> None:
    d = Drawing((1, 3, 4, 4))
    x = d.relu(d.conv("image", 4, 3))
    rows = d.node("Reshape", x, d.constant(np.array([4, 16])))
    found = held(d.shaped(d.node("MatMul", rows, d.weights(16, 3))))
    assert found.batch == 1
    assert "(1, 3, 4, 4) -> " in found.text


def test_units_name_their_layers() -> None:
    model = chain()
    makers = {node.output[0]: f"u{i // 2:02d}" for i, node in enumerate(model.graph.node)}
    found = source(model, place_of=lambda name: makers.get(name, ""))
    assert "self.u00_conv1 = nn.Conv2d(3, 8, 3, padding=1)" in found.text
    assert "        # u01\n" in found.text
    assert set(found.weights) >= {"u00_conv1.weight", "u00_conv1.bias"}


def test_it_is_loaded_where_there_is_no_hwnas(tmp_path: Path) -> None:
    model = small()
    found = source(model)
    (tmp_path / "model.py").write_text(found.text)
    save_file(dict(found.weights), tmp_path / "model.safetensors")
    x = np.concatenate([image_of(model, seed) for seed in range(3)])
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "hwnas.py").write_text("raise ImportError('not here')\n")
    (tmp_path / "use.py").write_text(
        "import numpy as np, torch\nfrom model import load\nnet = load('model.safetensors')\n"
        "assert not net.training\nnp.save('y.npy', net(torch.from_numpy(np.load('x.npy'))).detach().numpy())\n")
    done = subprocess.run([sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    want = np.concatenate([run(model, x[i:i + 1])[0] for i in range(3)])
    assert np.allclose(np.load(tmp_path / "y.npy"), want, atol=1e-4)


def test_what_torch_does_not_have_is_said() -> None:
    d = Drawing()
    model = d.shaped(d.node("Acos", d.relu(d.conv("image", 4))))
    with pytest.raises(UsageError, match="torch has no counterpart here for the operator Acos"):
        source(model)


def test_names_from_outside_stay_text() -> None:
    found = torch_source(small(), title='a"""\nimport os\nos.abort()\n"""', feeding="\\", version='"',
                         place_of=lambda name: "u\n0 = 1; import os")
    assert '"""\nimport' not in found.text
    module_of(found)


def test_weights_that_are_shared_are_one_layer() -> None:
    d = Drawing()
    x = d.conv("image", 3, 3)
    again = helper.make_node("Conv", [x, *d.nodes[-1].input[1:]], ["twice"], pads=[1] * 4)
    d.nodes.append(again)
    model = d.model("twice")
    found = held(onnx.shape_inference.infer_shapes(model))
    assert found.text.count("nn.Conv2d(") == 1
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
