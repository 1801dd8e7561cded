"""From uint8 arrays to torch tensors and back to flat, safe files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hwnas.errors import RunError
from hwnas.files import replacing


def to_pixels(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, channels last in memory, as the CPU kernels like it."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


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
