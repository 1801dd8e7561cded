"""A body for others' code: ONNX with a map a stride, and weights with a model.py that needs torch but not hwnas.

| file                 | what                                                                     |
|----------------------|--------------------------------------------------------------------------|
| backbone.onnx        | (batch, C, H, W) pixels in 0..1 -> 'stride2', 'stride4', ...               |
| backbone.safetensors | the state dict of model.py's `Backbone`                                   |
| backbone.json        | strides, channels, counts, where it comes from                            |
| model.py             | written for this network; to be read and changed                          |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import UsageError
from hwnas.export.onnx_export import onnx_graph
from hwnas.export.source import source_of
from hwnas.files import write_bytes, write_json
from hwnas.space import Op

if TYPE_CHECKING:
    from hwnas.nets import FeatureNet, Network

SCHEMA = 1
FILES = ("backbone.onnx", "backbone.safetensors", "backbone.json", "model.py")


def write_backbone(net: Network, folder: Path, metadata: Mapping[str, Any],
                   out_indices: Sequence[int] | None = None) -> tuple[Path, ...]:
    """Write the four files of a network's body into a folder, which is made if it is not there.

    Args:
        net: trained; not changed.
        metadata: JSON-able provenance.
        out_indices: which features, counted from the finest; None takes all.

    Returns:
        The files.

    Raises:
        UsageError: an index that there is not, or a network of cells, for which no model.py can be written.
        MissingDependency: onnxscript is not installed.
        InputError: the folder cannot be written.
    """
    from hwnas.nets import FeatureNet, deployed
    from hwnas.train.checkpoint import save_tensors

    body = FeatureNet(deployed(net), out_indices).eval()
    ops = _ops(body)
    described = {"hwnas_backbone": SCHEMA, "feature_info": body.described(), "flops": sum(op.flops for _, op in ops),
                 "params": sum(op.params for _, op in ops), **metadata}
    names = [f"stride{reduction}" for reduction in body.reductions]
    model = onnx_graph(body, net.arch.space.input_shape, names, described)
    state = {k.removeprefix("blocks.").removeprefix("normalize."): v for k, v in body.state_dict().items()}
    source = model_source(body, described)
    write_bytes(folder / FILES[0], model)
    save_tensors(folder / FILES[1], state, {"backbone": SCHEMA})
    write_json(folder / FILES[2], described)
    write_bytes(folder / FILES[3], source.encode())
    return tuple(folder / name for name in FILES)


def model_source(body: FeatureNet, described: Mapping[str, Any]) -> str:
    """The text of model.py.

    Raises:
        UsageError: the body is no chain.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("hwnas.export", "templates"), undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)
    space, taps, forward, layers = body.arch.space, {f.module for f in body.feature_info}, [], []
    classes: dict[str, None] = {}
    for name, op in _ops(body):
        if op.steps:
            sources = [source_of(step) for step in op.steps]
            classes |= dict.fromkeys(text for source in sources for text in source.classes)
            layers.append({"name": _attribute(name), "residual": op.residual, "steps": [s.call for s in sources]})
            forward.append(f"x = self.{_attribute(name)}(x)")
        if name in taps:
            forward.append("maps.append(x)")
    channels, height, width = space.input_shape
    return environment.get_template("model.py.j2").render(
        name=f"A backbone from hwnas' space {space.name}", reductions=body.reductions, channels=body.channels,
        version=described.get("hwnas", ""), in_channels=channels, height=height, width=width, layers=layers,
        classes=list(classes), forward=forward, feature_info=json.dumps(body.described()),
        flops=f"{described['flops']:,}", params=f"{described['params']:,}",
    )


def _ops(body: FeatureNet) -> list[tuple[str, Op]]:
    """Names and ops of the body's positions, in order."""
    arch, last = body.arch, body.feature_info[-1].module
    found = []
    for position, edge, op in zip(arch.space.positions, arch.space.edges, arch.ops, strict=True):
        if edge.target != position.name:
            raise UsageError(f"model.py is written for chains; in {arch.space.name} {position.name} is added to others")
        found.append((position.name, op))
        if edge.target == last:
            break
    return found


def _attribute(position: str) -> str:
    return position.replace(".", "_")
