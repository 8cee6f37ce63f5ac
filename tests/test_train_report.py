"""Costs by hand, the report's page, and the cards of shipped models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bnn.model import Layer, Model, load, save
from bnn.networks import network
from hls.wired.reuse import count_model
from train import cost, data, report, zoo
from train.export import export
from train.module import BinaryNetwork

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)


def make_model(**meta: object) -> Model:
    torch.manual_seed(1)
    return export(BinaryNetwork(network("tiny")), tuple("abcdefghij"), dict(meta))


def test_layers_are_counted_by_hand() -> None:
    first, second, third, fourth = cost.layers(make_model())
    assert (first.macs, first.weight_bits, first.input_bits) == (32 * 32 * 16 * 27, 16 * 27, 32 * 32 * 3 * 8)
    assert (second.macs, second.inputs, second.outputs) == (16 * 16 * 32 * 144, (16, 16, 16), (8, 8, 32))
    assert (third.macs, third.output_bits) == (64 * 2048, 64)
    assert (fourth.macs, fourth.output_bits, fourth.thresholds) == (640, 320, None)


def test_unique_kernels_by_hand() -> None:
    weights = np.zeros((2, 3, 3, 2), np.uint8)
    weights[1, 0, 0, 1] = 1
    layer = Layer("conv1", "conv", ("input",), weights)
    assert cost.unique_kernels(layer) == 3 / 4  # a kernel is repeated within an input channel only
    weights[0, :, :, 0] = 1
    assert cost.unique_kernels(layer) == 3 / 4  # all -1 and all +1 are one
    weights[0, 0, 0, 0] = 0
    assert cost.unique_kernels(layer) == 4 / 4


def test_unique_kernels_are_those_of_the_reuse_report() -> None:
    model = load(zoo.ZOO / "cnv.npz")
    counts = {count.layer: count.ratio for count in count_model(model)}
    assert len(counts) == 6
    assert {layer.name: layer.kernels for layer in cost.layers(model) if layer.kernels is not None} == counts


def test_memory_energy_follows_the_capacity() -> None:
    kib = 8 << 10
    assert [cost.read_pj(640, size) for size in (8 * kib, 8 * kib + 1, 32 * kib, 1024 * kib, 1024 * kib + 1)] == [
        100.0,
        200.0,
        200.0,
        1000.0,
        13000.0,
    ]


def test_costs_of_binary_and_float_by_hand() -> None:
    model = make_model()
    binary, real = cost.binary_cost(model), cost.float_cost(model)
    bits = 432 + 4608 + 131072 + 640
    assert binary.parameter_bits == bits + 32 * (16 + 32 + 64 + 10)
    assert real.parameter_bits == 32 * bits + 64 * (16 + 32 + 64 + 10)
    rest = 16 * 16 * 32 * 144 + 131072 + 640
    assert binary.compute_pj == pytest.approx(32 * 32 * 16 * 27 * 0.1 + rest * 0.03 / 8)
    assert real.compute_pj == pytest.approx((32 * 32 * 16 * 27 + rest) * 4.6)


@pytest.fixture
def small_test_set(monkeypatch: pytest.MonkeyPatch) -> data.Dataset:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (40, 3, 32, 32)).astype(np.uint8)
    labels = (np.arange(40) % 10).astype(np.uint8)
    dataset = data.Dataset(images, labels, images, labels)
    monkeypatch.setattr(data, "load", lambda name, folder, cache: dataset)
    return dataset


def test_report_of_a_model(tmp_path: Path, small_test_set: data.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model(dataset="cifar10", command="make <it>")
    save(model, tmp_path / "tiny.npz")
    log = "epoch,learning_rate,train_loss,train_accuracy,val_accuracy,seconds\n1,.1,2.0,.2,.25,3\n2,.1,1.0,.4,.5,3\n"
    (tmp_path / "tiny.log.csv").write_text(log)
    assert report.main([str(tmp_path / "tiny.npz")]) == 0
    text = (tmp_path / "tiny.html").read_text()
    images = np.ascontiguousarray(small_test_set.x_test.transpose(0, 2, 3, 1))
    table = report.confusion(model, images, small_test_set.y_test)
    assert table.sum() == 40 and table.sum(axis=1).tolist() == [4] * 10
    assert f"{np.trace(table)}/40 right" in text and "make &lt;it&gt;" in text
    assert "<td>conv1</td><td>32x32x3</td><td>16x16x16</td><td>442,368</td><td>432</td>" in text
    assert "Horowitz" in text and "assumption" in text
    assert (tmp_path / "tiny.png").read_bytes().startswith(b"\x89PNG")
    assert f"{np.trace(table)}/40 right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("meta", "log", "message"),
    [
        ({}, "", "header.meta.dataset is 'None', expected one of cifar10"),
        ({"dataset": "own:1"}, "", "data.npz: cannot be read (No such file or directory): expected the run's own data"),
        ({"dataset": "cifar10"}, "epoch\n1\n", "log.csv: is not the log of a run"),
    ],
)
def test_report_refuses_in_one_line(
    tmp_path: Path,
    small_test_set: data.Dataset,
    meta: dict[str, object],
    log: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(make_model(**meta), tmp_path / "tiny.npz")
    if log:
        (tmp_path / "log.csv").write_text(log)
    assert report.main([str(tmp_path / "tiny.npz")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "tiny.html").exists()


def test_zoo_adds_and_checks(tmp_path: Path, small_test_set: data.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.ascontiguousarray(small_test_set.x_test.transpose(0, 2, 3, 1))
    right = zoo.count_right(make_model(), images, small_test_set.y_test)
    meta = {
        "dataset": "cifar10",
        "command": "python -m train tiny",
        "epochs_trained": 2,
        "validation_accuracy": 0.5,
        "test_correct": right,
        "test_images": 40,
        "config": {"seed": 1, "recipe": {"batch": 64}},
    }
    save(make_model(**meta), tmp_path / "model.npz")
    (tmp_path / "log.csv").write_text("epoch\n1\n")
    folder = ["--zoo", str(tmp_path / "zoo")]
    assert zoo.main([*folder, "add", str(tmp_path / "model.npz"), "tiny"]) == 0
    assert zoo.main([*folder, "check"]) == 0
    assert f"zoo: tiny {right}/40 card {right} ok" in capsys.readouterr().out
    assert zoo.main([*folder, "table"]) == 0
    assert f"| `tiny` | cifar10 | 1,753,728 | 136,752 | 50.00 % | {right}/40" in capsys.readouterr().out
    assert (tmp_path / "zoo" / "tiny.log.csv").read_text() == "epoch\n1\n"
    path = tmp_path / "zoo" / "tiny.card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "test_correct": right + 1}))
    assert zoo.main([*folder, "check", "tiny"]) == 1
    assert f"zoo: tiny {right}/40 card {right + 1} DIFFERS" in capsys.readouterr().out
    path.write_text(json.dumps({**card, "sha256": "0" * 64}))
    assert zoo.main([*folder, "check"]) == 1
    assert "card 000000000000 DIFFERS" in capsys.readouterr().out
    path.write_text(json.dumps({**card, "seed": "one"}))
    assert zoo.main([*folder, "check"]) == 1
    assert 'seed is "one", expected int' in capsys.readouterr().err


def test_zoo_refuses_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.main(["--zoo", str(tmp_path), "check"]) == 1
    assert zoo.main(["--zoo", str(tmp_path), "check", "cnv"]) == 1
    save(make_model(), tmp_path / "model.npz")
    assert zoo.main(["--zoo", str(tmp_path), "add", str(tmp_path / "model.npz"), "x"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "holds no cards" in errors[0] and "cnv.card.json: does not exist" in errors[1]
    assert "header.meta.config is missing" in errors[2] and len(errors) == 3


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.card.json")), ids=lambda path: path.name)
def test_shipped_cards_fit_their_models(path: Path) -> None:
    card = zoo.read_card(path)
    model = load(path.with_name(f"{card['name']}.npz"))
    assert (model.meta["test_correct"], model.meta["dataset"]) == (card["test_correct"], card["dataset"])
