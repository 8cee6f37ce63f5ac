"""Units of the vector unit against its formulas (cocotb and Verilator)."""

import itertools
from collections import defaultdict

import cocotb
import pytest
from bench import begin, fields, join, parameter, run, run_cells
from cocotb.triggers import FallingEdge

from bnn.contract import value_range

SUMS = 64
MARKS_LATE = 2  # after the address of a sum: its coefficient, what is done with it, and the offset
PIXEL_LATE = 1
BYTE_LATE = 7
VALUE_LATE = 11
TOTAL_LATE = 3  # from a product's operands
NEXT_LATE = 3  # cycles from next_o to another score
PICK_LATENCY = 3
KEPT = 5  # cycles from a value until it is kept
LOAD, ADD, PLUS, LINK = 0b0110101, 0b0100101, 0b0101100, 0b0010000


def signed(value, bits):
    """The number that the lowest bits are in two's complement."""
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def saturated(y, bits):
    low, high = value_range(bits)
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
async def vector_sum(dut):
    """Products, offsets and neighbours' totals in any order, and cycles in which nothing becomes of them."""
    widths = {"coefficient": 25, "acc": 17, "valid": 1, "op": 7, "minus": 1, "offset": 32, "link": 48}
    rng = await begin(dut, valid_i=0, op_i=LOAD, minus_i=0, far_i=0, link_i=0)
    bench = Inputs(dut, rng, widths, {"valid": 0, "op": LOAD, "minus": 0})
    expected, shifted, total = {}, {}, 0

    for _ in range(2):
        for far in range(2):
            dut.far_i.value = far
            for turn in range(150):
                op = LOAD if turn == 0 else rng.choice([LOAD, ADD, ADD, ADD, PLUS, PLUS, LINK])
                minus = rng.randrange(2) if op == PLUS else 0
                values = {"coefficient": signed(rng.choice([rng.getrandbits(25), 1 << 24, (1 << 24) - 1, 0]), 25)}
                values["acc"] = signed(rng.choice([rng.getrandbits(17), 0xFFFF, 1 << 16]), 17)
                offset = signed(rng.choice([rng.getrandbits(32), 1 << 31]), 32)
                link = signed(rng.getrandbits(43), 43)
                valid = turn == 0 or rng.random() < 0.8
                bench.at(0, **values)
                bench.at(1, valid=int(valid), op=op, minus=minus, offset=offset)
                bench.at(2, link=link)
                if valid:
                    product, more = 2 * values["coefficient"] * values["acc"], -2 * offset if minus else 2 * offset
                    total = {LOAD: more + product, ADD: total + product, PLUS: total + more, LINK: link}[op]
                expected[bench.cycle + TOTAL_LATE] = total
                shifted[bench.cycle + TOTAL_LATE + 1] = total >> 17 * far
                await bench.step()
                now = bench.cycle
                if now in expected:
                    assert signed(int(dut.total_o.value), 48) == expected[now], f"cycle {now}"
                if now in shifted and turn > 5:  # behind a change of far
                    assert signed(int(dut.shifted_o.value), 48) == shifted[now], f"cycle {now}"
                    assert dut.link_o.value == dut.shifted_o.value


