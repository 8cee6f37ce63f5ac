"""The training loop."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from bnn.files import write_atomically
from bnn.geometry import walk
from bnn.model import MAX_WEIGHTS
from bnn.networks import Network
from bnn.networks import network as find_network
from bnn.text import first_line
from train.augment import crop_flip
from train.data import Arrays
from train.errors import TrainError
from train.methods import LOSSES, Methods, ShiftAdaMax, average_, clip_, distillation, glorot_rate
from train.module import BinaryNetwork
from train.parameters import ParameterError, check_network
from train.recipes import GLOROT, INITIAL, OPTIMIZERS, SCHEDULES, Recipe

CHECKPOINT_FORMAT = "bnn-checkpoint-2"
#: images over which the batch norms are measured again after the last epoch
SETTLE_IMAGES = 12_800
FIELDS = {"config": dict, "epoch": int, "model": dict, "optimizer": dict, "average": dict, "history": list}
"""What a checkpoint holds beside ``format`` and ``deploy``, the network to deploy or None, and what kinds these are."""
LOG_FIELDS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Config:
    """What defines a run: two runs with equal configurations give equal results.

    ``shape`` (height, width, channels) and ``classes`` replace those of the network's table,
    ``pad_value`` that of its padding; 0 keeps them.
    """

    network: str
    recipe: Recipe
    dataset: str = ""
    seed: int = 1
    shape: tuple[int, ...] = ()
    classes: int = 0
    pad_value: int = 0
    bf16: bool = False  # layers in bfloat16 while training, for GPUs
    teacher: str = ""  # sha256 of the teacher's checkpoint
    start: str = ""  # sha256 of the model that the weights start from


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain numbers, strings and lists, for checkpoints and models."""
    result: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return result


def from_dict(fields: dict[str, Any]) -> Config:
    """The reverse of :func:`to_dict`.

    Raises:
        TrainError: the fields are those of another version.
    """
    try:
        given = dict(fields)
        recipe = dict(given.pop("recipe"))
        recipe["methods"] = Methods(**recipe["methods"])
        given["shape"] = tuple(given["shape"])
        numbers = (*given["shape"], given.get("classes", 0))
        if len(given["shape"]) not in (0, 3) or not all(type(item) is int and item >= 0 for item in numbers):
            raise TypeError(f"shape {given['shape']} and {given.get('classes', 0)} classes")
        return Config(recipe=Recipe(**recipe), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainError(f"configuration of the checkpoint is not of this version: {error}") from None


def topology(config: Config) -> Network:
    """The network of a run, with the data's shape and classes."""
    network = find_network(config.network)
    changes: dict[str, Any] = {}
    if config.shape:
        changes = dict(zip(("height", "width", "channels"), config.shape, strict=True))
    if config.classes:
        changes["classes"] = config.classes
    if config.pad_value:
        changes["pad_value"] = config.pad_value
    return replace(network, **changes)


def differences(wanted: dict[str, Any], found: dict[str, Any], prefix: str = "") -> list[str]:
    """What two configurations differ in, as ``name found, not wanted``."""
    result = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result += differences(value, other, f"{prefix}{key}.")
        elif other != value:
            result.append(f"{prefix}{key} {other}, not {value}")
    return result


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate at ``step`` of ``steps``.

    Raises:
        TrainError: unknown schedule.
    """
    start, end = recipe.learning_rate, recipe.final_learning_rate
    progress = step / max(1, steps)
    epoch = int(progress * recipe.epochs + 1e-9)
    if recipe.schedule == "cosine":
        rate = end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
    elif recipe.schedule == "exponential":
        rate = start * float((end / start) ** (epoch / recipe.epochs))
    elif recipe.schedule == "halving":
        rate = start * 0.5 ** int(10 * epoch / recipe.epochs)
    else:
        raise TrainError(f"schedule '{recipe.schedule}' is unknown: choose one of {', '.join(SCHEDULES)}")
    warm = recipe.warmup / recipe.epochs
    return rate * min(1.0, (step + 1) / max(1.0, warm * steps))


def make_optimizer(model: BinaryNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer, one parameter group for each learning-rate scale.

    Each group's ``scale`` multiplies the learning rate; weight decay acts on latent weights only.

    Raises:
        TrainError: unknown optimizer or scaling.
    """
    if recipe.glorot not in GLOROT:
        raise TrainError(f"glorot '{recipe.glorot}' is unknown: choose one of {', '.join(GLOROT)}")
    groups: list[dict[str, Any]] = []
    weights = set()
    for block in model.each():
        weight = block.layer.weight
        weights.add(id(weight))
        taps = weight[0, 0].numel()
        scale = 1.0
        if recipe.glorot != "none":
            scale = glorot_rate(weight.shape[1] * taps, weight.shape[0] * taps, recipe.glorot == "power_of_two")
        groups.append({"params": [weight], "scale": scale, "weight_decay": recipe.weight_decay})
    others = [parameter for parameter in model.parameters() if id(parameter) not in weights]
    groups.append({"params": others, "scale": 1.0, "weight_decay": 0.0})
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9)
    if recipe.optimizer == "adamax_shift":
        return ShiftAdaMax(groups, lr=recipe.learning_rate)
    raise TrainError(f"optimizer '{recipe.optimizer}' is unknown: choose one of {', '.join(OPTIMIZERS)}")


