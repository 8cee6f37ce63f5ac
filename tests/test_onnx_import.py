"""ONNX and QONNX files as models: graphs made here, run by qonnx, others' networks, round trips, refusals."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.graphs import Builder
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from bnn.golden import infer, trace
from bnn.model import load, to_bytes
from bnn.random_models import random_graph
from hls.designs import DESIGNS
from hls.program import pack
from hls.schedule import plan
from train.accuracy import count_right
from train.data import DEFAULT_FOLDER
from train.data import load as load_data
from train.export_onnx import save_onnx
from train.graphs import emission
from train.graphs.graph import GraphError, run
from train.graphs.lowering import lower
from train.graphs.onnx_file import read_graph
from train.graphs.signals import NeedsImages
from train.import_model import main

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
DIALECTS = ("qonnx", "qcdq", "plain")


def chain(seed):
    """A random chain over everything that a chain may have, and its number of image channels."""
    draw = np.random.default_rng(1000 + seed)

    def pick(*choices):
        return choices[draw.integers(len(choices))]

    channels = pick(1, 3)
    made = Builder((channels, 13, 12), seed, pixels=bool(seed % 2))
    if made.pixels:
        made.by("Div", 255.0)
    made.scale_pixels()
    dialect, first = DIALECTS[seed % 3], pick("real", "quant", "binary")
    if first == "quant":
        made.quant(8, 1 / 128)
    elif first == "binary":
        made.sign()
    height, width = 13, 12
    for index in range(draw.integers(1, 4)):
        kernel = pick(*(size for size in (1, 3, 5) if size <= min(height, width)))
        pad = int(draw.integers(0, kernel // 2 + 1)) if index or first != "real" else 0
        stride, outputs = pick(1, 1, 2), int(draw.integers(2, 9))
        made.conv(channels, outputs, kernel, dialect, strides=[stride] * 2, pads=[pad] * 4)
        spread, channels = kernel * np.sqrt(channels), outputs
        height, width = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
        pool = pick("", "before", "middle", "after") if stride == 1 and min(height, width) > 1 else ""
        if pool == "before":
            made.pool()
        made.norm(outputs, spread)
        if pool == "middle":
            made.pool()
        activation = pick("sign", "narrow", "unsigned", "thresholds", "qcdq")
        if activation == "sign":
            made.sign()
        elif activation == "narrow":
            made.quant(2, 0.7, signed=1, narrow=1)
        elif activation == "unsigned":
            made.quant(2, 0.5, signed=0)
        elif activation == "thresholds":
            rows = np.sort(made.draw.normal(0, 0.8, (outputs, 2)), axis=1)
            made.add("MultiThreshold", made.tensor, made.constant(rows), out_scale=1.0, out_bias=-1.0, out_dtype="INT2")
        else:
            made.qcdq(0.5, -1, 1)
        if pool == "after":
            made.pool()
        height, width = (height // 2, width // 2) if pool else (height, width)
    if pick(True, False):
        made.add("Transpose", perm=[0, 2, 3, 1])
    if pick(True, False):
        made.add("Flatten", axis=1)
    else:
        made.add("Reshape", made.tensor, made.constant([1, -1], np.int64))
    inputs = height * width * channels
    if pick(True, False):
        made.dense(inputs, 6, dialect)
        made.add("Unsqueeze", made.tensor, made.constant([2], np.int64))
        made.norm(6, np.sqrt(inputs))
        made.add("Squeeze", made.tensor, made.constant([2], np.int64))
        made.sign()
        inputs = 6
    if pick(True, False):
        made.dense(inputs, 4, dialect)
    else:
        bias = made.constant(made.draw.integers(-3, 4, 4))
        made.add("Gemm", made.tensor, made.weights((4, inputs), dialect), bias, transB=1)
    return made


def written(made, path, outputs=4):
    path.write_bytes(made.proto(outputs).SerializeToString())
    return read_graph(path)


def drawn(shape, count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def by_qonnx(made, graph, images):
    model = ModelWrapper(made.proto(4)).transform(InferShapes())
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(graph.divisor)
    return np.concatenate([execute_onnx(model, {"image": image[None]})[made.tensor] for image in pixels])


def assert_scores(model, images, wanted):
    scores = infer(model, images) * 2.0 ** -model.layers[-1].shift
    np.testing.assert_allclose(scores, wanted, atol=1e-3 * max(1.0, np.abs(wanted).max()))
    np.testing.assert_array_equal(infer(model, images), trace(model, images)[model.layers[-1].name])


@pytest.mark.parametrize("seed", range(24))
def test_chains(seed, tmp_path):
    made = chain(seed)
    graph = written(made, tmp_path / "made.onnx")
    images = drawn((13, 12, made.shape[0]), 8, seed)
    reference = run(graph, images)[graph.output]
    np.testing.assert_allclose(by_qonnx(made, graph, images[:2]), reference[:2], atol=1e-4)
    model, losses = lower(graph, tuple("abcd"))
    assert losses == () and graph.divisor == (1 if made.pixels else 255)
    assert_scores(model, images, reference)


def residual(seed, end):
    """Two shortcuts, the second to half the size and more channels; values of 8 bits, gains that 16 bits hold."""
    made = Builder((3, 12, 12), seed)
    made.scale_pixels()
    made.sign()

    def block(inputs, outputs, **attributes):
        made.conv(inputs, outputs, pads=[1] * 4, **attributes)
        gain = 2.0 ** made.draw.integers(-6, -3, (1, outputs, 1, 1)) * made.draw.choice([-1, 1], (1, outputs, 1, 1))
        made.by("Mul", gain)
        # so that nothing lies half way between two codes, where Quant rounds to even
        made.by("Add", (2 * made.draw.integers(-160, 161, (1, outputs, 1, 1)) + 1) / 1024)
        return made.tensor

    block(3, 6)
    first = made.quant(8, 1 / 16)
    made.sign()
    own = block(6, 6)
    made.add("Add", own, first)
    second = made.quant(8, 1 / 16)
    made.quant(2, 1.0, signed=1, narrow=1)
    own = block(6, 9, strides=[2, 2])
    if seed % 2:
        ranges = (made.constant(values, np.int64) for values in ([0, 0], [99, 99], [2, 3], [2, 2]))
        made.add("Slice", second, *ranges)
    else:
        made.add("AveragePool", second, kernel_shape=[2, 2], strides=[2, 2])
        made.by("Mul", 16.0)
        made.by("Add", 0.5)
        made.add("Floor")
        made.by("Mul", 1 / 16)
    made.add("Pad", made.tensor, made.constant([0, 0, 0, 0, 0, 3, 0, 0], np.int64), made.constant(0.0))
    made.add("Add", own, made.tensor)
    made.quant(8, 1 / 16)
    if end == "mean":
        made.add("GlobalAveragePool")
        made.add("Flatten", axis=1)
        made.quant(7, 1 / 32, signed=0, rounding="FLOOR")
        made.dense(9, 4)
    else:
        made.sign()
        made.add("Flatten", axis=1)
        made.dense(9 * 36, 4)
    return made


@pytest.mark.parametrize("end", ["mean", "signs"])
@pytest.mark.parametrize("seed", range(4))
def test_shortcuts(seed, end, tmp_path):
    made = residual(seed, end)
    graph = written(made, tmp_path / "made.onnx")
    images = drawn((12, 12, 3), 16, seed)
    reference = run(graph, images)[graph.output]
    np.testing.assert_allclose(by_qonnx(made, graph, images[:2]), reference[:2], atol=1e-4)
    model, losses = lower(graph, tuple("abcd"))
    assert losses == () and [len(layer.inputs) for layer in model.layers].count(2) == 2
    assert len(np.unique(reference)) > 4
    assert_scores(model, images, reference)


@pytest.mark.parametrize("dialect", ["qonnx", "plain"])
@pytest.mark.parametrize("name", ["sfc", "cnv", "mnist_wired", "mnist_beat_wired", "cifar_wired"])
def test_out_and_in_is_the_identity(name, dialect, tmp_path):
    model = load(ROOT / "models" / f"{name}.npz")
    save_onnx(model, tmp_path / "model.onnx", dialect)
    assert main([str(tmp_path / "model.onnx"), "-o", str(tmp_path / "back.npz")]) == 0
    back = load(tmp_path / "back.npz")
    assert back.meta == {**model.meta, "source": "model.onnx"}
    assert pack(plan(back, DESIGNS["pynq_z1"], 16)) == pack(plan(model, DESIGNS["pynq_z1"], 16))


def test_out_and_in_of_random_graphs(tmp_path):
    """Those that the import can express, which are not the ones with coefficients or oddly weighted planes."""
    expressed = 0
    for seed in range(40):
        model = random_graph(seed)
        save_onnx(model, tmp_path / "model.onnx")
        images = drawn((model.height, model.width, model.channels), 8, seed)
        try:
            back, losses = lower(read_graph(tmp_path / "model.onnx"), model.classes)
        except GraphError:
            continue
        if losses or back.layers[-1].shift != model.layers[-1].shift:
            continue
        expressed += 1
        np.testing.assert_array_equal(infer(back, images), infer(model, images))
    assert expressed >= 12


def refusals():
    """What cannot be expressed, and the parts of the message."""

    def middle(change):
        made = Builder((1, 12, 12))
        made.scale_pixels()
        made.conv(1, 4)
        made.norm(4, 3.0)
        made.sign()
        change(made)
        return made

    def end(made, channels=4, size=10):
        made.add("Flatten", axis=1)
        made.dense(channels * size * size, 4)

    def no_pixels():
        made = Builder((1, 12, 12))
        made.by("Mul", np.nan)
        made.conv(1, 4, name="first")
        return made

    def real_weights(made):
        made.add("Conv", made.tensor, made.constant(made.draw.normal(size=(4, 4, 1, 1))), name="inner")
        made.sign()
        end(made)

    def kernel(made):
        made.conv(4, 4, 7, name="wide")

    def groups(made):
        made.add("Conv", made.tensor, made.weights((4, 1, 3, 3)), name="grouped", group=4)

    def resize(made):
        made.add("LRN", name="norm", size=3)

    def absolute(made):
        made.conv(4, 4, 1)
        made.add("Abs")
        made.by("Sub", 1.5)
        made.sign()
        end(made)

    def places(made):
        made.conv(4, 4, 1)
        made.by("Add", made.draw.normal(size=(1, 4, 10, 10)))

    def padding(made):
        edges = made.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
        made.add("Pad", made.tensor, edges, made.constant(0.3))
        made.conv(4, 4, name="padded")

    def pool(made):
        made.conv(4, 4, 1)
        made.add("MaxPool", name="wide", kernel_shape=[3, 3], strides=[2, 2])

    def many(made):
        made.conv(4, 4, 1)
        made.add("Tanh")
        made.conv(4, 4, 1, name="reader")
        end(made)

    def two(made):
        first = made.tensor
        made.conv(4, 4, 1)
        made.add("Mul", made.tensor, first, name="product")

    def real_sum(made):
        made.conv(4, 4, 1)
        first = made.by("Mul", 0.3)
        made.sign()
        made.conv(4, 4, 1)
        made.add("Add", made.tensor, first)
        made.sign()
        end(made)

    cases = {
        real_weights: ("node inner (Conv) of [1, 4, 10, 10] and [4, 4, 1, 1]", "one magnitude per output"),
        kernel: ("node wide (Conv)", "[4, 4, 7, 7]", "kernel is [7, 7], expected 1x1, 3x3 or 5x5"),
        groups: ("node grouped (Conv)", "group 4, expected stride 1 or 2, group 1"),
        resize: ("node norm (LRN) of [1, 4, 10, 10]: operator is not supported, expected one of Abs, Add",),
        absolute: ("channel", "not monotone", "expected"),
        places: ("(Add) of [1, 4, 10, 10] and [1, 4, 10, 10]", "expected one number per channel"),
        padding: ("node padded (Conv)", "is padded with 0.3, expected the least, the middle or the greatest"),
        pool: ("node wide (MaxPool)", "kernel is [3, 3], strides [2, 2]", "expected 2x2"),
        many: ("node reader (Conv)", "expected at most 4"),
        two: ("node product (Mul) of [1, 4, 10, 10] and [1, 4, 10, 10]", "expected an Add"),
        real_sum: ("is a value of real numbers, expected a quantiser behind it, or --images or --dataset",),
    }
    found = [pytest.param(middle(change), parts, id=change.__name__) for change, parts in cases.items()]
    parts = ("node first (Conv) of [1, 1, 12, 12] and [4, 1, 3, 3]", "reads pixels that are not finite")
    return [*found, pytest.param(no_pixels(), parts, id="no_pixels")]


@pytest.mark.parametrize(("made", "parts"), refusals())
def test_refused(made, parts, tmp_path):
    with pytest.raises(GraphError) as caught:
        lower(written(made, tmp_path / "made.onnx"), tuple("abcd"))
    message = str(caught.value)
    assert "\n" not in message and "expected" in message
    for part in parts:
        assert part in message, message


def test_refused_files(tmp_path, capsys):
    made = Builder((1, 4, 4))
    made.scale_pixels()
    made.add("Flatten", axis=1)
    made.dense(16, 4)
    good = tmp_path / "good.onnx"
    good.write_bytes(made.proto(4).SerializeToString())
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x08\x07nothing")
    for path, options, message in (
        (tmp_path / "none.onnx", [], "none.onnx: cannot be read (No such file or directory)"),
        (bad, [], "bad.onnx: "),
        (good, [], "nothing else names the classes: give --classes or --dataset"),
        (good, ["--classes", "a,b"], "good: has 4 scores, expected 2 as there are classes"),
        (good, ["--dataset", "mnist"], "input is [1, 4, 4], the data's images are [28, 28, 1] (H, W, C)"),
    ):
        assert main([str(path), "-o", str(tmp_path / "m.npz"), *options]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error, error
    assert main([str(good), "-o", str(tmp_path / "m.npz"), "--classes", "a,b,c,d"]) == 0
    assert load(tmp_path / "m.npz").layers[0].input_bits == 8


def test_thresholds_of_many_sums_are_found_by_halving(monkeypatch, tmp_path):
    made = Builder((3, 6, 6), 7)
    made.scale_pixels()
    made.add("Conv", made.tensor, made.constant(made.draw.normal(size=(16, 3, 3, 3))))
    made.norm(16, 3.0)
    made.sign()
    made.add("Flatten", axis=1)
    made.dense(256, 4)
    graph = written(made, tmp_path / "made.onnx")
    wanted = lower(graph, tuple("abcd")).model.layers[0]
    monkeypatch.setattr(emission, "ENUMERATED", 0)
    monkeypatch.setattr(emission, "GRID", 9)
    found = lower(graph, tuple("abcd")).model.layers[0]
    assert found.flip.any() and not found.flip.all() and len(np.unique(found.offset)) > 8
    for field in ("thresholds", "flip", "scale", "offset"):
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))


def test_offsets_make_rounded_sums_exact(tmp_path):
    """0.4 of a sum is a little less in 16 bits: without more in the offset a multiple of 5 is rounded down too far."""
    made = Builder((3, 10, 10), 3)
    made.scale_pixels()
    made.sign()
    made.conv(3, 6)
    made.quant(8, 2.5, rounding="FLOOR")
    made.add("GlobalAveragePool")
    made.add("Flatten", axis=1)
    made.quant(7, 2.5 / 16, signed=0, rounding="FLOOR")
    made.dense(6, 4)
    graph = written(made, tmp_path / "made.onnx")
    model, losses = lower(graph, tuple("abcd"))
    assert losses == () and model.layers[0].shift == 16
    images = drawn((10, 10, 3), 16)
    assert_scores(model, images, run(graph, images)[graph.output])


def test_real_ends_are_rounded_and_the_loss_is_told(tmp_path, capsys):
    made = Builder((3, 10, 10), 5)
    made.scale_pixels()
    made.add("Conv", made.tensor, made.constant(made.draw.normal(size=(8, 3, 3, 3))), name="first")
    made.norm(8, 3.0)
    made.sign()
    made.conv(8, 8, 3)
    made.norm(8, 8.0)
    made.add("Clip", made.tensor, made.constant(-1.0), made.constant(1.0))
    made.add("Flatten", axis=1)
    weights, bias = made.draw.normal(size=(4, 8 * 36)), made.draw.normal(size=4)
    made.add("Gemm", made.tensor, made.constant(weights), made.constant(bias), name="last", transB=1)
    path, images = tmp_path / "real.onnx", tmp_path / "images.npz"
    path.write_bytes(made.proto(4).SerializeToString())
    x = drawn((10, 10, 3), 200)
    graph = read_graph(path)
    reference = run(graph, x)[graph.output]
    np.savez(images, x=x, y=reference.argmax(1).astype(np.uint8))
    out = tmp_path / "model.npz"
    assert main([str(path), "--classes", "a,b,c,d", "--images", str(images), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "node first (Conv): weights are rounded to 8 bits" in told
    assert "node last (Gemm): weights are rounded to 8 bits" in told
    model = load(out)
    assert (model.layers[0].bases, model.layers[-1].bases, model.layers[-2].bits) == (8, 8, 8)
    alike = int((infer(model, x).argmax(1) == reference.argmax(1)).sum())
    assert f"of 200 images right: 200 in floating point, {alike} as integers, the same class: {alike}" in told
    assert alike >= 190
    np.testing.assert_array_equal(infer(model, x[:3]), trace(model, x[:3])[model.layers[-1].name])


def test_real_shortcuts_take_their_range_from_images(tmp_path):
    made = Builder((3, 10, 10), 6)
    made.scale_pixels()
    made.conv(3, 8, 3)
    made.norm(8, 3.0)
    first = made.tensor
    made.sign()
    made.conv(8, 8, 3, pads=[1] * 4)
    made.norm(8, 8.0)
    made.add("Add", made.tensor, first)
    made.norm(8, 2.0)
    made.add("Relu")
    made.add("GlobalAveragePool")
    made.add("Flatten", axis=1)
    made.add("Gemm", made.tensor, made.constant(made.draw.normal(size=(4, 8))), transB=1)
    graph = written(made, tmp_path / "real.onnx")
    images = drawn((10, 10, 3), 300)
    with pytest.raises(NeedsImages, match="--images or --dataset"):
        lower(graph, tuple("abcd"))
    model, losses = lower(graph, tuple("abcd"), images=images[:100])
    assert any("values are rounded to 7 bits" in loss for loss in losses)
    reference = run(graph, images)[graph.output]
    scores = infer(model, images) * 2.0 ** -model.layers[-1].shift
    assert np.corrcoef(scores.reshape(-1), reference.reshape(-1))[0, 1] > 0.98
    np.testing.assert_array_equal(infer(model, images[:3]), trace(model, images[:3])[model.layers[-1].name])


def archive_file(archive, name, folder):
    """A file of an archive of others' networks; skips where it is absent."""
    if not (DATA / archive).exists():
        pytest.skip(f"{DATA / archive} is absent: others' networks are needed")
    with tarfile.open(DATA / archive) as opened:
        member = opened.extractfile(name)
        assert member is not None
        path = folder / Path(name).name
        path.write_bytes(member.read())
    return path


