"""Bodies for others: maps, their channels and strides, and code that gives the same without hwnas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import UsageError
from hwnas.export.backbone import write_backbone
from hwnas.nets import FeatureNet, Network
from hwnas.runtime import open_runtime
from hwnas.space import SPACES, SpaceConfig, build

SIZE = 64


def network(name: str, seed: int = 0, **values: object) -> Network:
    torch.manual_seed(seed)
    space = build(SpaceConfig(name, SIZE, 3, 5, 0.5, 1, **values))  # type: ignore[arg-type]
    arch = space.sample(np.random.default_rng(seed))
    while not arch.connected:
        arch = space.sample(np.random.default_rng(seed := seed + 1))
    net = Network(arch, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    for _ in range(2):
        net.train()(torch.rand(4, 3, SIZE, SIZE))
    return net.eval()


@pytest.mark.parametrize("name", sorted(SPACES))
def test_maps_are_as_described(name: str) -> None:
    body = FeatureNet(network(name))
    maps = body(torch.rand(2, 3, SIZE, SIZE))
    assert [m.shape[1] for m in maps] == body.channels
    assert [SIZE // m.shape[2] for m in maps] == body.reductions
    assert sorted(body.reductions) == body.reductions


def test_indices_pick_maps() -> None:
    net = network("mobile")
    every, two = FeatureNet(net), FeatureNet(net, (1, -1))
    assert two.feature_info == [every.feature_info[1], every.feature_info[-1]]
    x = torch.rand(1, 3, SIZE, SIZE)
    for index, found in zip((1, -1), two(x), strict=True):
        assert torch.equal(found, every(x)[index])
    short = FeatureNet(net, (0,))
    assert len(short.blocks) < len(every.blocks)
    for bad in ((9,), ()):
        with pytest.raises(UsageError, match="out_indices must be among"):
            FeatureNet(net, bad)


def test_a_body_is_what_the_network_runs() -> None:
    net = network("mobile")
    x = torch.rand(2, 3, SIZE, SIZE)
    last = FeatureNet(net)(x)[-1]
    assert torch.allclose(net.blocks["head"](last), net(x), atol=1e-6)


@pytest.mark.parametrize("name", ["mobile", "ofa", "fbnet"])
def test_the_files_give_the_same_without_hwnas(name: str, tmp_path: Path) -> None:
    net = network(name)
    files = write_backbone(net, tmp_path / "body", {"hwnas": "test"})
    x = torch.rand(2, 3, SIZE, SIZE)
    wanted = [m.detach().numpy() for m in FeatureNet(net)(x)]
    session = open_runtime("onnxruntime").load(files[0].read_bytes())
    for a, b in zip(session.run({session.input_name: x.numpy()}), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    names = [o.name for o in onnx.load(files[0]).graph.output]
    assert names == [f"stride{r}" for r in FeatureNet(net).reductions]
    np.save(tmp_path / "x.npy", x.numpy())
    script = (
        "import sys, numpy as np, torch\n"
        f"sys.path.insert(0, {str(tmp_path / 'body')!r})\n"
        "class Refuse:\n    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'hwnas': raise ImportError('hwnas is not here')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import model\n"
        f"net = model.load({str(tmp_path / 'body' / 'backbone.safetensors')!r})\n"
        f"maps = net(torch.from_numpy(np.load({str(tmp_path / 'x.npy')!r})))\n"
        f"np.savez({str(tmp_path / 'y.npz')!r}, *[m.detach().numpy() for m in maps])\n"
        "assert [f['num_chs'] for f in net.feature_info] == [m.shape[1] for m in maps]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=240)
    found = np.load(tmp_path / "y.npz")
    for key, b in zip(found.files, wanted, strict=True):
        np.testing.assert_allclose(found[key], b, atol=1e-5)


def test_cells_have_no_model_py(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"for chains; in nasbench201"):
        write_backbone(network("nasbench201"), tmp_path / "body", {})
    assert not (tmp_path / "body").exists() or not list((tmp_path / "body").iterdir())
