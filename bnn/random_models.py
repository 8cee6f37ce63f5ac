"""Models with random weights: for sizes, cycles and tests, where only the shape counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List

import numpy as np

from bnn.geometry import walk
from bnn.golden import max_pool, read_pixels, result, sums
from bnn.layers import Layer, Model
from bnn.networks import INPUT_BINARY, Network
from bnn.rules import shapes


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
    """A version-1 model with thresholds within the middle half of the sums that random images give.

    So the bits of every layer depend on the image; with thresholds regardless of the sums those of a deep network
    soon do not. Thresholds that make a bit constant stay.
    """
    images = rng.integers(0, 256, (8, model.height, model.width, model.channels)).astype(np.uint8)
    planes = read_pixels(model, images)
    layers = []
    for index, layer in enumerate(model.layers[:-1]):
        assert layer.thresholds is not None
        eight_bit = index == 0 and model.eight_bit_input
        acc = sums(layer, planes, eight_bit)
        ranked = np.sort((max_pool(acc) if layer.pool else acc).reshape(-1, layer.outputs), axis=0)
        rank = rng.integers(len(ranked) // 4, 3 * len(ranked) // 4 + 1, layer.outputs)
        limits = ranked[rank, np.arange(layer.outputs)].astype(np.int32)
        least, most = (-32767, 32766) if eight_bit else (1, layer.fan_in)
        limits = np.where((layer.thresholds < least) | (layer.thresholds > most), layer.thresholds, limits)
        layers.append(replace(layer, thresholds=limits))
        planes = result(layers[-1], acc).planes
    return replace(model, layers=(*layers, model.layers[-1]))
