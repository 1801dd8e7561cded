"""Rules of execution: which kernels run for an architecture, by who runs it.

    compiled   hwnas exports no dead op, and compilers fold them: live ops alone cost anything
    zeros      `none` gives a map of zeros that is added like any other: what is needed runs, on zeros as well
    eager      a framework runs what the code says: dead ops too, every addition alone, and `none` multiplies by zero
    shared     as eager, but published once for all cells that are the same network (`nasbench201.first_alike`)

In a chain all are the same. Others' measurements follow any of them: frameworks are eager, HW-NAS-Bench's TensorRT and
TFLite networks add zeros, those of nn-Meter and BRP-NAS are compiled, and HW-NAS-Bench-360 measured 6,466 of 15,625
cells and copied the rest. With the wrong rule no number of networks helps: 400 left 17.8 % on a Raspberry Pi 5, where
20 leave 3 % with the right one (benchmarks/unknown_devices.md).

Glossary
    term   the how-manieth op that writes its node, from 0; every later one is added to what is there
    run    the ops that are executed, each with its term; an addition that stands alone is an identity
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from hwnas.errors import UnknownName
from hwnas.space import Architecture, Op, Space
from hwnas.space.nasbench201 import first_alike
from hwnas.space.position import output_positions

Run = tuple[tuple[Op, int], ...]
Rule = Literal["compiled", "zeros", "eager", "shared"]
COMPILED: Rule = "compiled"
SAYS: Mapping[Rule, str] = {
    "compiled": "dead ops are removed",
    "zeros": "`none` is a map of zeros, on which what follows still runs",
    "eager": "dead ops cost time, and `none` is a kernel",
    "shared": "dead ops cost time, and networks that are the same were measured once, as their first",
}
# before anything was measured: what is more usual has a head start
LOG_ODDS: Mapping[Rule, float] = {"compiled": 0.0, "zeros": -1.0, "eager": -1.0, "shared": -3.0}
ASKED: tuple[Rule, ...] = get_args(Rule)


def rules_of(space: Space) -> tuple[Rule, ...]:
    """The rules that differ in a space: one for a chain."""
    if not any(op.cuts for position in space.positions for op in position.ops):
        return ("compiled", "eager") if space.branches else (COMPILED,)
    return ASKED if space.name == "nasbench201" else tuple(rule for rule in ASKED if rule != "shared")


def rule_named(name: str, space: Space) -> Rule:
    """A rule by its name.

    Raises:
        UnknownName: the space has none of this name.
    """
    known = rules_of(space)
    for rule in known:
        if rule == name:
            return rule
    raise UnknownName("rule of execution", name, known)


def run_of(arch: Architecture, rule: Rule = COMPILED) -> Run:
    """What is executed of an architecture, in network order."""
    return _RUNS[rule](arch)


def _compiled(arch: Architecture) -> Run:
    """Live ops that cost something. An identity that is the first term is left out: its node is what it reads."""
    terms: Counter[str] = Counter()
    found = []
    for edge, op, live in zip(arch.space.edges, arch.ops, arch.live, strict=True):
        if not live:
            continue
        term = terms[edge.target]
        terms[edge.target] += edge.part is None
        if op.timed and not (op.passes and term == 0):
            found.append((op, term))
    written = {arch.space.edges[step.position].target for step in arch.executions}
    found += [(op, 0) for node, op in arch.space.concatenations.items() if node in written]
    return tuple(found)


def _zeros(arch: Architecture) -> Run:
    """What the output needs, whether or not an image reaches it."""
    edges, ops = arch.space.edges, arch.ops
    outputs, needed = output_positions(ops), set[str]()
    kept = [False] * len(ops)
    for i in reversed(range(len(ops))):
        kept[i] = i in outputs or (not ops[i].cuts and edges[i].target in needed)
        if kept[i]:
            needed.add(edges[i].source)
    run = [(op, term) for op, term, keep in zip(ops, terms_of(arch.space), kept, strict=True)
           if keep and op.timed and not (op.passes and term == 0)]
    written = {edge.target for edge, keep in zip(edges, kept, strict=True) if keep}
    return (*run, *((op, 0) for node, op in arch.space.concatenations.items() if node in written))


def _eager(arch: Architecture) -> Run:
    run = []
    for op, term in zip(arch.ops, terms_of(arch.space), strict=True):
        run += [(part, 0) for part in eager_parts(op, term)]
    return (*run, *((op, 0) for op in arch.space.concatenations.values()))


def _shared(arch: Architecture) -> Run:
    return _eager(Architecture(arch.space, first_alike(arch.choice)))


_RUNS: Mapping[Rule, Callable[[Architecture], Run]] = {
    "compiled": _compiled, "zeros": _zeros, "eager": _eager, "shared": _shared,
}


def eager_parts(op: Op, term: int) -> Iterator[Op]:
    """An op that a framework runs as it stands, and its addition to what its node holds."""
    if (op.timed or op.cuts) and not op.passes:
        yield op
    if term:
        yield Op("identity", op.out_channels, op.out_channels, size=op.out_size)


def terms_of(space: Space) -> Sequence[int]:
    """The term of every position where every op is there, dead or not."""
    terms: Counter[str] = Counter()
    found = []
    for edge in space.edges:
        found.append(terms[edge.target])
        terms[edge.target] += edge.part is None
    return found
