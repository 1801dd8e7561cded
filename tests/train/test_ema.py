"""The moving average: its formula, its coming and going in a network, and a resume bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwnas.errors import RunError, UsageError
from hwnas.train.checkpoint import load_tensors, save_tensors
from hwnas.train.ema import Ema


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def train(net: nn.Module, ema: Ema, first: int, last: int) -> None:
    """Plain gradient steps, each on pixels of its own seed."""
    net.train()
    for step in range(first, last):
        pixels = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        net.zero_grad()
        net(pixels).square().mean().backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.5 * parameter.grad  # type: ignore[operator]
        ema.update(net)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_average_is_its_formula() -> None:
    net = nn.Linear(1, 1, bias=False)
    values, wanted = [3.0, -1.0, 2.0, 10.0, 4.0], 3.0
    nn.init.constant_(net.weight, values[0])
    ema = Ema(net, decay=0.3)
    for n, value in enumerate(values[1:], start=1):
        nn.init.constant_(net.weight, value)
        ema.update(net)
        decay = min(0.3, (1 + n) / (10 + n))
        wanted = decay * wanted + (1 - decay) * value
        assert float(ema.average["weight"]) == pytest.approx(wanted, rel=1e-6)
    assert ema.steps == 4


def test_a_network_that_stays_is_its_own_average() -> None:
    net = network()
    ema = Ema(net)
    for _ in range(50):
        ema.update(net)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ema.average[name], value)


def test_statistics_of_batch_norm_are_averaged_and_counts_are_the_last() -> None:
    net = network()
    ema = Ema(net)
    train(net, ema, 0, 5)
    state = net.state_dict()
    assert int(ema.average["1.num_batches_tracked"]) == 5
    assert not torch.equal(ema.average["1.running_mean"], state["1.running_mean"])
    assert not torch.equal(ema.average["1.running_mean"], torch.zeros(4))


def test_applied_and_taken_off_again() -> None:
    net = network()
    ema = Ema(net, decay=0.9)
    train(net, ema, 0, 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    def interrupted() -> None:
        with ema.applied(net):
            assert same(net.state_dict(), ema.average)
            assert not same(net.state_dict(), before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert same(net.state_dict(), before)
    assert all(net.state_dict()[name].data_ptr() != value.data_ptr() for name, value in ema.average.items())


def test_a_resume_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    net = network()
    ema = Ema(net, decay=0.99)
    train(net, ema, 0, 4)
    weights = {f"weight.{name}": value for name, value in net.state_dict().items()}
    save_tensors(tmp_path / "half.safetensors", weights | ema.state(), {})
    train(net, ema, 4, 9)

    tensors, _ = load_tensors(tmp_path / "half.safetensors")
    other = network(seed=7)
    again = Ema(other, decay=0.99)
    other.load_state_dict({k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    again.restore(tensors)
    train(other, again, 4, 9)
    assert same(other.state_dict(), net.state_dict())
    assert again.steps == ema.steps == 9
    assert same(again.state(), ema.state())


def test_an_average_of_another_network_is_refused() -> None:
    ema = Ema(network())
    state = ema.state()
    kept = {name: value.clone() for name, value in state.items()}
    missing = {name: value for name, value in state.items() if name != "ema.0.bias"}
    for wrong, named in ((missing, "ema.0.bias"), (state | {"ema.0.bias": torch.zeros(9)}, "ema.0.bias"),
                         ({k: v for k, v in state.items() if k != "ema_steps"}, "ema_steps")):
        with pytest.raises(RunError, match=named):
            ema.restore(wrong)
    assert same(ema.state(), kept)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_bad_decay(decay: float) -> None:
    with pytest.raises(UsageError, match="decay"):
        Ema(network(), decay=decay)
