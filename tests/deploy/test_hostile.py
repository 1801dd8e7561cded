"""Bundles from somebody else: an answer, a verdict, or one line; with `hwnas` and with the bundle's own runner."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.deploy import Bundle, verify
from hwnas.deploy.runner.loading import load
from hwnas.deploy.runner.main import main
from hwnas.deploy.runner.predicting import Model
from hwnas.files import sha256
from tests.mutations import damaged_bytes, documents, fuzzed, judged
from tests.old_files import copy_of, unpacked

OLD = unpacked() / "bundle"
FACTS = json.loads((OLD / "model.json").read_text())
LOCAL = ("model.json", "model.onnx", "samples.npz")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle, whose files a test replaces."""
    return copy_of("bundle", tmp_path_factory.mktemp("old") / "bundle")


def replace(folder: Path, name: str, content: bytes) -> None:
    """Put a file into the bundle, and its hash."""
    for other in LOCAL:
        (folder / other).write_bytes((OLD / other).read_bytes())
    (folder / name).write_bytes(content)
    lines = (OLD / "SHA256SUMS").read_text().splitlines()
    sums = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
    sums |= {other: sha256(folder / other) for other in LOCAL}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {file}\n" for file, digest in sums.items()))


def checked(folder: Path) -> None:
    bundle = Bundle(folder)
    found = verify(bundle, timing=False, keep=False)
    assert found.verdict()
    json.dumps(found.to_json())
    model = Model(bundle, load(bundle, keep=False))
    np.save(folder / "x.npy", np.zeros((*bundle.size, bundle.facts["preprocessing"]["channels"]), np.uint8))
    answer = judged(lambda: model.predict(folder / "x.npy"))
    if answer is not None:
        json.dumps(answer.facts, allow_nan=False)


def test_an_old_bundle_is_still_read() -> None:
    assert not verify(Bundle(OLD), timing=False, keep=False).failures()
    done = subprocess.run([sys.executable, "-I", str(OLD / "bundle.py"), "verify", "--runtime", "onnxruntime"],
                          capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, "outputs within" in done.stdout) == (0, True), done.stderr


@pytest.mark.slow
@fuzzed
@given(content=documents(FACTS))
def test_model_json(changed: Path, content: bytes) -> None:
    replace(changed, "model.json", content)
    judged(lambda: checked(changed))


def arrays(change: dict[str, Any]) -> bytes:
    with np.load(OLD / "samples.npz") as stored:
        values = {name: stored[name] for name in stored.files} | change
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in values.items() if value is not None})
    return file.getvalue()


ODD_ARRAYS: list[Any] = [None, np.zeros((0, 10), np.float32), np.full((32, 10), np.nan, np.float32), np.zeros(3),
                         np.zeros((32, 10), np.int64), np.array(["a"] * 32), np.zeros((32, 16, 16, 1), np.uint8),
                         np.zeros((1, 16, 16, 1), np.uint8), np.zeros((32, 16, 16, 3), np.uint8),
                         np.full((32, 10), 1e38, np.float32)]


@pytest.mark.slow
@fuzzed
@given(content=st.dictionaries(st.sampled_from(["images", "output_0", "output_1", "x"]), st.sampled_from(ODD_ARRAYS),
                               max_size=2).map(arrays)
       | damaged_bytes((OLD / "samples.npz").read_bytes()))
def test_samples(changed: Path, content: bytes) -> None:
    replace(changed, "samples.npz", content)
    judged(lambda: checked(changed))


@pytest.mark.slow
@fuzzed
@given(content=damaged_bytes((OLD / "model.onnx").read_bytes()))
def test_models(changed: Path, content: bytes) -> None:
    replace(changed, "model.onnx", content)
    judged(lambda: checked(changed))


@pytest.mark.slow
@fuzzed
@given(content=damaged_bytes((OLD / "SHA256SUMS").read_bytes())
       | st.sampled_from([b"0" * 64 + b"  /etc/passwd\n", b"0" * 64 + b"  ../x\n", b"0" * 64 + b"  C:\\x\n", b""]))
def test_sums(changed: Path, content: bytes) -> None:
    replace(changed, "model.json", (OLD / "model.json").read_bytes())
    (changed / "SHA256SUMS").write_bytes(content)
    judged(lambda: checked(changed))


@pytest.mark.parametrize("content", [b"[" * 200_000, b"{}", b'{"hwnas_bundle": 1}', b"\xff\xfe", b"", b"NaN"])
def test_the_runner_ends_in_one_line(changed: Path, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    replace(changed, "model.json", content)
    for words in (["verify"], ["predict", str(changed / "README.md")]):
        assert main(changed, words) == 2
        said = capfd.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
