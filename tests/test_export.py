"""Folding by enumeration, and the exported model against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnn import golden
from bnn.model import Model, load
from bnn.networks import Network, network
from bnn.random_models import random_model, with_planes
from bnn.rules import shapes
from train.abc_net import AbcBlock, AbcLayer
from train.checkpoint import CHECKPOINT_FORMAT, load_network, save_checkpoint
from train.config import Config, to_dict
from train.errors import TrainError
from train.export import ExportError, compare_scores, export, fold, main
from train.layers import VALUE_STEP, BinaryLinear, Block, ScoreNorm, ValueBlock, make_norm, shrink
from train.methods import Methods, plane_steps
from train.module import BinaryNetwork
from train.recipes import RECIPES, recipe

ROOT = Path(__file__).resolve().parent.parent


def randomise(model: BinaryNetwork, seed: int) -> None:
    """Trained-looking statistics, with gamma < 0, = 0 and > 0."""
    generator = torch.Generator().manual_seed(seed)
    for block in model.each():
        norm = block.norm
        fan_in = block.layer.weight[0].numel()
        alpha = block.alpha()
        unit = 1.0 if alpha is None else alpha.mean().item()
        if isinstance(block.layer, AbcLayer):
            unit = block.layer.weight.abs().mean().item() * block.layer.planes
        spread = unit * fan_in**0.5
        with torch.no_grad():
            norm.weight.copy_(torch.randn(norm.num_features, generator=generator))
            norm.weight[::7] = 0
            norm.bias.copy_(0.5 * torch.randn(norm.num_features, generator=generator))
            norm.running_mean.copy_(spread * torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(spread**2 * (0.2 + torch.rand(norm.num_features, generator=generator)))
            if isinstance(norm, ScoreNorm):
                norm.weight[::7] = 1
            if block.shift is not None:
                block.shift.copy_(0.5 * torch.randn(norm.num_features, generator=generator))


def draw(net: Network, seed: int, count: int = 30) -> np.ndarray:
    """Images of noise, uint8 (N, C, H, W)."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, net.channels, net.height, net.width)).astype(np.uint8)


def measured(model: BinaryNetwork, images: np.ndarray) -> Model:
    """The integer model, with the images' statistics in the batch norms and every third gamma below 0."""
    for block in model.each():
        block.norm.momentum = 1.0
    model.train()(torch.from_numpy(images))
    with torch.no_grad():
        for block in model.each()[:-1]:
            block.norm.weight[::3] *= -1
    return export(model.eval(), tuple("0123456789"), {})


@pytest.mark.parametrize("name", ["tiny", "sfc", "lenet", "mnist_beat_wired"])
@pytest.mark.parametrize("seed", [1, 2])
def test_exported_scores_equal_the_networks(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net = network(name)
    model = BinaryNetwork(net)
    randomise(model, seed)
    exported = export(model, tuple("0123456789"), {})
    flips = sum(int(layer.flip.sum()) for layer in exported.layers if layer.thresholds is not None)
    assert flips > 0
    images = draw(net, seed, 40)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0
    assert len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:4].transpose(0, 2, 3, 1)))
    x = model.lookup(torch.from_numpy(images[:4]))
    for layer, block in zip(exported.layers[:-1], model.each(), strict=False):
        x, _ = model.before(block, x, None)
        x = block(x)
        bits = (x > 0).numpy().astype(np.uint8)
        bits = bits.transpose(0, 2, 3, 1) if bits.ndim == 4 else bits
        assert np.array_equal(trace[layer.name].reshape(bits.shape), bits), layer.name


