"""A whole model with its weights wired in: engines, streaming top, resources."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnn.files import write_atomically
from bnn.geometry import ceil_div, walk
from bnn.layers import require
from bnn.model import Layer, Model, ModelError, shapes
from hls import sources
from hls.designs import DesignError
from hls.render import environment
from hls.wired import beats, cost, cpp, pixels, rows, timing, verilog
from hls.wired.beats import Beat
from hls.wired.graph import Graph, adders
from hls.wired.levels import LEVELS, Task, build

TEMPLATES = Path(__file__).resolve().parents[2] / "hw_templates" / "wired"
STATIC_RTL = (
    "wired_window.sv",
    "wired_rows.sv",
    "wired_narrow.sv",
    "wired_pool.sv",
    "wired_row_pool.sv",
    "wired_collect.sv",
    "wired_valid.sv",
    "wired_input.sv",
    "wired_queue.sv",
    "wired_fold.sv",
    "wired_gather.sv",
    "wired_scores.sv",
)
CORE_RTL = ("bnn_fifo", "bnn_fifo_step")
"""Modules of the core."""
TOP = "wired_top"
CLOCK_MHZ = 143.0
"""Clock that reports assume: what routed compressor trees of this kind reach with a margin on the XC7Z020."""
FOLD_ALWAYS = 1 << 16
"""Products from which on a layer with time for passes is folded without a look at the cost of it unfolded."""
LARGEST_MACS = 400_000
"""Products of one engine beyond which nothing near the XC7Z020 could hold it."""
WIDEST = 4096
"""Bits of the widest `ap_uint` of Vitis HLS (UG1399, AP_INT_MAX_W)."""


@dataclass(frozen=True, eq=False)
class Engine:
    """A layer's engine at one level."""

    task: Task
    level: str
    graph: Graph
    module: str

    @property
    def cost(self) -> cost.Cost:
        """What the cost model says."""
        return cost.engine_cost(self.graph)

    @property
    def adders(self) -> int:
        """Adders and carry chains."""
        return adders(self.graph)

    def verilog(self) -> str:
        """The module's text."""
        return verilog.engine(self.graph, self.module, *self.task.value_range())


def input_bits(model: Model, layer: Layer) -> int:
    """Bits of each of a layer's inputs; pixels are bits where none of them is the 0 of a padding."""
    one = layer is not model.layers[0] or layer.kind != "conv" or (model.binary_input and not layer.pad)
    return 1 if one else 8


def task_of(model: Model, layer: Layer, fold: int = 1, bits: int = 0) -> Task:
    """What a layer's engine computes, in at most `fold` passes, with inputs of so many bits (0: `input_bits`)."""
    bits = bits or input_bits(model, layer)
    taps = 9 if layer.kind == "conv" else 1
    thresholds = layer.thresholds
    if thresholds is not None and bits == 1 and layer is model.layers[0] and model.eight_bit_input:
        thresholds = (thresholds + layer.fan_in + 1) >> 1  # of matches: the sum of +-1 is 2 * matches - fan-in
    return Task(layer.name, layer.weights.reshape(layer.outputs, -1), bits, taps, thresholds, fold)


def engine(task: Task, level: str) -> Engine:
    """Build one engine; level `best` is the cheapest by the cost model."""
    if level == "best":
        possible = LEVELS if task.passes == 1 else ("cse",)
        return min((engine(task, each) for each in possible), key=lambda item: item.cost.lut)
    return Engine(task, level, build(task, level), f"wired_{task.name}_{level}")


def check_size(model: Model) -> None:
    """Refuse what cannot be wired.

    Raises:
        ModelError: a layer needs what wired engines do not have, has too many products or too wide a vector, or a map
            that the window cannot pad.
    """
    shapes(model)
    require(model, "a wired engine")
    for layer, item in zip(model.layers, walk(model), strict=True):
        if item.weight_bits > LARGEST_MACS:
            raise ModelError(
                f"layer {layer.name}: {item.weight_bits} weights, a wired engine has at most {LARGEST_MACS}"
            )
        bits = layer.fan_in * input_bits(model, layer)
        if bits > WIDEST:
            raise ModelError(f"layer {layer.name}: {bits} bits at once, an integer of Vitis HLS has at most {WIDEST}")
        if not layer.name.isidentifier() or not layer.name.isascii():
            raise ModelError(f"layer {layer.name}: the name must be an identifier")
        height, width, _ = item.input
        if layer.kind == "conv" and layer.pad and (height < 2 or width < 2):
            raise ModelError(f"layer {layer.name}: a padded map of {height}x{width}, expected at least 2x2")


