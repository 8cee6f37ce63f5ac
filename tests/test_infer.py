"""The command host/pynq_infer.py: what it reads, what it prints, what it refuses."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.host import CLASSES, FakeCore, images, make_model
from PIL import Image

from bnn import golden
from bnn.geometry import Spec
from bnn.model import save
from bnn.random_models import edge_model
from hls import designs, program, schedule
from host import HostError, accelerator, pynq_infer, report
from host import images as sources

ROOT = Path(__file__).resolve().parent.parent
SHAPE = (9, 7, 1)


@pytest.fixture
def core() -> FakeCore:
    return FakeCore(make_model())


@pytest.fixture
def files(tmp_path: Path, core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with model.npz, program.bin and x.npz of 23 images; the backend is the fake core."""
    monkeypatch.setattr(accelerator, "PynqBackend", lambda bitfile, board: core)
    monkeypatch.delenv("PYNQ_REMOTE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    save(make_model(), tmp_path / "model.npz")
    (tmp_path / "program.bin").write_bytes(program.pack(schedule.plan(make_model(), designs.find("sim_small"), 8)))
    np.savez(tmp_path / "x.npz", x=images(23), y=golden.infer(make_model(), images(23)).argmax(axis=1))
    return tmp_path


DEVICE = ["--bit", "bnn.bit", "--program", "program.bin"]
CPU = ["--cpu", "--model", "model.npz"]


def picture(path: Path, size: tuple[int, int], mode: str = "RGB") -> np.ndarray:
    rng = np.random.default_rng(3)
    shape = (size[1], size[0]) + ((len(mode),) if len(mode) > 1 else ())
    content = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(content, mode).save(path)
    return content


# Reading


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm"])
def test_pictures_of_the_right_size_are_kept(tmp_path: Path, ending: str) -> None:
    content = picture(tmp_path / f"a.{ending}", (8, 5))
    found = sources.read([str(tmp_path)], (5, 8, 3))
    assert np.array_equal(found.images, content[None]) and found.names == [f"a.{ending}"]
    assert found.labels is None and not found.remarks


@pytest.mark.parametrize(
    ("name", "size", "mode"),
    [
        ("a.jpg", (101, 67), "RGB"),
        ("a.png", (1, 1), "RGBA"),
        ("a.png", (3, 400), "L"),
        ("a.webp", (64, 9), "RGB"),
        ("a.gif", (20, 20), "L"),
    ],
)
@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 7, 1)])
def test_pictures_of_any_size_are_resized_and_said_so(
    tmp_path: Path, name: str, size: tuple[int, int], mode: str, shape: tuple[int, int, int]
) -> None:
    picture(tmp_path / name, size, mode)
    found = sources.read([str(tmp_path / name)], shape)
    assert found.images.shape == (1, *shape) and found.images.dtype == np.uint8
    assert found.remarks == [f"resized 1 pictures ({size[0]}x{size[1]}) to {shape[1]}x{shape[0]}"]
    assert len(np.unique(found.images)) > 10 or size == (1, 1)


def test_the_middle_of_a_picture_is_taken(tmp_path: Path) -> None:
    content = np.zeros((10, 30, 3), np.uint8)
    content[:, 10:20] = 200
    Image.fromarray(content).save(tmp_path / "wide.png")
    assert (sources.read_picture(tmp_path / "wide.png", (10, 10, 3))[0] == 200).all()


