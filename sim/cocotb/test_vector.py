"""Units of the vector unit against its formulas (cocotb and Verilator)."""

from collections import defaultdict

import cocotb
import pytest
from bench import begin, join, parameter, run
from cocotb.triggers import FallingEdge

SUMS = 64
COEFFICIENT_LATE = 2  # after the address of a sum: coefficient and markers
OFFSET_LATE = 5  # offset of the first plane
SHORTCUT_LATE = 10
VALUE_LATE = 14
KEPT = 4  # cycles from a value until it is kept


def saturated(y, bits):
    low, high = (0, (1 << bits) - 1) if bits else (-128, 127)
    return min(max(y, low), high)


class Inputs:
    """Inputs of cycles to come; those without a value are random."""

    def __init__(self, dut, rng, widths, idle):
        self.dut, self.rng, self.widths, self.idle = dut, rng, widths, idle
        self.cycle, self.values = 0, defaultdict(dict)

    def at(self, late, **values):
        self.values[self.cycle + late].update(values)

    async def step(self):
        now = self.values.pop(self.cycle, {})
        for name, width in self.widths.items():
            value = now.get(name, self.idle.get(name, self.rng.getrandbits(width)))
            getattr(self.dut, name + "_i").value = value & ((1 << width) - 1)
        await FallingEdge(self.dut.clk_i)
        self.cycle += 1


@cocotb.test()
async def vector_unit(dut):
    widths = {"write": 1, "write_addr": 6, "even": 16, "odd": 16, "read_addr": 6, "odd_sel": 1, "coefficient": 25}
    widths |= {"valid": 1, "first": 1, "last": 1, "offset": 32, "byte": 8, "shortcut": 1}
    rng = await begin(dut, write_i=0, valid_i=0, last_i=0)
    bench = Inputs(dut, rng, widths, {"write": 0, "valid": 0, "last": 0})
    edges = [0, 1, 0xFFFF]
    sums = [[rng.choice([*edges, rng.getrandbits(16)]) for _ in range(SUMS)] for _ in range(2)]
    for n in range(SUMS):
        bench.at(0, write=1, write_addr=n)
        bench.at(1, even=sums[0][n], odd=sums[1][n])
        await bench.step()
    await bench.step()
    met = set()
    for layer in range(40):
        average, shift, bits = rng.random() < 0.2, rng.randrange(8), rng.choice([0, 0, 1, 5, 8])
        dut.average_i.value, dut.shift_i.value, dut.unsigned_i.value = int(average), shift, int(bits > 0)
        dut.most_i.value = saturated(1 << 9, bits)
        scale = rng.choice([2, 40, 1 << 10, 1 << 22])  # three hand-overs fit 41 bits
        for _ in range(3):
            await bench.step()
        expected = {}
        for _ in range(12):
            hand_overs, planes = rng.randrange(1, 4), rng.randrange(1, 4)
            total, last = 0, 0
            for h in range(hand_overs):
                address, odd, byte = rng.randrange(SUMS), rng.randrange(2), rng.randrange(-128, 128)
                coefficient = rng.choice([-scale, scale - 1, rng.randrange(-scale, scale)])
                total += coefficient * (byte if average else sums[odd][address])
                bench.at(0, read_addr=address, odd_sel=odd, **({"byte": byte} if average else {}))
                marks = {"first": int(h == 0), "last": int(h == hand_overs - 1), "valid": 1}
                bench.at(COEFFICIENT_LATE, coefficient=coefficient, **marks)
                last = bench.cycle
                for _ in range(rng.choice([1, 1, 1, 2])):
                    await bench.step()
            wait = last - bench.cycle  # the cycle of the last sum is past
            shortcut, byte = 0 if average else rng.randrange(2), rng.randrange(-128, 128)
            for k in range(planes):
                near = -total + rng.randrange(-300, 300) * (1 << 4 * shift)  # about the limits
                offset = max(-(2**31), min(2**31 - 1, near))
                bench.at(wait + OFFSET_LATE + k, offset=offset)
                bench.at(wait + SHORTCUT_LATE + k, shortcut=shortcut, **({} if average else {"byte": byte}))
                value = saturated(((total + offset) >> 4 * shift) + shortcut * byte, bits)
                met.add(value)
                expected[last + VALUE_LATE + k] = value
            while bench.cycle < last + planes + 1:
                await bench.step()
                check(dut, bench, expected)
        while expected and bench.cycle < max(expected) + 1:
            await bench.step()
            check(dut, bench, expected)
        assert not [cycle for cycle in expected if cycle > bench.cycle], f"layer {layer}"
    assert {-128, 127, 0, 31, 255} <= met