def engines(model: Model, level: str = "best", fold: int = 0, beat: Beat = beats.PIXEL) -> list[Engine]:
    """The engines of all layers, in order.

    Args:
        model: the network.
        level: of sharing, or `best`: what the cost model finds cheapest.
        fold: the most passes of a layer; 0: as many as there is time for, where that is cheaper.
        beat: what the input stream has at once.
    """
    check_size(model)
    if fold < 0:
        raise DesignError(f"fold {fold}: expected 0 or a number of passes")
    if not beat.bits:
        for item in pixels.place(model, beat.pixels):
            bits = item.vector_pixels * item.shape.input[2] * input_bits(model, item.layer)
            if bits > WIDEST:
                raise ModelError(
                    f"layer {item.layer.name}: {bits} bits at once, an integer of Vitis HLS has at most {WIDEST}"
                )
    folds = rows.folds(rows.place(model, beat.bits)) if beat.bits else pixels.folds(model, beat.pixels)
    for layer, count in zip(model.layers, side_by_side(model, beat), strict=True):
        macs = count * layer.outputs * layer.fan_in
        if macs > LARGEST_MACS:
            raise ModelError(
                f"layer {layer.name}: {count} engines at once have {macs} products, expected at most {LARGEST_MACS}"
            )
    result = []
    for layer, most in zip(model.layers, folds, strict=True):
        most = min(most, fold or most)
        choice = [task_of(model, layer, most)] if most > 1 and level in ("best", "cse") else []
        if not choice or (fold == 0 and layer.outputs * layer.fan_in <= FOLD_ALWAYS):
            choice.append(task_of(model, layer))
        result.append(min((engine(task, level) for task in choice), key=lambda item: item.cost.lut))
    return result


def _hex(values: list[int], bits: int) -> str:
    """Values of `bits` bits as one hexadecimal number, value 0 least significant."""
    number = 0
    for index, value in enumerate(values):
        number |= (int(value) & ((1 << bits) - 1)) << (bits * index)
    return f"{number:x}"


def _pixels_variables(item: pixels.Placed, inputs: int, pixel_bits: int) -> dict[str, Any]:
    """What the templates may name of a layer that takes words of pixels."""
    height, width, _ = item.shape.input
    conv, takes = item.layer.kind == "conv", item.takes
    return {
        "pixels": takes.pixels,
        "width": takes.row,
        "skip": item.skip,
        "parts": item.parts,
        "comes_row": item.comes.row,
        "left_out": item.left_out,
        # where the rows begin in all the words of a map, a dense layer's vector
        "map_bits": item.map_pixels * pixel_bits,
        "row_bits": width * pixel_bits,
        "row_starts": [(y * takes.row * takes.pixels + takes.empty) * pixel_bits for y in range(height)],
        "vector_bits": item.vector_pixels * pixel_bits if conv else inputs,
        "in_bits": item.vector_pixels * pixel_bits,
        "out_words": item.computes.row,
        "engines": item.engines,
        "rows": 1,
        "columns": takes.pixels,
        "vector_row": takes.pixels + 2,
        "word_bits": item.gives.pixels * item.layer.outputs,
    }


def _rows_variables(item: rows.Placed) -> dict[str, Any]:
    """What the templates may name of a layer that computes whole rows."""
    return {
        "reads": item.reads,
        "reads_hex": f"{sum(1 << place for place in item.reads.at):x}",
        "starts_hex": _hex(item.reads.starts(), rows.START_BITS),
        "vector_bits": item.reads.size,
        "rows": item.rows,
        "columns": item.columns,
        "engines": item.engines,
        "vector_row": item.shape.input[1],
        "word_bits": item.word_bits,
    }


