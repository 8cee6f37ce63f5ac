"""Random models, and what tests do with model files and pictures."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest

from bnn.geometry import Spec
from bnn.layers import FEATURES
from bnn.model import Layer, Model, ModelError, load, to_bytes
from bnn.random_models import Sizes, edge_model, random_graph


def network(seed: int, size: tuple[int, int, int], stages: list[tuple], binary: bool = False) -> Model:
    """A random model; a stage is ("conv", outputs, pad, pad_value, pool) or ("dense", outputs)."""
    return edge_model(
        seed, size, [Spec(f"{kind}{number}", kind, *rest) for number, (kind, *rest) in enumerate(stages, 1)], binary
    )


def chain(seed: int, pad: int = 0) -> Model:
    """A random network of convolutions that follow each other; without padding they run by bands of rows."""
    convs = [(32, False), (8, True), (16, False), (40, seed % 2 > 0)]
    stages = [("conv", outputs, pad, -pad, pool) for outputs, pool in convs]
    return network(seed, (29 + seed, 24, 3), [*stages, ("conv", 8, 0, 0, False), ("dense", 7)])


def deep(seed: int = 2) -> Model:
    """A random network of dense layers, of more weights than `helpers.cores.TIGHT` holds: some stay, others do not."""
    return network(seed, (8, 8, 1), [("dense", outputs) for outputs in (64, 96, 96, 64, 10)], binary=True)


def stem(seed: int, channels: int = Sizes.channels) -> Model:
    """A random network whose first layer, where it has sums of 8-bit pixels, is one that the engine can run."""
    return random_graph(seed, set(FEATURES) - {"kernels", "bases", "pixel planes"}, Sizes(channels=channels))


STEMS = (*((seed, 9) for seed in (4, 17, 21, 32, 35, 56, 60, 74, 90, 99, 131, 135)), (25, 90), (27, 90), (53, 90))
"""Arguments of `stem` for first layers with values, which are shortcuts of the layers behind them."""


def random_model(
    seed,
    height=9,
    width=8,
    channels=3,
    convs=((5, True), (7, False)),
    dense=(6,),
    classes=4,
    pad=1,
    pad_value=-1,
    binary=False,
):
    """A random model of convolutions (outputs, pool) and dense layers (outputs).

    With `binary`, or without convolutions, its table is binary.
    """
    specs = [
        Spec(f"layer{index}", "conv", outputs, pad, pad_value if pad else 0, pool)
        for index, (outputs, pool) in enumerate(convs)
    ]
    specs += [Spec(f"layer{index}", "dense", outputs) for index, outputs in enumerate((*dense, classes), len(specs))]
    model = edge_model(seed, (height, width, channels), specs, binary=binary or not convs)
    last = dataclasses.replace(model.layers[-1], shift=7)
    return dataclasses.replace(model, layers=(*model.layers[:-1], last), meta={"dataset": "none", "n": 0.5})


def assert_equal(left, right):
    for item in dataclasses.fields(Model):
        one, other = getattr(left, item.name), getattr(right, item.name)
        if item.name == "input_table":
            np.testing.assert_array_equal(one, other)
        elif item.name != "layers":
            assert one == other
    assert len(left.layers) == len(right.layers)
    for a, b in zip(left.layers, right.layers, strict=True):
        for item in dataclasses.fields(Layer):
            one, other = getattr(a, item.name), getattr(b, item.name)
            if isinstance(one, np.ndarray):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
            else:
                assert one == other, item.name


def refused(path, *parts):
    with pytest.raises(ModelError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path)) and "expected" in message
    for part in parts:
        assert part in message


def rewrite(model, path, change_header=None, **arrays):
    with np.load(io.BytesIO(to_bytes(model)), allow_pickle=False) as archive:
        content = dict(archive)
    if change_header:
        header = json.loads(content["header"].tobytes())
        change_header(header)
        content["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    content.update(arrays)
    np.savez(path, **{key: array for key, array in content.items() if array is not None})
