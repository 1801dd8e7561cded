"""How the state of a strategy becomes plain JSON values and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from hwnas.errors import HwnasError, RunError, UsageError


def seeded_generator(seed: int) -> np.random.Generator:
    """A private PCG64 generator; UsageError if the seed is not a whole number of at least 0."""
    if not isinstance(seed, Integral) or seed < 0:
        raise UsageError(f"seed must be a whole number of at least 0, not {seed}")
    return np.random.Generator(np.random.PCG64(int(seed)))


def pack_generator(rng: np.random.Generator) -> dict[str, Any]:
    """The bit generator's state; its 128-bit integers as text, because few JSON readers keep them."""
    state: dict[str, Any] = _map_integers(rng.bit_generator.state, str)
    return state


def unpack_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A PCG64 generator that continues where `pack_generator` stood; ValueError if it cannot."""
    bits = np.random.PCG64()
    bits.state = _map_integers(state, lambda text: text if text == "PCG64" else int(text))
    return np.random.Generator(bits)


def _map_integers(value: Any, convert: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _map_integers(item, convert) for key, item in value.items()}
    return convert(value)


def checked_header(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse the state of another strategy, space or setting.

    Raises:
        RunError: names the first field that differs.
    """
    for key, value in expected.items():
        found = state.get(key) if isinstance(state, Mapping) else None
        if found != value:
            raise RunError(f"cannot resume: the saved search has {key} {found!r}, this one {value!r}; start a new run")


@contextlib.contextmanager
def reading_state() -> Iterator[None]:
    """Turn whatever a broken state raises into one RunError."""
    try:
        yield
    except RunError:
        raise
    except (HwnasError, KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError) as err:
        raise RunError(f"the saved search is broken ({type(err).__name__}: {err}); start a new run") from err