@cocotb.test()
async def vector_unit(dut):
    widths = {"write": 1, "write_addr": 6, "even": 16, "odd": 16, "read_addr": 6, "odd_sel": 1, "pixel": 8}
    widths |= {"coefficient": 25, "valid": 1, "op": 7, "minus": 1, "offset": 32, "link": 48, "byte": 8}
    rng = await begin(dut, write_i=0, valid_i=0)
    bench = Inputs(dut, rng, widths, {"write": 0, "valid": 0})
    edges = [0, 1, 0xFFFF]
    sums = [[rng.choice([*edges, rng.getrandbits(16)]) for _ in range(SUMS)] for _ in range(2)]
    for n in range(SUMS):
        bench.at(0, write=1, write_addr=n)
        bench.at(1, even=sums[0][n], odd=sums[1][n])
        await bench.step()
    await bench.step()
    met = set()
    for _ in range(60):
        average, shift, bits = rng.random() < 0.2, rng.randrange(8), rng.choice([0, 0, 1, 5, 8])
        dut.average_i.value, dut.unsigned_i.value = int(average), int(bits > 0)
        dut.far_i.value, dut.factor_i.value = shift // 4, 1 << 4 * (shift // 4) + 3 - shift % 4
        dut.most_i.value = saturated(1 << 9, bits)
        scale = rng.choice([2, 40, 1 << 10, 1 << 22])  # three hand-overs fit 41 bits
        for _ in range(3):
            await bench.step()
        expected = {}
        for _ in range(12):
            hand_overs, planes = rng.randrange(1, 4), rng.randrange(1, 4)
            coefficients = [rng.choice([-scale, scale - 1, rng.randrange(-scale, scale)]) for _ in range(hand_overs)]
            read = [(rng.randrange(SUMS), rng.randrange(2), rng.randrange(-128, 128)) for _ in range(hand_overs)]
            total = sum(c * (byte if average else sums[odd][at]) for c, (at, odd, byte) in zip(coefficients, read))
            far_off = 1 << 4 * shift + rng.choice([8, 8, 8, 12, 20])
            near = [-total + rng.randrange(-far_off, far_off) for _ in range(planes)]  # about the limits
            offsets = [max(-(2**31), min(2**31 - 1, offset)) for offset in near]
            # Turns: the hand-over if there is one, the operation, the offset, the plane that is then there
            first = [(h, LOAD if h == 0 else ADD, 0, 0, 0 if h == hand_overs - 1 else None) for h in range(hand_overs)]
            if hand_overs == 1:
                turns = [(0, LOAD, 0, k, k) for k in range(planes)]
            else:
                turns = first + [
                    (None, PLUS, int(j == 0), k + j, k + 1 if j else None) for k in range(planes - 1) for j in (0, 1)
                ]
            for hand_over, op, minus, plane, done in turns:
                marks = {"op": op, "minus": minus, "offset": offsets[plane], "valid": 1}
                if hand_over is not None:
                    address, odd, byte = read[hand_over]
                    bench.at(0, read_addr=address, odd_sel=odd)
                    bench.at(PIXEL_LATE, pixel=byte)
                    marks["coefficient"] = coefficients[hand_over]
                bench.at(MARKS_LATE, **marks)
                if done is not None:
                    byte = rng.choice([0, rng.randrange(-128, 128)])
                    bench.at(BYTE_LATE, byte=byte)
                    value = saturated((total + offsets[done] >> 4 * shift) + byte, bits)
                    expected[bench.cycle + VALUE_LATE] = value if bits else value + 128
                    met.add(value)
                for _ in range(rng.choice([1, 1, 1, 2])):
                    await bench.step()
                    check(dut, bench, expected)
        while expected:
            await bench.step()
            check(dut, bench, expected)
    assert {-128, 127, 0, 31, 255} <= met


def check(dut, bench, expected):
    if bench.cycle in expected:
        want = expected.pop(bench.cycle)
        assert int(dut.v_o.value) == want % 256, f"cycle {bench.cycle}: {int(dut.v_o.value)}, expected {want % 256}"


@cocotb.test()
async def vector_less(dut):
    """Numbers next to each other and far apart, every cycle."""
    words = parameter("Words")
    rng = await begin(dut)
    for _ in range(2000):
        one = [rng.choice([rng.randrange(256), 0, 255]) for _ in range(words)]
        other = [rng.choice([rng.randrange(256), value, max(value - 1, 0), min(value + 1, 255)]) for value in one]
        dut.a_i.value, dut.b_i.value = join(one, 8), join(other, 8)
        await FallingEdge(dut.clk_i)
        assert int(dut.less_o.value) == sum((a < b) << n for n, (a, b) in enumerate(zip(one, other)))


