"""Stage finetune: train the winner from the shared weights with the reference as teacher. Leaves model.safetensors.

Of several budgets with the same winner one trains it: everything that the training starts from is the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from hwnas.pipeline.context import RunContext
from hwnas.pipeline.run.results import FinetuneResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.pipeline.task_setup import attention_of
from hwnas.train import Teacher, fit

FILE = "model.safetensors"


class FinetuneStage(Stage[FinetuneResult]):
    """The weights of the result."""

    name = FinetuneResult.stage
    together = True

    def run(self, context: RunContext) -> FinetuneResult:
        other = context.same_network()
        if other is not None:
            if context.accelerator.leads:
                shutil.copyfile(other.path / FILE, context.run.path / FILE)
            return other.found(FinetuneResult).model_copy(update={"same_as": other.path.name})
        return self._trained(context)

    def _trained(self, context: RunContext) -> FinetuneResult:
        arch = context.architecture
        net, workload = context.searched.evaluator.network(arch), context.workload_of(arch.space)
        teacher = Teacher(context.reference_at(arch.space), features=attention_of(context.config))
        history = fit(net, workload, context.training, seed=context.config.seed, teacher=teacher,
                      checkpoint=context.run.path / "model.checkpoint", progress=context.progress, what="fine-tune",
                      curve=context.curve(self.name))
        context.save_network(net, FILE)
        return context.trained(FinetuneResult, history, net, workload)

    def leaves(self, found: FinetuneResult) -> Sequence[str]:
        return (FILE,)
