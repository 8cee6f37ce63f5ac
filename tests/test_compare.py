"""The place of a mismatch."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.models import network

from bnn.golden import Output
from hls.designs import DESIGNS
from hls.schedule import plan
from sim.compare import by_name, differences

CONV = ("conv", 5, 0, 0, False)


def test_the_first_difference_is_placed() -> None:
    expected = {"conv1": np.zeros((2, 3, 3, 4), np.uint8), "fc1": np.ones((2, 5), np.uint8)}
    assert differences(expected, {"conv1": expected["conv1"], "fc1": expected["fc1"][:, None, None]}) == []
    wrong = expected["conv1"].copy()
    wrong[1, 2, 0, 3] = 1
    assert differences(expected, {"conv1": wrong}) == [
        "conv1: image 1, pixel (2, 0), channel 3: expected 0, got 1; 1 of 72 bits differ",
        "fc1: no trace",
    ]


@pytest.mark.parametrize(
    ("layers", "binary", "first"),
    [
        ([CONV, CONV, ("dense", 4)], False, "conv1"),
        ([("dense", 9), ("dense", 4)], True, "input"),
        ([CONV, ("dense", 9), ("dense", 4)], False, "input"),
    ],
    ids=["first layer", "packed", "planes of pixels"],
)
def test_layers_are_named_by_the_plan_or_by_the_model(layers: list[tuple], binary: bool, first: str) -> None:
    """With a first layer of its own, and with what the array reads in its place."""
    model = network(1, (8, 8, 1), layers, binary)
    placed = plan(model, DESIGNS["sim_small"], 2)
    rng = np.random.default_rng(1)
    keys = range(-1, len(placed.stages) - 1)  # the last one gives scores
    traces = {key: Output(rng.integers(0, 2, (1, 2, 3, 3, 256), np.uint8)) for key in keys}
    want, got = by_name(placed, traces), by_name(model, traces)
    assert list(want) == list(got) and all(np.array_equal(want[key], got[key]) for key in want)
    assert list(want)[0] == first
