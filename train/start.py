"""Start the training from the weights of an exported model, or from those of another run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bnn.layers import INPUT, Layer, Model
from bnn.model import load
from bnn.output import note
from train.abc_net import AbcLayer
from train.checkpoint import is_model_file, load_network
from train.errors import TrainError
from train.layers import BitsBlock, Block, ValueBlock
from train.methods import plane_steps
from train.module import BinaryNetwork, pixel_unit

MAGNITUDE = 0.1
"""Magnitude of every latent weight at the start: small against 1, so that Adam at 2e-3 turns one in 50 steps."""
CALIBRATION_IMAGES = 4096
"""Images whose sums the batch norms are set by: with 512 the dense layers' means are a 23rd of a deviation off."""
CHUNK = 256
"""Images that go through a layer at once."""


def _passes(layer: Layer, planes: int) -> int:
    """Bases times planes that a layer reads, counted by their coefficients."""
    return int(layer.base_factors.sum() * layer.plane_factors(planes).sum())


def _suits(layer: Layer, block: Block, planes: int) -> bool:
    """Whether a layer that reads so many planes can be the start of a block: of as many planes and bases, or of one."""
    weights, own = layer.base_weights[0], block.layer
    gives = int(layer.plane_factors(layer.planes).sum()) if layer.bits == 0 else (1 << layer.bits) - 1
    return (
        layer.coefficients is None
        and tuple(own.weight.shape[1:]) == tuple(np.moveaxis(weights, -1, 1).shape[1:])
        and (block.last or layer.outputs == len(own.weight))
        and layer.base_factors.sum() in (1, own.methods.base_sum)
        and layer.plane_factors(planes).sum() in (1, own.planes)
        and (block.last or not layer.planes or gives in (1, own.methods.plane_sum))
        and (block.last or not layer.requantised or (isinstance(block, ValueBlock) and not _flips(layer)))
    )


def _flips(layer: Layer) -> bool:
    return layer.flip is not None and bool(layer.flip.any())


def _alike(network: BinaryNetwork, model: Model) -> int:
    """How many of the model's first layers are of the network's kinds and sizes, and read the same."""
    blocks = iter(network.each())
    names = {INPUT: INPUT}
    before = INPUT
    for count, (spec, layer) in enumerate(zip(network.network.layers, model.layers, strict=False)):
        wanted = tuple(names.get(name) for name in spec.inputs) or (names.get(before),)
        if (layer.kind, layer.stride, layer.inputs) != (spec.kind, spec.stride, wanted):
            return count
        if spec.kind != "average" and not _suits(layer, next(blocks), model.planes_into(layer)):
            return count
        before, names[spec.name] = spec.name, layer.name
    return min(len(network.network.layers), len(model.layers))


def _units(block: Block) -> float:
    """What a block's sums grow by where one product of bits is one more, with the weights of the start."""
    layer = block.layer
    if isinstance(layer, AbcLayer):  # weights of one magnitude are one base with that as its alpha
        return MAGNITUDE * float(layer.beta.sum())
    return float(layer.methods.base_sum * layer.planes)


def _threshold_sums(layer: Layer, reach: int, unit: float | None) -> np.ndarray:
    """The thresholds as values of the layer's sums, ascending, between two reachable ones; float64 (K, C).

    `unit`, of sums of pixels: what 1 of one is worth.
    """
    thresholds = np.sort(layer.limits, axis=0).astype(np.float64)
    return 2 * thresholds - 1 - reach if unit is None else unit * (thresholds - 0.5)


