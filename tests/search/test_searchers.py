"""What every searcher must do: one seed one outcome, killed it goes on bit for bit, the reducer is obeyed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, load
from hwnas.errors import RunError, TrainingDiverged, UnknownName, UsageError
from hwnas.generate import solve
from hwnas.nets import Mixture, Network, Supernet
from hwnas.search import resumable
from hwnas.search.config import SearchConfig
from hwnas.search.differentiable.relaxations import Paired, Relaxation, Sampled, Softmax
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import shared_weights
from hwnas.search.log import SearchLog
from hwnas.search.registry import create
from hwnas.search.resumable import SearchResult
from hwnas.search.roles import SEARCHERS, SearchBudget, SearchContext, create_executor, create_reducer, create_searcher
from hwnas.space import Space, SpaceConfig, Variant, build, scaled
from hwnas.train import TrainConfig, as_task
from hwnas.train.checkpoint import load_tensors

TINY = SearchConfig(warmup=1, epochs_per_evaluation=0.7, cycles=1, keep=3, settle=6, evaluations=4,
                    train=TrainConfig(batch=32, lr=0.05))
LEARNING = ("darts", "darts2", "entrannas", "entrannas_dst", "gdas", "proxylessnas")
OTHERS = ("fpnas", "parsec", "pcdarts")


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


@pytest.fixture(scope="module")
def chain() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


@pytest.fixture(scope="module")
def cell() -> Space:
    return build(SpaceConfig("nasbench201", 16, 1, 10, 0.25, 1))


@pytest.fixture
def space(name: str, chain: Space, cell: Space) -> Space:
    return cell if name in ("gdas", "pcdarts", "entrannas", "entrannas_dst") else chain


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


def config_of(name: str) -> SearchConfig:
    own = {"ask_tell": "scratch", "additive": "bn", "pcdarts": "partial"}
    return replace(TINY, searcher=name, evaluator=own.get(name, "shared"))


def searched(name: str, space: Space, data: Dataset, folder: Path, killed_at: tuple[int, ...] = (),
             seed: int = 1, **changes: Any) -> SearchResult:
    folder.mkdir(exist_ok=True)
    config = replace(config_of(name), **changes)
    for when in killed_at:
        def killer(what: str, done: int, total: int, when: int = when) -> None:
            if done == when:
                raise Killed

        with pytest.raises(Killed):
            resumable.run(space, data, config, folder=folder, seed=seed, progress=killer)
    return resumable.run(space, data, config, folder=folder, seed=seed)


def lines(folder: Path) -> list[tuple[Any, ...]]:
    return [(e.phase, e.number, e.choice, e.score) for e in SearchLog(folder / "search.jsonl").entries]


@pytest.mark.parametrize("name", sorted(SEARCHERS.table))
class TestSearchers:
    """What every searcher must do."""

    def test_it_ends_in_a_distribution_that_dpng_solves(self, name: str, space: Space, data: Dataset,
                                                        tmp_path: Path) -> None:
        protect = [1, 4, 0, 3, 2, 1][:len(space.sizes)]
        found = resumable.run(space, data, config_of(name), folder=tmp_path, seed=1, protect=protect)
        law = found.distribution
        assert law.choices == space.sizes
        assert [int(live.sum()) for live in law.live] == [3] * len(space.sizes)
        assert all(live[op] for live, op in zip(law.live, protect, strict=True))
        assert all(abs(effects[live].mean()) < 1e-9 for effects, live in zip(law.effects, law.live, strict=True))
        costs = [[op.flops for op in choice.ops] for choice in space.choices]
        answer = solve(law.utilities("effect"), costs, sum(max(row) for row in costs))
        assert all(mask[op] for op, mask in zip(answer.choice, law.live, strict=True))
        asked = SearchLog(tmp_path / "search.jsonl").asked()
        assert len(asked) == 4
        assert found.best == max(((e.choice, e.score) for e in asked), key=lambda pair: pair[1])
        read = resumable.load(space, data, config_of(name), folder=tmp_path, seed=1)
        assert read.distribution.to_json() == law.to_json()
        assert read.best == found.best

    def test_its_weights_are_where_training_goes_on(self, name: str, space: Space, data: Dataset,
                                                    tmp_path: Path) -> None:
        found = searched(name, space, data, tmp_path)
        arch = space.architecture(found.distribution.mode())
        net = found.evaluator.network(arch)
        fresh = Network(arch, data.mean.tolist(), data.std.tolist()).state_dict()
        assert net.state_dict().keys() == fresh.keys()
        if name != "pcdarts":  # whose networks begin anew
            assert found.evaluator.score(arch.choice) == found.evaluator.fold.score(net)

    def test_the_same_seed_is_the_same_search(self, name: str, space: Space, data: Dataset, tmp_path: Path) -> None:
        first, again, other = (searched(name, space, data, tmp_path / str(i), seed=seed)
                               for i, seed in enumerate((1, 1, 2)))
        assert first.distribution.to_json() == again.distribution.to_json() != other.distribution.to_json()
        assert lines(tmp_path / "0") == lines(tmp_path / "1") != lines(tmp_path / "2")

    def test_killed_and_gone_on_with_is_the_undisturbed_one(self, name: str, space: Space, data: Dataset,
                                                            tmp_path: Path) -> None:
        whole = searched(name, space, data, tmp_path / "whole")
        # After 5 rounds come the scores with the final weights; after a tenth of them those that give the scale.
        stops = {"ask_tell": (1, 3), "additive": (1, 3, 5)}.get(name, (1, 3, 5, 8))
        cut = searched(name, space, data, tmp_path / "cut", stops)
        assert cut.distribution.to_json() == whole.distribution.to_json()
        assert cut.best == whole.best
        assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
        ours, state = load_tensors(tmp_path / "cut" / "search.safetensors")
        theirs, expected = load_tensors(tmp_path / "whole" / "search.safetensors")
        assert state == expected
        assert ours.keys() == theirs.keys()
        assert [k for k in ours if not torch.equal(ours[k], theirs[k])] == []

    def test_other_reducers_are_obeyed(self, name: str, space: Space, data: Dataset, tmp_path: Path) -> None:
        law = searched(name, space, data, tmp_path, reduce="none").distribution
        assert all(live.all() for live in law.live)
        assert all((p > 0).all() for p in law.probabilities)

    def test_what_is_not_its_evaluator_is_refused(self, name: str, space: Space, data: Dataset, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"searcher|evaluator"):
            searched(name, space, data, tmp_path, evaluator="shared" if name == "ask_tell" else "scratch")


@pytest.mark.parametrize("name", [*LEARNING, *OTHERS])
class TestOfLogits:
    """What the searchers do that learn logits themselves."""

    def test_without_final_scores_effects_are_log_probabilities(self, name: str, space: Space, data: Dataset,
                                                                tmp_path: Path) -> None:
        law = searched(name, space, data, tmp_path, settle=0, reduce="none").distribution
        for p, effects, stderr in zip(law.probabilities, law.effects, law.stderr, strict=True):
            assert effects == pytest.approx(np.log(p) - np.log(p).mean())
            assert not stderr.any()
            assert np.ptp(effects) > 0

    def test_the_most_probable_architecture_is_scored_after_every_round(self, name: str, space: Space, data: Dataset,
                                                                        tmp_path: Path) -> None:
        found = searched(name, space, data, tmp_path, settle=0, reduce="none")
        last = SearchLog(tmp_path / "search.jsonl").asked()[-1]
        assert last.choice == found.distribution.mode()
        assert last.score == found.evaluator.score(last.choice)

    def test_a_strategy_beside_it_is_refused(self, name: str, space: Space, data: Dataset, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="asks no strategy"):
            searched(name, space, data, tmp_path, strategy="rea")
        with pytest.raises(UsageError, match="take 'fair'"):
            searched(name, space, data, tmp_path, training="path")

    def test_a_held_out_loss_that_is_no_number_ends_it(self, name: str, space: Space, data: Dataset,
                                                       tmp_path: Path) -> None:
        with pytest.raises(TrainingDiverged, match="lower --lr"):
            searched(name, space, data, tmp_path, train=TrainConfig(batch=32, lr=1e30, clip=1e30))


@pytest.mark.parametrize("name", LEARNING)
class TestByGradients:
    """What only the searchers do that learn by gradients through mixtures."""

    def test_gradients_learn_which_ops_are_worse(self, name: str, space: Space, data: Dataset) -> None:
        """After the warm-up all but one op of the first choice give noise: its probability must rise."""
        data = load("digits").subset(400, 30, seed=0)
        rounds = 20 if name == "proxylessnas" else 4
        config = replace(config_of(name), warmup=5, evaluations=rounds, architecture_lr=0.1)
        setting, warm = EvaluatorSetting(space, as_task(data), config, seed=1), set[int]()
        evaluator = shared_weights(setting)
        tied = [i for i, choice in enumerate(space.choice_of) if choice == 0]
        one = evaluator.supernet.candidates[tied[-1] if name.startswith("entrannas") else tied[0]]  # where it mixes
        plain = one.forward

        def noisy(x: torch.Tensor, index: int) -> torch.Tensor:
            out = plain(x, index)
            return out if index == 3 or 5 not in warm else torch.randn_like(out) * out.std()

        one.forward = noisy  # type: ignore[method-assign]  # in a cell one edge of one cell
        searcher = create_searcher(name, setting)
        strategy = create("random", space.sizes, evaluations=1, seed=0)
        with create_executor("inline", evaluator, space) as executor:
            context = SearchContext(space, strategy, evaluator, executor, create_reducer("none", 3),
                                    progress=lambda what, done, total: warm.add(done))
            law = searcher.run(context, SearchBudget()).distribution
        assert law.probabilities[0].argmax() == 3
        assert law.probabilities[0][3] > 1.2 / space.sizes[0]

    def test_a_state_that_is_broken_changes_nothing(self, name: str, space: Space, data: Dataset) -> None:
        searcher = create_searcher(name, EvaluatorSetting(space, as_task(data), config_of(name)))
        before = searcher.state_dict()
        good = before["logits"]
        for broken in ({}, {"logits": 3}, {"logits": {**good, "rows": [[0.0]]}},
                       {"logits": {**good, "rows": [[float("nan")] * k for k in space.sizes]}},
                       {"logits": {**good, "steps": ["x"] * len(space.sizes)}},
                       {"logits": {**good, "steps": [1] * len(space.sizes)}}):
            with pytest.raises(RunError, match="saved logits"):
                searcher.load_state_dict(broken)
            assert searcher.state_dict() == before
        assert json.loads(json.dumps(before)) == before


@pytest.mark.parametrize("name", ["darts", "proxylessnas"])
def test_sampled_candidates_train_widths_and_a_mixture_does_not(name: str, space: Space, data: Dataset,
                                                                tmp_path: Path) -> None:
    if name == "darts":
        with pytest.raises(UsageError, match="take the searcher proxylessnas"):
            searched(name, space, data, tmp_path, widths=(0.5,))
        return
    found = searched(name, space, data, tmp_path, widths=(0.5,))
    thin = scaled(space, Variant(0.5))
    assert found.evaluator.score(found.best[0], thin) >= 0


def test_one_sampled_candidate_has_no_gradient_in_a_chain(chain: Space, cell: Space, data: Dataset) -> None:
    """The batch norm behind it takes its weight out, so it is refused there; two have one."""
    def largest(space: Space, relaxation: Relaxation) -> float:
        torch.manual_seed(0)
        supernet = Supernet(space, [0.5], [0.25]).double().train()
        rows = [torch.zeros(k, dtype=torch.float64, requires_grad=True) for k in space.sizes]
        mixture = Mixture.of_choices(space, relaxation.weights(rows, np.random.default_rng(3), 0.5))
        out = supernet(torch.rand(16, 1, 16, 16, dtype=torch.float64), mixture)
        loss = torch.nn.functional.cross_entropy(out, torch.arange(16) % 10)
        grads = torch.autograd.grad(loss, rows, allow_unused=True)
        return max(float(grad.abs().max()) for grad in grads if grad is not None)

    assert largest(chain, Sampled()) < 1e-3 * largest(chain, Paired())
    assert largest(cell, Sampled()) > 1e3 * largest(chain, Sampled())
    with pytest.raises(UsageError, match="take the searcher proxylessnas or darts"):
        create_searcher("gdas", EvaluatorSetting(chain, as_task(data), config_of("gdas")))


@pytest.mark.parametrize("relaxation", [Softmax([3, 2]), Sampled(), Paired()], ids=lambda r: type(r).__name__)
def test_relaxations_go_forward_as_networks_and_backward_as_mixtures(relaxation: Relaxation) -> None:
    rows = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in ([2.0, 0.0, -1.0], [0.0, 0.0])]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        weights = relaxation.weights(rows, rng, 0.5)
        values = [{k: float(w.detach()) for k, w in row.items()} for row in weights]  # type: ignore[union-attr]
        assert all(sum(row.values()) == pytest.approx(1) for row in values)
        trained = relaxation.trained(weights)
        if isinstance(trained, list):
            assert all(not w.requires_grad for row in trained for w in row.values())  # type: ignore[union-attr]
            p = torch.softmax(rows[0], 0).tolist()
            assert [values[0][k] for k in range(3)] == pytest.approx(p)
        else:
            assert all(row[k] == pytest.approx(1) for row, k in zip(values, trained, strict=True))
            drawn.append(trained[0])
        (grad,) = torch.autograd.grad(next(iter(weights[0].values())), rows[:1])  # type: ignore[arg-type]
        assert float(grad.abs().max()) > 0
        assert float(grad.sum()) == pytest.approx(0, abs=1e-6)
    if drawn:  # with their probabilities
        shares = np.bincount(drawn, minlength=3) / len(drawn)
        assert shares == pytest.approx(torch.softmax(rows[0].detach(), 0).numpy(), abs=0.06)


def test_unknown_searchers_suggest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'darts'"):
        create_searcher("dart", None)


THEIRS = """
from hwnas.search.executors.inline import Inline
from hwnas.search.roles import Searcher, SearchOutcome

