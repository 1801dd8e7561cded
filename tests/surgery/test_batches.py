"""Several images a call: the canonical form with an open batch computes what the given network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from hwnas.errors import InputError
from hwnas.surgery import Cut, InputContract
from hwnas.surgery.assembler import Assembler
from hwnas.surgery.batches import opened
from hwnas.surgery.plan import Places
from hwnas.surgery.reading import TrainedNetwork, read_network
from hwnas.surgery.session import session_of
from hwnas.surgery.unit_costs import random_plans
from tests.trained_network import Builder, small_network, written

GREY = InputContract((127.5,), (127.5,), "grey")


def shuffled(batch: object, sizes: int = 1) -> onnx.ModelProto:
    """A network with its batch written into two shapes and one map that grows, as exporters leave them."""
    b = Builder()
    x = b.node("Relu", b.conv("image", 1, 8))
    wide = b.node("Reshape", x, b.constant(np.array([sizes, 2, 4, 16, 16])))
    narrow = b.node("Reshape", b.node("Transpose", wide, perm=[0, 2, 1, 3, 4]),
                    b.constant(np.array([sizes, 8, 16, 16])))
    grown = b.node("Resize", b.conv(narrow, 8, 8, stride=2), "", "", b.constant(np.array([sizes, 8, 24, 40])),
                   mode="linear")
    return b.model(b.classes(b.residual(grown, 8), 8, 10), batch=batch)


def inputs(batch: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, 1, 16, 16)).astype(np.float32)


def read(model: onnx.ModelProto, folder: Path, batch: int) -> TrainedNetwork:
    return read_network(str(written(model, folder / "net.onnx")), GREY, batch=batch)


@pytest.mark.parametrize("model", [small_network(), shuffled(1)], ids=["small", "shuffled"])
def test_together_or_alone_images_give_the_same(model: onnx.ModelProto) -> None:
    x = inputs(5)
    alone, together = session_of(model.SerializeToString()), session_of(opened(model.SerializeToString()))
    rows = np.concatenate([alone.run(None, {"image": row[None]})[0] for row in x])
    assert np.allclose(together.run(None, {"image": x})[0], rows, atol=1e-5)
    assert np.allclose(together.run(None, {"image": x[:1]})[0], rows[:1], atol=1e-5)


def test_plans_and_units_take_any_number_of_images() -> None:
    model = small_network()
    cut = Cut.of(model)
    made, one = (Assembler(cut, [{"image": inputs(1)}], batch=batch) for batch in (4, 1))
    x = inputs(4)
    for plan in random_plans(Places.of(cut, ("float", "int8")), 4, 0):
        rows = np.concatenate([session_of(one.model(plan)).run(None, {"image": row[None]})[0] for row in x])
        assert np.allclose(session_of(made.model(plan)).run(None, {"image": x})[0], rows, atol=1e-4)
    for unit in cut.units:
        session = session_of(made.unit_model(unit, "teacher", "int8"))
        source = np.zeros((4, *unit.source_shape[1:]), np.float32)
        assert session.run(None, {session.get_inputs()[0].name: source})[0].shape == (4, *unit.target_shape[1:])


def free() -> onnx.ModelProto:
    model = small_network()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    return model


@pytest.mark.parametrize("model", [free(), shuffled(3, sizes=3)], ids=["open", "three"])
def test_an_open_batch_or_that_one_is_read(model: onnx.ModelProto, tmp_path: Path) -> None:
    network = read(model, tmp_path, 3)
    assert network.input_shape == (1, 1, 16, 16)
    assert network.check([inputs(3)], 3) <= 1e-5


def test_another_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"net takes 1 image a call, and --batch is 3: .*leave out --batch"):
        read(small_network(), tmp_path, 3)
    fixed = shuffled(3, sizes=3)
    with pytest.raises(InputError, match=r"takes 3 images a call, no fewer: give --batch 3, or export it"):
        read(fixed, tmp_path, 1)
    with pytest.raises(InputError, match=r"takes 3 images a call, and --batch is 2: .*give --batch 3"):
        read(fixed, tmp_path, 2)


def test_a_network_whose_images_change_each_others_answers_is_refused(tmp_path: Path) -> None:
    b = Builder()
    x = b.conv("image", 1, 4)
    mean = b.node("ReduceMean", x, axes=[0], keepdims=1)
    model = b.model(b.classes(b.node("Sub", b.conv(x, 4, 4), mean), 4, 10), batch="n")
    assert read(model, tmp_path, 2).check([inputs(2)], 2) <= 1e-5  # the same graph, and one image is its own mean
    b = Builder()
    flat = b.node("Reshape", b.conv("image", 1, 4), b.constant(np.array([1, -1])))
    model = b.model(b.node("Gemm", flat, b.constant(np.ones((4 * 16 * 16, 3), np.float32))), batch="n")
    with pytest.raises(InputError, match=r"net does not take 2 images a call: .*leave out --batch 2"):
        read(model, tmp_path, 2).check([inputs(2)], 2)
