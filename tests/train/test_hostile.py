"""Weights and checkpoints from somebody else: tensors that are finite and fit, or one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from safetensors.torch import save

from hwnas.errors import RunError
from hwnas.nets import Network
from hwnas.space import Architecture
from hwnas.train.checkpoint import load_into, load_tensors
from hwnas.train.loop import CheckpointSchema, optimizer_of, restore, snapshot
from hwnas.train.loop import TrainConfig as Config
from hwnas.validation import checked
from tests.mutations import damaged_bytes, documents, fuzzed, judged
from tests.old_files import unpacked

OLD = unpacked() / "run"
WEIGHTS = (OLD / "model.safetensors").read_bytes()
FACTS = {"history": [{"epoch": 0, "loss": 1.5, "val_accuracy": 20.0, "seconds": 0.5}]}


def network() -> Network:
    arch = Architecture.from_json(json.loads((OLD / "architecture.json").read_text()))
    return Network(arch, [0.5], [0.25])


@fuzzed
@given(content=damaged_bytes(WEIGHTS)
       | documents(FACTS).map(lambda raw: save({"a": torch.ones(2)}, {"hwnas": raw.decode("utf-8", "replace")})))
def test_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "weights.safetensors"
    path.write_bytes(content)
    found = judged(lambda: load_tensors(path))
    if found is not None:
        assert all(bool(torch.isfinite(t).all()) for t in found[0].values() if t.is_floating_point())
        judged(lambda: checked(CheckpointSchema, found[1], "x", RunError))
        judged(lambda: load_into(network(), path))


def test_old_weights_are_still_read() -> None:
    net = network()
    load_into(net, OLD / "model.safetensors")
    assert bool(torch.isfinite(net(torch.zeros(1, 1, 16, 16))).all())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, number: float) -> None:
    path, tensors = tmp_path / "model.safetensors", load_tensors(OLD / "model.safetensors")[0]
    name = next(name for name, t in tensors.items() if t.is_floating_point() and t.numel() > 1)
    tensors[name].view(-1)[-1] = number
    path.write_bytes(save(tensors, {"hwnas": "{}"}))
    with pytest.raises(RunError, match=rf"'{name}' holds numbers that are NaN or infinite"):
        load_tensors(path)


@pytest.mark.parametrize("shape", [(3,), (2, 2), ()])
def test_momenta_of_another_network(shape: tuple[int, ...]) -> None:
    net = network()
    optimizer = optimizer_of(net, Config())
    name = next(name for name, p in net.named_parameters() if p.ndim == 4)
    stored = snapshot(net, optimizer) | {f"momentum.{name}": torch.zeros(shape)}
    if shape:
        with pytest.raises(RuntimeError, match="has the shape"):
            restore(net, optimizer, stored)
    else:
        restore(net, optimizer, stored)  # adamw's number of steps is one number


