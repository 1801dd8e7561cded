"""What a dry run counts: epochs and scores of every searcher and evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwnas.data import load
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.context import search_config_of
from hwnas.pipeline.duration import Probe, Timed, choosing_effort, search_effort, trial_effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator, shared_weights
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task

PLAIN = {"warmup": 4, "epochs_per_evaluation": 0.5, "settle": 20, "top": 3, "finalists": 2, "trial_epochs": 5,
         "evaluations": 10}
CHOOSING, TRIALS, NETWORKS = 6, 10, 3


@pytest.fixture(scope="module")
def space() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


@pytest.fixture(scope="module")
def shared(space: Space) -> SupernetEvaluator:
    return shared_weights(_setting(CompressConfig(), space))


def _setting(config: CompressConfig, space: Space) -> EvaluatorSetting:
    task = as_task(load("digits").subset(60, 20, seed=0))
    return EvaluatorSetting(space, task, search_config_of(config, space, TrainConfig(batch=32)))


def _trained_again(options: dict[str, Any]) -> int:
    """Epochs of the evaluator scratch where what was found is scored once more, and its weights are wanted."""
    return options.get("evaluation_epochs", 1) * (CHOOSING + NETWORKS) if options.get("evaluator") == "scratch" else 0


@pytest.mark.parametrize(("options", "epochs", "scores"), [
    ({}, 4 + 10 * 0.5 + TRIALS, 10 + 20 + CHOOSING),
    ({"evaluations": None, "cycles": 1, "keep": 5}, 4 + 13 * 0.5 + TRIALS, 13 + 20 + CHOOSING),
    ({"evaluations": None, "training": "path", "cycles": 1, "keep": 5}, 13 + TRIALS, 13 + 20 + CHOOSING),
    ({"widths": "0.5"}, 2 * (4 + 10 * 0.5) + TRIALS, 10 + 20 + CHOOSING),
    ({"searcher": "proxylessnas"}, 4 + 10 * 0.5 * 3 + TRIALS, 10 + 20 + CHOOSING),
    ({"searcher": "darts"}, 4 + 10 * 0.5 * 14 + TRIALS, 10 + 20 + CHOOSING),
    ({"evaluator": "scratch", "evaluation_epochs": 2}, 2 * (10 + CHOOSING + NETWORKS) + TRIALS, 10 + CHOOSING),
    ({"evaluator": "scratch", "evaluation_epochs": 2, "search_workers": 2},
     2 * (5 + CHOOSING + NETWORKS) + TRIALS, 5 + CHOOSING),
    ({"evaluator": "scratch", "search_workers": 2, "executor": "inline"}, 10 + CHOOSING + NETWORKS + TRIALS,
     10 + CHOOSING),
    ({"evaluator": "scratch", "search_workers": 100}, 2.5 + CHOOSING + NETWORKS + TRIALS, 2.5 + CHOOSING),
    ({"evaluator": "table"}, TRIALS, 0),
    ({"reduce": "angle"}, 4 + 2 * 2 + 10 * 0.5 + TRIALS, 10 + 20 + CHOOSING),
    ({"reduce": "classes"}, 4 + 2 * 2 + 10 * 0.5 + TRIALS, 3 * 40 + 10 + 20 + CHOOSING),
], ids=str)
def test_what_a_search_takes(options: dict[str, Any], epochs: float, scores: float, space: Space,
                             shared: SupernetEvaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    if options.get("evaluator") == "table":
        log = tmp_path / "search.jsonl"
        log.write_text('{"phase": "alone", "number": 0, "choice": [0, 0, 0], "score": 1, "seconds": 0}\n')
        options = options | {"evaluation_table": str(log)}
    config = CompressConfig(**(PLAIN | options))
    setting = _setting(config, space)
    choosing = choosing_effort(config, setting, shared) + trial_effort(config)
    found = search_effort(config, setting, shared) + choosing
    assert (found.epochs, found.scores) == (pytest.approx(epochs), pytest.approx(scores))
    assert choosing.epochs == pytest.approx(TRIALS + _trained_again(options))


def test_a_search_that_is_taken_over_takes_no_time(space: Space, shared: SupernetEvaluator) -> None:
    config = CompressConfig(**PLAIN)
    setting, timed = _setting(config, space), Timed(path_s=0.01, reference_s=0.02, score_s=0.001)
    probe = Probe(timed, timed, 1, shared, setting, 0)
    reference = 0.02 * setting.task.steps(32) * config.train.epochs
    search = timed.of(search_effort(config, setting, shared), shared.steps_per_epoch)
    rest = probe.seconds(config, 2, searched=True)
    assert rest > 0
    assert probe.seconds(config, 2) - rest == pytest.approx(reference + search)
