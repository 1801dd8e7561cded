"""EnTranNAS: thresholds by hand, engines that are what transit cells run, and what of the network is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.nets import Supernet
from hwnas.search.differentiable.logits import Logits
from hwnas.search.differentiable.transit import DENSE, Transit, thresholded
from hwnas.space import SpaceConfig, build

SPACE = build(SpaceConfig("nasbench201", 8, 1, 4, 0.5, 2))
DARTS = build(SpaceConfig("darts", 8, 1, 4, 0.5, 3))
RNG = np.random.default_rng(0)
ALPHA = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)


@pytest.mark.parametrize(("t", "wanted"), [
    (0.0, [1, 0, 0, 0]), (-1.0, [0.8808, 0.1192, 0, 0]), (-10.0, [0.6440, 0.2369, 0.0871, 0.0320]),
])
def test_thresholds_by_hand(t: float, wanted: list[float]) -> None:
    assert torch.softmax(ALPHA, 0).tolist() == pytest.approx([0.6439, 0.2369, 0.0871, 0.0321], abs=1e-4)
    assert thresholded(ALPHA, torch.tensor(t)).tolist() == pytest.approx(wanted, abs=1e-4)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=9), st.floats(-20, 20))
def test_one_connection_is_left_and_they_sum_to_one(logits: list[float], t: float) -> None:
    found = thresholded(torch.tensor(logits, dtype=torch.float64), torch.tensor(t, dtype=torch.float64))
    assert float(found.sum()) == pytest.approx(1.0)
    assert int((found > 0).sum()) >= 1


def test_gradients_are_those_of_finite_differences() -> None:
    """Away from the kinks: of what is left, and of the threshold."""
    alpha = ALPHA.clone().requires_grad_(True)
    t = torch.tensor(-1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(thresholded, (alpha, t))


def rows(relaxation: Transit, space: object = SPACE, spread: float = 1.0) -> list[torch.Tensor]:
    rng = np.random.default_rng(2)
    found = relaxation.begin(space.sizes)  # type: ignore[attr-defined]
    return [torch.tensor(row + (spread * rng.normal(size=len(row)) if len(row) > 1 else 4.0), requires_grad=True)
            for row in found]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("space", [SPACE, DARTS], ids=["nasbench201", "darts"])
def test_engines_mix_and_transit_cells_run_what_is_derived(sparse: bool, space: object) -> None:
    relaxation = Transit(space, sparse)  # type: ignore[arg-type]
    found = rows(relaxation, space)
    mixture = relaxation.mixture(space, found, RNG, 0.5)  # type: ignore[arg-type]
    derived = relaxation.derived([row.detach().numpy() for row in found])
    last = {choice: i for i, choice in enumerate(space.choice_of)}  # type: ignore[attr-defined]
    for i, (choice, weights) in enumerate(zip(space.choice_of, mixture.weights, strict=True)):  # type: ignore[attr-defined]
        if choice is None:
            continue
        cuts = space.choices[choice].ops[derived[choice]].cuts  # type: ignore[attr-defined]
        if i != last[choice]:
            assert weights == ({} if cuts else {derived[choice]: 1.0})
        else:
            assert len(weights) > 1 or sparse
            assert all(isinstance(w, torch.Tensor) for w in weights.values())
    law = relaxation.probabilities([row.detach().numpy() for row in found])
    assert tuple(int(p.argmax()) for p in law) == derived
    assert all(p.min() > 0 and abs(p.sum() - 1) < 1e-12 for p in law)


def test_two_edges_a_node_or_those_that_are_not_zero() -> None:
    plain, sparse = Transit(DARTS, False), Transit(DARTS, True)
    values = [row.detach().numpy() for row in rows(plain, DARTS)]
    derived = plain.derived(values)
    ends = [DARTS.edges[DARTS.choice_of.index(i)].target for i in range(len(DARTS.sizes))]
    for node in set(ends):
        own = [i for i, end in enumerate(ends) if end == node]
        kept = [i for i in own if not DARTS.choices[i].ops[derived[i]].cuts]
        assert len(kept) == 2
        strength = {i: torch.softmax(torch.tensor(values[i]), 0)[1:].max() for i in own}
        assert min(strength[i] for i in kept) >= max((strength[i] for i in own if i not in kept), default=0)
    found = rows(sparse, DARTS)
    engine, last = sparse.mixture(DARTS, found, RNG, 0.5).weights, {c: i for i, c in enumerate(DARTS.choice_of)}
    for i, op in enumerate(sparse.derived([row.detach().numpy() for row in found])):
        weights = engine[last[i]]
        assert bool(weights) == (not DARTS.choices[i].ops[op].cuts)  # the graph is what has a weight, and nothing else
        assert not weights or max(weights, key=lambda k, w=weights: w[k].item()) == op
    dense = [torch.tensor(row) for row in sparse.begin(DARTS.sizes)]
    begun = sparse.mixture(DARTS, dense, RNG, 0.0).weights
    assert all(len(begun[last[i]]) == 7 for i in range(len(DARTS.sizes)))
    assert dense[-1].item() == DENSE


def test_a_sure_engine_is_a_transit_cell() -> None:
    """With all of the weight on one op an edge the whole mixture is the derived network, on the same weights."""
    torch.manual_seed(0)
    supernet = Supernet(SPACE, [0.5], [0.25]).double().eval()
    relaxation = Transit(SPACE, False)
    sure = [torch.zeros(5, dtype=torch.float64) for _ in SPACE.sizes]
    for row, op in zip(sure, (2, 3, 2, 4, 1, 3), strict=True):
        row[op] = 200.0
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    derived = relaxation.derived([row.numpy() for row in sure])
    with torch.no_grad():
        mixed = supernet(x, relaxation.mixture(SPACE, sure, RNG, 1.0))
        kept = [i for i, op in enumerate(derived) if op]
        assert len(kept) == 5  # node 3 has three inputs, of which two stay
    whole = torch.zeros(5, dtype=torch.float64)
    whole[0] = 200.0
    gone = next(i for i, op in enumerate(derived) if not op)
    sure[gone] = whole
    with torch.no_grad():
        mixed = supernet(x, relaxation.mixture(SPACE, sure, RNG, 1.0))
        alone = supernet(x, SPACE.architecture(derived))
    assert torch.allclose(mixed, alone, atol=1e-6)


def test_logits_of_ops_and_thresholds_get_gradients() -> None:
    supernet = Supernet(SPACE, [0.5], [0.25]).train()
    relaxation = Transit(SPACE, True)
    logits = Logits(relaxation.begin(SPACE.sizes), 0.1)
    x = torch.rand(4, 1, 8, 8)
    loss = torch.nn.functional.cross_entropy(supernet(x, relaxation.mixture(SPACE, logits.rows, RNG, 0.0)),
                                             torch.arange(4))
    before = logits.values()
    logits.step(loss)
    moved = [np.abs(a - b).max() for a, b in zip(before, logits.values(), strict=True)]
    assert len(moved) == 6 + 3
    assert min(moved) > 0


def test_a_chain_is_refused() -> None:
    with pytest.raises(UsageError, match="take the searcher proxylessnas"):
        Transit(build(SpaceConfig("mobile", 16)), False)
