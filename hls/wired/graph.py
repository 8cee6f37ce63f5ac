"""Adder graphs: the common form of every wired engine, whatever its level of sharing.

A graph is a list of nodes in topological order. A node has one integer value, seen as a
word or as its bits (two's complement if signed):

- `Input`: one element of the input vector, a bit or a signed word;
- `Select`: a 1-bit input, complemented in some passes of a folded engine;
- `Chain`: a sum of weighted bits on one carry chain, `sum of A + sum of the groups + carry in`.
  A group is a set of at most five bits whose sum the chain's LUTs count on the way;
- `Add`: `(a << shift_a) +- (b << shift_b)` of two words, or `-(a << ...) - ...`;
- `Compare`: the bit `a >= threshold`, or its complement.

A folded engine works on one input vector in several passes: in pass p, slot s of its `slots` outputs is the layer's
output `p * slots + s`. What differs from pass to pass is in `Select` and `Compare` nodes only.

Every node is exact: its width holds each reachable value. `multiply_out` expands the outputs back
to the inputs, so that a graph can be checked against its constant matrix instead of being trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bnn.errors import ExpectedError

GROUP_BITS = 5
"""Bits of a chain's group: a LUT6 has one more input, for the chain's other operand."""


class GraphError(ExpectedError):
    """A graph does not compute what it was built for; the message names the output."""


class Bit(NamedTuple):
    """Bit `place` of node `node`, complemented if `inverted`; node -1 is the constant 1."""

    node: int
    place: int
    inverted: bool = False


class Term(NamedTuple):
    """`bit << column`."""

    bit: Bit
    column: int


@dataclass(frozen=True)
class Input:
    """Element `position` of the input vector."""

    position: int
    low: int
    high: int
    level: int = 0


@dataclass(frozen=True)
class Select:
    """Bit `a` (an `Input` of one bit), complemented in pass p if bit p of `flips` is set."""

    a: int
    flips: int
    level: int = 2  # a LUT before the first chain, with a register between
    low: int = 0
    high: int = 1


@dataclass(frozen=True)
class Chain:
    """Sum of `carry` (column 0), at most one bit of `row` per column, and `groups`.

    A group's bits have a sum below 8 from its lowest column on; the columns that its sum takes
    belong to no other group. Without a row and with at most six bits the chain is plain LUTs.
    """

    row: tuple[Term, ...]
    groups: tuple[tuple[Term, ...], ...]
    carry: Bit | None
    low: int
    high: int
    level: int

    def terms(self) -> list[Term]:
        """All that is added."""
        first = [] if self.carry is None else [Term(self.carry, 0)]
        return first + list(self.row) + [term for group in self.groups for term in group]


@dataclass(frozen=True)
class Add:
    """`sign_a * (a << shift_a) + sign_b * (b << shift_b)`; at most one sign is -1."""

    a: int
    b: int
    shift_a: int
    shift_b: int
    sign_a: int
    sign_b: int
    low: int
    high: int
    level: int


@dataclass(frozen=True)
class Compare:
    """The bit `(a >= thresholds[pass]) ^ inverted`; a single threshold holds in every pass."""

    a: int
    thresholds: tuple[int, ...]
    inverted: bool
    level: int
    low: int = 0
    high: int = 1

    def at(self, number: int) -> int:
        """The threshold in a pass."""
        return self.thresholds[number if len(self.thresholds) > 1 else 0]


Node = Input | Select | Chain | Add | Compare


def width(node: Node) -> int:
    """Bits of a node's value, in two's complement if it can be negative; at least 1."""
    if node.low < 0:
        return max((-node.low - 1).bit_length(), max(node.high, 0).bit_length()) + 1
    return max(1, node.high.bit_length())


def signed(node: Node) -> bool:
    """Whether the value can be negative."""
    return node.low < 0


@dataclass
class Graph:
    """Nodes in topological order and, per output, the node with its sum.

    Output o of the engine is `sign[o] * value(sums[o]) + offsets[o]`, for a sum of no term just
    `offsets[o]` (node -1); with `results` the bit of that node instead.

    With `parts`, no output shares a node with another: output o's own nodes start at `parts[o]`, and every
    backend must keep it so.
    """

    inputs: int
    input_bits: int
    nodes: list[Node] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    passes: int = 1
    known: dict[object, int] = field(default_factory=dict)

    def put(self, node: Node) -> int:
        """Number of the node, which is added if no equal one is there."""
        if node not in self.known:
            self.known[node] = len(self.nodes)
            self.nodes.append(node)
        return self.known[node]

    def part(self) -> None:
        """Start the nodes of an output that shares nothing with those before it."""
        self.parts.append(len(self.nodes))
        self.known = {node: number for number, node in enumerate(self.nodes[: self.inputs])}

    def bits(self, number: int, inverted: bool = False) -> list[Bit]:
        """The bits of an unsigned node, least significant first."""
        return [Bit(number, index, inverted) for index in range(width(self.nodes[number]))]

    def level(self, bits: Iterable[Bit]) -> int:
        """Highest level of the bits' nodes."""
        return max((self.nodes[bit.node].level for bit in bits if bit.node >= 0), default=0)

    def chain(self, row: Iterable[Term] = (), groups: Iterable[Iterable[Term]] = (), carry: Bit | None = None) -> int:
        """Add a chain of terms with columns from 0 on."""
        made = Chain(tuple(row), tuple(tuple(group) for group in groups), carry, 0, 0, 0)
        terms = made.terms()
        low = sum(1 << term.column for term in terms if term.bit.node < 0)
        high = sum(1 << term.column for term in terms)
        level = self.level(term.bit for term in terms) + 1
        return self.put(Chain(made.row, made.groups, carry, low, high, level))

    def add(self, a: int, b: int, shift_a: int = 0, shift_b: int = 0, sign_a: int = 1, sign_b: int = 1) -> int:
        """Add the sum of two words."""
        first, second = self.nodes[a], self.nodes[b]
        ends = [
            sorted((sign * (node.low << shift), sign * (node.high << shift)))
            for node, shift, sign in ((first, shift_a, sign_a), (second, shift_b, sign_b))
        ]
        low, high = ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]
        level = max(first.level, second.level) + 1
        return self.put(Add(a, b, shift_a, shift_b, sign_a, sign_b, low, high, level))

    def select(self, number: int, flips: int) -> int:
        """Add an input that is complemented in some passes; the input itself if in none."""
        return self.put(Select(number, flips)) if flips else number

    def compare(self, output: int, thresholds: Sequence[int]) -> int:
        """Add the bit `output value >= threshold`, with one threshold or one per pass."""
        number, sign, offset = self.sums[output], self.signs[output], self.offsets[output]
        if number < 0:
            raise GraphError(f"output {output} adds nothing")
        wanted = tuple(threshold - offset for threshold in thresholds)
        if len(set(wanted)) == 1:
            wanted = wanted[:1]
        level = self.nodes[number].level + 1
        if sign < 0:  # -v >= t  <=>  not (v >= 1 - t)
            return self.put(Compare(number, tuple(1 - threshold for threshold in wanted), True, level))
        return self.put(Compare(number, wanted, False, level))

    def output(self, number: int, sign: int = 1, offset: int = 0) -> None:
        """Append an output."""
        self.sums.append(number)
        self.signs.append(sign)
        self.offsets.append(offset)