@pytest.mark.parametrize(("planes", "bases"), [(2, 1), (2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("name", ["tiny", "sfc"])
def test_scores_and_bits_of_several_planes_and_bases_equal_the_networks(name: str, planes: int, bases: int) -> None:
    torch.manual_seed(4)
    net = network(name)
    model = BinaryNetwork(net, Methods(activation_planes=planes, weight_bases=bases, threshold_shift=True)).eval()
    randomise(model, 4)
    exported = export(model, tuple("0123456789"), {})
    images = draw(net, 4)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0 and len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:3].transpose(0, 2, 3, 1)))
    x = model.lookup(torch.from_numpy(images[:3]))
    for layer, block in zip(exported.layers[:-1], model.each(), strict=False):
        assert (layer.planes, layer.bases, bool(layer.flip.any())) == (planes, bases, True)
        x, _ = model.before(block, x, None)
        x = block(x).detach()
        values = x.permute(0, 2, 3, 1).numpy() if x.dim() == 4 else x.numpy()
        assert set(np.unique(values)) == set(range(-planes, planes + 1, 2))
        bits = trace[layer.name].reshape(len(values), planes, *values.shape[1:])
        assert np.array_equal((2 * bits.astype(np.float32) - 1).sum(1), values), layer.name
    if bases == 2:
        codes = {tuple(pair) for pair in exported.layers[1].weights.reshape(2, -1).T.tolist()}
        assert codes == {(0, 0), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    "methods",
    [
        Methods(),
        Methods(activation_planes=2, weight_bases=2, threshold_shift=True),
        Methods(alpha=True, threshold_shift=True, magnitude_aware=True),
    ],
)
def test_scores_bits_and_values_of_a_residual_network_equal_the_networks(methods: Methods) -> None:
    torch.manual_seed(8)
    model = BinaryNetwork(network("tiny_bireal"), methods).eval()
    randomise(model, 8)
    exported = export(model, tuple("0123456789"), {})
    images = draw(model.network, 8)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0 and len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:3].transpose(0, 2, 3, 1)))
    x, value = model.lookup(torch.from_numpy(images[:3])), None
    for block, name in zip(model.each(), ("conv1", "conv2", "conv3"), strict=False):
        assert isinstance(block, ValueBlock)
        channels = block.norm.num_features
        value = block.value(x, None if value is None else shrink(value, channels, block.layer.stride[0], False))
        x = block.bits(value).detach()
        got = trace[f"{name}.value"]
        assert np.array_equal(got, value.detach().permute(0, 2, 3, 1).numpy() * 16), name
        assert len(np.unique(got)) > 100
        if name != "conv3":
            bits = trace[name].reshape(3, methods.activation_planes, *got.shape[1:]).astype(np.float32)
            assert np.array_equal((2 * bits - 1).sum(1), x.permute(0, 2, 3, 1).numpy()), name


@pytest.mark.parametrize("planes", [1, 2])
def test_the_stem_of_a_residual_network_gives_planes_until_its_last_gives_a_value(planes: int) -> None:
    torch.manual_seed(8)
    convs = ((16, False), (16, True), (16, False), (32, False))
    net = replace(network("bireal_cnv"), height=16, width=16, convs=convs)
    model = BinaryNetwork(net, Methods(activation_planes=planes)).eval()
    randomise(model, 8)
    assert [isinstance(block, ValueBlock) for block in model.each()] == [False, True, True, True, False]
    exported = export(model, tuple("0123456789"), {})
    assert [len(layer.inputs) for layer in exported.layers] == [1, 1, 2, 2, 1, 1]
    assert [layer.requantised for layer in exported.layers] == [False, True, True, True, True, True]
    mismatches, scores = compare_scores(model, exported, draw(net, 8))
    assert mismatches == 0 and len(np.unique(scores)) > 20
    drawn = random_model(net)
    assert [layer.requantised for layer in drawn.layers[:4]] == [False, True, True, True]
    more = with_planes(drawn, planes, 2)
    assert [layer.bases for layer in more.layers] == [1, 2, 2, 2, 1, 2]
    assert [len(layer.limits) for layer in more.layers] == [planes, planes, planes, 0, 0, 0]


@pytest.mark.parametrize(("planes", "bases"), [(3, 3), (2, 1), (1, 2)])
@pytest.mark.parametrize("name", ["tiny", "sfc"])
def test_scores_and_planes_of_abc_net_equal_the_networks(name: str, planes: int, bases: int) -> None:
    torch.manual_seed(9)
    net = network(name)
    chosen = replace(recipe("abc", net.dataset).methods, activation_planes=planes, weight_bases=bases)
    model = BinaryNetwork(net, chosen)
    images = draw(net, 9)
    for block in model.each():
        if isinstance(block.layer, AbcLayer):
            torch.nn.init.uniform_(block.layer.beta, 0.3, 1.5)
        if block.v is not None:
            torch.nn.init.uniform_(block.v, -0.2, 1.2)
    exported = measured(model, images)
    assert [(layer.bases, layer.coefficients is None) for layer in exported.layers[1:]] == [(bases, False)] * (
        len(exported.layers) - 1
    )
    assert not exported.layers[0].requantised and exported.layers[0].bases == 1
    shapes(exported)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0 and len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:3].transpose(0, 2, 3, 1)))
    x = model.lookup(torch.from_numpy(images[:3]))
    for layer, block in zip(exported.layers[:-1], model.each(), strict=False):
        x, _ = model.before(block, x, None)
        if isinstance(block, AbcBlock):  # integers are what is trained
            trained = block.norm(block.layer(x))
            assert torch.allclose(block.exact(x) * VALUE_STEP, trained.double(), atol=VALUE_STEP)
        x = block(x).detach()
        found = (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).numpy() > 0
        found = found.reshape(planes, 3, *found.shape[1:]).swapaxes(0, 1)
        assert np.array_equal(trace[layer.name].reshape(found.shape), found), layer.name


