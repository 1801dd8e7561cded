"""Targets from somebody else: YAML of any kind gives a target, or one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwnas.target import Target, load, read
from tests.mutations import damaged_bytes, fuzzed, judged, mutated

PLAIN = load("raspberry-pi-4").model_dump(mode="json", exclude_none=True)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
TEXT = yaml.safe_dump(PLAIN).encode()


@fuzzed
@given(content=mutated(PLAIN).map(lambda value: yaml.dump(value).encode(errors="replace"))
       | damaged_bytes(TEXT) | st.just((BOMB + "name: x\n").encode()) | st.just(b"- " * 100_000)
       | st.sampled_from([b"name: 2020-99-99\n", b"cores: &a [*a]\n", b"!!python/object/apply:os.system [ls]",
                          b"? [1]\n: 2"]))
def test_targets(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "mine.yaml"
    path.write_bytes(content)
    found = judged(lambda: read(path))
    if found is not None:
        assert Target.model_validate(found.model_dump()) == found
        assert found.key
        if found.hardware is not None:
            assert 0 < found.hardware.peak(found.precision, found.threads) < 1e18
