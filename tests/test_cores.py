"""Both cores, every bit of every layer, against the golden network: the HLS C++ and the RTL."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import SMALL, TIGHT, Backend, built, pixels
from helpers.models import chain, deep, network
from helpers.programs import change, wrong_bands, wrong_rings

from bnn import golden
from bnn.contract import PROGRAM_VERSION_2, Error
from bnn.model import Model
from bnn.networks import Network
from bnn.random_models import random_model, with_planes
from hls.ap_types import find_ap_types
from hls.designs import DESIGNS, HLS_DESIGNS, Design
from hls.program import pack
from hls.schedule import Plan, Sizes, plan
from sim import hls_csim, rtl_sim
from sim.compare import by_name, differences, written


@pytest.fixture(scope="module", params=["hls", "rtl"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    if request.param == "hls" and (find_ap_types() is None or shutil.which("g++") is None):
        pytest.skip("ap_int.h or g++ is not installed")
    if request.param == "rtl" and (rtl_sim.find_verilator() is None or shutil.which("g++") is None):
        pytest.skip("verilator or g++ is not installed")
    return Backend(request.param, tmp_path_factory.mktemp(request.param))


def check(backend: Backend, model: Model, design: Design, batch: int, images: int) -> Plan:
    """Run the program on random images and compare every layer's bits and the scores."""
    placed = plan(model, design, batch)
    shape = (images, model.height, model.width, model.channels)
    pixels = np.random.default_rng(images).integers(0, 256, shape, np.uint8)
    expected = golden.trace(model, pixels)
    scores, traces = backend.run(pack(placed), pixels, design)
    skip = 1 if model.layers[0].kind == "conv" else 0
    if not skip:
        assert (traces[-1].planes[0].reshape(images, -1) == (model.input_table[pixels] > 0).reshape(images, -1)).all()
    for index, layer in enumerate(model.layers[:-1]):
        want = expected[layer.name]
        got = traces[index - skip].planes[0][..., : want.shape[-1]].reshape(want.shape)
        assert (got == want).all(), layer.name
    assert (scores == expected[model.layers[-1].name]).all()
    return placed


@pytest.mark.parametrize(
    ("size", "stages"),
    [
        ((6, 6, 1), [("conv", 8, 1, 0, False), ("conv", 5, 1, 1, False), ("dense", 3)]),
        ((9, 7, 3), [("conv", 20, 1, 0, True), ("conv", 40, 1, -1, False), ("dense", 33), ("dense", 10)]),
        ((11, 13, 4), [("conv", 37, 0, 0, False), ("conv", 9, 1, 1, True), ("conv", 70, 0, 0, False), ("dense", 5)]),
        (
            (12, 12, 2),
            [
                ("conv", 64, 1, 0, False),
                ("conv", 32, 1, 1, True),
                ("conv", 35, 0, 0, True),
                ("dense", 64),
                ("dense", 17),
                ("dense", 11),
            ],
        ),
    ],
)
@pytest.mark.parametrize("images", [1, 7])
def test_convolutions(backend: Backend, size: tuple[int, int, int], stages: list[tuple], images: int) -> None:
    check(backend, network(1, size, stages), SMALL, 4, images)


@pytest.mark.parametrize("size", [(5, 5, 1), (8, 8, 1), (7, 9, 3)])
def test_dense_only(backend: Backend, size: tuple[int, int, int]) -> None:
    check(backend, network(2, size, [("dense", 40), ("dense", 65), ("dense", 7)], binary=True), SMALL, 8, 19)


FORM = [("conv", 40, 1, 0, True), ("conv", 70, 1, -1, False), ("dense", 80), ("dense", 10)]


@pytest.mark.parametrize(
    "change",
    [
        {"simd": 64, "pe": 4, "lanes": 8},
        {"simd": 128, "pe": 4, "lanes": 2, "dsp_lanes": 2},
        pytest.param({"simd": 256, "pe": 8, "first_pe": 8, "lanes": 4}, marks=pytest.mark.slow),
        pytest.param({"lanes": 16, "pe": 4}, marks=pytest.mark.slow),
    ],
)
def test_forms(backend: Backend, change: dict[str, int]) -> None:
    design = replace(SMALL, **{"act_depth": 2048, "weight_depth": 256, "vector": change["pe"] >= 8, **change})
    check(backend, network(3, (8, 8, 3), FORM), design, 16, 21)


def reduced(design: Design) -> Design:
    """Half the PE, SIMD and FIRST_PE, a quarter of the memories: the form stays."""
    return replace(
        design,
        pe=design.pe // 2,
        simd=design.simd // 2,
        first_pe=max(4, design.first_pe // 2),
        weight_depth=design.weight_depth // 4,
        act_depth=design.act_depth // 4,
        vector=design.vector and design.pe >= 16,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DESIGNS if name != SMALL.name])
