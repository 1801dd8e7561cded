"""distribution.json and search.jsonl from somebody else: a law that can be asked, entries, or one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.documents import read_json
from hwnas.generate import solve
from hwnas.search.distribution import Distribution
from hwnas.search.log import SearchLog
from tests.mutations import documents, fuzzed, judged, lines

LAW = Distribution([np.array([0.5, 0.5, 0.0]), np.array([1.0, 0.0])],
                   [np.array([True, True, False]), np.array([True, False])],
                   [np.array([0.25, -0.25, -3.0]), np.array([0.0, -1.0])],
                   [np.array([0.1, 0.1, 2.0]), np.array([0.0, 0.3])]).to_json()
LOG = [{"phase": "train", "number": 0, "choice": [0, 1], "score": 50.5, "seconds": 1.25},
       {"phase": "train", "number": 1, "choice": [2, 0], "score": 61, "seconds": 1},
       {"phase": "alone", "number": 0, "choice": [2, 1], "failed": "the loss became NaN"},
       {"phase": "settle", "number": 0, "choice": [1, 1], "score": 12.0, "seconds": 0.5}]


def asked(law: Distribution) -> None:
    assert all(abs(row.sum() - 1) < 1e-6 for row in law.probabilities)
    assert len(law.mode()) == len(law.choices)
    assert np.isfinite(law.entropy())
    solve(law.utilities("effect"), {"cost": [np.ones(len(row)) for row in law.live]}, {"cost": len(law.live)})
    assert Distribution.from_json(json.loads(json.dumps(law.to_json()))).choices == law.choices


@fuzzed
@given(content=documents(LAW))
def test_distributions(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "distribution.json"
    path.write_bytes(content)
    law = judged(lambda: Distribution.from_json(read_json(path)))
    if law is not None:
        asked(law)


@fuzzed
@given(content=lines(LOG), keep=st.integers(0, 3))
def test_search_logs(tmp_path_factory: pytest.TempPathFactory, content: bytes, keep: int) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "search.jsonl"
    path.write_bytes(content)
    log = judged(lambda: SearchLog(path))
    if log is not None:
        log.keep("train", keep)
        again = SearchLog(path)
        assert again.of("train") == [e for e in log.of("train") if e.number < keep]
        assert all(abs(e.score) < 1e7 and e.seconds >= 0 for e in again.entries)
