"""Measure what a table lacks, calibrate it for a space, and check it on networks it has not seen."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, TableError
from hwnas.latency import Calibration, LatencyModel, Table, errors, fit, interval
from hwnas.profile import campaign as campaigns
from hwnas.profile.blocks import Block
from hwnas.profile.campaign import Campaign, Outcome
from hwnas.profile.graph import network_model, random_weights
from hwnas.profile.networks import depth_range, draw, random_network
from hwnas.progress import Progress, silent
from hwnas.runtime import Fingerprint, Measurement, Runtime, measure_latency, runtime_for
from hwnas.space import Architecture, Op, Space
from hwnas.target import Target

MIN_RUNS = 2 * campaigns.MIN_SWEEPS  # fewer, and no calibration: the entry comes from a killed run
MAX_BLOCKS = 110  # per campaign: with context, alone, carriers and networks under 300 sessions are resident
ANCHORS = 8
CHECK_NETWORKS = 100


@dataclass(frozen=True)
class ProfileResult:
    """A latency model and how it was made.

    Args:
        model: predicts any network of the space.
        report: facts for people and programs: noise, load, seconds, errors on held-out networks.
    """

    model: LatencyModel
    report: dict[str, Any]


def measure(
    space: Space,
    target: Target,
    table_path: Path,
    *,
    seed: int = 0,
    progress: Progress = silent,
    calibration_networks: int = 10,
    held_out: int = 10,
    max_seconds: float = 60.0,
    again: bool = False,
) -> ProfileResult:
    """Measure on this machine every signature of `space` that the table lacks, and calibrate the sum.

    Blocks, calibration networks and held-out networks are timed in the same sweeps. Entries are appended after 4, 8,
    16, ... sweeps, so a killed run keeps them; as long as the table holds no calibration of the space, entries with
    fewer than `MIN_RUNS` timed runs count as lacking. If nothing lacks and there is a calibration, nothing is timed.

    Args:
        table_path: the JSON Lines file to read and append to; created if absent.
        seed: for weights, the networks and the order of visits.
        calibration_networks: how many whole networks the calibration is fitted to; 0 leaves the table as it is.
        held_out: how many others check it; the interval of predictions comes from them too.
        max_seconds: of timing; the sweeps end earlier when the table has settled.
        again: measure signatures that the table has, too.

    Raises:
        TableError: the table is broken, or of another target or device.
        InputError: the table cannot be written.
        MissingDependency: the runtime is not installed.
    """
    runtime = runtime_for(target)
    table = _open(table_path, target, Fingerprint.of(runtime))
    done = table.calibration(space.fingerprint) is not None or not calibration_networks
    wanted = list(space.signatures) if again else table.missing(space.signatures, 1 if done else MIN_RUNS)
    if not wanted and done:
        return ProfileResult(LatencyModel.from_table(table, space), _nothing_to_do(table, space))
    rng = np.random.default_rng(seed)
    fitted, held = draw(space, calibration_networks, held_out, rng)
    begin, load = time.perf_counter(), _load()
    outcomes = _campaigns(space, target, runtime, table, wanted, (*fitted, *held), rng, max_seconds, progress)
    labels = np.exp(np.mean([np.log(o.networks_ms) for o in outcomes], axis=0))
    model, evidence = _calibrate(space, table, fitted, held, labels)
    report = {
        "target": str(target), "space": space.name, "measured": len(wanted), "networks": len(fitted),
        "seconds": round(time.perf_counter() - begin, 2),
        "seconds_held_out": round(sum(float(o.networks_seconds[len(fitted):].sum()) for o in outcomes), 2),
        "load_before": load, "load_after": _load(),
        "campaigns": [_rounded({**o.facts, **o.noise}) for o in outcomes],
        "calibration": model.calibration.to_json(), **evidence,
        "held_out_isolated_sum": _isolated_errors(table, space, outcomes, held, labels[len(fitted):]),
        "table_hash": table.content_hash,
    }
    return ProfileResult(model, report)


def measure_network(
    network: Architecture | bytes, target: Target, *, seed: int = 0, min_seconds: float = 2.0
) -> Measurement:
    """Latency of one network on this machine.

    Args:
        network: an architecture, timed with random weights, or a serialised ONNX model.
        min_seconds: how long it is run, at least.

    Raises:
        InputError: the bytes are no model that the runtime can run.
        MissingDependency: the runtime is not installed.
    """
    model = network if isinstance(network, bytes) else network_model(network, seed=seed, batch=target.batch)
    session = runtime_for(target).load(model)
    return measure_latency(session, batch=target.batch, min_seconds=min_seconds)


def _open(path: Path, target: Target, device: Fingerprint) -> Table:
    table = Table.open(path, target, device.to_json())
    try:
        differing = Fingerprint.from_json(table.device).same_device(device)
    except InputError as err:
        differing = [str(err)]
    if table.source != "measured":
        differing.append(f"source: {table.source}")
    if differing:
        raise TableError(
            f"{path} was not measured on this device ({'; '.join(differing)}): move it away to measure this one, "
            "or give this device a target of its own"
        )
    return table


def _campaigns(
    space: Space, target: Target, runtime: Runtime, table: Table, wanted: Sequence[str],
    networks: tuple[Architecture, ...], rng: np.random.Generator, max_seconds: float, progress: Progress,
) -> list[Outcome]:
    """Every wanted signature in groups; each group is tied to the table by ops that are in it already."""
    first = space.positions[0].ops[0].signature
    groups = campaigns.chunks([Block(Op.parse(s), first=s == first) for s in wanted], MAX_BLOCKS)
    low, high = depth_range(space)
    check = tuple(random_network(space, int(rng.integers(low, high + 1)), rng) for _ in range(CHECK_NETWORKS))
    todo, weights, outcomes = set(wanted), random_weights(int(rng.integers(2**31))), []
    for group in groups:
        known = {s: table.lookup(s).median_ms for s in space.signatures if s not in todo}
        todo -= {block.op.signature for block in group}
        small = min((Op.parse(s) for s in space.signatures), key=lambda op: op.flops)
        plan = Campaign(
            blocks=group,
            anchors=tuple(Block(Op.parse(s), first=s == first) for s in _spread(known, ANCHORS)),
            anchors_ms=known,
            networks=networks,
            check=check,
            known_ms=known,
            sentinels=(space.largest(), Block(small, first=small.signature == first)),
        )
        outcomes.append(campaigns.run(
            plan, runtime, batch=target.batch, weights=weights, rng=rng, max_seconds=max_seconds / len(groups),
            flush=table.add, progress=progress,
        ))
    return outcomes


def _spread(known_ms: Mapping[str, float], n: int) -> list[str]:
    """Up to n signatures, evenly over the order of their times."""
    ordered = sorted(known_ms, key=lambda s: known_ms[s])
    if len(ordered) <= n:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, n).round().astype(int)]


def _calibrate(
    space: Space, table: Table, fitted: Sequence[Architecture], held: Sequence[Architecture],
    labels_ms: NDArray[np.float64],
) -> tuple[LatencyModel, dict[str, Any]]:
    """Fit, check on the held-out networks, write the calibration to the table."""
    plain = replace(LatencyModel.from_table(table, space), calibration=Calibration())
    if not fitted:
        return plain, {}
    y, y_held = labels_ms[: len(fitted)], labels_ms[len(fitted):]
    calibration = fit(*plain.sums(fitted), y)
    evidence: dict[str, Any] = {}
    if len(held) >= 2:
        predicted = calibration.apply(*plain.sums(held))
        found = errors(predicted, y_held).to_json()
        pairs = zip(predicted.tolist(), y_held.tolist(), strict=True)
        evidence = {
            "held_out": found, "held_out_plain_sum": errors(plain.sums(held)[0], y_held).to_json(),
            "held_out_pairs": [{"predicted_ms": round(p, 6), "measured_ms": round(m, 6)} for p, m in pairs],
        }
        spread = interval(np.log(y_held / predicted))
        calibration = replace(calibration, held_out=found, log_spread=spread)
    table.add_calibration(space.fingerprint, calibration)
    return LatencyModel.from_table(table, space), evidence


def _isolated_errors(
    table: Table, space: Space, outcomes: Sequence[Outcome], held: Sequence[Architecture],
    labels_ms: NDArray[np.float64],
) -> dict[str, float] | None:
    """Errors of what the field does: the plain sum of blocks timed alone. None unless every block was just timed."""
    alone = {s: t for outcome in outcomes for s, t in outcome.alone_ms.items()}
    if len(held) < 2 or set(alone) != set(space.signatures):
        return None
    isolated = LatencyModel(table.target, table.source, alone)
    return errors(isolated.sums(held)[0], labels_ms).to_json()


def _nothing_to_do(table: Table, space: Space) -> dict[str, Any]:
    stored = table.calibration(space.fingerprint) or Calibration()
    return {
        "target": table.target, "space": space.name, "measured": 0, "networks": 0, "seconds": 0.0,
        "calibration": stored.to_json(), "held_out": dict(stored.held_out), "table_hash": table.content_hash,
    }


def _load() -> float | None:
    """Load average of the last minute; None where the system keeps none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _rounded(facts: Mapping[str, float]) -> dict[str, float]:
    return {k: v if isinstance(v, int) else round(float(v), 4) for k, v in facts.items()}
