"""MIGO: the law after every pruning, by asking and telling the strategy again what search.jsonl holds."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hwnas.pipeline import RunFolder
from hwnas.search import Distribution, Strategy, create
from hwnas.search.log import SearchLog
from hwnas.search.strategy import Score
from hwnas.space import Space, SpaceConfig, build


def draw(run: RunFolder) -> Any:
    """A figure of one panel a moment."""
    space = build(SpaceConfig.from_json(run.result("data")["space"]))
    moments = _moments(run, space)
    figure, panels = plt.subplots(1, len(moments), figsize=(8.6, 2.5), sharey=True)
    for ax, (told, law) in zip(panels, moments, strict=True):
        image = ax.imshow(_grid(law), cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
        for row, mask in enumerate(law.live):
            for column in np.flatnonzero(~np.asarray(mask)):
                ax.plot(column, row, "x", color="0.75", markersize=4)
        ax.set_title(f"{told} evaluations" if told else "before")
        ax.set_xticks(range(len(law.live[0])), [op.label for op in space.choices[1].ops], rotation=90, fontsize=7)
    panels[0].set_ylabel("choice")
    panels[0].set_yticks(range(len(space.choices)), range(1, len(space.choices) + 1))
    figure.colorbar(image, ax=panels, label="probability", fraction=0.02, pad=0.02)
    return figure


def _moments(run: RunFolder, space: Space) -> list[tuple[int, Distribution]]:
    """The law at the start and after every pruning, each with the number of scores told until then."""
    asked, log = run.state.config.search, SearchLog(run.path / "search.jsonl").of("train")
    strategy: Strategy = create("migo", space.sizes, mode=asked.mode, s=asked.cycles, keep=asked.keep,
                                protect=list(space.smallest().choice), seed=run.state.config.seed)
    moments, live = [(0, strategy.distribution())], max(space.sizes)
    for told, evaluation in enumerate(log, 1):
        (ask,) = strategy.ask(1)
        assert ask.choice == evaluation.choice, "the log is of another search"
        strategy.tell(ask.id, Score(evaluation.score))
        law = strategy.distribution()
        if (left := max(int(np.sum(mask)) for mask in law.live)) < live:
            moments.append((told, law))
            live = left
    return moments


def _grid(law: Distribution) -> np.ndarray:
    grid = np.full((len(law.live), max(law.choices)), np.nan)
    for row, (p, mask) in enumerate(zip(law.probabilities, law.live, strict=True)):
        grid[row, : len(p)] = np.where(mask, p, np.nan)
    return grid

