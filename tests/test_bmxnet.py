"""BMXNet's symbols and parameters as models: files made here, and the published networks where they are at hand."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.cores import SMALL
from test_onnx_import import archive_file

from bnn.golden import infer, trace
from bnn.model import load
from hls import program
from hls.ap_types import find_ap_types
from hls.designs import DESIGNS, DesignError
from hls.schedule import plan
from sim import hls_csim
from sim.compare import by_name, differences, written
from train.data import DEFAULT_FOLDER
from train.data import load as load_data
from train.graphs.bmxnet import read_arrays, read_graph, unpack
from train.graphs.graph import GraphError, run
from train.graphs.lowering import lower
from train.graphs.weights import Ends
from train.import_model import main

DIGITS = ",".join("0123456789")


def pack(signs):
    """Signs (O, ...) as BMXNet packs them, a loop per word."""
    rows = signs.reshape(len(signs), -1)
    if signs.ndim == 2:  # 64 inputs of all outputs, then the next
        words = [
            rows[output, block : block + 64] for block in range(0, rows.shape[1], 64) for output in range(len(rows))
        ]
    else:
        flat = rows.reshape(-1)
        words = [flat[start : start + 64] for start in range(0, len(flat), 64)]
    return np.array([sum(1 << place for place, sign in enumerate(word) if sign > 0) for word in words], np.uint64)


def write_params(path, arrays):
    """MXNet's list of arrays, field by field."""
    types = {"float32": 0, "uint64": 1}
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        parts.append(struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape))
        parts.append(struct.pack("<iii", 1, 0, types[array.dtype.name]) + array.tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        text = f"{'aux' if 'moving' in name else 'arg'}:{name}".encode()
        parts.append(struct.pack("<Q", len(text)) + text)
    path.write_bytes(b"".join(parts))


class Symbol:
    """A symbol and its arrays, as they grow."""

    def __init__(self, seed=0):
        self.draw, self.rows, self.arrays, self.signs = np.random.default_rng(seed), [], {}, {}
        self.last = self.null("data")

    def null(self, name):
        self.rows.append({"op": "null", "name": name, "inputs": []})
        return len(self.rows) - 1

    def array(self, name, values):
        self.arrays[name] = values if values.dtype == np.uint64 else values.astype(np.float32)
        return self.null(name)

    def add(self, operator, name, inputs=(), **given):
        attributes = {key: str(value) for key, value in given.items()}
        rows = [[number, 0, 0] for number in inputs or [self.last]]
        self.rows.append({"op": operator, "name": name, "inputs": rows, "attr": attributes})
        self.last = len(self.rows) - 1
        return self.last

    def norm(self, name, channels, spread, **given):
        draw, source = self.draw, self.last
        parts = {
            "gamma": draw.uniform(0.5, 2, channels),
            "beta": draw.normal(0, 0.3, channels),
            "moving_mean": draw.normal(spread, spread / 4, channels),
            "moving_var": spread * draw.uniform(0.5, 2, channels),
        }
        arrays = [self.array(f"{name}_{key}", part) for key, part in parts.items()]
        return self.add("BatchNorm", name, [source, *arrays], **given)

    def binary(self, operator, name, shape, **given):
        source, signs = self.last, self.draw.choice([-1, 1], shape)
        self.signs[name] = signs
        weights = self.array(f"{name}_weight", pack(signs))
        return self.add(operator, name, [source, weights], act_bit=1, binarized_weights_only=True, **given)

    def real(self, operator, name, shape, **given):
        source = self.last
        weight = self.array(f"{name}_weight", self.draw.normal(size=shape))
        bias = self.array(f"{name}_bias", self.draw.normal(size=shape[0]))
        return self.add(operator, name, [source, weight, bias], **given)

    def write(self, folder, name="net"):
        symbol, params = folder / f"{name}-symbol.json", folder / f"{name}-0003.params"
        label = self.null("softmax_label")
        self.add("SoftmaxOutput", "softmax", [self.last, label])
        symbol.write_text(json.dumps({"nodes": self.rows, "heads": [[self.last, 0, 0]]}))
        write_params(params, self.arrays)
        return symbol, params


def lenet(folder):
    """The layers of BMXNet's MNIST network, fewer and smaller."""
    made = Symbol()
    made.real("Convolution", "conv0", (16, 1, 5, 5), kernel="(5, 5)", num_filter=16)
    made.add("Activation", "tanh0", act_type="tanh")
    made.add("Pooling", "pool0", kernel="(2, 2)", pool_type="max", stride="(2, 2)")
    made.norm("bn0", 16, 0.3)
    made.add("QActivation", "qact", act_bit=1)
    made.binary("QConvolution", "conv1", (16, 16, 5, 5), kernel="(5, 5)", num_filter=16)
    made.norm("bn1", 16, 200)
    made.add("Pooling", "pool1", kernel="(2, 2)", pool_type="max", stride="(2, 2)")
    made.add("Flatten", "flat")
    made.binary("QFullyConnected", "fc0", (64, 256), num_hidden=64)
    made.norm("bn2", 64, 128)
    made.add("Activation", "tanh1", act_type="tanh")
    made.real("FullyConnected", "fc1", (10, 64), num_hidden=10)
    return made, made.write(folder)


def test_what_layers_compute(tmp_path):
    """Matches, signs with sign(0) = +1, padding that counts as +1, gamma that is fixed where nothing says otherwise."""
    made = Symbol(2)
    made.norm("bn_data", 3, 128.0, eps="2e-05")
    made.binary("QConvolution", "conv", (64, 3, 3, 3), kernel="(3, 3)", num_filter=64, pad="(1, 1)", stride="(2, 2)")
    made.norm("bn1", 64, 14.0, fix_gamma=False)
    made.add("Flatten", "flat")
    made.binary("QFullyConnected", "last", (10, 64 * 16), num_hidden=10)
    graph = read_graph(*made.write(tmp_path), (8, 8, 3))
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    assert graph.divisor == 1
    norms = [node for node in graph.nodes if node.operator == "BatchNormalization"]
    assert [node.attributes["epsilon"] for node in norms] == [2e-5, 1e-3]
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double()

    def norm(x, name, epsilon, fixed):
        gamma, beta, mean, variance = (
            torch.from_numpy(made.arrays[f"{name}_{key}"]).double().view(1, -1, 1, 1)
            for key in ("gamma", "beta", "moving_mean", "moving_var")
        )
        return (x - mean) / torch.sqrt(variance + epsilon) * (1 if fixed else gamma) + beta

    x = torch.where(norm(x, "bn_data", 2e-5, True) >= 0, 1.0, -1.0).double()
    weight = torch.from_numpy(made.signs["conv"]).double()
    sums = (F.conv2d(F.pad(x, (1, 1, 1, 1), value=1.0), weight, stride=2) + 27) / 2
    assert (sums == sums.round()).all() and sums.min() >= 0
    signs = torch.where(norm(sums, "bn1", 1e-3, False) >= 0, 1.0, -1.0).double().flatten(1)
    assert -0.9 < signs.mean() < 0.9
    scores = (signs @ torch.from_numpy(made.signs["last"]).double().T + 64 * 16) / 2
    np.testing.assert_array_equal(run(graph, images)[graph.output], scores.numpy())


def test_packing_and_arrays(tmp_path):
    draw = np.random.default_rng(0)
    for shape in ((6, 3, 5, 5), (10, 128), (64, 1, 1, 1)):
        signs = draw.choice([-1, 1], shape)
        np.testing.assert_array_equal(unpack(pack(signs), shape, "w"), signs)
    arrays = {"a": draw.normal(size=(2, 3)).astype(np.float32), "b_moving_mean": np.arange(4, dtype=np.float32)}
    write_params(tmp_path / "x.params", arrays)
    for name, array in read_arrays(tmp_path / "x.params").items():
        np.testing.assert_array_equal(array, arrays[name])


def test_lenet(tmp_path, capsys):
    made, (symbol, params) = lenet(tmp_path)
    images = np.random.default_rng(3).integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)
    reference = run(graph := read_graph(symbol, params, (28, 28, 1)), images)[graph.output].argmax(1)
    np.savez(tmp_path / "images.npz", x=images, y=reference.astype(np.uint8))
    out = tmp_path / "model.npz"
    options = ["--dataset", "mnist", "--images", str(tmp_path / "images.npz"), "-o", str(out)]
    for path in (symbol, params, tmp_path):
        assert main([str(path), *options]) == 0
    told = capsys.readouterr().out
    assert "node conv0 (Convolution)" not in told and "node conv0 (Conv): weights are rounded to 8 bits" in told
    model = load(out)
    assert [layer.kernel for layer in model.layers] == [5, 5, 1, 1] and model.layers[0].bases == 8
    assert (infer(model, images).argmax(1) == reference).mean() > 0.9
    np.testing.assert_array_equal(infer(model, images[:2]), trace(model, images[:2])["fc1"])
    with pytest.raises(DesignError, match="layer conv0: 64 passes of different coefficients, the vector unit takes 16"):
        plan(model, DESIGNS["pynq_z1"], 1)
    # bits of which the cores take the products
    assert main([str(symbol), *options, "--ends", "4,4,3,5"]) == 0
    told = capsys.readouterr()
    for what in (
        "conv0 (Conv): pixels are rounded to 4",
        "conv0 (Conv): weights are rounded to 4",
        "rounded to 3 bits",
    ):
        assert what in told.out
    assert "numpy" not in told.err  # its sums are beyond 16 bits, if pixels had 8
    model = load(out)
    assert (model.input_table.min(), model.input_table.max()) == (-8, 7)
    assert model.input_table[[0, 8, 9, 247, 255]].tolist() == [-8, -8, -7, 7, 7]
    assert [layer.bases for layer in model.layers] == [4, 1, 1, 3] and model.layers[2].bits == 5
    plan(model, DESIGNS["pynq_z1"], 1)
    assert (infer(model, images).argmax(1) == reference).mean() > 0.8
    with pytest.raises(SystemExit):
        main([str(symbol), *options, "--ends", "4,9,3,5"])
    assert "'4,9,3,5' is not four numbers of 2 to 8 with commas" in capsys.readouterr().err


