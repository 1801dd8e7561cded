"""What model.json and the arrays of a bundle must hold, before anything in them is believed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.documents import MIB, Record, brief
from hwnas.errors import InputError
from hwnas.imaging.contract import KEYS, InputContract
from hwnas.runtime.spending import ENERGY, P99, PEAK_MEMORY
from hwnas.tasks.decoding import PREDICTIONS, values_of
from hwnas.tasks.readout import BOXES, CLASSES, KINDS, MASK, RAW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_ARRAYS = 2048 * MIB  # of an .npz, unpacked
MOST_PREDICTIONS = 10_000_000
SPENT = (P99, ENERGY, PEAK_MEMORY)
WAY_OUT = "make the bundle again with this version"


def check_facts(facts: object, where: str) -> None:
    """Whether model.json describes a model that the runner can run.

    Raises:
        InputError: a key is missing, of another type or out of range, or two of them contradict each other.
    """
    told = Record(facts, where, WAY_OUT)
    task, how, raw = told.text("task", most=100), told.record("postprocessing", default=None), False
    if how is not None:
        how.text("kind", known=KINDS)
        for name in ("scale", "offset"):
            how.number(name, default=None)
        how.integer("decimals", 0, 12, default=None)
        how.text("unit", most=100, default=None)
        raw = how.get("kind") == RAW
        if raw or "outputs" in how:
            how.items("outputs", lambda value, place: how.text_of(value, place, most=1000), 1, 64)
    classes = len(told.items("classes", lambda value, place: told.text_of(value, place, most=1000), 0 if raw else 1))
    if how is not None and "thresholds" in how:
        how.items("thresholds", lambda value, place: how.number_of(value, place, 0, 1), classes, classes)
    _check_target(told.record("target"))
    _check_latency(told.record("latency"))
    if "spends" in told:
        told.items("spends", lambda value, place: _check_spend(Record(value, f"{where}: {place}", WAY_OUT)), 0, 16)
    parity = told.record("parity")
    parity.text("rule", known=("largest", "rms"))
    parity.number("limit", 0, 1)
    if "relative" in parity and not isinstance(parity.get("relative"), bool):
        raise InputError(f"{where}: parity: relative must be true or false, not {brief(parity.get('relative'))}")
    size = told.record("preprocessing")
    image = [size.integer("channels", 1, 256), size.integer("height", 8, 16_384), size.integer("width", 8, 16_384)]
    shapes = {name: told.items(name, lambda value, place: _shape(value, f"{where}: {place}"), 1, 64)
              for name in ("inputs", "outputs")}
    size.text("fit", known=("crop", "letterbox", "stretch"))
    contract = contract_of(size, where)
    wanted = shapes["outputs"] if raw else _outputs(told, kind_of(told), classes, image[1:])
    if how is not None and "outputs" in how:
        if len(how.get("outputs")) != len(shapes["outputs"]):
            raise InputError(f"{where}: postprocessing names {len(how.get('outputs'))} outputs of "
                             f"{len(shapes['outputs'])}; {WAY_OUT}")
        wanted = [*wanted, *shapes["outputs"][len(wanted):]]  # what the kind says nothing of has any shape
    taken = image if contract.layout == "nchw" else [*image[1:], image[0]]
    if contract.channels != image[0] or not _fit(shapes["inputs"], [[None, *taken]]):
        raise InputError(f"{where}: inputs {brief(shapes['inputs'])} are no images of {taken}; {WAY_OUT}")
    if not _fit(shapes["outputs"], wanted):
        raise InputError(f"{where}: outputs {shapes['outputs'][:4]} are not those of a model to {task}, {wanted[:4]}; "
                         f"{WAY_OUT}")


def contract_of(preprocessing: Any, where: str = "model.json") -> InputContract:
    """How an image becomes the input: normalisation is inside the network, unless `mean` and `std` are there.

    Args:
        preprocessing: of model.json, a mapping or a `Record`.

    Raises:
        InputError: numbers that cannot be.
    """
    if preprocessing.get("mean", None) is None:
        return InputContract.inside(preprocessing.get("channels"), preprocessing.get("fit"))
    told = {key: preprocessing.get(key, None) for key in KEYS}
    for key in ("colour", "layout"):
        told[key] = told[key].lower() if isinstance(told[key], str) else told[key]
    return InputContract.of(told, f"{where}: preprocessing")


def _check_target(target: Record) -> None:
    target.text("runtime", most=100)
    target.text("precision", known=("fp32", "fp16", "bf16", "int8", "mixed"))
    target.integer("batch", 1, 1024)
    target.integer("threads", 1, 256)
    target.items("cores", lambda value, place: target.integer_of(value, place, 0, 4096), 0, 4096, default=None)


def _check_latency(latency: Record) -> None:
    latency.get("promise_ms")  # both are there, or null
    latency.get("promise")
    for name in ("promise_ms", "budget_ms", "predicted_ms", "predicted_low_ms", "predicted_high_ms"):
        latency.number(name, 0, 1e7, default=None)
    for name in ("reference_ms", "of_ms", "share"):  # what is divided by
        latency.number(name, 1e-9, 1e7, default=None)
    latency.text("promise", default=None)
    latency.text("basis", default=None, known=("measured", "predicted", "estimated"))
    latency.record("device", default=None)


def _check_spend(spend: Record) -> None:
    spend.text("name", known=SPENT)
    spend.number("limit", 0, 1e18)
    spend.number("share", 1e-9, 1e7, default=None)


def kind_of(told: Any) -> str:
    """What the answers of a bundle are read out as: a kind of `readout.py`.

    Args:
        told: content of model.json, a mapping or a `Record`. Bundles of 0.1 do not name it, but show it.
    """
    how = told.get("postprocessing", None)
    if how is not None:
        return str(how["kind"])
    if told.get("detection_head", None) is not None:
        return BOXES
    fit = told.get("preprocessing")["fit"]
    return MASK if fit == "letterbox" else CLASSES


def _outputs(told: Record, kind: str, classes: int, size: Sequence[int]) -> list[list[int | None]]:
    """Shapes that the outputs of a kind have; None for the images of a batch."""
    if kind != BOXES:
        return [[None, classes, *(size if kind == MASK else [])]]
    head = told.record("detection_head")
    kind, known = head.text("kind", known=tuple(PREDICTIONS)), head.integer("classes", 1, 1_000_000)
    reg_max = head.integer("reg_max", 1, 256)
    maps = head.items("maps", lambda value, place: _sides(head, value, place), 1, 16)
    if known != classes or sum(h * w for h, w in maps) * PREDICTIONS[kind] > MOST_PREDICTIONS:
        raise InputError(f"{told.where}: detection_head has {known} classes and maps {brief(maps)}, the bundle names "
                         f"{classes} classes; {WAY_OUT}")
    channels = PREDICTIONS[kind] * values_of(kind, classes, reg_max)
    return [[None, channels, *sides] for sides in maps]


def _sides(head: Record, value: object, place: str) -> list[int]:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{head.where}: {place} must be two sides, not {brief(value)}; {WAY_OUT}")
    return [head.integer_of(side, place, 1, 16_384) for side in value]


def _shape(value: object, where: str) -> list[int | None]:
    told = Record(value, where, WAY_OUT)

    def side(value: object, place: str) -> int | None:
        return None if value is None else told.integer_of(value, place, 0)

    return list(told.items("shape", side, 0, 8))


def _fit(shapes: Sequence[Sequence[int | None]], wanted: Sequence[Sequence[int | None]]) -> bool:
    """Whether shapes are the wanted ones, None standing for any size."""
    return len(shapes) == len(wanted) and all(
        len(a) == len(b) and all(None in (x, y) or x == y for x, y in zip(a, b))  # noqa: B905 - Python 3.8
        for a, b in zip(shapes, wanted))  # noqa: B905


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz, without pickles.

    Raises:
        InputError: it is none, is larger than `MOST_ARRAYS` unpacked, or holds anything but plain arrays.
    """
    try:
        with zipfile.ZipFile(str(path)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_ARRAYS:
            raise InputError(f"it holds {size / MIB:.0f} MiB unpacked")
        with np.load(str(path), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except Exception as err:  # numpy and zipfile raise nearly every type on damaged bytes
        raise InputError(f"{path} cannot be read: {' '.join(str(err).split())[:200]}; copy the bundle again") from err


def check_samples(arrays: Mapping[str, Array], facts: Mapping[str, Any], where: str) -> tuple[Array, list[Array]]:
    """The images and the outputs of samples.npz.

    Raises:
        InputError: one is missing, of another type or shape, or not finite.
    """
    size = facts["preprocessing"]
    wanted = (size["height"], size["width"], size["channels"])
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted or not len(images):
        raise InputError(f"{where}: images must be uint8 of {wanted}; {WAY_OUT}")
    shapes = [value["shape"] for value in facts["outputs"]]
    outputs = [arrays.get(f"output_{i}") for i in range(len(shapes))]
    found = [output for output in outputs if output is not None]
    whole = len(found) == len(shapes) and all(
        output.dtype == np.float32 and len(output) == len(images) and np.isfinite(output).all() for output in found)
    if not whole or not _fit([list(output.shape) for output in found], shapes):
        raise InputError(f"{where}: the stored outputs must be finite float32 of the shapes {brief(shapes)}; {WAY_OUT}")
    return images, found


def check_places(arrays: Mapping[str, Array], head: Mapping[str, Any], where: str) -> None:
    """Whether anchors.npz has a place for every prediction of a detector.

    Raises:
        InputError: it has not, or one is not finite.
    """
    count = PREDICTIONS[head["kind"]] * sum(h * w for h, w in head["maps"])
    wanted = {"points": (count, 2), "strides": (count,)} if head["kind"] == "fcos" else {"anchors": (count, 4)}
    for name, shape in wanted.items():
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype.kind != "f" or not np.isfinite(found).all():
            raise InputError(f"{where}: {name} must be finite numbers of the shape {shape}; {WAY_OUT}")


def check_answer(outputs: Sequence[Array], facts: Mapping[str, Any]) -> None:
    """Whether what the model gave is finite and of the shapes that model.json tells of.

    Raises:
        InputError: it is not.
    """
    given = [list(output.shape) for output in outputs]
    if not _fit(given, [value["shape"] for value in facts["outputs"]]):
        raise InputError(f"the model gives outputs of the shapes {given[:4]}, not those that model.json tells of; "
                         f"{WAY_OUT}")
    if not all(np.isfinite(output).all() for output in outputs):
        raise InputError(f"the model gives numbers that are NaN or infinite; {WAY_OUT}")
