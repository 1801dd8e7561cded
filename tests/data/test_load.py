import sys
from pathlib import Path

import numpy as np
import pytest

from hwnas.data import KNOWN, load
from hwnas.errors import DataError, MissingDependency, UnknownName, UsageError


def test_digits():
    data = load("digits")
    assert (data.imgsz, data.channels, data.classes) == (16, 1, tuple("0123456789"))
    assert len(data.train_labels) + len(data.val_labels) == 1797
    assert data.train_images.max() == 255
    share = np.bincount(data.val_labels) / (np.bincount(data.val_labels) + np.bincount(data.train_labels))
    assert np.abs(share - 0.2).max() < 0.004
    assert data.fingerprint == load("digits").fingerprint != load("digits", seed=1).fingerprint


def test_digits_keep_their_meaning():
    """The nearest class mean names nine of ten: labels and pixels belong together, before and after resizing."""
    data = load("digits", imgsz=20)
    means = np.stack([data.train_images[data.train_labels == k].mean(axis=0).ravel() for k in range(10)])
    flat = data.val_images.reshape(len(data.val_images), -1).astype(float)
    nearest = ((flat[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == data.val_labels).mean() > 0.85


def test_limit_and_progress():
    calls = []
    data = load("digits", limit=100, progress=lambda *call: calls.append(call))
    assert len(data.train_labels) + len(data.val_labels) == 100
    assert "limited to 100 of 1797" in data.split
    assert calls[-1] == ("decode images", 100, 100)


@pytest.mark.parametrize(("name", "library"), [("digits", "sklearn"), ("x.parquet", "pyarrow")])
def test_a_missing_library_says_what_to_install(name, library, tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"")
    for module in [m for m in sys.modules if m.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDependency, match=r'pip install "hwnas\[train\]"'):
        load(name)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UnknownName, match=r"unknown data set 'digit'\. Did you mean 'digits'\?"):
        load("digit")
    assert KNOWN == ("digits",)


def test_a_path_that_is_not_there():
    with pytest.raises(DataError, match=r"no such file or folder: .*nowhere/x\.npz; pass a folder of classes"):
        load(Path("nowhere/x.npz"))


@pytest.mark.parametrize("source", ["x" * 5000, "~nobody-of-that-name/x"])
def test_what_cannot_be_a_path(source):
    with pytest.raises(DataError, match=r"not a path: '.{1,80}('|\.\.\.) \("):
        load(source)


def test_a_file_that_is_no_data_set(tmp_path):
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"x\.csv: not a data set; pass .* \.npz or \.parquet"):
        load(tmp_path / "x.csv")


@pytest.mark.parametrize("imgsz", [0, 7, 1025, -16])
def test_imgsz_out_of_range(imgsz):
    with pytest.raises(DataError, match=rf"imgsz must be 8\.\.1024 px, not {imgsz}"):
        load("digits", imgsz=imgsz)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"val_fraction": 0.0}, "val_fraction must be between 0 and 1"),
        ({"val_fraction": 1.0}, "val_fraction must be between 0 and 1"),
        ({"val_fraction": float("nan")}, "val_fraction"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"limit": 19}, "limit must be at least 20"),
    ],
)
def test_requests_out_of_range(kwargs, message):
    with pytest.raises(UsageError, match=message):
        load("digits", **kwargs)


def test_no_source():
    with pytest.raises(UsageError, match="no data set given"):
        load("")
