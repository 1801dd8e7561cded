"""The wheel: what is in it, what is not, and that it finds its own data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("build") is None:
        pytest.skip("package 'build' is not installed: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    # With the backend at hand nothing is downloaded.
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    run([sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder), str(REPOSITORY)], folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def run(command: list[str], folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["targets", "latency_tables"])
def test_data_at_the_root_of_the_checkout_is_in_the_package(contents: set[str], name: str) -> None:
    source = REPOSITORY / name
    files = [p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file() and p.name[0] != "."]
    packed = {entry for entry in contents if entry.startswith(f"hwnas/_data/{name}/")}
    assert packed
    assert {f"hwnas/_data/{name}/{file}" for file in files} <= packed


def test_the_local_target_is_in_the_package(contents: set[str]) -> None:
    assert "hwnas/_data/targets/local.yaml" in contents


def test_every_file_of_the_package_is_in_it_and_nothing_but_the_package(contents: set[str]) -> None:
    files = [p.relative_to(REPOSITORY) for p in (REPOSITORY / "hwnas").rglob("*") if p.is_file()]
    sources = {p.as_posix() for p in files if not any(part[0] in "._" and part[-3:] != ".py" for part in p.parts)}
    assert {"hwnas/errors.py", "hwnas/space/__init__.py"} <= sources <= contents
    tops = {entry.split("/")[0] for entry in contents}
    assert len(tops) == 2
    assert "hwnas" in tops
    assert not [entry for entry in contents if Path(entry).name.startswith("test_") or "cache/" in entry]


def test_licence_and_command_are_declared(wheel: Path, contents: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = [archive.read(e).decode() for e in contents if e.endswith(".dist-info/licenses/LICENSE")]
        (commands,) = [archive.read(e).decode() for e in contents if e.endswith(".dist-info/entry_points.txt")]
    assert licence == (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "hwnas = hwnas.cli:main" in commands


def test_an_installed_wheel_finds_its_targets(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)], tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import hwnas.target\n"
        "print(hwnas.target.__file__, *hwnas.target.names(), hwnas.target.data_folder('latency_tables'), sep='\\n')"
    )
    module, *names, tables = run([sys.executable, "-c", program], tmp_path).splitlines()
    assert Path(module).is_relative_to(site)
    assert names == sorted(p.stem for p in (REPOSITORY / "targets").glob("*.yaml"))
    assert Path(tables) == site / "hwnas" / "_data" / "latency_tables"
