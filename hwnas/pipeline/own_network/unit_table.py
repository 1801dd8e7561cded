"""Times of units in the latency table of a target, so that a second network, run or budget times no unit anew.

A unit is kept under a hash of its graph: operators, attributes, shapes and wiring, not weights. Whether a table is of
this device, to the version of the runtime, is asked as for every other entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import InputError
from hwnas.latency import Entry, Table
from hwnas.pipeline.latencies.tables import own_table
from hwnas.runtime import Device
from hwnas.surgery.plan import FLOAT
from hwnas.target import PRECISIONS, Target


@dataclass(frozen=True)
class UnitTable:
    """What is known of units on a device.

    Args:
        table: None where none can be used.
        warnings: why not.
    """

    table: Table | None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, target: Target, device: Device, folder: str | Path | None = None) -> UnitTable:
        """The user's table of a target, which is made where there is none.

        Args:
            target: in the precision that floats are computed in.
            folder: of the user's tables; None takes their cache.

        Raises:
            TableError: the table is broken, or of another target.
            InputError: the device cannot be reached.
        """
        here = device.fingerprint().to_json()
        try:
            table = Table.open(own_table(target, here, Path(folder) if folder else None), target, here)
        except InputError as err:
            return cls(None, (f"times of units are not kept: {err}",))
        if differing := table.differs_from(here):
            return cls(None, (f"times of units are neither taken from {table.path} nor kept there: it is of another "
                              f"device ({'; '.join(differing)}); move it away to have one of this",))
        return cls(table)

    @property
    def known(self) -> Mapping[tuple[str, str], Entry]:
        """(signature of the graph, precision) -> time alone."""
        if self.table is None:
            return {}
        every: dict[str, dict[str, Entry]] = {FLOAT: self.table.units_in()}
        every |= {p: self.table.units_in(p) for p in PRECISIONS if p != self.table.precisions[0]}
        return {(signature, precision): entry for precision, units in every.items()
                for signature, entry in units.items()}

    @property
    def calm_kernel_ms(self) -> float:
        """What the reference kernel takes on this device when it is calm; 0 where nothing was kept."""
        return self.table.units_kernel_ms if self.table is not None else 0.0

    def keep(self, entries: Sequence[Entry], kernel_ms: float) -> tuple[str, ...]:
        """Add times, and the speed of the device if it was calmer than any time before; warnings where that fails.

        Args:
            kernel_ms: of the reference kernel meanwhile.
        """
        try:
            if self.table is not None and entries:
                self.table.add(entries)
            if self.table is not None and not 0 < self.calm_kernel_ms <= kernel_ms:
                self.table.keep_units_kernel(round(kernel_ms, 6))
        except InputError as err:
            return (f"times of units are not kept: {err}",)
        return ()
