"""The whole RTL core between an AXI4-Lite host and an AXI4 memory, against the golden networks (cocotb, Verilator).

Every channel stalls at random. Sources of randomness start from BNN_SEED. BNN_PORTS says how many memory ports the core
has, 1 where it is not set.
"""

from __future__ import annotations

import logging
import os
import random
import warnings

import cocotb
import numpy as np
import pytest
from bench import fields, run, seed, start_clock
from cocotb.triggers import First, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiReadBus, AxiSlave, AxiSlaveRead
from helpers.models import network
from helpers.programs import change

from bnn import golden
from bnn.contract import (
    BEAT_BYTES,
    FIRST_CHANNELS,
    PROGRAM_MAGIC,
    PROGRAM_VERSION_2,
    TABLE_BYTES,
    Descriptor,
    Error,
    Header,
    Registers,
    layers,
)
from bnn.program import image_bytes
from hls import schedule, sources
from hls.boards import BOARDS
from hls.designs import Design
from hls.program import pack
from sim.compare import by_name, differences
from sim.core_io import decode

logging.getLogger("cocotb.bnn_top").setLevel("ERROR")  # every burst otherwise
warnings.filterwarnings("ignore", category=DeprecationWarning, module="cocotbext")

DESIGN = Design(
    "rtl_test",
    BOARDS["pynq_z1"],
    pe=8,
    simd=32,
    lanes=4,
    weight_depth=128,
    act_depth=128,
    first_pe=4,
    image_pixels=64,
    max_layers=4,
    clock_mhz=100.0,
    ports=int(os.environ.get("BNN_PORTS", "1")),
)
PARAMETERS = sources.parameters(DESIGN)
# name: model; sub-batch, batch and layers of segment A; images of two runs
NETWORKS = {
    "resident": (
        network(1, (6, 5, 1), [("conv", 7, 0, 0, False), ("conv", 5, 1, 1, True), ("dense", 9)]),
        (4, 4, 2),
        (9, 4),
    ),
    "streamed": (
        network(
            2, (7, 6, 4), [("conv", 36, 1, 0, True), ("conv", 36, 1, -1, False), ("conv", 9, 0, 1, False), ("dense", 3)]
        ),
        (3, 3, 3),
        (5, 3),
    ),
    "resident_segments": (
        network(3, (4, 3, 2), [("conv", 34, 1, 0, False), ("conv", 40, 1, -1, True), ("dense", 33), ("dense", 11)]),
        (2, 8, 1),
        (11, 5),
    ),
    "streamed_segments": (
        network(4, (6, 4, 2), [("conv", 34, 1, 0, False), ("conv", 40, 1, 1, True), ("dense", 33), ("dense", 11)]),
        (2, 6, 1),
        (9, 5),
    ),
    "dense": (network(5, (5, 7, 1), [("dense", 40), ("dense", 20), ("dense", 11)], binary=True), (6, 6, 3), (15, 1)),
}
TESTS_OF_PORTS = ("networks", "networks_without_stalls", "keep", "memory_errors")
"""Those that read weights; the others concern registers and headers, which come through the first port."""
TESTS = (
    "networks",
    "networks_without_stalls",
    "registers",
    "control",
    "no_images",
    "start_while_busy",
    "auto_restart",
    "keep",
    "wrong_programs",
    "unfit_programs",
    "memory_errors",
)


def placed(name):
    """The plan of a network with the sizes of NETWORKS, which are not always those that the planner finds best."""
    model, sizes, _ = NETWORKS[name]
    return schedule.plan(model, DESIGN, sizes=schedule.Sizes(*sizes))


CONTROL, GLOBAL, ENABLE, STATUS, PROGRAM, IMAGES, SCORE, COUNT, CYCLES, BUSY, ERROR = (
    register.offset
    for register in (
        Registers.control,
        Registers.global_enable,
        Registers.enable,
        Registers.status,
        Registers.program,
        Registers.images,
        Registers.scores,
        Registers.count,
        Registers.cycles,
        Registers.busy,
        Registers.error,
    )
)
START, DONE, IDLE, READY, RESTART, KEEP, ON_DONE, ON_READY = (
    bit.mask
    for bit in (
        Registers.start,
        Registers.done,
        Registers.idle,
        Registers.ready,
        Registers.restart,
        Registers.keep,
        Registers.enable_done,
        Registers.enable_ready,
    )
)
LIMIT = 60_000  # cycles of a run
UNWRITTEN = 0x80


