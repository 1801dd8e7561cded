"""What a run on a user's own network may be asked for, and what it needs to be told."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.errors import UsageError
from hwnas.pipeline.config.compress_config import HERE, KEEP_UNITS, CompressConfig, default_of, flag_of
from hwnas.progress import plural

OWN_NETWORK = ("model", "mean", "std", "colour", "layout", "fit", "crop", "contract", KEEP_UNITS, "only",
               "precision_only", "device", "device_python", "tune_epochs")
"""Options that only a run on a user's own network has."""
WITH_OWN = ("data", "task", "limit", "imgsz", "width", "budgets", "target", "runtime", "precision", "batch", "threads",
            "seed", "track", "tables", "accelerator", "amp")
"""Options that it shares with a search."""


def check_own_network(config: CompressConfig, options: Mapping[str, object]) -> None:
    """Before a run begins.

    Args:
        options: those that were given, under their flat names.

    Raises:
        UsageError: an option that such a run does not take, or lacks; says which, and an example.
        UnknownName: no such target or precision.
        MissingDependency: the runtime of this machine is not installed.
    """
    other = [name for name, value in options.items()
             if name not in (*OWN_NETWORK, *WITH_OWN) and value not in (None, default_of(name))]
    if other:
        raise UsageError(f"{flag_of(other[0])} is of a search in a space, and --model is compressed as it "
                         "is: leave one of them out")
    _check_contract(config)
    if set(config.budgets) != {"latency"}:
        raise UsageError("a network of your own has a budget of latency, e.g. --latency 50%: leave the others out")
    _ = config.networks  # raises where they cannot be read
    _check_devices(config)
    batches = {name: _check_target(config.replaced(target=name, device=config.device_on(name)))
               for name in config.target.names}
    if len(set(batches.values())) > 1:
        told = ", ".join(f"{name} {batch}" for name, batch in batches.items())
        raise UsageError(f"a network of your own is read for one number of images a call, and targets have several "
                         f"({told}): give --batch")


def _check_devices(config: CompressConfig) -> None:
    names, devices = config.target.names, config.model.devices
    if len(devices) not in (1, len(names)):
        raise UsageError(f"--device has {len(devices)} addresses, and --target {plural(len(names), 'name')}: give one "
                         f"address for each target in their order, `{HERE}` for this machine, or one for all")
    for name, device in zip(names, devices * (len(names) if len(devices) == 1 else 1), strict=True):
        if device != config.device_on(name):
            raise UsageError(f"--target: {name} is there twice, on two devices: give each device a target of its own, "
                             "a .yaml beside the other (hwnas targets)")


def _check_target(config: CompressConfig) -> int:
    """The batch of one target; raises as `check_own_network` where it cannot be used."""
    from hwnas.pipeline.latencies.behind_ssh import ssh_device  # ONNX and its helpers, when they are needed
    from hwnas.pipeline.latencies.unit_precisions import unit_precisions

    found, device = unit_precisions(config).target, config.device
    if device is not None:
        ssh_device(found, device, python=config.model.device_python)  # an address, of another machine
    elif found.hardware is not None:
        raise UsageError(f"units of a network of your own are timed and never estimated, and {found.name} is another "
                         "machine: reach it with --device ssh://user@host, run hwnas there, or give --target local")
    return found.batch


def _check_contract(config: CompressConfig) -> None:
    asked = config.model
    if asked.contract is None and (asked.mean is None or asked.std is None):
        raise UsageError("--model needs to know how an image becomes the network's input: give --mean and --std of "
                         "pixels 0..255, e.g. --mean 127,127,127 --std 128,128,128, or --contract FILE.yaml")
    if asked.contract is not None and (asked.mean is not None or asked.std is not None):
        raise UsageError("--contract says mean and std already: leave out --mean and --std")
