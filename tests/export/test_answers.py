"""Outputs that are gone through again are the same, kept or not, and no more are kept than may be."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.export.verification import Answers, answers


class Session:
    """Gives the mean of every image, and counts how many images it was asked about."""

    input_name = "x"

    def __init__(self) -> None:
        self.asked = 0

    def run(self, feed):
        self.asked += len(feed["x"])
        return [feed["x"].mean((2, 3))]


@pytest.mark.parametrize(("most", "asked"), [(100 * 3 * 4, 100), (100 * 3 * 4 - 1, 200)])
def test_outputs_are_kept_while_they_are_few(most: int, asked: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), np.uint8)
    wanted = np.concatenate([outputs[0] for outputs in answers(Session(), images)])  # type: ignore[arg-type]
    found = Answers(session := Session(), images, most)  # type: ignore[arg-type]
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([outputs[0] for outputs in found]), wanted)
    assert session.asked == asked


def test_who_stops_in_the_middle_begins_again() -> None:
    images = np.zeros((200, 8, 8, 3), np.uint8)
    found = Answers(Session(), images)  # type: ignore[arg-type]
    next(iter(found))
    assert sum(len(outputs[0]) for outputs in found) == 200
