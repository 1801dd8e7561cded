"""The cache of quantised models: asked twice, made once; damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hwnas.profile.graph import network_model
from hwnas.quantize import cache, cached, to_form
from hwnas.space import SpaceConfig, build

MODEL = network_model(build(SpaceConfig("mobile", 16, 1, 10, 0.5, 1)).smallest())
SAMPLES = [{"input": np.random.default_rng(0).random((1, 1, 16, 16), dtype=np.float32)}]


def test_second_time_is_read_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cached(MODEL, "int8", samples=iter(SAMPLES), folder=tmp_path)
    assert made == to_form(MODEL, "int8", samples=SAMPLES)
    monkeypatch.setattr(cache, "to_form", None)  # were it called, this would fail
    assert cached(MODEL, "int8", samples=SAMPLES, folder=tmp_path) == made


def test_everything_that_matters_names_another_entry(tmp_path: Path) -> None:
    other = [{"input": SAMPLES[0]["input"] * 0.5}]
    for form, variant, samples in (("int8", "u8s8", SAMPLES), ("int8", "u8s8", None), ("int8", "fused", SAMPLES),
                                   ("int8", "u8s8", other), ("fp16", "u8s8", None)):
        assert cached(MODEL, form, samples=samples, variant=variant, folder=tmp_path) == to_form(
            MODEL, form, samples=samples, variant=variant)
    assert len(list(tmp_path.iterdir())) == 5
    assert cached(MODEL, "fp32", folder=tmp_path) is MODEL


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_entry_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    made = cached(MODEL, "int8", folder=tmp_path)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    assert cached(MODEL, "int8", folder=tmp_path) == made
    assert entry.read_bytes() == whole


def test_folder_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached(MODEL, "int8", folder=tmp_path)
    (old,) = tmp_path.iterdir()
    os.utime(old, (1, 1))
    monkeypatch.setattr(cache, "LIMIT_BYTES", len(first) + 100)
    cached(MODEL, "int8", variant="fused", folder=tmp_path)
    assert not old.exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    assert cached(MODEL, "int8", folder=tmp_path / "taken" / "deeper") == to_form(MODEL, "int8")
