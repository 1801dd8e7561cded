from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.runtime.engine_cache import EngineCache, default_folder

FOR = {"tensorrt": "10.16.1", "gpu": "NVIDIA T4", "precision": "fp16", "batch": 1}


def test_gives_back_what_it_was_given(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    path = cache.path(b"model", FOR)
    assert cache.read(path) is None
    cache.write(path, b"engine")
    assert cache.read(path) == b"engine"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_everything_that_an_engine_depends_on_is_in_its_name(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    others = [{**FOR, "tensorrt": "11.4.0"}, {**FOR, "gpu": "NVIDIA A10"}, {**FOR, "precision": "fp32"},
              {**FOR, "batch": 2}]
    paths = {cache.path(b"model", FOR), cache.path(b"other", FOR), *(cache.path(b"model", o) for o in others)}
    assert len(paths) == 6
    assert cache.path(b"model", dict(reversed(FOR.items()))) == cache.path(b"model", FOR)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 100])
def test_a_damaged_engine_is_absent(tmp_path: Path, damage: bytes) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path(b"model", FOR)
    cache.write(path, b"engine")
    path.write_bytes(damage)
    assert cache.read(path) is None


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path(b"model", FOR)
    cache.write(path, b"engine" * 100)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert cache.read(path) is None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    cache = EngineCache(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write"):
        cache.write(cache.path(b"model", FOR), b"engine")


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HWNAS_ENGINES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "hwnas" / "engines"
    monkeypatch.setenv("HWNAS_ENGINES", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
