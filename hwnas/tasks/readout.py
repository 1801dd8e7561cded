"""From the outputs of one image to what is told of it. Travels in bundles: Python 3.8 and numpy.

What a model's answer is made of is data, the record `postprocessing` of a bundle: a kind of this table with its
numbers, never code. A task of a third party takes one of them.

| kind    | outputs                     | what is told                                                            |
|---------|-----------------------------|-------------------------------------------------------------------------|
| classes | logits (1, K)               | `classes`: the five likeliest with their probabilities                    |
| labels  | logits (1, K)               | `labels`: every class above its threshold with its probability            |
| values  | numbers (1, K)              | `values`: name -> offset + scale * number; `unit` where there is one      |
| boxes   | maps of a detector          | `boxes` in pixels of the image, with label and score                    |
| mask    | logits (1, K, H, W)         | `shares` of every class, and the mask                                   |
| raw     | of any shape                | `outputs`: name, shape and values of each                               |

Of kind classes `probabilities` says that the outputs are no logits. Where `outputs` names all outputs of a model, what
its kind leaves over is told as of kind raw, so that none is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

CLASSES, LABELS, VALUES, BOXES, MASK, RAW = "classes", "labels", "values", "boxes", "mask", "raw"
KINDS = (CLASSES, LABELS, VALUES, BOXES, MASK, RAW)
LIKELIEST = 5
MOST_VALUES = 1000  # of an output that are told one by one; of more, what they are like


def read_out(how: Mapping[str, Any], outputs: Sequence[Array], names: Sequence[str]) -> dict[str, Any]:
    """What is told of one image from the outputs of kind classes, labels, values or raw.

    Args:
        how: a record `postprocessing`.
        outputs: of one image; but of kind raw the first is of shape (1, K).
        names: K of them.
    """
    if how["kind"] == RAW:
        return raw(outputs, how["outputs"])
    return dict(_of_first(how, outputs[0][0], names), **left_over(how, outputs))


def left_over(how: Mapping[str, Any], outputs: Sequence[Array]) -> dict[str, Any]:
    """What is told of the outputs that the kind says nothing of."""
    return raw(outputs[1:], how["outputs"][1:]) if len(how.get("outputs") or ()) > 1 else {}


def _of_first(how: Mapping[str, Any], numbers: Array, names: Sequence[str]) -> dict[str, Any]:
    if how["kind"] == LABELS:
        return labels(numbers, names, how)
    if how["kind"] == VALUES:
        return values(numbers, names, how)
    return likeliest(numbers, names, bool(how.get("probabilities")))


def likeliest(numbers: Array, names: Sequence[str], already: bool = False) -> dict[str, Any]:
    """The classes of highest probability.

    Args:
        numbers: logits (K,); `already`: probabilities.
    """
    scores = numbers if already else probabilities(numbers)
    best = np.argsort(-scores)[:LIKELIEST]
    return {"classes": [{"label": names[k], "score": round(float(scores[k]), 4)} for k in best]}


def probabilities(logits: Array) -> Array:
    """Softmax of logits (K,)."""
    powers: Array = np.exp(logits - logits.max())
    shares: Array = powers / powers.sum()
    return shares


def labels(logits: Array, names: Sequence[str], how: Mapping[str, Any]) -> dict[str, Any]:
    """The classes whose probability, the sigmoid of logits (K,), is above `thresholds`, 0.5 each; likeliest first."""
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))
    thresholds = np.asarray(how.get("thresholds") or [0.5] * len(names), np.float64)
    return {"labels": [{"label": names[k], "score": round(float(scores[k]), 4)} for k in np.argsort(-scores)
                       if scores[k] > thresholds[k]]}


def values(numbers: Array, names: Sequence[str], how: Mapping[str, Any]) -> dict[str, Any]:
    """Named numbers, (K,), in the unit of the targets."""
    found = float(how.get("offset", 0.0)) + float(how.get("scale", 1.0)) * numbers.astype(np.float64)
    told = {name: round(float(number), int(how.get("decimals", 4))) for name, number in zip(names, found)}  # noqa: B905
    return {"values": told, "unit": how["unit"]} if how.get("unit") else {"values": told}


def raw(outputs: Sequence[Array], names: Sequence[str]) -> dict[str, Any]:
    """Outputs of any shape as they are, or what they are like where they are many numbers."""
    return {"outputs": [dict({"name": name, "shape": list(output.shape)}, **_told(output))
                        for name, output in zip(names, outputs)]}  # noqa: B905 - Python 3.8


def _told(output: Array) -> dict[str, Any]:
    if output.size <= MOST_VALUES:
        return {"values": output.tolist()}
    found = output.astype(np.float64)
    return {"least": float(found.min()), "mean": float(found.mean()), "largest": float(found.max())}


def boxes(corners: Array, scores: Array, labels: Array, names: Sequence[str]) -> dict[str, Any]:
    """Boxes (n, 4), scores (n,) and labels (n,) of an image, in its pixels."""
    rows = zip(corners.tolist(), scores.tolist(), labels.tolist())  # noqa: B905 - Python 3.8
    return {"boxes": [{"label": names[k], "score": round(s, 4), "box": [round(v, 1) for v in b]} for b, s, k in rows]}


def shares(mask: Array, names: Sequence[str]) -> dict[str, Any]:
    """Share of every class in a mask (H, W)."""
    found = np.bincount(mask.reshape(-1), minlength=len(names)) / mask.size
    return {"shares": {name: round(float(share), 4) for name, share in zip(names, found)}}  # noqa: B905 - Python 3.8


def npz(outputs: Mapping[str, Array]) -> bytes:
    """Outputs by name as the bytes of an .npz; what a name must not hold there is written as _."""
    import io
    import re

    buffer = io.BytesIO()
    named = {re.sub(r"[^A-Za-z0-9._-]", "_", name).strip(".") or "_": output for name, output in outputs.items()}
    if len(named) < len(outputs) or "file" in named:  # as numpy calls where it writes to
        named = {f"output_{i}": output for i, output in enumerate(outputs.values())}
    np.savez(buffer, **named)  # type: ignore[arg-type]
    return buffer.getvalue()


def in_words(facts: Mapping[str, Any]) -> str:
    """What is told of an image, whatever its kind, as a line for people."""
    if "boxes" in facts:
        return ", ".join(f"{b['label']} {b['score']:.2f}" for b in facts["boxes"]) or "nothing found"
    if "shares" in facts:
        first = sorted(facts["shares"].items(), key=lambda item: -item[1])[:LIKELIEST]
        return ", ".join(f"{name} {100 * share:.0f} %" for name, share in first if share > 0)
    if "labels" in facts:
        return ", ".join(f"{c['label']} {c['score']:.2f}" for c in facts["labels"]) or "nothing"
    if "values" in facts:
        unit = f" {facts['unit']}" if facts.get("unit") else ""
        return ", ".join(f"{name} {value:g}{unit}" for name, value in facts["values"].items())
    if "classes" in facts:
        return ", ".join(f"{c['label']} {c['score']:.2f}" for c in facts["classes"])
    return "; ".join(_in_words(output) for output in facts["outputs"])


def _in_words(output: Mapping[str, Any]) -> str:
    shape = "x".join(str(side) for side in output["shape"])
    if "values" not in output:
        return f"{output['name']} {shape}: {output['least']:.4g} to {output['largest']:.4g}, mean {output['mean']:.4g}"
    first = np.asarray(output["values"]).reshape(-1)
    more = ", ..." if first.size > LIKELIEST else ""
    return f"{output['name']} {shape}: {', '.join(f'{value:.4g}' for value in first[:LIKELIEST])}{more}"