@pytest.mark.parametrize(
    ("weights", "activations", "kinds"),
    [
        ((2,), (4,), ["BitsBlock"] * 3),
        ((), (8,), ["BitsBlock"] * 3),
        ((4, 1, 8), (8, 1, 2), ["ValueBlock", "Block", "BitsBlock"]),  # the first sum is beyond thresholds
        ((3, 8, 8, 2), (1, 6, 1, 2), ["BitsBlock", "ValueBlock", "BitsBlock"]),
    ],
)
@pytest.mark.parametrize("name", ["tiny", "sfc"])
def test_scores_and_bits_of_mixed_layers_equal_the_networks(
    name: str, weights: tuple[int, ...], activations: tuple[int, ...], kinds: list[str]
) -> None:
    torch.manual_seed(11)
    net = network(name)
    model = BinaryNetwork(net, Methods(weight_bits=weights, activation_bits=activations))
    if name == "tiny":
        assert [type(block).__name__ for block in model.each()[:-1]] == kinds
    images = draw(net, 11)
    exported = measured(model, images)
    shapes(exported)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0 and len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:3].transpose(0, 2, 3, 1)))
    x = model.lookup(torch.from_numpy(images[:3]))
    for layer, block in zip(exported.layers[:-1], model.each(), strict=False):
        x, _ = model.before(block, x, None)
        if isinstance(block, ValueBlock):  # integers are what is trained
            trained = block.norm(block.layer(x)).detach() * block.units
            assert torch.allclose(block.exact(x) - 0.5, trained.double(), atol=0.5 + 0.04 * float(trained.abs().max()))
        x = block(x).detach()
        found = (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).numpy()
        factors = 1 << np.arange(layer.planes)[::-1]
        bits = trace[layer.name].reshape(3, layer.planes, *found.shape[1:]).astype(int)
        assert np.array_equal(np.tensordot(factors, 2 * bits.swapaxes(0, 1) - 1, 1), found), layer.name
        assert len(np.unique(found)) > layer.planes


def test_abc_net_refuses_what_it_cannot_be() -> None:
    with pytest.raises(TrainError, match="abc is yes, expected no of tiny_bireal, which has shortcuts"):
        BinaryNetwork(network("tiny_bireal"), Methods(abc=True))
    with pytest.raises(TrainError, match="abc and alpha are yes, expected one of them"):
        BinaryNetwork(network("tiny"), Methods(abc=True, alpha=True))


def test_residual_networks_refuse_what_they_cannot_be() -> None:
    with pytest.raises(TrainError, match="norm is shift, expected batch of a layer that gives a value"):
        BinaryNetwork(network("tiny_bireal"), Methods(norm="shift"))
    with pytest.raises(TrainError, match="conv3: input is 15x16, expected even of an averaged shortcut"):
        BinaryNetwork(replace(network("tiny_bireal"), height=30))


def test_padding_between_two_planes_is_their_middle() -> None:
    """One plane at +1 and one at -1, as the integer network pads."""
    torch.manual_seed(7)
    model = BinaryNetwork(replace(network("tiny"), pad_value=0), Methods(activation_planes=2))
    randomise(model, 7)
    images = draw(model.network, 7, 20)
    exported = export(model, tuple("0123456789"), {})
    assert exported.layers[1].pad_value == 0 and compare_scores(model, exported, images)[0] == 0


