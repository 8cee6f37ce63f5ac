"""Functions of integers that are lines, rounded and clipped at most, and the fixed-point numbers that express them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from bnn.rules import INT16, SHIFTS
from train.graphs.graph import GraphError, Node, clip_limits, quant_limits

TOLERANCE = 1e-4
"""Of what is compared as real numbers, relative to its unit."""
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, eq=False)
class Line:
    """A function of integers n as `unit * code + zero` with `code = clip(round(gain * n + bias), low, high)`.

    `gain` and `bias` are (C,); `mode` is how it rounds, floor or half; "": it does not, and unit is 1 and zero 0.
    """

    gain: np.ndarray
    bias: np.ndarray
    mode: str = ""
    low: float = -np.inf
    high: float = np.inf
    unit: float = 1.0
    zero: float = 0.0

    def affine(self, gain: float | np.ndarray, bias: float | np.ndarray) -> Line | None:
        """It, times `gain`, plus `bias`, both (C,) or numbers; None: no longer of this form."""
        gain, bias = np.asarray(gain, np.float64), np.asarray(bias, np.float64)
        if self.mode:
            if np.ptp(gain) or np.ptp(bias) or not gain.flat[0] > 0:
                return None
            return replace(
                self, unit=self.unit * float(gain.flat[0]), zero=self.zero * float(gain.flat[0]) + float(bias.flat[0])
            )
        low, high = self.low, self.high
        if np.isfinite(low) or np.isfinite(high):
            if np.ptp(gain) or np.ptp(bias) or not gain.flat[0] > 0:
                return None
            low, high = (
                low * float(gain.flat[0]) + float(bias.flat[0]),
                high * float(gain.flat[0]) + float(bias.flat[0]),
            )
        return replace(self, gain=self.gain * gain, bias=self.bias * gain + bias, low=low, high=high)

    def clipped(self, low: float, high: float) -> Line:
        low, high = (low - self.zero) / self.unit, (high - self.zero) / self.unit
        if self.mode:
            low, high = np.ceil(low - TOLERANCE), np.floor(high + TOLERANCE)
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def rounded(self, mode: str) -> Line | None:
        if self.mode:  # of integers
            whole = float(self.unit).is_integer() and float(self.zero).is_integer()
            return self if whole else None
        return replace(self, mode=mode, low=np.ceil(self.low), high=np.floor(self.high))

    @property
    def half(self) -> float:
        """What turns its rounding into rounding down; of equal distances it takes the upper."""
        return 0.5 if self.mode == "half" else 0.0


def through(node: Node, line: Line, parameters: list[Any]) -> Line | None:
    """What a node of one tensor makes of a line."""
    operator, others = node.operator, [item for item in parameters if item is not None]
    constant = others[0].astype(np.float64) if others and isinstance(others[0], np.ndarray) else None
    first = parameters[0] is None
    if operator in ("Identity", "Dropout", "Cast"):  # of what is whole; scores and values are compared
        return line
    if operator == "Add" and constant is not None:
        return line.affine(1.0, constant)
    if operator == "Sub" and constant is not None:
        return line.affine(1.0, -constant) if first else line.affine(-1.0, constant)
    if operator == "Mul" and constant is not None:
        return line.affine(constant, 0.0)
    if operator == "Div" and constant is not None and first:
        return line.affine(1 / constant, 0.0)
    if operator == "Neg":
        return line.affine(-1.0, 0.0)
    if operator == "BatchNormalization":
        weight, bias, mean, variance = (item.astype(np.float64) for item in others)
        gain = weight / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        return line.affine(gain, bias - mean * gain)
    if operator in ("Floor", "Round"):
        return line.rounded("floor" if operator == "Floor" else "half")
    if operator in ("Relu", "HardTanh"):
        return line.clipped(0.0, np.inf) if operator == "Relu" else line.clipped(-1.0, 1.0)
    if operator == "Clip":
        return line.clipped(*clip_limits(node, [torch.from_numpy(np.array(item)) for item in others]))
    if operator in ("Quant", "IntQuant"):
        scale, zero, bits = (np.float64(item) if item.size == 1 else None for item in others)
        mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
        if scale is None or zero is None or bits is None or mode not in ("ROUND", "HALF_EVEN", "FLOOR"):
            return None
        signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
        if bits == 1 and signed:
            return None
        low, high = quant_limits(float(bits), signed, narrow)
        moved = line.affine(float(1 / scale), float(zero))
        if moved is None:
            return None
        done = moved.clipped(low, high).rounded("floor" if mode == "FLOOR" else "half")
        return None if done is None else done.affine(float(scale), float(-zero * scale))
    return None


def clipped_fit(numbers: np.ndarray, codes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias (C,) with which `clip(gain * n + bias, 0, most)` comes nearest to codes (S, C), about their middle.

    The slope is tried at many multiples of the steepest; the line goes through the middle of the codes' range.
    """
    slope = np.diff(codes, axis=0) / np.diff(numbers)[:, None]
    steepest = np.take_along_axis(slope, np.abs(slope).argmax(0)[None], 0)[0]
    middle = np.abs(codes - most / 2).argmin(0)
    centre, height = numbers[middle], np.take_along_axis(codes, middle[None], 0)[0]
    best = np.full(codes.shape[1], np.inf)
    gain = steepest.copy()
    near = (codes > 0.5) & (codes < most - 0.5)
    for share in np.linspace(0.4, 1.0, 25):
        tried = steepest * share
        error = np.clip((numbers[:, None] - centre) * tried + height, 0, most) - codes
        total = (np.where(near, error, 0) ** 2).sum(0)
        gain, best = np.where(total < best, tried, gain), np.minimum(total, best)
    return gain, height - centre * gain


