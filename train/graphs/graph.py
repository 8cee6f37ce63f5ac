"""A network as a graph of floating-point operators, and what they compute, in torch.

ONNX files, MXNet's symbols and traced modules become such a graph, which `train.graphs.lowering` makes a model of;
`run` is the reference that the model's scores are compared with. Operators have the names and the meaning that ONNX
gives them, and QONNX's quantisers theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from bnn.errors import ExpectedError
from bnn.geometry import Shape
from bnn.text import first_line


class GraphError(ExpectedError):
    """A graph has something that cannot be read or expressed; the message names node, operator and shape."""


@contextmanager
def refusing(what: str, *passed: type[Exception]) -> Iterator[None]:
    """Makes a GraphError of whatever a stranger's numbers let numpy, torch or protobuf raise; they raise many kinds.

    Args:
        what: cannot be read or expressed then.
        passed: exceptions that are no errors here.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (ExpectedError, *passed)):
            raise
        raise GraphError(f"{what} ({type(error).__name__}: {first_line(error)[:120]})") from error


@dataclass(frozen=True)
class Node:
    """An operator; of its outputs only the first is computed."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    """Names of tensors; "": left out."""
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"node {self.name} ({self.operator})"


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, each behind those it reads.

    The input is a batch of images, (N, C, H, W), (N, H, W, C) or flat (N, C * H * W); `shape` is that without N.
    """

    name: str
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    input: str
    shape: tuple[int, ...]
    output: str
    divisor: float = 255.0
    """What the pixels 0 to 255 are divided by before the graph reads them."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What came with it: of a model's own name, classes and meta."""


Arguments = list[Tensor]
_Operator = Callable[[Node, Arguments], Tensor]


def _torch_type(onnx_type: int) -> torch.dtype:
    """Of ONNX's number of an element type."""
    return {
        1: torch.float32,
        2: torch.uint8,
        3: torch.int8,
        5: torch.int16,
        6: torch.int32,
        7: torch.int64,
        9: torch.bool,
        10: torch.float32,
        11: torch.float64,
    }[onnx_type]


