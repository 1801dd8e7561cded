"""Second moments of a network's maps over the user's images: what every fit in closed form is solved from.

One pass over the images serves all regressions; pixels are drawn, so that memory is that of the matrices. A regression
says which maps: patches of the one as a convolution reads them, and what is to be made of them.

symbol  meaning                                                       shape
h       patches that a convolution reads, and a 1                      (samples, C k k + 1)
y       what it is to give                                             (samples, out)
A, B    sums of h h' and of h y'                                       (C k k + 1, ...), (C k k + 1, out)
W       weights, with the bias in the last row                         (C k k + 1, out)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.quantize.graph import attribute
from hwnas.surgery.dataflow import Dataflow
from hwnas.surgery.session import session_of

Floats = NDArray[np.float64]
Array = NDArray[np.float32]

RIDGE, TINY = 1e-3, 1e-12
SAMPLES_AN_UNKNOWN = 10
PIXELS = 256  # of one image and regression
MOST_UNKNOWNS = 4608  # rows of A: 170 MB


@dataclass(frozen=True)
class Regression:
    """Maps, and the convolution between them.

    Args:
        source, target: tensors (1, C, H, W) and (1, out, H', W').
        kernel, strides, dilations: of height and width.
        pads: top, left, bottom, right.
    """

    source: str
    target: str
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, flow: Dataflow, node: int) -> Regression:
        """That of a convolution of the network."""
        found = flow.nodes[node]
        strides, dilations = attribute(found, "strides", [1, 1]), attribute(found, "dilations", [1, 1])
        kernel = flow.shapes[found.input[1]][2:]
        pads = attribute(found, "pads", [0, 0, 0, 0])
        return cls(found.input[0], found.output[0], (kernel[0], kernel[1]), (strides[0], strides[1]),
                   (pads[0], pads[1], pads[2], pads[3]), (dilations[0], dilations[1]))

    def unknowns(self, flow: Dataflow) -> int:
        """Of each channel that it gives."""
        return flow.shapes[self.source][1] * self.kernel[0] * self.kernel[1] + 1


@dataclass
class Moments:
    """Sums over samples of one regression.

    Attributes:
        hh, hy: A and B.
        count: samples.
    """

    hh: Floats
    hy: Floats
    count: int = 0

    def add(self, h: Floats, y: Floats) -> None:
        """Take in some samples."""
        self.hh += h.T @ h
        self.hy += h.T @ y
        self.count += len(h)

    def enough(self, unknowns: int) -> bool:
        """Whether there are samples enough to solve for so many."""
        return self.count >= SAMPLES_AN_UNKNOWN * unknowns

    def solved(self, rows: NDArray[np.int64] | None = None, around: Floats | None = None) -> Floats:
        """W by ridge regression, the bias free.

        Args:
            rows: of A that there is something on; the last is the bias. None for all.
            around: W that it is pulled to; None for nothing.
        """
        a: Floats = (self.hh if rows is None else self.hh[np.ix_(rows, rows)]) / self.count
        b: Floats = (self.hy if rows is None else self.hy[rows]) / self.count
        ridge = np.maximum(RIDGE * np.diag(a), TINY)
        ridge[-1] = 0.0
        if around is not None:
            b += ridge[:, None] * around
        found: Floats = np.linalg.solve(a + np.diag(ridge), b)
        return found


def moments_of(flow: Dataflow, wanted: Mapping[str, Regression], inputs: Iterator[Array], seed: int = 0
               ) -> dict[str, Moments]:
    """A and B of some regressions over all images.

    Args:
        wanted: by names of the caller's.
        inputs: of the network, gone through once.
        seed: of the pixels that are drawn.
    """
    if not wanted:
        return {}
    rng, model = np.random.default_rng(seed), onnx.ModelProto()
    model.CopyFrom(flow.model)
    names = list(dict.fromkeys(name for one in wanted.values() for name in (one.source, one.target)))
    known = {*flow.outputs, *flow.inputs}
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                              for name in names if name not in known)
    session = session_of(model.SerializeToString())
    asked = [name for name in names if name not in flow.inputs]
    found = {}
    for name, one in wanted.items():
        rows = one.unknowns(flow)
        found[name] = Moments(np.zeros((rows, rows)), np.zeros((rows, flow.shapes[one.target][1])))
    for x in inputs:
        values = dict(zip(asked, session.run(asked, {flow.inputs[0]: x}), strict=True)) | {flow.inputs[0]: x}
        for name, one in wanted.items():
            found[name].add(*_samples(one, values, rng))
    return found


def _samples(one: Regression, values: Mapping[str, Array], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """h and y of some pixels of one image."""
    h, y = values[one.source], values[one.target]
    top, left, bottom, right = one.pads
    h = np.pad(h, ((0, 0), (0, 0), (top, bottom), (left, right)))
    places: Sequence[int] | NDArray[np.int64] = rng.permutation(y.shape[2] * y.shape[3])[:PIXELS]
    rows, columns = np.divmod(places, y.shape[3])
    patches = [h[:, :, rows * one.strides[0] + a * one.dilations[0], columns * one.strides[1] + b * one.dilations[1]]
               for a in range(one.kernel[0]) for b in range(one.kernel[1])]  # each (N, C, samples)
    h_rows = np.stack(patches, 2).transpose(0, 3, 1, 2).reshape(len(y) * len(places), -1).astype(np.float64)
    y_rows = y[:, :, rows, columns].transpose(0, 2, 1).reshape(len(h_rows), -1).astype(np.float64)
    return np.concatenate([h_rows, np.ones((len(h_rows), 1))], 1), y_rows
