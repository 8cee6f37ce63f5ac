"""The model file: round trip, consistency, damage."""

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
from helpers.models import assert_equal, random_model, refused, rewrite
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn.golden import trace
from bnn.model import ModelError, load, save, shapes, to_bytes


def test_every_layer_of_a_random_network_depends_on_the_image():
    model = random_model(1, convs=((8, False), (9, True), (10, False)), dense=(20, 18, 16))
    images = np.random.default_rng(2).integers(0, 256, (20, 9, 8, 3)).astype(np.uint8)
    for name, bits in trace(model, images).items():
        assert len(np.unique(bits.reshape(20, -1), axis=0)) >= 15, name
    assert not trace(model, images)["layer4"][:, 0].std() and not trace(model, images)["layer4"][:, -1].std()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    convs=st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=2),
    dense=st.lists(st.integers(1, 9), max_size=2),
    pad=st.integers(0, 1),
    pad_value=st.sampled_from((-1, 1)),
)
def test_round_trip(tmp_path_factory, seed, convs, dense, pad, pad_value):
    model = random_model(seed, 12, 13, convs=convs, dense=dense, pad=pad, pad_value=pad_value)
    path = tmp_path_factory.mktemp("model") / "model.npz"
    save(model, path)
    again = load(path)
    assert_equal(model, again)
    assert to_bytes(again) == path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["model.npz"]
    assert model.binary_input == (not convs)


def test_shapes():
    model = random_model(1)
    assert shapes(model) == {
        "layer0": (4, 4, 5),
        "layer1": (4, 4, 7),
        "layer2": (1, 1, 6),
        "layer3": (1, 1, 4),
    }
    unpadded = shapes(random_model(1, 13, 12, pad=0))
    assert unpadded["layer0"] == (5, 5, 5) and unpadded["layer1"] == (3, 3, 7)


def changed(model, index, **fields):
    layers = list(model.layers)
    layers[index] = dataclasses.replace(layers[index], **fields)
    return dataclasses.replace(model, layers=tuple(layers))


