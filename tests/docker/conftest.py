"""Images of the Dockerfile, built without an engine: buildah with chroot isolation, from a stand-in base.

`$HWNAS_STAND_IN_BASE` names the tar of that base, `$HWNAS_STAND_IN_BASE_ARM64` the one for arm64; where the tar is not
there yet, docker/stand_in_base.sh makes it. Without the variable nothing is built, and the tests say so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON_BASE = "docker.io/library/python:3.11-slim-bookworm"
BUILD_SECONDS = 3000  # three minutes alone on two cores, many times that beside other work


class Builder:
    """buildah with a store of its own.

    Args:
        store: folder for images and containers.
        arch: what the images are for.
    """

    def __init__(self, store: Path, arch: str) -> None:
        self._where = ["--storage-driver", "vfs", "--root", str(store / "images"), "--runroot", str(store / "run")]
        self._arch = arch

    def words(self, *words: object) -> list[str]:
        return ["buildah", *self._where, *map(str, words)]

    def call(self, *words: object, seconds: float = 120) -> str:
        """Standard output of one command of buildah; fails the test with what it says if it fails."""
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def base(self, tar: Path, folder: Path) -> None:
        """Make the stand-in of Python's image from its tar."""
        folder.mkdir()
        shutil.copy(tar, folder / "base.tar")
        self.build(folder, PYTHON_BASE, "-f", ROOT / "docker" / "stand_in.Dockerfile")
        shutil.rmtree(folder)

    def build(self, context: Path, tag: str, *words: object) -> str:
        """Build an image; nothing is pulled."""
        self.call("bud", "--isolation", "chroot", "--format", "docker", "--layers=false", "--pull-never",
                  "--arch", self._arch, "-t", tag, *words, context, seconds=BUILD_SECONDS)
        return tag

    def stage(self, name: str) -> str:
        """Build one stage of the Dockerfile."""
        return self.build(ROOT, f"hwnas:{name}", "--target", name)

    def container(self, image: str) -> Container:
        return Container(self, self.call("from", "--pull-never", image).strip())


class Container:
    """A container of an image; as its own user."""

    def __init__(self, builder: Builder, name: str) -> None:
        self._builder, self._name = builder, name

    def words(self, *words: object, mounts: dict[str, Path] | None = None) -> list[str]:
        bound = [part for place, folder in (mounts or {}).items() for part in ("-v", f"{folder}:{place}:ro")]
        return self._builder.words("run", "--isolation", "chroot", *bound, self._name, "--", *words)

    def run(self, *words: object, mounts: dict[str, Path] | None = None,
            seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(*words, mounts=mounts), capture_output=True, text=True, timeout=seconds,
                              check=False)

    @contextlib.contextmanager
    def root(self) -> Iterator[Path]:
        """Its files, in a folder of this machine."""
        yield Path(self._builder.call("mount", self._name).strip())
        self._builder.call("umount", self._name)


def stand_in(variable: str, arch: str) -> Path:
    """The tar that a variable names, made if it is not there; skips the test where that cannot be."""
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed: apt-get install buildah")
    if os.geteuid() != 0:
        pytest.skip("buildah's chroot isolation needs root here")
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"${variable} names no base: docker/stand_in_base.sh BASE.tar {arch}; export {variable}=BASE.tar")
    tar = Path(named).resolve()
    if not tar.is_file():
        if shutil.which("debootstrap") is None:
            pytest.skip(f"{tar} is not there, and debootstrap, which makes it, neither: apt-get install debootstrap")
        subprocess.run([ROOT / "docker" / "stand_in_base.sh", tar, arch], check=True, timeout=3000)
    return tar


def builder_of(variable: str, arch: str, folder: Path) -> Iterator[Builder]:
    tar = stand_in(variable, arch)
    builder = Builder(folder / "store", arch)
    builder.base(tar, folder / "base")
    yield builder
    builder.call("rm", "--all")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """For this machine."""
    if platform.machine() != "x86_64":
        pytest.skip(f"the stages of x86 do not run on {platform.machine()}")
    yield from builder_of("HWNAS_STAND_IN_BASE", "amd64", tmp_path_factory.mktemp("buildah"))


@pytest.fixture(scope="session")
def arm_builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """For arm64, run by QEMU."""
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").is_file():
        pytest.skip("arm64 programs do not run here: apt-get install qemu-user-static, and register it in binfmt_misc")
    yield from builder_of("HWNAS_STAND_IN_BASE_ARM64", "arm64", tmp_path_factory.mktemp("buildah-arm64"))


@pytest.fixture(scope="session")
def bundle_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of a small classifier for a runtime; read only."""
    pytest.importorskip("torch")
    made = _conftest_of_deploy().exported("classify")
    kept: dict[str, Path] = {}

    def of(runtime: str) -> Path:
        if runtime not in kept:
            target = made.target.model_copy(update={"runtime": runtime})
            kept[runtime] = made.bundle(tmp_path_factory.mktemp("bundles") / runtime, target=target)
        return kept[runtime]

    return of


def _conftest_of_deploy() -> Any:
    """What makes bundles for the tests of deploy."""
    path = ROOT / "tests" / "deploy" / "conftest.py"
    spec = importlib.util.spec_from_file_location("bundles_of_deploy", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
