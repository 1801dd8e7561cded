"""model.json: what a bundle says of its model, so that a program in any language can use it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.deploy.runner.bundle import SCHEMA, VERSION
from hwnas.export.interface import Interface
from hwnas.export.metadata import is_own_network
from hwnas.imaging.contract import InputContract
from hwnas.imaging.letterbox import GREY
from hwnas.runtime.parity import rule_of
from hwnas.runtime.promise import ESTIMATED, MEASURED, PREDICTED
from hwnas.target import Target

SLACK = 1.1  # a latency that was measured once may be a tenth longer the next time
TOLD = {"predicted_ms": "predicted_latency_ms", "predicted_low_ms": "predicted_low_ms",
        "predicted_high_ms": "predicted_high_ms", "source": "latency_source"}
PROVENANCE = ("hwnas", "role", "architecture", "data", "seed", "table_hash")
OWN_PROVENANCE = ("hwnas", "role", "network", "sha256", "data", "seed")


@dataclass(frozen=True)
class LatencyPromise:
    """What is known of a model's latency on its target.

    Args:
        measured: median, 10th and 90th percentile in ms and runs, as JSON; None where it was not measured.
        budget_ms: the budget that it was made for.
        device: fingerprint of the device that was measured, as JSON.
        share: the budget as a share of the run's reference, where that was asked for; None of a budget in ms.
        of_ms: what that reference took, or was said to take.
    """

    measured: Mapping[str, Any] | None = None
    budget_ms: float | None = None
    device: Mapping[str, Any] | None = None
    share: float | None = None
    of_ms: float | None = None

    def to_json(self, metadata: Mapping[str, Any], reference_ms: float | None = None) -> dict[str, Any]:
        """With what the model itself says was predicted.

        Args:
            reference_ms: what the bundle's own reference takes at the speed of the promise.
        """
        limit, source = self._limit()
        estimated = metadata.get("latency_source") == ESTIMATED
        basis = MEASURED if self.measured else ESTIMATED if estimated else PREDICTED
        return {
            "promise_ms": limit, "promise": source, "basis": None if limit is None else basis,
            "budget_ms": self.budget_ms, "share": self.share, "of_ms": self.of_ms, "reference_ms": reference_ms,
            "measured": dict(self.measured) if self.measured else None,
            "device": dict(self.device) if self.device else None,
            **{ours: metadata.get(theirs) for ours, theirs in TOLD.items()},
        }

    def _limit(self) -> tuple[float | None, str | None]:
        if self.budget_ms is not None:
            return self.budget_ms, "budget"
        if self.measured is not None:
            return SLACK * float(self.measured["median_ms"]), "measured"
        return None, None


def described(model: bytes, metadata: Mapping[str, Any], target: Target, latency: Mapping[str, Any],
              outputs_of: str, relative: bool, spends: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The content of model.json.

    Args:
        model: ONNX bytes.
        metadata: what the model says of itself.
        latency: `LatencyPromise.to_json`.
        outputs_of: who gave the stored outputs: 'torch', or a runtime.
        relative: whether outputs are compared relatively above 1.
        spends: budgets on what it takes besides its median time: name, limit in ms, mJ or bytes, and the share of the
            reference where that was asked for.
    """
    inputs, outputs = interface(model)
    rule, limit = rule_of(target.precision)
    face = Interface.of(metadata)
    if is_own_network(metadata):  # its graph is of one image, and may leave shapes open that are known
        outputs = [{**output, "shape": [None, *(shape or output["shape"])[1:]]}
                   for output, shape in zip(outputs, face.shapes, strict=True)]
    return {
        SCHEMA: VERSION, "task": face.task, "classes": list(face.classes),
        "inputs": inputs, "outputs": outputs, "preprocessing": preprocessing(face),
        **{name: metadata[name] for name in face.extra if name in metadata},
        "postprocessing": dict(face.postprocessing),
        "target": target.model_dump(mode="json", exclude={"aliases", "docker", "hardware"}), "latency": latency,
        **({"spends": [dict(one) for one in spends]} if spends else {}),
        "parity": {"rule": rule, "limit": limit, "relative": relative, "outputs_of": outputs_of},
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "provenance": {name: metadata.get(name)
                       for name in (OWN_PROVENANCE if is_own_network(metadata) else PROVENANCE)},
    }


def preprocessing(face: Interface) -> dict[str, Any]:
    """How an image becomes the input, in words and numbers."""
    (height, width), contract = face.size, face.contract
    inside = contract == InputContract.inside(face.channels, contract.fit)
    told = {
        "colour": {"grey": "grey", "rgb": "RGB", "bgr": "BGR"}[contract.colour], "channels": face.channels,
        "height": height, "width": width, "orientation": "upright by EXIF", "transparency": "over white",
        "16 bits": "the upper 8",
        "reduced JPEG": "sides decoded at 1/8, 1/4 or 1/2, the least that is not under the input's",
        "fit": contract.fit, **({"pad": GREY} if contract.fit == "letterbox" else {}), "filter": "bilinear",
        "layout": contract.layout.upper(),
    }
    if inside:
        return {**told, "scale": 1 / 255, "normalisation": "inside the network"}
    return {**told, "crop": contract.crop, "mean": list(contract.mean), "std": list(contract.std),
            "normalisation": "(pixel - mean) / std, of pixels from 0 to 255"}


def interface(model: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of an ONNX model: name, type and shape; None in a shape takes any size."""
    import onnx

    graph = onnx.load_model_from_string(model).graph
    return [_told(value) for value in graph.input], [_told(value) for value in graph.output]


def _told(value: Any) -> dict[str, Any]:
    import onnx

    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    return {"name": value.name, "dtype": str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), "shape": shape}
