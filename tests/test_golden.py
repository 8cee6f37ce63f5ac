"""The fast golden network equals the specification, and that equals counting by hand."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from helpers.models import random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn import golden
from bnn.golden import infer, trace
from bnn.model import Layer, Model, ModelError, shapes


def random_images(model, count, seed=0):
    shape = (count, model.height, model.width, model.channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def by_hand(model, image):
    """Every layer's output for one image, element by element in Python integers."""
    values = [[[int(model.input_table[p]) for p in pixel] for pixel in row] for row in image]
    eight_bit = model.layers[0].kind == "conv"
    current = values if eight_bit else [[[int(v > 0) for v in pixel] for pixel in row] for row in values]
    result = {}
    for index, layer in enumerate(model.layers):
        weights = layer.weights.tolist()
        first = eight_bit and index == 0
        if layer.kind == "dense":
            flat = [v for row in current for pixel in row for v in pixel]
            acc = [[[sum(a == b for a, b in zip(flat, weights[o], strict=True)) for o in range(layer.outputs)]]]
        else:
            channels = len(current[0][0])
            padding = [0 if first else int(layer.pad_value == 1)] * channels

            def pixel_at(y, x, maps=current, padding=padding):
                return maps[y][x] if 0 <= y < len(maps) and 0 <= x < len(maps[0]) else padding

            def one(y, x, o, layer=layer, weights=weights, first=first, pixel_at=pixel_at):
                total = 0
                for ky in range(3):
                    for kx in range(3):
                        for v, w in zip(
                            pixel_at(y + ky - layer.pad, x + kx - layer.pad), weights[o][ky][kx], strict=True
                        ):
                            total += (v if w else -v) if first else int(v == w)
                return total

            rows = range(len(current) + 2 * layer.pad - 2)
            columns = range(len(current[0]) + 2 * layer.pad - 2)
            acc = [[[one(y, x, o) for o in range(layer.outputs)] for x in columns] for y in rows]
        if layer.thresholds is None:
            scores = [int(a) * int(s) + int(b) for a, s, b in zip(acc[0][0], layer.scale, layer.offset, strict=True)]
            result[layer.name] = [(score + 2**31) % 2**32 - 2**31 for score in scores]
            return result
        limits, flip = layer.thresholds.tolist(), layer.flip.tolist()
        bits = [[[int(a >= t) for a, t in zip(pixel, limits, strict=True)] for pixel in row] for row in acc]
        if layer.pool:
            bits = [
                [
                    [
                        max(four)
                        for four in zip(*(bits[2 * y + dy][2 * x + dx] for dy in (0, 1) for dx in (0, 1)), strict=True)
                    ]
                    for x in range(len(bits[0]) // 2)
                ]
                for y in range(len(bits) // 2)
            ]
        current = [[[bit ^ int(f) for bit, f in zip(pixel, flip, strict=True)] for pixel in row] for row in bits]
        result[layer.name] = current if layer.kind == "conv" else current[0][0]
    return result


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("pad_value", [-1, 1])
@pytest.mark.parametrize("pools", [(True, False), (False, True)])
def test_trace_by_hand(pad, pad_value, pools):
    convs = ((3, pools[0]), (4, pools[1]))
    model = random_model(11, 11, 10, 2, convs=convs, dense=(5,), classes=3, pad=pad, pad_value=pad_value)
    image = random_images(model, 1)
    outputs = trace(model, image)
    assert list(outputs) == [layer.name for layer in model.layers]
    for name, expected in by_hand(model, image[0]).items():
        np.testing.assert_array_equal(outputs[name][0], expected, name)


def test_trace_by_hand_dense():
    model = random_model(12, 4, 5, 1, convs=(), dense=(6, 3), classes=2)
    image = random_images(model, 1)
    for name, expected in by_hand(model, image[0]).items():
        np.testing.assert_array_equal(trace(model, image)[name][0], expected, name)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(12, 15), st.integers(12, 15), st.integers(1, 4)),
    convs=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=2),
    dense=st.lists(st.integers(1, 70), max_size=2),
    pad=st.integers(0, 1),
    pad_value=st.sampled_from((-1, 1)),
)
def test_fast_equals_plain(seed, size, convs, dense, pad, pad_value):
    model = random_model(seed, *size, convs=convs, dense=dense, pad=pad, pad_value=pad_value)
    images = random_images(model, 3, seed)
    outputs, sizes = trace(model, images), shapes(model)
    for layer in model.layers[:-1]:
        bits, shape = outputs[layer.name], sizes[layer.name]
        assert bits.dtype == np.uint8 and bits.max() <= 1
        assert bits.shape == ((3, *shape) if layer.kind == "conv" else (3, shape[2]))
    scores = infer(model, images)
    assert scores.dtype == np.int32
    np.testing.assert_array_equal(scores, outputs[model.layers[-1].name])


