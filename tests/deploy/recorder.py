"""What a session was given, for tests that compare inputs to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np


class Recorder:
    """A session that keeps what it was given."""

    def __init__(self, session: Any) -> None:
        self._session, self.seen = session, np.zeros(0)

    def run(self, inputs: dict[str, np.ndarray]) -> Any:
        (self.seen,) = inputs.values()
        return self._session.run(inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