def fixed(gain: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Integers of `floor(gain * n + bias)`, (C,): scale, offset and shift.

    The least shift with which they are exact, else the greatest that fits 16 and 32 bits.
    """

    def at(shift: int) -> tuple[np.ndarray, np.ndarray]:
        return np.rint(gain * 2.0**shift), np.rint(bias * 2.0**shift)

    def fits(scale: np.ndarray, offset: np.ndarray) -> bool:
        return bool(np.abs(scale).max() <= INT16.max and np.abs(offset).max() <= INT32.max)

    for shift in SHIFTS:
        scale, offset = at(shift)
        exact = np.array_equal(scale, gain * 2.0**shift) and np.array_equal(offset, np.floor(bias * 2.0**shift))
        if exact and fits(scale, offset):
            return scale.astype(np.int64), offset.astype(np.int64), shift
    for shift in SHIFTS[::-1]:
        scale, offset = at(shift)
        if fits(scale, offset):
            return scale.astype(np.int64), offset.astype(np.int64), shift
    raise GraphError(
        f"a value is {np.abs(gain).max():g} times a sum and {np.abs(bias).max():g} more, expected less than 2^15"
    )


def score_line(gain: np.ndarray, bias: np.ndarray, high: int, given: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Scale and offset (C,) of scores, and the shift with which they are the graph's.

    The least shift with which they are exact, else the greatest that fits 16 and 32 bits; `given` in place of 0.
    """
    for shift in range(25):
        scale, offset = gain * 2.0**shift, bias * 2.0**shift
        whole = np.array_equal(scale, np.rint(scale)) and np.array_equal(offset, np.rint(offset))
        inside = scale.min() >= INT16.min and scale.max() <= INT16.max
        if whole and inside and offset.min() >= INT32.min and offset.max() <= INT32.max:
            return scale.astype(np.int64), offset.astype(np.int64), shift or (given if isinstance(given, int) else 0)
    largest = float((np.abs(gain) * high + np.abs(bias)).max())
    for shift in range(24, -25, -1):
        scale = np.rint(gain * 2.0**shift)
        if np.abs(scale).max() <= INT16.max and largest * 2.0**shift < 2.0**30:
            return scale.astype(np.int64), np.rint(bias * 2.0**shift).astype(np.int64), shift
    raise GraphError(f"scores reach {largest:g}, expected less than 2^54")
