"""The RTL core with its vector unit against the golden network: every bit, value and score of random networks."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.cores import SMALL, built, pixels
from helpers.models import STEMS, chain, network, stem
from helpers.programs import change, wrong_values

from bnn import golden
from bnn.contract import Descriptor, Error
from bnn.layers import FEATURES
from bnn.random_models import random_graph
from hls.program import pack
from hls.schedule import Plan, Sizes, plan
from sim import rtl_sim
from sim.compare import by_name, differences, written

pytestmark = pytest.mark.skipif(
    rtl_sim.find_verilator() is None or shutil.which("g++") is None, reason="verilator or g++ is not installed"
)

PLAIN = replace(SMALL, name="plain", vector=False)
SEEDS = (1, 3, 12, 14, 16, 18, 20, 24, 25, 26, 29, 32, 34, 49, 57, 67, 83, 85, 90, 127, 140, 149, 159, 184, 520, 907)


def drawn(seed: int) -> Plan:
    """A random network, half of them of all features, with batches of up to six images."""
    rng = np.random.default_rng(seed)
    allowed = set(FEATURES) if rng.random() < 0.5 else {name for name in FEATURES if rng.random() < 0.5}
    return plan(random_graph(seed, allowed), SMALL, int(rng.integers(1, 7)))


def uses(item: Descriptor) -> set[str]:
    """What a layer makes the core do that one of version 1 does not."""
    flags = ("average", "value", "bit_planes", "shortcut", "shortcut_average", "shortcut_same", "stride2", "pad2")
    found = {name for name in flags if getattr(item, name)}
    if item.vector:
        found |= {name for name in ("pool", "serial", "scores", "dense") if getattr(item, name)}
        found |= {"hand-overs"} if item.hand_overs > 1 else set()
        found |= {f"{item.thresholds} thresholds"}
    return found


def hold(placed: Plan, seed: int) -> None:
    """Every bit, value and score of two runs back to back, with random stalls of the memory or none."""
    images = pixels(placed.model, 5)
    expected = golden.trace(placed.model, images)
    memory = rtl_sim.Memory(stall=0.3 if seed % 2 else 0.0, seed=seed)
    scores, traces = built(SMALL).run(pack(placed), images, memory=memory)
    assert not differences(written(placed, expected), by_name(placed, traces))
    assert np.array_equal(scores, expected[placed.model.layers[-1].name])


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed: int) -> None:
    hold(drawn(seed), seed)


@pytest.mark.parametrize(("seed", "channels"), STEMS)
def test_first_layers_with_values(seed: int, channels: int) -> None:
    placed = plan(stem(seed, channels), SMALL, 1 + seed % 5)
    assert placed.first.value_channels
    hold(placed, seed)


def test_first_layers_with_values_that_break_a_rule() -> None:
    """One after the other, and a good one behind them."""
    placed = plan(stem(32), SMALL, 2)
    good, images = pack(placed) + bytes(4096), pixels(placed.model, 2)
    programs = [change(good, **fields) for fields in wrong_values(good)]
    *refused, last = built(SMALL).sequence([rtl_sim.Job(program, images) for program in (*programs, good)], trace=False)
    for run, fields in zip(refused, wrong_values(good), strict=True):
        assert run.stats.error == Error.RANGE, fields
    expected = golden.trace(placed.model, images)[placed.model.layers[-1].name]
    assert last.stats.error == Error.NONE and np.array_equal(last.scores, expected)


@pytest.mark.parametrize(
    ("size", "second"),
    [
        pytest.param((16, 17, 4), ("conv", 8, 0, 0, False), id="no padding"),
        pytest.param((17, 16, 4), ("conv", 8, 0, 0, True), id="a pool that drops a row"),
        pytest.param((16, 16, 4), ("conv", 8, 1, -1, True), id="a pool"),
        pytest.param((17, 16, 4), ("conv", 8, 1, -1, False, 5), id="5x5"),
    ],
)
def test_rows_that_the_array_waits_for(size: tuple[int, int, int], second: tuple) -> None:
    """Weights that are kept and slow images, others than those of the run before: a row read too early is another."""
    narrow = [("conv", 8, 0, 0, True), ("conv", 8, 0, 0, False)]
    model = network(5, size, [("conv", 8, 1, 0, False), second, *narrow[second[4] :], ("dense", 8), ("dense", 5)])
    placed = plan(model, SMALL, 2, Sizes(2, 2, len(model.layers) - 1))
    assert placed.resident and placed.descriptors[0].from_first and not placed.descriptors[0].vector
    jobs = [rtl_sim.Job(pack(placed), pixels(model, count), keep=True) for count in (3, 5)]
    *_, run = built(SMALL).sequence(jobs, memory=rtl_sim.Memory(bandwidth=2e7))
    assert run.stats.waits is not None and run.stats.waits["first_layer"] > (run.stats.cycles or 0) // 2
    expected = golden.trace(model, jobs[-1].images)
    assert not differences(written(placed, expected), by_name(placed, run.traces))
    assert np.array_equal(run.scores, expected[model.layers[-1].name])


@pytest.mark.parametrize("seed", range(2))
def test_bands_wait_for_rows(seed: int) -> None:
    """As above, of layers that go on by bands of rows while the first layer is at work."""
    placed = plan(chain(seed), SMALL, 1)
    assert sum(item.early for item in placed.descriptors) > 2
    jobs = [rtl_sim.Job(pack(placed), pixels(placed.model, count), keep=True) for count in (2, 3)]
    *_, run = built(SMALL).sequence(jobs, memory=rtl_sim.Memory(bandwidth=2e7))
    expected = golden.trace(placed.model, jobs[-1].images)
    assert not differences(written(placed, expected), by_name(placed, run.traces))
    assert np.array_equal(run.scores, expected[placed.model.layers[-1].name])


def test_seeds_use_everything() -> None:
    found = set().union(*(uses(item) for seed in SEEDS for item in drawn(seed).descriptors))
    assert found >= {
        *("average", "value", "bit_planes", "shortcut", "shortcut_average", "shortcut_same", "stride2", "pad2"),
        *("pool", "serial", "scores", "dense", "hand-overs", "1 thresholds", "2 thresholds", "3 thresholds"),
    }
    assert {drawn(seed).first.pixel_map for seed in SEEDS} == {False, True}
    assert any(drawn(seed).first.planes and not drawn(seed).first.pixel_map for seed in SEEDS)


@pytest.mark.slow
def test_a_core_without_the_unit() -> None:
    core = built(PLAIN)
    with pytest.raises(rtl_sim.RtlSimError, match=f"error code {int(Error.VECTOR)}"):
        core.run(pack(drawn(3)), pixels(drawn(3).model, 1))
    placed = plan(drawn(6).model, PLAIN, 3)
    images = pixels(placed.model, 5)
    scores, _ = core.run(pack(placed), images)
    assert np.array_equal(scores, golden.trace(placed.model, images)[placed.model.layers[-1].name])
