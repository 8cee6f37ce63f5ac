"""The trainer: layers, data sets, checkpoints, several processes."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bnn.networks import NETWORKS, NetworkError, network
from train import __main__ as training_command
from train import data, layers, recipes, trainer
from train.augment import crop_flip
from train.checkpoint import CHECKPOINT_FORMAT, load_checkpoint, save_checkpoint
from train.config import Config
from train.errors import TrainError
from train.export import load_data
from train.methods import LOSSES, Methods
from train.module import BinaryNetwork
from train.optimizer import learning_rate
from train.teacher import of_network

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)  # the networks are too small to share among cores


def make_images(count: int, seed: int = 7) -> data.Arrays:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 10, count).astype(np.uint8)
    x = rng.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    return {"x": x, "y": y}


def config(epochs: int, seed: int = 1, name: str = "tiny", **changes: object) -> Config:
    chosen = replace(recipes.recipe("modern", "cifar10"), epochs=epochs, **changes)
    return Config(name, chosen, dataset="cifar10", seed=seed)


def test_padding_uses_the_recorded_value() -> None:
    conv = layers.BinaryConv2d(1, 1, pad=1, pad_value=1.0)
    torch.nn.init.ones_(conv.weight)
    assert conv(-torch.ones(1, 1, 1, 1)).item() == 8 - 1


def test_unknown_network_is_named() -> None:
    with pytest.raises(NetworkError, match="network 'cnw' is unknown: choose one of cnv,"):
        network("cnw")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_topology_has_one_score_per_class(name: str) -> None:
    net = network(name)
    model = BinaryNetwork(net).eval()
    images = torch.zeros(2, net.channels, net.height, net.width, dtype=torch.uint8)
    assert model(images).shape == (2, net.classes)


def test_crop_flip_moves_whole_images() -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    moved, flipped = crop_flip(images, torch.Generator().manual_seed(1))
    assert 60 < int(flipped.sum()) < 140
    still, none = crop_flip(images, torch.Generator().manual_seed(1), pad=0, flip=False)
    assert torch.equal(still, images) and not none.any()
    assert moved.shape == images.shape
    candidates = set()
    padded = torch.nn.functional.pad(images[:1], (4,) * 4)
    for top in range(9):
        for left in range(9):
            window = padded[..., top : top + 8, left : left + 8]
            candidates.add(window.numpy().tobytes())
            candidates.add(window.flip(3).contiguous().numpy().tobytes())
    assert all(image.contiguous().numpy().tobytes() in candidates for image in moved)
    assert len({image.contiguous().numpy().tobytes() for image in moved}) > 50


@pytest.mark.parametrize("schedule", ["cosine", "exponential"])
def test_schedules_run_from_start_to_end(schedule: str) -> None:
    recipe = config(10, schedule=schedule).recipe
    assert learning_rate(recipe, 0, 100) == pytest.approx(recipe.learning_rate)
    assert learning_rate(recipe, 100, 100) == pytest.approx(recipe.final_learning_rate)


def test_exponential_schedule_falls_by_the_epoch_and_halving_ten_times() -> None:
    recipe = config(20, schedule="exponential", learning_rate=1.0, final_learning_rate=2.0**-20).recipe
    rates = [learning_rate(recipe, step, 200) for step in (0, 9, 10, 195)]
    assert rates == pytest.approx([1.0, 1.0, 0.5, 2.0**-19])
    recipe = replace(recipe, schedule="halving")
    assert [learning_rate(recipe, step, 200) for step in (0, 19, 20, 199)] == [1.0, 1.0, 0.5, 2.0**-9]


def test_warm_up_rises_to_the_learning_rate() -> None:
    recipe = config(10, warmup=1.0, learning_rate=1.0, schedule="halving").recipe
    assert [learning_rate(recipe, step, 100) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def test_resumed_run_equals_uninterrupted(tmp_path: Path) -> None:
    train, val = make_images(256), make_images(64, seed=8)
    run = config(3, average=0.9, distil=0.5)
    torch.manual_seed(0)
    teacher = of_network(BinaryNetwork(network("tiny"), Methods(real=True)))
    whole = trainer.train(run, train, val, tmp_path / "whole", teacher=teacher)
    trainer.train(run, train, val, tmp_path / "parts", stop_after=1, teacher=teacher)
    parts = trainer.train(run, train, val, tmp_path / "parts", teacher=teacher)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key
    again = trainer.train(run, train, val, tmp_path / "parts", teacher=teacher)
    assert torch.equal(again.blocks[1].layer.weight, whole.blocks[1].layer.weight)
    logs = [
        [line.rsplit(",", 1)[0] for line in (tmp_path / run / "log.csv").read_text().splitlines()]
        for run in ("whole", "parts")
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 4
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000


def test_killed_run_leaves_a_whole_checkpoint_and_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "sys.path[:0] = [sys.argv[1], sys.argv[1] + '/tests']\n"
        "from test_train import config, make_images\n"
        "from train import trainer\n"
        "if sys.argv[3] == 'kill':\n"
        "    write = os.replace\n"
        "    def replace(a, b):\n"
        "        if str(b).endswith('checkpoint.pt') and Path(b).exists():\n"
        "            os.kill(os.getpid(), 9)\n"
        "        write(a, b)\n"
        "    os.replace = replace\n"
        "trainer.train(config(2), make_images(128), make_images(64), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, str(script), str(ROOT), str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run([*command, "kill"], capture_output=True, env=environment).returncode == -9
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["epoch"] == 1
    done = subprocess.run([*command, "go"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "epoch 1/2" not in done.stdout and "epoch 2/2" in done.stdout


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    train, val = make_images(64), make_images(64)
    trainer.train(config(1), train, val, tmp_path)
    with pytest.raises(TrainError, match="is of another run: seed 1, not 2"):
        trainer.train(config(1, seed=2), train, val, tmp_path)
    with pytest.raises(TrainError, match=r"is of another run: recipe\.batch 64, not 32"):
        trainer.train(config(1, batch=32), train, val, tmp_path)
    with pytest.raises(TrainError, match="is of another run: network tiny, not cnv"):
        trainer.train(config(1, name="cnv"), train, val, tmp_path)


def of_state(saved: dict[str, Any], change: Callable[[Tensor], object]) -> dict[str, Any]:
    """A checkpoint's optimizer with every tensor of its state changed."""
    state = {
        number: {key: change(value) if value.dim() else value for key, value in parts.items()}
        for number, parts in saved["optimizer"]["state"].items()
    }
    return {**saved["optimizer"], "state": state}


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "epoch": (lambda saved: {"epoch": -1}, "epoch is -1, expected 0 to 2"),
    "epochs": (lambda saved: {"epoch": 3}, "epoch is 3, expected 0 to 2"),
    "history": (lambda saved: {"history": [1]}, "history, row 0: expected numbers of epoch, learning_rate, "),
    "row": (lambda saved: {"history": [{**saved["history"][0], "seconds": "x"}]}, "history, row 0: expected numbers"),
    "short row": (lambda saved: {"history": [{"epoch": 1}]}, "history, row 0: expected numbers"),
    "no average": (lambda saved: {"average": {}}, "average is of 0 tensors, expected 12"),
    "average": (
        lambda saved: {"average": {key: value.to("meta") for key, value in saved["average"].items()}},
        "average of blocks.0.layer.weight has no numbers, expected 432",
    ),
    "no state": (lambda saved: {"optimizer": {}}, "optimizer has no state of 12 parameters"),
    "parameters": (lambda saved: {"optimizer": {"state": {99: {}}}}, "optimizer has no state of 12 parameters"),
    "parts": (lambda saved: {"optimizer": {"state": {0: {}}}}, "optimizer, parameter 0: expected step, exp_avg, exp"),
    "meta": (
        lambda saved: {"optimizer": of_state(saved, lambda part: part.to("meta"))},
        "optimizer, parameter 0: exp_avg has no numbers",
    ),
    "shape": (
        lambda saved: {"optimizer": of_state(saved, lambda part: part.reshape(-1)[:1])},
        "optimizer, parameter 0: exp_avg is (1,), expected (16, 3, 3, 3)",
    ),
    "no tensor": (
        lambda saved: {"optimizer": of_state(saved, lambda part: 7)},
        "optimizer, parameter 0: exp_avg is int, expected (16, 3, 3, 3)",
    ),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The checkpoint of a run of two epochs after the first."""
    folder = tmp_path_factory.mktemp("begun")
    trainer.train(config(2, average=0.9), make_images(64), make_images(64), folder, stop_after=1)
    return load_checkpoint(folder / "checkpoint.pt")


@pytest.mark.parametrize("name", DAMAGE)
def test_a_run_does_not_go_on_from_what_is_damaged(tmp_path: Path, begun: dict[str, Any], name: str) -> None:
    change, message = DAMAGE[name]
    torch.save({**begun, **change(begun)}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainError) as caught:
        trainer.train(config(2, average=0.9), make_images(64), make_images(64), tmp_path)
    said = str(caught.value)
    assert said.startswith(f"checkpoint {tmp_path / 'checkpoint.pt'}: ") and message in said and "\n" not in said


def test_how_an_optimizer_moves_is_the_recipe_s(tmp_path: Path, begun: dict[str, Any]) -> None:
    groups = [{**group, "betas": 7, "lr": "fast"} for group in begun["optimizer"]["param_groups"]]
    torch.save({**begun, "optimizer": {**begun["optimizer"], "param_groups": groups}}, tmp_path / "checkpoint.pt")
    trainer.train(config(2, average=0.9), make_images(64), make_images(64), tmp_path)


def test_a_loss_that_is_not_finite_stops_with_step_and_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return scores.sum() * (float("nan") if len(calls) >= 3 else 0.0)

    monkeypatch.setitem(LOSSES, "cross_entropy", broken)
    run = config(1, batch=16, schedule="halving", learning_rate=0.25)
    with pytest.raises(TrainError, match="loss is not finite at epoch 1, step 3, learning rate 0.25"):
        trainer.train(run, make_images(128), make_images(16), tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 100}, "batch of 100 is larger than the 64 training images"),
        ({"optimizer": "lion"}, "optimizer 'lion' is unknown: choose one of adam,"),
        ({"loss": "l3"}, "loss 'l3' is unknown: choose one of cross_entropy,"),
        ({"initial": "zero"}, "initial 'zero' is unknown: choose one of fan_in,"),
        ({"distil": 0.5}, "the recipe distils: give a teacher, a checkpoint or a model.npz"),
    ],
)
def test_unusable_recipes_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        trainer.train(config(1, **change), make_images(64), make_images(64), tmp_path)


def test_teacher_of_other_images_is_refused(tmp_path: Path) -> None:
    message = "the teacher sfc takes 1x28x28 images of 10 classes, tiny 3x32x32 images of 10 classes"
    with pytest.raises(TrainError, match=message):
        trainer.train(
            config(1, distil=0.5),
            make_images(64),
            make_images(64),
            tmp_path,
            teacher=of_network(BinaryNetwork(network("sfc"))),
        )


def test_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": "bnn-checkpoint-1"}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainError, match="is not of format bnn-checkpoint-2"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_images_of_another_shape_and_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    data = make_images(64)
    with pytest.raises(TrainError, match=r"images are \(3, 32, 16\), tiny takes \(3, 32, 32\)"):
        trainer.train(config(1), {"x": data["x"][..., :16], "y": data["y"]}, data, tmp_path)
    with pytest.raises(TrainError, match="labels go up to 10, tiny has 10 classes"):
        trainer.train(config(1), {"x": data["x"], "y": np.full(64, 10)}, data, tmp_path)


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"junk")
    with pytest.raises(TrainError, match=r"checkpoint\.pt cannot be read"):
        load_checkpoint(path)


def test_failed_write_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"format": CHECKPOINT_FORMAT, "epoch": 1})

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"format": CHECKPOINT_FORMAT, "epoch": 2})
    assert torch.load(path, weights_only=True)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_validation_split_takes_the_last_images() -> None:
    arrays = make_images(20)
    dataset = data.Dataset(arrays["x"], arrays["y"], arrays["x"], arrays["y"])
    train, val = data.split_validation(dataset, 5)
    assert len(train["x"]) == 15 and np.array_equal(val["x"], arrays["x"][15:])
    with pytest.raises(data.DataError, match="validation split of 20 is not between 1 and 19"):
        data.split_validation(dataset, 20)


def test_a_run_says_how_many_images_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = make_images(5040)
    dataset = data.Dataset(arrays["x"], arrays["y"], arrays["x"][:10], arrays["y"][:10])
    monkeypatch.setattr(data, "load", lambda name, folder, cache: dataset)
    seen: list[tuple[int, int, int]] = []

    def train(config: Config, training: data.Arrays, validation: data.Arrays, *_: object, **__: object) -> None:
        seen.append((config.validation, len(training["y"]), len(validation["y"])))
        held = load_data(config, tmp_path, None, tmp_path)[1]
        assert all(np.array_equal(held[key], validation[key]) for key in "xy")

    monkeypatch.setattr(training_command, "train", train)
    for given in ([], ["--validation", "5000"], ["--validation", "8"]):
        assert training_command.main(["tiny", *given, "-o", str(tmp_path)]) == 0
    assert seen == [(5000, 40, 5000), (5000, 40, 5000), (8, 5032, 8)]
    capsys.readouterr()
    assert training_command.main(["tiny", "--validation", "0", "-o", str(tmp_path)]) == 1
    assert training_command.main(["tiny", "--validation", "5040", "-o", str(tmp_path)]) == 1
    assert training_command.main(["tiny", "--validation", "8", "--data", str(tmp_path), "-o", str(tmp_path)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "--validation is 0, expected at least 1" in errors[0]
    assert "validation split of 5040 is not between 1 and 5039" in errors[1]
    assert "own data say which validate" in errors[2] and len(errors) == 3


def write_cifar_folder(folder: Path, arrays: data.Arrays) -> None:
    folder.mkdir()
    records = np.concatenate([arrays["y"][:, None], arrays["x"].reshape(len(arrays["y"]), -1)], axis=1)
    for name, part in zip([f"data_batch_{i}" for i in range(1, 6)], np.split(records, 5), strict=True):
        part.tofile(folder / f"{name}.bin")
    records[:2].tofile(folder / "test_batch.bin")


def tiny_source(monkeypatch: pytest.MonkeyPatch, arrays: data.Arrays) -> None:
    expected = {"x_train": arrays["x"], "y_train": arrays["y"], "x_test": arrays["x"][:2], "y_test": arrays["y"][:2]}
    source = data.Source(
        classes=("a",),
        shapes={"train": arrays["x"].shape, "test": (2, 3, 32, 32)},
        sha256={key: hashlib.sha256(value.tobytes()).hexdigest() for key, value in expected.items()},
        official=("http://127.0.0.1:9/none.tar.gz",),
        npm=None,
        read_folder=data._read_cifar10,
    )
    monkeypatch.setitem(data.SOURCES, "cifar10", source)


def test_data_from_a_folder_is_checked_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = make_images(10)
    write_cifar_folder(tmp_path / "raw", arrays)
    tiny_source(monkeypatch, arrays)
    loaded = data.load("cifar10", tmp_path / "raw", tmp_path / "cache")
    assert np.array_equal(loaded.x_train, arrays["x"])
    again = data.load("cifar10", tmp_path / "missing", tmp_path / "cache")
    assert np.array_equal(again.y_test, arrays["y"][:2])


def test_corrupt_copy_falls_back_to_the_next_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = make_images(10)
    write_cifar_folder(tmp_path / "raw", arrays)
    tiny_source(monkeypatch, arrays)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cifar10.npz").write_bytes(b"PK\x03\x04 truncated")
    data.load("cifar10", tmp_path / "raw", tmp_path / "cache")
    assert "cifar10.npz failed" in capsys.readouterr().err


def test_every_failed_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = make_images(10)
    tiny_source(monkeypatch, arrays)
    arrays["x"] = arrays["x"] ^ 1
    write_cifar_folder(tmp_path / "raw", arrays)
    with pytest.raises(data.DataError, match="x_train has sha256 .*the official site: .*not in the npm registry"):
        data.load("cifar10", tmp_path / "raw", tmp_path / "cache")


def test_idx_header_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x04abcd")
    assert data.read_idx(path).tolist() == list(b"abcd")
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x05abcd")
    with pytest.raises(data.DataError, match="holds 4 bytes, its header says"):
        data.read_idx(path)


def test_svhn_mat_file(tmp_path: Path) -> None:
    from scipy.io import savemat

    x = np.random.default_rng(1).integers(0, 256, (32, 32, 3, 4)).astype(np.uint8)
    for split in ("train", "test"):
        savemat(tmp_path / f"{split}_32x32.mat", {"X": x, "y": np.array([[1], [10], [9], [2]])})
    loaded = data.load("svhn", tmp_path, tmp_path / "cache")
    assert loaded.y_train.tolist() == [1, 0, 9, 2]
    assert np.array_equal(loaded.x_test[3, 2], x[:, :, 2, 3])


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, torch.distributed as dist\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from train.recipes import recipe\n"
        "from train.config import Config\n"
        "from train.trainer import train\n"
        "dist.init_process_group('gloo')\n"
        "r = np.random.default_rng(1)\n"
        "d = {'x': r.integers(0, 256, (128, 3, 32, 32)).astype(np.uint8), 'y': r.integers(0, 10, 128)}\n"
        "m = train(Config('tiny', replace(recipe('modern', 'cifar10'), epochs=1, batch=32)), d, d, Path(sys.argv[2]))\n"
        "w = m.blocks[1].layer.weight.detach().clone(); v = w.clone(); dist.broadcast(v, 0)\n"
        "assert (w == v).all(); dist.barrier(); dist.destroy_process_group()\n"
        "import os; sys.stdout.flush(); os._exit(0)\n"  # threads of gloo that still end abort an interpreter that does
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
        + [f"--master-port={port}", str(script), str(ROOT), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "checkpoint.pt").exists()


def test_the_teacher_sees_the_image_as_it_is_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    teacher = BinaryNetwork(network("tiny"), Methods(real=True)).eval()
    seen: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []

    def moving(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        moved, flipped = crop_flip(*arguments)  # type: ignore[arg-type]
        seen.append(moved)
        return moved, flipped

    def compare(scores: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
        wanted.append(target)
        return scores.sum() * 0

    monkeypatch.setattr(trainer, "crop_flip", moving)
    monkeypatch.setattr(trainer, "distillation", compare)
    run = config(1, distil=0.5, crop=0, batch=32)
    trainer.train(run, make_images(64), make_images(32), tmp_path, teacher=of_network(teacher))
    assert len(wanted) == 2
    for images, scores in zip(seen, wanted, strict=False):
        assert torch.allclose(teacher(images), scores, atol=1e-4)


def test_the_better_of_last_weights_and_average_is_deployed(tmp_path: Path) -> None:
    run = config(1, average=0.5)
    train, val = make_images(128), make_images(64, seed=8)
    model = trainer.train(run, train, val, tmp_path)
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    images, labels = torch.from_numpy(val["x"]), torch.from_numpy(val["y"]).long()
    assert trainer.accuracy(model, images, labels) == saved["deploy_accuracy"]
    weight = "blocks.1.layer.weight"
    chosen = saved["deploy"][weight]
    assert torch.equal(chosen, saved["model"][weight]) != torch.equal(chosen, saved["average"][weight])
    other = BinaryNetwork(network("tiny"), run.recipe.methods)
    other.load_state_dict(
        {**saved["model"], **({} if torch.equal(chosen, saved["average"][weight]) else saved["average"])}
    )
    trainer.settle(other, run, torch.from_numpy(train["x"]))
    assert trainer.accuracy(other, images, labels) <= saved["deploy_accuracy"]


def test_fixed_norms_are_those_before_their_first_epoch(tmp_path: Path) -> None:
    """Settled once, also where the run is interrupted; what is trained is what is deployed."""
    run = config(3, fixed_norms=2)
    train, val = make_images(128), make_images(64, seed=8)
    model = trainer.train(run, train, val, tmp_path / "whole")
    saved = load_checkpoint(tmp_path / "whole" / "checkpoint.pt")
    assert all(torch.equal(value, saved["deploy"][name]) for name, value in saved["model"].items())
    before = trainer.train(run, train, val, tmp_path / "parts", stop_after=1)
    trainer.settle(before, run, torch.from_numpy(train["x"]))
    for block, wanted in zip(model.each(), before.each(), strict=True):
        assert torch.equal(block.norm.running_mean, wanted.norm.running_mean)
        assert torch.equal(block.norm.running_var, wanted.norm.running_var)
        assert not torch.equal(block.norm.bias, wanted.norm.bias)
    trainer.train(run, train, val, tmp_path / "parts", stop_after=2)
    trainer.train(run, train, val, tmp_path / "parts")
    again = load_checkpoint(tmp_path / "parts" / "checkpoint.pt")
    assert all(torch.equal(value, saved["deploy"][name]) for name, value in again["deploy"].items())
    with pytest.raises(TrainError, match="fixed_norms is 4, expected 0 to the 3 epochs"):
        trainer.train(config(3, fixed_norms=4), train, val, tmp_path / "none")


@pytest.mark.parametrize("crop", [0, 4])
def test_a_start_sees_some_images_as_the_training_does(
    crop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CALIBRATION_IMAGES", 50)
    train, seen = make_images(128), []

    def start(model: BinaryNetwork, images: torch.Tensor) -> None:
        seen.extend(image.numpy().tobytes() for image in images)

    trainer.train(config(1, crop=crop, flip=False), train, make_images(64, seed=8), tmp_path, start=start)
    assert len(set(seen)) == 50
    own = {image.tobytes() for image in train["x"]}
    assert set(seen) <= own if crop == 0 else len(set(seen) & own) < 10
