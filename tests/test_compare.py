"""The place of a mismatch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn.golden import Output
from hls.designs import DESIGNS
from hls.schedule import plan
from sim.compare import by_name, differences

ROOT = Path(__file__).resolve().parent.parent


def test_the_first_difference_is_placed() -> None:
    expected = {"conv1": np.zeros((2, 3, 3, 4), np.uint8), "fc1": np.ones((2, 5), np.uint8)}
    assert differences(expected, {"conv1": expected["conv1"], "fc1": expected["fc1"][:, None, None]}) == []
    wrong = expected["conv1"].copy()
    wrong[1, 2, 0, 3] = 1
    assert differences(expected, {"conv1": wrong}) == [
        "conv1: image 1, pixel (2, 0), channel 3: expected 0, got 1; 1 of 72 bits differ",
        "fc1: no trace",
    ]


@pytest.mark.parametrize("name", ["mnist_wired", "sfc"])
def test_layers_are_named_by_the_plan_or_by_the_model(name: str) -> None:
    """With a first layer of its own, and with pixels that the array reads."""
    from bnn.model import load

    model = load(ROOT / f"models/{name}.npz")
    placed = plan(model, DESIGNS["sim_small"], 2)
    rng = np.random.default_rng(1)
    keys = range(-1, len(placed.stages))
    traces = {key: Output(rng.integers(0, 2, (1, 2, 3, 3, 256), np.uint8)) for key in keys}
    want, got = by_name(placed, traces), by_name(model, traces)
    assert list(want) == list(got) and all(np.array_equal(want[key], got[key]) for key in want)
    assert list(want)[0] == ("conv1" if name == "mnist_wired" else "input")
