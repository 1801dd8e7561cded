"""architecture.json from somebody else: an architecture that can be counted, or one line."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.profile import network_model
from hwnas.space import (
    Architecture,
    Op,
    SpaceConfig,
    Variant,
    build,
    scaled,
    space_from_json,
    space_to_json,
)
from tests.mutations import documents, fuzzed, judged
from tests.space.own_spaces import TWO_ROADS, two_roads

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


SPACE_FILES = [TWO_ROADS, two_roads(reference=[0, 1, 0]), *(space_to_json(build(config)) for config in (
    SpaceConfig("mobile", 16, 1, 10, depth=1), SpaceConfig("nasbench201", 16, 3, 10, depth=1),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="fcos", head_width=16),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="lraspp", head_width=16)))]


@fuzzed
@given(content=st.sampled_from(SPACE_FILES).flatmap(documents), variant=st.sampled_from(["0.5", "1@32", "0.75@48"]))
def test_space_files(tmp_path_factory: pytest.TempPathFactory, content: bytes, variant: str) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "space.json"
    file.write_bytes(content)
    space = judged(lambda: space_from_json(read_json(file), str(file)))
    if space is None:
        return
    for arch in (space.largest(), space.smallest(), space.reference, space.sample(np.random.default_rng(0))):
        assert 0 < arch.flops < 2**62
        assert 0 < arch.memory_bytes() < 2**62
        assert len(network_model(arch)) > 0 if arch.params < 10**6 else True
    assert space_from_json(space_to_json(space)) == space
    judged(lambda: scaled(space, Variant.read(variant)))
    arch = space.as_data().smallest()
    assert Architecture.from_json(arch.to_json()) == arch


@fuzzed
@given(content=st.sampled_from([space_from_json(TWO_ROADS).largest().to_json()]).flatmap(documents))
def test_architectures_of_a_space_that_is_data(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "data-architecture.json"
    file.write_bytes(content)
    arch = judged(lambda: Architecture.from_json(read_json(file)))
    if arch is not None:
        assert 0 < arch.flops < 2**62
        assert Architecture.from_json(arch.to_json()) == arch


@pytest.mark.parametrize("count", [2048, 2049])
def test_a_space_of_thousands_of_positions_is_read_in_seconds_or_refused(count: int) -> None:
    chain = [{"name": f"p{i}", "ops": ["conv k1 e1 s1 1-1 16x16 relu"]} for i in range(count - 1)]
    head = {"name": "head", "ops": ["head k1 e1 s1 1-10 16x16 relu m8"]}
    began = time.process_time()
    space = judged(lambda: space_from_json(two_roads(positions=[*chain, head])))
    assert (space is None) == (count > 2048)
    assert time.process_time() - began < 10


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
