"""Counts, thresholds and the array against numpy (cocotb and Verilator)."""

import cocotb
import numpy as np
import pytest
from bench import begin, fields, join, parameter, run, run_cells, seed, to_int
from cocotb.triggers import FallingEdge

from bnn.contract import ThresholdHeader, array_latency

COUNT_LATENCY = 2  # of a leaf of bnn_count
SHIFT_WAIT = 7  # cycles from the first of two of shift_i of the array to the sums: ShiftWait of bnn_score


@cocotb.test()
async def count(dut):
    await begin(dut)
    rng = np.random.default_rng(seed())
    size = parameter("Bits")
    words = rng.integers(0, 2, (300, size), np.uint8)
    words[0], words[1] = 1, 0
    words[2] = np.arange(size) == size - 1
    for t in range(len(words) + COUNT_LATENCY):
        dut.word_i.value = to_int(words[min(t, len(words) - 1)])
        await FallingEdge(dut.clk_i)
        done = t - COUNT_LATENCY + 1
        if 0 <= done < len(words):
            assert int(dut.count_o.value) == words[done].sum(), f"word {done}"


@cocotb.test()
async def accumulator(dut):
    """Words, bubbles, thresholds and rows that are read out, in any order; every cycle is compared."""
    bits, sum_bits = parameter("CountBits"), parameter("SumBits")
    pair = hasattr(dut, "take_i")  # of two in a DSP slice
    rng = np.random.default_rng(seed())
    await begin(dut, clear_i=1, first_i=0, shift_i=0)
    accs, counts, limit = [None] * (1 + pair), [0] * (1 + pair), 0  # as the registers are
    first = shift = 0
    for step in range(2000):
        clear, takes = int(rng.random() < 0.2), step == 0 or rng.random() < 0.1
        takes &= pair or not first  # without a register of its own the threshold stays while it is used
        value = int(rng.choice([0, 1, 40, 2**16 - 1, rng.integers(2**16)]))
        chain = [int(rng.integers(2**sum_bits)) for _ in accs]
        if pair:
            dut.take_i.value, dut.threshold_i.value = int(takes), value
            other = [int(rng.integers(2**sum_bits)) for _ in accs]  # what has no part in it
            link, beside = (chain, other) if parameter("Linked") else (other, chain)
            dut.link_i.value, dut.chain_i.value = join((n << 1 for n in link), 24), join(beside, sum_bits)
        else:
            limit = value if takes else limit
            dut.threshold_i.value, dut.chain_i.value = limit, chain[0]
        sums = []
        for before, acc, count in zip(chain, accs, counts, strict=True):
            start = before if shift else -limit if first else acc
            sums.append(None if start is None else (start + count) % 2**sum_bits)
        accs, limit = sums, value if takes else limit
        shift = int(clear and rng.random() < 0.5)
        first = int(not clear and (step < 5 or rng.random() < 0.2))
        inputs = [int(rng.choice([rng.integers(2**bits), 2 ** (bits - 1)])) for _ in accs]
        counts = [0 if clear else n for n in inputs]
        dut.clear_i.value, dut.first_i.value, dut.shift_i.value = clear, first, shift
        dut.count_i.value = join(inputs, bits)
        await FallingEdge(dut.clk_i)
        for got, want in zip(fields(int(dut.acc_o.value), sum_bits, len(accs)), accs, strict=True):
            assert want is None or got == want, f"step {step}"
        if pair and None not in accs:
            for half, want in zip(fields(int(dut.link_o.value), 24, 2), accs, strict=True):
                assert half % 2 ** (sum_bits + 1) == 2 * want, f"step {step}"


@cocotb.test()
async def accumulator_dsp(dut):
    await accumulator.func(dut)


