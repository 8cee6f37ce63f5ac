"""Values of the first layer against numpy: products, saturation and the words of records (cocotb and Verilator)."""

import cocotb
import numpy as np
import pytest
from bench import begin, fields, join, parameter, record, run, seed
from cocotb.triggers import FallingEdge

from bnn.contract import FIRST_CHANNELS, FIRST_TAPS, FIRST_VALUES, MAX_CHANNELS, FirstValue, Header, value_range

RESULTS = 16
MOST = 128 * FIRST_TAPS * MAX_CHANNELS  # of a sum
PIXELS = 4


def case(rng, simd, planes):
    """Header, sums and bits (pixels, channels), scales and offsets of the channels with a value."""
    most = FIRST_VALUES // simd
    words = most if planes == 1 and rng.random() < 0.3 else int(rng.integers(1, 1 + min(most, 3)))
    values, channels = words * simd, planes * words * simd
    value_bits, shift = int(rng.integers(2) * rng.integers(9)), 4 * int(rng.integers(0, 8))
    sums = rng.integers(-MOST, MOST + 1, (PIXELS, channels))
    sums[0, : values // 2], sums[0, values // 2 : values] = -MOST, MOST
    # half of the values near the range, the others anywhere
    scale = np.minimum((1 << shift) * rng.random(values) / 8, (1 << 16) - 1).astype(np.int64)
    offset = rng.integers(-(1 << 31), 1 << 31, values)
    near = rng.random(values) < 0.5
    offset[near] = np.clip(offset[near] >> (31 - min(shift + 8, 31)), -(1 << 31), (1 << 31) - 1)
    scale[~near] = rng.choice([0, 1, (1 << 16) - 1], (~near).sum())
    header = Header(
        first_channels=channels,
        value_channels=values,
        value_bits=value_bits,
        shift=shift,
        out_words=planes * words + 8 * words,
    )
    return header, sums, rng.integers(0, 2, sums.shape), scale, offset


def expected(header, sums, bits, scale, offset, simd):
    """Offset, whether it is of bits, whether it is the last, and bits of every word."""
    low, high = value_range(header.value_bits)
    given = np.clip((sums[:, : len(scale)] * scale + offset) >> header.shift, low, high)
    words = header.first_channels // simd
    for pixel in range(len(sums)):
        for word in range(words):
            at = word * simd
            if at < header.value_channels:
                for s in range(8):
                    part = given[pixel, at + s * simd // 8 : at + (s + 1) * simd // 8]
                    yield words + 8 * word + s, 0, 0, join(part, 8)
            yield word, 1, int(word == words - 1), join(bits[pixel, at : at + simd].reshape(8, -1).T.ravel(), 1)


@cocotb.test()
async def first_values(dut):
    simd, pe = parameter("Simd"), parameter("FirstPe")
    await begin(dut, clear_i=1, load_i=0, soon_i=0, taken_i=0, group_end_i=1, words_i=1, value_words_i=1, result_i=0)
    rng = np.random.default_rng(seed())
    saturated, full = [0, 0], 0
    for number in range(12):
        header, sums, bits, scale, offset = case(rng, simd, planes=1 + number % 3)
        low, high = value_range(header.value_bits)
        exact = (sums[:, : len(scale)] * scale + offset) >> header.shift
        saturated[0] += (exact < low).sum()
        saturated[1] += (exact > high).sum()
        dut.clear_i.value = 1
        dut.group_end_i.value = header.first_channels // pe
        dut.words_i.value = header.first_channels // simd
        dut.value_words_i.value = header.value_channels // simd
        dut.result_i.value = header.first_result
        beats = [record(FirstValue(scale=int(a), offset=int(b))) for a, b in zip(scale, offset)]
        for index in range(len(beats) + 1):
            dut.load_i.value, dut.load_index_i.value = int(index < len(beats)), index % FIRST_VALUES
            dut.load_data_i.value = beats[index - 1] if index else 0
            await FallingEdge(dut.clk_i)
        dut.load_i.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk_i)
        dut.clear_i.value = 0

        groups = np.stack([sums, bits]).reshape(2, -1, pe)
        wanted = list(expected(header, sums, bits, scale, offset, simd))
        begun = popped = got = age = 0
        stall, gap = rng.choice([0.0, 0.3, 0.9]), rng.choice([0.0, 0.5])
        starts = []  # cycle and number of the last two groups
        for time in range(20000):
            if got == len(wanted) and popped == groups.shape[1]:
                break
            popped += int(dut.pop_o.value)
            valid = int(dut.plane_o.value) or (int(dut.valid_o.value) and int(dut.ready_o.value))
            taking = 3 if rng.random() >= stall else int(rng.integers(3))
            taken = valid and taking == 3
            if valid:
                assert got < len(wanted), f"case {number}: a word more than {got}"
                at, plane, last, word = wanted[got]
                assert (int(dut.plane_o.value), int(dut.last_o.value)) == (3 * plane, 3 * last), (
                    f"case {number}, word {got}"
                )
                assert int(dut.offset_o.value) == at, f"case {number}, word {got}"
                found = int(dut.bits_o.value if plane else dut.value_o.value)
                assert fields(found, 8, simd // 8) == fields(word, 8, simd // 8), f"case {number}, word {got}"
            got += taken
            dut.taken_i.value = taking
            # sums are there for four cycles, from the third one after soon_i on
            now = next((group for cycle, group in starts if cycle + 3 <= time < cycle + 7), None)
            if now is not None:
                held = join(groups[1, now] << 14 | groups[0, now] & 0x3FFF, 15)
            else:
                held = int.from_bytes(rng.bytes(2 * pe), "little") >> pe
            ready = begun < groups.shape[1] and (age >= 3 or not begun)
            full += ready and begun - popped == RESULTS
            soon = ready and begun - popped < RESULTS and rng.random() >= gap
            dut.sums_i.value, dut.soon_i.value = held, int(soon)
            if soon:
                starts = [*starts[-1:], (time, begun)]
            begun, age = begun + soon, 0 if soon else age + 1
            await FallingEdge(dut.clk_i)
        assert (got, popped) == (len(wanted), groups.shape[1]), f"case {number}"
        dut.taken_i.value = 0
        for _ in range(20):
            await FallingEdge(dut.clk_i)
            assert not int(dut.valid_o.value) and not int(dut.plane_o.value) and not int(dut.pop_o.value)
    assert min(saturated) > 100 and full > 100


# parts of a word: 4, 2, 1; words of a group: a half, 1, 2
@pytest.mark.parametrize("simd, first_pe", [(32, 4), (64, 4), (64, 8), (64, 16), (32, 16)])
def test_first_values(simd, first_pe, tmp_path):
    parameters = {"Simd": simd, "FirstPe": first_pe, "GroupBits": (FIRST_CHANNELS // first_pe).bit_length() - 1}
    run(__file__, "bnn_first_values", parameters, tmp_path)
