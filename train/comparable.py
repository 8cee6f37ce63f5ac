"""Networks that floating-point engines can run as well, and their batch norms.

numpy alone: those engines have environments of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn.model import Model
from bnn.networks import network as find_network
from bnn.random_models import random_model


def comparable(name: str) -> Model:
    """A network that all engines can run: random weights, padding +1, no flips, as a max-pool of sums has none."""
    found = find_network(name)
    model = random_model(replace(found, pad_value=1))
    layers = [layer if layer.flip is None else replace(layer, flip=np.zeros_like(layer.flip)) for layer in model.layers]
    return replace(model, name=found.title or name, layers=tuple(layers))


def affine(model: Model, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A layer's batch norm `(y - mean) * factor + offset` on sums y of +-1, or of pixels: float32 (O,) each.

    Its sign is the layer's bit: sums differ by 2, or by 1 of pixels, and the mean is half-way between two of them.
    """
    layer = model.layers[index]
    if layer.scale is not None and layer.offset is not None:
        factor = layer.scale / 2
        offset = layer.offset + factor * layer.fan_in
        return factor.astype(np.float32), np.zeros(layer.outputs, np.float32), offset.astype(np.float32)
    limits = layer.limits[0].astype(np.float64)
    mean = limits - 0.5 if index == 0 and model.eight_bit_input else 2 * limits - layer.fan_in - 1
    return np.ones(layer.outputs, np.float32), mean.astype(np.float32), np.zeros(layer.outputs, np.float32)
