"""The levels of sharing: from a layer's constant weights to an adder graph.

- `none`: a compressor tree (1-bit inputs) or an adder tree (8-bit inputs) per output;
- `kernel`: Courbariaux et al. (arXiv 1602.02830, section 3.3): every 2-D kernel of an input channel once, inverse
  kernels as complements, then the sum over the channels;
- `cse`: shared partial sums, or, in a folded engine, shared between its passes. For 8-bit inputs the adder graph
  that `da4ml` finds. For 1-bit inputs the cheapest of compressor trees that take the inputs in the same order for every
  output, so that outputs share each LUT whose inputs have the same signs (in the layer's order, or with inputs of like
  weights side by side); every pattern of signs of three inputs
  once (inverse patterns as complements) with trees over them; and, for small layers, `da4ml`'s graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hls.designs import DesignError
from hls.wired import heap as heaps
from hls.wired.cost import engine_cost
from hls.wired.graph import GROUP_BITS, Bit, Graph, GraphError, Input, Term, evaluate, multiply_out, width
from hls.wired.optimise import shared_adders

LEVELS = ("none", "kernel", "cse")
CHECK_VECTORS = 64


@dataclass(frozen=True, eq=False)
class Task:
    """What an engine computes, all outputs at once.

    Binary inputs (`input_bits` 1): the number of inputs that equal their weight bit. Otherwise the sum
    of +-input over signed words of `input_bits` bits.

    `weights` are bits (outputs, inputs); `taps` the inputs per 2-D kernel, 9 or 1: with C channels, input
    `tap * C + channel`. `thresholds` (outputs,) make the outputs bits `value >= threshold`; without, they
    are the values.

    `fold`: the most passes that an input vector may take, for binary inputs: pass p gives outputs `p * slots` to
    `p * slots + slots - 1`, those beyond the last one undefined.
    """

    name: str
    weights: np.ndarray
    input_bits: int
    taps: int = 1
    thresholds: np.ndarray | None = None
    fold: int = 1

    @property
    def slots(self) -> int:
        """Outputs per pass."""
        return -(-self.outputs // self.fold)

    @property
    def passes(self) -> int:
        """Passes that an input vector takes."""
        return -(-self.outputs // self.slots)

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.weights.shape[1])

    @property
    def macs(self) -> int:
        """Products per evaluation."""
        return self.outputs * self.inputs

    def value_range(self) -> tuple[int, int]:
        """Least and greatest value of an output."""
        if self.input_bits == 1:
            return 0, self.inputs
        largest = self.inputs << (self.input_bits - 1)
        return -largest, largest


Word = tuple[int, int]
"""A node and its sign."""


def _start(task: Task) -> Graph:
    graph = Graph(task.inputs, task.input_bits)
    low, high = (0, 1) if task.input_bits == 1 else (-(1 << (task.input_bits - 1)), (1 << (task.input_bits - 1)) - 1)
    for position in range(task.inputs):
        graph.put(Input(position, low, high))
    return graph


def _sum_words(graph: Graph, words: list[Word]) -> Word:
    """Balanced tree of adders; equal words in equal order are shared by the graph."""
    while len(words) > 1:
        after: list[Word] = []
        for (a, sign_a), (b, sign_b) in zip(words[::2], words[1::2], strict=False):
            if sign_a == sign_b:
                after.append((graph.add(a, b), sign_a))
            else:
                after.append((graph.add(a, b, sign_a=sign_a, sign_b=sign_b), 1))
        words = after + (words[-1:] if len(words) % 2 else [])
    return words[0]


def _signs(row: np.ndarray, inputs: list[int]) -> list[Word]:
    return [(number, 1 if row[number] else -1) for number in inputs]


def _matches(row: np.ndarray, inputs: list[int]) -> list[Bit]:
    return [Bit(number, 0, not row[number]) for number in inputs]


def trees(task: Task, order: list[int] | None = None) -> Graph:
    """A compressor tree per output over the inputs in one order, equal functions shared."""
    graph = _start(task)
    for row in task.weights:
        graph.output(heaps.compress(graph, [_matches(row, order or list(range(task.inputs)))]))
    return graph


def alike(task: Task) -> list[int]:
    """The inputs in an order that puts those side by side whose weights are equal, or opposite, in most outputs.

    Greedy, from input 0 on: the next one fits best to those that share its LUTs.
    """
    signs = 2 * task.weights.astype(np.int64) - 1
    agreement = np.abs(signs.T @ signs)
    left = np.ones(task.inputs, bool)
    left[0] = False
    order = [0]
    while len(order) < task.inputs:
        group = order[-(len(order) % GROUP_BITS or GROUP_BITS) :]
        order.append(int(np.where(left, agreement[group].sum(axis=0), -1).argmax()))
        left[order[-1]] = False
    return order


def folded(task: Task) -> Graph:
    """A compressor tree per slot, over inputs that are complemented in the passes whose weights ask for it."""
    graph = _start(task)
    graph.passes = task.passes
    for slot in range(task.slots):
        rows = task.weights[slot :: task.slots]
        bits = []
        for position, column in enumerate(rows.T):
            flips = sum(1 << number for number, weight in enumerate(column) if weight != column[0])
            bits.append(Bit(graph.select(position, flips), 0, not column[0]))
        graph.output(heaps.compress(graph, [bits]))
    return graph


def none(task: Task) -> Graph:
    """A tree per output; nothing is shared, even where two outputs begin alike."""
    graph = _start(task)
    every = list(range(task.inputs))
    for row in task.weights:
        graph.part()
        if task.input_bits == 1:
            graph.output(heaps.compress(graph, [_matches(row, every)]))
        else:
            graph.output(*_sum_words(graph, _signs(row, every)))
    return graph


def _patterns(task: Task, chunks: list[list[int]], build: Callable[[Graph, list[Bit]], int]) -> Graph:
    """Every pattern of a chunk once, complemented if its first weight is 0, then a compressor tree per output."""
    graph = _start(task)
    heap: list[heaps.Heap] = [[] for _ in range(task.outputs)]
    offsets = [0] * task.outputs
    for chunk in chunks:
        known: dict[bytes, int] = {}
        for output, row in enumerate(task.weights):
            inverse = not row[chunk[0]]
            signs = row[chunk] ^ inverse
            key = signs.tobytes()
            if key not in known:
                known[key] = build(graph, [Bit(n, 0, not sign) for n, sign in zip(chunk, signs, strict=True)])
            for bit in graph.bits(known[key], inverse):
                while len(heap[output]) <= bit.place:
                    heap[output].append([])
                heap[output][bit.place].append(bit)
            if inverse:  # len - v  =  (2**width - 1 - v) + len - (2**width - 1)
                offsets[output] += len(chunk) + 1 - (1 << width(graph.nodes[known[key]]))
    for columns, offset in zip(heap, offsets, strict=True):
        graph.output(heaps.compress(graph, columns), 1, offset)
    return graph


def _kernels(task: Task) -> list[list[int]]:
    channels = task.inputs // task.taps
    return [[tap * channels + channel for tap in range(task.taps)] for channel in range(channels)]


def kernel(task: Task) -> Graph:
    """Every 2-D kernel of an input channel once; for dense layers the same as `none`."""
    if task.taps == 1:
        return none(task)
    if task.input_bits == 1:
        return _patterns(task, _kernels(task), lambda graph, bits: heaps.compress(graph, [bits]))
    graph = _start(task)
    known: dict[bytes, Word] = {}
    for row in task.weights:
        parts: list[Word] = []
        for chunk in _kernels(task):
            inverse = not row[chunk[0]]
            key = bytes([*(row[chunk] ^ inverse), chunk[0] & 255, chunk[0] >> 8])
            if key not in known:
                known[key] = _sum_words(graph, [(n, 1 if row[n] ^ inverse else -1) for n in chunk])
            number, sign = known[key]
            parts.append((number, -sign if inverse else sign))
        graph.output(*_sum_words(graph, parts))
    return graph


def chunked(task: Task, size: int) -> Graph:
    """Patterns of `size` consecutive inputs, at most six: LUTs of a pattern's inputs."""

    def count(graph: Graph, bits: list[Bit]) -> int:
        return graph.chain(groups=[[Term(bit, 0) for bit in bits]])

    every = list(range(task.inputs))
    return _patterns(task, [every[start : start + size] for start in range(0, task.inputs, size)], count)


