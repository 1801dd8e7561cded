"""Adapting a prior to a device by a few whole networks; and the check by which a newer runtime takes an older table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import TableError
from hwnas.latency import Calibration, LatencyModel, Table, fit, table_file, table_path
from hwnas.latency.adapted import AdaptedModel, adapted_path, of_device, read_adapted, write_adapted
from hwnas.latency.entry import now
from hwnas.latency.header import as_own, tool_version
from hwnas.latency.hold import held
from hwnas.pipeline.latencies.origin import device_name
from hwnas.pipeline.latencies.priors import Prior, find_prior, prior_of
from hwnas.pipeline.latencies.tables import calm_kernel_ms, default_folder, of_another_version
from hwnas.profile.adapting import MOST, SECONDS, AdaptedHere, adapt_on
from hwnas.progress import Progress, silent
from hwnas.runtime import Device, Fingerprint, LocalDevice, runtime_for
from hwnas.space import Space
from hwnas.target import Target

NOISY = 0.05  # between two halves of the visits; 0.02 ends a campaign
MOST_ERROR = 5.0  # percent: a table of another version whose calibration is further off is measured anew


@dataclass(frozen=True)
class Adaptation:
    """What `adapt_target` made.

    Args:
        kept: the model, as it lies at `path`.
        scaled_error: of the prior times one factor, percent.
        networks: how many were timed, in so many seconds all in all.
        warnings: about the machine meanwhile.
    """

    kept: AdaptedModel
    path: Path
    scaled_error: float
    seconds: float
    largest_ms: float
    smallest_ms: float
    warnings: tuple[str, ...]


def adapt_target(space: Space, target: Target, *, tables: Path | None = None, device: Device | None = None,
                 count: int = MOST, prior: str | None = None, seed: int = 0, max_seconds: float = SECONDS,
                 progress: Progress = silent) -> Adaptation:
    """Adapt the nearest prior of a target to a device, and keep the model in the folder of tables.

    Args:
        tables: folder of tables; None takes the user's cache.
        device: where to measure; None is this machine.
        prior: path of a table, or 'estimate'; None takes the nearest.
        count, max_seconds: as in `hwnas.profile.adapting.adapt_on`.

    Raises:
        TableError: the prior says less than a line in FLOPs, or is off by more than `prior.MOST_ERROR`; nothing is
            kept.
        UsageError: there is no prior.
    """
    where = device or LocalDevice(runtime_for(target), target.cores)
    facts = where.fingerprint().to_json()
    found = find_prior(space, target, facts, tables, prior)
    here = adapt_on(space, target, found.model, where, count=count, seed=seed, max_seconds=max_seconds,
                    calm_kernel_ms=calm_kernel_ms(target, facts, tables), progress=progress)
    _check_useful(found, here, target)
    model = replace(here.found.model, calibration=replace(here.found.model.calibration, kernel_ms=here.kernel_ms))
    kept = AdaptedModel(model, here.device, found.told, here.found.error, here.found.line_error, len(here.networks),
                        here.kernel_ms)
    path = adapted_path(tables or default_folder(), target, space)
    write_adapted(path, kept, target, space, content_hash=found.model.table_hash, source=found.model.source,
                  networks=here.networks, networks_ms=here.networks_ms)
    largest, smallest = (kept.model.predict(arch).latency_ms for arch in (space.largest(), space.smallest()))
    return Adaptation(kept, path, here.found.scaled_error, here.seconds, largest, smallest, here.warnings)


def _check_useful(prior: Prior, here: AdaptedHere, target: Target) -> None:
    if not here.found.useless:
        return
    error = TableError(
        f"{prior.told} is worth nothing for {target} on {device_name(here.device)} after {len(here.networks)} networks"
        f": {here.found.useless}. Nothing was kept: give another --prior, or measure the blocks with `hwnas profile`, "
        "without --adapt")
    if here.noise > NOISY:
        error.add_note(f"Their own times differed by {100 * here.noise:.0f} % between two halves of the visits, so it "
                       "may be the machine: leave it alone and try again")
    for warning in here.warnings:
        error.add_note(f"Meanwhile {warning}")
    raise error


def adapted_here(space: Space, target: Target, device: Mapping[str, Any] | None, tables: Path | None = None,
                 rival: Table | None = None) -> AdaptedModel | None:
    """The adapted model of a target and a space; None where there is none, or one of another device.

    Args:
        device: fingerprint of this machine, where that is the target's device; else None.
        rival: a table that holds the space; if it was calibrated for it later, it is the better one, and None is given.

    Raises:
        TableError: the file is broken.
    """
    path = adapted_path(tables or default_folder(), target, space)
    if not path.is_file():
        return None
    found = read_adapted(path, target, space)
    record = rival.calibration_records.get(space.fingerprint, {}) if rival is not None else {}
    later = str(record.get("when", "")) > found.created
    return None if later or of_device(found, device) else found


@dataclass(frozen=True)
class Taken:
    """What became of a table of another version of the runtime: whether it was taken, and what is told of it."""

    taken: bool
    told: str


def take_another_version(space: Space, target: Target, *, tables: Path | None = None, device: Device | None = None,
                         seed: int = 0, wait: bool = True, progress: Progress = silent) -> Taken | None:
    """Take a table that differs from the device in the runtime's version alone, if 20 networks say that it still holds.

    Its entries become the user's table of this version, calibrated by those networks. Calibrations of other spaces
    stay behind, so each space is checked when its turn comes.

    Returns:
        None where there is no such table, or where it lacks blocks of the space.

    Raises:
        TableError: the user's table is broken, or held by another process.
        InputError: the device cannot be reached.
    """
    where = device or LocalDevice(runtime_for(target), target.cores)
    facts = where.fingerprint()
    old = of_another_version(target, facts.to_json(), tables)
    if old is None or old.missing(space.signatures):
        return None
    path = table_path(tables or default_folder(), target)
    with held(path, wait=wait, seconds=SECONDS, progress=progress):
        here = adapt_on(space, target, prior_of(old, space, target).model, where, seed=seed,
                        calm_kernel_ms=calm_kernel_ms(target, facts.to_json(), tables), progress=progress)
        plain = LatencyModel.from_table(Table.assemble(path, old.header, old.every_entry.values()), space)
        sums, weights = plain.sums(here.networks)
        found = fit(sums, weights, np.array(here.networks_ms), plain.parts(space, here.networks),
                    plain.counts(here.networks))
        versions = f"{old.device.get('runtime_version')}; with {facts.runtime} {facts.runtime_version}"
        told = (f"{old.path} was measured with {versions}, {len(here.networks)} networks that were timed are predicted "
                f"with an error of {found.loo_mape:.1f} %")
        if (found.loo_mape or 0.0) > min(MOST_ERROR, here.found.line_error):
            return Taken(False, f"{told}, too much to take it")
        _write(path, old, target, facts, space, found, here.kernel_ms)
    return Taken(True, f"{told} ({here.seconds:.0f} s): taken")


def _write(path: Path, old: Table, target: Target, facts: Fingerprint, space: Space, found: Calibration,
           kernel_ms: float) -> None:
    header = {
        **as_own(old.header, target.name), "device": facts.to_json(), "created": now(), "tool_version": tool_version(),
        "runtime": {"name": target.runtime, "version": facts.runtime_version},
        "based_on": {"target": old.target, "device": old.device, "content_hash": old.content_hash},
    }
    record = {**found.to_json(), "kernel_ms": round(kernel_ms, 6), "space": space.fingerprint, "when": now()}
    with table_file.locked(path):
        made = Table.assemble(path, header, old.every_entry.values(), [record])
        table_file.write_whole(path, made.to_lines())