def test_a_wrong_threshold_is_noticed() -> None:
    torch.manual_seed(3)
    model = BinaryNetwork(network("tiny"))
    randomise(model, 3)
    exported = export(model, tuple("0123456789"), {})
    exported.layers[1].thresholds[:] += 40
    images = draw(model.network, 3, 20)
    assert compare_scores(model, exported, images)[0] > 0


@pytest.mark.parametrize("gamma", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("beta", [0.25, -0.25, 0.0])
@pytest.mark.parametrize(
    "methods",
    [
        Methods(),
        Methods(alpha=True, threshold_shift=True),
        Methods(norm="shift"),
        Methods(activation_planes=2),
        Methods(activation_planes=3),
    ],
)
def test_fold_reads_the_sign_change(gamma: float, beta: float, methods: Methods) -> None:
    norm = make_norm(1, True, methods)
    block = Block(BinaryLinear(10, 1, methods), norm, pool=False, last=False).eval()
    with torch.no_grad():
        norm.weight.fill_(gamma)
        norm.bias.fill_(beta)
        norm.running_mean.fill_(3.0)
        if block.shift is not None:
            block.shift.fill_(0.125)
    sums = np.arange(-10, 11)
    index, flip = fold(block, sums, 1.0, "layer")
    got = (np.arange(len(sums)) >= index) ^ flip
    values = torch.from_numpy(sums).float()[:, None]
    if methods.alpha:
        values = values * block.layer.weight.abs().mean() + 0.0
    expected = norm(values)[:, 0].detach().numpy() - (0.125 if methods.threshold_shift else 0.0)
    steps = np.array(plane_steps(methods.activation_planes), np.float32)
    assert np.array_equal(got, expected >= steps[:, None])


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("net", ["tiny", "sfc"])
def test_networks_of_every_recipe_fold_exactly(name: str, net: str) -> None:
    torch.manual_seed(5)
    methods = recipe(name, network(net).dataset).methods
    model = BinaryNetwork(network(net), replace(methods, threshold_shift=not methods.abc, standardise=name == "xnor"))
    randomise(model, 5)
    images = draw(model.network, 5)
    mismatches, scores = compare_scores(model, export(model, tuple("0123456789"), {}), images)
    assert mismatches == 0 and len(np.unique(scores)) > 20


def test_float_reference_is_not_exported() -> None:
    with pytest.raises(ExportError, match="tiny: a float32 reference has no integer model"):
        export(BinaryNetwork(network("tiny"), Methods(real=True)), tuple("0123456789"), {})


def checkpoint(model: BinaryNetwork, config: Config) -> dict[str, Any]:
    return {
        "format": CHECKPOINT_FORMAT,
        "config": to_dict(config),
        "epoch": 1,
        "model": {},
        "optimizer": {},
        "average": {},
        "history": [],
        "deploy": model.state_dict(),
    }


TENSORS = {
    "weight": "layer.weight",
    "gamma": "norm.weight",
    "beta": "norm.bias",
    "mean": "norm.running_mean",
    "variance": "norm.running_var",
    "shift": "shift",
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0])
@pytest.mark.parametrize("tensor", TENSORS)
@pytest.mark.parametrize("number", [0, 1, 3])
def test_parameters_that_cannot_be_are_refused(tmp_path: Path, number: int, tensor: str, value: float) -> None:
    """In any layer, by layer, tensor and channel; at export and when a checkpoint is read."""
    torch.manual_seed(6)
    methods = Methods(threshold_shift=True)
    model = BinaryNetwork(network("tiny"), methods)
    randomise(model, 6)
    layer = ("conv1", "conv2", "fc1", "fc2")[number]
    block = model.each()[number]
    found = (
        block.layer.weight
        if tensor == "weight"
        else getattr(block, "shift", None)
        if tensor == "shift"
        else (dict(block.norm.named_parameters()) | dict(block.norm.named_buffers()))[TENSORS[tensor].partition(".")[2]]
    )
    if found is None or (value == -1.0 and tensor != "variance"):
        return
    with torch.no_grad():
        found[5] = value
    message = rf"{layer}\.{tensor}: channel 5 holds {value:g}.*, expected a finite number"
    with pytest.raises(ExportError, match=message):
        export(model, tuple("0123456789"), {})
    config = Config("tiny", replace(recipe("modern", "cifar10"), methods=methods))
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, checkpoint(model, config))
    with pytest.raises(TrainError, match=message):
        load_network(path)