def check(dut, bench, expected):
    if bench.cycle in expected:
        want = expected.pop(bench.cycle)
        assert int(dut.v_o.value) == want % 256, f"cycle {bench.cycle}: {int(dut.v_o.value)}, expected {want % 256}"


@cocotb.test()
async def vector_pool(dut):
    """Blocks of one to four parts, their maxima read back behind the last."""
    widths = {"valid": 1, "first": 1, "last": 1, "addr": 5, "place": 6, "even": 8, "odd": 8, "read_addr": 6}
    rng = await begin(dut, valid_i=0)
    bench = Inputs(dut, rng, widths, {"valid": 0})
    for _ in range(25):
        pool, pairs, unsigned = (rng.randrange(2) for _ in range(3))
        dut.pool_i.value, dut.pairs_i.value, dut.unsigned_i.value = pool, pairs, unsigned
        for _ in range(3):
            await bench.step()
        low, high = (0, 256) if unsigned else (-128, 128)
        most = {}
        parts = rng.randrange(1, 5) if pool else 1
        places = rng.sample(range(64), 8)
        for part in range(parts):
            for n, place in enumerate(places):
                even, odd = rng.randrange(low, high), rng.randrange(low, high)
                now = (max(even, odd) if pool and pairs else even, odd)
                most[place] = now if part == 0 else tuple(map(max, now, most[place]))
                marks = {"valid": 1, "first": int(part == 0), "last": int(part == parts - 1)}
                bench.at(0, addr=n, place=place, even=even, odd=odd, **marks)
                await bench.step()
        for _ in range(KEPT - 1):
            await bench.step()
        for place, want in most.items():
            bench.at(0, read_addr=place)
            await bench.step()
            await bench.step()
            assert (int(dut.even_o.value), int(dut.odd_o.value)) == tuple(value % 256 for value in want)


@cocotb.test()
async def vector_header(dut):
    """Two groups kept, one read while the other is loaded."""
    pe, simd = parameter("Pe"), parameter("Simd")
    units, bank, groups = pe // 8, 0, []
    rng = await begin(dut, start_i=0, load_i=0)
    dut.start_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.start_i.value = 0
    hand_overs, planes = 5, 3
    dut.hand_overs_i.value, dut.planes_i.value = hand_overs, planes
    for _ in range(5):
        words = [[rng.getrandbits(32) for _ in range(pe)] for _ in range(hand_overs + 2 * planes)]
        dut.load_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.load_i.value = 0
        asked = [None] * 3
        while not int(dut.done_o.value):
            asked = [*asked[1:], int(dut.index_o.value) if int(dut.read_o.value) else None]
            await FallingEdge(dut.clk_i)
            row = words[asked[0]] if asked[0] is not None else [rng.getrandbits(32) for _ in range(pe)]
            dut.data_i.value = join(row, simd)
        groups.append((bank, words))
        bank ^= 1
        await FallingEdge(dut.clk_i)
        for at, kept in groups[-2:]:
            for _ in range(12):
                hand, plane, channel = rng.randrange(hand_overs), rng.randrange(planes), rng.randrange(8)
                for kind, name, value in (
                    ("coefficient", "hand", hand),
                    ("offset", "plane", plane),
                    ("limit", "plane", plane),
                ):
                    getattr(dut, f"{kind}_bank_i").value = at
                    getattr(dut, f"{kind}_{name}_i").value = value
                    getattr(dut, f"{kind}_channel_i").value = channel
                await FallingEdge(dut.clk_i)
                await FallingEdge(dut.clk_i)
                pes = [8 * unit + channel for unit in range(units)]
                offsets, limits = kept[hand_overs + 2 * plane], kept[hand_overs + 2 * plane + 1]
                assert int(dut.coefficient_o.value) == join((kept[hand][p] for p in pes), 25)
                assert int(dut.offset_o.value) == join((offsets[p] for p in pes), 32)
                assert int(dut.limit_o.value) == join(
                    ((limits[p] >> 16 & 1) << 10 | limits[p] & 0x3FF for p in pes), 11
                )


CASES = [
    ("bnn_vector_unit", {}),
    ("bnn_vector_pool", {}),
    ("bnn_vector_header", {"Pe": 16, "Simd": 32}),
]


@pytest.mark.parametrize("top,parameters", CASES)
def test_block(top, parameters, tmp_path):
    run(__file__, top, parameters, tmp_path)
