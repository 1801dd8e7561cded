"""architecture.json from somebody else: an architecture that can be counted, or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.space import Architecture, Op, SpaceConfig, build
from tests.mutations import documents, fuzzed, judged

FILES = [build(config).sample(np.random.default_rng(0)).to_json() for config in (
    SpaceConfig("mobile", 32, depth=1), SpaceConfig("nasbench201", 32, depth=1),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="fcos", head_width=16))]


@fuzzed
@given(content=st.sampled_from(FILES).flatmap(documents))
def test_architectures(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "architecture.json"
    file.write_bytes(content)
    found = judged(lambda: Architecture.from_json(read_json(file)))
    if found is not None:
        assert 0 < found.flops < 2**62
        assert 0 < found.params < 2**62
        assert 0 < found.memory_bytes() < 2**62
        assert Architecture.from_json(found.to_json()) == found


SIZES = st.sampled_from([0, 1, 3, 7, 8, 10, 99_999, 999_999, 10**6, 10**30])


@fuzzed
@given(kind=st.sampled_from(["conv", "mbconv", "fbconv", "head", "skip", "identity", "predict", "none", "x"]),
       numbers=st.lists(SIZES, min_size=7, max_size=7),
       tail=st.sampled_from(["", " se", " g2", " m8-8", " d2", " x2", "!"]))
def test_signatures(kind: str, numbers: list[int], tail: str) -> None:
    k, e, s, a, b, h, w = numbers
    op = judged(lambda: Op.parse(f"{kind} k{k} e{e} s{s} {a}-{b} {h}x{w} relu{tail}"))
    if op is not None:
        assert max(op.flops, op.params, op.peak_elements) < 2**63


@pytest.mark.parametrize("hostile", [{"imgsz": 10**9}, {"depth": 10**9}, {"width_mult": 1e300}, {"classes": 2**40},
                                     {"in_channels": 10**9}, {"imgsz": True}, {"depth": 2.5}, {"colour": 1}])
def test_a_space_of_gigabytes_is_refused_before_it_is_built(hostile: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SpaceConfig.from_json({"name": "mobile", "imgsz": 32, **hostile})
