"""Stage tune: the chosen network learns to give what the user's gives, and keeps what it learnt only if that is better.

Where its int8 loses more than a little of that, it goes on for the last eighth of the steps with everything rounded as
what ships rounds it. Better is judged on the images that score, in the precisions that ship. What ships is result.onnx;
model-fp32.onnx is the same network in floats. A run that was cut off goes on after its last epoch, from tune.checkpoint
or rounded.checkpoint, which are gone when the stage is on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import MissingDependency, UsageError
from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import OwnContext, plan_of
from hwnas.pipeline.run.own_results import PlanResult, TuneResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.plan import INT8, TEACHER, Plan

if TYPE_CHECKING:
    from onnx import ModelProto

    from hwnas.train import Accelerator

FILE, FLOATS = "result.onnx", "model-fp32.onnx"
CHECKPOINT, ROUNDED_CHECKPOINT = "tune.checkpoint", "rounded.checkpoint"
FINALISTS, SHORT = 3, 1 / 12  # plans that race, and the share of all steps that each of them has
SHORT_RATE = 1e-3
ROUNDED, ROUNDED_RATE = 1 / 8, 3e-4  # share of the steps, where int8 needs them
NEED = 0.1  # of the loss in floats: what int8 may add to it


class TuneStage(Stage[TuneResult]):
    """Distils from end to end."""

    name = TuneResult.stage

    def run(self, context: OwnContext) -> TuneResult:
        """Tune what was replaced."""
        plan = plan_of(context.run.found(PlanResult).chosen)
        fitted, floats = context.assembler.model(plan), context.assembler.floats(plan)
        before = _loss(context, fitted)
        why = "" if learns(plan) else "no unit was replaced"
        if context.config.model.tune_epochs == 0:
            why = "--tune-epochs 0"
        if why:
            self._write(context, fitted, floats)
            return TuneResult(kept=False, why=why, before=before, after=before)
        try:
            found, rounded = _best(context, plan, floats)
        except (ImportError, MissingDependency, UsageError) as err:
            self._write(context, fitted, floats)
            return TuneResult(kept=False, why=str(err), before=before, after=before,
                              warnings=[f"the result was not tuned: {err}"])
        kept = found.loss < before
        self._write(context, *((found.model, found.floats) if kept else (fitted, floats)))
        return TuneResult(kept=kept, why="" if kept else "it was worse", before=before, after=found.loss,
                          rate=found.rate, steps=found.steps, images=len(context.tuned), rounded=rounded)

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
    return _taught(context, plan, context.assembler.floats(plan), SHORT, SHORT_RATE).loss


@dataclass(frozen=True)
class _Taught:
    """What a tuning came to.

    Args:
        floats, model: the network, and the same in the precisions that ship.
        loss: of the latter on the images that score.
    """

    floats: ModelProto
    model: bytes
    loss: float
    rate: float
    steps: int


def _best(context: OwnContext, plan: Plan, floats: ModelProto) -> tuple[_Taught, bool]:
    """The better one of a tuning in floats and one that went on with everything rounded; whether it is the latter."""
    raced = min(FINALISTS, sum(row.tried is not None for row in context.run.found(PlanResult).rows))
    lowered = any(option.precision == INT8 for option in plan.values())
    found = _taught(context, plan, floats, 1 - SHORT * raced - ROUNDED * lowered, None, CHECKPOINT)
    if not lowered or found.loss <= (1 + NEED) * _loss(context, found.floats.SerializeToString()):
        return found, False
    last = _taught(context, plan, found.floats, ROUNDED, ROUNDED_RATE, ROUNDED_CHECKPOINT, rounds_as=found.model)
    best = min(found, last, key=lambda one: one.loss)
    return _Taught(best.floats, best.model, best.loss, found.rate, found.steps + last.steps), best is last


def _taught(context: OwnContext, plan: Plan, floats: ModelProto, share: float, rate: float | None, checkpoint: str = "",
            rounds_as: bytes = b"") -> _Taught:
    """A network after a share of the steps of a tuning.

    Args:
        rate: None tries several.
        checkpoint: name of its file in the run folder; empty for none.
        rounds_as: a model whose int8 is what it rounds meanwhile; empty for none.
    """
    from hwnas.surgery.rounded import Rounding
    from hwnas.surgery.tuning import RATES, Tuning, tune, with_constants

    how = Tuning(epochs=context.config.model.tune_epochs, seed=context.config.seed,
                 accelerator=_accelerator(context), rates=RATES if rate is None else (rate,), share=share)
    found = tune(floats, context.network.model, context.tuned, context.scoring.kinds, how, context.progress,
                 [unit.target for unit in context.cut.units], context.run.path / checkpoint if checkpoint else None,
                 Rounding.of(rounds_as) if rounds_as else None)
    tuned = with_constants(floats, found.constants)
    model = context.assembler.lowered(tuned, plan, {})
    return _Taught(tuned, model, _loss(context, model), found.rate, found.steps)


def _loss(context: OwnContext, model: bytes) -> float:
    return context.scoring.score(context.running(model)).mean


def _accelerator(context: OwnContext) -> Accelerator:
    """Where networks are trained: a GPU where torch finds one, unless the user says another."""
    from hwnas.train import Accelerator

    train = context.config.train
    return Accelerator.find(train.accelerator, train.amp)
