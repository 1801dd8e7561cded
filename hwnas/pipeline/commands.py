"""What to type next: commands that a message, a plan or a result advises, complete and quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.space import Space
from hwnas.target import Target
from hwnas.target.find import names_a_file

if TYPE_CHECKING:
    from hwnas.pipeline.config.compress_config import CompressConfig

ON_THE_DEVICE = ("--device", "ssh://user@host")


def shell(*words: object) -> str:
    """Words as a line that a shell takes apart into the same words."""
    return shlex.join(f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
                      for word in words)


def nearby(name: str) -> str:
    """A path as it is called from here, where it lies below; anything else as it is."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else name


def resume_command(run: Path) -> str:
    """What goes on with a run."""
    return shell("hwnas", "compress", "--resume", run)


def branch_command(run: Path, target: str | None = None, budgets: Mapping[str, str] | None = None) -> str:
    """What makes another network from the search of a run: for another target, or within budgets.

    Args:
        target: as it was given; the run's own budgets then hold where no others are given.
    """
    words = [] if target is None else ["--target", nearby(target)]
    words += [word for name, text in (budgets or {}).items() for word in (f"--{name}", text)]
    return shell("hwnas", "compress", "--from", run, *words)


def profile_command(config: CompressConfig, space: Space, target: Target, *, again: bool = False) -> str:
    """What has a target measured: the very table that a run of `config` looks up.

    The space is said by its figures, so that no images are needed where it is typed.

    Args:
        space: the full one of the run.
        target: in the precision that is to be measured; one without hardware figures is this machine.
        again: whether what the table holds is measured once more.
    """
    named = config.target.first if names_a_file(config.target.first) else target.name
    words = ["hwnas", "profile", "--target", named]
    asked = config.target
    for flag, value in (("--runtime", asked.runtime), ("--precision", target.precision), ("--batch", asked.batch),
                        ("--threads", asked.threads), ("--tables", asked.tables)):
        words += [] if value is None else [flag, str(value)]
    device = (*(["--again"] if again else []), *(ON_THE_DEVICE if target.hardware is not None else ()))
    return shell(*words, *_space_flags(config, space), *_variant_flags(config), *device)


def _space_flags(config: CompressConfig, space: Space) -> list[str]:
    """Flags of `hwnas profile` that build this space, without its images."""
    c = space.config
    by = c if c.graph is None else config.space  # what is data no longer knows the parameters that it was made by
    given = {
        "--space": c.name if c.graph is None else nearby(config.space.name), "--imgsz": c.imgsz, "--width": c.width,
        "--channels": c.in_channels, "--classes": c.classes,
        "--width-mult": by.width_mult if by.width_mult != 1.0 else None, "--depth": by.depth,
        "--head": c.head or None, "--head-width": by.head_width, "--output-stride": c.output_stride,
    }
    return [word for flag, value in given.items() if value is not None for word in (flag, str(value))]


def _variant_flags(config: CompressConfig) -> list[str]:
    given = {"--widths": config.space.widths, "--sizes": config.space.sizes}
    return [word for flag, values in given.items() if values is not None
            for word in (flag, ",".join(f"{value:g}" if value != 1 else "1" for value in values) or "1")]
