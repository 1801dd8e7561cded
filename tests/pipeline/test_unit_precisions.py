"""What `--precision` means for units of a user's own network, on the runtimes of this machine and on others."""

from __future__ import annotations

import platform

import pytest

from hwnas.errors import HwnasError, UnknownName, UsageError
from hwnas.pipeline.latencies.unit_precisions import precisions_on
from hwnas.runtime import open_runtime
from hwnas.runtime.onnxruntime import OnnxRuntime

X86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have halves, too")


@X86
@pytest.mark.parametrize("asked, units", [
    (None, ("float", "int8")), ("mixed", ("float", "int8")), ("auto", ("float", "int8")), ("fp32", ("float",)),
    ("int8", ("float", "int8")), ("fp32,int8", ("float", "int8")), ("int8, fp32,int8", ("float", "int8")),
])
def test_on_this_processor(asked: str | None, units: tuple[str, ...]) -> None:
    found = precisions_on("local", asked)
    assert found.units == units
    assert found.target.precision == "fp32"
    assert found.runtime().precision == ("mixed" if len(units) > 1 else "fp32")


@X86
@pytest.mark.parametrize("asked, error, words", [
    ("fp16", UsageError, "computes in fp32 or int8 on this device, not in fp16"),
    ("int8,fp16", UsageError, "has fp32, int8 for units of one network on this device, and not fp16"),
    ("int4", UnknownName, "int4"),
    ("int8,", UnknownName, "precision ''"),
])
def test_what_is_not_offered_says_what_is(asked: str, error: type[HwnasError], words: str) -> None:
    with pytest.raises(error, match=words):
        precisions_on("local", asked)


def test_openvino_offers_what_its_plugin_does() -> None:
    pytest.importorskip("openvino")
    offered = open_runtime("openvino").precisions
    assert precisions_on("local", runtime="openvino").units == ("float", *(p for p in offered if p != "fp32"))
    if "bf16" in offered:
        found = precisions_on("local", "bf16,int8", runtime="openvino")
        assert found.units == ("float", "bf16", "int8")
        assert found.target.precision == "fp32"


def test_one_that_is_a_setting_of_the_whole_network_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fp16 of the TensorRT provider of ONNX Runtime, whose graphs are not typed."""
    monkeypatch.setattr(OnnxRuntime, "precisions", ("fp32", "fp16", "int8"))
    monkeypatch.setattr(OnnxRuntime, "together", ("fp32", "int8"))
    found = precisions_on("local", "fp16")
    assert (found.target.precision, found.units, found.runtime().precision) == ("fp16", ("float",), "fp16")
    with pytest.raises(UsageError, match="and not fp16; fp16 is of whole networks here: give it alone"):
        precisions_on("local", "fp16,int8")
    monkeypatch.setattr(OnnxRuntime, "together", ("fp32",))
    assert precisions_on("local").units == ("float",)
    with pytest.raises(UsageError, match="computes a network in one precision: choose of fp32, fp16, int8"):
        precisions_on("local", "mixed")


def test_another_device_is_told_as_it_is() -> None:
    found = precisions_on("jetson", "fp16")
    assert found.target.hardware is not None
    assert found.units == ("float",)