def test_reduced_designs(backend: Backend, name: str) -> None:
    # up to a minute where the core has 32 x 32 x 8 MACs and is not built yet
    if backend.name == "rtl" and name in HLS_DESIGNS.values() and name != "pynq_z1_hls":
        pytest.skip("a design for the HLS core, of half the PEs of another")
    design = reduced(DESIGNS[name])
    for batch, images in ((1, 3), (16, 21)):
        check(backend, network(3, (8, 8, 3), FORM), design, batch, images)


def test_two_segments(backend: Backend) -> None:
    stages = [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 11)]
    design = replace(SMALL, act_depth=128, weight_depth=128)
    placed = check(backend, network(4, (8, 8, 3), stages), design, 8, 19)
    assert placed.sub_batch < placed.batch and placed.segment_a < len(placed.descriptors)


@pytest.mark.parametrize(("depth", "resident"), [(128, False), (512, True)])
def test_weight_ring(backend: Backend, depth: int, resident: bool) -> None:
    stages = [("conv", 40, 1, 0, True), ("conv", 70, 1, -1, False), ("conv", 33, 1, 1, False), ("dense", 5)]
    size = (9, 8, 3) if not resident else (6, 6, 3)
    design = replace(SMALL, weight_depth=depth, act_depth=128 if depth == 128 else SMALL.act_depth)
    placed = check(backend, network(5, size, stages), design, 4, 9)
    assert placed.resident == resident


@pytest.mark.parametrize("sizes", [None, Sizes(4, 16, 1), Sizes(8, 16, 2)])
def test_a_segment_that_stays_in_front_of_a_ring(backend: Backend, sizes: Sizes | None) -> None:
    """Its layers are dense, and its last one writes the images of the batch; the second batch is not full."""
    placed = plan(deep(), TIGHT, 24, sizes)
    assert placed.resident and 0 < placed.words_a <= placed.ring_base < TIGHT.weight_depth
    assert placed.words_b > TIGHT.weight_depth - placed.ring_base and placed.segment_a < len(placed.descriptors)
    images = pixels(placed.model, 37)
    expected = golden.trace(placed.model, images)
    scores, traces = backend.run(pack(placed), images, TIGHT)
    assert not differences(written(placed, expected), by_name(placed, traces))
    assert (scores == expected[placed.model.layers[-1].name]).all()


def test_rings_that_break_a_rule(backend: Backend) -> None:
    program = pack(plan(deep(), TIGHT, 16, Sizes(8, 16, 2)))
    for fields in wrong_rings(program):
        with pytest.raises((hls_csim.CsimError, rtl_sim.RtlSimError), match=f"error code {Error.RANGE:d}$"):
            backend.run(change(program, **fields), pixels(deep(), 1), TIGHT)


@pytest.mark.parametrize("seed", range(3))
def test_bands(backend: Backend, seed: int) -> None:
    placed = plan(chain(seed), SMALL, 1)
    assert sum(item.early for item in placed.descriptors) > 2
    images = pixels(placed.model, 3)
    expected = golden.trace(placed.model, images)
    scores, traces = backend.run(pack(placed), images, SMALL)
    assert not differences(written(placed, expected), by_name(placed, traces))
    assert (scores == expected[placed.model.layers[-1].name]).all()


def test_bands_that_break_a_rule(backend: Backend) -> None:
    model = chain(1)
    for program in wrong_bands(*(pack(plan(chain(1, pad), SMALL, 1)) for pad in (0, 1))):
        with pytest.raises((hls_csim.CsimError, rtl_sim.RtlSimError), match=f"error code {Error.RANGE:d}$"):
            backend.run(program, pixels(model, 1), SMALL)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("magic", 1, Error.MAGIC),
        ("version", PROGRAM_VERSION_2 + 1, Error.MAGIC),
        ("geometry", 0, Error.GEOMETRY),
        ("first_pe", 8, Error.GEOMETRY),
        ("layers", 17, Error.LAYERS),
    ],
)
def test_error_codes(backend: Backend, field: str, value: int, code: Error) -> None:
    stages = [("dense", 40), ("dense", 7)]
    program = change(pack(plan(network(2, (5, 5, 1), stages, binary=True), SMALL, 8)), **{field: value})
    images = np.zeros((1, 5, 5, 1), np.uint8)
    with pytest.raises((hls_csim.CsimError, rtl_sim.RtlSimError), match=f"error code {code:d}$"):
        backend.run(program, images, SMALL)


def test_no_images(backend: Backend) -> None:
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 7)], binary=True)
    program = pack(plan(model, SMALL, 8))
    scores, traces = backend.run(program, np.zeros((0, 5, 5, 1), np.uint8), SMALL)
    assert scores.shape == (0, 7) and not traces


