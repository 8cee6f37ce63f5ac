"""Programs, interpreted word by word, against the golden network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import TIGHT, pixels
from helpers.damage import code_of
from helpers.interpreter import interpreted
from helpers.models import deep, network
from helpers.programs import change, wrong_rings
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bnn import model as models
from bnn.contract import Error
from bnn.model import Model
from hls import __main__ as command
from hls.cycles import MemorySpeed, array_cycles
from hls.designs import DESIGNS, Design, DesignError
from hls.program import pack, summary
from hls.schedule import Plan, Sizes, plan
from sim.board.core import decode

SMALL = DESIGNS["sim_small"]
PLAIN = replace(SMALL, name="plain", vector=False)
ROOT = Path(__file__).resolve().parent.parent
DIGESTS = json.loads((ROOT / "tests/program_digests.json").read_text())
"""SHA-256 of the shipped models' programs for batches of 16, by model and each design that takes it."""


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9), st.integers(1, 4)),
    convs=st.lists(st.tuples(st.integers(1, 140), st.booleans()), max_size=3),
    dense=st.lists(st.integers(1, 140), max_size=2),
    padding=st.sampled_from([-1, 1]),
    design=st.sampled_from(["sim_small", "pynq_z1"]),
    batch=st.integers(1, 17),
)
def test_a_program_holds_its_network(
    seed: int,
    size: tuple[int, int, int],
    convs: list[tuple[int, bool]],
    dense: list[int],
    padding: int,
    design: str,
    batch: int,
) -> None:
    stages = [("conv", outputs, 1, padding, pool) for outputs, pool in convs] + [("dense", n) for n in [*dense, 10]]
    try:
        model = network(seed, size, stages, binary=not convs)
        placed = plan(model, replace(DESIGNS[design], vector=False), batch)
    except (DesignError, models.ModelError):  # nothing is left after a pool, or no room
        reject()
    found = decode(pack(placed))
    assert np.array_equal(found.input_table, model.input_table)
    for ours, theirs in zip(model.layers, found.layers, strict=True):
        assert (ours.kind, ours.pool, ours.pad) == (theirs.kind, theirs.pool, theirs.pad)
        for field in ("weights", "thresholds", "flip", "scale", "offset"):
            assert np.array_equal(getattr(ours, field), getattr(theirs, field)), (ours.name, field)
    assert model.layers[0].kind == "dense" or all(
        ours.pad_value == theirs.pad_value for ours, theirs in zip(model.layers[1:], found.layers[1:], strict=True)
    )


def check(model: Model, design: Design, batch: int, images: int) -> Plan:
    """Interpret the program on random images and compare every layer's bits and the scores."""
    placed = plan(model, design, batch)
    shape = (images, model.height, model.width, model.channels)
    pixels = np.random.default_rng(images).integers(0, 256, shape, np.uint8)
    interpreted(placed, pixels)
    json.dumps(summary(placed))
    return placed


CONVS = [
    [("conv", 32, 0, 0, False), ("conv", 32, 0, 0, False), ("dense", 10)],
    [("conv", 5, 1, 0, False), ("conv", 9, 1, -1, True), ("conv", 40, 1, 1, True), ("dense", 35), ("dense", 3)],
    [("conv", 70, 1, 0, True), ("conv", 33, 1, 1, False), ("conv", 8, 0, 0, False), ("dense", 10)],
    [("conv", 34, 0, 0, False), ("conv", 64, 1, 1, True), ("dense", 64), ("dense", 33), ("dense", 12)],
]


@pytest.mark.parametrize("stages", CONVS)
@pytest.mark.parametrize("size", [(8, 8, 3), (9, 11, 1), (7, 6, 4)])
def test_convolutions(stages: list[tuple], size: tuple[int, int, int]) -> None:
    check(network(1, size, stages), SMALL, 3, 5)


@pytest.mark.parametrize("size", [(1, 32, 1), (4, 5, 3), (6, 7, 1)])
def test_dense_only(size: tuple[int, int, int]) -> None:
    stages = [("dense", 64), ("dense", 37), ("dense", 11)]
    placed = check(network(2, size, stages, binary=True), SMALL, 6, 15)
    assert placed.batch == placed.sub_batch == 6 and placed.first.channels == 0


def test_pe_equals_simd() -> None:
    check(network(3, (6, 6, 3), CONVS[2]), replace(SMALL, pe=32, weight_depth=256), 2, 3)