@cocotb.test()
async def vector_pool(dut):
    """Blocks of one to four parts, their maxima read back behind the last."""
    units = parameter("Units")
    byte = units * 8
    widths = {"valid": 1, "first": 1, "last": 1, "addr": 5, "place": 6, "even": byte, "odd": byte, "read_addr": 6}
    rng = await begin(dut, valid_i=0)
    bench = Inputs(dut, rng, widths, {"valid": 0})
    for _ in range(25):
        pool, pairs = rng.randrange(2), rng.randrange(2)
        dut.pool_i.value, dut.pairs_i.value = pool, pairs
        for _ in range(3):
            await bench.step()
        most = {}
        parts = rng.randrange(1, 5) if pool else 1
        places = rng.sample(range(64), 8)
        for part in range(parts):
            for n, place in enumerate(places):
                even, odd = ([rng.randrange(256) for _ in range(units)] for _ in range(2))
                now = [list(map(max, even, odd)) if pool and pairs else even, odd]
                if part:
                    now = [list(map(max, *lanes)) for lanes in zip(now, most[place])]
                most[place] = now
                marks = {"valid": 1, "first": int(part == 0), "last": int(part == parts - 1)}
                bench.at(0, addr=n, place=place, even=join(even, 8), odd=join(odd, 8), **marks)
                await bench.step()
        for _ in range(KEPT - 1):
            await bench.step()
        for place, want in most.items():
            bench.at(0, read_addr=place)
            await bench.step()
            await bench.step()
            assert [int(dut.even_o.value), int(dut.odd_o.value)] == [join(lane, 8) for lane in want]


@cocotb.test()
async def vector_header(dut):
    """Layers of three groups, two of which are kept; behind each group all that is kept is read, in any order."""
    pe, simd = parameter("Pe"), parameter("Simd")
    rng = await begin(dut, start_i=0, load_i=0)
    for hand_overs, planes in ((5, 3), (16, 1), (1, 2)):
        dut.hand_overs_i.value, dut.planes_i.value = hand_overs, planes
        dut.start_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.start_i.value = 0
        groups = []
        for number in range(3):
            words = [[rng.getrandbits(32) for _ in range(pe)] for _ in range(hand_overs + 2 * planes)]
            dut.load_i.value = 1
            await FallingEdge(dut.clk_i)
            dut.load_i.value = 0
            asked = [None] * 4
            while not int(dut.done_o.value):
                asked = [*asked[1:], int(dut.index_o.value) if int(dut.read_o.value) else None]
                await FallingEdge(dut.clk_i)
                row = words[asked[0]] if asked[0] is not None else [rng.getrandbits(32) for _ in range(pe)]
                dut.data_i.value = join(row, simd)
            groups.append((number % 2, words))
            await FallingEdge(dut.clk_i)
            for bank, kept in groups[-2:]:
                await read_header(dut, rng, bank, kept[:hand_overs], kept[hand_overs::2], kept[hand_overs + 1 :: 2])


async def read_header(dut, rng, bank, coefficients, offsets, limits):
    """Reads every channel of the words of a group."""
    places = list(itertools.product(range(max(len(coefficients), len(offsets))), range(8)))
    for number, channel in rng.sample(places, len(places)):
        hand, plane = number % len(coefficients), number % len(offsets)
        for kind, name, value in (("coefficient", "hand", hand), ("offset", "plane", plane), ("limit", "plane", plane)):
            getattr(dut, f"{kind}_bank_i").value = bank
            getattr(dut, f"{kind}_{name}_i").value = value
            getattr(dut, f"{kind}_channel_i").value = channel
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        assert int(dut.coefficient_o.value) == join(coefficients[hand][channel::8], 25)
        assert int(dut.offset_o.value) == join(offsets[plane][channel::8], 32)
        limit = ((word >> 16 & 1) << 10 | word & 0x3FF for word in limits[plane][channel::8])
        assert int(dut.limit_o.value) == join(limit, 11)


