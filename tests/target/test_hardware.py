"""Public figures of devices: every one has a source, and what follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hwnas import target
from hwnas.errors import InputError
from hwnas.target import Hardware

SHIPPED = (
    "intel-igpu", "intel-npu", "jetson-agx-orin", "jetson-nano", "jetson-orin-nano", "jetson-orin-nx", "jetson-tx2",
    "jetson-xavier-nx", "local", "nvidia-a10", "nvidia-h100", "nvidia-l4", "nvidia-rtx-4090", "nvidia-t4",
    "raspberry-pi-4", "raspberry-pi-5", "x86-avx2", "x86-avx512",
)
GOOD = {
    "processor": "cpu", "launch": "cpu", "memory_gb": 4, "peak_tops": {"fp32": 1.0, "int8": 4.0}, "bandwidth_gbs": 10.0,
    "lanes": 16, "cores": 4,
    "sources": {"memory_gb": "a", "peak_tops": "b", "bandwidth_gbs": "c", "lanes": "d"},
}


def refused(folder: Path, hardware: object, **fields: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "hardware": hardware, **fields}), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        target.load(str(path))
    return str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_described_and_says_how_it_is_packed(name: str) -> None:
    found = target.read(target.data_folder("targets") / f"{name}.yaml")
    assert found.description
    assert found.docker is not None
    assert (found.docker.base_image is None) == (found.docker.stage is None)
    if name == "local":
        assert found.hardware is None, "this machine is measured, not estimated"
        return
    assert found.hardware is not None
    assert found.precision in found.hardware.peak_tops
    assert all(len(source) > 7 for source in found.hardware.sources.values())
    assert found.threads <= found.hardware.cores


def test_only_the_two_that_end_at_jetpack_4_have_no_docker_stage() -> None:
    without = {name for name in SHIPPED if target.load(name).docker.stage is None}  # type: ignore[union-attr]
    assert without == {"jetson-nano", "jetson-tx2"}
    for name in without:
        assert "JetPack 4" in target.load(name).docker.note  # type: ignore[union-attr]


def test_peaks_by_hand() -> None:
    # Pi 4: 4 cores x 1.5 GHz x 4 lanes = 24e9 multiply-accumulates a second, 24e6 a ms; a quarter on one thread
    pi = target.load("raspberry-pi-4").hardware
    assert pi is not None
    assert pi.peak("fp32", 4) == pytest.approx(24e6)
    assert pi.peak("fp32", 1) == pytest.approx(6e6)
    assert pi.peak("int8", 4) == pi.peak("fp32", 4), "no int8 peak of its own"
    assert pi.additions("fp32", 4) == pytest.approx(48e6)
    # Jetson Nano: 128 cores x 0.9216 GHz
    nano = target.load("jetson-nano").hardware
    assert nano is not None
    assert nano.peak("fp32", 1) == pytest.approx(128 * 0.9216e6, rel=2e-3)
    assert nano.peak("fp16", 1) == pytest.approx(2 * nano.peak("fp32", 1))
    assert nano.additions("fp32", 1) == nano.peak("fp32", 1)
    # an NPU without fp32 falls back to its slowest
    npu = target.load("intel-npu").hardware
    assert npu is not None
    assert npu.peak("fp32", 1) == npu.peak("fp16", 1)


@pytest.mark.parametrize("name", [n for n in SHIPPED if n != "local"])
def test_lanes_and_peak_agree_on_a_clock_that_such_a_device_has(name: str) -> None:
    hardware = target.load(name).hardware
    assert hardware is not None
    peak = hardware.peak_tops.get("fp32", hardware.peak_tops.get("fp16", 0.0))
    ghz = peak * 1e3 / 2 / hardware.lanes
    assert 0.5 <= ghz <= 3.2


def test_good_figures_are_taken() -> None:
    assert Hardware.model_validate(GOOD).peak("int8", 2) == 1e9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 0}, "hardware.lanes: .*not 0"),
        ({"bandwidth_gbs": -1}, "hardware.bandwidth_gbs: .*not -1"),
        ({"processor": "tpu"}, "hardware.processor: .*not 'tpu'"),
        ({"launch": "fast"}, "hardware.launch: .*not 'fast'"),
        ({"peak_tops": {}}, "hardware.peak_tops: .*not {}"),
        ({"peak_tops": {"fp8": 1}}, "hardware.peak_tops.fp8.*not 'fp8'"),
        ({"peak_tops": {"fp32": 0}}, "hardware: .*peak_tops must be above 0.*0.0"),
        ({"colour": "red"}, "hardware.colour: .*not 'red'"),
        ({"sources": {"lanes": "x"}}, "every figure needs a line in sources; none for bandwidth_gbs, memory_gb, peak"),
        ({"memory_gb": None}, "sources names no figure of this file: memory_gb"),
    ],
)
def test_bad_figures_are_named_with_file_field_value_and_way_out(tmp_path: Path, change: dict[str, object],
                                                                 message: str) -> None:
    said = refused(tmp_path, {**GOOD, **change})
    assert "mine.yaml" in said
    assert "hwnas targets validate" in said
    with pytest.raises(InputError, match=f"(?s){message}"):
        raise InputError(said)


def test_docker_without_a_stage_says_why(tmp_path: Path) -> None:
    assert "needs a note that says why" in refused(tmp_path, GOOD, docker={})
    assert "docker.stage" in refused(tmp_path, GOOD, docker={"stage": "windows"})
