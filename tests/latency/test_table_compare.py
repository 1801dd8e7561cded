"""Two tables side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwnas.latency import Entry, Table
from hwnas.latency.compare import compare
from hwnas.target import load


def make(path: Path, times: dict[int, float], cpu: str = "x", **target: object) -> Table:
    table = Table.open(path, load("local", **target), {"cpu": cpu})
    table.add(Entry(name(i), t, t, t, 8, "") for i, t in times.items())
    return table


def name(i: int) -> str:
    return f"conv k1 e1 s1 {i}-{i} 8x8 relu"


def test_ratios_and_quantiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = {i: float(t) for i, t in enumerate(rng.uniform(0.1, 5, 50).round(4), 1)}
    second = {i: round(t * float(f), 4) for (i, t), f in zip(first.items(), rng.uniform(0.8, 1.3, 50), strict=True)}
    found = compare(make(tmp_path / "a", first), make(tmp_path / "b", second))
    ratios = np.array([second[i] / first[i] for i in first])
    assert found.ratios == pytest.approx({name(i): r for i, r in zip(first, ratios, strict=True)})
    assert found.quantiles["median"] == pytest.approx(float(np.median(ratios)))
    assert found.quantiles["p95"] == pytest.approx(float(np.percentile(ratios, 95)))
    assert found.tau is not None
    assert 0.8 < found.tau < 1
    assert (found.headers, found.devices) == ((), ())


def test_what_either_lacks_and_what_has_no_ratio(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a", {1: 1.0, 2: 0.0, 3: 1.0}), make(tmp_path / "b", {1: 2.0, 2: 1.0, 4: 1.0})
    found = compare(one, two)
    assert found.ratios == {name(1): 2.0}
    assert (found.only_first, found.only_second, found.without_ratio) == ((name(3),), (name(4),), (name(2),))
    assert found.to_json()["shared"] == 2
    nothing = compare(make(tmp_path / "c", {}), two)
    assert (nothing.quantiles, nothing.tau, nothing.ratios) == ({}, None, {})


def test_what_differs_is_named(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a", {1: 1.0}), make(tmp_path / "b", {1: 1.0}, cpu="y", precision="int8", threads=2)
    found = compare(one, two)
    assert found.headers == ("precision: 'fp32' / 'int8'", "threads: 1 / 2")
    assert found.devices == ("cpu: x / y",)
