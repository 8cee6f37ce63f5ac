"""Binary layers and blocks.

What a layer does with its latent weights and a block with its sums is chosen by
`train.methods.Methods`; sign(0) = +1 everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnn.layers import MEAN_SHIFT, mean_scale
from bnn.rules import SHIFTS
from train.errors import TrainError
from train.methods import (
    BASES,
    Methods,
    ShiftNorm1d,
    ShiftNorm2d,
    binarize,
    dorefa_weight,
    magnitude_aware,
    plane_steps,
    quantile_clamp,
    round_half_up,
    standardise,
    ternary_step,
    thermometer,
    xnor_alpha,
)

INPUT_SCALE = 1.0 / 128.0
"""Fractional bits of the input domain: a pixel table entry t is seen as t / 128."""

VALUE_STEP = 1.0 / 16.0
"""What a value's least significant bit is worth to the network: values of 8 bits reach from -8 to 7.94."""
VALUE_LOW, VALUE_HIGH = -128, 127

BN_EPS = 1e-4
BN_MOMENTUM = 0.1


class Schedules(nn.Module):
    """What changes in the course of the training: `sharpness` and `tau`, 0-d float32."""

    sharpness: Tensor
    tau: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sharpness", torch.tensor(1.0), persistent=False)
        self.register_buffer("tau", torch.tensor(0.85), persistent=False)


def binary_weight(w: Tensor, methods: Methods, schedules: Schedules, training: bool) -> Tensor:
    """The weights that the layer multiplies with: the sum of the bases' signs, or `w` where `methods.real`.

    The bases of k bits count 2^(k-1), ..., 2, 1.

    Raises:
        TrainError: unknown number of bases.
    """
    if methods.real:
        return w
    if methods.weight_bits and methods.weight_bits[0] > 1:
        return dorefa_weight(w, methods.weight_bits[0])
    if methods.magnitude_aware:
        w = magnitude_aware(w)
    if methods.standardise:
        w = standardise(w)
    if methods.quantile:
        w = quantile_clamp(w, schedules.tau)
    stochastic = methods.stochastic_weights and training
    if methods.weight_bases not in BASES:
        raise TrainError(f"weight_bases is {methods.weight_bases}, expected one of {', '.join(map(str, BASES))}")
    if methods.weight_bases == 1:
        return binarize(w, methods.weight_window, schedules.sharpness, stochastic)
    step = ternary_step(w)
    return thermometer(w, (-step, step), methods.weight_window, schedules.sharpness, stochastic)


class BinaryConv2d(nn.Conv2d):
    """Convolution with binary weights (out, in, kernel, kernel).

    The input (N, in, H, W) is the sum of `planes` planes of +-1; `pad` pixels surround it, `pad_value` in each.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pad: int,
        pad_value: float,
        methods: Methods | None = None,
        schedules: Schedules | None = None,
        planes: int = 1,
        stride: int = 1,
        kernel: int = 3,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size=kernel, stride=stride, bias=False)
        self.planes = planes
        self.pad = pad
        self.pad_value = pad_value
        self.methods = methods or Methods()
        self.schedules = schedules or Schedules()

    def signs(self) -> Tensor:
        """The binary weights, or the sum of their bases, (out, in, kernel, kernel)."""
        return binary_weight(self.weight, self.methods, self.schedules, self.training)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.signs()
        if not self.pad or self.pad_value == 0:
            return F.conv2d(x, weight, stride=self.stride, padding=self.pad)
        p = self.pad
        return F.conv2d(F.pad(x, (p, p, p, p), value=self.planes * self.pad_value), weight, stride=self.stride)


class BinaryLinear(nn.Linear):
    """Fully connected layer with binary weights (out, in).

    The input (N, in) is the sum of planes of +-1, with their coefficients; `planes` is the sum of these.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        methods: Methods | None = None,
        schedules: Schedules | None = None,
        planes: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.planes = planes
        self.methods = methods or Methods()
        self.schedules = schedules or Schedules()

    def signs(self) -> Tensor:
        """The binary weights, or the sum of their bases, (out, in)."""
        return binary_weight(self.weight, self.methods, self.schedules, self.training)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.signs())


class BinaryActivation(nn.Module):
    """The sum of an activation's planes, any shape: signs around `plane_steps`; for networks of one's own."""

    def __init__(self, planes: int = 1, window: str = "triangular") -> None:
        super().__init__()
        self.steps, self.window, self.schedules = plane_steps(planes), window, Schedules()

    def forward(self, x: Tensor) -> Tensor:
        return thermometer(x, self.steps, self.window, self.schedules.sharpness)


