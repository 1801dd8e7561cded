"""What a compress would do, without doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import UsageError
from hwnas.latency import Prediction
from hwnas.pipeline.budget import Budget, parse_all
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.lanes import in_fp32, known_latencies, targets_of
from hwnas.pipeline.material import load_data, sizes_of, space_for_data, spaces_of, widths_of
from hwnas.pipeline.run import CompressConfig
from hwnas.progress import Progress, silent
from hwnas.space import Space, Variant, variants
from hwnas.target import Target


@dataclass(frozen=True)
class Plan:
    """What a run would work on.

    Args:
        out: the run folder it would make.
        data: one line about the images.
        precisions: in which it may ship.
        source: what latencies would come from: 'measured', 'imported', or 'estimated' where the device is not this
            machine and has no full table.
        table: where the latency table of the target lies; None where there is none and none would be made.
        blocks: how many there are to know the time of, of all variants.
        missing: how many of them would have to be timed here.
        warnings: about the table.
        reference: costs of the reference network in fp32; `latency` is None until that is known.
        band: 90 % interval of its latency in the unit of `reference`; None where that is not known.
        bounds: budget -> upper bound in the units of `hwnas.pipeline.budget`; None where it is not known yet.
        way_out: what has the target measured; None where this machine is the device.
    """

    config: CompressConfig
    out: Path
    data: str
    target: Target
    space: Space
    precisions: tuple[str, ...]
    source: str
    table: Path | None
    blocks: int
    missing: int
    warnings: tuple[str, ...]
    reference: dict[str, float | None]
    band: tuple[float, float] | None
    bounds: dict[str, float | None]
    way_out: str | None = None

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What the result may have of the reference's channels and pixels."""
        return variants(widths_of(self.config), sizes_of(self.config, self.space))

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(), "out": str(self.out), "data": self.data,
            "target": self.target.model_dump(), "space": asdict(self.space.config), "choices": len(self.space.choices),
            "architectures": str(self.space.size), "blocks": self.blocks,
            "variants": [variant.key for variant in self.variants],
            "precisions": list(self.precisions), "latency_source": self.source, "warnings": list(self.warnings),
            "table": str(self.table) if self.table else None, "blocks_to_time": self.missing,
            "reference": self.reference, "reference_latency_band": list(self.band) if self.band else None,
            "bounds": self.bounds, "next": self.way_out,
        }


def plan(config: CompressConfig, out: Path, progress: Progress = silent) -> Plan:
    """Load the data, build the space and look at the table; writes nothing and needs no torch.

    Raises:
        UsageError: `out` is taken.
        DataError: the images cannot be used.
        TableError: the table of the target is broken.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder: choose another --out, or go on with --resume {out}")
    found = load_data(config, progress)
    space = space_for_data(config, found)
    targets = targets_of(config)
    tables = Path(config.tables) if config.tables else None
    way_out = profile_command(config, space, targets[0])
    known = known_latencies(space, targets[0], tables, way_out)
    blocks = list(dict.fromkeys(s for scaled in spaces_of(config, space).values() for s in scaled.signatures))
    missing = 0 if known.source == "estimated" else len(known.found.table.missing(blocks) if known.found else blocks)
    exact = known_latencies(space, in_fp32(targets[0]), tables).model
    predicted = exact.predict(space.largest()) if exact else None
    reference = _reference(space, predicted)
    band = (predicted.low_ms * 1e6, predicted.high_ms * 1e6) if predicted else None
    budgets = parse_all(config.budgets)
    bounds = {name: _bound(budget, reference[name]) for name, budget in budgets.items()}
    return Plan(config, out, found.summary(), targets[0], space, tuple(t.precision for t in targets), known.source,
                known.table, len(blocks), missing, known.warnings, reference, band, bounds,
                None if known.here else way_out)


def _reference(space: Space, predicted: Prediction | None) -> dict[str, float | None]:
    largest = space.largest()
    latency = predicted.latency_ms * 1e6 if predicted else None
    return {"latency": latency, "flops": float(largest.flops), "params": float(largest.params),
            "memory": float(largest.memory_bytes())}


def _bound(budget: Budget, reference: float | None) -> float | None:
    if budget.relative and reference is None:
        return None
    return budget.absolute(reference or 0.0)
