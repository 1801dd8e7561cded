"""What trackers left behind, read with the tools' own readers: (stage, step, name) -> every value that is there."""

from __future__ import annotations

import csv
import json
import os
import struct
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Points = dict[tuple[str, int, str], list[Any]]
FOLDER = "tracking"


def of_csv(run: Path) -> Points:
    found: Points = defaultdict(list)
    with (run / FOLDER / "metrics.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["stage"], int(row["step"]), row["name"]].append(number_or_text(row["value"]))
    return found


def number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def of_tensorboard(run: Path) -> Points:
    """As TensorBoard shows it: scalars, and texts without the fence that keeps Markdown out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(run / FOLDER / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    shown.Reload()
    found: Points = defaultdict(list)
    for tag in shown.Tags()["scalars"]:
        stage, _, name = tag.rpartition("/")
        for event in shown.Scalars(tag):
            found[stage, event.step, name].append(event.value)
    for tag in shown.Tags()["tensors"]:
        stage, _, name = tag.removesuffix("/text_summary").rpartition("/")
        for event in shown.Tensors(tag):
            text = event.tensor_proto.string_val[0].decode()
            found[stage, event.step, name].append(text.removeprefix("```\n").removesuffix("\n```"))
    return found


def of_mlflow(run: Path) -> Points:
    from mlflow.tracking import MlflowClient

    state = json.loads((run / FOLDER / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=state["store"])
    experiment = client.get_experiment_by_name("hwnas")
    assert experiment is not None
    assert [r.info.run_id for r in client.search_runs([experiment.experiment_id])] == [state["run"]]
    found: Points = defaultdict(list)
    for metric in client.get_run(state["run"]).data.metrics:
        stage, _, name = metric.rpartition("/")
        for point in client.get_metric_history(state["run"], metric):
            found[stage, point.step, name].append(point.value)
    for file in client.list_artifacts(state["run"]):
        if not file.is_dir:
            found["files", 0, file.path].append(file.path)
    for file in client.list_artifacts(state["run"], "texts"):
        stage, _, name = file.path.removeprefix("texts/").removesuffix(".json").rpartition(".")
        path = client.download_artifacts(state["run"], file.path)
        for step, text in json.loads(Path(path).read_text()).items():
            found[stage.replace(".", "/"), int(step), name].append(text)
    return found


def of_wandb(run: Path) -> Points:
    """What `wandb sync` would upload: the records of the one offline part that is there."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: Points = defaultdict(list)
    (file,) = (run / FOLDER / "wandb").glob("offline-run-*/run-*.wandb")
    until = time.monotonic() + PATIENCE_S  # the process of wandb ends the file a moment after its run is finished
    while True:
        read = [Record.FromString(data) for data in records(file.read_bytes())]
        kinds = [record.WhichOneof("record_type") for record in read]
        if "exit" in kinds or time.monotonic() > until:
            break
        time.sleep(0.05)
    for record, kind in zip(read, kinds, strict=True):
        if kind == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            stage = next(key for key in row if key.endswith("/step")).removesuffix("/step")
            for key, value in row.items():
                if key.startswith(f"{stage}/") and key != f"{stage}/step":
                    found[stage, row[f"{stage}/step"], key.removeprefix(f"{stage}/")].append(value)
        elif kind == "artifact" or (kind == "request" and record.request.HasField("log_artifact")):
            artifact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
            for entry in artifact.manifest.contents:
                found["files", 0, entry.path].append(entry.path)
    return found


PATIENCE_S = 120.0
BLOCK, HEAD = 1 << 15, 7


def records(content: bytes) -> list[bytes]:
    """The records of a .wandb file, a log of LevelDB: blocks of 32 KiB, records cut into full, first, middle, last."""
    found: list[bytes] = []
    place = HEAD
    parts = b""
    while place + HEAD <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEAD:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEAD])
        data = content[place + HEAD : place + HEAD + length]
        place += HEAD + length
        parts = data if kind in (1, 2) else parts + data
        if kind in (1, 4):
            found.append(parts)
    return found


READERS: dict[str, Callable[[Path], Points]] = {
    "csv": of_csv, "mlflow": of_mlflow, "tensorboard": of_tensorboard, "wandb": of_wandb}


def quietly(run: Path) -> dict[str, str]:
    """Environment of a process that tracks: nothing of the user's reaches it, and it reaches nothing outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "MLFLOW_"))}
    return {**kept, "WANDB_MODE": "offline", "HOME": str(run.parent)}