class Value(nn.Module):
    """A value of 8 bits, any shape: rounded half up to a multiple of VALUE_STEP and saturated; gradient 1 inside.

    A shortcut is added before it: `value(norm(conv(x)) + shortcut)`, where the shortcut is a value too.
    """

    def forward(self, x: Tensor) -> Tensor:
        return round_half_up(x, VALUE_STEP).clamp(VALUE_LOW * VALUE_STEP, VALUE_HIGH * VALUE_STEP)


SCALE_BITS = 16
"""|scale| of the exported affine stays below 2**15: one DSP multiplier."""
OFFSET_BITS = 32


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gain and bias (C,) float64 of a batch norm in evaluation, of sums that are scaled by `alpha` before it."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("the batch norm has no running statistics")
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * gain
    return gain if alpha is None else gain * alpha.double(), bias


def fixed_point(gain: Tensor, bias: Tensor, inputs: int, shifts: Iterable[int]) -> tuple[Tensor, Tensor, int]:
    """Integers of `gain * sum + bias` for sums in [-inputs, inputs]: scale and offset int64, times 2**-shift.

    Args:
        gain: float64 (C,), or (C, ...) of several sums that are added up.
        bias: (C,) float64.
        inputs: greatest sum.
        shifts: to choose from; the first is taken with which twice the scale fits in 16 bits and every result in 32.

    Raises:
        TrainError: none does.
    """
    each = gain.abs().reshape(len(gain), -1)
    largest = (each.sum(1) * inputs + bias.abs()).max().item()
    for shift in shifts:
        unit = 2.0**shift
        scale = torch.round(gain * unit)
        fits = 2 * scale.abs().max().item() < 2 ** (SCALE_BITS - 1)
        # 4: headroom for the rounding of scale and for 2 * matches - inputs
        if fits and (largest * unit + inputs * each.shape[1]) * 4 < 2 ** (OFFSET_BITS - 1):
            return scale.long(), torch.round(bias * unit).long(), shift
    raise TrainError(f"batch norm: results up to {largest:g} do not fit in {OFFSET_BITS} bits")


class ScoreNorm(nn.BatchNorm1d):
    """The batch norm of the last layer, in evaluation a fixed-point affine.

    In evaluation `score = (scale * sum + offset) * 2**-shift` with the integers
    that `fixed_point` returns, so that the exported integer scores and the
    network's are the same numbers. `sum` is the +-1 dot product of all planes and bases.
    """

    def fixed_point(self, inputs: int, alpha: Tensor | None = None) -> tuple[Tensor, Tensor, int]:
        """Integers of the affine for sums in [-inputs, inputs].

        Args:
            inputs: fan-in of the layer, times its planes and bases.
            alpha: scale (C,) of the sums before the batch norm, 1 where absent.

        Returns:
            scale (C,) int64 whose double fits in 16 bits, offset (C,) int64 such that
            every score fits in 32 bits, and the shift: the largest for which
            both hold, at most 24.
        """
        gain, bias = affine(self, alpha)
        return fixed_point(gain, bias, inputs, range(24, -25, -1))

    def __init__(self, classes: int, inputs: int, eps: float, momentum: float) -> None:
        super().__init__(classes, eps=eps, momentum=momentum)
        self.inputs = inputs


Norm = nn.BatchNorm1d | nn.BatchNorm2d


def make_norm(channels: int, flat: bool, methods: Methods) -> Norm:
    """The batch norm of a hidden block, shift-based where `methods.norm` says so.

    Raises:
        TrainError: unknown norm.
    """
    kinds: dict[str, tuple[type[Norm], type[Norm]]] = {
        "batch": (nn.BatchNorm1d, nn.BatchNorm2d),
        "shift": (ShiftNorm1d, ShiftNorm2d),
    }
    if methods.norm not in kinds:
        raise TrainError(f"norm '{methods.norm}' is unknown: choose one of {', '.join(kinds)}")
    return kinds[methods.norm][0 if flat else 1](channels, eps=BN_EPS, momentum=BN_MOMENTUM)


def by_channel(vector: Tensor, of: Tensor) -> Tensor:
    """A vector (C,) as (1, C, 1, ...), to go with `of` (P, C, ...)."""
    return vector.view((1, -1) + (1,) * (of.dim() - 2))


