"""Models of version 2: arithmetic by hand, rules and limits, refusals by what does not support them, the file."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.models import assert_equal, refused, rewrite

from bnn.golden import infer, trace
from bnn.layers import FEATURES, Layer, Model, ModelError, features, require
from bnn.model import load, save, shapes, to_bytes
from bnn.networks import NETWORKS
from bnn.random_models import random_model
from hls.wired.network import check_size
from hls.wired.reuse import count_model


def ints(*values):
    return np.array(values, np.int32)


def bits(*rows):
    return np.array(rows, np.uint8)


def score_layer(inputs, source="a", classes=1):
    return Layer(
        "last",
        "dense",
        (source,),
        np.ones((classes, inputs), np.uint8),
        scale=np.ones(classes, np.int32),
        offset=np.zeros(classes, np.int32),
    )


def dense_model(width, *layers, table=None, classes=1):
    """A model of a row of `width` pixels."""
    table = np.where(np.arange(256) > 0, 1, -1) if table is None else table
    return Model("by hand", 1, width, 1, np.asarray(table, np.int8), tuple(layers), tuple("abcdefgh"[:classes]))


def pixels(*values):
    return np.array(values, np.uint8).reshape(1, 1, -1, 1)


def changed(model, index, **fields):
    layers = list(model.layers)
    layers[index] = dataclasses.replace(layers[index], **fields)
    return dataclasses.replace(model, layers=tuple(layers))


def first_value(model, image, name="a"):
    return trace(model, image)[f"{name}.value"].reshape(-1).tolist()


def test_a_value_is_scaled_shifted_rounded_and_saturated_once():
    # acc is the number of ones: 3 of 4
    def value(scale, offset, shift):
        layer = Layer(
            "a",
            "dense",
            ("input",),
            np.ones((1, 4), np.uint8),
            scale=ints(scale),
            offset=ints(offset),
            shift=shift,
            thresholds=ints(0),
            flip=np.zeros(1, bool),
        )
        return first_value(dense_model(4, layer, score_layer(1)), pixels(1, 1, 0, 1))[0]

    assert value(8, 0, 4) == 1 and value(8, 8, 4) == 2  # 24 / 16, down and half up
    assert value(-8, 0, 4) == -2 and value(-8, 8, 4) == -1  # -24 / 16: the shift rounds down, halves go up
    assert value(32767, 0, 0) == 127 and value(-32768, 0, 0) == -128
    assert value(1, 124, 0) == 127 and value(1, 125, 0) == 127 and value(-1, -125, 0) == -128
    assert value(32767, -(2**31), 28) == -8


def test_the_sum_with_a_shortcut_saturates_not_its_parts():
    first = Layer(
        "a",
        "dense",
        ("input",),
        np.ones((1, 2), np.uint8),
        scale=ints(0),
        offset=ints(-100),
        thresholds=ints(0),
        flip=np.ones(1, bool),
    )
    second = Layer(
        "b",
        "dense",
        ("a", "a"),
        np.ones((2, 1), np.uint8),
        scale=ints(150, 0),
        offset=ints(0, 7),
        thresholds=ints(50, 7),
        flip=np.zeros(2, bool),
    )
    found = trace(dense_model(2, first, second, score_layer(2, "b")), pixels(1, 1))
    assert found["a.value"].tolist() == [[-100]] and found["a"].tolist() == [[1]]  # the flip is not the value's
    assert found["b.value"].tolist() == [[50, 7]]  # 150 - 100; no channel 1 in the shortcut
    assert found["b"].tolist() == [[1, 1]] and found["last"].tolist() == [[2]]


def test_planes_and_bases_by_exponents_and_by_coefficients():
    planes = Layer(
        "a",
        "dense",
        ("input",),
        bits([1, 1, 1], [0, 1, 1]),
        flip=np.array([False, True]),
        thresholds=np.array([[1, 2], [3, 3]], np.int32),
    )
    image = pixels(1, 1, 0)  # matches 2 and 1: planes 1 0 and, flipped, 1 1
    weights = np.array([[[1, 0]], [[0, 0]]], np.uint8)  # matches of [plane 0, plane 1]: base 0 1 0, base 1 0 1
    last = Layer("last", "dense", ("a",), weights, scale=ints(1), offset=ints(0))
    assert trace(dense_model(3, planes, last), image)["a"].tolist() == [[[1, 1], [0, 1]]]
    counts = np.array([[1, 0], [0, 1]])
    for fields, factors in (
        ({}, [[1, 1], [1, 1]]),
        ({"base_shifts": (1, 0), "plane_shifts": (1, 0)}, [[4, 2], [2, 1]]),
        ({"plane_shifts": (0, 0), "base_shifts": (0, 0)}, [[1, 1], [1, 1]]),
        ({"coefficients": np.array([[[-32768, 5], [7, 32767]]], np.int32), "scale": None}, [[-32768, 5], [7, 32767]]),
    ):
        model = dense_model(3, planes, dataclasses.replace(last, **fields))
        assert trace(model, image)["last"].tolist() == [[(counts * factors).sum()]], fields
        np.testing.assert_array_equal(infer(model, image), trace(model, image)["last"])


def test_sums_beyond_24_bits_stay_exact():
    draw = np.random.default_rng(7)
    first = Layer(
        "a",
        "dense",
        ("input",),
        np.ones((2001, 1), np.uint8),
        thresholds=np.zeros(2001, np.int32),
        flip=draw.integers(0, 2, 2001) > 0,
    )
    weights = np.stack([np.where(first.flip, 0, 1)[None], draw.integers(0, 2, (1, 2001))]).astype(np.uint8)
    last = Layer("last", "dense", ("a",), weights, coefficients=np.array([[[32767], [1]]], np.int32), offset=ints(0))
    wanted = 32767 * 2001 + int((weights[0] == weights[1]).sum())  # base 0 matches everywhere
    model = dense_model(1, first, last)
    assert trace(model, pixels(1))["last"].tolist() == infer(model, pixels(1)).tolist() == [[wanted]]


def test_bits_of_a_value_and_of_pixels():
    table = np.clip(np.arange(256) - 8, -8, 7)
    # twice the sum of +-t is 2 acc - 15 F - the sum of the signs
    first = Layer(
        "a",
        "dense",
        ("input",),
        bits([1, 1, 0]),
        scale=ints(1),
        offset=ints(-20),
        bits=3,
        input_bits=4,
        plane_shifts=(3, 2, 1, 0),
    )
    model = dense_model(3, first, score_layer(1), table=table)
    for values in ((0, 15, 9), (15, 15, 0), (0, 0, 15)):
        image = pixels(*values)
        total = int((table[list(values)] * [1, 1, -1]).sum())
        value = min(max((2 * total + 15 * 3 + 1) // 2 - 20, 0), 7)
        found = trace(model, image)
        assert found["a.value"].tolist() == [[value]]
        assert found["a"].reshape(-1).tolist() == [value >> 2 & 1, value >> 1 & 1, value & 1]


def test_an_average_and_shortcuts_that_shrink():
    draw = np.random.default_rng(1)
    stem = Layer(
        "stem",
        "conv",
        ("input",),
        draw.integers(0, 2, (2, 1, 1, 1)).astype(np.uint8),
        scale=ints(16, -16),
        offset=ints(0, 0),
        shift=4,
        thresholds=ints(0, 0),
        flip=np.zeros(2, bool),
    )
    down = Layer(
        "down",
        "conv",
        ("stem", "stem"),
        np.ones((3, 1, 1, 2), np.uint8),
        scale=ints(0, 0, 0),
        offset=ints(0, 0, 5),
        stride=2,
    )
    mean = Layer(
        "mean",
        "average",
        ("down",),
        np.zeros((3, 0), np.uint8),
        scale=ints(1, 2, -1),
        offset=ints(2, 0, 0),
        shift=4,
        bits=7,
    )
    table = np.arange(-128, 128).astype(np.int8)
    model = Model("maps", 4, 4, 1, table, (stem, down, mean, score_layer(3, "mean")), ("x",))
    images = draw.integers(0, 256, (3, 4, 4, 1)).astype(np.uint8)
    averaged = changed(model, 1, average_shortcut=True)
    for item in (model, averaged):
        found = trace(item, images)
        value = found["stem.value"].astype(int)
        small = value[:, ::2, ::2]
        if item is averaged:
            small = np.floor(value.reshape(3, 2, 2, 2, 2, 2).mean((2, 4)) + 0.5).astype(int)
        np.testing.assert_array_equal(found["down.value"][..., :2], small)
        assert (found["down.value"][..., 2] == 5).all() and "down" not in found
        total = found["down.value"].astype(int).sum((1, 2))
        wanted = np.clip((total * [1, 2, -1] + [2, 0, 0]) >> 4, 0, 127)
        np.testing.assert_array_equal(found["mean.value"], wanted)
        np.testing.assert_array_equal(np.packbits(found["mean"], axis=1)[:, 0] >> 1, wanted)
        np.testing.assert_array_equal(infer(item, images), found["last"])


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_padding_of_several_planes(pad_value):
    first = Layer(
        "a",
        "conv",
        ("input",),
        np.ones((1, 1, 1, 1), np.uint8),
        thresholds=np.array([[0], [0]], np.int32),
        flip=np.zeros(1, bool),
    )
    second = Layer(
        "b",
        "conv",
        ("a",),
        np.ones((1, 5, 5, 1), np.uint8),
        pad=2,
        pad_value=pad_value,
        scale=ints(1),
        offset=ints(0),
        bits=7,
    )
    model = Model("padding", 2, 2, 1, np.zeros(256, np.int8), (first, second, score_layer(4, "b")), ("x",))
    model = dataclasses.replace(model, layers=(*model.layers[:2], dataclasses.replace(model.layers[2])))
    padding = {-1: 0, 0: 1, 1: 2}[pad_value] * (25 - 4)  # planes that are 1 at each of the taps outside
    assert set(first_value(model, np.zeros((1, 2, 2, 1), np.uint8), "b")) == {2 * 4 + padding}


def residual():
    """A stem with a value, a layer that adds it, an average, scores; K = 2, M = 2."""
    draw = np.random.default_rng(3)

    def weights(*shape):
        return draw.integers(0, 2, shape).astype(np.uint8)

    stem = Layer(
        "stem",
        "conv",
        ("input",),
        weights(4, 3, 3, 2),
        pad=1,
        scale=np.full(4, 40, np.int32),
        offset=np.full(4, 2048, np.int32),
        shift=8,
        thresholds=np.array([[-5] * 4, [5] * 4], np.int32),
        flip=np.array([1, 0, 0, 1], bool),
    )
    block = Layer(
        "block",
        "conv",
        ("stem", "stem"),
        weights(2, 6, 3, 3, 4),
        pad=1,
        pad_value=0,
        stride=2,
        scale=np.full(6, 900, np.int32),
        offset=np.full(6, -65000, np.int32),
        shift=8,
        plane_shifts=(0, 0),
        base_shifts=(1, 0),
        average_shortcut=True,
    )
    mean = Layer(
        "mean",
        "average",
        ("block",),
        np.zeros((6, 0), np.uint8),
        scale=np.full(6, 64, np.int32),
        offset=np.full(6, 64 * 64, np.int32),
        shift=8,
        bits=6,
    )
    last = Layer(
        "last",
        "dense",
        ("mean",),
        weights(2, 3, 6),
        coefficients=draw.integers(-99, 99, (3, 2, 6), np.int32),
        offset=ints(1, 2, 3),
    )
    return Model("residual", 8, 6, 2, np.arange(-128, 128).astype(np.int8), (stem, block, mean, last), ("a", "b", "c"))


def test_shapes_and_sources():
    model = residual()
    assert shapes(model) == {"stem": (8, 6, 4), "block": (4, 3, 6), "mean": (1, 1, 6), "last": (1, 1, 3)}
    found = trace(model, np.random.default_rng(0).integers(0, 256, (5, 8, 6, 2)).astype(np.uint8))
    assert {name: array.shape for name, array in found.items()} == {
        "stem": (5, 2, 8, 6, 4),
        "stem.value": (5, 8, 6, 4),
        "block.value": (5, 4, 3, 6),
        "mean": (5, 6, 6),
        "mean.value": (5, 6),
        "last": (5, 3),
    }


@pytest.mark.parametrize(
    ("index", "fields", "message"),
    [
        (0, {"bits": 9}, "layer stem: bits is 9, expected 0 to 8"),
        (0, {"shift": 5}, "layer stem: shift is 5, expected one of"),
        (0, {"stride": 3}, "layer stem: stride is 3, expected 1 or 2"),
        (0, {"input_bits": 3}, "input_table: holds -128 to 127, expected -4 to 3 for 3 planes"),
        (0, {"pad": 2}, "layer stem: pad is 2, expected 0 to 1"),
        (0, {"offset": None, "scale": None}, "layer block: adds stem, expected a layer with a value"),
        (0, {"name": "stem.value"}, "name ends with .value"),
        (0, {"thresholds": np.zeros((4, 4), np.int32)}, "layer stem.thresholds: are 4 per output, expected 1 to 3"),
        (0, {"thresholds": np.full(4, 129, np.int32)}, "layer stem.thresholds: holds 129 to 129, expected -128 to"),
        (0, {"thresholds": None, "flip": None}, "layer block: reads stem, expected a layer with planes"),
        (0, {"bits": 8, "thresholds": np.ones((2, 4), np.int32)}, "layer block: adds stem, expected a layer with"),
        (1, {"inputs": ("stem", "other")}, "layer block: input 'other' is no layer before it"),
        (1, {"inputs": ("stem", "stem", "stem")}, "layer block: inputs are .*expected one or two$"),
        (1, {"inputs": ("stem",)}, "layer block: average_shortcut is set, expected a shortcut"),
        (1, {"pad": 0}, r"layer block: adds stem of \(8, 6, 4\), expected 3x2 or twice that"),
        (1, {"pool": True, "stride": 1}, "layer block: has a pool and a shortcut from stem"),
        (1, {"pool": True}, "layer block: has stride 2 and a pool"),
        (1, {"pad_value": 2}, r"layer block: pad_value is 2, expected \(-1, 0, 1\)"),
        (1, {"base_shifts": (2, 0)}, r"layer block.base_shifts: is \[2, 0\] for 2 bases, expected as many, each"),
        (1, {"plane_shifts": (0,)}, r"layer block.plane_shifts: is \[0\] for 2 planes"),
        (1, {"coefficients": np.zeros((6, 2, 2), np.int32)}, "layer block: has coefficients, expected an offset"),
        (1, {"weights": np.zeros((9, 6, 3, 3, 4), np.uint8)}, r"layer block.weights: are .*behind 2 to 8 bases"),
        (1, {"weights": np.zeros((6, 2, 2, 4), np.uint8)}, r"with k of 1, 3, 5"),
        (1, {"input_bits": 2}, "layer block: input_bits is 2, expected 0 but in the first layer"),
        (2, {"inputs": ("stem",)}, r"layer mean.weights: are uint8 \(6, 0\), expected uint8 \(4, 0\)"),
        (2, {"inputs": ("block", "stem")}, "layer mean: inputs are .*, expected one$"),
        (2, {"bits": 0}, "layer last: reads mean, expected a layer with planes"),
        (2, {"stride": 2}, "layer mean: stride is 2, expected 1 as of an average"),
        (3, {"bits": 2}, "layer last: the last layer has no bits and no shortcut"),
        (3, {"coefficients": np.zeros((3, 2, 5), np.int32)}, r"layer last.coefficients: is int32 \(3, 2, 5\)"),
        (3, {"coefficients": np.full((3, 2, 6), 32768, np.int32)}, "layer last.coefficients: holds 32768"),
        (3, {"inputs": ("mean", "mean")}, "layer last: the last layer has no bits and no shortcut"),
    ],
)
def test_refused_by_name(index, fields, message):
    with pytest.raises(ModelError, match=message):
        shapes(changed(residual(), index, **fields))


def chain(width, count, **fields):
    """`count` dense layers of `width` that add the first one's value in the last."""
    layers = [
        Layer(
            "d0",
            "dense",
            ("input",),
            np.ones((width, 3), np.uint8),
            scale=np.ones(width, np.int32),
            offset=np.zeros(width, np.int32),
            thresholds=np.zeros(width, np.int32),
            flip=np.zeros(width, bool),
        )
    ]
    for number in range(1, count):
        inputs = (f"d{number - 1}", "d0") if number == count - 1 else (f"d{number - 1}",)
        layers.append(
            dataclasses.replace(
                layers[0], name=f"d{number}", inputs=inputs, weights=np.ones((width, width), np.uint8), **fields
            )
        )
    return dense_model(3, *layers, score_layer(width, layers[-1].name))


