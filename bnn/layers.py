"""Layers and models as data, and what of them goes beyond version 1. `docs/model.md` has the formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Tuple

import numpy as np

from bnn.contract import value_range
from bnn.errors import ExpectedError

INPUT = "input"
"""The name by which the first layer reads the image."""


class ModelError(ExpectedError):
    """A model is inconsistent or its file cannot be read; one line says where."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    `weights` are bits, uint8: a convolution's (O, k, k, I), a dense layer's (O, I), behind an axis of M where there
    are M >= 2 bases; an average has none, (O, 0). O outputs, I inputs of one plane, N planes in.

    What the layer gives depends on what it has:

    - `thresholds` alone: K planes, bits of the sums;
    - `offset`, with `scale` or `coefficients`: a value; its planes are K bits by `thresholds` on the value,
      or without them the `bits` of the value, or none;
    - the last layer has `offset` with `scale` or `coefficients` and gives scores.
    """

    name: str
    kind: str
    """conv, dense, or average: of a value over its map"""
    inputs: tuple[str, ...]
    """The layer whose planes (of an average: whose value) are read, then that whose value is the shortcut."""
    weights: np.ndarray
    pad: int = 0
    pad_value: int = 0
    """-1 or +1 in every plane; 0: +1 in the first plane and -1 in the others, or the 8-bit pixel's 0."""
    pool: bool = False
    """2x2 max-pool, stride 2"""
    thresholds: Optional[np.ndarray] = None
    """int32 (O,), or (K, O) for K >= 2 planes"""
    flip: Optional[np.ndarray] = None
    """bool (O,): bits by thresholds are inverted, in all planes"""
    scale: Optional[np.ndarray] = None
    """int32 (O,), of 16 bits"""
    offset: Optional[np.ndarray] = None
    """int32 (O,)"""
    shift: int = 0
    """Bits that a value is shifted right; the last layer's scores are not, they are 2**shift times the trained ones."""
    stride: int = 1
    base_shifts: tuple[int, ...] = ()
    """Exponents of the bases' coefficients; (): all 0"""
    plane_shifts: tuple[int, ...] = ()
    """Exponents of the planes' coefficients; (): all 0"""
    coefficients: Optional[np.ndarray] = None
    """int32 (O, M, N) of 16 bits, in place of `scale` and the exponents"""
    bits: int = 0
    """0: the value is signed, of 8 bits; 1 to 8: unsigned, of so many"""
    average_shortcut: bool = False
    """A shortcut of twice the height and width is averaged over 2x2 in place of every second row and column."""
    input_bits: int = 0
    """First layer: 0 for 8-bit pixels (conv) or one bit each (dense), 2 to 8 for as many planes"""

    @property
    def _has_bases(self) -> bool:
        return self.weights.ndim in (3, 5)

    @property
    def bases(self) -> int:
        """M."""
        return int(self.weights.shape[0]) if self._has_bases else 1

    @property
    def base_weights(self) -> np.ndarray:
        """Weights with the axis of bases: (M, O, ...)."""
        return self.weights if self._has_bases else self.weights[None]

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return int(self.base_weights.shape[1])

    @property
    def fan_in(self) -> int:
        """Inputs of one output, of one plane and one base."""
        return int(np.prod(self.base_weights.shape[2:]))

    @property
    def kernel(self) -> int:
        """Edge of the kernel; 1 for dense layers."""
        return int(self.base_weights.shape[2]) if self.kind == "conv" else 1

    @property
    def requantised(self) -> bool:
        """Whether the sums are scaled: to a value, or to the last layer's scores."""
        return self.offset is not None

    @property
    def limits(self) -> np.ndarray:
        """Thresholds with the axis of planes: (K, O); none: (0, O)."""
        if self.thresholds is None:
            return np.zeros((0, self.outputs), np.int32)
        return self.thresholds.reshape(-1, self.outputs)

    @property
    def planes(self) -> int:
        """Planes that it gives."""
        return self.bits if self.thresholds is None else len(self.limits)

    @property
    def value_range(self) -> tuple[int, int]:
        """Least and greatest value."""
        return value_range(self.bits)

    @property
    def base_factors(self) -> np.ndarray:
        """2 ** exponent of every base, int64 (M,)."""
        return np.left_shift(1, np.array(self.base_shifts or (0,) * self.bases, np.int64))

    def plane_factors(self, planes: int) -> np.ndarray:
        """2 ** exponent of every one of the `planes` that are read, int64 (N,)."""
        return np.left_shift(1, np.array(self.plane_shifts or (0,) * planes, np.int64))


