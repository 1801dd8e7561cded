"""What other tools make of a few hundred unlabelled images, beside hwnas: the rivals of `own_rotations.py`.

| rival | what it does with the 300 images |
|---|---|
| static int8 | ONNX Runtime's `quantize_static`, per channel |
| NNCF PTQ | `nncf.quantize`: on ONNX Runtime of the ONNX model, on OpenVINO of OpenVINO's own |
| NNCF accuracy control | the same, then layers go back to floats until agreement on the 300 is 99 % |
| Torch-Pruning | groups of channels of least magnitude go, widths in steps of 8, then hwnas's distillation |
| Torch-Pruning, int8 | the same, and static int8 after it |

Torch-Pruning makes the largest network that is within the budget, in floats or in int8. Its distillation is the one of
hwnas from end to end, and has all 300 images, where hwnas tunes on 150 and scores on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from own_network import CONTRACTS, as_onnx, lite0_net
from own_rivals import largest, static_int8
from torch import nn

from hwnas.documents import read_json
from hwnas.files import write_bytes, write_json
from hwnas.imaging.contract import InputContract
from hwnas.runtime import Runtime, Session, compare
from hwnas.runtime.pinning import pinned
from hwnas.surgery.examples import Examples
from hwnas.surgery.judging import Judge, Run
from hwnas.surgery.reading import read_network
from hwnas.surgery.tuning import Tuning, tune, with_constants
from hwnas.target import load
from hwnas.train import Accelerator

SWEEPS = 20
DROP = 0.01  # of the agreement, that accuracy control allows: its default
RIVALS = ("static", "nncf", "nncf-accuracy", "torch-pruning", "torch-pruning-int8")
SIZES = np.arange(0.2, 1.001, 0.05).round(2).tolist()  # shares of channels that stay
GIVEN = "as given"


def tiny_net() -> nn.Module:
    """Four layers of random weights for 1,000 classes."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 64, 2)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1000)).eval()


SUBJECTS: dict[str, tuple[Callable[[], nn.Module], int, str]] = {  # network, side of its input, contract
    "lite0": (lite0_net, 224, "lite0"), "tiny": (tiny_net, 64, "lite0")}


@dataclass(frozen=True)
class Subject:
    """The network as given.

    Args:
        name: one of `SUBJECTS`.
        out: where all is kept.
    """

    name: str
    out: Path

    @property
    def side(self) -> int:
        """Of its input, px."""
        return SUBJECTS[self.name][1]

    @property
    def asked(self) -> dict[str, Any]:
        """How an image becomes its input, as `compress` is told."""
        return CONTRACTS[SUBJECTS[self.name][2]]

    @property
    def contract(self) -> InputContract:
        """The same, as it is applied."""
        return InputContract(**self.asked)

    def net(self) -> nn.Module:
        """In torch."""
        return SUBJECTS[self.name][0]()

    @cached_property
    def path(self) -> Path:
        """As ONNX."""
        return as_onnx(self.net(), self.side, self.out / f"{self.name}.onnx")

    def canonical(self, path: Path) -> onnx.ModelProto:
        """A file of such a network, its norms folded."""
        return read_network(str(path), self.contract).model


@dataclass(frozen=True)
class Few:
    """What a rival is given.

    Args:
        subject: the network.
        fit: images without labels.
        runtime: that all is judged and timed with.
        folder: of what it makes.
        seed, epochs, amp: of the distillation.
    """

    subject: Subject
    fit: Examples
    runtime: Runtime
    folder: Path
    seed: int
    epochs: int | None
    amp: str

    def made(self, asked: Iterable[str], budgets: Sequence[str]) -> dict[str, Path]:
        """Name -> model of some of `RIVALS`."""
        self.folder.mkdir(exist_ok=True, parents=True)
        asked, found, end = {*asked}, {}, ".xml" if self.runtime.name == "openvino" else ".onnx"
        if "static" in asked:
            found["static int8 (ONNX Runtime)"] = static_int8(self.subject.path, self.fit.batches(1),
                                                              self.folder / "static-int8.onnx")
        if "nncf" in asked:
            found["NNCF PTQ"] = by_nncf(self, self.folder / f"nncf{end}", controlled=False)
        if "nncf-accuracy" in asked:
            found["NNCF accuracy control"] = by_nncf(self, self.folder / f"nncf-accuracy{end}", controlled=True)
        for lower in (False, True):
            word = ", int8" if lower else ""
            if f"torch-pruning{'-int8' if lower else ''}" in asked:
                found |= {f"Torch-Pruning{word}, {budget}": pruned(self, budget, lower) for budget in budgets}
        return found

    def session(self, path: Path) -> Session:
        """A model ready to be run; .xml is OpenVINO's own format."""
        if path.suffix != ".xml":
            return self.runtime.load(path.read_bytes())
        from hwnas.runtime.openvino import OpenVino, OpenVinoSession

        assert isinstance(self.runtime, OpenVino)
        return OpenVinoSession(self.runtime, self.runtime.core.read_model(path))