def resnet(folder):
    """Two pre-activation units of BMXNet's ResNet, the first with a binary projection."""
    made = Symbol(4)
    made.norm("bn_data", 3, 128.0)
    made.arrays["bn_data_beta"][:], made.arrays["bn_data_moving_mean"][:] = 0, 128  # so that the padding is a pixel
    made.real("Convolution", "conv0", (8, 3, 3, 3), kernel="(3, 3)", num_filter=8, pad="(1, 1)")
    made.norm("u1_bn1", 8, 1.0, fix_gamma=False)
    bits = made.last
    window = {"kernel": "(3, 3)", "num_filter": 64, "pad": "(1, 1)"}
    made.binary("QConvolution", "u1_conv1", (64, 8, 3, 3), **window, stride="(2, 2)")
    made.norm("u1_bn2", 64, 36, fix_gamma=False)
    own = made.binary("QConvolution", "u1_conv2", (64, 64, 3, 3), **window)
    made.last = bits
    projected = made.binary("QConvolution", "u1_sc", (64, 8, 1, 1), kernel="(1, 1)", num_filter=64, stride="(2, 2)")
    first = made.add("elemwise_add", "plus0", [own, projected])
    made.norm("u2_bn1", 64, 290, fix_gamma=False)
    made.binary("QConvolution", "u2_conv1", (64, 64, 3, 3), **window)
    made.norm("u2_bn2", 64, 288, fix_gamma=False)
    own = made.binary("QConvolution", "u2_conv2", (64, 64, 3, 3), **window)
    made.add("elemwise_add", "plus1", [own, first])
    made.norm("bn1", 64, 580, fix_gamma=False)
    made.add("Activation", "relu", act_type="relu")
    made.add("Pooling", "pool", global_pool=True, kernel="(7, 7)", pool_type="avg")
    made.add("Flatten", "flat")
    made.real("FullyConnected", "fc", (10, 64), num_hidden=10)
    return made.write(folder)


