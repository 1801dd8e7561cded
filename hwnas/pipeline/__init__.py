"""compress as ordered, resumable stages over a run folder, and the report. Torch is imported when a stage needs it.

| what                                                           | is                                            |
|----------------------------------------------------------------|-----------------------------------------------|
| compress, resume, retarget, compress_run                       | the stages, carried out                       |
| CompressConfig, make_config, Budget, parse, parse_all, show    | what is asked for                             |
| RunFolder, STAGES                                              | a run on disk                                 |
| pick, Answer, ArchitectureSolver                               | a finished search, asked for other budgets    |
| load_network, load_reference, load_search, load_context        | what a run left, to work with                 |
| load_own_network                                               | the same of a run on a user's own network     |
| TimedModel, time_models, calibration_inputs                    | models timed in turns; images to quantise with|
| Predictor, predict_files                                       | what an exported model says of images         |
| export_job                                                     | what is carried to a device to be measured    |
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.pipeline.config.budget import Budget, parse, parse_all, show
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.display.run_facts import run_facts
from hwnas.pipeline.job import compress, compress_run, resume, retarget
from hwnas.pipeline.loading import load_context, load_network, load_own_network, load_reference, load_search
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import pick

if TYPE_CHECKING:
    from hwnas.pipeline.exported.inference import TimedModel, calibration_inputs, time_models
    from hwnas.pipeline.exported.predicting import Predictor, predict_files
    from hwnas.pipeline.latencies.remote_profiling import export_job

RunFolder.describe = staticmethod(run_facts)  # above both: a run folder itself knows no results

Picker = ArchitectureSolver  # its name in 0.1, for one version

__all__ = [
    "STAGES", "Answer", "ArchitectureSolver", "Budget", "CompressConfig", "Picker", "Predictor", "RunFolder",
    "TimedModel", "calibration_inputs", "compress", "compress_run", "export_job", "load_context", "load_network",
    "load_own_network", "load_reference", "load_search", "make_config", "parse", "parse_all", "pick", "predict_files",
    "resume", "retarget", "show", "time_models",
]

_HOMES = {"TimedModel": "exported.inference", "calibration_inputs": "exported.inference",
          "time_models": "exported.inference", "Predictor": "exported.predicting",
          "predict_files": "exported.predicting", "export_job": "latencies.remote_profiling"}


def __getattr__(name: str) -> Any:
    """On first use: what needs ONNX or pydantic's larger half is not in the way of a command that does not."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hwnas.pipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hwnas.pipeline.{_HOMES[name]}"), name)
