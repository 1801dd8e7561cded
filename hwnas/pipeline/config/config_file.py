"""A config file: YAML or JSON with the flags of `hwnas compress` as keys; flags on the command line win over it.

| key                       | as                                                     |
|---------------------------|--------------------------------------------------------|
| `width-mult`              | the flag without its dashes; `width_mult` is the same  |
| `latency: 40%`            | a budget, as the flag; or below `budgets:`             |
| `latency: [20%, 40%]`     | several, a network each                                |
| `train: {epochs: 30}`     | a section of `CompressConfig` with its fields          |
| `config:`                 | all of it below: what `--dry-run --json` prints        |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas.documents import brief
from hwnas.errors import InputError, UnknownName
from hwnas.pipeline.config.budget import UNITS, listed
from hwnas.pipeline.config.compress_config import FLAT, SECTIONS, flat_name
from hwnas.validation import read_yaml

BUDGETS = "budgets"


def read_options(path: Path) -> dict[str, Any]:
    """The options of a config file, under the names of `CompressConfig`; what has no value is left out.

    Raises:
        InputError: no such file, not YAML, not a mapping, or something is said twice.
        UnknownName: a key that is no flag of a run; suggests the nearest.
    """
    found = read_yaml(path)
    if isinstance(found, dict) and isinstance(found.get("config"), dict):
        found = found["config"]  # of a plan (`--dry-run --json`), or of the run.json of another run
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"{path}: a config file holds lines such as `epochs: 30`; found {brief(found)}")
    options: dict[str, Any] = {}
    budgets: dict[str, str] = {}
    for key, value in _flat(found):
        name = key.strip().lstrip("-").replace("-", "_")
        if name not in (*UNITS, *FLAT):
            raise UnknownName(f"key of {path}:", key, (field.replace("_", "-") for field in (*UNITS, *FLAT)))
        if name == BUDGETS and isinstance(value, dict):
            for part, amount in value.items():
                _put(budgets, str(part), amount, path)
        elif name == BUDGETS and value is not None:
            raise InputError(f"{path}: budgets: must be lines such as `latency: 40%`, not {brief(value)}")
        elif name in UNITS:
            _put(budgets, name, value, path)
        else:
            _put(options, name, value, path)
    return {**options, **({BUDGETS: {name: str(listed(value)) for name, value in budgets.items()}} if budgets else {})}


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of a section under their flat names."""
    for key, value in found.items():
        if key not in SECTIONS or not isinstance(value, dict):
            yield key, value
            continue
        for inner, part in value.items():
            field = str(inner).replace("-", "_")
            known = field in SECTIONS[key].model_fields
            yield flat_name((key, field)) if known else f"{key}.{inner}", part


def _put(where: dict[str, Any], name: str, value: object, path: Path) -> None:
    """Raises InputError where the name has a value already."""
    if name in where:
        raise InputError(f"{path}: {name} is there twice, under two spellings: remove one")
    if value is not None:
        where[name] = value


def merge(file: Mapping[str, Any], flags: Mapping[str, Any], budgets: Mapping[str, str]) -> dict[str, Any]:
    """Options of a file and of flags; a flag wins, and budgets are merged one by one."""
    merged = {**file, **flags}
    if budgets:
        stored = file.get(BUDGETS)
        merged[BUDGETS] = {**(stored if isinstance(stored, dict) else {}), **budgets}
    return merged
