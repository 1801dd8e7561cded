"""Stage tune: the chosen network learns to give what the user's gives, and keeps what it learnt only if that is better.

Better is judged on the images that score, in the precisions that ship. What ships is result.onnx; model-fp32.onnx is
the same network in floats. A run that was cut off goes on after its last epoch, from tune.checkpoint, which is gone
when the stage is on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas.errors import MissingDependency, UsageError
from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import OwnContext, plan_of
from hwnas.pipeline.run.own_results import PlanResult, TuneResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.plan import TEACHER

if TYPE_CHECKING:
    from onnx import ModelProto

    from hwnas.train import Accelerator

FILE, FLOATS = "result.onnx", "model-fp32.onnx"


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
        why = ""
        if epochs == 0:
            why = "--tune-epochs 0"
        elif all(option.form == TEACHER for option in plan.values()):
            why = "no unit was replaced"
        if why:
            self._write(context, fitted, floats)
            return TuneResult(kept=False, why=why, before=before, after=before)
        try:
            from hwnas.surgery.tuning import Tuning, tune, with_constants

            found = tune(floats, context.network.model, context.tuned, judge.kinds,
                         Tuning(epochs=epochs, seed=context.config.seed, accelerator=_accelerator(context)),
                         context.progress, [unit.target for unit in context.cut.units],
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


def _accelerator(context: OwnContext) -> Accelerator:
    """Where networks are trained: a GPU where torch finds one, unless the user says another."""
    from hwnas.train import Accelerator

    train = context.config.train
    return Accelerator.find(train.accelerator, train.amp)
