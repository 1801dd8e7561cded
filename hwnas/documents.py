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
from collections.abc import Callable, Sequence
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
            # A buffer is as large as what is asked for, and most files are far below the most.
            content = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
            if len(content) <= most and (more := file.read(1)):  # grown since, or of no known size
                content += more + file.read(most - len(content))
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


def require_file(path: Path, error: type[HwnasError] = InputError) -> None:
    """For libraries that open paths themselves: a regular file that can be read.

    Raises:
        error: missing, not readable, or no regular file (a pipe would never end).
    """
    open_regular(path, error).close()


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


_REQUIRED: Any = object()
MOST_NUMBER = 1e15  # of any number that a format does not bound itself


class Record:
    """A JSON object from outside; every value is asked for by its key, with its type and bounds.

    Where pydantic is at hand, `hwnas.validation` says the same of a whole format at once; this runs on devices.

    Args:
        value: what was read.
        where: names the file and the place in messages.
        way_out: ends every message.

    Raises:
        InputError: it is no object.
    """

    def __init__(self, value: object, where: str, way_out: str = "", error: type[HwnasError] = InputError) -> None:
        self.where, self._way_out, self._error = where, way_out, error
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            raise self._refusal("", "must be an object", value)

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def keys(self) -> list[str]:
        return list(self._values)

    def get(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value as it is; with a default, of a missing key or null that.

        Raises:
            InputError: missing, and no default.
        """
        found = self._values.get(key)
        if found is None and default is not _REQUIRED:
            return default
        if key not in self._values:
            raise self._error(f"{self.where}: {brief(key)} is missing{self._way_out and '; ' + self._way_out}")
        return found

    def number(self, key: str, low: float = -MOST_NUMBER, high: float = MOST_NUMBER, default: Any = _REQUIRED) -> Any:
        """A finite number within bounds, as a float."""
        return self._checked(key, default, lambda value: self.number_of(value, key, low, high))

    def integer(self, key: str, low: int = 0, high: int = 2**53, default: Any = _REQUIRED) -> Any:
        """A whole number within bounds."""
        return self._checked(key, default, lambda value: self.integer_of(value, key, low, high))

    def text(self, key: str, default: Any = _REQUIRED, known: Sequence[str] = (), most: int = 10_000) -> Any:
        """A text; one of `known`, where they are given."""
        return self._checked(key, default, lambda value: self.text_of(value, key, known, most))

    def record(self, key: str, default: Any = _REQUIRED) -> Any:
        """An object, as a `Record` of its own."""
        return self._checked(key, default, lambda value: Record(value, f"{self.where}: {key}", self._way_out,
                                                                self._error))

    def items(self, key: str, read: Callable[[object, str], Any], least: int = 0, most: int = 1_000_000,
              default: Any = _REQUIRED) -> Any:
        """A list, each of its values read by `read(value, place)`; as a list."""
        def values(value: object) -> list[Any]:
            if not isinstance(value, list) or not least <= len(value) <= most:
                raise self._refusal(key, f"must be a list of {least} to {most:,} values", value)
            return [read(part, f"{key}[{i}]") for i, part in enumerate(value)]

        return self._checked(key, default, values)

    def pairs(self, key: str, read: Callable[[object, str], Any], most: int = 1_000_000,
              default: Any = _REQUIRED) -> Any:
        """An object whose keys are names, each of its values read by `read(value, place)`; as a dict."""
        def values(value: object) -> dict[str, Any]:
            if not isinstance(value, dict) or len(value) > most:
                raise self._refusal(key, f"must be an object of at most {most:,} values", value)
            return {name: read(part, f"{key}.{brief(name)}") for name, part in value.items()}

        return self._checked(key, default, values)

    def number_of(self, value: object, place: str = "", low: float = -MOST_NUMBER, high: float = MOST_NUMBER) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self._refusal(place, f"must be a number from {low:g} to {high:g}", value)
        return float(value)

    def integer_of(self, value: object, place: str = "", low: int = 0, high: int = 2**53) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refusal(place, f"must be a whole number from {low} to {high}", value)
        return value

    def text_of(self, value: object, place: str = "", known: Sequence[str] = (), most: int = 10_000) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise self._refusal(place, f"must be a text of at most {most:,} characters", value)
        if known and value not in known:
            raise self._refusal(place, f"must be one of {', '.join(known)}", value)
        return value

    def _checked(self, key: str, default: Any, read: Callable[[Any], Any]) -> Any:
        found = self.get(key, default)
        return found if found is default else read(found)

    def _refusal(self, place: str, rule: str, value: object) -> HwnasError:
        at = f": {place}" if place else ""
        return self._error(f"{self.where}{at} {rule}, not {brief(value)}{self._way_out and '; ' + self._way_out}")
