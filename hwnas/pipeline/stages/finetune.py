"""Stage finetune: train the winner from the shared weights with the reference as teacher. Leaves model.safetensors."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.pipeline.context import RunContext
from hwnas.pipeline.run.results import FinetuneResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.pipeline.task_setup import attention_of
from hwnas.train import Teacher, fit


class FinetuneStage(Stage[FinetuneResult]):
    """The weights of the result."""

    name = FinetuneResult.stage

    def run(self, context: RunContext) -> FinetuneResult:
        arch = context.architecture
        net, workload = context.searched.evaluator.network(arch), context.workload_of(arch.space)
        teacher = Teacher(context.reference_at(arch.space), features=attention_of(context.config))
        history = fit(net, workload, context.training, seed=context.config.seed, teacher=teacher,
                      checkpoint=context.run.path / "model.checkpoint", progress=context.progress, what="fine-tune")
        context.save_network(net, "model.safetensors")
        return context.trained(FinetuneResult, history, net, workload)

    def leaves(self, found: FinetuneResult) -> Sequence[str]:
        return ("model.safetensors",)
