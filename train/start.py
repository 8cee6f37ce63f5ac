"""Start the training from the weights of an exported model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bnn.layers import Layer, Model, features
from bnn.networks import INPUT_BINARY
from train.abc_net import AbcLayer
from train.errors import TrainError
from train.layers import INPUT_SCALE, BinaryLinear, Block
from train.methods import plane_steps
from train.module import BinaryNetwork

MAGNITUDE = 0.1
"""Magnitude of every latent weight at the start: small against 1, so that Adam at 2e-3 turns one in 50 steps."""
CALIBRATION_IMAGES = 512


def _suits(layer: Layer, block: Block, planes: int) -> bool:
    """Whether a layer that reads so many planes can be the start of a block: of as many planes and bases, or of one."""
    weights = layer.base_weights[0]
    return (
        tuple(block.layer.weight.shape[1:]) == tuple(np.moveaxis(weights, -1, 1).shape[1:])
        and (block.last or layer.outputs == len(block.layer.weight))
        and layer.bases in (1, block.layer.methods.weight_bases)
        and planes in (1, block.layer.planes)
        and (block.last or layer.planes in (1, block.layer.methods.activation_planes))
    )


def _units(block: Block) -> float:
    """What a block's sums grow by where one product of bits is one more, with the weights of the start."""
    layer = block.layer
    if isinstance(layer, AbcLayer):  # weights of one magnitude are one base with that as its alpha
        return MAGNITUDE * float(layer.beta.sum())
    return float(layer.methods.base_sum * layer.planes)


def _threshold_sums(layer: Layer, reach: int, first_int8: bool) -> np.ndarray:
    """The thresholds as values of the layer's sums, ascending, between two reachable ones; float64 (K, C)."""
    thresholds = np.sort(layer.limits, axis=0).astype(np.float64)
    return INPUT_SCALE * (thresholds - 0.5) if first_int8 else 2 * thresholds - 1 - reach


def _normalisation(distances: np.ndarray, direction: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias (C,) that put thresholds at the steps of the planes.

    Args:
        distances: of the thresholds from the mean of the sums in deviations, ascending (K, C).
        direction: -1 where the channel is flipped, else +1 (C,).
        steps: where the block's planes change, ascending around 0; any number where there is one threshold.
    """
    # beyond 3 deviations a plane is all but constant: keep it within reach of its gradient
    distances = np.clip(distances, -3.0, 3.0)
    gain = direction
    if len(distances) > 1:
        gain = direction * (steps[-1] - steps[0]) / np.maximum(distances[-1] - distances[0], 0.1)
    return gain, -gain * distances.mean(axis=0)


@torch.no_grad()
def _start(network: BinaryNetwork, model: Model, images: Tensor) -> None:
    blocks = network.each()
    beyond = {feature for _, feature, _ in features(model)} - {"planes", "bases"}
    same = (
        not beyond
        and len(blocks) == len(model.layers)
        and all(
            _suits(layer, block, model.planes_into(layer)) for block, layer in zip(blocks, model.layers, strict=True)
        )
    )
    if not same:
        raise TrainError(f"model {model.name} has other layers than {network.network.name}: it cannot be the start")
    x = network.lookup(images[:CALIBRATION_IMAGES])
    for number, (block, layer) in enumerate(zip(blocks, model.layers, strict=True)):
        signs = np.moveaxis(layer.base_weights, -1, 2).astype(np.float32).mean(axis=0) * 2 - 1
        if block.layer.weight.shape != signs.shape:  # another number of classes: the last layer stays as drawn
            continue
        block.layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(signs)) * MAGNITUDE)
        if isinstance(block.layer, BinaryLinear) and x.dim() == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        block.train()
        first_int8 = number == 0 and network.network.input_table != INPUT_BINARY
        passes = layer.bases * model.planes_into(layer)
        reach = layer.fan_in * passes
        # where the model has one plane or base and the block two, the block's sums are about twice as large
        ratio = _units(block) / passes
        if block.last:
            assert layer.scale is not None and layer.offset is not None
            gain = layer.scale / 2.0 ** (layer.shift + 1)  # scale counts matches, 2 * matches - fan_in is the sum
            bias = layer.offset / 2.0**layer.shift + gain * reach
            sums = block.sums(x) / ratio
            mean, deviation = sums.mean(0).double().numpy(), sums.std(0).double().numpy()
            block.norm.weight.copy_(torch.from_numpy(gain * deviation))
            block.norm.bias.copy_(torch.from_numpy(bias + gain * mean))
            break
        assert layer.flip is not None
        sums = block.sums(x) / ratio
        axes = [axis for axis in range(sums.dim()) if axis != 1]
        mean = sums.mean(axes).double().numpy()
        deviation = np.sqrt(sums.var(axes).double().numpy() + block.norm.eps)
        wanted = _threshold_sums(layer, reach, first_int8)
        steps = np.array(plane_steps(network.methods.activation_planes))
        gain, bias = _normalisation((wanted - mean) / deviation, np.where(layer.flip, -1.0, 1.0), steps)
        block.norm.weight.copy_(torch.from_numpy(gain))
        block.norm.bias.copy_(torch.from_numpy(bias))
        x = block(x)


def start_from(model: Model) -> Callable[[BinaryNetwork, Tensor], None]:
    """A `start` for `train.trainer.train`: the model's signs, and batch norms with its thresholds.

    The batch norms get the scale, +-1 for one plane, and the offset that put the thresholds where the model has
    them, given the sums of the first training images. A model of one plane or one base can start a network of
    more. A last layer with another number of classes stays as it was drawn.
    """

    def start(network: BinaryNetwork, images: Tensor) -> None:
        _start(network, model, images)

    return start
