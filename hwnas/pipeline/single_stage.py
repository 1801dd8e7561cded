"""Single stages for the command line and for scripts: a table, a search to ask, an export, a report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import RunError, UsageError
from hwnas.export.metadata import read_exported, task_of_model
from hwnas.export.samples import Samples
from hwnas.export.verification import Verdict, verify
from hwnas.files import write_bytes
from hwnas.pipeline.commands import resume_command
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.latencies.latency_sources import measured
from hwnas.pipeline.latencies.origin import origin
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import ReportResult
from hwnas.pipeline.task_setup import load_data, space_for_data, space_of, spaces_of
from hwnas.profile import ProfileResult
from hwnas.progress import Progress, silent
from hwnas.runtime import Device
from hwnas.space import Space, Variant
from hwnas.space.find import default_input, is_file, space_file
from hwnas.space.heads import describe_head
from hwnas.target import Target
from hwnas.tasks.readout import BOXES
from hwnas.tasks.registry import task_of, task_of_head


@dataclass(frozen=True)
class Profiled:
    """A filled table, where it lies, what it says of the largest and the smallest network, where it is from, and what a
    person must know before it is used."""

    result: ProfileResult
    path: Path
    largest_ms: float
    smallest_ms: float
    origin: str = ""
    warnings: tuple[str, ...] = ()


def space_for(options: Mapping[str, Any], *, channels: int | None = None, classes: int | None = None) -> Space:
    """A space sized by hand, or to a data set; without either, to its default input, RGB and 1000 classes.

    Args:
        options: `space` and what sizes it, as in `CompressConfig`.

    Raises:
        UnknownName: no such space, head or data set.
        UsageError: a data set and `channels` or `classes`, which it decides; a head of another task.
    """
    given = dict(options)
    head = given.get("head")
    if head is None and is_file(str(given.get("space", ""))):
        head = space_file(str(given["space"])).config.head
    if head:
        given.setdefault("task", _task_of(str(head)))
    config = make_config(given)
    if "data" in options:
        if channels is not None or classes is not None:
            raise UsageError("--data decides the channels and the classes: leave out --channels and --classes")
        return space_for_data(config, load_data(config, silent, memory=0))
    usual, imgsz, width = default_input(config.space.name), config.data.imgsz, config.data.width
    size = (imgsz, width or imgsz) if imgsz else (usual.size[0], width or usual.size[1])
    return space_of(config, (channels or usual.channels, *size), classes or usual.classes, any_channels=True)


def _task_of(head: str) -> str:
    """Raises UnknownName: no such head."""
    describe_head(head)
    return task_of_head(head).name


def spaces_for(options: Mapping[str, Any], space: Space) -> dict[Variant, Space]:
    """The variants of a space that a run of its task would choose from, the space itself first.

    Args:
        options: `widths` and `sizes`, as in `CompressConfig`.

    Raises:
        UsageError: one of them is none, or changes what can be chosen.
    """
    return spaces_of(make_config({"task": task_of(space).name, **options}), space)


def profile_target(space: Space, target: Target, *, tables: Path | None = None, device: Device | None = None,
                   seed: int = 0, again: bool = False, max_seconds: float = 60.0, wait: bool = True,
                   progress: Progress = silent) -> Profiled:
    """Fill the table of a target with what a space lacks in it.

    Args:
        tables: folder of tables; None takes the user's cache.
        device: where to measure; None is this machine.
        again, max_seconds, seed, wait: as in `hwnas.profile.measure`.
    """
    found = measured(space, target, tables=tables, device=device, seed=seed, again=again, max_seconds=max_seconds,
                     wait=wait, progress=progress)
    largest, smallest = (found.model.predict(a).latency_ms for a in (space.largest(), space.smallest()))
    assert found.table is not None  # what was measured is in one
    machine = (text for text in found.report.get("warnings", ()) if text != found.report.get("company"))
    return Profiled(ProfileResult(found.model, dict(found.report)), found.table, largest, smallest,
                    origin("measured", target, found.device, here=found.here), (*found.warnings, *machine))


def export_run(run: RunFolder, out: Path | None = None, progress: Progress = silent) -> tuple[Path, Verdict]:
    """Write the fine-tuned network of a run as ONNX once more and check it against the stored samples.

    Args:
        run: its stage export is done.
        out: where to; None replaces the model in the run folder.

    Raises:
        RunError: the model is not exported yet.
        VerificationFailed: the new file does not give the stored logits.
    """
    from hwnas.pipeline.context import RunContext
    from hwnas.pipeline.exported.model_exporter import ModelExporter

    record = run.state.stages.get("export")
    run.result("export")
    run.done("finetune")
    context = RunContext(run, progress)
    target = out or run.path / "model.onnx"
    began = time.monotonic()
    network = context.network_of(context.architecture, run.path / "model.safetensors")
    session = ModelExporter(context).write_model(network, target)
    here = run.lane().here
    verdict = verify(target, Samples.load(run.path / "samples.safetensors"), context.target, session=session,
                     timing=here)
    verdict.check()
    if out is None and record is not None:
        run.finish("export", record.result, list(record.files), record.seconds + time.monotonic() - began)
    return target, verdict


def export_features(run: RunFolder, folder: Path) -> tuple[Path, ...]:
    """Write the backbone of a run's fine-tuned network for others' code: see `hwnas.export.backbone`.

    Raises:
        RunError: nothing is fine-tuned yet.
        UsageError: the space is none of chains.
    """
    from hwnas.export.backbone import write_backbone
    from hwnas.pipeline.context import RunContext
    from hwnas.pipeline.exported.provenance import provenance

    run.result("export")
    run.done("finetune")
    context = RunContext(run, silent)
    arch = context.architecture
    network = context.network_of(arch, run.path / "model.safetensors")
    told = provenance(context, arch, "model", context.target)
    kept = {name: told[name] for name in ("hwnas", "architecture", "data", "seed", "input")}
    return write_backbone(network, folder, kept)


def export_with_nms(run: RunFolder, out: Path) -> None:
    """Write a run's detector with decoding and NonMaxSuppression in its graph.

    Raises:
        RunError: nothing is exported yet, or the files were changed.
        UsageError: the run made no detector.
    """
    from hwnas.export.nms_graph import with_nms

    run.result("export")
    run.done("export")
    model = (run.path / "model.onnx").read_bytes()
    metadata = read_exported(model)
    task = task_of_model(metadata)
    layout = task.layout_from(metadata)
    if task.postprocessing(metadata)["kind"] != BOXES:
        raise UsageError(f"--nms is for detectors; {run.path} made a model to {task.name}")
    write_bytes(out, with_nms(model, layout))


def rewrite_report(run: RunFolder) -> list[Path]:
    """Write report.html and report.json of a run again; of a run for several budgets that of all, and each one's.

    Raises:
        RunError: the model is not exported yet.
    """
    from hwnas.pipeline.report.facts import write_report
    from hwnas.pipeline.report.own_network import FILES as OWN_FILES
    from hwnas.pipeline.report.own_network import write_own_report

    if run.branches:
        return _rewrite_overview(run)
    run.result(run.model_stage)
    own = run.state.config.model.source is not None
    write, names = (write_own_report, OWN_FILES) if own else (write_report, ("report.html", "report.json"))
    began = time.monotonic()
    with run.locked():
        write(run)
        run.finish("report", {}, names, time.monotonic() - began)
    return [run.path / name for name in names]


def _rewrite_overview(run: RunFolder) -> list[Path]:
    """Raises RunError where the budgets of a run were not all tried yet."""
    from hwnas.pipeline.report.overview_files import FILES, write_overview

    told = run.found_if_done(ReportResult)
    if told is None:
        raise RunError(f"{run.path} has not finished all its budgets: `{resume_command(run.path)}`")
    made = [branch.path for branch, found in zip(run.branches, told.branches, strict=True) if found.error is None]
    written = [path for folder in made for path in rewrite_report(RunFolder.open(folder))]
    began = time.monotonic()
    with run.locked():
        write_overview(run, told.branches)
        run.finish("report", told, FILES, time.monotonic() - began)
    return [*written, *(run.path / name for name in FILES)]
