"""hwnas profile --adapt: what it prints, keeps and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.cli import main
from hwnas.latency import prior as priors
from hwnas.pipeline.latencies import adapting
from hwnas.profile.adapting import AdaptedHere
from hwnas.profile.calibration_networks import draw

Answer, Refusal = Callable[..., Any], Callable[..., str]
WORDS = ("profile", "--target", "raspberry-pi-4", "--device", "ssh://nobody@nowhere", "--imgsz", "16", "--channels",
         "1", "--classes", "10", "--depth", "1")


class Board:
    """A device behind ssh."""

    def fingerprint(self) -> Board:
        return self

    def to_json(self) -> dict[str, Any]:
        return {"cpu": "Cortex-A72", "machine": "aarch64", "runtime": "onnxruntime", "runtime_version": "1.9"}


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks take half as long again as the estimate says."""

    def fake(space: Any, target: Any, prior: Any, device: Any, *, count: int, **_: Any) -> AdaptedHere:
        networks = draw(space, count, 0, np.random.default_rng(0))[0]
        ms = [1.5 * prior.predict(arch).latency_ms + 0.1 for arch in networks]
        return AdaptedHere(priors.adapt(prior, target, networks, ms), tuple(networks), tuple(ms), device.to_json(), 0.2,
                           12.0, ("other work kept 1 core busy",))

    monkeypatch.setattr(adapting, "adapt_on", fake)
    monkeypatch.setattr("hwnas.pipeline.latencies.behind_ssh.ssh_device", lambda *words, **more: Board())


def test_a_board_is_adapted_and_used(tmp_path: Path, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(*WORDS, "--tables", tmp_path, "--adapt", 10)
    assert (found["networks"], found["prior"]) == (10, "an estimate from the public figures of raspberry-pi-4")
    assert found["error"] < found["line_error"]
    assert Path(found["model"]).is_file()
    assert main([*WORDS, "--tables", str(tmp_path), "--adapt", "20"]) == 0
    said = capsys.readouterr()
    printed = " ".join(said.out.split())
    assert "20 networks in 12 s, no blocks" in printed
    assert "each network predicted from the others" in printed
    assert "warning: other work kept 1 core busy" in said.err


def test_what_does_not_go_together(tmp_path: Path, refusal: Refusal) -> None:
    assert "add --adapt 20" in refusal(2, *WORDS, "--prior", "estimate")
    assert "--adapt measures none" in refusal(2, *WORDS, "--adapt", "20", "--again")
    assert "no such file" in refusal(2, *WORDS, "--adapt", "20", "--prior", tmp_path / "none.jsonl")
