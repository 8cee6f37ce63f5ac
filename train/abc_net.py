"""Layers and blocks of ABC-Net (Lin, Zhao, Pan, NIPS 2017): W = sum_m alpha_m B_m multiplies R = sum_n beta_n A_n.

Planes go from block to block one after the other along the axis of images, (N P, ...) of P images. In training both
sums are taken before the product, which is one as in any other layer; in evaluation every base and plane has its own,
of integers, and coefficient alpha_m beta_n, as the exported model has them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnn.rules import SHIFTS
from train.layers import (
    VALUE_STEP,
    BinaryConv2d,
    BinaryLinear,
    Block,
    Norm,
    Schedules,
    ScoreNorm,
    ValueBlock,
    affine,
    by_channel,
    fixed_point,
)
from train.methods import Methods, abc_alphas, abc_distances, abc_weight, sign


class AbcLayer(nn.Module):
    """What a convolution and a fully connected layer of ABC-Net have in common; `beta` (N,) is learned."""

    weight: Tensor
    planes: int
    methods: Methods
    schedules: Schedules

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.beta = nn.Parameter(torch.ones(self.planes))

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's sums."""
        raise NotImplementedError

    def padded(self, planes: Tensor) -> Tensor:
        """The planes within the layer's padding."""
        return planes

    def bases(self) -> tuple[Tensor, Tensor]:
        """The bases B, +-1 (M, O, ...), and their alphas (O, M) float64."""
        signs = sign(abc_distances(self.weight, self.methods.weight_bases))
        return signs, abc_alphas(self.weight, signs)

    def forward(self, x: Tensor) -> Tensor:
        methods = self.methods
        planes = self.padded(x)
        planes = planes.view(len(self.beta), -1, *planes.shape[1:])
        combined = torch.stack([plane * beta for plane, beta in zip(planes, self.beta, strict=True)]).sum(0)
        weight = abc_weight(self.weight, methods.weight_bases, methods.weight_window, self.schedules.sharpness)
        return self.product(combined, weight)

    def passes(self, x: Tensor) -> Tensor:
        """The sums of every base and plane, (P, O, ..., M, N) float64."""
        x = self.padded(x)
        found = [self.product(x, base).double() for base in self.bases()[0]]
        return torch.stack([torch.stack(item.chunk(len(self.beta)), -1) for item in found], -2)


class AbcConv2d(AbcLayer, BinaryConv2d):
    """Convolution of ABC-Net; `pad_value` in every plane."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=self.stride)

    def padded(self, planes: Tensor) -> Tensor:
        p = self.pad
        return F.pad(planes, (p, p, p, p), value=self.pad_value) if p else planes


class AbcLinear(AbcLayer, BinaryLinear):
    """Fully connected layer of ABC-Net."""

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight)


def coefficients(block: Block, step: float, shifts: Any) -> tuple[Tensor, Tensor, int]:
    """Integers of BN(W * R) / step: of every base and plane (C, M, N), offset (C,) and the shift, as `fixed_point`."""
    layer = block.layer
    assert isinstance(layer, AbcLayer)
    gain, bias = affine(block.norm, None)
    factors = layer.bases()[1][:, :, None] * layer.beta.double()
    return fixed_point(gain[:, None, None] * factors / step, bias / step, layer.weight[0].numel(), shifts)


def added(block: Block, x: Tensor, integers: tuple[Tensor, Tensor, int]) -> Tensor:
    """(sum_mn coefficient_mn * sum_mn + offset) * 2**-shift of the planes `x`, float64 (P, C, ...)."""
    assert isinstance(block.layer, AbcLayer)
    scale, offset, shift = integers
    sums = block.layer.passes(x)
    between = (1,) * (sums.dim() - 4)
    wide = (sums * scale.view(1, len(scale), *between, *scale.shape[1:])).sum((-2, -1))
    return (wide + by_channel(offset, wide)) * 2.0**-shift


class AbcBlock(ValueBlock):
    """Layer of ABC-Net -> BN -> value -> [2x2 max-pool] -> planes, with learned shifts."""

    def __init__(self, layer: BinaryConv2d | BinaryLinear, norm: Norm, pool: bool) -> None:
        super().__init__(layer, norm, pool, 1.0)

    def fixed_point(self) -> tuple[Tensor, Tensor, int]:
        scale, offset, shift = coefficients(self, VALUE_STEP, SHIFTS[::-1])
        return scale, offset + ((1 << shift) >> 1), shift

    def exact(self, x: Tensor) -> Tensor:
        return added(self, x, self.fixed_point())


class AbcScores(Block):
    """The last layer of ABC-Net -> BN; scores in evaluation are those of the exported model."""

    def __init__(self, layer: BinaryLinear, norm: ScoreNorm) -> None:
        super().__init__(layer, norm, pool=False, last=True)

    def fixed_point(self) -> tuple[Tensor, Tensor, int]:
        """Integers of the scores, as `coefficients`."""
        return coefficients(self, 1.0, range(24, -25, -1))

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.sums(x)) if self.training else added(self, x, self.fixed_point())