class Backwards(Inline):
    def submit(self, ask):
        self._waiting.appendleft(ask)

class Longest(Searcher):
    def __init__(self, setting):
        self.setting, self.seen = setting, 0

    def run(self, context, budget):
        for ask in context.strategy.ask(3):
            context.executor.submit(ask)
        answers = [context.executor.completed() for _ in range(3)]
        for ask, answer in answers:
            context.strategy.tell(ask.id, answer)
            self.seen += 1
            context.told(ask, answer)
        found = [(ask.choice, answer.value) for ask, answer in answers]
        return SearchOutcome(context.strategy.distribution(), context.strategy.best, found)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]

nothing = 3
"""


def test_searchers_and_executors_of_other_packages(chain: Space, data: Dataset, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"their_searchers_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(THEIRS)
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[hwnas.searchers]\nlongest = {module}:Longest\nbroken = {module}:nothing\n\n"
        f"[hwnas.executors]\nbackwards = {module}:Backwards\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = replace(TINY, searcher="longest", executor="backwards", evaluator="scratch", strategy="random")
    folder = tmp_path / "run"
    folder.mkdir()
    found = resumable.run(chain, data, config, folder=folder, seed=1)
    assert [e.number for e in SearchLog(folder / "search.jsonl").asked()] == [2, 1, 0]
    assert load_tensors(folder / "search.safetensors")[1]["searcher"] == {"seen": 3}
    assert resumable.load(chain, data, config, folder=folder, seed=1).best == found.best
    with pytest.raises(UsageError, match=r"searcher 'broken' gave 3; it must give a hwnas.search.roles.Searcher"):
        create_searcher("broken", None)