@cocotb.test()
async def vector_mean(dut):
    """Parts of words as they are, of another lane, and averaged over two reads of a pair or four of a lane."""
    units, slots = parameter("Units"), parameter("Slots")
    word = units * slots * 8
    names = ("even", "odd", "lower_source", "upper_source")
    widths = {"take": 1, "first": 1, "slot": 1, "even": word, "odd": word, "shortcut": 1, "upper": 1}
    widths |= {name: units * 8 for name in names[2:]}
    rng = await begin(dut, take_i=0)
    bench = Inputs(dut, rng, widths, {"take": 0})

    for _ in range(80):
        mean, pairs = rng.randrange(2), rng.randrange(2)
        same = rng.randrange(2) if pairs and not mean else 0
        dut.mean_i.value, dut.pairs_i.value, dut.same_i.value = mean, pairs, same
        for _ in range(6):
            await bench.step()
        reads = [
            [[rng.randrange(256) for _ in range(units)] for _ in range(2)]
            for _ in range((2 if pairs else 4) if mean else 1)
        ]
        for n, lanes in enumerate(reads):
            slot = rng.randrange(slots)
            bench.at(0, take=1, first=int(n == 0), slot=slot)
            for name, part in zip(names, lanes):
                full = [rng.randrange(256) for _ in range(units * slots)]
                full[slot * units : (slot + 1) * units] = part
                bench.at(1, **{name: join(full, 8)})
            for _ in range(2):
                await bench.step()
            assert (int(dut.even_part_o.value), int(dut.odd_part_o.value)) == tuple(join(part, 8) for part in lanes)
        for _ in range(rng.randrange(2, 5)):
            await bench.step()
        sums = (int(dut.even_sum_o.value), int(dut.odd_sum_o.value))
        assert mean or sums == tuple(join(part, 8) for part in reads[0])
        shortcut, upper = rng.random() < 0.8, rng.randrange(2)
        sources = [[rng.randrange(256) for _ in range(units)] for _ in range(2)]
        bench.at(0, shortcut=int(shortcut), upper=upper)
        bench.at(1, lower_source=join(sources[0], 8), upper_source=join(sources[1], 8))
        await bench.step()
        await bench.step()
        even, odd = reads[0]
        if mean:
            taken = [
                [lanes[0] for lanes in reads] + [lanes[1] for lanes in reads if pairs],
                [lanes[1] for lanes in reads],
            ]
            even, odd = (
                [(sum(signed(part[unit], 8) for part in parts) + 2) >> 2 for unit in range(units)] for parts in taken
            )
        elif same:
            even = sources[upper]
        want = [0] * units if not shortcut else even
        assert int(dut.even_o.value) == join(want, 8)
        if not (pairs and (mean or same)):  # else the odd lane's is dropped
            assert int(dut.odd_o.value) == join([0] * units if not shortcut else odd, 8)


@cocotb.test()
async def vector_score(dut):
    """Two groups of classes, two blocks of images, some of either absent; the memory stalls."""
    pe, lanes = parameter("Pe"), parameter("Lanes")
    units, images, classes, base = pe // 8, lanes + 2, pe + 5, 0x1_FFFF_FFF8
    rng = await begin(dut, start_i=0, begin_i=0, block_i=0, group_i=0, score_ready_i=1)
    dut.images_i.value, dut.classes_i.value, dut.base_i.value = images, classes, base
    waiting = [[] for _ in range(units)]  # scores of the next images
    coming = [[0] * NEXT_LATE for _ in range(units)]  # what is seen now, and in the cycles to come
    found, expected = [], {}

    async def step():
        dut.score_i.value = join((values[0] for values in coming), 32)
        for unit in range(units):
            moves = int(dut.next_o.value) >> unit & 1 and waiting[unit]
            coming[unit] = [*coming[unit][1:], waiting[unit].pop(0) if moves else coming[unit][-1]]
        dut.score_ready_i.value = rng.random() < 0.7
        await FallingEdge(dut.clk_i)
        if int(dut.score_valid_o.value):
            half = int(dut.score_half_o.value)
            value = int(dut.score_o.value) >> (0 if half == 1 else 32) & 0xFFFFFFFF
            found.append((int(dut.score_addr_o.value) + (0 if half == 1 else 4), value))

    dut.start_i.value = 1
    await step()
    dut.start_i.value = 0
    for _ in range(6):
        await step()
    for group in range(0, classes, pe):
        for block in range(0, images, lanes):
            for channel in range(8):
                drawn = [[rng.getrandbits(32) for _ in range(lanes)] for _ in range(units)]
                for unit, scores in enumerate(drawn):
                    coming[unit] = [scores[0]] * NEXT_LATE
                    waiting[unit] = scores[1:]
                    number = group + 8 * unit + channel
                    for lane in range(min(lanes, images - block) if number < classes else 0):
                        expected[base + 4 * ((block + lane) * classes + number)] = scores[lane]
                dut.begin_i.value, dut.channel_i.value = 1, channel
                await step()
                dut.begin_i.value = 0
                while not int(dut.done_o.value):
                    await step()
            dut.block_i.value, dut.group_i.value = 1, int(block + lanes >= images)
            await step()
            dut.block_i.value = dut.group_i.value = 0
            await step()
    assert len(found) == len(expected) and dict(found) == expected


