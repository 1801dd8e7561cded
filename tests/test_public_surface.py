"""What users may import: the names of every room, pinned, so that none comes or goes unnoticed."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import hwnas

REPOSITORY = Path(__file__).parents[1]

SURFACE = {
    "hwnas": "RunFolder compress load pick resume",
    "hwnas.bench": "Benchmark Entrant Result StrategySpec Summary TabularBenchmark compare load names run summaries",
    "hwnas.data": "KNOWN ArraySource ClassFeed Dataset EncodedSource Feed ImageView Policy Reading Source Subset "
                  "augment epoch load policy_for read_by",
    "hwnas.deploy": "Bundle Deployed Finding deploy_run verify write_bundle",
    "hwnas.device": "FolderJob RecordedDevice SshDevice",
    "hwnas.export": "Loss Samples Verdict answers onnx_bytes predict read_metadata stamped to_onnx verify",
    "hwnas.generate": "Candidate Confident Explanation Factor ForDevices Front Layer Parallel Point RankedFront Series "
                      "Solution Words count_topologies explain front front_blocks front_cell front_graph "
                      "front_precisions ranked_front solve solve_blocks solve_cell solve_for_devices solve_graph "
                      "solve_precisions solve_uncertain utilities_of",
    "hwnas.imaging": "Decoded Header InputContract Letterbox Picture read_header stored_image",
    "hwnas.latency": "Calibration Entry Errors EstimatedModel LatencyModel MixedCosts MixedPrecisionModel Parts "
                     "Prediction Table changes_of errors fit interval kendall_tau live_ops now table_path",
    "hwnas.nets": "Block FeatureNet Mixture Network Normalize Subnet Supernet deployed",
    "hwnas.pipeline": "STAGES Answer ArchitectureSolver Budget CompressConfig Picker Predictor RunFolder TimedModel "
                      "calibration_inputs compress compress_run export_job load_context load_network load_own_network "
                      "load_reference "
                      "load_search make_config parse parse_all pick predict_files resume retarget show "
                      "time_models",
    "hwnas.profile": "GraphBuilder ProfileResult Weights measure measure_network measure_networks network_model "
                     "planned random_weights",
    "hwnas.quantize": "FORMS VARIANTS Samples cached in_precisions to_form variant_for",
    "hwnas.runtime": "RUNTIMES Array Device Fingerprint Inputs LocalDevice Measurement Runtime Session Sweep SweepPlan "
                     "Timer compare measure_latency open_runtime runtime_for time_session visit",
    "hwnas.search": "Distribution SearchConfig SearchResult Strategy create load run",
    "hwnas.space": "FULL SPACES Act Architecture AvgPool Change Concat Conv Cost Description Edge Gate GlobalAvgPool "
                   "Graph Kind Linear MaxPool Norm Op Parallel Position Primitive RepConv Shuffle Space SpaceConfig "
                   "SplitAttention SqueezeExcite Upsample Variant build describe find_space interpret make_divisible "
                   "output_positions resized scaled space_from_json space_to_json variants",
    "hwnas.surgery": "Cut Fragment InputContract NOTHING TrainedNetwork Unit assemble read_network",
    "hwnas.target": "Docker Hardware MIXED NetworkPrecision PRECISIONS Precision RuntimeName Target VALUE_BYTES "
                    "alias_of data_folder folders load locate names read user_folder",
    "hwnas.tasks": "Answer Breakdown Cases CocoMap Column DetectionHead DetectionHeadLayout Detections IGNORE "
                   "LoadedModel MeanIou Metric RECALLS Standing Task VARIANCES Words array_of class_rows coco_map "
                   "colours confusion detections difference draw_boxes draw_mask find level_above names task_for "
                   "task_of tiled_logits",
    "hwnas.tracking": "TrackedRun Tracker Tracking TrackingWarning",
    "hwnas.train": "Accelerator Classification Detection EpochLog History Objective Segmentation Task Teacher "
                   "TrainConfig Workload accuracy as_task fit logits objective_of reestimate_batch_norm workload_of",
}
COMMANDS = "hwnas.cli"  # its surface is the command line
NEED_TORCH = {
    "hwnas.nets", "hwnas.train", "hwnas.pipeline.context", "hwnas.pipeline.duration", "hwnas.pipeline.following",
    "hwnas.pipeline.exported.model_exporter", "hwnas.pipeline.helping", "hwnas.pipeline.shares",
    "hwnas.pipeline.selection.trials",
    "hwnas.pipeline.selection.model_selector", "hwnas.pipeline.selection.quantization_loss", "hwnas.pipeline.stages",
    "hwnas.search.additive", "hwnas.search.config", "hwnas.search.differentiable", "hwnas.search.evaluators",
    "hwnas.search.rescoring", "hwnas.search.resumable", "hwnas.search.shrinking", "hwnas.search.signals",
    "hwnas.search.weight_sharing", "hwnas.surgery.interpreter", "hwnas.surgery.operators",
    "hwnas.surgery.rounded", "hwnas.surgery.torch_source", "hwnas.surgery.tracing", "hwnas.surgery.tuning",
}

IMPORT_ALL = """
import importlib, importlib.abc, json, pkgutil, sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("torch was asked for", name=name)

sys.meta_path.insert(0, NoTorch())
import hwnas

walk = pkgutil.walk_packages(hwnas.__path__, "hwnas.", onerror=lambda name: None)
failed, found = {}, [module.name for module in walk]
for name in found:
    heavy = any(name == needs or name.startswith(needs + ".") for needs in sys.argv[1:])
    if not heavy and not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ImportError as err:
            failed[name] = str(err)
print(json.dumps({"failed": failed, "found": found, "torch": "torch" in sys.modules}))
"""


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_the_names_of_a_room(name: str) -> None:
    room = importlib.import_module(name)
    assert sorted(room.__all__) == sorted(SURFACE[name].split())
    assert [entry for entry in room.__all__ if not hasattr(room, entry)] == []


def test_every_room_is_pinned() -> None:
    rooms = {f"hwnas.{module.name}" for module in pkgutil.iter_modules(hwnas.__path__) if module.ispkg}
    assert rooms - {COMMANDS} == set(SURFACE) - {"hwnas"}


def test_no_module_of_the_core_needs_torch() -> None:
    """Each module of the rooms that a device installs imports where torch cannot be found."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *sorted(NEED_TORCH)], capture_output=True, text=True,
                          timeout=240, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"hwnas.export.verification", "hwnas.generate.knapsack", "hwnas.profile.measure"} <= set(result["found"])
    assert result["failed"] == {}
    assert not result["torch"]


def test_the_version_is_the_same_everywhere() -> None:
    declared = project()["version"]
    assert version("hwnas") == declared
    assert hwnas.__version__ == declared
    assert f"## [{declared}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"hwnas(?:\[[a-z,]+\])?(?:==|-| v?)(\d+\.\d+\.\d+)", readme)
    assert set(named) <= {declared}


def test_the_readme_names_extras_and_a_python_that_exist() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    extras = {name for group in re.findall(r"(?:hwnas|\.)\[([a-z,]+)\]", readme) for name in group.split(",")}
    assert extras <= set(project()["optional-dependencies"])
    pythons = set(re.findall(r"Python (3\.\d+)", readme))
    assert not pythons or project()["requires-python"].removeprefix(">=") in pythons


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table
