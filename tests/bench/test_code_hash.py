"""The hash of what a strategy is made of."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.bench.code_hash import code_of
from hwnas.search.random_search import RandomSearch

PARTS = {
    "__init__": "TOP = 1\n",
    "first": "from .second import helper\nimport json\nclass Mine:\n    def go(self):\n        from . import third\n",
    "second": "import lib_{0}.fourth as fourth\nfrom hwnas.search.history import History\ndef helper(): ...\n",
    "third": "X = 1\n",
    "fourth": "Y = 1\n",
    "unused": "Z = 1\n",
}


def hashed(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    kind = importlib.import_module(f"{name}.first").Mine
    code_of.cache_clear()
    return code_of(kind)


def test_it_follows_imports_within_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lib_{abs(hash(tmp_path))}"
    package = tmp_path / name
    package.mkdir()
    for part, source in PARTS.items():
        (package / f"{part}.py").write_text(source.replace("lib_{0}", name), encoding="utf-8")
    before = hashed(tmp_path, monkeypatch, name)
    assert len(before) == 16
    for part, matters in (("unused", False), ("first", True), ("second", True), ("third", True), ("fourth", True),
                          ("__init__", False)):
        path = package / f"{part}.py"
        source = path.read_text(encoding="utf-8")
        path.write_text(source + "# changed\n", encoding="utf-8")
        assert (hashed(tmp_path, monkeypatch, name) != before) == matters, part
        path.write_text(source, encoding="utf-8")
    assert hashed(tmp_path, monkeypatch, name) == before


def test_it_imports_nothing_and_is_the_same_elsewhere() -> None:
    program = ("import sys; from hwnas.bench.code_hash import code_of\n"
               "from hwnas.search.registry import strategy_class\n"
               "from hwnas.bench import compare, load, names; names()\n"
               "print(code_of(strategy_class('random')), code_of(strategy_class('migo')),\n"
               "      [m for m in ('torch', 'scipy', 'onnx', 'pyarrow', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    code_of.cache_clear()
    first, second, *heavy = done.stdout.split()
    assert first == code_of(RandomSearch) != second
    assert heavy == ["[]"]
