"""From a plan to the model that ships: replacements in their places, every place in its precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.quantize import to_form
from hwnas.quantize.calibrate import Range
from hwnas.surgery.batches import opened
from hwnas.surgery.plan import FLOAT, INT8, TEACHER, Plan, joint_name
from hwnas.surgery.splice import Fragment, assemble
from hwnas.surgery.unit import Cut, Unit, graph_signature

Feeds = list[Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class Assembler:
    """Makes models of plans.

    Args:
        cut: the network.
        samples: inputs to calibrate int8 with, one batch each; empty takes random numbers, enough where only the time
            matters.
        variant: how the runtime wants its int8.
        forms: (unit, form) -> what stands in the unit's place, of every form but `teacher`.
        ranges: of tensors as the teacher makes them; filled as they are found.
        batch: images a call; above 1, models have an open batch.
    """

    cut: Cut
    samples: Feeds
    variant: str = "u8s8"
    forms: dict[tuple[str, str], Fragment] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    batch: int = 1

    def floats(self, plan: Plan) -> onnx.ModelProto:
        """The network with its replacements, all of it in float32."""
        return assemble(self.cut, {p: self._fragment(p, o.form) for p, o in plan.items() if o.form != TEACHER})

    def model(self, plan: Plan, exact: bool = False) -> bytes:
        """The network as the runtime is given it.

        Args:
            exact: calibrate on what the replaced network computes, and not on what the teacher did.
        """
        return self.lowered(self.floats(plan), plan, {} if exact else self.ranges)

    def lowered(self, floats: onnx.ModelProto, plan: Plan, known: dict[str, Range]) -> bytes:
        """A float32 model of a plan with every place in its precision.

        Args:
            known: ranges of tensors, which are not looked for again; what is found is added.
        """
        data: bytes = floats.SerializeToString()
        lower = {o.precision for o in plan.values()} - {FLOAT}
        for precision in sorted(lower, key=lambda p: (p != INT8, p)):  # int8 first: it is calibrated on floats
            data = to_form(data, precision, samples=self.samples or None, variant=self.variant, known=known,
                           within=self._made_in(floats, plan, precision))
        return self._for_calls(data)

    def signature(self, unit: Unit, form: str) -> str:
        """What decides how long a unit takes in a form: equal for all that take the same."""
        fragment = self._fragment(unit.name, form) if form != TEACHER else None
        return graph_signature(fragment.model) if fragment is not None and fragment.model is not None \
            else unit.signature

    def unit_model(self, unit: Unit, form: str, precision: str) -> bytes:
        """One unit alone, in a form and a precision, floats in and out: for timing."""
        fragment = Fragment(self.cut.model_of(unit)) if form == TEACHER else self._fragment(unit.name, form)
        if fragment.model is None:
            raise UsageError(f"{unit.name} is left out in the form {form}: there is nothing to time")
        data: bytes = fragment.model.SerializeToString()
        return self._for_calls(data if precision == FLOAT else to_form(data, precision, variant=self.variant))

    def _for_calls(self, model: bytes) -> bytes:
        return model if self.batch == 1 else opened(model)

    def _fragment(self, unit: str, form: str) -> Fragment:
        return self.forms[unit, form]

    def _made_in(self, model: onnx.ModelProto, plan: Plan, precision: str) -> frozenset[str]:
        """Tensors that are made by nodes of places in a precision."""
        lowered = {place for place, option in plan.items() if option.precision == precision}
        names = {self.cut[p].target for p in lowered if p in self.cut}
        kept = {name for i, node in enumerate(self.cut.flow.nodes) for name in node.output
                if self.cut.unit_of.get(i, joint_name(i)) in lowered}
        own, teacher = tuple(f"{place}/" for place in lowered), self.cut.flow.makers
        made = (name for node in model.graph.node for name in node.output)
        return frozenset(name for name in made if name in names or name in kept
                         or (name not in teacher and name.startswith(own or ("\0",))))


def feeds_of(name: str, inputs: Iterable[NDArray[np.float32]]) -> Feeds:
    """Inputs by the name of the network's input, one image each."""
    return [{name: x[i:i + 1]} for x in inputs for i in range(len(x))]
