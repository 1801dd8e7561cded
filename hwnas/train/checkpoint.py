"""Torch tensors and flat, safe files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hwnas.documents import brief, json_value, require_file
from hwnas.errors import RunError
from hwnas.files import replacing

METADATA = "hwnas"


@torch.no_grad()
def load_matching(net: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> int:
    """Copy into a network what another one has under the same name and in the same shape; gives how many tensors.

    The statistics of the pixels stay the network's own.

    Args:
        tensors: a state dict of another network.
        prefix: in front of its names.
    """
    found = 0
    for name, own in net.state_dict().items():
        other = tensors.get(prefix + name)
        if other is not None and other.shape == own.shape and not name.startswith("normalize."):
            own.copy_(other)
            found += 1
    return found


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata as safetensors, beside and renamed.

    Raises:
        InputError: the disk is full or the folder is not writable; what was there stays.
    """
    flat = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as beside:
        beside.write_bytes(save(flat, metadata={METADATA: json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote; every number is finite.

    Raises:
        RunError: the file is missing, truncated or not ours, or holds NaN or infinite numbers.
    """
    require_file(path, RunError)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            stored = (file.metadata() or {}).get(METADATA)
    except Exception as err:  # safetensors and torch raise several types on damaged bytes
        raise RunError(f"{path} cannot be read as weights of hwnas: {one_line(err)}; restore it or train again"
                       ) from err
    if stored is None:
        raise RunError(f"{path} cannot be read as weights of hwnas: it has no metadata {METADATA!r}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RunError(f"{path}: {brief(name)} holds numbers that are NaN or infinite: restore it or train again")
    metadata = json_value(stored, f"{path}: metadata {METADATA!r}", RunError)
    if not isinstance(metadata, dict):
        raise RunError(f"{path}: the metadata {METADATA!r} must be an object, not {brief(metadata)}")
    return tensors, metadata


def load_into(net: nn.Module, path: Path) -> None:
    """Read weights into the network that they are of.

    Raises:
        RunError: as `load_tensors`, or weights of another network.
    """
    tensors = load_tensors(path)[0]
    try:
        net.load_state_dict(tensors)
    except RuntimeError as err:  # names or shapes; torch lists them all
        raise RunError(f"{path} holds the weights of another network: {one_line(err)}; restore it or train again"
                       ) from err


def one_line(err: Exception) -> str:
    """What a library said, shortened to a line."""
    return " ".join(str(err).split())[:200]
