"""A user's network from wherever it comes: read, held against the original, refused with a reason and a way out."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError, MissingDependency, UsageError, VerificationFailed
from hwnas.surgery import InputContract, TrainedNetwork, read_network
from hwnas.surgery.session import session_of
from tests.mutations import damaged_bytes, fuzzed, judged
from tests.surgery.networks import Drawing, chain, image_of, run, small
from tests.trained_network import Builder, written

CONTRACT = InputContract((127,), (128,))


def opened(model: onnx.ModelProto, *dims: int | str | None) -> onnx.ModelProto:
    """The model with an input of other sizes, some open."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    found.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, dims))
    return found


def saved(folder: Path, model: onnx.ModelProto, name: str = "net.onnx") -> str:
    del model.graph.value_info[:]
    for value in model.graph.output:  # the rank is what a checker asks for
        rank = len(value.type.tensor_type.shape.dim) or 2
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [None] * rank))
    (folder / name).write_bytes(model.SerializeToString())
    return str(folder / name)


def test_an_onnx_file(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    network = read_network(path, CONTRACT)
    assert (network.name, network.input_name, network.input_shape, network.size) == (
        "net", "image", (1, 3, 8, 8), (8, 8))
    assert network.original == Path(path).read_bytes()
    assert network.sha256 == hashlib.sha256(network.original).hexdigest()
    assert network.check([image_of(network.model, seed) for seed in range(3)]) < 1e-6


@pytest.mark.parametrize("dims, size, shape", [
    (("batch", 3, 8, 8), None, (1, 3, 8, 8)), ((None, 3, None, None), (16, 24), (1, 3, 16, 24)),
    (("b", 3, "h", "w"), (8, 8), (1, 3, 8, 8)), ((1, 3, 8, 8), (8, 8), (1, 3, 8, 8)),
    ((None, None, None, None), (8, 12), (1, 3, 8, 12)), ((-1, 3, -1, -1), (8, 8), (1, 3, 8, 8)),
    ((4, 3, 8, 8), None, (4, 3, 8, 8)),
])
def test_open_sizes_become_what_was_asked_for(dims: tuple[Any, ...], size: tuple[int, int] | None,
                                              shape: tuple[int, ...], tmp_path: Path) -> None:
    network = read_network(saved(tmp_path, opened(small(), *dims)), CONTRACT, size)
    assert network.input_shape == shape
    assert network.size == shape[2:]
    assert network.check([image_of(network.model)]) < 1e-6


def test_the_channels_at_the_end(tmp_path: Path) -> None:
    d = Drawing((1, 8, 12, 3))
    d.channels["image"] = 3
    d.shape = (1, 8, 12, 3)
    x = d.node("Transpose", "image", perm=[0, 3, 1, 2], channels=3)
    model = d.shaped(d.head(d.relu(d.conv(x, 8, 3))))
    network = read_network(saved(tmp_path, model), InputContract((127,), (128,), layout="nhwc"))
    assert (network.input_shape, network.size) == ((1, 8, 12, 3), (8, 12))
    assert network.check([image_of(network.model)]) < 1e-6
    with pytest.raises(InputError, match="8 channels in nchw, and rgb has 3: give --layout nhwc"):
        read_network(str(tmp_path / "net.onnx"), CONTRACT)
    open_sizes = saved(tmp_path, opened(model, None, None, None, 3), "open.onnx")
    assert read_network(open_sizes, InputContract((127,), (128,), layout="nhwc"), (6, 4)).input_shape == (1, 6, 4, 3)


@pytest.mark.parametrize("dims, size, rule", [
    (("batch", 3, "h", "w"), None, "'image' leaves its size open: say it, e.g. --imgsz 224"),
    ((1, 3, 8, 8), (9, 9), "'image' is 8x8, not 9x9: leave --imgsz out"),
    ((1, 3, 8), None, "'image' has 3 dimensions, an image in nchw has 4"),
    ((1, 4, 8, 8), None, "4 channels in nchw, and rgb has 3"),
    ((1, None, 8, 8), None, None),
])
def test_inputs_that_are_no_image_of_a_known_size(dims: tuple[Any, ...], size: tuple[int, int] | None, rule: str | None,
                                                  tmp_path: Path) -> None:
    path = saved(tmp_path, opened(relu_only(), *dims))
    if rule is None:
        assert read_network(path, CONTRACT, size).input_shape == (1, 3, 8, 8)
        return
    with pytest.raises(InputError, match=rule):
        read_network(path, CONTRACT, size)


def relu_only() -> onnx.ModelProto:
    d = Drawing()
    return d.model(d.relu("image"))


def test_an_input_of_bytes(tmp_path: Path) -> None:
    d = Drawing()
    model = d.model(d.relu(d.node("Cast", "image", to=TensorProto.FLOAT)))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 3, 8, 8)))
    with pytest.raises(InputError, match="'image' is of uint8, and images are given as float32: export"):
        read_network(saved(tmp_path, model), CONTRACT)


