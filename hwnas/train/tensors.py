"""From uint8 arrays to torch tensors and back to flat, safe files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hwnas.errors import RunError
from hwnas.files import replacing


def to_pixels(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, channels last in memory, as the CPU kernels like it."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


@torch.no_grad()
def adopt(net: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> int:
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
        beside.write_bytes(save(flat, metadata={"hwnas": json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        RunError: the file is missing, truncated or not ours.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return tensors, json.loads((file.metadata() or {})["hwnas"])
    except (OSError, SafetensorError, KeyError, ValueError) as err:
        raise RunError(f"{path} cannot be read as weights of hwnas: {err}") from err
