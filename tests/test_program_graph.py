"""Programs of version 2, interpreted word by word, against the golden network: planes, bases, values, shortcuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.cores import pixels
from helpers.interpreter import interpreted
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bnn.check import ProgramFault, check
from bnn.contract import PROGRAM_VERSION, Error, Header
from bnn.golden import infer
from bnn.layers import FEATURES
from bnn.networks import network
from bnn.random_models import random_graph, random_model, with_planes
from hls import schedule
from hls.designs import DESIGNS, DesignError
from hls.lowering import lower
from hls.program import pack
from hls.schedule import Sizes, plan
from sim.board.machine import Machine

SMALL = replace(DESIGNS["sim_small"], vector=True)
PLAIN = replace(SMALL, name="plain", vector=False)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    allowed=st.one_of(st.just(set(FEATURES)), st.sets(st.sampled_from(list(FEATURES)))),
    pe=st.sampled_from([8, 16, 32]),
    lanes=st.sampled_from([4, 8]),
    batch=st.integers(1, 9),
    images=st.sampled_from([1, 5, 11]),
)
def test_random_networks(seed: int, allowed: set[str], pe: int, lanes: int, batch: int, images: int) -> None:
    model = random_graph(seed, allowed)
    try:
        placed = plan(model, replace(SMALL, pe=pe, lanes=lanes), batch)
    except DesignError:  # more than 16 passes of different coefficients, or no room
        reject()
    program = pack(placed)
    assert len(check(program, placed.design.registers())) == len(placed.stages)
    interpreted(placed, pixels(model, images))


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 6, 7, 8, 9, 10])
def test_every_cut_of_a_batch(seed: int) -> None:
    """Two sub-batches a batch, with segment B and without; odd numbers of images."""
    model = random_graph(seed)
    placed = plan(model, SMALL, 6)
    split = next(n for n, item in enumerate(placed.descriptors) if item.dense or item.by_image)
    cuts = [Sizes(2, 2, len(placed.stages))] + [Sizes(2, 6, split)] * (split > 0)
    for cut in cuts:
        interpreted(plan(model, SMALL, 6, cut), pixels(model, 9))


@pytest.mark.parametrize("seed", range(20, 32))
def test_maps_by_image_that_need_not_be(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever map lies by image, what follows it works, in segment B as without it."""
    model = random_graph(seed)
    names = [layer.name for layer in model.layers[:-1]]
    for number in range(0, len(names), 3):
        wanted = frozenset(names[number : number + 2])
        monkeypatch.setattr(schedule, "lower", lambda *arguments, wanted=wanted: lower(*arguments[:2], wanted))
        try:
            placed = plan(model, SMALL, 5)
        except DesignError:  # more than 16 passes of different coefficients
            continue
        interpreted(placed, pixels(model, 7))


def test_narrow_maps_are_worked_through_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_planes(random_model(network("CNV")), 2)
    fast = plan(model, DESIGNS["pynq_z1"], 16)
    monkeypatch.setattr(schedule, "NARROW_BY_IMAGE", False)
    slow = plan(model, DESIGNS["pynq_z1"], 16)
    assert fast.run_cycles(16) < slow.run_cycles(16) and not any(item.by_image for item in slow.descriptors)
    assert any(item.by_image for item in fast.descriptors) and any(item.serial for item in fast.descriptors)
    for placed in (slow, fast):
        scores = Machine(pack(placed), placed.design.act_depth).run(pixels(model, 3))
        assert np.array_equal(scores, infer(model, pixels(model, 3)))


def test_what_needs_the_vector_unit_is_refused_without_it() -> None:
    refused = set()
    for seed in range(60):
        model = random_graph(seed)
        try:
            placed = plan(model, SMALL, 2)
        except DesignError:
            continue
        if not any(item.vector for item in placed.descriptors):
            interpreted(plan(model, PLAIN, 2), pixels(model, 3))
            continue
        with pytest.raises(
            DesignError, match=r"^layer \w+: needs the vector unit \(.*\), which design plain does not"
        ) as e:
            plan(model, PLAIN, 2)
        refused.add(str(e.value).partition("(")[2].partition(")")[0])
        with pytest.raises(ProgramFault) as fault:
            check(pack(placed), PLAIN.registers())
        assert fault.value.code == Error.VECTOR
    assert {"2 planes by thresholds", "3 planes by thresholds", "a value"} <= refused


def test_version() -> None:
    for seed in range(40):
        model = random_graph(seed, set())
        kinds = [layer.kind for layer in model.layers]
        if kinds[:2] != ["conv", "dense"]:  # a first layer by image
            assert Header.read(pack(plan(model, PLAIN, 2))).version == PROGRAM_VERSION


def test_hand_overs_are_limited() -> None:
    with pytest.raises(
        DesignError, match=r"^layer conv0: \d+ passes of different coefficients, the vector unit takes 16"
    ):
        plan(random_graph(2), SMALL, 2)
