"""First-layer arithmetic against numpy (cocotb and Verilator)."""

import cocotb
import numpy as np
import pytest
from bench import begin, join, parameter, run, seed
from cocotb.triggers import FallingEdge

from bnn.contract import FirstBeat

LATENCY = 12
MOST_LATE = 3  # cycles by which the greatest sums follow the bits
WEIGHTS_LATE, LIMIT_LATE = 1, 10  # cycles by which the weights, and thresholds and flips, follow their window


@cocotb.test()
async def first_array(dut):
    await begin(dut, valid_i=0)
    rng = np.random.default_rng(seed())
    pe = parameter("FirstPe")
    steps, want = [], {}
    idle = (0, 0, 0, 0, 0, 0)
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
        ends = [FirstBeat.threshold.least, FirstBeat.threshold.largest]
        limit = np.where(rng.random(pe) < 0.1, rng.choice(ends, pe), limit)
        channels = [FirstBeat(weights=join(weights[p], 1)).words[0] for p in range(pe)]
        limits = [FirstBeat(threshold=int(limit[p]), flip=bool(flip[p])).words[0] for p in range(pe)]
        for i in range(count):
            while rng.random() < 0.2:
                steps.append(idle)
            first, last = int(i == 0), int(i == count - 1)
            steps.append((1, first, last, join(windows[i], 8), join(channels, 64), join(limits, 64)))
        bits = (sums >= limit).any(axis=0) ^ flip.astype(bool)
        want[len(steps) - 1] = join(bits, 1), join(bits.astype(int) << 14 | sums.max(axis=0) & 0x3FFF, 15)
    most = 0
    for t in range(len(steps) + LATENCY):
        valid, first, last, window, *_ = steps[t] if t < len(steps) else idle
        weights_of, limits_of = (
            steps[t - late] if 0 <= t - late < len(steps) else idle for late in (WEIGHTS_LATE, LIMIT_LATE)
        )
        dut.valid_i.value = valid
        dut.first_i.value = first
        dut.last_i.value = last
        dut.window_i.value = window
        dut.channel_i.value = weights_of[4] | limits_of[5]
        await FallingEdge(dut.clk_i)
        done = t - LATENCY + 1
        assert int(dut.valid_o.value) == (done in want), f"step {t}"
        if done in want:
            assert int(dut.bit_o.value) == want[done][0], f"step {t}"
        if parameter("Values"):
            if done - MOST_LATE in want:
                most = want[done - MOST_LATE][1]
            assert most in (0, int(dut.most_o.value)), f"step {t}"  # it holds


@pytest.mark.parametrize("first_pe, values", [(4, 0), (8, 0), (8, 1)])
def test_first_array(first_pe, values, tmp_path):
    run(__file__, "bnn_first_array", {"FirstPe": first_pe, "Values": values}, tmp_path)
