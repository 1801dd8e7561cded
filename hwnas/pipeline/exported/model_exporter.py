"""A run's networks as ONNX files: the reference and the result, in fp32 and in the precision that ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas.data.views import AnyImages
from hwnas.export import Samples, onnx_bytes, stamped
from hwnas.export.onnx_export import INPUT
from hwnas.export.verification import Answers
from hwnas.files import write_bytes
from hwnas.nets import Network
from hwnas.pipeline.exported.inference import answering, calibration_inputs, in_form
from hwnas.pipeline.exported.provenance import provenance
from hwnas.pipeline.latencies.latency_sources import in_fp32
from hwnas.pipeline.run.results import GenerateResult
from hwnas.pipeline.selection.candidates import FP32
from hwnas.runtime import Session
from hwnas.space import Architecture
from hwnas.target import Target
from hwnas.tasks.metric import Batches
from hwnas.train.evaluate import outputs_of

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext
    from hwnas.train import Workload

CHECK_IMAGES = 512  # kept beside the model to check it on a device that has no data
CHECK_PIXELS = 1 << 23  # of these at most, so that large images stay few megabytes


@dataclass(frozen=True)
class Export:
    """One model in one precision.

    Args:
        name: e.g. 'model', 'reference-int8'.
        workload: with images of the size that it takes.
        model: ONNX bytes in the target's form.
        session: the model, loaded once.
        samples: images with the outputs of torch.
        exact: outputs of the network in fp32 for the validation images; None for fp32 itself.
    """

    name: str
    workload: Workload
    target: Target
    model: bytes
    session: Session
    samples: Samples
    exact: Batches | None


class ModelExporter:
    """Makes the models of one run.

    Args:
        context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context, self._run = context, context.run
        chosen = self._run.found(GenerateResult)
        self.precision, self._precisions = chosen.precision, chosen.precisions or None
        self.target = context.target_in(self.precision)
        self._exact = in_fp32(self.target)

    def write_model(self, net: Network, path: Path) -> Session:
        """A network in eval mode as ONNX, in the precision that ships; returns it loaded."""
        exact = self._fp32("model-fp32" if self._lossy else "model", net, self._context.architecture)
        found = self._lowered("model", exact, self.target) if self._lossy else exact
        write_bytes(path, found.model)
        return found.session

    @property
    def _lossy(self) -> bool:
        return self.precision != FP32

    def exports(self) -> dict[str, Export]:
        """All models by name, written."""
        context, path = self._context, self._run.path
        context.progress("export", 0, 2)
        reference = self._fp32("reference", context.reference, context.space.reference)
        found = {"reference": reference}
        for precision, target in context.targets.items():
            if precision != FP32:
                found[f"reference-{precision}"] = self._lowered(f"reference-{precision}", reference, target)
        context.progress("export", 1, 2)
        net = context.network_of(context.architecture, path / "model.safetensors")
        exact = self._fp32("model-fp32" if self._lossy else "model", net, context.architecture)
        found[exact.name] = exact
        if self._lossy:
            found["model"] = self._lowered("model", exact, self.target)
        exact.samples.save(path / "samples.safetensors")
        for name, export in found.items():
            write_bytes(path / f"{name}.onnx", export.model)
        context.progress("export", 2, 2)
        return found

    def _fp32(self, name: str, net: Network, arch: Architecture) -> Export:
        told = provenance(self._context, arch, name.partition("-")[0], self._exact)
        model = onnx_bytes(net, told)
        workload, classes = self._context.workload_of(arch.space), len(self._context.dataset.classes)
        images = np.asarray(workload.val_images[: _check_images(workload.val_images)])
        outputs = (np.concatenate(parts) for parts in zip(*outputs_of(net, images), strict=True))
        samples = Samples(images, workload.metric.first(len(images)), tuple(outputs), classes)
        return Export(name, workload, self._exact, model, answering(model, self._exact), samples, None)

    def _lowered(self, name: str, exact: Export, target: Target) -> Export:
        """An fp32 export in another precision, calibrated on training images."""
        arch = self._context.space.reference if name.startswith("reference") else self._context.architecture
        inputs = calibration_inputs(exact.workload.train_images, INPUT, self._context.config.seed)
        own = None if name.startswith("reference") else self._precisions
        model = stamped(in_form(exact.model, target, inputs, own),
                        provenance(self._context, arch, name.partition("-")[0], target))
        found = Answers(exact.session, exact.workload.val_images)
        return Export(name, exact.workload, target, model, answering(model, target), exact.samples, found)


def _check_images(images: AnyImages) -> int:
    return int(min(CHECK_IMAGES, max(8, CHECK_PIXELS // (images.shape[1] * images.shape[2]))))
