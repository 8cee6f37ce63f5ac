"""Costs by hand, the report's page, and the cards of shipped models."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.browser import NARROW, SCHEMES, WIDE, Browser, browse, load_axe
from helpers.models import random_model

from bnn.confidence import probabilities
from bnn.model import SHIPPED, Layer, Model, load, save
from bnn.networks import network
from hls import designs, schedule
from hls.area import estimate_area
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
    model = load(SHIPPED / "cnv.npz")
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


LOG = "epoch,learning_rate,train_loss,train_accuracy,val_accuracy,seconds\n1,.1,2.0,.2,.25,3\n2,.1,1.0,.4,.5,3\n"


def plain(page: str) -> str:
    """What a page says, in one line."""
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(text).replace("\u00a0", " ").split())


def test_page_of_a_model(tmp_path: Path, small_test_set: data.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    made = replace(make_model(dataset="cifar10", command="make <it>", epochs_trained=2), temperature=1e5)
    save(replace(made, classes=("<b>a", *made.classes[1:])), tmp_path / "tiny.npz")
    (tmp_path / "tiny.log.csv").write_text(LOG)
    assert report.main([str(tmp_path / "tiny.npz"), "--design", "sim_small"]) == 0
    page = (tmp_path / "tiny.html").read_text()
    images = np.ascontiguousarray(small_test_set.x_test.transpose(0, 2, 3, 1))
    answers = report.answer(made, images, small_test_set.y_test)
    table = report.confusion(answers)
    assert table.sum() == 40 and table.sum(axis=1).tolist() == [4] * 10
    right = int(np.trace(table))
    assert f"{right}/40 right" in capsys.readouterr().out
    text = plain(page)
    assert f"right: {right} of 40 test images" in text and "for CIFAR-10: 10 classes" in text
    assert "&lt;b&gt;a" in page and "make &lt;it&gt;" in page and "<b>a" not in page
    assert "conv1 32 × 32 pixels, 3 channels 16 × 16 pixels, 16 channels 442,368 432" in text
    assert "training: 40 % at the end validation: 50 % at the end" in text and "2 epochs" in text
    assert "Horowitz" in text and "assumption" in text and "µJ" in text
    placed = schedule.plan(made, designs.find("sim_small"), report.BATCH)
    assert f"batch of {placed.batch} {placed.batch_cycles() / placed.batch:,.0f} images per second" in text
    area = estimate_area(placed.design)
    assert f"LUT {area.lut:,} of {placed.design.board.lut:,}" in text
    wrong = re.findall(r'alt="Test image (\d+)"', page)
    shares = probabilities(answers.scores, 1e5).max(axis=1)
    order = sorted(np.flatnonzero(answers.found != answers.labels), key=lambda index: -shares[index])
    assert [int(number) for number in wrong[: report.SAMPLES]] == order[: report.SAMPLES]
    assert not re.search(r"<script|https?://|@import|url\(", page), "nothing is fetched or run"


def test_page_without_log_temperature_or_program(
    tmp_path: Path, small_test_set: data.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all images are right, too."""
    model = make_model(dataset="cifar10")
    images = np.ascontiguousarray(small_test_set.x_test.transpose(0, 2, 3, 1))
    scores = np.eye(10, dtype=np.int32)[small_test_set.y_test]
    page = plain(
        report.page(model, report.Answers(images, small_test_set.y_test.astype(int), scores), None, "None <here>.")
    )
    assert "Wrong None of the test images." in page and "There is no log" in page and "On hardware None <here>." in page
    assert "can be trusted" not in page and "Most frequent mistakes" not in page and "nan" not in page.lower()
    save(model, tmp_path / "tiny.npz")
    assert report.main([str(tmp_path / "tiny.npz"), "--design", "none"]) == 1
    assert "error: The planner has no program for none: design 'none'" in capsys.readouterr().err
    with pytest.raises(report.ReportError, match=r"The planner has no program for pynq_z1: .*no_model\.npz"):
        report.planned(tmp_path / "no_model.npz", "pynq_z1")


