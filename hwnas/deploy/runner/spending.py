"""What a bundle's model takes besides its median time on this device: tail, energy, memory of a process.

Measured where the run that made it had a budget on it. On another device than the one that was measured a limit in
percent says nothing; one in ms, mJ or bytes, which the user gave, holds on every device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.runtime.energy import measure_energy, meter_of
from hwnas.runtime.peak_memory import measurable, peak_memory
from hwnas.runtime.pinning import pinned
from hwnas.runtime.promise import OPEN
from hwnas.runtime.spending import ENERGY, P99, PEAK_MEMORY, Kept, kept, kept_tail
from hwnas.runtime.tail import measure_tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.deploy.runner.bundle import Bundle
    from hwnas.deploy.runner.loading import Loaded


def spent(bundle: Bundle, loaded: Loaded, elsewhere: Sequence[str]) -> list[Kept]:
    """Every budget of a bundle on what its model takes besides its median time; empty where it has none.

    Args:
        loaded: on the bundle's own runtime.
        elsewhere: how this device differs from the one that was measured.
    """
    found = []
    for told in bundle.facts.get("spends") or ():
        one = _one(bundle, loaded, told)
        if elsewhere and told["share"] is not None and one.failed:
            one = replace(one, verdict=OPEN, sentence=f"{one.sentence}, a share of what another device takes "
                                                      f"({'; '.join(elsewhere)})")
        found.append(one)
    return found


def _one(bundle: Bundle, loaded: Loaded, told: Mapping[str, Any]) -> Kept:
    target, name, limit = bundle.facts["target"], told["name"], float(told["limit"])
    batch, cores = int(target["batch"]), target.get("cores")
    if name == P99:
        with pinned(cores):
            return kept_tail(limit, measure_tail(loaded.session, batch=batch))
    if name == PEAK_MEMORY:
        known = loaded.runtime.cpu and measurable()
        return kept(name, limit, peak_memory(bundle.model, loaded.runtime, cores) if known else None)
    meter = meter_of(processor=loaded.runtime.cpu)
    with pinned(cores):
        energy = measure_energy(loaded.session, meter, batch=batch) if meter else None
    found = kept(ENERGY, limit, energy.millijoules if energy else None)
    return replace(found, sentence=f"{found.sentence} ({energy.words})") if energy else found