def optimised(task: Task) -> Graph:
    """The adder graph of `da4ml`, over the inputs as +-1 coefficients."""
    graph = _start(task)
    coefficients = 2 * task.weights.astype(np.int64) - 1
    words = shared_adders(graph, coefficients)
    for row, (number, sign) in zip(task.weights, words, strict=True):
        # matches = sum of +-x + number of zero weights
        graph.output(number, sign, int((row == 0).sum()) if task.input_bits == 1 else 0)
    return graph


def cse(task: Task) -> Graph:
    """The cheapest of the graphs with shared partial sums, by the cost model."""
    if task.input_bits > 1:
        return optimised(task)
    found = [trees(task), trees(task, alike(task)), chunked(task, 3)]
    if task.macs <= DA4ML_MACS:
        found.append(optimised(task))
    return min(found, key=lambda graph: engine_cost(graph).lut)


DA4ML_MACS = 1 << 11
"""Products up to which `cse` also asks `da4ml` for a binary layer: beyond, its time grows out of proportion
and the patterns have won on every layer tried."""


def build(task: Task, level: str) -> Graph:
    """The graph of a task at a level, checked by multiplying it out.

    Raises:
        GraphError: the graph differs from the weights.
        DesignError: unknown level, or one that cannot be folded.
    """
    if level not in LEVELS:
        raise DesignError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    if task.passes > 1:
        if level != "cse" or task.input_bits > 1:
            raise DesignError(f"{task.name}: only engines of level cse on 1-bit inputs can be folded")
        graph = folded(task)
    else:
        graph = none(task) if level == "none" else kernel(task) if level == "kernel" else cse(task)
    check(task, graph)
    finish(task, graph)
    return graph


