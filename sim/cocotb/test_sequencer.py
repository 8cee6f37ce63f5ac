"""Steps of the layer sequencer against the loops of the contract (cocotb and Verilator)."""

import cocotb
import pytest
from bench import begin, parameter, run
from cocotb.triggers import FallingEdge

DEPTH = 1024
LATENCY = 4  # from a step to its outputs
EARLY = ("index", "group_last")  # those that come a cycle before the others


def passes(layer):
    """Base, plane, whether a sum begins and whether it is handed over, of every pass of an output."""
    outer, inner = layer["outer"], layer["inner"]
    for o in range(outer):
        for i in range(inner):
            base, plane = (i, o) if layer["planes_outer"] else (o, i)
            first = (o == 0 and i == 0) or layer["hand"] == 2 or (layer["hand"] == 1 and i == 0)
            last = (o == outer - 1 and i == inner - 1) or layer["hand"] == 2 or (layer["hand"] == 1 and i == inner - 1)
            yield base, plane, first, last, o == outer - 1 and i == inner - 1


def positions(layer, lanes):
    """Block's first column, dx, image, row and dy of every output, and of what it is last: row, image, group."""
    images, pool = layer["dense"] or layer["by_image"], layer["pool"]
    across = pool if layer["by_image"] else 0
    for i in range(layer["images"]):
        for y in range(layer["rows"] // (1 + pool)):
            for b in range(layer["blocks"]):
                for dy in range(1 + pool):
                    for dx in range(1 + across):
                        column = b * (1 + (pool or layer["stride2"])) if images else b * lanes
                        row_end = b == layer["blocks"] - 1
                        image_end = row_end and y == layer["rows"] // (1 + pool) - 1
                        ends = row_end, image_end, image_end and i == layer["images"] - 1
                        yield i, y * (1 + (pool or layer["stride2"])), column, dy, dx, dy == pool and dx == across, ends


def steps(layer, lanes):
    """Every step of a layer: dictionary of the sequencer's outputs, and its next_final, _row_last and _image_last."""
    images, pad, cw = layer["dense"] or layer["by_image"], layer["pad"], layer["cw"]
    taps = layer["tap_rows"] * layer["tap_columns"]
    for _ in range(layer["groups"]):
        for i, y, column, dy, dx, final, (row_end, image_end, end) in positions(layer, lanes):
            for base, plane, first, last, all_passes in passes(layer):
                for index in range(taps * cw):
                    tap, c = divmod(index, cw)
                    ky, kx = divmod(tap, layer["tap_columns"])
                    row = y + dy + ky - pad
                    outside, address = 0, {}
                    for lane in range(lanes):
                        x = column + dx + kx - pad + (0 if images else lane)
                        inside = 0 <= x < layer["width"] and 0 <= row < layer["height"]
                        outside |= int(not inside and not layer["dense"]) << lane
                        memory, place = (lane, x) if images else (x % lanes, x // lanes)
                        address[memory] = (
                            layer["source_base"]
                            + i * layer["image_stride"]
                            + row * layer["row_stride"]
                            + place * layer["record"]
                            + plane * cw
                            + c
                        ) % DEPTH
                    over = last and index == taps * cw - 1
                    done = final and all_passes and index == taps * cw - 1
                    shift = 0 if images else kx - pad
                    yield (
                        {
                            "read_addr": sum(a << (m * (DEPTH - 1).bit_length()) for m, a in address.items()),
                            "pad": outside,
                            "zero_plane": int(plane == 0),
                            "tail": int(c == cw - 1),
                            "index": base * taps * cw + index,
                            "first": int(first and index == 0),
                            "last": int(over),
                            "second": 0 if layer["by_image"] else dy,
                            "group_last": int(done and end),
                            "shift": 1 << (shift if shift >= 0 else 4 - shift),
                        },
                        (done, int(done and row_end), int(done and image_end)),
                    )


def random_layer(rng, lanes):
    kind = rng.choice(["pixel", "pixel", "pixel", "dense", "image"])
    dense, by_image = int(kind == "dense"), int(kind == "image")
    kernel = 1 if dense else rng.choice([1, 3, 5] if lanes >= 4 else [1, 3])
    pad = 0 if dense else rng.randrange(kernel // 2 + 1)
    pool = int(not dense and rng.random() < 0.5)
    stride2 = int(not dense and not pool and rng.random() < 0.4)
    cw = rng.randrange(1, 4)
    bases, planes = rng.choice([(1, 1), (2, 2), (3, 1), (1, 3), (3, 2)])
    height, width = rng.randrange(6, 9), rng.randrange(6, 12)
    tap_rows = tap_columns = kernel
    rows, columns = height - kernel + 1 + 2 * pad, width - kernel + 1 + 2 * pad
    record = cw * planes + rng.randrange(3)
    row_stride = (width if by_image else -(-width // lanes)) * record
    if dense:
        height, width = rng.choice([(1, 1), (2, 3)])
        tap_rows, tap_columns, rows, columns, row_stride = height, width, 1, 1, width * record
    if pool:
        rows, columns = rows // 2 * 2, columns // 2 * 2
    if stride2:
        rows, columns = -(-rows // 2), -(-columns // 2)
    blocks = 1 if dense else columns >> pool if by_image else -(-(columns << stride2) // lanes)
    planes_outer = rng.randrange(2)
    return {
        "tap_rows": tap_rows,
        "tap_columns": tap_columns,
        "pad": pad,
        "pool": pool,
        "stride2": stride2,
        "dense": dense,
        "by_image": by_image,
        "inner": bases if planes_outer else planes,
        "outer": planes if planes_outer else bases,
        "planes_outer": planes_outer,
        "hand": rng.randrange(3),
        "groups": rng.randrange(1, 4),
        "images": rng.randrange(1, 3),
        "rows": rows,
        "blocks": blocks,
        "cw": cw,
        "record": record,
        "height": height,
        "width": width,
        "source_base": rng.randrange(DEPTH),
        "image_stride": rng.randrange(200),
        "row_stride": row_stride,
    }


@cocotb.test()
async def sequencer(dut):
    lanes = parameter("Lanes")
    rng = await begin(dut, start_i=0, ready_i=0, wait_i=0)
    for n in range(60):
        layer = random_layer(rng, lanes)
        for name, value in layer.items():
            getattr(dut, name + "_i").value = value >> layer["pool"] if name == "rows" else value
        hold_first, hold_final = rng.choice([(0, 0), (0, 1), (1, 0)])
        dut.hold_first_i.value, dut.hold_final_i.value = hold_first, hold_final
        index_first = rng.randrange(1, 30)
        dut.index_first_i.value = index_first
        for start in (0, 0, 1):
            dut.start_i.value = start
            await FallingEdge(dut.clk_i)
            assert int(dut.next_valid_o.value) == 0
        dut.start_i.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk_i)
        taken = [None] * LATENCY  # steps of the last cycles
        todo = steps(layer, lanes)
        nothing = None, (False, 0, 0)
        (want, ends), after = next(todo), next(todo, nothing)
        often = rng.choice([1.0, 0.8])
        while want or any(taken):
            ready, wait = rng.random() < often, rng.random() > often
            dut.ready_i.value, dut.wait_i.value = 3 * int(ready), 3 * int(wait)  # each twice
            assert int(dut.next_valid_o.value) == (want is not None)
            step = None
            if want:
                final, row_last, image_last = ends
                hold = want["first"] and hold_first or final and hold_final
                now = {"hold": int(hold), "final": int(final), "group_last": want["group_last"], "last": want["last"]}
                now.update(over=int(after[0] is None), row_last=row_last, image_last=image_last)
                for name, value in now.items():
                    assert int(getattr(dut, f"next_{name}_o").value) == value, f"layer {n}: next_{name} of {want}"
                if ready and not (wait and hold):
                    step, (want, ends), after = want, after, next(todo, nothing)
            taken = [*taken[1:], step]
            early = [int(getattr(dut, f"{name}_o").value) for name in ("soon", *EARLY)]
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (want is None and step is not None)
            out = taken[0]
            assert int(dut.valid_o.value) == early[0] == (out is not None)
            for name, value in (out or {}).items():
                signal = early[1 + EARLY.index(name)] if name in EARLY else getattr(dut, name + "_o").value
                value += index_first if name == "index" else 0
                assert int(signal) == value, f"layer {n} {layer}: {name} {int(signal)} != {value} {out}"


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_sequencer(lanes, tmp_path):
    run(__file__, "bnn_sequencer", {"Lanes": lanes, "ActDepth": DEPTH}, tmp_path)
