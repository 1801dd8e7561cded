"""Published look-up tables: the samples, exact mappings, round trips, and files that are broken."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, TableError
from hwnas.latency import Calibration, Entry, LatencyModel, Table
from hwnas.latency.complete import complete
from hwnas.latency.estimate import estimate
from hwnas.latency.imports import UNKNOWN_DEVICE, fill, import_table, read_published
from hwnas.space import Op, SpaceConfig, build
from hwnas.target import load

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "op_luts"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the published tables are not at hand")

PROXYLESS = "expanded_conv-input:56x56x24-output:28x28x40-expand:6-kernel:5-stride:2-idskip:0"
OFA = "expanded_conv-input:28x28x40-output:28x28x40-expand:240-kernel:5-stride:1-idskip:1-se:1-hs:0"


def key_of(op: Op, form: str) -> str:
    """How the format writes an op of ours."""
    (h, w), skip = op.out_hw, int(op.residual)
    shapes = f"input:{op.height}x{op.width}x{op.in_channels}-output:{h}x{w}x{op.out_channels}"
    if op.kind == "conv":
        return f"Conv-{shapes}"
    expand = op.expand if form == "proxyless" else op.expand * op.in_channels
    text = f"expanded_conv-{shapes}-expand:{expand}-kernel:{op.kernel}-stride:{op.stride}-idskip:{skip}"
    return text if form == "proxyless" else f"{text}-se:{int(op.se)}-hs:{int(op.act == 'hswish')}"


def head_keys(op: Op, form: str) -> list[str]:
    """The layers that a head is made of."""
    first, size = op.hidden[0], f"{op.height}x{op.width}"
    keys = [f"Conv_1-input:{size}x{op.in_channels}-output:{size}x{first}"]
    if form == "proxyless":
        return [*keys, f"Logits-input:{size}x{first}-output:{op.out_channels}"]
    return [*keys, f"AvgPool2D-input:{size}x{first}-output:1x1x{first}",
            f"Conv_2-input:1x1x{first}-output:1x1x{op.hidden[1]}",
            f"Logits-input:1x1x{op.hidden[1]}-output:{op.out_channels}"]


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


# The samples.


@needs_samples
def test_proxylessnas_maps_whole() -> None:
    path = SAMPLES / "proxylessnas_pixel1.json"
    found = read_published(path)
    entries = {entry.signature: entry for entry in found.entries}
    assert (found.format, len(entries), found.unmapped) == ("proxyless", 71, ())
    block = entries["mbconv k5 e6 s2 24-40 56x56 relu6"]
    raw = json.loads(path.read_text())["table"]
    assert (block.median_ms, block.runs) == (raw[PROXYLESS]["mean"], raw[PROXYLESS]["count"])
    assert block.p90_ms - block.median_ms == pytest.approx(1.2815515655 * math.sqrt(raw[PROXYLESS]["var"]))
    head = entries["head k1 e1 s1 320-1000 7x7 relu6 m1280"]
    assert head.median_ms == pytest.approx(6.28499578503688 + 0.9348261327713382)
    assert entries["conv k3 e1 s2 3-32 224x224 relu6"].median_ms == pytest.approx(4.397037934668071)
    lacking = set(build(SpaceConfig("proxyless", 224)).signatures) - set(entries)
    assert len(lacking) == 6
    assert all(" k3 e1 " in s for s in lacking), "ProxylessNAS has no k3 e1 where the shape changes"
    assert found.provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "Pixel 1" in found.provenance["device"]


@needs_samples
def test_fbnet_maps_all_but_skips_that_cost_nothing() -> None:
    found = read_published(SAMPLES / "fbnet_cpu_pytorch.json")
    raw = json.loads((SAMPLES / "fbnet_cpu_pytorch.json").read_text())["table"]
    entries = {entry.signature: entry for entry in found.entries}
    space = build(SpaceConfig("fbnet", 224))
    assert set(space.signatures) - set(entries) == {space.signatures[0], space.signatures[-1]}
    assert Counter(u.why for u in found.unmapped) == {"a skip that keeps the shape costs nothing in our spaces": 16}
    assert entries["fbconv k3 e1 s2 16-24 112x112 relu g2"].median_ms == pytest.approx(raw[1][1] / 1000)
    assert entries["conv k1 e1 s2 16-24 112x112 relu"].median_ms == pytest.approx(raw[1][8] / 1000)
    three = sorted(raw[layer][3] / 1000 for layer in (2, 3, 4))
    alike = entries["fbconv k3 e6 s1 24-24 56x56 relu"]
    assert (alike.median_ms, alike.runs) == (pytest.approx(three[1]), 3)


@needs_samples
def test_fbnet_of_keras_leaves_out_its_grouped_blocks() -> None:
    found = read_published(SAMPLES / "fbnet_rpi4_tf2.json")
    raw = json.loads((SAMPLES / "fbnet_rpi4_tf2.json").read_text())["table"]
    entries = {entry.signature: entry for entry in found.entries}
    assert not any(" g2" in s for s in entries)
    assert sorted(Counter(u.why for u in found.unmapped).values()) == [16, 44]
    assert entries["fbconv k3 e1 s1 16-16 32x32 relu"].median_ms == pytest.approx(raw[0][0] / 1000)
    assert entries["fbconv k5 e6 s2 16-24 32x32 relu"].median_ms == pytest.approx(raw[1][7] / 1000)
    assert entries["fbconv k3 e3 s1 184-352 8x8 relu"].median_ms == pytest.approx(raw[21][2] / 1000)


@needs_samples
def test_single_path_cannot_be_mapped() -> None:
    with pytest.raises(InputError, match="does not say what its options are"):
        read_published(SAMPLES / "singlepath_pixel1.json")


@needs_samples
def test_fbnet_as_text_is_the_same_table(tmp_path: Path) -> None:
    data = json.loads((SAMPLES / "fbnet_cpu_pytorch.json").read_text())
    text = "\n".join(" ".join(map(str, row)) for row in (data["ops"], *data["table"]))
    found = read_published(write(tmp_path / "lookup_table.txt", text))
    assert set(found.entries) == set(read_published(SAMPLES / "fbnet_cpu_pytorch.json").entries)
    assert found.provenance["device"] == UNKNOWN_DEVICE


# A whole space, from its ops to the file and back.


@pytest.mark.parametrize("space, suffix", [("proxyless", ".yaml"), ("proxyless", ".json"), ("ofa", ".yaml")])
def test_a_whole_space_comes_back_and_predicts(tmp_path: Path, space: str, suffix: str) -> None:
    built = build(SpaceConfig(space, 160))
    table, total = {}, {}
    for i, op in enumerate(map(Op.parse, built.signatures), 1):
        keys = head_keys(op, space) if op.kind == "head" else [key_of(op, space)]
        total[op.signature] = i * len(keys)
        table |= {key: {"mean": float(i), "count": 7} for key in keys}
    path = write(tmp_path / f"t{suffix}", table if suffix == ".json" else yaml.safe_dump(table))
    found = read_published(path)
    assert found.unmapped == ()
    assert {e.signature: e.median_ms for e in found.entries} == total
    made = import_table(found, tmp_path / "t.jsonl", load("local"))
    model = LatencyModel.from_table(Table.read(made.path, load("local")), built)
    assert model.source == "imported"
    prediction = model.predict(built.largest())
    assert prediction.measured_share == 0
    assert prediction.latency_ms == pytest.approx(sum(total[op.signature] for op in built.largest().ops
                                                      if op.kind != "skip"))


CHANNELS = st.integers(1, 40).map(lambda n: 8 * n)
BLOCKS = st.builds(
    lambda cin, cout, size, k, e, s, se, act: Op("mbconv", cin, cout, size, size, kernel=k, expand=e, stride=s, se=se,
                                                 act=act),
    CHANNELS, CHANNELS, st.integers(1, 256), st.sampled_from([1, 3, 5, 7, 11]), st.integers(1, 8), st.integers(1, 3),
    st.booleans(), st.sampled_from(["relu", "hswish"]),
)
TIMES = st.floats(0, 1e4, allow_nan=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(blocks=st.lists(BLOCKS, min_size=1, max_size=6), time=TIMES, ofa=st.booleans())
def test_every_block_comes_back(tmp_path: Path, blocks: list[Op], time: float, ofa: bool) -> None:
    form = "ofa" if ofa else "proxyless"
    ops = blocks if ofa else [Op.parse(f"{str(b.signature).split(' se')[0].rsplit(' ', 1)[0]} relu6") for b in blocks]
    table = {key_of(op, form): {"mean": time, "var": 0.01} for op in ops}
    found = read_published(write(tmp_path / "t.json", {"unit": "us", "device": "d", "table": table}))
    assert {e.signature for e in found.entries} == {op.signature for op in ops}
    assert all(e.median_ms == pytest.approx(time / 1000) and 0 <= e.p10_ms <= e.median_ms for e in found.entries)
    assert all(e.p90_ms - e.median_ms == pytest.approx(1.2815515655 * 0.1 / 1000) for e in found.entries)
    assert found.provenance["device"] == "d"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(rows=st.lists(st.lists(TIMES, min_size=2, max_size=2), min_size=22, max_size=22),
       imgsz=st.sampled_from([32, 64, 128, 224]))
def test_every_layer_of_fbnet_has_its_row(tmp_path: Path, rows: list[list[float]], imgsz: int) -> None:
    text = "ir_k3_e3 skip\n" + "\n".join(f"{a!r} {b!r}" for a, b in rows)
    found = {e.signature: e for e in read_published(write(tmp_path / "t.txt", text), imgsz=imgsz).entries}
    choices = build(SpaceConfig("fbnet", imgsz)).choices
    for choice in choices:
        alike = sorted(row[0] / 1000 for row, c in zip(rows, choices, strict=True) if c.ops[2] == choice.ops[2])
        entry = found[choice.ops[2].signature]
        middle = (alike[(len(alike) - 1) // 2] + alike[len(alike) // 2]) / 2
        assert entry.median_ms == pytest.approx(middle)
        assert entry.runs == len(alike)


# What is not exact is left out, with the reason.


@pytest.mark.parametrize("key, why", [
    (PROXYLESS.replace("idskip:0", "idskip:1"), "idskip:1, but our mbconv adds"),
    (PROXYLESS.replace("kernel:5", "kernel:4"), "kernel must be odd"),
    (PROXYLESS.replace("output:28x28", "output:27x27"), "does not follow"),
    ("expanded_conv-input:56x56x24-output:28x28x40", "without the options"),
    ("Conv_9-input:1x1x8-output:1x1x8", "layer Conv_9 is none of"),
    ("Conv_1-input:7x7x320-output:7x7x1280", "head is Conv_1, Logits together"),
    ("Logits-input:7x7x1280-output:1000", "head is Conv_1, Logits together"),
    ("Conv-input:224x224x3-output:100x100x32", "does not follow"),
    ("note", "not a key of this format"),
])
def test_proxyless_leaves_out(tmp_path: Path, key: str, why: str) -> None:
    good = PROXYLESS.replace("expand:6", "expand:3")
    found = read_published(write(tmp_path / "t.json", {good: 1.0, key: 2.0}))
    assert [e.signature for e in found.entries] == ["mbconv k5 e3 s2 24-40 56x56 relu6"]
    assert [u.key for u in found.unmapped] == [key]
    assert why in found.unmapped[0].why


@pytest.mark.parametrize("key, why", [
    (OFA.replace("expand:240", "expand:250"), "250 hidden channels are no multiple of the 40"),
    (PROXYLESS, "without the options of the ofa format"),
    ("Conv_1-input:7x7x160-output:7x7x960", "AvgPool2D"),
])
def test_ofa_leaves_out(tmp_path: Path, key: str, why: str) -> None:
    found = read_published(write(tmp_path / "t.json", {OFA: 1.0, key: 2.0}))
    assert [e.signature for e in found.entries] == ["mbconv k5 e6 s1 40-40 28x28 relu se"]
    assert why in found.unmapped[0].why


def test_fbnet_leaves_out_what_it_does_not_know(tmp_path: Path) -> None:
    text = "ir_k3_e1 ir_k3_e1_se\n" + "1 2\n" * 22
    found = read_published(write(tmp_path / "t.txt", text))
    assert len(found.unmapped) == 22
    assert "no op of ours is exactly 'ir_k3_e1_se'" in found.unmapped[0].why


# Broken files: one line that names the file and what to look at.

LAYER = {"in_chw": [16, 8, 8], "out_c": 16, "stride": 1}
BROKEN = {
    "empty.json": ("", "not valid JSON|got nothing"),
    "empty.yaml": ("", "got nothing"),
    "list.yaml": ("- 1\n- 2\n", "expected a mapping"),
    "times.txt": ("1.0 2.0 3.0\n4.0 5.0 6.0\n", "first line has 3 numbers and no names"),
    "torn.json": ('{"Conv-input', "not valid JSON"),
    "bad.yaml": ("a: [1\nb: }", "not valid YAML"),
    "other.json": ({"a": 1}, "not in a format"),
    "nested.json": ({"table": 3}, "not in a format"),
    "negative.json": ({PROXYLESS: -1}, "a time must be a number, 0 or more and .* got -1"),
    "text.json": ({PROXYLESS: {"mean": "fast"}}, "mean: a time must be a number"),
    "true.json": ({PROXYLESS: True}, "a time must be a number"),
    "nan.json": ('{"%s": NaN}' % PROXYLESS, "NaN is no JSON number"),  # noqa: UP031
    "infinite.json": ('{"%s": 1e999}' % PROXYLESS, "beyond what a float holds"),  # noqa: UP031
    "huge.json": ({PROXYLESS: 10**400}, "a number of 401 digits"),
    "variance.json": ({PROXYLESS: {"mean": 1, "var": -1}}, "var: a time must be a number"),
    "no-mean.json": ({PROXYLESS: {"median": 1}}, "expected a number or a mapping with 'mean'"),
    "unit.json": ({"unit": "hours", "table": {PROXYLESS: 1}}, "unit must be one of"),
    "none.json": ({PROXYLESS.replace("idskip:0", "idskip:1"): 1}, "none of its 1 keys"),
    "short.txt": ("ir_k3_e1 skip\n1 2\n", "FBNet has 22 layers, the file has 1"),
    "uneven.txt": ("ir_k3_e1 skip\n" + "1 2\n" * 21 + "1\n", "line 23: 2 times expected"),
    "word.txt": ("ir_k3_e1 skip\n" + "1 2\n" * 21 + "1 x\n", "line 23: a time must be a number"),
    "minus.txt": ("ir_k3_e1 skip\n" + "1 2\n" * 21 + "1 -2\n", "line 23: a time must be a number"),
    "ops.json": ({"ops": 3, "table": [[1]]}, "'ops' must be a list"),
    "no-layers.json": ({"ops": ["k3_e1"], "table": [[1]]}, "the rows need 'layers'"),
    "rows.json": ({"ops": ["k3_e1"], "table": [[1], [2]], "layers": [LAYER]}, "1 layers are described"),
    "wide.json": ({"ops": ["k3_e1"], "table": [[1, 2]], "layers": [LAYER]}, "row 0 of 'table': 1 times expected"),
    "cell.json": ({"ops": ["k3_e1"], "table": [[None]], "layers": [LAYER]}, "row 0 of 'table': a time must"),
    "layer.json": ({"ops": ["k3_e1"], "table": [[1]], "layers": [{"in_chw": [16, 8]}]}, "each with in_chw"),
    "endless.json": ({"ops": ["k3_e1"], "table": [[1]], "stage_channels": [16], "stage_repeats": [10**12],
                      "input": "1x32x32x3 strides 1,1"}, "layers in stage_repeats"),
    "strides.json": ({"ops": ["k3_e1"], "table": [[1]], "stage_channels": [16], "stage_repeats": [1],
                      "input": "1x32x32x3"}, "shape and strides"),
    "row.csv": ("signature,median_ms\nnonsense,1\n", "row 1"),
    "columns.csv": ("a,b\n1,2\n", "no column 'signature'"),
    "none.csv": ("", "no column 'signature'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_clear_line(tmp_path: Path, name: str) -> None:
    content, message = BROKEN[name]
    with pytest.raises(InputError, match=message) as caught:
        read_published(write(tmp_path / name, content))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_binary_and_folder(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    for path, message in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "is a folder"),
                          (tmp_path / "b.yaml", "UTF-16")):
        with pytest.raises(InputError, match=message):
            read_published(path)


SEEDS = [
    ("t.json", json.dumps({"unit": "ms", "table": {PROXYLESS: {"mean": 1.5, "var": 0.1, "count": 3}}})),
    ("t.yaml", f"{OFA}:\n  mean: 1.5\n  count: 2\n{OFA.replace('240', '120')}: 3\n"),
    ("t.txt", "ir_k3_e1 skip\n" + "1.5 2\n" * 22),
    ("t.json", json.dumps({"ops": ["k3_e1", "skip"], "unit": "us", "table": [[1, 2]], "layers": [LAYER]})),
    ("t.csv", "signature,median_ms,p10_ms,p90_ms,runs,when\nconv k3 e1 s1 8-8 8x8 relu,1.0,1.0,1.0,3,\n"),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(seed=st.sampled_from(SEEDS), where=st.integers(0, 400), gone=st.integers(0, 20), put=st.binary(max_size=6))
def test_damage_is_read_or_refused_but_never_a_traceback(
    tmp_path: Path, seed: tuple[str, str], where: int, gone: int, put: bytes
) -> None:
    name, text = seed
    raw = text.encode()
    (tmp_path / name).write_bytes(raw[:where] + put + raw[where + gone:])
    entries, message = (), ""
    try:
        entries = read_published(tmp_path / name).entries
    except InputError as err:
        message = str(err)
    assert len(message.splitlines()) == (0 if entries else 1)
    assert all(math.isfinite(e.median_ms) and e.median_ms >= 0 for e in entries)


# What becomes of them.


def test_an_imported_table_says_where_it_comes_from(tmp_path: Path) -> None:
    file = write(tmp_path / "mobile.json", {"table": {PROXYLESS: 1.0}, "device": "a phone"})
    table = import_table(read_published(file), tmp_path / "t.jsonl", load("local"))
    again = Table.read(table.path, load("local"))
    assert again.source == "imported"
    assert again.device == {"cpu": "a phone"}
    assert again.header["provenance"][0]["file"] == "mobile.json"
    assert again.differs_from({"cpu": "this", "flags": []}) == ["source: imported / measured", "cpu: a phone / this"]
    assert str(tmp_path) not in table.path.read_text(), "no path of a machine in a table"


def test_a_second_file_adds_and_the_same_file_does_not_repeat(tmp_path: Path) -> None:
    one = read_published(write(tmp_path / "160.json", {PROXYLESS: 1.0}))
    two = read_published(write(tmp_path / "192.json", {PROXYLESS.replace("expand:6", "expand:3"): 2.0}))
    for found in (one, two, one):
        table = import_table(found, tmp_path / "t.jsonl", load("local"))
    assert len(table.entries) == 2
    assert [p["file"] for p in Table.read(table.path).header["provenance"]] == ["192.json", "160.json"]


def test_numbers_of_two_kinds_never_share_a_table(tmp_path: Path) -> None:
    found = read_published(write(tmp_path / "a.json", {"table": {PROXYLESS: 1.0}, "device": "a phone"}))
    measured = Table.open(tmp_path / "m.jsonl", load("local"), {"cpu": "this"})
    measured.add([Entry("conv k3 e1 s1 8-8 8x8 relu", 1, 1, 1, 8, "")])
    before = measured.path.read_bytes()
    with pytest.raises(TableError, match="source: measured / imported"):
        import_table(found, measured.path, load("local"))
    assert measured.path.read_bytes() == before
    import_table(found, tmp_path / "t.jsonl", load("local"))
    other = read_published(write(tmp_path / "b.json", {"table": {PROXYLESS: 1.0}, "device": "another phone"}))
    with pytest.raises(TableError, match="a target of their own"):
        import_table(other, tmp_path / "t.jsonl", load("local"))
    with pytest.raises(TableError, match="is not the table of"):
        import_table(found, tmp_path / "t.jsonl", load("local", batch=4))


def test_a_standard_deviation_spreads_the_percentiles_as_its_variance_does(tmp_path: Path) -> None:
    entries = []
    for spread in ({"std": 0.5}, {"var": 0.25}):
        file = tmp_path / "t.json"
        file.write_text(json.dumps({PROXYLESS: {"mean": 2.0, "count": 9, **spread}}), encoding="utf-8")
        entries += read_published(file).entries
    assert entries[0] == entries[1]
    assert entries[0].p10_ms < entries[0].median_ms < entries[0].p90_ms


# What a file says, and what it does not.


@pytest.mark.parametrize("value", [{"mean": 2.0, "std": 0.5}, {"mean": 2.0, "stdev": 0.5, "n": 1},
                                   {"avg": 2.0, "variance": 0.25}, {"mean": 2.0, "sd": 0.5, "var": 0.25}])
def test_spreads_are_kept_however_they_are_spelled(tmp_path: Path, value: dict[str, float]) -> None:
    found = read_published(write(tmp_path / "t.json", {PROXYLESS: value}))
    assert found.entries[0].p90_ms - 2.0 == pytest.approx(1.2815515655 * 0.5)
    assert found.unread == {}


def test_what_is_not_understood_is_told_and_contradictions_are_refused(tmp_path: Path) -> None:
    found = read_published(write(tmp_path / "t.json", {PROXYLESS: {"mean": 2.0, "jitter": 0.5}}))
    assert found.to_json()["unread"] == {"jitter": 1}
    with pytest.raises(InputError, match=r"var 1 is not the square of std 0\.5"):
        read_published(write(tmp_path / "t.json", {PROXYLESS: {"mean": 2.0, "std": 0.5, "var": 1.0}}))
    layers = {"ops": ["k3_e1"], "table": [[1.0]], "std": [[0.1]], "layers": [{"in_chw": [16, 8, 8], "out_c": 16,
                                                                             "stride": 1}]}
    assert read_published(write(tmp_path / "l.json", layers)).unread == {"std": 1}


def test_files_without_a_header_are_told_what_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"first line has 3 numbers and no names.* `k3_e1 k3_e1_g2"):
        read_published(write(tmp_path / "lut.txt", "1.5 2.5 3\n4 5 6\n"))
    with pytest.raises(InputError, match="put this line in front: signature,median_ms,p10_ms,p90_ms,runs,when"):
        read_published(write(tmp_path / "t.csv", "conv k3 e1 s2 3-16 32x32 relu,0.5,0.4,0.6,3,\n"))


ROWS = "signature,median_ms,p10_ms,p90_ms,runs,when,runtime,batch,threads,device,source\n"
ROW = "conv k{} e1 s2 3-16 32x32 relu,0.5,0.4,0.6,3,,{},1,4,{},measured\n"


def test_rows_of_another_runtime_are_refused(tmp_path: Path) -> None:
    target = load("raspberry-pi-4")
    found = read_published(write(tmp_path / "a.csv", ROWS + ROW.format(3, "openvino", "a")))
    with pytest.raises(TableError, match="says runtime 'openvino', target raspberry-pi-4 has onnxruntime"):
        import_table(found, tmp_path / "t.jsonl", target)
    assert not (tmp_path / "t.jsonl").exists()
    found = read_published(write(tmp_path / "b.csv", ROWS + ROW.format(3, "onnxruntime", "a")))
    assert "assumed" not in import_table(found, tmp_path / "t.jsonl", target).header["provenance"][0]
    bare = "signature,median_ms,p10_ms,p90_ms,runs,when\nconv k3 e1 s2 3-16 32x32 relu,0.5,0.4,0.6,3,\n"
    made = import_table(read_published(write(tmp_path / "c.csv", bare)), tmp_path / "u.jsonl", target)
    assert made.header["provenance"][0]["assumed"].startswith("onnxruntime, batch 1, 4 threads, as target")
    with pytest.raises(InputError, match=r"several values of device \(a, b\)"):
        read_published(write(tmp_path / "d.csv", ROWS + ROW.format(3, "onnxruntime", "a")
                             + ROW.format(5, "onnxruntime", "b")))


def test_missing_ops_are_estimated_from_those_most_like_them(tmp_path: Path) -> None:
    space, target = build(SpaceConfig("mobile", 32, classes=10)), load("raspberry-pi-4")
    truth = estimate(space, target).entries_ms
    gone = list(space.signatures)[3::9]
    rows = "".join(f"{s},{t},{t},{t},3,\n" for s, t in truth.items() if s not in gone)
    file = write(tmp_path / "t.csv", "signature,median_ms,p10_ms,p90_ms,runs,when\n" + rows)
    table = import_table(read_published(file), tmp_path / "t.jsonl", target)
    assert fill(table, space.signatures) == gone
    assert table.missing(space.signatures) == gone, "they are no measurements"
    filled = {s: Table.read(table.path).entries[s] for s in gone}
    assert all(entry.runs == 0 and entry.p10_ms < entry.median_ms < entry.p90_ms for entry in filled.values())
    off = [abs(math.log(entry.median_ms / truth[s])) for s, entry in filled.items()]
    assert sum(off) / len(off) < 0.25
    model = complete(table, space, load("local"))
    assert model is not None, "no hardware figures are needed"
    assert model.source == "estimated"
    assert model.entries_ms == pytest.approx({**truth, **{s: e.median_ms for s, e in filled.items()}}, abs=1e-6)
    assert model.calibration.log_spread > Calibration().log_spread
    with pytest.raises(TableError, match="too few to estimate"):
        fill(Table.assemble(tmp_path / "x", table.header, []), space.signatures)
