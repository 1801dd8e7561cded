"""Muon: steps of convolutions are made orthogonal, so that all directions of a matrix of weights learn alike.

Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024 (kellerjordan.github.io/posts/muon). torch
has it for matrices, in bfloat16; convolutions are most of what is trained here, on CPUs without such numbers.

    symbol   meaning                                                                             shape
    g        gradient of the weights of a convolution, the axes behind the first as one          (m, n)
    M        momentum: mu M + g
    U        g + mu M, as Nesterov has it
    O        the orthogonal matrix next to U: of U = A S B, A B                                  (m, n)
    step     lr * `RATE` * sqrt(max(1, m / n)) * O

What has no several input channels (depthwise convolutions, norms, biases) and what is no convolution (the layer of the
classes) moves by SGD in the same step, with weight decay; convolutions need none, since a norm behind them takes their
scale away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

RATE = 0.5  # of the learning rate of what moves by SGD
ITERATIONS = 5
POLYNOMIAL = 3.4445, -4.7750, 2.0315  # of an iteration: takes singular values of 0.05 to 1 to about 1 in five


class Muon(torch.optim.SGD):
    """SGD with Nesterov momentum, and orthogonal steps for groups of parameters with `orthogonal: True`.

    The state of a parameter is its momentum, as that of SGD.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__([{"orthogonal": False} | group for group in groups], lr=lr, momentum=momentum, nesterov=True)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move all parameters that have a gradient; the gradients of convolutions are used up."""
        with torch.no_grad():
            for group in self.param_groups:
                for weights in group["params"] if group["orthogonal"] else ():
                    if weights.grad is not None:
                        self._move(weights, group["lr"], group["momentum"])
                        weights.grad = None  # so that the step of SGD leaves it where it is
        super().step(closure)
        return None

    def _move(self, weights: nn.Parameter, lr: float, momentum: float) -> None:
        gradient = weights.grad
        assert gradient is not None, "what has no gradient does not move"
        state = self.state[weights]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weights)
        kept: Tensor = state["momentum_buffer"]
        kept.mul_(momentum).add_(gradient)
        matrix = gradient.add(kept, alpha=momentum).flatten(1)
        rows, columns = matrix.shape
        found = orthogonal(matrix).reshape(weights.shape)
        weights.add_(found, alpha=-lr * RATE * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the orthogonal matrix next to a matrix (m, n), by Newton-Schulz iterations: singular values of 0.7 to 1.2.
    """
    a, b, c = POLYNOMIAL
    turned = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if turned else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if turned else x


def is_orthogonal(weights: nn.Parameter) -> bool:
    """Whether these weights take orthogonal steps: those of a convolution over several channels."""
    return weights.ndim > 2 and weights.shape[1] > 1