def evaluate(graph: Graph, inputs: np.ndarray, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Run one pass of the graph.

    Args:
        graph: the engine.
        inputs: integers (N, inputs).
        number: the pass.

    Returns:
        the outputs' values int64 (N, outputs), and the results' bits (N, results).
    """
    values: list[np.ndarray] = []
    count = len(inputs)

    def bit(item: Bit) -> np.ndarray:
        if item.node < 0:
            return np.full(count, int(not item.inverted), np.int64)
        return np.asarray((values[item.node] >> item.place & 1) ^ int(item.inverted))

    for node in graph.nodes:
        if isinstance(node, Input):
            value = inputs[:, node.position].astype(np.int64)
        elif isinstance(node, Select):
            value = values[node.a] ^ (node.flips >> number & 1)
        elif isinstance(node, Chain):
            value = np.zeros(count, np.int64)
            for term in node.terms():
                value += bit(term.bit) << term.column
        elif isinstance(node, Add):
            value = node.sign_a * (values[node.a] << node.shift_a) + node.sign_b * (values[node.b] << node.shift_b)
        else:
            value = ((values[node.a] >= node.at(number)) ^ node.inverted).astype(np.int64)
        if count and (value.min() < node.low or value.max() > node.high):
            raise GraphError(f"node {len(values)}: {value.min()} to {value.max()} leaves {node.low} to {node.high}")
        values.append(value)
    outputs = np.zeros((count, len(graph.sums)), np.int64)
    for index, source in enumerate(graph.sums):
        outputs[:, index] = graph.offsets[index] + (graph.signs[index] * values[source] if source >= 0 else 0)
    results = np.zeros((count, len(graph.results)), np.uint8)
    for index, source in enumerate(graph.results):
        results[:, index] = values[source]
    return outputs, results


def multiply_out(graph: Graph, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Expand every output of one pass back to the inputs.

    Args:
        graph: the engine.
        number: the pass.

    Returns:
        matrix int64 (outputs, inputs) and constants int64 (outputs,): output = matrix @ inputs + constant.

    Raises:
        GraphError: an output uses a node's bits other than as one multiple of its whole value.
    """
    outputs = len(graph.sums)
    matrix = np.zeros((outputs, graph.inputs), np.int64)
    constants = np.array(graph.offsets, np.int64)
    for output in range(outputs):
        if graph.sums[output] >= 0:
            constants[output] += _expand(graph, output, number, matrix[output])
    return matrix, constants


def _expand(graph: Graph, output: int, at: int, row: np.ndarray) -> int:
    """Add the coefficients of one output in pass `at` to `row` and return its constant."""
    words = {graph.sums[output]: graph.signs[output]}
    bits: dict[int, dict[int, int]] = {}
    constant = 0
    for number in range(graph.sums[output], -1, -1):
        coefficient = words.pop(number, 0)
        used = bits.pop(number, None)
        node = graph.nodes[number]
        if used is not None:
            size = width(node)
            weights = [1 << index for index in range(size)]
            if signed(node):
                weights[-1] = -weights[-1]
            if any(used.get(index, 0) != used.get(0, 0) * weights[index] for index in range(size)):
                raise GraphError(f"output {output} uses the bits of node {number} with weights {used}")
            coefficient += used.get(0, 0)
        if not coefficient:
            continue
        if isinstance(node, Input):
            row[node.position] += coefficient
        elif isinstance(node, Select):
            flipped = node.flips >> at & 1
            constant += flipped * coefficient  # 1 - x
            words[node.a] = words.get(node.a, 0) + (-coefficient if flipped else coefficient)
        elif isinstance(node, Add):
            for part, shift, sign in ((node.a, node.shift_a, node.sign_a), (node.b, node.shift_b, node.sign_b)):
                words[part] = words.get(part, 0) + coefficient * sign * (1 << shift)
        elif isinstance(node, Chain):
            for (source, index, inverted), column in node.terms():
                weight = coefficient << column
                if inverted:
                    constant += weight
                    weight = -weight
                if source < 0:
                    constant += weight
                    continue
                place = bits.setdefault(source, {})
                place[index] = place.get(index, 0) + weight
        else:
            raise GraphError(f"output {output} adds the bit of a comparison, node {number}")
    return constant


def split(graph: Graph) -> list[Graph]:
    """The graphs of the single outputs of a graph with `parts`, over all inputs."""
    result = []
    edges = [*graph.parts, len(graph.nodes) - len(graph.results)]
    for output, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
        move = {number: number for number in range(graph.inputs)}
        move |= {number: graph.inputs + number - start for number in range(start, end)}
        single = Graph(graph.inputs, graph.input_bits, list(graph.nodes[: graph.inputs]))
        single.nodes += [_renumber(node, move) for node in graph.nodes[start:end]]
        single.output(move[graph.sums[output]], graph.signs[output], graph.offsets[output])
        if graph.results:
            single.results = [len(single.nodes)]
            single.nodes.append(_renumber(graph.nodes[graph.results[output]], move))
        result.append(single)
    return result


def _renumber(node: Node, move: dict[int, int]) -> Node:
    def bit(item: Bit) -> Bit:
        return item if item.node < 0 else item._replace(node=move[item.node])

    if isinstance(node, Chain):
        return replace(
            node,
            row=tuple(Term(bit(t.bit), t.column) for t in node.row),
            groups=tuple(tuple(Term(bit(t.bit), t.column) for t in group) for group in node.groups),
            carry=None if node.carry is None else bit(node.carry),
        )
    if isinstance(node, Add):
        return replace(node, a=move[node.a], b=move[node.b])
    return replace(node, a=move[node.a]) if isinstance(node, Compare) else node


def adders(graph: Graph) -> int:
    """Additions of two words or carry chains."""
    return sum(isinstance(node, Add | Chain) for node in graph.nodes)
