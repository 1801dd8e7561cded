import getpass
import json
import socket
from dataclasses import replace

import pytest

from hwnas.errors import InputError
from hwnas.runtime import Fingerprint, open_runtime


@pytest.fixture(scope="module")
def here() -> Fingerprint:
    return Fingerprint.of(open_runtime("onnxruntime"))


def test_describes_this_machine(here: Fingerprint) -> None:
    assert here.cpu
    assert here.cores >= 1
    assert here.runtime == "onnxruntime"


def test_survives_json(here: Fingerprint) -> None:
    assert Fingerprint.from_json(json.loads(json.dumps(here.to_json()))) == here


def test_same_device_names_what_differs(here: Fingerprint) -> None:
    assert here.same_device(here) == []
    other = replace(here, cpu="another", flags=("sve",), python="2.7")
    differing = here.same_device(other)
    assert [d.split(":")[0] for d in differing] == ["cpu", "flags"]
    assert "another" in differing[0]


OLD = {
    "cpu": "AMD EPYC", "flags": ["avx", "avx2"], "cores": 2, "system": "Linux", "machine": "x86_64",
    "python": "3.11.7", "runtime": "onnxruntime", "runtime_version": "1.31.1",
}


def test_a_fingerprint_from_before_the_new_fields(here: Fingerprint) -> None:
    old = Fingerprint.from_json(OLD)
    assert (old.governor, old.gpu, old.max_mhz) == (None, None, None)
    new = replace(old, governor="performance", max_mhz=3000.0, provider="CPUExecutionProvider", os_release="Debian")
    assert old.same_device(new) == new.same_device(old) == []


@pytest.mark.parametrize("field, one, other", [
    ("governor", "powersave", "performance"), ("power_mode", "15W", "MAXN"), ("max_mhz", 1500.0, 2200.0),
    ("gpu", "NVIDIA T4", "NVIDIA A10"), ("gpu_driver", "570.1", "580.2"), ("provider", "CPU", "GPU"),
])
def test_what_changes_timings_is_a_difference(field: str, one: object, other: object) -> None:
    first = replace(Fingerprint.from_json(OLD), **{field: one})
    assert first.same_device(replace(first, **{field: other})) == [f"{field}: {one} / {other}"]


@pytest.mark.parametrize("field, one, other", [
    ("mhz", 800.0, 2200.0), ("os_release", "Ubuntu 22.04", "Debian 12"), ("python", "3.8", "3.13"),
])
def test_what_does_not_change_timings_is_none(field: str, one: object, other: object) -> None:
    first = replace(Fingerprint.from_json(OLD), **{field: one})
    assert first.same_device(replace(first, **{field: other})) == []


def test_runtimes_tell_their_provider(here: Fingerprint) -> None:
    assert here.provider == "CPUExecutionProvider"
    assert here.gpu is None
    assert here.os_release


def test_holds_no_host_and_no_user(here: Fingerprint) -> None:
    words = json.dumps(here.to_json()).split('"')
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


@pytest.mark.parametrize("data", [{}, {"cpu": "x"}, {"flags": ["a"], "colour": "red"}])
def test_broken_fingerprint(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match="fingerprint"):
        Fingerprint.from_json(data)
