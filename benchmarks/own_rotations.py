"""EfficientNet-Lite0 with few images by rotations: what `hwnas compress --model` and other tools make of it.

    pip install nncf==3.4.0 openvino torch-pruning==1.6.0      # rivals, no part of hwnas
    cd benchmarks
    python own_rotations.py --images ../../shared/data/imagenet_samples/images --out /tmp/own/lite0-rotations
    python own_rotations.py --images ... --runtime openvino --out /tmp/own/lite0-rotations-openvino

500 images, one a class, lie shuffled in five parts. Rotation i judges on parts i and i + 1, so every image judges
twice; all that calibrates, fits, scores or tunes sees the 300 others, without labels. What the rivals do with them
stands in `own_rotations_rivals.py`. KL and agreement are with the network as given; the class is the number that a
file's name begins with. A mean is over all judged images, its standard error over images, each with the mean of what
its two rotations say, as these are not independent.

What is there already is kept, so a command that was cut off goes on. At the end all networks of all rotations are timed
in one interleaved run. `--subject tiny` is a small network of random weights, to see the script run.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from own_rotations_rivals import GIVEN, RIVALS, SUBJECTS, Few, Subject, running, timed

from hwnas.documents import read_json
from hwnas.errors import SomeBudgetsFailed
from hwnas.files import write_json
from hwnas.imaging.listing import list_images
from hwnas.pipeline import RunFolder, compress, resume
from hwnas.runtime import Runtime, runtime_for
from hwnas.surgery.examples import Examples, examples_of
from hwnas.surgery.judging import Judge, paired, standard_error
from hwnas.target import load

PARTS, JUDGING = 5, 2


@dataclass(frozen=True)
class Rotation:
    """One split of the images and what is made with it.

    Args:
        number: from 0.
        subject: the network.
        args: of the command.
        runtime: that all is judged and timed with.
    """

    number: int
    subject: Subject
    args: argparse.Namespace
    runtime: Runtime

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.args.out) / f"rotation-{self.number}"

    @cached_property
    def images(self) -> Path:
        """A folder with `train` and `val`, of links."""
        names = sorted(path.name for path in Path(self.args.images).iterdir() if path.suffix == ".jpg")
        order = np.random.default_rng(self.args.seed).permutation(len(names))[:self.args.limit]
        parts = np.array_split(order, PARTS)
        judging = {int(i) for j in range(JUDGING) for i in parts[(self.number + j) % PARTS]}
        for i in order:
            part = self.folder / "images" / ("val" if int(i) in judging else "train")
            part.mkdir(parents=True, exist_ok=True)
            if not (part / names[i]).is_symlink():
                (part / names[i]).symlink_to((Path(self.args.images) / names[i]).resolve())
        return self.folder / "images"

    @cached_property
    def examples(self) -> tuple[Examples, Examples]:
        """Images that fit, and that judge."""
        size = self.subject.side, self.subject.side
        fit, judge, _ = examples_of(str(self.images), self.subject.contract, size)
        return fit.held(), judge.held()

    @property
    def few(self) -> Few:
        """What the rivals are given."""
        args = self.args
        return Few(self.subject, self.examples[0], self.runtime, self.folder / "rivals", args.seed, args.tune_epochs,
                   args.amp)

    @property
    def judging(self) -> list[str]:
        """Names of the images that judge, in order."""
        return [path.name for path in list_images(self.images).images if path.parts[0] == "val"]

    def run(self) -> RunFolder:
        """hwnas's, for all budgets at once."""
        folder, args = self.folder / "run", self.args

        def told(stage: str, event: str, seconds: float) -> None:
            print(f"rotation {self.number}, {stage} {event} {seconds:.0f} s", flush=True)

        try:
            if (folder / "run.json").exists():
                return resume(folder, hook=told)
            return compress(folder, model=str(self.subject.path), data=str(self.images), hook=told, seed=args.seed,
                            budgets={"latency": args.budgets.split(",")}, runtime=args.runtime, amp=args.amp,
                            tune_epochs=args.tune_epochs, **self.subject.asked)
        except SomeBudgetsFailed as err:
            print(f"rotation {self.number}: {err}", flush=True)
            return RunFolder.open(folder)

    def files(self) -> dict[str, Path]:
        """Name -> model, hwnas's and the rivals'."""
        args, done = self.args, finished(self.run())
        found = {GIVEN: self.subject.path}
        found |= {path.stem.replace("-", " "): path for folder in done.values()
                  for path in sorted(folder.glob("uniform-*.onnx"))}
        found |= {f"hwnas, {budget}": folder / "model.onnx" for budget, folder in done.items()}
        return found | self.few.made(args.rivals, args.budgets.split(","))

    def judged(self, files: Mapping[str, Path]) -> dict[str, dict[str, list[float]]]:
        """Name -> loss, agreement and rightness of every judging image, in their order."""
        path = self.folder / "judged.json"
        known: dict[str, dict[str, list[float]]] = read_json(path) if path.exists() else {}
        fresh = [name for name in files if name not in known]
        if fresh:
            labels = np.array([int(name.split("_")[0]) for name in self.judging])
            judge = Judge(lambda: self.examples[1].batches(1), running(self.few.session(files[GIVEN])), labels)
            for name in fresh:
                score = judge.score(running(self.few.session(files[name])))
                known[name] = {"loss": score.loss.tolist(), "agreement": score.agreement.tolist(),
                               "right": score.right.tolist()}
                write_json(path, known)
        return {name: known[name] for name in files}


