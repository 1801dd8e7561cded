"""Recipes: what comes with hwnas, what a file may say, and that `small` is what tasks did before there were any."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.data import ClassFeed, Dataset, ImageView, Policy, policy_for
from hwnas.data.dataset import ClassPart
from hwnas.data.detection import DetectionFeed, DetectionPart
from hwnas.data.detection.augment import DetectionPolicy
from hwnas.data.detection.parts import Frame
from hwnas.data.feed import Share
from hwnas.data.recipe import FOLDER, Recipe, default_recipe, find_recipe, recipe_names, stored_recipe
from hwnas.data.segmentation import SegmentationFeed, SegmentationPart
from hwnas.data.transforms import Sample
from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.tasks import find

TASKS = ("classify", "detect", "segment")
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml"))


def digest(batches: Iterable[Any]) -> str:
    """16 hex digits over types, shapes and values."""
    found = hashlib.sha256()

    def put(value: Any) -> None:
        if not isinstance(value, np.ndarray):
            for part in value:
                put(part)
            return
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())

    put(batches)
    return found.hexdigest()[:16]


def detection_part(rng: np.random.Generator) -> DetectionPart:
    images = rng.integers(0, 256, (10, 40, 48, 3), np.uint8)
    boxes = tuple(np.array([[4, 4, 20, 30], [10, 5, 40, 38]], np.float32) for _ in range(10))
    frames = tuple(Frame(str(i), None, 40, 48) for i in range(10))
    return DetectionPart(images, frames, boxes, tuple(np.array([0, 1]) for _ in range(10)),
                         tuple(np.zeros(2, bool) for _ in range(10)))


def test_small_is_bit_for_bit_what_tasks_did_before_there_were_recipes() -> None:
    """The digests are of hwnas before recipes."""
    rng, expected = np.random.default_rng(0), ["9cb0af42f9f5bed8", "9ea1086cb4491e09", "b62e9bccea4baf80"]
    small = find_recipe("small", "classify")
    for (side, channels), known in zip(((32, 3), (16, 1), (48, 3)), expected, strict=True):
        images, labels = rng.integers(0, 256, (20, side, side, channels), np.uint8), np.arange(20) % 2
        data = Dataset("x", images, labels, images[:2], labels[:2], ("a", "b"), "x")
        feed = ClassFeed(data.train, policy_for(data), small, 2)
        assert digest(feed.epoch(6, np.random.default_rng(3))) == known
    part = detection_part(rng)
    assert digest(DetectionFeed(part, recipe=small).epoch(4, np.random.default_rng(3))) == "7716f1f5292383a5"
    mosaic = DetectionFeed(part, DetectionPolicy(mosaic=0.5), small)
    assert digest(mosaic.epoch(4, np.random.default_rng(3))) == "33d17d1691007637"
    masks = SegmentationPart(part.images, (part.images[..., 0] % 3).astype(np.uint8), part.frames)
    assert digest(SegmentationFeed(masks, recipe=small).epoch(4, np.random.default_rng(3))) == "f0eba91520700fd0"


@pytest.mark.parametrize(("task", "side", "channels", "images", "name"), [
    ("classify", 32, 3, 50_000, "small"), ("classify", 224, 3, 1_000, "small"), ("classify", 64, 3, 20_000, "photo"),
    ("classify", 224, 1, 50_000, "small"), ("detect", 320, 3, 50_000, "small"), ("segment", 320, 3, 50_000, "small"),
])
def test_the_size_of_the_data_decides(task: str, side: int, channels: int, images: int, name: str) -> None:
    assert default_recipe(find(task).photographs, (side, side), channels, images) == name


def test_small_changes_nothing() -> None:
    for task in (*TASKS, "a task of a package"):
        small = find_recipe("small", task)
        assert not small.changes_images
        assert small.training.given == {}
        assert "small" in recipe_names(task)


@pytest.mark.parametrize("file", FILES)
def test_what_comes_with_hwnas_can_be_taken(file: str) -> None:
    task, name = file.removesuffix(".yaml").split("/")
    recipe = find_recipe(name, task)
    assert recipe.about
    assert recipe.name == name
    rng, part = np.random.default_rng(0), detection_part(np.random.default_rng(0))
    feeds: dict[str, Any] = {
        "classify": lambda: ClassFeed(ClassPart(ImageView.of(part.images[:, :40, :40]), np.arange(10) % 3),
                                      Policy(5, True), recipe, 3),
        "detect": lambda: DetectionFeed(part, recipe=recipe),
        "segment": lambda: SegmentationFeed(SegmentationPart(part.images, part.images[..., 0] % 3, part.frames),
                                            recipe=recipe)}
    batches = [*feeds[task]().epoch(4, rng)]
    assert [len(batch[0]) for batch in batches] == [4, 4, 2]
    assert batches[0][0].dtype == np.uint8
    assert stored_recipe(recipe.model_dump()) == recipe


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("about: fog\npolicy: {shift: 0, cutout: 8}\ntransforms: [mirror, erase: {probability: 1}]\n"
                    "mixing: {cutmix: 1, share: 0.5}\ntraining: {ema: 0.99, batch: 32}\n")
    recipe = find_recipe(str(path), "classify")
    assert recipe.told() == "mine: fog"
    assert recipe.policy_like(Policy(4, True)) == Policy(0, True, 8)
    assert recipe.training.given == {"ema": 0.99, "batch": 32}
    assert len(recipe.made()) == 2
    assert recipe.changes_images
    with pytest.raises(UsageError, match="recipe 'mine': mixing is for images with classes, not with boxes"):
        DetectionFeed(detection_part(np.random.default_rng(0)), recipe=recipe)


@pytest.mark.parametrize(("text", "error", "why"), [
    ("- a", InputError, "a recipe holds lines such as"), ("tranforms: []", InputError, "tranforms"),
    ("mixing: {mixup: -1}", InputError, r"mixing.mixup: .*greater than or equal to 0, not -1"),
    ("training: {ema: 1.5}", InputError, "training.ema"), ("training: {lerning: 1}", InputError, "training.lerning"),
    ("transforms: [miror]", UnknownName, "Did you mean 'mirror'"), ("transforms: [1]", InputError, "transforms.0"),
    ("sampler: balancd", UnknownName, "Did you mean 'balanced'"),
])
def test_a_file_that_says_what_cannot_be(tmp_path: Path, text: str, error: type[Exception], why: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(error, match=why):
        find_recipe(str(tmp_path / "mine.yaml"), "classify")


def test_names_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'photo'"):
        find_recipe("foto", "classify")
    with pytest.raises(InputError, match=r"none\.yaml"):
        find_recipe(str(tmp_path / "none.yaml"), "classify")
    with pytest.raises(UnknownName, match="Did you mean 'shift'"):
        Recipe(policy={"shft": 1}).policy_like(Policy())
    with pytest.raises(UsageError, match="0 or more, not -1"):
        Recipe(policy={"shift": -1}).policy_like(Policy())


class Darker:
    """A transform of a user's own."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        factor = 1 - self.share * rng.random()
        return Sample((sample.image * factor).astype(np.uint8), sample.boxes, sample.labels, sample.crowd, sample.mask)


