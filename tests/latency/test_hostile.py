"""Tables, latency models and published tables from somebody else: usable to the end, or one line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.documents import read_json
from hwnas.errors import InputError, TableError
from hwnas.generate import solve, solve_precisions
from hwnas.latency import Calibration, LatencyModel, MixedPrecisionModel, Table, changes_of
from hwnas.latency.adapted import AdaptedModel, adapted_path, read_adapted, write_adapted
from hwnas.latency.estimate import estimate
from hwnas.latency.imports import import_table, read_published
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import load
from tests.mutations import damaged_bytes, documents, fuzzed, judged, lines

SPACE = build(SpaceConfig("mobile", 16, 1, 10, depth=1))
CELLS = build(SpaceConfig("nasbench201", 32, 3, 10, depth=1))
HEADER = {"hwnas_table": 1, "target": "x86", "runtime": {"name": "onnxruntime", "version": "1.20"}, "precision": "fp32",
          "batch": 1, "threads": 1, "cores": None, "device": {"cpu": "a", "flags": ["avx"], "mhz": 2250.0},
          "source": "measured", "created": "2026-01-01T00:00:00+00:00", "tool_version": "0.1.0",
          "provenance": [{"file": "a", "sha256": "0" * 64, "format": "ofa", "device": "b", "unit": "ms",
                          "statistic": "mean"}],
          "merged_from": [{"file": "b", "target": "c", "device": {"cpu": "d"}, "content_hash": "e"}]}
CALIBRATION = Calibration("affine+weights", 1.05, 0.02, 0.01, 0.05, 0.03, 12.0, 11, 2.5, {"mape": 2.0}, 0.2)


def entry_of(signature: str, ms: float) -> dict[str, Any]:
    return {"signature": signature, "median_ms": ms, "p10_ms": 0.9 * ms, "p90_ms": 1.1 * ms, "runs": 40, "when": "2026"}


def table_of(space: Space) -> list[dict[str, Any]]:
    entries = [entry_of(s, 0.01 * (i + 1)) for i, s in enumerate(space.signatures)]
    record = {**CALIBRATION.to_json(), "space": space.fingerprint, "when": "2026"}
    return [HEADER, *entries, {"calibration": record}]


def used(model: LatencyModel, space: Space) -> None:
    """Everything that a model is for, up to the exact program that adds its costs up in 64 bits."""
    model.check(space)
    largest = model.predict(space.largest())
    assert 0 <= largest.low_ms <= largest.latency_ms <= largest.high_ms < float("inf")
    for confidence in (0.5, 0.9, 0.999):
        fixed, costs = model.costs_ns(space, confidence)
        total = fixed + sum(int(row.max()) for row in costs)
        assert abs(total) < 2**62
        solve([np.zeros(len(row)) for row in costs], {"latency": costs}, {"latency": total + 1},
              fixed={"latency": fixed})


@fuzzed
@given(content=lines(table_of(SPACE)))
def test_tables(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "table.jsonl"
    path.write_bytes(content)
    table = judged(lambda: Table.read(path))
    if table is not None:
        assert len(table.content_hash) == 64
        judged(lambda: used(LatencyModel.from_table(table, SPACE), SPACE))
        judged(lambda: table.differs_from(HEADER["device"]))  # type: ignore[arg-type]


def mixed_table(space: Space) -> list[dict[str, Any]]:
    """The same in two precisions, with changes between them."""
    header, *entries, calibration = table_of(space)
    other = [{**e, "precision": "int8"} for e in entries]
    changes = [entry_of(change.signature, 0.01) for change in changes_of(space, ("fp32", "int8"))]
    record = {"calibration": {**calibration["calibration"], "precision": "int8"}}
    return [{**header, "hwnas_table": 2}, *entries, *other, *changes, calibration, record]


def used_mixed(model: MixedPrecisionModel, space: Space) -> None:
    """Predictions and the program over ops and precisions."""
    costs = model.costs_ns(space)
    for number in range(len(model.precisions)):
        arch, plan = costs.plan([number] * len(costs.places))
        found = model.predict(arch, plan)
        assert 0 <= found.low_ms <= found.latency_ms <= found.high_ms < float("inf")
    most = sum(int(row.max()) for row in costs.rows) + sum(int(grid.max()) for grid in costs.changes.values())
    assert abs(most) < 2**62
    solve_precisions([np.zeros(len(row)) for row in costs.rows], {"latency": costs.rows}, {"latency": most + 1},
                     changes={"latency": costs.changes}, carries=costs.carries)


@fuzzed
@given(content=lines(mixed_table(SPACE)))
def test_tables_of_two_precisions(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "mixed.jsonl"
    path.write_bytes(content)
    judged(lambda: used_mixed(MixedPrecisionModel.from_tables(Table.read(path), SPACE), SPACE))


def test_the_table_of_two_precisions_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in mixed_table(SPACE)))
    model = MixedPrecisionModel.from_tables(Table.read(path), SPACE)
    assert model.precisions == ("fp32", "int8")
    used_mixed(model, SPACE)


MIXED = MixedPrecisionModel(
    {p: LatencyModel("x86", "measured", dict.fromkeys(SPACE.signatures, 0.01), CALIBRATION, "ab", p)
     for p in ("fp32", "int8")},
    {change.signature: 0.002 for change in changes_of(SPACE, ("fp32", "int8"))}).to_json()


@fuzzed
@given(content=documents(MIXED))
def test_models_of_two_precisions(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "mixed.json"
    path.write_bytes(content)
    judged(lambda: used_mixed(MixedPrecisionModel.from_json(read_json(path)), SPACE))


@fuzzed
@given(content=lines(table_of(CELLS)))
def test_tables_of_cells(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "cells.jsonl"
    path.write_bytes(content)
    judged(lambda: used(LatencyModel.from_table(Table.read(path), CELLS), CELLS))


MODELS = [LatencyModel("x86", "measured", dict.fromkeys(SPACE.signatures, 0.01), CALIBRATION, "ab",
                       errors_ms={SPACE.signatures[0]: 0.001}).to_json(),
          json.loads(json.dumps(estimate(SPACE, load("raspberry-pi-4")).to_json())),
          json.loads(json.dumps(estimate(CELLS, load("jetson")).to_json()))]


@fuzzed
@given(case=st.integers(0, 2).flatmap(lambda i: st.tuples(st.just(i), documents(MODELS[i]))))
def test_latency_models(tmp_path_factory: pytest.TempPathFactory, case: tuple[int, bytes]) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "latency.json"
    path.write_bytes(case[1])
    judged(lambda: used(LatencyModel.from_json(read_json(path)), CELLS if case[0] == 2 else SPACE))


PROXYLESS = "expanded_conv-input:56x56x24-output:28x28x40-expand:6-kernel:5-stride:2-idskip:0"
PUBLISHED = {
    "keys.json": {"unit": "ms", "device": "p", "table": {PROXYLESS: {"mean": 1.5, "var": 0.1, "count": 3}}},
    "layers.json": {"ops": ["k3_e1", "skip"], "unit": "us", "table": [[1.0, 2.0]],
                    "layers": [{"in_chw": [16, 8, 8], "out_c": 16, "stride": 1}]},
    "keras.json": {"ops": ["k3_e1", "skip"], "table": [[1.0, 2.0]], "stage_channels": [16], "stage_repeats": [1],
                   "input": "1x32x32x3 strides 1,1"},
}
TEXTS = {
    "nni.txt": "{'op_name': 'mb_k3_e2_res', 'op_data_shape': (28, 28, 32, 32, 1), 'op_dtype': 'float', "
               "'op_latency': 310.5}\n" * 3,
    "fbnet.txt": "ir_k3_e1 skip\n" + "1.5 2\n" * 22,
    "ofa.yaml": f"{PROXYLESS}:\n  mean: 1.5\n  count: 2\n",
    "rows.csv": "signature;median_ms;p10_ms;p90_ms;runs;when\nconv k3 e1 s2 3-16 32x32 relu;0,5;0,4;0,6;3;2026\n" * 1,
}


@fuzzed
@given(case=st.sampled_from(sorted(PUBLISHED)).flatmap(lambda n: st.tuples(st.just(n), documents(PUBLISHED[n])))
       | st.sampled_from(sorted(TEXTS)).flatmap(lambda n: st.tuples(st.just(n), damaged_bytes(TEXTS[n].encode()))))
def test_published_tables(tmp_path_factory: pytest.TempPathFactory, case: tuple[str, bytes]) -> None:
    path: Path = tmp_path_factory.getbasetemp() / case[0]
    path.write_bytes(case[1])
    found = judged(lambda: read_published(path))
    if found is not None:
        out = path.with_name("imported.jsonl")
        out.unlink(missing_ok=True)
        import_table(found, out, load("raspberry-pi-4"))
        assert len(Table.read(out).entries) == len(found.entries)


@pytest.mark.parametrize("change", [
    {"median_ms": 1e308}, {"median_ms": 1e-320}, {"p10_ms": 0.02}, {"p90_ms": 0.001}, {"median_ms": -1}, {"runs": -1},
    {"median_ms": True}, {"signature": "x"}, {"signature": 3}, {"when": None}])
def test_an_entry_that_cannot_be_is_named_by_its_line(tmp_path: Path, change: dict[str, Any]) -> None:
    path, (header, first, *rest) = tmp_path / "t.jsonl", table_of(SPACE)
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, {**first, **change}, *rest)))
    with pytest.raises(TableError, match=r"t\.jsonl, line 2: .*repair or delete that line"):
        Table.read(path)


@pytest.mark.parametrize("change", [{"a": -1.0}, {"a": 0}, {"log_spread": 1e9}, {"c_ms_per_mb": -1}, {"b_ms": 1e308},
                                    {"kinds": {"mbconv": -2}}, {"log_sd": 0.1, "freedom": 0}])
def test_a_calibration_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="the calibration"):
        Calibration.from_json({**CALIBRATION.to_json(), **change})


def test_a_table_by_which_the_largest_network_costs_nothing_is_refused(tmp_path: Path) -> None:
    path, (header, *entries, _) = tmp_path / "t.jsonl", table_of(SPACE)
    zero = {"median_ms": 0, "p10_ms": 0, "p90_ms": 0}
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *({**e, **zero} for e in entries))))
    with pytest.raises(TableError, match="the largest network"):
        LatencyModel.from_table(Table.read(path), SPACE)


def test_a_spreadsheet_with_decimal_commas(tmp_path: Path) -> None:
    rows = ("signature{0}median_ms{0}p10_ms{0}p90_ms{0}runs{0}when\n"
            "conv k3 e1 s2 3-16 32x32 relu{0}{1}{0}0,4{0}0,6{0}3{0}\n")
    for name, separator in (("a.csv", ";"), ("a.tsv", "\t"), ("b.csv", "\t")):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + rows.format(separator, "0,523").encode())
        (entry,) = read_published(path).entries
        assert (entry.median_ms, entry.p10_ms, entry.runs) == (0.523, 0.4, 3)
    for number, why in (("0.523", "points and decimal commas"), ("abc", "row 1")):
        path.write_text(rows.format("\t", number))
        with pytest.raises(InputError, match=why):
            read_published(path)
    path.write_text("signature;median_ms;p10_ms;p90_ms;runs;when\nconv k3 e1 s2 3-16 32x32 relu;1,234;1,234;1,234;3;\n")
    with pytest.raises(InputError, match="one of thousands"):
        read_published(path)


def test_nni_maps_exactly(tmp_path: Path) -> None:
    def line(name: str, shape: tuple[int, ...], us: float = 100.0) -> str:
        return str({"op_name": name, "op_data_shape": shape, "op_dtype": "float", "op_latency": us})

    path = tmp_path / "lut.txt"
    path.write_text("\n".join([
        line("mb_k3_e2_res", (28, 20, 32, 32, 1)), line("mb_k5", (28, 28, 32, 64, 2), 1000.0),
        line("mb_k5_res", (28, 28, 32, 64, 2), 2000.0), line("sep_k3", (7, 7, 16, 24, 1)),
        line("skip", (28, 28, 16, 32, 1)), line("skip", (28, 28, 16, 16, 1)), line("mb_k3", (28, 28, 32, 32, 1)),
        line("gh_k3", (28, 28, 32, 32, 1)), line("mb_k3_res_se", (28, 28, 32, 32, 1))]) + "\n")
    found = read_published(path)
    assert {e.signature: (e.median_ms, e.runs) for e in found.entries} == {
        "fbconv k3 e2 s1 32-32 20x28 relu": (0.1, 1), "fbconv k5 e1 s2 32-64 28x28 relu": (1.5, 2),
        "atrous k3 e1 s1 16-24 7x7 relu": (0.1, 1), "conv k1 e1 s1 16-32 28x28 relu": (0.1, 1)}
    assert [u.key for u in found.unmapped] == ["skip of line 6", "mb_k3 of line 7", "gh_k3 of line 8",
                                               "mb_k3_res_se of line 9"]
    assert (found.format, found.provenance["unit"]) == ("nni", "us")


def adapted_document() -> dict[str, Any]:
    networks = [SPACE.smallest(), SPACE.largest()]
    model = LatencyModel("raspberry-pi-4", "estimated", dict.fromkeys(SPACE.signatures, 0.01), CALIBRATION, "ab")
    kept = AdaptedModel(model, {"cpu": "a", "flags": ["avx"]}, "a table", 2.0, 9.0, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = adapted_path(Path(folder), load("raspberry-pi-4"), SPACE)
        write_adapted(path, kept, load("raspberry-pi-4"), SPACE, content_hash="ab", source="measured",
                      networks=networks, networks_ms=[1.0, 2.0])
        found: dict[str, Any] = read_json(path)
    return found


@fuzzed
@given(content=documents(adapted_document()))
def test_adapted_models(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "adapted.json"
    path.write_bytes(content)
    found = judged(lambda: read_adapted(path, load("raspberry-pi-4"), SPACE))
    if found is not None:
        assert len(found.told) < 20_000
        judged(lambda: used(found.model, SPACE))
