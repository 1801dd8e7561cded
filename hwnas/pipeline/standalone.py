"""Single stages for the command line and for scripts: a table, a search to ask, an export, a report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hwnas import data as datasets
from hwnas.errors import UsageError
from hwnas.export.samples import Samples
from hwnas.export.verification import Verdict, verify
from hwnas.pipeline.lanes import measured
from hwnas.pipeline.run import RunFolder
from hwnas.profile import ProfileResult
from hwnas.progress import Progress, silent
from hwnas.runtime import Device
from hwnas.space import Space, SpaceConfig, build, describe
from hwnas.target import Target


@dataclass(frozen=True)
class Profiled:
    """A filled table, where it lies, and what it says of the largest and the smallest network."""

    result: ProfileResult
    path: Path
    largest_ms: float
    smallest_ms: float


def space_for(name: str, *, data: str | None = None, imgsz: int | None = None, channels: int | None = None,
              classes: int | None = None, width_mult: float = 1.0, depth: int | None = None) -> Space:
    """A space sized by hand, or to a data set; without either, to its default input, RGB and 1000 classes.

    Raises:
        UnknownName: no such space or data set.
        UsageError: a data set and `channels` or `classes`, which it decides.
    """
    about = describe(name)
    if data is not None:
        if channels is not None or classes is not None:
            raise UsageError("--data decides the channels and the classes: leave out --channels and --classes")
        found = datasets.load(data, imgsz=imgsz)
        imgsz, channels, classes = found.imgsz, found.channels, len(found.classes)
    return build(SpaceConfig(name, imgsz or about.imgsz, channels or 3, classes or 1000, width_mult, depth))


def profile_target(space: Space, target: Target, *, tables: Path | None = None, device: Device | None = None,
                   seed: int = 0, again: bool = False, max_seconds: float = 60.0,
                   progress: Progress = silent) -> Profiled:
    """Fill the table of a target with what a space lacks in it.

    Args:
        tables: folder of tables; None takes the user's cache.
        device: where to measure; None is this machine.
        again, max_seconds, seed: as in `hwnas.profile.measure`.
    """
    found = measured(space, target, tables=tables, device=device, seed=seed, again=again, max_seconds=max_seconds,
                     progress=progress)
    largest, smallest = (found.model.predict(a).latency_ms for a in (space.largest(), space.smallest()))
    assert found.table is not None  # what was measured is in one
    return Profiled(ProfileResult(found.model, dict(found.report)), found.table, largest, smallest)


def export_run(run: RunFolder, out: Path | None = None, progress: Progress = silent) -> tuple[Path, Verdict]:
    """Write the fine-tuned network of a run as ONNX once more and check it against the stored samples.

    Args:
        run: its stage export is done.
        out: where to; None replaces the model in the run folder.

    Raises:
        RunError: the model is not exported yet.
        VerificationFailed: the new file does not give the stored logits.
    """
    from hwnas.pipeline.shipping import Shipper
    from hwnas.pipeline.stages import Stages

    record = run.state.stages.get("export")
    run.result("export")
    run.done("finetune")
    stages = Stages(run, progress)
    shipper = Shipper(stages)
    target = out or run.path / "model.onnx"
    began = time.monotonic()
    network = stages.network_of(stages.architecture, run.path / "model.safetensors")
    session = shipper.write_model(network, target)
    here = bool(run.lane()["here"])
    verdict = verify(target, Samples.load(run.path / "samples.safetensors"), stages.target, session=session,
                     timing=here)
    verdict.check()
    if out is None and record is not None:
        run.finish("export", record.result, list(record.files), record.seconds + time.monotonic() - began)
    return target, verdict


def rewrite_report(run: RunFolder) -> list[Path]:
    """Write report.html and report.json of a run again.

    Raises:
        RunError: the model is not exported yet.
    """
    from hwnas.pipeline.report import write_report

    run.result("export")
    names = ["report.html", "report.json"]
    began = time.monotonic()
    with run.locked():
        write_report(run)
        run.finish("report", {}, names, time.monotonic() - began)
    return [run.path / name for name in names]
