"""The tracker mlflow: one run of MLflow a run, through MlflowClient.

| address                   | store                                                                            |
|---------------------------|----------------------------------------------------------------------------------|
| none                      | what MLFLOW_TRACKING_URI names, else `sqlite` in a file beside the run folder    |
| `http://host:5000`        | a server                                                                         |
| `sqlite:///all.db`, a folder | on this disk; a folder is what MLflow no longer develops                      |

Without SQLAlchemy, which `mlflow-skinny` lacks, it is a folder beside the run folder. MLFLOW_EXPERIMENT_NAME names the
experiment, else it is `hwnas`. MLflow's own telemetry is off unless MLFLOW_DISABLE_TELEMETRY=false says otherwise.
Texts become one file a stage, `texts/STAGE.NAME.json`, since MLflow has no texts with steps.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.documents import read_json
from hwnas.files import write_json
from hwnas.tracking.tracker import FILES, Key, Status, TrackedRun, Tracker, Value

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATE = "mlflow.json"  # in the run folder: the store, the experiment and the run there
LONGEST_PARAM = 6000  # characters, as stores take them
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
         "MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}
"""Where the user does not say: no network of its own, and a server that is away is given up before the run waits."""
ENDED = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Mlflow(Tracker):
    """Metrics `stage/name`, options as parameters, files as artefacts."""

    def started(self, run: TrackedRun) -> Collection[Key]:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        self._texts: dict[str, dict[str, str]] = {}
        place = run.folder / STATE
        known = read_json(place) if place.exists() else None
        uri = known["store"] if known else self._store(run)
        if "://" not in uri or uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        self._client: MlflowClient = MlflowClient(tracking_uri=uri)
        if known:
            self._id = known["run"]
            self._client.update_run(self._id, status="RUNNING")
            return list(self._held())
        self._id = self._created(run)
        write_json(place, {"store": uri, "run": self._id})
        return ()

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        numbers = [Metric(f"{stage}/{name}", float(value), now, step) for name, value in values.items()
                   if not isinstance(value, str)]
        for name, value in values.items():
            if isinstance(value, str):
                self._texts.setdefault(f"{stage.replace('/', '.')}.{name}", {})[str(step)] = value
        if numbers:
            self._client.log_batch(self._id, metrics=numbers)

    def artefact(self, path: Path) -> None:
        self._client.log_artifact(self._id, str(path))
        self._write_texts()

    def finished(self, status: Status) -> None:
        self._write_texts()
        self._client.set_terminated(self._id, ENDED[status])

    def _store(self, run: TrackedRun) -> str:
        beside = run.folder.parent.parent.absolute()
        if self.address or os.environ.get("MLFLOW_TRACKING_URI"):
            given = self.address or os.environ["MLFLOW_TRACKING_URI"]
            return given if "://" in given or given == "databricks" else Path(given).expanduser().absolute().as_uri()
        if importlib.util.find_spec("sqlalchemy") and importlib.util.find_spec("alembic"):
            return f"sqlite:///{beside / 'mlflow.db'}"
        return (beside / "mlruns").as_uri()

    def _created(self, run: TrackedRun) -> str:
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "hwnas")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        tags = {"hwnas.run": run.id} | ({"hwnas.group": run.group} if run.group else {})
        made = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in run.config.items()]
        self._client.log_batch(made, params=params)
        return str(made)

    def _held(self) -> Iterator[Key]:
        for metric in self._client.get_run(self._id).data.metrics:
            stage, _, name = metric.rpartition("/")
            for point in self._client.get_metric_history(self._id, metric):
                yield stage, point.step, name
        for file in self._client.list_artifacts(self._id):
            yield FILES, 0, file.path

    def _write_texts(self) -> None:
        for name, texts in self._texts.items():
            self._client.log_dict(self._id, texts, f"texts/{name}.json")
