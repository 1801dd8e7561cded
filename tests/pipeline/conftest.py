"""One small real run, shared by the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hwnas.pipeline import RunFolder, compress

SMALL: dict[str, Any] = {
    "data": "digits", "limit": 260, "epochs": 1, "warmup": 1, "epochs_per_evaluation": 0.25, "cycles": 1, "settle": 6,
    "top": 3, "finalists": 2, "trial_epochs": 1, "depth": 1, "torch_threads": 1,
}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a compress that takes seconds; all runs share one folder of tables."""
    return {**SMALL, "tables": str(tmp_path_factory.mktemp("tables"))}


@pytest.fixture(scope="session")
def finished(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run within 60 % of the reference's FLOPs."""
    threads = torch.get_num_threads()
    out: Path = tmp_path_factory.mktemp("runs") / "flops"
    yield compress(out, budgets={"flops": "60%"}, **small)
    torch.set_num_threads(threads)
