"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn


def randomise(net: nn.Module) -> None:
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        elif isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)


@pytest.fixture(scope="session")
def scramble() -> Callable[[nn.Module], None]:
    """Gives a network random statistics, scales and shifts, so that nothing agrees by accident."""
    return randomise
