"""The PyTorch module of a topology."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bnn.geometry import walk
from bnn.layers import MEAN_BITS
from bnn.networks import INPUT_BINARY, Network
from train.errors import TrainError
from train.layers import (
    BN_EPS,
    BN_MOMENTUM,
    INPUT_SCALE,
    BinaryConv2d,
    BinaryLinear,
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


class BinaryNetwork(nn.Module):
    """Blocks of a `bnn.networks.Network`, in order.

    `forward` takes uint8 images (N, C, H, W) and returns scores (N, classes).
    """

    table: Tensor

    def __init__(self, network: Network, methods: Methods | None = None) -> None:
        super().__init__()
        self.network = network
        self.methods = methods = methods or Methods()
        self.schedules = schedules = Schedules()
        binary_input = network.input_table == INPUT_BINARY
        scale = 1.0 if binary_input else INPUT_SCALE
        self.register_buffer("table", torch.from_numpy(input_table(network)) * scale, persistent=False)
        self.flatten_first = not network.convs
        planes = len(plane_steps(methods.activation_planes))  # of every layer but the image
        blocks: list[Block] = []
        geometries = walk(network)
        channels = network.channels
        for index, ((outputs, pool), spec) in enumerate(zip(network.convs, network.layers, strict=False)):
            value = 0 if index == 0 else network.pad_value  # the first layer is padded in the 8-bit domain
            read = planes if blocks else 1
            conv = BinaryConv2d(
                channels, outputs, network.pad, value, methods, schedules, read, spec.stride, spec.kernel
            )
            norm = make_norm(outputs, False, methods)
            if network.residual:
                height, width, _ = geometries[index].input
                if spec.stride > 1 and (height % 2 or width % 2):
                    raise TrainError(f"{spec.name}: input is {height}x{width}, expected even of an averaged shortcut")
                blocks.append(ValueBlock(conv, norm, pool, 1.0 if index else scale))
            else:
                blocks.append(Block(conv, norm, pool, last=False))
            channels = outputs
        if network.residual:
            blocks[-1].shift = None  # only its value is read
            planes = (1 << MEAN_BITS) - 1  # the bits of the mean count by their place
        inputs = geometries[len(network.convs) + network.residual].fan_in
        for outputs in network.dense:
            dense = BinaryLinear(inputs, outputs, methods, schedules, planes if blocks else 1)
            blocks.append(Block(dense, make_norm(outputs, True, methods), pool=False, last=False))
            inputs = outputs
        dense = BinaryLinear(inputs, network.classes, methods, schedules, planes if blocks else 1)
        passes = dense.planes * methods.weight_bases
        score = ScoreNorm(network.classes, inputs * passes, eps=BN_EPS, momentum=BN_MOMENTUM)
        blocks.append(Block(dense, score, pool=False, last=True))
        self.blocks = nn.ModuleList(blocks)

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
        real, value = self.methods.real, None
        for block in self.each():
            if isinstance(block, ValueBlock):
                outputs, stride = block.norm.num_features, block.layer.stride
                shortcut = None if value is None else shrink(value, outputs, stride[0], real)
                value = block.value(x, shortcut)
                x = block.bits(value)
                continue
            if value is not None:
                x, value = mean_codes(value, real), None
            if isinstance(block.layer, BinaryLinear) and x.dim() == 4:
                x = x.permute(0, 2, 3, 1).flatten(1)
            x = block(x)
        return x

    def set_progress(self, progress: float) -> None:
        """Set what changes in the course of the training; `progress` is the share done, 0 to 1."""
        self.schedules.sharpness.fill_(annealed_sharpness(progress))
        self.schedules.tau.fill_(quantile_tau(progress))

    def clip_weights(self) -> None:
        """Clip the latent weights to [-1, 1]."""
        clip_(block.layer.weight for block in self.each())