def test_two_inputs_and_none(tmp_path: Path) -> None:
    d = Drawing()
    model = d.model(d.node("Add", "image", "other"))
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 3, 8, 8)))
    with pytest.raises(InputError, match=r"2 inputs \(image, other\); a network of one image is taken: cut it in two"):
        read_network(saved(tmp_path, model), CONTRACT)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "other"))
    assert read_network(saved(tmp_path, model), CONTRACT).input_name == "image"
    del model.graph.input[:]
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "image"))
    with pytest.raises(InputError, match=r"0 inputs \(none\)"):
        read_network(saved(tmp_path, model), CONTRACT)


def test_numbers_in_other_files_are_not_opened(tmp_path: Path) -> None:
    model = small()
    onnx.save_model(model, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin")
    with pytest.raises(InputError, match="keeps tensors in other files, which are not opened: store it in one file"):
        read_network(str(tmp_path / "net.onnx"), CONTRACT)


def test_an_operator_that_no_one_knows(tmp_path: Path) -> None:
    d = Drawing()
    model = d.model(d.node("Mystery", "image", domain="stranger"), domains=("stranger",))
    with pytest.raises(InputError, match=r"ONNX Runtime does not read the model: .*(stranger|Mystery)"):
        read_network(saved(tmp_path, model), CONTRACT)


@pytest.mark.parametrize("source, rule", [
    ("none.onnx", r"none.onnx cannot be read \(No such file or directory\): give the path of an ONNX file"),
    ("folder.onnx", r"folder.onnx cannot be read \(Is a directory\)"),
    ("nothing", "'nothing' is no ONNX file; a torch module is named package.module:factory"),
])
def test_sources_that_are_not_there(source: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match=rule):
        read_network(source, CONTRACT)


def test_a_norm_in_training_mode_is_refused(tmp_path: Path) -> None:
    b = Builder((1, 3, 16, 16))
    values = [b.constant(np.ones(8, np.float32)) for _ in range(4)]
    b.nodes.append(helper.make_node("BatchNormalization", [b.conv("image", 3, 8), *values], ["bn", "m", "v"],
                                    training_mode=1))
    path = written(b.model(b.classes(b.node("Relu", "bn"), 8, 3)), tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"the norm that makes 'bn' is in training mode.*call \.eval\(\)"):
        read_network(str(path), CONTRACT)


def test_the_line_of_the_users_module_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    (tmp_path / "branching.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n"
        "        if x.sum() > 0:\n            return x.mean((2, 3))\n        return x.amax((2, 3))\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"branching\.py, line 6: if x\.sum\(\) > 0:.*Give the part before"):
        read_network("branching:Net", CONTRACT, (16, 16))
    assert "GraphModule" not in "".join(capfd.readouterr())


@fuzzed
@given(data=st.data())
def test_damaged_files_are_read_or_refused_in_a_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
                                                     ) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    whole = tmp_path_factory.getbasetemp() / "whole.onnx"
    if not whole.exists():
        saved(whole.parent, chain(2), whole.name)
    path.write_bytes(data.draw(damaged_bytes(whole.read_bytes())))
    judged(lambda: read_network(str(path), CONTRACT))


# ---------------------------------------------------------------------------------------------------------------------


def test_a_changed_network_is_not_taken_for_the_users(tmp_path: Path) -> None:
    network = read_network(saved(tmp_path, small()), CONTRACT)
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    weights = numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1.01)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, model.graph.initializer[0].name))
    lie = dataclasses.replace(network, model=model)
    with pytest.raises(VerificationFailed, match=r"folding constants into net changed its outputs by \d.* 1e-05 are "
                                                 "allowed: the network is not used"):
        lie.check([image_of(model)])


@pytest.mark.parametrize("before, after, fine", [
    (np.inf, np.inf, True), (-np.inf, -np.inf, True), (1.0, np.nan, False), (np.nan, 1.0, False),
    (np.inf, 1.0, False), (1.0, np.inf, False), (1.0, 1.000001, True),
])
def test_numbers_that_are_none_hide_nothing(before: float, after: float, fine: bool) -> None:
    def giving(value: float) -> onnx.ModelProto:
        d = Drawing((1, 3, 2, 2))
        constant = d.constant(np.full((1, 3, 2, 2), value, np.float32))
        first = d.node("Mul", "image", d.constant(np.float32(0)))
        return d.model(d.node("Add", first, constant))

    network = TrainedNetwork("net", giving(before).SerializeToString(), giving(after), CONTRACT, "")
    x = [np.ones((1, 3, 2, 2), np.float32)] * 2
    if fine:
        assert network.check(x) < 1e-5
    else:
        with pytest.raises(VerificationFailed):
            network.check(x)


