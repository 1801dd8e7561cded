"""Several processes that train together take the steps that one takes; one that is alone exchanges nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hwnas.nets import ranks
from hwnas.nets.norm import BatchNorm2d
from hwnas.train.checkpoint import load_tensors
from tests.launching import launched

SCRIPT = Path(__file__).with_name("trained_by_ranks.py")


def trained_by(processes: int, out: Path) -> Path:
    command, environment = launched(str(SCRIPT), str(out))
    if processes == 1:
        command = [sys.executable, str(SCRIPT), str(out)]
    subprocess.run(command, check=True, env=environment, timeout=550)
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Weights trained by one process, and by two."""
    return [trained_by(processes, tmp_path_factory.mktemp(f"by{processes}")) for processes in (1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["classify", "classify-shared", "detect", "segment"])
def test_two_processes_take_the_steps_of_one(case: str, folders: list[Path]) -> None:
    (alone, of_one), (both, of_two) = (load_tensors(folder / case) for folder in folders)
    assert (of_one["world"], of_two["world"]) == (1, 2)
    assert of_two["losses"] == pytest.approx(of_one["losses"], abs=1e-4)
    assert of_two["score"] == pytest.approx(of_one["score"], abs=1.0)
    for name, value in alone.items():
        assert torch.allclose(both[name].float(), value.float(), atol=1e-5, rtol=1e-4), name


def test_alone_a_norm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm2d(6), torch.nn.BatchNorm2d(6)
    x = torch.randn(4, 6, 5, 5)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_what_losses_divide_by() -> None:
    assert ranks.fair_count(0, torch.device("cpu")) == 1
    assert ranks.fair_count(7, torch.device("cpu")) == 7
    assert ranks.fair_count(torch.tensor(0.25), torch.device("cpu"), least=0.5) == torch.tensor(0.5)
