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
    main,
    read_model,
    read_thresholds,
    read_weights,
)

ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "bnn-pynq-cnvW1A1-cifar10.tar.xz"


def write_layer(folder, layer, weights, thresholds, processing, simd):
    """Weights (rows, synapses) as BNN-PYNQ lays them out, by its own words: one loop per index."""
    rows, synapses = weights.shape
    words = np.zeros((processing, rows // processing * synapses // simd), np.uint64)
    for row in range(rows):
        for synapse in range(synapses):
            word = row // processing * (synapses // simd) + synapse // simd
            words[row % processing, word] |= np.uint64(int(weights[row, synapse]) << synapse % simd)
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
    np.testing.assert_array_equal(read_weights(tmp_path, 0, 27), weights)
    np.testing.assert_array_equal(read_thresholds(tmp_path, 0, 16), thresholds)


def test_last_layer_has_64_rows(tmp_path):
    weights = np.random.default_rng(1).integers(0, 2, (64, 512)).astype(np.uint8)
    write_layer(tmp_path, 8, weights, None, 4, 1)
    np.testing.assert_array_equal(read_weights(tmp_path, 8, 512), weights)


def test_refused(tmp_path, capsys):
    weights = np.zeros((16, 27), np.uint8)
    write_layer(tmp_path, 0, weights, np.zeros(16, np.int64), 4, 3)
    with pytest.raises(ParameterError, match="expected 4 rows of 28 weights"):
        read_weights(tmp_path, 0, 28)
    with pytest.raises(ParameterError, match="16 thresholds, expected 64"):
        read_thresholds(tmp_path, 0, 64)
    (tmp_path / "0-1-weights.bin").write_bytes(b"1234567")
    with pytest.raises(ParameterError, match="0-1-weights.bin: holds 7 bytes, expected 288"):
        read_weights(tmp_path, 0, 27)
    (tmp_path / "0-1-weights.bin").unlink()
    with pytest.raises(ParameterError, match="cannot be read"):
        read_model(tmp_path, dataset="cifar10")
    assert main([str(tmp_path / "none"), "-o", str(tmp_path / "model.npz"), "--classes", "a,b"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


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
        write_layer(folder, layer, weights, None if layer == 8 else np.zeros(rows, np.int64), 4, 1 if layer == 8 else 9
                    if synapses % 32 else 32)
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


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE} is absent: the BNN-PYNQ parameters are needed")
    folder = tmp_path_factory.mktemp("parameters")
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None and member.name.endswith((".bin", "classes.txt")):
                with (folder / Path(member.name).name).open("wb") as out:
                    shutil.copyfileobj(content, out)
    return folder


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
