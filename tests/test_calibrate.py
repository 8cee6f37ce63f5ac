"""Probabilities from scores: the temperature is found again, is kept in the file, and changes no program."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.host import DESIGN, make_model
from helpers.models import assert_equal, refused, rewrite

from bnn.confidence import calibration_error, probabilities
from bnn.model import ModelError, load, save, to_bytes
from hls import program, schedule
from train import accuracy, calibrate, data


def drawn(count: int, temperature: float, spread: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels that are drawn with the probabilities of a temperature."""
    rng = np.random.default_rng(3)
    scores = rng.integers(-spread, spread, (count, 5)).astype(np.int32)
    below = np.cumsum(probabilities(scores, temperature), axis=1)
    return scores, (rng.random((count, 1)) > below).sum(axis=1)


def test_probabilities_by_hand() -> None:
    found = probabilities(np.array([[0, 70, 0], [2**31 - 1, -(2**31), 0]], np.int32), 70.0)
    assert found[0].tolist() == pytest.approx([1 / (2 + np.e), np.e / (2 + np.e), 1 / (2 + np.e)])
    assert found[1].tolist() == [1, 0, 0]


def test_calibration_error_by_hand() -> None:
    found = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    # 0.9 is right once of twice, 0.6 always
    assert calibration_error(found, np.array([0, 1, 1, 1])) == pytest.approx((0.8 + 0.8) / 4)
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


@pytest.mark.parametrize("temperature", [30.0, 200.0, 1500.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    scores, labels = drawn(20000, temperature)
    found = calibrate.fit(scores, labels)
    assert found == pytest.approx(temperature, rel=0.06)
    assert calibrate.fit(7 * scores, labels) == pytest.approx(7 * found, rel=1e-9)
    error, doubled = (calibration_error(probabilities(scores, value), labels) for value in (found, 2 * found))
    assert error < 0.012 and error < doubled / 3


def test_images_without_an_error_promise_no_more_than_their_number() -> None:
    """N of N right: the mean probability of the label is the share that Platt's scaling aims at."""
    for count in (10, 1000):
        scores = np.tile(np.array([[100, 0, -50]], np.int32), (count, 1))
        best = probabilities(scores, calibrate.fit(scores, np.zeros(count, int)))[0, 0]
        assert (count - 1) / count < best < 1 - 1e-5


def test_a_network_no_better_than_chance_gives_equal_probabilities() -> None:
    scores, labels = drawn(500, 100.0)
    found = probabilities(scores, calibrate.fit(scores, scores.argmin(axis=1)))
    assert np.abs(found - 0.2).max() < 1e-3
    equal = probabilities(np.zeros((3, 4), np.int32), calibrate.fit(np.zeros((3, 4), np.int32), labels[:3] % 4))
    assert np.all(equal == 0.25)


def test_the_file_keeps_it(tmp_path: Path) -> None:
    plain, warm = make_model(), dataclasses.replace(make_model(), temperature=12.5)
    assert b"temperature" not in to_bytes(plain)
    save(warm, tmp_path / "m.npz")
    assert_equal(load(tmp_path / "m.npz"), warm)
    packed = [program.pack(schedule.plan(model, DESIGN, 8)) for model in (plain, warm)]
    assert packed[0] == packed[1]


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "12", True, [1.0], 10**400])
def test_what_is_no_temperature_is_refused(tmp_path: Path, value: object) -> None:
    rewrite(make_model(), tmp_path / "m.npz", lambda header: header.update(temperature=value))
    refused(tmp_path / "m.npz", "header.temperature: is ", "expected a positive finite number")
    with pytest.raises(ModelError, match=r"header\.temperature"):
        to_bytes(dataclasses.replace(make_model(), temperature=value))  # type: ignore[arg-type]


def test_command_fits_by_the_images_that_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    rng = np.random.default_rng(6)
    pixels = rng.integers(0, 256, (6000, 1, 9, 7)).astype(np.uint8)
    labels = rng.integers(0, 3, 6000)
    dataset = data.Dataset(pixels, labels, pixels[:10], labels[:10])
    monkeypatch.setattr(data, "load", lambda name, folder, cache: dataset)
    save(dataclasses.replace(model, meta={"dataset": "mnist"}), tmp_path / "m.npz")
    images, found = accuracy.validation_set(load(tmp_path / "m.npz"), tmp_path, None, None, tmp_path)
    assert np.array_equal(images[..., 0], pixels[1000:, 0]) and np.array_equal(found, labels[1000:])
    assert calibrate.main([str(tmp_path / "m.npz")]) == 0
    after = load(tmp_path / "m.npz")
    assert after.temperature == pytest.approx(calibrate.fit(calibrate.infer(model, images), found))
    assert f"temperature {after.temperature:.5g} by 5000 validation images" in capsys.readouterr().out
    meta = {"dataset": "mnist", "validation_images": 70}  # of a run that trained on most of the others
    save(dataclasses.replace(model, meta=meta), tmp_path / "m.npz")
    images, found = accuracy.validation_set(load(tmp_path / "m.npz"), tmp_path, None, None, tmp_path)
    assert np.array_equal(images[..., 0], pixels[5930:, 0]) and np.array_equal(found, labels[5930:])
    assert len(accuracy.validation_set(load(tmp_path / "m.npz"), tmp_path, "svhn", None, tmp_path)[1]) == 5000
    save(model, tmp_path / "m.npz")
    assert calibrate.main([str(tmp_path / "m.npz")]) == 1
    assert "header.meta.dataset is 'None'" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "models").glob("*.card.json")))
def test_shipped_models_are_calibrated(path: Path) -> None:
    assert load(path.with_name(path.name.replace(".card.json", ".npz"))).temperature
