"""An API check of the TensorRT files: every name they use exists in the real bindings of TensorRT 10 and of 11.

No engine is built here. The bindings are downloaded by pip (1.3 MB each; or taken from the folder in
$HWNAS_TENSORRT_WHEELS) and imported over libraries of nine empty functions.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hwnas.runtime import tensorrt as ours

pytestmark = pytest.mark.slow
RUNTIME = Path(ours.__file__).parent
FILES = [RUNTIME / "tensorrt.py", RUNTIME / "tensorrt_session.py"]
WHEELS = {10: "tensorrt-cu12-bindings>=10,<11", 11: "tensorrt-cu13-bindings>=11,<12"}
# what a variable of this name is, in those files
CLASSES = {
    "builder": "Builder", "network": "INetworkDefinition", "parser": "OnnxParser", "config": "IBuilderConfig",
    "profile": "IOptimizationProfile", "tensor": "ITensor", "error": "ParserError", "runtime": "Runtime",
    "engine": "ICudaEngine", "context": "IExecutionContext",
}
LOOK = """
import json, sys
import tensorrt_bindings as trt
def look(chain):
    value = trt
    for word in chain.split("."):
        if not hasattr(value, word):
            return None
        value = getattr(value, word)
    return value.__doc__ if isinstance(getattr(value, "__doc__", None), str) else ""
chains = json.load(sys.stdin)
class Log(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
    def log(self, severity, msg):
        pass
Log()
print(json.dumps({"version": trt.__version__, "docs": {chain: look(chain) for chain in chains}}))
"""


def used() -> dict[str, set[int]]:
    """Chain of names inside the library -> with how many arguments it is called (empty: it is only read)."""
    found: dict[str, set[int]] = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {id(node.func): len(node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner and (chain := chain_of(node)):
                found.setdefault(chain, set()).update({calls[id(node)]} if id(node) in calls else set())
    return found


def chain_of(node: ast.Attribute) -> str | None:
    words = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        words.append(value.attr)
        value = value.value
    root = value.id if isinstance(value, ast.Name) else None
    if root == "self" and words[-1] == "_trt":
        return ".".join(reversed(words[:-1])) or None
    if root == "trt":
        return ".".join(reversed(words))
    return ".".join([CLASSES[root], words[-1]]) if root in CLASSES else None


@pytest.fixture(scope="module", params=sorted(WHEELS))
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """Major version, and what the library says of every name: its docstring, or None where there is no such name."""
    major: int = request.param
    folder = tmp_path_factory.mktemp(f"tensorrt{major}")
    with zipfile.ZipFile(wheel(major, folder)) as archive:
        archive.extractall(folder / "site")
    libraries = dummies(major, folder / "lib")
    names = [*used(), *(f"BuilderFlag.{flag}" for flag in ours._FLAGS_10.values())]
    done = subprocess.run(
        [sys.executable, "-c", LOOK], input=json.dumps(names), capture_output=True, text=True, timeout=240,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(folder / "site")},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["version"].startswith(f"{major}.")
    return major, answer["docs"]


def wheel(major: int, folder: Path) -> Path:
    if kept := os.environ.get("HWNAS_TENSORRT_WHEELS"):
        found = sorted(Path(kept).glob(f"tensorrt_cu*_bindings-{major}.*.whl"))
    else:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest",
             str(folder), WHEELS[major]], capture_output=True, text=True, timeout=240, check=False,
        )
        found = sorted(folder.glob("*.whl")) if done.returncode == 0 else []
    if not found:
        pytest.skip(f"the wheel {WHEELS[major]} is not at hand for this Python")
    return found[-1]


def dummies(major: int, folder: Path) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not at hand")
    folder.mkdir()
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = f"lib{name}.so.{major}"
        subprocess.run(
            [gcc, "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library),
             str(Path(__file__).with_name("dummy_tensorrt.c"))], check=True, timeout=240,
        )
    return folder


def test_the_check_sees_what_the_files_use() -> None:
    seen = {chain.split(".")[0] for chain in used()}
    assert set(CLASSES.values()) <= seen
    assert {"IExecutionContext.execute_async_v3", "MemoryPoolType.WORKSPACE", "BuilderFlag.TF32"} <= set(used())


def test_every_name_exists(bindings: tuple[int, dict[str, Any]]) -> None:
    _, docs = bindings
    assert [chain for chain in used() if docs[chain] is None] == []


def test_calls_have_as_many_arguments_as_the_library_takes(bindings: tuple[int, dict[str, Any]]) -> None:
    _, docs = bindings
    checked = 0
    for chain, counts in used().items():
        name = chain.split(".")[-1]
        takes = [] if name == "__init__" else arities(name, docs[chain] or "")  # that one is given self
        for count in counts if takes else ():
            assert any(low <= count <= high for low, high in takes), f"{chain} takes {takes}, is given {count}"
            checked += 1
    assert checked > 10


def arities(name: str, doc: str) -> list[tuple[int, int]]:
    """Least and most arguments of each signature in a docstring, without self."""
    found = []
    for text in re.findall(rf"{name}\((self: .*)\) ->", doc):
        arguments = re.split(r", (?=\w+: )", text)[1:]
        found.append((sum(" = " not in a for a in arguments), len(arguments)))
    return found


def test_flags_of_precisions_exist_in_10_alone(bindings: tuple[int, dict[str, Any]]) -> None:
    major, docs = bindings
    there = [docs[f"BuilderFlag.{flag}"] is not None for flag in ours._FLAGS_10.values()]
    assert there == [major == 10] * len(there)
