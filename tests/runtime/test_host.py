"""What a machine says of itself, read from the files of machines that are not this one."""

from pathlib import Path

import pytest

from hwnas.runtime import host

GENERIC = "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd asimdhp\n\nprocessor\t: 1\n"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put(tmp_path, "proc/cpuinfo", GENERIC)
    put(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    put(tmp_path, "etc/nv_tegra_release", "# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic\n")
    for core, khz in ((0, 1510400), (1, 1510400), (10, 2201600)):
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_max_freq", f"{khz}\n")
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", "729600\n")
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", "schedutil\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def tool(root: Path, name: str, prints: str) -> None:
    put(root, f"bin/{name}", f"#!/bin/sh\n/bin/cat <<'EOF'\n{prints}\nEOF\n")
    (root / "bin" / name).chmod(0o755)


def test_a_board_names_itself_better_than_its_processor(jetson: Path) -> None:
    info = host.cpuinfo(jetson)
    assert info["Features"] == "fp asimd asimdhp"
    assert host.cpu_name(info, jetson) == "NVIDIA Jetson Orin Nano Developer Kit"
    assert host.nvidia_gpu(jetson) == "NVIDIA Jetson Orin Nano Developer Kit"
    assert host.nvidia_driver(jetson) == "R36 (release), REVISION: 3.0"


def test_clocks_and_governor(jetson: Path) -> None:
    assert (host.max_mhz(jetson), host.mhz({}, jetson), host.governor(jetson)) == (2201.6, 729.6, "schedutil")
    put(jetson, "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n")
    assert host.governor(jetson) == "performance+schedutil"


def test_power_mode(jetson: Path) -> None:
    assert host.power_mode(jetson) is None
    put(jetson, "var/lib/nvpmodel/status", "pmode:0001\n")
    assert host.power_mode(jetson) == "pmode:0001"
    tool(jetson, "nvpmodel", "NV Power Mode: 15W\n0")
    assert host.power_mode(jetson) == "15W"


def test_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert host.nvidia_gpu(tmp_path) is None
    assert host.nvidia_driver(tmp_path) is None
    put(tmp_path, "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA A10\nIRQ: 1\n")
    put(tmp_path, "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Release Build\nGCC version: 12\n")
    assert host.nvidia_gpu(tmp_path) == "NVIDIA A10"
    assert host.nvidia_driver(tmp_path) == "570.86.15"
    tool(tmp_path, "nvidia-smi", "NVIDIA L4\nNVIDIA L4")
    assert host.nvidia_gpu(tmp_path) == "NVIDIA L4"


def test_a_machine_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert host.cpuinfo(tmp_path) == {}
    assert host.cpu_name({}, tmp_path)
    found = (host.max_mhz(tmp_path), host.mhz({}, tmp_path), host.governor(tmp_path), host.power_mode(tmp_path))
    assert found == (None, None, None, None)
    assert host.os_release(tmp_path)
    put(tmp_path, "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    assert host.os_release(tmp_path) == "Debian GNU/Linux 12 (bookworm)"


def test_x86_names_its_processor_and_its_clock(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\ncpu MHz\t\t: 1999.998\n\n")
    info = host.cpuinfo(tmp_path)
    assert host.cpu_name(info, tmp_path) == "Some CPU @ 2.00GHz"
    assert host.mhz(info, tmp_path) == 2000.0
