"""The place of a mismatch."""

from __future__ import annotations

import numpy as np

from sim.compare import differences


def test_the_first_difference_is_placed() -> None:
    expected = {"conv1": np.zeros((2, 3, 3, 4), np.uint8), "fc1": np.ones((2, 5), np.uint8)}
    assert differences(expected, {"conv1": expected["conv1"], "fc1": expected["fc1"][:, None, None]}) == []
    wrong = expected["conv1"].copy()
    wrong[1, 2, 0, 3] = 1
    assert differences(expected, {"conv1": wrong}) == [
        "conv1: image 1, pixel (2, 0), channel 3: expected 0, got 1; 1 of 72 bits differ",
        "fc1: no trace",
    ]
