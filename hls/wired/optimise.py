"""Common sub-expressions of a constant matrix, found by `da4ml` and added to a graph."""

from __future__ import annotations

import numpy as np

from bnn import caches
from hls.wired.graph import Graph, GraphError, width

BLOCK_MACS = 4608
"""Products that `da4ml` is asked to optimise at once; it takes minutes beyond."""


def shared_adders(graph: Graph, coefficients: np.ndarray) -> list[tuple[int, int]]:
    """Add the sums `coefficients @ inputs` to a graph.

    A matrix of more than `BLOCK_MACS` entries is split into blocks of inputs that are optimised one
    by one and added. Each block takes the best of every depth of decomposition, so that equal weights give equal
    hardware whatever the machine's speed.

    Args:
        graph: its first nodes are the inputs.
        coefficients: int64 (outputs, inputs), no row all zero.

    Returns:
        node and sign (+1 or -1) of every output.
    """
    outputs, inputs = coefficients.shape
    blocks = -(-coefficients.size // BLOCK_MACS)
    edges = [inputs * index // blocks for index in range(blocks + 1)]
    words: list[tuple[int, int]] = []
    for start, end in zip(edges, edges[1:], strict=False):
        part = _block(graph, coefficients[:, start:end], list(range(start, end)))
        words = [_join(graph, *pair) for pair in zip(words, part, strict=True)] if words else part
    return words


def _join(graph: Graph, first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    (a, sign_a), (b, sign_b) = first, second
    if sign_a == sign_b:
        return graph.add(a, b), sign_a
    return graph.add(a, b, sign_a=sign_a, sign_b=sign_b), 1


def _block(graph: Graph, coefficients: np.ndarray, inputs: list[int]) -> list[tuple[int, int]]:
    caches.provide()
    from da4ml.cmvm.api import jit_solve  # compiles on first use: only where it is needed
    from da4ml.cmvm.types import QInterval

    matrix = coefficients.T.astype(np.float32)
    ranges = [QInterval(float(graph.nodes[n].low), float(graph.nodes[n].high), 1.0) for n in inputs]
    delays = [0.0] * len(inputs)
    best: tuple[int, Graph, list[tuple[int, int]]] | None = None
    for depth in range(-1, int(np.ceil(np.log2(max(2, len(inputs))))) + 1):
        found = jit_solve(matrix, "wmc", "auto", -1, depth, ranges, delays, 1, -1)
        trial = Graph(graph.inputs, graph.input_bits, list(graph.nodes), known=dict(graph.known))
        words = _replay(trial, found.solutions, inputs)
        size = sum(width(node) for node in trial.nodes[len(graph.nodes) :])
        if best is None or size < best[0]:
            best = (size, trial, words)
    assert best is not None
    graph.nodes, graph.known = best[1].nodes, best[1].known
    return best[2]


Scaled = tuple[int, int, int]
"""(node, sign, shift): sign * (node << shift)."""


def _replay(graph: Graph, stages: tuple, inputs: list[int]) -> list[tuple[int, int]]:
    values: list[Scaled] = [(number, 1, 0) for number in inputs]
    for stage in stages:
        buffer: list[Scaled] = []
        for op in stage.ops:
            if op.opcode == -1:
                number, sign, shift = values[op.id0]
                buffer.append((number, sign, shift + int(stage.inp_shifts[op.id0])))
            elif op.opcode in (0, 1):
                buffer.append(_sum(graph, buffer[op.id0], buffer[op.id1], -1 if op.opcode else 1, int(op.data)))
            else:
                raise GraphError(f"da4ml gave an operation {op.opcode}, expected additions only")
        values = []
        for index, shift, negative in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
            if index < 0:
                values.append((-1, 1, 0))
                continue
            number, sign, scale = buffer[index]
            values.append((number, -sign if negative else sign, scale + int(shift)))
    words = []
    for number, sign, shift in values:
        if number < 0 or shift:
            raise GraphError(f"da4ml gave an output with node {number} and shift {shift}, expected an unshifted sum")
        words.append((number, sign))
    return words


def _sum(graph: Graph, first: Scaled, second: Scaled, factor: int, shift: int) -> Scaled:
    (a, sign_a, shift_a), (b, sign_b, shift_b) = first, second
    shift_b += shift
    sign_b *= factor
    base = min(shift_a, shift_b)
    if sign_a == sign_b:
        return graph.add(a, b, shift_a - base, shift_b - base), sign_a, base
    return graph.add(a, b, shift_a - base, shift_b - base, sign_a, sign_b), 1, base