def test_shortcuts_are_values(tmp_path):
    graph = read_graph(*resnet(tmp_path), (16, 16, 3))
    images = np.random.default_rng(5).integers(0, 256, (96, 16, 16, 3)).astype(np.uint8)
    model, losses = lower(graph, tuple(DIGITS.split(",")), (16, 16, 3), images[:64])
    assert "node plus0 (Add): values are rounded to 8 bits" in losses
    assert "node relu (Relu): values are rounded to 7 bits" in losses
    named = {layer.name: layer for layer in model.layers}
    assert sum(len(layer.inputs) == 2 for layer in model.layers) == 2
    assert (named["u1_conv1"].stride, named["u1_conv1"].pad_value, named["pool"].kind) == (2, 1, "average")
    reference, scores = run(graph, images)[graph.output], infer(model, images)
    np.testing.assert_array_equal(scores[:2], trace(model, images[:2])["fc"])
    centred = [part - part.mean(0) for part in (reference, scores.astype(float))]
    assert np.corrcoef(centred[0].reshape(-1), centred[1].reshape(-1))[0, 1] > 0.75


def test_refused(tmp_path, capsys):
    made, (symbol, params) = lenet(tmp_path)
    content, out = params.read_bytes(), str(tmp_path / "m.npz")

    def error(*arguments):
        assert main([*map(str, arguments), "-o", out]) == 1
        message = capsys.readouterr().err
        assert message.startswith("error: ") and message.count("\n") == 1
        return message

    assert "does not say how large images are, give --dataset" in error(symbol, "--classes", DIGITS)
    params.write_bytes(content[:-700])
    assert "are left" in error(symbol, "--dataset", "mnist")
    params.write_bytes(b"\x13" + content[1:])
    assert "begins with 0x113, expected 0x112 of an MXNet list of arrays" in error(symbol, "--dataset", "mnist")
    write_params(params, {name: array for name, array in made.arrays.items() if name != "bn1_beta"})
    assert "array bn1_beta is missing" in error(symbol, "--dataset", "mnist")
    params.unlink()
    assert "net-0000.params: is missing beside net-symbol.json" in error(symbol, "--dataset", "mnist")
    params.write_bytes(content)
    described = json.loads(symbol.read_text())
    for change, message in (
        ({"op": "Deconvolution"}, "(Deconvolution): is not supported, expected one of activation, batchnorm"),
        ({"attr": {"act_type": "softrelu"}}, "is softrelu, expected one of relu, tanh, sigmoid"),
    ):
        rows = [dict(row, **change) if row["op"] == "Activation" else row for row in described["nodes"]]
        symbol.write_text(json.dumps({"nodes": rows}))
        assert message in error(symbol, "--dataset", "mnist")
    symbol.write_text("{}")
    assert "is no MXNet symbol, expected JSON with nodes" in error(symbol, "--dataset", "mnist")
    (tmp_path / "other-symbol.json").write_text("{}")
    assert "holds 2 files *-symbol.json, give one of them" in error(tmp_path, "--dataset", "mnist")


