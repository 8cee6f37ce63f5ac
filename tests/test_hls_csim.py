"""The HLS core in C simulation, every bit of every layer, against the golden network."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from test_program import network

from hls.designs import DESIGNS, Design
from hls.program import pack
from hls.schedule import Plan, plan
from sim import golden, hls_csim
from sim.model import Model

SMALL = DESIGNS["sim_small"]

pytestmark = pytest.mark.skipif(
    hls_csim.find_ap_types() is None or shutil.which("g++") is None, reason="ap_int.h or g++ is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csim")


def built(folder: Path, design: Design) -> hls_csim.Core:
    """The design's simulation, built once."""
    where = folder / "-".join(f"{value}" for value in asdict(design).values())
    if (where / "csim").exists():
        return hls_csim.Core(design, where / "csim")
    return hls_csim.build(design, where)


def check(folder: Path, model: Model, design: Design, batch: int, images: int) -> Plan:
    """Run the program on random images and compare every layer's bits and the scores."""
    core = built(folder, design)
    placed = plan(model, design, batch)
    shape = (images, model.height, model.width, model.channels)
    pixels = np.random.default_rng(images).integers(0, 256, shape, np.uint8)
    expected = golden.trace(model, pixels)
    scores, traces = core.run(pack(placed), pixels)
    skip = 1 if model.layers[0].kind == "conv" else 0
    if not skip:
        assert (traces[-1].reshape(images, -1) == (model.input_table[pixels] > 0).reshape(images, -1)).all()
    for index, layer in enumerate(model.layers[:-1]):
        want = expected[layer.name]
        got = traces[index - skip][..., : want.shape[-1]].reshape(want.shape)
        assert (got == want).all(), layer.name
    assert (scores == golden.infer(model, pixels)).all()
    return placed


@pytest.mark.parametrize(
    ("size", "stages"),
    [
        ((6, 6, 1), [("conv", 8, 1, 0, False), ("conv", 5, 1, 1, False), ("dense", 3)]),
        ((9, 7, 3), [("conv", 20, 1, 0, True), ("conv", 40, 1, -1, False), ("dense", 33), ("dense", 10)]),
        ((11, 13, 4), [("conv", 37, 0, 0, False), ("conv", 9, 1, 1, True), ("conv", 70, 0, 0, False),
                       ("dense", 5)]),
        ((12, 12, 2), [("conv", 64, 1, 0, False), ("conv", 32, 1, 1, True), ("conv", 35, 0, 0, True),
                       ("dense", 64), ("dense", 17), ("dense", 11)]),
    ],
)
@pytest.mark.parametrize("images", [1, 7])
def test_convolutions(folder: Path, size: tuple[int, int, int], stages: list[tuple], images: int) -> None:
    check(folder, network(1, size, stages), SMALL, 4, images)


@pytest.mark.parametrize("size", [(5, 5, 1), (8, 8, 1), (7, 9, 3)])
def test_dense_only(folder: Path, size: tuple[int, int, int]) -> None:
    check(folder, network(2, size, [("dense", 40), ("dense", 65), ("dense", 7)], binary=True), SMALL, 8, 19)


@pytest.mark.parametrize(
    "change",
    [
        {"pe": 32},
        {"simd": 64, "pe": 16, "first_pe": 16, "lanes": 8},
        {"simd": 128, "pe": 4, "lanes": 2},
        {"simd": 256, "pe": 8, "first_pe": 8},
        {"weight_depth": 128, "act_depth": 512},
        {"act_depth": 256},
    ],
)
def test_designs(folder: Path, change: dict[str, int]) -> None:
    design = replace(SMALL, **{"act_depth": 2048, "weight_depth": 256, **change})
    stages = [("conv", 40, 1, 0, True), ("conv", 70, 1, -1, False), ("dense", 80), ("dense", 10)]
    check(folder, network(3, (8, 8, 3), stages), design, 16, 21)


def test_two_segments(folder: Path) -> None:
    stages = [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 11)]
    placed = check(folder, network(4, (8, 8, 3), stages), replace(SMALL, act_depth=128), 8, 19)
    assert placed.sub_batch < placed.batch and placed.segment_a < len(placed.descriptors)


@pytest.mark.parametrize(("depth", "resident"), [(128, False), (1024, True)])
def test_weight_ring(folder: Path, depth: int, resident: bool) -> None:
    stages = [("conv", 40, 1, 0, True), ("conv", 70, 1, -1, False), ("conv", 33, 1, 1, False), ("dense", 5)]
    placed = check(folder, network(5, (9, 8, 3), stages), replace(SMALL, weight_depth=depth), 4, 9)
    assert placed.resident == resident


@pytest.mark.parametrize(("word", "value", "code"), [(0, 1, 1), (1, 2, 1), (2, 0, 2), (18, 8, 2), (4, 17, 3)])
def test_error_codes(folder: Path, word: int, value: int, code: int) -> None:
    stages = [("dense", 40), ("dense", 7)]
    program = np.frombuffer(pack(plan(network(2, (5, 5, 1), stages, binary=True), SMALL, 8)), "<u4").copy()
    program[word] = value
    images = np.zeros((1, 5, 5, 1), np.uint8)
    with pytest.raises(hls_csim.CsimError, match=f"error code {code}$"):
        built(folder, SMALL).run(program.tobytes(), images)


def test_no_images(folder: Path) -> None:
    model = network(2, (5, 5, 1), [("dense", 40), ("dense", 7)], binary=True)
    scores, traces = built(folder, SMALL).run(pack(plan(model, SMALL, 8)), np.zeros((0, 5, 5, 1), np.uint8))
    assert scores.shape == (0, 7) and not traces


def test_a_constraint_is_checked_when_the_core_is_built(folder: Path) -> None:
    broken = replace(SMALL)
    object.__setattr__(broken, "lanes", 3)
    with pytest.raises(hls_csim.CsimError, match="LANES must be a power of two from 2 to 16"):
        hls_csim.build(broken, folder / "broken")
