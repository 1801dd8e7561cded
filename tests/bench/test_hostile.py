"""regret.jsonl from somebody else: outcomes, or one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from hwnas.bench.code_hash import code_of
from hwnas.bench.results_log import FILE, ResultsLog
from hwnas.bench.strategy_spec import StrategySpec
from tests.mutations import fuzzed, judged, lines

ENTRANT = StrategySpec("random")
LINE = {"hwnas_regret": 1, "benchmark": "b", "strategy": ENTRANT.strategy, "options": dict(ENTRANT.options),
        "code": code_of(ENTRANT.kind), "seed": 0, "evaluations": 10, "spent": 10, "choice": [0, 1], "signal": 90.5,
        "truth": 91, "regret": 0.5, "limit": None}


@fuzzed
@given(content=lines([LINE, {**LINE, "seed": 1, "limit": 0.25}]))
def test_ledgers(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder: Path = tmp_path_factory.getbasetemp() / "results_log"
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(content)
    found = judged(lambda: ResultsLog(folder).known("b", ENTRANT))
    if found is not None:
        assert all(abs(outcome.regret) <= 1e9 and outcome.spent >= 0 for outcome in found.values())
