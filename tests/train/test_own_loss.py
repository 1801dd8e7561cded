"""A user's loss, weights of classes and a user's metric in a workload; what is none is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.data import Dataset
from hwnas.data.recipe import LossPart, Recipe
from hwnas.errors import UnknownName, UsageError
from hwnas.nets import Network
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.own_code import check_own, loss_of, own_code
from hwnas.plugins import source_hash
from hwnas.space import SpaceConfig, build
from hwnas.tasks import find
from hwnas.train import TrainConfig, Workload, fit
from hwnas.train.objective import CrossEntropy
from hwnas.train.own_loss import OwnLoss

HERE = __name__


def squared(outputs: Any, targets: Any) -> Tensor:
    """Of probabilities, Brier's."""
    truth = functional.one_hot(targets, outputs.shape[1]).float()
    return (outputs.softmax(1) - truth).square().sum(1).mean()


class Halved(torch.nn.Module):
    def forward(self, outputs: Any, targets: Any) -> Tensor:
        return functional.cross_entropy(outputs, targets) / 2


def each(outputs: Any, targets: Any) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def detached(outputs: Any, targets: Any) -> Tensor:
    return functional.cross_entropy(outputs.detach(), targets)


def nothing(outputs: Any, targets: Any) -> Tensor:
    return (outputs * 0).sum() / 0


def number(outputs: Any, targets: Any) -> float:
    return 1.0


def lonely(outputs: Any) -> Tensor:
    return Tensor(outputs).mean()


def needy(outputs: Any, targets: Any, *, gamma: float) -> Tensor:
    return Tensor(outputs).mean() * gamma


def digit_recall(outputs: np.ndarray, truth: dict[str, np.ndarray]) -> float:
    """Percent of the images of class 1 that are called so."""
    ones = truth["labels"] == 1
    return 100 * float((outputs[ones].argmax(1) == 1).mean())


def too_much(outputs: np.ndarray, truth: dict[str, np.ndarray]) -> float:
    return 200.0


def a_word(outputs: np.ndarray, truth: dict[str, np.ndarray]) -> str:
    return "good"


@pytest.fixture(autouse=True)
def reproducible() -> None:
    torch.manual_seed(0)


def workload(digits: Dataset, loss: str = "", metric: str = "", **weighed: Any) -> Workload:
    return Workload(find("classify"), digits, recipe=Recipe(loss=LossPart(own=loss, **weighed)), own_metric=metric)


def network(digits: Dataset) -> Network:
    space = build(SpaceConfig("mobile", 16, 1, 10, 0.5, 1))
    return Network(space.smallest(), digits.mean.tolist(), digits.std.tolist())


@pytest.mark.parametrize("name", ["squared", "Halved"])
def test_a_loss_of_a_user_is_what_is_learnt(name: str, digits: Dataset) -> None:
    net, work = network(digits), workload(digits, f"{HERE}:{name}")
    history = fit(net, work, TrainConfig(epochs=6, batch=16, lr=0.05, warmup=0.5), seed=0)
    assert history.epochs[-1].loss < 0.95 * history.epochs[0].loss
    assert history.score > 35  # always the same class: 10
    assert workload(digits, f"{HERE}:squared").fold(0.2, 0).recipe.loss.own == f"{HERE}:squared"
    logits, targets = torch.randn(4, 10), np.array([0, 1, 2, 3])
    own = {"squared": squared, "Halved": Halved()}[name](logits, torch.from_numpy(targets))
    assert work.loss(logits, targets, 0.1) == own


