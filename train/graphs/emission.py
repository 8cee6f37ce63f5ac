"""Layers of the model, chosen by what a graph makes of the integers that they give: planes, values and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnn.geometry import Shape
from bnn.layers import INPUT, Layer, bit_shifts
from bnn.rules import INT16, MAX_FAN_IN, MAX_PLANES, MAX_SUM, MAX_THRESHOLDS
from train.graphs.graph import Graph, GraphError, Node
from train.graphs.lines import INT32, TOLERANCE, Line, clipped_fit, fixed, score_line
from train.graphs.signals import CHUNK, Base, Draft, NeedsImages, NeedsTwin, Operand, Signal, evaluate
from train.graphs.values import Seen, line_of, plan_values
from train.graphs.weights import Ends, Levels, unit_of_levels
from train.thresholds import NotMonotone, read_off

ENUMERATED = 1 << 26
"""Values of a function up to which all are computed; of more, a grid of them, and changes are searched for."""
FITTED = 1 << 24
"""Values of a function to which lines are fitted at most."""
COLUMNS = 64
"""Channels whose lines are fitted at once."""
GRID = 4097
FEWEST = 257
"""Points of a grid, whatever the channels."""


def _all_are_computed(base: Base) -> bool:
    return (base.high - base.low + 1) * base.channels <= ENUMERATED


def _grid(base: Base, values: int = ENUMERATED) -> np.ndarray:
    """Integers from a base's least to its greatest, evenly; fewer where there are very many channels."""
    count = min(GRID, max(FEWEST, values // base.channels))
    return np.unique(np.linspace(base.low, base.high, count).astype(np.int64))


def _parts(base: Base) -> Iterator[np.ndarray]:
    """All integers that a base reaches, ascending, or a grid of them where they are many: some at a time."""
    step = max(1, CHUNK // base.channels)
    if _all_are_computed(base):
        for start in range(base.low, base.high + 1, step):
            yield np.arange(start, min(start + step, base.high + 1))
        return
    numbers = _grid(base)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]


class Codes(NamedTuple):
    """What a graph makes of a base's integers (S,): codes int64 (S, C)."""

    base: Base
    of: Callable[[np.ndarray], np.ndarray]


class Emitter:
    """The layers so far."""

    def __init__(self, graph: Graph, size: Shape, twins: frozenset[str], seen: Seen | None, ends: Ends) -> None:
        self.graph, self.size, self.twins, self.seen, self.ends = graph, size, twins, seen, ends
        self.plan = plan_values(graph)
        self.layers: dict[str, Layer] = {}
        self.losses: dict[str, None] = {}
        self.signals: dict[str, Signal] = {}
        self.known: list[tuple[Base, np.ndarray, np.ndarray, str]] = []  # planes by thresholds, and the layer's name

    def refuse(self, node: Node, what: str) -> GraphError:
        """The error that a node cannot be expressed; `what` says why and what would be accepted."""
        sizes = []
        for name in node.inputs:
            if name in self.signals:
                sizes.append(str([1, *self.signals[name].index.shape]))
            elif name in self.graph.constants:
                sizes.append(str(list(self.graph.constants[name].shape)))
        return GraphError(f"{node} of {' and '.join(sizes)}: {what}")

    def name_of(self, node: Node) -> str:
        name = node.name.strip("/").replace("/", ".") or node.operator
        name = name[: -len(".value")] if name.endswith(".value") else name
        return "layer." + name if name == INPUT else name

    def emit(self, layer: Layer) -> str:
        """Add a layer under its name, or another where that is taken."""
        name, number = layer.name, 2
        while name in self.layers:
            name, number = f"{layer.name}.{number}", number + 1
        self.layers[name] = replace(layer, name=name)
        return name

    def lose(self, what: str) -> None:
        self.losses[what] = None

    def pad_value(self, node: Node, operand: Operand, border: tuple[int, float]) -> int:
        """The padding of planes that is worth what the graph has there."""
        pad, value = border
        if not pad or operand.eight_bit:
            return 0
        factors = operand.factors
        close = TOLERANCE * float(np.abs(operand.half).max())
        for pad_value, bits in ((-1, -sum(factors)), (1, sum(factors)), (0, 2 * factors[0] - sum(factors))):
            possible = pad_value or operand.planes > 1
            if possible and np.abs(operand.centre + operand.half * bits - value).max() <= close:
                return pad_value
        if operand.planes == 1 and np.abs(operand.centre - value).max() <= close and operand.source != INPUT:
            raise NeedsTwin(operand.source)
        raise self.refuse(node, f"is padded with {value:g}, expected the least, the middle or the greatest activation")

    def planes(self, node: Node, signal: Signal) -> Operand:
        """A layer's planes that are what `node` reads."""
        base = signal.base
        if base.kind == "stream":
            raise self.refuse(node, "reads a sum with a shortcut, expected something that rounds it in between")
        found = Levels()
        for numbers in _parts(base):
            values = evaluate(signal.function, numbers, base.channels)
            if not np.isfinite(values).all():
                raise self.refuse(node, "reads numbers that are not finite, expected finite ones")
            found.add(values)
        levels = found.numbers
        if len(levels) == 1:
            levels = np.array([levels[0], levels[0] + 1.0])
        unit = unit_of_levels(levels)
        if len(levels) > MAX_THRESHOLDS + 1 or not unit or round((levels[-1] - levels[0]) / unit) > MAX_THRESHOLDS:
            return self.many_levels(node, signal, levels)
        steps = round(float((levels[-1] - levels[0]) / unit))
        limits, flip = self.changes(node, signal, levels[0], unit, steps)
        name = self.thresholds(node, signal, limits, flip)
        if name in self.twins:
            layer = self.layers[name]
            self.layers[name] = replace(layer, thresholds=np.repeat(layer.limits, 2, axis=0))
            return Operand(name, base.shape, 2, (), float((levels[0] + levels[-1]) / 2), float(unit / 4))
        return Operand(name, base.shape, steps, (), float((levels[0] + levels[-1]) / 2), float(unit / 2))

    def changes(
        self, node: Node, signal: Signal, least: float, unit: float, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """From which integer on each of the planes has its other bit: limits (K, C), and flip (C,).

        Of a grid of integers, found by halving.
        """
        base = signal.base

        def bits() -> Iterator[np.ndarray]:
            for numbers in _parts(base):
                values = evaluate(signal.function, numbers, base.channels)
                codes = np.rint((values - least) / unit).astype(np.int8)
                yield np.arange(steps)[:, None, None] < codes  # (K, S, C)

        count = base.high - base.low + 1 if _all_are_computed(base) else len(_grid(base))
        try:
            index, flip = read_off(bits())
        except NotMonotone as error:
            what = f"reads channel {error.channel}, which is not monotone over its {count} sums, expected so"
            raise self.refuse(node, what) from None
        if _all_are_computed(base):
            return base.low + index, flip
        ends = np.append(_grid(base), base.high + 1)
        high = ends[index]
        low = np.where(index > 0, ends[np.maximum(index - 1, 0)], base.low - 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            for plane in range(steps):
                value = signal.function(torch.from_numpy(middle[plane].astype(np.float64))[None]).numpy()[0]
                bit = (np.rint((value - least) / unit) > plane) ^ flip
                inside = high[plane] - low[plane] > 1
                high[plane] = np.where(inside & bit, middle[plane], high[plane])
                low[plane] = np.where(inside & ~bit, middle[plane], low[plane])
        return high, flip

    def thresholds(self, node: Node, signal: Signal, limits: np.ndarray, flip: np.ndarray) -> str:
        """A layer with planes by `limits` (K, C) on the base's integers; gives its name."""
        base = signal.base
        for known, their_limits, their_flip, name in self.known:
            if known is base and np.array_equal(their_limits, limits) and np.array_equal(their_flip, flip):
                return name
        name = self.new_thresholds(node, base, limits, flip)
        self.known.append((base, limits, flip, name))
        return name

    def new_thresholds(self, node: Node, base: Base, limits: np.ndarray, flip: np.ndarray) -> str:
        fields: dict[str, Any] = {
            "thresholds": (limits if len(limits) > 1 else limits[0]).astype(np.int32),
            "flip": flip,
        }
        if base.kind == "value":
            layer = self.layers[base.layer]
            if base.shrunk:
                raise self.refuse(node, "reads a shortcut's part, expected the whole")
            if layer.thresholds is None and not layer.bits:
                self.layers[base.layer] = replace(layer, **fields)
                return base.layer
            return self.emit(replace(layer, bits=0, **fields) if not layer.bits else replace(layer, **fields))
        draft = base.draft
        assert draft is not None
        signed = draft.eight_bit or draft.kind == "average"
        most = INT16.max - 1 if signed else MAX_FAN_IN
        if base.high <= most:
            return self.emit(draft.layer(**fields))
        if len(limits) > 1:
            raise self.refuse(
                node,
                f"reads {len(limits) + 1} levels of sums up to {base.high}, expected 2 levels or sums up to {most}",
            )
        zero = np.zeros(base.channels, np.int32)
        one = np.ones(base.channels, np.int32)
        offset = (-limits[0]).astype(np.int32)
        return self.emit(draft.layer(thresholds=zero, flip=flip, scale=one, offset=offset))

    def many_levels(self, node: Node, signal: Signal, levels: np.ndarray) -> Operand:
        """The bits of an unsigned value."""
        base = signal.base
        if base.kind == "sums":
            unsigned = self.unsigned(node, signal)
            base = unsigned.base
            signal = unsigned
        layer = self.layers.get(base.layer)
        line = signal.line
        if layer is None or not layer.bits or layer.thresholds is not None or line is None or line.mode or base.shrunk:
            raise self.refuse(
                node,
                f"reads {len(levels)} levels that no unsigned value of a layer has, expected 4 at most, or one",
            )
        if np.ptp(line.gain) or np.ptp(line.bias):
            raise self.refuse(node, "reads levels that differ from channel to channel, expected the same")
        gain, bias, bits = float(line.gain[0]), float(line.bias[0]), layer.bits
        centre = bias + gain * ((1 << bits) - 1) / 2
        return Operand(base.layer, base.shape, bits, bit_shifts(bits), float(centre), float(gain / 2))

    def value(self, node: Node, signal: Signal) -> Signal:
        """The tensor as a layer's value."""
        if signal.base.kind == "value":
            return signal
        line = signal.line
        if signal.base.kind not in ("sums", "stream") or signal.border or line is None:
            raise self.refuse(node, "is added or averaged, expected a layer's scaled sums, rounded or clipped at most")
        if signal.base.kind == "stream":
            line = self.codes_of_sum(node, signal, line)
            return self.near(node, signal) if line is None else self.exact(node, signal, line)
        if line.mode:
            return self.exact(node, signal, replace(line, bias=line.bias + line.half))
        return self.near(node, signal)

    def codes_of_sum(self, node: Node, signal: Signal, after: Line) -> Line | None:
        """What rounds a layer's own sums so that its codes and the shortcut's value have one unit; None: nothing."""
        assert signal.base.added is not None
        own, other = signal.base.added[0].line, signal.base.added[1]
        unit = float(other.gain[0])
        if own is None or np.ptp(other.gain) or other.bias.any() or unit <= 0:
            return None

        def close(numbers: np.ndarray | float, wanted: float) -> bool:
            return bool(np.abs(numbers - wanted).max() <= 1e-6 * max(abs(wanted), 1.0))

        if not after.mode:  # nothing but a clip behind the Add
            after = replace(after, unit=unit, low=after.low / unit, high=after.high / unit, gain=after.gain / unit)
            if after.bias.any():
                return None
        if not close(after.gain * unit, 1):
            return None
        # the shortcut's codes are whole, so that what is rounded is the rest
        if own.mode and close(own.unit / unit, 1) and close(own.zero / unit, 0):
            gain, bias = own.gain, own.bias + own.half + np.floor(after.bias + after.half)
        elif not own.mode and after.mode and not np.isfinite([own.low, own.high]).any():
            gain, bias = own.gain / unit, own.bias / unit + after.bias + after.half
        else:
            return None
        return Line(gain, bias, "floor", after.low, after.high, after.unit, after.zero)

    def wanted_codes(self, signal: Signal, line: Line) -> Codes:
        """The graph's own codes of the sums of a value's layer, without the shortcut's."""
        if signal.base.added is None:
            base = signal.base

            def codes(numbers: np.ndarray) -> np.ndarray:
                values = evaluate(signal.function, numbers, base.channels)
                return np.asarray(np.rint((values - line.zero) / line.unit).astype(np.int64))

            return Codes(base, codes)
        own, other = signal.base.added
        after = signal.line
        assert after is not None
        rounded, more, unit = np.floor if after.mode == "floor" else np.rint, after.bias, float(other.gain[0])

        def codes_of_sum(numbers: np.ndarray) -> np.ndarray:
            found = evaluate(own.function, numbers, own.base.channels).astype(np.float64) / unit
            return np.asarray(rounded(found + more if after.mode else found).astype(np.int64))

        return Codes(own.base, codes_of_sum)

    def exact(self, node: Node, signal: Signal, line: Line) -> Signal:
        """A value whose codes are the graph's own, rounded down and clipped as `line` says."""
        base, draft = signal.base, signal.base.draft
        assert draft is not None
        low, high, bits = line.low, line.high, 0
        if base.kind == "sums":
            ends = np.floor(line.gain * np.array([[base.low], [base.high]]) + line.bias)
            low, high = max(low, float(ends.min())), min(high, float(ends.max()))
        if line.low == 0 and line.high in [(1 << count) - 1 for count in range(1, MAX_PLANES + 1)]:
            bits = int(line.high).bit_length()
        elif low < -128 or high > 127:
            if base.kind == "sums" or np.isfinite([line.low, line.high]).all():
                raise self.refuse(node, f"is a value from {low:g} to {high:g}, expected one of 8 bits")
        scale, offset, shift = fixed(line.gain, line.bias)
        limits = (0, (1 << bits) - 1) if bits else (-128, 127)
        if base.added is not None:
            limits = INT32.min, INT32.max  # it is clipped with the shortcut
            if not bits and (low, high) != (-128, 127):
                self.lose(f"{node}: the value reaches from {low:g} to {high:g}, here from -128 to 127")
        self.check_codes(node, self.wanted_codes(signal, line), scale, offset, shift, limits)
        layer = draft.layer(scale=scale.astype(np.int32), offset=offset.astype(np.int32), shift=shift, bits=bits)
        count = base.channels
        return self.of_value(self.emit(layer), signal, np.full(count, line.unit), np.full(count, line.zero))

    def check_codes(
        self,
        node: Node,
        codes: Codes,
        scale: np.ndarray,
        offset: np.ndarray,
        shift: int,
        limits: tuple[int, int],
    ) -> None:
        """Compare the integers with the graph's `codes` of all sums; move the offset (C,) where that helps."""
        least, most = np.full(offset.shape, INT32.min, np.int64), np.full(offset.shape, INT32.max, np.int64)
        for numbers in _parts(codes.base):
            wanted, products = codes.of(numbers), numbers[:, None] * scale
            inside = (wanted > limits[0]) & (wanted < limits[1])
            least = np.maximum(least, np.where(inside, (wanted << shift) - products, INT32.min).max(0))
            most = np.minimum(most, np.where(inside, ((wanted + 1) << shift) - 1 - products, INT32.max).min(0))
        possible = least <= most
        offset[possible] = np.clip(offset, least, most)[possible]
        wrong = total = 0
        for numbers in _parts(codes.base):
            wanted = codes.of(numbers)
            found = np.clip((numbers[:, None] * scale + offset) >> shift, *limits)
            wrong, total = wrong + int((found != wanted).sum()), total + wanted.size
        if wrong:
            self.lose(f"{node}: {wrong} of {total} rounded sums differ")

    def near(self, node: Node, signal: Signal) -> Signal:
        """A value of 8 bits that comes near to real numbers, in a range that images were seen to have."""
        base, draft, line = signal.base, signal.base.draft, signal.line
        assert draft is not None and line is not None
        if self.seen is None:
            what = "is a value of real numbers, expected a quantiser behind it, or --images or --dataset for its range"
            raise NeedsImages(str(self.refuse(node, what)))
        member = self.plan.members[node.output]
        low, high = self.seen.ranges[member.tensor]
        relu = line_of(self.graph, member.after, base.channels) if member.relu else None
        finite = np.isfinite([line.low, line.high])
        if line.mode or finite[1] or finite[0] and (relu is None or line.low != 0):
            raise self.refuse(node, "rounds or clips in another unit than the value, expected the same, or a ReLU")
        after, count = Line(np.ones(base.channels), np.zeros(base.channels)), base.channels
        if base.kind == "stream":
            assert base.added is not None
            own, other = base.added[0].line, base.added[1]
            assert own is not None
            if own.mode or np.isfinite([own.low, own.high]).any():
                self.lose(f"{node}: a summand is rounded or clipped before the shortcut is added, here their sum is")
            if len(other.gain) < count:
                raise self.refuse(node, "adds channels to a value of real numbers, expected as many in both")
            unit, after = other.gain, line
            gain, bias = own.gain * own.unit, own.bias * own.unit + own.zero + other.bias
        else:
            unit, gain, bias = self.unit_of(node.output, count), line.gain, line.bias
        bits, zero = 0, (low + high) / 2
        if finite[0]:  # the ReLU's zero is the value's
            bits, zero = MAX_PLANES - 1, np.zeros(count) if relu is None else -relu[1] / relu[0]
        self.lose(f"{node}: values are rounded to {7 if bits else 8} bits")
        scale, offset, shift = fixed(gain / unit, (bias - zero) / unit + 0.5)
        layer = draft.layer(scale=scale.astype(np.int32), offset=offset.astype(np.int32), shift=shift, bits=bits)
        return self.of_value(self.emit(layer), signal, unit * after.gain, zero * after.gain + after.bias)

    def unit_of(self, root: str, channels: int) -> np.ndarray:
        """What a value's least bit is worth in every channel, for all the sums that it is added to.

        Where one of them ends with a ReLU behind a negative gain, it is negative, so that the ReLU clips at 0.
        """
        assert self.seen is not None
        unit, turn = np.zeros(channels), np.ones(channels)
        for point, member in self.plan.members.items():
            if self.plan.root(point) != root:
                continue
            low, high = self.seen.ranges[member.tensor]
            need, gain = (high - low) / 254, self.plan.gain(self.graph, point, channels)
            if member.relu:
                slope, start = line_of(self.graph, member.after, channels)
                zero, turn = -start / slope, np.sign(slope * gain)
                need = np.maximum(need, np.where(slope > 0, high - zero, zero - low) / 127)
            unit = np.maximum(unit, need / np.abs(gain))
        return np.asarray(np.maximum(unit, 1e-6 * max(float(unit.max()), 1e-30)) * turn)

    def of_value(self, name: str, signal: Signal, gain: np.ndarray, bias: np.ndarray) -> Signal:
        low, high = self.layers[name].value_range
        base = Base("value", signal.base.shape, low, high, layer=name)
        factor, more = torch.from_numpy(np.array(gain, np.float64)), torch.from_numpy(np.array(bias, np.float64))

        def function(numbers: Tensor) -> Tensor:
            return (numbers * factor + more).float()

        return Signal(base, signal.index, function, Line(np.array(gain), np.array(bias)))

    def unsigned(self, node: Node, signal: Signal) -> Signal:
        """Sums as an unsigned value whose bits are planes: the graph's own codes, or steps between its ends."""
        base, line = signal.base, signal.line
        draft = base.draft
        assert draft is not None
        if line is not None and line.mode and np.isfinite([line.low, line.high]).all():
            bits = int(line.high - line.low).bit_length()
            if bits <= MAX_PLANES:
                moved = replace(line, low=0.0, high=float((1 << bits) - 1), zero=line.zero + line.low * line.unit)
                scale, offset, shift = fixed(line.gain, line.bias + line.half - line.low)
                self.check_codes(node, self.wanted_codes(signal, moved), scale, offset, shift, (0, (1 << bits) - 1))
                layer = draft.layer(
                    scale=scale.astype(np.int32), offset=offset.astype(np.int32), shift=shift, bits=bits
                )
                count = base.channels
                return self.of_value(self.emit(layer), signal, np.full(count, moved.unit), np.full(count, moved.zero))
        if node.name != self.plan.last:
            raise self.refuse(node, "reads more than 4 levels, expected at most 4, or a quantiser of at most 8 bits")
        return self.nearly_unsigned(node, signal)

    def nearly_unsigned(self, node: Node, signal: Signal) -> Signal:
        """Even steps between the ends of a function of sums, each channel's by the best line and a clip."""
        base = signal.base
        draft = base.draft
        assert draft is not None
        count = base.channels
        numbers = _grid(base, FITTED)
        values = evaluate(signal.function, numbers, count)
        low, high = (np.full(count, float(end)) for end in (values.min(), values.max()))
        if self.seen is not None:
            ends = self.seen.ranges[node.inputs[0]]
            low, high = np.full(count, ends[0].min()), np.full(count, ends[1].max())
        bits = self.ends.reads
        most = (1 << bits) - 1
        unit = float((high[0] - low[0]) / most)
        gain, bias = np.empty(count), np.empty(count)
        for start in range(0, count, COLUMNS):
            part = slice(start, start + COLUMNS)
            codes = (values[:, part].astype(np.float64) - low[part]) / unit
            gain[part], bias[part] = clipped_fit(numbers, codes, most)
        scale, offset, shift = fixed(gain, bias + 0.5)
        self.lose(f"{node}: what it reads is rounded to {bits} bits, a clipped line of each channel's sums")
        layer = draft.layer(scale=scale.astype(np.int32), offset=offset.astype(np.int32), shift=shift, bits=bits)
        return self.of_value(self.emit(layer), signal, np.full(count, unit), low)

    def scores(self, node: Node, signal: Signal) -> Layer:
        base, line = signal.base, signal.line
        draft = base.draft
        if base.kind != "sums" or draft is None or draft.kind != "dense" or draft.name != self.name_of_last():
            raise self.refuse(node, "ends the graph and is no dense layer, expected MatMul or Gemm as the last layer")
        if signal.index.ndim != 1 or not np.array_equal(signal.index, np.arange(base.channels)):
            raise self.refuse(node, f"gives {list(signal.index.shape)} numbers, expected one score per class")
        if line is None or np.isfinite([line.low, line.high]).any() and not line.mode:
            raise self.refuse(node, "makes of the last sums what is no line, expected scores that are scaled sums")
        if line.mode:
            self.lose(f"{node}: scores are not rounded")
        gain, bias = line.gain * line.unit, line.bias * line.unit + line.zero
        scale, offset, shift = score_line(gain, bias, base.high, self.graph.notes.get("shift"))
        if base.high > MAX_SUM:
            return self.score_coefficients(node, draft, gain, bias, base.high)
        return draft.layer(
            scale=scale.astype(np.int32),
            offset=offset.astype(np.int32),
            shift=shift,
        )

    def name_of_last(self) -> str:
        return self.name_of(next(node for node in self.graph.nodes if node.name == self.plan.last))

    def score_coefficients(self, node: Node, draft: Draft, gain: np.ndarray, bias: np.ndarray, high: int) -> Layer:
        """Scores of sums beyond the multiplier's operand: coefficients take the place of scale and powers of two."""
        powers = np.add.outer(draft.base_shifts, draft.plane_shifts or (0,))
        unit = 2.0 ** -np.floor(np.log2(np.abs(gain).max() * 2.0 ** float(powers.max()) / INT16.max) + 1)
        coefficients = np.rint(gain[:, None, None] * unit * 2.0**powers)
        offset = np.rint(bias * unit)
        if np.abs(offset).max() > INT32.max:
            raise self.refuse(node, "gives scores beyond 32 bits, expected smaller ones")
        layer = draft.layer(
            coefficients=coefficients.astype(np.int32),
            offset=offset.astype(np.int32),
        )
        return replace(layer, base_shifts=(), plane_shifts=())
