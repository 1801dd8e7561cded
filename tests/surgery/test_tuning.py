"""Distillation end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hwnas.data.source import ArraySource
from hwnas.errors import RunError
from hwnas.surgery import Cut, InputContract
from hwnas.surgery.canonical import canonical
from hwnas.surgery.examples import Examples
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.tuning import FEWEST_STEPS, Tuned, Tuning, tune, with_constants
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
    found = tune(disturbed(teacher), teacher, examples(), ("classes",), Tuning(epochs=8))
    assert found.after < 0.7 * found.before
    assert found.steps == 8 * 3  # trials of rates are among them
    assert set(found.constants) == {t.name for t in teacher.graph.initializer if np.prod(t.dims) > 1}


def test_the_same_seed_gives_the_same_weights() -> None:
    teacher = canonical(small_network())
    once, twice = (tune(disturbed(teacher), teacher, examples(48), ("classes",), Tuning(epochs=1)) for _ in range(2))
    assert once.rate == twice.rate
    assert all(np.array_equal(once.constants[name], twice.constants[name]) for name in once.constants)


def test_a_share_of_the_steps_by_one_rate() -> None:
    teacher = canonical(small_network())
    found = tune(disturbed(teacher), teacher, examples(), ("classes",), Tuning(epochs=8, rates=(1e-3,), share=0.25))
    assert (found.rate, found.steps) == (1e-3, 2 * 3)  # none of them for trials
    assert found.after < found.before


class _Cut(Exception):
    pass


LONG = Tuning(epochs=5, batch=16)  # of 48 images: 4 trials of a step, then 11 steps in epochs of 3


@pytest.fixture(scope="module")
def whole() -> Tuned:
    """What `LONG` gives where nothing cuts it off."""
    teacher = canonical(small_network())
    return tune(disturbed(teacher), teacher, examples(48), ("classes",), LONG)


@pytest.mark.parametrize("at, after", [(0, 0), (2, 2), (5, 4), (11, 10), (14, 13)])
def test_what_was_cut_off_ends_with_the_same_weights(at: int, after: int, whole: Tuned, tmp_path: Path) -> None:
    teacher, path = canonical(small_network()), tmp_path / "tune.checkpoint"
    seen: list[int] = []

    def stop(what: str, done: int, total: int) -> None:
        seen.append(done)
        if done == at:
            raise _Cut

    with pytest.raises(_Cut):
        tune(disturbed(teacher), teacher, examples(48), ("classes",), LONG, stop, checkpoint=path)
    begun = len(seen)
    again = tune(disturbed(teacher), teacher, examples(48), ("classes",), LONG,
                 lambda what, done, total: seen.append(done), checkpoint=path)
    assert seen[begun] == after
    assert (again.rate, again.before, again.after) == (whole.rate, whole.before, whole.after)
    assert all(np.array_equal(again.constants[name], values) for name, values in whole.constants.items())


def test_a_checkpoint_of_other_settings_is_begun_anew_and_a_damaged_one_refused(tmp_path: Path) -> None:
    teacher, path = canonical(small_network()), tmp_path / "tune.checkpoint"
    tune(disturbed(teacher), teacher, examples(48), ("classes",), Tuning(epochs=1), checkpoint=path)
    assert path.is_file()
    again = tune(disturbed(teacher), teacher, examples(48), ("classes",), Tuning(epochs=3), checkpoint=path)
    assert again.steps == 3 * 2
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="cannot be read as weights"):
        tune(disturbed(teacher), teacher, examples(48), ("classes",), Tuning(epochs=3), checkpoint=path)


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


def test_boundaries_are_learnt_as_well() -> None:
    """What the last boundary holds comes nearer to the teacher's by it; names that the student lacks are left out."""
    cut = Cut.of(canonical(small_network()))
    teacher, names = cut.flow.model, [unit.target for unit in cut.units]
    inner = [name for name in names if name not in cut.flow.outputs]
    assert inner

    def away(constants: dict[str, np.ndarray]) -> float:
        x = torch.from_numpy(examples(32).inputs(slice(0, 32)))
        nets = OnnxModule(teacher), OnnxModule(with_constants(disturbed(teacher, 0.3), constants))
        with torch.no_grad():
            a, b = (net.run({net.input_names[0]: x}, [inner[-1]])[0] for net in nets)
        return float((a - b).square().mean() / a.var())

    with_them, without = (
        tune(disturbed(teacher, 0.3), teacher, examples(), ("classes",), Tuning(epochs=8, features=weight),
             boundaries=[*names, "absent"]) for weight in (4.0, 0.0))
    assert away(with_them.constants) < 0.8 * away(without.constants)


def test_few_images_take_more_epochs() -> None:
    teacher = canonical(small_network())
    found = tune(disturbed(teacher), teacher, examples(64), ("classes",), Tuning())
    assert found.steps >= FEWEST_STEPS
    assert found.after < 0.5 * found.before


def test_images_with_channels_last() -> None:
    teacher = canonical(small_network())
    first = teacher.graph.input[0]
    for dim, value in zip(first.type.tensor_type.shape.dim, (1, 16, 16, 1), strict=True):
        dim.dim_value = value
    turned = onnx.helper.make_node("Transpose", [first.name], ["turned"], perm=[0, 3, 1, 2])
    for node in teacher.graph.node:
        node.input[:] = ["turned" if name == first.name else name for name in node.input]
    teacher.graph.node.insert(0, turned)
    images = replace(examples(48), contract=replace(CONTRACT, layout="nhwc"))
    found = tune(disturbed(teacher), teacher, images, ("classes",), Tuning(epochs=6))
    assert found.after < found.before