class Block(nn.Module):
    """layer -> [2x2 max-pool] -> [alpha] -> BN -> [learned shift], and the planes' signs unless it is the last.

    alpha > 0 commutes with the pool.
    """

    layer: BinaryConv2d | BinaryLinear
    norm: Norm

    def __init__(self, layer: BinaryConv2d | BinaryLinear, norm: Norm, pool: bool, last: bool) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.pool = pool
        self.last = last
        methods = layer.methods
        self.shift = nn.Parameter(torch.zeros(norm.num_features)) if methods.threshold_shift and not last else None
        moves = methods.abc and not methods.real and not last
        self.v = nn.Parameter(0.5 - torch.tensor(plane_steps(methods.activation_planes))) if moves else None

    def steps(self) -> Sequence[float | Tensor]:
        """Where the planes change sign, of what `normalise` gives: `plane_steps`, or ABC-Net's 1/2 - v."""
        return plane_steps(self.layer.methods.activation_planes) if self.v is None else list(0.5 - self.v)

    def alpha(self) -> Tensor | None:
        """Scale (C,) of the sums, or None."""
        methods = self.layer.methods
        return xnor_alpha(self.layer.weight) if methods.alpha and not methods.real else None

    def sums(self, x: Tensor) -> Tensor:
        """The layer's sums after the pool, before alpha and BN."""
        x = self.layer(x)
        return F.max_pool2d(x, 2) if self.pool else x

    def normed(self, sums: Tensor) -> Tensor:
        """The batch norm of the sums, (N, C) or (N, C, H, W), times alpha."""
        alpha = self.alpha()
        x: Tensor = self.norm(sums if alpha is None else sums * by_channel(alpha, sums))
        return x

    def moved(self, x: Tensor) -> Tensor:
        """`x` (P, C, ...) less the learned shift."""
        return x if self.shift is None else x - by_channel(self.shift, x)

    def normalise(self, sums: Tensor) -> Tensor:
        """What the sign sees, (N, C) or (N, C, H, W), monotone in the sums of each channel."""
        return self.moved(self.normed(sums))

    def scores(self, sums: Tensor) -> Tensor:
        """The last block's scores in evaluation: the fixed-point affine of the exported model."""
        assert isinstance(self.norm, ScoreNorm)
        scale, offset, shift = self.norm.fixed_point(self.norm.inputs, self.alpha())
        return (sums.double() * scale + offset) * 2.0**-shift

    def planes(self, x: Tensor) -> Tensor:
        """The sum of the planes of `x` as `normalise` gives it, same shape; of ABC-Net the planes, (N P, ...) of P."""
        methods, sharpness = self.layer.methods, self.layer.schedules.sharpness
        stochastic = methods.stochastic_activations and self.training
        if self.v is not None:  # A_n = 2 [clip(x + v_n, 0, 1) >= 1/2] - 1 (ABC section 3.2)
            window = methods.activation_window
            return torch.cat([binarize(x - step, window, sharpness, stochastic) for step in self.steps()])
        if methods.activation_planes == 1:
            return binarize(x, methods.activation_window, sharpness, stochastic)
        return thermometer(x, self.steps(), methods.activation_window, sharpness, stochastic)

    def forward(self, x: Tensor) -> Tensor:
        methods = self.layer.methods
        sums = self.sums(x)
        if self.last:
            return self.normalise(sums) if self.training or methods.real else self.scores(sums)
        x = self.normalise(sums)
        if methods.real:
            x = F.relu(x)
        else:
            x = self.planes(x)
        return F.dropout(x, methods.dropout, self.training) if methods.dropout else x


