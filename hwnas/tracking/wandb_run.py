"""The tracker wandb: one run of Weights & Biases a run, in tracking/wandb of the run folder, offline unless asked.

| set by the user            | what                                                                      |
|----------------------------|---------------------------------------------------------------------------|
| nothing                    | offline: `wandb sync RUN/tracking/wandb/offline-run-*` uploads it         |
| WANDB_MODE=online          | uploaded while it works; all other settings of wandb are read as well     |
| address `project`, `entity/project` | where it is shown; else WANDB_PROJECT, else `hwnas`              |

The process of wandb keeps what it is told in memory until a block is full, so a killed run leaves little on the disk,
and nobody but the server can say what it holds. So every process tells the whole record: a point's number in the record
is its step of wandb, and a server that has it already is not told again. Offline, the part that an earlier process left
is replaced, unless it was uploaded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from hwnas.tracking.tracker import Key, Status, TrackedRun, Tracker, Value

if TYPE_CHECKING:
    import wandb

QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
TYPES = {".onnx": "model", ".safetensors": "model"}


class WeightsAndBiases(Tracker):
    """History under `stage/name`, drawn over `stage/step`; files as artifacts."""

    def started(self, run: TrackedRun) -> Collection[Key]:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import wandb

        entity, _, project = self.address.rpartition("/")
        mode = cast(Literal["online", "offline"], os.environ.get("WANDB_MODE", "offline"))
        if mode == "offline":
            _replace_earlier(run.folder / "wandb", run.id)
        run.folder.mkdir(parents=True, exist_ok=True)
        project = project or os.environ.get("WANDB_PROJECT", "hwnas")
        self._run: wandb.Run = wandb.init(
            entity=entity or None, project=project, id=run.id, name=run.name,
            group=run.group or None, config=dict(run.config), dir=str(run.folder), mode=mode, resume="allow",
            reinit="create_new", settings=wandb.Settings(console="off", silent=True))
        self._there = self._run.step if self._run.resumed else 0
        self._next, self._defined = 0, set[str]()
        return ()

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        number, self._next = self._next, self._next + 1
        if number < self._there:
            return
        axis = f"{stage}/step"
        row: dict[str, Any] = {f"{stage}/{name}": value for name, value in values.items()}
        for name in (axis, *row):
            if name not in self._defined:
                self._defined.add(name)
                self._run.define_metric(name, step_metric=None if name == axis else axis)
        self._run.log({axis: step, **row}, step=number)

    def artefact(self, path: Path) -> None:
        import wandb

        found = wandb.Artifact(f"{self._run.id}-{path.name}", type=TYPES.get(path.suffix, "result"))
        found.add_file(str(path))
        self._run.log_artifact(found)

    def finished(self, status: Status) -> None:
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _replace_earlier(folder: Path, run: str) -> None:
    for part in folder.glob(f"offline-run-*-{run}"):
        if not list(part.glob("*.wandb.synced")):
            shutil.rmtree(part)
