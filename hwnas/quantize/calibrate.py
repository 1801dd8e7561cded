"""Which values a tensor takes, from a float model run on samples.

Glossary
    v       values of one tensor over all samples, drawn at random, shape (n,)
    lo, hi  the range that eight bits hold; what lies outside is clipped
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.errors import InputError

Array = NDArray[Any]
Feed = Mapping[str, Array]
Range = tuple[float, float]

KEPT = 1 << 11  # values of a tensor and a batch that are kept to choose a range from
ENOUGH = 1 << 14  # of them in all
SHRINK = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
LEVELS = 255
POWER = 3  # of the rounding error that is least: 2 clips too much, the extremes too little (benchmarks/precision.md)


def ranges(model: onnx.ModelProto, tensors: Iterable[str], samples: Iterable[Feed] | None) -> dict[str, Range]:
    """The range of every tensor.

    Args:
        model: float.
        samples: inputs, one batch each; the range is the one with the least cubed rounding error. None takes one
            random input in 0..1 and the lowest and highest value: enough where only the speed matters.

    Raises:
        InputError: the samples do not fit the model, or there is none.
    """
    wanted = list(dict.fromkeys(tensors))
    if not wanted:
        return {}
    session = _watched(model, wanted)
    feeds: Iterable[Feed] = [_random(session)] if samples is None else samples
    seen: dict[str, list[Array]] = {name: [] for name in wanted}
    extremes: dict[str, Range] = {}
    rng = np.random.default_rng(0)
    for name, values in _values(session, wanted, feeds):
        low, high = extremes.get(name, (0.0, 0.0))  # 0 always has a code: padding is made of it
        extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
        if samples is not None:
            seen[name].append(_some(values, KEPT, rng))
    if not extremes:
        raise InputError("calibration needs at least one sample")
    if samples is None:
        return extremes
    return {name: _least_error(_some(np.concatenate(seen[name]), ENOUGH, rng), extremes[name]) for name in wanted}


def _some(values: Array, n: int, rng: np.random.Generator) -> Array:
    flat = values.reshape(-1)
    return flat if flat.size <= n else flat[rng.integers(flat.size, size=n)]


def _least_error(v: Array, extremes: Range) -> Range:
    """Of the extremes, shrunk on either side, the range with the least mean `POWER` of the rounding error."""
    lo, hi = extremes
    ends = [(lo, hi)]
    for side in (0, 1):  # one side after the other: the best of 15 + 15 instead of 225
        lo, hi = ends[-1]
        tried = [(lo * f, hi) if side == 0 else (lo, hi * f) for f in SHRINK]
        ends.append(min(tried, key=lambda r: _error(v, *r)) if (lo, hi)[side] else (lo, hi))
    return ends[-1]


def _error(v: Array, lo: float, hi: float) -> float:
    scale = max(hi - lo, 1e-9) / LEVELS
    zero = np.rint(-lo / scale)
    rounded = (np.clip(np.rint(v / scale) + zero, 0, LEVELS) - zero) * scale
    return float((np.abs(rounded - v) ** POWER).mean())


def _watched(model: onnx.ModelProto, tensors: list[str]) -> onnxruntime.InferenceSession:
    """A session that gives the tensors, too."""
    inputs = {value.name for value in model.graph.input}
    known = inputs | {value.name for value in model.graph.output}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(changed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # the library's errors share no base class of their own
        raise InputError(f"cannot be calibrated: {str(err).strip().splitlines()[0]}") from err


def _random(session: onnxruntime.InferenceSession) -> Feed:
    rng = np.random.default_rng(0)
    return {v.name: rng.random([d if isinstance(d, int) else 1 for d in v.shape], dtype=np.float32)
            for v in session.get_inputs()}


def _values(session: onnxruntime.InferenceSession, tensors: list[str],
            feeds: Iterable[Feed]) -> Iterator[tuple[str, Array]]:
    inputs = {value.name for value in session.get_inputs()}
    made = [name for name in tensors if name not in inputs]
    for feed in feeds:
        try:
            outputs = session.run(made, feed) if made else []
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"a sample does not fit the model: {str(err).strip().splitlines()[0]}") from err
        given = ((name, np.asarray(feed[name])) for name in tensors if name in inputs)
        yield from itertools.chain(given, zip(made, outputs, strict=True))