def _along(vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """A vector along an axis of `x`; numbers as they are."""
    if vector.dim() != 1 or vector.numel() == 1:
        return vector.reshape(()) if vector.numel() == 1 else vector
    shape = [1] * x.dim()
    shape[axis] = -1
    return vector.reshape(shape)


def _batch_norm(node: Node, a: Arguments) -> Tensor:
    x, weight, bias, mean, variance = a
    gain = weight / torch.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    found: Tensor = x * _along(gain, x, 1) + _along(bias - mean * gain, x, 1)
    return found


def _rounded(x: Tensor, mode: str) -> Tensor:
    modes: dict[str, Callable[[Tensor], Tensor]] = {
        "ROUND": torch.round,
        "HALF_EVEN": torch.round,
        "FLOOR": torch.floor,
        "CEIL": torch.ceil,
    }
    if mode.upper() not in modes:
        raise GraphError(f"rounding mode {mode} is unknown, expected one of {', '.join(modes)}")
    return modes[mode.upper()](x)


def quant_limits(bits: float, signed: bool, narrow: bool) -> tuple[int, int]:
    """Least and greatest integer of QONNX's Quant."""
    levels = 1 << int(bits)
    if signed:
        return -levels // 2 + int(narrow), levels // 2 - 1
    return 0, levels - 1 - int(narrow)


def _quant(node: Node, a: Arguments) -> Tensor:
    x, scale, zero, bits = a
    signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    codes = x / scale + zero
    if float(bits) == 1 and signed:
        codes = torch.where(codes >= 0, 1.0, -1.0).to(x.dtype)
    else:
        codes = codes.clamp(*quant_limits(float(bits), signed, narrow))
        codes = _rounded(codes, node.attributes.get("rounding_mode", "ROUND"))
    found: Tensor = (codes - zero) * scale
    return found


def _multi_threshold(node: Node, a: Arguments) -> Tensor:
    x, limits = a
    channels_last = x.dim() > 2 and str(node.attributes.get("data_layout", "NCHW")).endswith("C")
    total = torch.zeros_like(x)
    for column in limits.unbind(1):
        total = total + (x >= _along(column, x, -1 if channels_last else 1)).to(x.dtype)
    found: Tensor = total * node.attributes.get("out_scale", 1.0) + node.attributes.get("out_bias", 0.0)
    return found


def _quantize_linear(node: Node, a: Arguments) -> Tensor:
    x, scale = a[:2]
    axis = node.attributes.get("axis", 1)
    zero = a[2] if len(a) > 2 else torch.zeros((), dtype=torch.uint8)
    limits = torch.iinfo(zero.dtype)
    codes = torch.round(x / _along(scale, x, axis)) + _along(zero.to(x.dtype), x, axis)
    return codes.clamp(limits.min, limits.max)


def _dequantize_linear(node: Node, a: Arguments) -> Tensor:
    x, scale = a[0].to(a[1].dtype), a[1]
    axis = node.attributes.get("axis", 1)
    zero = _along(a[2].to(scale.dtype), x, axis) if len(a) > 2 else 0
    return (x - zero) * _along(scale, x, axis)


def _clip(node: Node, a: Arguments) -> Tensor:
    low, high = clip_limits(node, a[1:])
    return a[0].clamp(low, high)


def clip_limits(node: Node, limits: Iterable[Tensor | None]) -> tuple[float, float]:
    """The limits of a Clip, of its inputs or of its attributes."""
    low, high = [*limits, None, None][:2]
    given = node.attributes
    return (
        float(given.get("min", -np.inf)) if low is None else float(low),
        float(given.get("max", np.inf)) if high is None else float(high),
    )


ELEMENTWISE: dict[str, _Operator] = {
    "Abs": lambda node, a: a[0].abs(),
    "Add": lambda node, a: a[0] + a[1],
    "BatchNormalization": _batch_norm,
    "BipolarQuant": lambda node, a: torch.where(a[0] >= 0, 1.0, -1.0).to(a[0].dtype) * a[1],
    "Cast": lambda node, a: a[0].to(_torch_type(node.attributes["to"])),
    "Ceil": lambda node, a: a[0].ceil(),
    "Clip": _clip,
    "DequantizeLinear": _dequantize_linear,
    "Div": lambda node, a: a[0] / a[1],
    "Dropout": lambda node, a: a[0],
    "Floor": lambda node, a: a[0].floor(),
    "Greater": lambda node, a: a[0] > a[1],
    "GreaterOrEqual": lambda node, a: a[0] >= a[1],
    "HardTanh": lambda node, a: a[0].clamp(-1, 1),
    "Identity": lambda node, a: a[0],
    "IntQuant": _quant,
    "Less": lambda node, a: a[0] < a[1],
    "LessOrEqual": lambda node, a: a[0] <= a[1],
    "Mul": lambda node, a: a[0] * a[1],
    "MultiThreshold": _multi_threshold,
    "Neg": lambda node, a: -a[0],
    "Pow": lambda node, a: a[0] ** a[1],
    "Quant": _quant,
    "QuantizeLinear": _quantize_linear,
    "Relu": lambda node, a: a[0].clamp(min=0),
    "Round": lambda node, a: a[0].round(),
    "Sigmoid": lambda node, a: a[0].sigmoid(),
    "Sign": lambda node, a: a[0].sign(),
    "Sqrt": lambda node, a: a[0].sqrt(),
    "Sub": lambda node, a: a[0] - a[1],
    "Tanh": lambda node, a: a[0].tanh(),
    "Where": lambda node, a: torch.where(a[0].bool(), a[1], a[2]),
}
"""Operators that compute every element of their output of one element of each input."""


def _integers(a: Tensor) -> list[int]:
    return [int(value) for value in a.reshape(-1).tolist()]


def _axes(node: Node, a: Arguments) -> list[int]:
    axes = node.attributes.get("axes")
    return list(axes) if axes is not None else _integers(a[1]) if len(a) > 1 else []


def _reshape(node: Node, a: Arguments) -> Tensor:
    sizes = [a[0].shape[index] if size == 0 else size for index, size in enumerate(_integers(a[1]))]
    if sizes[0] == 1:  # of a graph for a batch of one
        sizes[0] = a[0].shape[0]
    return a[0].reshape(sizes)


def _flatten(node: Node, a: Arguments) -> Tensor:
    axis = node.attributes.get("axis", 1) % (a[0].dim() + 1)
    return a[0].reshape(int(np.prod(a[0].shape[:axis])), -1)


def _squeeze(node: Node, a: Arguments) -> Tensor:
    axes = _axes(node, a) or [axis for axis, size in enumerate(a[0].shape) if size == 1]
    for axis in sorted((axis % a[0].dim() for axis in axes), reverse=True):
        a = [a[0].squeeze(axis)]
    return a[0]


def _unsqueeze(node: Node, a: Arguments) -> Tensor:
    axes, x = _axes(node, a), a[0]
    for axis in sorted(axis % (a[0].dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


LAYOUT: dict[str, _Operator] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": lambda node, a: a[0].permute(list(node.attributes.get("perm", range(a[0].dim())[::-1]))),
    "Unsqueeze": _unsqueeze,
}
"""Operators that only move elements."""


def window(node: Node, dimensions: int = 2) -> tuple[list[int], list[int]]:
    """Strides and pads (begin and end of each axis) of a convolution or pool."""
    given = node.attributes
    if str(given.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise GraphError(f"{node}: auto_pad is {given['auto_pad']}, expected explicit pads")
    strides = list(given.get("strides", [1] * dimensions))
    return strides, list(given.get("pads", [0] * 2 * dimensions))


def _edges(pads: list[int]) -> list[int]:
    """ONNX's begin and end of each axis as torch orders them."""
    half = len(pads) // 2
    return [size for axis in range(half - 1, -1, -1) for size in (pads[axis], pads[axis + half])]


def _conv(node: Node, a: Arguments) -> Tensor:
    strides, pads = window(node)
    given = node.attributes
    x = F.pad(a[0], _edges(pads))
    bias = a[2] if len(a) > 2 else None
    return F.conv2d(x, a[1], bias, strides, 0, list(given.get("dilations", [1, 1])), given.get("group", 1))


def _gemm(node: Node, a: Arguments) -> Tensor:
    given = node.attributes
    left = a[0].T if given.get("transA") else a[0]
    right = a[1].T if given.get("transB") else a[1]
    found: Tensor = given.get("alpha", 1.0) * (left @ right)
    if len(a) > 2:
        found = found + given.get("beta", 1.0) * a[2]
    return found


def _max_pool(node: Node, a: Arguments) -> Tensor:
    strides, pads = window(node)
    x = F.pad(a[0], _edges(pads), value=-torch.inf) if any(pads) else a[0]
    return F.max_pool2d(
        x, list(node.attributes["kernel_shape"]), strides, ceil_mode=bool(node.attributes.get("ceil_mode"))
    )


def _average_pool(node: Node, a: Arguments) -> Tensor:
    strides, pads = window(node)
    if any(pads):
        raise GraphError(f"{node}: pads are {pads}, expected none")
    return F.avg_pool2d(a[0], list(node.attributes["kernel_shape"]), strides)


def _reduce(node: Node, a: Arguments) -> Tensor:
    axes = _axes(node, a) or list(range(a[0].dim()))
    keep = bool(node.attributes.get("keepdims", 1))
    return a[0].mean(axes, keep) if node.operator == "ReduceMean" else a[0].sum(axes, keep)


def _pad(node: Node, a: Arguments) -> Tensor:
    pads = node.attributes.get("pads")
    edges = list(pads) if pads is not None else _integers(a[1])
    value = float(a[2]) if len(a) > 2 else float(node.attributes.get("value", 0.0))
    if str(node.attributes.get("mode", "constant")) != "constant":
        raise GraphError(f"{node}: mode is {node.attributes['mode']}, expected constant")
    return F.pad(a[0], _edges(edges), value=value)


def _slice(node: Node, a: Arguments) -> Tensor:
    x, starts, ends = a[0], _integers(a[1]), _integers(a[2])
    axes = _integers(a[3]) if len(a) > 3 else list(range(len(starts)))
    steps = _integers(a[4]) if len(a) > 4 else [1] * len(starts)
    where = [slice(None)] * x.dim()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        where[axis] = slice(start, end, step)
    return x[tuple(where)]


OTHERS: dict[str, _Operator] = {
    "AveragePool": _average_pool,
    "Concat": lambda node, a: torch.cat(a, node.attributes["axis"]),
    "Conv": _conv,
    "Gather": lambda node, a: a[0].movedim(node.attributes.get("axis", 0), 0)[a[1].long()],
    "Gemm": _gemm,
    "GlobalAveragePool": lambda node, a: a[0].mean((2, 3), True),
    "MatMul": lambda node, a: a[0] @ a[1],
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "Shape": lambda node, a: torch.tensor(a[0].shape),
    "Slice": _slice,
}
OPERATORS = {**ELEMENTWISE, **LAYOUT, **OTHERS}


MAX_ELEMENTS = 1 << 22
"""Elements of a tensor of one image, where no constant has more: what a few bytes of a file say can be any size."""


def _at_most(item: Any) -> int:
    """A bound on the elements that an operation makes of an argument: no result has more than the product over all."""
    if isinstance(item, Tensor):
        return 1 + math.prod(max(1, size) for size in item.shape)  # what is empty may be padded
    if isinstance(item, int):
        return 1 + abs(item)
    return math.prod(map(_at_most, item)) if isinstance(item, (list, tuple)) else 1


class _Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every result's size is looked at before it is computed: `most` elements are let through.

    Torch tells sizes by a tensor without memory, which takes long: only where `_at_most` does not tell enough.
    """

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}

        def shape_alone(item: Any) -> Any:
            return item.to("meta") if isinstance(item, Tensor) else item

        if _at_most((args, tuple(kwargs.values()))) > self.most:
            try:
                seen = func(*tree_map(shape_alone, args), **tree_map(shape_alone, kwargs))
            except NotImplementedError:  # a number of a tensor
                seen = None
            for item in tree_leaves(seen):
                if isinstance(item, Tensor) and item.numel() > self.most:
                    raise ValueError(f"gives {list(item.shape)}, expected at most {self.most} elements")
        return func(*args, **kwargs)


@torch.no_grad()
def apply(node: Node, arguments: Arguments, bounded: bool = False) -> Tensor:
    """What a node computes.

    Args:
        node: the node.
        arguments: its inputs.
        bounded: whether they are of one image, and what is computed may not be large: the node is a stranger's.

    Raises:
        GraphError: unknown operator, or one that does not fit its inputs, or gives more than MAX_ELEMENTS; names the
            node and the shapes.
    """
    shapes = " and ".join(str(list(argument.shape)) for argument in arguments)
    if node.operator not in OPERATORS:
        raise GraphError(f"{node} of {shapes}: operator is unknown, expected one of {', '.join(sorted(OPERATORS))}")
    most = max([MAX_ELEMENTS, *(argument.numel() for argument in arguments)])
    try:
        with _Bounded(most) if bounded else nullcontext():
            return OPERATORS[node.operator](node, arguments)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise GraphError(f"{node} of {shapes}: cannot be computed ({type(error).__name__}: {reason[:120]})") from None


READ = {"Clip": (1, 2), "IntQuant": (3,), "Pad": (1, 2), "Quant": (3,), "ReduceMean": (1,), "ReduceSum": (1,)}
"""Inputs whose numbers, not their sizes alone, say how large an output is, or are looked at on the way."""
SIZED = {*ELEMENTWISE, *READ, "AveragePool", "Concat", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool"}
"""Operators whose output's size torch tells without computing it."""


def outlined(node: Node, arguments: Arguments) -> Tensor:
    """What a node's output looks like, for one image: zeros that take no memory, however many.

    Args:
        node: a stranger's.
        arguments: its inputs; what depends on the image as this function gives it.

    Raises:
        GraphError: as `apply`'s.
    """
    if node.operator in SIZED:
        read = READ.get(node.operator, ())
        arguments = [item if index in read else item.to("meta") for index, item in enumerate(arguments)]
    found = apply(node, arguments, bounded=True)
    return torch.zeros((), dtype=found.dtype).expand(found.shape)


def _tensor(array: np.ndarray) -> Tensor:
    """A copy: constants may not be writable."""
    return torch.from_numpy(np.array(array))


class Builder:
    """A graph as its nodes are added, in topological order.

    Args:
        name: of the input.
        size: of the images, (H, W, C); the input has them as (N, C, H, W).
    """

    def __init__(self, name: str, size: Shape) -> None:
        height, width, channels = size
        self.input = name
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.seen: dict[str, Tensor] = {name: torch.zeros(()).expand(1, channels, height, width)}
        """What each tensor looks like, for a batch of one."""

    def add(self, name: str, operator: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node, under another name where that is taken; gives its output's name.

        Raises:
            GraphError: it does not fit its inputs.
        """
        while f"{name}:out" in self.seen:
            name += "'"
        node = Node(name, operator, tuple(inputs), f"{name}:out", attributes)
        given = [self.seen[item] if item in self.seen else _tensor(self.constants[item]) for item in inputs]
        self.seen[node.output] = outlined(node, given)
        self.nodes.append(node)
        return node.output

    def graph(self, name: str, output: str, divisor: float) -> Graph:
        """What was added."""
        shape = tuple(self.seen[self.input].shape[1:])
        return Graph(name, tuple(self.nodes), self.constants, self.input, shape, output, divisor)


@torch.no_grad()
def run(graph: Graph, images: np.ndarray, wanted: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Tensors of a graph for images.

    Args:
        graph: the graph.
        images: uint8 (N, H, W, C).
        wanted: names of tensors beside the output.

    Returns:
        by name, the output among them.
    """
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    if len(graph.shape) == 1 or graph.shape[0] == images.shape[3]:
        x = x.permute(0, 3, 1, 2).contiguous()
    x = x.reshape(len(x), *graph.shape)
    tensors: dict[str, Tensor] = {name: _tensor(array) for name, array in graph.constants.items()}
    tensors[graph.input] = x / graph.divisor
    keep = {graph.output, *wanted}
    last_reader = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    for index, node in enumerate(graph.nodes):
        tensors[node.output] = apply(node, [tensors[name] for name in node.inputs if name])
        for name in set(node.inputs) - keep:
            if name and last_reader[name] == index and name not in graph.constants:
                del tensors[name]
    return {name: tensors[name].numpy() for name in keep}
