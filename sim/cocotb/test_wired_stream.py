"""Whole random networks with their weights wired in, stream in and out, against the golden scores."""

import os
from pathlib import Path

import cocotb
import numpy as np
import pytest
from bench import run, start_clock
from cocotb.triggers import FallingEdge, RisingEdge
from helpers.models import random_model

from hls.wired.beats import PIXEL, Beat

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow

CASES = {
    # name: (level, most passes, arguments of random_model)
    "padded": (
        "none",
        1,
        {
            "seed": 1,
            "height": 6,
            "width": 5,
            "channels": 3,
            "convs": ((5, True), (7, False)),
            "dense": (6,),
            "pad": 1,
            "pad_value": -1,
        },
    ),
    "odd": (
        "kernel",
        1,
        {"seed": 2, "height": 11, "width": 9, "channels": 1, "convs": ((4, True), (6, False)), "dense": (), "pad": 0},
    ),
    "pad_plus": (
        "cse",
        1,
        {
            "seed": 83,
            "height": 7,
            "width": 8,
            "channels": 2,
            "convs": ((6, True), (5, True)),
            "dense": (5, 7),
            "pad": 1,
            "pad_value": 1,
        },
    ),
    "dense": (
        "cse",
        1,
        {"seed": 4, "height": 4, "width": 5, "channels": 2, "convs": (), "dense": (9, 8), "classes": 3},
    ),
    "short": (
        "none",
        1,
        {
            "seed": 5,
            "height": 2,
            "width": 2,
            "channels": 4,
            "convs": ((3, False),),
            "dense": (),
            "classes": 7,
            "pad": 1,
        },
    ),
    # as many passes as there is time for, in maps that are padded, odd, a vector
    "folded": (
        "cse",
        99,
        {
            "seed": 6,
            "height": 16,
            "width": 16,
            "channels": 2,
            "pad": 0,
            "dense": (33,),
            "convs": ((5, True), (11, False), (37, False)),
        },
    ),
    "folded_padded": (
        "cse",
        99,
        {
            "seed": 7,
            "height": 9,
            "width": 8,
            "channels": 1,
            "pad": 1,
            "pad_value": 1,
            "convs": ((4, True), (13, True), (7, False)),
            "dense": (),
        },
    ),
    "folded_dense": ("cse", 5, {"seed": 8, "height": 5, "width": 7, "channels": 3, "convs": (), "dense": (9, 70, 6)}),
}
BEATS = {
    # name: (bits of a beat, most passes, arguments of random_model): whole rows at once
    "beats": (64, 99, {"seed": 9, "height": 28, "width": 28, "convs": ((3, True), (5, True)), "dense": (11,)}),
    "beats_odd": (16, 99, {"seed": 10, "height": 13, "width": 11, "convs": ((5, True), (6, False)), "dense": ()}),
    "beats_narrow": (
        8,
        1,
        {"seed": 11, "height": 21, "width": 17, "convs": ((3, True), (4, False), (5, True)), "dense": ()},
    ),
    # three rows at once, of which the last word of a map has two
    "beats_three_rows": (
        32,
        4,
        {"seed": 12, "height": 13, "width": 8, "channels": 1, "convs": ((4, False), (5, False)), "dense": (7,)},
    ),
    "beats_whole_image": (
        64,
        99,
        {"seed": 19, "height": 7, "width": 6, "convs": ((6, False), (9, True)), "dense": (16, 9)},
    ),
    "beats_dense": (32, 99, {"seed": 14, "height": 9, "width": 7, "channels": 3, "convs": (), "dense": (20, 7)}),
}
PIXELS = {
    # name: (pixels per cycle, most passes, arguments of random_model)
    "two": (2, 99, {"seed": 21, "height": 13, "width": 12, "convs": ((3, True), (9, False)), "dense": (11,), "pad": 0}),
    "two_padded": (
        2,
        99,
        {
            "seed": 22,
            "height": 9,
            "width": 8,
            "channels": 3,
            "convs": ((4, False), (5, True), (6, False), (7, True)),
            "dense": (),
            "pad_value": -1,
        },
    ),
    # rows begin inside a word, which is narrowed
    "four": (4, 99, {"seed": 23, "height": 16, "width": 16, "convs": ((3, True), (9, False)), "dense": (), "pad": 0}),
    "four_padded": (
        4,
        99,
        {
            "seed": 31,
            "height": 8,
            "width": 8,
            "channels": 2,
            "convs": ((4, False), (5, True), (6, True)),
            "pad_value": 1,
        },
    ),
    # two engines behind the pool, which words of four pixels leave
    "eight": (
        8,
        99,
        {"seed": 25, "height": 8, "width": 16, "convs": ((4, True), (5, True), (6, False)), "dense": (9,)},
    ),
    "word_per_row": (4, 1, {"seed": 26, "height": 5, "width": 4, "channels": 2, "convs": ((4, False), (5, False))}),
    # no pool, so that the dense layer sees rows that begin inside a word
    "dense": (4, 5, {"seed": 27, "height": 6, "width": 8, "convs": ((3, False),), "dense": (9,), "pad": 0}),
    "three": (3, 99, {"seed": 32, "height": 7, "width": 9, "convs": ((3, False), (4, False)), "pad": 0}),
    "one_bit": (
        4,
        99,
        {
            "seed": 55,
            "height": 9,
            "width": 8,
            "channels": 2,
            "convs": ((4, True), (5, False)),
            "binary": True,
            "pad": 0,
        },
    ),
    "flat": (2, 99, {"seed": 31, "height": 5, "width": 6, "channels": 3, "convs": (), "dense": (9, 8)}),
}
COUNT = 9


def images_of(model):
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (COUNT, model.height, model.width, model.channels)).astype(np.uint8)


