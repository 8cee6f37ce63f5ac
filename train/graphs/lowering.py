"""A graph of floating-point operators as an integer model.

Every tensor is a function, element by element, of the integers that one layer gives: of its sums, or of its value. What
stands between two layers is therefore evaluated on all the integers that can occur, as the trained network would, and
the thresholds are read off; nothing is derived. Moving elements about only changes which of them an element is.

What is exact stays exact. Where a graph has real numbers that integers of 8 bits only come near to (weights of the
first and the last layer, activations of more than four levels, sums over shortcuts), the model rounds them;
`Lowered.losses` says where, and the caller measures what that costs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnn.geometry import POOL, Shape, Spec, step
from bnn.layers import INPUT, Layer, Model, bit_shifts
from bnn.rules import KERNELS, MAX_FAN_IN, shapes
from train.graphs.emission import Emitter
from train.graphs.graph import ELEMENTWISE, LAYOUT, MAX_ELEMENTS, Graph, GraphError, Node, apply, refusing, window
from train.graphs.lines import TOLERANCE, Line, through
from train.graphs.signals import Base, Draft, NeedsTwin, Operand, Signal, evaluate, positions
from train.graphs.values import AVERAGES, LINEAR, Seen, see
from train.graphs.weights import Ends, decompose, levels_of, unit_of_levels


class Lowered(NamedTuple):
    """A model, and where it is not exactly the graph."""

    model: Model
    losses: tuple[str, ...]


MAX_HELD = 4 * MAX_ELEMENTS
"""Elements, of one image, of all tensors that are still read, but for what nodes make of them element by element."""
MOST_CHANNELS = 1 << 12
"""Of an image."""


class _Lowering(Emitter):
    """One pass over a graph."""

    table: np.ndarray | None = None

    def __init__(self, graph: Graph, size: Shape, twins: frozenset[str], seen: Seen | None, ends: Ends) -> None:
        super().__init__(graph, size, twins, seen, ends)
        self.operands: dict[tuple[int, int], Operand] = {}
        self.kept: list[Any] = []  # what `operands` knows by identity

    def run(self) -> Layer:
        """Lower every node; gives the last layer."""
        graph = self.graph
        pixels = Base("pixels", self.size, 0, 255)
        channels, flat = self.size[2], len(graph.shape) == 1
        index = np.arange(int(np.prod(self.size))).reshape(self.size)
        if flat or graph.shape[0] == channels:
            index = index.transpose(2, 0, 1)
        divisor = graph.divisor

        def scaled(numbers: Tensor) -> Tensor:
            return numbers.float() / divisor

        line = Line(np.full(channels, 1 / divisor), np.zeros(channels))
        self.signals[graph.input] = Signal(pixels, index.reshape(graph.shape), scaled, line)
        last_reader = {name: number for number, node in enumerate(graph.nodes) for name in node.inputs}
        last_reader.update({name: len(graph.nodes) for name in (*graph.nodes[-1].inputs, graph.output)})
        for number, node in enumerate(graph.nodes):
            with refusing(f"{node}: cannot be expressed", NeedsTwin):
                signal = self.lower(node)
                if node.output in self.plan.members:
                    signal = self.value(node, signal)
            self.signals[node.output] = signal
            self.check_held(node)
            for name in set(node.inputs):
                if name in self.signals and last_reader[name] == number:
                    del self.signals[name]
        if graph.output not in self.signals:
            raise GraphError(f"{graph.name}: output {graph.output} is given by no node, expected one")
        with refusing(f"{graph.name}: scores cannot be expressed", NeedsTwin):
            return self.scores(graph.nodes[-1], self.signals[graph.output])

    def check_held(self, node: Node) -> None:
        """Refuse a node that moves elements where too many tensors wait for those that read them."""
        if node.operator not in ELEMENTWISE:
            held = {id(item.index): item.index.size for item in self.signals.values()}
            if sum(held.values()) > MAX_HELD:
                what = "would be kept with others that are read later"
                raise self.refuse(node, f"{what}, {sum(held.values())} elements, expected at most {MAX_HELD}")

    def lower(self, node: Node) -> Signal:
        given = [name for name in node.inputs if name in self.signals]
        signals = [self.signals[name] for name in given]
        if node.operator in ELEMENTWISE:
            return self.elementwise(node, signals)
        if len(given) != 1:
            raise self.refuse(node, f"reads {len(given)} tensors that depend on the image, expected one")
        signal = signals[0]
        if node.operator in LAYOUT:
            return self.moved(node, signal)
        if node.operator in LINEAR:
            return self.linear(node, signal)
        if node.operator == "MaxPool":
            return self.pooled(node, signal)
        if node.operator == "Pad":
            return self.padded(node, signal)
        if node.operator in AVERAGES:
            return self.averaged(node, signal)
        if node.operator == "Slice":
            return self.skipped(node, signal)
        if node.operator == "Gather" and signal.base.kind == "pixels" and node.inputs[1] in self.signals:
            table = torch.from_numpy(np.array(self.graph.constants[node.inputs[0]]))
            if table.dim() == 1 and len(table) >= 256:
                before = signal.function
                return replace(signal, function=lambda n: table[before(n).long()], line=None)
        accepted = ", ".join([*sorted(ELEMENTWISE), *sorted(LAYOUT), *LINEAR, *AVERAGES, "MaxPool", "Pad", "Slice"])
        raise self.refuse(node, f"cannot be expressed here, expected one of {accepted}")

    def moved(self, node: Node, signal: Signal) -> Signal:
        if signal.border:
            raise self.refuse(node, "stands behind a Pad, expected a Conv there")
        arguments = [torch.from_numpy(signal.index[None].copy())]
        arguments += [torch.from_numpy(np.array(self.graph.constants[name])) for name in node.inputs[1:] if name]
        index = apply(node, arguments).numpy()
        if index.shape[0] != 1:
            raise self.refuse(node, f"gives {list(index.shape)}, expected the batch to stay the first axis")
        return replace(signal, index=index[0])

    def is_map(self, signal: Signal) -> bool:
        """Whether it is the whole map as (C, H, W)."""
        return np.array_equal(signal.index, positions(signal.base.shape))

    def padded(self, node: Node, signal: Signal) -> Signal:
        constants = [self.graph.constants[name] for name in node.inputs[1:] if name]
        edges = [int(edge) for edge in (constants[0] if constants else node.attributes["pads"])]
        value = float(constants[1].reshape(-1)[0]) if len(constants) > 1 else float(node.attributes.get("value", 0))
        rank = signal.index.ndim + 1
        wanted = f"pads are {edges}, expected equal ones of height and width"
        if len(edges) != 2 * rank:
            raise self.refuse(node, wanted)
        if edges[1 + rank] and not any(edges[:rank]) and not any(edges[rank + 2 :]) and value == 0:
            base = signal.base  # channels that a shortcut lacks
            if base.kind != "value":
                raise self.refuse(node, "adds channels, expected only to a shortcut's value")
            return signal
        sides = {*edges[2:4], *edges[rank + 2 :]}
        if rank != 4 or len(sides) != 1 or any(edges[:2]) or any(edges[4:6]) or signal.border:
            raise self.refuse(node, wanted)
        return replace(signal, border=(sides.pop(), value))

    def skipped(self, node: Node, signal: Signal) -> Signal:
        """Every second row and column, of a shortcut."""
        base = signal.base
        index = apply(
            node,
            [torch.from_numpy(signal.index[None].copy())]
            + [torch.from_numpy(np.array(self.graph.constants[name])) for name in node.inputs[1:]],
        ).numpy()[0]
        half = positions(base.shape)[:, ::2, ::2]
        if base.kind != "value" or base.shrunk or not self.is_map(signal) or not np.array_equal(index, half):
            raise self.refuse(node, "is not every second row and column of a shortcut, expected that")
        return self.shrunk(signal, "skip")

    def shrunk(self, signal: Signal, how: str) -> Signal:
        height, width, channels = signal.base.shape
        shape = ((height + 1) // 2, (width + 1) // 2, channels)
        return replace(signal, base=replace(signal.base, shape=shape, shrunk=how), index=positions(shape))

    def per_channel(self, node: Node, constant: np.ndarray, signal: Signal) -> np.ndarray:
        """A constant as numbers or a vector (C,) of the base's channels."""
        if constant.size == 1:
            return constant.reshape(())
        shape = (1, *signal.index.shape)
        try:
            full = np.broadcast_to(constant, shape)[0]
        except ValueError:
            raise self.refuse(node, f"constant of {list(constant.shape)} does not fit {list(shape)}") from None
        channels = signal.base.channels
        channel = (signal.index % channels).reshape(-1)
        vector = np.zeros(channels, constant.dtype)
        vector[channel] = full.reshape(-1)
        if not np.array_equal(vector[channel], full.reshape(-1), equal_nan=True):
            raise self.refuse(node, "constant differs within a channel, expected one number per channel")
        return vector

    def parameters(self, node: Node, signal: Signal) -> list[Any]:
        """The node's constants as the function of (S, C) takes them; None where the tensor stands."""
        found: list[Any] = []
        axis = -1 if str(node.attributes.get("data_layout", "NCHW")).endswith("C") else 1
        if node.operator in ("QuantizeLinear", "DequantizeLinear"):
            axis = node.attributes.get("axis", 1)
        if node.operator == "BatchNormalization":
            axis = 1
        along = [1] * (signal.index.ndim + 1)
        along[axis] = -1
        for name in node.inputs:
            if not name:
                continue
            if name in self.signals:
                found.append(None)
                continue
            constant = self.graph.constants[name]
            if node.operator == "MultiThreshold":
                if constant.ndim != 2:
                    raise self.refuse(node, f"thresholds are {list(constant.shape)}, expected (C, K)")
                columns = [self.per_channel(node, column.reshape(along), signal) for column in constant.T]
                found.append(np.stack([np.broadcast_to(column, signal.base.channels) for column in columns], axis=1))
                continue
            vectors = ("BatchNormalization", "QuantizeLinear", "DequantizeLinear")
            if node.operator in vectors and constant.ndim == 1:
                constant = constant.reshape(along)
            found.append(self.per_channel(node, constant, signal))
        return found

    def elementwise(self, node: Node, signals: list[Signal]) -> Signal:
        signal = signals[0]
        if any(item.border for item in signals):
            raise self.refuse(node, "stands behind a Pad, expected a Conv there")
        if len(signals) > 1:
            if any(item.base is not signal.base for item in signals):
                return self.added(node, signals)
            if any(not np.array_equal(item.index, signal.index) for item in signals):
                raise self.refuse(node, "joins elements of different places, expected the same")
        parameters = self.parameters(node, signal)
        functions = iter([item.function for item in signals])
        arguments = [next(functions) if item is None else torch.from_numpy(np.array(item)) for item in parameters]
        # attributes that name axes are those of (S, C)
        plain = replace(node, attributes={**node.attributes, "axis": 1, "data_layout": "NC"})

        def function(numbers: Tensor) -> Tensor:
            values = [item(numbers) if callable(item) else item for item in arguments]
            if node.operator in ("BatchNormalization", "MultiThreshold", "QuantizeLinear", "DequantizeLinear"):
                values[0] = values[0].expand(-1, signal.base.channels)
            return apply(plain, values)

        line = signal.line if len(signals) == 1 else None
        return replace(signal, function=function, line=None if line is None else through(node, line, parameters))

    def added(self, node: Node, signals: list[Signal]) -> Signal:
        """A layer's sums, and the value of another."""
        if node.operator != "Add" or len(signals) != 2:
            raise self.refuse(node, "joins two layers, expected an Add of a layer and a shortcut")
        own, other = sorted(signals, key=lambda item: item.base.kind == "value")
        if own.base.kind != "sums" or other.base.kind != "value" or own.base.draft is None:
            raise self.refuse(node, "joins two shortcuts, expected a layer's own sums and one shortcut")
        draft = own.base.draft
        if draft.pool or draft.kind == "average":
            raise self.refuse(node, "adds a shortcut behind a pool, expected a layer without one")
        shortcut = other.line
        if shortcut is not None and other.base.shrunk == "average":
            shortcut = self.rounded_half_up(node, shortcut)
        plain = shortcut is not None and not shortcut.mode and not np.isfinite([shortcut.low, shortcut.high]).any()
        if own.line is None or shortcut is None or not plain:
            raise self.refuse(node, "adds what is no scaled sum, or no shortcut's value, expected those")
        shape = own.base.shape
        if other.base.shape[:2] != shape[:2] or other.base.channels > shape[2]:
            raise self.refuse(
                node, f"adds {other.base.shape} to {shape}, expected the same size, or half by Slice or AveragePool"
            )
        draft = replace(
            draft,
            inputs=(draft.inputs[0], other.base.layer),
            average_shortcut=other.base.shrunk == "average",
        )
        base = Base("stream", shape, 0, 0, draft, added=(own, shortcut))
        channels = shape[2]

        def function(numbers: Tensor) -> Tensor:
            raise self.refuse(node, "is read as bits before it is a value, expected an operator that rounds it")

        return Signal(base, own.index, function, Line(np.ones(channels), np.zeros(channels)))

    def rounded_half_up(self, node: Node, line: Line) -> Line:
        """The line of a 2x2 mean that the graph rounds half up in the value's unit, as the model does; else a loss."""
        if line.mode == "floor" and np.allclose(line.gain, 1) and np.allclose(line.bias, 0.5):
            return Line(np.full_like(line.gain, line.unit), np.full_like(line.bias, line.zero))
        if not line.mode:
            self.lose(f"{node}: the mean of a shortcut is rounded")
        return line

    def pooled(self, node: Node, signal: Signal) -> Signal:
        base, given = signal.base, node.attributes
        strides, pads = window(node)
        kernel = list(given["kernel_shape"])
        if kernel == [1, 1] and strides == [1, 1]:
            return signal
        if kernel != [POOL, POOL] or strides != [POOL, POOL] or any(pads) or given.get("ceil_mode"):
            raise self.refuse(
                node, f"kernel is {kernel}, strides {strides}, pads {pads}, expected 2x2, stride 2, no pads"
            )
        if base.kind != "sums" or base.draft is None or base.draft.kind != "conv" or base.draft.pool:
            raise self.refuse(
                node, "pools no convolution's sums, or what is pooled or has a shortcut, expected the former"
            )
        if base.draft.stride > 1 or not self.is_map(signal) or signal.border:
            raise self.refuse(node, "pools a map that is moved, padded or of stride 2, expected the convolution's own")
        height, width, channels = base.shape
        shape = (height // POOL, width // POOL, channels)
        ends = evaluate(signal.function, np.array([base.low, base.high]), channels).astype(np.float64)
        falls = ends[1] < ends[0]
        draft, low, high = replace(base.draft, pool=True), base.low, base.high
        function, line = signal.function, signal.line
        if node in self.plan.pooled_values:
            falls[:] = False  # the value itself is pooled
        if falls.any():
            # the greatest of what falls is that of the least sum, which is the greatest of the opposite weights
            turned = np.where(falls.reshape(-1, *(1,) * (draft.weights.ndim - 2)), 1 - draft.weights, draft.weights)
            draft = replace(draft, weights=turned.astype(np.uint8))
            sign, whole = np.where(falls, -1.0, 1.0), np.where(falls, float(low + high), 0.0)
            before, turn, more = signal.function, torch.from_numpy(sign), torch.from_numpy(whole)

            def function(numbers: Tensor) -> Tensor:
                return before(numbers * turn + more)

            if line is not None:
                line = replace(line, gain=line.gain * sign, bias=line.bias + line.gain * whole)
        new = replace(base, shape=shape, draft=draft)
        return replace(signal, base=new, index=positions(shape), function=function, line=line)

    def averaged(self, node: Node, signal: Signal) -> Signal:
        base = signal.base
        height, width, channels = base.shape
        if node.operator == "AveragePool" and list(node.attributes["kernel_shape"]) != [height, width]:
            strides, pads = window(node)
            halves = list(node.attributes["kernel_shape"]) == strides == [2, 2] and not any(pads)
            if not halves or base.kind != "value" or base.shrunk or not self.is_map(signal) or height % 2 or width % 2:
                raise self.refuse(
                    node, "expected 2x2 with stride 2, of an even map, on the way to an Add, or the whole map"
                )
            return self.halved(node, signal)
        if node.operator.startswith("Reduce"):
            axes = node.attributes.get("axes")
            axes = self.graph.constants[node.inputs[1]].tolist() if axes is None and len(node.inputs) > 1 else axes
            rank = signal.index.ndim + 1
            if sorted(axis % rank for axis in axes or []) != [2, 3]:
                raise self.refuse(node, f"axes are {axes}, expected height and width")
        if base.kind != "value" or base.shrunk or not self.is_map(signal) or signal.line is None or signal.line.mode:
            raise self.refuse(node, "averages what is no layer's value, expected one, whole")
        if np.isfinite([signal.line.low, signal.line.high]).any():
            raise self.refuse(node, "averages a part of a value, expected the whole")
        count = height * width
        over = 1 if node.operator == "ReduceSum" else count
        gain, bias = signal.line.gain / over, signal.line.bias * (count / over)
        draft = Draft(self.name_of(node), "average", (base.layer,), np.zeros((1, channels, 0), np.uint8))
        keep = bool(node.attributes.get("keepdims", 1))
        index = np.arange(channels).reshape((channels, 1, 1) if keep else (channels,))
        return self.of_sums(
            Base("sums", (1, 1, channels), count * base.low, count * base.high, draft), index, gain, bias
        )

    def halved(self, node: Node, signal: Signal) -> Signal:
        """The mean of 2x2 of a shortcut's value, rounded half up where it is added."""
        if signal.line is None or signal.line.mode or np.isfinite([signal.line.low, signal.line.high]).any():
            raise self.refuse(node, "averages what is no shortcut's value, expected one")
        return self.shrunk(signal, "average")

    def of_sums(self, base: Base, index: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> Signal:
        """A layer's own real sums, rounded once to float32 as the graph has them."""
        factor, more = torch.from_numpy(gain.copy()), torch.from_numpy(bias.copy())

        def function(numbers: Tensor) -> Tensor:
            return (numbers * factor + more).float()

        return Signal(base, index, function, Line(gain, bias))

    def linear(self, node: Node, signal: Signal) -> Signal:
        if node.inputs[0] not in self.signals:
            raise self.refuse(node, "multiplies a constant with the image, expected the image on the left")
        weight = np.asarray(self.graph.constants[node.inputs[1]], np.float64)
        bias: Any = 0.0
        given = node.attributes
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = np.asarray(self.graph.constants[node.inputs[2]], np.float64).reshape(-1)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise self.refuse(node, "has weights that are infinite or no numbers, expected finite ones")
        conv = node.operator == "Conv"
        base, border, stride = signal.base, signal.border or (0, 0.0), 1
        if conv:
            if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or weight.shape[2] not in KERNELS:
                raise self.refuse(node, f"kernel is {list(weight.shape[2:])}, expected 1x1, 3x3 or 5x5")
            strides, pads = window(node)
            if strides not in ([1, 1], [2, 2]) or given.get("group", 1) != 1:
                raise self.refuse(
                    node, f"strides are {strides}, group {given.get('group', 1)}, expected stride 1 or 2, group 1"
                )
            if set(given.get("dilations", [1, 1])) != {1}:
                raise self.refuse(node, f"dilations are {given['dilations']}, expected 1")
            if len(set(pads)) != 1 or (any(pads) and border[0]):
                raise self.refuse(node, f"pads are {pads}, expected four equal ones")
            border, stride = (pads[0], 0.0) if pads[0] else border, strides[0]
            if border[0] > weight.shape[2] // 2:
                raise self.refuse(node, f"pad is {border[0]}, expected 0 to {weight.shape[2] // 2}")
            if not self.is_map(signal):
                raise self.refuse(node, "reads a map whose elements are moved, expected (N, C, H, W)")
            weight = weight.transpose(0, 2, 3, 1)
        else:
            if given.get("transA") or weight.ndim != 2 or signal.index.ndim != 1 or border[0]:
                raise self.refuse(node, "is no product of (N, inputs) and (inputs, outputs), expected that")
            weight = weight if given.get("transB") else weight.T
            weight, bias = weight * given.get("alpha", 1.0), bias * given.get("beta", 1.0)
            if len(np.unique(signal.index)) != int(np.prod(base.shape)):
                raise self.refuse(node, "reads a part of a map, expected the whole")
            moved = np.empty_like(weight)
            moved[:, signal.index] = weight
            weight = moved
        if len(weight) > MAX_FAN_IN:
            raise self.refuse(node, f"has {len(weight)} outputs, expected at most {MAX_FAN_IN}")
        last = node.name == self.plan.last
        operand = self.operand(node, signal, conv, border)
        channels = base.channels
        half, centre = (np.broadcast_to(item, channels) for item in (operand.half, operand.centre))
        columns = weight.reshape(len(weight), -1, channels)
        folded = columns * half if np.ptp(half) else columns
        unit_of_x = 1.0 if np.ptp(half) else float(half[0])
        first = base.kind == "pixels"
        moments = self.moments(node, signal, conv)
        covariance = None
        if moments is not None:
            each = np.tile(half, columns.shape[1]) if np.ptp(half) else 1.0
            covariance = moments[1] / np.outer(each, each)
        bits = self.ends.first if first else self.ends.last
        found = decompose(folded.reshape(weight.shape), first or last, last, covariance, bits)
        if found is None:
            raise self.refuse(
                node,
                "has real weights, expected one magnitude per output or small integers, but for the first and last",
            )
        if not found.exact:
            self.lose(f"{node}: weights are rounded to {bits} bits")
        factors = 1 << np.array(found.shifts, np.int64)
        rows = np.tensordot(factors, 2 * found.bits.astype(np.int64) - 1, 1)
        whole = rows.reshape(len(rows), -1, channels)
        real_weights = whole * found.unit[:, None, None] / (half if np.ptp(half) else 1.0)
        constant = (real_weights * centre).sum((1, 2)) + bias
        if moments is not None and not found.exact:  # what the rounding adds in the mean
            constant = constant + (columns - real_weights).reshape(len(columns), -1) @ moments[0]
        fan_in = int(np.prod(weight.shape[1:]))
        gain = found.unit * unit_of_x
        if operand.eight_bit:
            assert self.table is not None
            reach = fan_in * int(factors.sum()) * int(np.abs(self.table.astype(int)).max())
            low, high = -reach, reach
        else:
            reach = fan_in * int(factors.sum()) * sum(operand.factors)
            low, high, gain, constant = 0, reach, 2 * gain, constant - gain * reach
        name, kind = self.name_of(node), "conv" if conv else "dense"
        spec = Spec(name, kind, len(weight), border[0], kernel=weight.shape[1], stride=stride)
        shape = step(spec, base.shape).output
        if min(shape) < 1:
            raise self.refuse(node, "has a kernel that is larger than the map, expected a smaller one")
        draft = Draft(
            name,
            kind,
            (operand.source,),
            found.bits,
            found.shifts,
            operand.shifts,
            border[0],
            self.pad_value(node, operand, border),
            stride,
            input_bits=operand.input_bits,
            eight_bit=operand.eight_bit,
        )
        index = positions(shape) if conv else np.arange(shape[2])
        return self.of_sums(Base("sums", shape, low, high, draft), index, gain, np.broadcast_to(constant, len(weight)))

    def moments(self, node: Node, signal: Signal, conv: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and covariance of what a layer multiplies, in the order of the base's map; None: no images were seen."""
        if self.seen is None or node.name not in self.seen.moments:
            return None
        mean, covariance = self.seen.moments[node.name]
        if conv:
            return mean, covariance
        order = np.argsort(signal.index)
        return mean[order], covariance[np.ix_(order, order)]

    def operand(self, node: Node, signal: Signal, conv: bool, border: tuple[int, float]) -> Operand:
        if signal.base.kind == "pixels":
            return self.pixels(node, signal, conv, border)
        key = id(signal.base), id(signal.function)
        if key not in self.operands:
            self.kept += [signal.base, signal.function]
            self.operands[key] = self.planes(node, signal)
        return self.operands[key]

    def pixels(self, node: Node, signal: Signal, conv: bool, border: tuple[int, float]) -> Operand:
        """The image through a table."""
        if self.table is not None:
            raise self.refuse(node, "reads the image, as a layer before it does, expected one that does")
        shape, channels = signal.base.shape, signal.base.channels
        values = evaluate(signal.function, np.arange(256), channels).astype(np.float64)
        if not np.isfinite(values).all():
            raise self.refuse(node, "reads pixels that are not finite, expected finite ones")
        levels = levels_of(values)
        if len(levels) == 2 and not conv:
            self.table = np.where(values[:, 0] > levels.mean(), 1, -1).astype(np.int8)
            return Operand(INPUT, shape, 1, (), float(levels.mean()), float(np.ptp(levels) / 2))
        centre: Any = border[1]
        half: Any = 0.0
        if not np.ptp(values, axis=1).any():  # steps from what stands in the border, else from the least
            half = unit_of_levels(levels_of(np.append(levels, centre)))
            codes = np.rint((values[:, 0] - centre) / half) if half else np.full(256, 255.0)
            if codes.min() < -128 or codes.max() > 127:
                half = unit_of_levels(levels)
                codes, centre = np.rint((values[:, 0] - levels[0]) / (half or 1.0)) - 128, levels[0] + 128 * half
            half = half if codes.max() <= 127 else 0.0
            self.table = np.clip(codes, -128, 127).astype(np.int8)
        if not np.any(half):
            gain, start = (values[255] - values[0]) / 255, values[0]
            error = np.abs(values - start - gain * np.arange(256)[:, None]).max()
            if not gain.all() or error > 0.5 * np.abs(gain).max():
                raise self.refuse(
                    node, "reads pixels through a function of the channel, expected a line or one of all channels"
                )
            self.table = (np.arange(256) - 128).astype(np.int8)
            centre, half = start + 128 * gain, gain
        assert self.table is not None
        if len(np.unique(self.table)) > 1 << self.ends.pixels:
            centre, half = self.coarser(node, centre, half, border)
        if conv and (not border[0] or np.abs(centre - border[1]).max() <= TOLERANCE * np.abs(half).max()):
            return Operand(INPUT, shape, 1, (), centre, half, eight_bit=True)
        least, most = int(self.table.min()), int(self.table.max())
        bits = next(count for count in range(2, 9) if -(1 << count - 1) <= least and most < 1 << count - 1)
        planes = Operand(INPUT, shape, bits, bit_shifts(bits), centre - half / 2, half / 2, input_bits=bits)
        if not conv:
            return planes
        try:
            self.pad_value(node, planes, border)
            return planes
        except GraphError:
            far = np.abs((border[1] - centre) / half).max()
            self.lose(f"{node}: the padding is a pixel that is off by up to {far:.1f} of 255")
            return Operand(INPUT, shape, 1, (), centre, half, eight_bit=True)

    def coarser(self, node: Node, centre: Any, half: Any, border: tuple[int, float]) -> tuple[Any, Any]:
        """Round the table to as many bits as the ends have; gives what 0 and a step of it are worth then.

        The darkest and the brightest pixel stay what they are, or the one that a border has.
        """
        assert self.table is not None
        bits, codes = self.ends.pixels, self.table.astype(float)
        half_way = 1 << bits - 1
        self.lose(f"{node}: pixels are rounded to {bits} bits")
        if border[0] and np.abs(centre - border[1]).max() <= TOLERANCE * np.abs(half).max():  # 0 stays what it is
            step = max(codes.max() / (half_way - 1), -codes.min() / half_way)
            self.table = np.rint(codes / step).astype(np.int8)
            return centre, half * step
        step = np.ptp(codes) / (2 * half_way - 1)
        self.table = (np.rint((codes - codes.min()) / step) - half_way).astype(np.int8)
        return centre + half * (codes.min() + half_way * step), half * step


def image_size(graph: Graph, given: Shape | None) -> Shape:
    """Height, width and channels of the images, by the graph's input and what is known of the data.

    Raises:
        GraphError: they disagree, or a flat input leaves it open.
    """
    shape = graph.shape
    if len(shape) == 1:
        if given is None or int(np.prod(given)) != shape[0]:
            raise GraphError(
                f"{graph.name}: input has {shape[0]} numbers, expected --dataset, of so many pixels and channels"
            )
        return given
    noted = graph.notes.get("size")
    if isinstance(noted, list) and len(noted) == 3:
        given = given or (int(noted[0]), int(noted[1]), int(noted[2]))
    first = (shape[1], shape[2], shape[0])
    last = (shape[0], shape[1], shape[2])
    if given is not None:
        if given not in (first, last):
            raise GraphError(f"{graph.name}: input is {list(shape)}, the data's images are {list(given)} (H, W, C)")
        return given
    return last if shape[2] in (1, 3) and shape[0] not in (1, 3) else first


@np.errstate(invalid="ignore")  # numbers that are none are refused by name
def lower(
    graph: Graph,
    classes: tuple[str, ...],
    size: Shape | None = None,
    images: np.ndarray | None = None,
    meta: dict[str, Any] | None = None,
    ends: Ends | None = None,
) -> Lowered:
    """The integer model of a graph.

    Args:
        graph: with constants folded.
        classes: their names; as many as the graph has scores.
        size: of the images, (H, W, C), where the graph leaves it open.
        images: uint8 (N, H, W, C), from which the ranges of real numbers are taken that become values.
        meta: of the model.
        ends: to how many bits real weights of the first and the last layer, and what they read, are rounded.

    Raises:
        GraphError: a node cannot be expressed; names node, operator, shape and what would be accepted.
        ModelError: the layers do not make a model.
    """
    if not graph.nodes:
        raise GraphError(f"{graph.name}: holds no layers, expected some")
    size = image_size(graph, size)
    if size[2] > MOST_CHANNELS:
        raise GraphError(f"{graph.name}: images have {size[2]} channels, expected at most {MOST_CHANNELS}")
    seen = None if images is None else see(graph, images)
    twins: frozenset[str] = frozenset()
    while True:
        lowering = _Lowering(graph, size, twins, seen, ends or Ends())
        try:
            last = lowering.run()
            break
        except NeedsTwin as needed:
            twins |= {str(needed)}
    layers = [*lowering.layers.values(), last]
    if last.outputs != len(classes):
        raise GraphError(f"{graph.name}: has {last.outputs} scores, expected {len(classes)} as there are classes")
    needed_names = {last.name}
    for layer in layers[::-1]:
        if layer.name in needed_names:
            needed_names.update(layer.inputs)
    kept = tuple(layer for layer in layers if layer.name in needed_names)
    assert lowering.table is not None
    model = Model(
        name=str(graph.notes.get("name", graph.name)),
        height=size[0],
        width=size[1],
        channels=size[2],
        input_table=lowering.table,
        layers=kept,
        classes=classes,
        meta=dict(meta or {}),
    )
    shapes(model)
    return Lowered(model, tuple(lowering.losses))
