"""Models with random weights: for sizes, cycles and tests, where only the shape counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List

import numpy as np

from bnn.geometry import walk
from bnn.golden import _matches, _plain_conv
from bnn.model import Layer, Model, shapes
from bnn.networks import INPUT_BINARY, Network


def random_model(network: Network, seed: int = 1) -> Model:
    """A model of the topology with random weights, and thresholds about the middle of their sums.

    Raises:
        bnn.model.ModelError: the image is too small for the topology.
    """
    rng = np.random.default_rng(seed)
    pixels = np.arange(256)
    table = np.where(pixels < 128, -1, 1) if network.input_table == INPUT_BINARY else pixels - 128
    layers: List[Layer] = []
    previous = "input"
    for spec, geometry in zip(network.layers, walk(network)):
        eight_bit = not layers and spec.kind == "conv"
        tail = (3, 3, geometry.input[2]) if spec.kind == "conv" else (geometry.fan_in,)
        vectors: Dict[str, Any]
        if len(layers) == len(network.layers) - 1:
            vectors = {"scale": rng.integers(-300, 300, spec.outputs).astype(np.int32),
                       "offset": rng.integers(-10**6, 10**6, spec.outputs).astype(np.int32)}
        else:
            spread = 500 if eight_bit else int(np.sqrt(max(geometry.fan_in, 0))) + 1
            centre = 0 if eight_bit else geometry.fan_in // 2
            vectors = {"thresholds": (centre + rng.integers(-spread, spread, spec.outputs)).astype(np.int32),
                       "flip": rng.integers(0, 2, spec.outputs) > 0}
        weights = rng.integers(0, 2, (spec.outputs, *(max(size, 0) for size in tail)), np.uint8)
        layers.append(Layer(spec.name, spec.kind, (previous,), weights, spec.pad, spec.pad_value, spec.pool, **vectors))
        previous = spec.name
    names = tuple(str(index) for index in range(network.classes))
    model = Model(network.title or network.name, network.height, network.width, network.channels,
                  table.astype(np.int8), tuple(layers), names)
    shapes(model)
    return model


def calibrated(model: Model, rng: np.random.Generator) -> Model:
    """The model with thresholds within the middle half of the sums that random images give.

    So the bits of every layer depend on the image; with thresholds regardless of the sums those of a deep network
    soon do not. Thresholds that make a bit constant stay.
    """
    current = model.input_table[rng.integers(0, 256, (8, model.height, model.width, model.channels))]
    if model.layers[0].kind != "conv":
        current = (current > 0).astype(np.uint8)
    layers = []
    for index, layer in enumerate(model.layers[:-1]):
        assert layer.thresholds is not None and layer.flip is not None
        eight_bit = index == 0 and layer.kind == "conv"
        if layer.kind == "conv":
            acc = _plain_conv(layer, current, eight_bit)
        else:
            acc = _matches(current.reshape(len(current), -1), layer.weights)
        if layer.pool:
            height, width = (edge // 2 for edge in acc.shape[1:3])
            acc = acc[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2, layer.outputs).max((2, 4))
        sums = np.sort(acc.reshape(-1, layer.outputs), axis=0)
        rank = rng.integers(len(sums) // 4, 3 * len(sums) // 4 + 1, layer.outputs)
        limits = sums[rank, np.arange(layer.outputs)].astype(np.int32)
        least, most = (-32767, 32766) if eight_bit else (1, layer.fan_in)
        limits = np.where((layer.thresholds < least) | (layer.thresholds > most), layer.thresholds, limits)
        current = ((acc >= limits) ^ layer.flip).astype(np.uint8)
        layers.append(replace(layer, thresholds=limits))
    return replace(model, layers=(*layers, model.layers[-1]))