@dataclass(frozen=True, eq=False)
class Model:
    """A network: the image's shape, the pixel table, the layers, each behind those it reads, the class names."""

    name: str
    height: int
    width: int
    channels: int
    input_table: np.ndarray
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)
    temperature: Optional[float] = None
    """What scores are divided by to be logits of calibrated probabilities; None: not measured"""

    @property
    def binary_input(self) -> bool:
        """Whether the table holds -1 and +1 only."""
        return bool(np.isin(self.input_table, (-1, 1)).all())

    @property
    def eight_bit_input(self) -> bool:
        """Whether the first layer sums 8-bit pixels, and reads no planes."""
        first = self.layers[0]
        return first.kind == "conv" and not first.input_bits

    def planes_into(self, layer: Layer) -> int:
        """Planes that a layer reads; 1 where it reads 8-bit pixels or a value."""
        if layer.inputs[0] == INPUT:
            return max(1, layer.input_bits)
        source = next(item for item in self.layers if item.name == layer.inputs[0])
        return 1 if layer.kind == "average" else source.planes


MEAN_BITS = 8
"""Bits of a value's mean."""
MEAN_SHIFT = 12
"""Bits that the scaled sum of a mean is shifted right."""


def bit_shifts(bits: int) -> Tuple[int, ...]:
    """The shifts of planes or bases that are the bits of a number, the most significant first."""
    return tuple(range(bits - 1, -1, -1))


def mean_scale(height: int, width: int) -> int:
    """What sums over a map are multiplied by, before that shift, for their mean."""
    return round((1 << MEAN_SHIFT) / (height * width))


def map_mean(name: str, source: str, shape: Tuple[int, int, int]) -> Layer:
    """A layer whose planes are the 8 bits of a signed value's mean over its map, rounded half up, plus 128.

    Args:
        name, source: of the layer and of that whose value it reads.
        shape: of the value, (H, W, C).
    """
    height, width, channels = shape
    offset = (128 << MEAN_SHIFT) + (1 << MEAN_SHIFT - 1)
    return Layer(
        name,
        "average",
        (source,),
        np.zeros((channels, 0), np.uint8),
        shift=MEAN_SHIFT,
        bits=MEAN_BITS,
        scale=np.full(channels, mean_scale(height, width), np.int32),
        offset=np.full(channels, offset, np.int32),
    )


FEATURES: Dict[str, str] = {
    "graph": "an input other than the layer before",
    "kernels": "1x1 and 5x5 kernels",
    "strides": "stride 2",
    "planes": "several planes",
    "bases": "several bases",
    "powers": "powers of two as coefficients",
    "coefficients": "any coefficients",
    "values": "values",
    "bits": "a value's bits as planes",
    "shortcuts": "shortcuts",
    "averages": "averages of a value over its map",
    "pixel planes": "planes of pixels",
}
"""What a model may have beyond version 1."""


def features(model: Model) -> Iterator[Tuple[str, str, str]]:
    """Layer, feature and what the layer has of it, for everything in a consistent model beyond version 1, in order."""
    previous = INPUT
    for layer in model.layers:
        hidden = layer is not model.layers[-1]
        planes = model.planes_into(layer)
        found: List[Tuple[bool, str, str]] = [
            (layer.kind == "average", "averages", "an average"),
            (layer.inputs[0] != previous, "graph", f"input {layer.inputs[0]} in place of {previous}"),
            (layer.kind == "conv" and layer.kernel != 3, "kernels", f"a {layer.kernel}x{layer.kernel} kernel"),
            (layer.stride != 1, "strides", f"stride {layer.stride}"),
            (layer.input_bits > 0, "pixel planes", f"planes of {layer.input_bits}-bit pixels"),
            (planes > 1 or layer.planes > 1, "planes", f"{max(planes, layer.planes)} planes"),
            (layer.bases > 1, "bases", f"{layer.bases} bases"),
            (any(layer.base_shifts + layer.plane_shifts), "powers", "powers of two as coefficients"),
            (layer.coefficients is not None, "coefficients", "coefficients of its own"),
            (len(layer.inputs) > 1, "shortcuts", f"a shortcut from {layer.inputs[-1]}"),
            (hidden and layer.requantised, "values", "a value"),
            (hidden and layer.bits > 0 and layer.thresholds is None, "bits", "bits of its value as planes"),
        ]
        for has, feature, text in found:
            if has:
                yield layer.name, feature, text
        previous = layer.name


def require(model: Model, where: str, supported: FrozenSet[str] = frozenset()) -> None:
    """Refuse a model that needs more than version 1 and the `supported` features.

    Args:
        model: a consistent model.
        where: what does not support the rest, for the message.
        supported: keys of FEATURES.

    Raises:
        ModelError: names the first layer, what it has and what is supported.
    """
    for layer, feature, text in features(model):
        if feature not in supported:
            more = "".join(f", {FEATURES[key]}" for key in FEATURES if key in supported)
            raise ModelError(
                f"layer {layer}: has {text}, which {where} does not support, expected a chain of 3x3 "
                f"convolutions and dense layers of one plane and one base{more}"
            )
