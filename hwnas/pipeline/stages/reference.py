"""Stage reference: train the reference of the space from scratch, the teacher. Leaves reference.safetensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hwnas.errors import UsageError
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.run.results import ReferenceResult, SearchResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.train import fit
from hwnas.train.checkpoint import load_matching, load_tensors


class ReferenceStage(Stage[ReferenceResult]):
    """What percentages are of, and what the result learns from."""

    name = ReferenceResult.stage
    together = True
    beside = SearchResult.stage

    def run(self, context: RunContext) -> ReferenceResult:
        torch.manual_seed(context.config.seed)
        net = context.new_network(context.space.reference)
        given = context.starts_from("reference", "reference.safetensors")
        if given is not None and not load_matching(net, load_tensors(given)[0]):
            raise UsageError(f"{given} has no weights that fit space {context.space.name}: take a run of the same "
                             "space")
        history = fit(net, context.workload, context.training, seed=context.config.seed, progress=context.progress,
                      checkpoint=context.run.path / "reference.checkpoint", what="train reference",
                      curve=context.curve(self.name))
        context.save_network(net, "reference.safetensors")
        return context.trained(ReferenceResult, history, net, context.workload)

    def leaves(self, found: ReferenceResult) -> Sequence[str]:
        return ("reference.safetensors",)
