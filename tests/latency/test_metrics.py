import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from hwnas.errors import UsageError
from hwnas.latency import errors, kendall_tau


def test_errors_by_hand() -> None:
    found = errors([1.04, 2.0, 2.8, 5.0], [1.0, 2.0, 2.6, 4.0])
    assert found.networks == 4
    assert found.mape == pytest.approx((4 + 0 + 100 * 0.2 / 2.6 + 25) / 4)
    assert found.bias == found.mape
    assert found.within_5 == 50
    assert found.within_10 == 75
    assert found.kendall_tau == 1


@pytest.mark.parametrize("p, y", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_errors_need_pairs(p: list[float], y: list[float]) -> None:
    with pytest.raises(UsageError):
        errors(p, y)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_tau_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    expected = kendalltau(x, y).statistic if len(set(x)) > 1 and len(set(y)) > 1 else 0.0
    assert kendall_tau(x, y) == pytest.approx(expected, abs=1e-12)
