"""The training loop: learns, is deterministic, resumes bit for bit, stops when the loss is no number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from hwnas.data import Dataset
from hwnas.errors import RunError, TrainingDiverged
from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.train import History, Teacher, TrainConfig, accuracy, fit, workload_of
from hwnas.train.checkpoint import load_tensors, save_tensors
from hwnas.train.loop import optimizer_of, snapshot, train_step

CONFIG = TrainConfig(epochs=4, batch=32, lr=0.05)


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


def network(data: Dataset, seed: int = 0, ops: Sequence[int] = (0, 6, 6)) -> Network:
    torch.manual_seed(seed)
    space = build(SpaceConfig("mobile", 16, data.channels, len(data.classes), 0.25, 1))
    net = Network(space.architecture(ops[: len(space.sizes)]), data.mean.tolist(), data.std.tolist())
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def digest(net: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        state.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


def test_it_learns_the_digits(digits: Dataset) -> None:
    net = network(digits)
    history = fit(net, digits, TrainConfig(epochs=12, batch=32, lr=0.1), seed=0)
    assert history.score > 60  # guessing gives 10
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.score == accuracy(net, digits.val_images, digits.val_labels)
    assert [e.epoch for e in history.epochs] == list(range(12))
    assert not net.training


def test_same_seed_same_weights_other_seed_other_weights(digits: Dataset) -> None:
    runs = []
    for seed in (3, 3, 4):
        net = network(digits)
        history = fit(net, digits, CONFIG, seed=seed)
        runs.append((digest(net), [(e.loss, e.val_score) for e in history.epochs]))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_the_state_of_torchs_generator_has_no_part_in_it(digits: Dataset) -> None:
    digests = []
    for seed in (1, 2):
        net = network(digits)
        torch.manual_seed(seed)
        fit(net, digits, TrainConfig(epochs=1, batch=32), seed=0)
        digests.append(digest(net))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("finished", [0, 1, 2, 3, 4])
def test_killed_in_any_epoch_and_resumed_is_as_if_nothing_happened(
    digits: Dataset, tmp_path: Path, finished: int
) -> None:
    undisturbed = network(digits)
    expected = fit(undisturbed, digits, CONFIG, seed=1, checkpoint=tmp_path / "whole.safetensors")
    steps = math.ceil(150 / 32)

    def kill(what: str, done: int, total: int) -> None:
        if done == finished * steps + 2:
            raise Killed

    checkpoint = tmp_path / "killed.safetensors"
    if finished < CONFIG.epochs:
        with pytest.raises(Killed):
            fit(network(digits), digits, CONFIG, seed=1, checkpoint=checkpoint, progress=kill)
    else:
        fit(network(digits), digits, CONFIG, seed=1, checkpoint=checkpoint)
    assert checkpoint.exists() == (finished > 0)
    resumed = network(digits, seed=9 if finished else 0)  # where there is a checkpoint the start does not matter
    history = fit(resumed, digits, CONFIG, seed=1, checkpoint=checkpoint)
    assert digest(resumed) == digest(undisturbed)
    assert [(e.epoch, e.loss, e.val_score) for e in history.epochs] == [
        (e.epoch, e.loss, e.val_score) for e in expected.epochs
    ]
    whole, again = load_tensors(tmp_path / "whole.safetensors")[0], load_tensors(checkpoint)[0]
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_resuming_with_a_teacher_is_bit_for_bit_too(digits: Dataset, tmp_path: Path) -> None:
    config = TrainConfig(epochs=2, batch=32, lr=0.05)
    big = network(digits, seed=5, ops=(5, 5, 5))
    teacher = Teacher(big, remember=True)
    undisturbed, resumed = network(digits), network(digits)
    fit(undisturbed, digits, config, seed=1, teacher=teacher)

    def kill(what: str, done: int, total: int) -> None:
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        fit(network(digits), digits, config, seed=1, teacher=teacher, checkpoint=tmp_path / "c", progress=kill)
    fit(resumed, digits, config, seed=1, teacher=Teacher(big), checkpoint=tmp_path / "c")
    assert digest(resumed) == digest(undisturbed)


def test_progress_counts_steps_up_to_the_total(digits: Dataset) -> None:
    calls: list[tuple[str, int, int]] = []
    fit(network(digits), digits, TrainConfig(epochs=2, batch=50), seed=0, what="warm",
        progress=lambda *call: calls.append(call))
    assert calls == [("warm", i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched(digits: Dataset, poison: float) -> None:
    net = network(digits)
    with torch.no_grad():
        next(net.blocks["head"].steps[2].parameters())[0] = poison  # type: ignore[index]
    optimizer = optimizer_of(net.train(), CONFIG)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    with pytest.raises(TrainingDiverged, match=r"epoch 3, step 4, learning rate 0\.05: train with a lower --lr"):
        train_step(net, optimizer, digits.train_images[:8], digits.train_labels[:8], workload_of(digits), CONFIG,
                   place=(3, 4))
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=0, equal_nan=True)


def test_a_diverging_run_keeps_the_last_good_checkpoint(digits: Dataset, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    fit(network(digits), digits, TrainConfig(epochs=1, batch=32), seed=0, checkpoint=checkpoint)
    good = checkpoint.read_bytes()
    absurd = TrainConfig(epochs=5, batch=32, lr=1e38, clip=1e30, warmup=0)
    with pytest.raises(TrainingDiverged):
        fit(network(digits), digits, absurd, seed=0, checkpoint=checkpoint)
    assert len(load_tensors(checkpoint)[1]["history"]) >= 1
    assert checkpoint.read_bytes() == good or all(
        torch.isfinite(t).all() for t in load_tensors(checkpoint)[0].values()
    )


def test_weights_are_decayed_but_neither_norms_nor_biases(digits: Dataset) -> None:
    net = network(digits)
    decayed, plain = optimizer_of(net, CONFIG).param_groups
    assert decayed["weight_decay"] == CONFIG.weight_decay
    assert plain["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in plain["params"]} == {1}
    assert len(decayed["params"]) + len(plain["params"]) == len(list(net.parameters()))


def test_gradients_are_clipped(digits: Dataset) -> None:
    net = network(digits)
    config = TrainConfig(clip=1e-6, lr=1.0, momentum=0.0, weight_decay=0.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    train_step(net.train(), optimizer, digits.train_images[:16], digits.train_labels[:16], workload_of(digits), config)
    moved = torch.cat([p.detach().flatten() for p in net.parameters()]) - before
    assert 0 < float(moved.norm()) < 1e-5


def test_learning_rate_end_points() -> None:
    config = TrainConfig(epochs=10, lr=0.2, warmup=2.0)
    assert config.lr_at(0) == pytest.approx(0.2 * 1e-3 / 2)
    assert config.lr_at(1) == pytest.approx(0.1, rel=2e-3)
    assert config.lr_at(2) == pytest.approx(0.2)
    assert config.lr_at(6) == pytest.approx(0.1)
    assert config.lr_at(10) == pytest.approx(0.0, abs=1e-12)
    assert config.lr_at(11) == pytest.approx(0.0, abs=1e-12)
    assert TrainConfig(epochs=10, lr=0.2, warmup=0).lr_at(0) == 0.2
    assert TrainConfig(epochs=1, lr=0.2, warmup=1).lr_at(0.5) == pytest.approx(0.1, rel=3e-3)


@example(epochs=20, warmup=1.0, progress=0.9999 / 20)  # the last step of a warm-up of ten thousand
@given(epochs=st.integers(1, 300), warmup=st.floats(0, 5), progress=st.floats(0, 1))
def test_learning_rate_is_positive_and_at_most_the_peak(epochs: int, warmup: float, progress: float) -> None:
    """`lr` is documented as the peak."""
    rate = TrainConfig(epochs=epochs, lr=0.1, warmup=warmup).lr_at(progress * epochs)
    assert 0 <= rate <= 0.1


@given(a=st.floats(0, 1), b=st.floats(0, 1))
def test_learning_rate_rises_then_falls(a: float, b: float) -> None:
    config = TrainConfig(epochs=20, lr=0.1, warmup=1.0)
    low, high = sorted((a, b))
    assert config.lr_at(low) <= config.lr_at(high)
    assert config.lr_at(1 + 19 * low) >= config.lr_at(1 + 19 * high)


def test_a_damaged_checkpoint_is_named(digits: Dataset, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    config = TrainConfig(epochs=1, batch=32)
    fit(network(digits), digits, config, seed=0, checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    for content in (whole[:-10], whole[:100], b"", b"not a checkpoint", bytes(64)):
        checkpoint.write_bytes(content)
        with pytest.raises(RunError, match=r"c\.safetensors cannot be read"):
            fit(network(digits), digits, config, seed=0, checkpoint=checkpoint)


def test_a_checkpoint_of_another_network_is_refused(digits: Dataset, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    config = TrainConfig(epochs=1, batch=32)
    fit(network(digits, ops=(5, 5, 5)), digits, config, seed=0, checkpoint=checkpoint)
    with pytest.raises(RunError):
        fit(network(digits), digits, config, seed=0, checkpoint=checkpoint)


@pytest.mark.parametrize("metadata", [{}, {"history": 3}, {"history": [{"colour": "red"}]}], ids=str)
def test_a_checkpoint_without_a_history_is_refused(
    digits: Dataset, tmp_path: Path, metadata: dict[str, object]
) -> None:
    net = network(digits)
    save_tensors(tmp_path / "c", snapshot(net, optimizer_of(net, CONFIG)), metadata)
    with pytest.raises(RunError):
        fit(net, digits, CONFIG, seed=0, checkpoint=tmp_path / "c")


def test_an_empty_history_has_no_accuracy() -> None:
    assert np.isnan(History().score)