@cocotb.test()
async def pick(dut):
    words, bits = parameter("Words"), parameter("Bits")
    rng = await begin(dut)
    for select in [*range(words), *range(words)]:
        values = [rng.getrandbits(bits) for _ in range(words)]
        dut.select_i.value, dut.word_i.value = select, join(values, bits)
        for _ in range(PICK_LATENCY):
            await FallingEdge(dut.clk_i)
        assert int(dut.data_o.value) == values[select]


@cocotb.test()
async def vector_lane(dut):
    """Any inputs in any cycle: values own, of a pair or picked, and the bits of the last eight that were taken."""
    units = parameter("Units")
    rng = await begin(dut)
    wide = {"own": 8, "pair": 8, "pick": 8, "limit": 11}
    for case in range(48):
        serial, half, planes, unsigned = (case >> n & 1 for n in range(4))
        dut.serial_i.value, dut.half_i.value = serial, half
        dut.bit_planes_i.value, dut.unsigned_i.value = planes, unsigned
        given, bits = [], [[] for _ in range(units)]
        for cycle in range(100):
            now = {name: [rng.getrandbits(width) for _ in range(units)] for name, width in wide.items()}
            now |= {"bit": rng.randrange(8), "take": rng.randrange(2), "value": rng.randrange(2)}
            if rng.random() < 0.5:  # a limit near the value
                now["limit"] = [item & 1 << 10 | rng.randint(-130, 260) & 1023 for item in now["limit"]]
            for name, value in now.items():
                getattr(dut, name + "_i").value = join(value, wide[name]) if name in wide else value
            given.append(now)
            await FallingEdge(dut.clk_i)
            if cycle < 4:
                continue
            before, at, after = given[-4:-1]  # of the value that leaves
            found = fields(int(dut.data_o.value), 8, units)
            for u in range(units):
                byte = (at["pick"] if serial else before["pair"] if half else before["own"])[u]
                byte ^= 0 if unsigned else 128
                value = byte if unsigned else signed(byte, 8)
                hit = int(value >= signed(at["limit"][u], 10)) ^ at["limit"][u] >> 10
                if after["take"]:
                    bits[u].append(byte >> at["bit"] & 1 if planes else hit)
                if now["value"]:
                    assert found[u] == byte, f"case {case}, cycle {cycle}: value of unit {u}"
                elif len(bits[u]) >= 8:
                    assert found[u] == join(bits[u][-8:], 1), f"case {case}, cycle {cycle}: bits of unit {u}"


