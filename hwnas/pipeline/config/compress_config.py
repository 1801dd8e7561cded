"""What the user asked of a compress, in sections: the configuration that run.json keeps and a config file spells.

Every field has a flat name as well, that of its flag: `--epochs` is `train.epochs`, `--data` is `data.source`. Options
on the command line, keyword arguments and config files are flat; `FLAT` says where each of them belongs. Runs of hwnas
0.1 have flat fields, too, and are read.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from hwnas.data.recipe import is_recipe_file
from hwnas.errors import UnknownName
from hwnas.pipeline.config.budget import SEPARATOR, Asked, listed, parse_lists, target_names
from hwnas.space.find import is_file
from hwnas.target.find import names_a_file
from hwnas.tasks.registry import DEFAULT, names

HERE = "here"
"""In a list of devices: this machine."""


def seconds_of(text: str) -> float:
    """'90s', '30m' or '1.5h' in seconds; raises ValueError."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h)\s*", text)
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not seconds:
        raise ValueError("a time is a number above 0 with s, m or h behind it, e.g. 30m")
    return seconds


def comma_list(given: object) -> object:
    """'a,b' as the list that it is; what is no text stays as it is."""
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else given


class Section(BaseModel):
    """Base of the sections, and of the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, given: object, info: ValidationInfo) -> object:
        """`epochs: yes` is no number, though Python takes True for 1."""
        switches = ("require_measured", "compile", "precision_only", "side_by_side", "one_model")
        if isinstance(given, bool) and info.field_name not in switches:
            raise ValueError("a value is needed, not yes or no")
        return given


class DataSection(Section):
    """What is learnt from.

    Args:
        source: `digits`, a folder, a .npz or a .parquet; of other tasks what their `load` takes, see `hwnas.data`.
        limit: use at most this many images, training and validation together.
        imgsz: input size in pixels; None takes the data's own.
        width: of the input, where it is not square; of detection and segmentation.
        image_cache: where images that do not fit into memory are kept decoded: a folder, `off`, or `auto`: the user's
            cache folder where a GPU trains. Changes no result.
        workers: threads that make batches while a network learns from others; None takes one for every core where a
            GPU trains, and none elsewhere. Changes no result.
    """

    source: str = "digits"
    limit: int | None = Field(default=None, ge=2, le=10**9)
    imgsz: int | None = Field(default=None, ge=8, le=1024)
    width: int | None = Field(default=None, ge=8, le=2048)
    image_cache: str = "auto"
    workers: int | None = Field(default=None, ge=0, le=256)


class SpaceSection(Section):
    """What can be built.

    Args:
        name: of `hwnas spaces`, a JSON file, or `package.module:function`, see `hwnas.space.find`.
        width_mult, depth: of the space.
        widths: shares of the reference's channels that the result may have, 1 always among them; None takes the
            task's own.
        sizes: heights of the input in pixels that the result may have besides the reference's; of classification and
            detection. None takes the reference's alone.
        head, head_width: what ends a detector or a segmenter, and its channels; None takes the task's own.
        output_stride: of the coarsest map that a segmenter's head reads, 16 or 32; None takes 16.
    """

    name: str = "mobile"
    width_mult: float = Field(default=1.0, gt=0, le=8)
    widths: tuple[float, ...] | None = None
    sizes: tuple[Annotated[int, Field(ge=8, le=1024)], ...] | None = None
    depth: int | None = Field(default=None, ge=1, le=16)
    head: str | None = None
    head_width: int | None = Field(default=None, ge=8, le=1024)
    output_stride: int | None = Field(default=None, ge=16, le=32)

    @field_validator("widths", "sizes", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """'0.75,0.5' as it comes from the command line, or numbers."""
        return comma_list(given)

    @field_validator("widths")
    @classmethod
    def _shares(cls, given: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if given is not None and not all(0 < width <= 1 for width in given):
            raise ValueError("widths are shares of the reference's channels, above 0 and at most 1, e.g. 0.75,0.5")
        return given

    @field_validator("output_stride")
    @classmethod
    def _stride(cls, given: int | None) -> int | None:
        if given not in (None, 16, 32):
            raise ValueError("the stride of the coarsest map is 16 or 32")
        return given


class TargetSection(Section):
    """Where the result is to run, and where its latencies come from.

    Args:
        name: of a target, or the path of its YAML; several, "jetson-nano,raspberry-pi-5" or a list, make a network
            each from one search, see `hwnas.pipeline.config.budget`.
        runtime, precision, batch, threads: replace those of every target; precision `auto` ships whichever precision of
            the runtime measures within the budget at the best accuracy.
        confidence: probability with which the latency budget is to be met by prediction; None is 0.5.
        require_measured: refuse to estimate the latency of a device without a measured table.
        tables: folder of latency tables; None takes the user's cache.
        one_model: whether all targets get the same network, within the budgets of each.
        give_up: of one network for all, predicted score in percent points that may be given up so that more is left of
            the latency budgets: of that which has least left, as much as can be.
    """

    name: str = "local"
    runtime: str | None = None
    precision: str | None = None
    batch: int | None = Field(default=None, ge=1, le=1024)
    threads: int | None = Field(default=None, ge=1, le=256)
    confidence: float | None = Field(default=None, ge=0.5, le=0.9999)
    require_measured: bool = False
    tables: str | None = None
    one_model: bool = False
    give_up: float = Field(default=0.0, ge=0, le=100)

    @field_validator("name", mode="before")
    @classmethod
    def _text(cls, given: object) -> object:
        """A list as the text that it is on the command line."""
        return listed(given)

    @property
    def names(self) -> tuple[str, ...]:
        """Of every target; a file whose name holds a comma is one."""
        return target_names(self.name)

    @property
    def first(self) -> str:
        """The one that a run itself is for; the others have runs below it."""
        return self.names[0]


class TrainSection(Section):
    """How the reference and the result are trained.

    Args:
        init: folder of a run, e.g. of classification, whose weights the reference and the search start from.
        epochs: of training the reference and of fine-tuning the result: the same for both.
        time: how long training and scoring may take, e.g. `30m`; the epochs of all that is trained are then chosen in
            the ratio that they have, after a few steps were timed. None takes the epochs as they are.
        recipe: what is done to training images and how networks are trained on them: a name or a YAML, see
            `hwnas.data.recipe`; None lets the data decide.
        batch_size: images per training step; None takes the recipe's, or else 64.
        lr: peak learning rate; None takes the recipe's, or else the task's own.
        patience: epochs without a better score after which training ends early; None takes the recipe's, or else 0:
            never.
        accumulate: parts in which a batch is computed, one after the other, so that it needs less memory.
        attention: factor of the distance of attention between the maps of the reference's backbone and the result's, in
            fine-tuning a detector or a segmenter; None takes the task's own.
        torch_threads: threads for training; None takes all cores.
        loss, metric: a user's in place of the task's, `package.module:name` or of a package (`hwnas.train.own_loss`,
            `hwnas.tasks.own_metric`).
        class_weights: `balanced`, weights with commas between them in the order of the classes, or a file of weights,
            a list or names with weights; of classification, multilabel and segmentation.
        accelerator: where networks are trained: `auto` (a GPU where torch finds one), `cpu`, `cuda`, `cuda:1`, `mps`.
        amp: number format of the multiplications in training: `no` (fp32), `bf16`, or `fp16` on a GPU.
        compile: whether networks that are trained alone are compiled by `torch.compile`, which takes minutes on a CPU.
        side_by_side: whether reference and search are made at the same time, with half of the threads each, and so the
            trials of finalists; None where that pays, see `hwnas.pipeline.shares`. Where a run goes on it changes no
            result: threads stay as they were.
    """

    init: str | None = None
    epochs: int = Field(default=20, ge=1, le=10**5)
    time: str | None = None
    recipe: str | None = None
    batch_size: int | None = Field(default=None, ge=2, le=10**5)
    lr: float | None = Field(default=None, gt=0, le=100)
    patience: int | None = Field(default=None, ge=0, le=10**5)
    accumulate: int = Field(default=1, ge=1, le=10**4)
    attention: float | None = Field(default=None, ge=0, le=10**6)
    torch_threads: int | None = Field(default=None, ge=1, le=1024)
    loss: str | None = None
    metric: str | None = None
    class_weights: str | None = None
    accelerator: str = "auto"
    amp: Literal["no", "bf16", "fp16"] = "no"
    compile: bool = False
    side_by_side: bool | None = None

    @field_validator("time")
    @classmethod
    def _a_time(cls, given: str | None) -> str | None:
        if given is not None:
            seconds_of(given)
        return given

    @field_validator("accelerator")
    @classmethod
    def _known_accelerator(cls, given: str) -> str:
        if re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", given) is None:
            raise ValueError(f"an accelerator is auto, cpu, cuda, cuda:1 or mps, not {given!r}")
        return given


class SearchSection(Section):
    """How the result is looked for.

    Args:
        strategy, evaluator, reduce, searcher, executor: who searches, by name: `hwnas.search.registry`,
            `hwnas.search.roles`.
        evaluations, evaluation_epochs, bn_scope, cost_target, evaluation_table, workers: how many architectures are
            scored, and how; see `hwnas.search.SearchConfig`.
        mode, schedule, warmup, epochs_per_evaluation, cycles, keep, settle: see `hwnas.search.SearchConfig`, where the
            schedule is called `training`, as is the flag.
        top: how many of the best architectures are scored again with the shared weights.
        finalists, trial_epochs: how many of those are fine-tuned for a few epochs to choose the winner.
    """

    strategy: str = "migo"
    evaluator: str = "shared"
    reduce: str = "migo"
    searcher: str | None = None
    evaluations: int | None = Field(default=None, ge=1, le=10**6)
    evaluation_epochs: int = Field(default=1, ge=1, le=10**5)
    bn_scope: Literal["last", "all"] = "last"
    cost_target: float | None = Field(default=None, gt=0, le=1)
    evaluation_table: str | None = None
    executor: str | None = None
    workers: int = Field(default=1, ge=1, le=1024)
    mode: Literal["pooled", "corrected", "reference"] = "pooled"
    schedule: Literal["fair", "path"] = "fair"
    warmup: int = Field(default=10, ge=0, le=10**5)
    epochs_per_evaluation: float = Field(default=0.5, gt=0, le=1000)
    cycles: int = Field(default=2, ge=1, le=10**4)
    keep: int = Field(default=3, ge=1, le=1000)
    settle: int = Field(default=60, ge=0, le=10**6)
    top: int = Field(default=12, ge=1, le=10**4)
    finalists: int = Field(default=4, ge=1, le=10**4)
    trial_epochs: int = Field(default=3, ge=0, le=10**5)


class ModelSection(Section):
    """The user's own trained network, and how an image becomes its input; see `hwnas.surgery`.

    Args:
        source: an ONNX file, a `.pt2` of torch.export.save, `package.module:factory` of a torch module,
            `torchvision:NAME` or `timm:NAME`; None searches a space instead.
        mean, std: of pixels 0..255, a number or one a channel.
        colour: `rgb`, `bgr` or `grey`.
        layout: `nchw` or `nhwc`.
        fit: how images come to the input's size: `crop`, `letterbox` or `stretch`.
        crop: of fit `crop`: side of the square in the middle over the image's shorter side.
        contract: a YAML file that says the six instead.
        keep: units that stay as they are: patterns of their names, or of tensors and weights in them.
        only: all others stay as they are.
        tune_epochs: of distillation from end to end, where units were replaced; 0 leaves them as they were fitted; None
            takes 4, or with few images as many as make a few hundred steps.
        precision_only: units are not replaced, and only their precisions are chosen.
        device: `ssh://[user@]host[:port]` of the target, where units and plans are timed; None, or `here`, times them
            here. Of several targets one each, in their order, or one for all.
        device_python: the interpreter there.
    """

    source: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    fit: Literal["crop", "letterbox", "stretch"] = "crop"
    crop: float = Field(default=1.0, gt=0, le=1)
    contract: str | None = None
    keep: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    precision_only: bool = False
    device: str | None = None
    device_python: str = "python3"
    tune_epochs: int | None = Field(default=None, ge=0, le=10**4)

    @field_validator("device", mode="before")
    @classmethod
    def _addresses(cls, given: object) -> object:
        """A list as the text that it is on the command line."""
        return listed(given)

    @property
    def devices(self) -> tuple[str | None, ...]:
        """Where targets are, at least one entry; None for this machine."""
        parts = (part.strip() for part in (self.device or HERE).split(SEPARATOR))
        return tuple(None if part == HERE else part for part in parts)

    @field_validator("keep", "only", mode="before")
    @classmethod
    def _patterns(cls, given: object) -> object:
        """'u00,u1*', or a list of such texts."""
        parts = given if isinstance(given, list | tuple) else [given]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            return given
        return [pattern.strip() for text in texts for pattern in text.split(",") if pattern.strip()]

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _numbers(cls, given: object) -> object:
        """'127,127,127' as it comes from the command line, a number, or numbers."""
        return [given] if isinstance(given, int | float) else comma_list(given)


class CompressConfig(Section):
    """What the user asked for. Written into run.json; `--config file.yaml` takes the same keys.

    Flat names are taken as well, e.g. `CompressConfig(data="photos", epochs=30)`.

    Args:
        task: what is learnt: `classify`, `detect`, `segment`, or one of a package (`hwnas.tasks`).
        budgets: `latency`, `flops`, `params`, `memory`, `throughput`, `latency_p99`, `energy`, `peak_memory`,
            `file_size` -> text, e.g. {"latency": "50%"}; percentages are of the reference in fp32, whatever ships.
            Several, "25%,50%" or ["25%", "50%"], make a network each, see `hwnas.pipeline.config.budget`.
        model: a trained network of the user's, which is compressed as it is; without one a space is searched.
        seed: of everything random.
        track: who is told of curves, numbers and files, see `hwnas.tracking.registry`; changes nothing of the run.
    """

    task: str = DEFAULT
    budgets: dict[str, str] = Field(default_factory=lambda: {"latency": "50%"})
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    space: SpaceSection = SpaceSection()
    target: TargetSection = TargetSection()
    train: TrainSection = TrainSection()
    search: SearchSection = SearchSection()
    track: tuple[str, ...] | None = None

    @field_validator("track", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        """'csv,mlflow' as it comes from the command line, or names."""
        return comma_list(given)

    @field_validator("budgets", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        """Lists as the text that they are on the command line."""
        return {name: listed(text) for name, text in given.items()} if isinstance(given, Mapping) else given

    @field_validator("task")
    @classmethod
    def _known_task(cls, given: str) -> str:
        """Of hwnas or of a package that is installed; nothing of it is imported."""
        if given not in (known := names()):
            raise ValueError(str(UnknownName("task", given, known)))
        return given

    @model_validator(mode="before")
    @classmethod
    def _in_sections(cls, given: Any) -> Any:
        return sectioned(given) if isinstance(given, Mapping) else given

    @property
    def networks(self) -> tuple[Asked, ...]:
        """The networks that are asked for; raises UsageError as `parse_lists`."""
        return parse_lists(self.budgets, self.target.names)

    @property
    def on_first(self) -> tuple[Asked, ...]:
        """Those of them that are for the first target."""
        return tuple(asked for asked in self.networks if asked.target == self.target.first)

    def device_on(self, target: str) -> str | None:
        """Where a target of a user's own network is reached; None where that is this machine."""
        names, devices = self.target.names, self.model.devices
        return devices[names.index(target)] if len(devices) > 1 else devices[0]

    @property
    def device(self) -> str | None:
        """The same of the first target."""
        return self.model.devices[0]

    def flat(self) -> dict[str, Any]:
        """Every value under its flat name."""
        return {name: getattr(getattr(self, section) if section else self, field)
                for name, (section, field) in FLAT.items()}

    def replaced(self, **flat: Any) -> CompressConfig:
        """The same with other values under flat names, which are not checked."""
        own = {name: value for name, value in flat.items() if not FLAT[name][0]}
        for section in SECTIONS:
            new = {FLAT[name][1]: value for name, value in flat.items() if FLAT[name][0] == section}
            own |= {section: getattr(self, section).model_copy(update=new)} if new else {}
        return self.model_copy(update=own)

    def anchored(self) -> CompressConfig:
        """The same with absolute paths, so that a run does not depend on the folder where it is gone on with."""
        flat = self.flat()
        found = {name: _absolute(value) for name in PATHS
                 if name != "target" and (value := flat[name]) is not None and _is_path(name, value)}
        targets = (_absolute(name) if names_a_file(name) else name for name in self.target.names)
        return self.replaced(**found, target=SEPARATOR.join(targets))


