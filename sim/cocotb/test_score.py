"""Scores and their addresses against Python integers (cocotb and Verilator)."""

import cocotb
import pytest
from bench import begin, join, parameter, run
from cocotb.triggers import FallingEdge

from bnn.contract import ScoreHeader

ACC_BITS = 17
AHEAD = 5  # beats that may come after score_ready_i has fallen


class Bench:
    """The array's sums on one side, a taker of scores on the other."""

    def __init__(self, dut, rng, stops, longest):
        """The taker is not ready from a beat on, or any time, in a share `stops`, for so many cycles at most."""
        self.dut, self.rng, self.stops, self.longest = dut, rng, stops, longest
        self.pe, self.lanes, self.wait = (parameter(n) for n in ("Pe", "Lanes", "ShiftWait"))
        self.want = []  # (address, half, score of the lower half, of the upper one)
        self.acc, self.at, self.moves = [], 0, 0  # sums of the block, PE shown, cycles until the next one is
        self.shifts = 0
        self.away = 0  # cycles for which it is not ready
        self.late = self.latest = 0  # beats since then, and the most of them
        self.done = 0

    def show(self):
        """The sums of the two PEs in front; anything while they move. The bit above is no part of them."""
        values = [self.rng.getrandbits(16) for _ in range(2 * self.lanes)]
        if self.acc and not self.moves:
            values = self.acc[self.at :: self.pe] + self.acc[self.at + 1 :: self.pe]
        self.dut.sum_i.value = join([value | self.rng.getrandbits(1) << 16 for value in values], ACC_BITS)

    async def cycle(self):
        """One cycle; takes scores, and moves the sums where asked to."""
        valid = int(self.dut.score_valid_o.value)
        if self.away:
            self.away -= 1
        elif (valid or self.rng.random() < 0.2) and self.rng.random() < self.stops:
            self.away = self.rng.randint(1, self.longest)
        self.late = self.late + valid if self.away else 0
        self.latest = max(self.latest, self.late)
        assert self.late <= AHEAD, "a score without room"
        self.dut.score_ready_i.value = int(not self.away)
        await FallingEdge(self.dut.clk_i)
        if int(self.dut.score_valid_o.value):
            assert self.want, "a score too many"
            address, half, low, high = self.want.pop(0)
            assert int(self.dut.score_addr_o.value) == address
            assert int(self.dut.score_half_o.value) == half
            got = int(self.dut.score_o.value)
            assert not half & 1 or got & 0xFFFFFFFF == low
            assert not half & 2 or got >> 32 == high
        assert int(self.dut.busy_o.value) or not self.want
        if self.moves:
            self.moves -= 1
            if not self.moves:
                assert self.shifts == 2
                self.at, self.shifts = self.at + 2, 0
        if int(self.dut.shift_o.value):
            self.moves = self.moves or self.wait
            self.shifts += 1
        if int(self.dut.block_done_o.value):
            self.done += 1
            self.acc = []
        # in the first cycle of either the sums still hold
        if self.shifts != 1 and not int(self.dut.block_done_o.value):
            self.show()


@cocotb.test()
async def score(dut):
    simd = parameter("Simd")
    rng = await begin(dut, start_i=0, header0_soon_i=0, header1_soon_i=0, valid_i=0, score_ready_i=0)
    base = latest = 0
    for layer in range(48):
        bench = Bench(dut, rng, *((0, 0), (0.4, 3), (0.5, 3 * AHEAD))[layer // 2 % 3])
        pe, lanes = bench.pe, bench.lanes
        images = rng.choice([1, lanes, rng.randrange(1, 3 * lanes + 1)])
        classes = rng.choice([1, pe, rng.randrange(1, 3 * pe + 1)])
        # runs go on behind the scores of the last one; the others cross 4 GiB
        base = (rng.randrange(1, 256) << 32) - 4 * rng.randrange(64)
        if layer % 2:
            base = int(dut.next_o.value)
        dut.images_i.value, dut.classes_i.value, dut.base_i.value = images, classes, base
        for start in (0, 0, 1):
            dut.start_i.value = start
            await bench.cycle()
        dut.start_i.value = 0
        blocks, copied = 0, 0
        for group in range(0, classes, pe):
            scale = [rng.choice([-32768, 32767, rng.randrange(-32768, 32768)]) for _ in range(pe)]
            offset = [rng.randrange(-(2**31), 2**31) for _ in range(pe)]
            for name, field, values in (("header0", ScoreHeader.offset, offset), ("header1", ScoreHeader.scale, scale)):
                words = [rng.getrandbits(simd) & ~field.mask | field.insert(value) for value in values]
                getattr(dut, name + "_soon_i").value = 1
                await bench.cycle()
                getattr(dut, name + "_soon_i").value, dut.weight_i.value = 0, join(words, simd)
                await bench.cycle()
                dut.weight_i.value = 0
            for block in range(0, images, lanes):
                for _ in range(rng.randrange(3, 6)):
                    await bench.cycle()
                bench.acc = [rng.choice([0, 65535, rng.getrandbits(16)]) for _ in range(lanes * pe)]
                bench.at = 0
                bench.show()
                present = min(pe, classes - group)
                for p in range(0, present, 2):
                    for image in range(block, min(block + lanes, images)):
                        values = [
                            (scale[q] * bench.acc[(image - block) * pe + q] + offset[q]) & 0xFFFFFFFF
                            for q in range(p, min(p + 2, present))
                        ]
                        address = base + 4 * (image * classes + group + p)
                        if address % 8 == 0:
                            bench.want.append((address, 2 ** len(values) - 1, values[0], values[-1]))
                        else:
                            bench.want.append((address - 4, 2, 0, values[0]))
                            bench.want += [(address + 4, 1, value, 0) for value in values[1:]]
                dut.valid_i.value = 1
                await bench.cycle()
                dut.valid_i.value = 0
                blocks += 1
                cycles = 1
                while bench.done < blocks:
                    await bench.cycle()
                    cycles += 1
                    assert cycles < 100 * present * lanes
                assert bench.at == (present - 1) // 2 * 2, "the sums of every PE are asked for, and no more"
                copied += cycles
        # one beat per cycle, or the shift of the sums
        if not bench.stops:
            pairs = [-(-min(pe, classes - group) // 2) for group in range(0, classes, pe)]
            beats = lanes if classes % 2 == 0 and base % 8 == 0 else 2 * lanes
            at_most = sum(count * max(beats, bench.wait + 1) + 4 for count in pairs)
            assert copied <= at_most * -(-images // lanes)
        bench.stops = 0
        for _ in range(3 * AHEAD + 8 * lanes + 12):
            await bench.cycle()
        latest = max(latest, bench.latest)
        assert not bench.want
        assert int(dut.busy_o.value) == 0
        assert int(dut.next_o.value) == base + 4 * images * classes
    assert latest == AHEAD or lanes < 4, "ready never fell amid as many beats as may come then"


@pytest.mark.parametrize("pe,lanes", [(4, 2), (8, 4)])
def test_score(pe, lanes, tmp_path):
    run(__file__, "bnn_score", {"Pe": pe, "Simd": 64, "Lanes": lanes, "ShiftWait": 7}, tmp_path)
