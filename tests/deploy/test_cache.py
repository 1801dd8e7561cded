"""What is compiled is kept for the same model, versions and device, and for nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.deploy import Bundle
from hwnas.deploy.runner.cache import BUILT, KEPT, NONE, REBUILT, SEAL, VARIABLE, Cache
from hwnas.deploy.runner.loading import load

OnDevice = Callable[..., subprocess.CompletedProcess[str]]


def fill(cache: Cache, made_for: dict[str, Any], content: bytes = b"engine") -> str:
    """Use the cache as a runtime does: write what is not there."""
    with cache.place(made_for) as (folder, state):
        assert folder is not None
        if state != KEPT:
            assert list(folder.iterdir()) == []
            (folder / "a.blob").write_bytes(content)
    return state


def test_the_same_is_kept_and_anything_else_is_built_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = {"model": "a", "version": "1", "device": "x"}
    assert [fill(cache, first), fill(cache, first)] == [BUILT, KEPT]
    for changed in ("model", "version", "device"):
        assert fill(cache, {**first, changed: "other"}) == REBUILT
        assert len([p for p in cache.folder.iterdir() if p.is_dir()]) == 1, "what is of no use any more is removed"
        assert fill(cache, first) == REBUILT


@pytest.mark.parametrize("harm", ["change", "cut", "remove", "seal"])
def test_what_is_damaged_is_built_anew(harm: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    fill(cache, {"model": "a"})
    (blob,) = tmp_path.glob("*/a.blob")
    if harm == "change":
        blob.write_bytes(b"Engine")
    elif harm == "cut":
        blob.write_bytes(b"eng")
    elif harm == "remove":
        blob.unlink()
    else:
        (blob.parent / SEAL).write_text('{"files":')
    assert fill(cache, {"model": "a"}) == REBUILT
    assert fill(cache, {"model": "a"}) == KEPT


def test_what_was_cut_off_while_it_was_built_is_built_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def cut_off() -> None:
        with cache.place({"model": "a"}) as (folder, _):
            assert folder is not None
            (folder / "a.blob").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert fill(cache, {"model": "a"}) == REBUILT


def test_of_two_starts_at_once_one_builds_and_one_waits(tmp_path: Path) -> None:
    states: list[str] = []

    def start() -> None:
        with Cache(tmp_path).place({"model": "a"}) as (folder, state):
            assert folder is not None
            if state != KEPT:
                time.sleep(0.2)
                (folder / "a.blob").write_bytes(b"engine")
            states.append(state)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == [BUILT, KEPT, KEPT]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with Cache(tmp_path / "file").place({"model": "a"}) as (folder, state):
        assert folder is None
        assert state == NONE


@pytest.fixture
def intel(made: Callable[[str], Any], tmp_path: Path) -> Path:
    """A classifier's bundle for OpenVINO."""
    pytest.importorskip("openvino")
    found = made("classify")
    bundle: Path = found.bundle(tmp_path / "intel", target=found.target.model_copy(update={"runtime": "openvino"}))
    return bundle


def cached(on_device: OnDevice, bundle: Path) -> str:
    done = on_device(bundle, "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["cache"])


def test_openvino_compiles_at_the_first_start_only(intel: Path, on_device: OnDevice) -> None:
    assert (intel / "model.xml").is_file()
    assert (intel / "model.bin").is_file()
    assert not (intel / "cache").exists(), "it is built on the device"
    assert [cached(on_device, intel), cached(on_device, intel)] == [BUILT, KEPT]
    (blob,) = (p for p in (intel / "cache").rglob("*") if p.is_file() and p.name not in (SEAL, ".lock"))
    blob.write_bytes(blob.read_bytes()[:100])
    assert cached(on_device, intel) == REBUILT


def test_another_version_of_the_runtime_compiles_anew(intel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.runtime.openvino import OpenVino

    bundle = Bundle(intel)
    assert load(bundle).cache == BUILT
    with monkeypatch.context() as patch:
        patch.setattr(OpenVino, "version", property(lambda self: "1999.1.0"))
        assert load(bundle).cache == REBUILT
        assert load(bundle).cache == KEPT
    assert load(bundle).cache == REBUILT


def test_a_cache_elsewhere_leaves_the_bundle_as_it_is(intel: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "elsewhere"))
    assert load(Bundle(intel)).cache == BUILT
    assert not (intel / "cache").exists()
    assert any((tmp_path / "elsewhere").rglob(SEAL))
    shutil.rmtree(tmp_path / "elsewhere")
    assert os.environ.get("HWNAS_ENGINES") is None
