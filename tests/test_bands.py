"""Bands of rows, by which the first layers of one image run: which are chosen, and what a program with them must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.cores import SMALL, pixels
from helpers.interpreter import interpreted
from helpers.models import chain
from helpers.programs import wrong_bands

from bnn.check import ProgramFault, check
from bnn.contract import PROGRAM_VERSION_2, Error
from bnn.model import SHIPPED, Model, load
from hls import bands
from hls.cycles import first_rows
from hls.designs import DESIGNS, Design
from hls.program import pack
from hls.schedule import plan


@pytest.mark.parametrize("most", [5, 6, 8, 12, 27])
def test_bands_of_the_shipped_network(most: int) -> None:
    """Each row once and in order, behind all that it reads; the weights go on to the next layer, or back."""
    placed = plan(load(SHIPPED / "cnv.npz"), DESIGNS["pynq_z1"], 2)  # without bands
    *layers, _ = placed.descriptors[: bands.chain(placed.descriptors, [1] * len(placed.descriptors))]  # conv2 to conv4
    found = bands.choose(layers, first_rows(placed), most)
    assert found and sorted({len(parts) for parts in found}) == [len(parts) for parts in found]
    for parts in found:
        assert len(parts) <= most and parts[-1].layer == 2
        done = [0, 0, 0]
        for before, (layer, first, rows) in zip([-1, *(part.layer for part in parts)], parts):  # noqa: B905
            assert rows > 0 and first == done[layer] and layer <= before + 1 and layer != before
            done[layer] += rows
            assert layer == 0 or bands.rows_read(layers[layer], done[layer]) <= done[layer - 1]
        assert done == [item.output_rows for item in layers]


def test_more_bands_are_faster() -> None:
    model = load(SHIPPED / "cnv.npz")
    cycles = []
    for most in (8, 16, 32):
        placed = plan(model, replace(DESIGNS["pynq_z1"], max_layers=most), 1)
        words = {stage.name: item.weight_words for stage, item in zip(placed.stages, placed.descriptors, strict=True)}
        assert len(placed.descriptors) <= most and placed.words_a == sum(words.values())
        cycles.append(placed.run_cycles(1, keep=True))
    assert cycles == sorted(set(cycles), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_in_bands_gives_every_bit(seed: int) -> None:
    placed = plan(chain(seed), SMALL, 1)
    assert placed.version == PROGRAM_VERSION_2 and sum(item.early for item in placed.descriptors) > 2
    assert check(pack(placed), SMALL.registers())
    interpreted(placed, pixels(placed.model, 2))


@pytest.mark.parametrize(
    ("model", "design", "batch"),
    [
        pytest.param(load(SHIPPED / "cnv.npz"), DESIGNS["pynq_z1"], 16, id="more images keep the array busy"),
        pytest.param(chain(1), replace(SMALL, weight_depth=64), 1, id="weights that do not stay"),
        pytest.param(chain(1, 1), SMALL, 1, id="padding"),
    ],
)
def test_no_bands(model: Model, design: Design, batch: int) -> None:
    placed = plan(model, design, batch)
    assert not any(item.early or item.band for item in placed.descriptors)


def test_what_programs_with_bands_must_be() -> None:
    programs = [pack(plan(chain(1, pad), SMALL, 1)) for pad in (0, 1)]
    for number, program in enumerate(wrong_bands(*programs)):
        with pytest.raises(ProgramFault) as fault:
            check(program, SMALL.registers())
        assert fault.value.code == Error.RANGE, number
