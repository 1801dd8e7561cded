"""Times units and random plans of a network on a device, in the sweeps that all of hwnas measures with."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from hwnas.latency.entry import Entry, now
from hwnas.profile.measurement_quality import Conditions, conditions_of
from hwnas.profile.sweeps import Times, times_of
from hwnas.progress import Progress, silent
from hwnas.quantize.half import HALVES
from hwnas.runtime import Device, Measurement, Sweep, SweepPlan
from hwnas.runtime.calm import company
from hwnas.runtime.timing import Visits, patience
from hwnas.surgery.assembler import Assembler
from hwnas.surgery.plan import FLOAT, INT8, Option, Places, Plan
from hwnas.surgery.unit import Unit
from hwnas.surgery.unit_costs import UnitCosts, random_plans, signature_in

MIN_SWEEPS, CHECK_EVERY = 12, 4
TIMED = 5  # runs of a visit where networks are compared
RUNS = 5  # of a visit: three to warm up, two that are timed
MOST_PLANS, LEAST_PLANS = 40, 12
KNOWN_WITHIN = 0.01  # half width of the 95 % interval of a plan's median, relative; for nine of ten plans
TIES = 4  # units that are timed again although they are known
AGREE, MOST_APART = 1.1, 2.0  # room beside the spread of their runs, and the most that all of them may be off
CHANGED = 1 << 16  # values of the map on which a change of precision is timed


Known = tuple[str, str]
"""Signature of a graph and the precision that it is computed in: what decides how long it takes on a device."""


@dataclass(frozen=True)
class UnitTimes:
    """What was measured, and what is believed of the rest.

    Args:
        costs: the model.
        alone_ms: (signature, key of an option) -> time of the unit alone, floats in and out.
        timed: entries of a table for the units that were timed and that it does not hold yet, at its speed.
        whole_ms: the network as it is.
        plans, plans_ms: the random plans that were timed whole.
        conditions: how quiet the machine was.
        facts: sweeps, seconds, models.
    """

    costs: UnitCosts
    alone_ms: Mapping[tuple[str, str], float]
    whole_ms: float
    plans: Sequence[Plan]
    plans_ms: Sequence[float]
    conditions: Conditions
    facts: Mapping[str, Any]
    timed: Sequence[Entry] = ()

    @property
    def kernel_ms(self) -> float:
        """Time of the reference kernel meanwhile."""
        return float(self.facts["kernel_ms"])

    @property
    def company(self) -> str:
        """A sentence where no calm machine was found for all its patience."""
        return company(self.kernel_ms, float(self.facts["calm_kernel_ms"]))


def measure_units(
    assembler: Assembler, places: Places, device: Device, *, known: Mapping[Known, Entry] | None = None,
    calm_kernel_ms: float = 0.0, max_seconds: float = 60.0, seed: int = 0, processor_clock: bool = True,
    progress: Progress = silent,
) -> UnitTimes:
    """Time every kind of unit in every option, and as many random plans as the seconds allow.

    Of units whose times are known only the slowest `TIES` are timed again: they tell how fast the device is now and was
    then, and by their ratio the others are taken over. Where it does not bring all of them within the spread of their
    runs, or the machine is much calmer than it was then, nothing is taken over, and all are timed.

    Args:
        assembler: makes the models.
        known: (signature of the graph, precision) -> entry of a table of this device.
        calm_kernel_ms: of the reference kernel when `known` were timed and the device was calm; 0 where nothing says.
        max_seconds: of timing, and as many as `patience()` says where it found no calm machine in these; what it takes
            to load the models is not counted.
        processor_clock: whether times are processor time of one thread.

    Raises:
        InputError: the device cannot be reached or cannot execute the models.
    """
    names = _names(assembler, places)
    held = {name: known[key] for name, key in names.keys.items() if key in known} if known else {}
    ties = sorted(held, key=lambda name: -held[name].median_ms)[:TIES]
    alone = [name for name in names.keys if name not in held or name in ties]
    models = {"whole": assembler.model({}), **{f"change {p}": _change(p) for p in _lower(places)},
              **{name: names.model(name) for name in alone}}
    quick = _first_look(device, models["whole"])
    count = int(np.clip(max_seconds * 1e3 / (MIN_SWEEPS * RUNS * quick), LEAST_PLANS, MOST_PLANS))
    plans = random_plans(places, count, seed)
    models |= {f"plan {i}": assembler.model(plan) for i, plan in enumerate(plans)}
    small = min(alone or ["whole"], key=lambda name: len(models[name]))
    models |= {"sentinel large": models["whole"], "sentinel small": models[small]}
    plan = SweepPlan(("sentinel large", "sentinel small"), seed=seed, max_seconds=max_seconds + patience())
    begin = time.perf_counter()
    with device.sweeps(models, plan) as stream:
        loaded = time.perf_counter()
        sweeps = _until_known(stream, max_seconds, [f"plan {i}" for i in range(len(plans))], calm_kernel_ms, progress)
        seconds = time.perf_counter() - loaded
    times = times_of(sweeps, calm_kernel_ms)
    medians = times.medians()
    factor = _speed([(held[name], medians[name], times.quantiles(name)) for name in ties])
    if factor is None or (held and company(calm_kernel_ms, times.steady_kernel_ms)):
        found = measure_units(assembler, places, device, max_seconds=max_seconds, seed=seed,
                              processor_clock=processor_clock, progress=progress)
        return replace(found, facts={**found.facts, "units_distrusted": len(held)})
    by_name = {name: factor * entry.median_ms for name, entry in held.items()} | {n: medians[n] for n in alone}
    alone_ms = {key: by_name[name] for key, name in names.options.items()}
    alone_ms |= {(assembler.cut[place].signature, option.key): 0.0 for place, options in places.options.items()
                 for option in options if _is_nothing(assembler, place, option)}
    believed = UnitCosts.believed(places, medians["whole"], alone_ms,
                                  {p: assembler.batch * medians[f"change {p}"] / (2 * CHANGED)
                                   for p in _lower(places)})
    plans_ms = [medians[f"plan {i}"] for i in range(len(plans))]
    widths = times.half_widths()
    error = float(np.median([widths[f"plan {i}"] / 1.96 / ms for i, ms in enumerate(plans_ms)])) if plans else 0.0
    facts = {"models": len(models), "sweeps": times.sweeps, "seconds_load": round(loaded - begin, 2),
             "seconds_sweeps": round(seconds, 2), "plans": len(plans), "timing_error": round(error, 5),
             "kernel_ms": round(times.steady_kernel_ms, 6), "busy": round(times.busy, 3),
             "calm_kernel_ms": round(min(calm_kernel_ms or math.inf, times.steady_kernel_ms), 6),
             "units_timed": len(alone), "units_known": len(held), **_fit(believed, plans, plans_ms, error)}
    return UnitTimes(believed.after(plans, plans_ms, error), alone_ms, medians["whole"], plans, plans_ms,
                     conditions_of(sweeps, plan, times, processor_clock=processor_clock), facts,
                     [_entry(names.keys[name], medians[name] / factor, times.quantiles(name), factor, times.runs)
                      for name in alone if name not in held])


@dataclass(frozen=True)
class _Names:
    """Models of units alone.

    Args:
        keys: name -> what decides its time: signature of the graph, and precision.
        options: (signature of the unit, or of both of a span, key of an option) -> name.
        made: name -> a unit and an option that it is of.
    """

    assembler: Assembler
    keys: dict[str, Known]
    options: dict[tuple[str, str], str]
    made: dict[str, tuple[Unit, Option]]

    def model(self, name: str) -> bytes:
        """To be timed."""
        unit, option = self.made[name]
        return self.assembler.unit_model(unit, option.form, option.precision)


def _names(assembler: Assembler, places: Places) -> _Names:
    found = _Names(assembler, {}, {}, {})
    for unit in assembler.cut.units:
        for option in places.options[unit.name]:
            signature = signature_in(assembler.cut, unit.name, option.key)
            if (signature, option.key) in found.options or _is_nothing(assembler, unit.name, option):
                continue
            key = assembler.signature(unit, option.form), option.precision
            name = " in ".join(key)
            found.options[signature, option.key] = name
            found.keys.setdefault(name, key)
            found.made.setdefault(name, (unit, option))
    return found


def _speed(ties: Sequence[tuple[Entry, float, tuple[float, float]]]) -> float | None:
    """How much longer units take now than a table says, of entries with the median and spread of now; None where no
    one factor is true of all."""
    ratios = [median / entry.median_ms for entry, median, _ in ties if entry.median_ms > 0]
    if len(ratios) < len(ties):
        return None
    factor = float(np.median(ratios)) if ratios else 1.0
    agree = all(low / AGREE <= factor * entry.p90_ms and factor * entry.p10_ms <= high * AGREE
                for entry, _, (low, high) in ties)
    return factor if agree and 1 / MOST_APART <= factor <= MOST_APART else None


def _entry(key: Known, median_ms: float, between_ms: tuple[float, float], factor: float, runs: int) -> Entry:
    signature, precision = key
    low, high = (ms / factor for ms in between_ms)
    return Entry(signature, median_ms, low, high, runs, now(), "" if precision == FLOAT else precision)


def _is_nothing(assembler: Assembler, unit: str, option: Option) -> bool:
    fragment = assembler.forms.get((unit, option.form))
    return fragment is not None and fragment.model is None


def _lower(places: Places) -> list[str]:
    """Precisions besides floats."""
    return sorted({o.precision for options in places.options.values() for o in options} - {FLOAT})


def _change(precision: str) -> bytes:
    """A map that goes into a precision and comes back; in halves it is rectified there, or casts would cancel out."""
    scale = [helper.make_tensor("s", TensorProto.FLOAT, [], [0.02]),
             helper.make_tensor("z", TensorProto.UINT8, [], [9])]
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    if precision != INT8:
        scale, nodes = [], [
            helper.make_node("Cast", ["x"], ["half"], to=HALVES[precision]), helper.make_node("Relu", ["half"], ["r"]),
            helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CHANGED >> 8, 16, 16]) for name in "xy"]
    graph = helper.make_graph(nodes, "change", ends[:1], ends[1:], scale)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def compared(device: Device, models: Mapping[str, bytes], sweeps: int, calm_kernel_ms: float = 0.0,
             progress: Progress = silent) -> dict[str, Measurement]:
    """Latencies of several networks in one interleaved run on a device, as `hwnas.runtime.compare` takes them here.

    Raises:
        InputError: the device cannot be reached or cannot execute the models.
    """
    first, visits = next(iter(models)), Visits(list(models), sweeps, calm_kernel_ms=calm_kernel_ms)
    plan = SweepPlan((first, first), timed=TIMED, sentinel_visits=1)
    with device.sweeps(models, plan) as stream:
        for sweep in stream:
            visits.add(sweep.times_ms, sweep.visit_kernel_ms)
            if visits.made <= sweeps:
                progress("comparing networks", visits.made, sweeps)
            if visits.over:
                break
    return visits.measurements()


def _first_look(device: Device, model: bytes) -> float:
    """What the network takes, ms, roughly."""
    plan = SweepPlan(("whole", "whole"), sentinel_visits=1)
    with device.sweeps({"whole": model}, plan) as stream:
        return float(np.median(next(iter(stream)).times_ms["whole"]))


def _until_known(stream: Any, max_seconds: float, names: Sequence[str], calm_kernel_ms: float, progress: Progress
                 ) -> list[Sweep]:
    begin, sweeps, longer = time.perf_counter(), [], patience()
    for sweep in stream:
        sweeps.append(sweep)
        seconds = time.perf_counter() - begin
        progress("timing units, seconds at most", min(int(seconds), int(max_seconds)), int(max_seconds))
        if len(sweeps) < CHECK_EVERY or (len(sweeps) % CHECK_EVERY and seconds <= max_seconds):
            continue
        times = times_of(sweeps, calm_kernel_ms)
        busy = bool(company(times.steady_kernel_ms, calm_kernel_ms)) and seconds < max_seconds + longer
        if not busy and (seconds > max_seconds or (times.sweeps >= MIN_SWEEPS and _known(times, names))):
            break
    progress("timing units, seconds at most", int(max_seconds), int(max_seconds))
    return sweeps


def _known(times: Times, names: Sequence[str]) -> bool:
    widths, medians = times.half_widths(), times.medians()
    return float(np.percentile([widths[n] / medians[n] for n in (*names, "whole")], 90)) < KNOWN_WITHIN


def _fit(believed: UnitCosts, plans: Sequence[Plan], plans_ms: Sequence[float], error: float) -> dict[str, float]:
    """Mean relative error of what units alone say, and of what is believed of each plan after all the others."""
    if not plans:
        return {}
    before = believed.predict(plans)[0]
    left_out = []
    for i in range(len(plans)):
        others = [j for j in range(len(plans)) if j != i]
        after = believed.after([plans[j] for j in others], [plans_ms[j] for j in others], error)
        left_out.append(after.predict([plans[i]])[0][0])
    measured = np.asarray(plans_ms)
    return {"error_alone": round(float(np.mean(np.abs(before / measured - 1))), 5),
            "error_left_out": round(float(np.mean(np.abs(np.array(left_out) / measured - 1))), 5)}