def test_limits_are_refused_by_name():
    assert shapes(chain(2, 9))
    with pytest.raises(ModelError, match="layer d9: adds d0 of 9 layers before, expected at most 8"):
        shapes(chain(2, 10))
    large = Layer(
        "a",
        "dense",
        ("input",),
        np.ones((1, 5000), np.uint8),
        scale=ints(1),
        offset=ints(0),
        bits=8,
        input_bits=8,
        plane_shifts=tuple(range(7, -1, -1)),
    )
    model = dense_model(5000, large, score_layer(1), table=np.arange(-128, 128))
    assert shapes(model)
    weights = np.ones((4, 1, 5000), np.uint8)
    with pytest.raises(ModelError, match="layer a: sums reach 19125000, expected at most 16777215"):
        shapes(changed(model, 0, weights=weights, base_shifts=(3, 2, 1, 0)))
    bare = {"scale": None, "offset": None, "bits": 0, "thresholds": ints(1), "flip": np.zeros(1, bool)}
    with pytest.raises(ModelError, match="layer a: sums reach 1275000, expected at most 65534 with thresholds on them"):
        shapes(changed(model, 0, **bare))
    lone = dataclasses.replace(chain(2, 3).layers[1], name="lone", inputs=("d0",))
    model = chain(2, 3)
    with pytest.raises(ModelError, match="layer lone: is read by no layer"):
        shapes(dataclasses.replace(model, layers=(*model.layers[:-1], lone, model.layers[-1])))
    weights = np.ones((2, 1, 1, 2), np.uint8)
    behind = dataclasses.replace(chain(2, 2).layers[1], name="conv", kind="conv", weights=weights)
    with pytest.raises(ModelError, match="layer conv: is a convolution behind d0, expected only dense layers"):
        shapes(dense_model(3, model.layers[0], dataclasses.replace(behind, inputs=("d0",)), score_layer(2, "conv")))


