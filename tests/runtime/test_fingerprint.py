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


def test_holds_no_host_and_no_user(here: Fingerprint) -> None:
    words = json.dumps(here.to_json()).split('"')
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


@pytest.mark.parametrize("data", [{}, {"cpu": "x"}, {"flags": ["a"], "colour": "red"}])
def test_broken_fingerprint(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match="fingerprint"):
        Fingerprint.from_json(data)