class ValueBlock(Block):
    """layer -> [alpha] -> BN -> value, added to that of the shortcut -> [2x2 max-pool]; its planes by [learned shift].

    Values are multiples of `VALUE_STEP` in 8 bits, rounded half up, as `docs/model.md` has them; in evaluation
    the batch norm is the fixed-point affine of the exported model, so that they are the integer network's exactly.
    """

    units = 1 / VALUE_STEP  # integers for 1 of the batch norm
    low, high = VALUE_LOW, VALUE_HIGH  # the least integer, the greatest
    worth = VALUE_STEP  # what an integer is worth to those that read it

    def __init__(self, layer: BinaryConv2d | BinaryLinear, norm: Norm, pool: bool, unit: float) -> None:
        if layer.methods.norm != "batch":
            raise TrainError(f"norm is {layer.methods.norm}, expected batch of a layer that gives a value")
        super().__init__(layer, norm, pool, last=False)
        self.unit = unit  # the least difference of two of its sums is unit, or twice that

    def fixed_point(self) -> tuple[Tensor, Tensor, int]:
        """Integers of the value for sums in `unit`: value = ((scale * sum + offset) >> shift) * worth.

        Returns:
            scale (C,) int64 whose double fits in 16 bits, offset (C,) with what rounds half up, and the shift.
        """
        layer = self.layer
        gain, bias = affine(self.norm, self.alpha())
        reach = layer.weight[0].numel() * layer.methods.base_sum * layer.planes * round(max(1.0, 1.0 / self.unit))
        scale, offset, shift = fixed_point(gain * self.unit * self.units, bias * self.units, reach, SHIFTS[::-1])
        return scale, offset + ((1 << shift) >> 1), shift

    def exact(self, x: Tensor) -> Tensor:
        """(scale * sum + offset) * 2**-shift of the planes `x`, float64 (P, C, ...)."""
        scale, offset, shift = self.fixed_point()
        sums = torch.round(self.layer(x).double() / self.unit)
        return (sums * by_channel(scale, sums) + by_channel(offset, sums)) * 2.0**-shift

    def value(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The value (P, C, ...) of the planes `x`, and of the shortcut's value as `shrink` gives it."""
        if self.training or self.layer.methods.real:
            y = self.normed(self.layer(x))
            y = y if self.layer.methods.real else round_half_up(y * self.units, 1.0) * self.worth
        else:
            y = (torch.floor(self.exact(x)) * self.worth).float()
        y = y if shortcut is None else y + shortcut
        if not self.layer.methods.real:
            y = y.clamp(self.low * self.worth, self.high * self.worth)
        return F.max_pool2d(y, 2) if self.pool else y

    def normalise(self, sums: Tensor) -> Tensor:
        """What the sign sees of values (P, C, ...)."""
        return self.moved(sums)

    def bits(self, value: Tensor) -> Tensor:
        """What `planes` gives of a value (P, C, ...)."""
        methods = self.layer.methods
        x = self.normalise(value)
        x = F.relu(x) if methods.real else self.planes(x)
        return F.dropout(x, methods.dropout, self.training) if methods.dropout else x

    def forward(self, x: Tensor) -> Tensor:
        return self.bits(self.value(x))


class BitsBlock(ValueBlock):
    """layer -> [alpha] -> BN -> (2^k - 1) quantise(clip(x, 0, 1)) -> [2x2 max-pool], whose k bits are the planes.

    q of 0 to 2^k - 1 goes on as 2 q - (2^k - 1), the sum of its planes +-1 times 2^(k-1), ..., 2, 1.
    """

    worth = 1.0

    def __init__(self, layer: BinaryConv2d | BinaryLinear, norm: Norm, pool: bool, unit: float) -> None:
        super().__init__(layer, norm, pool, unit)
        self.shift = None  # the batch norm has one
        self.low, self.high = 0, layer.methods.plane_sum
        self.units = float(self.high)

    def bits(self, value: Tensor) -> Tensor:
        dropout = self.layer.methods.dropout
        x = 2.0 * value - self.high
        return F.dropout(x, dropout, self.training) if dropout else x


def shrink(value: Tensor, outputs: int, stride: int, real: bool) -> Tensor:
    """A value (N, C, H, W) as a shortcut to a layer of `outputs` channels: averaged over 2x2 with stride 2."""
    if stride > 1:
        value = F.avg_pool2d(value, 2)
        value = value if real else round_half_up(value, VALUE_STEP)
    return F.pad(value, (0, 0, 0, 0, 0, outputs - value.shape[1]))


def mean_codes(value: Tensor, real: bool) -> Tensor:
    """The sum of the planes of a value's mean, (N, C, H, W) -> (N, C): the bits of mean + 128 with coefficients 2^k."""
    if real:
        return value.mean((2, 3))
    scale = mean_scale(value.shape[2], value.shape[3])
    sums = value.double().sum((2, 3)) / VALUE_STEP
    mean = (sums * (scale / (1 << MEAN_SHIFT))).float()
    return 2 * round_half_up(mean, 1.0).clamp(VALUE_LOW, VALUE_HIGH) + 1
