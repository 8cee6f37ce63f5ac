"""Steps of the layer sequencer against the loops of the contract (cocotb and Verilator)."""

import cocotb
import pytest
from bench import begin, parameter, run
from cocotb.triggers import FallingEdge

DEPTH = 1024
LATENCY = 4  # from a step to its outputs


def steps(layer, lanes):
    """Every step of a layer: dictionary of the sequencer's outputs."""
    pool, k, pad = layer["pool"], 3 if layer["kernel3"] else 1, layer["pad_one"]
    cw = layer["cw"]
    for _ in range(layer["groups"]):
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
                                "tail": int(c == cw - 1),
                                "index": index,
                                "first": int(index == 0),
                                "last": int(last),
                                "second": dy,
                                "group_last": int(end),
                                "shift": 1 << (kx - pad) % 4,
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
        "pool": pool,
        "dense": int(dense),
        "groups": rng.randrange(1, 4),
        "images": rng.randrange(1, 4),
        "rows": rows,
        "blocks": -(-columns // lanes),
        "cw": cw,
        "height": height,
        "width": width,
        "source_base": rng.randrange(DEPTH),
        "image_stride": rng.randrange(200),
        "row_stride": -(-width // lanes) * cw,
    }


@cocotb.test()
async def sequencer(dut):
    lanes = parameter("Lanes")
    rng = await begin(dut, start_i=0, ready_i=0, wait_i=0)
    for n in range(25):
        layer = random_layer(rng, lanes)
        for name, value in layer.items():
            getattr(dut, name + "_i").value = value >> layer["pool"] if name == "rows" else value
        hold_first, hold_final = rng.choice([(0, 0), (0, 1), (1, 0)])
        dut.hold_first_i.value, dut.hold_final_i.value = hold_first, hold_final
        index_first = rng.randrange(1, 3)
        dut.index_first_i.value = index_first
        for start in (0, 0, 1):
            dut.start_i.value = start
            await FallingEdge(dut.clk_i)
            assert int(dut.next_valid_o.value) == 0
        dut.start_i.value = 0
        for _ in range(2):
            await FallingEdge(dut.clk_i)
        taken = [None] * LATENCY  # steps of the last cycles
        todo = steps(layer, lanes)
        want = next(todo)
        often = rng.choice([1.0, 0.8])
        while want or any(taken):
            ready, wait = rng.random() < often, rng.random() > often
            dut.ready_i.value, dut.wait_i.value = int(ready), int(wait)
            assert int(dut.next_valid_o.value) == (want is not None)
            step = None
            if want:
                final = want["last"] and want["second"] == layer["pool"]
                hold = want["first"] and hold_first or final and hold_final
                now = {"hold": int(hold), "final": int(final), "group_last": want["group_last"]}
                for name, value in now.items():
                    assert int(getattr(dut, f"next_{name}_o").value) == value, f"layer {n}: next_{name} of {want}"
                if ready and not (wait and hold):
                    step, want = want, next(todo, None)
            taken = [*taken[1:], step]
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (want is None and step is not None)
            out = taken[0]
            assert int(dut.valid_o.value) == (out is not None)
            for name, value in (out or {}).items():
                signal = getattr(dut, name + "_o").value
                value += index_first if name == "index" else 0
                assert int(signal) == value, f"layer {n} {layer}: {name} {int(signal)} != {value} {out}"


@pytest.mark.parametrize("lanes", [2, 4])
def test_sequencer(lanes, tmp_path):
    run(__file__, "bnn_sequencer", {"Lanes": lanes, "ActDepth": DEPTH}, tmp_path)
