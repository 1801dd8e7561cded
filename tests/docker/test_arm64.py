"""The image of a Raspberry Pi, built and used by QEMU: what works is shown, no timing means anything.

It runs in a bare chroot and not in buildah's: there /proc/cpuinfo is that of the x86 machine, and ONNX Runtime, which
reads it, dies of it. Without /proc it says that it knows nothing of the processor, and computes.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PATH = "PATH=/opt/hwnas/bin:/usr/local/bin:/usr/bin:/bin"
INSIDE = ('mount --bind /dev "$0/dev" && mount --bind "$1" "$0/work" && shift && '
          'exec chroot --userspec=1000:1000 "$0" /usr/bin/env -i "$@"')
Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def root(arm_builder: Any) -> Iterator[Path]:
    with arm_builder.container(arm_builder.stage("raspberrypi")).root() as found:
        yield found


@pytest.fixture
def inside(root: Path, bundle_for: Callable[[str], Path]) -> Callable[..., Ran]:
    """Run a command in the image; the bundle lies in /work."""

    def run(*words: str) -> Ran:
        command = ["unshare", "--mount", "sh", "-c", INSIDE, str(root), str(bundle_for("onnxruntime")), PATH,
                   "HOME=/home/hwnas", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    return run


def test_it_is_arm_and_not_root(inside: Callable[..., Ran]) -> None:
    assert inside("uname", "-m").stdout.strip() == "aarch64"
    assert inside("id", "-u").stdout.strip() == "1000"


def test_doctor(inside: Callable[..., Ran]) -> None:
    done = inside("hwnas", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["runtimes"]["onnxruntime"]["precisions"]["fp32"]["runs"]


@pytest.mark.parametrize("words", [("hwnas", "bundle", "verify", "/work"), ("python", "/work/bundle.py", "verify")])
def test_a_bundle_made_on_x86_gives_the_same_there(words: tuple[str, ...], inside: Callable[..., Ran]) -> None:
    done = inside(*words, "--json")
    assert done.returncode in (0, 4), done.stdout + done.stderr  # 4: a machine that is emulated may break the promise
    found = json.loads(done.stdout)
    assert found["images"] == 32
    assert found["difference"] <= 1e-4