def initialise(model: BinaryNetwork, recipe: Recipe) -> None:
    """Draw the latent weights: PyTorch's U(-1, 1) / sqrt(fan_in) is there already, or U(-1, 1).

    Raises:
        TrainError: unknown kind.
    """
    if recipe.initial not in INITIAL:
        raise TrainError(f"initial '{recipe.initial}' is unknown: choose one of {', '.join(INITIAL)}")
    if recipe.initial == "unit":
        for block in model.each():
            torch.nn.init.uniform_(block.layer.weight, -1.0, 1.0)


def clip(model: BinaryNetwork, recipe: Recipe) -> None:
    """Clip what the recipe clips to [-1, 1]."""
    if recipe.clip == "weights":
        model.clip_weights()
    elif recipe.clip == "all":
        clip_(model.parameters())


def world() -> tuple[int, int]:
    """(rank, number of processes)."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def pick_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def batches(seed: int, batch: int, count: int, epoch: int) -> Iterator[Tensor]:
    """Index tensors of an epoch for this process; the order depends on seed and epoch only.

    Each process gets its share of every global batch; the last, incomplete
    batch is dropped.
    """
    rank, processes = world()
    share = batch // processes
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
    for start in range(0, count - batch + 1, batch):
        yield order[start + rank * share : start + (rank + 1) * share]


@torch.no_grad()
def accuracy(model: BinaryNetwork, images: Tensor, labels: Tensor, batch: int = 256) -> float:
    """Share of images (N, C, H, W) uint8 whose highest score is the label's, in eval mode."""
    training = model.training
    model.eval()
    right = 0
    for start in range(0, len(images), batch):
        scores = model(images[start : start + batch])
        right += int((scores.argmax(1) == labels[start : start + batch]).sum())
    model.train(training)
    return right / max(1, len(images))


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, then rename it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        TrainError: missing, damaged or of another format.
    """
    try:
        content = torch.load(path, map_location=device or "cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainError(f"checkpoint {path} does not exist") from None
    except Exception as error:  # torch.load raises many kinds
        raise TrainError(f"checkpoint {path} cannot be read: {first_line(error)}") from None
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise TrainError(f"checkpoint {path} is not of format {CHECKPOINT_FORMAT}")
    for key, kind in FIELDS.items():
        if not isinstance(content.get(key), kind):
            raise TrainError(f"checkpoint {path}: {key} is {_kind(content.get(key))}, expected {kind.__name__}")
    if not isinstance(content.get("deploy"), (dict, type(None))):
        raise TrainError(f"checkpoint {path}: deploy is {_kind(content['deploy'])}, expected the tensors of a network")
    return content


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__


def load_state(model: BinaryNetwork, state: dict[str, Any], path: Path) -> None:
    """Put the tensors of a checkpoint into a network.

    Raises:
        TrainError: names the tensor that is missing, unknown or of another shape, or the parameter that cannot be.
    """
    wanted = model.state_dict()
    if any(name.startswith("module.") for name in state):
        raise TrainError(f"checkpoint {path}: tensors are named module. ..., as DistributedDataParallel names them: "
                         "save those of its module")
    for name, tensor in wanted.items():
        found = state.get(name)
        if not isinstance(found, Tensor):
            raise TrainError(f"checkpoint {path}: tensor {name} is {_kind(found)}, expected {tuple(tensor.shape)}")
        if found.shape != tensor.shape:
            raise TrainError(
                f"checkpoint {path}: tensor {name} is {tuple(found.shape)}, expected {tuple(tensor.shape)}"
            )
    unknown = [name for name in state if name not in wanted]
    if unknown:
        raise TrainError(f"checkpoint {path}: tensor {unknown[0]} is unknown to {model.network.name}")
    model.load_state_dict(state)


def load_network(path: Path) -> BinaryNetwork:
    """The network to deploy of a checkpoint, on the CPU, in evaluation.

    Raises:
        TrainError: missing, damaged, or its training has not ended.
    """
    saved = load_checkpoint(path)
    config = from_dict(saved["config"])
    if "deploy" not in saved:
        raise TrainError(f"checkpoint {path}: deploy is missing, expected the tensors of a network")
    if saved["deploy"] is None:
        done = f"{saved['epoch']} of {config.recipe.epochs} epochs are done"
        raise TrainError(f"checkpoint {path}: the training has not ended, {done}")
    network = topology(config)
    for item in walk(network):  # before anything of that size is allocated
        if min(item.output) < 1 or item.weight_bits > MAX_WEIGHTS:
            size = f"images of {network.height}x{network.width}x{network.channels}"
            raise TrainError(f"checkpoint {path}: {size} give {item.name} {max(item.weight_bits, 0)} weights, "
                             f"expected 1 to {MAX_WEIGHTS}")
    model = BinaryNetwork(network, config.recipe.methods)
    load_state(model, saved["deploy"], path)
    model.set_progress(1.0)
    model.eval()
    try:
        check_network(model)
    except ParameterError as error:
        raise TrainError(f"checkpoint {path}: {error}") from None
    return model


def write_log(folder: Path, history: list[dict[str, float]]) -> None:
    """Write ``log.csv``, and ``curves.png`` where matplotlib is installed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_FIELDS)
    writer.writeheader()
    writer.writerows(history)
    temporary = folder / ".log.csv"
    temporary.write_text(text.getvalue())
    os.replace(temporary, folder / "log.csv")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5))
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["train_loss"] for row in history])
    left.set(xlabel="epoch", ylabel="training loss")
    for key, label in (("train_accuracy", "training (augmented)"), ("val_accuracy", "validation")):
        right.plot(epochs, [100 * row[key] for row in history], label=label)
    right.set(xlabel="epoch", ylabel="accuracy [%]")
    right.legend()
    figure.tight_layout()
    figure.savefig(folder / ".curves.png", dpi=110)
    pyplot.close(figure)
    os.replace(folder / ".curves.png", folder / "curves.png")


