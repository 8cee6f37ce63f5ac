"""Columns of the first layer's patch against the image, whose pixels come slowly (cocotb and Verilator)."""

import cocotb
import numpy as np
from bench import begin, fields, run, seed
from cocotb.triggers import FallingEdge, ReadOnly

PIXEL_BITS = 6
LATENCY = 3  # from an address to its pixel


def pixels(rng, count):
    return rng.integers(1, 1 << 32, count, dtype=np.uint64)


class Case:
    """Images of one run, and what is read of them."""

    def __init__(self, rng):
        self.pool, self.pad = int(rng.integers(2)), int(rng.integers(2))
        least = 3 + self.pool - 2 * self.pad
        self.height, self.width = (int(size) for size in rng.integers(least, 9, 2))
        self.rows = (self.height - 2 + 2 * self.pad) >> self.pool
        self.columns = ((self.width - 2 + 2 * self.pad) >> self.pool << self.pool) + 2
        self.images = [pixels(rng, self.height * self.width) for _ in range(int(rng.integers(1, 5)))]

    def column(self, image, y, cx):
        """Whether the column is a window's last one, and its pixels."""
        around = np.pad(self.images[image].reshape(self.height, self.width), self.pad)
        top = y * (1 + self.pool)
        return int(cx >= 2 and (cx % 2 or not self.pool)), around[top : top + 3 + self.pool, cx].tolist()


class Buffer:
    """The image buffer: a half that is filled, pixel after pixel, holds others first."""

    def __init__(self, rng, images):
        self.rng, self.images = rng, images
        self.halves = [pixels(rng, 1 << PIXEL_BITS) for _ in range(2)]
        self.full, self.begun, self.filled = [0, 0], 0, 0  # images begun, pixels of the last one
        self.reads = [0] * LATENCY

    def read(self, address):
        half, pixel = divmod(address, 1 << PIXEL_BITS)
        self.reads = [*self.reads[1:], int(self.halves[half][pixel])]

    def fill(self):
        """A pixel more, if there is room."""
        half = self.begun % 2
        if self.begun == len(self.images) or self.full[half]:
            return
        if self.filled == 0:
            self.halves[half] = pixels(self.rng, 1 << PIXEL_BITS)
        image = self.images[self.begun]
        self.halves[half][self.filled] = image[self.filled]
        self.filled += 1
        if self.filled == len(image):
            self.full[half], self.begun, self.filled = 1, self.begun + 1, 0


@cocotb.test()
async def first_columns(dut):
    rng = np.random.default_rng(seed())
    zero = "pack_i pool_i pad_i rows_i column_limit_i height_i width_i some_i full_i filled_i read_data_i pop_i"
    await begin(dut, clear_i=1, **dict.fromkeys(zero.split(), 0))
    early = set()  # pool and padding with which a second row was there before the image
    for number in range(100):
        case = Case(rng)
        dut.clear_i.value, dut.some_i.value, dut.full_i.value, dut.filled_i.value, dut.pop_i.value = 3, 0, 0, 0, 0
        for name in ("pool", "pad", "rows", "height", "width"):
            getattr(dut, name + "_i").value = getattr(case, name)
        dut.column_limit_i.value = case.columns
        for _ in range(4):
            await FallingEdge(dut.clk_i)
        dut.clear_i.value = 0

        buffer = Buffer(rng, case.images)
        come, some, take = rng.choice([0.05, 0.2, 1.0]), rng.choice([0.3, 1.0]), rng.choice([0.1, 1.0])
        places = [(i, y, cx) for i in range(len(case.images)) for y in range(case.rows) for cx in range(case.columns)]
        begun = freed = taken = 0
        for _ in range(100000):
            if taken == len(places) and freed == len(case.images):
                break
            dut.full_i.value, dut.filled_i.value = buffer.full[0] | buffer.full[1] << 1, buffer.filled
            dut.some_i.value = int(begun < len(case.images) and rng.random() < some)
            pop = int(dut.valid_o.value) and rng.random() < take
            dut.pop_i.value = 3 * int(pop)  # twice
            dut.read_data_i.value = buffer.reads[0]
            if pop:
                image, y, cx = place = places[taken]
                got = int(dut.complete_o.value), fields(int(dut.data_o.value), 32, 4)[1 - case.pool :]
                assert got == case.column(*place), f"case {number}: image, row, column {place}"
                if y and image == buffer.begun:
                    early.add((case.pool, case.pad))
                taken += 1
            await ReadOnly()
            buffer.read(int(dut.read_addr_o.value))
            begun += int(dut.begin_o.value)
            if int(dut.read_last_o.value):
                half = freed % 2
                assert buffer.full[half], f"case {number}: image {freed} is freed before it is there"
                buffer.full[half], freed = 0, freed + 1
            elif rng.random() < come:
                buffer.fill()
            await FallingEdge(dut.clk_i)
        assert (taken, begun, freed) == (len(places), len(case.images), len(case.images)), f"case {number}"
        assert int(dut.valid_o.value) == 0, f"case {number}: a column too many"
    assert len(early) == 4


def test_first_columns(tmp_path):
    run(__file__, "bnn_first_columns", {"PixelBits": PIXEL_BITS}, tmp_path)
