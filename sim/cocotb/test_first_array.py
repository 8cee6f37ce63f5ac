"""First-layer arithmetic against numpy (cocotb and Verilator)."""

import os
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[1] / "hw_templates" / "rtl"
LATENCY = 5


def join(values, width):
    return sum((int(v) & ((1 << width) - 1)) << (width * i) for i, v in enumerate(values))


@cocotb.test()
async def first_array(dut):
    rng = np.random.default_rng(int(os.environ.get("BNN_SEED", "1")))
    pe = int(os.environ["BNN_FIRSTPE"])
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    steps, want = [], {}
    idle = (0, 0, 0, 0, 0)
    for n in range(300):
        count = 4 if rng.integers(2) else 1
        weights = rng.integers(0, 2, (pe, 36))
        flip = rng.integers(0, 2, pe)
        windows = rng.integers(-128, 128, (count, 36))
        if n == 0:
            windows[:] = -128  # the widest sums
            weights[0], weights[1] = 0, 1
        sums = windows @ (2 * weights.T - 1)
        limit = sums.max(axis=0) + rng.integers(-1, 2, pe)
        limit = np.where(rng.random(pe) < 0.1, rng.choice([-32768, 32767], pe), limit)
        channels = [join(weights[p], 1) | (int(limit[p]) & 0xFFFF) << 40 | int(flip[p]) << 56 for p in range(pe)]
        for i in range(count):
            while rng.random() < 0.2:
                steps.append(idle)
            first, last = int(i == 0), int(i == count - 1)
            steps.append((1, first, last, join(windows[i], 8), join(channels, 64)))
        want[len(steps) - 1] = join((sums >= limit).any(axis=0) ^ flip.astype(bool), 1)
    dut.rst_i.value = 1
    dut.valid_i.value = 0
    for _ in range(8):
        await FallingEdge(dut.clk_i)
    dut.rst_i.value = 0
    for t in range(len(steps) + LATENCY):
        valid, first, last, window, channel = steps[t] if t < len(steps) else idle
        dut.valid_i.value = valid
        dut.first_i.value = first
        dut.last_i.value = last
        dut.window_i.value = window
        dut.channel_i.value = channel
        await FallingEdge(dut.clk_i)
        done = t - LATENCY + 1
        assert int(dut.valid_o.value) == (done in want), f"step {t}"
        if done in want:
            assert int(dut.bit_o.value) == want[done], f"step {t}"


@pytest.mark.parametrize("first_pe", [4, 8])
def test_first_array(first_pe, tmp_path):
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.build(
        sources=[RTL / "bnn_first_array.sv"],
        hdl_toplevel="bnn_first_array",
        parameters={"FirstPe": first_pe},
        build_dir=tmp_path,
        # One C++ file: builds of Verilator differ in how they include a precompiled header.
        build_args=["-Wall", "--output-split", "0"],
        always=True,
    )
    results = runner.test(
        hdl_toplevel="bnn_first_array",
        test_module=Path(__file__).stem,
        test_dir=HERE,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"BNN_FIRSTPE": str(first_pe)},
    )
    tests, failed = get_results(results)
    assert tests > 0 and failed == 0
