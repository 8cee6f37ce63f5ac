"""`bnn reuse MODEL`: how often 2-D kernels repeat, and what sharing them is worth.

For every layer, the counts of Courbariaux et al. (arXiv 1602.02830, section 3.3): unique 3x3 kernels per input
channel, with and without taking a kernel and its inverse for one, and the XNOR-popcount operations left when each
is applied once per channel. For layers small enough to be wired, engines at every level: adders, and LUTs and
flip-flops from yosys.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnn.command import Command
from bnn.files import write_atomically
from bnn.geometry import walk
from bnn.layers import require
from bnn.model import Layer, Model, shapes
from bnn.output import each, result
from hls.explore import find
from hls.wired import measure, network, pixels
from hls.wired.levels import LEVELS

KERNELS = 512
"""Different binary 3x3 kernels; half of them counting inverses."""
SYNTHESIS_MACS = 40_000
"""Products of the largest layer that is built and synthesised by default."""


@dataclass(frozen=True)
class Count:
    """Repetition of the kernels of one convolution.

    `unique` and `unique_inverse` are kernels summed over the input channels, the second counting a kernel and
    its inverse once; `overall` and `overall_inverse` count those of the whole layer. `random_ratio` is the
    expected `unique_inverse / kernels` of random weights of that shape. Operations are XNORs (or
    additions, for 8-bit inputs) per image: 9 per kernel and pixel.
    """

    layer: str
    inputs: int
    outputs: int
    pixels: int
    kernels: int
    unique: int
    unique_inverse: int
    overall: int
    overall_inverse: int
    random_ratio: float
    operations: int
    operations_reused: int

    @property
    def ratio(self) -> float:
        """Unique kernels, counting inverses, over all."""
        return self.unique_inverse / self.kernels


def expected_ratio(outputs: int, kinds: int = KERNELS // 2) -> float:
    """Expected share of unique kernels among `outputs` random ones of `kinds`."""
    return kinds * (1 - (1 - 1 / kinds) ** outputs) / outputs


def count_kernels(layer: Layer, pixels: int) -> Count:
    """The repetition in a convolution's weights (O, 3, 3, C), applied at `pixels` positions."""
    outputs, channels = layer.outputs, int(layer.weights.shape[3])
    flat = layer.weights.reshape(outputs, 9, channels).astype(np.int64)
    codes = (flat << np.arange(9)[None, :, None]).sum(axis=1)
    folded = np.minimum(codes, KERNELS - 1 - codes)
    unique = sum(len(np.unique(codes[:, channel])) for channel in range(channels))
    unique_inverse = sum(len(np.unique(folded[:, channel])) for channel in range(channels))
    return Count(
        layer.name,
        channels,
        outputs,
        pixels,
        outputs * channels,
        unique,
        unique_inverse,
        len(np.unique(codes)),
        len(np.unique(folded)),
        expected_ratio(outputs),
        outputs * channels * 9 * pixels,
        unique_inverse * 9 * pixels,
    )


def count_model(model: Model) -> list[Count]:
    """The counts of every convolution.

    Raises:
        ModelError: the model needs more than version 1.
    """
    shapes(model)
    require(model, "the count of kernels")
    return [
        count_kernels(layer, item.positions)
        for layer, item in zip(model.layers, walk(model), strict=True)
        if layer.kind == "conv"
    ]


def level_rows(model: Model, largest: int, synthesise: bool, cache: Path) -> list[dict[str, Any]]:
    """One row per layer and level of the layers with at most `largest` products, and one for `cse` in passes.

    `lut` and `ff` are yosys' numbers, or the cost model's without `synthesise`. `chosen` marks the engine
    that the cost model finds cheapest.
    """
    rows: list[dict[str, Any]] = []
    for layer, most in zip(model.layers, pixels.folds(model), strict=True):
        task = network.task_of(model, layer)
        if task.macs > largest:
            continue
        levels = [level for level in LEVELS if level != "kernel" or task.taps > 1]
        built = [network.engine(task, level) for level in levels]
        if most > 1:
            built.append(network.engine(network.task_of(model, layer, most), "cse"))
        best = min(built, key=lambda item: item.cost.lut)
        for item in built:
            cost: Any = item.cost
            if synthesise:
                cost = measure.engine(item, cache)
            rows.append(
                {
                    "layer": layer.name,
                    "level": item.level,
                    "passes": item.task.passes,
                    "inputs": task.inputs,
                    "outputs": task.outputs,
                    "input_bits": task.input_bits,
                    "adders": item.adders,
                    "lut": int(cost.lut),
                    "ff": int(cost.ff),
                    "chosen": item is best,
                    "dsp": int(cost.dsp) if synthesise else 0,
                    "estimated_lut": item.cost.lut,
                    "source": "yosys" if synthesise else "cost model",
                }
            )
            each("engines", row_text(rows[-1], task.macs), rows[-1])
    return rows


