"""Scores that are looked up: of a benchmark, or of an earlier search's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnas.errors import InputError, UsageError
from hwnas.nets import Network
from hwnas.search.effort import Effort
from hwnas.search.evaluators.scratch import fresh_network
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator, NoScore, fold_of
from hwnas.search.log import SearchLog
from hwnas.search.strategy import Choice
from hwnas.space import FULL, Architecture, Space, scaled, variants
from hwnas.train import Workload


class TableEvaluator(NetworkEvaluator):
    """Architectures that are not in the table have no score: their evaluation fails.

    Args:
        setting: of the data that what was found is trained on.
        scores: op indices -> score, larger is better.

    Raises:
        UsageError: a table of nothing.
    """

    def __init__(self, setting: EvaluatorSetting, scores: Mapping[Choice, float]) -> None:
        if not scores:
            raise UsageError("a table of scores needs at least one")
        config, folds = setting.config, setting.folds()
        self.fold, self._scores, self._seed = folds[0], dict(scores), setting.seed
        self._known = [(setting.space, self.fold)] + [
            (scaled(setting.space, v), folds[v.imgsz]) for v in variants(config.widths, config.sizes) if v != FULL]

    def fold_of(self, space: Space) -> Workload:
        return fold_of(space, self._known)

    def score(self, choice: Sequence[int], scaled: Space | None = None) -> float:
        """The score of these ops, whatever the width and the size of `scaled`: the table knows one of each.

        Raises:
            NoScore: the table has none.
        """
        found = self._scores.get(tuple(choice))
        if found is None:
            raise NoScore(f"the table has no score of {list(choice)} among its {len(self._scores)}")
        return found

    def effort(self) -> Effort:
        """Nothing that could be timed."""
        return Effort()

    def network(self, arch: Architecture) -> Network:
        """`arch` with random weights."""
        return fresh_network(arch, self.fold, self._seed)


def table_of_a_log(setting: EvaluatorSetting) -> TableEvaluator:
    """The table that is the log of an earlier search of the same space; of one architecture the last score counts.

    Raises:
        UsageError: no log is named, or it is of another space.
        RunError: it is broken.
    """
    if setting.config.evaluation_table is None:
        raise UsageError("the evaluator table needs a search.jsonl to look scores up: name it (--evaluation-table)")
    path = Path(setting.config.evaluation_table)
    if not path.is_file():
        raise InputError(f"{path} is not there: the evaluator table looks scores up in a search.jsonl")
    scores = {entry.choice: entry.score for entry in SearchLog(path).entries}
    sizes = setting.space.sizes
    for choice in scores:
        if len(choice) != len(sizes) or any(op >= k for op, k in zip(choice, sizes, strict=True)):
            raise UsageError(f"{path} is of another space: {list(choice)} is no architecture of {setting.space.name}")
    return TableEvaluator(setting, scores)
