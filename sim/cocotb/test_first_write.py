"""Writes of the first layer against a memory in Python: addresses, lanes and pairs of them (cocotb and Verilator)."""

import cocotb
import numpy as np
import pytest
from bench import begin, fields, parameter, run, seed
from cocotb.triggers import FallingEdge, ReadOnly

from bnn.contract import FIRST_CHANNELS, FIRST_VALUES, PAIR_WORDS

ADDR_BITS = 12


class Case:
    """Maps of one run: groups of bits or words of values by pixel, or packed ones by image."""

    def __init__(self, rng, mode, simd, lanes, pe):
        self.mode, self.lanes = mode, lanes
        self.rows, self.columns = int(rng.integers(1, 4)), int(rng.integers(1, 2 * lanes + 3))
        self.sub_batch, self.count = int(rng.integers(1, 4)), int(rng.integers(1, 8))
        self.planes = mode == "bits" and bool(rng.integers(2))
        self.groups = int(rng.integers(1, 3 * simd // pe))
        if rng.integers(3) == 0:  # rows of one write, which may come without a gap
            self.columns = self.groups = 1
        slots = 1 if self.planes else simd // pe
        self.words = -(-self.groups // slots)
        if mode == "values":
            self.words = int(rng.choice([9, 10, PAIR_WORDS - 1, PAIR_WORDS, 40]))
        if mode == "pack":
            self.rows = self.columns = 1
            self.pack_planes, self.plane_words = int(rng.integers(1, 4)), int(rng.integers(1, 4))
            self.words = self.pack_planes * self.plane_words
        self.row_stride = -(-self.columns // lanes) * self.words
        self.image_stride = self.rows * self.row_stride
        self.base = (int(rng.integers(8)), 1 << (ADDR_BITS - 1))
        self.fed = []  # of every image
        self.written = []  # of every sub-batch: word by lane and address
        self.upto = []  # and how many of these have come with each of its rows
        order = rng.permutation(self.words)
        for image in range(self.count):
            number, within = divmod(image, self.sub_batch)
            if within == 0:
                self.written.append({})
                self.upto.append([])
            self.fed.append([])
            for y in range(self.rows):
                for x in range(self.columns):
                    block, lane = divmod(within if mode == "pack" else x, lanes)
                    at = self.base[number % 2] + y * self.row_stride
                    at += block * (self.image_stride if mode == "pack" else self.words)
                    at += 0 if mode == "pack" else within * self.image_stride
                    self._pixel(rng, image, order, (lane, at), simd, pe)
                self.upto[-1].append(len(self.written[-1]))

    def _pixel(self, rng, image, order, place, simd, pe):
        lane, at = place
        here = self.written[-1]

        def word(bits):
            return int.from_bytes(rng.bytes(bits // 8 or 1), "little") & ((1 << bits) - 1)

        if self.mode == "values":
            for number, offset in enumerate(order):
                last = number == self.words - 1
                data, plane = word(simd), last or bool(rng.integers(2))
                here[lane, at + offset] = data
                self.fed[image].append((int(offset), plane, last, data))
        elif self.mode == "pack":
            for number in range(self.plane_words):
                for plane in range(self.pack_planes):
                    data = word(simd)
                    here[lane, at + plane * self.plane_words + number] = data
                    self.fed[image].append((plane == self.pack_planes - 1, data))
        else:
            slots = 1 if self.planes else simd // pe
            for group in range(self.groups):
                data = word(pe)
                key = lane, at + group // slots
                here[key] = here.get(key, 0) | data << group % slots * pe
                self.fed[image].append(data)


def feed(dut, case, item, rng):
    """The inputs with `item` at hand, or with none."""
    some, mode = item is not None, case.mode
    dut.bits_valid_i.value = 7 * int(some and mode == "bits")  # three times
    dut.word_valid_i.value = 3 * int(some and mode == "pack")
    dut.value_valid_i.value = dut.plane_i.value = 0
    dut.value_ready_i.value = int(rng.integers(2))
    if mode == "values":
        offset, plane, last, data = item or (int(rng.integers(case.words)), False, False, 0)
        dut.plane_i.value, dut.value_last_i.value = 3 * int(some and plane), 3 * int(some and last)
        dut.value_valid_i.value = dut.value_ready_i.value = int(some and not plane)
        dut.value_offset_i.value = offset
        dut.value_bits_i.value, dut.value_i.value = (data, ~data & 0xFF) if plane else (~data & 0xFF, data)
    elif some and mode == "pack":
        dut.word_last_i.value, dut.word_i.value = int(item[0]), item[1]
    elif some:
        dut.bits_i.value = item


@cocotb.test()
async def first_write(dut):
    simd, lanes, pe = (parameter(name) for name in ("Simd", "Lanes", "FirstPe"))
    rng = np.random.default_rng(seed())
    zero = "pack_i pack_data_i planes_i values_i values_data_i bits_valid_i value_valid_i plane_i word_valid_i run_i"
    await begin(dut, clear_i=1, write_wait_i=0, write_next_i=0, value_offset_i=0, **dict.fromkeys(zero.split(), 0))
    modes = ("bits", "values", "pack") if parameter("Values") else ("bits", "pack")
    pairs = singles = 0
    for number in range(45):
        case = Case(rng, modes[number % len(modes)], simd, lanes, pe)
        pack, values = int(case.mode == "pack"), int(case.mode == "values")
        dut.clear_i.value, dut.run_i.value = 1, 0
        dut.pack_i.value = dut.pack_data_i.value = pack
        dut.values_i.value = dut.values_data_i.value = values
        dut.planes_i.value, dut.group_end_i.value = int(case.planes), case.groups
        dut.rows_i.value, dut.columns_i.value = case.rows, case.columns
        dut.base_even_i.value, dut.base_odd_i.value = case.base
        dut.image_stride_i.value, dut.row_stride_i.value = case.image_stride, case.row_stride
        dut.words_i.value = case.words
        dut.plane_words_i.value = case.plane_words if pack else 3  # means nothing then
        dut.word_last_i.value = dut.value_offset_i.value = 0
        dut.sub_batch_i.value, dut.count_i.value = case.sub_batch, case.count
        for _ in range(4):
            await FallingEdge(dut.clk_i)
        dut.clear_i.value, dut.run_i.value = 0, 1

        items = [item for image in case.fed for item in image]
        ends = {sum(map(len, case.fed[: n + 1])) for n in range(case.count)}  # images, by what is taken until then
        gap, stall = rng.choice([0.0, 0.4, 0.8]), rng.choice([0.0, 0.4, 0.8])
        memory, done, taken, ready, row, writes, pause = {}, 0, 0, True, 0, 0, False
        for _ in range(100000):
            if done == len(case.written):
                break
            soon = rng.random() >= stall
            dut.write_wait_i.value, dut.write_next_i.value = int(not ready), int(not soon)
            some = taken < len(items) and not pause and rng.random() >= gap
            feed(dut, case, items[taken] if some else None, rng)
            await ReadOnly()
            if int(dut.row_o.value):
                there = list(case.written[done].items())[: case.upto[done][row]]
                assert all(memory.get(key) == data for key, data in there), f"case {number}, {done}: row {row}"
                row += 1
            if int(dut.done_o.value):
                assert pack or row == len(case.upto[done]), f"case {number}, sub-batch {done}: {row} rows"
                row = 0
                wrong = [key for key, data in case.written[done].items() if memory.get(key) != data]
                assert not wrong, f"case {number} ({case.mode}), sub-batch {done}: lane, address {wrong[:3]}"
                done += 1
            if int(dut.write_valid_o.value) and ready:
                mask, addr = int(dut.write_lane_o.value), int(dut.write_addr_o.value)
                words = fields(int(dut.write_data_o.value), simd, 2)
                memory.update({(lane, addr): words[lane % 2] for lane in range(lanes) if mask >> lane & 1})
                writes += 1
            if pack:
                took = some and int(dut.word_taken_o.value) == 3
            elif values:
                took = some and int(dut.value_taken_o.value) == 3
            else:
                took = int(dut.bits_pop_o.value)
            taken += took
            pause = bool(pack and took and taken in ends)  # a word is packed in two cycles or more
            ready = soon
            await FallingEdge(dut.clk_i)
        assert (done, taken) == (len(case.written), len(items)), f"case {number} ({case.mode})"
        if values:
            paired = case.words < PAIR_WORDS
            columns = -(-case.columns // 2) if paired else case.columns
            assert writes == case.count * case.rows * columns * case.words, f"case {number}: writes at the port"
            pairs, singles = pairs + paired, singles + (not paired or case.columns % 2)
    assert not parameter("Values") or min(pairs, singles) > 2


@pytest.mark.parametrize("values, lanes, pe", [(1, 4, 4), (1, 8, 16), (0, 2, 8)])
def test_first_write(values, lanes, pe, tmp_path):
    simd = 32
    parameters = {
        "Simd": simd,
        "Lanes": lanes,
        "AddrBits": ADDR_BITS,
        "FirstPe": pe,
        "GroupBits": (FIRST_CHANNELS // pe).bit_length() - 1,
        "OffsetBits": ((FIRST_CHANNELS + 8 * FIRST_VALUES) // simd).bit_length(),
        "Values": values,
    }
    run(__file__, "bnn_first_write", parameters, tmp_path)
