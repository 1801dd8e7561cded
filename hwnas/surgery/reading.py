"""A user's trained network, wherever it comes from, in the one form, held against the original.

| given                                   | becomes                                                       |
|-----------------------------------------|---------------------------------------------------------------|
| `net.onnx`                              | itself                                                        |
| `net.pt2`                               | what `torch.export.save` wrote, exported                      |
| `package.module:factory`                | what the function returns, a torch module, exported           |
| `torchvision:NAME`, `timm:NAME`         | that model with its pretrained weights, where it is installed |
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hwnas.documents import brief
from hwnas.errors import InputError, MissingDependency, UsageError, VerificationFailed
from hwnas.imaging.contract import InputContract
from hwnas.plugins import of_module
from hwnas.progress import plural
from hwnas.quantize.graph import parse
from hwnas.runtime.onnx_file import check_onnx
from hwnas.surgery.batches import opened, with_batch_of_one
from hwnas.surgery.canonical import canonical
from hwnas.surgery.session import session_of

Floats = NDArray[np.float32]

CLOSE = 1e-5  # largest difference of the canonical form to the original, over the largest output
ZOOS = ("torchvision", "timm")
PROGRAM = ".pt2"
MOST_SAID = 240  # characters of what an exporter says
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as its user gave it, and in the one form. Never changed.

    Args:
        name: for folders and pages.
        original: the ONNX that was given, or exported from what was given.
        model: the canonical form, shapes fixed.
        contract: how images become its input.
        sha256: of the original.
    """

    name: str
    original: bytes
    model: onnx.ModelProto
    contract: InputContract
    sha256: str

    @property
    def input_name(self) -> str:
        """Of its one input."""
        return str(self.model.graph.input[0].name)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """With the batch."""
        return tuple(d.dim_value for d in self.model.graph.input[0].type.tensor_type.shape.dim)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of its images."""
        return self.contract.size_of(self.input_shape)

    def serialised(self, batch: int = 1) -> bytes:
        """The canonical form as it is timed and shipped: for several images a call with an open batch."""
        data: bytes = self.model.SerializeToString()
        return data if batch == 1 else opened(data)

    def check(self, inputs: Iterable[Floats], batch: int = 1) -> float:
        """Hold the canonical form against the original on some inputs.

        Args:
            inputs: each of as many images as the original is given in a call.
            batch: that the network is for; above 1 it is the form with an open batch that is held against it.

        Returns:
            The largest difference of any output over the largest value of that output.

        Raises:
            VerificationFailed: they differ by more than 1e-5 of that.
            InputError: the network does not compute several images in a call.
        """
        before, after = session_of(self.original), session_of(self.serialised(batch))
        if batch > 1:
            return self._check_batches(before, after, inputs, batch)
        worst = 0.0
        for x in inputs:
            pair = (session.run(None, {self.input_name: x}) for session in (before, after))
            for a, b in zip(*pair, strict=True):
                worst = _worse(worst, a, b)
        if not worst <= CLOSE:
            raise VerificationFailed(f"folding constants into {self.name} changed its outputs by {worst:.1e} of their "
                                     f"size, {CLOSE:g} are allowed: the network is not used")
        return worst

    def _check_batches(self, before: Any, after: Any, inputs: Iterable[Floats], batch: int) -> float:
        """Hold several images a call against the original; raises InputError where it does not come to the same."""
        out = f"export it so that each image is computed alone, or leave out --batch {batch}"
        worst = 0.0
        for x in inputs:
            rows = []
            for session in (before, after):
                try:
                    rows.append(session.run(None, {self.input_name: x}))
                except Exception as err:  # the library's errors share no base class of their own
                    said = brief(str(err).strip().splitlines()[0])
                    raise InputError(f"{self.name} does not take {batch} images a call: {said}; {out}") from err
            for a, b in zip(*rows, strict=True):
                if np.shape(a) != np.shape(b) or np.shape(a)[:1] != (batch,):
                    raise InputError(f"{self.name} gives {np.shape(a)} for {batch} images, and an answer an image is "
                                     f"needed: {out}")
                worst = _worse(worst, a, b)
        if not worst <= CLOSE:
            raise InputError(f"{self.name} gives something else for {batch} images together than its graph says of "
                             f"one: outputs differ by {worst:.1e} of their size; {out}")
        return worst


def read_network(source: str, contract: InputContract, size: tuple[int, int] | None = None, batch: int | None = None
                 ) -> TrainedNetwork:
    """A trained network.

    Args:
        source: see the table at the top of the file.
        size: (H, W) of its input, where the network leaves it open.
        batch: images a call that it is for; its own batch must be open, or that. None takes it with its own.

    Raises:
        InputError: no such file, not ONNX, several inputs, an input that is no image, a batch of its own, or a model
            that ONNX Runtime or the exporter refuses; says why and what helps.
        UsageError: a name that cannot be read.
        MissingDependency: torch, or the library that has the model, is not installed.
    """
    original = _bytes_of(source, contract, size)
    check_onnx(original)
    proto = parse(original)
    name = _one_input(proto)
    _check_mode(proto)
    own = _batch_of(proto, name)
    if own is not None and batch is not None and own != batch:
        raise InputError(_fixed(_name_of(source), own, batch))
    if batch is not None and own not in (None, 1):
        proto = with_batch_of_one(proto, name, batch)
    shapes = {name: _shape(proto, name, contract, size)}
    try:
        made = canonical(proto, shapes)
    except InputError as err:
        if batch is None or own in (None, 1):
            raise
        raise InputError(f"{_name_of(source)} takes {own} images a call, and its graph cannot be that of a single "
                         "image: export it with an open batch") from err
    network = TrainedNetwork(_name_of(source), original, made, contract, hashlib.sha256(original).hexdigest())
    contract.size_of(network.input_shape)
    return network


def _worse(worst: float, a: Floats, b: Floats) -> float:
    """The larger one of a difference and that of two outputs; what is no number is kept, unlike by max()."""
    return float(np.maximum(worst, _apart(a, b))) if a.dtype.kind == "f" and a.size else worst


def _apart(a: Floats, b: Floats) -> float:
    """Largest difference over the largest value; infinite ones may be equal."""
    with np.errstate(invalid="ignore"):
        difference = np.where(a == b, 0, np.abs(a - b)).max()
    largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return float(difference / max(float(largest), 1e-12))


def _check_mode(proto: onnx.ModelProto) -> None:
    """Raises InputError for a network that computes statistics of the batch, as one in training mode does."""
    for node in proto.graph.node:
        if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
            raise InputError(f"the norm that makes {brief(node.output[0])} is in training mode, so that every image "
                             "changes what others give: call .eval() on the network before it is exported")


def _batch_of(proto: onnx.ModelProto, name: str) -> int | None:
    """What the first dimension of the input is fixed at; None where it is open, or where there is none."""
    dims = next(v for v in proto.graph.input if v.name == name).type.tensor_type.shape.dim
    return int(dims[0].dim_value) if len(dims) == 4 and dims[0].dim_value > 0 else None


def _fixed(name: str, own: int, batch: int) -> str:
    if batch == 1:
        return (f"{name} takes {own} images a call, no fewer: give --batch {own}, or export it with an open batch or "
                "with one image")
    return (f"{name} takes {plural(own, 'image')} a call, and --batch is {batch}: export it with an open batch, or "
            f"{'leave out --batch' if own == 1 else f'give --batch {own}'}")


def _one_input(proto: onnx.ModelProto) -> str:
    constants = {t.name for t in proto.graph.initializer}
    names = [v.name for v in proto.graph.input if v.name not in constants]
    if len(names) != 1:
        told = ", ".join(names[:4]) or "none"
        raise InputError(f"the model has {len(names)} inputs ({told}); a network of one image is taken: cut it in two, "
                         "or make the others constants")
    return str(names[0])


def _shape(proto: onnx.ModelProto, name: str, contract: InputContract, size: tuple[int, int] | None
           ) -> tuple[int, ...]:
    """Of the input, with a batch of 1 where that is open, and with the size that was asked for."""
    value = next(v for v in proto.graph.input if v.name == name)
    if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        raise InputError(f"the input {name!r} is of {kind}, and images are given as float32: export the network so "
                         "that it takes floats")
    known = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
             for d in value.type.tensor_type.shape.dim]
    if len(known) != 4:
        raise InputError(f"the input {name!r} has {len(known)} dimensions, an image in {contract.layout} has 4")
    if None not in known[1:]:
        contract.size_of(tuple(1 if d is None else d for d in known))
    places = {"nchw": (1, 2, 3), "nhwc": (3, 1, 2)}[contract.layout]
    asked = (contract.channels, *(size or (None, None)))
    found = [1 if known[0] is None else known[0], *known[1:]]
    for place, wanted in zip(places, asked, strict=True):
        if found[place] is None:
            found[place] = wanted
        elif wanted is not None and place != places[0] and found[place] != wanted:
            raise InputError(f"the input {name!r} is {found[places[1]]}x{found[places[2]]}, not "
                             f"{asked[1]}x{asked[2]}: leave --imgsz out")
    if None in found:
        raise InputError(f"the input {name!r} leaves its size open: say it, e.g. --imgsz 224")
    return tuple(int(d) for d in found if d is not None)


def _bytes_of(source: str, contract: InputContract, size: tuple[int, int] | None) -> bytes:
    path = Path(source)
    zoo, _, name = source.partition(":")
    if path.suffix.lower() in (".onnx", PROGRAM) or path.is_file():
        try:
            data = path.read_bytes()
        except OSError as err:
            raise InputError(f"{path} cannot be read ({err.strerror}): give the path of an ONNX file") from err
        return data if path.suffix.lower() != PROGRAM else _of_program(data, path.name)
    if not name:
        raise InputError(f"{brief(source)} is no ONNX file; a torch module is named package.module:factory, a "
                         "published one torchvision:resnet18 or timm:NAME")
    module = _published(zoo, name) if zoo in ZOOS else _made(source)
    return _exported(module, contract, size or (224, 224), source)


def _of_program(data: bytes, name: str) -> bytes:
    """ONNX of what a `.pt2` file holds."""
    try:
        from hwnas.export.onnx_export import onnx_of_program
        from hwnas.surgery.exported_program import load_program

        program = load_program(data, name)
    except ImportError as err:
        raise MissingDependency(str(err.name), "a torch network", 'pip install "hwnas[train]"') from err
    return _told(name, lambda: onnx_of_program(program))


def _made(source: str) -> Any:
    rule = "name a function without arguments that gives a torch.nn.Module"
    function = of_module(source, "network", rule)
    try:
        return function()
    except Exception as err:  # a stranger's code
        raise UsageError(f"{source} does not give a network: {type(err).__name__}: {brief(str(err))}; {rule}") from err


def _published(zoo: str, name: str) -> Any:
    import importlib

    try:
        library = importlib.import_module(zoo)
    except (ImportError, RuntimeError, OSError) as err:
        raise MissingDependency(zoo, f"the network {zoo}:{name}", f"pip install {zoo}") from err
    try:
        if zoo == "timm":
            return library.create_model(name, pretrained=True)
        return library.models.get_model(name, weights="DEFAULT")
    except Exception as err:  # the libraries raise what they like for an unknown name or a download
        raise InputError(f"{zoo} does not give {brief(name)}: {type(err).__name__}: {brief(str(err))}") from err


def _exported(module: Any, contract: InputContract, size: tuple[int, int], source: str) -> bytes:
    try:
        import torch

        from hwnas.export.onnx_export import onnx_graph
    except ImportError as err:
        raise MissingDependency(str(err.name), "a torch network", 'pip install "hwnas[train]"') from err
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"{source} gives {brief(module)}: it must give a torch.nn.Module")
    shape = (contract.channels, *size) if contract.layout == "nchw" else (*size, contract.channels)
    names = [f"out{i}" for i in range(_outputs_of(module, shape))]
    return _told(source, lambda: onnx_graph(module, shape, names, {}))


def _told(source: str, export: Callable[[], bytes]) -> bytes:
    """What an exporter gives, or why it gives nothing."""
    try:
        return export()
    except MissingDependency:
        raise
    except Exception as err:  # the exporter raises what it likes for what it does not know
        raise InputError(f"{source} cannot be exported: {_reason(err)}. Give the part before the decoding of boxes and "
                         "before anything that depends on the values, or an ONNX file") from err


def _outputs_of(module: Any, shape: tuple[int, ...]) -> int:
    import torch

    module.eval()
    with torch.inference_mode():
        try:
            found = module(torch.zeros(2, *shape))
        except Exception as err:  # a stranger's module
            raise InputError(f"the network does not take an image {shape}: {type(err).__name__}: {brief(str(err))}; "
                             "say its size with --imgsz") from err
    return len(found) if isinstance(found, tuple | list | dict) else 1


def _reason(err: BaseException) -> str:
    """What is at the bottom of an exporter's chain of errors, with the line of the module where it is known."""
    while err.__cause__ is not None:
        err = err.__cause__
    said = next((line.strip() for line in str(err).splitlines() if line.strip()), "")
    place = _line_of(err)
    return f"{type(err).__name__}: {brief(said, MOST_SAID)}" + (f" in {brief(place, MOST_SAID)}" if place else "")


def _line_of(err: BaseException) -> str:
    """The line of the user's own code that an exporter failed at: it says it, or it was there when the error came."""
    lines = str(err).splitlines()
    for i, line in enumerate(lines):
        found = _FRAME.search(line)
        if found is not None and _is_theirs(found[1]):
            return f"{found[1]}, line {found[2]}: {lines[i + 1].strip() if i + 1 < len(lines) else ''}"
    frames = [f for f in traceback.extract_tb(err.__traceback__) if _is_theirs(f.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def _is_theirs(file: str) -> bool:
    """Whether a file is neither of a library nor of this package."""
    return "site-packages" not in file and not file.startswith(("<", str(Path(__file__).parents[1]), *_STANDARD))


def _name_of(source: str) -> str:
    path = Path(source)
    file = path.suffix.lower() in (".onnx", PROGRAM) or path.is_file()
    return path.stem if file else source.replace(":", "-").replace(".", "-")