@pytest.mark.parametrize("depth", [128, 256, 512])
def test_two_segments(depth: int) -> None:
    placed = check(network(4, (8, 8, 3), CONVS[3]), replace(SMALL, act_depth=depth), 8, 19)
    assert placed.batch % placed.sub_batch == 0
    if depth == 128:
        assert placed.sub_batch < placed.batch and placed.segment_a < len(placed.descriptors)


def test_segment_input_outlives_every_sub_batch() -> None:
    """The input of segment B keeps earlier sub-batches while the layers of segment A run again."""
    stages = [("conv", 8, 1, 0, False)] + [("conv", 8, 1, 1, False)] * 3
    stages += [("conv", 8, 1, -1, True), ("dense", 128), ("dense", 5)]
    placed = check(network(8, (8, 8, 1), stages), replace(SMALL, act_depth=128), 8, 13)
    assert placed.segment_a == 4 and placed.sub_batch < placed.batch


def test_regions_do_not_overlap_while_live() -> None:
    placed = plan(network(9, (8, 8, 3), CONVS[1]), SMALL, 4)
    base = {region.name: region for region in placed.regions}
    for name in ("first.even", "first.odd"):
        for other in placed.regions:
            if other.name != name:
                mine = base[name]
                assert mine.base + mine.words <= other.base or other.base + other.words <= mine.base


def test_cycles_count_headers_and_taps() -> None:
    placed = plan(network(10, (8, 8, 3), CONVS[0]), SMALL, 4)
    conv, dense = placed.descriptors
    assert array_cycles(conv, 4, 4) == 4 * (1 + 4 * 4 * 1 * 9)
    assert array_cycles(dense, 4, 4) == 2 * (2 + 1 * 16)
    assert placed.layer_cycles(0) == 4 // placed.sub_batch * array_cycles(conv, placed.sub_batch, 4)


def test_a_run_takes_longer_with_more_images_less_memory_and_a_slow_bus() -> None:
    placed = plan(network(10, (8, 8, 3), CONVS[0]), SMALL, 4)
    assert placed.run_cycles(0) < placed.run_cycles(1) < placed.run_cycles(4) < placed.run_cycles(9)
    assert placed.resident and placed.run_cycles(4, keep=True) < placed.run_cycles(4)
    thin = replace(placed, design=replace(SMALL, weight_depth=32))
    assert not thin.resident and thin.run_cycles(4, keep=True) == thin.run_cycles(4) > placed.run_cycles(4)
    slow, unlimited = (thin.run_cycles(4, memory=MemorySpeed(bandwidth=limit)) for limit in (1e8, 0))
    assert slow > 1.5 * thin.run_cycles(4) and unlimited == thin.run_cycles(4, memory=MemorySpeed(bandwidth=1e12))


@pytest.mark.parametrize("sizes", [None, Sizes(4, 16, 1), Sizes(8, 16, 2)])
def test_a_segment_that_stays_in_front_of_a_ring(sizes: Sizes | None) -> None:
    placed = plan(deep(), TIGHT, 24, sizes)
    assert placed.resident and 0 < placed.words_a <= placed.ring_base < TIGHT.weight_depth
    assert placed.run_cycles(24, keep=True) < placed.run_cycles(24)
    interpreted(placed, pixels(placed.model, 37))


def test_rules_on_rings() -> None:
    """Each, broken alone, is told in Python, too; tests/test_cores.py has the cores' answers."""
    program = pack(plan(deep(), TIGHT, 16, Sizes(8, 16, 2)))
    codes = [code_of(program), *(code_of(change(program, **fields)) for fields in wrong_rings(program))]
    assert codes == [Error.NONE] + [Error.RANGE] * (len(codes) - 1)


def test_segments_that_cannot_stay() -> None:
    """A sub-batch that is not of whole blocks, a ring without room for a burst, and a network that stays whole."""
    for sizes in (Sizes(6, 24, 1), Sizes(4, 16, 3), Sizes(4, 16, 4)):
        with pytest.raises(DesignError, match="do not cut a batch of its 5 array layers"):
            plan(deep(), TIGHT, 24, sizes)
    assert not plan(deep(), replace(TIGHT, weight_depth=256), 24).ring_base