def test_a_session_says_why_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ONNX Runtime does not read the model"):
        session_of(b"no model")


# ------------------------------------------------------------------------------------------------- modules of torch

MODULES = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.norm.running_mean.uniform_(-1, 1)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.conv(x)).relu()).mean((2, 3)))

class Choosing(Net):
    def forward(self, x):
        if x.sum() > 0:
            return super().forward(x)
        return super().forward(-x)

class Two(Net):
    def forward(self, x):
        y = self.norm(self.conv(x))
        return y, y.mean((2, 3))

class Last(Net):
    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))

def net(): return Net()
def training(): return Net().train()
def choosing(): return Choosing()
def two(): return Two()
def last(): return Last()
def broken(): raise ValueError("weights are not there")
def needy(path): return Net()
def other(): return 3
class NotNet: pass
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_modules_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MODULES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield name  # type: ignore[misc]
    sys.modules.pop(name, None)


@pytest.mark.parametrize("factory", ["net", "training"])
def test_a_factory_of_a_module(factory: str, modules: str) -> None:
    import torch

    network = read_network(f"{modules}:{factory}", CONTRACT, (16, 24))
    assert (network.input_shape, network.name) == ((1, 3, 16, 24), f"{modules}-{factory}")
    assert network.check([image_of(network.model)]) < 1e-5
    x = image_of(network.model)
    with torch.inference_mode():
        want = getattr(sys.modules[modules], factory)().eval()(torch.from_numpy(x)).numpy()
    assert np.allclose(run(network.original, x)[0], want, atol=1e-5)
    assert "BatchNormalization" not in {n.op_type for n in network.model.graph.node}


def test_a_module_of_two_outputs_and_one_of_channels_at_the_end(modules: str) -> None:
    assert len(read_network(f"{modules}:two", CONTRACT, (8, 8)).model.graph.output) == 2
    nhwc = InputContract((127,), (128,), layout="nhwc")
    assert read_network(f"{modules}:last", nhwc, (8, 12)).input_shape == (1, 8, 12, 3)


def test_a_module_that_cannot_be_exported_says_why_and_what_helps(modules: str) -> None:
    with pytest.raises(InputError, match=r"choosing cannot be exported: .*") as told:
        read_network(f"{modules}:choosing", CONTRACT, (8, 8))
    said = str(told.value)
    assert "data-dependent" in said.lower() or "datadependent" in said.replace("-", "").lower()
    assert "Give the part before the decoding of boxes" in said
    assert "or an ONNX file" in said
    assert "\n" not in said


@pytest.mark.parametrize("factory, kind, rule", [
    ("broken", UsageError, "does not give a network: ValueError: 'weights are not there'"),
    ("needy", UsageError, "does not give a network: TypeError: .*name a function without arguments"),
    ("other", UsageError, "gives 3: it must give a torch.nn.Module"),
    ("NotNet", UsageError, "it must give a torch.nn.Module"),
    ("nowhere", UsageError, "has no function nowhere .*name a function without arguments"),
])
def test_factories_that_give_no_module(factory: str, kind: type[Exception], rule: str, modules: str) -> None:
    with pytest.raises(kind, match=rule):
        read_network(f"{modules}:{factory}", CONTRACT, (8, 8))


def test_a_module_that_does_not_take_the_size(modules: str) -> None:
    grey = InputContract((127,), (128,), colour="grey")
    with pytest.raises(InputError, match=r"does not take an image \(1, 8, 8\): RuntimeError: .*say its size"):
        read_network(f"{modules}:net", grey, (8, 8))


@pytest.mark.parametrize("zoo", ["torchvision", "timm"])
def test_a_library_that_is_not_there(zoo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, zoo, None)
    with pytest.raises(MissingDependency, match=f"pip install {zoo}"):
        read_network(f"{zoo}:resnet18", CONTRACT)


def test_a_name_that_a_library_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        class models:
            @staticmethod
            def get_model(name: str, weights: str) -> None:
                raise ValueError(f"Unknown model {name}")

    monkeypatch.setitem(sys.modules, "torchvision", Library)
    with pytest.raises(InputError, match="torchvision does not give 'resnet1': ValueError: 'Unknown model resnet1'"):
        read_network("torchvision:resnet1", CONTRACT)
