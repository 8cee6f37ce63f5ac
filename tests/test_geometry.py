"""The one walk over shapes: what it says is what the golden model gives, and every command counts the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn import golden, networks
from bnn.geometry import total_macs, walk
from bnn.model import load
from bnn.random_models import random_graph, random_model
from train import cost

ROOT = Path(__file__).resolve().parent.parent

PUBLISHED = {"binarynet": 617_000_000, "vgg_small": 607_500_000, "binarynet_svhn": 158_000_000, "cnv": 59_500_000}
"""MACs of one image as the literature rounds them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_are_the_published_ones(name: str) -> None:
    assert total_macs(walk(networks.network(name))) == pytest.approx(PUBLISHED[name], rel=0.002)


def test_what_a_pool_drops_does_not_count() -> None:
    """mnist_wired pools a map of 11 x 11: the last row and column are convolved by nobody's wish."""
    model = load(ROOT / "models/mnist_wired.npz")
    pooled = walk(model)[1]
    assert (pooled.convolved, pooled.computed, pooled.output) == ((11, 11), (10, 10), (5, 5, 32))
    assert total_macs(walk(model)) == sum(item.macs for item in cost.layers(model)) == 729_792
    row = re.search(r"\| `mnist_wired` \| mnist \| ([\d,]+) \|", (ROOT / "models/README.md").read_text())
    assert row and row.group(1) == "729,792"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_outputs_have_the_shapes_of_the_walk(seed: int) -> None:
    model = random_graph(seed)
    shape = (1, model.height, model.width, model.channels)
    traced = golden.trace(model, np.random.default_rng(seed).integers(0, 256, shape, np.uint8))
    for item in walk(model):
        kept = item.output if item.kind == "conv" else item.output[2:]
        given = [values for name, values in traced.items() if name in (item.name, f"{item.name}.value")]
        assert given and all(values.shape[-len(kept) :] == kept for values in given), (item, [v.shape for v in given])


def test_a_topology_and_its_model_agree() -> None:
    for network in networks.NETWORKS.values():
        if total_macs(walk(network)) < 10**8:
            ours, theirs = walk(network), walk(random_model(network))
            assert [replace(item, name="") for item in ours] == [replace(item, name="") for item in theirs]
