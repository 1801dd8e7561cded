"""The stages of compress, in order. Each reads what earlier stages left in the run folder and leaves its own files.

| stage     | leaves                                        | what it does                                           |
|-----------|-----------------------------------------------|--------------------------------------------------------|
| data      |                                               | loads the images, builds the space to their size       |
| profile   | table.jsonl latency.json                      | times every block the space needs on the target        |
| reference | reference.safetensors                         | trains the largest network, the teacher                |
| search    | search.jsonl distribution.json search.safetensors | learns which ops are worth their time            |
| generate  | front.json architecture.json                  | solves the budgets, measures and re-scores the best    |
| finetune  | model.safetensors                             | trains the winner with the reference as teacher        |
| export    | model.onnx reference.onnx samples.safetensors | writes ONNX, checks it, measures it beside the reference |
| report    | report.html report.json                       | tells                                                  |
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hwnas import data as datasets
from hwnas.errors import UsageError, VerificationFailed
from hwnas.export import Samples, Verdict, to_onnx, verify
from hwnas.files import read_json, write_json
from hwnas.latency import LatencyModel, Table, table_path
from hwnas.nets import Network
from hwnas.pipeline.budget import Budget, parse_all
from hwnas.pipeline.picking import Answer, Picker
from hwnas.pipeline.run import CompressConfig, RunFolder
from hwnas.pipeline.tables import default_folder
from hwnas.profile import measure, network_model
from hwnas.progress import Progress
from hwnas.runtime import Measurement, compare, runtime_for
from hwnas.search.distribution import everything_live
from hwnas.search.log import SearchLog
from hwnas.search.weight_sharing import SearchConfig, SearchResult, load, run
from hwnas.space import Architecture, Space, SpaceConfig, build
from hwnas.target import Target
from hwnas.target import load as load_target
from hwnas.train import Teacher, TrainConfig, fit, logits
from hwnas.train.tensors import load_tensors, save_tensors

Result = tuple[dict[str, Any], list[str]]

CHECK_IMAGES = 512  # kept beside the model to check it on a device that has no data
FROM_SEARCH = 4  # best evaluated architectures within the budget that join the candidates
MARGIN = 0.99  # candidates must measure at most this share of the budget, so that the final check holds
TRIES = 3


class OverBudget(Exception):
    """The exported model measured over its latency budget; carries by how much to tighten."""

    def __init__(self, verdict: Verdict, factor: float) -> None:
        super().__init__()
        self.verdict, self.factor = verdict, factor


@dataclass
class Stages:
    """One compress: its run folder, its progress and what the stages hand to each other in memory."""

    run: RunFolder
    progress: Progress

    @property
    def config(self) -> CompressConfig:
        return self.run.state.config

    @cached_property
    def target(self) -> Target:
        c = self.config
        return load_target(c.target, precision=c.precision, batch=c.batch, threads=c.threads)

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        return parse_all(self.config.budgets)

    @cached_property
    def dataset(self) -> datasets.Dataset:
        c = self.config
        found = datasets.load(c.data, imgsz=c.imgsz, seed=c.seed, limit=c.limit, progress=self.progress)
        before = self.run.state.stages.get("data")
        if before is not None and before.result["fingerprint"] != found.fingerprint:
            raise UsageError(f"the images of {c.data} changed since this run began: start a new run")
        return found

    @cached_property
    def space(self) -> Space:
        c, found = self.config, self.dataset
        return build(SpaceConfig(c.space, found.imgsz, found.channels, len(found.classes), c.width_mult, c.depth))

    @cached_property
    def training(self) -> TrainConfig:
        return TrainConfig(epochs=self.config.epochs, batch=self.config.batch_size, lr=self.config.lr)

    @cached_property
    def search_config(self) -> SearchConfig:
        c = self.config
        keep = min(c.keep, max(self.space.sizes) - 1)
        return SearchConfig(mode=c.mode, training=c.training, warmup=c.warmup, cycles=c.cycles, keep=keep,
                            epochs_per_evaluation=c.epochs_per_evaluation, settle=c.settle, train=self.training)

    @cached_property
    def latency(self) -> LatencyModel:
        return LatencyModel.from_json(read_json(self.run.path / "latency.json"))

    @cached_property
    def searched(self) -> SearchResult:
        return load(self.space, self.dataset, self.search_config, folder=self.run.path, seed=self.config.seed)

    @cached_property
    def reference(self) -> Network:
        return self.network_of(self.space.largest(), self.run.path / "reference.safetensors")

    @property
    def architecture(self) -> Architecture:
        return self.space.architecture(self.run.result("generate")["choice"])

    def data(self) -> Result:
        """Load the images and build the space to their size."""
        return {
            "data": self.dataset.describe(), "fingerprint": self.dataset.fingerprint, "summary": self.dataset.summary(),
            "space": asdict(self.space.config), "choices": len(self.space.choices), "size": str(self.space.size),
            "target": self.target.model_dump(), "budgets": {n: b.text for n, b in self.budgets.items()},
        }, []

    def profile(self) -> Result:
        """Time what the table of the target lacks; keep a copy of the table in the run folder."""
        path = table_path(Path(self.config.tables) if self.config.tables else default_folder(), self.target)
        found = measure(self.space, self.target, path, seed=self.config.seed, progress=self.progress)
        shutil.copyfile(path, self.run.path / "table.jsonl")
        write_json(self.run.path / "latency.json", found.model.to_json())
        # A budget that no architecture meets is better said now than after the search.
        picker = Picker(self.space, everything_live(self.space.sizes), found.model, 0.0)
        picker.answers(picker.absolute(self.budgets))
        largest, smallest = (found.model.predict(a) for a in (self.space.largest(), self.space.smallest()))
        return {
            **found.report, "reference_ms": largest.latency_ms, "smallest_ms": smallest.latency_ms,
            "device": Table.read(path, self.target).device,
        }, ["table.jsonl", "latency.json"]

    def train_reference(self) -> Result:
        """Train the largest network from scratch."""
        torch.manual_seed(self.config.seed)
        net = self._new(self.space.largest())
        history = fit(net, self.dataset, self.training, seed=self.config.seed, progress=self.progress,
                      checkpoint=self.run.path / "reference.checkpoint", what="train reference")
        self._save(net, "reference.safetensors")
        return {"accuracy": history.accuracy, "epochs": [asdict(e) for e in history.epochs]}, ["reference.safetensors"]

    def search(self) -> Result:
        """Learn the distribution."""
        self.searched = run(
            self.space, self.dataset, self.search_config, folder=self.run.path, seed=self.config.seed,
            protect=self._cheapest(), progress=self.progress,
        )
        scores = [e.score for e in SearchLog(self.run.path / "search.jsonl").of("settle")]
        baseline = sum(scores) / len(scores) if scores else self.searched.best[1]
        result = {"baseline": baseline, "evaluations": len(SearchLog(self.run.path / "search.jsonl").entries),
                  "entropy": self.searched.distribution.entropy(), "best": list(self.searched.best[0]),
                  "best_score": self.searched.best[1]}
        return result, ["search.jsonl", "distribution.json", "search.safetensors"]

    def generate(self) -> Result:
        """Solve the budgets, measure the best candidates, score those that hold, fine-tune the finalists a little."""
        picker = Picker.of_run(self.run)
        write_json(self.run.path / "front.json", picker.front().to_json())
        tighten = self.run.state.tighten
        for _ in range(TRIES):
            bounds = picker.absolute(self.budgets, tighten)
            candidates = self._candidates(picker, bounds)
            measured = self._measure([c.architecture for c in candidates])
            limit = self._limit_ms(measured[0])
            fits = [(c, m) for c, m in zip(candidates, measured[1:], strict=True) if m.median_ms <= MARGIN * limit]
            if fits:
                break
            tighten *= MARGIN * limit / min(m.median_ms for m in measured[1:])
        else:
            raise VerificationFailed(
                f"no candidate measured within {limit:.3f} ms in {TRIES} tries although the table predicts it; best "
                f"{min(m.median_ms for m in measured[1:]):.3f} ms: measure the table again (`hwnas profile --again`)"
            )
        scored = [(self._score(c, i, len(fits)), c, m) for i, (c, m) in enumerate(fits)]
        # Two noisy views of one thing: the score of this path, and the effects pooled over all that were settled.
        scored.sort(key=lambda item: item[0] + item[1].predicted_accuracy, reverse=True)
        trials = self._trials([c.architecture for _, c, _ in scored[: self.config.finalists]])
        score, winner, timing = scored[trials.index(max(trials))]
        write_json(self.run.path / "architecture.json", winner.architecture.to_json())
        return {
            "choice": list(winner.architecture.choice), "bounds": bounds, "tighten": tighten,
            "predicted_accuracy": winner.predicted_accuracy, "shared_weights_accuracy": score,
            "predicted": winner.costs, "measured_ms": timing.to_json(), "reference_measured_ms": measured[0].to_json(),
            "candidates": [
                {"choice": list(c.architecture.choice), "predicted_accuracy": c.predicted_accuracy,
                 "score": s, "predicted_ms": c.costs["latency"] / 1e6, "measured_ms": m.median_ms, "trial": t}
                for (s, c, m), t in itertools.zip_longest(scored, trials)
            ],
        }, ["front.json", "architecture.json"]

    def finetune(self) -> Result:
        """Train the winner from the shared weights with the reference as teacher."""
        net = self.searched.evaluator.network(self.architecture)
        history = fit(net, self.dataset, self.training, seed=self.config.seed,
                      teacher=Teacher(self.reference), checkpoint=self.run.path / "model.checkpoint",
                      progress=self.progress, what="fine-tune")
        self._save(net, "model.safetensors")
        return {"accuracy": history.accuracy, "epochs": [asdict(e) for e in history.epochs]}, ["model.safetensors"]

    def export(self) -> Result:
        """Write both networks as ONNX, check the result, measure the two side by side."""
        path = self.run.path
        net = self.network_of(self.architecture, path / "model.safetensors")
        images = self.dataset.val_images[:CHECK_IMAGES]
        samples = Samples(images, self.dataset.val_labels[:CHECK_IMAGES], logits(net, images).numpy())
        samples.save(path / "samples.safetensors")
        self.progress("export", 0, 2)
        to_onnx(self.reference, path / "reference.onnx", self.provenance(self.space.largest(), "reference"))
        self.progress("export", 1, 2)
        to_onnx(net, path / "model.onnx", self.provenance(self.architecture, "compressed"))
        self.progress("export", 2, 2)
        models = {name: (path / f"{name}.onnx").read_bytes() for name in ("reference", "model")}
        timing = self._in_turns(models, sweeps=40)
        limit = self._limit_ms(timing["reference"]) if "latency" in self.budgets else None
        evaluation = (self.dataset.val_images, self.dataset.val_labels)
        verdict = verify(path / "model.onnx", samples, self.target, budget_ms=limit, evaluation=evaluation,
                         latency=timing["model"])
        plain = Samples(images, samples.labels, logits(self.reference, images).numpy())
        reference = verify(path / "reference.onnx", plain, self.target, evaluation=evaluation,
                           latency=timing["reference"])
        if not verdict.within_budget and limit is not None:
            raise OverBudget(verdict, MARGIN * limit / verdict.latency.median_ms)
        verdict.check()
        return {
            "verdict": verdict.to_json(), "reference": reference.to_json(),
            "budget_ms": limit, "ratio": verdict.latency.median_ms / reference.latency.median_ms,
            "size_bytes": (path / "model.onnx").stat().st_size,
            "reference_size_bytes": (path / "reference.onnx").stat().st_size,
        }, ["model.onnx", "reference.onnx", "samples.safetensors"]

    def report(self) -> Result:
        """Write report.html and report.json."""
        from hwnas.pipeline.report import write_report

        write_report(self.run)
        return {}, ["report.html", "report.json"]

    def _candidates(self, picker: Picker, bounds: dict[str, float]) -> list[Answer]:
        """DPNG's best, and the best architectures that the search has scored, all within the bounds."""
        found = picker.answers(bounds, self.config.top)
        known = {a.architecture.choice for a in found}
        entries = SearchLog(self.run.path / "search.jsonl").of("settle")
        for entry in sorted(entries, key=lambda e: -e.score):
            answer = picker.answer(entry.choice)
            if entry.choice not in known and all(answer.costs[n] <= b for n, b in bounds.items()):
                found.append(answer)
                known.add(entry.choice)
            if len(found) >= self.config.top + FROM_SEARCH:
                break
        return found

    def _score(self, candidate: Answer, index: int, total: int) -> float:
        self.progress("score candidates", index + 1, total)
        return self.searched.evaluator.score(candidate.architecture.choice)

    def _trials(self, finalists: list[Architecture]) -> list[float]:
        """Accuracy in percent on the search's held-out fold after a short fine-tuning; no trial for a single finalist.

        A score with shared weights favours what trains fast beside others; what counts is what trains well alone.
        """
        if len(finalists) == 1 or self.config.trial_epochs == 0:
            return [0.0] * len(finalists)
        fold, teacher = self.searched.evaluator.fold, Teacher(self.reference, remember=True)
        data = replace(self.dataset, train_images=fold.train_images, train_labels=fold.train_labels,
                       val_images=fold.val_images, val_labels=fold.val_labels)
        short, reached = replace(self.training, epochs=self.config.trial_epochs), []
        for i, arch in enumerate(finalists):
            checkpoint = self.run.path / f"trial-{'-'.join(map(str, arch.choice))}.checkpoint"
            history = fit(self.searched.evaluator.network(arch), data, short, seed=self.config.seed, teacher=teacher,
                          checkpoint=checkpoint, progress=self.progress,
                          what=f"try finalist {i + 1} of {len(finalists)}")
            reached.append(history.accuracy)
        return reached

    def _measure(self, archs: list[Architecture]) -> list[Measurement]:
        """The reference and `archs` with random weights, in one interleaved run: weights do not change the time."""
        named = enumerate([self.space.largest(), *archs])
        models = {str(i): network_model(arch, batch=self.target.batch) for i, arch in named}
        return list(self._in_turns(models, sweeps=20).values())

    def _in_turns(self, models: dict[str, bytes], sweeps: int) -> dict[str, Measurement]:
        """Serialised models timed in one interleaved run on the target; results in the order given."""
        runtime = runtime_for(self.target)
        sessions = {name: runtime.load(model) for name, model in models.items()}
        return compare(sessions, sweeps=sweeps, batch=self.target.batch, progress=self.progress)

    def _limit_ms(self, reference: Measurement) -> float:
        """The latency budget in ms; a percentage is of the reference as measured in the same run."""
        budget = self.budgets.get("latency")
        return float("inf") if budget is None else budget.absolute(reference.median_ms * 1e6) / 1e6

    def _cheapest(self) -> list[int]:
        """Per choice the op that costs least on the target; never pruned, so that tight budgets stay reachable."""
        _, costs = self.latency.costs_ns(self.space)
        return [int(row.argmin()) for row in costs]

    def provenance(self, arch: Architecture, role: str) -> dict[str, Any]:
        """What an exported model says of itself."""
        predicted, measured = self.latency.predict(arch), self.run.result("generate")
        return {
            "hwnas": self.run.state.versions.get("hwnas", ""), "role": role, "classes": list(self.dataset.classes),
            "input": "float32 pixels in 0..1, NCHW; normalisation is inside", "architecture": arch.to_json(),
            "target": self.target.model_dump(), "table_hash": self.latency.table_hash,
            "predicted_latency_ms": predicted.latency_ms, "predicted_low_ms": predicted.low_ms,
            "predicted_high_ms": predicted.high_ms, "latency_source": self.latency.source,
            "measured_ms": measured["reference_measured_ms" if role == "reference" else "measured_ms"],
            "data": self.config.data if self.config.data == "digits" else Path(self.config.data).name,
            "seed": self.config.seed,
        }

    def _new(self, arch: Architecture) -> Network:
        net = Network(arch, self.dataset.mean.tolist(), self.dataset.std.tolist())
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def network_of(self, arch: Architecture, path: Path) -> Network:
        """`arch` with the weights stored at `path`, in eval mode."""
        net = self._new(arch)
        net.load_state_dict(load_tensors(path)[0])
        return net.eval()

    def _save(self, net: Network, name: str) -> None:
        save_tensors(self.run.path / name, dict(net.state_dict()), {"architecture": net.arch.to_json()})
