"""Modules of one's own: traced, exported, and compared with the module itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import train
from bnn.golden import infer, trace
from train import BinaryActivation, BinaryConv2d, BinaryLinear, Methods, Value, export_module
from train.graphs.graph import GraphError
from train.layers import ScoreNorm, make_norm
from train.tracing import mismatches

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("cat", "dog", "bird", "frog")


def pixels(size, count=64):
    return np.random.default_rng(0).integers(0, 256, (count, *size)).astype(np.uint8)


def trained(module, size, steps=8):
    """The module after a few steps, so that batch norms are not what they began as."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    images, labels = torch.rand(32, size[2], *size[:2]), torch.randint(0, 4, (32,))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(images), labels).backward()
        optimizer.step()
    return module.eval()


class Chain(nn.Module):
    """Every part of a chain, in every way that torch has for it."""

    def __init__(self, planes, methods, norm):
        super().__init__()
        self.conv1 = BinaryConv2d(3, 8, 0, -1, methods)
        self.conv2 = BinaryConv2d(8, 12, 1, -1, methods, planes=planes)
        self.norms = nn.ModuleList([make_norm(8, False, norm), make_norm(12, False, norm), make_norm(10, True, norm)])
        self.act = BinaryActivation(planes)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = BinaryLinear(12 * 16, 10, methods, planes=planes)
        self.fc2 = BinaryLinear(10, 4, methods, planes=planes)
        self.score = ScoreNorm(4, 10 * planes * methods.weight_bases, eps=1e-4, momentum=0.1)

    def scores(self, x):
        if self.training:
            return self.score(x)
        scale, offset, shift = self.score.fixed_point(self.score.inputs)
        return (x.double() * scale + offset) * 2.0**-shift

    def forward(self, x):
        x = self.act(self.norms[0](self.conv1(2.0 * x - 1)))
        x = self.act(self.pool(self.norms[1](self.conv2(x))))
        x = x.view(x.size(0), -1)
        return self.score(self.fc2(self.act(self.norms[2](self.fc1(x)))))


@pytest.mark.parametrize("norm", ["batch", "shift"])
@pytest.mark.parametrize(("planes", "bases"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_chain(planes, bases, norm):
    size = (10, 10, 3)
    module = trained(Chain(planes, Methods(weight_bases=bases), Methods(norm=norm)), size)
    model, losses = export_module(module, size, CLASSES)
    images = pixels(size)
    assert losses == () and [layer.planes for layer in model.layers] == [planes, planes, planes, 0]
    module.score.forward = lambda x: module.scores(x)  # in evaluation, as its block has it
    assert mismatches(module, model, images) == 0
    assert len(np.unique(infer(model, images).argmax(1))) > 1


@pytest.fixture(scope="module")
def page():
    """What the page's code defines."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own_module.md").read_text(), re.DOTALL)
    names = {}
    exec(compile(code, "own_module.md", "exec"), names)
    return names


def test_shortcuts_of_the_page(page):
    size = (16, 16, 3)
    torch.manual_seed(0)
    module = trained(page["Network"](), size)
    exported = export_module(module, size, CLASSES)
    model, images = exported.model, pixels(size, 200)
    assert [len(layer.inputs) for layer in model.layers].count(2) == 2
    wrong = mismatches(module, model, images)
    # a value's scale has 16 bits; where no sum is rounded otherwise there is nothing to tell, and nothing differs
    assert wrong == 0 if not exported.losses else wrong < 20, exported.losses
    np.testing.assert_array_equal(infer(model, images[:4]), trace(model, images[:4])[model.layers[-1].name])


class Real(nn.Module):
    """Real weights at both ends, and a shortcut that nothing rounds."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 8, 3), nn.Linear(8, 4)
        self.norm, self.sign = nn.BatchNorm2d(8), BinaryActivation()
        self.inner, self.after = BinaryConv2d(8, 8, 1, 1), nn.BatchNorm2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.norm(self.first(x))
        x = torch.relu(x + self.after(self.inner(self.sign(x))))
        return self.last(torch.flatten(self.pool(x), 1))


def test_real_parts_are_rounded_and_told():
    size = (9, 9, 1)
    module, images = trained(Real(), size), pixels(size, 200)
    with pytest.raises(GraphError, match="a value of real numbers"):
        export_module(module, size, CLASSES)
    model, losses = export_module(module, size, CLASSES, images=images)
    assert {loss.partition(":")[0] for loss in losses} >= {"node first (Conv)", "node last (Gemm)"}
    with torch.no_grad():
        wanted = module(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()
    scores = infer(model, images) * 2.0 ** -model.layers[-1].shift
    assert np.corrcoef(scores.reshape(-1), wanted.reshape(-1))[0, 1] > 0.98


class Forking(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Odd(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.conv, self.part = BinaryConv2d(3, 4, 0, 1), part

    def forward(self, x):
        return self.part(self.conv(x))


class Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x)[0]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Forking(), "Forking: cannot be traced, its forward depends on numbers"),
        (Odd(nn.GELU()), r"module part \(GELU\) of \[1, 4, 8, 8\]: expected one of BatchNorm, Conv2d"),
        (Odd(Sorted()), r"\(sort\) of \[1, 4, 8, 8\]: is not supported, expected one of .*max_pool2d"),
        (Odd(nn.MaxPool2d(3)), r"node part \(MaxPool\) of \[1, 4, 8, 8\]: kernel is \[3, 3\]"),
        (Odd(Value()), r"node part \(Mul\) of \[1, 4, 8, 8\] and \[\]: ends the graph and is no dense layer"),
    ],
)
def test_refused(module, message):
    with pytest.raises(GraphError, match=message):
        export_module(module, (10, 10, 3), CLASSES)


def test_names_of_the_package():
    for name in train.PARTS:
        assert getattr(train, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'BinaryConv3d', expected one of BinaryActivation"):
        _ = train.BinaryConv3d
    code = "import sys, train; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
