"""The look-up text `lut.txt` of NNI's FBNet: one Python dictionary a line, microseconds.

    {'op_name': 'mb_k3_e2_res', 'op_data_shape': (28, 28, 32, 32, 1), 'op_dtype': 'float', 'op_latency': 310.5}

The shape is width and height of the input, channels in and out, stride. Its ops are those of NNI's PFLD example.

| op_name              | is                                                         | ours         |
| -------------------- | ---------------------------------------------------------- | ------------ |
| mb_k3_e2, mb_k3      | 1x1, depthwise, 1x1; the first 1x1 also without expansion  | fbconv       |
| mb_k3_e2_res         | the same, added to its input at stride 1                   | fbconv       |
| sep_k3               | depthwise and 1x1, batch norm and ReLU behind both         | atrous       |
| skip, shape changes  | 1x1 convolution, batch norm, ReLU                          | conv k1      |
| conv1x1, depth_conv  | without batch norm                                         |              |
| gh_k3, .._d2, .._se  | ghost modules, dilation inside a block, another gate       |              |

Lines of one op and shape share a signature: their entry is the median, p10 and p90 over them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hwnas.documents import json_value
from hwnas.errors import InputError
from hwnas.latency.published import UNITS_MS, Mapped, Unmapped, median_entry
from hwnas.space import Op
from hwnas.validation import Milliseconds, Name, Schema, checked

_LINE = re.compile(r"[\w{}()\[\]'\":,. +-]{1,2000}")
_BLOCK = re.compile(r"mb_k(?P<kernel>[0-9]{1,2})(?:_e(?P<expand>[0-9]{1,2}))?(?P<res>_res)?")
_SEPARABLE = re.compile(r"sep_k(?P<kernel>[0-9]{1,2})")
_STATISTIC = "mean of the file; median, p10 and p90 over the lines of one op"
Size = Annotated[int, Field(ge=1, le=999_999)]


class LineSchema(Schema):
    """One line; the latency in microseconds."""

    op_name: Name
    op_data_shape: Annotated[list[Size], Field(min_length=5, max_length=5)]
    op_dtype: Literal["float", "float32"]
    op_latency: Milliseconds


def is_text(text: str) -> bool:
    """Whether the first line is such a dictionary."""
    first = text.lstrip().partition("\n")[0]
    return first.startswith("{") and "op_name" in first and "op_latency" in first


def read_text(path: Path, text: str) -> Mapped:
    """Read the file.

    Raises:
        InputError: a line is none of the format, or of another type than float; names it.
    """
    times: dict[str, list[float]] = {}
    unmapped = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            found = _read(line.strip().rstrip(","), f"{path}, line {number}")
            op = _op(found)
            if isinstance(op, Op):
                times.setdefault(op.signature, []).append(UNITS_MS["us"] * found.op_latency)
            else:
                unmapped.append(Unmapped(f"{found.op_name} of line {number}", op))
    entries = [median_entry(signature, each) for signature, each in times.items()]
    return Mapped("nni", entries, unmapped, "us", _STATISTIC)


def _read(line: str, where: str) -> LineSchema:
    """Python's notation of these few types as JSON; nothing is evaluated."""
    if not _LINE.fullmatch(line):
        raise InputError(f"{where} is no entry of NNI's lut.txt: repair or delete that line")
    text = line.replace("(", "[").replace(")", "]").replace("'", '"').replace(",]", "]")
    return checked(LineSchema, json_value(text, where), where, way_out="repair or delete that line")


def _op(line: LineSchema) -> Op | str:
    """The op of a line, or why it is none of ours."""
    width, height, channels, out, stride = line.op_data_shape
    name = line.op_name
    try:
        if name == "skip":
            changes = stride > 1 or channels != out
            return (Op("conv", channels, out, height, width, stride=stride, act="relu") if changes
                    else "a skip that keeps the shape costs nothing in our spaces")
        if found := _SEPARABLE.fullmatch(name):
            return Op("atrous", channels, out, height, width, kernel=int(found["kernel"]), stride=stride, act="relu")
        found = _BLOCK.fullmatch(name)
        if found is None:
            return f"no op of ours is exactly {name[:40]!r}"
        op = Op("fbconv", channels, out, height, width, kernel=int(found["kernel"]), expand=int(found["expand"] or 1),
                stride=stride, act="relu")
    except InputError as err:
        return str(err)
    if op.residual != (found["res"] is not None and stride == 1):
        return "ours adds its input exactly when the shape stays"
    return op
