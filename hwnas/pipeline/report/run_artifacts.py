"""What the stages of a finished run left behind, read and checked: what a report is written from."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.documents import read_json
from hwnas.generate import Front
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.pipeline.run.result_parts import LaneResult
from hwnas.pipeline.run.results import (
    DataResult,
    ExportResult,
    FinetuneResult,
    GenerateResult,
    ReferenceResult,
    SearchResult,
)
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.precision_solver import solver_of
from hwnas.search.log import SearchLog
from hwnas.space import Architecture

NEEDED = STAGES[:-1]  # all but the report itself


@dataclass(frozen=True)
class RunArtifacts:
    """What the stages of a run left behind.

    Args:
        run: the folder.
        solver: space, distribution and latency model.
        front: latency in ns against the sum of effects.
        log: every evaluation of the search.
        data, lane, searched, generated, exported, reference_training, training: what the stages found.
    """

    run: RunFolder
    solver: ArchitectureSolver
    front: Front
    log: SearchLog
    data: DataResult
    lane: LaneResult
    searched: SearchResult
    generated: GenerateResult
    exported: ExportResult
    reference_training: ReferenceResult
    training: FinetuneResult

    @classmethod
    def of_run(cls, run: RunFolder) -> RunArtifacts:
        """Read a run and check its files against their hashes.

        Raises:
            RunError: a stage is not finished, or a file is missing or was changed.
            InputError: a file holds architectures of another space.
        """
        for stage in NEEDED:
            run.result(stage)  # raises where it is not finished
            run.done(stage)
        found = cls(run, solver_of(run), Front.from_json(read_json(run.path / "front.json")),
                    SearchLog(run.path / "search.jsonl"), run.found(DataResult), run.lane(), run.found(SearchResult),
                    run.found(GenerateResult), run.found(ExportResult), run.found(ReferenceResult),
                    run.found(FinetuneResult))
        space = found.solver.space
        for point in (*found.front, *found.log.entries):
            space.architecture(point.choice)  # every choice of another file is one of the space
        return found

    @property
    def reference(self) -> Architecture:
        return self.solver.reference

    @property
    def chosen(self) -> Architecture:
        return self.solver.space.architecture(self.generated.choice)

    def predicted_score(self, arch: Architecture) -> float:
        """Baseline plus the effects of the ops, percent; a ranking more than a forecast: it can exceed 100."""
        return self.solver.knowing(arch).answer(arch.choice).predicted_score
