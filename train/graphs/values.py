"""Which tensors of a graph become values, and in what range their numbers are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from bnn.rules import MAX_THRESHOLDS
from train.graphs.graph import ELEMENTWISE, Graph, GraphError, Node, apply, run, window

LINEAR = ("Conv", "MatMul", "Gemm")
AVERAGES = ("GlobalAveragePool", "ReduceMean", "ReduceSum", "AveragePool")
AFFINE = ("Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization")
BATCH = 64


class Member(NamedTuple):
    """A value of the graph.

    `tensor` is the one whose range counts: the sum of an Add, or the value itself where a layer's own sums become one.
    """

    tensor: str
    after: tuple[Node, ...]
    """Nodes between the tensor and the value."""
    relu: bool
    """Whether the value ends with a ReLU."""
    source: str = ""
    """The value that is added, by the name of its tensor; "": none."""
    between: tuple[Node, ...] = ()
    """Nodes between that value and the Add."""


def line_of(graph: Graph, nodes: Iterable[Node], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias (C,) of nodes one after the other; those that round or clip count as nothing."""
    ends = [torch.full((1, channels, 1, 1), number, dtype=torch.float64) for number in (0.0, 1.0)]
    for node in nodes:
        if node.operator in AFFINE:
            constants = {
                name: torch.from_numpy(np.array(graph.constants[name]))
                for name in node.inputs
                if name in graph.constants
            }
            ends = [apply(node, [constants.get(name, end) for name in node.inputs if name]) for end in ends]
    zero, one = (end.reshape(-1).double().numpy() for end in ends)
    return one - zero, zero


class Plan(NamedTuple):
    """Which tensors become values, by name, and the last layer's name."""

    members: dict[str, Member]
    pooled_values: list[Node]
    last: str

    def root(self, point: str) -> str:
        """The first of the values that are added one to the other."""
        while self.members[point].source:
            point = self.members[point].source
        return point

    def gain(self, graph: Graph, point: str, channels: int) -> np.ndarray:
        """What one of the root's value is worth in the tensor of `point`, (C,)."""
        member = self.members[point]
        if not member.source:
            return np.ones(channels)
        nodes = self.members[member.source].after + member.between
        return np.asarray(self.gain(graph, member.source, channels) * line_of(graph, nodes, channels)[0])


