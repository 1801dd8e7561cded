"""Networks that others timed: every form that a file may have, and what is refused by its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError, UsageError
from hwnas.latency.measurements import read_measurements
from hwnas.space import SpaceConfig, build
from hwnas.space.nasbench201 import order, to_string

CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))
CHAIN = build(SpaceConfig("mobile", 16, 1, 10, depth=1))
CONNECTED = [choice for choice in order()[:40] if CELLS.architecture(choice).connected][:6]
TIMES = [1.5, 2.0, 3.25, 4.0, 5.0, 6.5]


def rows(name: str) -> list[Any]:
    indices = {choice: index for index, choice in enumerate(order()[:40])}
    return [{"arch": to_string, "index": indices.get, "choice": list}[name](choice)  # type: ignore[operator]
            for choice in CONNECTED]


def written(path: Path, name: str, column: str = "latency_ms") -> Path:
    pairs = list(zip(rows(name), TIMES, strict=True))
    if path.suffix == ".jsonl":
        text = "\n".join(json.dumps({name: network, column: ms}) for network, ms in pairs)
    elif path.suffix == ".json":
        text = json.dumps([{name: network, column: ms} for network, ms in pairs])
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({name: rows(name), column: TIMES}), path)
        return path
    else:
        mark = "\t" if path.suffix == ".tsv" else ";"
        text = "\n".join([f"{name}{mark}{column}", *(
            f"{' '.join(map(str, network)) if name == 'choice' else network}{mark}{ms}" for network, ms in pairs)])
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["arch", "index", "choice"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_form_says_the_same(tmp_path: Path, name: str, suffix: str) -> None:
    found = read_measurements(written(tmp_path / f"given{suffix}", name), CELLS)
    assert [arch.choice for arch in found.networks] == CONNECTED
    assert list(found.latencies_ms) == TIMES
    assert (found.column, found.repeated, found.cut) == ("latency_ms", 0, 0)


def test_units_other_columns_and_a_mapping(tmp_path: Path) -> None:
    micro = read_measurements(written(tmp_path / "us.csv", "index", "latency_us"), CELLS)
    assert micro.latencies_ms == pytest.approx([ms / 1000 for ms in TIMES])
    own = read_measurements(written(tmp_path / "own.csv", "index", "1080ti_1"), CELLS, "1080ti_1")
    assert list(own.latencies_ms) == TIMES
    path = tmp_path / "map.json"
    path.write_text(json.dumps({to_string(c): ms for c, ms in zip(CONNECTED, TIMES, strict=True)}))
    assert list(read_measurements(path, CELLS).latencies_ms) == TIMES


def test_repeated_networks_count_once_and_cut_ones_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "given.jsonl"
    lines = [{"choice": list(CONNECTED[0]), "latency_ms": ms} for ms in (1.0, 9.0, 2.0)]
    path.write_text("\n".join(map(json.dumps, [*lines, {"choice": [0] * 6, "latency_ms": 1}])))
    found = read_measurements(path, CELLS)
    assert (found.latencies_ms, found.repeated, found.cut) == ((2.0,), 2, 1)


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.csv", "index,latency_ms\n3,1.5\n4,0\n", "row 2: latency_ms must be a positive number.*got '0'"),
    ("a.csv", "index,latency_ms\n3,nan\n", "row 1: latency_ms must be"),
    ("a.csv", 'index,latency_ms\n3,"1,5"\n', "decimal point; got '1,5'"),
    ("a.csv", "index,latency_ms\n15625,1\n", "row 1: index must be a whole number from 0 to 15624"),
    ("a.csv", "index,latency_ms\n3\n", "row 1: latency_ms must be.*got None"),
    ("a.csv", "arch,latency_ms\n|none~0|,1\n", "row 1: not a NAS-Bench-201 string"),
    ("a.csv", "choice,latency_ms\n0 1 2,1\n", "row 1:"),
    ("a.csv", "choice,latency_ms\n0 1 2 3 4 9,1\n", "row 1:"),
    ("a.csv", "choice,latency_ms\n0 1 2 3 4 -1,1\n", "row 1: choice must be whole numbers from 0"),
    ("a.csv", "network,latency_ms\nx,1\n", "does not say which networks.*has network, latency_ms"),
    ("a.csv", "index,raspi4\n3,1\n", "name the one with the times, in ms, with --column; it has index, raspi4"),
    ("a.csv", "", "holds no rows"),
    ("a.json", "[1, 2]", "holds no rows"),
    ("a.jsonl", '{"choice": [0], "latency_ms": true}', "row 1:"),
    ("a.jsonl", "{", "a.jsonl, row 1"),
    ("a.parquet", "no parquet", "cannot read .* as parquet"),
    ("a.txt", "x", "measurements are read from .csv"),
])
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_measurements(path, CELLS)


def test_other_spaces_columns_and_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "given.csv", "index")
    with pytest.raises(UsageError, match="space is mobile: add --space nasbench201"):
        read_measurements(path, CHAIN)
    with pytest.raises(InputError, match="no column 'gpu': it has index, latency_ms"):
        read_measurements(path, CELLS, "gpu")
    with pytest.raises(InputError, match="no such file"):
        read_measurements(tmp_path / "none.csv", CELLS)
