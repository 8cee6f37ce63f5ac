"""Compressor trees on carry chains: a heap of weighted bits becomes one word.

A chain takes, per three columns, five bits that its LUTs count (three functions of five bits) and
one more bit per column as the other operand, eight bits for three LUTs; the carry input takes another.
The idea of counters that reach into the carry chain is that of generalized parallel counters
(Kumm and Zipf, "Pipelined compressor tree optimization", FPL 2014); here every operand of the chain
is either a plain signal or a function of five, so that synthesisers find it in a plain `+`.
"""

from __future__ import annotations

from functools import cache, lru_cache

from hls.wired.graph import GROUP_BITS, Bit, Graph, Term

SHAPES = tuple(
    sorted(
        (
            (a, b, c)
            for a in range(6)
            for b in range(4)
            for c in range(2)
            if 0 < a + b + c <= GROUP_BITS and a + 2 * b + 4 * c <= 7
        ),
        key=lambda shape: (-sum(shape), shape),
    )
)
"""Bits per column of a group on three columns, largest first."""
GOOD = 1.0
"""Bits a chain must remove per LUT to be taken before the last chain."""

Heap = list[list[Bit]]


@lru_cache(maxsize=1 << 16)
def _unit(heights: tuple[int, int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(bits of the group, bits of the row) of three columns: the most bits, from the highest columns."""
    best, chosen = (-1.0, -1), ((0, 0, 0), (0, 0, 0))
    for shape in SHAPES:
        if any(n > h for n, h in zip(shape, heights, strict=True)):
            continue
        row = tuple(min(1, h - n) for n, h in zip(shape, heights, strict=True))
        rest = [h - n - r for n, h, r in zip(shape, heights, row, strict=True)]
        score = (sum(shape) + sum(row), -max(rest))
        if score > best:
            best, chosen = score, (shape, (row[0], row[1], row[2]))
    return chosen


def _cover(heights: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """Units of 1 to 3 columns that take every bit of the heap in one chain, or None.

    A unit is the number of bits of its group per column; what is left of a column, at most one
    bit, is the row's. Column 0 has the carry input in addition.
    """

    @cache
    def walk(column: int) -> tuple[tuple[int, ...], ...] | None:
        if column >= len(heights):
            return ()
        for size, most in ((1, 1), (2, 3), (3, 7)):
            here = list(heights[column : column + size]) + [0] * (column + size - len(heights))
            if column == 0 and here[0] > 1:
                here[0] -= 1
            group = [max(0, height - 1) for height in here]
            if sum(group) > GROUP_BITS or sum(n << i for i, n in enumerate(group)) > most:
                continue
            rest = walk(column + size)
            if rest is not None:
                return (tuple(group), *rest)
        return None

    found = walk(0)
    return None if found is None else list(found)


def _take(column: list[Bit], count: int) -> list[Bit]:
    taken = column[:count]
    del column[:count]
    return taken


def _final(graph: Graph, heap: Heap, units: list[tuple[int, ...]]) -> int:
    """The chain of a cover."""
    heap = [list(column) for column in heap]
    carry = _take(heap[0], 1)[0] if len(heap[0]) > 1 else None
    row, groups, column = [], [], 0
    for unit in units:
        group = []
        for index, count in enumerate(unit):
            place = column + index
            if place < len(heap):
                group += [Term(bit, place) for bit in _take(heap[place], count)]
                row += [Term(bit, place) for bit in _take(heap[place], 1)]
        if group:
            groups.append(tuple(group))
        column += len(unit)
    return graph.chain(row, groups, carry)


def _chain(heap: Heap, start: int) -> tuple[list[Term], list[list[Term]], Bit | None, float]:
    """Take a chain from column `start` on out of the heap; the last value is bits removed per LUT."""
    row: list[Term] = []
    groups: list[list[Term]] = []
    carry = heap[start].pop(0) if len(heap[start]) > 6 else None
    column = start
    while column < len(heap):
        heights = tuple(len(heap[i]) if i < len(heap) else 0 for i in range(column, column + 3))
        group, single = _unit((heights[0], heights[1], heights[2]))
        if sum(group) + sum(single) < (6 if column == start else 7):
            break
        taken: list[Term] = []
        for index in range(3):
            if column + index < len(heap):
                taken += [Term(bit, column + index - start) for bit in _take(heap[column + index], group[index])]
                row += [Term(bit, column + index - start) for bit in _take(heap[column + index], single[index])]
        groups.append(taken)
        column += 3
    count = sum(map(len, groups)) + len(row) + (carry is not None)
    if not groups:
        if carry is not None:
            heap[start].insert(0, carry)
        return row, groups, None, 0.0
    high = sum(1 << term.column for term in row) + sum(1 << term.column for group in groups for term in group)
    high += carry is not None
    return row, groups, carry, (count - high.bit_length()) / (column - start)


def compress(graph: Graph, heap: Heap) -> int:
    """Add chains until the heap is one word; the number of its node.

    Args:
        graph: receives the nodes.
        heap: per column the bits of that weight; at least one bit in all.
    """
    heap = [list(column) for column in heap]
    while heap and not heap[-1]:
        heap.pop()
    base = next(index for index, column in enumerate(heap) if column)
    if base:
        raise ValueError(f"the heap's column 0 is empty, column {base} is not")
    while True:
        units = _cover(tuple(map(len, heap)))
        if units is not None:
            return _final(graph, heap, units)
        level = [sorted(column, key=lambda bit: graph.level([bit])) for column in heap]
        after: Heap = [[] for _ in range(len(heap) + 4)]
        worked = False
        start = 0
        while start < len(level):
            if len(level[start]) < 3:
                start += 1
                continue
            copy = [list(column) for column in level]
            row, groups, carry, gain = _chain(copy, start)
            if not groups or gain < GOOD:
                start += 1
                continue
            level = copy
            number = graph.chain(row, groups, carry)
            for bit in graph.bits(number):
                after[start + bit.place].append(bit)
            worked = True
        if not worked:
            # what no chain takes well: full adders from the lowest high column up, which spread the rest
            for column in range(len(level)):
                while len(level[column]) >= 3:
                    three = [Term(bit, 0) for bit in _take(level[column], 3)]
                    for bit in graph.bits(graph.chain(groups=[three])):
                        after[column + bit.place].append(bit)
        for index, left in enumerate(level):
            after[index] += left
        heap = after
        while heap and not heap[-1]:
            heap.pop()
