"""README.md of a bundle: what it is, and the two commands to type on the device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.deploy.container import Container

_INSTALL = {
    "onnxruntime": "pip install numpy pillow onnxruntime",
    "onnxruntime-cuda": "pip install numpy pillow onnxruntime-gpu",
    "onnxruntime-tensorrt": "pip install numpy pillow onnxruntime-gpu tensorrt",
    "openvino": "pip install numpy pillow openvino",
    "tensorrt": "pip install numpy pillow tensorrt    # on a Jetson TensorRT comes with JetPack",
}
_TEXT = """# A network to {task}, for {name}

Runs on {runtime} in {precision}: batch {batch}, threads {threads}{classes}. {latency}

It needs Python 3.8 or newer:

    {install}

Then type these two, here in this folder:

    python3 bundle.py verify
    python3 bundle.py predict photo.jpg

`verify` compares every file with its hash, the model's outputs with the stored ones, and the latency with the promise:
at the speed that the device had when the promise was made, if `reference.onnx` is here to tell.
It prints one line and ends with 0 (good), 2 (a file was changed, or something is not installed) or 4 (wrong or slow).
`predict` prints a JSON line for each image: {does}.
{compiled}{container}
For other languages: `model.onnx`{also}. `model.json` says how an image becomes the input and what the outputs are.
`runner/` is a part of hwnas, Apache-2.0.
"""
_COMPILED = """
The first start compiles the model into `cache/`: seconds with OpenVINO, minutes with TensorRT. It is compiled anew when
the model, the runtime, the driver or the device changes. `$HWNAS_BUNDLE_CACHE` names another folder.
"""


def readme(facts: Mapping[str, Any], answers: str, ir: Path, container: Container | None = None) -> str:
    """The text.

    Args:
        facts: content of model.json.
        answers: what is told of an image.
        ir: OpenVINO's form of the model, which may not be there.
        container: what the Dockerfile beside it makes; None where there is none.
    """
    target, task, classes = facts["target"], facts["task"], len(facts["classes"])
    compiles = target["runtime"] not in ("onnxruntime", "onnxruntime-cuda")
    shown = {name: target[name] for name in ("name", "runtime", "precision", "batch", "threads")}
    return _TEXT.format(
        task=task, classes=f", {classes} classes" if classes else "", latency=_latency(facts["latency"]), does=answers,
        install=_INSTALL.get(target["runtime"], _INSTALL["openvino"]), **shown,
        compiled=_COMPILED if compiles else "", container=container.readme(compiles) if container else "",
        also=", `model.xml` with `model.bin` for OpenVINO" if ir.is_file() else "",
    )


def _latency(latency: Mapping[str, Any]) -> str:
    if latency["promise_ms"] is None:
        return "No latency is promised."
    measured = latency["measured"]
    told = f"measured {measured['median_ms']:.3f} ms" if measured else f"{latency['basis']}, not measured yet"
    return f"Promised: a median of at most {latency['promise_ms']:.3f} ms, {told}."
