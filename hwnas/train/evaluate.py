"""Accuracy, logits and batch-norm statistics. Always in eval mode, never with training augmentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwnas.data.views import AnyImages
from hwnas.train.accelerator import CPU, Accelerator, device_of, to_pixels

EVAL_BATCH = 256
EVAL_PIXELS = 1 << 22  # a batch, so that the activations of large images fit into memory


def batch_of(images: AnyImages) -> int:
    """How many images (N, H, W, C) of this size are run together."""
    return int(min(EVAL_BATCH, max(2, EVAL_PIXELS // (images.shape[1] * images.shape[2]))))


def outputs_of(net: nn.Module, images: AnyImages, accelerator: Accelerator = CPU) -> Iterator[list[np.ndarray]]:
    """What a network gives for uint8 images (N, H, W, C), in order, a batch at a time; it is run where it is.

    Args:
        accelerator: whose processes take turns at the batches; each is given all outputs.
    """
    net.eval()
    size, device = batch_of(images), device_of(net)

    def own() -> Iterator[list[np.ndarray]]:
        for i in range(accelerator.rank * size, len(images), accelerator.world * size):
            with torch.inference_mode():
                found = net(to_pixels(np.asarray(images[i : i + size]), device))
            yield [tensor.cpu().numpy() for tensor in (found if isinstance(found, list) else [found])]

    return accelerator.exchanged(own(), -(-len(images) // size))


def logits(net: nn.Module, images: AnyImages) -> Tensor:
    """Logits (N, classes) of a classifier for uint8 images (N, H, W, C)."""
    return torch.from_numpy(np.concatenate([outputs[0] for outputs in outputs_of(net, images)]))


def accuracy(net: nn.Module, images: AnyImages, labels: np.ndarray) -> float:
    """Top-1 accuracy in percent."""
    return float((logits(net, images).argmax(1).numpy() == labels).mean() * 100)


@torch.no_grad()
def reestimate_batch_norm(
    net: nn.Module, modules: Iterable[nn.Module], images: AnyImages, batch: int | None = None
) -> None:
    """Replace the running statistics of the batch norms in `modules` by averages over `images`.

    The statistics in a supernet are a mixture over all paths that were trained; those of the path to be judged
    must be its own. `images` come from the training set, unaugmented, in a fixed order.

    Args:
        net: the network to run; `modules` are (parts of) it.
        images: uint8 (N, H, W, C).
        batch: images per forward pass; None takes as many as `batch_of` says.
    """
    norms = [m for module in modules for m in module.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    net.train()
    seen, batch, device = 0, batch or batch_of(images), device_of(net)
    for i in range(0, len(images), batch):
        part = np.asarray(images[i : i + batch])
        if len(part) > 1:  # a batch of one has no variance on 1x1 maps
            seen += len(part)
            for norm in norms:
                norm.momentum = len(part) / seen  # average over images, however long the last batch
            net(to_pixels(part, device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()
