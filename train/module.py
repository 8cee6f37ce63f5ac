"""The PyTorch module of a topology."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bnn.geometry import Geometry, Spec, walk
from bnn.layers import MEAN_BITS
from bnn.networks import INPUT_BINARY, Network
from bnn.rules import INT16, MAX_FAN_IN, MAX_SUM
from train.abc_net import AbcBlock, AbcConv2d, AbcLinear, AbcScores
from train.errors import TrainError
from train.layers import (
    BN_EPS,
    BN_MOMENTUM,
    INPUT_SCALE,
    BinaryConv2d,
    BinaryLinear,
    BitsBlock,
    Block,
    Schedules,
    ScoreNorm,
    ValueBlock,
    make_norm,
    mean_codes,
    shrink,
)
from train.methods import Methods, annealed_sharpness, clip_, plane_steps, quantile_tau


def input_table(network: Network) -> np.ndarray:
    """The 256-entry table pixel -> int8 of a network's first layer."""
    pixels = np.arange(256)
    if network.input_table == INPUT_BINARY:
        return np.where(pixels >= 128, 1, -1).astype(np.int8)
    return (pixels - 128).astype(np.int8)


def pixel_unit(network: Network) -> float:
    """What 1 of the input table is worth to the first layer."""
    return 1.0 if network.input_table == INPUT_BINARY else INPUT_SCALE


def check(network: Network, methods: Methods) -> None:
    """Refuse methods that do not go together, or with a network.

    Raises:
        TrainError: names both.
    """
    plane_steps(methods.activation_planes)
    if methods.abc:
        if network.residual:
            raise TrainError(f"abc is yes, expected no of {network.name}, which has shortcuts")
        for name in ("alpha", "standardise", "quantile", "magnitude_aware", "threshold_shift", "stochastic_weights"):
            if getattr(methods, name):
                raise TrainError(f"abc and {name} are yes, expected one of them")
    if methods.weight_bits or methods.activation_bits:
        if network.residual and max(methods.activation_bits, default=1) > 1:
            raise TrainError(f"activation_bits are given, expected none of {network.name}, which has shortcuts")
        for name in ("abc", "weight_bases", "activation_planes"):
            if getattr(methods, name) > 1 or getattr(methods, name) is True:
                raise TrainError(f"bits and {name} are given, expected one of them")


class BinaryNetwork(nn.Module):
    """Blocks of a `bnn.networks.Network`, in order.

    `forward` takes uint8 images (N, C, H, W) and returns scores (N, classes).
    """

    table: Tensor

    def __init__(self, network: Network, methods: Methods | None = None) -> None:
        super().__init__()
        self.network = network
        self.methods = methods = methods or Methods()
        self.schedules = Schedules()
        self.register_buffer("table", torch.from_numpy(input_table(network)) * pixel_unit(network), persistent=False)
        self.flatten_first = not network.convs
        check(network, methods)
        blocks: list[Block] = []
        count = sum(spec.kind != "average" for spec in network.layers)
        planes = 1  # those that the next layer reads, counted by their coefficients
        for spec, geometry in zip(network.layers, walk(network), strict=True):
            if spec.kind == "average":
                blocks[-1].shift = None  # only its value is read
                planes = (1 << MEAN_BITS) - 1
                continue
            blocks.append(self._block(spec, geometry, planes, not blocks, methods.of_layer(len(blocks), count)))
            planes = blocks[-1].layer.methods.plane_sum
        self.blocks = nn.ModuleList(blocks)

    def _block(self, spec: Spec, geometry: Geometry, planes: int, first: bool, own: Methods) -> Block:
        """The block of a layer that reads so many planes, with methods of its `own`."""
        network = self.network
        combined = own.abc and not own.real and not first
        pixels = first and network.input_table != INPUT_BINARY
        reach = geometry.fan_in * planes * own.base_sum * (128 if pixels else 1)
        if reach > MAX_SUM:
            raise TrainError(f"{spec.name}: sums reach {reach}, expected at most {MAX_SUM}, of fewer bits")
        layer: BinaryConv2d | BinaryLinear
        if spec.kind == "conv":
            window = (spec.pad, spec.pad_value, own, self.schedules, planes, spec.stride, spec.kernel)
            layer = (AbcConv2d if combined else BinaryConv2d)(geometry.input[2], spec.outputs, *window)
        else:
            layer = (AbcLinear if combined else BinaryLinear)(
                geometry.fan_in, spec.outputs, own, self.schedules, planes
            )
        if spec == network.layers[-1]:
            assert isinstance(layer, BinaryLinear)
            score = ScoreNorm(spec.outputs, reach, eps=BN_EPS, momentum=BN_MOMENTUM)
            return AbcScores(layer, score) if combined else Block(layer, score, pool=False, last=True)
        norm = make_norm(spec.outputs, spec.kind == "dense", own)
        unit = INPUT_SCALE if pixels else 1.0
        if combined:
            return AbcBlock(layer, norm, spec.pool)
        if spec.value:
            height, width, _ = geometry.input
            if spec.stride > 1 and (height % 2 or width % 2):
                raise TrainError(f"{spec.name}: input is {height}x{width}, expected even of an averaged shortcut")
            return ValueBlock(layer, norm, spec.pool, unit)
        if own.activation_bits and own.activation_bits[0] > 1:
            return BitsBlock(layer, norm, spec.pool, unit)
        if reach > (INT16.max - 1 if pixels else MAX_FAN_IN) and not own.real:  # more than thresholds on sums hold
            return ValueBlock(layer, norm, spec.pool, unit)
        return Block(layer, norm, spec.pool, last=False)

    def each(self) -> list[Block]:
        """The blocks, in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def lookup(self, images: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) -> the values the first layer sees."""
        x = self.table[images.long()]
        # channel innermost, as on the accelerator
        return x.permute(0, 2, 3, 1).flatten(1) if self.flatten_first else x

    def forward(self, images: Tensor) -> Tensor:
        x = self.lookup(images)
        if self.methods.input_dropout:
            x = nn.functional.dropout(x, self.methods.input_dropout, self.training)
        value: Tensor | None = None
        for block in self.each():
            x, value = self.before(block, x, value)
            x, value = self.after(block, x, value)
        return x

    def before(self, block: Block, x: Tensor, value: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What a block reads of the planes and the value behind the one before it: flattened, or the value's mean."""
        if value is not None and not isinstance(block, ValueBlock):
            x, value = mean_codes(value, self.methods.real), None
        if isinstance(block.layer, BinaryLinear) and x.dim() == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        return x, value

    def after(self, block: Block, x: Tensor, value: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The planes, and in a network with shortcuts the value, that a block gives; scores of the last."""
        if not (self.network.residual and isinstance(block, ValueBlock)):
            return block(x), None
        assert isinstance(block.layer, BinaryConv2d)
        outputs, stride = block.norm.num_features, int(block.layer.stride[0])
        shortcut = None if value is None else shrink(value, outputs, stride, self.methods.real)
        value = block.value(x, shortcut)
        return block.bits(value), value

    def set_progress(self, progress: float) -> None:
        """Set what changes in the course of the training; `progress` is the share done, 0 to 1."""
        self.schedules.sharpness.fill_(annealed_sharpness(progress))
        self.schedules.tau.fill_(quantile_tau(progress))

    def clip_weights(self) -> None:
        """Clip the latent weights to [-1, 1]."""
        clip_(block.layer.weight for block in self.each())
