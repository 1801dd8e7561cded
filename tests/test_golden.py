"""What stood before the house was rebuilt still stands: see `tests/golden/recorder.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import recorder

RECORDED = Path(__file__).parent / "golden"


def recorded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{part}.json").read_text())
    return found


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("part", ["spaces", "searches", "solver"])
def test_nothing_changed(part: str) -> None:
    found = plain(recorder.PARTS[part]())
    for key, wanted in recorded(part).items():
        assert found[key] == wanted, f"{part}: {key}"


def test_the_networks_of_every_space_are_recorded() -> None:
    assert set(recorded("networks")) == set(recorder.configs(full=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", recorder.configs(full=False))
def test_networks_give_what_they_gave(name: str) -> None:
    found, wanted = recorder.network(recorder.configs(full=False)[name]), recorded("networks")[name]
    assert found["onnx"] == wanted["onnx"], f"the exported graph of {name}"
    for i, (now, then) in enumerate(zip(found["architectures"], wanted["architectures"], strict=True)):
        assert now["state"] == then["state"], f"tensors of architecture {i} of {name}"
        for way in ("alone", "shared"):
            np.testing.assert_allclose(now[way], then[way], rtol=2e-2, atol=1e-9, err_msg=f"{name} {i} {way}")


@pytest.mark.slow
def test_a_small_job_learns_and_chooses_what_it_did() -> None:
    wanted = recorded("job")
    if recorder.machine() != wanted["machine"]:
        pytest.skip(f"recorded on {wanted['machine']}; bits of a training depend on it")
    found = plain(recorder.job())
    assert found == wanted
