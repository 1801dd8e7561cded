"""A run for several budgets: one search, and below `budgets/` a run of its own for every network.

| path                        | what                                                                                 |
|-----------------------------|--------------------------------------------------------------------------------------|
| run.json                    | the configuration with all budgets; stages data, profile, reference and search       |
| budgets/latency-4ms/        | a whole run with one of them: it began with that search, and can be carried elsewhere |
| report.html, report.json    | all of them in one table                                                             |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.pipeline.commands import shell
from hwnas.pipeline.config.budget import Wanted, folder_names, in_words
from hwnas.pipeline.config.compress_config import CompressConfig

FOLDER = "budgets"


@dataclass(frozen=True)
class Branch:
    """One network of a run for several budgets.

    Args:
        path: of its own run, which may not be there yet.
        wanted: its budgets.
    """

    path: Path
    wanted: Wanted

    @property
    def name(self) -> str:
        """Of its folder, e.g. 'latency-4ms'."""
        return self.path.name

    @property
    def told(self) -> str:
        """Its budgets for people, e.g. 'latency 4ms'."""
        return in_words(self.wanted)

    @property
    def texts(self) -> dict[str, str]:
        """Its budgets as a configuration holds them."""
        return {name: budget.text.strip() for name, budget in self.wanted.items()}


def branches_of(path: Path, config: CompressConfig) -> tuple[Branch, ...]:
    """The networks of a run for several budgets, in the order in which they were asked for; none of another run."""
    networks = config.networks
    if len(networks) < 2:
        return ()
    return tuple(Branch(path / FOLDER / name, wanted)
                 for name, wanted in zip(folder_names(networks), networks, strict=True))


def one_of(path: Path, branches: tuple[Branch, ...]) -> str:
    """Why a run for several budgets has no network itself, and where those are that are made."""
    made = [branch.path for branch in branches if (branch.path / "model.onnx").is_file()]
    places = " or ".join(shell(place) for place in made) or f"below {shell(path / FOLDER)}, once they are made"
    return f"{path} is a run for {len(branches)} budgets with a network for each: name one of them, {places}"
