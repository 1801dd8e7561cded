"""The agent as one file: what is in it, and that it runs where there is next to nothing."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from hwnas.device import FolderJob, bootstrap
from hwnas.device.bundle import bundle
from hwnas.runtime import SweepPlan
from hwnas.runtime.agent_job import Setup

PLAN = SweepPlan(("large", "small"), max_sweeps=3)
# what onnxruntime imports, and nothing of ours
NEEDED = ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging")


def sources() -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(bundle())) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_only_what_a_device_needs_travels() -> None:
    names = set(sources())
    assert {"__main__.py", "hwnas/errors.py", "hwnas/runtime/agent.py", "hwnas/runtime/onnxruntime.py"} <= names
    assert all(name.count("/") <= 1 or name.startswith("hwnas/runtime/") for name in names)


def test_the_same_sources_give_the_same_bytes() -> None:
    assert bundle.__wrapped__() == bundle()


@pytest.mark.parametrize("name", sorted(sources()))
def test_python_38_reads_it(name: str) -> None:
    ast.parse(sources()[name], feature_version=(3, 8))


def test_python_36_reads_the_first_lines() -> None:
    """A device whose Python is too old must be told so, not shown a syntax error."""
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 6))


def run_agent(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, str(folder / "hwnas-agent.pyz")], capture_output=True, text=True, cwd="/")


def export(folder: Path, models: dict[str, bytes]) -> FolderJob:
    return FolderJob.write(folder, Setup("onnxruntime"), [(models, PLAN)], {})


def check(folder: Path) -> None:
    with FolderJob.read(folder).results().sweeps(
        {name: (folder / "models" / f"{sha}.onnx").read_bytes()
         for name, sha in json.loads((folder / "job.json").read_text())["parts"][0]["models"].items()}, PLAN
    ) as sweeps:
        assert [sweep.number for sweep in sweeps] == [0, 1, 2]


def test_it_runs_with_numpy_and_the_runtime_alone(models, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = next((tmp_path / "bare" / "lib").glob("python*/site-packages"))
    full = Path(find_spec("numpy").submodule_search_locations[0]).parent
    for name in NEEDED:
        if (full / name).exists():
            (bare / name).symlink_to(full / name)
    python = str(tmp_path / "bare" / "bin" / "python")
    assert subprocess.run([python, "-c", "import onnx"], capture_output=True).returncode != 0
    export(tmp_path / "job", models)
    done = run_agent(python, tmp_path / "job")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "job")


def test_it_runs_under_python_38(models, tmp_path: Path) -> None:
    python = shutil.which("python3.8")
    asked = python and subprocess.run([python, "-c", "import numpy, onnxruntime"], capture_output=True, cwd="/")
    if not asked or asked.returncode:
        pytest.skip("no python3.8 with numpy and onnxruntime on the path")
    export(tmp_path / "job", models)
    done = run_agent(python, tmp_path / "job")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "job")


def test_a_runtime_that_is_missing_is_one_line(models, tmp_path: Path) -> None:
    FolderJob.write(tmp_path / "job", Setup("tensorrt"), [(models, PLAN)], {})
    done = run_agent(sys.executable, tmp_path / "job")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "tensorrt" in done.stderr
    assert len(done.stderr.splitlines()) == 1
