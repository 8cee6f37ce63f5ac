"""Models as ONNX graphs: onnxruntime and qonnx give the golden model's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from bnn.errors import ExpectedError
from bnn.golden import infer
from bnn.layers import INPUT, Layer, Model
from bnn.model import load, save
from bnn.random_models import random_graph
from bnn.rules import MAX_BASES
from train.export import main
from train.export_onnx import to_onnx

MODELS = Path(__file__).resolve().parent.parent / "models"
SHIPPED = sorted(path.stem.partition(".")[0] for path in MODELS.glob("*.card.json"))


def channels_first(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)


def plain_scores(proto, images):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"image": channels_first(images)})[0]


def qonnx_scores(proto, images):
    model = ModelWrapper(proto).transform(InferShapes())
    one = [execute_onnx(model, {"image": image[None]})["scores"] for image in channels_first(images)]
    return np.concatenate(one)


def drawn(model, count, seed=0):
    shape = (count, model.height, model.width, model.channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(name, tmp_path):
    model = load(MODELS / f"{name}.npz")
    with np.load(MODELS / f"{'cifar10' if model.channels == 3 else 'mnist'}_sample.npz") as sample:
        images = sample["x"]
    for option, run, count in ((["--plain"], plain_scores, 64), ([], qonnx_scores, 2)):
        path = tmp_path / "model.onnx"
        assert main([str(MODELS / f"{name}.npz"), "--onnx", str(path), *option]) == 0
        proto = onnx.load(path)
        assert {node.domain for node in proto.graph.node} == ({""} if option else {"", "qonnx.custom_op.general"})
        np.testing.assert_array_equal(run(proto, images[:count]), infer(model, images[:count]))


@pytest.mark.parametrize("seed", [*range(24), 83])  # the last has a mean that its scores depend on
def test_random_graphs(seed):
    model = random_graph(seed)
    images = drawn(model, 3, seed)
    wanted = infer(model, images)
    np.testing.assert_array_equal(plain_scores(to_onnx(model, "plain"), images), wanted)
    np.testing.assert_array_equal(qonnx_scores(to_onnx(model, "qonnx"), images[:2]), wanted[:2])


@pytest.mark.parametrize("dialect", ["plain", "qonnx"])
def test_sums_beyond_float32_are_exact(dialect):
    draw = np.random.default_rng(5)
    layer = Layer(
        "scores",
        "dense",
        (INPUT,),
        (draw.random((MAX_BASES, 2, 1024)) < 0.9).astype(np.uint8),
        coefficients=draw.integers(30000, 32768, (2, MAX_BASES, 1)).astype(np.int32),
        offset=np.zeros(2, np.int32),
    )
    table = np.where(np.arange(256) < 32, -1, 1).astype(np.int8)
    model = Model("wide", 32, 32, 1, table, (layer,), ("a", "b"))
    images = drawn(model, 4)
    wanted = infer(model, images)
    assert wanted.min() > 1 << 26 and (wanted.astype(np.float32).astype(np.int64) != wanted).any()
    run = plain_scores if dialect == "plain" else qonnx_scores
    np.testing.assert_array_equal(run(to_onnx(model, dialect), images), wanted)


def test_refused(tmp_path, capsys):
    with pytest.raises(ExpectedError, match="dialect 'finn' is unknown: choose one of qonnx, plain"):
        to_onnx(random_graph(1), "finn")
    path = tmp_path / "model.npz"
    save(random_graph(1), path)
    for arguments, message in (
        ([str(path)], "--onnx FILE is missing"),
        ([str(path), "-o", "x.npz", "--onnx", "x.onnx"], "-o is for a checkpoint"),
        (["checkpoint.pt", "--onnx", "x.onnx"], "-o is missing"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capsys.readouterr().err
