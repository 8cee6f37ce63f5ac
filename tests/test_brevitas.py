"""Brevitas: the module of docs/brevitas.md, trained for a few steps, gives the same scores here."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnn.golden import infer
from bnn.model import load
from train.graphs.onnx_file import read_graph
from train.import_model import main

PAGE = Path(__file__).resolve().parent.parent / "docs/brevitas.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's code defines."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture(scope="module", params=["OneBit", "TwoBits"])
def network(request, page):
    """A module after ten steps of training."""
    torch.manual_seed(3)
    module = page["Network"](page[request.param])
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    images, labels = torch.rand(64, 3, 16, 16), torch.randint(0, 4, (64,))
    for _ in range(10):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        optimizer.step()
    return request.param, module.eval()


@pytest.mark.parametrize("dynamo", [False, True])
def test_scores_are_brevitas_own(network, dynamo, tmp_path, capsys):
    from brevitas.export import export_qonnx

    activation, module = network
    path, out = tmp_path / "network.onnx", tmp_path / "model.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(module, torch.rand(1, 3, 16, 16), export_path=str(path), dynamo=dynamo)
    assert "Quant" in {node.operator for node in read_graph(path).nodes}
    capsys.readouterr()
    assert main([str(path), "--classes", "cat,dog,bird,frog", "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith("import: exactly the network\n")
    model = load(out)
    images = np.random.default_rng(1).integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    with torch.no_grad():
        wanted = module(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    scores = infer(model, images) * 2.0 ** -model.layers[-1].shift
    np.testing.assert_array_equal(scores, getattr(wanted, "value", wanted).numpy())
    assert model.layers[1].planes == {"OneBit": 1, "TwoBits": 2}[activation] and len(np.unique(scores)) > 4
