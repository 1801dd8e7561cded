"""Stage tune: the chosen network learns to give what the user's gives, and keeps what it learnt only if that is better.

Better is judged on the images that score, in the precisions that ship. What ships is result.onnx; model-fp32.onnx is
the same network in floats. A run that was cut off goes on after its last epoch, from tune.checkpoint, which is gone
when the stage is on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import MissingDependency, UsageError
from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import OwnContext, plan_of
from hwnas.pipeline.run.own_results import PlanResult, TuneResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.plan import TEACHER, Plan

if TYPE_CHECKING:
    from onnx import ModelProto

    from hwnas.surgery.tuning import Tuned
    from hwnas.train import Accelerator

FILE, FLOATS = "result.onnx", "model-fp32.onnx"
FINALISTS, SHORT = 3, 1 / 12  # plans that race, and the share of all steps that each of them has
SHORT_RATE = 1e-3


class TuneStage(Stage[TuneResult]):
    """Distils from end to end."""

    name = TuneResult.stage

    def run(self, context: OwnContext) -> TuneResult:
        """Tune what was replaced."""
        plan = plan_of(context.run.found(PlanResult).chosen)
        fitted, floats = context.assembler.model(plan), context.assembler.floats(plan)
        judge = context.scoring
        before = judge.score(context.running(fitted)).mean
        epochs = context.config.model.tune_epochs
        why = "" if learns(plan) else "no unit was replaced"
        if epochs == 0:
            why = "--tune-epochs 0"
        if why:
            self._write(context, fitted, floats)
            return TuneResult(kept=False, why=why, before=before, after=before)
        try:
            from hwnas.surgery.tuning import with_constants

            raced = sum(row.tried is not None for row in context.run.found(PlanResult).rows)
            found = _tuned(context, floats, 1 - SHORT * min(raced, FINALISTS), None,
                           context.run.path / "tune.checkpoint")
        except (ImportError, MissingDependency, UsageError) as err:
            self._write(context, fitted, floats)
            return TuneResult(kept=False, why=str(err), before=before, after=before,
                              warnings=[f"the result was not tuned: {err}"])
        tuned = with_constants(floats, found.constants)
        model = context.assembler.lowered(tuned, plan, {})
        after = judge.score(context.running(model)).mean
        kept = after < before
        self._write(context, *((model, tuned) if kept else (fitted, floats)))
        return TuneResult(kept=kept, why="" if kept else "it was worse", before=before, after=after, rate=found.rate,
                          steps=found.steps, images=len(context.tuned))

    def leaves(self, found: TuneResult) -> Sequence[str]:
        return [FILE, FLOATS]

    def _write(self, context: OwnContext, model: bytes, floats: ModelProto) -> None:
        write_bytes(context.run.path / FILE, model)
        write_bytes(context.run.path / FLOATS, floats.SerializeToString())


def learns(plan: Plan) -> bool:
    """Whether there is something in it that was not in the user's network."""
    return any(option.form != TEACHER for option in plan.values())


def short_loss(context: OwnContext, plan: Plan) -> float:
    """Loss of a plan on the images that score, in the precisions that ship, after a short tuning.

    Raises:
        ImportError, MissingDependency, UsageError, TrainingDiverged: it cannot be tuned.
    """
    from hwnas.surgery.tuning import with_constants

    floats = context.assembler.floats(plan)
    tuned = with_constants(floats, _tuned(context, floats, SHORT, SHORT_RATE, None).constants)
    return context.scoring.score(context.running(context.assembler.lowered(tuned, plan, {}))).mean


def _tuned(context: OwnContext, floats: ModelProto, share: float, rate: float | None, checkpoint: Path | None) -> Tuned:
    """A share of the steps of a tuning.

    Args:
        rate: None tries several.
    """
    from hwnas.surgery.tuning import RATES, Tuning, tune

    how = Tuning(epochs=context.config.model.tune_epochs, seed=context.config.seed,
                 accelerator=_accelerator(context), rates=RATES if rate is None else (rate,), share=share)
    return tune(floats, context.network.model, context.tuned, context.scoring.kinds, how, context.progress,
                [unit.target for unit in context.cut.units], checkpoint)


def _accelerator(context: OwnContext) -> Accelerator:
    """Where networks are trained: a GPU where torch finds one, unless the user says another."""
    from hwnas.train import Accelerator

    train = context.config.train
    return Accelerator.find(train.accelerator, train.amp)
