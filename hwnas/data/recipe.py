"""A recipe: what is done to training images, and how a network is trained on them. By name, or a YAML of one's own.

    about: photographs in many epochs
    policy: {shift: 0}                 # what differs from the task's customary policy
    transforms:                        # then, image by image
      - random_resized_crop: {scale: [0.35, 1.0]}
      - trivial_augment: {}
      - my_package.changes:Fog: {density: 0.3}
    mixing: {mixup: 0.2, cutmix: 1.0, share: 0.5}
    sampler: balanced
    loss: {class_weights: balanced}    # of segmentation
    training: {ema: 0.999, label_smoothing: 0.1, drop_path: 0.1}

The files lie in `recipes/`, a folder a task; `small`, which changes nothing of what a task does by itself, is for all.
A search with shared weights trains as `small` says whatever the recipe: every path gets a share of the steps and is far
from being fitted too closely, and effects stay comparable between recipes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, field_validator

from hwnas.data.mixing import Mixing
from hwnas.data.sampling import RULE as SAMPLER_RULE
from hwnas.data.sampling import SAMPLERS, Sampler, sampler_of
from hwnas.data.transforms import TRANSFORMS, Transform, transforms_of
from hwnas.data.transforms.registry import RULE as TRANSFORM_RULE
from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.plugins import Plugins, of_module
from hwnas.validation import Name, Schema, checked, read_yaml

FOLDER = Path(__file__).parent / "recipes"
SMALL = "small"
PHOTO_SIDE, PHOTO_IMAGES = 64, 20_000
Policy = TypeVar("Policy")
Share = Annotated[float, Field(ge=0, le=1)]
Options = dict[Name, Any]


class Part(Schema):
    """Base of a recipe and its parts: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class MixingPart(Part):
    """See `hwnas.data.mixing.Mixing`; of classification."""

    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0
    cutmix: Annotated[float, Field(ge=0, le=100)] = 0.0
    share: Share = 1.0


LOSSES = Plugins("loss", "hwnas.losses", {})
LOSS_RULE = "a loss is a function that is called with (outputs, targets) and gives a scalar tensor"


class LossPart(Part):
    """How mistakes are weighed, of classification, multilabel and segmentation.

    Args:
        class_weights: `balanced`: the rarer a class, the more it weighs; or class -> weight, 1 where it is not named.
        hard_only: of segmentation: only pixels that are wrong most count.
        own: a user's loss in place of the task's (`hwnas.train.own_loss`); empty for the task's.
    """

    class_weights: Literal["equal", "balanced"] | dict[Name, Annotated[float, Field(ge=0, le=10**6)]] = "equal"
    hard_only: bool = False
    own: Name = ""

    def __bool__(self) -> bool:
        return bool(self.own) or self.weighs

    @property
    def weighs(self) -> bool:
        """Whether the loss of the task is another than by itself."""
        return self.hard_only or self.class_weights != "equal"

    def weights(self, classes: Sequence[str], balanced: Callable[[], Sequence[float]]) -> list[float] | None:
        """A weight a class; None where all are equal.

        Args:
            balanced: gives those of `balanced`.

        Raises:
            UnknownName: of a class that there is not.
        """
        if isinstance(self.class_weights, str):
            return list(balanced()) if self.class_weights == "balanced" else None
        for name in self.class_weights:
            if name not in classes:
                raise UnknownName("class in the weights:", name, classes)
        return [self.class_weights.get(name, 1.0) for name in classes]


