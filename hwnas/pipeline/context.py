"""The stages of compress, in order. Each reads what earlier stages left in the run folder and leaves its own files.

| stage     | leaves                                        | what it does                                           |
|-----------|-----------------------------------------------|--------------------------------------------------------|
| data      |                                               | loads the images, builds the space to their size       |
| profile   | table.jsonl latency.json                      | `hwnas.pipeline.stages.profile`                        |
| reference | reference.safetensors                         | trains the largest network, the teacher                |
| search    | search.jsonl distribution.json search.safetensors | learns which ops are worth their time              |
| generate  | front.json architecture.json                  | `hwnas.pipeline.selection.model_selector`              |
| finetune  | model.safetensors                             | trains the winner with the reference as teacher        |
| export    | model.onnx reference.onnx samples.safetensors | `hwnas.pipeline.stages.export`                         |
| report    | report.html report.json                       | tells                                                  |
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hwnas.documents import read_json
from hwnas.errors import RunError, UsageError
from hwnas.latency import LatencyModel
from hwnas.nets import Network
from hwnas.pipeline.config.budget import Budget, parse_all
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.exported.provenance import described
from hwnas.pipeline.latencies.latency_sources import targets_of
from hwnas.pipeline.run.cautions import of_data
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.task_setup import (
    AnyData,
    attention_of,
    load_data,
    recipe,
    sizes_of,
    space_for_data,
    spaces_of,
    widths_of,
)
from hwnas.progress import Progress
from hwnas.search.log import SearchLog
from hwnas.search.weight_sharing import SearchConfig, SearchResult, load, run
from hwnas.space import FULL, Architecture, Space, Variant
from hwnas.target import Target
from hwnas.tasks.of_space import layout_of
from hwnas.train import History, Task, Teacher, TrainConfig, as_task, fit
from hwnas.train.evaluate import outputs_of
from hwnas.train.tensors import adopt, load_into, load_tensors, save_tensors

Result = tuple[dict[str, Any], list[str]]
OFFSETS = 8  # architectures that compare variants


@dataclass
class RunContext:
    """One compress: its run folder, its progress and what the stages hand to each other in memory."""

    run: RunFolder
    progress: Progress

    @property
    def config(self) -> CompressConfig:
        return self.run.state.config

    @cached_property
    def targets(self) -> dict[str, Target]:
        """Precision -> target, in every precision that may ship; the first is fp32 or the only one."""
        return {target.precision: target for target in targets_of(self.config)}

    @property
    def target(self) -> Target:
        """In the precision that ships; before that is known, in the first."""
        return self.targets[self.run.lane()["precision"]]

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        return parse_all(self.config.budgets)

    @cached_property
    def dataset(self) -> AnyData:
        before, place = self.run.state.stages.get("data"), Path(self.config.data)
        if before is not None and place.is_absolute() and not place.exists():
            raise RunError(f"the images of {self.run.path} were at {place}, and nothing is there: move them back, or "
                           "make a link there")
        found = load_data(self.config, self.progress)
        if before is not None and before.result["fingerprint"] != found.fingerprint:
            raise UsageError(f"the images of {self.config.data} changed since this run began: start a new run")
        return found

    @cached_property
    def space(self) -> Space:
        return space_for_data(self.config, self.dataset)

    @cached_property
    def spaces(self) -> dict[Variant, Space]:
        """Variant -> space, all channels and pixels first."""
        return spaces_of(self.config, self.space)

    @cached_property
    def task(self) -> Task:
        """What is learnt from the data."""
        return self._task(self.dataset, self.space)

    @cached_property
    def smaller(self) -> dict[int, Task]:
        """Height -> the same with smaller images, which are decoded anew and not made of the larger ones."""
        found = {v.imgsz: space for v, space in self.spaces.items() if v.imgsz}
        return {imgsz: self._task(load_data(self.config, self.progress, space.config.size), space)
                for imgsz, space in found.items()}

    def _task(self, data: AnyData, space: Space) -> Task:
        return as_task(data, layout_of(space) if self.config.task == "detect" else None)

    def task_of(self, space: Space) -> Task:
        """The task with images of the size that networks of `space` take."""
        return self.task if space.config.size == self.space.config.size else self.smaller[space.config.imgsz]

    @cached_property
    def training(self) -> TrainConfig:
        return TrainConfig(epochs=self.config.epochs, batch=self.config.batch_size, **recipe(self.config))

    @cached_property
    def search_config(self) -> SearchConfig:
        c = self.config
        keep = min(c.keep, max(self.space.sizes) - 1)
        return SearchConfig(mode=c.mode, training=c.training, warmup=c.warmup, cycles=c.cycles, keep=keep,
                            epochs_per_evaluation=c.epochs_per_evaluation, settle=c.settle, train=self.training,
                            widths=widths_of(c), sizes=sizes_of(c, self.space))

    @cached_property
    def searched(self) -> SearchResult:
        return load(self.space, self.task, self.search_config, folder=self.run.path, seed=self.config.seed,
                    smaller=self.smaller)

    @cached_property
    def reference(self) -> Network:
        return self.network_of(self.space.largest(), self.run.path / "reference.safetensors")

    def reference_at(self, space: Space) -> Network:
        """The reference for images of the size that networks of `space` take, which it teaches."""
        if space.config.size == self.space.config.size:
            return self.reference
        smaller = self.spaces[Variant(imgsz=space.config.imgsz)]
        return self.network_of(smaller.largest(), self.run.path / "reference.safetensors")

    @property
    def architecture(self) -> Architecture:
        chosen = self.run.result("generate")
        return self.spaces[Variant.read(chosen.get("variant", FULL.key))].architecture(chosen["choice"])

    def data(self) -> Result:
        """Load the images and build the space to their size."""
        self._init("search", "search.safetensors")  # a run to start from that is not there is better said now
        first = next(iter(self.targets.values()))
        return {
            "data": self.dataset.describe(), "fingerprint": self.dataset.fingerprint, "summary": self.dataset.summary(),
            "space": asdict(self.space.config), "choices": len(self.space.choices), "size": str(self.space.size),
            "variants": [variant.key for variant in self.spaces],
            "target": described(first), "budgets": {n: b.text for n, b in self.budgets.items()},
            "warnings": [*self.dataset.notes, *of_data(self.dataset.describe(), self.config.task)],
        }, []

    def profile(self) -> Result:
        """Time what the tables lack, or estimate; keep copies of tables and models in the run folder."""
        from hwnas.pipeline.stages.profile import Profiler

        return Profiler(self).profile()

    def train_reference(self) -> Result:
        """Train the largest network from scratch."""
        torch.manual_seed(self.config.seed)
        net = self._new(self.space.largest())
        given = self._init("reference", "reference.safetensors")
        if given is not None and not adopt(net, load_tensors(given)[0]):
            raise UsageError(f"{given} has no weights that fit space {self.space.name}: take a run of the same space")
        history = fit(net, self.task, self.training, seed=self.config.seed, progress=self.progress,
                      checkpoint=self.run.path / "reference.checkpoint", what="train reference")
        self._save(net, "reference.safetensors")
        return self._trained(history, net, self.task), ["reference.safetensors"]

    def search(self) -> Result:
        """Learn the distribution."""
        self.searched = run(
            self.space, self.task, self.search_config, folder=self.run.path, seed=self.config.seed,
            protect=self._cheapest(), init=self._init("search", "search.safetensors"), smaller=self.smaller,
            progress=self.progress,
        )
        scores = [e.score for e in SearchLog(self.run.path / "search.jsonl").of("settle")]
        baseline = sum(scores) / len(scores) if scores else self.searched.best[1]
        result = {"baseline": baseline, "metric": self.task.judge.metric,
                  "evaluations": len(SearchLog(self.run.path / "search.jsonl").entries),
                  "entropy": self.searched.distribution.entropy(), "best": list(self.searched.best[0]),
                  "best_score": self.searched.best[1], "offsets": self._offsets()}
        return result, ["search.jsonl", "distribution.json", "search.safetensors"]

    def _offsets(self) -> dict[str, float]:
        """Variant -> what it adds to the scores, in points: over some of the architectures that settled the effects."""
        entries = SearchLog(self.run.path / "search.jsonl").of("settle")[:OFFSETS]
        known = [(e.choice, e.score) for e in entries] or [self.searched.best]
        others = {variant.key: space for variant, space in self.spaces.items() if variant != FULL}
        found: dict[str, list[float]] = {key: [] for key in others}
        for i, ((choice, score), (key, space)) in enumerate(itertools.product(known, others.items()), 1):
            found[key].append(self.searched.evaluator.score(choice, space) - score)
            self.progress("compare variants", i, len(known) * len(others))
        return {key: sum(gains) / len(gains) for key, gains in found.items()}

    def generate(self) -> Result:
        """Solve the budgets, measure the best candidates, score those that hold, fine-tune the finalists a little."""
        from hwnas.pipeline.selection.model_selector import ModelSelector

        return ModelSelector(self).choose()

    def finetune(self) -> Result:
        """Train the winner from the shared weights with the reference as teacher."""
        arch = self.architecture
        net = self.searched.evaluator.network(arch)
        task = self.task_of(arch.space)
        history = fit(net, task, self.training, seed=self.config.seed,
                      teacher=Teacher(self.reference_at(arch.space), features=attention_of(self.config)),
                      checkpoint=self.run.path / "model.checkpoint",
                      progress=self.progress, what="fine-tune")
        self._save(net, "model.safetensors")
        return self._trained(history, net, task), ["model.safetensors"]

    def export(self) -> Result:
        """Write the networks as ONNX in the precision that ships, check the result, measure them side by side."""
        from hwnas.pipeline.stages.export import ModelExporter

        return ModelExporter(self).ship()

    def report(self) -> Result:
        """Write report.html and report.json."""
        from hwnas.pipeline.report.facts import write_report

        write_report(self.run)
        return {}, ["report.html", "report.json"]

    def latency(self, precision: str, arch: Architecture) -> LatencyModel | None:
        """The latency model of a precision, for an architecture of any variant; None if the run has none."""
        lanes = {lane["precision"]: lane for lane in self.run.result("profile").get("lanes", [self.run.lane()])}
        if precision not in lanes:
            return None
        keys = {space.config: variant.key for variant, space in self.spaces.items()}
        files = {FULL.key: lanes[precision]["file"], **lanes[precision].get("variants", {})}
        return LatencyModel.from_json(read_json(self.run.path / files[keys[arch.space.config]]))

    def _init(self, stage: str, name: str) -> Path | None:
        """A file of the run that this one starts from."""
        if self.config.init is None:
            return None
        other = RunFolder.open(Path(self.config.init))
        other.check_file(stage, name)
        return other.path / name

    def _trained(self, history: History, net: Network, task: Task) -> dict[str, Any]:
        found = task.judge.breakdown(outputs_of(net, task.val_images), self.dataset.classes)
        return {"accuracy": history.accuracy, "metric": task.judge.metric, "standing": found.standing.to_json(),
                "epochs": [asdict(e) for e in history.epochs]}

    def _cheapest(self) -> list[int]:
        """Per choice the op that costs least on the target; never pruned, so that tight budgets stay reachable.

        A cell with nothing on every edge is no network, so the op that gives nothing does not count.
        """
        latency = LatencyModel.from_json(read_json(self.run.path / "latency.json"))
        _, costs = latency.costs_ns(self.space)
        rows = zip(costs, self.space.choices, strict=True)
        return [min((k for k, op in enumerate(choice.ops) if op.kind != "none"), key=row.__getitem__)
                for row, choice in rows]

    def _new(self, arch: Architecture) -> Network:
        net = Network(arch, self.dataset.mean.tolist(), self.dataset.std.tolist())
        self.task.prepare(net)
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def network_of(self, arch: Architecture, path: Path) -> Network:
        """`arch` with the weights stored at `path`, in eval mode."""
        net = self._new(arch)
        load_into(net, path)
        return net.eval()

    def _save(self, net: Network, name: str) -> None:
        save_tensors(self.run.path / name, dict(net.state_dict()), {"architecture": net.arch.to_json()})
