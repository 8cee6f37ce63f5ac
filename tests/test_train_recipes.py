"""Every recipe from the command line to a model whose scores are PyTorch's; starts and teachers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bnn import golden
from bnn.cpu import infer
from bnn.model import Model, load, save
from bnn.networks import network
from bnn.random_models import random_model
from train import export
from train.__main__ import main
from train.checkpoint import load_checkpoint, load_network
from train.errors import TrainError
from train.methods import Methods
from train.module import BinaryNetwork
from train.recipes import RECIPES
from train.start import start_from
from train.teacher import Teacher, lessons, load_teacher, teacher_scores, together

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that differ in their colour, 12x12."""
    rng = np.random.default_rng(11)
    y = np.arange(240) % 3
    x = rng.integers(0, 128, (240, 12, 12, 3))
    x[np.arange(240), :, :, y] += 100
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    np.savez(path, x=x.astype(np.uint8), y=y, classes=np.array(["red", "green", "blue"]))
    return path


def run(archive: Path, out: Path, *more: str) -> int:
    return main(["tiny", "--data", str(archive), "-o", str(out), "--epochs", "2", "--batch", "16", *more])


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_exports_and_passes_the_golden_check(
    name: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(archive, tmp_path, "--recipe", name) == 0
    out = tmp_path / "model.npz"
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(out), "--command", "x"]) == 0
    assert "export: 24 images, score mismatches = 0" in capsys.readouterr().out
    model = load(out)
    assert model.classes == ("red", "green", "blue") and (model.height, model.width) == (12, 12)
    with np.load(tmp_path / "model.images.npz") as sample:
        right = int((golden.infer(model, sample["x"]).argmax(1) == sample["y"]).sum())
    assert right == model.meta["test_correct"]
    if name == "modern":
        assert right >= 20


def test_all_methods_together_train_and_export(archive: Path, tmp_path: Path) -> None:
    everything = [
        *("--standardise", "yes", "--quantile", "yes", "--alpha", "yes", "--threshold-shift", "yes"),
        *("--weight-window", "identity", "--activation-window", "annealed", "--average", "0.9", "--pad-value", "1"),
        *("--stochastic-weights", "yes", "--dropout", "0.1", "--warmup", "1", "--optimizer", "sgd", "--lr", "0.1"),
    ]
    assert run(archive, tmp_path, *everything) == 0
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0
    assert {layer.pad_value for layer in load(tmp_path / "model.npz").layers if layer.pad} == {0, 1}


def test_bfloat16_training_exports_exactly(archive: Path, tmp_path: Path) -> None:
    assert run(archive, tmp_path, "--bf16", "--alpha", "yes") == 0
    assert load_checkpoint(tmp_path / "checkpoint.pt")["config"]["bf16"] is True
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0


