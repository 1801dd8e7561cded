"""What every place of a network is to be: its form and its precision.

A place is a unit, or a loose node between units that can be computed in several precisions (a join, a pool). A plan
names an option for every place; what it does not name stays as the user's network has it, in floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from hwnas.quantize.layout import ACTIVATIONS, JOINED, SAME, UNARY
from hwnas.surgery.dataflow import STANDARD
from hwnas.surgery.unit import Cut

TEACHER = "teacher"
NONE = "none"
"""The form of a unit that is left out."""
SPAN = "span"
"""How the forms of a unit begin that stand for it and for the one before it."""
SPANNED = "spanned"
"""The form of the unit before: the next one stands for it."""
FLOAT, INT8 = "float", "int8"
JOINTS = (*UNARY, *SAME, *ACTIVATIONS, *JOINED, "Add", "Mul")
"""Types of loose nodes that have an integer kernel."""


@dataclass(frozen=True, order=True)
class Option:
    """What a place may be.

    Args:
        form: `teacher`, or the name of a replacement.
        precision: `float`: whatever the target computes floats in; `int8`, `fp16`, `bf16`.
    """

    form: str = TEACHER
    precision: str = FLOAT

    @property
    def key(self) -> str:
        """`teacher/float`; `Option.read` reads it back."""
        return f"{self.form}/{self.precision}"

    @classmethod
    def read(cls, key: str) -> Option:
        """Of its key."""
        form, _, precision = key.rpartition("/")
        return cls(form, precision)


AS_IT_IS = Option()
Plan = Mapping[str, Option]
"""Place -> option; a place that is missing is as it is."""


@dataclass(frozen=True)
class Edge:
    """A tensor between places.

    Args:
        tensor: its name.
        maker: the place that makes it; empty for an input of the network and for nodes that are no place.
        readers: the places that read it; the empty one for an output of the network and for nodes that are no place.
    """

    tensor: str
    maker: str
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """The places of a network and how they hang together.

    Args:
        cut: the network.
        options: place -> what it may be, the teacher in floats first.
    """

    cut: Cut
    options: Mapping[str, tuple[Option, ...]]

    @classmethod
    def of(cls, cut: Cut, precisions: Sequence[str], frozen: frozenset[str] = frozenset(),
           forms: Mapping[str, Sequence[str]] | None = None) -> Places:
        """Every unit and every joint in each of some precisions besides floats.

        Args:
            frozen: units that stay as they are.
            forms: unit -> what else may stand in its place, in every precision.
        """
        lower = tuple(Option(TEACHER, p) for p in precisions if p != FLOAT)
        every = (AS_IT_IS, *lower)
        found = {unit.name: (*every, *(Option(form, o.precision) for form in (forms or {}).get(unit.name, ())
                                       for o in every)) if unit.name not in frozen else (AS_IT_IS,)
                 for unit in cut.units}
        found |= {joint_name(i): (AS_IT_IS, *lower) for i in cut.loose if _may_be_lowered(cut, i)}
        return cls(cut, found)

    @cached_property
    def place_of(self) -> dict[int, str]:
        """Node -> its place; empty for a node that is in none."""
        found = dict(self.cut.unit_of)
        found |= {i: joint_name(i) if joint_name(i) in self.options else "" for i in self.cut.loose}
        return found

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every tensor of floats that leaves a place or enters one."""
        flow, found = self.cut.flow, []
        for tensor in (*flow.inputs, *flow.makers):
            maker = self.place_of[flow.makers[tensor]] if tensor in flow.makers else ""
            readers = [self.place_of[i] for i in flow.readers.get(tensor, ())]
            readers += [""] * (tensor in flow.outputs)
            outside = tuple(dict.fromkeys(r for r in readers if r != maker or not maker))
            if outside and (maker or any(outside)) and flow.is_float(tensor):
                found.append(Edge(tensor, maker, outside))
        return tuple(found)

    def uniform(self, precision: str) -> dict[str, Option]:
        """Every place in one precision, as far as it can be."""
        wanted = Option(TEACHER, precision)
        return {place: wanted for place, options in self.options.items() if wanted in options and wanted != AS_IT_IS}

    def every_choice(self) -> list[dict[str, Option]]:
        """All plans; for tests of small networks."""
        return [dict(zip(self.options, chosen, strict=True)) for chosen in product(*self.options.values())]

    def allowed(self, plan: Plan) -> bool:
        """Whether every joint of a lower precision is fed in it, and every span is one at both of its units."""
        fed = all(precision_of(plan, edge.maker) == precision_of(plan, reader)
                  for edge in self.edges for reader in edge.readers
                  if is_joint(reader) and precision_of(plan, reader) != FLOAT)
        return fed and all(fit_as_span(plan.get(first, AS_IT_IS), plan.get(second, AS_IT_IS))
                           for second, first in self.cut.spans.items())


def spans(option: Option) -> bool:
    """Whether it stands for the unit before as well."""
    return option.form.startswith(SPAN) and option.form != SPANNED


def fit_as_span(first: Option, second: Option) -> bool:
    """Whether two neighbours agree: one span in one precision, or none."""
    return (first.form == SPANNED) == spans(second) and (not spans(second) or first.precision == second.precision)


def with_span(cut: Cut, unit: str, option: Option) -> dict[str, Option]:
    """An option of a unit as a plan, with what it asks of the unit before."""
    if not spans(option):
        return {unit: option}
    return {cut.spans[unit]: Option(SPANNED, option.precision), unit: option}


def precision_of(plan: Plan, place: str) -> str:
    """In which precision a plan has a place; floats outside of all places."""
    return plan.get(place, AS_IT_IS).precision


def joint_name(node: int) -> str:
    """Of a loose node."""
    return f"n{node:03d}"


def is_joint(place: str) -> bool:
    """Whether a place is a loose node."""
    return place.startswith("n")


def _may_be_lowered(cut: Cut, node: int) -> bool:
    flow, found = cut.flow, cut.flow.nodes[node]
    if found.op_type not in JOINTS or found.domain not in STANDARD or len(found.output) != 1:
        return False
    tensors = (*flow.reads[node], *found.output)
    return bool(flow.reads[node]) and all(flow.is_float(t) and t in flow.shapes for t in tensors)
