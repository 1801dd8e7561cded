"""Stage read: the user's network in the one form, held against the original, and judged on the user's images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.run.own_results import ReadResult
from hwnas.pipeline.run.results import described
from hwnas.pipeline.stages.stage import Stage

CHECKED = 8  # inputs


class ReadStage(Stage[ReadResult]):
    """The network, its input contract and the images are what the user says they are."""

    name = ReadResult.stage

    def run(self, context: OwnContext) -> ReadResult:
        """Read, check and judge.

        Raises:
            InputError: the network cannot be read, the contract does not fit it, or it takes another batch.
            VerificationFailed: the canonical form computes something else.
            DataError: too few images, or some that cannot be read.
            UsageError: `--keep` or `--only` names nothing.
        """
        network, path = context.network, context.run.path
        _ = context.frozen  # before anything takes time: a pattern may match nothing
        batch = context.target.batch
        difference = network.check(_calls(context.judged.take(max(CHECKED, batch)).batches(batch), batch), batch)
        judge = context.judging
        scores = judge.teacher_score().to_json()
        write_bytes(path / "original.onnx", network.original)
        write_bytes(path / "network.onnx", network.serialised(batch))
        return ReadResult(
            network=network.name, sha256=network.sha256, contract=network.contract.to_json(),
            input_shape=list(network.input_shape), difference=difference,
            images=[len(part) for part in (context.calibrated, context.scored, context.judged)],
            outputs=list(judge.kinds), scores=scores, classes=list(context.classes),
            target=described(context.target), budgets=dict(context.config.budgets), warnings=_warnings(context, scores))

    def leaves(self, found: ReadResult) -> Sequence[str]:
        return ["network.onnx", "original.onnx"]


def _calls(inputs: Iterable[NDArray[np.float32]], batch: int) -> Iterator[NDArray[np.float32]]:
    """Each of so many images; of the last one some are there again."""
    return (np.resize(x, (batch, *x.shape[1:])) for x in inputs)


def _warnings(context: OwnContext, scores: dict[str, float]) -> list[str]:
    """What may be wrong with the contract, as the user's labels show it."""
    if "accuracy" not in scores:
        return []
    chance = 100 / max(len(context.classes), 1)
    if scores["accuracy"] > 3 * chance or scores["accuracy"] > 50:
        return []
    return [f"the network is right on {scores['accuracy']:.2f} % of the labelled images, chance is {chance:.2f} %: "
            "check --mean, --std, --colour and the order of the classes"]
