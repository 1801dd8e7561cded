"""Times units and random plans of a network on a device, in the sweeps that all of hwnas measures with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from hwnas.profile.measurement_quality import Conditions, conditions_of
from hwnas.profile.sweeps import Times, times_of
from hwnas.progress import Progress, silent
from hwnas.quantize.half import HALVES
from hwnas.runtime import Device, Sweep, SweepPlan
from hwnas.surgery.assembler import Assembler
from hwnas.surgery.plan import FLOAT, INT8, Option, Places, Plan
from hwnas.surgery.unit_costs import UnitCosts, random_plans

MIN_SWEEPS, CHECK_EVERY = 12, 4
RUNS = 5  # of a visit: three to warm up, two that are timed
MOST_PLANS, LEAST_PLANS = 40, 12
KNOWN_WITHIN = 0.01  # half width of the 95 % interval of a plan's median, relative; for nine of ten plans
CHANGED = 1 << 16  # values of the map on which a change of precision is timed


@dataclass(frozen=True)
class UnitTimes:
    """What was measured, and what is believed of the rest.

    Args:
        costs: the model.
        alone_ms: (signature, key of an option) -> time of the unit alone, floats in and out.
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


def measure_units(
    assembler: Assembler, places: Places, device: Device, *, max_seconds: float = 60.0, seed: int = 0,
    processor_clock: bool = True, progress: Progress = silent,
) -> UnitTimes:
    """Time every kind of unit in every option, and as many random plans as the seconds allow.

    Args:
        assembler: makes the models.
        max_seconds: of timing; what it takes to load the models is not counted.
        processor_clock: whether times are processor time of one thread.

    Raises:
        InputError: the device cannot be reached or cannot execute the models.
    """
    models, alone = _models(assembler, places)
    quick = _first_look(device, models["whole"])
    count = int(np.clip(max_seconds * 1e3 / (MIN_SWEEPS * RUNS * quick), LEAST_PLANS, MOST_PLANS))
    plans = random_plans(places, count, seed)
    models |= {f"plan {i}": assembler.model(plan) for i, plan in enumerate(plans)}
    small = min(alone or ["whole"], key=lambda name: len(models[name]))
    models |= {"sentinel large": models["whole"], "sentinel small": models[small]}
    plan = SweepPlan(("sentinel large", "sentinel small"), seed=seed, max_seconds=max_seconds)
    begin = time.perf_counter()
    with device.sweeps(models, plan) as stream:
        loaded = time.perf_counter()
        sweeps = _until_known(stream, max_seconds, [f"plan {i}" for i in range(len(plans))], progress)
        seconds = time.perf_counter() - loaded
    times = times_of(sweeps)
    medians = times.medians()
    alone_ms = {key: medians[name] for name, key in alone.items()}
    alone_ms |= {(assembler.cut[place].signature, option.key): 0.0 for place, options in places.options.items()
                 for option in options if _is_nothing(assembler, place, option)}
    believed = UnitCosts.believed(places, medians["whole"], alone_ms,
                                  {p: medians[f"change {p}"] / (2 * CHANGED) for p in _lower(places)})
    plans_ms = [medians[f"plan {i}"] for i in range(len(plans))]
    widths = times.half_widths()
    error = float(np.median([widths[f"plan {i}"] / 1.96 / ms for i, ms in enumerate(plans_ms)])) if plans else 0.0
    facts = {"models": len(models), "sweeps": times.sweeps, "seconds_load": round(loaded - begin, 2),
             "seconds_sweeps": round(seconds, 2), "plans": len(plans), "timing_error": round(error, 5),
             **_fit(believed, plans, plans_ms, error)}
    return UnitTimes(believed.after(plans, plans_ms, error), alone_ms, medians["whole"], plans, plans_ms,
                     conditions_of(sweeps, plan, processor_clock=processor_clock, rejected=times.rejected), facts)


def _models(assembler: Assembler, places: Places) -> tuple[dict[str, bytes], dict[str, tuple[str, str]]]:
    """Models by name, and of those that are units alone the key of the time."""
    models = {"whole": assembler.model({}), **{f"change {p}": _change(p) for p in _lower(places)}}
    alone: dict[str, tuple[str, str]] = {}
    for unit in assembler.cut.units:
        for option in places.options[unit.name]:
            name = f"unit {unit.signature} {option.key}"
            if name in models or _is_nothing(assembler, unit.name, option):
                continue
            models[name] = assembler.unit_model(unit, option.form, option.precision)
            alone[name] = unit.signature, option.key
    return models, alone


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


def _first_look(device: Device, model: bytes) -> float:
    """What the network takes, ms, roughly."""
    plan = SweepPlan(("whole", "whole"), sentinel_visits=1)
    with device.sweeps({"whole": model}, plan) as stream:
        return float(np.median(next(iter(stream)).times_ms["whole"]))


def _until_known(stream: Any, max_seconds: float, names: Sequence[str], progress: Progress) -> list[Sweep]:
    begin, sweeps = time.perf_counter(), []
    for sweep in stream:
        sweeps.append(sweep)
        seconds = time.perf_counter() - begin
        progress("timing units, seconds at most", min(int(seconds), int(max_seconds)), int(max_seconds))
        if seconds > max_seconds and len(sweeps) >= CHECK_EVERY:
            break
        if len(sweeps) >= MIN_SWEEPS and len(sweeps) % CHECK_EVERY == 0 and _known(times_of(sweeps), names):
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


