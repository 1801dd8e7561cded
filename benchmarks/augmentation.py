"""How fast libraries change training images, beside a step of training: images a second of one thread.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py

One batch of 64 random images of 32 px and one of 224 px, as uint8 (N, H, W, C) in and out, since that is what training
eats. Every library does what it offers for the same change; kornia on the batch as floats with the way there and back,
image by image where it has one draw a batch. Seconds are of the processor, so that other work beside it does not count;
the best of several repetitions. Of hwnas itself stand here the
feeds as training asks them, with the drawing of random numbers. A library that is not installed is left out; the table
has its version.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Images = np.ndarray
BATCH, CLASSES = 64, 8


def seconds_of(act: Callable[[], object], least_s: float = 1.0) -> float:
    """Processor time of one call, the best of three and as many more as fit."""
    act()
    found: list[float] = []
    while len(found) < 3 or sum(found) < least_s:
        start = time.process_time()
        act()
        found.append(time.process_time() - start)
    return min(found)


def of_hwnas(images: Images) -> dict[str, Callable[[], object]]:
    """Feeds with one transform, or with what a recipe has."""
    from hwnas.data import ClassFeed, ImageView, Policy
    from hwnas.data.dataset import ClassPart
    from hwnas.data.recipe import Recipe, find_recipe

    part, side = ClassPart(ImageView.of(images), np.arange(len(images)) % 10), images.shape[1]

    def feed(recipe: Recipe, policy: Policy | None = None) -> Callable[[], object]:
        found = ClassFeed(part, policy, recipe, 10)
        return lambda: next(found.epoch(BATCH, np.random.default_rng(0)))

    def one(name: str) -> Callable[[], object]:
        return feed(Recipe(transforms=[{name: {}}]))

    return {
        "shift, mirror": feed(Recipe(), Policy(side // 8, True)), "crop": one("random_resized_crop"),
        "colours": one("colour_jitter"), "TrivialAugment": one("trivial_augment"), "RandAugment": one("rand_augment"),
        "erase": feed(Recipe.model_validate({"transforms": [{"erase": {"probability": 1.0}}]})),
        "mixup or cutmix": feed(Recipe.model_validate({"mixing": {"mixup": 0.2, "cutmix": 1.0}})),
        "recipe photo": feed(find_recipe("photo", "classify"), Policy(side // 8, True)),
        "recipe photo-long": feed(find_recipe("photo-long", "classify"), Policy(side // 8, True)),
    }


def of_albumentations(images: Images) -> dict[str, Callable[[], object]]:
    import albumentations as A

    side = images.shape[1]

    def each(*changes: Any) -> Callable[[], object]:
        change = A.Compose(list(changes))
        return lambda: np.stack([change(image=image)["image"] for image in images])

    operations = [A.AutoContrast(p=1), A.Equalize(p=1), A.Solarize(p=1), A.Posterize(p=1), A.Sharpen(p=1),
                  A.RandomBrightnessContrast(p=1), A.Affine(rotate=(-135, 135), p=1), A.Affine(shear=(-45, 45), p=1)]
    return {
        "shift, mirror": each(A.Pad(side // 8, border_mode=2), A.RandomCrop(side, side), A.HorizontalFlip(p=0.5)),
        "crop": each(A.RandomResizedCrop((side, side), p=1)), "colours": each(A.ColorJitter(p=1)),
        "TrivialAugment": each(A.OneOf(operations, p=1)), "RandAugment": each(A.SomeOf(operations, n=2, p=1)),
        "erase": each(A.Erasing(p=1)),
    }


def of_kornia(images: Images) -> dict[str, Callable[[], object]]:
    import kornia.augmentation as K
    import torch

    side = images.shape[1]

    def floats(change: Callable[[Any], Any]) -> Callable[[], object]:
        def act() -> object:
            with torch.inference_mode():
                given = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)
                return (change(given) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()

        return act

    trivial, rand = K.auto.TrivialAugment(), K.auto.RandAugment(n=2, m=9)
    mixing = K.AugmentationSequential(K.RandomMixUpV2(p=1.0), data_keys=["input"])
    shift = K.RandomCrop((side, side), padding=side // 8, padding_mode="reflect")
    return {
        "shift, mirror": floats(torch.nn.Sequential(shift, K.RandomHorizontalFlip(p=0.5))),
        "crop": floats(K.RandomResizedCrop((side, side))),
        "colours": floats(K.ColorJitter(0.25, 0.25, 0.25, 0.0, p=1.0)),
        "TrivialAugment": floats(lambda x: torch.cat([trivial(x[i : i + 1]) for i in range(len(x))])),
        "RandAugment": floats(lambda x: torch.cat([rand(x[i : i + 1]) for i in range(len(x))])),
        "erase": floats(K.RandomErasing(p=1.0)), "mixup or cutmix": floats(mixing),
    }


LIBRARIES: dict[str, tuple[str, Callable[[Images], dict[str, Callable[[], object]]]]] = {
    "hwnas (numpy, Pillow)": ("pillow", of_hwnas), "albumentations": ("albumentations", of_albumentations),
    "kornia": ("kornia", of_kornia),
}


def step_seconds(side: int) -> float:
    """Of a training step of 64 images, of the reference of the default space, or of `ofa` where images are too large.
    """
    import torch

    from hwnas.data import Dataset
    from hwnas.nets import Network
    from hwnas.space import SpaceConfig, build
    from hwnas.train import TrainConfig, workload_of
    from hwnas.train.loop import optimizer_of, train_step

    torch.set_num_threads(1)
    count = BATCH if side <= 128 else BATCH // 8  # a step takes as long as it has images
    images, labels = picture(side)[:count], np.arange(count) % CLASSES
    data = Dataset("noise", images, labels, images[:2], labels[:2], tuple("abcdefgh"), "noise")
    space = build(SpaceConfig("mobile" if side <= 128 else "ofa", side, 3, CLASSES))
    net = Network(space.reference, [0.5] * 3, [0.25] * 3)
    net = net.to(memory_format=torch.channels_last).train()
    config, work = TrainConfig(), workload_of(data)
    optimizer = optimizer_of(net, config)
    return BATCH / count * seconds_of(lambda: train_step(net, optimizer, images, labels, work, config))


def picture(side: int) -> Images:
    """64 smooth images: noise would be blurred or sharpened faster or slower than photographs are."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (BATCH, 8, 8, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
                     for image in small])


def table(side: int) -> str:
    images, step = picture(side), step_seconds(side)
    found: dict[str, dict[str, float]] = {}
    names: list[str] = []
    for name, (package, make) in LIBRARIES.items():
        try:
            importlib.import_module(package if package != "pillow" else "PIL")
        except ImportError:
            continue
        title = f"{name} {importlib.metadata.version(package)}"
        names.append(title)
        for change, act in make(images).items():
            found.setdefault(change, {})[title] = BATCH / seconds_of(act)
    lines = [f"## {side} px: a step of 64 images takes {1000 * step:.0f} ms, {BATCH / step:,.0f} images/s", "",
             f"| change | {' | '.join(names)} | hwnas: share of a step % |", "|---" * (len(names) + 2) + "|"]
    for change, rates in found.items():
        cells = [f"{rates[name]:,.0f}" if name in rates else "" for name in names]
        lines.append(f"| {change} | {' | '.join(cells)} | {100 * BATCH / rates[names[0]] / step:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 224])
    for side in parser.parse_args().sides:
        print(table(side), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
