"""What an exported model says of itself: JSON under the metadata key 'hwnas'. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hwnas.documents import brief, json_value
from hwnas.errors import InputError, UnknownName
from hwnas.imaging.contract import InputContract
from hwnas.runtime.onnx_file import check_onnx
from hwnas.space import SpaceConfig
from hwnas.target import NetworkPrecision, Target
from hwnas.tasks import Task, find
from hwnas.tasks.registry import DEFAULT
from hwnas.validation import Count, Milliseconds, Name, Schema, checked

METADATA_KEY = "hwnas"


class BuiltSchema(Schema):
    """The architecture of a model; its space is held against its own schema."""

    space: dict[Name, Any]


class MetadataSchema(Schema):
    """The keys of every model's metadata, as far as they are read again; a task reads its own."""

    task: Name = DEFAULT
    classes: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=1_000_000)]
    precision: NetworkPrecision | None = None
    architecture: BuiltSchema
    target: dict[Name, Any]
    seed: Count = 0
    predicted_latency_ms: Milliseconds | None = None
    predicted_low_ms: Milliseconds | None = None
    predicted_high_ms: Milliseconds | None = None
    latency_source: Name | None = None
    table_hash: Name | None = None


class OutputSchema(Schema):
    """An output of a user's own network: what its values were taken for, and its shape with the batch."""

    name: Name
    kind: Literal["classes", "dense", "values"]
    probabilities: bool = False
    shape: Annotated[list[Count], Field(max_length=8)] | None = None


class OwnNetworkSchema(Schema):
    """The keys of the metadata of what became of a user's own network, as far as they are read again.

    Args:
        contract: how an image becomes the input; `input`: its shape with the batch.
        classes: names; empty where the images had none.
        latency: what was measured and promised when it was made.
    """

    network: Name
    contract: dict[Name, Any]
    input: Annotated[list[Count], Field(min_length=4, max_length=4)]
    outputs: Annotated[list[OutputSchema], Field(min_length=1, max_length=64)]
    classes: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=1_000_000)]
    precision: NetworkPrecision
    target: dict[Name, Any]
    seed: Count = 0
    latency: dict[Name, Any] = Field(default_factory=dict)


def is_own_network(metadata: Mapping[str, Any]) -> bool:
    """Whether a model became of a user's own network, and is of no space."""
    return "contract" in metadata


def stamped(model: bytes, metadata: Mapping[str, Any]) -> bytes:
    """A model with `metadata` in place of what it said of itself; `classes` is stored under its own key, too.

    Raises:
        InputError: not an ONNX model.
    """
    import onnx

    proto = _parse(model)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(metadata, sort_keys=True),
                                        "classes": json.dumps(metadata.get("classes", []))})
    data: bytes = proto.SerializeToString()
    return data


def read_metadata(model: bytes) -> dict[str, Any]:
    """The provenance that `to_onnx` stored in a model.

    Raises:
        InputError: not an ONNX model, or not one of ours.
    """
    stored = {p.key: p.value for p in _parse(model).metadata_props}
    if METADATA_KEY not in stored:
        raise InputError("the model has no 'hwnas' metadata: it was not exported by hwnas")
    values = json_value(stored[METADATA_KEY], "the model's 'hwnas' metadata")
    if not isinstance(values, dict):
        raise InputError(f"the model's 'hwnas' metadata must be an object, not {brief(values)}")
    return values


def read_exported(model: bytes) -> dict[str, Any]:
    """The provenance of a model that can be run: complete, and with the inputs and outputs that it tells of.

    Raises:
        InputError: as `read_metadata`, or a key is missing or wrong, or the graph is of another network.
    """
    values = read_metadata(model)
    if is_own_network(values):
        _check_own_network(model, values)
        return values
    facts = checked(MetadataSchema, values, "the model's 'hwnas' metadata")
    space = SpaceConfig.from_json(facts.architecture.space, "the model's 'hwnas' metadata: architecture.space")
    checked(Target, facts.target, "the model's 'hwnas' metadata: target")
    task = known_task(facts.task)
    task.check_facts(values, space)
    _check_interface(_parse(model).graph, space, task, task.layout_from(values))
    return values


def _check_own_network(model: bytes, values: Mapping[str, Any]) -> None:
    where = "the model's 'hwnas' metadata"
    facts = checked(OwnNetworkSchema, values, where)
    InputContract.of(facts.contract, f"{where}: contract").size_of(tuple(facts.input))
    checked(Target, facts.target, f"{where}: target")
    graph = _parse(model).graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [_shape(value) for value in graph.input if value.name not in stored]
    if len(inputs) != 1 or not _fits(inputs[0], tuple(facts.input)):
        raise InputError(f"the model must take {'x'.join(map(str, facts.input))} alone, not {inputs[:2]}")
    names, wanted = [value.name for value in graph.output], [output.name for output in facts.outputs]
    if names != wanted:
        raise InputError(f"the outputs of the model, {brief(names)} {names[:4]}, are not those that it tells of, "
                         f"{wanted[:4]}")


def task_of_model(metadata: Mapping[str, Any]) -> Task:
    """The task of a model; models of hwnas 0.1.0 do not name it.

    Raises:
        InputError: it is of a package that is not installed.
    """
    return known_task(str(metadata.get("task", DEFAULT)))


def known_task(name: str) -> Task:
    """The task of a name that a file gives.

    Raises:
        InputError: there is none.
    """
    try:
        return find(name)
    except UnknownName as err:
        raise InputError(f"the model's 'hwnas' metadata: {err}") from err


def _check_interface(graph: Any, space: SpaceConfig, task: Task, layout: Any) -> None:
    """Whether a graph takes images of the space and gives what the task wants."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [_shape(value) for value in graph.input if value.name not in stored]
    if len(inputs) != 1 or not _fits(inputs[0], (None, space.in_channels, *space.size)):
        raise InputError(f"the model must take images of {space.in_channels}x{space.size[0]}x{space.size[1]} alone, "
                         f"not {brief(inputs)} {inputs[:2]}")
    wanted = task.output_shapes(space.classes, space.size, layout)
    outputs = [_shape(value) for value in graph.output]
    if len(outputs) != len(wanted) or not all(map(_fits, outputs, wanted)):
        raise InputError(f"the outputs of the model, {outputs[:4]}, are not those of a network to {task.name}, "
                         f"{wanted[:4]}")


def check_outputs(outputs: Sequence[np.ndarray], wanted: Sequence[tuple[int | None, ...]]) -> None:
    """Whether what a model gave is finite and of the shapes of its task.

    Raises:
        InputError: it is not.
    """
    if len(outputs) != len(wanted) or not all(map(_fits, [o.shape for o in outputs], wanted)):
        given = [output.shape for output in outputs[:4]]
        raise InputError(f"the model gives outputs of the shapes {given}, not those that it tells of: "
                         "copy it again, or export it anew")
    if not all(np.isfinite(output).all() for output in outputs):
        raise InputError("the model gives numbers that are NaN or infinite: export it again, or train anew")


def _shape(value: Any) -> tuple[int | None, ...]:
    """Sizes of a graph's input or output, cut at 8; None takes any."""
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim[:8])


def _fits(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(None in pair or pair[0] == pair[1]
                                             for pair in zip(shape, wanted, strict=True))


def _parse(model: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    check_onnx(model)
    try:
        return onnx.load_model_from_string(model)
    except DecodeError as err:
        raise InputError(f"not an ONNX model: {err}") from err
