"""A config file: YAML with the keys of `CompressConfig`; flags win over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hwnas.errors import InputError


def read_options(path: Path) -> dict[str, Any]:
    """The options of a config file. Which keys there are is checked by `make_config`.

    Raises:
        InputError: no such file, not YAML, or not a mapping.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise InputError(f"no such config file: {path}") from err
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise InputError(f"{path} is not YAML: {' '.join(str(err).split())}") from err
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"{path}: a config file holds lines such as `epochs: 30`; found {str(found)[:60]!r}")
    budgets = found.get("budgets")
    if isinstance(budgets, dict):  # YAML reads `flops: 20000000` as a number
        found["budgets"] = {str(name): str(value) for name, value in budgets.items()}
    return found


def merge(file: Mapping[str, Any], flags: Mapping[str, Any], budgets: Mapping[str, str]) -> dict[str, Any]:
    """Options of a file and of flags; a flag wins, and budgets are merged one by one."""
    merged = {**file, **flags}
    if budgets:
        stored = file.get("budgets")
        merged["budgets"] = {**(stored if isinstance(stored, dict) else {}), **budgets}
    return merged
