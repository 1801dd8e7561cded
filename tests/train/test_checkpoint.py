"""Weights on disk: whole or absent, never pickled, refused when they are not ours."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hwnas.errors import InputError, RunError
from hwnas.train.accelerator import to_pixels
from hwnas.train.checkpoint import load_tensors, save_tensors

resource = pytest.importorskip("resource", reason="needs POSIX limits")


def test_round_trip_of_values_types_and_layouts(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "b": torch.arange(3),
        "c": torch.tensor(7), "d": torch.randn(4, 4).T, "e": torch.ones(2, requires_grad=True),
    }
    save_tensors(tmp_path / "x" / "w.safetensors", tensors, {"n": [1, 2.5, "ü"], "none": None})
    found, metadata = load_tensors(tmp_path / "x" / "w.safetensors")
    assert metadata == {"n": [1, 2.5, "ü"], "none": None}
    assert all(torch.equal(found[k], tensors[k]) and found[k].dtype == tensors[k].dtype for k in tensors)
    assert os.listdir(tmp_path / "x") == ["w.safetensors"]


def test_a_save_cut_off_by_a_full_disk_keeps_the_old_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {})
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    try:
        with pytest.raises(InputError, match="cannot write"):
            save_tensors(path, {"a": torch.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert torch.equal(load_tensors(path)[0]["a"], torch.ones(3))
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_a_failed_rename_keeps_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {})

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match="No space left"):
        save_tensors(path, {"a": torch.zeros(3)}, {})
    assert torch.equal(load_tensors(path)[0]["a"], torch.ones(3))
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(RunError, match=r"no such file: .*w\.safetensors"):
        load_tensors(path)
    for metadata, told in ((None, "cannot be read"), ({"other": "1"}, "cannot be read"),
                           ({"hwnas": "not json"}, "'hwnas' is not valid JSON")):
        save_file({"a": torch.ones(3)}, str(path), metadata=metadata)
        with pytest.raises(RunError, match=told):
            load_tensors(path)


def test_pixels_are_scaled_and_turned() -> None:
    images = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    images[0, 0, 0] = (0, 51, 255)
    pixels = to_pixels(images)
    assert pixels.shape == (2, 3, 3, 3)
    assert pixels.dtype == torch.float32
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert float(pixels[1, 2, 0, 1]) == pytest.approx(images[1, 0, 1, 2] / 255)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert images[0, 0, 0].tolist() == [0, 51, 255]