class Bench:
    """Clock, reset, one source and one sink of the stream."""

    def __init__(self, dut):
        self.dut = dut
        start_clock(dut.ap_clk)

    async def reset(self):
        self.dut.ap_rst_n.value = 0
        self.dut.s_axis_tvalid.value = 0
        self.dut.s_axis_tdata.value = 0
        self.dut.m_axis_tready.value = 0
        for _ in range(4):
            await RisingEdge(self.dut.ap_clk)
        await FallingEdge(self.dut.ap_clk)
        self.dut.ap_rst_n.value = 1
        await FallingEdge(self.dut.ap_clk)

    async def send(self, images, idle, rng):
        """Beats (N, beats, bytes) of images; in each free cycle nothing is offered with probability `idle`."""
        dut = self.dut
        for image in images:
            for beat in image:
                while rng.random() < idle:
                    dut.s_axis_tvalid.value = 0
                    await FallingEdge(dut.ap_clk)
                dut.s_axis_tvalid.value = 1
                dut.s_axis_tdata.value = int.from_bytes(beat.tobytes(), "little")
                while True:
                    ready = int(dut.s_axis_tready.value)
                    await FallingEdge(dut.ap_clk)
                    if ready:
                        break
        dut.s_axis_tvalid.value = 0

    async def receive(self, count, classes, stall, rng, limit=20000):
        """`count` images' scores; in each cycle the sink is not ready with probability `stall`."""
        dut, got, held = self.dut, [], None
        for _ in range(limit):
            dut.m_axis_tready.value = ready = int(rng.random() >= stall)
            # neither valid nor data depends on ready, so what is offered now is what the next edge takes
            valid = int(dut.m_axis_tvalid.value)
            beat = (dut.m_axis_tdata.value.to_signed(), int(dut.m_axis_tlast.value)) if valid else None
            assert held is None or beat == held, "an offered beat changed or went away"
            held = beat if valid and not ready else None
            if valid and ready:
                assert beat[1] == int(len(got) % classes == classes - 1), f"tlast of beat {len(got)}"
                got.append(beat[0])
            await FallingEdge(dut.ap_clk)
            if len(got) == count * classes:
                return np.array(got, np.int64).reshape(count, classes)
        raise AssertionError(f"{len(got)} of {count * classes} scores came")


@cocotb.test()
async def stream(dut):
    from bnn.golden import infer
    from bnn.model import load
    from hls.wired import rows
    from hls.wired.beats import beats

    model = load(os.environ["BNN_MODEL"])
    images = images_of(model)
    want = infer(model, images).astype(np.int64)
    assert len(np.unique(want, axis=0)) > COUNT // 2, "the scores hardly depend on the images"
    classes, beat = len(model.classes), Beat(*map(int, os.environ["BNN_BEAT"].split(",")))
    sent_beats = rows.pack(model, images, beat).reshape(COUNT, beats(model, beat), -1)
    bench = Bench(dut)
    await bench.reset()
    for number, (idle, stall) in enumerate(((0, 0), (0.4, 0), (0, 0.95), (0.6, 0.6), (0, 0))):
        sent = cocotb.start_soon(bench.send(sent_beats, idle, np.random.default_rng(number)))
        got = await bench.receive(COUNT, classes, stall, np.random.default_rng(100 + number))
        await sent
        wrong = np.argwhere(got != want)
        assert not len(wrong), (
            f"idle {idle}, stall {stall}, image {wrong[0][0]}, class {wrong[0][1]}: expected "
            f"{want[tuple(wrong[0])]}, got {got[tuple(wrong[0])]}"
        )
        dut.m_axis_tready.value = 1
        for _ in range(100):
            await FallingEdge(dut.ap_clk)
            assert not int(dut.m_axis_tvalid.value), "a score too many"
    # an image alone comes out without a beat after it
    sent = cocotb.start_soon(bench.send(sent_beats[:1], 0, np.random.default_rng(0)))
    assert (await bench.receive(1, classes, 0, np.random.default_rng(0)) == want[:1]).all()
    await sent


def simulate(model, level, fold, folder, beat=PIXEL):
    """Render a model, build it with Verilator, run the cocotb test of this file."""
    from bnn.model import save
    from hls.wired import network

    files = network.render_rtl(model, network.engines(model, level, fold, beat), beat)
    for name, text in files.items():
        (folder / name).write_text(text)
    save(model, folder / "model.npz")
    run(
        __file__,
        network.TOP,
        {},
        folder / "sim",
        ["stream"],
        [folder / name for name in files],
        ["-Wall"],
        {"BNN_MODEL": str(folder / "model.npz"), "BNN_BEAT": ",".join(map(str, beat))},
    )


@pytest.mark.parametrize("case", CASES)
def test_network(case, tmp_path):
    level, fold, arguments = CASES[case]
    simulate(random_model(**arguments), level, fold, tmp_path)


@pytest.mark.parametrize("case", BEATS)
def test_network_of_one_bit_pixels(case, tmp_path):
    beat, fold, arguments = BEATS[case]
    model = random_model(**{"channels": 1, "pad": 0, "binary": True, **arguments})
    simulate(model, "cse", fold, tmp_path, Beat(beat))


@pytest.mark.parametrize("case", PIXELS)
def test_network_of_several_pixels_per_cycle(case, tmp_path):
    count, fold, arguments = PIXELS[case]
    simulate(random_model(**{"channels": 1, **arguments}), "cse", fold, tmp_path, Beat(pixels=count))


def test_one_bit_pixels_one_per_beat(tmp_path):
    arguments = {"seed": 15, "height": 9, "width": 8, "channels": 2, "convs": ((4, True), (5, False)), "dense": ()}
    simulate(random_model(**arguments, pad=0, binary=True), "cse", 99, tmp_path)
