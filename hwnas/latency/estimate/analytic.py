"""Latency before anything is measured: a roofline from the target's public figures, as a `LatencyModel`.

What comes out works wherever a measured model does, says 'estimated', and has an error band that is as wide as such
estimates were wrong (benchmarks/estimate.md, benchmarks/unknown_devices.md).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace

from hwnas.errors import InputError
from hwnas.latency.calibrate import Calibration
from hwnas.latency.estimate.model import SOURCE, EstimatedModel
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.rules import rule_named
from hwnas.latency.estimate.unsaid import FRAMEWORKS, of_framework, unsaid
from hwnas.latency.estimate.work import addition, works
from hwnas.space import Op, Space
from hwnas.target import Hardware, Target

LOG_SPREAD = math.log(4.0)  # of what a compiler runs, before any measurement: benchmarks/estimate.md


def estimate(space: Space, target: Target, rule: str | None = None) -> EstimatedModel:
    """What every op of a space should cost on a target, from public figures alone.

    Args:
        rule: how networks are executed (`hwnas.latency.estimate.rules`), 'compiled' for what hwnas exports; None where
            nobody says who runs them, which is more uncertain (`hwnas.latency.estimate.unsaid`).

    Returns:
        A latency model with source 'estimated'. Order and ratios are what it is good for; the absolute figures are
        within a factor of four where the rule is known, of eight where it is not. `adapt` makes it better with a few
        measured networks.

    Raises:
        InputError: the target states no hardware.
        UnknownName: the space has no such rule.
    """
    roofline = Roofline.of(target, hardware_of(target))
    ops = {s: Op.parse(s) for s in space.signatures}
    entries = {s: op_ms(op, roofline) for s, op in ops.items()}
    summed = _summed(space)
    terms = {s: term_ms(op, roofline) for s, op in ops.items() if s in summed}
    compiled = EstimatedModel(
        target=target.name, source=SOURCE, entries_ms=entries,
        calibration=Calibration(form="estimate", log_spread=LOG_SPREAD),
        table_hash=content_hash(target, entries), precision=target.precision, terms_ms=terms,
    )
    if rule is not None:
        known = rule_named(rule, space)
        return (of_framework(space, compiled, roofline) if known in FRAMEWORKS else compiled).under(known)
    found = unsaid(space, compiled, roofline)
    return replace(found, table_hash=content_hash(target, found.entries_ms))


def op_ms(op: Op, roofline: Roofline) -> float:
    """Estimated time of one op inside a network, ms; 0 for one that a runtime leaves out."""
    return sum(roofline.launch_ms + roofline.running_ms(work) for work in works(op))


def term_ms(op: Op, roofline: Roofline) -> tuple[float, float]:
    """What an op costs more as the second and as a later term of a sum, ms.

    A convolution adds up in its own kernel; an identity is nothing but an addition already.
    """
    if not op.sums_apart:
        return 0.0, 0.0
    cost = roofline.launch_ms + roofline.running_ms(addition(op))
    return cost, cost


def hardware_of(target: Target) -> Hardware:
    """The target's figures.

    Raises:
        InputError: it states none.
    """
    if target.hardware is None:
        raise InputError(
            f"target {target.name} states no hardware, so nothing can be estimated for it: measure it with "
            f"`hwnas profile --target {target.name}`, or add `hardware:` to its file as in `hwnas targets show jetson`"
        )
    return target.hardware


def content_hash(target: Target, entries: Mapping[str, float]) -> str:
    """sha256 of what an estimate was made of and of what came out."""
    content = {"target": target.model_dump(mode="json"), "source": SOURCE, "entries": dict(entries)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _summed(space: Space) -> set[str]:
    """Signatures of ops that write a node together with others."""
    writers: dict[str, list[tuple[Op, ...]]] = {}
    for position, edge in zip(space.positions, space.edges, strict=True):
        if edge.part is None:
            writers.setdefault(edge.target, []).append(position.ops)
    return {op.signature for together in writers.values() if len(together) > 1 for ops in together for op in ops}
