"""A run for several budgets or targets: one search, and below it a run of its own for every network.

| path                        | what                                                                                 |
|-----------------------------|--------------------------------------------------------------------------------------|
| run.json                    | the configuration with all of them; stages data, profile, reference and search; of   |
|                             | several targets profile is of the first                                              |
| budgets/latency-4ms/        | a whole run with one of them: it began with that search, and can be carried elsewhere |
| targets/jetson-nano/        | the same, where targets differ: with a stage profile of its own, but for the first   |
| report.html, report.json    | all of them in one table                                                             |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.pipeline.commands import shell
from hwnas.pipeline.config.budget import Wanted, folder_names, kind_of, told_of
from hwnas.pipeline.config.compress_config import CompressConfig

BUDGETS, TARGETS = "budgets", "targets"  # folders of the networks, after `hwnas.pipeline.config.budget.kind_of`


@dataclass(frozen=True)
class Branch:
    """One network of a run for several budgets or targets.

    Args:
        path: of its own run, which may not be there yet.
        target: as it was given.
        wanted: its budgets.
        told: what it is asked for, for people, e.g. 'latency 4ms' or 'jetson-nano, latency 50%'.
    """

    path: Path
    target: str
    wanted: Wanted
    told: str

    @property
    def name(self) -> str:
        """Of its folder, e.g. 'latency-4ms'."""
        return self.path.name

    @property
    def kind(self) -> str:
        """What a run is for several of: 'budgets' or 'targets'."""
        return self.path.parent.name

    @property
    def texts(self) -> dict[str, str]:
        """Its budgets as a configuration holds them."""
        return {name: budget.text.strip() for name, budget in self.wanted.items()}


def branches_of(path: Path, config: CompressConfig) -> tuple[Branch, ...]:
    """The networks of a run for several, in the order in which they were asked for; none of another run."""
    networks = config.networks
    if len(networks) < 2:
        return ()
    folder = path / {"targets": TARGETS, "budgets": BUDGETS}[kind_of(networks)]
    return tuple(Branch(folder / name, asked.target, asked.wanted, told)
                 for name, asked, told in zip(folder_names(networks), networks, told_of(networks), strict=True))


def one_of(path: Path, branches: tuple[Branch, ...]) -> str:
    """Why a run for several has no network itself, and where those are that are made."""
    made = [branch.path for branch in branches if (branch.path / "model.onnx").is_file()]
    places = " or ".join(map(shell, made)) or f"below {shell(branches[0].path.parent)}, once they are made"
    return f"{path} is a run for {len(branches)} {branches[0].kind} with a network for each: name one of them, {places}"
