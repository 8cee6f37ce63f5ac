"""Own data: folders and archives, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnn.model import load
from bnn.networks import network
from train import export, own
from train.__main__ import main
from train.data import DataError

torch.set_num_threads(1)

COLOURS = {"blue": (30, 40, 200), "green": (30, 200, 40), "red": (200, 30, 40)}


def write_folder(folder: Path, count: int = 20, mode: str = "RGB") -> Path:
    """Three classes, images of many sizes and formats."""
    rng = np.random.default_rng(1)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            height, width = rng.integers(8, 40, 2)
            pixels = np.clip(np.array(colour) + rng.integers(-30, 31, (height, width, 3)), 0, 255).astype(np.uint8)
            end = ("png", "jpg", "bmp")[index % 3]
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{index:03}.{end}")
    return folder


def test_folder_of_any_sizes_becomes_arrays_and_classes(tmp_path: Path) -> None:
    dataset, classes = own.read(write_folder(tmp_path / "data"), 12)
    assert classes == ("blue", "green", "red")
    assert dataset.x_train.shape == (54, 3, 12, 12) and dataset.x_test.shape == (6, 3, 12, 12)
    assert np.bincount(dataset.y_test).tolist() == [2, 2, 2]
    for label, colour in enumerate(COLOURS.values()):
        mean = dataset.x_train[dataset.y_train == label].mean(axis=(0, 2, 3))
        assert np.abs(mean - np.array(colour)).max() < 8


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    assert own.read(write_folder(tmp_path / "data", mode="L"), 8)[0].x_train.shape[1] == 1


def test_given_split_is_kept(tmp_path: Path) -> None:
    write_folder(tmp_path / "data" / "train")
    write_folder(tmp_path / "data" / "test", count=3)
    dataset, classes = own.read(tmp_path / "data", 8)
    assert (len(dataset.x_train), len(dataset.x_test), len(classes)) == (60, 9, 3)


def test_the_split_depends_on_the_data_only(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data")
    first, second = (own.prepare(folder, 8, tmp_path / part) for part in "ab")
    assert first.name == second.name and first.name.startswith("own:")
    assert np.array_equal(first.validation["x"], second.validation["x"])
    assert len(first.training["x"]) + len(first.validation["x"]) == 54
    kept, classes = own.load_kept(tmp_path / "a", first.name)
    assert np.array_equal(kept.x_test, first.dataset.x_test) and classes == first.classes
    with pytest.raises(DataError, match="is own:.*, the run was on own:0"):
        own.load_kept(tmp_path / "a", "own:0")


def test_folder_trains_exports_and_has_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "data")
    out = tmp_path / "out"
    command = ["tiny", "--data", str(folder), "--size", "16", "--epochs", "6", "-o", str(out)]
    assert main(command) == 0
    assert export.main([str(out / "checkpoint.pt"), "-o", str(out / "model.npz")]) == 0
    model = load(out / "model.npz")
    assert model.classes == ("blue", "green", "red") and model.height == 16
    assert model.meta["test_correct"] >= 5 and model.meta["test_images"] == 6
    with np.load(out / "model.images.npz") as sample:
        assert sample["x"].shape == (6, 16, 16, 3)
    (folder / "red" / "000.png").unlink()
    assert main(command) == 1
    assert "is of another run: dataset own:" in capsys.readouterr().err


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"data: 1 class folders \(only cat\), expected at least 2"):
        own.read(tmp_path / "data", 8)
    np.savez(tmp_path / "one.npz", x=np.zeros((30, 8, 8), np.uint8), y=np.zeros(30, int))
    with pytest.raises(DataError, match="one.npz: 1 class, expected at least 2"):
        own.read(tmp_path / "one.npz", 8)


def test_unreadable_and_truncated_images_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data")
    path = folder / "red" / "003.png"
    whole = path.read_bytes()
    for content in (b"not an image", whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"red/003\.png: image cannot be read \(.+\)"):
            own.read(folder, 8)


def test_other_files_and_missing_classes_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a" / "train")
    write_folder(tmp_path / "a" / "test", count=2)
    (folder / "red" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"red/notes\.txt: is not an image, expected \.png"):
        own.read(tmp_path / "a", 8)
    (folder / "red" / "notes.txt").unlink()
    (folder / "yellow").mkdir()
    with pytest.raises(DataError, match="train/yellow: 0 images, expected at least 10"):
        own.read(tmp_path / "a", 8)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="blue: 9 images, expected at least 10"):
        own.read(write_folder(tmp_path / "data", count=9), 8)
    y = np.array([0] * 30 + [1] * 4)
    np.savez(tmp_path / "few.npz", x=np.zeros((34, 8, 8), np.uint8), y=y, classes=np.array(["cat", "dog"]))
    with pytest.raises(DataError, match="few.npz: class dog has 4 images, expected at least 10"):
        own.read(tmp_path / "few.npz", 8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 8, 8), np.float32), "y": np.zeros(4, int)}, r"x is float32 \(4, 8, 8\), expected uint8"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.zeros(3, int)}, r"has 4 images, but y is int64 \(3,\)"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.zeros(4)}, "but y is float64"),
        ({"x": np.zeros((4, 8, 8), np.uint8)}, "array y is missing"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([-1, 0, 1, 1])}, "labels start at -1"),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": np.arange(4), "classes": np.array(["a"])},
            "labels go up to 3, but classes names 1",
        ),
        ({"x": np.zeros((40, 8, 8, 5), np.uint8), "y": np.arange(40) % 2}, "images have 5 channels, expected 1 to 4"),
    ],
)
def test_unsuitable_archives_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=message):
        own.read(tmp_path / "data.npz", 8)


def test_damaged_and_missing_sources_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04junk")
    for source in (tmp_path / "bad.npz", tmp_path / "none"):
        assert main(["tiny", "--data", str(source), "-o", str(tmp_path / "out")]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith(f"error: {source}: ")
    with pytest.raises(DataError, match="only images of a folder are scaled"):
        own.prepare(tmp_path / "bad.npz", 8, tmp_path, scale=True)


def test_images_too_small_for_the_network_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "small.npz", x=np.zeros((40, 12, 12, 3), np.uint8), y=np.arange(40) % 2)
    assert main(["cnv", "--data", str(tmp_path / "small.npz"), "-o", str(tmp_path / "out")]) == 1
    assert "images of 12x12 are too small for cnv: nothing is left after conv4" in capsys.readouterr().err
    own.check_size(network("cnv"))
