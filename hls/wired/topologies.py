"""`bnn topologies`: networks that a chip holds with their weights wired in, by the cost model.

Candidates are stages of one or two 3x3 convolutions and a 2x2 max-pool, then the scores. Their LUTs are those of
random weights: trained ones differ by a few percent. Which of the candidates is the most accurate, training says.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from bnn.cluster import add_options, spread
from bnn.command import Command
from bnn.geometry import total_macs, walk
from bnn.model import Model, ModelError
from bnn.networks import Network
from bnn.output import each, note, result
from bnn.random_models import random_model
from hls.designs import DesignError
from hls.options import add_pixels
from hls.wired import cost, levels, network, pixels, timing
from hls.wired.graph import Bit, Graph, Input
from hls.wired.heap import compress
from hls.wired.levels import Task

SHARED_PASSES = 3
"""Passes up to which outputs still share much of their trees' first stage, so that the engine is built."""
CONTROL_LUT = 400
"""Admission, scores, counters."""


class Candidate(NamedTuple):
    """A topology: convolutions as (outputs, pool), padding, LUTs, weights and products per image, passes by layer."""

    convs: tuple[tuple[int, bool], ...]
    pad: int
    lut: int
    weights: int
    macs: int
    passes: tuple[int, ...]

    def text(self) -> str:
        """A row of the table."""
        name = " ".join(f"{outputs}{'P' if pool else ''}" for outputs, pool in self.convs)
        return (
            f"{name:28} {self.pad:3} {self.lut:7} {self.weights:8} {self.macs:11,}  {' '.join(map(str, self.passes))}"
        )


@cache
def _tree(inputs: int) -> int:
    """LUTs of one output's compressor tree."""
    graph = Graph(inputs, 1)
    bits = [Bit(graph.put(Input(position, 0, 1)), 0) for position in range(inputs)]
    graph.output(compress(graph, [bits]))
    return cost.engine_cost(graph).lut