SECTIONS: dict[str, type[Section]] = {
    "model": ModelSection, "data": DataSection, "space": SpaceSection, "target": TargetSection,
    "train": TrainSection, "search": SearchSection}
KEEP_UNITS = "keep_units"
"""Flat name of the patterns of `keep`, which as a number is an option of a search: see `named`."""
FLAT: dict[str, tuple[str, str]] = {name: (place.rpartition(".")[0], place.rpartition(".")[2]) for name, place in {
    "task": "task", "data": "data.source", "target": "target.name", "space": "space.name", "budgets": "budgets",
    "runtime": "target.runtime", "precision": "target.precision", "batch": "target.batch",
    "threads": "target.threads", "confidence": "target.confidence", "require_measured": "target.require_measured",
    "one_model": "target.one_model", "give_up": "target.give_up",
    "imgsz": "data.imgsz", "width": "data.width", "width_mult": "space.width_mult", "widths": "space.widths",
    "sizes": "space.sizes", "depth": "space.depth", "init": "train.init", "head": "space.head",
    "head_width": "space.head_width", "output_stride": "space.output_stride", "epochs": "train.epochs",
    "time": "train.time", "recipe": "train.recipe", "batch_size": "train.batch_size", "lr": "train.lr",
    "patience": "train.patience", "accumulate": "train.accumulate", "attention": "train.attention",
    "strategy": "search.strategy", "evaluator": "search.evaluator", "reduce": "search.reduce",
    "searcher": "search.searcher", "evaluations": "search.evaluations",
    "evaluation_epochs": "search.evaluation_epochs", "evaluation_table": "search.evaluation_table",
    "bn_scope": "search.bn_scope", "cost_target": "search.cost_target",
    "executor": "search.executor", "search_workers": "search.workers",
    "mode": "search.mode", "training": "search.schedule", "warmup": "search.warmup",
    "epochs_per_evaluation": "search.epochs_per_evaluation", "cycles": "search.cycles", "keep": "search.keep",
    "settle": "search.settle", "top": "search.top", "finalists": "search.finalists",
    "trial_epochs": "search.trial_epochs", "seed": "seed", "torch_threads": "train.torch_threads",
    "accelerator": "train.accelerator", "amp": "train.amp", "compile": "train.compile",
    "side_by_side": "train.side_by_side",
    "limit": "data.limit", "tables": "target.tables", "image_cache": "data.image_cache", "workers": "data.workers",
    "track": "track", "loss": "train.loss", "metric": "train.metric", "class_weights": "train.class_weights",
    "model": "model.source", "mean": "model.mean", "std": "model.std", "colour": "model.colour",
    "layout": "model.layout", "fit": "model.fit", "crop": "model.crop", "contract": "model.contract",
    KEEP_UNITS: "model.keep", "only": "model.only", "precision_only": "model.precision_only",
    "device": "model.device", "device_python": "model.device_python",
    "tune_epochs": "model.tune_epochs",
}.items()}
"""Flat name -> the section, empty for none, and the field in it; in the order in which they are told."""
CALLED = {place: name for name, place in FLAT.items()}
FIELDS: dict[str, FieldInfo] = {
    name: (SECTIONS[section] if section else CompressConfig).model_fields[field]
    for name, (section, field) in FLAT.items()
}
"""Flat name -> type, default and bounds."""
PATHS = ("data", "target", "space", "tables", "init", "recipe", "evaluation_table", "image_cache",
         "class_weights", "model", "contract")  # on this disk


