"""Scores and their addresses against Python integers (cocotb and Verilator)."""

import cocotb
import pytest
from bench import begin, join, parameter, run
from cocotb.triggers import FallingEdge, ReadOnly

ACC_BITS = 17


@cocotb.test()
async def score(dut):
    pe, simd, lanes, wait = (parameter(n) for n in ("Pe", "Simd", "Lanes", "ShiftWait"))
    rng = await begin(dut, start_i=0, header0_i=0, header1_i=0, valid_i=0, score_ready_i=0)
    shifts = []  # cycles until the sums have moved, and the PE that they are of then

    def show(acc, p):
        """PE p's sums, one per lane; the bit above is no part of them."""
        values = [acc[lane * pe + p] for lane in range(lanes)] if p is not None else [rng.getrandbits(16)] * lanes
        dut.sum_i.value = join([value | rng.getrandbits(1) << 16 for value in values], ACC_BITS)

    base = 0
    for layer in range(12):
        images = rng.choice([1, lanes, rng.randrange(1, 3 * lanes + 1)])
        classes = rng.choice([1, pe, rng.randrange(1, 3 * pe + 1)])
        # runs go on behind the scores of the last one
        base = int(dut.next_o.value) if layer % 2 else rng.getrandbits(40) << 3
        dut.images_i.value, dut.classes_i.value, dut.base_i.value = images, classes, base
        dut.start_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.start_i.value = 0
        for group in range(0, classes, pe):
            scale = [rng.choice([-32768, 32767, rng.randrange(-32768, 32768)]) for _ in range(pe)]
            offset = [rng.randrange(-(2**31), 2**31) for _ in range(pe)]
            for name, width, values in (("header0", 32, offset), ("header1", 16, scale)):
                words = [rng.getrandbits(simd) >> width << width | value & ((1 << width) - 1) for value in values]
                dut.weight_i.value, getattr(dut, name + "_i").value = join(words, simd), 1
                await FallingEdge(dut.clk_i)
                getattr(dut, name + "_i").value, dut.weight_i.value = 0, 0
            for block in range(0, images, lanes):
                for _ in range(rng.randrange(3)):
                    await FallingEdge(dut.clk_i)
                    assert int(dut.score_valid_o.value) == 0
                acc = [rng.choice([0, 65535, rng.getrandbits(16)]) for _ in range(lanes * pe)]
                show(acc, 0)
                dut.valid_i.value = 1
                await FallingEdge(dut.clk_i)
                dut.valid_i.value = 0
                present = min(pe, classes - group)
                for p in range(present):
                    for image in range(block, min(block + lanes, images)):
                        want = (scale[p] * acc[(image - block) * pe + p] + offset[p]) & 0xFFFFFFFF
                        ready = False
                        for _ in range(100):
                            assert int(dut.block_done_o.value) == 0
                            valid = bool(int(dut.score_valid_o.value))
                            ready = valid and rng.random() < 0.6
                            if valid:  # also while it waits
                                address = base + 4 * (image * classes + group + p)
                                assert int(dut.score_addr_o.value) == address
                                assert int(dut.score_o.value) == want
                            dut.score_ready_i.value = int(ready)
                            await ReadOnly()
                            if int(dut.shift_o.value):
                                shifts.append([wait, p + 1])
                            await FallingEdge(dut.clk_i)
                            if shifts:
                                shifts[0][0] -= 1
                                show(acc, None if shifts[0][0] else shifts[0][1])
                                if not shifts[0][0]:
                                    shifts.pop()
                            if ready:
                                break
                        assert ready, "no score"
                    # the sums of the next PE are asked for once, after the last lane
                    assert len(shifts) == (p < present - 1)
                dut.score_ready_i.value = 1  # nothing more to take
                assert int(dut.block_done_o.value) == 1
                await FallingEdge(dut.clk_i)
                assert int(dut.block_done_o.value) == 0 and not shifts
                dut.score_ready_i.value = 0
        assert int(dut.next_o.value) == base + 4 * images * classes


@pytest.mark.parametrize("pe,lanes", [(4, 2), (8, 4)])
def test_score(pe, lanes, tmp_path):
    run(__file__, "bnn_score", {"Pe": pe, "Simd": 64, "Lanes": lanes, "ShiftWait": 6}, tmp_path)
