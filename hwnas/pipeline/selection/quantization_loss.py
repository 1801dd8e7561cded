"""What a network loses when it is rounded to a lower precision: quantised as it would ship, answered by the runtime."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.export import Loss, answers, onnx_bytes
from hwnas.export.onnx_export import INPUT
from hwnas.nets import Network
from hwnas.pipeline.exported.inference import answering, calibration_inputs, in_form
from hwnas.target import Target
from hwnas.train import Workload
from hwnas.train.evaluate import outputs_of


def loss_of(net: Network, target: Target, workload: Workload, seed: int,
            precisions: Mapping[str, str] | None = None) -> Loss:
    """Post-training loss of a network in the target's precision.

    Args:
        net: in eval mode; not changed.
        workload: some of its training images calibrate, the others judge.
        seed: draws the calibration images.
        precisions: position -> precision, for a target of several.

    Raises:
        InputError: the runtime cannot execute the network.
    """
    rounded = in_form(onnx_bytes(net, {}), target, calibration_inputs(workload.train_images, INPUT, seed), precisions)
    images = workload.val_images
    return Loss.between(workload.metric, outputs_of(net, images), answers(answering(rounded, target), images))
