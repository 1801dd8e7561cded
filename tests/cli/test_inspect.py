"""hwnas inspect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwnas.cli import main
from tests.trained_network import small_network, written


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(small_network(), tmp_path_factory.mktemp("network") / "net.onnx")


def test_it_shows_units_and_what_they_take(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(network), "--seconds", "0.3"]) == 0
    told = capsys.readouterr().out
    assert "7 of 7 convolutions and products, in" not in told  # there are nine
    assert "9 of 9 convolutions and products, in" in told
    assert "float alone, ms" in told
    assert "int8 alone, ms" in told
    assert "u00" in told


def test_as_json_and_without_timing(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(network), "--seconds", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["input"] == [1, 1, 16, 16]
    assert found["whole_ms"] is None
    assert sum(unit["share"] for unit in found["units"]) == pytest.approx(100)
    assert all(unit["signature"].startswith("unit ") for unit in found["units"])


@pytest.mark.parametrize("words, told", [
    (["no/such.onnx"], "cannot be read"), (["torchvision:nothing"], "torchvision"), (["nothing"], "is no ONNX file"),
    (["json:loads"], "does not give a network: TypeError"), (["json:JSONDecoder"], "must give a torch.nn.Module"),
])
def test_wrong_networks(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *words]) != 0
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert told in said