class Memory:
    """The regions of the core's memory; what lies outside of them, or in `bad`, answers with an error."""

    def __init__(self, clock):
        self.clock, self.late = clock, 0  # cycles until a write is answered
        self.regions, self.outside = {}, []
        self.bad = range(0)
        self.reads = self.writes = 0

    def place(self, name, base, content, writable=False):
        self.regions[name] = (base, bytearray(content), writable)

    def content(self, name):
        return bytes(self.regions[name][1])

    def _find(self, address, size, writable):
        if self.bad.start < address + size and address < self.bad.stop:
            raise ValueError("bad")
        for base, content, is_writable in self.regions.values():
            if base <= address and address + size <= base + len(content) and is_writable == writable:
                return content, address - base
        self.outside.append(address)
        raise ValueError("outside")

    async def read(self, address, size):
        self.reads += 1
        content, at = self._find(address, size, False)
        return bytes(content[at : at + size])

    async def write(self, address, data):
        self.writes += 1
        for _ in range(self.late):
            await RisingEdge(self.clock)
        content, at = self._find(address, len(data), True)
        content[at : at + len(data)] = data


class Bench:
    """Clock, reset, host and memory of the core; follows the writes of its activation memory."""

    def __init__(self, dut, stall=0.3):
        self.dut = dut
        self.rng = random.Random(seed())
        start_clock(dut.ap_clk)
        dut.ap_rst_n.value = 0
        bus = AxiBus.from_prefix(dut, "m_axi_gmem")
        second = [AxiReadBus.from_prefix(dut, "m_axi_gmem1")] * (DESIGN.ports - 1)
        for channel, name in ((bus.write.aw, "awlock"), *((item.ar, "arlock") for item in (bus.read, *second))):
            delattr(channel, name)  # two bits, as Vitis HLS has it
            del channel._signals[name]
        self.memory = Memory(dut.ap_clk)
        self.slave = AxiSlave(bus, dut.ap_clk, dut.ap_rst_n, self.memory, reset_active_level=False)
        self.readers = [self.slave.read_if]
        for item in second:
            self.readers.append(AxiSlaveRead(item, dut.ap_clk, dut.ap_rst_n, self.memory, reset_active_level=False))
        lite = AxiLiteBus.from_prefix(dut, "s_axi_control")
        self.host = AxiLiteMaster(lite, dut.ap_clk, dut.ap_rst_n, reset_active_level=False)
        self.stall, self.channels = stall, []
        for interface in (self.slave.write_if, *self.readers, self.host.write_if, self.host.read_if):
            for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
                channel = getattr(interface, name, None)
                if channel is not None:
                    self.channels.append(channel)
        self.act = np.zeros((DESIGN.lanes, DESIGN.act_depth, DESIGN.simd), np.uint8)
        self.records, self.pending = [], {"first": [], "layer": []}
        self.error = ""

    async def reset(self):
        self.dut.ap_rst_n.value = 0
        for _ in range(8):
            await RisingEdge(self.dut.ap_clk)
        self.dut.ap_rst_n.value = 1
        for _ in range(2):
            await RisingEdge(self.dut.ap_clk)
        cocotb.start_soon(self.stalls())
        cocotb.start_soon(self.watch())
        cocotb.start_soon(self.stable("AR", ("ADDR", "LEN", "SIZE", "BURST")))
        if DESIGN.ports > 1:
            cocotb.start_soon(self.stable("AR", ("ADDR", "LEN", "SIZE", "BURST"), "m_axi_gmem1"))
        cocotb.start_soon(self.stable("AW", ("ADDR", "LEN", "SIZE", "BURST")))
        cocotb.start_soon(self.stable("W", ("DATA", "STRB", "LAST")))
        return self

    async def stalls(self):
        """Pauses every channel in a part of the cycles."""
        rng = random.Random(self.rng.random())
        while self.stall:
            await RisingEdge(self.dut.ap_clk)
            for channel in self.channels:
                channel.pause = rng.random() < self.stall

    async def stable(self, channel, names, port="m_axi_gmem"):
        """What is offered on a channel stays until it is taken."""
        valid, ready = (getattr(self.dut, f"{port}_{channel}{name}") for name in ("VALID", "READY"))
        signals = [getattr(self.dut, f"{port}_{channel}{name}") for name in names]
        waiting = None
        while True:
            await RisingEdge(self.dut.ap_clk)
            if not int(valid.value):
                assert waiting is None, f"{channel} withdrawn"
                await RisingEdge(valid)
                continue
            values = [int(signal.value) for signal in signals]
            assert waiting in (None, values), f"{channel} changed"
            waiting = None if int(ready.value) else values

    async def watch(self):
        """Mirrors the activation memory and notes the regions that are complete."""
        dut, lanes, simd = self.dut, DESIGN.lanes, DESIGN.simd
        bits = (DESIGN.act_depth - 1).bit_length()
        while True:
            await RisingEdge(dut.ap_clk)
            # values before the edge: what this edge writes
            mask = int(dut.tap_write_lane.value)
            if mask:
                groups = np.array(fields(int(dut.tap_write_group.value), 1, simd // DESIGN.pe), bool)
                enable = np.repeat(groups, DESIGN.pe)
                addresses = fields(int(dut.tap_write_addr.value), bits, lanes)
                data = int(dut.tap_write_data.value).to_bytes(lanes * simd // 8, "little")
                data = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(lanes, simd)
                for lane in range(lanes):
                    if mask >> lane & 1:
                        self.act[lane, addresses[lane], enable] = data[lane, enable]
            if int(dut.tap_first_done.value):
                self.record("first")
            if int(dut.tap_layer_done.value):
                self.record("layer")

    def record(self, kind):
        assert self.pending[kind], f"one more {kind} than the program has"
        layer, start, count, first, base, size, scores = self.pending[kind].pop(0)
        if not scores:
            head = np.array([0, layer, start, count, first, size, 0], "<i4").tobytes()
            self.records.append(head + np.packbits(self.act[:, base : base + size], bitorder="little").tobytes())

    def expect(self, program, count):
        """The regions in the order of work: layer + 1, images, place of the first, base, words, whether scores."""
        head, descriptors = Header.read(program), layers(program)
        sub_batch, batch = head.sub_batch, head.batch

        def array(layer, start, images, origin):
            item = descriptors[layer]
            by_image = item.serial or item.dense or item.by_image
            first = origin if item.serial else 0
            skip = first // DESIGN.lanes if by_image else 0
            blocks = -(-(first + images) // DESIGN.lanes) - skip if by_image else images
            self.pending["layer"].append(
                (
                    layer + 1,
                    start,
                    images,
                    first - skip * DESIGN.lanes,
                    item.dest_base + skip * item.dest_image_stride,
                    blocks * item.dest_image_stride,
                    item.scores,
                )
            )
            self.busy += item.busy_cycles(images, DESIGN.lanes)

        self.records, self.busy, odd = [], 0, False
        self.pending = {"first": [], "layer": []}
        for start in range(0, count, batch):
            in_batch = min(batch, count - start)
            for at in range(0, in_batch, sub_batch):
                images = min(sub_batch, in_batch - at)
                blocks = images if head.first_channels or head.pixel_map else -(-images // DESIGN.lanes)
                self.pending["first"].append(
                    (
                        0,
                        start + at,
                        images,
                        0,
                        head.out_odd if odd else head.out_even,
                        blocks * head.out_image_stride,
                        False,
                    )
                )
                odd = not odd
                for layer in range(head.layers_a):
                    array(layer, start + at, images, at if head.layers_a < head.layers else 0)
            for layer in range(head.layers_a, head.layers):
                array(layer, start, in_batch, 0)

    async def read(self, offset):
        return await self.host.read_dword(offset)

    async def write(self, offset, value):
        await self.host.write_dword(offset, value)

    async def address(self, offset, value):
        await self.host.write_qword(offset, value)

    async def setup(self, program, images, classes):
        """Memory contents and arguments of a run, away from those of the last; enables the interrupt."""
        base = self.rng.randrange(1 << 40) * 4096
        # ends and starts near 4 KiB boundaries
        bases = [base + n * (1 << 20) + 4096 - 8 * self.rng.randrange(1, 40) for n in range(3)]
        self.memory.place("program", bases[0], program)
        self.memory.place("images", bases[1], images.tobytes() if images.ndim == 2 else image_bytes(program, images))
        size = -(-4 * classes * len(images) // 8) * 8
        self.memory.place("scores", bases[2], bytes([UNWRITTEN]) * size, writable=True)
        for offset, value in zip((PROGRAM, IMAGES, SCORE), bases):
            await self.address(offset, value)
        await self.write(COUNT, len(images))
        await self.write(GLOBAL, Registers.interrupts.mask)
        await self.write(ENABLE, ON_DONE)

    async def interrupt(self, limit=LIMIT):
        """Waits for it; the run has left nothing on the bus. Returns the writes until then."""
        if not int(self.dut.interrupt.value):
            await First(RisingEdge(self.dut.interrupt), Timer(limit * 10, "ns"))
            assert int(self.dut.interrupt.value), f"no interrupt in {limit} cycles"
        channels = [self.slave.write_if.aw_channel, self.slave.write_if.w_channel]
        for reader in self.readers:
            channels += [reader.ar_channel, reader.r_channel]
        assert all(channel.empty() for channel in channels), "a burst in flight at the end of the run"
        for port in ("m_axi_gmem", "m_axi_gmem1")[: DESIGN.ports]:
            assert not any(int(getattr(self.dut, f"{port}_{name}").value) for name in ("ARVALID", "RVALID"))
        writes = self.memory.writes
        await self.write(STATUS, await self.read(STATUS))
        return writes

    async def finish(self, code=0, limit=LIMIT):
        writes = await self.interrupt(limit)
        assert await self.read(CONTROL) == DONE | IDLE | READY
        assert await self.read(CONTROL) == IDLE
        assert self.memory.writes == writes, "a score is written after the end of the run"
        assert not int(self.dut.interrupt.value)
        got = await self.read(ERROR)
        assert got == code, f"error code {got}, expected {code}"

    def scores(self, images, classes):
        content = np.frombuffer(self.memory.content("scores"), "<i4")
        return content[: images * classes].reshape(images, classes)

    async def infer(self, name, count, keep=False):
        """One run of the network `name` that must be right in every bit, with `keep` on the program of the last run."""
        model = NETWORKS[name][0]
        shape = (count, model.height, model.width, model.channels)
        pixels = np.random.default_rng(self.rng.randrange(1 << 32)).integers(0, 256, shape, np.uint8)
        program, classes = pack(placed(name)), len(model.classes)
        last = self.memory.regions.get("program")
        await self.setup(program, pixels, classes)
        if keep:
            self.memory.regions["program"] = last
            await self.address(PROGRAM, last[0])
            await self.write(COUNT, count | KEEP)
        self.expect(program, count)
        await self.write(CONTROL, START)
        await self.finish()
        self.check(name, program, pixels)
        assert await self.read(BUSY) == self.busy
        assert self.busy < await self.read(CYCLES) < LIMIT
        return program, pixels

    def check(self, name, program, pixels):
        model = NETWORKS[name][0]
        expected = golden.trace(model, pixels)
        want = expected.pop(model.layers[-1].name)
        assert self.pending == {"first": [], "layer": []}, f"{name}: layers not run"
        got = by_name(placed(name), decode(DESIGN, program, b"".join(self.records), 0))
        lines = differences(expected, got)
        assert not lines, f"{name}: " + "; ".join(lines)
        assert np.array_equal(self.scores(len(pixels), len(model.classes)), want), f"{name}: scores"
        assert not self.memory.outside, f"{name}: addresses {[hex(a) for a in self.memory.outside]}"


async def begin(dut, **options):
    bench = await Bench(dut, **options).reset()
    assert await bench.read(CONTROL) == IDLE
    return bench


async def all_networks(bench):
    for name, (_, _, counts) in NETWORKS.items():
        for count in counts:
            await bench.infer(name, count)


@cocotb.test()
async def networks(dut):
    await all_networks(await begin(dut))


@cocotb.test()
async def networks_without_stalls(dut):
    bench = await begin(dut, stall=0.0)
    for name, (_, _, counts) in NETWORKS.items():
        await bench.infer(name, counts[1])


@cocotb.test()
async def registers(dut):
    bench = await begin(dut)
    writable = {PROGRAM, PROGRAM + 4, IMAGES, IMAGES + 4, SCORE, SCORE + 4, COUNT}
    constant = set(range(0, Registers.size_bytes(), 4)) - writable - {CONTROL, GLOBAL, ENABLE, STATUS}
    for offset in sorted(constant):
        value = DESIGN.registers().words[offset // 4]  # 0 where there is no register
        assert await bench.read(offset) == value
        await bench.write(offset, 0xFFFFFFFF)
        assert await bench.read(offset) == value
    for offset in sorted(writable):
        want = bytearray(4)
        for _ in range(8):
            start = bench.rng.randrange(4)
            data = bytes(bench.rng.randrange(256) for _ in range(bench.rng.randrange(1, 5 - start)))
            want[start : start + len(data)] = data
            await bench.host.write(offset + start, data)  # strobes of these bytes only
            assert await bench.read(offset) == int.from_bytes(want, "little")
    # the byte that holds a control bit is not written
    await bench.host.write(CONTROL + 1, b"\xff\xff\xff")
    await bench.host.write(GLOBAL + 1, b"\xff")
    await bench.host.write(ENABLE + 1, b"\xff\xff")
    for offset, value in ((CONTROL, IDLE), (GLOBAL, 0), (ENABLE, 0), (STATUS, 0)):
        assert await bench.read(offset) == value
    await bench.write(ENABLE, 0xFFFFFFFF)
    assert await bench.read(ENABLE) == ON_DONE | ON_READY
    assert not int(dut.interrupt.value) and bench.memory.reads == 0


@cocotb.test()
async def control(dut):
    """ap_start, ap_done, ap_idle, ap_ready and the interrupt."""
    bench = await begin(dut)
    model = NETWORKS["resident"][0]
    program = pack(placed("resident"))
    pixels = np.zeros((2, model.height, model.width, model.channels), np.uint8)
    both = ON_DONE | ON_READY
    for enable, enabled in ((ON_DONE, 1), (ON_READY, 1), (both, 1), (both, 0), (0, 1)):
        await bench.setup(program, pixels, len(model.classes))
        await bench.write(ENABLE, enable)
        await bench.write(GLOBAL, enabled)
        bench.expect(program, len(pixels))
        await bench.write(CONTROL, START)
        polls = 0
        while not (value := await bench.read(CONTROL)) & DONE:
            assert value & ~START == 0, f"control register {value:#x} in a run"
            polls += 1
            assert polls < 3000
        assert polls > 3 and value == DONE | IDLE | READY
        assert await bench.read(CONTROL) == IDLE
        assert await bench.read(STATUS) == enable
        assert int(dut.interrupt.value) == (enable != 0 and enabled)
        if enable == both:
            await bench.write(STATUS, ON_DONE)  # one of two
            assert await bench.read(STATUS) == ON_READY and int(dut.interrupt.value) == enabled
            await bench.write(GLOBAL, 1 - enabled)
            assert int(dut.interrupt.value) == 1 - enabled
            await bench.write(STATUS, both)  # toggles: 0 becomes 1
            assert await bench.read(STATUS) == ON_DONE
        await bench.write(STATUS, await bench.read(STATUS))
        assert await bench.read(STATUS) == 0 and not int(dut.interrupt.value)
        bench.check("resident", program, pixels)


@cocotb.test()
async def no_images(dut):
    bench = await begin(dut)
    await bench.infer("resident", 2)
    reads = bench.memory.reads
    await bench.setup(b"", np.zeros((0, 8), np.uint8), 1)
    await bench.write(CONTROL, START)
    await bench.finish(limit=20)
    assert bench.memory.reads == reads and await bench.read(BUSY) == 0
    await bench.infer("dense", 3)


@cocotb.test()
async def start_while_busy(dut):
    """A start written during a run begins a second one, with the addresses of then."""
    bench = await begin(dut)
    program, pixels = await bench.infer("resident", 5)
    model = NETWORKS["resident"][0]
    await bench.setup(program, pixels, len(model.classes))
    bench.expect(program, len(pixels))
    await bench.write(CONTROL, START)
    while await bench.read(CONTROL) & START:
        pass
    await bench.write(CONTROL, START)
    assert await bench.read(CONTROL) == START  # waits
    first = bench.memory.regions["scores"][0]
    second = first + (1 << 24)
    bench.memory.place("second", second, bytes([UNWRITTEN]) * len(bench.memory.content("scores")), writable=True)
    await bench.address(SCORE, second)
    await bench.interrupt()
    bench.check("resident", program, pixels)
    bench.expect(program, len(pixels))
    await bench.finish()
    bench.check("resident", program, pixels)
    assert bench.memory.content("second") == bench.memory.content("scores")


@cocotb.test()
async def auto_restart(dut):
    bench = await begin(dut)
    program, pixels = await bench.infer("dense", 7)
    classes = len(NETWORKS["dense"][0].classes)
    await bench.setup(program, pixels, classes)
    await bench.write(CONTROL, START | RESTART)
    runs = 4
    for n in range(runs):
        bench.expect(program, len(pixels))
        if n == runs - 1:
            await bench.write(CONTROL, 0)
        else:
            assert await bench.read(CONTROL) & RESTART
        await bench.interrupt()
        bench.check("dense", program, pixels)
        base, content, _ = bench.memory.regions["scores"]
        bench.memory.place("scores", base, bytes([UNWRITTEN]) * len(content), writable=True)
    assert await bench.read(CONTROL) == DONE | IDLE | READY
    for _ in range(50):
        await RisingEdge(dut.ap_clk)
    assert await bench.read(CONTROL) == IDLE


@cocotb.test()
async def keep(dut):
    """With keep a resident program is not read again, anything else is."""
    bench = await begin(dut)

    async def reads(name, count, keep=True):
        before = bench.memory.reads
        program, _ = await bench.infer(name, count, keep)
        return bench.memory.reads - before - count * Header.read(program).image_bytes // BEAT_BYTES

    for name in ("resident", "resident_segments", "dense"):
        assert await reads(name, 2, keep=False) > 0
        for count in (3, 1):
            assert await reads(name, count) == 0, f"{name}: the program was read again"
    # not after a run without a resident program, an error, or for another address
    await bench.infer("streamed", 1)
    assert await reads("streamed", 2) > 0
    program, _ = await bench.infer("dense", 1)
    await bench.write(COUNT, KEEP | 1)
    bench.memory.bad = range(bench.memory.regions["images"][0], bench.memory.regions["images"][0] + 8)
    bench.expect(program, 1)
    await bench.write(CONTROL, START)
    await bench.finish(Error.RESPONSE)
    bench.memory.bad = range(0)
    assert await reads("dense", 2) > 0
    await bench.setup(pack(placed("resident")), np.zeros((0, 8), np.uint8), 1)
    assert await reads("resident", 2) > 0
    # nor is the program of a run without images in the core
    await bench.setup(pack(placed("dense")), np.zeros((0, 8), np.uint8), 1)
    await bench.write(CONTROL, START)
    await bench.finish(limit=20)
    await bench.infer("dense", 2, keep=True)


# code, fields
WRONG = [
    (Error.MAGIC, {"magic": PROGRAM_MAGIC + 1}),
    (Error.MAGIC, {"version": PROGRAM_VERSION_2 + 1}),
    (Error.GEOMETRY, {"geometry": 0}),
    (Error.GEOMETRY, {"simd": DESIGN.simd // 2}),
    (Error.GEOMETRY, {"first_pe": 2 * DESIGN.first_pe}),
    (Error.LAYERS, {"layers": DESIGN.max_layers + 1}),
    (Error.LAYERS, {"layers": 1 << 16}),
    (Error.LAYERS, {"layers": 0}),
    *(
        (Error.RANGE, fields)
        for fields in (
            {"layers_a": 0},
            {"layers_a": 4},
            {"layers_a": 0x10001},
            {"sub_batch": 0},
            {"sub_batch": 0x10001},
            {"sub_batch": 2, "batch": 1},
            {"batch": 0x10002},
            {"descriptors": 132},
            {"weights_a": 4},
            {"weights_b": 2},
            {"first": 1},
            {"words_a": 0},
            {"words_a": 2 * DESIGN.weight_depth},
            {"first_channels": 0},
            {"first_channels": 2},
            {"first_channels": FIRST_CHANNELS + 4},
            {"image_bytes": 0},
            {"image_bytes": 4},
            {"pixels": 0},
            {"pixels": DESIGN.image_pixels + 1},
            {"image_mode": 0},
            {"image_mode": 5},
            {"rows": 3, "columns": 0},
            {"rows": 0, "columns": 3},
            {"out_words": 0},
            {"last_groups": 0},
            {"last_groups": 1 << 16},
            {"last_tap_words": 0},
            {"last_rows": 0},
            {"last_blocks": 0},
            {"last_group_words": 0},
            {"last_group_words": DESIGN.weight_depth - 1},
            {"last_outputs": 0},
            {"last_out_columns": 0},
            # sizes and counts that disagree: 4x3 pixels of 2 channels, 11 classes from 2 groups
            {"pixels": 11},
            {"pixels": 13},
            {"width": 4},
            {"channels": 3},
            {"elements": 23},
            {"elements": 25},
            {"image_bytes": 16},
            {"image_bytes": 32},
            {"pixels": 13, "elements": 26, "image_bytes": 32},
            {"rows": 2},
            {"columns": 4},
            {"pad": 0},
            {"pool": 1},
            {"classes": 10},
            {"classes": 12},
            {"classes": 0x1000B},
            {"last_outputs": 10},
            {"last_outputs": 12},
            {"last_outputs": 17, "classes": 17},
            {"last_outputs": 0x1000B},
            {"last_tap_words": 1},
            {"last_tap_words": 3},
            {"last_rows": 2},
            {"last_rows": 0x10001},
            {"last_columns": DESIGN.lanes + 1},
            {"last_columns": 0},
            {"last_columns": 0x10004},
            {"last_blocks": 2},
            {"last_columns": 2 * DESIGN.lanes, "last_blocks": 2},
            {"last_scores": 0},
            {"last_dense": 0},
            {"first_scores": 1},
            {"first_scores": 1, "first_dense": 1},
            {"first_tap_words": 1},
            {"first_rows": 0x10004},
            {"first_kernel3": 0},
        )
    ),
]


async def fails(bench, program, pixels, classes, words, code, limit):
    """Run the program with changed words: it ends with the code and leaves scores unwritten."""
    await bench.setup(program, pixels, classes)
    base = bench.memory.regions["program"][0]
    bench.memory.place("program", base, change(program, **words))
    bench.expect(program, len(pixels))
    await bench.write(CONTROL, START)
    try:
        await bench.finish(code, limit=limit)
    except AssertionError as error:
        raise AssertionError(f"{words}: {error}") from error
    assert UNWRITTEN in bench.memory.content("scores")


@cocotb.test()
async def wrong_programs(dut):
    """Every wrong program ends with its code, and the run after it is right."""
    bench = await begin(dut)
    program, pixels = await bench.infer("resident_segments", 1)
    classes = len(NETWORKS["resident_segments"][0].classes)
    for number, (code, words) in enumerate(WRONG):
        await fails(bench, program, pixels, classes, words, code, 10_000)
        # what the header says is seen before a layer runs, but for the classes, which the last layer must have
        if any(hasattr(Header, name) for name in words.keys() - {"classes"}):
            assert len(bench.pending["first"]) and not bench.records, f"{words}: the run went on"
        bench.memory.outside.clear()
        if number % 5 == 0:
            await bench.infer(*[("resident_segments", 1), ("dense", 2), ("resident", 2)][number // 5 % 3])
    await bench.infer("streamed", 2)


def unfit(name):
    """Words of the header or of a descriptor that make the program `name` shorter than its parts, its weights than its
    layers, or a packed image than its words, and whether a layer may run before that shows."""
    program = pack(placed(name))
    head, last, size = Header.read(program), layers(program)[-1], len(program)
    ends = {
        "descriptors": Descriptor.size_bytes() * head.layers,
        "first": TABLE_BYTES + BEAT_BYTES * head.first_channels,
        "weights_a": DESIGN.word_bytes * head.words_a,
    }
    if head.words_b:
        ends["weights_b"] = DESIGN.word_bytes * head.words_b
    beyond = [{part: size - length + 8} for part, length in ends.items()]
    short = [
        {"size": value}
        for value in (0, 120, size - 8, *(getattr(head, part) + length - 8 for part, length in ends.items()))
    ]
    if not head.words_b:
        beyond += [{"words_b": 1}]
    if not head.first_channels:
        beyond += [{"out_words": head.out_words - 1}, {"out_words": head.out_words + 1}]
    other = [
        {"last_groups": last.groups + 1},
        {"last_group_words": last.group_words + 1},
        {"words_a": head.words_a - 1},
    ]
    if last.groups > 1:
        other += [{"last_groups": last.groups - 1}]
    words = "words_b" if head.words_b else "words_a"
    other += [{"last_scores": 0, words: getattr(head, words) - last.groups}]  # the last layer without scores
    if head.words_b:
        other += [{"words_a": head.words_a + 1}, {"words_b": head.words_b - 1}]
    return [(item, False) for item in beyond + short] + [(item, True) for item in other]


@cocotb.test()
async def unfit_programs(dut):
    """A truncated program, or other weights than its layers take: an error code, and the next run is right."""
    bench = await begin(dut)
    for name in ("resident", "streamed", "resident_segments", "streamed_segments", "dense"):
        program, pixels = await bench.infer(name, 2)
        classes = len(NETWORKS[name][0].classes)
        for number, (words, runs) in enumerate(unfit(name)):
            await fails(bench, program, pixels, classes, words, Error.RANGE, 20_000)
            assert runs or not bench.records, f"{name}, {words}: the run went on"
            assert not bench.memory.outside, f"{name}, {words}: read outside of the program"
            if number % 4 == 3:
                await bench.infer("dense" if number % 8 == 3 else name, 1)
        await bench.infer(name, 3)


@cocotb.test()
async def memory_errors(dut):
    """An error response anywhere ends the run with its code and a quiet bus; the run after it is right."""
    bench = await begin(dut)
    for name, count in (("streamed_segments", 2), ("resident", 5)):
        program, pixels = await bench.infer(name, count)
        head = Header.read(program)
        classes, word = len(NETWORKS[name][0].classes), DESIGN.word_bytes
        places = [
            ("program", 0),
            ("program", head.descriptors + 8),
            ("program", head.first),
            ("program", head.first + TABLE_BYTES + 8),
            ("program", head.weights_a),
            ("program", head.weights_a + word // 2),  # of the second port, where there are two
            ("program", head.weights_a + word * head.words_a - 8),
            ("images", 0),
            ("images", count * head.image_bytes - 8),
            ("scores", 0),
            ("scores", 4 * classes * count - 4),
        ]
        if head.words_b:
            places += [("program", head.weights_b + word * head.words_b - 8)]
        for number, (region, offset) in enumerate(places):
            await bench.setup(program, pixels, classes)
            at = bench.memory.regions[region][0] + offset
            bench.memory.bad = range(at // 8 * 8, at // 8 * 8 + 8)
            bench.memory.late = 60 if region == "scores" else 0  # the next scores are ready by then
            bench.expect(program, count)
            await bench.write(CONTROL, START)
            try:
                await bench.finish(Error.RESPONSE)
            except AssertionError as error:
                raise AssertionError(f"{name}, error at {region} + {offset}: {error}") from error
            bench.memory.bad, bench.memory.late = range(0), 0
            await bench.infer(name if number % 5 == 4 else "dense", 1)


def test_networks_are_what_they_are_named() -> None:
    for name, (_, (sub_batch, batch, segment_a), counts) in NETWORKS.items():
        item = placed(name)
        assert item.resident == ("streamed" not in name), name
        assert (1 < sub_batch < batch and segment_a < len(item.descriptors)) == ("segments" in name), name
        assert counts[0] > batch, name
    assert not placed("dense").first.channels
    assert placed("streamed").words_a > DESIGN.weight_depth


@pytest.mark.slow
def test_top(tmp_path) -> None:
    run(__file__, "bnn_top", PARAMETERS, tmp_path, TESTS, large=True)


@pytest.mark.slow
def test_top_with_two_memory_ports(tmp_path) -> None:
    run(__file__, "bnn_top", {**PARAMETERS, "Ports": 2}, tmp_path, TESTS_OF_PORTS, large=True)
