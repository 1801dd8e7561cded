"""FBNet's look-up tables: rows of layers, columns of ops, microseconds (Wu et al., CVPR 2019, tables 1 and 2).

As text: a line with the names of the ops, then one line a layer, times only. The layers are the 22 of the paper;
their shapes follow from the size of the input. As JSON: {"ops": [...], "table": [[...], ...], "unit": "us"} with
the layers' shapes as {"in_chw", "out_c", "stride"} each, or as stage widths, repeats and strides (Keras form).

| column                     | is                                                    | ours              |
| -------------------------- | ----------------------------------------------------- | ----------------- |
| ir_k3_e6, k3_e6            | 1x1, depthwise 3x3, 1x1; the first 1x1 also at e1     | fbconv k3 e6      |
| ir_k3_s2, k3_e1_g2         | the same at e1 with two groups and a channel shuffle  | fbconv k3 e1 g2   |
| skip, shape changes        | 1x1 convolution, batch norm, ReLU                     | conv k1           |
| skip, shape stays          | nothing: skips cost nothing in a space                |                   |
| k3_e1_g2 in the Keras form | a second shuffle at the end: another op               |                   |

Layers of one shape share a signature: their entry is the median of their rows, p10 and p90 over them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hwnas.documents import printable
from hwnas.errors import InputError
from hwnas.latency.published import UNITS_MS, Mapped, Unmapped, median_entry, read_number, unit_of
from hwnas.space import Op, SpaceConfig, build
from hwnas.validation import Schema, checked

_COLUMN = re.compile(
    r"(?:ir_)?k(?P<kernel>\d{1,4})_(?:e(?P<expand>\d{1,4})(?:_g(?P<groups>\d{1,4}))?|s(?P<shuffle>\d{1,4}))"
)
_STATISTIC = "mean of the file; median, p10 and p90 over the layers of one shape"
_KERAS_GROUPS = "this form shuffles the channels a second time behind the block"
_READ = {"ops", "table", "unit", "device", "layers", "input", "stage_channels", "stage_repeats"}
_STAYS = "a skip that keeps the shape costs nothing in our spaces"


Size = Annotated[int, Field(ge=1, le=99_999)]


class LayerSchema(Schema):
    """A layer of the JSON form: channels, height and width that come in, channels that go out."""

    in_chw: Annotated[list[Size], Field(min_length=3, max_length=3)]
    out_c: Size
    stride: Size


class ListedSchema(Schema):
    """The JSON form, whose layers are listed."""

    layers: list[LayerSchema]


class StagesSchema(Schema):
    """The Keras form, whose layers follow from stages."""

    input: Annotated[str, Field(max_length=100_000)]
    stage_channels: Annotated[list[Size], Field(min_length=1, max_length=1000)]
    stage_repeats: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1000)]


def is_text(text: str) -> bool:
    """Whether the first line is nothing but names of ops."""
    names = text.partition("\n")[0].split()
    return bool(names) and all(name == "skip" or (_COLUMN.match(name) and name.isidentifier()) for name in names)


def read_text(path: Path, text: str, imgsz: int) -> Mapped:
    """Read the text form; the layers are those of our space fbnet.

    Raises:
        InputError: not 22 layers, a line of another length, or no number; names the line.
    """
    head, *lines = [line.split() for line in text.splitlines() if line.strip()]
    layers = [choice.ops[0] for choice in build(SpaceConfig("fbnet", imgsz)).choices]
    if len(lines) != len(layers):
        raise InputError(f"{path}: FBNet has {len(layers)} layers, the file has {len(lines)}: "
                         "which of them they are is not written there")
    rows = []
    for number, words in enumerate(lines, 2):
        if len(words) != len(head):
            raise InputError(f"{path}, line {number}: {len(head)} times expected, one an op; got {len(words)}")
        rows.append([read_number(path, f"line {number}", _number(word)) for word in words])
    return _mapped(head, layers, rows, "us", keras=False)


def read_json(path: Path, data: dict[str, Any]) -> Mapped:
    """Read the JSON form.

    Raises:
        InputError: no layers, rows that do not fit them, or no number; names the place.
    """
    unit, names, table = unit_of(path, data, "us"), data["ops"], data["table"]
    if not _is_list(names, str) or not _is_list(table, list):
        raise InputError(f"{path}: 'ops' must be a list of names and 'table' a list of rows")
    keras = "stage_channels" in data
    layers = _stage_layers(path, data) if keras else _listed_layers(path, data)
    if len(table) != len(layers):
        raise InputError(f"{path}: {len(layers)} layers are described, 'table' has {len(table)} rows")
    for number, row in enumerate(table):
        short = keras and names[-1] == "skip" and len(row) == len(names) - 1  # no skip where the shape changes
        if len(row) != len(names) and not short:
            raise InputError(f"{path}, row {number} of 'table': {len(names)} times expected; got {len(row)}")
    rows = [[read_number(path, f"row {i} of 'table'", value) for value in row] for i, row in enumerate(table)]
    found = _mapped(names, layers, rows, unit, keras=keras)
    return replace(found, unread={printable(str(key)[:200]): 1 for key in data if key not in _READ})


def _mapped(names: Sequence[str], layers: Sequence[Op], rows: Sequence[Sequence[float]], unit: str, *,
            keras: bool) -> Mapped:
    times: dict[str, list[float]] = {}
    unmapped = []
    for number, (layer, row) in enumerate(zip(layers, rows, strict=True)):
        for name, value in zip(names, row, strict=False):
            found = _op(name, layer, keras)
            if isinstance(found, Op):
                times.setdefault(found.signature, []).append(UNITS_MS[unit] * value)
            else:
                unmapped.append(Unmapped(f"{name} of layer {number}", found))
    return Mapped("fbnet", [median_entry(s, found) for s, found in times.items()], unmapped, unit, _STATISTIC)


def _op(name: str, layer: Op, keras: bool) -> Op | str:
    """The op of a column at a layer, or why it is none of ours."""
    if name == "skip":
        stays = layer.stride == 1 and layer.in_channels == layer.out_channels
        return _STAYS if stays else layer.replaced(kind="conv", kernel=1, expand=1, groups=1, act="relu")
    found = _COLUMN.fullmatch(name)
    if found is None:
        return f"no op of ours is exactly {name[:40]!r}"
    groups = int(found["shuffle"] or found["groups"] or 1)
    if keras and groups > 1:
        return _KERAS_GROUPS
    try:
        return layer.replaced(kind="fbconv", kernel=int(found["kernel"]), expand=int(found["expand"] or 1),
                       groups=groups, act="relu")
    except InputError as err:
        return str(err)


def _listed_layers(path: Path, data: dict[str, Any]) -> list[Op]:
    found = checked(ListedSchema, data, str(path), way_out="the rows need 'layers', each with in_chw, out_c and stride")
    return [Op("conv", c, layer.out_c, h, w, stride=layer.stride)
            for layer in found.layers for c, h, w in [layer.in_chw]]


def _stage_layers(path: Path, data: dict[str, Any]) -> list[Op]:
    """Stages of the Keras form: its text `input` has the shape of the images and the strides, stem and last included.

    Its padding is 'same', so a map of n pixels becomes one of ceil(n / stride), as ours does.
    """
    given = checked(StagesSchema, data, str(path), way_out="the rows need stage_channels, stage_repeats and 'input'")
    try:
        shape = re.search(r"(\d{1,5})x(\d{1,5})x(\d{1,5})x(\d{1,5})", given.input)
        strides = re.search(r"strides (\d{1,2}(?:,\d{1,2})*)", given.input)
        if shape is None or strides is None:
            raise ValueError("no shape and strides in 'input'")
        stem, *steps = (int(s) for s in strides[1].split(","))
        repeats = given.stage_repeats
        if sum(repeats) != len(data["table"]):
            raise ValueError(f"{sum(repeats)} layers in stage_repeats, {len(data['table'])} rows")
        size, channels = -(-int(shape[2]) // stem), given.stage_channels[0]
        layers = []
        for width, count, step in zip(given.stage_channels, repeats, steps, strict=False):
            for i in range(count):
                layers.append(Op("conv", channels, width, size, size, stride=step if i == 0 else 1))
                channels, size = width, layers[-1].out_hw[0]
    except (ValueError, ZeroDivisionError, InputError) as err:
        raise InputError(f"{path}: the rows need stage_channels, stage_repeats and an 'input' with shape and strides "
                         f"({err})") from err
    return layers


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)