def test_words_that_do_not_fit():
    with pytest.raises(GraphError, match=r"w: has 3 words of 64 bits, expected 2 for \[2, 64\]"):
        unpack(np.zeros(3, np.uint64), (2, 64), "w")
    with pytest.raises(GraphError, match="w: has 32 inputs, expected a multiple of 64"):
        unpack(np.zeros(1, np.uint64), (2, 32), "w")


def published(name, params, folder):
    archive_file("bmxnet.tar.xz", f"bmxnet/{name}-symbol.json", folder)
    archive_file("bmxnet.tar.xz", f"bmxnet/{params}", folder)
    return folder / f"{name}-symbol.json"


CORE = replace(SMALL, act_depth=16384, max_layers=32)
"""The residual network has 23 array layers, and its values of 8 bits take most of that memory."""
PUBLISHED = {
    "mnist": ("binarized_mnist_64bit", "binarized_mnist_64bit-0001.params", 4),
    "cifar10": ("binarized_cifar10-resnet18-64bit", "binarized_cifar10-resnet18-64bit-0000.params", 23),
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", PUBLISHED)
def test_published_networks_on_the_hls_core(dataset, tmp_path):
    """Four images, every bit, value and score; real weights at both ends as cores take them, 16 passes."""
    if find_ap_types() is None or shutil.which("g++") is None:
        pytest.skip("ap_int.h or g++ is not installed")
    name, params, count = PUBLISHED[dataset]
    symbol = published(name, params, tmp_path)
    if not (DEFAULT_FOLDER / f"{dataset}.npz").exists():
        pytest.skip(f"{DEFAULT_FOLDER / dataset}.npz is absent: the data set is needed")
    found = load_data(dataset)
    seen, images = (np.ascontiguousarray(part.transpose(0, 2, 3, 1)) for part in (found.x_train[:32], found.x_test[:4]))
    graph = read_graph(symbol, tmp_path / params, images.shape[1:])
    model, losses = lower(graph, tuple(DIGITS.split(",")), images.shape[1:], seen, None, Ends(4, 4, 3, 5))
    assert "pixels are rounded to 4 bits" in losses[0] and "weights are rounded to 3 bits" in losses[-1]
    placed = plan(model, CORE, 4)
    assert len(placed.descriptors) == count
    scores, traces = hls_csim.build(CORE, tmp_path / "core").run(program.pack(placed), images)
    expected = trace(model, images)
    assert not differences(written(placed, expected), by_name(placed, traces))
    assert np.array_equal(scores, expected[model.layers[-1].name])


def test_published_mnist_network(tmp_path, capsys):
    symbol = published("binarized_mnist_64bit", "binarized_mnist_64bit-0001.params", tmp_path)
    if not (DEFAULT_FOLDER / "mnist.npz").exists():
        pytest.skip(f"{DEFAULT_FOLDER / 'mnist.npz'} is absent: the data set is needed")
    out = tmp_path / "model.npz"
    assert main([str(symbol), "--dataset", "mnist", "--limit", "1000", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    right = int(told.partition(" as integers")[0].rpartition(" ")[2])
    assert "right: 964 in floating point" in told and right >= 959  # half a point


def test_published_residual_network(tmp_path):
    """Four images: the model is what both cores will have to run."""
    symbol = published("binarized_cifar10-resnet18-64bit", "binarized_cifar10-resnet18-64bit-0000.params", tmp_path)
    graph = read_graph(symbol, tmp_path / "binarized_cifar10-resnet18-64bit-0000.params", (32, 32, 3))
    if not (DEFAULT_FOLDER / "cifar10.npz").exists():
        pytest.skip(f"{DEFAULT_FOLDER / 'cifar10.npz'} is absent: the data set is needed")
    found = load_data("cifar10")
    seen, images = (np.ascontiguousarray(part.transpose(0, 2, 3, 1)) for part in (found.x_train[:32], found.x_test[:4]))
    model, _ = lower(graph, tuple(DIGITS.split(",")), (32, 32, 3), seen)
    assert sum(len(layer.inputs) == 2 for layer in model.layers) == 8 and len(model.layers) == 23
    assert infer(model, images).shape == (4, 10)
    np.testing.assert_array_equal(run(graph, images)[graph.output].argmax(1), found.y_test[:4])
