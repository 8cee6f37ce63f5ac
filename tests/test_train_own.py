"""Own data: folders and archives, and what is refused."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnn.model import load
from bnn.networks import network
from train import data, export, own
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
    again = own.load_kept(tmp_path / "a", first.name)
    kept, classes = again.dataset, again.classes
    assert np.array_equal(again.validation["x"], first.validation["x"])
    assert np.array_equal(kept.x_test, first.dataset.x_test) and classes == first.classes
    with pytest.raises(DataError, match="is own:.*, the run was on own:0"):
        own.load_kept(tmp_path / "a", "own:0")


def test_folder_trains_exports_and_has_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "data")
    out = tmp_path / "out"
    command = ["tiny", "--data", str(folder), "--size", "16", "--epochs", "6", "-o", str(out)]
    assert main(command) == 0
    train_on = f"bnn train tiny --data {folder} --size 16 --start {out / 'model.npz'} -o OTHER_FOLDER\n"
    assert capsys.readouterr().out.endswith(f"to train on from that model: {train_on}")
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
        with pytest.raises(DataError, match=r"data: 1 file cannot be used .*: red/003\.png: is no picture \(.+\)"):
            own.read(folder, 8)


def test_all_unusable_files_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_folder(tmp_path / "data"), tmp_path / "out"
    for index in range(4):
        (folder / "red" / f"{index:03}.{('png', 'jpg', 'bmp')[index % 3]}").write_bytes(b"x")
    (folder / "blue" / "notes.txt").write_text("x")
    (folder / "green" / "a\nb.png").write_bytes(b"x")
    Image.new("L", (9, 9)).save(folder / "loose.png")
    command = ["tiny", "--data", str(folder), "--size", "16", "--epochs", "1", "-o", str(out)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "data: 7 files cannot be used (--skip-unreadable leaves them out): " in said
    assert said.endswith(f"; ..., all in {out / own.REPORT}\n")
    lines = (out / own.REPORT).read_text().splitlines()
    assert len(lines) == 7 and "loose.png: is in no class folder" in lines
    assert any(line.startswith("blue/notes.txt: is not an image, expected .png") for line in lines)
    assert any(line.startswith("green/a\\nb.png: is no picture") for line in lines)
    assert main([*command, "--skip-unreadable"]) == 0
    assert "data: left out 7 files: " in capsys.readouterr().err
    dataset = own.load_kept(out, own.prepare(folder, 16, None, skip_unreadable=True).name).dataset
    assert len(dataset.x_train) + len(dataset.x_test) == 56


def test_folders_as_people_have_them(tmp_path: Path) -> None:
    """What file managers leave behind, sub-folders, and a class whose name is not UTF-8."""
    folder = write_folder(tmp_path / "data")
    plain, classes = own.read(folder, 8)
    (folder / "__MACOSX").mkdir()
    (folder / "red" / "Thumbs.db").write_bytes(b"x")
    (folder / "blue" / "desktop.ini").write_bytes(b"x")
    (folder / "blue" / "._003.png").write_bytes(b"x")
    (folder / "green" / ".DS_Store").write_bytes(b"x")
    (folder / "green" / "@eaDir").mkdir()
    (folder / "green" / "@eaDir" / "003.png").write_bytes(b"x")
    again, _ = own.read(folder, 8)
    assert own.digest(again, classes) == own.digest(plain, classes)
    deep = folder / "green" / "more" / "of it"
    deep.mkdir(parents=True)
    for path in sorted((folder / "green").glob("01*")):
        path.rename(deep / path.name)
    moved, _ = own.read(folder, 8)
    assert len(moved.x_train) == len(plain.x_train) and np.bincount(moved.y_test).tolist() == [2, 2, 2]
    os.rename(os.fsencode(folder / "red"), os.fsencode(folder) + b"/caf\xe9")
    assert own.read(folder, 8)[1] == ("blue", "caf\\xe9", "green")
    with pytest.raises(DataError, match=r"1 class folders \(only data\), expected at least 2; is .*/data meant\?"):
        own.read(tmp_path, 8)


@pytest.mark.parametrize(
    ("parts", "held"),
    [({"train": 20, "val": 3}, 9), ({"Train": 20, "valid": 3, "test": 2}, 9), ({"train": 20, "validation": 12}, 36)],
)
def test_given_validation_is_kept(tmp_path: Path, parts: dict[str, int], held: int) -> None:
    for name, count in parts.items():
        write_folder(tmp_path / "data" / name, count=count)
    found = own.prepare(tmp_path / "data", 8, tmp_path / "out")
    assert len(found.validation["x"]) == held
    tests = 6 if "test" in parts else 2 * 3
    assert len(found.dataset.x_test) == tests
    assert len(found.training["x"]) == 60 - (0 if "test" in parts else tests)
    kept = own.load_kept(tmp_path / "out", found.name).dataset
    assert np.array_equal(kept.x_train, found.dataset.x_train)


def test_missing_and_extra_classes_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a" / "train")
    write_folder(tmp_path / "a" / "test", count=2)
    (folder / "yellow").mkdir()
    with pytest.raises(DataError, match="test/yellow: folder is missing, expected one for each of blue, green, red"):
        own.read(tmp_path / "a", 8)
    (tmp_path / "a" / "test" / "yellow").mkdir()
    with pytest.raises(DataError, match="train/yellow: 0 images, expected at least 10"):
        own.read(tmp_path / "a", 8)
    (folder / "yellow").rmdir()
    with pytest.raises(DataError, match="test/yellow: is no class of .*a/train"):
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


@pytest.mark.parametrize(
    "names",
    [
        np.array([b"cat", b"d\xc3\xb6g", b"c\xe9w"]),
        np.array(["cat", "dög", "c\udce9w"]),
    ],
)
def test_class_names_as_bytes_or_text(tmp_path: Path, names: np.ndarray) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((60, 8, 8), np.uint8), y=np.arange(60) % 3, classes=names)
    assert own.read(tmp_path / "data.npz", 8)[1] == ("cat", "dög", "c\\xe9w")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 1, 2, 2**32 - 1] * 15, np.uint32), "label 4294967295 is no class, expected at most 65534"),
        (np.array([0, 1, 2, 2**64 - 1] * 15, np.uint64), "label 18446744073709551615 is no class"),
        (np.array([0, 1, 2, 65534] * 15), "class 3 has 0 images, expected at least 10"),
        (np.array([0, 1, 2, -1] * 15, np.int8), "labels start at -1"),
    ],
)
def test_labels_that_are_no_class_are_refused_at_once(tmp_path: Path, y: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((60, 8, 8), np.uint8), y=y)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        own.read(tmp_path / "data.npz", 8)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_an_archive_without_test_images_is_split(tmp_path: Path) -> None:
    arrays = {"x_train": np.zeros((60, 8, 8), np.uint8), "y_train": np.arange(60) % 3}
    np.savez(tmp_path / "plain.npz", x=arrays["x_train"], y=arrays["y_train"])
    np.savez(tmp_path / "train.npz", **arrays)
    np.savez(tmp_path / "empty.npz", **arrays, x_test=np.zeros((0, 8, 8), np.uint8), y_test=np.zeros(0, int))
    found = [own.prepare(tmp_path / f"{name}.npz", 8, None) for name in ("plain", "train", "empty")]
    assert len({item.name for item in found}) == 1 and len(found[0].dataset.x_test) == 6
    np.savez(tmp_path / "val.npz", **arrays, x_val=np.ones((9, 8, 8), np.uint8), y_val=np.arange(9)[:, None] % 3)
    assert (own.prepare(tmp_path / "val.npz", 8, None).validation["x"] == 1).sum() == 9 * 64


def test_more_than_256_classes(tmp_path: Path) -> None:
    y = np.repeat(np.arange(300), 12)
    x = np.zeros((len(y), 8, 8), np.uint8)
    x[:, 0, 0], x[:, 0, 1] = y % 256, y // 256
    np.savez(tmp_path / "data.npz", x=x, y=y)
    dataset, classes = own.read(tmp_path / "data.npz", 8)
    assert len(classes) == 300 and dataset.y_test.max() == 299
    assert (dataset.x_train[:, 0, 0, 0] + 256 * dataset.x_train[:, 0, 0, 1].astype(int) == dataset.y_train).all()
    command = ["tiny", "--data", str(tmp_path / "data.npz"), "--epochs", "1", "-o", str(tmp_path / "out")]
    assert main(command) == 0
    assert export.main([str(tmp_path / "out/checkpoint.pt"), "-o", str(tmp_path / "out/model.npz")]) == 0
    assert len(load(tmp_path / "out" / "model.npz").classes) == 300


def test_a_limit_takes_images_of_all_classes() -> None:
    y = np.repeat(np.arange(3), 100)
    part = {"x": np.arange(300)[:, None], "y": y}
    few = data.limited(part, 80, by_class=True)
    assert np.bincount(few["y"]).tolist() == [27, 27, 26] and (y[few["x"][:, 0]] == few["y"]).all()
    assert np.array_equal(data.limited(part, 400, by_class=True)["x"], part["x"])
    mixed = {"x": part["x"], "y": np.arange(300) % 3}
    assert data.limited(mixed, 80, by_class=False)["x"][:, 0].tolist() == list(range(80))
    late = {"x": part["x"], "y": np.append(np.zeros(290, int), np.arange(10) % 3)}
    assert set(data.limited(late, 5, by_class=False)["y"].tolist()) == {0, 1, 2}
    with pytest.raises(DataError, match="--limit 2: there are 3 classes, expected an image of each at least"):
        data.limited(part, 2, by_class=True)


def test_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_folder(tmp_path / "data", count=60), tmp_path / "out"
    assert main(["tiny", "--data", str(folder), "--size", "16", "--dry-run", "-o", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["180 images, 3 classes", "  blue   49 training, 5 validation, 6 test"]
    assert [path.name for path in out.iterdir()] == ["contact.png"]
    with Image.open(out / "contact.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (3 * 52 + 4, 200 + 12 * 52, 3)
    for row, colour in enumerate(COLOURS.values()):
        tile = pixels[4 + 52 * row : 52 + 52 * row, 200:248].reshape(-1, 3)
        assert np.abs(tile.mean(axis=0) - np.array(colour)).max() < 20


def test_data_of_a_run_that_has_begun_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for name in "ab":
        x = np.full((60, 16, 16, 3), ord(name), np.uint8)
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.arange(60) % 3)
    run = ["tiny", "--epochs", "1", "-o", str(out), "--data"]
    assert main([*run, str(tmp_path / "a.npz")]) == 0
    assert main([*run, str(tmp_path / "b.npz")]) == 1
    assert "is of another run: dataset own:" in capsys.readouterr().err
    assert export.main([str(out / "checkpoint.pt"), "-o", str(out / "model.npz")]) == 0


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
