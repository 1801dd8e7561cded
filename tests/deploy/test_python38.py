"""What travels in a bundle runs under Python 3.8, and nothing of it asks for hwnas."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hwnas.deploy.vendoring import closure, sources
from hwnas.runtime import RUNTIMES

STANDARD = {name for name in sys.stdlib_module_names if not name.startswith("_")}
WITH = {"numpy", "onnxruntime", "runner", "__future__"}  # what a device has; others are imported by name, on use


def checker() -> ModuleType:
    """The check that holds what the agent takes along."""
    path = Path(__file__).parents[1] / "runtime" / "test_python38.py"
    spec = importlib.util.spec_from_file_location("held_at_38", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HELD = checker()
FILES = sources(RUNTIMES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_is_python_3_8(name: str) -> None:
    tree = ast.parse(FILES[name], feature_version=(3, 8))
    assert [f"line {line}: {what}" for line, what in HELD.too_new(tree)] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_what_a_device_has(name: str) -> None:
    tree = ast.parse(FILES[name])
    skipped = {id(part) for root in HELD.only_for_types(tree) for part in ast.walk(root)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            found.add(str(node.module).split(".")[0])
            if str(node.module).startswith("runner."):
                assert f"{str(node.module).replace('.', '/')}.py" in FILES or node.module == "runner.runtime"
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    assert found <= STANDARD | WITH
    assert not re.search(rb"hwnas\.[a-z_]", FILES[name])


def test_a_bundle_holds_what_its_runtime_needs_and_no_more() -> None:
    plain, intel = closure(["onnxruntime"]), closure(["onnxruntime", "openvino"])
    assert intel - plain == {"hwnas.runtime.openvino", "hwnas.runtime.inputs"}
    assert "hwnas.runtime.tensorrt_session" in closure(["tensorrt"])
    assert not {name for name in plain if "agent" in name}
