"""Queue, unpacking, write-back and the first layer against the formulas of docs/ARCHITECTURE.md (cocotb, Verilator)."""

from collections import deque

import cocotb
import numpy as np
import pytest
from bench import begin, fields, parameter, record, run, seed, to_int
from cocotb.triggers import FallingEdge, ReadOnly

from bnn.contract import FIRST_TAPS, MAX_CHANNELS, FirstBeat, FirstValue, Header, value_range

WRITE_LATENCY = 6  # of bnn_writeback, the most


@cocotb.test()
async def fifo(dut):
    width, depth = parameter("Width"), parameter("Depth")
    rng = await begin(dut, push_i=0, pop_i=0)
    model, full, empty = deque(), 0, 0
    for step in range(4000):
        # long stretches in which it fills and empties
        push = rng.random() < (0.8 if step // 100 % 2 else 0.3)
        pop = bool(model) and rng.random() < (0.3 if step // 100 % 2 else 0.8)
        data = rng.getrandbits(width)
        assert int(dut.room_o.value) == (len(model) < depth)
        assert int(dut.valid_o.value) == bool(model)
        if model:
            assert int(dut.data_o.value) == model[0]
        full, empty = full + (len(model) == depth), empty + (not model)
        dut.push_i.value, dut.pop_i.value, dut.data_i.value = int(push), int(pop), data
        accepted = push and len(model) < depth
        if pop:
            model.popleft()
        if accepted:
            model.append(data)
        await FallingEdge(dut.clk_i)
    assert full > 100 and empty > 100


@cocotb.test()
async def fifo_block(dut):
    width, depth = parameter("Width"), parameter("Depth")
    rng = await begin(dut, push_i=0, pop_i=0)
    model, full, empty, waited = deque(), 0, 0, 0
    for step in range(4000):
        fills = step // 100 % 2
        valid = bool(int(dut.valid_o.value))
        assert model or not valid
        if valid:
            assert int(dut.data_o.value) == model[0]
        waited = waited + 1 if model and not valid else 0
        assert waited <= 3
        full, empty = full + (len(model) == depth), empty + (not model)
        push = len(model) < depth and rng.random() < (0.8 if fills else 0.3)
        pop = valid and rng.random() < (0.3 if fills else 0.8)
        data = rng.getrandbits(width)
        dut.push_i.value, dut.pop_i.value, dut.data_i.value = int(push), int(pop), data
        if pop:
            model.popleft()
        if push:
            model.append(data)
        await FallingEdge(dut.clk_i)
    assert full > 100 and empty > 100


@cocotb.test()
async def unpack(dut):
    rng = await begin(dut, beat_valid_i=0, ready_i=0, channels_i=1, pixels_i=1)
    cases = [(c, p) for c in range(1, 5) for p in (1, 2, 3, 5, 7, 8, 9, 11, 16, rng.randrange(17, 60))]
    for channels, pixels in cases:
        dut.channels_i.value, dut.pixels_i.value, dut.rst_i.value = channels, pixels, 1
        dut.beat_valid_i.value = 0
        for _ in range(2):
            await FallingEdge(dut.clk_i)
        dut.rst_i.value = 0
        images = [bytes(rng.randrange(256) for _ in range(pixels * channels)) for _ in range(5)]
        beats = deque()
        for image in images:
            row = image + bytes(rng.randrange(256) for _ in range(-len(image) % 8))
            beats.extend(int.from_bytes(row[i : i + 8], "little") for i in range(0, len(row), 8))
        want = deque()
        for image in images:
            for n in range(pixels):
                want.append((int.from_bytes(image[n * channels : (n + 1) * channels], "little"), n == pixels - 1))
        often = rng.choice([0.3, 0.9])
        begun, ready, waited = False, deque([0, 0, 0]), False  # ready_i of this cycle and the two before
        for _ in range(3000):
            if not want:
                break
            offer = bool(beats) and rng.random() < often
            dut.beat_valid_i.value = int(offer)
            dut.beat_i.value = beats[0] if beats else 0
            ready.append(int(rng.random() < (0.7 if often < 0.5 else 0.1)))
            dut.ready_i.value = ready[-1]
            ready.popleft()
            await ReadOnly()
            waited = waited or bool(ready[0])
            if int(dut.valid_o.value):
                pixel, last = want.popleft()
                assert begun or waited, f"{channels} channels, {pixels} pixels: an image that nobody is ready for"
                begun = not last
                if last:
                    waited, ready = False, deque([0, 0, 0])
                got = int(dut.pixel_o.value) & ((1 << (8 * channels)) - 1)
                assert (got, int(dut.last_o.value)) == (pixel, last), f"{channels} channels, {pixels} pixels"
            if offer and int(dut.beat_take_o.value):
                beats.popleft()
            await FallingEdge(dut.clk_i)
        assert not want and not beats, f"{channels} channels, {pixels} pixels: {len(want)} missing"
        dut.beat_valid_i.value, dut.ready_i.value = 0, 1
        for _ in range(4):
            await FallingEdge(dut.clk_i)
            assert not int(dut.valid_o.value), "a pixel behind the last"


class Memory:
    """The activation memory as bits (lanes, depth, simd); writes of `group` bits."""

    def __init__(self, rng, lanes, depth, simd, group):
        self.bits = rng.integers(0, 2, (lanes, depth, simd), np.uint8)
        self.group = group

    def write(self, lanes, groups, address, data):
        """`lanes` and `groups` are masks, `data` bits (lanes, simd)."""
        count, _, simd = self.bits.shape
        enable = np.repeat(fields(groups, 1, simd // self.group), self.group).astype(bool)
        for lane in range(count):
            if lanes >> lane & 1:
                self.bits[lane, address, enable] = data[lane, enable]


def words(array, simd):
    """Channels (..., C) as whole words: (..., CW, simd), the bits behind the channels 0."""
    channels = array.shape[-1]
    padded = np.zeros((*array.shape[:-1], -(-channels // simd) * simd), np.uint8)
    padded[..., :channels] = array
    return padded.reshape(*array.shape[:-1], -1, simd)


@cocotb.test()
async def writeback(dut):
    pe, simd, lanes, depth = (parameter(n) for n in ("Pe", "Simd", "Lanes", "ActDepth"))
    names = (
        "pool",
        "serial",
        "images",
        "rows",
        "blocks",
        "columns",
        "in_batch",
        "base",
        "image_stride",
        "row_stride",
        "words",
    )
    idle = dict.fromkeys(("start_i", "soon_i", "vector_i", "vector_lane_i", "read_i"), 0)
    await begin(dut, **idle, **{name + "_i": 0 for name in names})
    rng = np.random.default_rng(seed())
    for n in range(32):
        mode = ("pixel", "dense", "serial")[n % 3]
        pool = int(mode != "dense" and n // 3 % 2)
        groups = int(rng.choice([1, simd // pe, simd // pe + 1, 2 * simd // pe + 1]))
        cw = -(-groups * pe // simd)
        rows, columns = (1, lanes) if mode == "dense" else (int(rng.integers(1, 4)), int(rng.integers(1, 3 * lanes)))
        images, in_batch = int(rng.integers(1, 4)), 0 if mode == "pixel" else int(rng.integers(0, 2 * lanes))
        blocks = -(-columns * (1 + pool) // lanes)
        row_words = columns * cw if mode == "serial" else -(-columns // lanes) * cw
        gap = int(rng.integers(0, 3))
        layer = {
            "pool": pool,
            "serial": int(mode == "serial"),
            "images": images,
            "rows": rows,
            "blocks": blocks,
            "columns": columns,
            "in_batch": in_batch,
            "base": int(rng.integers(0, 20)),
            "words": cw,
            "row_stride": 0 if mode == "dense" else row_words,
            "image_stride": rows * row_words + gap,
        }
        for name, value in layer.items():
            getattr(dut, name + "_i").value = value % lanes if name == "columns" else value
        memory = Memory(rng, lanes, depth, simd, pe)
        expected = memory.bits.copy()
        # image, row, column, channel; the channels of absent output channels are bits of the sums too
        bits = rng.integers(0, 2, (images, rows, columns, groups * pe), np.uint8)
        for i, y, x in np.ndindex(images, rows, columns):
            lane, address = x % lanes, i * layer["image_stride"] + y * layer["row_stride"] + x // lanes * cw
            if mode == "serial":
                lane, block = (in_batch + i) % lanes, (in_batch + i) // lanes
                address = block * layer["image_stride"] + y * layer["row_stride"] + x * cw
            elif mode == "dense":
                address += in_batch // lanes * layer["image_stride"]
            address += layer["base"]
            assert address + cw <= depth
            expected[lane, address : address + cw] = words(bits[i, y, x], simd)
        done, taken = 0, 0
        later = [None, None]  # bits of the blocks announced: they come two cycles after soon_i
        was_next = int(dut.write_next_o.value)

        async def cycle(block=None):
            nonlocal done, was_next
            dut.soon_i.value = int(block is not None)
            later.append(block)  # noqa: B023
            bits = later.pop(0)  # noqa: B023
            if bits is not None:
                dut.bit_i.value = to_int(bits)
            await FallingEdge(dut.clk_i)
            mask = int(dut.write_lane_o.value)
            assert was_next == (mask != 0)
            was_next = int(dut.write_next_o.value)
            done += int(dut.block_done_o.value)
            if mask:
                data = np.array(fields(int(dut.write_data_o.value), 1, lanes * simd), np.uint8).reshape(lanes, simd)
                memory.write(mask, int(dut.write_group_o.value), int(dut.write_addr_o.value), data)  # noqa: B023

        per_block = lanes // 2 if pool else lanes
        every = list(np.ndindex(groups, images, rows, blocks))
        cut_off = n % 4 == 0  # by a reset, and begun again
        for part in [every[: rng.integers(len(every))]] * cut_off + [every]:
            for signal in (dut.rst_i, dut.start_i):
                await cycle()
                signal.value = 1
                await cycle()
                signal.value = 0
            for _ in range(5):
                await cycle()
            for g, i, y, b in part:
                block = rng.integers(0, 2, (lanes, pe), np.uint8)  # lanes behind the last column: anything
                present = min(per_block, columns - b * per_block)
                # with a pool the pairs lie in the first half of each tile of four lanes
                at = [j // 2 * 4 + j % 2 if pool else j for j in range(present)]
                block[at] = bits[i, y, b * per_block : b * per_block + present, g * pe : (g + 1) * pe]
                while rng.random() < 0.2:
                    await cycle()
                await cycle(block)
                taken += 1
                for _ in range(lanes + WRITE_LATENCY):
                    if mode != "serial" or done == taken:
                        break
                    await cycle()
                assert done == (taken if mode == "serial" else 0), f"{layer}: block_done"
            for _ in range(WRITE_LATENCY):
                await cycle()
        wrong = np.argwhere(memory.bits != expected)
        assert not len(wrong), f"{mode} {layer}: {len(wrong)} bits, the first at lane, address, bit {wrong[0]}"


def convolution(table, images, weights, pad, pool):
    """Sums (1 or with a pool 4, N, H, W, O) of the first layer; weights are +-1 (O, 3, 3, C)."""
    values = np.pad(table.astype(np.int64)[images], ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = values.shape[1] - 2, values.shape[2] - 2
    sums = sum(values[:, y : y + rows, x : x + columns] @ weights[:, y, x].T for y in range(3) for x in range(3))
    if not pool:
        return sums[None]
    sums = sums[:, : rows & ~1, : columns & ~1]
    return np.stack([sums[:, y::2, x::2] for y in range(2) for x in range(2)])


# height, width, channels, outputs, pad, pool, sub-batch, images; outputs 0: pack mode
FIRST = [
    (5, 6, 3, 6, 0, 0, 2, 5),
    (3, 3, 1, 40, 0, 0, 1, 3),
    (6, 9, 2, 32, 1, 0, 2, 3),
    (7, 8, 4, 12, 0, 1, 3, 7),
    (5, 5, 3, 36, 1, 1, 2, 4),
    (2, 3, 1, 4, 1, 1, 4, 3),
    (4, 4, 4, 5, 0, 1, 1, 4),
    (16, 16, 3, 8, 1, 0, 1, 1),
    (3, 4, 2, 512, 1, 1, 1, 1),
    (4, 5, 3, 0, 0, 0, 6, 15),
    (1, 8, 1, 0, 0, 0, 1, 3),
    (5, 13, 1, 0, 0, 0, 5, 6),
    (8, 8, 2, 0, 0, 0, 4, 4),
    (4, 3, 1, 7, 0, 0, 3, 8),
]
# the same, and planes, bits of a value and its shift
VALUES = [
    (6, 8, 3, 32, 1, 1, 2, 5, 1, 0, 8),
    (4, 5, 4, 20, 1, 0, 2, 4, 1, 6, 4),
    (5, 6, 2, 40, 0, 0, 1, 3, 2, 0, 12),
    (4, 7, 3, 64, 1, 1, 2, 3, 3, 8, 0),
    (2, 2, 1, 3, 1, 1, 3, 7, 1, 1, 16),
    (2, 2, 2, 256, 1, 1, 1, 2, 2, 0, 8),
]
FIRST_CREDIT = 128  # beats of the image queue


def first_case(rng, case, simd, lanes, first_pe):
    """Fields of the header, program beats, image bytes and expected words of a case."""
    height, width, channels, outputs, pad, pool, sub_batch, count, planes, value_bits, shift = (*case, 0, 0, 0)[:11]
    images = rng.integers(0, 256, (count, height, width, channels), np.uint8)
    elements = height * width * channels
    image_bytes = -(-elements // 8) * 8
    memory = rng.integers(0, 256, (count, image_bytes), np.uint8)
    memory[:, :elements] = images.reshape(count, -1)
    rows, columns = height + 2 * pad - 2, width + 2 * pad - 2
    config = {
        "pad": pad,
        "pool": pool,
        "first_channels": -(-outputs // first_pe) * first_pe,
        "channels": channels,
        "height": height,
        "width": width,
        "pixels": height * width,
        "image_bytes": image_bytes,
        "elements": elements,
        "rows": rows & ~1 if pool else rows,
        "columns": columns & ~1 if pool else columns,
        "sub_batch": sub_batch,
    }
    if not outputs:
        table = np.where(rng.integers(0, 2, 256) > 0, 1, -1).astype(np.int8)
        record_words = words((table[images] > 0).astype(np.uint8).reshape(count, 1, 1, elements), simd)
        beats, cw, row_words = [], -(-elements // simd), 0
        config.update(rows=0, columns=0, out_image_stride=cw, out_row_stride=0, out_words=cw)
    else:
        table = rng.integers(-128, 128, 256).astype(np.int8)
        cw = -(-outputs // simd)
        given = planes * cw * simd or outputs  # channels of the engine, those of values with absent ones among them
        weights = rng.integers(0, 2, (given, 3, 3, channels)) * 2 - 1
        limits = rng.integers(-400, 400, given)
        limits[0], limits[-1] = FirstBeat.threshold.least, FirstBeat.threshold.largest
        flip = rng.integers(0, 2, given)
        sums = convolution(table, images, weights, pad, pool)
        bits = ((sums >= limits).any(axis=0) ^ flip.astype(bool)).astype(np.uint8)
        taps = np.zeros((given, FIRST_TAPS, MAX_CHANNELS), np.uint8)
        taps[:, :, :channels] = weights.reshape(given, FIRST_TAPS, channels) > 0
        channel = [
            FirstBeat(weights=to_int(taps[o]), threshold=int(limits[o]), flip=bool(flip[o])) for o in range(given)
        ]
        record_words = words(bits, simd)
        if planes:
            scale, offset = rng.integers(0, 3 << shift, cw * simd) // 4, rng.integers(-80, 80, cw * simd) << shift
            scale[outputs:], offset[outputs:] = 0, 0
            value = (sums.max(axis=0)[..., : cw * simd] * scale + offset) >> shift
            value = np.clip(value, *value_range(value_bits)).astype(np.uint8)
            value = value.reshape(*value.shape[:3], cw, simd // 8, 8).swapaxes(-1, -2)  # a word, its byte
            value = np.unpackbits(np.ascontiguousarray(value), axis=-1, bitorder="little")
            record_words = np.concatenate([record_words, value.reshape(*value.shape[:3], 8 * cw, simd)], axis=3)
            order = np.arange(planes * cw * simd).reshape(planes * cw, simd // 8, 8).swapaxes(1, 2).ravel()
            channel = [channel[o] for o in order] + [
                FirstValue(scale=int(scale[o]), offset=int(offset[o])) for o in order[: cw * simd]
            ]
            config.update(first_channels=given, value_channels=cw * simd, value_bits=value_bits, shift=shift)
        else:
            channel += [FirstBeat(threshold=FirstBeat.threshold.largest)] * (config["first_channels"] - outputs)
            cw = -(-config["first_channels"] // simd)
        beats = [beat.words[0] for beat in channel]
        row_words = -(-bits.shape[2] // lanes) * record_words.shape[3]
        config.update(
            out_image_stride=bits.shape[1] * row_words,
            out_row_stride=row_words,
            out_words=planes * cw + 8 * cw if planes else cw,
        )
    blocks = -(-sub_batch // lanes) if not outputs else sub_batch
    even = int(rng.integers(0, 8))
    config.update(out_even=even, out_odd=even + blocks * config["out_image_stride"] + int(rng.integers(0, 4)))
    return Header(**config), list(np.frombuffer(table.tobytes(), "<u8")) + beats, memory, record_words


@cocotb.test()
async def first_layer(dut):
    simd, lanes, depth, first_pe = (parameter(n) for n in ("Simd", "Lanes", "ActDepth", "FirstPe"))
    await begin(
        dut,
        load_valid_i=0,
        start_i=0,
        consumed_i=0,
        command_ready_i=0,
        beat_valid_i=0,
        write_wait_i=1,
        write_next_i=1,
        header_i=record(Header(first_channels=first_pe, channels=1, pixels=1)),
    )
    rng = np.random.default_rng(seed())
    waits = ready = 0
    for case in FIRST + VALUES * parameter("Vector"):
        header, program, images, expected = first_case(rng, case, simd, lanes, first_pe)
        dut.rst_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.rst_i.value = 0
        count, sub_batch, pack = len(images), header.sub_batch, not header.first_channels
        dut.header_i.value, dut.count_i.value = record(header), count
        for index, beat in enumerate(program):
            dut.load_valid_i.value, dut.load_index_i.value, dut.load_data_i.value = 1, index, int(beat)
            await FallingEdge(dut.clk_i)
        dut.load_valid_i.value = 0
        base = int(rng.integers(0, 1 << 40)) * 8
        dut.images_i.value, dut.start_i.value = base, 1
        await FallingEdge(dut.clk_i)
        dut.start_i.value = 0

        memory = Memory(rng, lanes, depth, simd, simd)

        def check(number):
            """The region of a sub-batch."""
            start, base = number * sub_batch, header.out_odd if number % 2 else header.out_even  # noqa: B023
            batch = expected[start : start + sub_batch]  # noqa: B023
            for i, y, x in np.ndindex(*batch.shape[:3]):
                lane = i % lanes if pack else x % lanes  # noqa: B023
                at = i // lanes if pack else i  # noqa: B023
                at = base + at * header.out_image_stride + y * header.out_row_stride  # noqa: B023
                at += 0 if pack else x // lanes * header.out_words  # noqa: B023
                got = memory.bits[lane, at : at + batch.shape[3]]  # noqa: B023
                assert np.array_equal(got, batch[i, y, x]), f"{case}: sub-batch {number}, image {i}, {y}, {x}"  # noqa: B023

        total = -(-count // sub_batch)
        untouched = np.ones((lanes, depth), bool)
        beats, commands, credit = deque(), 0, FIRST_CREDIT
        done = consumed = 0
        stall, slow = rng.choice([0.0, 0.3, 0.7]), rng.choice([0.02, 0.2])
        old = memory.bits.copy()
        for _ in range(60000):
            if consumed == total:
                break
            eat = consumed < done and rng.random() < slow
            if eat:
                check(consumed)  # not overwritten until now
            dut.consumed_i.value = int(eat)
            consumed += eat
            dut.command_ready_i.value = int(rng.random() < 0.5)
            dut.write_wait_i.value = 1 - ready
            ready = int(rng.random() >= stall)
            dut.write_next_i.value = 1 - ready
            send = bool(beats) and credit > 0 and rng.random() < 0.8
            dut.beat_valid_i.value, dut.beat_i.value = int(send), beats.popleft() if send else 0
            credit -= send
            await ReadOnly()
            if int(dut.command_valid_o.value) and int(dut.command_ready_i.value):
                assert int(dut.command_addr_o.value) == base + commands * header.image_bytes
                assert int(dut.command_beats_o.value) * 8 == header.image_bytes
                beats.extend(int(beat) for beat in images[commands].view("<u8"))
                commands += 1
            credit += int(dut.beat_give_o.value)
            if int(dut.write_valid_o.value):
                waits += int(dut.write_wait_i.value)
                if not int(dut.write_wait_i.value):
                    address, mask = int(dut.write_addr_o.value), int(dut.write_lane_o.value)
                    data = np.array(fields(int(dut.write_data_o.value), 1, 2 * simd), np.uint8)
                    memory.write(mask, 1, address, np.tile(data.reshape(2, simd), (lanes // 2, 1)))
                    untouched[:, address] &= ~np.array(fields(mask, 1, lanes), bool)
            finished = int(dut.done_o.value)
            await FallingEdge(dut.clk_i)
            if finished:
                check(done)
                done += 1
                assert done - consumed <= 2
        assert (done, consumed, commands) == (total, total, count), f"{case}: {done} of {total} sub-batches"
        dut.consumed_i.value, dut.write_wait_i.value = 0, 1 - ready
        for _ in range(20):
            await FallingEdge(dut.clk_i)
            assert not int(dut.write_valid_o.value) and not int(dut.done_o.value)
        assert not beats and credit == FIRST_CREDIT
        # nothing else was written
        wanted = np.zeros((lanes, depth), bool)
        for number in range(min(total, 2)):
            size = min(sub_batch, count - number * sub_batch)
            start = header.out_odd if number else header.out_even
            for i in range(size):
                if pack:
                    at = start + i // lanes * header.out_image_stride
                    wanted[i % lanes, at : at + header.out_words] = True
                    continue
                for y, x in np.ndindex(*expected.shape[1:3]):
                    at = start + i * header.out_image_stride + y * header.out_row_stride + x // lanes * header.out_words
                    wanted[x % lanes, at : at + header.out_words] = True
        assert np.array_equal(~untouched, wanted) and np.array_equal(memory.bits[~wanted], old[~wanted]), case
    assert waits > 50


WRITEBACK = [(4, 32, 4), (8, 32, 2), (32, 32, 4)]
CASES = [
    ("bnn_fifo", {"Width": 9, "Depth": 8}),
    ("bnn_fifo_block", {"Width": 9, "Depth": 8}),
    ("bnn_unpack", {}),
    *(("bnn_writeback", {"Pe": p, "Simd": s, "Lanes": n, "ActDepth": 512}) for p, s, n in WRITEBACK),
    *(
        ("bnn_first_layer", {"Simd": s, "Lanes": 4, "ActDepth": 512, "FirstPe": p, "ImagePixels": 256, "Vector": v})
        for s, p, v in ((32, 4, 0), (32, 4, 1), (32, 8, 1), (64, 16, 1), (64, 4, 1))
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("top,parameters", CASES, ids=[f"{top}{number}" for number, (top, _) in enumerate(CASES)])
def test_unit(top, parameters, tmp_path):
    run(__file__, top, parameters, tmp_path)
