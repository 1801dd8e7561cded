"""What an exported model says of itself: JSON under the metadata key 'hwnas'. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hwnas.errors import InputError

METADATA_KEY = "hwnas"


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
    try:
        values = json.loads(stored[METADATA_KEY])
    except ValueError as err:
        raise InputError(f"the model's 'hwnas' metadata is not JSON: {err}") from err
    if not isinstance(values, dict):
        raise InputError("the model's 'hwnas' metadata is not a JSON object")
    return values


def _parse(model: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(model)
    except DecodeError as err:
        raise InputError(f"not an ONNX model: {err}") from err
