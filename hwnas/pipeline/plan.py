"""What a compress would do, without doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas import data as datasets
from hwnas.errors import UsageError
from hwnas.latency import LatencyModel, Table, table_path
from hwnas.pipeline.budget import Budget, parse_all
from hwnas.pipeline.run import CompressConfig
from hwnas.pipeline.tables import default_folder
from hwnas.progress import Progress, silent
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import Target
from hwnas.target import load as load_target


@dataclass(frozen=True)
class Plan:
    """What a run would work on.

    Args:
        out: the run folder it would make.
        data: one line about the images.
        table: where the latency table of the target lies.
        missing: how many blocks would have to be timed; `blocks` of the space in all.
        reference: costs of the reference network; `latency_ms` is None until the table is full.
        bounds: budget -> upper bound in the units of `hwnas.pipeline.budget`; None where it is not known yet.
    """

    config: CompressConfig
    out: Path
    data: str
    target: Target
    space: Space
    table: Path
    missing: int
    reference: dict[str, float | None]
    bounds: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(), "out": str(self.out), "data": self.data,
            "target": self.target.model_dump(), "space": asdict(self.space.config), "choices": len(self.space.choices),
            "architectures": str(self.space.size), "blocks": len(self.space.signatures), "table": str(self.table),
            "blocks_to_time": self.missing, "reference": self.reference, "bounds": self.bounds,
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
    found = datasets.load(config.data, imgsz=config.imgsz, seed=config.seed, limit=config.limit, progress=progress)
    space = build(SpaceConfig(config.space, found.imgsz, found.channels, len(found.classes), config.width_mult,
                              config.depth))
    target = load_target(config.target, precision=config.precision, batch=config.batch, threads=config.threads)
    path = table_path(Path(config.tables) if config.tables else default_folder(), target)
    table = Table.read(path, target) if path.is_file() else None
    missing = len(table.missing(space.signatures) if table else space.signatures)
    reference = _reference(space, LatencyModel.from_table(table, space) if table and not missing else None)
    budgets = parse_all(config.budgets)
    bounds = {name: _bound(budget, reference[name]) for name, budget in budgets.items()}
    return Plan(config, out, found.summary(), target, space, path, missing, reference, bounds)


def _reference(space: Space, latency: LatencyModel | None) -> dict[str, float | None]:
    largest = space.largest()
    predicted = latency.predict(largest).latency_ms * 1e6 if latency else None
    return {"latency": predicted, "flops": float(largest.flops), "params": float(largest.params),
            "memory": float(largest.memory_bytes())}


def _bound(budget: Budget, reference: float | None) -> float | None:
    if budget.relative and reference is None:
        return None
    return budget.absolute(reference or 0.0)