def variables(model: Model, built: list[Engine], digest: str, beat: Beat = beats.PIXEL) -> dict[str, Any]:
    """What the templates may name."""
    shapes(model)
    layers: list[dict[str, Any]] = []
    queues = [0] * len(built)
    if not beat.bits:
        steady = timing.steady(model, timing.QUEUE_IMAGES, beat)
        queues = timing.schedule(model, built, steady, beat).queues
    for layer, item, queue, shape in zip(model.layers, built, queues, walk(model), strict=True):
        conv = layer.kind == "conv"
        assert layer.flip is not None or layer.scale is not None
        height, width, channels = shape.input
        low, high = item.task.value_range()
        layers.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "module": item.module,
                "summary": f"{layer.kind}, {layer.fan_in} inputs, {layer.outputs} outputs, level {item.level}"
                + (f", in {item.task.passes} passes" if item.task.passes > 1 else ""),
                "passes": item.task.passes,
                "pass_bits": (item.task.passes - 1).bit_length(),
                "slots": item.task.slots,
                "queue": max(32, 1 << (2 * queue + 1).bit_length()),
                "inputs": item.task.inputs,
                "outputs": item.task.outputs,
                "input_bits": item.task.input_bits,
                "output_bits": verilog.output_bits(item.graph, low, high),
                "pixel_bits": channels * item.task.input_bits,
                "height": height,
                "pad": layer.pad if conv else 0,
                "pad_bit": int(layer.pad_value > 0),
                "pool": int(layer.pool),
                "out_height": shape.convolved[0],
                "flip_hex": _hex([int(bit) for bit in layer.flip], 1) if layer.flip is not None else "0",
                "flip": [int(bit) for bit in layer.flip] if layer.flip is not None else [],
                "latency": verilog.latency(item.graph),
            }
        )
    if beat.bits:
        for names, row in zip(layers, rows.place(model, beat.bits), strict=True):
            names.update(_rows_variables(row))
    else:
        for names, word in zip(layers, pixels.place(model, beat.pixels), strict=True):
            names.update(_pixels_variables(word, names["inputs"], names["pixel_bits"]))
            names["queued"] = timing.queued(word, names["passes"])
            names["collect"] = 0 if word.layer.kind == "conv" or word.words == names["passes"] == 1 else word.words
    last = model.layers[-1]
    assert last.scale is not None and last.offset is not None
    table = model.input_table.astype(int)
    bits = built[0].task.input_bits
    beat_bits = beat.bits or 8 * model.channels * beat.pixels
    return {
        "model": f"model {model.name} (SHA-256 {digest[:16]})",
        "top": TOP,
        "layers": layers,
        "max_bits": WIDEST,
        "classes": len(model.classes),
        "beat": beat,
        "beat_text": beat.text(),
        "beats": beats.beats(model, beat),
        "channels": model.channels * beat.pixels,
        "input_bits": bits,
        "data_bits": beat_bits,
        "beat_bits": 8 * (1 << (beat_bits // 8 - 1).bit_length()),
        "table_offset": bool((table == np.arange(256) - 128).all()),
        "table": [int(value) for value in table],
        "table_hex": _hex([int(value > 0) for value in table], 1) if bits == 1 else _hex(list(table), 8),
        "images": images_inside(model, built, beat),
        "scale": [int(value) for value in last.scale],
        "offset": [int(value) for value in last.offset],
        "scale_hex": _hex(list(last.scale), 16),
        "offset_hex": _hex(list(last.offset), 32),
    }


def digest_of(model: Model) -> str:
    """SHA-256 of what the hardware depends on."""
    state = hashlib.sha256()
    for layer in model.layers:
        for array in (layer.weights, layer.thresholds, layer.flip, layer.scale, layer.offset):
            if array is not None:
                state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def latency_cycles(model: Model, built: list[Engine], beat: Beat = beats.PIXEL) -> int:
    """Cycles from an image's first beat to its last score, nothing stalled and no other image behind it."""
    if beat.bits:
        return rows.latency_cycles(rows.place(model, beat.bits), built)
    return timing.latency_cycles(model, built, beat)


def images_inside(model: Model, built: list[Engine], beat: Beat = beats.PIXEL) -> int:
    """Images between admission and the queue of results at full rate, and one more."""
    return ceil_div(latency_cycles(model, built, beat), beats.period_cycles(model, beat)) + 1


def render_rtl(model: Model, built: list[Engine], beat: Beat = beats.PIXEL) -> dict[str, str]:
    """SystemVerilog files by name, those a compiler needs first coming first."""
    values = variables(model, built, digest_of(model), beat)
    files = {name: (TEMPLATES / "rtl" / name).read_text(encoding="utf-8") for name in STATIC_RTL}
    files |= {f"{name}.sv": sources.find(name).read_text(encoding="utf-8") for name in CORE_RTL}
    for item in built:
        files[f"{item.module}.sv"] = item.verilog()
    template = (TEMPLATES / "rtl" / "wired_top.sv.j2").read_text(encoding="utf-8")
    files[f"{TOP}.sv"] = environment().from_string(template).render(values)
    return files


def render_hls(model: Model, built: list[Engine], beat: Beat = beats.PIXEL) -> dict[str, str]:
    """HLS C++ files by name: the top, the processes between the engines, one header per engine, a bench."""
    values = variables(model, built, digest_of(model), beat)
    files = {"wired_stream.h": (TEMPLATES / "hls" / "wired_stream.h").read_text(encoding="utf-8")}
    for item in built:
        files[f"{item.module}.h"] = "#pragma once\n\n#include <ap_int.h>\n\n" + cpp.engine(
            item.graph, item.module, *item.task.value_range()
        )
    for name in ("wired_top.h", "wired_top.cpp", "wired_main.cpp"):
        template = (TEMPLATES / "hls" / f"{name}.j2").read_text(encoding="utf-8")
        files[name] = environment().from_string(template).render(values)
    return files


def write(
    model: Model,
    folder: Path,
    level: str = "best",
    fold: int = 0,
    clock_mhz: float = CLOCK_MHZ,
    beat: Beat = beats.PIXEL,
) -> list[Engine]:
    """Write `rtl/`, `hls/` (not of beats of one-bit pixels) and `wired.json` into a build folder, each file atomically.

    Raises:
        ModelError: the model cannot be wired.
        DesignError: unknown level or beat.
    """
    built = engines(model, level, fold, beat)
    files = {f"rtl/{name}": text for name, text in render_rtl(model, built, beat).items()}
    if not beat.bits:
        files |= {f"hls/{name}": text for name, text in render_hls(model, built, beat).items()}
    files["wired.json"] = report_text(report(model, built, clock_mhz, beat))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != text.encode():  # what is built from it stays up to date
            write_atomically(path, text.encode())
    return built


def side_by_side(model: Model, beat: Beat = beats.PIXEL) -> list[int]:
    """How many of each layer's engine there are: one per window that is computed at once."""
    if beat.bits:
        return [item.engines for item in rows.place(model, beat.bits)]
    return [item.engines for item in pixels.place(model, beat.pixels)]


def report(model: Model, built: list[Engine], clock_mhz: float, beat: Beat = beats.PIXEL) -> dict[str, Any]:
    """What was built, in numbers of the cost model."""
    latency, period = latency_cycles(model, built, beat), beats.period_cycles(model, beat)
    counts = side_by_side(model, beat)
    return {
        "model": model.name,
        "engine": "wired",
        "clock_mhz": clock_mhz,
        "latency_cycles": latency,
        "latency_us": round(latency / clock_mhz, 3),
        "cycles_per_image": period,
        "images_per_second": round(clock_mhz * 1e6 / period),
        "beat": beat.bits,
        "pixels_per_cycle": 0 if beat.bits else beat.pixels,
        "estimated_lut": sum(count * item.cost.lut for count, item in zip(counts, built, strict=True)),
        "estimated_ff": sum(count * item.cost.ff for count, item in zip(counts, built, strict=True)),
        "layers": [
            {
                "layer": item.task.name,
                "level": item.level,
                "inputs": item.task.inputs,
                "outputs": item.task.outputs,
                "passes": item.task.passes,
                "engines": count,
                "input_bits": item.task.input_bits,
                "adders": item.adders,
                "estimated_lut": count * item.cost.lut,
                "estimated_ff": count * item.cost.ff,
            }
            for count, item in zip(counts, built, strict=True)
        ],
    }


def report_text(values: dict[str, Any]) -> str:
    """The report as a file."""
    return json.dumps(values, indent=2) + "\n"
