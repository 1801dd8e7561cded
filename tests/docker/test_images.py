"""The images of x86, built and used: doctor, profile, predict, bundle verify, serve; and the bundle's own image.

Minutes each, so `slow`; where buildah or the stand-in base is missing they are skipped and say what is.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Server = tuple[subprocess.Popen[str], str]
STAGES = {"x86-onnxruntime": "onnxruntime", "x86-openvino": "openvino"}
LARGEST_MB = 700
SMALL = ("--space", "mobile", "--channels", 1, "--classes", 10, "--imgsz", 16, "--depth", 1, "--width-mult", 0.5)
UNWANTED = "for name in gcc cc g++ c++ ld make cmake nvcc; do command -v $name && exit 1; done; exit 0"


@pytest.fixture(scope="module", params=sorted(STAGES))
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(builder: Any, stage: str) -> str:
    return str(builder.stage(stage))


@pytest.fixture(scope="module")
def container(builder: Any, image: str) -> Any:
    return builder.container(image)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 130, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    tmp_path.chmod(0o755)  # pytest keeps its folders to itself; the user in the container is another
    return tmp_path / "photo.png"


def size_mb(builder: Any, image: str) -> float:
    number, unit = builder.call("images", "--format", "{{.Size}}", image).split()
    return float(number) * {"KB": 1e-3, "MB": 1.0, "GB": 1e3}[unit]


def test_it_is_small_and_says_what_it_is(builder: Any, image: str, stage: str, record_property: Any) -> None:
    size = size_mb(builder, image)
    record_property("size_mb", size)
    assert size < LARGEST_MB
    told = json.loads(builder.call("inspect", "--type", "image", image))["Docker"]["config"]
    assert told["Healthcheck"]["Test"] == ["CMD", "hwnas", "doctor"]
    assert told["Entrypoint"] == ["hwnas"]
    assert told["User"] == "1000:1000"
    assert told["Labels"]["io.hwnas.stage"] == stage


def test_no_root_no_compiler_no_torch(container: Any) -> None:
    assert container.run("id", "-u").stdout.strip() == "1000"
    assert container.run("sh", "-c", UNWANTED).stdout == ""
    torch = container.run("python", "-c", "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('pip'))")
    assert torch.stdout.strip() == "None None"


def test_doctor(container: Any, stage: str) -> None:
    done = container.run("hwnas", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["runtimes"][STAGES[stage]]["runs"]
    assert found["tables_writable"]


def test_profile(container: Any, stage: str) -> None:
    done = container.run("hwnas", "profile", *SMALL, "--runtime", STAGES[stage], "--max-seconds", 3, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = json.loads(container.run("hwnas", "tables", "--json").stdout)
    assert [(t["runtime"], t["entries"] > 20) for t in tables if not t["shipped"]] == [(STAGES[stage], True)]


def test_a_bundle_is_verified_with_hwnas_and_without(container: Any, stage: str,
                                                     bundle_for: Callable[[str], Path]) -> None:
    mounts = {"/bundle": bundle_for(STAGES[stage])}
    for words in (("hwnas", "bundle", "verify", "/bundle"), ("python", "/bundle/bundle.py", "verify")):
        done = container.run(*words, "--json", mounts=mounts)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["good"]
        assert found["runtime"].startswith(f"{STAGES[stage]} ")
        assert found["latency"]["median_ms"] < found["promise_ms"]


def test_predict(container: Any, stage: str, bundle_for: Callable[[str], Path], photo: Path) -> None:
    done = container.run("hwnas", "predict", "/bundle/model.onnx", "/photos/photo.png", "--json",
                         mounts={"/bundle": bundle_for(STAGES[stage]), "/photos": photo.parent})
    assert done.returncode == 0, done.stderr
    assert '"label"' in done.stdout


@pytest.fixture
def server(container: Any, stage: str, bundle_for: Callable[[str], Path]) -> Iterator[Server]:
    words = container.words("hwnas", "serve", "/bundle", "--port", 0, mounts={"/bundle": bundle_for(STAGES[stage])})
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    found = re.match(r"(http://127\.0\.0\.1:\d+) serves /bundle", line)
    assert found, line + process.stderr.read()
    yield process, found[1]
    process.kill()
    process.communicate(timeout=30)


def test_serve_answers_and_ends_gracefully(server: Server, photo: Path) -> None:
    process, url = server
    request = urllib.request.Request(f"{url}/predict", data=photo.read_bytes())
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert len(json.load(answer)["classes"]) == 5
    with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
        assert json.load(answer)["status"] == "ok"
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        assert b'hwnas_requests_total{path="/predict",status="200"} 1\n' in answer.read()
    (inside,) = (child for child in psutil.Process(process.pid).children(recursive=True) if not child.children())
    inside.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_bundle_becomes_an_image_of_its_own(builder: Any, stage: str, bundle_for: Callable[[str], Path],
                                              photo: Path) -> None:
    image = builder.build(bundle_for(STAGES[stage]), f"hwnas-bundle:{stage}")
    assert size_mb(builder, image) < LARGEST_MB
    container = builder.container(image)
    assert container.run("id", "-u").stdout.strip() == "10001"
    done = container.run("python3", "/bundle/bundle.py", "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["cache"] == ("built" if stage == "x86-openvino" else "none")
    mounts = {"/photos": photo.parent}
    told = container.run("python3", "/bundle/bundle.py", "predict", "/photos/photo.png", mounts=mounts)
    assert len(json.loads(told.stdout)["classes"]) == 5
