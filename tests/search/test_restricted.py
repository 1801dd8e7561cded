import numpy as np
import pytest

from hwnas.errors import RunError, UsageError
from hwnas.search.registry import TABLE, create
from tests.search.one_at_a_time import answer, following

CHOICES = (3, 4, 2)
LIVE = [[True, False, True], [False, True, True, True], [True, False]]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_no_strategy_asks_for_a_masked_op(name: str) -> None:
    strategy = create(name, CHOICES, live=LIVE, evaluations=25, seed=0)
    asked = set()
    while not strategy.done:
        choice = following(strategy)
        asked.add(choice)
        answer(strategy, choice, float(sum(choice)))
    assert all(LIVE[i][op] for choice in asked for i, op in enumerate(choice))
    law = strategy.distribution()
    assert law.choices == CHOICES
    assert not any(p[~np.array(row)].any() for p, row in zip(law.probabilities, LIVE, strict=True))
    assert strategy.best is not None
    assert strategy.best[0] in asked
    assert strategy.answer is not None
    assert strategy.answer[0] in asked


def test_a_state_fits_its_own_mask_only() -> None:
    strategy = create("random", CHOICES, live=LIVE, evaluations=5, seed=0)
    answer(strategy, following(strategy), 1.0)
    other = create("random", CHOICES, live=[[True] * k for k in CHOICES], evaluations=5, seed=0)
    with pytest.raises(RunError, match="new run"):
        other.load_state_dict(strategy.state_dict())
    following(strategy)
    with pytest.raises(UsageError, match="never asked"):
        strategy.tell(7, 1.0)


@pytest.mark.parametrize(("live", "rule"), [([[True] * 3], "one flag per op"), ([[False] * 3, [True] * 4, [True] * 2],
                                                                              "every op masked")])
def test_a_mask_that_does_not_fit(live: list[list[bool]], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        create("random", CHOICES, live=live, evaluations=5)
