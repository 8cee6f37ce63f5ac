"""The BNN-PYNQ import: synthetic folders, and the real parameters where they are at hand."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bnn.golden import infer, trace
from bnn.model import load
from train.accuracy import count_right
from train.data import DataError
from train.import_bnn_pynq import (
    ParameterError,
    input_table,
    read_model,
    read_thresholds,
    read_weights,
)
from train.import_model import main

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def write_layer(folder, layer, weights, thresholds, processing, simd, bits=1):
    """Weights (rows, synapses) as BNN-PYNQ lays them out, by its own words: one loop per index.

    Thresholds are (rows,), or (rows, 2); weights of two bits are -1, 0 and 1.
    """
    rows, synapses = weights.shape
    words = np.zeros((processing, rows // processing * synapses // simd), np.uint64)
    for row in range(rows):
        for synapse in range(synapses):
            word = row // processing * (synapses // simd) + synapse // simd
            code = int(weights[row, synapse]) % 2**bits
            words[row % processing, word] |= np.uint64(code << bits * (synapse % simd))
    for pe in range(processing):
        words[pe].astype("<u8").tofile(str(folder / f"{layer}-{pe}-weights.bin"))
        if thresholds is not None:
            thresholds[pe::processing].astype("<i8").tofile(str(folder / f"{layer}-{pe}-thres.bin"))


@pytest.mark.parametrize(("processing", "simd"), [(4, 3), (2, 9), (8, 27), (1, 1)])
def test_layout(tmp_path, processing, simd):
    draw = np.random.default_rng(processing)
    weights = draw.integers(0, 2, (16, 27)).astype(np.uint8)
    thresholds = draw.integers(-1000, 1000, 16)
    write_layer(tmp_path, 0, weights, thresholds, processing, simd)
    np.testing.assert_array_equal(read_weights(tmp_path, 0, 16, 27), weights[None])
    np.testing.assert_array_equal(read_thresholds(tmp_path, 0, 16), thresholds[None])
    two = draw.integers(-1, 2, (16, 27))
    write_layer(tmp_path, 1, two, np.stack([thresholds, thresholds + 9], axis=1), processing, simd, 2)
    np.testing.assert_array_equal(read_weights(tmp_path, 1, 16, 27, 2).astype(int).sum(0) - 1, two)
    np.testing.assert_array_equal(read_thresholds(tmp_path, 1, 16), [thresholds, thresholds + 9])
    two[3, 5] = -2
    write_layer(tmp_path, 1, two, None, processing, simd, 2)
    with pytest.raises(ParameterError, match="layer 1 holds a weight of -2, expected -1, 0 or 1"):
        read_weights(tmp_path, 1, 16, 27, 2)


def test_refused(tmp_path, capsys):
    weights = np.zeros((16, 27), np.uint8)
    write_layer(tmp_path, 0, weights, np.zeros(16, np.int64), 4, 3)
    with pytest.raises(ParameterError, match="expected 4 rows of 28 weights"):
        read_weights(tmp_path, 0, 16, 28)
    with pytest.raises(ParameterError, match="16 thresholds, expected 64 or 128"):
        read_thresholds(tmp_path, 0, 64)
    with pytest.raises(ParameterError, match=r"holds weights of 1 layers, expected 9 \(cnv\) or 4 \(lfc\)"):
        read_model(tmp_path, dataset="cifar10")
    (tmp_path / "0-1-weights.bin").write_bytes(b"1234567")
    with pytest.raises(ParameterError, match="0-1-weights.bin: holds 7 bytes, expected 288"):
        read_weights(tmp_path, 0, 16, 27)
    (tmp_path / "0-1-weights.bin").unlink()
    with pytest.raises(ParameterError, match="cannot be read"):
        read_weights(tmp_path, 0, 16, 27)
    (tmp_path / "net.py").write_text("import torch\n")
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("none", "is no file or folder, and neither BNN-PYNQ's folder, FILE.onnx"),
        ("net.py", "is neither BNN-PYNQ's folder, FILE.onnx, NAME-symbol.json nor NAME-0000.params"),
        ("empty", "holds no 0-0-weights.bin of BNN-PYNQ, nor a *-symbol.json of BMXNet"),
    ):
        assert main([str(tmp_path / name), "-o", str(tmp_path / "model.npz"), "--classes", "a,b"]) == 1
        assert capsys.readouterr().err.startswith(f"error: {tmp_path / name}: {said}")
    assert not (tmp_path / "model.npz").exists()


def test_input_table():
    table = input_table()
    assert table[[0, 1, 127, 128, 254, 255]].tolist() == [-128, -127, -1, 1, 127, 127]
    assert (np.diff(table.astype(int)) >= 0).all()


def write_cnv(folder):
    """A CNV of random weights whose last layer has 64 rows, without names of classes."""
    draw = np.random.default_rng(5)
    sizes = [(64, 27), (64, 576), (128, 576), (128, 1152), (256, 1152), (256, 2304), (512, 256), (512, 512), (64, 512)]
    for layer, (rows, synapses) in enumerate(sizes):
        weights = np.zeros((rows, synapses), np.uint8)
        weights[:, :9] = draw.integers(0, 2, (rows, 9))
        write_layer(
            folder,
            layer,
            weights,
            None if layer == 8 else np.zeros(rows, np.int64),
            4,
            1 if layer == 8 else 9 if synapses % 32 else 32,
        )
    return folder


def test_class_names_come_with_the_parameters_or_are_given(tmp_path, capsys):
    folder, out = write_cnv(tmp_path), tmp_path / "model.npz"
    with pytest.raises(DataError, match="classes.txt: is missing and nothing else names the classes: give --classes"):
        read_model(folder)
    signs = [f"sign {number}" for number in range(43)]
    (folder / "classes.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(signs).encode() + b"\r\n\r\n")
    model = read_model(folder)
    assert model.classes == tuple(signs) and model.layers[-1].outputs == 43 and model.meta["dataset"] == ""
    assert main([str(folder), "--classes", "cat, dog", "-o", str(out)]) == 0 and load(out).classes == ("cat", "dog")
    assert main([str(folder), "--dataset", "svhn", "-o", str(out)]) == 1
    assert capsys.readouterr().err == "error: 43 classes, svhn has 10\n"
    (folder / "classes.txt").write_bytes("\n".join("0123456789").encode())
    assert read_model(folder).meta["dataset"] == "svhn"  # MNIST's have the same names and another shape
    (folder / "classes.txt").write_bytes(b"caf\xe9\n\x1b[2J\n")
    assert read_model(folder).classes == ("caf\\xe9", "\\x1b[2J")
    (folder / "classes.txt").write_bytes(b"\n \n")
    with pytest.raises(DataError, match="names no class"):
        read_model(folder)
    (folder / "classes.txt").unlink()
    assert read_model(folder, dataset="cifar10").classes[9] == "truck"
    with pytest.raises(ParameterError, match="layer 8 has 64 rows, expected 65 as there are classes"):
        read_model(folder, classes=",".join(map(str, range(65))))


def folder_of(archive, folder):
    """The parameters in an archive; skips where it is absent."""
    if not (DATA / archive).exists():
        pytest.skip(f"{DATA / archive} is absent: the BNN-PYNQ parameters are needed")
    with tarfile.open(DATA / archive) as opened:
        for member in opened.getmembers():
            content = opened.extractfile(member) if member.isfile() else None
            if content is not None and member.name.endswith((".bin", "classes.txt")):
                with (folder / Path(member.name).name).open("wb") as out:
                    shutil.copyfileobj(content, out)
    return folder


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    return folder_of("bnn-pynq-cnvW1A1-cifar10.tar.xz", tmp_path_factory.mktemp("parameters"))


def test_cnv(parameters, tmp_path):
    path = tmp_path / "model.npz"
    assert main([str(parameters), "--topology", "cnv", "-o", str(path)]) == 0
    model = load(path)
    assert [layer.outputs for layer in model.layers] == [64, 64, 128, 128, 256, 256, 512, 512, 10]
    assert model.classes[0] == "Airplane" and model.meta["dataset"] == "cifar10"
    assert sum(layer.weights.size for layer in model.layers) == 1_542_848
    images = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    images[0], images[1] = 0, 255
    outputs = trace(model, images)
    np.testing.assert_array_equal(infer(model, images), outputs["dense3"])
    assert outputs["conv6"].shape == (4, 1, 1, 256)
    labels = outputs["dense3"].argmax(1)
    assert count_right(model, images, labels) == 4
    assert count_right(model, images, (labels + 1) % 10) == 0


def ternary(network, kind, folder, draw):
    """Random parameters of two-bit activations, in BNN-PYNQ's format; a function that runs them as its cores do."""
    cnv = network == "cnv"
    sizes = [(64, 27), (64, 576), (128, 576), (128, 1152), (256, 1152), (256, 2304), (512, 256), (512, 512), (64, 512)]
    sizes = sizes if cnv else [(1024, 832), (1024, 1024), (1024, 1024), (64, 1024)]
    layers = []
    for index, (rows, synapses) in enumerate(sizes):
        last = index == len(sizes) - 1
        weights = draw.choice([-1, 1] if kind == 1 else [-1, 0, 1], (rows, synapses))
        spread = 2 * 60 * 128 if cnv and not index else int(np.sqrt(synapses) / 2)
        limits = np.sort(draw.integers(-spread, spread + 1, (rows, 1 if last else 2)), axis=1)
        layers.append((weights, None if cnv and last else limits))
        codes = (weights > 0).astype(int) if kind == 1 else weights
        write_layer(folder, index, codes, layers[-1][1], 4, 3 if cnv and not index else 16, kind)

    def scores(images):
        values = input_table()[images].astype(float) if cnv else np.where(images >= 128, 1.0, -1.0)
        for index, (weights, limits) in enumerate(layers):
            if cnv and index < 6:
                taps = [
                    values[:, y : y + values.shape[1] - 2, x : x + values.shape[2] - 2]
                    for y in range(3)
                    for x in range(3)
                ]
                sums = np.concatenate(taps, axis=3) @ weights.T.astype(float)
            else:
                flat = values.reshape(len(values), -1)
                flat = np.pad(flat, ((0, 0), (0, weights.shape[1] - flat.shape[1])), constant_values=-1)
                sums = flat @ weights.T.astype(float)
            if limits is None:
                return sums[:, :10]
            sums = 2 * sums if cnv and not index else sums
            values = (sums[..., None] > limits).sum(-1) - 1.0
            if cnv and index in (1, 3):
                count, height, width, channels = values.shape
                values = values.reshape(count, height // 2, 2, width // 2, 2, channels).max((2, 4))
        return values[:, :10] + 1

    return scores


@pytest.mark.parametrize(("network", "kind"), [("cnv", 1), ("cnv", 2), ("lfc", 1)])
def test_two_bits(network, kind, tmp_path):
    draw = np.random.default_rng(kind)
    scores = ternary(network, kind, tmp_path, draw)
    model = read_model(tmp_path, classes=",".join("0123456789"))
    assert model.name == f"{network}W{kind}A2" and model.planes_into(model.layers[1]) == 2
    assert {layer.bases for layer in model.layers[:-1]} == {kind}
    images = draw.integers(0, 256, (3, model.height, model.width, model.channels)).astype(np.uint8)
    wanted, found = scores(images), infer(model, images)
    if network == "cnv":  # scores are matches, which go up with the sums
        first = found - wanted * (1 if kind == 1 else 2)
        assert (first == first[0, 0]).all() and len(np.unique(wanted)) > 5
    else:
        np.testing.assert_array_equal(found, 2 * wanted)
        assert 0 < wanted.mean() < 1
    np.testing.assert_array_equal(found, trace(model, images)[model.layers[-1].name])


@pytest.mark.parametrize(
    ("archive", "name", "samples", "right"),
    [
        ("bnn-pynq-cnvW1A2-cifar10.tar.xz", "cnvW1A2", "cifar10_sample.npz", 55),
        ("bnn-pynq-lfcW1A1-mnist.tar.xz", "lfcW1A1", "mnist_sample.npz", 64),
    ],
)
def test_published_parameters(archive, name, samples, right, tmp_path):
    model = read_model(folder_of(archive, tmp_path))
    assert model.name == name and model.meta["dataset"] in archive
    with np.load(ROOT / "models" / samples) as sample:
        assert count_right(model, sample["x"], sample["y"]) == right
