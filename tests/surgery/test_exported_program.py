"""A `.pt2` file: read like an ONNX file, and nothing in it is ever carried out."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.surgery import InputContract, read_network
from hwnas.surgery.session import session_of
from tests.mutations import EXAMPLES, damaged_bytes, documents, fuzzed, judged

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the check
from torch.nn import functional  # noqa: E402

from hwnas.surgery.exported_program import load_program  # noqa: E402

CONTRACT = InputContract((127,), (128,))
Doc = dict[str, Any]


class Net(nn.Module):
    """A bit of everything: a norm, a way around, a gate, maps side by side, another size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        y = self.second(x) * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))) + x
        y = functional.interpolate(y, scale_factor=2.0, mode="nearest")
        left, right = torch.cat([y, functional.pad(y, (1, 1, 1, 1))[:, :, 1:-1, 1:-1]], 1).chunk(2, 1)
        return self.last(torch.cat([left, right], 1).flatten(2).mean(2))


def saved(batch: int | None = 1) -> bytes:
    torch.manual_seed(0)
    net, buffer = Net().eval(), io.BytesIO()
    shapes = None if batch else ({0: torch.export.Dim("b", min=1, max=16)},)
    torch.export.save(torch.export.export(net, (torch.zeros(batch or 2, 3, 16, 16),), dynamic_shapes=shapes), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def program() -> bytes:
    return saved()


def test_it_computes_what_the_module_does(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(saved(None))
    network = read_network(str(tmp_path / "net.pt2"), CONTRACT)
    assert (network.name, network.input_shape) == ("net", (1, 3, 16, 16))
    assert {"gate.weight", "last.weight"} <= {tensor.name for tensor in network.model.graph.initializer}
    x = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    [found] = session_of(network.model.SerializeToString()).run(None, {network.input_name: x})
    torch.manual_seed(0)
    assert np.abs(found - Net().eval()(torch.from_numpy(x)).detach().numpy()).max() < 1e-5


class Evil:
    """Writes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def changed(data: bytes, change: Callable[[dict[str, bytes], str], None], compression: int = zipfile.ZIP_STORED
            ) -> bytes:
    """The archive with other contents; `change` is given them and the first folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries, next(iter(entries)).partition("/")[0])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def graph(change: Callable[[Doc], None]) -> Callable[[dict[str, bytes], str], None]:
    def done(entries: dict[str, bytes], top: str) -> None:
        document = json.loads(entries[f"{top}/models/model.json"])
        change(document)
        entries[f"{top}/models/model.json"] = json.dumps(document).encode()

    return done


def node(target: str) -> Callable[[dict[str, bytes], str], None]:
    def put(document: Doc) -> None:
        document["graph_module"]["graph"]["nodes"][0]["target"] = target

    return graph(put)


def sized(text: str) -> Callable[[dict[str, bytes], str], None]:
    def put(document: Doc) -> None:
        values = document["graph_module"]["graph"]["tensor_values"]
        values[next(iter(values))]["sizes"][0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 8}}}

    return graph(put)