@torch.no_grad()
def teacher_scores(teacher: BinaryNetwork, images: Tensor, batch: int = 256) -> Tensor:
    """The teacher's scores of each image and of its mirror image, float32 (2, N, classes)."""
    teacher.eval()
    rows: list[list[Tensor]] = [[], []]
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        for row, x in zip(rows, (part, part.flip(3)), strict=True):
            row.append(teacher(x.contiguous(memory_format=torch.channels_last)).float())
    return torch.stack([torch.cat(row) for row in rows])


@torch.no_grad()
def settle(model: BinaryNetwork, config: Config, images: Tensor, count: int) -> None:
    """Measure the batch norms' statistics again: the mean over ``count`` batches of fixed weights."""
    recipe = config.recipe
    norms = [block.norm for block in model.each()]
    momenta = [norm.momentum for norm in norms]
    model.train()
    draw = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    for step, index in enumerate(batches(config.seed, recipe.batch, len(images), 1_000_003)):
        if step == count:
            break
        for norm in norms:
            norm.momentum = 1.0 / (step + 1)
        x, _ = crop_flip(images[index.to(images.device)], draw, recipe.crop, recipe.flip)
        model(x.contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def stop_if_bad(recipe: Recipe, first_bad: Tensor, epoch: int, steps: int) -> None:
    """Stop where a loss was not finite.

    Args:
        recipe: of the run.
        first_bad: step of ``epoch`` whose loss was the first that is not finite, -1 for none.
        epoch, steps: from 0, and steps per epoch.

    Raises:
        TrainError: names epoch, step (both from 1) and learning rate.
    """
    step = int(first_bad)
    if step >= 0:
        rate = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
        raise TrainError(f"loss is not finite at epoch {epoch + 1}, step {step + 1}, learning rate {rate:g}")


def check_data(network: Network, recipe: Recipe, data: Arrays) -> None:
    """Refuse data that the network cannot take, or too few images.

    Raises:
        TrainError: says what is wrong.
    """
    processes = world()[1]
    if recipe.batch > len(data["x"]):
        raise TrainError(f"batch of {recipe.batch} is larger than the {len(data['x'])} training images")
    if recipe.batch % processes:
        raise TrainError(f"batch of {recipe.batch} is not a multiple of the {processes} processes")
    wanted = (network.channels, network.height, network.width)
    if data["x"].shape[1:] != wanted:
        raise TrainError(f"images are {data['x'].shape[1:]}, {network.name} takes {wanted}")
    if int(data["y"].max()) >= network.classes:
        raise TrainError(f"labels go up to {data['y'].max()}, {network.name} has {network.classes} classes")


def check_teacher(network: Network, teacher: BinaryNetwork | None) -> None:
    """Refuse a distillation without a teacher, or with one of other images or classes.

    Raises:
        TrainError: says what is wrong.
    """
    if teacher is None:
        raise TrainError("the recipe distils: give the checkpoint of a teacher")
    other = teacher.network
    takes, wanted = (
        f"{net.channels}x{net.height}x{net.width} images of {net.classes} classes" for net in (other, network)
    )
    if takes != wanted:
        raise TrainError(f"the teacher {other.name} takes {takes}, {network.name} {wanted}")


def train(
    config: Config,
    data: Arrays,
    validation: Arrays,
    folder: Path,
    compile_step: bool = False,
    stop_after: int | None = None,
    teacher: BinaryNetwork | None = None,
    start: Callable[[BinaryNetwork, Tensor], None] | None = None,
) -> BinaryNetwork:
    """Train, or go on with, a network.

    Args:
        config: the run.
        data, validation: ``x`` uint8 (N, C, H, W) and ``y`` uint8 (N,).
        folder: holds ``checkpoint.pt``, ``log.csv`` and ``curves.png``; a checkpoint
            there of the same configuration is resumed.
        compile_step: use ``torch.compile`` (needs a C++ compiler on the CPU).
        stop_after: end after so many epochs, as an interruption would.
        teacher: float32 network of the distillation, where the recipe has one.
        start: sets the first weights of a run that is not resumed, given training images.

    Returns:
        the network to deploy: of the last weights and their average, where the recipe has one,
        that with the better validation accuracy; batch norms settled.

    Raises:
        TrainError: checkpoint of another run, unsuitable data, loss not finite.
    """
    rank, processes = world()
    recipe = config.recipe
    network = topology(config)
    check_data(network, recipe, data)
    if recipe.loss not in LOSSES:
        raise TrainError(f"loss '{recipe.loss}' is unknown: choose one of {', '.join(LOSSES)}")
    if recipe.distil:
        check_teacher(network, teacher)
    loss_function = LOSSES[recipe.loss]
    device = pick_device()
    torch.manual_seed(config.seed)
    model = BinaryNetwork(network, recipe.methods)
    initialise(model, recipe)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, recipe)
    average: dict[str, Tensor] = {}
    history: list[dict[str, float]] = []
    first = 0
    path = folder / "checkpoint.pt"
    images, labels = torch.from_numpy(data["x"]).to(device), torch.from_numpy(data["y"]).long().to(device)
    if path.exists():
        saved = load_checkpoint(path, device)
        # fields that the checkpoint lacks have their defaults
        different = differences(to_dict(config), to_dict(from_dict(saved["config"])))
        if different:
            raise TrainError(f"checkpoint {path} is of another run: {', '.join(different)}")
        load_state(model, saved["model"], path)
        try:
            optimizer.load_state_dict(saved["optimizer"])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainError(f"checkpoint {path}: optimizer cannot go on ({first_line(error)})") from None
        average, history, first = saved["average"], saved["history"], saved["epoch"]
    else:
        if start is not None:
            start(model, images)
        if recipe.average:
            average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    folder.mkdir(parents=True, exist_ok=True)

    val_images = torch.from_numpy(validation["x"]).to(device)
    val_labels = torch.from_numpy(validation["y"]).long().to(device)
    softened: Tensor | None = None
    if recipe.distil and teacher is not None and first < recipe.epochs:
        softened = teacher_scores(teacher.to(device), images)
    step_model: torch.nn.Module = model
    if processes > 1:
        step_model = DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    if compile_step:
        step_model = torch.compile(step_model)  # type: ignore[assignment]

    steps = len(images) // recipe.batch
    for epoch in range(first, recipe.epochs):
        if stop_after is not None and epoch >= stop_after:
            return model
        started = time.time()
        model.train()
        model.set_progress(epoch / recipe.epochs)
        torch.manual_seed(config.seed * 7919 + epoch * processes + rank)
        draw = torch.Generator().manual_seed((config.seed * 7919 + epoch) * processes + rank)
        loss_sum = torch.zeros((), device=device)
        right = torch.zeros((), device=device)
        first_bad = torch.full((), -1, device=device)
        bar = tqdm(
            batches(config.seed, recipe.batch, len(images), epoch),
            total=steps,
            desc=f"epoch {epoch + 1}/{recipe.epochs}",
            disable=rank != 0 or not sys.stderr.isatty(),
            leave=False,
        )
        rate = recipe.learning_rate
        for step, index in enumerate(bar):
            rate = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            index = index.to(device)
            x, y = images[index], labels[index]
            x, flipped = crop_flip(x, draw, recipe.crop, recipe.flip)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
                scores = step_model(x.contiguous(memory_format=torch.channels_last)).float()
            loss = loss_function(scores, y)
            if softened is not None:
                wanted = softened[flipped.long(), index]
                loss = (1 - recipe.distil) * loss + recipe.distil * distillation(scores, wanted, recipe.temperature)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            clip(model, recipe)
            if average:
                average_(average, model, recipe.average)
            loss_sum += loss.detach()
            right += (scores.argmax(1) == y).sum()
            first_bad = torch.where((first_bad < 0) & ~torch.isfinite(loss.detach()), step, first_bad)
            if step % 50 == 0 or step == steps - 1:  # a GPU waits here
                stop_if_bad(recipe, first_bad, epoch, steps)
        if processes > 1:
            dist.all_reduce(loss_sum)
            dist.all_reduce(right)
        mean_loss = float(loss_sum) / (steps * processes)
        if rank == 0:
            history.append(
                {
                    "epoch": epoch + 1,
                    "learning_rate": rate,
                    "train_loss": round(mean_loss, 5),
                    "train_accuracy": round(float(right) / (steps * recipe.batch), 5),
                    "val_accuracy": round(accuracy(model, val_images, val_labels), 5),
                    "seconds": round(time.time() - started, 1),
                }
            )
            save_checkpoint(
                path,
                {
                    "format": CHECKPOINT_FORMAT,
                    "config": to_dict(config),
                    "epoch": epoch + 1,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average,
                    "history": history,
                    "deploy": None,
                },
            )
            write_log(folder, history)
            row = history[-1]
            print(
                f"epoch {epoch + 1}/{recipe.epochs}: loss {row['train_loss']:.4f}, "
                f"validation {100 * row['val_accuracy']:.2f} %, {row['seconds']:.0f} s",
                flush=True,
            )
    return deploy(model, config, average, images, val_images, val_labels, path)