def places(layer, lanes, slots):
    """Of every place: columns of the block, the group's last, address, lanes, slot, word, whether the block ends."""
    whole = lanes // 2 if layer["half"] else lanes
    for group in range(layer["groups"]):
        for image in range(layer["units"]):
            for row in range(layer["rows"]):
                number = 0  # of the column in the row
                for block in range(layer["blocks"]):
                    last = block == layer["blocks"] - 1
                    columns = layer["columns"] % whole if last else 0
                    columns = columns or whole
                    end = last and row == layer["rows"] - 1 and image == layer["units"] - 1
                    for column in range(columns if layer["serial"] else 1):
                        at = layer["in_batch"] + image
                        place, lane = (at // lanes, 1 << at % lanes) if layer["serial"] else (image, (1 << columns) - 1)
                        if layer["images"]:
                            place, lane = layer["in_batch"] // lanes + image, (1 << lanes) - 1
                        elif layer["half"] and not layer["serial"]:
                            lane <<= whole * (block % 2)
                        step = number if layer["serial"] else block // 2 if layer["half"] else block
                        addr = layer["base"] + place * layer["image_stride"]
                        addr += row * layer["row_stride"] + step * layer["words"]
                        ends = not layer["serial"] or column == columns - 1
                        yield columns, int(end), addr, lane, group % slots, group // slots, ends
                        number += 1


@cocotb.test()
async def vector_place(dut):
    """Every place of layers of all kinds, with the least and with more cycles between them."""
    lanes, bits, slots = parameter("Lanes"), parameter("AddrBits"), parameter("Simd") // parameter("Pe")
    rng = await begin(dut, start_i=0, go_i=0, column_last_i=0)
    for case in range(60):
        serial, half = case % 3 == 2, rng.random() < 0.5
        layer = {name: rng.getrandbits(bits) for name in ("base", "image_stride", "row_stride", "words")}
        layer |= {name: rng.randint(1, 3) for name in ("units", "rows", "blocks")}
        layer |= {"groups": rng.randint(1, 2 * slots + 1), "columns": rng.randrange(lanes)}
        layer |= {"serial": serial, "half": half, "images": not half and not serial and rng.random() < 0.5}
        layer["in_batch"] = rng.randrange(3 * lanes) if serial or layer["images"] else 0
        if serial:
            layer["units"] = rng.randint(1, 2 * lanes)
        for name, value in layer.items():
            if name != "groups":
                getattr(dut, name + "_i").value = int(value)
        for _ in range(4):
            await FallingEdge(dut.clk_i)
        every = list(places(layer, lanes, slots))
        cut_off = case % 4 == 0  # by a reset, and begun again
        for part in [every[: rng.randrange(len(every))]] * cut_off + [every]:
            for signal in (dut.rst_i, dut.start_i):
                signal.value = 1
                await FallingEdge(dut.clk_i)
                signal.value = 0
            for _ in range(5):
                await FallingEdge(dut.clk_i)
            for number, place in enumerate(part):
                columns, end, addr, *rest, ends = place
                got = [int(getattr(dut, name + "_o").value) for name in ("addr", "lane", "slot", "word")]
                assert got == [addr % (1 << bits), *rest], f"case {case}, place {number}: {layer}"
                for _ in range(rng.choice((0, 0, 1, 5))):
                    await FallingEdge(dut.clk_i)
                dut.go_i.value, dut.column_last_i.value = 1, int(ends)
                got = [int(dut.block_columns_o.value), int(dut.group_last_o.value)]
                assert got == [columns, end], f"case {case}, place {number}: {layer}"
                await FallingEdge(dut.clk_i)
                dut.go_i.value, dut.column_last_i.value = 0, rng.randrange(2)
                for _ in range(3):
                    await FallingEdge(dut.clk_i)


CASES = [
    *(("bnn_pick", {"Words": words, "Bits": 4}) for words in (4, 8, 16)),
    ("bnn_vector_score", {"Pe": 16, "Lanes": 4}),
    ("bnn_vector_unit", {}),
    ("bnn_vector_sum", {}),
    ("bnn_vector_less", {"Words": 4}),
    ("bnn_vector_less", {"Words": 2}),
    ("bnn_vector_mean", {"Units": 2, "Slots": 2}),
    ("bnn_vector_pool", {"Units": 2}),
    ("bnn_vector_lane", {"Units": 2}),
    ("bnn_vector_place", {"Pe": 8, "Simd": 32, "Lanes": 4, "AddrBits": 10, "Serial": 1}),
    ("bnn_vector_header", {"Pe": 16, "Simd": 32}),
]


@pytest.mark.parametrize("top,parameters", CASES)
def test_block(top, parameters, tmp_path):
    run(__file__, top, parameters, tmp_path)


CELLS = [
    ("bnn_vector_sum", {}, ["DSP48E1"]),
    ("bnn_vector_less", {"Words": 4}, ["DSP48E1"]),
    ("bnn_vector_less", {"Words": 2}, ["DSP48E1"]),
    ("bnn_pick", {"Words": 8, "Bits": 4}, ["MUXF7"]),
    ("bnn_pick", {"Words": 16, "Bits": 2}, ["MUXF7", "MUXF8"]),
]


@pytest.mark.parametrize("top,parameters,names", CELLS)
def test_cells(top, parameters, names, tmp_path):
    """What is made of named cells in synthesis, with yosys' models of them."""
    run_cells(__file__, top, parameters, tmp_path, names)