def many_pictures(folder: Path, count: int = 120, seed: int = 5) -> Path:
    """Pictures of 16 random colours each."""
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.parametrize(("more", "least"), [([], 200), (["--validate"], 60)])
def test_many_pictures_are_read_when_they_are_due(
    more: list[str], least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, a few at a time, with the scores, names and remarks that they have in memory.

    In memory they are there twice, beside what `more` takes: at least so many images more.
    """
    size, part = 128, 8
    folder = many_pictures(tmp_path / "many")
    (folder / "050x.png").write_bytes(b"no picture")
    model = edge_model(3, (size, size, 3), [Spec("a", "conv", 3, 1, 0, True), Spec("b", "dense", 4)])
    save(model, tmp_path / "model.npz")
    line = ["--cpu", "--model", str(tmp_path / "model.npz"), "--images", str(folder), "--skip-unreadable"]
    line += ["--json", *more]

    def run() -> tuple[dict[str, Any], int]:
        out = io.StringIO()
        tracemalloc.start()
        with contextlib.redirect_stdout(out):
            assert pynq_infer.main(line) == 0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return json.loads(out.getvalue()), peak

    monkeypatch.setattr(pynq_infer, "CPU_BYTES", part * size * size * 3)
    whole, kept = run()
    monkeypatch.setattr(sources, "KEPT_BYTES", part * size * size * 3)
    streamed, taken = run()
    for key in ("scores", "predictions", "remarks"):
        assert streamed[key] == whole[key], key
    assert len({tuple(row) for row in whole["scores"]}) > 20 and len(whole["scores"]) == 120
    assert "left out 1 of 121 pictures" in whole["remarks"][0]
    assert kept - taken > least * size * size * 3, (kept, taken)


def test_large_folders_are_joined_and_chosen_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(many_pictures(tmp_path / name, 5, seed)) for seed, name in enumerate("ab")]
    whole = sources.read(folders, (6, 5, 3))
    monkeypatch.setattr(sources, "KEPT_BYTES", 0)
    found = sources.read(folders, (6, 5, 3))
    assert isinstance(found.images, sources.Pictures) and found.images.shape == (10, 6, 5, 3)
    assert found.names == whole.names and found.remarks == whole.remarks
    for chosen in (slice(3, 7), np.array([9, 0, 4]), slice(0)):
        np.testing.assert_array_equal(np.asarray(found.images[chosen]), whole.images[chosen])
    (tmp_path / "b" / "002.png").unlink()
    with pytest.raises(HostError, match=r"b/002.png: .*No such file"):
        np.asarray(found.images)


@pytest.mark.parametrize("engine", [DEVICE, CPU])
def test_every_engine_takes_pictures_that_are_due_later(
    files: Path, engine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With labels, and some of them."""
    (files / "in").mkdir()
    for seed, name in enumerate(CLASSES):
        many_pictures(files / "in" / name, 5, seed)
    line = [*engine, "--model", "model.npz", "--images", "in", "--limit", "7", "--batch", "3", "--validate", "--json"]
    found = []
    for kept in (sources.KEPT_BYTES, 0):
        monkeypatch.setattr(sources, "KEPT_BYTES", kept)
        assert pynq_infer.main(line) == 0
        found.append(json.loads(capsys.readouterr().out))
    for key in ("scores", "correct", "remarks"):
        assert found[0][key] == found[1][key], key
    assert len({tuple(row) for row in found[0]["scores"]}) == 7


def test_sources_are_joined(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=images(3), y=np.array([2, 0, 1]))
    np.savez(tmp_path / "b.npz", x=images(2, 1), y=np.array([1, 1]))
    np.save(tmp_path / "c.npy", images(1, 2))
    both = sources.read([str(tmp_path / "a.npz"), str(tmp_path / "b.npz")], None)
    assert both.labels is not None and both.labels.tolist() == [2, 0, 1, 1, 1] and len(both.names) == 5
    every = sources.read([str(tmp_path / name) for name in ("a.npz", "b.npz", "c.npy")], None)
    assert every.labels is None
    assert np.array_equal(every.images, np.concatenate([images(3), images(2, 1), images(1, 2)]))


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BUILD", tmp_path / "build")
    monkeypatch.delenv("BNN_DATA", raising=False)
    with pytest.raises(HostError, match="the test set is not in .*; fetch it with bnn data cifar10"):
        sources.read(["cifar10"], None)
    (tmp_path / "build" / "data").mkdir(parents=True)
    pictures = np.random.default_rng(4).integers(0, 256, (4, 3, 32, 32), np.uint8)  # as bnn data keeps them
    arrays = {"x_train": pictures, "y_train": np.zeros(4, int), "x_test": pictures[:2], "y_test": np.array([3, 8])}
    np.savez(tmp_path / "build" / "data" / "cifar10.npz", **arrays)
    found = sources.read(["cifar10"], None)
    assert found.labels is not None and found.labels.tolist() == [3, 8]
    assert np.array_equal(found.images, pictures[:2].transpose(0, 2, 3, 1))


def test_cifar10_in_its_binary_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    pictures = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    rows = [bytes([7 + index]) + image.transpose(2, 0, 1).tobytes() for index, image in enumerate(pictures)]
    (tmp_path / "test_batch.bin").write_bytes(b"".join(rows))
    monkeypatch.setenv("BNN_DATA", str(tmp_path))
    found = sources.read(["cifar10"], None)
    assert np.array_equal(found.images, pictures) and found.labels is not None and found.labels.tolist() == [7, 8, 9]
    (tmp_path / "test_batch.bin").write_bytes(rows[0][:-1])
    with pytest.raises(HostError, match="test_batch.bin: 3072 bytes, expected a multiple of 3073"):
        sources.read(["cifar10"], None)


def test_a_folder_of_class_folders_has_labels(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(CLASSES[::-1]):
        (files / "set" / name).mkdir(parents=True)
        for index in range(number + 1):
            picture(files / "set" / name / f"{index}.png", (7, 9), "L")
    (files / "set" / "__MACOSX").mkdir()
    picture(files / "set" / "__MACOSX" / "0.png", (7, 9), "L")
    found = sources.read(["set"], SHAPE, list(CLASSES))
    assert found.labels is not None and found.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert found.names[:4] == [f"{CLASSES[0]}/{index}.png" for index in range(3)] + [f"{CLASSES[1]}/0.png"]
    assert pynq_infer.main([*CPU, "--images", "set", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    right = sum(int(a == b) for a, b in zip(result["predictions"], [0, 0, 0, 1, 1, 2], strict=True))
    assert (result["images"], result["correct"]) == (6, right)
    # a share of them has some of each class, and sub-folders of a class are read as for training
    assert pynq_infer.main([*CPU, "--images", "set", "--json", "--limit", "4", "--csv", "four.csv"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 4
    rows = [line.split(",")[0] for line in (files / "four.csv").read_text().splitlines()[1:]]
    assert rows == [f"{CLASSES[0]}/0.png", f"{CLASSES[0]}/1.png", f"{CLASSES[1]}/0.png", f"{CLASSES[2]}/0.png"]
    (files / "set" / CLASSES[2] / "more").mkdir()
    picture(files / "set" / CLASSES[2] / "more" / "a.png", (7, 9), "L")
    (files / "set" / CLASSES[2] / "Thumbs.db").write_bytes(b"x")
    assert sources.read(["set"], SHAPE, list(CLASSES)).names[-1] == f"{CLASSES[2]}/more/a.png"
    picture(files / "set" / "loose.png", (7, 9), "L")
    found = sources.read(["set"], SHAPE, list(CLASSES))
    assert found.labels is None and len(found.images) == 1 and "not those of its sub-folders ant" in found.remarks[0]


def test_folders_without_pictures_are_errors(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "empty").mkdir()
    (files / "set" / "mammals").mkdir(parents=True)
    picture(files / "set" / "mammals" / "0.png", (7, 9), "L")
    (files / "none.npz").write_bytes(b"")
    np.savez(files / "none.npz", x=images(0))
    for name, message in (
        ("empty", "empty: holds no pictures (.png"),
        ("none.npz", "expected at least one"),
        ("set", "set: holds no pictures; its sub-folders (mammals) may be classes, of which"),
    ):
        for engine in (DEVICE, CPU):
            assert pynq_infer.main([*engine, "--model", "model.npz", "--images", name, "--validate"]) == 1
            said = capsys.readouterr().err
            assert message in said and said.count("\n") == 1
    assert pynq_infer.main([*DEVICE, "--images", "set"]) == 1
    assert "no names are known: give --model" in capsys.readouterr().err

    def refuse(folder: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(sources.reader, "list_pictures", refuse)
    assert pynq_infer.main([*CPU, "--images", "set"]) == 1
    assert capsys.readouterr().err == "error: set: cannot be read (Permission denied)\n"


def test_pictures_that_cannot_be_read_are_one_report(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "in").mkdir()
    for index in range(9):
        picture(files / "in" / f"{index}.png", (7, 9), "L")
    for index in (1, 3, 4, 5, 7, 8):
        (files / "in" / f"{index}.png").write_bytes(b"x")
    assert pynq_infer.main([*CPU, "--images", "in"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(
        "error: 6 of 9 pictures cannot be used (--skip-unreadable leaves them out): in/1.png: is no picture"
    )
    assert said.count("is no picture") == 5 and said.endswith("; ...\n")
    assert pynq_infer.main([*CPU, "--images", "in", "--skip-unreadable", "--csv", "out.csv"]) == 0
    assert "left out 6 of 9 pictures: in/1.png" in capsys.readouterr().out
    assert [row[0] for row in csv.reader((files / "out.csv").open())][1:] == ["0.png", "2.png", "6.png"]
    for index in (0, 2, 6):
        (files / "in" / f"{index}.png").unlink()
    assert pynq_infer.main([*CPU, "--images", "in", "--skip-unreadable"]) == 1
    assert "none of 6 pictures can be read" in capsys.readouterr().err


def test_names_that_are_not_utf_8_or_hostile_are_shown_escaped(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "in").mkdir()
    for name in (b"th\xe9.png", b"a\nb.png", b"\x1b[2J.png"):
        picture(files / "plain.png", (7, 9), "L")
        os.rename(files / "plain.png", os.path.join(os.fsencode(files), b"in", name))
    assert pynq_infer.main([*CPU, "--images", "in", "--csv", "out.csv"]) == 0
    table = capsys.readouterr().out
    rows = [row[0] for row in csv.reader((files / "out.csv").open())][1:]
    assert sorted(rows) == sorted(["th\\xe9.png", "a\\nb.png", "\\x1b[2J.png"]) and all(row in table for row in rows)
    assert "\x1b" not in table


def hostile(folder: Path) -> dict[str, str]:
    """Files that are no images, and what is said of each."""
    picture(folder / "good.png", (40, 40))
    content = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    size = (60000).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(content[:16] + size + size + content[24:])
    (folder / "huge.ppm").write_bytes(b"P6 9000 9000 255\n" + bytes(100))
    (folder / "named.npy").write_bytes(content)
    with (folder / "pickle.npy").open("wb") as out:
        np.save(out, np.array([{"a": 1}], object), allow_pickle=True)
    np.save(folder / "nan.npy", np.full((2, 9, 7, 1), np.nan))
    np.save(folder / "float.npy", np.zeros((2, 9, 7, 1)))
    np.save(folder / "wide.npy", np.zeros((2, 3, 3, 1), np.uint8))
    header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 9, 7, 1), }"
    (folder / "short.npy").write_bytes(header + text.ljust(117).encode() + b"\n" + bytes(64))
    return {
        "cut.png": "",
        "empty.jpg": "",
        "text.png": "",
        "bomb.png": "",
        "huge.ppm": "expected at most",
        "named.npy": "is no .npy",
        "pickle.npy": "is no .npy",
        "nan.npy": "holds NaN",
        "float.npy": "are float64",
        "wide.npy": "expected uint8",
        "short.npy": "is no .npy",
        "missing.npy": "cannot be read",
        "missing.png": "cannot be read",
    }


def test_hostile_files(files: Path, core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    for name, message in hostile(files).items():
        for engine in (DEVICE, CPU):
            assert pynq_infer.main([*engine, "--images", name]) == 1, name
            streams = capsys.readouterr()
            assert streams.err.startswith("error: ") and streams.err.count("\n") == 1 and not streams.out, name
            assert name in streams.err or "images" in streams.err
            assert message in streams.err
    assert not core.counts
    assert pynq_infer.main([*DEVICE, "--images", "good.png"]) == 0


def test_pictures_without_pillow(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    picture(files / "a.png", (7, 9), "L")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert pynq_infer.main([*DEVICE, "--images", "a.png"]) == 1
    assert capsys.readouterr().err == "error: a.png: pictures need Pillow (pip install pillow); .npy and .npz do not\n"


# Running


@pytest.mark.parametrize("count", [1, 13, 23])
@pytest.mark.parametrize("engine", [DEVICE, CPU])
def test_json_and_csv(files: Path, engine: list[str], count: int, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(files / "y.npz", x=images(count), y=np.arange(count) % 3)
    arguments = [*engine, "--images", "y.npz", "--json", "--csv", "out.csv", "--batch", "5", "--model", "model.npz"]
    assert pynq_infer.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    wanted = golden.infer(make_model(), images(count))
    assert result["scores"] == wanted.tolist() and result["images"] == count
    assert result["classes"] == list(CLASSES)
    if engine is DEVICE:
        assert result["runs"] == -(-count // 5) and result["cycles"] == 1000 * count
    rows = list(csv.reader((files / "out.csv").open()))
    assert rows[0] == ["image", "predicted", "label", "score_ant", "score_bee", "score_cat"]
    assert [[int(value) for value in row[3:]] for row in rows[1:]] == wanted.tolist()
    assert [row[1] for row in rows[1:]] == [CLASSES[best] for best in wanted.argmax(axis=1)]
    assert [row[2] for row in rows[1:]] == [CLASSES[index % 3] for index in range(count)]


def test_table_of_pictures(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(files / "one.png", (70, 90), "L")
    picture(files / "two.png", (7, 9), "L")
    assert pynq_infer.main([*DEVICE, "--model", "model.npz", "--images", "one.png", "two.png"]) == 0
    text = capsys.readouterr().out
    assert "one.png" in text and "two.png" in text and "resized 1 pictures (70x90) to 7x9" in text
    assert "latency of 1 runs in ms: p50" in text


def test_throughput(files: Path, core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*DEVICE, "--images", "x.npz", "--batch", "10", "--throughput", "--repeats", "3"]
    assert pynq_infer.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert core.counts == [10, 10, 3] * 4
    assert set(result["steps"]) == {"copy", "run", "read", "load"} and result["repeats"] == 3
    assert list(result["latency_ms"]) == ["p50", "p90", "p99", "max"]
    assert result["accelerator_images_per_s"] == 23 * 100e6 / 23000
    assert pynq_infer.main(arguments) == 0
    assert "images/s" in capsys.readouterr().out


def test_throughput_is_that_of_the_pass_in_the_middle() -> None:
    seconds = iter((3.0, 1.0, 2.0))

    def timed(images: np.ndarray, results: report.Results) -> dict[str, Any]:
        now = next(seconds)
        return {"seconds": now, "steps": {"run": 10 - now}}

    engine: Any = SimpleNamespace(infer=lambda images: None, timed=timed)
    found = pynq_infer.throughput(engine, images(6), 3)
    assert found == {"seconds": 2.0, "steps": {"run": 8.0}, "repeats": 3, "images_per_s": 3.0}


def test_validate(files: Path, core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*DEVICE, "--images", "x.npz", "--model", "model.npz", "--validate"]
    assert pynq_infer.main(arguments) == 0
    assert "validated: 69 scores of 23 images equal to the golden model's" in capsys.readouterr().out
    core.model = make_model()
    offset = core.model.layers[-1].offset
    assert offset is not None
    offset[1] += 1
    assert pynq_infer.main(arguments) == 1
    first = int(golden.infer(make_model(), images(1))[0, 1])
    assert capsys.readouterr().err == (
        f"error: 23 of 23 images differ from the golden model; first: image 0, class 1, expected {first}, "
        f"got {first + 1}; its traces: mismatch.npz\n"
    )
    with np.load(files / "mismatch.npz") as traces:
        assert traces["images"].tolist() == list(range(16))
        assert np.array_equal(traces["conv2"], golden.trace(make_model(), images(16))["conv2"])


def test_watch(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "in").mkdir()
    picture(files / "in" / "first.png", (7, 9), "L")
    (files / "in" / "broken.png").write_bytes(b"not yet")

    def sleep(seconds: float) -> None:
        assert not (files / "in" / "second.png").exists(), "goes on after --limit pictures"
        picture(files / "in" / "second.png", (30, 30))

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic, perf_counter=time.perf_counter)
    monkeypatch.setattr(pynq_infer, "time", clock)
    assert pynq_infer.main([*DEVICE, "--watch", "in", "--limit", "2", "--json"]) == 0
    streams = capsys.readouterr()
    lines = [json.loads(line) for line in streams.out.splitlines()]
    assert [item["image"] for item in lines] == ["first.png", "second.png"]
    assert streams.err.count("skipped: ") == 1 and "broken.png" in streams.err
    assert pynq_infer.main([*DEVICE, "--watch", "nowhere"]) == 1
    assert capsys.readouterr().err == "error: nowhere: no such folder\n"


def test_watch_a_camera(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera:
        def __init__(self, number: int) -> None:
            self.number = number

        def isOpened(self) -> bool:
            return self.number == 1

        def read(self) -> tuple[bool, np.ndarray]:
            return True, np.full((18, 14, 3), (250, 20, 0), np.uint8)  # blue, green, red

    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=Camera))
    assert pynq_infer.main([*DEVICE, "--watch", "camera:1", "--limit", "3", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    colours = [Image.fromarray(np.full((9, 7, 3), rgb, np.uint8)) for rgb in ((0, 20, 250), (250, 20, 0))]
    grey = np.stack([np.asarray(colour.convert("L"))[..., np.newaxis] for colour in colours])
    wanted, other = golden.infer(make_model(), grey).tolist()
    assert [item["scores"] for item in lines] == [wanted] * 3 != [other] * 3
    assert pynq_infer.main([*DEVICE, "--watch", "camera"]) == 1
    assert capsys.readouterr().err == "error: camera: cannot be opened\n"
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert pynq_infer.main([*DEVICE, "--watch", "camera"]) == 1
    assert capsys.readouterr().err == "error: camera: cameras need OpenCV (pip install opencv-python)\n"
    (files / "camera").mkdir()
    assert pynq_infer.main([*DEVICE, "--watch", "camera", "--watch-s", "0.01"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--images", "x.npz"],
        [*CPU],
        [*DEVICE, "--images", "x.npz", "--watch", "in"],
        ["--cpu", "--images", "x.npz"],
        [*DEVICE, "--images", "x.npz", "--validate"],
        [*DEVICE, "--images", "x.npz", "--timeout", "0"],
        [*DEVICE, "--images", "x.npz", "--batch", "0"],
        [*DEVICE, "--images", "x.npz", "--timeout", "nan"],
    ],
)
def test_usage(files: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        pynq_infer.main(arguments)
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err


def test_percentiles() -> None:
    runs = [{"images": 2, "cycles": 10, "busy_cycles": 5, "run": value / 1000} for value in range(1, 102)]
    found = report.of_runs(runs, None)
    assert found["latency_ms"] == pytest.approx({"p50": 51, "p90": 91, "p99": 100, "max": 101})
    assert report.of_runs([], None)["runs"] == 0


# Double buffering


def test_the_next_batch_is_written_while_the_core_works(files: Path, core: FakeCore) -> None:
    log: list[str] = []

    class Recorder(FakeCore):
        def write(self, offset: int, value: int) -> None:
            super().write(offset, value)
            if offset == 0:
                log.append("start")

        def flush(self, buffer: np.ndarray) -> None:
            super().flush(buffer)
            if buffer.dtype == np.uint8:
                log.append("images")

        def invalidate(self, buffer: np.ndarray) -> None:
            super().invalidate(buffer)
            log.append("scores")

        def finish(self) -> None:
            super().finish()
            log.append("end")

    recorder = Recorder(make_model())
    with accelerator.Accelerator("bnn.bit", files / "program.bin", backend=recorder) as device:
        scores = device.infer(images(7), batch=3)
    assert np.array_equal(scores, golden.infer(make_model(), images(7)))
    assert log == [
        "images",
        "start",
        "images",
        "end",
        "start",
        "images",
        "scores",
        "end",
        "start",
        "scores",
        "end",
        "scores",
    ]
    assert not recorder.memory


# What the board needs


def test_syntax_of_python_3_8() -> None:
    vermin = shutil.which("vermin", path=str(Path(sys.executable).parent)) or shutil.which("vermin")
    if vermin is None:
        pytest.skip("vermin is not installed")
    paths = ["host", "bnn"]
    done = subprocess.run(
        [vermin, "--target=3.8-", "--no-tips", "--violations", *paths], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def imports(path: Path) -> set[str]:
    import ast

    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_host_and_planner_do_not_import_each_other() -> None:
    for path in (ROOT / "host").rglob("*.py"):
        assert not imports(path) & {"hls", "train", "torch", "jinja2"}, path
    for folder in ("hls", "train"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "host" not in imports(path), path
