"""What a network loses when it is rounded to a lower precision: quantised as it would ship, answered by the runtime."""

from __future__ import annotations

import numpy as np

from hwnas.export import Loss, onnx_bytes, predict
from hwnas.export.onnx_export import INPUT
from hwnas.nets import Network
from hwnas.pipeline.serving import answering, calibration, in_form
from hwnas.target import Target
from hwnas.train import logits


def loss_of(net: Network, target: Target, train_images: np.ndarray, judge: tuple[np.ndarray, np.ndarray],
            seed: int) -> Loss:
    """Post-training loss of a network in the target's precision.

    Args:
        net: in eval mode; not changed.
        train_images: uint8 (N, H, W, C), some of which calibrate.
        judge: images that are not among them, and their labels.
        seed: draws the calibration images.

    Raises:
        InputError: the runtime cannot execute the network.
    """
    images, labels = judge
    rounded = in_form(onnx_bytes(net, {}), target, calibration(train_images, INPUT, seed))
    return Loss.of(logits(net, images).numpy(), predict(answering(rounded, target), images), labels)