def test_batches(monkeypatch):
    model = random_model(13)
    images = random_images(model, 7)
    expected = infer(model, images)
    monkeypatch.setattr(golden, "PATCH_BYTES", 1)
    np.testing.assert_array_equal(infer(model, images), expected)
    assert infer(model, images[:0]).shape == (0, 4)


def test_flip_comes_after_the_pool():
    """A channel that fires in one of four pixels: OR gives 1, the flip 0."""
    table = np.arange(-128, 128).astype(np.int8)
    weights = np.ones((2, 3, 3, 1), np.uint8)
    limits, flip = np.array([100, 100], np.int32), np.array([False, True])
    first = Layer("first", "conv", ("input",), weights, 0, 0, True, limits, flip)
    ones = np.ones(2, np.int32)
    last = Layer("last", "dense", ("first",), np.ones((2, 2), np.uint8), scale=ones, offset=-ones)
    image = np.full((1, 4, 4, 1), 128, np.uint8)
    image[0, 0, 0, 0] = 228
    model = Model("flip", 4, 4, 1, table, (first, last), ("a", "b"))
    outputs = trace(model, image)
    assert outputs["first"].tolist() == [[[[1, 0]]]]
    assert outputs["last"].tolist() == [[0, 0]] == infer(model, image).tolist()


def test_large_fan_in_is_exact():
    """65,025 inputs: sums at and beside the threshold, in float32 too."""
    table = np.where(np.arange(256) >= 128, 1, -1).astype(np.int8)
    draw = np.random.default_rng(14)
    weights = draw.integers(0, 2, (4, 255 * 255)).astype(np.uint8)
    image = draw.integers(0, 256, (1, 255, 255, 1)).astype(np.uint8)
    acc = ((image.reshape(-1) >= 128) == weights).sum(1)
    limits = (acc + np.array([-1, 0, 1, 2])).astype(np.int32)
    first = Layer("first", "dense", ("input",), weights, thresholds=limits, flip=np.zeros(4, bool))
    scale, offset = np.array([-32768, 1], np.int32), np.array([-(2**31), 0], np.int32)
    last = Layer("last", "dense", ("first",), np.ones((2, 4), np.uint8), scale=scale, offset=offset)
    model = Model("large", 255, 255, 1, table, (first, last), ("a", "b"))
    outputs = trace(model, image)
    assert outputs["first"].tolist() == [[1, 1, 0, 0]]
    assert outputs["last"].tolist() == [[2**31 - 65536, 2]]  # wraps as the hardware does
    np.testing.assert_array_equal(infer(model, image), outputs["last"])


def test_other_images():
    model = random_model(15)
    for images in (np.zeros((1, 9, 8, 1), np.uint8), np.zeros((1, 9, 8, 3), np.float32)):
        for run in (infer, trace):
            with pytest.raises(ModelError, match="images: are .* expected uint8"):
                run(model, images)
    with pytest.raises(ModelError, match="fan-in"):
        wide = dataclasses.replace(random_model(16, 300, 300, 1, convs=(), dense=(2,)))
        infer(wide, np.zeros((1, 300, 300, 1), np.uint8))


def test_needs_numpy_only():
    code = (
        "import sys\n"
        "for name in ('torch', 'jinja2', 'cocotb', 'pynq', 'scipy'): sys.modules[name] = None\n"
        "import bnn.golden\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