def row_text(row: dict[str, Any], macs: int) -> str:
    """A row of the table of levels."""
    return (
        f"{row['layer']:8} {row['level']:7} {row['passes']:6} {row['inputs']:5} x {row['outputs']:<4} "
        f"{row['input_bits']} bit {row['adders']:7} {row['lut']:7} {row['ff']:7} {row['lut'] / macs:9.3f} "
        f"{row['estimated_lut']:9} {'chosen' if row['chosen'] else ''}"
    )


LEVEL_HEAD = "layer    level   passes inputs x outputs     adders     LUT      FF   LUT/MAC     model"


def order_text(rows: list[dict[str, Any]]) -> str:
    """Whether the cost model puts every layer's engines in the order of their synthesised LUTs."""
    wrong = []
    for layer in dict.fromkeys(row["layer"] for row in rows):
        here = [row for row in rows if row["layer"] == layer]
        if sorted(here, key=lambda row: row["lut"]) != sorted(here, key=lambda row: row["estimated_lut"]):
            wrong.append(layer)
    return (
        "the cost model and yosys disagree on the order of the engines of " + ", ".join(wrong)
        if wrong
        else ("the cost model and yosys agree on the order of the engines of every layer")
    )


def kernels_text(counts: list[Count]) -> str:
    """The table of repetition, with the totals of the network."""
    lines = ["layer      C -> O     kernels   unique  with inverses   random  overall        XNORs   with reuse  saved"]
    for item in counts:
        lines.append(
            f"{item.layer:8} {item.inputs:4} -> {item.outputs:<4} {item.kernels:8} "
            f"{item.unique:8} {item.unique_inverse:8} {100 * item.ratio:4.0f} % {100 * item.random_ratio:6.0f} % "
            f"{item.overall:4}/{item.overall_inverse:<3} {item.operations:12,} {item.operations_reused:12,} "
            f"{item.operations / item.operations_reused:5.2f}x"
        )
    total, reused = sum(item.operations for item in counts), sum(item.operations_reused for item in counts)
    ratio = sum(item.unique_inverse for item in counts) / sum(item.kernels for item in counts)
    lines.append(
        f"all convolutions: {100 * ratio:.0f} % of the kernels unique counting inverses, {total:,} XNORs, "
        f"{reused:,} with reuse: {total / reused:.2f}x fewer"
    )
    return "\n".join(lines)


def plot(counts: list[Count], name: str, path: Path) -> None:
    """Unique kernels per layer beside random weights, as PNG."""
    import io

    from matplotlib.figure import Figure  # without pyplot, whose backend is the caller's

    figure = Figure(figsize=(7, 3.5))
    axes = figure.subplots()
    places = np.arange(len(counts))
    axes.bar(places - 0.2, [100 * item.ratio for item in counts], 0.4, label="trained")
    axes.bar(places + 0.2, [100 * item.random_ratio for item in counts], 0.4, label="random weights")
    axes.axhline(42, color="grey", linestyle="--", label="Courbariaux et al., average")
    axes.set_xticks(places, [f"{item.layer}\n{item.inputs}→{item.outputs}" for item in counts])
    axes.set_ylabel("unique 3×3 kernels per channel, %")
    axes.set_title(f"{name}: kernels left when repeated and inverse ones count once")
    axes.legend()
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    write_atomically(path, buffer.getvalue())


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model file (.npz), or BinaryNet, VGG-small, CNV, LFC with random weights")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/reuse"), help="output folder")
    parser.add_argument(
        "--largest", type=int, default=SYNTHESIS_MACS, help="build and synthesise layers of at most so many products"
    )
    parser.add_argument("--no-synthesis", action="store_true", help="LUTs by the cost model, without yosys")


def _run(options: argparse.Namespace) -> None:
    model = find(options.model)
    counts = count_model(model)
    name = Path(options.model).stem
    options.output.mkdir(parents=True, exist_ok=True)
    if counts:
        result(kernels_text(counts), kernels=[asdict(item) for item in counts])
        content = json.dumps([asdict(item) for item in counts], indent=2) + "\n"
        write_atomically(options.output / f"{name}.kernels.json", content.encode())
        plot(counts, name, options.output / f"{name}.png")
    result(f"\n{LEVEL_HEAD}")
    rows = level_rows(model, options.largest, not options.no_synthesis, options.output / "cache")
    if rows and not options.no_synthesis:
        result(order_text(rows))
    left = [layer.name for layer in model.layers if layer.outputs * layer.fan_in > options.largest]
    if left:
        result(f"more than {options.largest} products, not built: {', '.join(left)}", not_built=left)
    write_atomically(options.output / f"{name}.json", (json.dumps(rows, indent=2) + "\n").encode())


main = Command("reuse", _options, _run, "models/cnv.npz -o build/reuse")