@cache
def layer_lut(outputs: int, inputs: int, input_bits: int, fold: int, last: bool) -> int:
    """LUTs of an engine with random weights."""
    rng = np.random.default_rng(1)
    middle, spread = (0, 500) if input_bits > 1 else (inputs // 2, int(np.sqrt(inputs)) + 1)
    thresholds = None if last else middle + rng.integers(-spread, spread, outputs)
    task = Task("layer", rng.integers(0, 2, (outputs, inputs)).astype(np.uint8), input_bits, 9, thresholds, fold)
    if task.passes <= SHARED_PASSES:
        return cost.engine_cost(levels.build(task, "cse")).lut
    # too many kinds of inputs for two outputs to share a LUT behind them
    kinds = 2.0 ** min(task.passes - 1, 60) - 1
    selects = inputs * -kinds * np.expm1(task.slots * np.log1p(-1 / kinds))
    bits = inputs.bit_length()
    compare = 0 if last else task.slots * bits * (1 + cost.table(task.passes))
    return int(round(selects * cost.select(task.passes))) + task.slots * _tree(inputs) + compare


def stream_lut(model: Model, placed: list[pixels.Placed], passes: list[int]) -> int:
    """LUTs between the engines: lines of the windows and pools, queues."""
    total = CONTROL_LUT
    for item, count in zip(placed, passes, strict=True):
        layer = item.layer
        if layer.kind != "conv":
            continue
        bits = item.shape.input[2] * (8 if layer is model.layers[0] else 1)
        total += 2 * item.takes.pixels * bits * -(-item.takes.row // 32)
        total += item.comes.pixels * bits if timing.queued(item, count) else 0
        if layer.pool:
            total += 2 * item.gives.pixels * layer.outputs
    return total


def candidate_of(model: Model, pad: int = 0, per_cycle: int = 1) -> Candidate:
    """The candidate that a model is, with so many pixels per cycle.

    Raises:
        ModelError: it cannot be wired.
        DesignError: not with so many pixels per cycle.
    """
    network.check_size(model)
    placed = pixels.place(model, per_cycle)
    passes, lut = [], 0
    for item, most in zip(placed, pixels.folds(model, per_cycle), strict=True):
        last = item.layer is model.layers[-1]
        task = network.task_of(model, item.layer, most)
        luts = layer_lut(task.outputs, task.inputs, task.input_bits, most, last)
        if 1 < task.passes <= SHARED_PASSES:  # what the outputs share may be worth more than the passes
            alone = layer_lut(task.outputs, task.inputs, task.input_bits, 1, last)
            luts, most = min((luts, most), (alone, 1))
        passes.append(network.task_of(model, item.layer, most).passes)
        lut += item.engines * luts
    convs = tuple((layer.outputs, layer.pool) for layer in model.layers if layer.kind == "conv")
    weights = sum(layer.outputs * layer.fan_in for layer in model.layers)
    total = lut + stream_lut(model, placed, passes)
    return Candidate(convs, pad, total, weights, total_macs(walk(model)), tuple(passes))


def topologies(widths: list[int], stages: int) -> Iterator[tuple[tuple[int, bool], ...]]:
    """Convolutions of every candidate: a stage has one width and one or two of them, widths do not fall."""
    for chosen in itertools.combinations_with_replacement(sorted(widths), stages):
        for depth in itertools.product((1, 2), repeat=stages):
            yield tuple(
                (outputs, index == count - 1)
                for outputs, count in zip(chosen, depth, strict=True)
                for index in range(count)
            )


class Sized:
    """A job: the candidate of some convolutions and a padding, or None where there is none."""

    def __init__(self, size: tuple[int, int, int], classes: int, per_cycle: int) -> None:
        self._size, self._classes, self._per_cycle = size, classes, per_cycle

    def __call__(self, given: tuple[tuple[tuple[int, bool], ...], int]) -> Candidate | None:
        convs, pad = given
        try:
            made = random_model(Network("candidate", *self._size, convs, (), self._classes, pad, ""))
            return candidate_of(made, pad, self._per_cycle)
        except ModelError:  # the map became too small, or a layer too large
            return None


def search(
    size: tuple[int, int, int],
    classes: int,
    widths: list[int],
    stages: int,
    limit: int,
    where: str | None = None,
    per_cycle: int = 1,
) -> list[Candidate]:
    """The candidates of at most `limit` LUTs, most products per image first.

    `where` is of the option `--cluster`, `per_cycle` the pixels that come at once.
    """
    with spread(where) as each_of:
        found = list(each_of(Sized(size, classes, per_cycle), itertools.product(topologies(widths, stages), (0, 1))))
    return sorted((item for item in found if item and item.lut <= limit), key=lambda item: -item.macs)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lut", type=int, default=48_000, help="LUTs that the design may take")
    parser.add_argument("--size", type=int, nargs=3, default=(32, 32, 3), metavar=("H", "W", "C"), help="of the images")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--stages", type=int, default=3, help="number of pools")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 48, 64, 96, 128], help="channels to try")
    add_pixels(parser)
    add_options(parser)
    parser.add_argument("--lines", type=int, default=12, help="length of the printed list")


def _run(options: argparse.Namespace) -> None:
    if min(options.lut, options.classes, options.stages, options.lines, *options.widths, *options.size) < 1:
        raise DesignError("every number must be at least 1")
    height, width, channels = options.size
    size = height, width, channels
    classes, widths, stages, per_cycle = options.classes, options.widths, options.stages, options.pixels_per_cycle
    found = search(size, classes, widths, stages, options.lut, options.cluster, per_cycle)
    result("convolutions (P: pool after)  pad     LUT  weights  MACs/image  passes", found=len(found))
    for candidate in found[: options.lines]:
        each("topologies", candidate.text(), candidate._asdict())
    note(f"{len(found)} topologies of at most {options.lut} LUT; LUTs are the cost model's, with random weights")


main = Command("topologies", _options, _run, "--lut 48000 --stages 3")