@cocotb.test()
async def threshold(dut):
    pe, lanes = parameter("Pe"), parameter("Lanes")
    await begin(dut, valid_i=0)
    rng = np.random.default_rng(seed())
    held = None
    for layer in range(12):
        pool = layer % 2
        dut.pool_i.value = pool
        for _ in range(3):
            await FallingEdge(dut.clk_i)
        expected = [None if held is None else to_int(held)] * 2
        upper = None
        for step in range(120):
            valid, second = rng.random() < 0.7, int(rng.integers(2))
            if pool and upper is None:
                second = 0
            hit, flip = rng.random((lanes, pe)) < 0.4, rng.integers(0, 2, pe)
            dut.valid_i.value, dut.second_i.value = int(valid), second
            dut.miss_i.value, dut.flip_i.value = to_int(~hit), to_int(flip)
            if valid and not pool:
                held = hit ^ (flip > 0)
            elif valid and not second:
                upper = hit
            elif valid:
                either = upper | hit
                held = np.zeros((lanes, pe), bool)
                held[: lanes // 2] = (either[0::2] | either[1::2]) ^ (flip > 0)
            expected.append(None if held is None else to_int(held))
            await FallingEdge(dut.clk_i)
            want = expected[-2]
            assert want is None or int(dut.bit_o.value) == want, f"layer {layer}, step {step}"
        dut.valid_i.value = 0


class Array:
    """Words and headers for bnn_array, and the bits that it must give, cycle by cycle."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng
        self.pe, self.simd, self.lanes = parameter("Pe"), parameter("Simd"), parameter("Lanes")
        self.latency = array_latency(self.simd)
        self.cycle, self.header_at = 0, -100
        self.bits, self.sums = {}, set()  # cycle: bits; cycles with sum_valid_o
        self.given = 0
        self.pool = self.plain = self.hand = False
        self.hands = {}  # cycle: the sums at the ends of the tile rows, and in the three cycles after it

    async def step(self, **inputs):
        """One cycle; inputs without a value are bubbles."""
        defaults = {
            "valid": 0,
            "header_soon": 0,
            "shift": 0,
            "first": int(self.rng.integers(2)),
            "last": int(self.rng.integers(2)),
            "second": int(self.rng.integers(2)),
            "weight": to_int(self.rng.integers(0, 2, self.pe * self.simd)),
            "act": to_int(self.rng.integers(0, 2, self.lanes * self.simd)),
        }
        for name, value in {**defaults, **inputs}.items():
            getattr(self.dut, name + "_i").value = value
        await FallingEdge(self.dut.clk_i)
        self.cycle += 1
        if not self.plain:
            assert int(self.dut.bit_soon_o.value) == (self.cycle + 2 in self.bits), f"cycle {self.cycle}"
        assert int(self.dut.sum_valid_o.value) == (self.cycle in self.sums), f"cycle {self.cycle}"
        assert not self.hand or int(self.dut.hand_soon_o.value) == (self.cycle + 2 in self.sums), f"cycle {self.cycle}"
        for ago in range(4):
            if self.cycle - ago in self.hands:
                got = fields(int(self.dut.hand_o.value), 17, self.pe // 4 * self.lanes)
                assert got == self.hands[self.cycle - ago][:, ago::4].T.ravel().tolist(), f"cycle {self.cycle}"
        if self.cycle in self.bits:
            got = np.array(fields(int(self.dut.bit_o.value), 1, self.lanes * self.pe)).reshape(self.lanes, self.pe)
            if self.pool:  # pairs lie in the first half of each tile of four lanes
                got = got[[j // 2 * 4 + j % 2 for j in range(self.lanes // 2)]]
            assert np.array_equal(got, self.bits[self.cycle]), f"cycle {self.cycle}"
            self.given += 1

    async def bubbles(self, probability):
        while self.rng.random() < probability:
            await self.step()

    async def header(self, limits, flip):
        while self.cycle - self.header_at < self.latency:
            await self.step()
        self.header_at = self.cycle
        words = self.rng.integers(0, 2, (self.pe, self.simd), np.uint8)
        for p in range(self.pe):
            header = ThresholdHeader(threshold=int(limits[p]), flip=bool(flip[p]))
            used = ThresholdHeader.flip.low + 1
            words[p, :used] = fields(header.words[0], 1, used)  # anything above
        await self.step(header_soon=1)
        await self.step(weight=to_int(words))

    async def sum(self, words, second, equal=False):
        """One sum of `words` words (lanes, pe); its last word ends with the cycle `self.cycle`."""
        acc = np.zeros((self.lanes, self.pe), int)
        for n in range(words):
            await self.bubbles(0.15)
            w = self.rng.integers(0, 2, (self.pe, self.simd), np.uint8)
            x = self.rng.integers(0, 2, (self.lanes, self.simd), np.uint8)
            if equal:
                w[:], x[:] = 1, 1
            acc += (x[:, None, :] == w[None, :, :]).sum(axis=2)
            if n == words - 1:
                self.sums.add(self.cycle + self.latency)
                self.last = self.cycle
            await self.step(
                valid=1, first=int(n == 0), last=int(n == words - 1), second=second, weight=to_int(w), act=to_int(x)
            )
        return acc


@cocotb.test()
async def array(dut):
    rng = np.random.default_rng(seed())
    await begin(dut, valid_i=0, header_soon_i=0, shift_i=0, pool_i=0, plain_i=0, hand_i=0)
    bench = Array(dut, rng)
    pe, simd = bench.pe, bench.simd
    for layer in range(12):
        mode = ("bits", "pool", "sums", "hand")[layer % 4]
        bench.pool, bench.plain, bench.hand = mode == "pool", mode in ("sums", "hand"), mode == "hand"
        dut.pool_i.value, dut.plain_i.value, dut.hand_i.value = int(bench.pool), int(bench.plain), int(bench.hand)
        for _ in range(4):
            await bench.step()
        for _ in range(int(rng.integers(1, 4))):
            words = int(rng.integers(1, 9))
            middle = words * simd // 2
            limits = rng.choice([0, 1, middle - 3, middle, middle + 2, words * simd, 65535], pe)
            flip = rng.integers(0, 2, pe)
            await bench.header(limits, flip)
            for n in range(int(rng.integers(1, 6))):
                equal = n == 0 and rng.random() < 0.3
                if mode == "sums":
                    await sums(bench, await bench.sum(words, 0, equal))
                    continue
                if mode == "hand":  # the next sum follows after three cycles
                    acc = await bench.sum(words, 0, equal)
                    bench.hands[bench.last + bench.latency] = acc
                    for _ in range(3):
                        await bench.step()
                    continue
                hit = await bench.sum(words, int(rng.integers(2)) if mode == "bits" else 0, equal) >= limits
                if mode == "pool":
                    hit |= await bench.sum(words, 1) >= limits
                    hit = hit[0::2] | hit[1::2]
                bench.bits[bench.last + bench.latency + 2] = (hit ^ (flip > 0)).astype(int)
        for _ in range(bench.latency + 4):
            await bench.step()
    assert bench.given == len(bench.bits) > 10 and len(bench.hands) > 3


async def sums(bench, acc):
    """Reads the sums out, two PEs at a time; no word follows until then."""
    while bench.cycle < bench.last + bench.latency:
        await bench.step()
    for p in range(0, bench.pe, 2):
        got = fields(int(bench.dut.sum_o.value), 17, 2 * bench.lanes)
        assert got == acc[:, p : p + 2].T.ravel().tolist(), f"PE {p}"
        for cycle in range(SHIFT_WAIT):
            await bench.step(shift=int(cycle < 2))


CASES = (
    [("bnn_accumulator", {"CountBits": 7, "SumBits": 17})]
    + [("bnn_accumulator_dsp", {"CountBits": 7, "SumBits": 17, "Linked": linked}) for linked in (0, 1)]
    + [("bnn_count", {"Bits": b}) for b in (16, 32)]  # Verilator takes no module that holds itself as the top
    + [("bnn_threshold", {"Pe": p, "Lanes": n}) for p, n in ((4, 2), (4, 4))]
    + [
        ("bnn_array", {"Pe": p, "Simd": s, "Lanes": n, "DspLanes": d})
        for p, s, n, d in ((8, 32, 2, 0), (32, 32, 2, 2), (4, 64, 8, 4), (4, 256, 2, 2))
    ]
)


@pytest.mark.slow
@pytest.mark.parametrize("bits,linked", [(6, 1), (9, 1), (7, 0)])
def test_cells(bits, linked, tmp_path):
    """The accumulators as synthesis has them, with yosys' model of a DSP slice."""
    run_cells(
        __file__, "bnn_accumulator_dsp", {"CountBits": bits, "SumBits": 17, "Linked": linked}, tmp_path, ["DSP48E1"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("top,parameters", CASES)
def test_block(top, parameters, tmp_path):
    run(__file__, top, parameters, tmp_path)
