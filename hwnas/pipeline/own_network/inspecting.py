"""What can become of a user's own network, before any run: its units, what they take, what stays and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.imaging.contract import InputContract
from hwnas.pipeline.latencies.unit_precisions import precisions_on
from hwnas.pipeline.own_network.unit_table import UnitTable
from hwnas.progress import Progress, silent
from hwnas.quantize import variant_for
from hwnas.runtime import LocalDevice
from hwnas.surgery.assembler import Assembler
from hwnas.surgery.dataflow import STANDARD
from hwnas.surgery.measuring import UnitTimes, measure_units
from hwnas.surgery.plan import Places, joint_name
from hwnas.surgery.reading import TrainedNetwork, read_network
from hwnas.surgery.unit import Cut


@dataclass(frozen=True)
class Inspection:
    """A network, looked at.

    Args:
        network: in the one form.
        places: its units and what each may be.
        times: of its units; None where nothing was timed.
        warnings: what must be told beside them.
    """

    network: TrainedNetwork
    places: Places
    times: UnitTimes | None
    warnings: tuple[str, ...] = ()

    @property
    def cut(self) -> Cut:
        """The network and its units."""
        return self.places.cut

    def kept(self) -> list[tuple[str, int, str]]:
        """Nodes that no unit holds: type, how many, why."""
        flow, found = self.cut.flow, defaultdict[tuple[str, str], int](int)
        for i in self.cut.loose:
            node = flow.nodes[i]
            kind = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
            found[kind, self._why(i)] += 1
        return [(kind, count, why) for (kind, why), count in sorted(found.items())]

    def _why(self, place: int) -> str:
        flow, node = self.cut.flow, self.cut.flow.nodes[place]
        if node.domain not in STANDARD:
            return "of another domain: kept as it is"
        if any(name and name not in flow.shapes for name in node.output):
            return "its shape depends on values: kept as it is"
        if flow.is_weighted(place):
            return "other nodes read what is inside it: kept as it is"
        if joint_name(place) in self.places.options:
            return "between units: in floats, or in the precision that feeds it"
        return "between units: kept as it is"

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        flow = self.cut.flow
        return {
            "network": self.network.name, "sha256": self.network.sha256, "input": list(self.network.input_shape),
            "outputs": {name: list(flow.shapes.get(name, ())) for name in flow.outputs}, "nodes": len(flow.nodes),
            "multiply_accumulates": flow.work, "whole_ms": self.times.whole_ms if self.times else None,
            "warnings": list(self.warnings),
            "units": [{
                "name": unit.name, "label": unit.label, "signature": unit.signature, "source": unit.source,
                "target": unit.target, "reads": list(unit.source_shape), "makes": list(unit.target_shape),
                "share": 100 * unit.region.work / max(flow.work, 1), "parameters": unit.params,
                "alone_ms": self.alone_ms(unit.name)} for unit in self.cut.units],
            "kept": [{"type": kind, "nodes": count, "why": why} for kind, count, why in self.kept()],
        }

    def alone_ms(self, unit: str) -> dict[str, float]:
        """Precision -> what a unit takes alone, ms."""
        if self.times is None:
            return {}
        signature = self.cut[unit].signature
        return {option.precision: ms for option in self.places.options[unit]
                if (ms := self.times.alone_ms.get((signature, option.key))) is not None}


def inspect_network(
    source: str, *, imgsz: int | None = None, width: int | None = None, target: str = "local",
    runtime: str | None = None, precision: str | None = None, threads: int | None = None,
    tables: str | Path | None = None, seconds: float = 15.0, progress: Progress = silent,
) -> Inspection:
    """Look at a network.

    Args:
        source: as `--model` takes it.
        imgsz, width: of its input, where it leaves them open.
        precision: what units may be in, as `compress` takes it.
        tables: folder of latency tables, where times of units are looked up and kept; None takes the user's cache.
        seconds: of timing; 0 times nothing.

    Raises:
        InputError: it cannot be read.
        UnknownName: no such target or runtime.
        MissingDependency: a library is not installed.
    """
    size = None if imgsz is None else (imgsz, width or imgsz)
    network = _in_any_layout(source, size)
    cut = Cut.of(network.model)
    formats = precisions_on(target, precision, runtime=runtime, threads=threads)
    found, places = formats.target, Places.of(cut, formats.units)
    if not seconds or not cut.units:
        return Inspection(network, places, None)
    device = LocalDevice(formats.runtime(), found.cores)
    assembler = Assembler(cut, [], variant_for(found.runtime))
    table = UnitTable.of(found, device, tables)
    times = measure_units(assembler, places, device, known=table.known, max_seconds=seconds,
                          calm_kernel_ms=table.calm_kernel_ms, processor_clock=found.threads == 1, progress=progress)
    return Inspection(network, places, times, (*table.warnings, *table.keep(times.timed, times.kernel_ms)))


def _in_any_layout(source: str, size: tuple[int, int] | None) -> TrainedNetwork:
    """For a look it does not matter how pixels become the input, only how many channels lie where."""
    errors = []
    for layout, colour in (("nchw", "rgb"), ("nchw", "grey"), ("nhwc", "rgb"), ("nhwc", "grey")):
        try:
            return read_network(source, InputContract((0.0,), (255.0,), colour, layout), size)
        except InputError as err:
            errors.append(err)
    raise errors[0]