TFC = {
    "qonnx_model_zoo/TFC_1W1A.onnx": (61, 9296),
    "qonnx_model_zoo/TFC_1W2A.onnx": (62, 9474),
    "finn_repo/build_dataflow_model.onnx": (61, 9296),
}


@pytest.mark.parametrize("name", TFC)
def test_networks_of_others(name, tmp_path, capsys):
    path = archive_file("qonnx-tfc.tar.xz", name, tmp_path)
    out = tmp_path / "model.npz"
    assert main([str(path), "--dataset", "mnist", "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith("import: exactly the network\n")
    model = load(out)
    sample_right, right = TFC[name]
    with np.load(ROOT / "models/mnist_sample.npz") as sample:
        assert count_right(model, sample["x"], sample["y"]) == sample_right
    if (DEFAULT_FOLDER / "mnist.npz").exists():
        found = load_data("mnist")
        assert count_right(model, np.ascontiguousarray(found.x_test.transpose(0, 2, 3, 1)), found.y_test) == right


def test_finns_own_expected_output(tmp_path):
    path = archive_file("qonnx-tfc.tar.xz", "finn_repo/build_dataflow_model.onnx", tmp_path)
    images = np.load(archive_file("qonnx-tfc.tar.xz", "finn_repo/build_dataflow_input.npy", tmp_path))
    wanted = np.load(archive_file("qonnx-tfc.tar.xz", "finn_repo/build_dataflow_expected_output.npy", tmp_path))
    model, losses = lower(read_graph(path), tuple("0123456789"))
    assert losses == () and (images == np.rint(images)).all()
    pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).astype(np.uint8)
    np.testing.assert_array_equal(infer(model, pixels).argmax(1), wanted.reshape(-1))


def test_a_network_that_cannot_be_expressed(tmp_path):
    path = archive_file("qonnx-tfc.tar.xz", "qonnx_tests/onnx_residual_block_clean.onnx", tmp_path)
    with pytest.raises(GraphError, match=r"node Conv_0 \(Conv\) of .*: kernel is \[8, 8\], expected 1x1, 3x3 or 5x5"):
        lower(read_graph(path), tuple("ab"))


def test_what_came_with_the_model_comes_back(tmp_path):
    model = load(ROOT / "models/sfc.npz")
    save_onnx(model, tmp_path / "model.onnx")
    assert main([str(tmp_path / "model.onnx"), "-o", str(tmp_path / "back.npz")]) == 0
    back = load(tmp_path / "back.npz")
    assert (back.name, back.classes, back.temperature) == (model.name, model.classes, model.temperature)
    assert back.layers[-1].shift == model.layers[-1].shift
    assert len(to_bytes(back)) > 0
