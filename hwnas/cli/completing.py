"""What a shell completes: names of targets, spaces and the like, and folders of runs. Nothing heavy is imported.

Lists that would cost an import of half the package stand here, and a test holds them against the registries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

SPACES = ("mobile", "proxyless", "google", "ofa", "fbnet", "fbnetv2", "darts", "nse", "nasbench201")
RECIPES = ("small", "quick", "photo", "photo-long")
CHOICES: dict[str, Sequence[str]] = {
    "runtime": ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "openvino-gpu", "openvino-npu",
                "tensorrt"),
    "precision": ("fp32", "fp16", "bf16", "int8", "auto", "mixed"),
    "head": ("fcos", "ssdlite", "lraspp", "deeplab", "fpn"),
    "mode": ("pooled", "corrected", "reference"), "training": ("fair", "path"),
    "accelerator": ("auto", "cpu", "cuda", "mps"), "amp": ("no", "bf16", "fp16"), "image_cache": ("auto", "off"),
    "track": ("csv", "mlflow", "tensorboard", "wandb"),
    "evaluator": ("bn", "partial", "scratch", "shared", "table"), "executor": ("inline", "processes"),
    "reduce": ("angle", "classes", "evolve", "migo", "none"), "bn_scope": ("last", "all"),
    "searcher": ("additive", "ask_tell", "darts", "darts2", "entrannas", "entrannas_dst", "fpnas", "gdas", "parsec",
                 "pcdarts", "proxylessnas", "weight_sharing"),
}
GROUPS = {  # where other packages name theirs
    "space": "hwnas.spaces", "evaluator": "hwnas.evaluators", "executor": "hwnas.executors",
    "reduce": "hwnas.reducers", "searcher": "hwnas.searchers", "track": "hwnas.trackers",
}
Complete = Callable[[str], list[str]]


def among(names: Sequence[str], flag: str = "") -> Complete:
    """Those of some names, and of those of other packages for a flag, that begin so."""
    return lambda incomplete: [name for name in (*names, *_of_others(flag)) if name.startswith(incomplete)]


def _of_others(flag: str) -> list[str]:
    """Names of entry points, sorted; nothing of them is imported."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=GROUPS[flag])}) if flag in GROUPS else []


def targets(incomplete: str) -> list[str]:
    """Targets at hand, and YAML files."""
    from hwnas.target import names

    return [name for name in (*names(), *_paths(incomplete, "*.yaml")) if name.startswith(incomplete)]


def spaces(incomplete: str) -> list[str]:
    """Built-in spaces, those of other packages, and JSON files."""
    return [*among(SPACES, "space")(incomplete), *among(_paths(incomplete, "*.json"))(incomplete)]


def strategies(incomplete: str) -> list[str]:
    """Search strategies, those of other packages among them."""
    from hwnas.search.registry import names

    return [name for name in names() if name.startswith(incomplete)]


def tasks(incomplete: str) -> list[str]:
    """Tasks, those of other packages among them."""
    from hwnas.tasks.registry import names

    return [name for name in names() if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Recipes that come with hwnas, and YAML files."""
    return [*among(RECIPES)(incomplete), *among(_paths(incomplete, "*.yaml"))(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Folders of runs: below the one that is begun, here, and in hwnas-runs."""
    found = {path.rpartition("/")[0] for place in ("*/run.json", "*/*/run.json")
             for path in _paths(incomplete, place)}
    return sorted(path for path in found if path.startswith(incomplete))


def _paths(incomplete: str, pattern: str) -> list[str]:
    folder = Path(incomplete if incomplete.endswith("/") else incomplete.rpartition("/")[0] or ".")
    try:
        return [path.as_posix() for path in sorted(folder.glob(pattern))[:1000]]
    except OSError:
        return []


def completion_of(name: str) -> Complete | None:
    """What completes a shared flag; None where only its user knows."""
    if name in CHOICES:
        return among(CHOICES[name], name)
    return {"target": targets, "task": tasks, "space": spaces, "init": runs, "strategy": strategies,
            "recipe": recipes}.get(name)
