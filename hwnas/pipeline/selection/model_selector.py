"""The architecture that is made: solve the budgets, time the best candidates, score those that hold, try the finalists.

With one precision and one variant that is all. With several (`--precision auto`, `--widths`, `--sizes`) each kind
proposes its own candidates for the same budget in milliseconds; all are timed in one interleaved run with the fp32
reference, and one that is slower than the same network in fp32 is out. What a precision costs in accuracy is measured,
not assumed: on the reference for ranking, and on every finalist, quantised after its trial as it would ship. What a
width or an input size costs is measured as well: in the scores with shared weights, and in the trials, to which each
sends its best.

Where the device is not at hand nothing is timed: predictions decide alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas.errors import BudgetInfeasible, VerificationFailed
from hwnas.export import Loss
from hwnas.files import write_json
from hwnas.pipeline.exported.inference import TimedModel, time_models
from hwnas.pipeline.latencies.latency_sources import in_fp32
from hwnas.pipeline.run.result_parts import CandidateResult, TimedResult
from hwnas.pipeline.run.results import GenerateResult
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import FP32, MARGIN, TRIES, Candidate, Configuration, Key, Selection
from hwnas.pipeline.selection.quantization_loss import loss_of
from hwnas.profile import network_model
from hwnas.runtime import Measurement
from hwnas.runtime.promise import NOISE
from hwnas.search.evaluators.setting import NoScore
from hwnas.search.log import SearchLog
from hwnas.space import FULL
from hwnas.target import Precision
from hwnas.tasks.chance import Z95
from hwnas.train import Teacher, fit

if TYPE_CHECKING:
    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext
    from hwnas.train import Workload

FROM_SEARCH = 4  # best evaluated architectures within the budget that join the candidates
SWEEPS = 20


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
        self._here = all(self._run.lane(p).here for p in context.targets)
        self._scores: dict[Key, float] = {}
        self._tried: dict[Key, tuple[Network, float]] = {}

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
        predicted = solver.latency.predict(winner.answer.architecture)
        return GenerateResult(
            choice=list(winner.choice), variant=winner.kind.variant.key, precision=winner.precision,
            bounds=fitting.bounds[winner.kind],
            limits={n: limit.text() for n, limit in solver.limits(self._context.budgets).items()},
            tighten=fitting.tighten[winner.kind], predicted_accuracy=winner.answer.predicted_accuracy,
            shared_weights_accuracy=score, predicted=winner.answer.costs, latency_source=solver.latency.source,
            predicted_low_ms=predicted.low_ms, predicted_high_ms=predicted.high_ms,
            measured_ms=TimedResult.of(winner.timing),
            reference_measured_ms=TimedResult.of(fitting.references.get(FP32)),
            references_ms={p: TimedResult.of(m) for p, m in fitting.references.items()},
            losses={p: loss.drop for p, loss in losses.items()},
            out={str(kind): why for kind, why in fitting.notes.items()}
            | dict.fromkeys(self._run.state.refused, "refused after export"),
            close=self._close(trials),
            candidates=[self._told(c, reached.get((c.precision, c.network))) for _, c in ranked],
        )

    def _told(self, c: Candidate, trial: float | None) -> CandidateResult:
        return CandidateResult(
            choice=list(c.choice), variant=c.kind.variant.key, precision=c.precision,
            predicted_accuracy=c.answer.predicted_accuracy, score=self._scores[c.network],
            predicted_ms=c.answer.costs["latency"] / 1e6, measured_ms=c.timing.median_ms if c.timing else None,
            fp32_ms=c.fp32_timing.median_ms if c.fp32_timing else None, trial=trial,
        )

    def _fitting(self) -> Selection:
        """Candidates of every kind that measure within the budget, tightening it where the table said too little.

        Raises:
            BudgetInfeasible: no architecture meets the budgets in any precision and variant.
            VerificationFailed: none measured within them in `TRIES` tries.
        """
        found = Selection(tighten=dict.fromkeys(self._solvers, self._run.state.tighten))
        waiting, limit, best = dict(self._solvers), float("inf"), float("inf")
        for left in reversed(range(TRIES)):
            proposed = self._proposed(waiting, found)
            if not self._here:
                found.candidates = [c for row in proposed.values() for c in row]
                return found
            timed_rows, found.references = self._time(proposed)
            limit = self._limit_ms(found.references[FP32], strict=left > 0)
            for kind, row in timed_rows.items():
                best = min(_median(c) for c in row)
                within = [c for c in row if _median(c) <= MARGIN * limit]
                if not within:
                    found.tighten[kind] *= MARGIN * limit / best
                    continue
                waiting.pop(kind)
                gains = [c for c in within if not c.slower_than_fp32]
                found.candidates += gains
                if not gains:
                    found.notes[kind] = "slower than fp32"
            if not waiting:
                break
        found.notes |= dict.fromkeys(waiting, f"no candidate measured within the budget in {TRIES} tries")
        if not found.candidates:
            raise VerificationFailed(
                f"no candidate measured within {limit:.3f} ms in {TRIES} tries although the table predicts it; best "
                f"{best:.3f} ms: measure the table again (`hwnas profile --again`)"
            )
        return found

    def _proposed(self, waiting: dict[Configuration, ArchitectureSolver],
                  found: Selection) -> dict[Configuration, list[Candidate]]:
        """Candidates of the kinds that wait; those that no architecture can meet wait no longer."""
        proposed, refusals = {}, []
        for kind, solver in list(waiting.items()):
            try:
                bounds = solver.absolute(self._context.budgets, found.tighten[kind])
                answers = self._candidates(solver, bounds)
            except BudgetInfeasible as err:
                refusals.append(err)
                waiting.pop(kind)
                found.notes[kind] = "no architecture is predicted within the budget"
                continue
            found.bounds[kind] = bounds
            proposed[kind] = [Candidate(kind, answer) for answer in answers]
        if not proposed and not found.candidates:
            raise refusals[0]
        return proposed

    def _candidates(self, solver: ArchitectureSolver, bounds: dict[str, float]) -> list[Answer]:
        """DPNG's best, and the best architectures that the search has scored, all within the bounds.

        Variants share the places among themselves, so that more of them do not mean more to time and to score.
        """
        shares = len({kind.variant for kind in self._solvers})
        top, scored = (-(-count // shares) for count in (self._context.config.search.top, FROM_SEARCH))
        found = solver.answers(bounds, top)
        known = {a.architecture.choice for a in found}
        entries = SearchLog(self._run.path / "search.jsonl").comparable()
        for entry in sorted(entries, key=lambda e: -e.score):
            if entry.choice not in known and solver.within(entry.choice, bounds):
                found.append(solver.answer(entry.choice))
                known.add(entry.choice)
            if len(found) >= top + scored:
                break
        whole, reduced = solver.space.reference.choice, solver.latency.precision != FP32 or solver.variant != FULL
        if reduced and whole not in known and solver.within(whole, bounds):
            found.append(solver.answer(whole))  # a lower precision or a smaller variant may be all that is needed
        return found

    def _time(self, rows: Mapping[Configuration, list[Candidate]],
              ) -> tuple[dict[Configuration, list[Candidate]], dict[str, Measurement]]:
        """All candidates and the reference in every precision in turns, with random weights: they change no time."""
        targets, batch = self._context.targets, self._context.target.batch
        exact = in_fp32(self._context.target)
        reference = network_model(self._context.space.reference, batch=batch)
        entries = {FP32: TimedModel(reference, exact)}
        entries |= {p: TimedModel(reference, targets[p]) for p, _ in rows if p != FP32}
        models = {c.network: network_model(c.answer.architecture, batch=batch) for row in rows.values() for c in row}
        for kind, row in rows.items():
            for i, c in enumerate(row):
                entries[f"{kind} {i}"] = TimedModel(models[c.network], targets[kind.precision])
                if self._competing and kind.precision != FP32:
                    entries[f"{kind} {i} {FP32}"] = TimedModel(models[c.network], exact)
        found = time_models(entries, sweeps=SWEEPS, progress=self._context.progress)
        measured = {
            kind: [replace(c, timing=found[f"{kind} {i}"], fp32_timing=found.get(f"{kind} {i} {FP32}"))
                   for i, c in enumerate(row)] for kind, row in rows.items()
        }
        return measured, {p: found[p] for p in targets | {FP32: exact} if p in found}

    def _limit_ms(self, reference: Measurement, strict: bool) -> float:
        """The latency budget in ms; a percentage is of the fp32 reference as measured in the same run.

        Among many networks in turns none finds its weights in the cache, and the reference, which has the most, loses
        most by it; alone with the result, as both are judged, it is faster again. So it is not taken to be slower than
        when the run fixed it, unless the reference kernel is. And where a result was over its budget in the end, what
        is measured here is held to the tighter budget, too.

        Args:
            strict: whether to do so; where nothing is found that way, the run's own ratio has to do.
        """
        budget, fixed = self._context.budgets.get("latency"), self._run.state.reference
        if budget is None:
            return float("inf")
        now_ms = reference.median_ms
        if strict and fixed is not None and fixed.kernel_ms and reference.kernel_ms:
            slower = reference.kernel_ms / fixed.kernel_ms
            now_ms = min(now_ms, fixed.latency_ms * (slower if slower > 1 + NOISE else 1.0))
        return budget.absolute(now_ms * 1e6) / 1e6 * self._run.state.tighten

    def _reference_losses(self) -> dict[str, Loss]:
        """Precision -> what it costs the reference; only where precisions compete."""
        if not self._competing:
            return {}
        fold = self._context.searched.evaluator.fold
        precisions = dict.fromkeys(precision for precision, _ in self._solvers)
        return {p: self._loss(self._context.reference, p, fold) for p in precisions if p != FP32}

    def _loss(self, net: Network, precision: Precision, fold: Workload) -> Loss:
        return loss_of(net.eval(), self._context.targets[precision], fold, self._context.config.seed)

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
                    self._scores[c.network] = c.answer.predicted_accuracy
            lost = losses[c.precision].drop if c.precision in losses else 0.0
            ranked.append((self._scores[c.network] + c.answer.predicted_accuracy - lost, c))
        return sorted(ranked, key=lambda item: item[0], reverse=True)

    def _finalists(self, ranked: list[Candidate]) -> list[Candidate]:
        """The first of the ranking, and in place of the last of them the best of every kind that is not among them."""
        count = self._context.config.search.finalists
        first = ranked[:count]
        missing = {c.kind for c in ranked} - {c.kind for c in first}
        best = [next(c for c in ranked if c.kind == kind) for kind in self._solvers if kind in missing]
        return [*first[: max(1, count - len(best))], *best][:count]

    def _trials(self, finalists: list[Candidate]) -> list[float]:
        """Accuracy in percent on the search's held-out fold after a short fine-tuning; no trial for a single finalist.

        A score with shared weights favours what trains fast beside others; what counts is what trains well alone.
        """
        if len(finalists) == 1 or self._context.config.search.trial_epochs == 0:
            return [0.0] * len(finalists)
        reached, count = [], len({c.network for c in finalists})
        sizes = {c.kind.variant.imgsz: c.answer.architecture.space for c in finalists}
        teachers = {imgsz: Teacher(self._context.reference_at(space), remember=self._context.task.remembers)
                    for imgsz, space in sizes.items()}  # the images of a size are the same for all
        for c in finalists:
            space = c.answer.architecture.space
            if c.network not in self._tried:
                self._tried[c.network] = self._try(c, teachers[c.kind.variant.imgsz], len(self._tried) + 1, count)
            net, accuracy = self._tried[c.network]
            fold, lost = self._context.searched.evaluator.fold_of(space), 0.0
            if c.precision != FP32 and self._competing:
                lost = self._loss(net, c.precision, fold).drop
            reached.append(accuracy - lost)
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

    def _try(self, candidate: Candidate, teacher: Teacher, number: int, count: int) -> tuple[Network, float]:
        context, arch = self._context, candidate.answer.architecture
        net, fold = context.searched.evaluator.network(arch), context.searched.evaluator.fold_of(arch.space)
        name = "-".join([f"w{candidate.kind.variant.key}", *map(str, candidate.choice)])
        checkpoint = self._run.path / f"trial-{name}.checkpoint"
        training = replace(context.training, epochs=context.config.search.trial_epochs)
        history = fit(net, fold, training, seed=context.config.seed, teacher=teacher, checkpoint=checkpoint,
                      progress=context.progress, what=f"try finalist {number} of {count}")
        return net, history.accuracy


def _median(candidate: Candidate) -> float:
    return candidate.timing.median_ms if candidate.timing else 0.0