def named(text: str) -> Callable[[dict[str, bytes], str], None]:
    def put(document: Doc) -> None:
        document["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = text

    return graph(put)


def tree(kind: str) -> Callable[[dict[str, bytes], str], None]:
    def put(document: Doc) -> None:
        signature = document["graph_module"]["module_call_graph"][0]["signature"]
        signature["in_spec"] = signature["in_spec"].replace("builtins.tuple", kind)

    return graph(put)


def pickled(entries: dict[str, bytes], top: str) -> None:
    path = f"{top}/data/weights/model_weights_config.json"
    config = json.loads(entries[path])
    config["config"]["gate.weight"] |= {"use_pickle": True}
    entries[path] = json.dumps(config).encode()


def constant(entries: dict[str, bytes], top: str) -> None:
    entries[f"{top}/data/constants/model_constants_config.json"] = json.dumps(
        {"config": {"c": {"path_name": "opaque_obj_0", "use_pickle": False}}}).encode()
    entries[f"{top}/data/constants/opaque_obj_0"] = pickle.dumps(Evil(Path("never")))


def compiled(entries: dict[str, bytes], top: str) -> None:
    entries[f"{top}/data/aotinductor/model/wrapper.so"] = b"\x7fELF"


def without_graph(entries: dict[str, bytes], top: str) -> None:
    del entries[f"{top}/models/model.json"]


@pytest.mark.parametrize("change, words", [
    (node("torch.serialization.os.system"), "calls 'torch.serialization.os.system', which is not carried out"),
    (node("torch.ops.aten.from_file.default"), "calls 'torch.ops.aten.from_file"),
    (node("torch.ops.load_library"), "calls"), (node("_operator.methodcaller"), "calls"),
    (node("torch.ops.aten.__class__.mro"), "calls"), (node("#torch.something"), "calls"),
    (node("torch.ops.mylib.op.default"), "calls 'torch.ops.mylib.op.default'"),
    (sized("__import__('os').system('true')"), "has a size that is"), (sized("eval(chr(49))"), "has a size that is"),
    (sized("().__class__"), "has a size that is"), (sized("9**9**9"), "has a size that is"),
    (named("x=print('here')"), "has a name of"), (named("x):\n  import os\n  def f(y"), "has a name of"),
    (tree("collections.defaultdict"), "has a in_spec of"), (tree("collections.namedtuple"), "has a in_spec of"),
    (pickled, "holds 'gate.weight' as a Python object"), (constant, "holds 'c' as a Python object"),
    (compiled, "holds a compiled program"), (without_graph, "has no models/model.json"),
])
def test_what_could_be_carried_out_is_refused(change: Callable[[dict[str, bytes], str], None], words: str,
                                              program: bytes) -> None:
    with pytest.raises(InputError) as caught:
        load_program(changed(program, change), "net.pt2")
    assert words in str(caught.value)
    assert "ONNX" in str(caught.value)


def test_example_inputs_notes_and_guards_are_never_looked_at(program: bytes, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def put(entries: dict[str, bytes], top: str) -> None:
        buffer = io.BytesIO()
        torch.save((Evil(mark),), buffer)
        entries[f"{top}/data/sample_inputs/model.pt"] = buffer.getvalue()
        graph(lambda document: document.update(guards_code=[f"open({str(mark)!r}, 'w')"]))(entries, top)

    data = changed(program, put)
    with contextlib.suppress(Exception):  # its warning about that cannot be written
        torch.export.load(io.BytesIO(data))  # what hwnas does not do
    assert mark.exists()
    mark.unlink()
    (tmp_path / "net.pt2").write_bytes(data)
    assert read_network(str(tmp_path / "net.pt2"), CONTRACT).input_shape == (1, 3, 16, 16)
    assert not mark.exists()


@pytest.mark.parametrize("content, words", [
    (b"", "is no file of torch.export.save"), (b"PK\x03\x04 nothing", "is no file of torch.export.save"),
    (b"\x08\x07", "is no file of torch.export.save")])
def test_another_file(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_network(str(tmp_path / "net.pt2"), CONTRACT)


def test_a_compressed_archive_and_a_script_say_what_helps(program: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is compressed"):
        load_program(changed(program, lambda entries, top: None, zipfile.ZIP_DEFLATED), "net.pt2")
    torch.save(Net().state_dict(), tmp_path / "net.pt2")
    with pytest.raises(InputError, match=r"has no models/model\.json: it is a file of torch.jit"):
        read_network(str(tmp_path / "net.pt2"), CONTRACT)


@settings(fuzzed, max_examples=max(20, EXAMPLES // 5))
@given(data=st.data())
def test_damaged_files_are_read_or_refused_in_a_line(data: st.DataObject, program: bytes) -> None:
    judged(lambda: load_program(data.draw(damaged_bytes(program)), "net.pt2"))


@settings(fuzzed, max_examples=max(20, EXAMPLES // 5))
@given(data=st.data())
def test_graphs_of_other_values_are_read_or_refused_in_a_line(data: st.DataObject, program: bytes) -> None:
    def put(entries: dict[str, bytes], top: str) -> None:
        path = f"{top}/models/model.json"
        entries[path] = data.draw(documents(json.loads(entries[path])))

    judged(lambda: load_program(changed(program, put), "net.pt2"))