@pytest.mark.parametrize(("classes", "folded"), [(20, False), (21, True)])
def test_many_classes_have_no_matrix(classes: int, folded: bool) -> None:
    model = random_model(2, classes=classes)
    images = np.zeros((classes, model.height, model.width, model.channels), np.uint8)
    answers = report.Answers(images, np.arange(classes), np.eye(classes, dtype=np.int32))
    page = report.page(model, answers, None, "None.")
    assert ("Confusion" not in page, "<details>" in page) == (folded, folded) and f"All {classes} classes" in page


def test_mistakes_and_trust_by_hand() -> None:
    table = np.array([[5, 2, 0], [3, 1, 0], [0, 0, 9]])
    assert [
        (row["label"], row["found"], row["images"], row["of"]) for row in report.mistakes(table, ("a", "b", "c"))
    ] == [
        ("b", "a", 3, 4),
        ("a", "b", 2, 7),
    ]
    shares = np.array([[0.95, 0.05], [0.9, 0.1], [0.45, 0.55], [1.0, 0.0]])
    answers = report.Answers(np.zeros((4, 1, 1, 1), np.uint8), np.array([0, 1, 1, 0]), (100 * shares).astype(np.int32))
    rows = report.trust(shares, answers)
    assert [(row["low"], row["images"], row["right"]) for row in rows] == [(50, 1, 1.0), (90, 3, pytest.approx(2 / 3))]
    assert rows[1]["mean"] == pytest.approx(0.95)


def test_curves_keep_to_the_chart() -> None:
    for values in ([0.5], [0.2, 0.2], [0.1, 0.9, 0.3], [1e-9, 123.4], [-5.0, 5.0]):
        (line,) = report.curves({"x": values})
        points = [tuple(map(float, point.split(","))) for point in line["points"].split()]
        assert len(points) == len(values) and all(50 <= x <= 590 and 10 <= y <= 230 for x, y in points)
        heights = [tick["y"] for tick in line["ticks"]]
        assert 2 <= len(heights) <= 8 and heights[0] == 230 and sorted(heights, reverse=True) == heights
        # by the ticks, a point has its value
        low, high = (float(line["ticks"][index]["text"]) for index in (0, -1))
        for (_, y), value in zip(points, values, strict=True):
            assert low + (high - low) * (230 - y) / (230 - heights[-1]) == pytest.approx(value, abs=(high - low) / 500)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["390", "1280"])
def test_looks(model_page: Browser, size: tuple[int, int], scheme: str) -> None:
    """Nothing is wider than the window, axe-core has no complaint, and text is aligned left."""
    axe = load_axe()
    with model_page.shown(size, scheme):
        model_page.screenshot(f"model-{size[0]}-{scheme}")
        assert model_page.overflow() == [] and model_page.accessibility(axe) == []
        aligned = "[...document.querySelectorAll('td, th, p, li')].map(item => getComputedStyle(item).textAlign)"
        assert set(model_page.run(aligned)) <= {"left", "start"}


@pytest.fixture(scope="module")
def model_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The page of the shipped CNV over the shipped images."""
    folder = tmp_path_factory.mktemp("page")
    model = load(ROOT / "models" / "cnv.npz")
    with np.load(ROOT / "models" / "cifar10_sample.npz") as sample:
        answers = report.answer(model, sample["x"], sample["y"])
    text = report.page(
        model,
        answers,
        report.read_log(ROOT / "models" / "cnv.log.csv"),
        report.planned(ROOT / "models" / "cnv.npz", "pynq_z1"),
    )
    (folder / "cnv.html").write_text(text)
    with browse(folder / "profile", f"file://{folder}/cnv.html") as browser:
        yield browser


@pytest.mark.parametrize(
    ("meta", "log", "message"),
    [
        ({}, "", "header.meta.dataset is 'None', expected one of cifar10"),
        ({"dataset": "own:1"}, "", "data.npz: cannot be read (No such file or directory): expected the run's own data"),
        ({"dataset": "cifar10"}, "epoch\n1\n", "log.csv: is not the log of a run"),
        ({"dataset": "cifar10"}, LOG.splitlines()[0], "log.csv: is not the log of a run (no epochs"),
        ({"dataset": "cifar10"}, LOG + "3,.1,nan,.1,.1,3\n", "values that are not finite"),
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
        "validation_images": 7,
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
    assert f"| `tiny` | cifar10 | 1,753,728 | 136,752 | 50.00 % of 7 | {right}/40" in capsys.readouterr().out
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
