"""Where networks are trained: what is found, what is refused, and number formats."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import Dataset
from hwnas.errors import UsageError
from hwnas.nets import Network, Supernet
from hwnas.space import SpaceConfig, build
from hwnas.tasks import find
from hwnas.train import Accelerator, TrainConfig, Workload, fit
from hwnas.train.accelerator import CPU, device_of
from hwnas.train.checkpoint import load_tensors

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def network(data: Dataset) -> Network:
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", data.imgsz, data.channels, 10, 0.5, 1))
    return Network(space.smallest(), data.mean.tolist(), data.std.tolist())


@needs_no_gpu
def test_without_a_gpu_auto_is_the_cpu() -> None:
    found = Accelerator.find()
    assert (found.device.type, found.rank, found.world, found.leads) == ("cpu", 0, 1, True)


@needs_no_gpu
def test_a_gpu_that_is_not_there_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"torch finds no CUDA device.*--accelerator cpu"):
        Accelerator.find("cuda:3")


@pytest.mark.parametrize("name", ["tpu", "cpu:x", "meta", ""])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(UsageError, match="an accelerator is one of auto, cpu, cuda, mps"):
        Accelerator.find(name)


def test_formats_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="fp16 trains on a GPU"):
        Accelerator(amp="fp16")
    with pytest.raises(UsageError, match="amp is one of no, bf16, fp16"):
        Accelerator(amp="fp8")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="rank 2 is not one of 2"):
        Accelerator(rank=2, world=2)


def test_the_environment_of_processes_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="WORLD_SIZE must be a whole number, not 'two'"):
        Accelerator.find("cpu")


@pytest.mark.parametrize("name", ["mobile", "fbnet", "proxyless", "ofa", "nasbench201"])
def test_shared_weights_of_every_space_learn_in_bf16(name: str) -> None:
    torch.manual_seed(0)
    space = build(SpaceConfig(name, 32, 3, 4, *((0.5,) if name in ("mobile",) else ())))
    net = Supernet(space, [0.5] * 3, [0.25] * 3)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(torch.rand(4, 3, 32, 32), space.largest())
    out.float().square().sum().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def test_bf16_learns_in_float32_weights_and_goes_on_bit_for_bit(digits: Dataset, tmp_path: Path) -> None:
    workload = Workload(find("classify"), digits, accelerator=Accelerator(amp="bf16"))
    config = TrainConfig(epochs=3, batch=32, lr=0.05)
    whole, resumed = network(digits), network(digits)
    history = fit(whole, workload, config, seed=0)
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert {p.dtype for p in whole.parameters()} == {torch.float32}

    class Cut(Exception):
        pass

    def cut(what: str, done: int, total: int) -> None:
        if done > 2 * total // 3:
            raise Cut

    with pytest.raises(Cut):
        fit(network(digits), workload, config, seed=0, checkpoint=tmp_path / "c", progress=cut)
    fit(resumed, workload, config, seed=0, checkpoint=tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    plain = network(digits)
    fit(plain, digits, config, seed=0)
    assert any(not torch.equal(a, b) for a, b in zip(whole.parameters(), plain.parameters(), strict=True))


def test_pixels_are_those_that_networks_eat(digits: Dataset) -> None:
    images = digits.train_images[:3]
    found = CPU.pixels(np.asarray(images))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy() * 255, np.asarray(images).astype(np.float32))
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")


@needs_gpu
@pytest.mark.gpu
def test_a_gpu_learns_what_the_cpu_learns(digits: Dataset, tmp_path: Path) -> None:
    config, losses = TrainConfig(epochs=2, batch=32, lr=0.05), {}
    for name in ("cpu", "cuda"):
        workload = Workload(find("classify"), digits, accelerator=Accelerator.find(name))
        history = fit(network(digits), workload, config, seed=0, checkpoint=tmp_path / name)
        losses[name] = [e.loss for e in history.epochs]
        load_tensors(tmp_path / name)
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-2)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_number_formats_of_a_gpu(digits: Dataset, amp: str, tmp_path: Path) -> None:
    workload = Workload(find("classify"), digits, accelerator=Accelerator.find("cuda", amp))  # type: ignore[arg-type]
    config = TrainConfig(epochs=4, batch=32, lr=0.05)
    history = fit(network(digits), workload, config, seed=0, checkpoint=tmp_path / "c")
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert ("amp_scale" in load_tensors(tmp_path / "c")[0]) == (amp == "fp16")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, of what it looks at while it traces
def test_a_compiled_network_learns_the_same_weights(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    # traced and differentiated by torch.compile, not lowered to C++: that is torch's own, and takes minutes on a CPU
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    config, trained = TrainConfig(epochs=1, batch=32, lr=0.01, optimizer="adamw"), []
    for compiles in (False, True):
        net = network(digits)
        fit(net, Workload(find("classify"), digits, accelerator=Accelerator(compiles=compiles)), config, seed=0)
        trained.append(net.state_dict())
    assert trained[0].keys() == trained[1].keys()
    for name, value in trained[0].items():
        assert torch.allclose(trained[1][name].float(), value.float(), atol=1e-4), name