def finish(task: Task, graph: Graph) -> None:
    """Add the comparisons."""
    if task.thresholds is not None:
        graph.known = {}  # one comparison per output, in order
        thresholds = [int(threshold) for threshold in task.thresholds]
        thresholds += thresholds[-1:] * (task.slots * task.passes - task.outputs)
        graph.results = [graph.compare(slot, thresholds[slot :: task.slots]) for slot in range(task.slots)]


def check(task: Task, graph: Graph) -> None:
    """Multiply the graph out against the weights, and run it on a few vectors against the product.

    Raises:
        GraphError: names the first output that differs.
    """
    rng = np.random.default_rng(0)
    high = 2 if task.input_bits == 1 else 1 << (task.input_bits - 1)
    vectors = rng.integers(0 if task.input_bits == 1 else -high, high, (CHECK_VECTORS, task.inputs))
    for number in range(task.passes):
        weights = task.weights[number * task.slots : (number + 1) * task.slots]
        wanted = 2 * weights.astype(np.int64) - 1
        constant = (weights == 0).sum(axis=1) if task.input_bits == 1 else np.zeros(len(weights), np.int64)
        matrix, constants = multiply_out(graph, number)
        wrong = (matrix[: len(weights)] != wanted).any(axis=1) | (constants[: len(weights)] != constant)
        if wrong.any():
            output = number * task.slots + int(wrong.argmax())
            raise GraphError(f"{task.name}: output {output} is not the sum of its weights")
        values, _ = evaluate(graph, vectors, number)
        if (values[:, : len(weights)] != vectors @ wanted.T + constant).any():
            raise GraphError(f"{task.name}: the graph's values differ from the product with the weights")