class TrainingPart(Part):
    """Fields of `hwnas.train.TrainConfig`; None leaves what the task says.

    Args:
        batch: images a step, where the user does not say.
        lr: for this batch, where the user does not say.
    """

    optimizer: Literal["sgd", "adamw", "muon"] | None = None
    batch: Annotated[int, Field(ge=2, le=10**5)] | None = None
    lr: Annotated[float, Field(gt=0, le=100)] | None = None
    warmup: Annotated[float, Field(ge=0, le=10**5)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip: Annotated[float, Field(gt=0, le=10**6)] | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None = None
    patience: Annotated[int, Field(ge=0, le=10**5)] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is said."""
        return self.model_dump(exclude_none=True)


class Recipe(Part):
    """What is done to training images, and how a network is trained.

    Args:
        about: a line for people.
        policy: fields of the task's policy and their values, where these are not the customary ones
            (`hwnas.data.Policy`, `hwnas.data.detection.DetectionPolicy`, `hwnas.data.segmentation.SegmentationPolicy`).
        transforms: what is done to each image afterwards, in order (`hwnas.data.transforms`).
        mixing: of images and targets, last; of classification.
        loss: how mistakes are weighed; of segmentation.
        sampler: what an epoch shows (`hwnas.data.sampling`); None shows every image once.
    """

    name: Name = SMALL
    about: Name = ""
    policy: Options = Field(default_factory=dict)
    transforms: Annotated[list[dict[Name, Options]], Field(max_length=100)] = Field(default_factory=list)
    mixing: MixingPart = MixingPart()
    sampler: Name | None = None
    loss: LossPart = LossPart()
    training: TrainingPart = TrainingPart()

    @field_validator("transforms", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """`- mirror` and `- mirror:` as `- mirror: {}`."""
        rows = [{row: {}} if isinstance(row, str) else row for row in given] if isinstance(given, list) else given
        return [{key: {} if options is None else options for key, options in row.items()}
                if isinstance(row, dict) else row for row in rows] if isinstance(rows, list) else rows

    @property
    def changes_images(self) -> bool:
        """Whether images come in another way than the task makes them by itself."""
        return bool(self.policy or self.transforms or self.mixed or self.sampler)

    @property
    def mixed(self) -> Mixing:
        """How images are mixed; false where they are not."""
        return Mixing(self.mixing.mixup, self.mixing.cutmix, self.mixing.share)

    def policy_like(self, customary: Policy) -> Policy:
        """A task's policy, a dataclass, with what the recipe says.

        Raises:
            UsageError: the policy has no such field, or not with this value.
        """
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in self.policy.items()}
        known = {field.name for field in dataclasses.fields(customary)}  # type: ignore[arg-type]
        for name in fields:
            if name not in known:
                raise UnknownName(f"policy of recipe {self.name!r}:", name, known)
        try:
            return dataclasses.replace(customary, **fields)  # type: ignore[type-var]
        except (TypeError, ValueError) as err:
            raise UsageError(f"recipe {self.name!r}: policy {self.policy}: {err}") from err

    def made(self) -> tuple[Transform, ...]:
        """The transforms; raises as `transforms_of`."""
        return transforms_of(self.transforms)

    def own_code(self) -> dict[str, Callable[..., Any]]:
        """'transform fog:Fog' -> what a user named so, and the same of a sampler; raises UsageError as `of_module`."""
        names = [name for row in self.transforms for name in row if ":" in name]
        found = {f"transform {name}": of_module(name, "transform", TRANSFORM_RULE) for name in names}
        if self.sampler and ":" in self.sampler:
            found[f"sampler {self.sampler}"] = of_module(self.sampler, "sampler", SAMPLER_RULE)
        return found

    def sampling(self) -> Sampler | None:
        """What says what an epoch shows; None where every image is shown once. Raises as `sampler_of`."""
        return sampler_of(self.sampler) if self.sampler else None

    def unmixed(self, truth: str) -> None:
        """Raises UsageError where the recipe mixes images, whose truth, e.g. 'boxes', cannot be mixed."""
        if self.mixed:
            raise UsageError(f"recipe {self.name!r}: mixing is for images with classes, not with {truth}: leave it out")

    def told(self) -> str:
        """One line for people."""
        return f"{self.name}: {self.about}" if self.about else self.name


def recipe_names(task: str) -> list[str]:
    """The recipes that come with hwnas for a task, sorted."""
    return sorted({SMALL, *(path.stem for path in (FOLDER / task).glob("*.yaml"))})


def is_recipe_file(text: str) -> bool:
    """Whether a recipe is named by its file."""
    return text.endswith((".yaml", ".yml"))


def find_recipe(text: str, task: str) -> Recipe:
    """A recipe by name or file.

    Raises:
        UnknownName: no such recipe, transform or sampler; suggests the nearest.
        InputError: the file is not there, or says what cannot be; names the place.
        UsageError: an option that a transform does not take.
    """
    if is_recipe_file(text):
        path = Path(text).expanduser()
        found = read_recipe(read_yaml(path), path.stem, str(path))
    elif text == SMALL:
        return Recipe(about="what the task does by itself")
    elif text in recipe_names(task):
        found = read_recipe(read_yaml(FOLDER / task / f"{text}.yaml"), text, text)
    else:
        raise UnknownName("recipe", text, recipe_names(task), "One of your own is a file, recipe.yaml.")
    check_names(found)
    return found


def read_recipe(value: object, name: str, where: str) -> Recipe:
    """A recipe from what a file holds.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: a recipe holds lines such as `sampler: balanced`")
    return checked(Recipe, {"name": name, **value}, where)


def check_names(recipe: Recipe) -> None:
    """Raises UnknownName for a transform or sampler that is none; nothing of a user's own is imported."""
    for row in recipe.transforms:
        for name in row:
            if ":" not in name:
                TRANSFORMS.check_name(name)
    if recipe.sampler and ":" not in recipe.sampler:
        SAMPLERS.check_name(recipe.sampler)
    if recipe.loss.own and ":" not in recipe.loss.own:
        LOSSES.check_name(recipe.loss.own)


def default_recipe(photographs: str, size: Sequence[int], channels: int, images: int) -> str:
    """The name of the recipe for a data set, by its size.

    That of photographs for colour images of `PHOTO_SIDE` and more, `PHOTO_IMAGES` and more of them: crops, not shifts,
    are what networks for photographs are trained with, and with so many images no few steps are taken. The rule is
    that of the literature; where fewer or smaller images were measured, `small` was no worse
    (`benchmarks/recipes.md`).

    Args:
        photographs: the recipe of a task for many photographs (`Task.photographs`).
        size: height and width of the images, px.
        channels: 1 or 3.
        images: how many are trained on.
    """
    many = min(size) >= PHOTO_SIDE and images >= PHOTO_IMAGES
    return photographs if channels == 3 and many else SMALL


def stored_recipe(value: Mapping[str, Any]) -> Recipe:
    """The recipe that run.json holds; `small` where it holds none, as runs of hwnas 0.1."""
    return checked(Recipe, dict(value), "the recipe of the run") if value else Recipe()
