"""Measure what a table lacks, calibrate it for a space, and check it on networks it has not seen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import TableError
from hwnas.latency import Calibration, LatencyModel, Table, errors
from hwnas.latency.hold import held
from hwnas.profile import campaign as campaigns
from hwnas.profile.calibrating import calibrate
from hwnas.profile.calibration_networks import draw
from hwnas.profile.campaign import Outcome
from hwnas.profile.graph import network_model
from hwnas.profile.graph_format import Recipe, preparer, recipe_for
from hwnas.profile.plan import Job
from hwnas.progress import Progress, silent
from hwnas.runtime import Device, Fingerprint, LocalDevice, Measurement, SweepPlan, measure_latency, runtime_for
from hwnas.space import Architecture, Space
from hwnas.target import Target

MIN_RUNS = 2 * campaigns.MIN_SWEEPS  # fewer, and no calibration: the entry comes from a killed run
CALIBRATION_NETWORKS, HELD_OUT = 20, 30


@dataclass(frozen=True)
class ProfileResult:
    """A latency model and how it was made.

    Args:
        model: predicts any network of the space.
        report: facts for people and programs: noise, load, seconds, errors on held-out networks.
        networks: the networks that were timed; none where nothing was measured.
        networks_ms: their latencies, shape (n,).
        isolated_ms: signature -> time of the block alone, less an empty call, if that was asked for.
    """

    model: LatencyModel
    report: dict[str, Any]
    networks: tuple[Architecture, ...] = ()
    networks_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    isolated_ms: Mapping[str, float] = field(default_factory=dict)


def measure(
    space: Space,
    target: Target,
    table_path: Path,
    *,
    device: Device | None = None,
    seed: int = 0,
    progress: Progress = silent,
    calibration_networks: int = CALIBRATION_NETWORKS,
    held_out: int = HELD_OUT,
    max_seconds: float = 60.0,
    again: bool = False,
    isolated: bool = False,
    wait: bool = True,
    calm_kernel_ms: float = 0.0,
) -> ProfileResult:
    """Measure every signature of `space` that the table lacks, and calibrate the sum.

    The table is held meanwhile: a second process waits, and then adds what is still missing.

    Blocks, calibration networks and held-out networks are timed in the same sweeps. Entries are appended after 4, 8,
    16, ... sweeps, so a killed run keeps them; as long as the table holds no calibration of the space, entries with
    fewer than `MIN_RUNS` timed runs count as lacking. If nothing lacks and there is a calibration, nothing is timed.
    The sweeps end when two halves of them predict the same (3 %), the networks' own times agree (2 %) and the 95 %
    interval of every entry is within +-1 % of a network's time, or when the time is up. A device that the table knows
    to be calmer at times is waited for (`patience`), and where it stays busy, a warning says so.

    Args:
        table_path: the JSON Lines file to read and append to; created if absent.
        device: where to measure; None is this machine.
        seed: for weights, the networks and the order of visits.
        calibration_networks: how many whole networks the calibration is fitted to; 0 leaves the table as it is.
        held_out: how many others check it; after the check they enter the calibration and its interval, too.
        max_seconds: of timing.
        again: measure signatures that the table has, too; they come out at the speed the table was made at.
        isolated: time every block alone as well and report the error of that sum.
        wait: for another process that measures this table; if not, it is refused.
        calm_kernel_ms: of the reference kernel on this device when it is calm, where more than this table tells it.

    Raises:
        TableError: the table is broken, of another target or device, or held by another process.
        InputError: the table cannot be written, or the device cannot be reached.
        MissingDependency: the runtime is not installed.
    """
    where = device or LocalDevice(runtime_for(target), target.cores)
    here = where.fingerprint()
    full = _full(_open(table_path, target, here), space, calibration_networks) if not again else None
    if full is not None:
        return full
    asked = _Asked(space, target, seed, calibration_networks, held_out, max_seconds, again, isolated,
                   calm_kernel_ms)
    with held(table_path, wait=wait, seconds=max_seconds, progress=progress):
        return _measure(asked, _open(table_path, target, here), where, here, progress)


@dataclass(frozen=True)
class _Asked:
    """The arguments of `measure`."""

    space: Space
    target: Target
    seed: int
    calibration_networks: int
    held_out: int
    max_seconds: float
    again: bool
    isolated: bool
    calm_kernel_ms: float


def _full(table: Table, space: Space, calibration_networks: int) -> ProfileResult | None:
    """What a table says that lacks nothing of a space; None if it lacks something."""
    done = table.calibration(space.fingerprint) is not None or not calibration_networks
    if not done or table.missing(space.signatures):
        return None
    return ProfileResult(LatencyModel.from_table(table, space), _nothing_to_do(table, space))


def _measure(asked: _Asked, table: Table, where: Device, here: Fingerprint, progress: Progress) -> ProfileResult:
    """As `measure`, while the table is held: another process may have filled it by now."""
    space, target = asked.space, asked.target
    full = _full(table, space, asked.calibration_networks) if not asked.again else None
    if full is not None:
        return full
    stored = table.calibration(space.fingerprint)
    done = stored is not None or not asked.calibration_networks
    wanted = list(space.signatures) if asked.again else table.missing(space.signatures, 1 if done else MIN_RUNS)
    begin = time.perf_counter()
    fitted, others = _networks(space, asked.calibration_networks, asked.held_out, asked.seed)
    known = tuple(s for s in space.signatures if s not in set(wanted))
    job = Job(space, tuple(wanted), known, (*fitted, *others), target.batch, asked.seed, asked.max_seconds,
              asked.isolated, min(filter(None, (asked.calm_kernel_ms, table.calm_kernel_ms)), default=0.0))
    recipe = recipe_for(target, here.runtime_version)
    outcomes = _run(job, where, recipe, table, stored.kernel_ms if stored else 0.0, progress)
    table.keep_calm_kernel(min(o.seen_kernel_ms for o in outcomes))
    labels = np.exp(np.mean([np.log(o.networks_ms) for o in outcomes], axis=0))
    alone = {s: ms for outcome in outcomes for s, ms in outcome.alone_ms.items()}
    model, evidence = calibrate(table, space, job.networks, labels, len(fitted), outcomes[0].kernel_ms)
    report = {
        "target": str(target), "space": space.name, "measured": len(wanted), "networks": len(job.networks),
        "seconds": round(time.perf_counter() - begin, 2),
        "seconds_held_out": round(sum(float(o.networks_seconds[len(fitted):].sum()) for o in outcomes), 2),
        **_machine(outcomes), "calibration": model.calibration.to_json(), **evidence,
        "held_out_isolated_sum": (_isolated_errors(table, alone, others, labels[len(fitted):]) if asked.isolated
                                  else None),
        "table_hash": table.content_hash,
    }
    return ProfileResult(model, report, job.networks, labels, alone)


def measure_networks(
    networks: Sequence[Architecture], target: Target, table_path: Path, *,
    known_ms: Mapping[Architecture, float] | None = None, device: Device | None = None, seed: int = 0,
    max_seconds: float = 60.0, progress: Progress = silent,
) -> NDArray[np.float64]:
    """Latencies of whole networks at the speed that their space's table was measured at, ms, shape (n,).

    Args:
        networks: all of one space, at least one.
        known_ms: networks of the space whose latency at that speed is known, such as those of a `ProfileResult`. They
            are timed again in the same sweeps and tie the others to the table; without any, ops of the table do,
            which is less certain.

    Raises:
        TableError: the table is broken, of another target or device, or holds no entry of the space.
        InputError: the device cannot be reached.
        MissingDependency: the runtime is not installed.
    """
    where = device or LocalDevice(runtime_for(target), target.cores)
    here = where.fingerprint()
    table, space = _open(table_path, target, here), networks[0].space
    lacking = set(table.missing(space.signatures))
    known = tuple(s for s in space.signatures if s not in lacking)
    if not known:
        raise TableError(f"{table_path} holds nothing of space {space.name}: fill it with `hwnas profile`")
    ties = known_ms or {}
    job = Job(space, (), known, (*ties, *networks), target.batch, seed, max_seconds,
              calm_kernel_ms=table.calm_kernel_ms)
    recipe = recipe_for(target, here.runtime_version)
    with held(table_path, seconds=max_seconds, progress=progress):
        (outcome,) = _run(job, where, recipe, table, 0.0, progress, dict(enumerate(ties.values())))
    return outcome.networks_ms[len(ties):]


def planned(
    space: Space, target: Target, *, seed: int = 0, calibration_networks: int = CALIBRATION_NETWORKS,
    held_out: int = HELD_OUT, max_seconds: float = 60.0, runtime_version: str = "",
) -> list[tuple[dict[str, bytes], SweepPlan]]:
    """What `measure` with the same arguments has a device time for a new table: models swept together, and how.

    Args:
        runtime_version: of the library on the device, where that is not installed here.
    """
    fitted, held = _networks(space, calibration_networks, held_out, seed)
    job = Job(space, space.signatures, (), (*fitted, *held), target.batch, seed, max_seconds)
    recipe = recipe_for(target, runtime_version)
    return [job.part(i, job.campaign(i, {}, {}, 0.0), recipe) for i in range(len(job.groups))]


def measure_network(
    network: Architecture | bytes, target: Target, *, seed: int = 0, min_seconds: float = 2.0
) -> Measurement:
    """Latency of one network on this machine.

    Args:
        network: an architecture, timed with random weights, or a serialised ONNX model in the form that the
            runtime wants.
        min_seconds: how long it is run, at least.

    Raises:
        InputError: the bytes are no model that the runtime can run.
        MissingDependency: the runtime is not installed.
    """
    runtime = runtime_for(target)
    if not isinstance(network, bytes):
        network = preparer(target)(network_model(network, seed=seed, batch=target.batch))
    return measure_latency(runtime.load(network), batch=target.batch, min_seconds=min_seconds)


def _open(path: Path, target: Target, device: Fingerprint) -> Table:
    table = Table.open(path, target, device.to_json())
    differing = table.differs_from(device.to_json())
    if differing:
        raise TableError(
            f"{path} was not measured on this device ({'; '.join(differing)}): move it away to measure this one, "
            "or give this device a target of its own"
        )
    return table


def _networks(
    space: Space, calibration: int, held_out: int, seed: int
) -> tuple[list[Architecture], list[Architecture]]:
    return draw(space, calibration, held_out, np.random.default_rng(seed))


def _run(
    job: Job, device: Device, recipe: Recipe, table: Table, kernel_ms: float, progress: Progress,
    networks_ms: Mapping[int, float] | None = None,
) -> list[Outcome]:
    """One campaign after the other; each is tied to the table by what is in it already."""
    outcomes: list[Outcome] = []
    for number in range(len(job.groups)):
        known_ms = {s: table.lookup(s).median_ms for s in job.known_by(number)}
        ties = dict(enumerate(outcomes[0].networks_ms.tolist())) if outcomes else networks_ms or {}
        campaign = job.campaign(number, known_ms, ties, kernel_ms)
        models, plan = job.part(number, campaign, recipe)
        outcomes.append(campaigns.run(
            campaign, device, models, plan, processor_clock=recipe.processor_clock, flush=table.add, progress=progress
        ))
    return outcomes


def _machine(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How quiet it was, and what each campaign's samples are worth."""
    return {
        "noisy": any(o.warnings for o in outcomes),
        "warnings": list(dict.fromkeys(w for o in outcomes for w in o.warnings)),
        "company": next((o.company for o in outcomes if o.company), ""),
        "campaigns": [_rounded({**o.facts, **o.noise}) | {"conditions": o.conditions.to_json()} for o in outcomes],
    }


def _isolated_errors(
    table: Table, alone_ms: Mapping[str, float], held: Sequence[Architecture], labels_ms: NDArray[np.float64]
) -> dict[str, float] | None:
    """Errors of what the field does: the plain sum of blocks timed alone. None unless every block was just timed."""
    if len(held) < 2 or not set(held[0].space.signatures) <= set(alone_ms):
        return None
    isolated = LatencyModel(table.target, table.source, alone_ms)
    return errors(isolated.sums(held)[0], labels_ms).to_json()


def _nothing_to_do(table: Table, space: Space) -> dict[str, Any]:
    stored = table.calibration(space.fingerprint) or Calibration()
    return {
        "target": table.target, "space": space.name, "measured": 0, "networks": 0, "seconds": 0.0, "noisy": False,
        "calibration": stored.to_json(), "held_out": dict(stored.held_out), "table_hash": table.content_hash,
    }


def _rounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()}
