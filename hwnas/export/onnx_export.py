"""From a torch network to one ONNX file. The only part of this room that needs torch."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.errors import MissingDependency
from hwnas.export.metadata import METADATA_KEY, stamped
from hwnas.files import write_bytes
from hwnas.space import Architecture, output_positions

INPUT, OUTPUT = "image", "logits"
MAX_BATCH = 1024
KEPT = 2
"""Graphs in memory: a run for several budgets exports its reference beside each of its networks."""
_BLOCK = re.compile(r"'blocks\.([^.']+)'")
_graphs: dict[str, bytes] = {}  # by what they are made of, the latest last


def to_onnx(net: Any, path: Path, metadata: Mapping[str, Any]) -> None:
    """`onnx_bytes` into a file, written beside and renamed.

    Raises:
        MissingDependency: torch or onnxscript is not installed.
        InputError: the file cannot be written.
    """
    write_bytes(path, onnx_bytes(net, metadata))


def onnx_bytes(net: Any, metadata: Mapping[str, Any]) -> bytes:
    """`net` as ONNX with a dynamic batch axis, batch norm folded, weights inside; nodes are named POSITION/NAME.

    The graph takes float32 pixels (batch, C, H, W) in 0..1; the normalisation is part of the network. A detector's maps
    are called by their stride: 'map8', 'map16', ... What is, weight by weight, one of the last `KEPT` that this process
    exported is not exported anew.

    Args:
        net: a `hwnas.nets.Network`; not changed.
        metadata: JSON-able provenance, stored under the metadata key 'hwnas'; its `classes` also under 'classes'.

    Raises:
        MissingDependency: torch or onnxscript is not installed.
    """
    from hwnas.nets import Network
    from hwnas.nets.network import module_name

    def export() -> bytes:
        positions = {module_name(p.name): p.name for p in net.arch.space.positions}
        return onnx_graph(net, net.arch.space.input_shape, output_names(net.arch), {}, positions)

    return stamped(export() if type(net) is not Network else _kept(_contents(net), export), metadata)


def _kept(contents: str, export: Callable[[], bytes]) -> bytes:
    graph = _graphs.pop(contents, None) or export()
    _graphs[contents] = graph
    while len(_graphs) > KEPT:
        del _graphs[next(iter(_graphs))]
    return graph


def _contents(net: Any) -> str:
    """A hash of all that the graph of a network is made of: its architecture, weights and statistics."""
    found = hashlib.sha256(json.dumps(net.arch.to_json(), sort_keys=True).encode())
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        values = tensor.detach().cpu().contiguous().numpy()
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def onnx_graph(net: Any, shape: Sequence[int], names: Sequence[str], metadata: Mapping[str, Any],
               positions: Mapping[str, str] | None = None) -> bytes:
    """`onnx_bytes` of any module that takes one image tensor (batch, *shape) and gives `names`.

    Args:
        positions: name of a module in `net.blocks` -> the position by which its nodes are named.

    Raises:
        MissingDependency: torch or onnxscript is not installed.
    """
    torch = _exporting()
    from hwnas.nets import deployed

    training = net.training
    net.eval()
    exported = deployed(net)
    if any(tensor.device.type != "cpu" for tensor in exported.state_dict().values()):
        exported = copy.deepcopy(exported).cpu()
    example = (torch.zeros(2, *shape),)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            exported, example, dynamo=True, dynamic_shapes=({0: batch},), input_names=[INPUT],
            output_names=list(names), external_data=False, verbose=False,
        )
    net.train(training)
    return _without_traces(program, metadata, positions or {})


def onnx_of_program(program: Any) -> bytes:
    """A `torch.export.ExportedProgram` as ONNX, weights inside, inputs and outputs under their own names.

    Raises:
        MissingDependency: torch or onnxscript is not installed.
    """
    torch = _exporting()
    with _quiet(), torch.no_grad():
        return _without_traces(torch.onnx.export(program, dynamo=True, external_data=False, verbose=False), {}, {})


def _exporting() -> Any:
    """torch, where it can export."""
    try:
        import onnxscript  # noqa: F401 - torch needs it to export
        import torch
    except ImportError as err:
        raise MissingDependency(str(err.name), "ONNX export", 'pip install "hwnas[train]"') from err
    return torch


def _without_traces(program: Any, metadata: Mapping[str, Any], positions: Mapping[str, str]) -> bytes:
    import onnx

    if program is None:  # dynamo=True always returns a program; this keeps the type checker honest
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # torch leaves stack traces with paths of this machine
        if position := positions.get(_block(node)):
            node.name = f"{position}/{node.name}"
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(metadata, sort_keys=True),
                                        "classes": json.dumps(metadata.get("classes", []))})
    model.producer_name = "hwnas"
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _block(node: Any) -> str:
    """The module of `blocks` that a node comes from, as the exporter says; empty without one."""
    scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "")
    found = _BLOCK.search(scopes)
    return found.group(1) if found else ""


def output_names(arch: Architecture) -> list[str]:
    """What an exported network calls its outputs."""
    ops = [arch.ops[i] for i in output_positions(arch.ops)]
    if len(ops) == 1:
        return [OUTPUT]
    first = round(arch.space.config.imgsz / ops[0].out_hw[0])
    return [f"map{first * 2**level}" for level in range(len(ops))]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's own chatter (missing torchvision, progress ticks, graphs of what failed), nothing else."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "torch.fx", "onnxscript",
                                                    "onnx_ir")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), \
                warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