def running(session: Session) -> Run:
    """A session as the judge asks it."""
    return lambda x: session.run({session.input_name: x})


def by_nncf(few: Few, path: Path, controlled: bool) -> Path:
    """Quantised after training, in the format of the runtime.

    Args:
        controlled: layers go back to floats until the agreement is kept.
    """
    if path.exists():
        return path
    import nncf

    rows, own = list(few.fit.batches(1)), path.suffix == ".xml"
    given = few.session(few.subject.path)
    truth = {row.tobytes(): int(given.run({given.input_name: row})[0].argmax()) for row in rows}
    model: Any = onnx.load(few.subject.path)
    if own:
        import openvino

        model = openvino.Core().read_model(few.subject.path)
    calibrating = nncf.Dataset(rows, lambda row: row if own else {given.input_name: row})
    if not controlled:
        found = nncf.quantize(model, calibrating, subset_size=len(rows), target_device=nncf.TargetDevice.CPU)
    else:
        def agreement(changed: Any, shown: Iterable[np.ndarray]) -> tuple[float, list[float]]:
            session = None if own else few.runtime.load(changed.SerializeToString())
            alike = []
            for row in shown:
                first = changed(row)[0] if session is None else session.run({session.input_name: row})[0]
                alike.append(float(first.argmax() == truth[row.tobytes()]))
            return float(np.mean(alike)), alike

        found = nncf.quantize_with_accuracy_control(
            model, calibrating, nncf.Dataset(rows), agreement, max_drop=DROP, subset_size=len(rows),
            target_device=nncf.TargetDevice.CPU)
    if own:
        openvino.save_model(found, path, compress_to_fp16=False)
    else:
        write_bytes(path, found.SerializeToString())
    return path


def pruned(few: Few, budget: str, lower: bool) -> Path:
    """By Torch-Pruning to what a budget lets stay, distilled on the images that fit."""
    told = budget.rstrip("%")
    path = few.folder / f"torch-pruning-{told}{'-int8' if lower else ''}.onnx"
    if path.exists():
        return path
    subject, fit = few.subject, few.fit
    kept = _kept(few, budget, lower)
    floats = few.folder / f"torch-pruning-kept-{kept}.onnx"  # the same for other budgets that let as much stay
    if not floats.exists():
        student, teacher = subject.canonical(_thinner(subject, kept)), subject.canonical(subject.path)
        kinds = Judge(lambda: fit.take(2).batches(1), running(few.session(subject.path))).kinds
        how = Tuning(epochs=few.epochs, seed=few.seed, accelerator=Accelerator.find("auto", few.amp))
        found = tune(student, teacher, fit, kinds, how, checkpoint=floats.with_suffix(".checkpoint"))
        write_bytes(floats, with_constants(student, found.constants).SerializeToString())
    if lower:
        return static_int8(floats, fit.batches(1), path)
    write_bytes(path, floats.read_bytes())
    return path


def _kept(few: Few, budget: str, lower: bool) -> float:
    """The share of channels that stays; found once for all rotations, as no weight changes a time."""
    path = few.subject.out / "pruned" / f"{budget.rstrip('%')}{'-int8' if lower else ''}.json"
    if path.exists():
        return float(read_json(path)["kept"])

    def ratio(kept: float) -> float:
        made = _thinner(few.subject, kept)
        if lower:
            made = static_int8(made, few.fit.take(4).batches(1), made.with_name(f"int8-{kept}.onnx"))
        times = timed({GIVEN: few.session(few.subject.path), "it": few.session(made)}, few.runtime, 8)
        return times["it"] / times[GIVEN]

    path.parent.mkdir(exist_ok=True)
    kept = largest(float(budget.rstrip("%")) / 100, SIZES, ratio)
    write_json(path, {"kept": kept})
    return kept


def _thinner(subject: Subject, kept: float) -> Path:
    """Torch-Pruning's network with a share of the channels, not trained since."""
    path = subject.out / "pruned" / f"untrained-{kept}.onnx"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        return path
    import torch_pruning as tp

    net = subject.net()
    for p in net.parameters():
        p.requires_grad_(True)
    heads = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if kept < 1:
        tp.pruner.MetaPruner(net, torch.zeros(1, 3, subject.side, subject.side), pruning_ratio=1 - kept,
                             importance=tp.importance.GroupMagnitudeImportance(p=2), ignored_layers=heads[-1:],
                             global_pruning=True, max_pruning_ratio=0.9, round_to=8).step()
    return as_onnx(net, subject.side, path)


def timed(sessions: Mapping[str, Session], runtime: Runtime, sweeps: int = SWEEPS) -> dict[str, float]:
    """Name -> median ms, all in one interleaved run."""
    with pinned(load("local", runtime=runtime.name).cores):
        return {name: found.median_ms for name, found in compare(sessions, sweeps=sweeps).items()}