def default_of(name: str) -> object:
    """What a flat name has where nothing is said."""
    return FIELDS[name].get_default(call_default_factory=True)


def named(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values under their flat names: `keep` is a number of a search, and patterns are units of a user's own network."""
    return {KEEP_UNITS if name == "keep" and isinstance(value, str | list | tuple) else name: value
            for name, value in given.items()}


def flag_of(name: str) -> str:
    """A flat name as it is typed."""
    return "--" + {KEEP_UNITS: "keep"}.get(name, name).replace("_", "-")


def sectioned(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values under flat names, under those of sections, or both, as the sections that they belong to; none is checked.

    Raises:
        ValueError: a value is there twice.
    """
    found: dict[str, Any] = {}
    for name, value in named(given).items():
        if name in SECTIONS and isinstance(value, Section | Mapping):
            within = dict(value) if isinstance(value, Mapping) else value.model_dump(exclude_unset=True)
            parts = [(name, field, part) for field, part in within.items()]
        else:
            section, field = FLAT.get(name, ("", name))
            parts = [(section, field, value)]
        for section, field, part in parts:
            place = found.setdefault(section, {}) if section else found
            if field in place:
                raise ValueError(f"{CALLED.get((section, field), field)} is there twice, under two names")
            place[field] = part
    return found


def flat_name(place: tuple[str | int, ...]) -> str:
    """What a value at a place of the configuration is called on the command line; of a budget its name."""
    names = [part for part in place if isinstance(part, str)]
    if names[:1] == ["budgets"] or names[:1] == []:
        return "".join(names[-1:])
    return CALLED.get((names[0], names[1]), names[1]) if names[0] in SECTIONS and len(names) > 1 else names[0]


def is_weights_file(text: str) -> bool:
    """Whether weights of classes are named by their file."""
    return text.endswith((".yaml", ".yml", ".json"))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _is_path(name: str, value: str) -> bool:
    if name == "space":
        return is_file(value)
    if name == "recipe":
        return is_recipe_file(value)
    if name == "class_weights":
        return is_weights_file(value)
    if name == "model":  # not `torchvision:resnet18`
        return ":" not in value or Path(value).exists()
    if name == "data":  # what is neither a named data set nor there is refused under the name that it was given
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            return value != "digits" and Path(value).expanduser().exists()
        return False
    return name != "image_cache" or value not in ("auto", "off")
