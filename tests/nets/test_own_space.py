"""Networks of a space that somebody wrote by hand: torch, ONNX and shared weights agree."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hwnas.export import onnx_bytes
from hwnas.nets import Network, Supernet
from hwnas.runtime import open_runtime
from hwnas.space import Space, space_from_json
from tests.space.own_spaces import TWO_ROADS


def renamed(names: dict[str, str]) -> Space:
    text = json.dumps(TWO_ROADS)
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return space_from_json(json.loads(text))


TAKEN = {"left": "type", "right": "forward", "last": "keys", "stem": "training", "join": "values"}


@pytest.mark.parametrize("space", [renamed({}), renamed(TAKEN)], ids=["as it is", "names that torch uses"])
def test_every_way_to_run_it_gives_the_same(space: Space) -> None:
    torch.manual_seed(0)
    supernet = Supernet(space, [0.5], [0.25]).eval()
    x = torch.rand(2, *space.input_shape)
    for choice in ((0, 0, 0), (2, 2, 1), (1, 1, 0)):
        arch = space.architecture(choice)
        net = Network(arch, [0.5], [0.25]).eval()
        net.load_state_dict(supernet.weights_of(arch))
        with torch.no_grad():
            alone, shared = net(x), supernet(x, arch)
        torch.testing.assert_close(alone, shared)
        session = open_runtime("onnxruntime").load(onnx_bytes(net, {}))
        np.testing.assert_allclose(session.run({session.input_name: x.numpy()})[0], alone.numpy(), atol=1e-5)