@pytest.mark.parametrize(
    ("index", "fields", "message"),
    [
        (1, {"inputs": ("input",)}, "layer layer1: input 'input' is no layer before it"),
        (1, {"pad_value": 0}, "layer layer1: pad_value is 0"),
        (0, {"pad_value": 1}, "layer layer0: pad_value is 1"),
        (1, {"kind": "pool"}, "layer layer1: kind is 'pool'"),
        (
            1,
            {"weights": np.zeros((7, 3, 3, 4), np.uint8)},
            r"layer1.weights: are .* expected uint8 \(O, k, k, 5\)",
        ),
        (1, {"weights": np.full((7, 3, 3, 5), 2, np.uint8)}, "layer1.weights: must be 0 or 1"),
        (1, {"thresholds": None}, "layer1.thresholds: missing"),
        (1, {"thresholds": np.full(7, -1, np.int32)}, "layer1.thresholds: holds -1"),
        (1, {"name": "layer0"}, "layer layer0: name is taken"),
        (2, {"pool": True}, "layer layer2: a dense layer has no pad and no pool"),
        (3, {"scale": np.full(4, 40000, np.int32)}, "layer3.scale: holds 40000"),
        (3, {"thresholds": np.zeros(4, np.int32)}, "layer3.thresholds: the last layer has none"),
    ],
)
def test_inconsistent(tmp_path, index, fields, message):
    with pytest.raises(ModelError, match=message):
        save(changed(random_model(2), index, **fields), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_first_dense_layer_needs_a_binary_table():
    model = dataclasses.replace(random_model(3, convs=()), input_table=np.arange(-128, 128).astype(np.int8))
    with pytest.raises(ModelError, match="needs a -1 and"):
        shapes(model)


def test_damaged(tmp_path):
    path, model = tmp_path / "model.npz", random_model(4)
    refused(path, "No such file")
    content = to_bytes(model)
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        refused(path)
    for place in range(40, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            assert_equal(model, load(path))  # a byte that says nothing, as a time stamp
        except ModelError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_wrong_fields(tmp_path):
    path, model = tmp_path / "model.npz", random_model(5)
    rewrite(model, path, lambda header: header.update(version=3))
    refused(path, "header.version: is 3, expected 1 or 2", "newer")
    rewrite(model, path, lambda header: header.update(format="other"))
    refused(path, "header.format")
    rewrite(model, path, lambda header: header.pop("height"))
    refused(path, "header.height: is null, expected int")
    rewrite(model, path, lambda header: header["layers"][1].update(pool=1))
    refused(path, "layer layer1.pool: is 1, expected bool")
    rewrite(model, path, header=np.frombuffer(b"{", np.uint8))
    refused(path, "array header")
    rewrite(model, path, **{"layer1.weights": None})
    refused(path, "array layer1.weights: missing")
    rewrite(model, path, **{"layer1.thresholds": np.zeros(3, np.int32)})
    refused(path, "array layer1.thresholds: is int32 (3,), expected int32 (7,)")
    rewrite(model, path, **{"layer3.offset": np.array([None] * 4)})
    refused(path, "array layer3.offset: cannot be read")


def hostile(path, name):
    """A model file of at most two megabytes that claims more than it should; what is said of it."""
    model, first = random_model(6), "layer0"
    limits = {"layer0.thresholds": np.zeros(1 << 16, np.int32), "layer0.flip": np.zeros(1 << 13, np.uint8)}

    def sizes(index, shape):
        return lambda header: header["layers"][index].update(weights=shape)

    changes = {
        "deep": (None, {"header": np.frombuffer(b"[" * 100_000, np.uint8)}, "is not JSON text"),
        "long": (None, {"header": np.zeros(8 << 20, np.uint8)}, "array header: holds 8388608 bytes"),
        "product": (
            sizes(0, [1 << 16, 1 << 21, 1 << 21, 1]),
            {f"{first}.weights": np.zeros(0, np.uint8), **limits},
            "layer layer0: fan-in is 4398046511104, expected at most 65534",
        ),
        "bits": (
            sizes(3, [1 << 12, 1 << 20]),
            {"layer3.weights": np.zeros(1 << 28, np.uint8)},
            "layer layer3: fan-in is 1048576",
        ),
        "total": (
            sizes(2, [65535, 65534]),
            {"layer2.weights": np.zeros(65535 * 65534 // 8 + 1, np.uint8)},
            "layer layer2: the weights so far are",
        ),
        "outputs": (sizes(2, [1 << 20, 1]), {}, "layer layer2: 1048576 outputs, expected at most 65535"),
        "twice": (lambda header: header["layers"].insert(1, header["layers"][0]), {}, "layer layer0: name is taken"),
        "newline": (lambda header: header["layers"][0].update(name="a\nb"), {}, r"layer a\nb: a name is printable"),
        "order": (None, {"layer1.thresholds": np.zeros(7, ">i4")}, "is >i4 (7,), expected int32 (7,)"),
        "nested": (lambda header: header.update(height=json.loads("[" * 400 + "]" * 400)), {}, "header.height: is"),
    }
    change, arrays, message = changes[name]
    rewrite(model, path, change, **arrays)
    with np.load(path) as archive:
        content = {key: archive[key] for key in archive.files}
    np.savez_compressed(path, **content)
    return message


@pytest.mark.parametrize(
    "name", ["deep", "long", "product", "bits", "total", "outputs", "twice", "newline", "order", "nested"]
)
def test_hostile_models_are_refused_in_little_memory(tmp_path, name):
    path = tmp_path / "model.npz"
    message = hostile(path, name)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        refused(path, message)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_names_of_strangers_are_shown_escaped(tmp_path):
    path = tmp_path / "model.npz"
    names = ["\x1b[2Jcat", "caf\udce9", "a\nb", "猫"]
    rewrite(random_model(7), path, lambda header: header.update(classes=names, name="n\x07"))
    model = load(path)
    assert model.classes == ("\\x1b[2Jcat", "caf\\xe9", "a\\nb", "猫") and model.name == "n\\x07"


def test_a_shipped_model_is_pointed_at(tmp_path):
    """`models/cnv.npz`, as pages and help have it, is there in a checkout alone."""
    with pytest.raises(ModelError, match=r"cnv.npz: cannot be read .*; one of this name is shipped: .*models/cnv.npz$"):
        load(tmp_path / "models/cnv.npz")
    with pytest.raises(ModelError, match="expected a model file$"):
        load(tmp_path / "mine.npz")
