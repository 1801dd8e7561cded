"""The stages of compress, in order. Each reads what earlier stages left in the run folder and leaves its own files.

| stage     | leaves                                        | what it does                                           |
|-----------|-----------------------------------------------|--------------------------------------------------------|
| data      |                                               | loads the images, builds the space to their size       |
| profile   | table.jsonl latency.json                      | times every block the space needs on the target        |
| reference | reference.safetensors                         | trains the largest network, the teacher                |
| search    | search.jsonl distribution.json search.safetensors | learns which ops are worth their time              |
| generate  | front.json architecture.json                  | `hwnas.pipeline.choosing`                              |
| finetune  | model.safetensors                             | trains the winner with the reference as teacher        |
| export    | model.onnx reference.onnx samples.safetensors | `hwnas.pipeline.shipping`                              |
| report    | report.html report.json                       | tells                                                  |

With `--precision auto` there is a table and a latency model per precision: latency.json of the first, fp32, and
latency-int8.json and so on of the others. A network may have a share of the reference's channels (`widths`): then there
is a latency model per width, too, latency-w0.5.json and so on.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.files import read_json, write_json
from hwnas.latency import LatencyModel
from hwnas.nets import Network
from hwnas.pipeline.budget import Budget, parse_all
from hwnas.pipeline.lanes import Latencies, latencies, next_command, reference_ratios, targets_of, tied
from hwnas.pipeline.material import AnyData, attention_of, load_data, recipe, space_for_data, widths_of
from hwnas.pipeline.picking import Picker, best_of
from hwnas.pipeline.run import CompressConfig, RunFolder
from hwnas.pipeline.telling import described
from hwnas.progress import Progress
from hwnas.search.distribution import everything_live
from hwnas.search.log import SearchLog
from hwnas.search.weight_sharing import SearchConfig, SearchResult, load, run
from hwnas.space import Architecture, Space, thinner
from hwnas.target import Target
from hwnas.tasks.of_space import layout_of
from hwnas.train import History, Task, Teacher, TrainConfig, as_task, fit
from hwnas.train.tensors import adopt, load_tensors, save_tensors

Result = tuple[dict[str, Any], list[str]]
OFFSETS = 8  # architectures that compare widths


@dataclass
class Stages:
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
        found = load_data(self.config, self.progress)
        before = self.run.state.stages.get("data")
        if before is not None and before.result["fingerprint"] != found.fingerprint:
            raise UsageError(f"the images of {self.config.data} changed since this run began: start a new run")
        return found

    @cached_property
    def space(self) -> Space:
        return space_for_data(self.config, self.dataset)

    @cached_property
    def spaces(self) -> dict[float, Space]:
        """Width -> space, all channels first."""
        return {1.0: self.space} | {width: thinner(self.space, width) for width in widths_of(self.config)}

    @cached_property
    def task(self) -> Task:
        """What is learnt from the data."""
        return as_task(self.dataset, layout_of(self.space) if self.config.task == "detect" else None)

    @cached_property
    def training(self) -> TrainConfig:
        return TrainConfig(epochs=self.config.epochs, batch=self.config.batch_size, **recipe(self.config))

    @cached_property
    def search_config(self) -> SearchConfig:
        c = self.config
        keep = min(c.keep, max(self.space.sizes) - 1)
        return SearchConfig(mode=c.mode, training=c.training, warmup=c.warmup, cycles=c.cycles, keep=keep,
                            epochs_per_evaluation=c.epochs_per_evaluation, settle=c.settle, train=self.training,
                            widths=widths_of(c))

    @cached_property
    def searched(self) -> SearchResult:
        return load(self.space, self.task, self.search_config, folder=self.run.path, seed=self.config.seed)

    @cached_property
    def reference(self) -> Network:
        return self.network_of(self.space.largest(), self.run.path / "reference.safetensors")

    @property
    def architecture(self) -> Architecture:
        chosen = self.run.result("generate")
        return self.spaces[chosen.get("width", 1.0)].architecture(chosen["choice"])

    def data(self) -> Result:
        """Load the images and build the space to their size."""
        self._init("search", "search.safetensors")  # a run to start from that is not there is better said now
        first = next(iter(self.targets.values()))
        return {
            "data": self.dataset.describe(), "fingerprint": self.dataset.fingerprint, "summary": self.dataset.summary(),
            "space": asdict(self.space.config), "choices": len(self.space.choices), "size": str(self.space.size),
            "widths": list(self.spaces),
            "target": described(first), "budgets": {n: b.text for n, b in self.budgets.items()},
        }, []

    def profile(self) -> Result:
        """Time what the tables lack, or estimate; keep copies of tables and models in the run folder."""
        found = tuple(tied(self.spaces, {width: self._latencies(space, target) for width, space in self.spaces.items()},
                           self.progress) for target in self.targets.values())
        ratios = reference_ratios(self.space, tuple(lane[1.0] for lane in found), self.progress)
        lanes, files = [], []
        for i, (lane, ratio) in enumerate(zip(found, ratios, strict=True)):
            suffix = "" if i == 0 else f"-{lane[1.0].target.precision}"
            lanes.append(self._keep(lane, ratio, suffix))
            files += [f"latency{suffix}.json", *lanes[-1]["widths"].values()]
            files += [f"table{suffix}.jsonl"] if lane[1.0].table else []
        self._check_feasible(found, ratios)
        first = lanes[0]
        return {**found[0][1.0].report, **{k: first[k] for k in ("reference_ms", "smallest_ms", "device")},
                "lanes": lanes}, sorted(files)

    def _latencies(self, space: Space, target: Target) -> Latencies:
        tables = Path(self.config.tables) if self.config.tables else None
        return latencies(space, target, tables=tables, seed=self.config.seed,
                         require_measured=self.config.require_measured, named=self.config.target,
                         progress=self.progress)

    def _keep(self, widths: Mapping[float, Latencies], ratio: float, suffix: str) -> dict[str, Any]:
        """Write one lane's models and table into the run folder; what run.json says of it.

        A width whose latencies come from elsewhere than the reference's cannot be held against them, and is left out.
        """
        lane, warnings = widths[1.0], list(widths[1.0].warnings)
        if lane.table is not None:
            shutil.copyfile(lane.table, self.run.path / f"table{suffix}.jsonl")
        write_json(self.run.path / f"latency{suffix}.json", lane.model.to_json())
        files: dict[str, str] = {}
        for width, found in widths.items():
            if (found.model.source, found.here) != (lane.model.source, lane.here):
                space = self.spaces[width]
                way_out = next_command(lane.target, space, self.config.target)
                warnings.append(f"width {width:g} is left out: its latencies are {found.model.source}, those of the "
                                f"reference {lane.model.source}: {way_out}")
            elif width != 1.0:
                files[f"{width:g}"] = f"latency{suffix}-w{width:g}.json"
                write_json(self.run.path / files[f"{width:g}"], found.model.to_json())
        largest, smallest = (lane.model.predict(a) for a in (self.space.largest(), self.space.smallest()))
        return {
            "precision": lane.target.precision, "file": f"latency{suffix}.json", "reference_ratio": ratio,
            "widths": files, "source": lane.model.source, "here": lane.here, "warnings": warnings,
            "device": dict(lane.device), "measured": lane.report["measured"], "held_out": lane.report.get("held_out"),
            "held_out_isolated_sum": lane.report.get("held_out_isolated_sum"),
            "held_out_pairs": lane.report.get("held_out_pairs", []),
            "reference_ms": largest.latency_ms, "reference_low_ms": largest.low_ms,
            "reference_high_ms": largest.high_ms, "smallest_ms": smallest.latency_ms,
            "next": None if lane.here else next_command(lane.target, self.space, self.config.target),
        }

    def _check_feasible(self, lanes: tuple[dict[float, Latencies], ...], ratios: list[float]) -> None:
        """A budget that no architecture meets is better said now than after the search."""
        law, refusals = everything_live(self.space.sizes), []
        for lane, ratio in zip(lanes, ratios, strict=True):
            full = Picker(self.space, law, lane[1.0].model, 0.0, self.config.confidence or 0.5, ratio)
            pickers = {w: full if w == 1.0 else full.narrowed(w, found.model, 0.0) for w, found in lane.items()}
            try:
                best_of(pickers, full.absolute(self.budgets))
            except BudgetInfeasible as err:
                refusals.append(err)
        if len(refusals) == len(lanes):
            raise refusals[0]

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
        return self._trained(history), ["reference.safetensors"]

    def search(self) -> Result:
        """Learn the distribution."""
        self.searched = run(
            self.space, self.task, self.search_config, folder=self.run.path, seed=self.config.seed,
            protect=self._cheapest(), init=self._init("search", "search.safetensors"), progress=self.progress,
        )
        scores = [e.score for e in SearchLog(self.run.path / "search.jsonl").of("settle")]
        baseline = sum(scores) / len(scores) if scores else self.searched.best[1]
        result = {"baseline": baseline, "metric": self.task.judge.metric,
                  "evaluations": len(SearchLog(self.run.path / "search.jsonl").entries),
                  "entropy": self.searched.distribution.entropy(), "best": list(self.searched.best[0]),
                  "best_score": self.searched.best[1], "offsets": self._offsets()}
        return result, ["search.jsonl", "distribution.json", "search.safetensors"]

    def _offsets(self) -> dict[str, float]:
        """Width -> what it adds to the scores, in points: over a few of the architectures that settled the effects."""
        entries = SearchLog(self.run.path / "search.jsonl").of("settle")[:OFFSETS]
        known = [(e.choice, e.score) for e in entries] or [self.searched.best]
        narrow = {width: space for width, space in self.spaces.items() if width != 1.0}
        found: dict[str, list[float]] = {f"{width:g}": [] for width in narrow}
        for i, ((choice, score), (width, space)) in enumerate(itertools.product(known, narrow.items()), 1):
            found[f"{width:g}"].append(self.searched.evaluator.score(choice, space) - score)
            self.progress("compare widths", i, len(known) * len(narrow))
        return {width: sum(gains) / len(gains) for width, gains in found.items()}

    def generate(self) -> Result:
        """Solve the budgets, measure the best candidates, score those that hold, fine-tune the finalists a little."""
        from hwnas.pipeline.choosing import Chooser

        return Chooser(self).choose()

    def finetune(self) -> Result:
        """Train the winner from the shared weights with the reference as teacher."""
        net = self.searched.evaluator.network(self.architecture)
        history = fit(net, self.task, self.training, seed=self.config.seed,
                      teacher=Teacher(self.reference, features=attention_of(self.config)),
                      checkpoint=self.run.path / "model.checkpoint",
                      progress=self.progress, what="fine-tune")
        self._save(net, "model.safetensors")
        return self._trained(history), ["model.safetensors"]

    def export(self) -> Result:
        """Write the networks as ONNX in the precision that ships, check the result, measure them side by side."""
        from hwnas.pipeline.shipping import Shipper

        return Shipper(self).ship()

    def report(self) -> Result:
        """Write report.html and report.json."""
        from hwnas.pipeline.report import write_report

        write_report(self.run)
        return {}, ["report.html", "report.json"]

    def latency(self, precision: str, arch: Architecture) -> LatencyModel | None:
        """The latency model of a precision, for an architecture of any width; None if the run has none."""
        lanes = {lane["precision"]: lane for lane in self.run.result("profile").get("lanes", [self.run.lane()])}
        if precision not in lanes:
            return None
        widths = {space.config: f"{width:g}" for width, space in self.spaces.items()}
        files = {"1": lanes[precision]["file"], **lanes[precision].get("widths", {})}
        return LatencyModel.from_json(read_json(self.run.path / files[widths[arch.space.config]]))

    def _init(self, stage: str, name: str) -> Path | None:
        """A file of the run that this one starts from."""
        if self.config.init is None:
            return None
        other = RunFolder.open(Path(self.config.init))
        other.check_file(stage, name)
        return other.path / name

    def _trained(self, history: History) -> dict[str, Any]:
        return {"accuracy": history.accuracy, "metric": self.task.judge.metric,
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
        net.load_state_dict(load_tensors(path)[0])
        return net.eval()

    def _save(self, net: Network, name: str) -> None:
        save_tensors(self.run.path / name, dict(net.state_dict()), {"architecture": net.arch.to_json()})
