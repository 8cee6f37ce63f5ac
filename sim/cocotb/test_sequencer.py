"""Steps of the layer sequencer against the loops of the contract (cocotb and Verilator)."""

import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

HERE = Path(__file__).resolve().parent
RTL = HERE.parents[1] / "hw_templates" / "rtl"
SIMD, DEPTH = 32, 1024


def steps(layer, lanes):
    """Every step of a layer: dictionary of the sequencer's outputs."""
    pool, k, pad = layer["pool"], 3 if layer["kernel3"] else 1, layer["pad_one"]
    cw = layer["cw"]
    for g in range(layer["groups"]):
        for i in range(layer["images"]):
            for y in range(0, layer["rows"], 1 + pool):
                for b in range(layer["blocks"]):
                    for dy in range(1 + pool):
                        for index in range(k * k * cw):
                            tap, c = divmod(index, cw)
                            ky, kx = divmod(tap, k)
                            row = y + dy + ky - pad
                            outside, address = 0, {}
                            for lane in range(lanes):
                                x = b * lanes + lane + kx - pad
                                inside = 0 <= x < layer["width"] and 0 <= row < layer["height"]
                                outside |= int(not inside and not layer["dense"]) << lane
                                address[x % lanes] = (
                                    layer["source_base"]
                                    + i * layer["image_stride"]
                                    + row * layer["row_stride"]
                                    + (x // lanes) * cw
                                    + c
                                ) % DEPTH
                            ones = layer["valid_bits"] if c == cw - 1 else SIMD
                            begin = not (i or y or b or dy or index)
                            last = index == k * k * cw - 1
                            end = (
                                last
                                and dy == pool
                                and b == layer["blocks"] - 1
                                and y + 1 + pool == layer["rows"]
                                and i == layer["images"] - 1
                            )
                            yield {
                                "read_addr": sum(a << (m * (DEPTH - 1).bit_length()) for m, a in address.items()),
                                "pad": outside,
                                "pad_word": (1 << ones) - 1 if layer["pad_plus"] else 0,
                                "weight_index": index,
                                "first": int(index == 0),
                                "last": int(last),
                                "second": dy,
                                "group_first": int(begin),
                                "group_last": int(end),
                                "group": g,
                                "image": i,
                                "row": y,
                                "block": b,
                                "shift": (kx - pad) % 8,
                            }


def random_layer(rng, lanes):
    dense = rng.random() < 0.2
    kernel3, pool = int(not dense and rng.random() < 0.7), int(not dense and rng.random() < 0.5)
    pad = int(kernel3 and rng.random() < 0.6)
    height, width = (1, lanes) if dense else (rng.randrange(4, 8), rng.randrange(4, 12))
    loss = 2 * kernel3 - 2 * pad
    rows, columns = height - loss, width - loss
    if pool:
        rows, columns = rows // 2 * 2, columns // 2 * 2
    cw = rng.randrange(1, 4)
    return {
        "kernel3": kernel3,
        "pad_one": pad,
        "pad_plus": rng.randrange(2),
        "pool": pool,
        "dense": int(dense),
        "groups": rng.randrange(1, 4),
        "images": rng.randrange(1, 4),
        "rows": rows,
        "blocks": -(-columns // lanes),
        "cw": cw,
        "height": height,
        "width": width,
        "valid_bits": rng.randrange(1, SIMD + 1),
        "source_base": rng.randrange(DEPTH),
        "image_stride": rng.randrange(200),
        "row_stride": -(-width // lanes) * cw,
    }


@cocotb.test()
async def sequencer(dut):
    rng = random.Random(int(os.environ.get("BNN_SEED", "1")))
    lanes = int(os.environ["BNN_LANES"])
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    dut.rst_i.value, dut.start_i.value, dut.step_ready_i.value = 1, 0, 0
    for _ in range(3):
        await FallingEdge(dut.clk_i)
    dut.rst_i.value = 0
    for n in range(25):
        layer = random_layer(rng, lanes)
        for name, value in layer.items():
            getattr(dut, name + "_i").value = value
        dut.start_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.start_i.value = 0
        for want in steps(layer, lanes):
            while True:
                assert int(dut.step_valid_o.value) == 1
                ready = rng.random() < 0.9
                dut.step_ready_i.value = int(ready)
                if ready:
                    for name, value in want.items():
                        signal = getattr(dut, name + "_o").value
                        got = signal.to_unsigned() if name == "shift" else int(signal)
                        assert got == value, f"layer {n} {layer}: {name} {got} != {value} {want}"
                await FallingEdge(dut.clk_i)
                if ready:
                    break
        assert int(dut.done_o.value) == 1 and int(dut.busy_o.value) == 0
        dut.step_ready_i.value = 0
        await FallingEdge(dut.clk_i)
        assert int(dut.done_o.value) == 0


@pytest.mark.parametrize("lanes", [2, 4])
def test_sequencer(lanes, tmp_path):
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.build(
        sources=[RTL / "bnn_sequencer.sv"],
        hdl_toplevel="bnn_sequencer",
        parameters={"Simd": SIMD, "Lanes": lanes, "ActDepth": DEPTH},
        build_dir=tmp_path,
        # One C++ file: builds of Verilator differ in how they include a precompiled header.
        build_args=["-Wall", "--output-split", "0"],
        always=True,
    )
    results = runner.test(
        hdl_toplevel="bnn_sequencer",
        test_module=Path(__file__).stem,
        test_dir=HERE,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"BNN_LANES": str(lanes)},
    )
    tests, failed = get_results(results)
    assert tests > 0 and failed == 0