def _few_levels(graph: Graph, node: Node) -> bool:
    """Whether a node gives so few levels that they are planes."""
    if node.operator in ("BipolarQuant", "Sign", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        return True
    if node.operator in ("Quant", "IntQuant"):
        return float(graph.constants[node.inputs[3]]) <= 2
    return node.operator == "MultiThreshold" and graph.constants[node.inputs[1]].shape[1] <= MAX_THRESHOLDS


def plan_values(graph: Graph) -> Plan:
    """Find the values: what two layers add, their sum, and what is averaged.

    Raises:
        GraphError: a graph without a layer.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in set(node.inputs):
            readers.setdefault(name, []).append(node)
    origin: dict[str, Node | None] = {graph.input: None}
    adds: list[Node] = []
    averages: list[Node] = []
    layers = [node for node in graph.nodes if node.operator in LINEAR]
    if not layers:
        raise GraphError(f"{graph.name}: has no layers, expected some of {', '.join(LINEAR)}")
    for node in graph.nodes:
        given = [name for name in node.inputs if name in origin]
        roots = {id(origin[name]): origin[name] for name in given}
        if node.operator in LINEAR:
            origin[node.output] = node
        elif node.operator in AVERAGES and (node.operator != "AveragePool"):
            averages.append(node)
            origin[node.output] = node
        elif len(roots) > 1:
            if node.operator == "Add":
                adds.append(node)
            origin[node.output] = node
        else:
            origin[node.output] = next(iter(roots.values()), None)

    def trunk(start: str) -> tuple[str, tuple[Node, ...]]:
        """The last tensor up to which only one node reads the one before, element by element."""
        tensor, path = start, []
        while tensor != graph.output and len(readers.get(tensor, [])) == 1:
            node = readers[tensor][0]
            single = sum(name in origin for name in node.inputs) == 1
            if not (node.operator in ELEMENTWISE and single or node.operator == "MaxPool") or _few_levels(graph, node):
                break
            path.append(node)
            tensor = node.output
        while path and path[-1].operator in AFFINE:  # a value ends where it is last rounded or clipped
            path.pop()
        return path[-1].output if path else start, tuple(path)

    def alone(start: str, end: str) -> bool:
        """Whether only one node reads each tensor from `start` up to `end`."""
        while start != end and len(readers.get(start, [])) == 1:
            start = readers[start][0].output
        return start == end and len(readers[end]) == 1

    order = {node.name: number for number, node in enumerate(graph.nodes)}
    writer = {node.output: node for node in graph.nodes}
    members: dict[str, Member] = {}
    pooled: list[Node] = []

    def add_member(start: Node) -> str:
        end, path = trunk(start.output)
        relu = any(node.operator == "Relu" for node in path)
        pooled.extend(node for node in path if node.operator == "MaxPool")
        if start in adds:
            members[end] = Member(start.output, path, relu)
        else:
            members[end] = Member(end, (), relu)
        return end

    def between(start: str, end: str) -> tuple[Node, ...]:
        path: list[Node] = []
        while end != start:
            path.append(writer[end])
            end = next(name for name in path[-1].inputs if name in origin)
        return tuple(path[::-1])

    for node in adds:
        operands = [name for name in node.inputs if name in origin]
        own = []
        for name in operands:
            source = origin[name]
            if source is not None and source.operator in LINEAR and alone(source.output, name):
                own.append((order[source.name], name))
        main = max(own)[1] if own else ""
        point = add_member(node)
        for name in operands:
            source = origin[name]
            if name != main and source is not None:
                added = add_member(source) if source not in adds else trunk(source.output)[0]
                members[point] = members[point]._replace(source=added, between=between(added, name))
    for node in averages:
        source = origin[node.inputs[0]]
        if source is not None and source not in averages and source not in adds:
            add_member(source)
    return Plan(members, pooled, layers[-1].name)


class Seen(NamedTuple):
    """What images were seen to do."""

    ranges: dict[str, tuple[np.ndarray, np.ndarray]]
    """Least and greatest number (C,) of what may become a value, but for what is rare."""
    moments: dict[str, tuple[np.ndarray, np.ndarray]]
    """Mean (n,) and covariance (n, n) of what one output of the first and of the last layer multiplies, by its name, as
    the layer's weights (O, n) are ordered."""


SPREAD = 3.5
"""Standard deviations about the mean that a value reaches: what is rare saturates, what is frequent is finer."""


def see(graph: Graph, images: np.ndarray) -> Seen:
    """Run a graph over images uint8 (N, H, W, C)."""
    plan = plan_values(graph)
    ends = [next(node for node in graph.nodes if node.operator in LINEAR)]
    ends.append(next(node for node in graph.nodes if node.name == plan.last))
    ranged = {member.tensor for member in plan.members.values()} | {ends[1].inputs[0]}
    parts: dict[str, list[list[np.ndarray]]] = {name: [] for name in ranged}
    sums: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), BATCH):
        found = run(graph, images[start : start + BATCH], {*ranged, *(node.inputs[0] for node in ends)})
        for name in ranged:
            numbers = found[name].astype(np.float64)
            axes = tuple(axis for axis in range(numbers.ndim) if axis != 1)
            count = np.full(numbers.shape[1], numbers.size / numbers.shape[1])
            parts[name].append([numbers.min(axes), numbers.max(axes), count, numbers.sum(axes), (numbers**2).sum(axes)])
        for node in ends:
            rows = _multiplied(graph, node, found[node.inputs[0]]).astype(np.float64)
            more = [np.array(float(len(rows))), rows.sum(0), rows.T @ rows]
            before = sums.get(node.name, [np.zeros_like(part) for part in more])
            sums[node.name] = [left + right for left, right in zip(before, more, strict=True)]
    ranges, moments = {}, {}
    for name, rows_of in parts.items():
        lows, highs, counts, totals, squares = (np.stack(column) for column in zip(*rows_of, strict=True))
        mean = totals.sum(0) / counts.sum(0)
        reach = SPREAD * np.sqrt(np.maximum(squares.sum(0) / counts.sum(0) - mean**2, 0))
        ranges[name] = np.maximum(lows.min(0), mean - reach), np.minimum(highs.max(0), mean + reach)
    for name, (count, total, square) in sums.items():
        mean = total / count
        moments[name] = mean, square / count - np.outer(mean, mean)
    return Seen(ranges, moments)


def _multiplied(graph: Graph, node: Node, numbers: np.ndarray) -> np.ndarray:
    """The inputs (rows, n) of single outputs of a layer: patches, channels innermost, or the vectors themselves."""
    if node.operator != "Conv":
        return numbers
    strides, pads = window(node)
    kernel = graph.constants[node.inputs[1]].shape[2]
    x = F.pad(torch.from_numpy(numbers), [pads[1], pads[3], pads[0], pads[2]])
    patches = F.unfold(x, kernel, stride=(strides[0], strides[1])).transpose(1, 2)
    count = patches.shape[2] // kernel**2
    found = patches.reshape(-1, count, kernel**2).transpose(1, 2)
    return np.asarray(found.reshape(len(found), -1).numpy())
