"""Programs of version 2, interpreted word by word, against the golden network: planes, bases, values, shortcuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.cores import pixels
from helpers.interpreter import interpreted
from helpers.models import STEMS, stem
from helpers.programs import change, wrong_values
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bnn.check import ProgramFault, check
from bnn.contract import PROGRAM_VERSION, Error, FirstBeat, Header, Registers
from bnn.golden import infer, result
from bnn.layers import FEATURES, INPUT, Layer
from bnn.networks import network
from bnn.random_models import random_graph, random_model, with_planes
from hls import lowering, schedule
from hls.designs import DESIGNS, DesignError
from hls.lowering import engine_layer, lower
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


@pytest.mark.parametrize(("seed", "channels"), STEMS)
def test_values_of_the_first_layer(seed: int, channels: int) -> None:
    """In groups of less than a word of values, of one and of two; each is a shortcut's source."""
    for first_pe, simd in ((4, 32), (8, 32), (4, 64), (16, 128)):
        design = replace(SMALL, pe=16, lanes=4 << seed % 2, simd=simd, first_pe=first_pe, act_depth=1024)
        placed = plan(stem(seed, channels), design, 1 + seed % 5)
        assert placed.first.value_channels and any(item.shortcut_first for item in placed.descriptors)
        assert check(pack(placed), design.registers())
        interpreted(placed, pixels(placed.model, 7))


def test_first_layers_differ() -> None:
    """Signed and not, of several planes, with a pool, of negative scales."""
    firsts = [stem(*one).layers[0] for one in STEMS]
    assert {layer.planes for layer in firsts} == {1, 2, 3} and {layer.pool for layer in firsts} == {False, True}
    assert {layer.bits > 0 for layer in firsts} == {False, True}
    assert {layer.coefficients is None for layer in firsts} == {False, True}
    assert any((layer.scale < 0).any() for layer in firsts if layer.scale is not None)


@pytest.mark.parametrize("bits", [0, 1, 5])
@pytest.mark.parametrize("shift", [0, 8, 28])
def test_thresholds_on_a_value_are_some_on_the_sums(bits: int, shift: int) -> None:
    """Constant channels, negative scales, values that saturate on both sides, and thresholds that no sum reaches."""
    rng = np.random.default_rng(shift + bits)
    outputs = 64
    scale = rng.choice([-32768, -300, -1, 0, 1, 5, 32767], outputs)
    offset = rng.choice([-(2**31), -(2**20), -100, 0, 77, 2**22, 2**31 - 1], outputs)
    layer = Layer("stem", "conv", (INPUT,), rng.integers(0, 2, (outputs, 3, 3, 1), np.uint8), bits=bits, shift=shift)
    low, high = layer.value_range
    limits = rng.integers(low, high + 2, (3, outputs))
    limits[:, :8] = [[low], [high], [high + 1]]
    flip = rng.integers(0, 2, outputs) > 0
    layer = replace(layer, thresholds=limits.astype(np.int32), flip=flip)
    layer = replace(layer, scale=scale.astype(np.int32), offset=offset.astype(np.int32))
    made = engine_layer(layer)
    assert (made.scale >= 0).all() and FirstBeat.threshold.least <= made.limits.min()
    assert made.limits.max() <= FirstBeat.threshold.largest
    inverted = (made.weights != layer.weights).all((1, 2, 3))
    assert np.array_equal(inverted, scale < 0) and np.array_equal(made.weights[~inverted], layer.weights[~inverted])
    sums = np.arange(-9 * 128, 9 * 128 + 1)[:, None]
    given = result(layer, np.broadcast_to(sums, (len(sums), outputs))[:, None, None].astype(np.int64))
    turned = np.where(inverted, -sums, sums)
    value = np.clip((turned * made.scale + made.offset) >> shift, low, high)
    assert given.value is not None and np.array_equal(value, given.value[:, 0, 0])
    assert np.array_equal((turned >= made.limits[:, None]) ^ flip, given.planes[:, :, 0, 0])
    seen = {int(item) for item in np.unique(value)}
    assert shift == 28 or {low, high} <= seen


def test_what_first_layers_with_values_must_be() -> None:
    placed = plan(stem(32), SMALL, 2)
    good = pack(placed) + bytes(4096)
    core = SMALL.registers()

    def code(core: Registers, **fields: int) -> Error:
        try:
            check(change(good, **fields), core)
        except ProgramFault as fault:
            return fault.code
        return Error.NONE

    assert code(core) == code(core, value_bits=8, shift=28) == Error.NONE
    assert code(PLAIN.registers()) == code(PLAIN.registers(), shift=1, first_channels=0) == Error.VECTOR
    for fields in wrong_values(good):
        assert code(core, **fields) == Error.RANGE, fields


def test_first_layers_with_values_that_the_engine_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run on the array: too many channels, or a design without the vector unit."""
    assert plan(random_model(network("bireal")), DESIGNS["pynq_z1"], 2).first.value_channels == 64
    model = random_model(network("tiny_bireal"))
    wide = replace(DESIGNS["pynq_z1"], simd=256, pe=8, lanes=4, weight_depth=128, first_pe=8)
    first = plan(model, wide, 2).first
    assert (first.value_channels, first.words) == (256, 9)
    monkeypatch.setattr(lowering, "FIRST_VALUES", 128)
    assert not lower(model, wide).engine
    with pytest.raises(DesignError, match="needs the vector unit"):
        plan(model, DESIGNS["pynq_z1_binary"], 2)
