"""Random networks of version 2: the plain golden model against floating point and the fast one; the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.models import assert_equal
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn.geometry import walk
from bnn.golden import infer, trace
from bnn.layers import FEATURES, features
from bnn.model import load, save, shapes, to_bytes
from bnn.random_models import Sizes, random_graph


def images_for(model, count=5, seed=1):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, model.height, model.width, model.channels)).astype(np.uint8)


def planes_of(model, layer, found, images):
    """What a layer reads as numbers, float64 (K, N, C, H, W): -1 and +1, or pixels' values."""
    first = layer is model.layers[0]
    if first:
        values = model.input_table[images].astype(int)
        if model.eight_bit_input:
            return torch.from_numpy(values).permute(0, 3, 1, 2)[None].double()
        codes, bits = (values + 2 ** (layer.input_bits - 1), layer.input_bits) if layer.input_bits else (values > 0, 1)
        maps = np.stack([codes // 2 ** (bits - 1 - plane) % 2 for plane in range(bits)])
    else:
        source = next(item for item in model.layers if item.name == layer.inputs[0])
        maps = found[source.name]
        maps = np.moveaxis(maps, 1, 0) if source.planes > 1 else maps[None]
        maps = maps if maps.ndim == 5 else maps[:, :, None, None]
    return torch.from_numpy(2.0 * maps - 1).permute(0, 1, 4, 2, 3)


def wanted(model, layer, found, images):
    """Bits, value and scores of a layer by floating-point convolutions of what it reads in the trace `found`."""
    first, scores = layer is model.layers[0], layer is model.layers[-1]
    if layer.kind == "average":
        value = found[f"{layer.inputs[0]}.value"].astype(float)
        sums = value.reshape(len(images), -1, layer.outputs).sum(1)[:, None, None]
    else:
        planes = planes_of(model, layer, found, images)
        sums = 0.0
        for n, maps in enumerate(planes):
            for m, weights in enumerate(2.0 * layer.base_weights - 1):
                if layer.kind == "conv":
                    pads = {1: 1.0, -1: -1.0, 0: 1.0 if n == 0 else -1.0}
                    pad = 0.0 if first and model.eight_bit_input else pads[layer.pad_value]
                    padded = F.pad(maps, (layer.pad,) * 4, value=pad)
                    kernels = torch.from_numpy(weights).permute(0, 3, 1, 2)
                    product = F.conv2d(padded, kernels, stride=layer.stride).permute(0, 2, 3, 1).numpy()
                else:
                    flat = maps.permute(0, 2, 3, 1).reshape(len(images), -1)
                    product = (flat @ torch.from_numpy(weights).T).numpy()[:, None, None]
                counted = product if first and model.eight_bit_input else (product + layer.fan_in) / 2
                if layer.coefficients is None:
                    shifts = (layer.base_shifts or [0] * 9)[m] + (layer.plane_shifts or [0] * 9)[n]
                    sums = sums + 2.0**shifts * counted
                else:
                    sums = sums + layer.coefficients[:, m, n] * counted
    result = {}
    if layer.offset is not None:
        sums = sums * (1 if layer.scale is None else layer.scale) + layer.offset
    if scores:
        return {layer.name: ((sums.reshape(len(images), -1) + 2**31) % 2**32 - 2**31).astype(np.int64)}
    if layer.offset is not None:
        sums = np.floor(sums / 2.0**layer.shift)
        if len(layer.inputs) > 1:
            value = found[f"{layer.inputs[1]}.value"].astype(float)
            value = value if value.ndim == 4 else value[:, None, None]
            if value.shape[1:3] != sums.shape[1:3]:
                maps = torch.from_numpy(value).permute(0, 3, 1, 2)
                maps = torch.floor(F.avg_pool2d(maps, 2) + 0.5) if layer.average_shortcut else maps[:, :, ::2, ::2]
                value = maps.permute(0, 2, 3, 1).numpy()
            sums[..., : value.shape[3]] += value
        sums = np.minimum(np.maximum(sums, 0 if layer.bits else -128), 2**layer.bits - 1 if layer.bits else 127)
    if layer.pool:
        sums = F.max_pool2d(torch.from_numpy(sums).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1).numpy()
    if layer.offset is not None:
        result[f"{layer.name}.value"] = sums
    if layer.thresholds is not None:
        limits = layer.thresholds.reshape(-1, layer.outputs)
        result[layer.name] = np.stack([(sums >= row) != layer.flip for row in limits], axis=1)
    elif layer.bits:
        result[layer.name] = np.stack([sums // 2 ** (layer.bits - 1 - k) % 2 for k in range(layer.bits)], axis=1)
    if layer.name in result and result[layer.name].shape[1] == 1:
        result[layer.name] = result[layer.name][:, 0]
    return result


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_plain_golden_model_against_floating_point(seed):
    model = random_graph(seed)
    images = images_for(model)
    found = trace(model, images)
    for layer in model.layers:
        expected = wanted(model, layer, found, images)
        assert expected.keys() == {name for name in found if name in (layer.name, f"{layer.name}.value")}
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name].reshape(array.shape), array, err_msg=f"{seed} {name}")


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    allowed=st.one_of(st.just(set(FEATURES)), st.sets(st.sampled_from(list(FEATURES)))),
)
def test_fast_golden_model_and_file(tmp_path_factory, seed, allowed):
    model = random_graph(seed, allowed)
    assert {feature for _, feature, _ in features(model)} <= allowed
    images = images_for(model, 7)
    np.testing.assert_array_equal(infer(model, images), trace(model, images)[model.layers[-1].name])
    path = tmp_path_factory.mktemp("model") / "model.npz"
    save(model, path)
    assert_equal(model, load(path))
    assert to_bytes(load(path)) == path.read_bytes() == to_bytes(random_graph(seed, allowed))
    with np.load(path) as archive:
        version = 2 if any(features(model)) else 1
        assert f'"version": {version}'.encode() in archive["header"].tobytes()


def test_several_batches_of_the_fast_golden_model(monkeypatch):
    from bnn import golden

    model = random_graph(3)
    images = images_for(model, 9)
    whole = infer(model, images)
    monkeypatch.setattr(golden, "PATCH_BYTES", 1)
    np.testing.assert_array_equal(infer(model, images), whole)


@pytest.fixture(scope="module")
def many():
    return [random_graph(seed) for seed in range(200)]


def test_every_feature_is_reached(many):
    met = {feature for model in many for _, feature, _ in features(model)}
    assert met == set(FEATURES)
    layers = [layer for model in many for layer in model.layers[:-1]]
    assert {layer.bases for layer in layers} >= {1, 2, 3, 4}
    assert {layer.planes for layer in layers} >= {0, 1, 2, 3, 5, 7, 8}
    assert {len(layer.limits) for layer in layers} == {0, 1, 2, 3}
    assert {(layer.kernel, layer.stride) for layer in layers} == {(k, s) for k in (1, 3, 5) for s in (1, 2)}
    assert any(layer.average_shortcut for layer in layers) and any(layer.pad == 2 for layer in layers)
    assert any(layer.flip is not None and layer.flip.any() and layer.offset is not None for layer in layers)
    assert any(layer.scale is not None and (layer.scale < 0).any() for layer in layers)
    spans = set()
    for model in many:
        names = [layer.name for layer in model.layers]
        adding = [layer for layer in model.layers if len(layer.inputs) > 1]
        spans |= {names.index(layer.name) - names.index(layer.inputs[1]) for layer in adding}
        for layer in model.layers:
            if layer.pad and layer.pad_value == 0 and model.planes_into(layer) > 1:
                met.add("zero padding")
    assert spans >= {1, 2, 3, 4} and "zero padding" in met
    inputs = {item.input[:2] for model in many for item in walk(model) if item.kind == "conv"}
    assert (1, 1) in inputs and any(width % 2 and width > 1 for _, width in inputs)


def test_values_reach_both_ends_and_bits_depend_on_the_image(many):
    both = depending = total = 0
    for model in many[:60]:
        found = trace(model, images_for(model, 8))
        for layer in model.layers[:-1]:
            if layer.requantised:
                value, (low, high) = found[f"{layer.name}.value"], layer.value_range
                both += bool((value == low).any() and (value == high).any())
            if layer.planes:
                total += 1
                depending += len(np.unique(found[layer.name].reshape(8, -1), axis=0)) > 1
    assert both > 50 and depending > 0.9 * total


def test_sizes_are_kept():
    sizes = Sizes(edge=5, channels=3, convolutions=2, dense=1, classes=2)
    for seed in range(30):
        model = random_graph(seed, sizes=sizes)
        assert max(model.height, model.width) <= 5 and len(model.classes) <= 2 and len(model.layers) <= 5
        assert all(shape[2] <= 4 for shape in shapes(model).values())
