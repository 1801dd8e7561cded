"""The architecture that is made: solve the budgets, time the best candidates, score those that hold, try the finalists.

With one precision and one variant that is all. With several (`--precision auto`, `--widths`, `--sizes`) each kind
proposes its own candidates for the same budget in milliseconds; all are timed in one interleaved run with the fp32
reference, and one that is slower than the same network in fp32 is out. What a precision costs in points is measured,
not assumed: on the reference for ranking, and on every finalist, quantised after its trial as it would ship. What a
width or an input size costs is measured as well: in the scores with shared weights, and in the trials, to which each
sends its best.

Where the device is not at hand nothing is timed: predictions decide alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from hwnas.export import Loss
from hwnas.files import write_json
from hwnas.latency.correction import Correction
from hwnas.pipeline.config.budget import cost_of
from hwnas.pipeline.run.result_parts import CandidateResult, CorrectionResult, TimedResult
from hwnas.pipeline.run.results import GenerateResult, ProfileResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import FP32, Candidate, Configuration, Key, Selection
from hwnas.pipeline.selection.devices_solver import DevicesSolver
from hwnas.pipeline.selection.fitting import CandidateFitting
from hwnas.pipeline.selection.one_model import agreed, for_all, tightened
from hwnas.pipeline.selection.precision_solver import as_precision, mixed_models, solvers_in
from hwnas.pipeline.selection.quantization_loss import loss_of
from hwnas.pipeline.selection.sensitivity import FILE as SENSITIVITY
from hwnas.pipeline.selection.sensitivity_trials import measured_sensitivity
from hwnas.pipeline.selection.trials import Trials
from hwnas.search.evaluators.setting import NoScore
from hwnas.space import FULL, Variant
from hwnas.target import MIXED, NetworkPrecision
from hwnas.tasks.chance import Z95

if TYPE_CHECKING:
    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext
    from hwnas.train import Workload


class ModelSelector:
    """Chooses for one run; writes front.json and architecture.json.

    Args:
        context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context, self._run = context, context.run
        refused = self._run.state.refused
        self._solvers = {Configuration(p, variant): solver for p in context.targets if p not in refused
                         for variant, solver in ArchitectureSolver.all_of_run(self._run, p).items()}
        profiled = self._run.found(ProfileResult)
        self._mixed_out, self._sensitivity = profiled.mixed_out, None if not profiled.mixed else SENSITIVITY
        if profiled.mixed:
            known = next(iter(mixed_models(self._run).values())).precisions
            measured_sensitivity(context, [p for p in known if p != FP32])
        if profiled.mixed and MIXED not in refused:
            self._solvers |= {Configuration(MIXED, variant): solver
                              for variant, solver in solvers_in(self._run, MIXED).items()}
        self._scores: dict[Key, float] = {}
        self._solvers = for_all(context, self._solvers)
        self._agreed = agreed(context)

    @property
    def _competing(self) -> bool:
        """Whether several precisions do."""
        return len({kind.precision for kind in self._solvers}) > 1

    def choose(self) -> GenerateResult:
        """The winner, and what it was chosen from."""
        fitting = self._fitting()
        losses = self._reference_losses()
        ranked = self._ranked(fitting.candidates, losses)
        finalists = self._finalists([c for _, c in ranked])
        trials = self._trials(finalists)
        winner = finalists[trials.index(max(trials))]
        score = self._scores[winner.network]
        solver = self._solvers[winner.kind]
        write_json(self._run.path / "front.json", solver.front().to_json())
        write_json(self._run.path / "architecture.json", winner.answer.architecture.to_json())
        reached = dict(zip(((c.precision, c.network) for c in finalists), trials, strict=True))
        predicted = solver.predicted(winner.answer)
        return GenerateResult(
            choice=list(winner.choice), variant=winner.kind.variant.key, precision=winner.precision,
            bounds={name: bound for name, bound in fitting.bounds[winner.kind].items() if name == cost_of(name)},
            limits={n: limit.text() for n, limit in solver.limits(self._context.budgets).items()},
            tighten=fitting.tighten[winner.kind], predicted_score=winner.answer.predicted_score,
            shared_weights_score=score, predicted=winner.answer.costs, latency_source=solver.latency.source,
            predicted_low_ms=predicted.low_ms, predicted_high_ms=predicted.high_ms,
            correction=self._correction(winner, fitting),
            measured_ms=TimedResult.of(winner.timing),
            reference_measured_ms=TimedResult.of(fitting.references.get(FP32)),
            references_ms={p: TimedResult.of(m) for p, m in fitting.references.items()},
            losses={p: loss.drop for p, loss in losses.items()},
            out={str(kind): why for kind, why in fitting.notes.items()}
            | dict.fromkeys(self._run.state.refused, "refused after export")
            | ({MIXED: self._mixed_out} if self._mixed_out else {}),
            precisions={position: as_precision(p) for position, p in (winner.precisions or {}).items()},
            sensitivity=self._sensitivity, rooms=self._rooms(winner),
            agreed=tightened([self._run, *self._context.together]) if self._context.together else {},
            close=self._close(trials),
            candidates=[self._told(c, reached.get((c.precision, c.network))) for _, c in ranked],
        )

    def _fitting(self) -> Selection:
        """What measures within the budgets; where another target's run chose for all, that alone."""
        fitting = CandidateFitting(self._context, self._solvers)
        if self._agreed is None:
            return fitting.within_budgets()
        choice, variant = tuple(self._agreed.choice), Variant.read(self._agreed.variant)
        kind = next(kind for kind in self._solvers if kind.variant == variant)
        self._scores[variant, choice] = self._agreed.shared_weights_score or 0.0
        return fitting.of_one(Candidate(kind, self._solvers[kind].answer(choice)))

    def _correction(self, winner: Candidate, fitting: Selection) -> CorrectionResult | None:
        """What other candidates, which were timed, say of the winner's prediction; None where too few were."""
        fixed, now = self._run.state.reference, fitting.references.get(FP32)
        moved = math.log(now.median_ms / fixed.latency_ms) if now and fixed and now.median_ms > 0 else 0.0
        found = Correction.of([c.ratio for c in fitting.timed.get(winner.kind, []) if c is not winner], moved)
        return None if found is None else CorrectionResult.model_validate(asdict(found))

    def _rooms(self, c: Candidate) -> dict[str, float]:
        """Of one network for several targets."""
        solver = self._solvers[c.kind]
        return solver.rooms(c.choice) if isinstance(solver, DevicesSolver) else {}

    def _told(self, c: Candidate, trial: float | None) -> CandidateResult:
        return CandidateResult(
            choice=list(c.choice), variant=c.kind.variant.key, precision=c.precision,
            predicted_score=c.answer.predicted_score, score=self._scores[c.network],
            predicted_ms=c.answer.costs["latency"] / 1e6, measured_ms=c.timing.median_ms if c.timing else None,
            fp32_ms=c.fp32_timing.median_ms if c.fp32_timing else None, trial=trial,
            lowered=None if c.precisions is None else sum(p != FP32 for p in c.precisions.values()),
        )

    def _reference_losses(self) -> dict[str, Loss]:
        """Precision -> what it costs the reference; only where precisions compete."""
        if not self._competing:
            return {}
        fold = self._context.searched.evaluator.fold
        precisions = dict.fromkeys(precision for precision, _ in self._solvers)
        return {p: self._loss(self._context.reference, p, fold) for p in precisions if p not in (FP32, MIXED)}

    def _loss(self, net: Network, precision: NetworkPrecision, fold: Workload,
              precisions: Mapping[str, str] | None = None) -> Loss:
        return loss_of(net.eval(), self._context.target_in(precision), fold, self._context.config.seed, precisions)

    def _ranked(self, candidates: list[Candidate], losses: Mapping[str, Loss]) -> list[tuple[float, Candidate]]:
        """Best first, by two noisy views of one thing: the score of this path, and the effects pooled over all."""
        ranked = []
        for i, c in enumerate(candidates):
            if c.network not in self._scores:
                self._context.progress("score candidates", i + 1, len(candidates))
                space = None if c.kind.variant == FULL else c.answer.architecture.space
                try:
                    self._scores[c.network] = self._context.searched.evaluator.score(c.choice, space)
                except NoScore:  # a table that does not hold it: the other view has to do
                    self._scores[c.network] = c.answer.predicted_score
            lost = losses[c.precision].drop if c.precision in losses else c.answer.lost
            ranked.append((self._scores[c.network] + c.answer.predicted_score - lost, c))
        return sorted(ranked, key=lambda item: item[0], reverse=True)

    def _finalists(self, ranked: list[Candidate]) -> list[Candidate]:
        """The first of the ranking, and in place of the last of them the best of every kind that is not among them.

        Networks of several precisions take no one's place: the best of them is one finalist more, so that what ships
        is never worse than without them.
        """
        mixed = [c for c in ranked if c.precision == MIXED]
        return [*self._of_one_precision([c for c in ranked if c.precision != MIXED]), *mixed[:1]]

    def _of_one_precision(self, ranked: list[Candidate]) -> list[Candidate]:
        count = self._context.config.search.finalists
        first = ranked[:count]
        missing = {c.kind for c in ranked} - {c.kind for c in first}
        best = [next(c for c in ranked if c.kind == kind) for kind in self._solvers if kind in missing]
        return [*first[: max(1, count - len(best))], *best][:count]

    def _trials(self, finalists: list[Candidate]) -> list[float]:
        """Score in percent on the search's held-out fold after a short fine-tuning; no trial for a single finalist."""
        if len(finalists) == 1 or self._context.config.search.trial_epochs == 0:
            return [0.0] * len(finalists)
        networks = {c.network: c.answer.architecture for c in finalists}
        tried = dict(zip(networks, Trials(self._context, len(networks)).all_of(list(networks.values())), strict=True))
        reached = []
        for c in finalists:
            net, score = tried[c.network]
            fold, lost = self._context.searched.evaluator.fold_of(c.answer.architecture.space), 0.0
            if c.precision != FP32 and self._competing:
                lost = self._loss(net, c.precision, fold, c.precisions).drop
            reached.append(score - lost)
        return reached

    def _close(self, trials: list[float]) -> str | None:
        """That the choice between the best two finalists is within what chance does; None where it is not."""
        fold = self._context.searched.evaluator.fold
        if len(trials) < 2 or not fold.metric.counts_images or not max(trials):
            return None
        second, first = sorted(trials)[-2:]
        images, share = len(fold.val_images), first / 100
        if first - second > Z95 * 100 * math.sqrt(2 * share * (1 - share) / images):
            return None
        return (f"the best two finalists lie {first - second:.2f} points apart on {images:,} held-out images, where "
                f"one is {100 / images:.2f}: chance may have chosen between them")
