"""What int8 gains and costs here: by runtime, by layout of the quantise-dequantise pairs, by width of the weights.

    python benchmarks/precision.py                                        # latency of the largest networks
    python benchmarks/precision.py --model reference.onnx --images x.npz   # accuracy of a trained model

Latency: the largest network of each space with random weights, all forms on both runtimes in one interleaved run, one
thread, batch 1. Accuracy: an fp32 export of hwnas, calibrated on 256 images of `x_train`, judged on `x_val`, `y_val`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnxruntime

from hwnas.export import Loss, predict
from hwnas.pipeline import calibration_inputs
from hwnas.profile import network_model
from hwnas.quantize import calibrate, qdq, to_form
from hwnas.runtime import Measurement, Session, compare, open_runtime
from hwnas.space import SpaceConfig, build

NETWORKS = (("mobile", 32), ("mobile", 128), ("ofa", 128), ("fbnet", 32))
RUNTIMES = ("onnxruntime", "openvino")
FORMS = ("fp32", "u8s8", "fused", "s8s8")


@contextlib.contextmanager
def changed(module: Any, name: str, value: object) -> Iterator[None]:
    """A constant of the quantiser set to something else for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def load(runtime: str, model: bytes, form: str, samples: list[dict[str, np.ndarray]] | None = None) -> Session:
    if form == "fp32":
        return open_runtime(runtime).load(model)
    return open_runtime(runtime, precision="int8").load(to_form(model, "int8", samples=samples, variant=form))


def latency(sweeps: int) -> None:
    print("| network | runtime | fp32 ms | u8s8 | fused | s8s8 |\n|---|---|---|---|---|---|")
    for space, size in NETWORKS:
        model = network_model(build(SpaceConfig(space, size, 3, 10)).largest())
        sessions = {f"{r} {f}": load(r, model, f) for r in RUNTIMES for f in FORMS}
        found: dict[str, Measurement] = compare(sessions, sweeps=sweeps)
        for runtime in RUNTIMES:
            base = found[f"{runtime} fp32"].median_ms
            ratios = " | ".join(f"{found[f'{runtime} {form}'].median_ms / base:.2f}" for form in FORMS[1:])
            print(f"| {space} {size} px | {runtime} | {base:.3f} | {ratios} |", flush=True)


def accuracy(path: Path, images: Path, count: int) -> None:
    arrays, model = np.load(images), path.read_bytes()
    x, y = arrays["x_val"][:count], arrays["y_val"][:count]
    samples = calibration_inputs(arrays["x_train"], "image", 0)
    exact = predict(open_runtime("onnxruntime").load(model), x)

    def row(name: str, answers: np.ndarray) -> None:
        loss = Loss.of(exact, answers, y)
        same = 100 * (answers.argmax(1) == exact.argmax(1)).mean()
        rms = np.sqrt(np.mean((answers - exact) ** 2)) / exact.std()
        print(f"| {name} | {loss.drop:+.2f} ± {loss.error:.2f} | {same:.1f} | {rms:.3f} |", flush=True)

    print(f"fp32: {100 * (exact.argmax(1) == y).mean():.2f} % of {count}\n")
    print("| int8 | points lost | same answer % | error of logits |\n|---|---|---|---|")
    for power in (2, 3, 4):
        with changed(calibrate, "POWER", power):
            row(f"least error to the power {power}, ONNX Runtime",
                predict(load("onnxruntime", model, "u8s8", samples), x))
    with changed(calibrate, "SHRINK", (1.0,)):
        row("lowest and highest value, ONNX Runtime", predict(load("onnxruntime", model, "u8s8", samples), x))
    row("as it ships, OpenVINO", predict(load("openvino", model, "fused", samples), x))
    with changed(qdq, "NARROW", qdq.TOP):
        wide = to_form(model, "int8", samples=samples)
        row("eight-bit weights, ONNX Runtime", predict(load("onnxruntime", model, "u8s8", samples), x))
        row("eight-bit weights, OpenVINO", predict(load("openvino", model, "fused", samples), x))
    row("eight-bit weights, nothing overflows", unfused(wide, x))
    row("as it ships, nothing overflows", unfused(to_form(model, "int8", samples=samples), x))


def unfused(model: bytes, x: np.ndarray) -> np.ndarray:
    """Logits of a quantised graph whose integers are multiplied as floats."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [x[i : i + 64].transpose(0, 3, 1, 2).astype(np.float32) / 255 for i in range(0, len(x), 64)]
    return np.concatenate([session.run(None, {"image": part})[0] for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    if args.model:
        accuracy(args.model, args.images, args.count)
    else:
        latency(args.sweeps)


if __name__ == "__main__":
    main()
