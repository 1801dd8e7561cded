"""What most tests do with a strategy: one architecture after the other is asked for and told."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.search.strategy import Choice, Score, Strategy


def following(strategy: Strategy) -> Choice:
    """The oldest architecture that is out; where none is, the next one."""
    return (strategy.pending or strategy.ask(1))[0].choice


def answer(strategy: Strategy, choice: Sequence[int], score: float) -> None:
    """Tell the score of an architecture that is out."""
    (ask, *_) = [ask for ask in strategy.pending if ask.choice == tuple(choice)]
    strategy.tell(ask.id, Score(score))
