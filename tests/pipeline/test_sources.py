"""A run on images that are not kept decoded: what is broken stops it before anything is trained, and it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.data import load
from hwnas.errors import DataError, UsageError
from hwnas.pipeline import compress, resume
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import DataResult

OPTIONS: dict[str, Any] = {"imgsz": 16, "depth": 1, "width_mult": 0.12, "target": "raspberry-pi-4", "epochs": 1}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos, on a machine where none stays decoded."""
    monkeypatch.setattr("hwnas.data.memory.allowed", lambda: 0)
    rng = np.random.default_rng(0)
    for i in range(20):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(file)
    return tmp_path / "photos"


def started(photos: Path, folder: Path) -> RunFolder:
    return compress(folder, budgets={"flops": "60%"}, until="data", data=str(photos), **OPTIONS)


def test_a_damaged_image_is_told_in_stage_data(photos: Path, tmp_path: Path) -> None:
    file = photos / "b" / "07.png"
    file.write_bytes(file.read_bytes()[:200])
    assert not load(photos, imgsz=16).train.pixels.kept  # its header is whole
    with pytest.raises(DataError, match=r"1 of 20 images cannot be read: b/07\.png \(.*Replace or remove them"):
        started(photos, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_images_and_with_no_others(photos: Path, tmp_path: Path) -> None:
    run = started(photos, tmp_path / "run")
    assert run.result("data")["fingerprint"] == load(photos, imgsz=16).fingerprint
    resume(run.path, until="profile")
    Image.new("RGB", (16, 16)).save(photos / "a" / "00.png")
    with pytest.raises(UsageError, match="changed since this run began"):
        resume(run.path, until="reference")


def test_a_run_says_what_it_did_not_look_at_and_learns_the_same_however_images_are_read(
        photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas.data.subsample.MOST", 15)
    runs = [started(photos, tmp_path / name) for name in ("plain", "cached")]
    found = runs[0].found(DataResult)
    assert found.fingerprint.startswith("s-")
    assert any(told.startswith("18 of 20 images were decoded to see that they can be") for told in found.warnings)
    cache = tmp_path / "images"
    resume(runs[0].path, until="reference", image_cache="off", workers=0)
    resume(runs[1].path, until="reference", image_cache=str(cache), workers=2)
    weights = [RunFolder.open(run.path).state.stages["reference"].files for run in runs]
    assert weights[0] == weights[1]
    assert list(cache.glob("*.pixels"))
    with pytest.raises(UsageError, match="leave out epochs"):
        resume(runs[1].path, epochs=3)
