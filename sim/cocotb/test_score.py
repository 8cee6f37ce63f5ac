"""Scores against Python integers (cocotb and Verilator)."""

import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[1] / "hw_templates" / "rtl"


def join(values, width):
    return sum((v & ((1 << width) - 1)) << (width * i) for i, v in enumerate(values))


@cocotb.test()
async def score(dut):
    rng = random.Random(int(os.environ.get("BNN_SEED", "1")))
    pe, lanes = int(os.environ["BNN_PE"]), int(os.environ["BNN_LANES"])
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    dut.rst_i.value, dut.valid_i.value, dut.score_ready_i.value = 1, 0, 0
    for _ in range(3):
        await FallingEdge(dut.clk_i)
    dut.rst_i.value = 0
    for _ in range(40):
        acc = [rng.choice([0, 65535, rng.getrandbits(16)]) for _ in range(lanes * pe)]
        scale = [rng.choice([-32768, 32767, rng.randrange(-32768, 32768)]) for _ in range(pe)]
        offset = [rng.randrange(-(2**31), 2**31) for _ in range(pe)]
        dut.acc_i.value, dut.valid_i.value = join(acc, 16), 1
        dut.scale_i.value, dut.offset_i.value = join(scale, 16), join(offset, 32)
        assert int(dut.ready_o.value) == 1
        await FallingEdge(dut.clk_i)
        dut.valid_i.value = 0
        dut.acc_i.value = 0
        for i, value in enumerate(acc):
            ready = False
            while not ready:
                ready = bool(int(dut.score_valid_o.value)) and rng.random() < 0.6
                if ready:
                    assert int(dut.lane_o.value) == i // pe and int(dut.pe_o.value) == i % pe
                    want = (scale[i % pe] * value + offset[i % pe]) & 0xFFFFFFFF
                    assert int(dut.score_o.value) == want
                dut.score_ready_i.value = int(ready)
                await FallingEdge(dut.clk_i)


@pytest.mark.parametrize("pe,lanes", [(4, 2), (8, 4)])
def test_score(pe, lanes, tmp_path):
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.build(
        sources=[RTL / "bnn_score.sv"],
        hdl_toplevel="bnn_score",
        parameters={"Pe": pe, "Lanes": lanes},
        build_dir=tmp_path,
        # One C++ file: builds of Verilator differ in how they include a precompiled header.
        build_args=["-Wall", "--output-split", "0"],
        always=True,
    )
    results = runner.test(
        hdl_toplevel="bnn_score",
        test_module=Path(__file__).stem,
        test_dir=HERE,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"BNN_PE": str(pe), "BNN_LANES": str(lanes)},
    )
    tests, failed = get_results(results)
    assert tests > 0 and failed == 0
