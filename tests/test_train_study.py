"""The studies: every row can be trained, results are kept, tables go where they belong."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from bnn.errors import ExpectedError
from bnn.model import save
from bnn.networks import network
from bnn.random_models import random_model
from bnn.tables import marked
from train import data, study, trainer
from train.checkpoint import load_checkpoint, load_network
from train.config import Config
from train.recipes import recipe

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (96, 3, 32, 32)).astype(np.uint8)
    y = (np.arange(96) % 10).astype(np.uint8)
    monkeypatch.setattr(data, "load", lambda name, folder, cache: data.Dataset(x, y, x[:20], y[:20]))
    monkeypatch.setattr(
        data, "split_validation", lambda dataset: ({"x": x[:80], "y": y[:80]}, {"x": x[80:], "y": y[80:]})
    )


def interrupted(*args: object) -> float:
    raise KeyboardInterrupt


def test_rows_differ_from_the_first(small: None) -> None:
    base = recipe("modern", "cifar10")
    for rows in study.STUDIES.values():
        changed = [row.change(base) for row in rows]
        assert changed[0] == base and all(other != base for other in changed[1:])
        assert len({row.label for row in rows}) == len(rows)


def test_float_study_keeps_results_and_replaces_the_table(small: None, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- float: made by x -->\nold\n<!-- end of float -->\nafter\n")
    command = ["float", "tiny", "--epochs", "1", "--seeds", "2", "--jobs", "2"]
    command += ["-o", str(tmp_path / "out"), "--write", str(page)]
    assert study.main(command) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- float: made by x -->\n| recipe") and text.endswith(
        "<!-- end of float -->\nafter\n"
    )
    assert "old" not in text and text.count("| binary weights and activations |") == 1
    assert "80 training images, 1 epochs, batch 64, 20 test images: mean ± standard deviation of 2 seeds." in text
    results = sorted((tmp_path / "out").iterdir())
    assert len(results) == 6 and all(path.suffix == ".json" for path in results)
    assert study.main(command) == 0 and page.read_text() == text
    for path in results:
        content = json.loads(path.read_text())
        value = 90 + content["config"]["seed"] if content["config"]["recipe"]["methods"]["real"] else 50
        path.write_text(json.dumps(content | {"test": value}))
    assert study.main(command) == 0
    assert "| 50.00 ± 0.00 | +0.00 |" in page.read_text() and "| 91.50 ± 0.71 | +41.50 |" in page.read_text()


def test_an_error_of_a_run_ends_the_study(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["float", "tiny", "--limit", "10", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: batch of 64 is larger than the 10 training images\n"


def test_a_teacher_is_looked_at_before_the_first_run(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(study, "run_all")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    call = ["ingredients", "tiny", "-o", str(tmp_path / "out"), "--teacher"]
    assert study.main([*call, str(tmp_path / "bad.npz")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'bad.npz'}: is no .npz file")
    assert study.main([*call, str(ROOT / "models" / "sfc.npz")]) == 1
    assert capsys.readouterr().err.startswith("error: the teacher sfc takes 1x28x28 images of 10 classes, tiny ")


def test_a_run_goes_on_from_its_checkpoint(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training, validation = data.split_validation(data.load("cifar10", None, tmp_path))
    base = replace(recipe("modern", "cifar10"), epochs=2, batch=40)
    config = Config("tiny", base, dataset="cifar10")
    sets = (training, validation, validation)
    whole = study.run_one(config, sets, tmp_path / "whole", False, False)
    with monkeypatch.context() as patch:
        patch.setattr(study, "train", functools.partial(trainer.train, stop_after=1))
        patch.setattr(study, "accuracy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.run_one(config, sets, tmp_path / "parts", False, False)
    (work,) = (tmp_path / "parts").iterdir()
    assert load_checkpoint(work / "checkpoint.pt")["epoch"] == 1
    capsys.readouterr()
    assert study.run_one(config, sets, tmp_path / "parts", False, False) == whole
    assert "epoch 1/2" not in (out := capsys.readouterr().out) and "epoch 2/2" in out
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".json"]


def test_kept_checkpoints_can_teach(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training, validation = data.split_validation(data.load("cifar10", None, tmp_path))
    base = replace(recipe("modern", "cifar10"), epochs=1, batch=40)
    config = Config("tiny", study.FLOAT[-1].change(base), dataset="cifar10")
    study.run_one(config, (training, validation, validation), tmp_path, False, True)
    (kept,) = tmp_path.glob("*.work/checkpoint.pt")
    assert f"study: kept {kept}" in capsys.readouterr().out
    assert load_network(kept).methods.real


def test_the_float_network_teaches_and_is_trained_once(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ingredients", "tiny", "--epochs", "1", "--seeds", "1", "-o", str(tmp_path)]
    assert study.main(command) == 0
    told = capsys.readouterr().out
    assert "study: the teacher, seed 1: " in told and "| taught | " in told
    (teacher,) = tmp_path.glob("*.work/checkpoint.pt")
    assert load_network(teacher).methods.real
    configs = [json.loads(path.read_text())["config"] for path in tmp_path.glob("*.json")]
    taught = [config for config in configs if config["teacher"]]
    assert len(configs) == 6 and [config["recipe"]["distil"] for config in taught] == [0.7]
    assert sorted(config["recipe"]["epochs"] for config in configs) == [1, 1, 1, 1, 1, 2]
    assert study.main(command) == 0
    again = capsys.readouterr().out
    assert "epoch 1/1" not in again and told.rpartition("| recipe")[2] == again.rpartition("| recipe")[2]
    assert told.endswith("The teacher is the float32 network, with as many epochs.\n")
    assert study.main([*command, "--teacher", str(teacher)]) == 0  # the same one, given
    given = capsys.readouterr().out
    assert "study: the teacher" not in given and "epoch 1/1" not in given
    assert given.endswith(f"The teacher is {teacher}.\n")
    assert study.main([*command, "--teacher", str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in capsys.readouterr().err


def test_a_model_teaches_in_another_process(small: None, tmp_path: Path) -> None:
    """Its file goes there, and what kind of file it is."""
    path = tmp_path / "model.npz"
    save(replace(random_model(network("tiny")), temperature=100.0), path)
    command = ["ingredients", "tiny", "--epochs", "1", "--seeds", "1", "--jobs", "2", "-o", str(tmp_path / "runs")]
    assert study.main([*command, "--teacher", str(path)]) == 0
    configs = [json.loads(kept.read_text())["config"] for kept in (tmp_path / "runs").glob("*.json")]
    assert [config["teacher"] for config in configs if config["teacher"]] == [sha256(path.read_bytes()).hexdigest()]


def test_summary_by_hand() -> None:
    assert study.summary("x", [80.0, 82.0, 84.0], [81.0, 81.0]) == "| x | 82.00 ± 2.00 | +1.00 |"
    assert study.summary("x", [80.0], [81.0]) == "| x | 80.00 | -1.00 |"


def test_missing_markers_and_bad_counts_are_refused(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExpectedError, match="markers '<!-- float: made by"):
        marked("nothing", "float", "x")
    assert study.main(["float", "tiny", "--seeds", "0"]) == 1
    assert capsys.readouterr().err == "error: --seeds is 0, expected at least 1\n"
    assert study.main(["float", "tiny", "--teacher", "x.pt"]) == 1
    assert capsys.readouterr().err == "error: --teacher is x.pt, expected none: no row of the study float is taught\n"


@pytest.mark.parametrize("row", study.ABLATION, ids=lambda row: row.label)
def test_every_row_of_the_ablation_takes_a_step(small: None, row: study.Row, tmp_path: Path) -> None:
    base = replace(recipe("modern", "cifar10"), epochs=1, batch=40)
    training, validation = data.split_validation(data.load("cifar10", None, tmp_path))
    config = Config("tiny", row.change(base), dataset="cifar10")
    assert 0 <= study.run_one(config, (training, validation, validation), tmp_path, False, False) <= 100
