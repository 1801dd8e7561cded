"""The input contract as a user writes it down: a YAML file of `hwnas.imaging.contract`'s keys."""

from __future__ import annotations

from pathlib import Path

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.imaging.contract import KEYS, InputContract
from hwnas.validation import read_yaml


def read_contract(path: Path) -> InputContract:
    """A contract of a YAML file.

    Raises:
        InputError: not a file of this kind.
    """
    values = read_yaml(path)
    other = next((key for key in values if key not in KEYS), None) if isinstance(values, dict) else None
    if other is not None:
        raise InputError(f"{path}: {brief(other)} is no key of a contract: it has {', '.join(KEYS)}")
    return InputContract.of(values, f"the input contract {path}")
