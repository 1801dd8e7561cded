"""A search with shared weights, killed wherever it can be and gone on with, is the undisturbed one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.data import Dataset, load
from hwnas.errors import RunError, UsageError
from hwnas.nets import Network, Supernet
from hwnas.search import resumable
from hwnas.search.config import SearchConfig
from hwnas.search.distribution import Distribution
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import SearchLog
from hwnas.search.resumable import SearchResult
from hwnas.space import Space, SpaceConfig, Variant, build, scaled
from hwnas.train import Task, TrainConfig, as_task, fit
from hwnas.train.checkpoint import load_tensors

FAIR = SearchConfig(warmup=2, epochs_per_evaluation=0.5, cycles=1, keep=5, settle=8,
                    train=TrainConfig(batch=32, lr=0.05))
PATH = replace(FAIR, training="path", warmup=0)
CONFIGS = {"fair": FAIR, "path": PATH}
SETTLED = 100  # and more: so many evaluations after the last round
ROUNDS = {"fair": 15, "path": 13}  # 7 + 6 evaluations, and two of warm-up


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


class Killer:
    """Progress that raises when `what` reaches `when`."""

    def __init__(self, what: str, when: int) -> None:
        self.what, self.when = what, when

    def __call__(self, what: str, done: int, total: int) -> None:
        if (what, done) == (self.what, self.when):
            raise Killed


@dataclass
class Undisturbed:
    """A finished search and its folder."""

    folder: Path
    result: SearchResult

    @property
    def weights(self) -> dict[str, Tensor]:
        return dict(self.result.supernet.named_parameters())


@pytest.fixture(scope="module")
def space() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(100, 40, seed=0)


@pytest.fixture(scope="module", params=["fair", "path"])
def training(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(space: Space, data: Dataset, training: str, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("whole")
    return Undisturbed(folder, resumable.run(space, data, CONFIGS[training], folder=folder, seed=3))


def logged(folder: Path) -> list[tuple[str, int, tuple[int, ...], float]]:
    return [(e.phase, e.number, e.choice, e.score) for e in SearchLog(folder / "search.jsonl").entries]


def assert_same(found: SearchResult, folder: Path, whole: Undisturbed) -> None:
    """Log, result, checkpoint and the parameters in memory, bit for bit."""
    assert logged(folder) == logged(whole.folder)
    assert (folder / "distribution.json").read_bytes() == (whole.folder / "distribution.json").read_bytes()
    assert found.best == whole.result.best
    ours, state = load_tensors(folder / "search.safetensors")
    theirs, expected = load_tensors(whole.folder / "search.safetensors")
    assert ours.keys() == theirs.keys()
    assert [k for k in ours if not torch.equal(ours[k], theirs[k])] == []
    assert state == expected
    weights = dict(found.supernet.named_parameters())
    assert [k for k, v in weights.items() if not torch.equal(v, whole.weights[k])] == []


def test_the_log_holds_every_evaluation_in_order(whole: Undisturbed, training: str, space: Space) -> None:
    log = SearchLog(whole.folder / "search.jsonl")
    assert [e.number for e in log.of("train")] == list(range(13))
    assert [e.number for e in log.of("settle")] == list(range(8))
    assert all(0 <= e.score <= 100 and e.seconds > 0 for e in log.entries)
    assert load_tensors(whole.folder / "search.safetensors")[1]["ticks"] == ROUNDS[training]
    best = max(log.of("train"), key=lambda e: e.score)
    assert whole.result.best == (best.choice, best.score)
    first_cycle = np.array([e.choice for e in log.of("train")[:7]])
    assert all(sorted(column) == list(range(7)) for column in first_cycle.T)
    space.architecture(best.choice)


def test_the_distribution_keeps_what_it_should(whole: Undisturbed, space: Space) -> None:
    found = Distribution.from_json(json.loads((whole.folder / "distribution.json").read_bytes()))
    assert [int(live.sum()) for live in found.live] == [5] * len(space.sizes)
    assert all(live[i] for live, i in zip(found.live, space.smallest().choice, strict=True))
    assert found.choices == space.sizes
    settled = SearchLog(whole.folder / "search.jsonl").of("settle")
    assert all(live[op] for e in settled for live, op in zip(found.live, e.choice, strict=True))
    assert any(row.any() for row in found.stderr)


@pytest.mark.parametrize("when", [1, 3, SETTLED, SETTLED + 5, SETTLED + 8])
def test_killed_and_resumed_is_the_undisturbed_run(
    whole: Undisturbed, training: str, space: Space, data: Dataset, tmp_path: Path, when: int
) -> None:
    config = CONFIGS[training]
    killer = Killer("search", when if when < SETTLED else ROUNDS[training] + when - SETTLED)
    with pytest.raises(Killed):
        resumable.run(space, data, config, folder=tmp_path, seed=3, progress=killer)
    assert not (tmp_path / "distribution.json").exists()
    found = resumable.run(space, data, config, folder=tmp_path, seed=3)
    assert_same(found, tmp_path, whole)


@pytest.mark.parametrize("call", [1, 9])
def test_killed_between_the_log_and_the_checkpoint(
    whole: Undisturbed, training: str, space: Space, data: Dataset, tmp_path: Path, call: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log is then one evaluation ahead of the weights; it is dropped and made again."""
    save, calls = resumable.save_tensors, iter(range(1, 100))

    def dying(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        if next(calls) == call:
            raise Killed
        save(path, tensors, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(resumable, "save_tensors", dying)
        with pytest.raises(Killed):
            resumable.run(space, data, CONFIGS[training], folder=tmp_path, seed=3)
    with (tmp_path / "search.jsonl").open("ab") as file:
        file.write(b'{"phase": "tra')
    assert_same(resumable.run(space, data, CONFIGS[training], folder=tmp_path, seed=3), tmp_path, whole)


def test_killed_again_and_again(whole: Undisturbed, training: str, space: Space, data: Dataset, tmp_path: Path) -> None:
    last = ROUNDS[training]
    for stop in (2, 5, 6, last, last + 2, last + 7):
        with pytest.raises(Killed):
            resumable.run(space, data, CONFIGS[training], folder=tmp_path, seed=3,
                               progress=Killer("search", stop))
        if stop > last:
            with (tmp_path / "search.jsonl").open("ab") as file:
                file.write(b'{"phase": "settle", "number"')
    assert_same(resumable.run(space, data, CONFIGS[training], folder=tmp_path, seed=3), tmp_path, whole)


def test_running_a_finished_search_again_changes_nothing(
    whole: Undisturbed, training: str, space: Space, data: Dataset
) -> None:
    before = logged(whole.folder)
    found = resumable.run(space, data, CONFIGS[training], folder=whole.folder, seed=3)
    assert logged(whole.folder) == before
    assert_same(found, whole.folder, whole)


def test_a_finished_search_is_loaded_as_it_was_returned(
    whole: Undisturbed, training: str, space: Space, data: Dataset
) -> None:
    found = resumable.load(space, data, CONFIGS[training], folder=whole.folder, seed=3)
    assert found.best == whole.result.best
    assert found.distribution.to_json() == whole.result.distribution.to_json()
    for name, parameter in found.supernet.named_parameters():
        assert torch.equal(parameter, whole.weights[name])
    choice, score = whole.result.best
    assert found.evaluator.score(choice) == whole.result.evaluator.score(choice)
    assert 0 <= score <= 100


def test_weights_handed_on_do_not_depend_on_where_the_search_was_cut(
    space: Space, data: Dataset, tmp_path: Path
) -> None:
    """Networks start from these weights, batch-norm statistics included: they must be the same after a resume."""
    found = {}
    for name, stops in {"whole": [], "resumed": [("search", ROUNDS["fair"] + 5)]}.items():
        for stop in stops:
            with pytest.raises(Killed):
                resumable.run(space, data, FAIR, folder=tmp_path / name, seed=3, progress=Killer(*stop))
        found[name] = resumable.run(space, data, FAIR, folder=tmp_path / name, seed=3).supernet.state_dict()
    found["loaded"] = resumable.load(space, data, FAIR, folder=tmp_path / "whole", seed=3).supernet.state_dict()
    for name in ("resumed", "loaded"):
        differing = [k for k, v in found[name].items() if not torch.equal(v, found["whole"][k])]
        assert differing == [], f"{name}: {len(differing)} tensors differ, e.g. {differing[0]}"


def test_another_seed_is_another_search(whole: Undisturbed, training: str, space: Space, data: Dataset,
                                        tmp_path: Path) -> None:
    resumable.run(space, data, CONFIGS[training], folder=tmp_path, seed=4)
    assert logged(tmp_path) != logged(whole.folder)


def begun(space: Space, data: Dataset, folder: Path) -> None:
    with pytest.raises(Killed):
        resumable.run(space, data, FAIR, folder=folder, seed=3, progress=Killer("search", 4))


def test_a_checkpoint_of_another_space_is_refused(space: Space, data: Dataset, tmp_path: Path) -> None:
    begun(space, data, tmp_path)
    wider = build(replace(space.config, width_mult=0.5))
    with pytest.raises(RunError, match="belongs to another search"):
        resumable.run(wider, data, FAIR, folder=tmp_path, seed=3)


@pytest.mark.parametrize("changes", [
    {"cycles": 2}, {"keep": 4}, {"mode": "corrected"}, {"ridge": 1.0}, {"seed": 4}, {"warmup": 5},
    {"epochs_per_evaluation": 2.0}, {"holdout": 0.5}, {"training": "path"}, {"train": TrainConfig(batch=16, lr=0.2)},
], ids=str)
def test_a_checkpoint_of_another_configuration_is_refused(
    space: Space, data: Dataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """`run` promises RunError where the files in the folder belong to another search."""
    begun(space, data, tmp_path)
    other = {"seed": 3, **changes}
    seed = other.pop("seed")
    with pytest.raises(RunError):
        resumable.run(space, data, replace(FAIR, **other), folder=tmp_path, seed=seed)


def test_a_checkpoint_made_on_other_data_is_refused(space: Space, data: Dataset, tmp_path: Path) -> None:
    begun(space, data, tmp_path)
    other = load("digits").subset(100, 40, seed=1)
    assert other.fingerprint != data.fingerprint
    with pytest.raises(RunError):
        resumable.run(space, other, FAIR, folder=tmp_path, seed=3)


def test_a_checkpoint_of_a_training_run_is_refused(space: Space, data: Dataset, tmp_path: Path) -> None:
    net = Network(space.smallest(), data.mean.tolist(), data.std.tolist())
    fit(net, data, TrainConfig(epochs=1), seed=0, checkpoint=tmp_path / "search.safetensors")
    with pytest.raises(RunError):
        resumable.run(space, data, FAIR, folder=tmp_path, seed=3)


@pytest.mark.parametrize("file", ["search.safetensors", "distribution.json", "search.jsonl"])
def test_an_incomplete_or_damaged_folder_is_not_loaded(
    space: Space, data: Dataset, tmp_path: Path, file: str
) -> None:
    resumable.run(space, data, FAIR, folder=tmp_path, seed=3)
    content = (tmp_path / file).read_bytes()
    for broken in (content[: len(content) // 2] if file != "search.jsonl" else b"{}\n", b"", None):
        (tmp_path / file).unlink(missing_ok=True)
        if broken is not None:
            (tmp_path / file).write_bytes(broken)
        with pytest.raises(RunError):
            resumable.load(space, data, FAIR, folder=tmp_path, seed=3)


def test_a_folder_of_another_space_is_not_loaded(space: Space, data: Dataset, tmp_path: Path) -> None:
    resumable.run(space, data, FAIR, folder=tmp_path, seed=3)
    with pytest.raises(RunError, match="finished search of mobile"):
        resumable.load(build(replace(space.config, width_mult=0.5)), data, FAIR, folder=tmp_path, seed=3)


def test_without_settling_the_strategys_own_effects_are_the_result(
    space: Space, data: Dataset, tmp_path: Path
) -> None:
    found = resumable.run(space, data, replace(FAIR, settle=0), folder=tmp_path, seed=3)
    assert SearchLog(tmp_path / "search.jsonl").of("settle") == []
    assert len(found.distribution.live) == len(space.sizes)


def test_protected_ops_survive(space: Space, data: Dataset, tmp_path: Path) -> None:
    protect = [2] * len(space.sizes)
    found = resumable.run(space, data, replace(FAIR, keep=1, settle=2), folder=tmp_path, seed=3, protect=protect)
    assert [np.flatnonzero(live).tolist() for live in found.distribution.live] == [[2]] * len(space.sizes)


@pytest.mark.parametrize(("holdout", "expected"), [(0.2, 20), (0.0, 1), (0.001, 1), (1.0, 99), (0.5, 50)])
def test_a_fold_is_disjoint_complete_and_never_touches_validation(data: Dataset, holdout: float, expected: int) -> None:
    marked = replace(data, train_images=np.ascontiguousarray(data.train_images.copy()))
    marked.train_images[:, 0, 0, 0] = np.arange(100)
    fold = as_task(marked).fold(holdout, seed=1)
    numbers = [images[:, 0, 0, 0].tolist() for images in (fold.train_images, fold.val_images)]
    assert sorted(numbers[0] + numbers[1]) == list(range(100))
    assert len(numbers[1]) == expected
    labels = [label for _, batch in fold.epoch(100, np.random.default_rng(0)) for label in batch.tolist()]
    assert not labels or sorted(labels) == sorted(marked.train_labels[numbers[0]].tolist())
    assert np.array_equal(fold.metric.labels, marked.train_labels[numbers[1]])
    assert numbers[1] != as_task(marked).fold(holdout, seed=2).val_images[:, 0, 0, 0].tolist()


def evaluator(space: Space, data: Dataset, fold: Task, batch: int = 32) -> SupernetEvaluator:
    torch.manual_seed(0)
    supernet = Supernet(space, data.mean.tolist(), data.std.tolist())
    return SupernetEvaluator(supernet, fold, TrainConfig(batch=batch), seed=0)


def test_scoring_depends_on_weights_and_architecture_only(space: Space, data: Dataset) -> None:
    judge = evaluator(space, data, as_task(data).fold(0.2, 0))
    choices = [[0, 0, 0], [5, 5, 5], [3, 1, 4]]
    alone = [judge.score(c) for c in choices]
    assert [judge.score(c) for c in reversed(choices)] == alone[::-1]
    weights = {k: v.clone() for k, v in judge.supernet.named_parameters()}
    judge.score(choices[0])
    assert all(torch.equal(v, weights[k]) for k, v in judge.supernet.named_parameters())


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_training_takes_the_steps_it_was_given(space: Space, data: Dataset, steps: int) -> None:
    judge = evaluator(space, data, as_task(data).fold(0.2, 0))
    paths = iter([[0, 0, 0]] * 20)
    judge.train(paths, 0, steps, [0.01] * steps)
    assert len(list(paths)) == 20 - steps
    assert judge.steps_per_epoch == 3


@pytest.fixture(scope="module")
def halved(data: Dataset) -> Task:
    """The same images, every second row and column of them."""
    every = (slice(None), slice(None, None, 2), slice(None, None, 2))
    return as_task(replace(data, train_images=np.ascontiguousarray(data.train_images[every]),
                           val_images=np.ascontiguousarray(data.val_images[every])))


def test_a_variant_for_smaller_images_is_trained_and_judged_on_these(space: Space, data: Dataset, halved: Task) -> None:
    small, fold = scaled(space, Variant(1.0, 8)), halved.fold(0.2, 0)
    judge = evaluator(space, data, as_task(data).fold(0.2, 0))
    judge.variants = ((small, fold),)
    before = {k: v.detach().clone() for k, v in judge.supernet.named_parameters()}
    judge.train(iter([[1, 1, 1]] * 5), 0, 5, [0.01] * 5)
    assert any(not torch.equal(v, before[k]) for k, v in judge.supernet.named_parameters())
    assert judge.fold_of(small) is fold
    assert judge.fold_of(space) is judge.fold
    choice = [1, 1, 1]
    assert judge.score(choice, small) == fold.score(judge.network(small.architecture(choice)))
    with pytest.raises(UsageError, match=r"no images of .*--sizes"):
        judge.fold_of(build(SpaceConfig("mobile", 12, 1, 10, 0.25, 1)))


def test_a_search_with_sizes_that_was_killed_is_the_undisturbed_one(space: Space, data: Dataset, halved: Task,
                                                                    tmp_path: Path) -> None:
    config = replace(FAIR, widths=(0.5,), sizes=(8,))
    whole = resumable.run(space, data, config, folder=_made(tmp_path / "whole"), smaller={8: halved})
    cut = _made(tmp_path / "cut")
    with pytest.raises(Killed):
        resumable.run(space, data, config, folder=cut, smaller={8: halved}, progress=Killer("search", 6))
    again = resumable.run(space, data, config, folder=cut, smaller={8: halved})
    assert again.best == whole.best
    weights = dict(whole.supernet.named_parameters())
    assert all(torch.equal(v, weights[k]) for k, v in again.supernet.named_parameters())
    with pytest.raises(RunError, match="belongs to another search"):
        resumable.run(space, data, replace(config, sizes=()), folder=cut)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.timeout(60)
def test_training_on_a_single_image_ends(space: Space, data: Dataset) -> None:
    """An epoch of one image has no batch (batch norm needs two): the loop must notice."""
    fold = as_task(data).taken(np.arange(1), np.arange(1, 3))
    judge = evaluator(space, data, fold)
    try:
        judge.train(iter([[0, 0, 0]] * 5), 0, 1, [0.01])
    except Exception as err:
        assert "image" in str(err)  # noqa: PT017 - either answer is right, hanging is not