def finished(run: RunFolder) -> dict[str, Path]:
    """Budget -> the run that met it."""
    whole = {branch.texts["latency"]: branch.path for branch in run.branches} or {
        str(run.state.config.budgets["latency"]): run.path}
    return {budget: path for budget, path in whole.items() if (path / "model.onnx").is_file()}


def table(rotations: Sequence[Rotation], files: Sequence[Mapping[str, Path]]) -> list[str]:
    """Every network over all rotations."""
    sessions = {f"{i} {name}": rotation.few.session(path) for i, (rotation, every) in
                enumerate(zip(rotations, files, strict=True)) for name, path in every.items() if name != GIVEN}
    times = timed({GIVEN: rotations[0].few.session(rotations[0].subject.path), **sessions}, rotations[0].runtime)
    judged = [rotation.judged(every) for rotation, every in zip(rotations, files, strict=True)]
    names = list(dict.fromkeys(name for every in files for name in every))
    uniform = next((name for name in names if name.startswith("uniform int8")), GIVEN)
    lines = [f"| network | rotations | ms | of given (least-most) | loss | agreement % | beside {uniform} | top-1 % |",
             "|---|---|---|---|---|---|---|---|"]
    for name in names:
        have = [i for i, every in enumerate(files) if name in every]
        ms = [times[GIVEN if name == GIVEN else f"{i} {name}"] for i in have]
        ratio = np.array(ms) / times[GIVEN]
        loss, agreement, right, other = (_of_images(rotations, judged, have, which, word) for which, word in (
            (name, "loss"), (name, "agreement"), (name, "right"), (uniform, "agreement")))
        mean, error = paired(agreement, other)
        told = [_told(loss, 1, 4), _told(agreement, 100, 2), f"{100 * mean:+.2f} +- {100 * error:.2f}",
                _told(right, 100, 2)]
        lines.append(f"| {name} | {len(have)} | {np.mean(ms):.3f} | {ratio.mean():.3f} "
                     f"({ratio.min():.3f}-{ratio.max():.3f}) | {' | '.join(told)} |")
    return lines


def _of_images(rotations: Sequence[Rotation], judged: Sequence[Mapping[str, Mapping[str, list[float]]]],
               have: Sequence[int], name: str, word: str) -> np.ndarray:
    """A value of every image that judged, the mean over those rotations that it did."""
    found: dict[str, list[float]] = {}
    for i in have:
        for image, value in zip(rotations[i].judging, judged[i][name][word], strict=True):
            found.setdefault(image, []).append(value)
    return np.array([np.mean(found[image]) for image in sorted(found)])


def _told(values: np.ndarray, scale: float, digits: int) -> str:
    return f"{scale * values.mean():.{digits}f} +- {scale * standard_error(values):.{digits}f}"


def facts(run: RunFolder) -> dict[str, Any]:
    """Seconds of every stage, and how well plans were predicted."""
    found: dict[str, Any] = {"seconds": seconds(run)}
    for budget, path in finished(run).items():
        own = RunFolder.open(path)
        plan = own.result("plan")
        best = next(row for row in plan["rows"] if row["name"] == plan["name"])
        found[budget] = {"seconds": seconds(own), "tuned": own.result("tune"), **{
            name: best[name] for name in ("predicted_loss", "loss", "predicted_ms", "measured_ms")}}
    return found


def seconds(run: RunFolder) -> dict[str, float]:
    """Of every stage."""
    return {name: round(stage.seconds, 1) for name, stage in run.state.stages.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subject", choices=SUBJECTS, default="lite0")
    parser.add_argument("--rotations", type=int, nargs="+", default=list(range(PARTS)), choices=range(PARTS))
    parser.add_argument("--budgets", default="65%,55%,47%")
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino"), default="onnxruntime")
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=RIVALS)
    parser.add_argument("--limit", type=int, help="use so many of the images")
    parser.add_argument("--tune-epochs", type=int, help="of hwnas and of Torch-Pruning")
    parser.add_argument("--amp", default="no", help="of their tuning: bf16 where the processor has it")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    subject = Subject(args.subject, args.out)
    runtime = runtime_for(load("local", runtime=args.runtime, precision="mixed"))
    rotations = [Rotation(i, subject, args, runtime) for i in args.rotations]
    files = [rotation.files() for rotation in rotations]
    for rotation in rotations:
        write_json(rotation.folder / "facts.json", facts(RunFolder.open(rotation.folder / "run")))
    lines = table(rotations, files)
    (args.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