def test_images_of_another_shape(backend: Backend) -> None:
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 7)], binary=True)
    with pytest.raises((hls_csim.CsimError, rtl_sim.RtlSimError), match=r"uint8 \(1, 5, 4, 1\), expected .*5, 5, 1\)$"):
        backend.run(pack(plan(model, SMALL, 8)), np.zeros((1, 5, 4, 1), np.uint8), SMALL)


def test_a_constraint_is_checked_when_the_core_is_built(tmp_path: Path) -> None:
    broken = replace(SMALL)
    object.__setattr__(broken, "lanes", 3)
    with pytest.raises(hls_csim.CsimError, match="LANES must be a power of two from 2 to 16"):
        hls_csim.build(broken, tmp_path / "hls")
    with pytest.raises(rtl_sim.RtlSimError, match="Lanes = 3, must be a power of two"):
        rtl_sim.build(broken, tmp_path / "rtl")


MEMORY = rtl_sim.Memory()


def hold_the_cycle_model(
    design: Design,
    model: Model,
    memory: rtl_sim.Memory = MEMORY,
    runs: tuple[tuple[int, int], ...] = ((1, 1), (4, 12)),
) -> None:
    """Its cycles against those of the RTL, of batches and counts of images, with the program loaded and kept."""
    if rtl_sim.find_verilator() is None or shutil.which("g++") is None:
        pytest.skip("verilator or g++ is not installed")
    core, images = built(design), pixels(model, 12)
    for batch, count in runs:
        placed = plan(model, design, batch)
        jobs = [rtl_sim.Job(pack(placed), images[:count], keep) for keep in (False, True)]
        for job, run in zip(jobs, core.sequence(jobs, trace=False, memory=memory), strict=True):
            predicted = placed.run_cycles(count, job.keep, memory)
            assert abs(predicted / run.stats.cycles - 1) < 0.02, (batch, job.keep, predicted, run.stats.cycles)


@pytest.mark.parametrize(
    ("size", "stages", "depth"),
    [
        (
            (24, 24, 3),
            [("conv", 16, 1, 0, False), ("conv", 32, 1, 1, True), ("conv", 32, 1, -1, True), ("dense", 10)],
            512,
        ),
        (
            (16, 16, 3),
            [
                ("conv", 32, 1, 0, False),
                ("conv", 64, 1, 1, True),
                ("conv", 32, 1, -1, False),
                ("dense", 64),
                ("dense", 10),
            ],
            256,
        ),
    ],
)
def test_the_cycle_model_tells_the_cycles_of_the_rtl(
    size: tuple[int, int, int], stages: list[tuple], depth: int
) -> None:
    hold_the_cycle_model(replace(SMALL, weight_depth=depth), network(8, size, stages))


@pytest.mark.parametrize("memory", [MEMORY, rtl_sim.Memory(bandwidth=2e8)])
def test_the_cycle_model_tells_the_cycles_with_a_segment_that_stays(memory: rtl_sim.Memory) -> None:
    assert plan(deep(), TIGHT, 4).ring_base
    hold_the_cycle_model(TIGHT, deep(), memory, runs=((4, 12),))


def test_the_cycle_model_tells_the_cycles_of_bands() -> None:
    for seed in range(3):
        hold_the_cycle_model(SMALL, chain(seed))


@pytest.mark.parametrize(
    "memory",
    [
        MEMORY,
        rtl_sim.Memory(bandwidth=2e8),
        rtl_sim.Memory(bandwidth=2e8, together=3e8),
    ],
)
def test_the_cycle_model_tells_the_cycles_with_two_memory_ports(memory: rtl_sim.Memory) -> None:
    stages = [("conv", 32, 1, 0, False), ("conv", 64, 1, 1, True), ("conv", 64, 1, -1, False), ("dense", 256)]
    model = network(8, (8, 8, 3), [*stages, ("dense", 10)])
    design = replace(SMALL, pe=32, lanes=2, dsp_lanes=2, weight_depth=128, vector=False, ports=2)
    assert not plan(model, design, 1).resident
    hold_the_cycle_model(design, model, memory)


def test_the_cycle_model_tells_the_cycles_of_planes_bases_and_values() -> None:
    stages = [("conv", 16, 1, 0, False), ("conv", 32, 1, 1, True), ("conv", 32, 1, -1, False), ("dense", 10)]
    chain = network(8, (10, 10, 3), stages)
    convs = ((16, False), (16, False), (32, False))
    residual = random_model(Network("residual", 8, 8, 3, convs, (), 5, 1, "none", residual=True))
    for model in (with_planes(chain, 2, 2), with_planes(chain, 3, 3, own=True), residual, with_planes(residual, 2)):
        hold_the_cycle_model(SMALL, model)
