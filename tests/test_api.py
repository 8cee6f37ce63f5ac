"""The five calls of `bnn.api`, from images to scores, and what docs/api.md says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.host import FakeCore, images, make_model

from bnn import api, golden
from bnn.command import UsageError
from bnn.errors import ExpectedError
from bnn.model import load, save
from train.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """A folder, and what every call gave."""
    folder = tmp_path_factory.mktemp("api")
    draw = np.random.default_rng(1)
    labels = np.arange(60) % 2
    pixels = draw.integers(0, 128, (60, 16, 16, 3)) + 127 * labels[:, None, None, None]
    np.savez(folder / "data.npz", x=pixels.astype(np.uint8), y=labels)
    found = {"train": api.train("tiny", folder / "run", data=folder / "data.npz", epochs=2, flip=False)}
    found["export"] = api.export(found["train"]["checkpoint"], folder / "run/model.npz")
    found["plan"] = api.plan(folder / "run/model.npz", "sim_small", folder / "design", batch=4)
    found["build"] = api.build("sim_small", folder / "design", backend="rtl", model=folder / "run/model.npz")
    return folder, found


def test_from_images_to_scores(work: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, found = work
    assert Path(found["train"]["checkpoint"]).is_file() and found["train"]["epochs"] == 2
    assert found["export"]["mismatches"] == 0 < found["export"]["images"]
    assert Path(found["plan"]["program"]).stat().st_size == found["plan"]["bytes"]
    assert Path(found["build"]["folder"], "rtl").is_dir() and found["build"]["backend"] == "rtl"
    kept = np.load(folder / "run/model.images.npz")["x"]
    model = load(folder / "run/model.npz")
    scores = api.infer(folder / "run/model.npz", kept)
    assert scores.dtype == np.int32 and np.array_equal(scores, golden.infer(model, kept))
    said = str(model.meta["command"])
    assert said.startswith("bnn train tiny -o ") and said.endswith(" --epochs 2 --flip no")


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    api.plan(ROOT / "models/sfc.npz", "pynq_z1", tmp_path)
    assert capsys.readouterr() == ("", "")


def test_errors_are_exceptions(tmp_path: Path) -> None:
    with pytest.raises(ExpectedError, match="does not exist: bnn train makes one"):
        api.export(tmp_path / "none.pt", tmp_path / "m.npz")
    with pytest.raises(UsageError, match="plan: no option colour"):
        api.plan("m.npz", "pynq_z1", tmp_path, colour="red")
    with pytest.raises(UsageError, match="bnn plan: argument --batch: invalid int value: 'many'"):
        api.plan("m.npz", "pynq_z1", tmp_path, batch="many")


def test_a_list_gives_an_option_again(work: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    folder, found = work
    teachers = [found["train"]["checkpoint"], folder / "run/model.npz"]
    given = {"data": folder / "data.npz", "epochs": 1, "flip": False, "distil": 0.5, "teacher": teachers}
    checkpoint = api.train("tiny", tmp_path, **given)["checkpoint"]
    assert load_checkpoint(Path(checkpoint))["config"]["teacher"].count("+") == 1


def test_the_page_names_what_the_calls_give(work: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    rows = re.findall(r"^\| `(\w+)\(.*?\)` \| (.*) \|$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == ["train", "export", "plan", "build", "infer"]
    for name, given in rows[:-1]:
        always, _, _ = given.partition(";")
        assert set(re.findall(r"`(\w+)`", always)) <= set(work[1][name]), name


def test_the_accelerator_gives_the_same_scores(tmp_path: Path) -> None:
    """With a bitstream the driver runs the program, here on a stand-in for the hardware."""
    model = make_model()
    save(model, tmp_path / "m.npz")
    planned = api.plan(tmp_path / "m.npz", "sim_small", tmp_path, batch=2)
    core = FakeCore(model)
    scores = api.infer(tmp_path / "m.npz", images(5), bit="mine.bit", program=planned["program"], backend=core)
    assert np.array_equal(scores, golden.infer(model, images(5)))