def _normalisation(distances: np.ndarray, direction: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias (C,) that put thresholds at the steps of the planes.

    Args:
        distances: of the thresholds from the mean of the sums in deviations, ascending (K, C).
        direction: -1 where the channel is flipped, else +1 (C,).
        steps: where the block's planes change, ascending; any number where there is one threshold.
    """
    # beyond 3 deviations a plane is all but constant: keep it within reach of its gradient
    distances = np.clip(distances, -3.0, 3.0)
    gain = direction
    if len(distances) > 1:
        gain = direction * (steps[-1] - steps[0]) / np.maximum(distances[-1] - distances[0], 0.1)
    return gain, steps.mean() - gain * distances.mean(axis=0)


def _affine(layer: Layer, block: Block, reach: int, pixels: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias (C,) of a layer's value or scores, as the block's batch norm gives them of its sums.

    `pixels`, of sums of pixels: what 1 of one is worth.
    """
    assert layer.scale is not None and layer.offset is not None
    unit = 2.0**layer.shift
    if pixels is not None:
        gain, bias = layer.scale / unit / pixels, layer.offset / unit
    else:  # scale counts matches, 2 * matches - reach is the sum
        gain = layer.scale / (2 * unit)
        bias = layer.offset / unit + gain * reach
    if not isinstance(block, ValueBlock):
        return gain, bias
    return gain / block.units, (bias - 0.5) / block.units  # rounding half up is in the offset


def _measure(block: Block, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) float64 of the sums that go to a block's batch norm; its inputs are given in parts."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for x in parts:
        sums = (block.layer(x) if isinstance(block, ValueBlock) else block.sums(x)).double()
        axes = [axis for axis in range(sums.dim()) if axis != 1]
        count += sums.numel() // sums.shape[1]
        total, squares = total + sums.sum(axes), squares + (sums * sums).sum(axes)
    mean = total / count
    return mean, (squares / count - mean * mean).clamp(min=0.0)


@torch.no_grad()
def _set(network: BinaryNetwork, block: Block, layer: Layer, parts: Sequence[Tensor], planes: int, first: bool) -> None:
    """Weights and batch norm of a block, from a layer that reads so many planes; its inputs are given in parts."""
    factors = layer.base_factors.reshape(-1, *(1 for _ in layer.base_weights.shape[1:]))
    signs = (factors * (2.0 * layer.base_weights - 1)).sum(axis=0) / factors.sum()
    signs = np.ascontiguousarray(np.moveaxis(signs, -1, 1)).astype(np.float32)
    if block.layer.weight.shape != signs.shape:  # another number of classes: the last layer stays as drawn
        return
    block.layer.weight.copy_(torch.from_numpy(signs) * MAGNITUDE)
    pixels = pixel_unit(network.network) if first and layer.kind == "conv" else None
    passes = _passes(layer, planes)
    reach = layer.fan_in * passes
    valued = isinstance(block, ValueBlock)
    seen, variance = _measure(block, parts)
    alpha = block.alpha()
    if alpha is not None:
        seen, variance = seen * alpha, variance * alpha * alpha
    assert block.norm.running_mean is not None and block.norm.running_var is not None
    block.norm.running_mean.copy_(seen)
    block.norm.running_var.copy_(variance)
    # what the batch norm sees of 1 of the model's sums: about 2 where the model has one plane or base and the block two
    worth = _units(block) / passes * (1.0 if alpha is None else alpha)
    mean = (seen / worth).cpu().numpy()
    deviation = (torch.sqrt(variance + block.norm.eps) / worth).cpu().numpy()
    if layer.requantised:
        gain, bias = _affine(layer, block, reach, pixels)
        gain, bias = gain * deviation, bias + gain * mean
        if valued and block.shift is not None and layer.thresholds is not None:
            moved = layer.limits.mean(axis=0) / block.units - np.mean(plane_steps(network.methods.activation_planes))
            block.shift.copy_(torch.from_numpy(moved))
    else:
        direction = np.where(np.zeros(layer.outputs, bool) if layer.flip is None else layer.flip, -1.0, 1.0)
        steps = np.array(plane_steps(network.methods.activation_planes))
        if isinstance(block, BitsBlock):
            direction, steps = direction / 2, np.array([0.5])
        wanted = _threshold_sums(layer, reach, pixels)
        gain, bias = _normalisation((wanted - mean) / deviation, direction, steps)
    block.norm.weight.copy_(torch.from_numpy(gain))
    block.norm.bias.copy_(torch.from_numpy(bias))


@torch.no_grad()
def _start(network: BinaryNetwork, model: Model, images: Tensor) -> None:
    specs, alike = network.network.layers, _alike(network, model)
    if not alike:
        raise TrainError(f"model {model.name} has other layers than {network.network.name}: it cannot be the start")
    if alike < max(len(specs), len(model.layers)):
        note(f"start: {alike} of {len(specs)} layers are those of {model.name}, {specs[alike - 1].name} the last")
    layers = [layer for layer in model.layers[:alike] if layer.kind != "average"]
    parts: list[tuple[Tensor, Tensor | None]] = [(network.lookup(part), None) for part in torch.split(images, CHUNK)]
    training = network.training
    network.eval()  # so that a layer's planes are the model's
    for block, layer in zip(network.each(), layers, strict=False):
        parts = [network.before(block, x, value) for x, value in parts]
        _set(network, block, layer, [x for x, _ in parts], model.planes_into(layer), layer is layers[0])
        parts = [network.after(block, x, value) for x, value in parts]
    network.train(training)


def start_from(model: Model) -> Callable[[BinaryNetwork, Tensor], None]:
    """A `start` for `train.trainer.train`: the model's signs, and batch norms with its thresholds and values.

    The batch norms get the scale and the offset that put thresholds, values and scores where the model has them, given
    the sums of the images, which are best CALIBRATION_IMAGES as the training sees them; of one threshold the scale is
    +-1. A model of one plane or one base can start a network of more. Layers from the first on that is not as the
    network's, and a last layer with another number of classes, stay as they were drawn.
    """

    def start(network: BinaryNetwork, images: Tensor) -> None:
        _start(network, model, images)

    return start


def start_at(trained: BinaryNetwork, path: Path) -> Callable[[BinaryNetwork, Tensor], None]:
    """A `start` for `train.trainer.train`: another run's latent weights and batch norms, as they are.

    A latent weight's distance from 0, which a model has not kept, says how soon its sign turns.

    Args:
        trained: the network of a checkpoint.
        path: of the checkpoint, for errors.
    """

    tensors = trained.state_dict()

    def start(network: BinaryNetwork, images: Tensor) -> None:
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
            raise TrainError(f"checkpoint {path} has other layers than {network.network.name}: it cannot be the start")
        network.load_state_dict(tensors)

    return start


def load_start(path: Path) -> Callable[[BinaryNetwork, Tensor], None]:
    """What a training starts from: an exported model, as `start_from`, or a checkpoint, as `start_at`.

    Raises:
        TrainError, ModelError: it cannot be read.
    """
    return start_from(load(path)) if is_model_file(path) else start_at(load_network(path), path)