def test_sizes_that_are_given() -> None:
    """A plan with the sizes of the best is the best; others are kept to, and refused where they do not fit."""
    model = network(3, (8, 8, 3), CONVS[1])
    best = plan(model, PLAIN, 8)
    assert plan(model, PLAIN, 8, Sizes(best.sub_batch, best.batch, best.segment_a)) == best
    for sizes in (Sizes(1, 6, 2), Sizes(2, 6, 2), Sizes(3, 6, 2), Sizes(6, 6, 4)):
        found = plan(model, PLAIN, 8, sizes)
        assert (found.sub_batch, found.batch, found.segment_a) == sizes
        assert sizes != (best.sub_batch, best.batch, best.segment_a)
    wanted = (
        "layer conv1: bits of 6 images, 2 at a time, take 32 words, all maps 88, activation memory has 16 .*DEPTH=16"
    )
    with pytest.raises(DesignError, match=wanted):
        plan(model, replace(PLAIN, act_depth=16), 8, Sizes(2, 6, 2))
    for wrong in (Sizes(2, 5, 2), Sizes(0, 0, 2), Sizes(2, 4, 1), Sizes(2, 4, 4), Sizes(4, 4, 0), Sizes(4, 4, 5)):
        with pytest.raises(DesignError, match=r"do not cut a batch of its 4 array layers"):
            plan(model, PLAIN, 8, wrong)


@pytest.mark.parametrize("name", DIGESTS)
def test_programs_of_the_shipped_models(name: str) -> None:
    """Their bytes. A change of the format or of what the planner chooses changes them; then say so in the commit."""
    model = models.load(ROOT / "models" / f"{name}.npz")
    designs = [DESIGNS[design] for design in DIGESTS[name]]
    found = {design.name: hashlib.sha256(pack(plan(model, design, 16))).hexdigest() for design in designs}
    assert found == DIGESTS[name]
    for design in DESIGNS.values():  # the others refuse it
        if design.name not in DIGESTS[name]:
            with pytest.raises(DesignError, match="needs the vector unit|activation memory has"):
                plan(model, design, 16)


def test_shallow_weight_memory() -> None:
    placed = check(network(5, (8, 8, 3), CONVS[0]), replace(SMALL, weight_depth=32), 2, 5)
    assert not placed.resident


def test_errors() -> None:
    with pytest.raises(DesignError, match="conv2: a group of 19 words does not fit WEIGHT_DEPTH=16"):
        plan(network(6, (8, 8, 3), CONVS[3]), replace(SMALL, weight_depth=16), 2)
    with pytest.raises(DesignError, match="batch 0 is not in"):
        plan(network(6, (8, 8, 3), CONVS[0]), SMALL, 0)
    with pytest.raises(DesignError, match="ACT_DEPTH=16"):
        plan(network(6, (8, 8, 3), CONVS[0]), replace(SMALL, act_depth=16), 2)
    with pytest.raises(DesignError, match="MAX_LAYERS=2"):
        plan(network(6, (8, 8, 3), CONVS[1]), replace(SMALL, max_layers=2), 2)
    with pytest.raises(DesignError, match="IMAGE_PIXELS=16"):
        plan(network(6, (8, 8, 3), CONVS[1]), replace(SMALL, image_pixels=16), 2)
    with pytest.raises(DesignError, match="layer conv1: needs the vector unit .*, which design plain does not have"):
        plan(network(6, (8, 8, 3), [("conv", 8, 1, 0, False), ("dense", 4)]), PLAIN, 2)
    with pytest.raises(DesignError, match="image: 5 channels, at most 4"):
        plan(network(6, (4, 4, 5), [("dense", 8), ("dense", 4)], binary=True), SMALL, 2)
    dense = network(6, (4, 4, 1), [("dense", 8), ("dense", 4)], binary=True)
    with pytest.raises((DesignError, models.ModelError), match="-1 and \\+1"):
        plan(replace(dense, input_table=np.arange(-128, 128).astype(np.int8)), SMALL, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"pe": 6},
        {"pe": 4},
        {"lanes": 2},
        {"pe": 64},
        {"simd": 16},
        {"lanes": 1},
        {"first_pe": 16},
        {"act_depth": 0},
        {"weight_depth": 32768, "pe": 32},
        {"clock_mhz": 0},
    ],
)
def test_design_constraints(change: dict) -> None:
    with pytest.raises(DesignError, match="design sim_small: ") as caught:
        replace(SMALL, **change)
    assert "\n" not in str(caught.value)


def test_command(tmp_path, capsys) -> None:
    path = tmp_path / "model.npz"
    models.save(network(7, (8, 8, 3), CONVS[0]), path)
    out = tmp_path / "out"
    assert command.main([str(path), "--design", "sim_small", "-o", str(out), "--batch", "4"]) == 0
    assert sorted(item.name for item in out.iterdir()) == ["plan.json", "program.bin"]
    assert json.loads((out / "plan.json").read_text())["batch"] == 4
    assert command.main([str(path), "--design", "other", "-o", str(out)]) == 1
    assert command.main([str(tmp_path / "no.npz"), "--design", "sim_small", "-o", str(out)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and all(line.startswith("error: ") for line in errors)
