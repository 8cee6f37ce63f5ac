"""Popcount, array and threshold blocks against numpy (cocotb and Verilator)."""

import os
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[1] / "hw_templates" / "rtl"


def to_int(bits):
    """Bit array, element 0 least significant, to an integer."""
    packed = np.packbits(np.asarray(bits, dtype=np.uint8).ravel(), bitorder="little")
    return int.from_bytes(packed.tobytes(), "little")


def fields(value, width, count):
    """The `count` fields of `width` bits of a handle's value."""
    number = int(value)
    return np.array([(number >> (width * i)) & ((1 << width) - 1) for i in range(count)])


def start(dut):
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    return np.random.default_rng(int(os.environ.get("BNN_SEED", "1")))


def parameter(name):
    return int(os.environ["BNN_" + name.upper()])


def tree_levels(simd):
    return int(np.ceil(np.log2(np.ceil(simd / 36))))


@cocotb.test(skip=os.environ.get("BNN_TOP") != "bnn_popcount")
async def popcount(dut):
    rng = start(dut)
    simd = parameter("Simd")
    a = rng.integers(0, 2, (300, simd), dtype=np.uint8)
    b = rng.integers(0, 2, (300, simd), dtype=np.uint8)
    a[0], b[0] = 1, 1
    a[1], b[1] = 1, 0
    want = (a == b).sum(axis=1)
    latency = 2 + tree_levels(simd)
    await RisingEdge(dut.clk_i)
    for t in range(len(a) + latency - 1):
        i = min(t, len(a) - 1)
        dut.a_i.value = to_int(a[i])
        dut.b_i.value = to_int(b[i])
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        done = t - latency + 1
        if done >= 0:
            assert int(dut.count_o.value) == want[done], f"word {done}"
        # Leave the read-only phase before the next write.
        await FallingEdge(dut.clk_i)


@cocotb.test(skip=os.environ.get("BNN_TOP") != "bnn_array")
async def array(dut):
    rng = start(dut)
    pe, simd, lanes = parameter("Pe"), parameter("Simd"), parameter("Lanes")
    latency = 3 + tree_levels(simd)
    steps = []  # (valid, first, last, weights, activations)
    want = {}  # step of the last word: sums [lanes][pe]
    for _ in range(60):
        words = int(rng.integers(1, 9))
        acc = np.zeros((lanes, pe), dtype=int)
        for n in range(words):
            while rng.random() < 0.2:
                steps.append((0, int(rng.integers(2)), int(rng.integers(2)), 0, 0))
            w = rng.integers(0, 2, (pe, simd), dtype=np.uint8)
            x = rng.integers(0, 2, (lanes, simd), dtype=np.uint8)
            acc += (x[:, None, :] == w[None, :, :]).sum(axis=2)
            steps.append((1, int(n == 0), int(n == words - 1), to_int(w), to_int(x)))
        want[len(steps) - 1] = acc.ravel()
    dut.rst_i.value = 1
    dut.valid_i.value = 0
    for _ in range(8):
        await RisingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_i.value = 0
    for t in range(len(steps) + latency + 4):
        valid, first, last, w, x = steps[t] if t < len(steps) else (0, 0, 0, 0, 0)
        dut.valid_i.value = valid
        dut.first_i.value = first
        dut.last_i.value = last
        dut.weight_i.value = w
        dut.act_i.value = x
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        done = t - latency + 1
        assert int(dut.acc_valid_o.value) == (done in want), f"step {t}"
        if done in want:
            got = fields(dut.acc_o.value, 16, lanes * pe)
            assert np.array_equal(got, want[done]), f"step {t}"
        await FallingEdge(dut.clk_i)
    assert int(dut.busy_o.value) == 0


@cocotb.test(skip=os.environ.get("BNN_TOP") != "bnn_threshold")
async def threshold(dut):
    rng = start(dut)
    pe, lanes = parameter("Pe"), parameter("Lanes")
    steps = []  # (valid, pool, second, acc, threshold, flip)
    want = {}
    idle = (0, 0, 0, np.zeros((lanes, pe), int), np.zeros(pe, int), np.zeros(pe, int))
    for _ in range(200):
        pool = int(rng.integers(2))
        limit = rng.choice([0, 1, 100, 65534, 65535], pe)
        flip = rng.integers(0, 2, pe)
        rows = []
        for second in range(1 + pool):
            while rng.random() < 0.3:
                steps.append(idle)
            near = limit[None, :] + rng.integers(-2, 2, (lanes, pe))
            acc = np.clip(np.where(rng.random((lanes, pe)) < 0.7, near, 0), 0, 65535)
            rows.append(acc >= limit[None, :])
            steps.append((1, pool, second if pool else int(rng.integers(2)), acc, limit, flip))
        bits = np.zeros((lanes, pe), int)
        if pool:
            either = rows[0] | rows[1]
            bits[: lanes // 2] = (either[0::2] | either[1::2]) ^ flip[None, :].astype(bool)
        else:
            bits[:] = rows[0] ^ flip[None, :].astype(bool)
        want[len(steps) - 1] = bits.ravel()
    dut.rst_i.value = 1
    dut.valid_i.value = 0
    for _ in range(4):
        await RisingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_i.value = 0
    for t in range(len(steps) + 4):
        valid, pool, second, acc, limit, flip = steps[t] if t < len(steps) else idle
        dut.valid_i.value = valid
        dut.pool_i.value = pool
        dut.second_i.value = second
        dut.acc_i.value = sum(int(v) << (16 * i) for i, v in enumerate(acc.ravel()))
        dut.threshold_i.value = sum(int(v) << (16 * i) for i, v in enumerate(limit))
        dut.flip_i.value = to_int(flip)
        await RisingEdge(dut.clk_i)
        await ReadOnly()
        done = t - 1
        assert int(dut.valid_o.value) == (done in want), f"step {t}"
        if done in want:
            got = fields(dut.bit_o.value, 1, lanes * pe)
            assert np.array_equal(got, want[done]), f"step {t}"
        await FallingEdge(dut.clk_i)


CASES = (
    [("bnn_popcount", {"Simd": s}) for s in (32, 64, 128, 256)]
    + [("bnn_array", {"Pe": p, "Simd": s, "Lanes": n}) for p, s, n in ((4, 32, 2), (4, 64, 2))]
    + [("bnn_threshold", {"Pe": p, "Lanes": n}) for p, n in ((4, 2), (8, 4), (4, 8))]
)


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
