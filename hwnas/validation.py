"""YAML from outside within bounds, and values from outside held against the schema of their format.

A few lines of YAML may expand to gigabytes through aliases; keys may be missing, of another type, or out of range.
Every format has one pydantic model beside its reader; `checked` turns what pydantic says into one line.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnas.documents import MIB, MOST_DEPTH, MOST_DIGITS, SHOWN, brief, parts_of, printable, read_text
from hwnas.errors import HwnasError, InputError

Model = TypeVar("Model", bound=BaseModel)

MOST_MS = 1e7  # close to three hours: no block and no network takes as long
MOST_OPS = 65_536  # of a network, and of a table more than once over

Milliseconds = Annotated[float, Field(ge=0, le=MOST_MS)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(max_length=10_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,200}$")]  # in the folder itself
Scalar = None | bool | Count | float | Name


class Schema(BaseModel):
    """Base of the models of formats: nothing is converted, numbers are finite, further keys are left out."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="ignore")


YAML_BYTES, YAML_NODES = 4 * MIB, 200_000  # a file, and what it expands to through its aliases


def read_yaml(path: Path, error: type[HwnasError] = InputError) -> Any:
    """A YAML file, as `yaml_value` reads it."""
    return yaml_value(read_text(path, YAML_BYTES, error), str(path), error)


def yaml_value(text: str, where: str, error: type[HwnasError] = InputError, depth: int = MOST_DEPTH) -> Any:
    """One YAML document of plain values: dates stay text, numbers are finite, a key is there once.

    Raises:
        error: no YAML, tags of Python, aliases that expand to more than 200,000 values or hold themselves, nested
            deeper than `depth`.
    """
    try:
        loader = _yaml_loader()(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, where, error, depth)
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as err:
        raise error(f"{where} is nested deeper than {depth} levels: no file of this kind is") from err
    except (yaml.YAMLError, ValueError, TypeError) as err:  # TypeError: a list as a key
        raise error(f"{where} is not valid YAML: {' '.join(str(err).split())[:200]}") from err
    _check_finite(value, where, error)
    return value


def checked(model: type[Model], value: object, where: str, error: type[HwnasError] = InputError,
            way_out: str = "") -> Model:
    """`value` as a pydantic model.

    Raises:
        error: the first thing that is wrong with it, its place and value, and how many more there are.
    """
    try:
        return model.model_validate(value)
    except ValidationError as err:
        raise error(fault(err, where) + (f"; {way_out}" if way_out else "")) from None


def fault(err: ValidationError, where: str) -> str:
    """The first thing that is wrong, its place and value, and how many more there are: one line."""
    faults = err.errors(include_url=False, include_context=False)
    first = faults[0]
    place = printable(".".join(str(part) for part in first["loc"])) or "the document"  # keys may hold line feeds
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    got = "" if first["type"] == "missing" else f", not {brief(first['input'])}"
    return f"{where}: {place[:SHOWN]}: {_rule(first['msg'])}{got}{more}"


def _rule(text: str) -> str:
    plain = text.replace("Value error, ", "").replace("Assertion failed, ", "")
    return "Input should be an object" if plain.startswith("Input should be a valid dictionary") else plain


def _check_finite(value: object, where: str, error: type[HwnasError]) -> None:
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise error(f"{where} holds the number {part}; numbers must be finite")
        if isinstance(part, int) and part.bit_length() > 3 * MOST_DIGITS + 12:
            raise error(f"{where} holds {brief(part)}; integers have at most {MOST_DIGITS} digits")
        left.extend(parts_of(part))


def _measure(root: Any, where: str, error: type[HwnasError], depth: int) -> None:
    """Refuse a tree of YAML nodes that aliases make too large, too deep or endless, before it is built."""
    sizes: dict[int, int] = {}
    open_: dict[int, bool] = {}

    def size(node: Any, level: int) -> int:
        if level > depth:
            raise error(f"{where} is nested deeper than {depth} levels: no file of this kind is")
        if id(node) in sizes:
            return sizes[id(node)]
        if open_.get(id(node)):
            raise error(f"{where}: an alias holds itself: write the values out")
        open_[id(node)] = True
        total = 1
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if (key.tag, key.value) in seen:
                        raise error(f"{where}: the key {brief(key.value)} is there twice (line "
                                    f"{key.start_mark.line + 1}): remove one")
                    seen.add((key.tag, key.value))
                total += size(key, level + 1) + size(value, level + 1)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(part, level + 1) for part in node.value)
        if total > YAML_NODES:
            raise error(f"{where} expands to more than {YAML_NODES:,} values through its aliases: write it out plainly")
        open_[id(node)] = False
        sizes[id(node)] = total
        return total

    size(root, 0)


@functools.cache
def _yaml_loader() -> Any:
    """SafeLoader, libyaml's where it is there (ten times as fast), without dates: `2020-99-99` as a name is a name."""
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012 - as yaml has it
            first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
            for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader
