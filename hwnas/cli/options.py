"""The flags, once: each means the same in every command that takes it."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hwnas.cli.completing import completion_of, runs
from hwnas.documents import brief
from hwnas.errors import UsageError


class Range(NamedTuple):
    """What a number may be; `low` alone may be left out."""

    low: float
    high: float
    above: bool = False

    def refuses(self, value: float) -> bool:
        return not (self.low <= value <= self.high) or (self.above and value == self.low)

    def __str__(self) -> str:
        return f"{'above' if self.above else 'from'} {self.low:,} to {self.high:,}"


RANGES = {  # as in `hwnas.pipeline.CompressConfig`: here too, so that every command refuses before it does anything
    "imgsz": Range(8, 1024), "width": Range(8, 2048), "limit": Range(2, 10**9), "batch": Range(1, 1024),
    "threads": Range(1, 256), "give_up": Range(0, 100), "confidence": Range(0.5, 0.9999),
    "width_mult": Range(0, 8, above=True), "cost_target": Range(0, 1, above=True),
    "depth": Range(1, 16), "head_width": Range(8, 1024), "output_stride": Range(16, 32), "epochs": Range(1, 10**5),
    "batch_size": Range(2, 10**5), "lr": Range(0, 100, above=True), "attention": Range(0, 10**6),
    "patience": Range(0, 10**5), "accumulate": Range(1, 10**4),
    "seed": Range(0, 2**63 - 1), "torch_threads": Range(1, 1024), "warmup": Range(0, 10**5),
    "epochs_per_evaluation": Range(0, 1000, above=True), "cycles": Range(1, 10**4), "keep": Range(1, 1000),
    "evaluations": Range(1, 10**6), "evaluation_epochs": Range(1, 10**5), "search_workers": Range(1, 1024),
    "settle": Range(0, 10**6), "top": Range(1, 10**4), "finalists": Range(1, 10**4), "trial_epochs": Range(0, 10**5),
    "workers": Range(0, 256), "crop": Range(0, 1, above=True), "tune_epochs": Range(0, 10**4),
}

OUT = ("-o", "--out", "--output")
TARGET = ("runtime", "precision", "batch", "threads")
BUDGETS = ("latency", "flops", "params", "memory", "throughput", "latency_p99", "energy", "peak_memory", "file_size")


def _flag(kind: Any, name: str, text: str, panel: str, default: str | bool = False, off: str = "") -> Any:
    spelled = "/".join("--" + each.replace("_", "-") for each in (name, off) if each)
    return Annotated[kind, typer.Option(spelled, help=text, rich_help_panel=panel, show_default=default,
                                        autocompletion=completion_of(name))]


_TEXT, _INT, _FLOAT, _LIST = str | None, int | None, float | None, list[str] | None
_M = "Your own network (--model)"
_B, _D, _T, _L, _S = "Budgets (any number together)", "Data", "Target", "Training", "Search"

OPTIONS: dict[str, Any] = {
    "latency": _flag(_TEXT, "latency", "Largest latency: 8ms, 500us or 50% of the fp32 reference's, whatever ships.",
                     _B),
    "flops": _flag(_TEXT, "flops", "Most multiply-accumulates: 300M or 60%.", _B),
    "params": _flag(_TEXT, "params", "Most parameters: 2M or 50%.", _B),
    "memory": _flag(_TEXT, "memory", "Most activation memory: 64MB or 50%.", _B),
    "throughput": _flag(_TEXT, "throughput", "Fewest images a second, at --batch: 200/s or 150%.", _B),
    "latency_p99": _flag(_TEXT, "latency_p99", "Largest 99th percentile of the latency: 10ms or 60%.", _B),
    "energy": _flag(_TEXT, "energy", "Most energy an image, where the device has a meter: 5mJ or 50%.", _B),
    "peak_memory": _flag(_TEXT, "peak_memory", "Most memory of a process, measured: 64MB or 50%.", _B),
    "file_size": _flag(_TEXT, "file_size", "Largest ONNX file: 2MB or 50%.", _B),
    "data": _flag(_TEXT, "data", "digits, a folder per class, a .npz or a .parquet; see --task.", _D, "digits"),
    "task": _flag(_TEXT, "task", "classify; multilabel: labels or boxes; detect: COCO, VOC, YOLO; segment: masks.", _D,
                  "classify"),
    "imgsz": _flag(_INT, "imgsz", "Input size in pixels.", _D, "the data's own"),
    "width": _flag(_INT, "width", "Input width, where it is not --imgsz.", _D, "--imgsz"),
    "limit": _flag(_INT, "limit", "Use at most this many images.", _D),
    "image_cache": _flag(_TEXT, "image_cache", "Where images beyond memory are kept decoded: a folder, off; auto: with "
                         "a GPU, the user's cache.", _D, "auto"),
    "workers": _flag(_INT, "workers", "Threads that make batches while others are learnt from.", _D,
                     "0; with a GPU one a core"),
    "target": _flag(_TEXT, "target", "Where it will run: a name or a .yaml (hwnas targets); "
                    "several with commas: a network each.", _T, "local"),
    "runtime": _flag(_TEXT, "runtime", "Library that runs the model, e.g. openvino (hwnas doctor).", _T,
                     "the target's"),
    "precision": _flag(_TEXT, "precision", "fp32, fp16, bf16, int8, a list; mixed: a layer its own; auto: all compete.",
                       _T, "the target's"),
    "batch": _flag(_INT, "batch", "Images per call on the target.", _T, "the target's"),
    "threads": _flag(_INT, "threads", "Threads the runtime may use.", _T, "the target's"),
    "confidence": _flag(_FLOAT, "confidence", "Probability that a prediction within the budget measures within it.",
                        _T, "0.5"),
    "one_model": _flag(bool | None, "one_model", "One network for all targets, within the budgets of each.", _T),
    "give_up": _flag(_FLOAT, "give_up", "With it: predicted points to give up for room below the budgets.", _T, "0.0"),
    "require_measured": _flag(bool | None, "require_measured", "Refuse latencies that were not measured.", _T),
    "tables": _flag(_TEXT, "tables", "Folder of latency tables.", _T, "the user's cache"),
    "space": _flag(_TEXT, "space", "What can be built: a name (hwnas spaces), a .json or module:function.", "Space",
                   "mobile"),
    "width_mult": _flag(_FLOAT, "width_mult", "Multiplies every channel count.", "Space", "1.0"),
    "widths": _flag(_TEXT, "widths", "Shares of the channels that the result may have, e.g. 0.75,0.5; 1: all alone.",
                    "Space", "detect, segment: 0.75,0.5"),
    "sizes": _flag(_TEXT, "sizes", "Input sizes that the result may have besides --imgsz, e.g. 256,192.", "Space",
                   "--imgsz alone"),
    "depth": _flag(_INT, "depth", "Layers per stage.", "Space", "the space's own"),
    "head": _flag(_TEXT, "head", "fcos or ssdlite detect, lraspp, deeplab or fpn segment.", "Space",
                  "the task's first"),
    "head_width": _flag(_INT, "head_width", "Channels of the head.", "Space", "the head's own"),
    "output_stride": _flag(_INT, "output_stride", "Of the coarsest map that a segmenter reads: 16 or 32.", "Space",
                           "16"),
    "init": _flag(_TEXT, "init", "Folder of a run whose weights to start from, where they fit.", _L),
    "epochs": _flag(_INT, "epochs", "Epochs of the reference and of the result.", _L, "20"),
    "time": _flag(_TEXT, "time", "Time for training, e.g. 30m: all epochs are chosen to fit, in their ratio.", _L),
    "recipe": _flag(_TEXT, "recipe", "How images are changed and networks trained: small, photo, ... or a .yaml.", _L,
                    "by the data's size"),
    "batch_size": _flag(_INT, "batch_size", "Images per training step.", _L, "the recipe's, or 64"),
    "lr": _flag(_FLOAT, "lr", "Peak learning rate.", _L, "0.1; detect 0.002, segment 0.05"),
    "patience": _flag(_INT, "patience", "Epochs without a better score that end training early; 0: none do.", _L,
                      "the recipe's, or 0"),
    "accumulate": _flag(_INT, "accumulate", "Parts in which a batch is computed, for less memory.", _L, "1"),
    "attention": _flag(_FLOAT, "attention", "Factor of the attention of the reference's maps in fine-tuning.", _L, "0"),
    "seed": _flag(_INT, "seed", "Of everything random.", _L, "0"),
    "torch_threads": _flag(_INT, "torch_threads", "Threads for training.", _L, "all cores"),
    "accelerator": _flag(_TEXT, "accelerator", "Where is trained: cpu, cuda, cuda:1, mps; auto: a GPU if any.",
                         _L, "auto"),
    "amp": _flag(_TEXT, "amp", "Number format of training: no (fp32), bf16, or fp16 on a GPU.", _L, "no"),
    "compile": _flag(bool | None, "compile", "Compile the networks that are trained alone (torch.compile).", _L),
    "side_by_side": _flag(bool | None, "side_by_side", "Train reference and search at once, half of the threads each.",
                          _L, "for small networks on a CPU", "one_by_one"),
    "loss": _flag(_TEXT, "loss", "A loss of yours: package.module:name.", _L, "the task's"),
    "metric": _flag(_TEXT, "metric", "A metric of yours, in percent: package.module:name.", _L, "the task's"),
    "class_weights": _flag(_TEXT, "class_weights", "balanced; 1,2,0.5 in the order of the classes; or a .yaml of them.",
                           _L, "equal"),
    "model": _flag(_TEXT, "model", "Your trained network: .onnx, .pt2, module:factory, torchvision:NAME, timm:NAME.",
                   _M, "search a space"),
    "mean": _flag(_TEXT, "mean", "Of its input, on pixels 0..255: x = (pixel - mean) / std, e.g. 127,127,127.", _M),
    "std": _flag(_TEXT, "std", "Of its input, alike.", _M),
    "colour": _flag(_TEXT, "colour", "Its channels: rgb, bgr or grey.", _M, "rgb"),
    "layout": _flag(_TEXT, "layout", "Its axes: nchw or nhwc.", _M, "nchw"),
    "fit": _flag(_TEXT, "fit", "How images come to its size: crop, letterbox or stretch.", _M, "crop"),
    "crop": _flag(_FLOAT, "crop", "Side of the square in the middle over the shorter side.", _M, "1.0"),
    "contract": _flag(_TEXT, "contract", "A .yaml with those six instead.", _M),
    "keep": _flag(_LIST, "keep", "Units that stay as they are: u00,u1*, or tensors and weights in them (hwnas "
                  "inspect); of a search: how many operations per choice pruning leaves.", _M, "3"),
    "only": _flag(_LIST, "only", "Units that may change, alike; all others stay.", _M),
    "precision_only": _flag(bool | None, "precision_only", "Replace no unit, choose their precisions alone.", _M),
    "device": _flag(_TEXT, "device", "Where the target is and units are timed: ssh://[user@]host[:port]; of several "
                    "targets one each, `here` for this machine.", _M, "this machine"),
    "device_python": _flag(_TEXT, "device_python", "Python 3.8 or newer there.", _M, "python3"),
    "tune_epochs": _flag(_INT, "tune_epochs", "Epochs of distillation where units were replaced; 0: none.", _M,
                         "4, more where images are few"),
    "track": _flag(_TEXT, "track", "Who is told of curves and results: csv, tensorboard, mlflow, wandb, mlflow:URL.",
                   _L, "nobody"),
    "strategy": _flag(_TEXT, "strategy", "What asks for architectures (hwnas bench lists them).", _S, "migo"),
    "evaluator": _flag(_TEXT, "evaluator", "What scores them: shared, scratch, table, bn or partial.", _S, "shared"),
    "reduce": _flag(_TEXT, "reduce", "What is left: migo (--keep of each), angle, classes, evolve, none.", _S, "migo"),
    "searcher": _flag(_TEXT, "searcher", "Who leads; by gradients: proxylessnas, darts, darts2, fpnas, parsec, in "
                      "cells gdas, pcdarts, entrannas, entrannas_dst.", _S, "what the evaluator needs"),
    "evaluations": _flag(_INT, "evaluations", "Architectures that are scored.", _S, "what MIGO's cycles need"),
    "evaluation_epochs": _flag(_INT, "evaluation_epochs", "Epochs of a training of evaluator scratch.", _S, "1"),
    "bn_scope": _flag(_TEXT, "bn_scope", "Norms that learn with evaluator bn: the last of an op, or all.", _S, "last"),
    "cost_target": _flag(_FLOAT, "cost_target", "Share of the largest network's FLOPs above which the searchers parsec "
                         "and fpnas push networks away.", _S),
    "evaluation_table": _flag(_TEXT, "evaluation_table", "search.jsonl that evaluator table looks up.", _S),
    "executor": _flag(_TEXT, "executor", "Where is scored: inline, or processes for scratch and table.", _S,
                      "inline; processes with --search-workers"),
    "search_workers": _flag(_INT, "search_workers", "Evaluations at once, for scratch and table.", _S, "1"),
    "mode": _flag(_TEXT, "mode", "How MIGO estimates: pooled, corrected or reference.", _S, "pooled"),
    "training": _flag(_TEXT, "training", "fair: a fresh path every step; path: the asked one an epoch.", _S, "fair"),
    "warmup": _flag(_INT, "warmup", "Epochs before the first evaluation.", _S, "10"),
    "epochs_per_evaluation": _flag(_FLOAT, "epochs_per_evaluation", "Training between two evaluations.", _S, "0.5"),
    "cycles": _flag(_INT, "cycles", "Fair cycles between two prunings.", _S, "2"),
    "settle": _flag(_INT, "settle", "Architectures scored with the final weights.", _S, "60"),
    "top": _flag(_INT, "top", "How many of the best are scored again.", _S, "12"),
    "finalists": _flag(_INT, "finalists", "How many of those are fine-tuned for a few epochs.", _S, "4"),
    "trial_epochs": _flag(_INT, "trial_epochs", "For how many epochs.", _S, "3"),
}

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else there.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False,
                                      autocompletion=runs)]
Out = Annotated[Path | None, typer.Option(*OUT, help="The run folder.",
                                          show_default="hwnas-runs/<data>-<target>-<n>")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML with these flags as keys (latency: 40%), or what "
                                             "--dry-run --json printed; flags win.",
                                             show_default=False)]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was cut off.",
                                             show_default=False)]


def spelled(name: str) -> str:
    """The flag of an option: 'width_mult' -> '--width-mult'."""
    return "--" + name.replace("_", "-")


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the named flags of `OPTIONS`; those that were set arrive as its argument `given`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
        shared = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OPTIONS[n])
                  for n in names]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            given = {name: found for name in names if (found := values.pop(name)) not in (None, [], ())}
            _check_ranges({**given, **values})
            command(given=given, **values)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def _check_ranges(values: Mapping[str, Any]) -> None:
    """Raises UsageError where a number is outside what its flag takes, or is no finite one."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{spelled(name)} {value}: a finite number is needed")
        if name in RANGES and isinstance(value, int | float) and RANGES[name].refuses(value):
            raise UsageError(f"{spelled(name)} {brief(value)}: takes {RANGES[name]}")


def config_options(given: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """Options for `make_config` from flags and a config file.

    Raises:
        InputError: the config file cannot be used.
    """
    from hwnas.pipeline.config.config_file import merge, read_options

    budgets = {name: given[name] for name in BUDGETS if name in given}
    flags = {name: value for name, value in given.items() if name not in BUDGETS}
    return _kept(merge(read_options(config) if config else {}, flags, budgets))


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """`--keep` of a search is a number."""
    given = options.get("keep")
    if options.get("model") is not None or not isinstance(given, list):
        return options
    try:
        number = int(given[-1])
    except ValueError:
        raise UsageError(f"--keep {brief(given[-1])}: takes {RANGES['keep']}; patterns of units are of a network of "
                         "your own: give --model as well") from None
    _check_ranges({"keep": number})
    return {**options, "keep": number}


def refuse_with_resume(given: Mapping[str, Any], **others: object) -> None:
    """A run that goes on keeps its configuration, but for what changes no result.

    Raises:
        UsageError: a flag that would change it was given.
    """
    from hwnas.pipeline.config.make_config import HARMLESS

    extra = [spelled(name) for name in (*given, *(name for name, value in others.items() if value))
             if name not in HARMLESS]
    if extra:
        raise UsageError(f"--resume goes on with the run as it was configured: leave out {', '.join(extra)}")
