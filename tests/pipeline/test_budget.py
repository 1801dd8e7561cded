"""Budgets as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.pipeline import parse, parse_all, show


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("latency", "8ms", 8e6), ("latency", "8 ms", 8e6), ("latency", "750us", 7.5e5), ("latency", "0.5s", 5e8),
        ("flops", "300M", 3e8), ("flops", "1.2G", 1.2e9), ("flops", "5000", 5000), ("flops", "3e6", 3e6),
        ("params", "2M", 2e6), ("params", "900k", 9e5), ("memory", "64MB", 64e6), ("memory", "64MiB", 64 * 2**20),
    ],
)
def test_absolute(name: str, text: str, value: float) -> None:
    budget = parse(name, text)
    assert not budget.relative
    assert budget.absolute(reference=1.0) == pytest.approx(value)


@given(st.floats(0.01, 500), st.floats(1, 1e12))
def test_percentage_is_of_the_reference(percent: float, reference: float) -> None:
    budget = parse("flops", f"{percent:.4f}%")
    assert budget.relative
    assert budget.absolute(reference) == pytest.approx(round(percent, 4) / 100 * reference)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("latency", "8"), ("latency", "8MB"), ("latency", "ms"), ("latency", "-8ms"), ("latency", "0ms"),
        ("latency", "8m s"), ("latency", "nanms"), ("latency", "inf ms"), ("flops", "300MB"), ("params", "two"),
        ("memory", "64"), ("memory", ""), ("memory", "1e"), ("latency", "50%%"),
    ],
)
def test_wrong_units_name_the_way_out(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"--{name}"):
        parse(name, text)


def test_unknown_budget() -> None:
    with pytest.raises(UsageError, match="known: latency"):
        parse("energy", "3mJ")


def test_parse_all_leaves_out_none() -> None:
    assert set(parse_all({"latency": "5ms", "flops": None})) == {"latency"}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("latency", 1.5e6, "1.500 ms"), ("memory", 2.5e6, "2.50 MB"), ("flops", 3e8, "300.00 M"), ("params", 512, "512")],
)
def test_show(name: str, value: float, text: str) -> None:
    assert show(name, value) == text
