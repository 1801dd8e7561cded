"""front.json from somebody else: a front that can be asked, or one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from hwnas.documents import read_json
from hwnas.generate import Front
from tests.mutations import documents, fuzzed, judged

FRONT = {"hwnas_front": 1, "gap": 0.0, "points": [{"cost": 100, "utility": -1.5, "choice": [0, 1, 2]},
                                                  {"cost": 120, "utility": 0, "choice": [0, 1, 3]},
                                                  {"cost": 2**50, "utility": 0.25, "choice": [5, 1, 3]}]}


@fuzzed
@given(content=documents(FRONT))
def test_fronts(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "front.json"
    path.write_bytes(content)
    found = judged(lambda: Front.from_json(read_json(path)))
    if found is not None:
        points = list(found)
        assert points == sorted(points, key=lambda point: point.cost)
        assert found.query(points[-1].cost) == points[-1]
        assert list(Front.from_json(json.loads(json.dumps(found.to_json())))) == points
