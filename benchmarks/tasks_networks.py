"""The networks of benchmarks/tasks.py: how each is made, trained by the recipe of the run, and judged.

| row          | what                                                                                               |
|--------------|----------------------------------------------------------------------------------------------------|
| compressed   | what the run shipped within its budget of latency                                                  |
| reference    | its reference, the teacher of both that follow here                                                |
| thinner      | the reference with fewer channels everywhere, as many as the latency of the compressed one allows  |
| heavy        | a ResNet-18 with plain convolutions (`tasks_heavy`)                                                |
| taught       | the compressed one, fine-tuned again from the same shared weights with the heavy one as teacher    |
| searched-N   | the answer of the same search within an Nth of the heavy one's FLOPs, taught as `taught` is        |
| scaled-N     | the reference, as wide everywhere as an Nth of these FLOPs allows, taught alike; needs no search   |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from tasks_heavy import Heavy, heavy_network, multiply_accumulates
from torch import nn

from hwnas.documents import read_json
from hwnas.export.onnx_export import onnx_graph, output_names
from hwnas.files import write_json
from hwnas.nets import Network
from hwnas.pipeline import TimedModel, load_network, pick, time_models
from hwnas.profile import network_model
from hwnas.space import Architecture, Space, build, make_divisible
from hwnas.space.heads import describe_head
from hwnas.target import Target
from hwnas.train import Teacher, Workload, fit
from hwnas.train.checkpoint import load_tensors, save_tensors
from hwnas.train.evaluate import outputs_of

SWEEPS = 60
WIDTHS = tuple(i / 20 for i in range(4, 61))
Row = dict[str, Any]


@dataclass(frozen=True)
class Networks:
    """What the rows are made from; a network that was trained lies in the run's folder and is read again.

    Args:
        context: of the run, what `load_context` gives.
        heavy_epochs, light_epochs: of the heavy one, and of what learns from it; the run's where they are None.
        attention: factor of the distance of attention between its maps and the student's; 0 compares outputs alone.
        heavy_bf16: whether it trains and teaches in bf16.
    """

    context: Any
    heavy_epochs: int | None = None
    light_epochs: int | None = None
    attention: float = 0.0
    heavy_bf16: bool = False

    def row(self, name: str) -> Row:
        """One row by its name in the table above."""
        kind, _, factor = name.partition("-")
        if factor:
            return self._fewer(name, kind, int(factor))
        makers = {"compressed": self._shipped, "reference": self._reference, "thinner": self._thinner,
                  "heavy": self._heavy_row, "taught": self._taught}
        return makers[kind]()

    @property
    def target(self) -> Target:
        """In the precision of the run; a run that stopped after its data has the first one."""
        return self.context.target if "profile" in self.context.run.state.stages else next(
            iter(self.context.targets.values()))

    def times(self, rows: dict[str, Row]) -> None:
        """Latencies of all rows in one interleaved run, in the precision of the run."""
        context, folder = self.context, self.context.run.path
        known = {"reference": lambda: context.space.largest(), "compressed": lambda: context.architecture}
        models = {name: network_model(known[name]()) if name in known else (folder / f"{name}.onnx").read_bytes()
                  for name in rows}
        found = time_models({name: TimedModel(model, self.target) for name, model in models.items()}, sweeps=SWEEPS)
        for name, measured in found.items():
            rows[name]["latency"] = measured.to_json()

    def _shipped(self) -> Row:
        chosen = self.context.architecture
        return judged(self.context.workload_of(chosen.space), load_network(self.context.run), chosen)

    def _reference(self) -> Row:
        return judged(self.context.workload, self.context.reference, self.context.space.largest())

    def _thinner(self) -> Row:
        arch = self._thinner_space().largest()
        found = self._from_scratch(arch, "thinner", self.context.config.train.epochs, Teacher(self.context.reference))
        return {**found, "width_mult": arch.space.config.width_mult}

    def _thinner_space(self) -> Space:
        """The widest that is not slower than the compressed network."""
        spaces = {w: self._as_wide(w) for w in WIDTHS if w < 1}
        kept = self.context.run.path / "thinner.json"
        if kept.exists():
            return spaces[read_json(kept)["width_mult"]]
        models = {str(w): TimedModel(network_model(s.largest()), self.target) for w, s in spaces.items()}
        models["compressed"] = TimedModel(network_model(self.context.architecture), self.target)
        found = time_models(models, sweeps=SWEEPS)
        limit = found["compressed"].median_ms
        width = max(w for w in spaces if found[str(w)].median_ms <= limit or w == min(spaces))
        write_json(kept, {"width_mult": width})
        return spaces[width]

    def _as_wide(self, factor: float) -> Space:
        """The run's space with all channels times a factor, those of the head included."""
        config = self.context.space.config
        head = make_divisible((config.head_width or describe_head(config.head).width) * factor)
        return build(replace(config, width_mult=config.width_mult * factor, head_width=head))

    @cached_property
    def _heavy(self) -> Heavy:
        """Trained, in the number format in which it teaches."""
        context = self.context
        torch.manual_seed(context.config.seed)
        heavy = heavy_network(context.space, context.dataset.mean.tolist(), context.dataset.std.tolist())
        context.workload.prepare(heavy)
        heavy.bf16 = self.heavy_bf16
        epochs = context.config.train.epochs if self.heavy_epochs is None else self.heavy_epochs
        self._train(context.workload, heavy, "heavy", epochs, None)
        heavy.bf16 = False
        model = onnx_graph(heavy.eval(), context.space.input_shape, output_names(context.space.largest()),
                           {"classes": list(context.dataset.classes)})
        (context.run.path / "heavy.onnx").write_bytes(model)
        heavy.bf16 = self.heavy_bf16
        return heavy

    @cached_property
    def _heavy_costs(self) -> tuple[int, int]:
        space = self.context.space
        return multiply_accumulates(heavy_network(space, [0.5] * 3, [0.25] * 3), space.input_shape)

    def _heavy_row(self) -> Row:
        heavy = self._heavy
        heavy.bf16 = False
        found = judged(self.context.workload, heavy, *self._heavy_costs)
        heavy.bf16 = self.heavy_bf16
        return found

    def _taught(self) -> Row:
        return self._from_shared(self.context.architecture, "taught")

    def _fewer(self, name: str, kind: str, factor: int) -> Row:
        """`searched-N` and `scaled-N`."""
        limit = self._heavy_costs[0] / factor
        if kind == "searched":
            return self._from_shared(pick(self.context.run.path, {"flops": f"{limit / 1e6:.3f}M"})[0].architecture,
                                     name)
        if kind != "scaled":
            raise SystemExit(f"a row is searched-N or scaled-N, not {name}")
        arch = max((a for w in WIDTHS if (a := self._as_wide(w).largest()).flops <= limit), key=lambda a: a.flops)
        return self._from_scratch(arch, name, self._light_epochs, Teacher(self._heavy, features=self.attention))

    @property
    def _light_epochs(self) -> int:
        return self.context.config.train.epochs if self.light_epochs is None else self.light_epochs

    def _from_shared(self, arch: Architecture, name: str) -> Row:
        net = self.context.searched.evaluator.network(arch)
        workload = self.context.workload_of(arch.space)
        self._train(workload, net, name, self._light_epochs, Teacher(self._heavy, features=self.attention))
        self._left(net, name, arch)
        return judged(workload, net, arch)

    def _from_scratch(self, arch: Architecture, name: str, epochs: int, teacher: Teacher) -> Row:
        context = self.context
        torch.manual_seed(context.config.seed)
        net = Network(arch, context.dataset.mean.tolist(), context.dataset.std.tolist())
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        context.workload.prepare(net)
        self._train(context.workload, net, name, epochs, teacher)
        self._left(net, name, arch)
        return {**judged(context.workload, net, arch), "width_mult": arch.space.config.width_mult}

    def _left(self, net: nn.Module, name: str, arch: Architecture) -> None:
        """As a file, its weights in it: timed here, and a stranger's network to `own_network.py`."""
        model = onnx_graph(net.eval(), arch.space.input_shape, output_names(arch), {})
        (self.context.run.path / f"{name}.onnx").write_bytes(model)

    def _train(self, workload: Workload, net: nn.Module, name: str, epochs: int, teacher: Teacher | None) -> None:
        """As the reference was, or read where that was done."""
        path = self.context.run.path / f"{name}.safetensors"
        if path.exists():
            tensors, facts = load_tensors(path)
            if facts.get("epochs", epochs) != epochs:
                raise SystemExit(f"{path} was trained for {facts['epochs']} epochs: take another --out")
            net.load_state_dict(tensors)
            return
        fit(net, workload, replace(self.context.training, epochs=epochs), seed=self.context.config.seed,
            teacher=teacher, checkpoint=path.with_suffix(".checkpoint"))
        save_tensors(path, dict(net.state_dict()), {"name": name, "epochs": epochs})


def judged(workload: Workload, net: nn.Module, *what: Any) -> Row:
    """Scores of a network on the validation images.

    Args:
        what: its architecture, or its FLOPs and parameters.
    """
    flops, params = (what[0].flops, what[0].params) if len(what) == 1 else what
    found = workload.metric.details(outputs_of(net.eval(), workload.val_images))  # type: ignore[attr-defined]
    return {"flops": flops, "params": params, **found.to_json()}
