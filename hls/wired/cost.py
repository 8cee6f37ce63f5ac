"""Cost model of adder graphs on 7-series LUTs."""

from __future__ import annotations

from typing import NamedTuple

from hls.wired.graph import Add, Chain, Compare, Graph, Select, split, width

LEVELS_PER_STAGE = 2
"""Carry chains between two registers."""


TABLE_AND_BIT = 32
"""Passes for which a table fits a LUT together with the bit that it complements."""


class Cost(NamedTuple):
    """LUTs and flip-flops of an engine."""

    lut: int
    ff: int


def is_plain(node: Chain) -> bool:
    """Whether a chain is LUTs only, without carry logic."""
    return not node.row and node.carry is None and len(node.groups) == 1


def stage(level: int, levels_per_stage: int) -> int:
    """Pipeline stage of a node of that level; inputs are in stage 0."""
    return max(0, level - 1) // levels_per_stage


def delays(graph: Graph, levels_per_stage: int = LEVELS_PER_STAGE) -> tuple[list[int], int]:
    """Registers after each node, and the engine's latency in cycles.

    Every result leaves through a register at the end of the last stage.
    """
    last = max([stage(node.level, levels_per_stage) for node in graph.nodes], default=0)
    need = [0] * len(graph.nodes)
    for number, node in enumerate(graph.nodes):
        here = stage(node.level, levels_per_stage)
        for source in sources(graph, number):
            need[source] = max(need[source], here - stage(graph.nodes[source].level, levels_per_stage))
    for number in outputs(graph):
        if number >= 0:
            need[number] = max(need[number], last + 1 - stage(graph.nodes[number].level, levels_per_stage))
    return need, last + 1


def outputs(graph: Graph) -> list[int]:
    """Nodes that leave the engine."""
    return graph.results if graph.results else graph.sums


def sources(graph: Graph, number: int) -> list[int]:
    """Nodes that a node reads."""
    node = graph.nodes[number]
    if isinstance(node, Chain):
        return [term.bit.node for term in node.terms() if term.bit.node >= 0]
    if isinstance(node, Add):
        return [node.a, node.b]
    return [node.a] if isinstance(node, Compare | Select) else []


def engine_cost(graph: Graph, levels_per_stage: int = LEVELS_PER_STAGE) -> Cost:
    """LUTs and flip-flops that the engine should take.

    Equal functions count once: a column of a chain without a bit of the row depends on its group only, so
    outputs whose weights agree on the group share it, at every level.
    """
    if graph.parts:
        each = [engine_cost(single, levels_per_stage) for single in split(graph)]
        return Cost(sum(cost.lut for cost in each), sum(cost.ff for cost in each))
    functions: set[object] = set()
    lut = 0
    for node in graph.nodes:
        if isinstance(node, Chain):
            functions.update(_functions(node))
        elif isinstance(node, Add):
            lut += _add(graph, node)
        elif isinstance(node, Compare):
            bits = width(graph.nodes[node.a])
            if len(node.thresholds) > 1:
                lut += bits * (1 + table(graph.passes))
            else:
                lut += 1 if bits <= 6 else 2 if bits <= 11 else 3
        elif isinstance(node, Select):
            lut += select(graph.passes)
    need, last = delays(graph, levels_per_stage)
    ff = sum(count * width(node) for count, node in zip(need, graph.nodes, strict=True))
    ff += last * (graph.passes - 1).bit_length()
    return Cost(lut + len(functions), ff)


def table(passes: int) -> int:
    """LUTs of one bit that depends on the pass; two multiplexers after the LUTs are free."""
    return -(-passes // 64)


def select(passes: int) -> int:
    """LUTs of an input that is complemented in some passes."""
    return 1 if passes <= TABLE_AND_BIT else 1 + table(passes)


def _functions(node: Chain) -> list[object]:
    """What the LUTs of a chain compute, as keys."""
    result: list[object] = []
    row = {term.column: term.bit for term in node.row}
    for column in row:
        if row[column].inverted:  # the carry chain wants the bit itself
            result.append((row[column],))
    if node.carry is not None and node.carry.inverted:
        result.append((node.carry,))
    for group in node.groups:
        first = min(term.column for term in group)
        size = sum(1 << (term.column - first) for term in group).bit_length()
        key = frozenset((term.bit, term.column - first) for term in group)
        lowest = [term.bit for term in group if term.column == first] + ([row[first]] if first in row else [])
        # the lowest column is the parity of its bits: signs change it to its complement at most
        parity = (frozenset(bit[:2] for bit in lowest), sum(bit.inverted for bit in lowest) % 2)
        if len(lowest) > 1:
            result.append(parity)
        for column in range(first + 1, first + size):
            if len(group) > 1 or column in row:
                result.append((key, column - first, row.get(column)))
    return result


def _add(graph: Graph, node: Add) -> int:
    """Full columns: those below the other operand's shift pass through, if nothing is subtracted there."""
    low = min(
        width(graph.nodes[node.a]) + node.shift_a,
        width(graph.nodes[node.b]) + node.shift_b,
        node.shift_a if node.shift_a > node.shift_b and node.sign_b > 0 else node.shift_b if node.sign_a > 0 else 0,
    )
    return width(node) - low
