"""What stands for a tensor while a graph is lowered: a function of the integers that one layer gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bnn.geometry import Shape
from bnn.layers import Layer
from train.graphs.graph import GraphError
from train.graphs.lines import Line

CHUNK = 1 << 18
"""Elements of a function's values that are computed at once: no more than a processor's cache holds."""

Function = Callable[[Tensor], Tensor]
"""Integers float64 (S, C), or (S, 1) where they are the same in all channels, to what the graph has there, (S, C)."""


class Operand(NamedTuple):
    """What a layer multiplies: `x = centre + half * sum over planes of 2^shift * (+-1)`, or of 8-bit pixels' values t
    `x = centre + half * t`."""

    source: str
    shape: Shape
    planes: int
    shifts: tuple[int, ...]
    centre: float | np.ndarray  # (C,) where channels differ
    half: float | np.ndarray
    eight_bit: bool = False
    input_bits: int = 0

    @property
    def factors(self) -> list[int]:
        return [1 << shift for shift in self.shifts or (0,) * self.planes]


@dataclass(frozen=True, eq=False)
class Draft:
    """A layer whose results are not chosen yet."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    weights: np.ndarray  # (M, O, ...)
    base_shifts: tuple[int, ...] = ()
    plane_shifts: tuple[int, ...] = ()
    pad: int = 0
    pad_value: int = 0
    stride: int = 1
    pool: bool = False
    average_shortcut: bool = False
    input_bits: int = 0
    eight_bit: bool = False

    def layer(self, **fields: Any) -> Layer:
        return Layer(
            name=self.name,
            kind=self.kind,
            inputs=self.inputs,
            weights=self.weights if len(self.weights) > 1 and self.kind != "average" else self.weights[0],
            pad=self.pad,
            pad_value=self.pad_value if self.pad else 0 if self.eight_bit or self.kind == "average" else -1,
            stride=self.stride,
            pool=self.pool,
            base_shifts=self.base_shifts if any(self.base_shifts) else (),
            plane_shifts=self.plane_shifts if any(self.plane_shifts) else (),
            average_shortcut=self.average_shortcut,
            input_bits=self.input_bits,
            **fields,
        )


@dataclass(frozen=True, eq=False)
class Base:
    """Integers that tensors are functions of: of pixels, a layer's sums or its value, `low` to `high`."""

    kind: str  # pixels, sums, stream (sums and a shortcut, which only a value can be made of), value
    shape: Shape
    low: int
    high: int
    draft: Draft | None = None
    layer: str = ""  # a value's
    added: tuple[Signal, Line] | None = None  # a stream's: its own sums, and the shortcut's value
    shrunk: str = ""  # a value's, on the way to a shortcut: skip or average

    @property
    def channels(self) -> int:
        return self.shape[2]


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor of the graph."""

    base: Base
    index: np.ndarray
    """Of every element, without the batch, which of the base's map (H, W, C) it is."""
    function: Function
    line: Line | None
    border: tuple[int, float] | None = None
    """Pixels around the map, and what stands there."""


class NeedsImages(GraphError):
    """The ranges of real numbers are needed, and there are no images to see them on."""


class NeedsTwin(Exception):
    """A layer of +-1 is read with a padding of 0, for which it gives its plane twice."""


def positions(shape: Shape) -> np.ndarray:
    """The index of a map as (C, H, W)."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(2, 0, 1)


def evaluate(function: Function, numbers: np.ndarray, channels: int) -> np.ndarray:
    """A function's values (S, C) of integers (S,), in float32 or float64."""
    step = max(1, CHUNK // channels)
    parts = []
    for start in range(0, len(numbers), step):
        column = torch.from_numpy(numbers[start : start + step].astype(np.float64))[:, None]
        parts.append(function(column).expand(-1, channels).numpy())
    return np.concatenate(parts)