def first_ten_twice(truth: Any, rng: np.random.Generator) -> np.ndarray:
    """A sampler of a user's own."""
    return rng.permutation(np.arange(len(truth)) % 10)


def mine(**more: Any) -> Recipe:
    """A recipe with everything random that there is, and code of a user's own."""
    return Recipe.model_validate({
        "transforms": [{"random_resized_crop": {}}, {"trivial_augment": {}}, {f"{__name__}:Darker": {"share": 0.3}}],
        "mixing": {"mixup": 0.4, "cutmix": 1.0, "share": 0.7}, **more})


def class_feed(recipe: Recipe, count: int = 20) -> ClassFeed:
    images = np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3), np.uint8)
    return ClassFeed(ClassPart(ImageView.of(images), np.arange(count) % 4), Policy(2, True, 6), recipe, 4)


@pytest.mark.parametrize("sampler", [None, "balanced", f"{__name__}:first_ten_twice"])
def test_batches_are_the_same_however_many_make_them(sampler: str | None) -> None:
    """Of every batch a process makes its share, mixed with images that another one makes, too."""
    recipe = mine(sampler=sampler)
    whole = [*class_feed(recipe).epoch(8, np.random.default_rng(5))]
    again = [*class_feed(recipe).epoch(8, np.random.default_rng(5))]
    assert digest(whole) == digest(again) != digest(class_feed(recipe).epoch(8, np.random.default_rng(6)))
    assert whole[0][1].shape == (8, 4)
    for rank in range(2):
        part = [*class_feed(recipe).epoch(8, np.random.default_rng(5), Share(rank, 2))]
        assert digest(part) == digest((x[rank::2], y[rank::2]) for x, y in whole)


def test_a_sampler_of_ones_own_is_asked() -> None:
    feed = class_feed(Recipe(sampler=f"{__name__}:first_ten_twice"))
    shown = np.concatenate([images for images, _ in feed.epoch(20, np.random.default_rng(0))])
    assert len(shown) == 20
    assert feed.order(np.random.default_rng(0)).max() == 9


def test_what_a_user_names_must_be_there() -> None:
    for recipe, why in ((Recipe(transforms=[{"hwnas.nothing:Fog": {}}]), "transform hwnas.nothing:Fog does not import"),
                        (Recipe(transforms=[{"hwnas.data.recipe:FOG": {}}]), "FOG"),
                        (Recipe(sampler="hwnas.data.recipe:FOG"), "FOG")):
        with pytest.raises(UsageError, match=why):
            class_feed(recipe)


def test_boxes_and_masks_go_through_transforms() -> None:
    part = detection_part(np.random.default_rng(1))
    recipe = Recipe.model_validate({"policy": {"mosaic": 0.5, "scale": [0.5, 2.0]}, "sampler": "balanced", "transforms":
                                    [{"random_resized_crop": {}}, {"trivial_augment": {}}, {f"{__name__}:Darker": {}}]})
    feeds = [DetectionFeed(part, recipe=recipe) for _ in range(2)]
    assert feeds[0].policy == DetectionPolicy(mosaic=0.5, scale=(0.5, 2.0))
    one, two = (digest(feed.epoch(4, np.random.default_rng(3))) for feed in feeds)
    assert one == two != digest(DetectionFeed(part).epoch(4, np.random.default_rng(3)))
    masks = SegmentationPart(part.images, (part.images[..., 0] % 3).astype(np.uint8), part.frames)
    plain = recipe.model_copy(update={"policy": {}})
    for images, truth in SegmentationFeed(masks, recipe=plain).epoch(4, np.random.default_rng(3)):
        assert (images.shape[:3], images.dtype) == (truth.shape, truth.dtype)
        assert set(np.unique(truth)) <= {0, 1, 2, 255}
