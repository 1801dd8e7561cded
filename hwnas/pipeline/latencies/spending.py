"""What networks spend besides their median time, measured on this machine: tail, energy, memory of a process, file.

Of the reference and the smallest network of a space before anything is chosen, in every precision that may ship, and of
the result and the reference in the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from hwnas.errors import UsageError
from hwnas.pipeline.config.budget import MEASURED_AT_THE_END, Wanted
from hwnas.pipeline.exported.inference import in_form, reach
from hwnas.pipeline.latencies.latency_sources import in_fp32
from hwnas.pipeline.run.reference import INSIDE, SPENT, Reference
from hwnas.pipeline.run.result_parts import EnergyResult, SpentResult, TailResult
from hwnas.pipeline.run.spends import BASES, Line
from hwnas.profile import network_model
from hwnas.progress import Progress, silent
from hwnas.runtime import Runtime, measure_latency
from hwnas.runtime.energy import measure_energy, meter_of, why_not
from hwnas.runtime.peak_memory import measurable, peak_memory
from hwnas.runtime.pinning import pinned
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY
from hwnas.runtime.tail import RUNS, SECONDS, measure_tail
from hwnas.space import Space
from hwnas.target import VALUE_BYTES, Target

BESIDES: tuple[str, ...] = (P99, ENERGY, PEAK_MEMORY)
"""What is measured for a report though no budget asks for it, where this machine tells it."""
BRIEF_RUNS, BRIEF_SECONDS = 300, 2.0  # of a tail that no budget asks for


def asked_of(networks: Iterable[Wanted]) -> tuple[str, ...]:
    """Budgets on what has to be measured, of any network that is asked for."""
    networks = list(networks)
    return tuple(name for name in MEASURED_AT_THE_END if any(name in wanted for wanted in networks))


def check_measurable(asked: Collection[str], target: Target, here: bool) -> None:
    """Whether this machine can measure what budgets ask for.

    Raises:
        UsageError: it cannot; says why, and the way out.
    """
    runtime = reach(target) if here else None
    for name in asked:
        if why := _unmeasurable(name, target, runtime):
            raise UsageError(f"--{name.replace('_', '-')}: {why}")


def _unmeasurable(name: str, target: Target, runtime: Runtime | None) -> str | None:
    if name == FILE_SIZE:
        return None
    if runtime is None:
        instead = {P99: "bound the median with --latency", ENERGY: "bound --latency: a board takes more the longer it "
                   "runs", PEAK_MEMORY: "bound the activations with --memory and the weights with --file-size"}[name]
        return (f"it is measured on the device itself, and {target.name} is not this machine: run hwnas there, or "
                f"{instead}")
    if name == PEAK_MEMORY and not runtime.cpu:
        return (f"the memory of a process is measured, and {runtime.name} has weights and activations in the "
                "accelerator's: bound them with --memory and --file-size")
    if name == PEAK_MEMORY and not measurable():
        return "this system does not tell how much memory a process had at most: bound --memory and --file-size"
    if name == ENERGY and meter_of(processor=runtime.cpu) is None:
        return f"{why_not(processor=runtime.cpu)}; without a meter bound --latency instead"
    return None


def spent_by(model: bytes, target: Target, thorough: Collection[str], *, besides: bool = False,
             calm_kernel_ms: float = 0.0) -> SpentResult:
    """Measure one network on this machine; what it does not tell is left out.

    Args:
        model: in the target's form.
        thorough: what a budget hangs on.
        besides: whether to measure `BESIDES`, too, briefly.
        calm_kernel_ms: what the reference kernel takes on a calm machine; 0 where that is not known.

    Raises:
        MissingDependency: the runtime is not here.
    """
    runtime, tail, energy, memory = reach(target), None, None, None
    asked = {*thorough, *(BESIDES if besides else ())}
    if runtime is not None:
        meter = meter_of(processor=runtime.cpu) if ENERGY in asked else None
        with pinned(target.cores):
            session = runtime.load(model) if P99 in asked or meter else None
            if session is not None and P99 in asked:
                runs, seconds = (RUNS, SECONDS) if P99 in thorough else (BRIEF_RUNS, BRIEF_SECONDS)
                found = measure_tail(session, batch=target.batch, runs=runs, seconds=seconds, wait=P99 in thorough,
                                     calm_kernel_ms=calm_kernel_ms)
                tail = TailResult.model_validate(found.to_json())
            taken = measure_energy(session, meter, batch=target.batch) if session is not None and meter else None
            energy = None if taken is None else EnergyResult.model_validate(taken.to_json())
        if PEAK_MEMORY in asked and runtime.cpu and measurable():
            memory = peak_memory(model, runtime, target.cores, processes=2 if PEAK_MEMORY in thorough else 1)
    return SpentResult(tail=tail, energy=energy, peak_memory_bytes=memory, file_bytes=len(model))


def measured_lines(space: Space, targets: Iterable[Target], asked: Collection[str], reference: Reference, *,
                   progress: Progress = silent) -> tuple[Reference, dict[str, dict[str, Line]]]:
    """What the reference spends, and lines through it and the smallest network.

    Args:
        targets: one a precision.
        asked: budgets that need it, which this machine can measure.

    Returns:
        The reference in fp32 with what it spends, and precision -> budget -> line.
    """
    lines, targets = dict[str, dict[str, Line]](), list(targets)
    exact = in_fp32(targets[0])
    every = [exact, *(target for target in targets if target != exact)]
    for i, target in enumerate(every):
        progress("measuring memory, energy and tails", i, len(every))
        networks = [network_model(arch, batch=target.batch) for arch in (space.reference, space.smallest())]
        models = [in_form(network, target) for network in networks]
        spent = [spent_by(model, target, asked, calm_kernel_ms=reference.kernel_ms or 0.0) for model in models]
        if target == exact:
            reference = reference.model_copy(update=_of_reference(spent[0], asked))
        sizes = [arch.params for arch in (space.reference, space.smallest())]
        memory = [target.batch * arch.memory_bytes(VALUE_BYTES[target.precision])
                  for arch in (space.reference, space.smallest())]
        times = _times_ns(models, target, asked)
        lines[target.precision] = {name: Line.through(*(
            ((times if BASES[name] == "latency" else sizes)[k],
             _amount(spent[k], name) - (memory[k] if name == PEAK_MEMORY else 0.0)) for k in (0, 1))) for name in asked}
    return reference, lines


def _times_ns(models: list[bytes], target: Target, asked: Collection[str]) -> list[float]:
    if not any(BASES[name] == "latency" for name in asked):
        return [0.0, 0.0]
    runtime = reach(target)
    with pinned(target.cores):
        return [] if runtime is None else [
            measure_latency(runtime.load(model), batch=target.batch).median_ms * 1e6 for model in models]


def _amount(spent: SpentResult, name: str) -> float:
    found = spent.amount(name)
    if found is None:
        raise UsageError(f"--{name.replace('_', '-')}: the meter fell silent while a network ran: try again, or leave "
                         "the budget out")
    return found


def _of_reference(spent: SpentResult, asked: Collection[str]) -> Mapping[str, float]:
    found = {name: _amount(spent, name) / INSIDE.get(name, 1.0) for name in asked}
    return {SPENT[name]: int(value) if name in (PEAK_MEMORY, FILE_SIZE) else value for name, value in found.items()}