def deploy(
    model: BinaryNetwork,
    config: Config,
    average: dict[str, Tensor],
    images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    path: Path,
) -> BinaryNetwork:
    """Settle the last weights and their average, and store the better one in the checkpoint as ``deploy``."""
    if dist.is_initialized():
        dist.barrier()  # the checkpoint is written by the first process
    saved = load_checkpoint(path, images.device)
    if saved["deploy"] is not None:
        load_state(model, saved["deploy"], path)
        return model.eval()
    candidates = {"last": model}
    if average:
        averaged = BinaryNetwork(model.network, model.methods).to(images.device)
        averaged.load_state_dict(model.state_dict())
        averaged.load_state_dict(average, strict=False)
        averaged.set_progress(1.0)
        candidates["average"] = averaged.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = {}
    for name, candidate in candidates.items():
        settle(candidate, config, images, SETTLE_IMAGES // config.recipe.batch)
        found[name] = accuracy(candidate, val_images, val_labels)
    best = max(found, key=lambda name: found[name])
    if world()[0] == 0:
        saved["deploy"] = candidates[best].state_dict()
        saved["deploy_accuracy"] = found[best]
        save_checkpoint(path, saved)
        listed = ", ".join(f"{name} {100 * value:.2f} %" for name, value in found.items())
        print(f"settled: validation {listed}", flush=True)
    return candidates[best].eval()