def test_features_name_what_is_beyond_version_1():
    assert not list(features(random_model(NETWORKS["tiny"])))
    found = list(features(residual()))
    assert {feature for _, feature, _ in found} == set(FEATURES) - {"graph", "kernels", "pixel planes"}
    assert ("block", "shortcuts", "a shortcut from stem") in found and ("stem", "planes", "2 planes") in found
    with pytest.raises(
        ModelError,
        match="^layer stem: has a value, which this does not support, expected a chain of "
        "3x3 convolutions and dense layers of one plane and one base, several planes",
    ):
        require(residual(), "this", frozenset({"planes"}))
    require(residual(), "this", frozenset(FEATURES))


@pytest.mark.parametrize("use", [check_size, count_model])
def test_wired_engines_refuse_version_2(use):
    with pytest.raises(ModelError, match="^layer stem: has 2 planes, which .* does not support, expected"):
        use(residual())


def test_file(tmp_path):
    path = tmp_path / "model.npz"
    save(residual(), path)
    assert_equal(residual(), load(path))
    assert to_bytes(load(path)) == path.read_bytes() == to_bytes(residual())
    with np.load(path) as archive:
        assert b'"version": 2' in archive["header"].tobytes()


def entries(archive: bytes) -> list[tuple]:
    """What an archive holds, in its order: the zip version around it is another one before Python 3.11.4."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return [(item.filename, item.date_time, item.compress_type, file.read(item)) for item in file.infolist()]


def test_models_of_version_1_are_written_as_they_were():
    folder = Path(__file__).resolve().parent.parent / "models"
    for name in ("cnv", "lfc", "mnist_wired"):
        assert entries(to_bytes(load(folder / f"{name}.npz"))) == entries((folder / f"{name}.npz").read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers[1].update(weights=[9, 6, 3, 3, 4]), "layer block: 9 bases, expected at most 8"),
        (lambda layers: layers[1].update(weights=[2, 6, 3, 3, 0]), "layer block.weights: shape is [2, 6, 3, 3, 0]"),
        (lambda layers: layers[1].update(weights=[8, 65535, 5, 5, 2621]), "layer block: the weights so far are"),
        (lambda layers: layers[0].update(weights=[0, 0], kind="average"), "layer stem.weights: shape is [0, 0]"),
        (lambda layers: layers[0].update(planes=4), "layer stem.planes: is 4, expected 0 to 3"),
        (lambda layers: layers[3].update(coefficients=1 << 30), "layer last.coefficients: is 1073741824, expected"),
        (lambda layers: layers[1].update(base_shifts=[1, -1]), "layer block.base_shifts: is [1, -1], expected"),
        (lambda layers: layers[1].update(base_shifts=[1.0, 0]), "layer block.base_shifts: is [1.0, 0], expected"),
        (lambda layers: layers[1].pop("stride"), "layer block.stride: is null, expected int"),
        (lambda layers: layers[0].update(requantised=False), "layer block: adds stem, expected a layer with a value"),
    ],
)
def test_damaged_file(tmp_path, change, message):
    path = tmp_path / "model.npz"
    rewrite(residual(), path, lambda header: change(header["layers"]))
    refused(path, message)
