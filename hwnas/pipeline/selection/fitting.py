"""Candidates that measure within the budgets: solve, time the best in turns, and ask anew where the table was wrong.

Where it said too little, nothing measures within the budget, and a tighter one is asked for. Where it said too much,
all of them do, by far, and score was given away: then a looser one is asked for, once, as much looser as nine in ten of
the candidates leave room for. What measured within the budget before stays, in case that nothing new does.

All are timed in one interleaved run with the fp32 reference, in every precision; where the device is not at hand
nothing is timed. One network for several targets is timed on all of those that this machine is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwnas.errors import BudgetInfeasible, VerificationFailed
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.config.budget import ON, THROUGHPUT, parse_all
from hwnas.pipeline.exported.inference import TimedModel, in_form, time_models
from hwnas.pipeline.latencies.latency_sources import in_fp32, targets_of
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import batch_of, reference_of, time_limit
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import FP32, MARGIN, MOSTLY, ROOM, TRIES, Candidate, Configuration, Selection
from hwnas.profile import network_model
from hwnas.runtime import Measurement
from hwnas.runtime.promise import NOISE
from hwnas.search.log import SearchLog
from hwnas.space import FULL

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext

FROM_SEARCH = 4  # best evaluated architectures within the budget that join the candidates
SWEEPS = 20
ROUNDING = 1 + 1e-6  # a bound of exactly the least may be under it in the last digit


class CandidateFitting:
    """Finds the candidates of one run.

    Args:
        context: the run.
        solvers: of every precision and variant that competes.
    """

    def __init__(self, context: RunContext, solvers: Mapping[Configuration, ArchitectureSolver]) -> None:
        self._context, self._run, self._solvers = context, context.run, solvers
        self._here = all(self._run.lane(p).here for p in context.targets)
        self._others = {run.state.config.target.name: run for run in context.together if run.lane().here}
        self._competing = len({kind.precision for kind in solvers}) > 1  # several precisions

    def within_budgets(self) -> Selection:
        """Candidates of every kind that measure within the budget, asking anew where the table was wrong.

        Raises:
            BudgetInfeasible: no architecture meets the budgets in any precision and variant.
            VerificationFailed: none measured within them in `TRIES` tries.
        """
        found = Selection(tighten=dict.fromkeys(self._solvers, self._run.state.tighten))
        waiting, limit, best = dict(self._solvers), float("inf"), float("inf")
        before: dict[Configuration, _Before] = {}  # what measured within the budget before it was asked for anew
        for left in reversed(range(TRIES)):
            proposed = self._proposed(waiting, found, bool(before))
            if not self._here and not self._others:
                found.candidates = [c for row in proposed.values() for c in row]
                return found
            for kind in [kind for kind in before if before[kind].holds(proposed.get(kind, []))]:
                found.notes.pop(kind, None)
                self._take(found, waiting, kind, before.pop(kind).again(found))
                proposed.pop(kind, None)
            if not proposed:
                break
            timed_rows, found.references, limit = self._time(proposed, strict=left > 0)
            found.timed |= timed_rows
            for kind, row in timed_rows.items():
                closest = min(row, key=lambda c: c.used)
                best = _median(closest)
                within = [c for c in row if c.used <= MARGIN]
                earlier = before.pop(kind, None)
                if not within and earlier is not None:
                    within = earlier.again(found)
                if not within:
                    found.tighten[kind] *= MARGIN / closest.used
                elif left and earlier is None and (looser := self._looser(kind, row)):
                    before[kind] = _Before(kind, within, found.bounds[kind], found.tighten[kind], row)
                    found.tighten[kind] *= looser
                else:
                    self._take(found, waiting, kind, within)
        found.notes |= dict.fromkeys(waiting, f"no candidate measured within the budget in {TRIES} tries")
        if not found.candidates:
            raise VerificationFailed(
                f"no candidate measured within {limit:.3f} ms in {TRIES} tries although the table predicts it; best "
                f"{best:.3f} ms: measure the table again "
                f"(`{profile_command(self._context.config, self._context.space, self._context.target, again=True)}`)"
            )
        return found

    def _take(self, found: Selection, waiting: dict[Configuration, ArchitectureSolver], kind: Configuration,
              within: list[Candidate]) -> None:
        """These are the candidates of a kind, but for those that gain nothing over fp32."""
        waiting.pop(kind, None)
        gains = [c for c in within if not c.slower_than_fp32]
        found.candidates += gains
        if not gains:
            found.notes[kind] = "slower than fp32"

    def _looser(self, kind: Configuration, row: Sequence[Candidate]) -> float | None:
        """By how much looser a budget the table is to be asked for; None where its predictions leave no such room.

        One network for several devices is not asked for anew: what one of them says is not true of the others.
        """
        limit = time_limit(self._solvers[kind].limits(self._context.budgets), batch_of(self._run))
        if limit is None or self._context.together:
            return None
        most = limit.value * self._run.state.tighten
        taken = sorted(c.used * most / c.answer.costs["latency"] for c in row)  # of what was predicted, at one speed
        slow = taken[math.ceil(MOSTLY * len(taken)) - 1]
        return MARGIN / slow if 0 < slow < ROOM else None

    def of_one(self, candidate: Candidate) -> Selection:
        """A network that was chosen elsewhere, timed here; whether it holds is found where it is exported."""
        kind = candidate.kind
        found = Selection([candidate], bounds={kind: self._solvers[kind].absolute(self._context.budgets)},
                          tighten={kind: self._run.state.tighten})
        if self._here:
            rows, found.references, _ = self._time({kind: [candidate]}, strict=False)
            found.candidates = rows[kind]
        return found

    def _proposed(self, waiting: dict[Configuration, ArchitectureSolver],
                  found: Selection, some: bool) -> dict[Configuration, list[Candidate]]:
        """Candidates of the kinds that wait; those that no architecture can meet wait no longer.

        Args:
            some: whether something measured within the budgets before.
        """
        proposed, refusals = {}, []
        for kind, solver in list(waiting.items()):
            try:
                bounds, answers = self._bounded(solver, found.tighten[kind])
            except BudgetInfeasible as err:
                refusals.append(err)
                waiting.pop(kind)
                found.notes[kind] = "no architecture is predicted within the budget"
                continue
            found.bounds[kind] = bounds
            if not answers:  # each of these stands among those of its one precision already
                waiting.pop(kind)
                found.notes[kind] = "every architecture within the budget is best in one precision"
                continue
            proposed[kind] = [Candidate(kind, answer) for answer in answers]
        if not proposed and not found.candidates and not some and refusals:
            raise refusals[0]
        return proposed

    def _bounded(self, solver: ArchitectureSolver, tighten: float) -> tuple[dict[str, float], list[Answer]]:
        """Bounds, and candidates within them.

        A bound that measurements have tightened is a guess, and a wild one in a noisy moment. Where only by that
        nothing is within it, the fastest that there is is timed before anyone is told that nothing fits.
        """
        bounds = solver.absolute(self._context.budgets, tighten)
        try:
            return bounds, self._candidates(solver, bounds)
        except BudgetInfeasible as err:
            least, asked = err.least.get("latency"), solver.absolute(self._context.budgets).get("latency")
            if least is None or asked is None or not bounds["latency"] < least <= asked:
                raise
            bounds["latency"] = min(least * ROUNDING, asked)
            return bounds, self._candidates(solver, bounds)

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
            if entry.choice not in known and (answer := solver.best_within(entry.choice, bounds)) is not None:
                found.append(answer)
                known.add(entry.choice)
            if len(found) >= top + scored:
                break
        whole, reduced = solver.space.reference.choice, solver.precision != FP32 or solver.variant != FULL
        if reduced and whole not in known and (answer := solver.best_within(whole, bounds)) is not None:
            found.append(answer)  # a lower precision or a smaller variant may be all that is needed
        return [answer for answer in found if answer.precisions is None or answer.several]

    def _time(self, rows: Mapping[Configuration, list[Candidate]], strict: bool,
              ) -> tuple[dict[Configuration, list[Candidate]], dict[str, Measurement], float]:
        """All candidates and the reference in every precision in turns, with random weights: they change no time.

        Returns:
            The candidates, precision -> reference, and the limit in ms on the run's own target.
        """
        targets, batch = self._context.targets, next(iter(self._context.targets.values())).batch
        exact = in_fp32(next(iter(targets.values())))
        reference = network_model(self._context.space.reference, batch=batch)
        own = rows if self._here else {}
        entries = {FP32: TimedModel(reference, exact)} if self._here else {}
        entries |= {p: TimedModel(reference, targets[p]) for p, _ in own if p in targets and p != FP32}
        models = {c.network: network_model(c.answer.architecture, batch=batch) for row in rows.values() for c in row}
        others = {name: targets_of(run.state.config)[0] for name, run in self._others.items()}
        for name, target in others.items():
            whole = network_model(self._context.space.reference, batch=target.batch)
            entries[f"{FP32}{ON}{name}"] = TimedModel(whole, in_fp32(target))
            for kind, row in rows.items():
                for i, c in enumerate(row):
                    model = in_form(network_model(c.answer.architecture, batch=target.batch), target)
                    entries[f"{kind} {i}{ON}{name}"] = TimedModel(model, target, in_form=True)
        for kind, row in own.items():
            for i, c in enumerate(row):
                target = self._context.target_in(kind.precision)
                entries[f"{kind} {i}"] = TimedModel(in_form(models[c.network], target, None, c.precisions), target,
                                                    in_form=True)
                if self._competing and kind.precision != FP32:
                    entries[f"{kind} {i} {FP32}"] = TimedModel(models[c.network], exact)
        fixed = self._run.state.reference
        found = time_models(entries, sweeps=SWEEPS, calm_kernel_ms=fixed.kernel_ms if fixed else None,
                            progress=self._context.progress)
        limits = {f"{ON}{name}": _limit_ms(run, found[f"{FP32}{ON}{name}"], strict)
                  for name, run in self._others.items()}
        limits |= {"": _limit_ms(self._run, found[FP32], strict)} if self._here else {}
        measured = {
            kind: [replace(c, timing=found.get(f"{kind} {i}"), fp32_timing=found.get(f"{kind} {i} {FP32}"),
                           used=max(found[f"{kind} {i}{on}"].median_ms / limit for on, limit in limits.items()))
                   for i, c in enumerate(row)] for kind, row in rows.items()
        }
        return measured, {p: found[p] for p in targets | {FP32: exact} if p in found}, limits.get("", float("inf"))


def _limit_ms(run: RunFolder, reference: Measurement, strict: bool) -> float:
    """The latency budget in ms; a percentage is of the fp32 reference as measured in the same run.

    Among many networks in turns none finds its weights in the cache, and the reference, which has the most, loses
    most by it; alone with the result, as both are judged, it is faster again. So it is not taken to be slower than
    when the run fixed it, unless the reference kernel is. And where a result was over its budget in the end, what
    is measured here is held to the tighter budget, too.

    Args:
        strict: whether to do so; where nothing is found that way, the run's own ratio has to do.
    """
    fixed = run.state.reference
    now_ms = reference.median_ms
    if strict and fixed is not None and fixed.kernel_ms and reference.kernel_ms:
        slower = reference.kernel_ms / fixed.kernel_ms
        now_ms = min(now_ms, fixed.latency_ms * (slower if slower > 1 + NOISE else 1.0))
    of = reference_of(run).model_copy(update={"latency_ms": now_ms})
    limits = {name: of.limit(budget) for name, budget in parse_all(run.state.config.budgets).items()
              if name in ("latency", THROUGHPUT)}
    limit = time_limit(limits, of.batch)
    return float("inf") if limit is None else limit.value / 1e6 * run.state.tighten


@dataclass(frozen=True)
class _Before:
    """What measured within the budget of a kind before it was asked for anew.

    Args:
        within: candidates; `row`: all that were timed with them.
        bounds, tighten: that they were solved for.
    """

    kind: Configuration
    within: list[Candidate]
    bounds: dict[str, float]
    tighten: float
    row: list[Candidate]

    def holds(self, proposed: Sequence[Candidate]) -> bool:
        """Whether all that is proposed has been timed."""
        known = {c.built for c in self.row}
        return all(c.built in known for c in proposed)

    def again(self, found: Selection) -> list[Candidate]:
        """The candidates, after all."""
        found.bounds[self.kind], found.tighten[self.kind], found.timed[self.kind] = self.bounds, self.tighten, self.row
        return self.within


def _median(candidate: Candidate) -> float:
    return candidate.timing.median_ms if candidate.timing else 0.0
