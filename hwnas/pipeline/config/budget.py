"""Budgets as people write them: `8ms`, `50%`, `300M`, `2M`, `64MB`, `200/s`. A percentage is of the reference network.

`4ms,8ms` asks for two networks, and so do two targets. Lists are taken side by side, the first of one with the first of
the other; what is one value holds for every network. A percentage is of the reference on the network's own target.

| name        | unit inside                        | accepted                        |
|-------------|------------------------------------|---------------------------------|
| latency     | nanoseconds                        | us, ms, s, %                    |
| flops       | multiply-accumulates               | k, M, G, plain number, %        |
| params      | parameters                         | k, M, plain number, %           |
| memory      | bytes of activations alive at once | B, KB, MB, KiB, MiB, GB, GiB, % |
| throughput  | nanoseconds an image, at most      | images a second: /s, %, at least |
| latency_p99 | nanoseconds, the 99th percentile   | as latency                      |
| energy      | microjoules an image               | uJ, mJ, J, %                    |
| peak_memory | bytes of a process, measured       | as memory                       |
| file_size   | bytes of the ONNX file             | as memory                       |

The first four follow from tables and counts, and bound what the exact solver adds up. The others bound one of them
through what was measured of two networks (`hwnas.pipeline.run.spends`), and are measured of the result in the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hwnas.documents import brief
from hwnas.errors import UsageError
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY, amount

_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_TIME = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_BYTES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
THROUGHPUT = "throughput"
COUNTED = ("latency", "flops", "params", "memory")
"""What the solver adds up."""
MEASURED_AT_THE_END = (P99, ENERGY, PEAK_MEMORY, FILE_SIZE)
"""What is measured of the result and of two networks before, and cannot be added up."""
UNITS: dict[str, dict[str, float]] = {
    "latency": _TIME, "flops": _COUNT, "params": _COUNT, "memory": _BYTES,
    THROUGHPUT: {"/s": 1.0, "images/s": 1.0, "fps": 1.0}, P99: _TIME, ENERGY: {"uJ": 1.0, "mJ": 1e3, "J": 1e6},
    PEAK_MEMORY: _BYTES, FILE_SIZE: _BYTES,
}
_EXAMPLE = {"latency": "8ms or 50%", "flops": "300M or 60%", "params": "2M or 50%", "memory": "64MB or 50%",
            THROUGHPUT: "200/s or 150%", P99: "10ms or 60%", ENERGY: "5mJ or 50%", PEAK_MEMORY: "64MB or 50%",
            FILE_SIZE: "2MB or 50%"}
NS = 1e9  # nanoseconds of a second
MOST, LONGEST = 1e12, 64  # of the number, and characters of the text
MOST_NETWORKS = 64  # that one run makes
SEPARATOR = ","
_TEXT = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z%/]*)\s*$")


@dataclass(frozen=True)
class Budget:
    """An upper bound on one cost.

    Args:
        name: a key of `UNITS`.
        value: in the unit inside, or a fraction of the reference network if `relative`; 150 % of a throughput are two
            thirds of the time.
        relative: whether `value` is a fraction.
        text: as the user wrote it.
    """

    name: str
    value: float
    relative: bool
    text: str

    def absolute(self, reference: float) -> float:
        """The bound in the unit inside, given the cost of the reference network."""
        return self.value * reference if self.relative else self.value


def parse(name: str, text: str) -> Budget:
    """Read one budget.

    Raises:
        UsageError: unknown name, no number, a wrong unit, or a value that is not above zero.
    """
    if name not in UNITS:
        raise UsageError(f"unknown budget {name!r}; known: {', '.join(UNITS)}")
    units, flag = UNITS[name], name.replace("_", "-")
    if SEPARATOR in str(text):
        raise UsageError(f"--{flag} {brief(text)}: one budget is needed here; `hwnas compress` takes several")
    found = _TEXT.match(str(text)) if len(str(text)) <= LONGEST else None
    if found is None or (found[2] != "%" and found[2] not in units):
        known = ", ".join(unit or "a plain number" for unit in (*units, "%"))
        raise UsageError(f"--{flag} {brief(text)}: a number and a unit are needed ({known}), e.g. --{flag} "
                         f"{_EXAMPLE[name]}")
    number = float(found[1])
    if not number > 0:
        raise UsageError(f"--{flag} {text!r}: a budget must be above zero")
    if not number <= MOST:
        raise UsageError(f"--{flag} {brief(text)}: a budget is at most {MOST:.0e} of its unit")
    if name == THROUGHPUT:
        relative = found[2] == "%"
        return Budget(name, 100 / number if relative else NS / number, relative, str(text))
    if found[2] == "%":
        return Budget(name, number / 100, True, str(text))
    return Budget(name, number * units[found[2]], False, str(text))


def parse_all(texts: Mapping[str, str | None]) -> dict[str, Budget]:
    """Read the budgets that are given; None is left out.

    Raises:
        UsageError: as `parse`, or two of them contradict each other.
    """
    return _consistent({name: parse(name, text) for name, text in texts.items() if text is not None})


Wanted = dict[str, Budget]
"""What one network is to stay within: name -> budget."""


class Asked(NamedTuple):
    """One network that is asked for.

    Args:
        target: where it is to run: a name, or the path of a YAML.
        wanted: what it is to stay within there.
    """

    target: str
    wanted: Wanted


def listed(given: object) -> object:
    """A budget as one text: `["4ms", "8ms"]` is `4ms,8ms`; what is no list stays as it is."""
    return SEPARATOR.join(str(part) for part in given) if isinstance(given, list | tuple) else given


def parse_lists(texts: Mapping[str, str], targets: Sequence[str] = ("",)) -> tuple[Asked, ...]:
    """The networks that are asked for: `{"latency": "4ms,8ms"}` asks for two, and so do two targets.

    Args:
        targets: as they are told apart, at least one.

    Returns:
        One entry a network, at least one, in the order of the lists.

    Raises:
        UsageError: a budget cannot be read, lists differ in length, there are more than `MOST_NETWORKS`, or two
            networks are asked for within the same budgets on the same target.
    """
    split = {name: str(text).split(SEPARATOR) for name, text in texts.items()}
    sizes = {**{name: len(parts) for name, parts in split.items()}, "target": len(targets)}
    lengths = {name: length for name, length in sizes.items() if length > 1}
    count = max(lengths.values(), default=1)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"--{name} {length}" for name, length in lengths.items())
        raise UsageError(f"lists of budgets and targets are taken side by side, so they must be of one length ({told});"
                         " a single value holds for every network")
    if count > MOST_NETWORKS:
        raise UsageError(f"{count} {'targets' if 'target' in lengths else 'budgets'}: one run makes at most "
                         f"{MOST_NETWORKS} networks; start a second one with `hwnas compress --from RUN`")
    lists = {name: [parse(name, part.strip()) for part in parts] for name, parts in split.items()}
    found = tuple(Asked(targets[i if len(targets) > 1 else 0],
                        _consistent({name: row[i if len(row) > 1 else 0] for name, row in lists.items()}))
                  for i in range(count))
    seen: dict[tuple[object, ...], Asked] = {}
    for asked in found:
        value = asked.target, *((budget.value, budget.relative) for budget in asked.wanted.values())
        if value in seen and len(targets) > 1:
            raise UsageError(f"--target: {asked.target} is there twice with the same budget: leave one out")
        if value in seen:
            raise UsageError(f"{in_words(seen[value].wanted)} and {in_words(asked.wanted)} are the same budget: leave "
                             "one out")
        seen[value] = asked
    return found


def _consistent(wanted: Wanted) -> Wanted:
    """Raises UsageError where one of two budgets says nothing because of the other."""
    median, p99 = wanted.get("latency"), wanted.get(P99)
    if median and p99 and not (median.relative or p99.relative) and p99.value < median.value:
        raise UsageError(f"--latency {median.text} and --latency-p99 {p99.text}: a 99th percentile is never below the "
                         "median, so the median may not be so long: leave --latency out, or allow a longer "
                         "--latency-p99")
    return wanted


def in_words(wanted: Wanted) -> str:
    """'latency 4ms, flops 300M'."""
    return ", ".join(f"{called(name)} {budget.text}" for name, budget in wanted.items())


def target_names(text: str) -> tuple[str, ...]:
    """The targets in 'a,b'; a file whose name holds a comma is one."""
    if SEPARATOR not in text or Path(text).is_file():
        return (text,)
    return tuple(part.strip() for part in text.split(SEPARATOR))


def kind_of(networks: Sequence[Asked]) -> str:
    """What several networks are told apart by: 'targets', or 'budgets' where they are for one target."""
    return "targets" if len({asked.target for asked in networks}) > 1 else "budgets"


def told_of(networks: Sequence[Asked]) -> tuple[str, ...]:
    """Every one of several networks in words: 'latency 4ms', or 'jetson-nano, latency 50%'."""
    several = kind_of(networks) == "targets"
    return tuple(f"{Path(asked.target).stem}, {in_words(asked.wanted)}" if several else in_words(asked.wanted)
                 for asked in networks)


def folder_names(networks: Sequence[Asked]) -> tuple[str, ...]:
    """A name for the folder of every network, after what they differ in: 'latency-4ms', 'flops-25pct', 'jetson-nano'.

    Budgets are left out where the targets alone tell the networks apart.
    """
    targets = [re.sub(r"[^A-Za-z0-9.+-]+", "-", Path(asked.target).stem).strip("-.") for asked in networks]
    if len({target.lower() for target in targets}) == len(networks) > 1:
        return tuple(targets)
    differ = [name for name in networks[0].wanted if len({asked.wanted[name].text for asked in networks}) > 1]
    of_budgets = ["-".join(f"{name.replace('_', '-')}-{_as_file(asked.wanted[name].text)}" for name in differ)
                  for asked in networks]
    if kind_of(networks) == "budgets":
        return tuple(of_budgets)
    found = [f"{target}-{budgets}".strip("-") for target, budgets in zip(targets, of_budgets, strict=True)]
    lower = [name.lower() for name in found]  # files of one name may lie in two folders
    return tuple(f"{i}-{name}" if lower.count(name.lower()) > 1 else name for i, name in enumerate(found, 1))


ON = " on "
"""Between a cost and another device that it is of, where a network is for several: 'latency on jetson-nano'."""


def cost_of(name: str) -> str:
    """What cost it is, on whichever device."""
    return name.partition(ON)[0]


def _as_file(text: str) -> str:
    return "".join(text.split()).replace("%", "pct").replace("/", "-per-")


def called(name: str) -> str:
    """A budget's name for people: 'latency p99', 'peak memory'."""
    return name.replace("_", " ")


def per_second(images: float) -> str:
    """'1,234/s' or '12.3/s'."""
    return f"{images:,.0f}/s" if images >= 100 else f"{images:.3g}/s"


def show(name: str, value: float) -> str:
    """A cost in the unit people read."""
    name = cost_of(name)
    if name in ("latency", P99):
        return f"{value / 1e6:.3f} ms"
    if name == "memory":
        return f"{value / 1e6:.2f} MB"
    if name in (PEAK_MEMORY, FILE_SIZE):
        return amount(name, value)
    if name == THROUGHPUT:
        return per_second(NS / value) if value > 0 else "any number/s"
    if name == ENERGY:
        return amount(name, value / 1e3)
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:.0f}"