def test_finite_parameters_that_overflow_are_refused() -> None:
    model = BinaryNetwork(network("tiny"))
    randomise(model, 6)
    with torch.no_grad():
        model.each()[1].norm.weight[2] = 3e38
        model.each()[1].norm.running_var[2] = 1e-30
    with pytest.raises(ExportError, match="conv2: batch norm of channel 2 is not finite over its 145 sums"):
        export(model, tuple("0123456789"), {})


def foreign(saved: dict[str, Any], name: str) -> tuple[Any, str]:
    """A checkpoint as others make them, and what is said of it."""
    first = next(iter(saved["deploy"]))
    shape = tuple(saved["deploy"][first].shape)
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "module": ({"deploy": {f"module.{key}": value for key, value in saved["deploy"].items()}}, "module. ..."),
        "missing": (
            {"deploy": {key: value for key, value in saved["deploy"].items() if key != first}},
            f"tensor {first} is missing, expected {shape}",
        ),
        "cut": ({"deploy": {**saved["deploy"], first: saved["deploy"][first][:3]}}, "expected (16, 3, 3, 3)"),
        "extra": ({"deploy": {**saved["deploy"], "head.bias": torch.zeros(3)}}, "tensor head.bias is unknown to tiny"),
        "list": ({"deploy": {**saved["deploy"], first: [1, 2]}}, f"tensor {first} is list"),
        "meta": (
            {"deploy": {**saved["deploy"], first: saved["deploy"][first].to("meta")}},
            f"tensor {first} has no numbers, expected 432",
        ),
        "repeated": (
            {"deploy": {**saved["deploy"], first: torch.zeros(1).expand(16, 3, 3, 3)}},
            f"tensor {first} repeats its numbers, expected all 432",
        ),
        "double": (
            {"deploy": {**saved["deploy"], first: saved["deploy"][first].double()}},
            f"tensor {first} is torch.float64, expected torch.float32",
        ),
        "deploy_7": ({"deploy": 7}, "deploy is int, expected the tensors of a network"),
        "config_text": ({"config": "cnv"}, "config is str, expected dict"),
        "history": ({"history": None}, "history is missing, expected list"),
        "huge": ({"config": {**saved["config"], "shape": [10**6, 10**6, 3]}}, "images of 1000000x1000000x3 give fc1"),
        "small": ({"config": {**saved["config"], "shape": [2, 2, 3]}}, "images of 2x2x3 give"),
        "negative": ({"config": {**saved["config"], "shape": [32, -1, 3]}}, "is not of this version"),
        "text": ({"config": {**saved["config"], "shape": "abc"}}, "is not of this version"),
        "validation": (
            {"config": {**saved["config"], "validation": "x"}},
            "validation is 'x', expected a number from 1",
        ),
        "seed": ({"config": {**saved["config"], "seed": -1}}, "seed is -1, expected a number from 0"),
        "network": ({"config": {**saved["config"], "network": "resnet"}}, "network 'resnet' is unknown"),
    }
    change, message = changes[name]
    return {**saved, **change}, message


@pytest.mark.parametrize(
    "name",
    [
        "module",
        "missing",
        "cut",
        "extra",
        "list",
        "meta",
        "repeated",
        "double",
        "deploy_7",
        "config_text",
        "history",
        "huge",
        "small",
        "negative",
        "text",
        "validation",
        "seed",
        "network",
    ],
)
def test_foreign_checkpoints_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    model = BinaryNetwork(network("tiny"))
    config = Config("tiny", recipe("modern", "cifar10"), dataset="own:1")
    content, message = foreign(checkpoint(model, config), name)
    torch.save(content, tmp_path / "checkpoint.pt")
    assert main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "m.npz")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said and not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02c__builtin__\neval\n."])
def test_files_that_are_no_checkpoints_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    assert main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "m.npz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    torch.save(object, tmp_path / "checkpoint.pt")
    assert main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "m.npz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_shipped_model_classifies_the_shipped_images() -> None:
    model = load(ROOT / "models" / "cnv.npz")
    with np.load(ROOT / "models" / "cifar10_sample.npz") as sample:
        images, labels = sample["x"], sample["y"]
    assert model.meta["test_correct"] == 8548
    assert int((golden.infer(model, images).argmax(1) == labels).sum()) == 52
