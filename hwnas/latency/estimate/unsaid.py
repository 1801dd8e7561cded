"""The estimate of a device where nobody said who runs the networks on it.

A compiler removes dead ops and fuses what it can; an eager framework runs what the code says, and pays for every call;
and on a device that is slow enough nothing counts but arithmetic. What they agree on is worth more than any one of
them, so the estimate is their mean, a third each, at the geometric mean of what a compiler and a framework take. All
three add up over the ops, so the mean does (docs/adr/0058).

What a framework pays was read off two devices, a GPU and a server's CPU, and judged on others
(benchmarks/unknown_devices.md).

Glossary
    way       networks executed by one rule at one set of costs; the model adds up the latencies of its ways
    typical   latency of a network whose every choice is the mean of its ops, ms
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hwnas.latency.calibrate import Calibration
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.roofline import ADDING, Roofline
from hwnas.latency.estimate.rules import COMPILED, LOG_ODDS, Rule, eager_parts, rules_of, terms_of
from hwnas.latency.estimate.work import works, zeroing
from hwnas.space import Op, Space

LAUNCH_MS = 0.016  # of a framework's kernel: RTX 2080 Ti and Xeon Gold 6226
CONVOLUTION = 7  # of them cost as much as a convolution's set-up with its activation and norm: the same two
CPU_SLOWER = 8.0  # than a compiled kernel, since small maps do not keep many cores busy: Xeon Gold 6226
LOG_SPREAD = math.log(8.0)  # holds 19 of 19 devices of nb201_latency, where a factor of 4 holds 16
COMPILERS: tuple[Rule, ...] = ("compiled", "zeros")
FRAMEWORKS: tuple[Rule, ...] = ("eager", "shared")


def unsaid(space: Space, compiled: EstimatedModel, roofline: Roofline) -> EstimatedModel:
    """The mean of what compilers, frameworks and arithmetic alone say; of a chain one sum, of cells its `ways`.

    Args:
        compiled: the estimate for what a compiler makes of the networks.
    """
    compiler = replace(compiled, calibration=Calibration(form="estimate", log_spread=LOG_SPREAD))
    framework = of_framework(space, compiler, roofline)
    plain = replace(framework, rule=COMPILED)
    arithmetic = replace(framework, entries_ms={s: float(Op.parse(s).flops) for s in framework.entries_ms})
    centre = math.sqrt(typical_ms(compiler, space) * typical_ms(framework, space))
    ways = [_weighted(model.under(rule), share * centre / typical_ms(model.under(rule), space))
            for model, rules in ((compiler, COMPILERS), (framework, FRAMEWORKS))
            for rule, share in _shares(space, rules).items()]
    ways.append(_weighted(arithmetic, centre / 3 / typical_ms(arithmetic, space)))
    entries = _sum([way.entries_ms for way in ways])
    later = [way.terms_ms for way in ways if way.terms_ms]
    terms = {s: (sum(each[s][0] for each in later), sum(each[s][1] for each in later)) for s in compiled.terms_ms}
    if not space.branches:
        return replace(plain, entries_ms={s: entries[s] for s in space.signatures})
    return replace(plain, entries_ms=entries, terms_ms=terms, ways=tuple(ways))


def of_framework(space: Space, compiled: EstimatedModel, roofline: Roofline) -> EstimatedModel:
    """The estimate for a framework that runs networks eagerly."""
    ops = {op.signature: op for op in (*map(Op.parse, space.signatures), *_executed(space))}
    return replace(compiled, entries_ms={s: framework_ms(op, roofline) for s, op in ops.items()}, terms_ms={},
                   rule="eager")


def framework_ms(op: Op, roofline: Roofline) -> float:
    """Time of one op in an eager framework, ms; a `none` multiplies by zero, an identity is an addition."""
    slower = CPU_SLOWER if roofline.hardware.processor == "cpu" else 1.0
    return sum(LAUNCH_MS + roofline.running_ms(work) if work.kind in ADDING else
               CONVOLUTION * LAUNCH_MS + slower * roofline.running_ms(work)
               for work in ((zeroing(op),) if op.cuts else works(op)))


def typical_ms(model: EstimatedModel, space: Space) -> float:
    """Latency of a network whose every choice is the mean of its ops, dead ones too; above 0."""
    return max(model.mean_ms(space), 1e-12)


def _weighted(way: EstimatedModel, factor: float) -> EstimatedModel:
    return replace(way, entries_ms={s: factor * ms for s, ms in way.entries_ms.items()},
                   terms_ms={s: (factor * second, factor * later) for s, (second, later) in way.terms_ms.items()})


def _shares(space: Space, rules: tuple[Rule, ...]) -> dict[Rule, float]:
    """Rule -> its share of a third; in a chain, where all are the same, the first has all of it."""
    known = [rule for rule in rules_of(space) if rule in rules]
    if not known:
        return {"eager": 1 / 3}
    odds = {rule: math.exp(LOG_ODDS[rule]) for rule in known}
    return {rule: each / sum(odds.values()) / 3 for rule, each in odds.items()}


def _executed(space: Space) -> Iterator[Op]:
    """Every op that a framework may run of a network."""
    for position, term in zip(space.positions, terms_of(space), strict=True):
        for op in position.ops:
            yield from eager_parts(op, term)
    yield from space.concatenations.values()


def _sum(costs: list[Mapping[str, float]]) -> dict[str, float]:
    return {s: sum(each.get(s, 0.0) for each in costs) for s in dict.fromkeys(s for each in costs for s in each)}