def test_float_reference_teaches_but_is_not_exported(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(archive, tmp_path / "real", "--real") == 0
    teacher = tmp_path / "real" / "checkpoint.pt"
    assert export.main([str(teacher), "-o", str(tmp_path / "model.npz")]) == 1
    assert "error: tiny: a float32 reference has no integer model" in capsys.readouterr().err
    assert run(archive, tmp_path / "taught", "--distil", "0.5", "--teacher", str(teacher)) == 0
    assert len(load_checkpoint(tmp_path / "taught" / "checkpoint.pt")["config"]["teacher"]) == 64


def test_an_exported_model_teaches(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone by the scores that its network has, and with another by the mean of both; not without a temperature."""
    assert run(archive, tmp_path) == 0
    checkpoint, out = tmp_path / "checkpoint.pt", tmp_path / "model.npz"
    assert export.main([str(checkpoint), "-o", str(out)]) == 0
    model = load(out)
    assert model.temperature is not None
    with np.load(tmp_path / "data.npz") as kept:
        images = torch.from_numpy(kept["x_train"])
    scores = teacher_scores(load_teacher(out), images)
    network_scores = teacher_scores(load_teacher(checkpoint), images)
    assert scores.shape == (2, len(images), 3) and not torch.equal(scores[0], scores[1])
    integers = golden.infer(model, channels_last(images))
    assert torch.allclose(scores[0], torch.from_numpy(integers / model.temperature).float())
    factors = scores / network_scores
    assert torch.allclose(factors, factors.mean(), rtol=1e-3)  # 2^shift over the temperature
    taught = ("--distil", "0.5", "--teacher", str(out))
    assert run(archive, tmp_path / "taught", *taught) == 0
    assert run(archive, tmp_path / "both", *taught, "--teacher", str(checkpoint)) == 0
    both = load_checkpoint(tmp_path / "both" / "checkpoint.pt")["config"]["teacher"]
    assert both.startswith(load_checkpoint(tmp_path / "taught" / "checkpoint.pt")["config"]["teacher"] + "+")
    mean = teacher_scores(together([load_teacher(out), load_teacher(checkpoint)]), images)
    assert torch.allclose(mean, (scores + network_scores) / 2, rtol=1e-4)
    save(replace(model, temperature=None), out)
    capsys.readouterr()
    assert run(archive, tmp_path / "none", *taught) == 1
    assert capsys.readouterr().err == (
        "error: model tiny has no temperature, which makes logits of its scores: bnn calibrate\n"
    )


def test_a_consistent_teacher_sees_what_the_network_sees(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every crop of every epoch, in place of each image and its mirror image."""
    assert run(archive, tmp_path) == 0
    out = tmp_path / "model.npz"
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(out)]) == 0
    with np.load(tmp_path / "data.npz") as kept:
        pixels = kept["x_train"]
    whole = {image.tobytes() for images in (pixels, pixels[..., ::-1]) for image in images}
    seen: list[bytes] = []

    def spy(model: Model, images: np.ndarray) -> np.ndarray:
        seen.extend(image.transpose(2, 0, 1).tobytes() for image in images)
        return infer(model, images)

    monkeypatch.setattr("train.teacher.infer", spy)
    taught = ("--distil", "0.5", "--teacher", str(out), "--crop", "2", "--flip", "yes")
    assert run(archive, tmp_path / "once", *taught) == 0
    count = len(seen) // 2
    assert count > 100 and len(set(seen)) == 2 * count and set(seen) < whole
    seen.clear()
    assert run(archive, tmp_path / "consistent", *taught, "--consistent", "yes") == 0
    assert len(seen) == 2 * (count // 16) * 16 and len(set(seen) - whole) > len(seen) / 2
    recipe = load_checkpoint(tmp_path / "consistent" / "checkpoint.pt")["config"]["recipe"]
    assert recipe["consistent"] and recipe["crop"] == 2


@pytest.mark.parametrize("consistent", [False, True])
def test_lessons_are_of_the_batch(consistent: bool) -> None:
    """A teacher that says an image's first pixel: of the crop, or of the image or its mirror image."""
    teacher = Teacher("first", "", lambda images: images[:, 0, 0, :1].float())
    images = torch.arange(4 * 3, dtype=torch.uint8).reshape(4, 1, 1, 3)  # first 0 3 6 9, last 2 5 8 11
    index, flipped = torch.tensor([2, 0, 2]), torch.tensor([True, False, False])
    seen = torch.full((3, 1, 1, 3), 77, dtype=torch.uint8)
    found = lessons(teacher, images, consistent)(seen, index, flipped)
    assert found.flatten().tolist() == ([77, 77, 77] if consistent else [8, 0, 6])


def test_teachers_of_different_images_are_refused() -> None:
    def teacher(name: str, size: int) -> Teacher:
        return Teacher(name, f"3x{size}x{size} images of 10 classes", lambda images: images)

    with pytest.raises(TrainError, match="the teacher b takes 3x8x8 images of 10 classes, the teacher a 3x9x9 images"):
        together([teacher("a", 9), teacher("c", 9), teacher("b", 8)])


def test_what_a_file_is_is_in_it(archive: Path, tmp_path: Path) -> None:
    """Not in its name, for a start and a teacher."""
    assert run(archive, tmp_path) == 0
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0
    (tmp_path / "model.npz").rename(tmp_path / "model.pt")
    (tmp_path / "checkpoint.pt").rename(tmp_path / "checkpoint.npz")
    for name in ("model.pt", "checkpoint.npz"):
        file = str(tmp_path / name)
        assert run(archive, tmp_path / name[0], "--start", file, "--teacher", file, "--distil", "0.5") == 0


def test_a_limit_is_of_the_run(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of other images is another; the card says how many validated."""
    assert run(archive, tmp_path, "--limit", "32") == 0
    capsys.readouterr()
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    assert saved["config"]["limit"] == 32 and saved["deploy_images"] == 21
    assert run(archive, tmp_path) == 1
    assert "is of another run: limit 32, not 0" in capsys.readouterr().err
    assert run(archive, tmp_path / "few", "--limit", "18") == 0
    assert export.main([str(tmp_path / "few" / "checkpoint.pt"), "-o", str(tmp_path / "few" / "m.npz")]) == 0
    assert load(tmp_path / "few" / "m.npz").meta["validation_images"] == 18


def test_a_run_starts_from_the_latent_weights_of_another(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All parameters are those of the checkpoint: a training that all but stands still leaves them."""
    assert run(archive, tmp_path / "first") == 0
    first = tmp_path / "first" / "checkpoint.pt"
    still = ("--lr", "1e-12", "--final-lr", "1e-12")
    assert run(archive, tmp_path / "second", "--start", str(first), *still) == 0
    old, new = (dict(load_network(path).named_parameters()) for path in (first, tmp_path / "second" / "checkpoint.pt"))
    for name, parameter in old.items():
        assert torch.allclose(parameter, new[name], rtol=0, atol=1e-6), name
    start = load_checkpoint(tmp_path / "second" / "checkpoint.pt")["config"]["start"]
    assert start == hashlib.sha256(first.read_bytes()).hexdigest()
    capsys.readouterr()
    wider = main(["tiny_bireal", "--data", str(archive), "-o", str(tmp_path / "other"), "--start", str(first)])
    assert wider == 1 and not (tmp_path / "other" / "checkpoint.pt").exists()
    assert capsys.readouterr().err == (
        f"error: checkpoint {first} has other layers than tiny_bireal: it cannot be the start\n"
    )


def test_start_gives_the_models_signs_and_thresholds(archive: Path, tmp_path: Path) -> None:
    assert run(archive, tmp_path) == 0
    started = load_network(tmp_path / "checkpoint.pt")
    with torch.no_grad():
        for block in started.each()[:-1]:  # the same network, but for the pools, every other channel flipped
            for part in (block.layer.weight, block.norm.weight, block.norm.running_mean):
                part[::2] *= -1
    model = export.export(started, ("red", "green", "blue"), {})
    assert any(layer.flip.any() for layer in model.layers[:-1])
    save(model, tmp_path / "model.npz")
    with np.load(tmp_path / "data.npz") as kept:
        images = torch.from_numpy(kept["x_train"])
    assert again(model, started, images) > 0.9
    with pytest.raises(TrainError, match="model tiny has other layers than cnv: it cannot be the start"):
        start_from(model)(BinaryNetwork(network("cnv")), images)
    assert run(archive, tmp_path / "tuned", "--start", str(tmp_path / "model.npz"), "--lr", "1e-3") == 0


def test_residual_network_trains_and_exports(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", str(archive), "-o", str(tmp_path), "--batch", "16", "--recipe", "bireal", "--epochs", "3"]
    assert main(["tiny_bireal", *options]) == 0
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0
    assert "export: 24 images, score mismatches = 0" in capsys.readouterr().out
    model = load(tmp_path / "model.npz")
    assert model.layers[2].inputs == ("conv2", "conv2") and model.layers[2].average_shortcut
    assert model.meta["test_correct"] >= 16
    assert again_from(model, tmp_path, Methods()) > 0.9
    assert again_from(model, tmp_path, Methods(threshold_shift=True)) > 0.9
    bits = BinaryNetwork(network("tiny_bireal"), Methods(activation_planes=2))
    start_from(model)(bits, torch.zeros(8, 3, 12, 12, dtype=torch.uint8))
    with pytest.raises(TrainError, match="model tiny_bireal has other layers than tiny: it cannot be the start"):
        start_from(model)(BinaryNetwork(network("tiny")), torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    out = tmp_path / "model.npz"
    options = ["--data", str(archive), "-o", str(tmp_path / "tuned"), "--batch", "16", "--epochs", "1"]
    assert main(["tiny_bireal", *options, "--recipe", "bireal", "--start", str(out), "--lr", "1e-3"]) == 0


@pytest.mark.parametrize("alpha", [False, True])
def test_start_gives_the_thresholds_exactly_in_evaluation(alpha: bool) -> None:
    """With statistics that are the images' own; but for channels all but constant, which are put within reach."""
    torch.manual_seed(4)
    model = random_model(network("tiny"))
    images = torch.randint(0, 256, (600, 3, 32, 32), dtype=torch.uint8)
    started = BinaryNetwork(network("tiny"), Methods(alpha=alpha))
    start_from(model)(started, images)
    assert started.training
    found = export.export(started.eval(), model.classes, {})
    for old, new, block in zip(model.layers[:-1], found.layers[:-1], started.each(), strict=False):
        within = (block.norm.bias.abs() < 2.99).numpy()
        assert within.sum() > 5 and np.array_equal(old.limits[:, within], new.limits[:, within]), old.name
    norm = started.each()[0].norm
    kept, norm.momentum = norm.running_mean.clone(), 1.0
    with torch.no_grad():
        started.train()(images)
    assert torch.allclose(norm.running_mean, kept, atol=1e-3)


def test_a_network_starts_from_the_first_layers_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    """Signs and thresholds of those that are alike; the others stay as drawn."""
    torch.manual_seed(4)
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    model = random_model(network("cnv"))
    started = BinaryNetwork(network("bireal_cnv")).train()
    third = started.each()[2].layer.weight.clone()
    start_from(model)(started, images)
    assert "start: 2 of 11 layers are those of CNV, conv2 the last" in capsys.readouterr().out
    for block, layer in zip(started.each()[:2], model.layers[:2], strict=True):
        wanted = 2.0 * torch.from_numpy(np.moveaxis(layer.weights, -1, 1).astype(np.float32)) - 1
        assert torch.equal(block.layer.weight.sign(), wanted), layer.name
    assert torch.equal(started.each()[2].layer.weight, third)


@pytest.mark.parametrize(
    ("options", "methods"),
    [
        (["--weight-bits", "2", "--activation-bits", "3"], Methods(weight_bits=(2,), activation_bits=(3,))),
        (["--recipe", "bwn"], Methods(activation_bits=(8,), alpha=True)),
    ],
)
def test_start_gives_back_values(options: list[str], methods: Methods, archive: Path, tmp_path: Path) -> None:
    given = ["--data", str(archive), "-o", str(tmp_path), "--batch", "16", "--epochs", "3", "--lr", "4e-3"]
    assert main(["tiny", *given, *options]) == 0
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0
    assert again_from(load(tmp_path / "model.npz"), tmp_path, methods) > 0.9


@pytest.mark.parametrize("name", ["lenet", "mnist_beat_wired"])
def test_start_takes_other_kernels_and_windows_of_one_bit_pixels(name: str) -> None:
    started = BinaryNetwork(network(name))
    for block in started.each():
        block.norm.momentum = 1.0  # the images' own statistics: with a tenth of them thresholds lie next to 0
    images = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    started.train()(images)
    assert again(export.export(started, tuple("0123456789"), {}), started, images) > 0.9


def again_from(model: Model, folder: Path, methods: Methods) -> float:
    """Share of the training images of `folder` whose class a network that starts from the model gives as well."""
    with np.load(folder / "data.npz") as kept:
        images = torch.from_numpy(kept["x_train"])
    net = replace(network(model.name), height=model.height, width=model.width, classes=len(model.classes))
    return again(model, BinaryNetwork(net, methods), images)


def again(model: Model, started: BinaryNetwork, images: torch.Tensor) -> float:
    """As `again_from`, for a network and images."""
    found = exported_again(model, started, images)
    for old, new in zip(model.layers, found.layers, strict=True):
        assert np.array_equal(old.weights, new.weights), old.name
    return agreement(model, found, images)


def exported_again(model: Model, started: BinaryNetwork, images: torch.Tensor) -> Model:
    """What a network whose weights are drawn anew is after it started from the model, with the images' statistics."""
    torch.manual_seed(3)
    for block in started.each():
        torch.nn.init.normal_(block.layer.weight)
        block.norm.reset_parameters()
    start_from(model)(started.train(), images)
    for block in started.each():
        block.norm.momentum = 1.0
    with torch.no_grad():
        started(images)
    return export.export(started.eval(), model.classes, {})


def agreement(old: Model, new: Model, images: torch.Tensor) -> float:
    """Share of the images to which both give the same class."""
    answers = [golden.infer(model, channels_last(images)).argmax(1) for model in (old, new)]
    return float((answers[0] == answers[1]).mean())


def channels_last(images: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))


def test_planes_and_bases_train_export_and_start(archive: Path, tmp_path: Path) -> None:
    """W1A2 from W1A1, taught; W2A2 from W1A2; and from itself with its own weights, nearly its thresholds."""
    two, four = ("--activation-planes", "2"), ("--activation-planes", "2", "--weight-bases", "2")

    def trained(name: str, *more: str) -> Path:
        assert run(archive, tmp_path / name, *more) == 0
        out = tmp_path / name / "model.npz"
        assert export.main([str(out.parent / "checkpoint.pt"), "-o", str(out)]) == 0
        return out

    w1a1 = trained("w1a1")
    assert run(archive, tmp_path / "real", "--real") == 0
    teacher = ("--distil", "0.5", "--teacher", str(tmp_path / "real" / "checkpoint.pt"))
    w1a2 = trained("w1a2", *two, "--start", str(w1a1), "--lr", "1e-3", *teacher)
    w2a2 = trained("w2a2", *four, "--start", str(w1a2), "--lr", "1e-3")
    model = load(w2a2)
    assert [(layer.planes, layer.bases) for layer in model.layers[:-1]] == [(2, 2)] * 3
    network_ = load_network(w2a2.parent / "checkpoint.pt")
    assert (network_.methods.activation_planes, network_.methods.weight_bases) == (2, 2)
    with np.load(tmp_path / "w2a2" / "data.npz") as kept:
        images = torch.from_numpy(kept["x_train"])
    found = exported_again(model, network_, images)
    for old, new in zip(model.layers, found.layers, strict=True):
        assert np.array_equal(old.weights, new.weights), old.name
    old_bits, new_bits = (golden.trace(item, channels_last(images))["conv2"] for item in (model, found))
    assert (old_bits == new_bits).mean() > 0.95
    with pytest.raises(TrainError, match="model tiny has other layers than tiny: it cannot be the start"):
        start_from(model)(BinaryNetwork(network("tiny")), images)


def test_abc_net_starts_from_one_base_and_plane(archive: Path, tmp_path: Path) -> None:
    """Weights of one magnitude are one base, and the model's own signs."""
    assert run(archive, tmp_path / "w1a1") == 0
    out = tmp_path / "w1a1" / "model.npz"
    assert export.main([str(out.parent / "checkpoint.pt"), "-o", str(out)]) == 0
    assert run(archive, tmp_path / "abc", "--recipe", "abc", "--start", str(out), "--lr", "1e-3") == 0
    model = load(out)
    started = BinaryNetwork(load_network(tmp_path / "abc" / "checkpoint.pt").network, RECIPES["abc"].methods)
    with np.load(tmp_path / "abc" / "data.npz") as kept:
        images = torch.from_numpy(kept["x_train"])
    found = exported_again(model, started, images)
    for block, layer in zip(started.each()[1:], model.layers[1:], strict=True):
        bases, alphas = block.layer.bases()
        combined = torch.einsum("om,mo...->o...", alphas.float(), bases)
        wanted = 0.2 * torch.from_numpy(np.moveaxis(layer.weights, -1, 1).astype(np.float32)) - 0.1
        assert torch.allclose(combined, wanted, atol=1e-4), layer.name
    assert agreement(model, found, images) > 0.9


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epochs", "0"], "error: --epochs is 0, expected at least 1"),
        (["--distil", "0.5"], "error: the recipe distils: give a teacher, a checkpoint or a model.npz"),
        (
            ["--teacher", "/none/checkpoint.pt"],
            "error: /none/checkpoint.pt: cannot be read (No such file or directory)",
        ),
        (["--teacher", str(ROOT / "models" / "cnv.npz")], "error: a teacher is given, expected its weight in the loss"),
        (["--lr", "-1"], "error: learning_rate is -1, expected above 0 to 100"),
        (["--lr", "nan"], "error: learning_rate is nan, expected above 0 to 100"),
        (["--lr", "0", "--schedule", "exponential"], "error: learning_rate is 0, expected above 0 to 100"),
        (["--final-lr", "-1"], "error: final_learning_rate is -1, expected from 0 to 100"),
        (["--crop", "-1"], "error: crop is -1, expected from 0 to 1024"),
        (["--crop", "12"], "error: crop is 12, expected less than the 12x12 pixels of an image"),
        (["--dropout", "1.5"], "error: dropout is 1.5, expected from 0 to 1"),
        (["--input-dropout", "-1"], "error: input_dropout is -1, expected from 0 to 1"),
        (["--weight-decay", "-1"], "error: weight_decay is -1, expected from 0 to 1"),
        (["--average", "2"], "error: average is 2, expected from 0 to 1"),
        (["--distil", "2"], "error: distil is 2, expected from 0 to 1"),
        (["--temperature", "0"], "error: temperature is 0, expected above 0 to 1000"),
        (["--warmup", "nan"], "error: warmup is nan, expected 0 to the 2 epochs"),
        (["--warmup", "3"], "error: warmup is 3, expected 0 to the 2 epochs"),
        (["--seed", "99999999999999999999"], "error: seed is 99999999999999999999, expected 0 to 4294967295"),
        (["--seed", "-1"], "error: seed is -1, expected 0 to 4294967295"),
        (["--consistent", "yes"], "error: consistent is yes, expected a teacher and its weight in the loss: --teacher"),
        (["--start", "/none/checkpoint.pt"], "error: /none/checkpoint.pt: cannot be read (No such"),
        (["--start", "/none/model.npz"], "error: /none/model.npz: cannot be read (No such"),
    ],
)
def test_unusable_options_are_one_line(
    more: list[str], message: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(archive, tmp_path, *more) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and message in error[0]


def test_unfinished_run_is_not_exported(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(archive, tmp_path) == 0
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    torch.save({**saved, "deploy": None, "epoch": 1}, tmp_path / "checkpoint.pt")
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 1
    assert "the training has not ended, 1 of 2 epochs are done" in capsys.readouterr().err
    assert not (tmp_path / "model.npz").exists()


def test_another_networks_checkpoint_is_refused_by_name(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(archive, tmp_path) == 0
    assert main(["sfc", "--data", str(archive), "-o", str(tmp_path), "--epochs", "2", "--batch", "16"]) == 1
    assert "is of another run: network tiny, not sfc" in capsys.readouterr().err
