"""Folding by enumeration, and the exported model against PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sim import golden
from sim.model import load
from train.export import compare_scores, export, fold_norm
from train.layers import ScoreNorm
from train.module import BinaryNetwork
from train.networks import network

ROOT = Path(__file__).resolve().parent.parent


def randomise(model: BinaryNetwork, seed: int) -> None:
    """Trained-looking statistics, with gamma < 0, = 0 and > 0."""
    generator = torch.Generator().manual_seed(seed)
    for block in model.each():
        norm = block.norm
        fan_in = block.layer.weight[0].numel()
        spread = fan_in**0.5
        with torch.no_grad():
            norm.weight.copy_(torch.randn(norm.num_features, generator=generator))
            norm.weight[::7] = 0
            norm.bias.copy_(0.5 * torch.randn(norm.num_features, generator=generator))
            norm.running_mean.copy_(spread * torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(fan_in * (0.2 + torch.rand(norm.num_features, generator=generator)))
            if isinstance(norm, ScoreNorm):
                norm.weight[::7] = 1


@pytest.mark.parametrize("name", ["tiny", "sfc"])
@pytest.mark.parametrize("seed", [1, 2])
def test_exported_scores_equal_the_networks(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net = network(name)
    model = BinaryNetwork(net)
    randomise(model, seed)
    exported = export(model, tuple("0123456789"), {})
    flips = sum(int(layer.flip.sum()) for layer in exported.layers if layer.thresholds is not None)
    assert flips > 0
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (40, net.channels, net.height, net.width)).astype(np.uint8)
    mismatches, scores = compare_scores(model, exported, images)
    assert mismatches == 0
    assert len(np.unique(scores)) > 20
    trace = golden.trace(exported, np.ascontiguousarray(images[:4].transpose(0, 2, 3, 1)))
    x = model.lookup(torch.from_numpy(images[:4]))
    for layer, block in zip(exported.layers[:-1], model.each(), strict=False):
        if layer.kind == "dense" and x.dim() == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        x = block(x)
        bits = (x > 0).numpy().astype(np.uint8)
        bits = bits.transpose(0, 2, 3, 1) if bits.ndim == 4 else bits
        assert np.array_equal(trace[layer.name].reshape(bits.shape), bits), layer.name


def test_a_wrong_threshold_is_noticed() -> None:
    torch.manual_seed(3)
    model = BinaryNetwork(network("tiny"))
    randomise(model, 3)
    exported = export(model, tuple("0123456789"), {})
    exported.layers[1].thresholds[:] += 40
    images = np.random.default_rng(3).integers(0, 256, (20, 3, 32, 32)).astype(np.uint8)
    assert compare_scores(model, exported, images)[0] > 0


@pytest.mark.parametrize("gamma", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("beta", [0.25, -0.25, 0.0])
def test_fold_reads_the_sign_change(gamma: float, beta: float) -> None:
    norm = nn.BatchNorm1d(1).eval()
    with torch.no_grad():
        norm.weight.fill_(gamma)
        norm.bias.fill_(beta)
        norm.running_mean.fill_(3.0)
    sums = np.arange(-10, 11)
    index, flip = fold_norm(norm, sums, 1.0, "layer")
    got = (np.arange(len(sums)) >= index[0]) ^ flip[0]
    assert np.array_equal(got, norm(torch.from_numpy(sums).float()[:, None])[:, 0].detach().numpy() >= 0)


def test_shipped_model_classifies_the_shipped_images() -> None:
    model = load(ROOT / "models" / "cnv.npz")
    with np.load(ROOT / "models" / "cifar10_sample.npz") as sample:
        images, labels = sample["x"], sample["y"]
    assert model.meta["test_correct"] == 8020
    assert int((golden.infer(model, images).argmax(1) == labels).sum()) == 53
