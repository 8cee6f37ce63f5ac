"""Memories, alignment, AXI masters and registers against Python models (cocotb, Verilator)."""

import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[1] / "hw_templates" / "rtl"
TOP = os.environ.get("BNN_TOP", "")


def parameter(name):
    return int(os.environ["BNN_" + name.upper()])


async def begin(dut, **values):
    """Clock, inputs at `values`, four cycles of reset; returns at a falling edge."""
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    for name, value in values.items():
        getattr(dut, name).value = value
    if hasattr(dut, "rst_i"):
        dut.rst_i.value = 1
    for _ in range(4):
        await FallingEdge(dut.clk_i)
    if hasattr(dut, "rst_i"):
        dut.rst_i.value = 0
    return random.Random(int(os.environ.get("BNN_SEED", "1")))


def join(values, width):
    return sum(v << (width * i) for i, v in enumerate(values))


@cocotb.test(skip=TOP != "bnn_act_mem")
async def act_mem(dut):
    simd, lanes, depth, group = (parameter(n) for n in ("Simd", "Lanes", "Depth", "GroupBits"))
    address_bits = (depth - 1).bit_length()
    rng = await begin(dut, read_i=0, write_lane_i=0, write_group_i=0)
    model = [[None] * depth for _ in range(lanes)]
    pending = []
    for step in range(3000):
        filling = step < depth
        at = [step if filling else rng.randrange(depth) for _ in range(lanes)]
        enable = (1 << lanes) - 1 if filling else rng.getrandbits(lanes)
        groups = (1 << (simd // group)) - 1 if filling else rng.getrandbits(simd // group)
        data = [rng.getrandbits(simd) for _ in range(lanes)]
        read = [rng.randrange(depth) for _ in range(lanes)]
        clash = [bool(enable >> n & 1) and read[n] == at[n] for n in range(lanes)]
        dut.read_i.value = int(not filling)
        dut.read_addr_i.value = join(read, address_bits)
        dut.write_lane_i.value = enable
        dut.write_group_i.value = groups
        dut.write_addr_i.value = join(at, address_bits)
        dut.write_data_i.value = join(data, simd)
        pending.append(None if filling else [None if clash[n] else model[n][read[n]] for n in range(lanes)])
        mask = sum(((1 << group) - 1) << (g * group) for g in range(simd // group) if groups >> g & 1)
        for n in range(lanes):
            if enable >> n & 1:
                old = model[n][at[n]] or 0
                model[n][at[n]] = (old & ~mask) | (data[n] & mask)
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        if len(pending) >= 2 and pending[-2] is not None:
            got = int(dut.data_o.value)
            for n, want in enumerate(pending[-2]):
                if want is not None:
                    assert (got >> (n * simd)) & ((1 << simd) - 1) == want, f"step {step}"
        await FallingEdge(dut.clk_i)


@cocotb.test(skip=TOP != "bnn_align")
async def align(dut):
    simd, lanes = parameter("Simd"), parameter("Lanes")
    rng = await begin(dut)
    for _ in range(300):
        shift, pad = rng.randrange(-1, 3), rng.getrandbits(lanes)
        word, data = rng.getrandbits(simd), [rng.getrandbits(simd) for _ in range(lanes)]
        dut.shift_i.value = shift
        dut.pad_i.value = pad
        dut.pad_word_i.value = word
        dut.data_i.value = join(data, simd)
        await FallingEdge(dut.clk_i)
        want = [word if pad >> n & 1 else data[(n + shift) % lanes] for n in range(lanes)]
        assert int(dut.data_o.value) == join(want, simd)


async def ring_run(dut, rng, bits, depth, words, hold, rounds):
    """Feeds `words`, reads and pops random groups; `rounds` passes over a held program."""
    beats = [w >> (64 * i) & (2**64 - 1) for w in words for i in range(bits // 64)]
    dut.clear_i.value = 1
    dut.hold_i.value = int(hold)
    dut.words_i.value = len(words) if hold else depth
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    sent, base, total = 0, 0, len(words) * rounds
    expected = [None, None]
    for step in range(200000):
        if base == total and expected[-2:] == [None, None]:
            break
        available = int(dut.available_o.value)
        if hold:
            loaded = sent * 64 // bits
            assert available == loaded - base % len(words)
        else:
            assert available == sent * 64 // bits - base
        offer = sent < len(beats) and rng.random() < 0.8
        dut.beat_valid_i.value = int(offer)
        dut.beat_i.value = beats[sent] if sent < len(beats) else 0
        read = available > 0 and base < total and rng.random() < 0.7
        index = rng.randrange(available) if read else 0
        dut.read_i.value = int(read)
        dut.index_i.value = index
        expected.append(words[(base % len(words)) + index] if read else None)
        pop = available > 0 and base < total and rng.random() < 0.1
        count = rng.randrange(1, available + 1) if pop else 0
        dut.pop_i.value = int(pop)
        dut.pop_count_i.value = count
        base += count
        ready = int(dut.beat_ready_o.value)
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        sent += int(offer and ready)
        if expected[-2] is not None:
            assert int(dut.data_o.value) == expected[-2], f"step {step}"
        await FallingEdge(dut.clk_i)
    assert base == total


@cocotb.test(skip=TOP != "bnn_weight_ring")
async def weight_ring(dut):
    bits, depth = parameter("WordBits"), parameter("Depth")
    rng = await begin(dut, clear_i=0, hold_i=0, words_i=depth, beat_valid_i=0, pop_i=0, rewind_i=0, read_i=0)
    words = [rng.getrandbits(bits) for _ in range(5 * depth + 3)]
    await ring_run(dut, rng, bits, depth, words, False, 1)
    await ring_run(dut, rng, bits, depth, words[: depth - 3], True, 4)
    await ring_run(dut, rng, bits, depth, words[:depth], True, 3)
    await ring_run(dut, rng, bits, depth, words, False, 1)


@cocotb.test(skip=TOP != "bnn_axi_read")
async def axi_read(dut):
    rng = await begin(
        dut,
        command_valid_i=0,
        ready_i=0,
        clear_error_i=0,
        arready_i=0,
        rvalid_i=0,
        rresp_i=0,
        rlast_i=0,
        rdata_i=0,
    )
    for _ in range(12):
        addr, beats = rng.randrange(1 << 40) & ~7, rng.choice([1, 2, 63, 64, 65, 700])
        bad = rng.random() < 0.3
        dut.addr_i.value, dut.beats_i.value, dut.command_valid_i.value = addr, beats, 1
        queue, got, answered = [], [], 0
        taken = False
        while len(got) < beats:
            dut.command_valid_i.value = int(not taken)
            dut.ready_i.value = int(rng.random() < 0.8)
            dut.arready_i.value = int(rng.random() < 0.5)
            present = bool(queue) and rng.random() < 0.8
            dut.rvalid_i.value = int(present)
            if present:
                dut.rdata_i.value, dut.rlast_i.value = queue[0]
                dut.rresp_i.value = 2 if bad and answered == beats // 2 else 0
            await ReadOnly()
            taken = taken or bool(int(dut.command_ready_o.value))
            if int(dut.arvalid_o.value) and int(dut.arready_i.value):
                start, length = int(dut.araddr_o.value), int(dut.arlen_o.value) + 1
                assert start // 4096 == (start + 8 * length - 1) // 4096
                queue += [(start + 8 * i, int(i == length - 1)) for i in range(length)]
            if present and int(dut.rready_o.value):
                got.append(int(dut.data_o.value))
                queue.pop(0)
                answered += 1
            await FallingEdge(dut.clk_i)
        dut.rvalid_i.value = 0
        assert got == [addr + 8 * i for i in range(beats)]
        await FallingEdge(dut.clk_i)
        assert int(dut.busy_o.value) == 0
        assert int(dut.error_o.value) == bad
        dut.clear_error_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.clear_error_i.value = 0
        assert int(dut.error_o.value) == 0


@cocotb.test(skip=TOP != "bnn_axi_write")
async def axi_write(dut):
    rng = await begin(dut, command_valid_i=0, clear_error_i=0, awready_i=0, wready_i=0, bvalid_i=0, bresp_i=0)
    want = [(rng.randrange(1 << 40) & ~3, rng.getrandbits(32)) for _ in range(200)]
    sent, addresses, data, answered = 0, [], [], 0
    while answered < len(want):
        dut.command_valid_i.value = int(sent < len(want) and rng.random() < 0.8)
        if sent < len(want):
            dut.addr_i.value, dut.data_i.value = want[sent]
        dut.awready_i.value = int(rng.random() < 0.5)
        dut.wready_i.value = int(rng.random() < 0.5)
        respond = min(len(addresses), len(data)) > answered and rng.random() < 0.3
        dut.bvalid_i.value = int(respond)
        answered += int(respond)
        await ReadOnly()
        if int(dut.command_valid_i.value) and int(dut.command_ready_o.value):
            sent += 1
        if int(dut.awvalid_o.value) and int(dut.awready_i.value):
            addresses.append(int(dut.awaddr_o.value))
        if int(dut.wvalid_o.value) and int(dut.wready_i.value):
            data.append((int(dut.wdata_o.value), int(dut.wstrb_o.value)))
        await FallingEdge(dut.clk_i)
    dut.bvalid_i.value = 0
    assert addresses == [a & ~7 for a, _ in want]
    for (addr, value), (beat, strobe) in zip(want, data, strict=True):
        assert strobe == (0xF0 if addr & 4 else 0x0F)
        assert beat >> (32 if addr & 4 else 0) & 0xFFFFFFFF == value
    assert int(dut.busy_o.value) == 0 and int(dut.error_o.value) == 0


@cocotb.test(skip=TOP != "bnn_control")
async def control(dut):
    await begin(
        dut,
        awvalid_i=0,
        wvalid_i=0,
        bready_i=1,
        arvalid_i=0,
        rready_i=1,
        done_i=0,
        cycles_i=123,
        busy_cycles_i=45,
        error_code_i=4,
    )

    async def write(offset, value):
        dut.awvalid_i.value = dut.wvalid_i.value = 1
        dut.awaddr_i.value, dut.wdata_i.value, dut.wstrb_i.value = offset, value, 15
        await FallingEdge(dut.clk_i)
        assert int(dut.bvalid_o.value) == 1
        dut.awvalid_i.value = dut.wvalid_i.value = 0

    async def read(offset):
        dut.arvalid_i.value, dut.araddr_i.value = 1, offset
        await FallingEdge(dut.clk_i)
        dut.arvalid_i.value = 0
        assert int(dut.rvalid_o.value) == 1
        return int(dut.rdata_o.value)

    async def done():
        dut.done_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.done_i.value = 0

    assert await read(0x00) == 4
    for n, offset in enumerate((0x10, 0x14, 0x1C, 0x20, 0x28, 0x2C, 0x34)):
        await write(offset, 0x01234567 + n)
        assert await read(offset) == 0x01234567 + n
    assert int(dut.images_o.value) == 0x0123456A01234569
    assert await read(0x40) == 0x314E4E42 and await read(0x50) == 1
    assert await read(0x60) == 4 | 4 << 8 | 64 << 16
    assert await read(0x70) == 1024 | 4 << 16 and await read(0x80) == 1024 | 1024 << 16
    assert [await read(o) for o in (0x90, 0xA0, 0xB0, 0xC0)] == [16, 123, 45, 4]
    await write(0x04, 1)
    await write(0x08, 1)
    await write(0x00, 1)
    assert int(dut.start_o.value) == 1
    await FallingEdge(dut.clk_i)
    assert int(dut.start_o.value) == 0 and await read(0x00) == 0
    await done()
    assert int(dut.interrupt_o.value) == 1
    assert await read(0x00) == 0b1110 and await read(0x00) == 0b0100
    assert await read(0x0C) == 1
    await write(0x0C, 1)
    assert int(dut.interrupt_o.value) == 0 and await read(0x0C) == 0


MEMORY = {"Simd": 32, "Lanes": 4, "Depth": 16, "GroupBits": 8}
CASES = [
    ("bnn_act_mem", MEMORY),
    ("bnn_align", {"Simd": 32, "Lanes": 2}),
    ("bnn_align", {"Simd": 32, "Lanes": 8}),
    ("bnn_weight_ring", {"WordBits": 128, "Depth": 16}),
    ("bnn_weight_ring", {"WordBits": 256, "Depth": 32}),
    ("bnn_axi_read", {}),
    ("bnn_axi_write", {}),
    ("bnn_control", {}),
]


@pytest.mark.parametrize("top,parameters", CASES)
def test_block(top, parameters, tmp_path):
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.build(
        sources=sorted(RTL.glob("*.sv")),
        hdl_toplevel=top,
        parameters=parameters,
        build_dir=tmp_path,
        # One C++ file: builds of Verilator differ in how they include a precompiled header.
        build_args=["-Wall", "-Wno-MULTITOP", "--output-split", "0"],
        always=True,
    )
    results = runner.test(
        hdl_toplevel=top,
        test_module=Path(__file__).stem,
        test_dir=HERE,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"BNN_TOP": top, **{f"BNN_{k.upper()}": str(v) for k, v in parameters.items()}},
    )
    tests, failed = get_results(results)
    assert tests > 0 and failed == 0
