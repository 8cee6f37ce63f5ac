"""Binary layers with straight-through estimators.

sign(0) = +1 everywhere. Activations use the triangular window of ApproxSign
(Liu et al., Bi-Real Net, ECCV'18), weights the clipped identity
(Courbariaux et al., arXiv 1602.02830, eq. 4).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Fractional bits of the input domain: a pixel table entry t is seen as t / 128.
INPUT_SCALE = 1.0 / 128.0


class _SignTriangular(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return grad * (2.0 - 2.0 * x.abs()).clamp_min(0.0)


class _SignClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x.abs() <= 1.0, grad, 0.0)


def sign_activation(x: Tensor) -> Tensor:
    """sign(x) in {-1, +1}, any shape; d/dx = max(0, 2 - 2|x|)."""
    signs: Tensor = _SignTriangular.apply(x)  # type: ignore[no-untyped-call]
    return signs


def sign_weight(w: Tensor) -> Tensor:
    """sign(w) in {-1, +1}, any shape; d/dw = 1 for |w| <= 1, else 0."""
    signs: Tensor = _SignClip.apply(w)  # type: ignore[no-untyped-call]
    return signs


class BinaryConv2d(nn.Conv2d):
    """3x3 stride-1 convolution with weights sign(w), (out, in, 3, 3).

    ``pad`` pixels of ``pad_value`` surround the input (N, in, H, W).
    """

    def __init__(self, inputs: int, outputs: int, pad: int, pad_value: float) -> None:
        super().__init__(inputs, outputs, kernel_size=3, bias=False)
        self.pad = pad
        self.pad_value = pad_value

    def forward(self, x: Tensor) -> Tensor:
        weight = sign_weight(self.weight)
        if not self.pad or self.pad_value == 0:
            return F.conv2d(x, weight, padding=self.pad)
        p = self.pad
        return F.conv2d(F.pad(x, (p, p, p, p), value=self.pad_value), weight)


class BinaryLinear(nn.Linear):
    """Fully connected layer with weights sign(w), (out, in); input (N, in)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, sign_weight(self.weight))


class ScoreNorm(nn.BatchNorm1d):
    """The batch norm of the last layer, in evaluation a fixed-point affine.

    In evaluation ``score = (scale * sum + offset) * 2**-shift`` with the integers
    that :meth:`fixed_point` returns, so that the exported integer scores and the
    network's are the same numbers. ``sum`` is the +-1 dot product.
    """

    #: |scale| of the exported affine stays below 2**15: one DSP multiplier.
    SCALE_BITS = 16
    SCORE_BITS = 32

    def fixed_point(self, inputs: int) -> tuple[Tensor, Tensor, int]:
        """Integers of the affine for sums in [-inputs, inputs].

        Returns:
            scale (C,) int64 whose double fits in 16 bits, offset (C,) int64 such that
            every score fits in 32 bits, and the shift: the largest for which
            both hold, at most 24.
        """
        if self.running_mean is None or self.running_var is None:
            raise ValueError("ScoreNorm has no running statistics")
        gain = self.weight.double() / torch.sqrt(self.running_var.double() + self.eps)
        bias = self.bias.double() - self.running_mean.double() * gain
        largest = (gain.abs() * inputs + bias.abs()).max().item()
        for shift in range(24, -25, -1):
            unit = 2.0**shift
            scale = torch.round(gain * unit)
            fits = 2 * scale.abs().max().item() < 2 ** (self.SCALE_BITS - 1)
            # 4: headroom for the rounding of scale and for 2 * matches - inputs
            if fits and (largest * unit + inputs) * 4 < 2 ** (self.SCORE_BITS - 1):
                return scale.long(), torch.round(bias * unit).long(), shift
        raise ValueError(f"ScoreNorm: scores up to {largest:g} do not fit in {self.SCORE_BITS} bits")

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        scale, offset, shift = self.fixed_point(self.inputs)
        return (x.double() * scale + offset) * 2.0**-shift

    def __init__(self, classes: int, inputs: int, eps: float, momentum: float) -> None:
        super().__init__(classes, eps=eps, momentum=momentum)
        self.inputs = inputs


Norm = nn.BatchNorm1d | nn.BatchNorm2d


class Block(nn.Module):
    """layer -> [2x2 max-pool] -> BN, and sign unless it is the last."""

    layer: BinaryConv2d | BinaryLinear
    norm: Norm

    def __init__(self, layer: BinaryConv2d | BinaryLinear, norm: Norm, pool: bool, last: bool) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.pool = pool
        self.last = last

    def sums(self, x: Tensor) -> Tensor:
        """The layer's sums after the pool, before BN."""
        x = self.layer(x)
        return F.max_pool2d(x, 2) if self.pool else x

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.sums(x))
        return x if self.last else sign_activation(x)