@pytest.mark.parametrize(("name", "words"), [
    ("each", r"tensor of the shape \(4,\).*mean"), ("number", r"gave 1.0: a loss is a function"),
    ("nothing", "gave nan for the first batch"), ("detached", "no gradient leads to"),
])
def test_what_a_loss_must_give(name: str, words: str) -> None:
    loss = OwnLoss(f"{HERE}:{name}", CrossEntropy())
    with pytest.raises(UsageError, match=words):
        loss.loss(torch.randn(4, 10, requires_grad=True), np.array([0, 1, 2, 3]), 0.0)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"loss": "nowhere.at.all:focal"}, UsageError, "does not import"),
    ({"loss": f"{HERE}:none"}, UsageError, "no function"),
    ({"loss": f"{HERE}:lonely"}, UsageError, r"takes \(outputs.*called with \(outputs, targets\)"),
    ({"loss": f"{HERE}:needy"}, UsageError, "gamma"), ({"loss": "focal"}, UnknownName, "hwnas.losses"),
    ({"metric": "f2"}, UnknownName, "hwnas.metrics"), ({"metric": f"{HERE}:lonely"}, UsageError, "called with"),
    ({"task": "detect", "class_weights": "balanced"}, UsageError, "not for --task detect"),
    ({"loss": f"{HERE}:squared", "class_weights": "balanced"}, UsageError, "leave it out with a --loss of your own"),
])
def test_what_is_refused_before_a_run_begins(options: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_config(options)


def test_a_run_knows_the_code_of_its_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config({"loss": f"{HERE}:squared", "metric": f"{HERE}:digit_recall"})
    assert own_code(config) == {f"loss {HERE}:squared": source_hash(squared), f"metric {HERE}:digit_recall":
                                source_hash(digit_recall)}
    assert source_hash(len) is None
    check_own(config)


@pytest.mark.parametrize("soft", [False, True])
def test_weights_of_classes_are_those_of_torch(soft: bool, digits: Dataset) -> None:
    counts = np.bincount(digits.train_labels, minlength=10)
    balanced = torch.tensor(counts.sum() / (10 * counts), dtype=torch.float32)
    logits, targets = torch.randn(6, 10), np.arange(6)
    given = functional.one_hot(torch.from_numpy(targets), 10).float() if soft else torch.from_numpy(targets)
    expected = functional.cross_entropy(logits, torch.from_numpy(targets), balanced)
    assert workload(digits, class_weights="balanced").loss(logits, given.numpy(), 0.0) == pytest.approx(float(expected))
    named = workload(digits, class_weights={"3": 4.0}).loss(logits, given.numpy(), 0.0)
    weights = torch.ones(10)
    weights[3] = 4
    assert named == pytest.approx(float(functional.cross_entropy(logits, torch.from_numpy(targets), weights)))


def test_weights_from_a_text_and_a_file(tmp_path: Path) -> None:
    def asked(text: str) -> object:
        return loss_of(make_config({"class_weights": text}), ("a", "b", "c")).class_weights

    assert asked("balanced") == "balanced"
    assert asked("1, 2,0.5") == {"a": 1.0, "b": 2.0, "c": 0.5}
    (tmp_path / "w.yaml").write_text("b: 3\n")
    assert asked(str(tmp_path / "w.yaml")) == {"b": 3.0}
    (tmp_path / "w.json").write_text("[1, 2, 3]")
    assert asked(str(tmp_path / "w.json")) == {"a": 1.0, "b": 2.0, "c": 3.0}
    for wrong, words in (("1,2", "2 weights for 3 classes"), ("1,x,2", "numbers of 0 or more"),
                         ("1,-1,2", "numbers of 0 or more")):
        with pytest.raises(UsageError, match=words):
            asked(wrong)
    (tmp_path / "w.yaml").write_text("d: 3\n")
    with pytest.raises(UnknownName, match="class in the weights: 'd'"):
        asked(str(tmp_path / "w.yaml"))


def test_a_metric_of_a_user_is_the_score(digits: Dataset) -> None:
    work = workload(digits, metric=f"{HERE}:digit_recall")
    outputs = [[np.eye(10, dtype=np.float32)[digits.val_labels[i : i + 20]]] for i in (0, 20, 40)]
    outputs[0][0][digits.val_labels[:20] == 1] = 0  # those of the first batch are called 0
    expected = 100 * float((digits.val_labels[20:] == 1).sum() / (digits.val_labels == 1).sum())
    assert work.metric.score(outputs) == pytest.approx(expected)
    assert work.metric.name == "digit_recall"
    found = work.metric.breakdown(outputs, digits.classes)
    assert (found.standing.metric, found.standing.score) == ("digit_recall", pytest.approx(expected))
    assert found.standing.told.startswith("accuracy ")
    assert work.fold(0.2, 0).metric.name == "digit_recall"
    assert work.metric.first(20).score(outputs[:1]) == 0
    with pytest.raises(UsageError, match="gave 200"):
        workload(digits, metric=f"{HERE}:too_much").metric.score(outputs)
    with pytest.raises(UsageError, match="gave 'good'"):
        workload(digits, metric=f"{HERE}:a_word").metric.score(outputs)
