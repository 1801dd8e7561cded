"""Text and JSON that somebody else wrote: read within bounds, refused in one line.

A file from outside may be a pipe that never ends, a million brackets, a number of five thousand digits, or NaN. Here is
the one place that opens such files; YAML, and what the keys of a format must hold, follow in `validation`. Python 3.8
and the standard library: it travels in bundles and to devices.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

from hwnas.errors import HwnasError, InputError

MIB = 1 << 20
MOST_BYTES = 64 * MIB  # of a document, where its reader does not say otherwise
MOST_DEPTH = 64
MOST_DIGITS = 40  # of an integer; 2**128 has 39
SHOWN = 60
# What a terminal obeys instead of showing: C0 and C1 controls, line and paragraph separators, directions of writing,
# marks without width, tags, private fillers, halves of pairs that no encoding knows.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
                     "\ud800-\udfff\U000e0000-\U000e0fff]")


def printable(text: object, lines: bool = False) -> str:
    """Text that a terminal shows and never obeys: what steers it is written as an escape, such as `\\x1b` or `\\u202e`.

    Names of classes, files and devices come from outside, and every one of them is printed somewhere.

    Args:
        lines: whether line feeds are meant as such.
    """
    def escape(found: re.Match[str]) -> str:
        return "\n" if lines and found[0] == "\n" else ascii(found[0])[1:-1]

    return _OBEYED.sub(escape, str(text))


def brief(value: object, most: int = SHOWN) -> str:
    """A value for a message: at most `most` characters, whatever it is made of."""
    if isinstance(value, str):
        text = repr(value[: most + 1])
    elif isinstance(value, int) and value.bit_length() > 64:
        text = f"an integer of {value.bit_length()} bits"
    elif isinstance(value, (list, tuple, dict)) and value:
        text = f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    else:
        text = repr(value)
    return text if len(text) <= most + 2 else f"{text[:most]}..."


def read_bytes(path: Path, most: int = MOST_BYTES, error: type[HwnasError] = InputError) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        error: missing, not readable, larger, or no regular file (a pipe would never end).
    """
    with open_regular(path, error) as file:
        try:
            content = file.read(most + 1)
        except OSError as err:
            raise error(f"cannot read {path}: {err.strerror or err}") from err
    if len(content) > most:
        raise error(f"{path} is larger than {most / MIB:g} MiB, the most that is read of such a file: check it")
    return content


def open_regular(path: Path, error: type[HwnasError] = InputError) -> BinaryIO:
    """A regular file, open for reading.

    Raises:
        error: missing, not readable, or no regular file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
        handle = os.open(str(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as err:
        raise error(f"no such file: {path}") from err
    except IsADirectoryError as err:
        raise error(f"{path} is a folder, not a file: give the path of a file") from err
    except (OSError, ValueError) as err:  # ValueError: a zero byte in the path
        raise error(f"cannot read {path}: {getattr(err, 'strerror', None) or err}") from err
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise error(f"{path} is {what}, not a file: give the path of a file")
    return os.fdopen(handle, "rb")


def read_text(path: Path, most: int = MOST_BYTES, error: type[HwnasError] = InputError) -> str:
    """A text file in UTF-8, with or without a byte-order mark, which is left out.

    Raises:
        error: as `read_bytes`, or another encoding.
    """
    return text_of(read_bytes(path, most, error), str(path), error)


def text_of(content: bytes, where: str, error: type[HwnasError] = InputError) -> str:
    """UTF-8 bytes as text, without a byte-order mark.

    Raises:
        error: another encoding.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(f"{where} is UTF-16 text; store it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise error(f"{where} is not UTF-8 text ({err.reason} at byte {err.start}); store it as UTF-8") from err


def read_json(path: Path, most: int = MOST_BYTES, error: type[HwnasError] = InputError) -> Any:
    """A JSON file, as `json_value` reads it."""
    return json_value(read_bytes(path, most, error), str(path), error)


def json_value(content: bytes | str, where: str, error: type[HwnasError] = InputError,
               depth: int = MOST_DEPTH) -> Any:
    """JSON with finite numbers, integers of at most 40 digits, nested at most `depth` deep.

    Raises:
        error: anything else; names `where` and the place.
    """
    text = text_of(content, where, error) if isinstance(content, bytes) else content
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite)
    except RecursionError as err:
        raise error(f"{where} is nested deeper than {depth} levels: no file of this kind is") from err
    except ValueError as err:
        raise error(f"{where} is not valid JSON: {err}") from err
    check_depth(value, where, error, depth)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:SHOWN]} is beyond what a float holds")
    return value


def check_depth(value: object, where: str, error: type[HwnasError], most: int) -> None:
    level: list[object] = [value]
    for _ in range(most + 1):
        level = [part for whole in level for part in parts_of(whole) if isinstance(part, (list, dict))]
        if not level:
            return
    raise error(f"{where} is nested deeper than {most} levels: no file of this kind is")


def parts_of(whole: object) -> Any:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()
