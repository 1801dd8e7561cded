"""Distillation end to end."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwnas.data.source import ArraySource
from hwnas.surgery import Cut, InputContract
from hwnas.surgery.canonical import canonical
from hwnas.surgery.examples import Examples
from hwnas.surgery.tuning import Tuning, tune, with_constants
from tests.trained_network import small_network

CONTRACT = InputContract((127.5,), (127.5,), "grey")


def examples(count: int = 96, labels: bool = False) -> Examples:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(count, 16, 16, 1), dtype=np.uint8)
    truth = rng.integers(0, 10, count) if labels else np.full(count, -1)
    return Examples(ArraySource(pixels, "drawn"), np.arange(count), truth.astype(np.int64), CONTRACT, (16, 16))


def disturbed(model: onnx.ModelProto, by: float = 0.1) -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    return with_constants(model, {
        t.name: (v + by * v.std() * rng.normal(size=v.shape)).astype(np.float32) for t in model.graph.initializer
        if (v := numpy_helper.to_array(t)).ndim > 1})


def test_a_disturbed_network_comes_back() -> None:
    teacher = canonical(small_network())
    found = tune(disturbed(teacher), teacher, examples(), ("classes",), Tuning(epochs=6))
    assert found.after < 0.7 * found.before
    assert found.steps == 6 * 3
    assert set(found.constants) == {t.name for t in teacher.graph.initializer if np.prod(t.dims) > 1}


def test_the_same_seed_gives_the_same_weights() -> None:
    teacher = canonical(small_network())
    once, twice = (tune(disturbed(teacher), teacher, examples(48), ("classes",), Tuning(epochs=1)) for _ in range(2))
    assert once.rate == twice.rate
    assert all(np.array_equal(once.constants[name], twice.constants[name]) for name in once.constants)


def test_a_network_that_is_right_stays_where_it_is() -> None:
    teacher = canonical(small_network())
    found = tune(teacher, teacher, examples(48), ("classes",), Tuning(epochs=1))
    assert found.before < 1e-6
    assert found.after < 1e-3


def test_labels_are_used_where_there_are_any() -> None:
    teacher = canonical(small_network())
    without = tune(teacher, teacher, examples(48), ("classes",), Tuning(epochs=1))
    with_labels = tune(teacher, teacher, examples(48, labels=True), ("classes",), Tuning(epochs=1))
    assert with_labels.before > without.before + 0.1  # half the cross entropy on labels that were drawn


@pytest.mark.parametrize("kinds", [("values",), ("classes",)])
def test_outputs_of_any_kind(kinds: tuple[str, ...]) -> None:
    cut = Cut.of(canonical(small_network()))
    found = tune(disturbed(cut.flow.model, 0.2), cut.flow.model, examples(64), kinds, Tuning(epochs=2))
    assert found.after < found.before
