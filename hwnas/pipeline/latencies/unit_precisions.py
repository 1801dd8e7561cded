"""In which number formats the units of a user's own network may be computed.

Floats are what its nodes are in as the user gives it, and what all are timed against; beside them stand the formats
that nodes of one graph may have on this runtime (`Runtime.together`). A format that a runtime knows only for a whole
network, as a setting, can take the place of floats, and then stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import UsageError
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.latencies.latency_sources import AUTO, in_fp32, precisions_asked, targets_for, targets_of
from hwnas.runtime import Runtime, runtime_for
from hwnas.surgery.plan import FLOAT
from hwnas.target import MIXED, Target


@dataclass(frozen=True)
class UnitPrecisions:
    """Formats of units.

    Args:
        target: the device, in the precision that floats are computed in.
        units: what a unit may be in: `float` first.
    """

    target: Target
    units: tuple[str, ...]

    def runtime(self) -> Runtime:
        """What runs plans: every node in its own format, where there are several."""
        several = len(self.units) > 1
        return runtime_for(self.target.model_copy(update={"precision": MIXED}) if several else self.target)


def unit_precisions(config: CompressConfig) -> UnitPrecisions:
    """What a run asks for: nothing, `auto` and `mixed` mean all that the runtime has for nodes of one graph.

    Raises:
        UnknownName: no such target, runtime or precision.
        UsageError: the runtime does not compute in a precision here, or not beside others in one network.
        MissingDependency: the runtime of this machine is not installed.
    """
    asked = config.target
    return precisions_on(asked.first, asked.precision, reached=config.device is not None, runtime=asked.runtime,
                         batch=asked.batch, threads=asked.threads)


def target_of(config: CompressConfig) -> Target:
    """The target of a run, of several the first: in the precision of floats of a user's own network, or in the first
    one of a search; raises as `unit_precisions` or `targets_for`."""
    return unit_precisions(config).target if config.model.source is not None else targets_of(config)[0]


def precisions_on(name: str, precision: str | None = None, *, reached: bool = False, **overrides: object
                  ) -> UnitPrecisions:
    """The same for a target by name; other arguments and errors as of `targets_for` and `unit_precisions`.

    Args:
        reached: whether models are timed on the target wherever it is; what its runtime has is asked of the same one
            here, where they are judged.
    """
    names = precisions_asked(precision)
    first = names[0] if names and not {*names} & {AUTO, MIXED} else None
    exact = in_fp32(targets_for(name, first, **overrides)[0])
    if exact.hardware is not None and not reached:
        return UnitPrecisions(exact, (FLOAT,))
    runtime = runtime_for(exact)
    lower = tuple(p for p in runtime.together if p != "fp32")
    if not names or {*names} & {AUTO, MIXED}:
        if MIXED in names and not lower:
            raise UsageError(f"{runtime.name} computes a network in one precision: choose of "
                             f"{', '.join(runtime.precisions)}")
        return UnitPrecisions(exact, (FLOAT, *lower))
    wanted = tuple(p for p in names if p != "fp32")
    if {*wanted} <= {*lower}:
        return UnitPrecisions(exact, (FLOAT, *wanted))
    if len(names) == 1:
        return UnitPrecisions(exact.model_copy(update={"precision": names[0]}), (FLOAT,))
    other = next(p for p in wanted if p not in lower)
    whole = f"; {other} is of whole networks here: give it alone" if other in runtime.precisions else ""
    raise UsageError(f"{runtime.name} has {', '.join(runtime.together)} for units of one network on this device, and "
                     f"not {other}{whole}")
