"""Start the training from the weights of an exported model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bnn.layers import Layer, Model, features
from bnn.networks import INPUT_BINARY
from train.errors import TrainError
from train.layers import INPUT_SCALE, BinaryLinear
from train.module import BinaryNetwork

#: magnitude of every latent weight at the start: small against 1, so that Adam at 2e-3 turns one in 50 steps
MAGNITUDE = 0.1
CALIBRATION_IMAGES = 512


def _threshold_sums(layer: Layer, unit: float, first_int8: bool) -> np.ndarray:
    """The thresholds as values of the layer's sums, between two reachable ones; float64 (C,)."""
    assert layer.thresholds is not None
    thresholds = layer.thresholds.astype(np.float64)
    return unit * (thresholds - 0.5) if first_int8 else 2 * thresholds - 1 - layer.fan_in


@torch.no_grad()
def _start(network: BinaryNetwork, model: Model, images: Tensor) -> None:
    blocks = network.each()
    same = not any(features(model)) and len(blocks) == len(model.layers) and all(
        tuple(block.layer.weight.shape) == tuple(np.moveaxis(layer.weights, -1, 1).shape)
        for block, layer in zip(blocks[:-1], model.layers, strict=False)
    )
    if not same:
        raise TrainError(f"model {model.name} has other layers than {network.network.name}: it cannot be the start")
    x = network.lookup(images[:CALIBRATION_IMAGES])
    for number, (block, layer) in enumerate(zip(blocks, model.layers, strict=True)):
        signs = np.moveaxis(layer.weights, -1, 1).astype(np.float32) * 2 - 1
        if block.layer.weight.shape != signs.shape:  # another number of classes: the last layer stays as drawn
            continue
        block.layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(signs)) * MAGNITUDE)
        if isinstance(block.layer, BinaryLinear) and x.dim() == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        block.train()
        first_int8 = number == 0 and network.network.input_table != INPUT_BINARY
        if block.last:
            assert layer.scale is not None and layer.offset is not None
            gain = layer.scale / 2.0 ** (layer.shift + 1)  # scale counts matches, 2 * matches - fan_in is the sum
            bias = layer.offset / 2.0**layer.shift + gain * layer.fan_in
            sums = block.sums(x)
            mean, deviation = sums.mean(0).double().numpy(), sums.std(0).double().numpy()
            block.norm.weight.copy_(torch.from_numpy(gain * deviation))
            block.norm.bias.copy_(torch.from_numpy(bias + gain * mean))
            break
        assert layer.flip is not None
        sums = block.sums(x)
        axes = [axis for axis in range(sums.dim()) if axis != 1]
        mean = sums.mean(axes).double().numpy()
        deviation = np.sqrt(sums.var(axes).double().numpy() + block.norm.eps)
        wanted = _threshold_sums(layer, INPUT_SCALE, first_int8)
        direction = np.where(layer.flip, -1.0, 1.0)
        # beyond 3 deviations a channel is all but constant: keep it within reach of its gradient
        offset = np.clip((mean - wanted) / deviation, -3.0, 3.0)
        block.norm.weight.copy_(torch.from_numpy(direction))
        block.norm.bias.copy_(torch.from_numpy(direction * offset))
        x = block(x)


def start_from(model: Model) -> Callable[[BinaryNetwork, Tensor], None]:
    """A ``start`` for :func:`train.trainer.train`: the model's signs, and batch norms with its thresholds.

    The batch norms get scale +-1 and the offset that puts the threshold where the model has it, given the
    sums of the first training images. A last layer with another number of classes stays as it was drawn.
    """

    def start(network: BinaryNetwork, images: Tensor) -> None:
        _start(network, model, images)

    return start
