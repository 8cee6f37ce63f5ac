"""The training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from bnn.networks import Network
from bnn.output import note, progress, result, table
from train.augment import crop_flip
from train.checkpoint import CHECKPOINT_FORMAT, check_tensor, load_checkpoint, load_state, save_checkpoint
from train.config import Config, differences, from_dict, to_dict, topology
from train.data import Arrays
from train.errors import TrainError
from train.log import LOG_FIELDS, write_log
from train.methods import LOSSES, average_, distillation
from train.module import BinaryNetwork
from train.optimizer import clip, initialise, learning_rate, make_optimizer
from train.processes import pick_device, world
from train.recipes import Recipe
from train.start import CALIBRATION_IMAGES
from train.teacher import Lesson, Teacher, lessons, taken

Row = dict[str, float]  # of the log, see train.log.LOG_FIELDS
Start = Callable[[BinaryNetwork, Tensor], None]  # sets first weights, given images as the training sees them

SETTLE_IMAGES = 12_800
"""Images over which the batch norms are measured again after the last epoch, or before the first with fixed ones."""
SEEDS = 1 << 32
"""Seeds are below it, so that those of an epoch, which are made from them, fit in 64 bits."""


@dataclass
class State:
    """What changes from epoch to epoch, and what a checkpoint holds of it."""

    model: BinaryNetwork
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] = field(default_factory=dict)  # of the parameters, where the recipe has one
    history: list[Row] = field(default_factory=list)
    epoch: int = 0  # epochs done


@dataclass(frozen=True)
class Images:
    """Images uint8 (N, C, H, W) and labels (N,) on the device that trains."""

    x: Tensor
    y: Tensor

    @staticmethod
    def of(arrays: Arrays, device: torch.device) -> Images:
        """Those of arrays `x` and `y`."""
        return Images(torch.from_numpy(arrays["x"]).to(device), torch.from_numpy(arrays["y"]).long().to(device))


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


@torch.no_grad()
def settle(model: BinaryNetwork, config: Config, images: Tensor) -> None:
    """Measure the batch norms' statistics again: the mean over batches of SETTLE_IMAGES with fixed weights."""
    recipe = config.recipe
    count = SETTLE_IMAGES // recipe.batch
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
        first_bad: step of `epoch` whose loss was the first that is not finite, -1 for none.
        epoch, steps: from 0, and steps per epoch.

    Raises:
        TrainError: names epoch, step (both from 1) and learning rate.
    """
    step = int(first_bad)
    if step >= 0:
        rate = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
        raise TrainError(f"loss is not finite at epoch {epoch + 1}, step {step + 1}, learning rate {rate:g}")


def check(config: Config, data: Arrays, teacher: Teacher | None) -> None:
    """Refuse a run that cannot be.

    Raises:
        TrainError: says what is wrong.
    """
    network, recipe = topology(config), config.recipe
    recipe.check()
    if not 0 <= config.seed < SEEDS:
        raise TrainError(f"seed is {config.seed}, expected 0 to {SEEDS - 1}")
    check_data(network, recipe, data)
    if recipe.loss not in LOSSES:
        raise TrainError(f"loss '{recipe.loss}' is unknown: choose one of {', '.join(LOSSES)}")
    if teacher is not None and not recipe.distil:
        raise TrainError("a teacher is given, expected its weight in the loss as well: --distil")
    if recipe.consistent and not recipe.distil:
        raise TrainError("consistent is yes, expected a teacher and its weight in the loss: --teacher, --distil")
    if recipe.distil:
        check_teacher(network, teacher)


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
    if recipe.crop >= min(wanted[1:]):
        raise TrainError(f"crop is {recipe.crop}, expected less than the {wanted[1]}x{wanted[2]} pixels of an image")
    if data["x"].shape[1:] != wanted:
        raise TrainError(f"images are {data['x'].shape[1:]}, {network.name} takes {wanted}")
    if int(data["y"].max()) >= network.classes:
        raise TrainError(f"labels go up to {data['y'].max()}, {network.name} has {network.classes} classes")


def check_teacher(network: Network, teacher: Teacher | None) -> None:
    """Refuse a distillation without a teacher, or with one of other images or classes.

    Raises:
        TrainError: says what is wrong.
    """
    if teacher is None:
        raise TrainError("the recipe distils: give a teacher, a checkpoint or a model.npz")
    wanted = taken(network, network.classes)
    if teacher.takes != wanted:
        raise TrainError(f"the teacher {teacher.name} takes {teacher.takes}, {network.name} {wanted}")


def begin(config: Config, path: Path, images: Tensor, start: Start | None) -> State:
    """The state of a new run, or that of its checkpoint.

    Raises:
        TrainError: the checkpoint is of another run, or damaged.
    """
    recipe = config.recipe
    torch.manual_seed(config.seed)
    model = BinaryNetwork(topology(config), recipe.methods)
    initialise(model, recipe)
    model.to(images.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(model, make_optimizer(model, recipe))
    if not path.exists():
        if start is not None:
            draw = torch.Generator().manual_seed(config.seed)
            some = torch.randperm(len(images), generator=draw)[:CALIBRATION_IMAGES].to(images.device)
            start(model, crop_flip(images[some], draw, recipe.crop, recipe.flip)[0])
        if recipe.average:
            state.average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        return state
    saved = load_checkpoint(path, images.device)
    # fields that the checkpoint lacks have their defaults
    different = differences(to_dict(config), to_dict(from_dict(saved["config"])))
    if different:
        raise TrainError(f"checkpoint {path} is of another run: {', '.join(different)}")
    load_state(model, saved["model"], path)
    check_progress(state, recipe, saved, path)
    # how it moves is the recipe's; the checkpoint has what it moved by so far
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": saved["optimizer"]["state"]})
    state.average, state.history, state.epoch = saved["average"], saved["history"], saved["epoch"]
    return state


def check_progress(state: State, recipe: Recipe, saved: dict[str, Any], path: Path) -> None:
    """Hold what a checkpoint says of a run, beside its weights, against a new run of the same configuration.

    Raises:
        TrainError: names what cannot be gone on from.
    """
    where = f"checkpoint {path}:"
    if not 0 <= saved["epoch"] <= recipe.epochs:
        raise TrainError(f"{where} epoch is {saved['epoch']}, expected 0 to {recipe.epochs}")
    for number, row in enumerate(saved["history"]):
        known = isinstance(row, dict) and set(row) == set(LOG_FIELDS)
        if not known or not all(isinstance(value, (int, float)) for value in row.values()):
            raise TrainError(f"{where} history, row {number}: expected numbers of {', '.join(LOG_FIELDS)}")
    parameters = dict(state.model.named_parameters()) if recipe.average else {}
    if set(saved["average"]) != set(parameters):
        raise TrainError(f"{where} average is of {len(saved['average'])} tensors, expected {len(parameters)}")
    for name, parameter in parameters.items():
        check_tensor(f"{where} average of {name}", saved["average"][name], parameter)
    moved, wanted = saved["optimizer"].get("state"), _moved(state.model, recipe)
    if not isinstance(moved, dict) or not set(moved) <= set(wanted):
        raise TrainError(f"{where} optimizer has no state of {len(wanted)} parameters, expected one")
    for number, parts in moved.items():
        if not isinstance(parts, dict) or set(parts) != set(wanted[number]):
            raise TrainError(f"{where} optimizer, parameter {number}: expected {', '.join(wanted[number])}")
        for key, value in wanted[number].items():
            check_tensor(f"{where} optimizer, parameter {number}: {key}", parts[key], value)


def _moved(model: BinaryNetwork, recipe: Recipe) -> dict[int, dict[str, Tensor]]:
    """The state of an optimizer that has made a step, by the parameter's number: tensors, of every optimizer."""
    model = copy.deepcopy(model)
    optimizer = make_optimizer(model, recipe)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    found: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return found


def keep(state: State, config: Config, path: Path, command: str) -> None:
    """Write the checkpoint that the run goes on from, and the log beside it."""
    content = {
        "format": CHECKPOINT_FORMAT,
        "config": to_dict(config),
        "epoch": state.epoch,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "history": state.history,
        "command": command,
        "deploy": None,
    }
    save_checkpoint(path, content)
    write_log(path.parent, state.history)


def train_epoch(
    state: State, step_model: torch.nn.Module, config: Config, images: Images, lesson: Lesson | None
) -> Row:
    """One epoch; the row of the log without the validation.

    Args:
        state: its model, optimizer and average move; its epoch does not.
        step_model: the model as it is called, compiled or of several processes.
        config: the run.
        images: for training.
        lesson: what the teacher says of a batch; None without one.

    Raises:
        TrainError: a loss is not finite.
    """
    rank, processes = world()
    recipe, epoch, device = config.recipe, state.epoch, images.x.device
    loss_function = LOSSES[recipe.loss]
    steps = len(images.x) // recipe.batch
    if epoch == recipe.fixed_from:
        settle(state.model, config, images.x)
    state.model.train()
    if epoch >= recipe.fixed_from:
        for block in state.model.each():
            block.norm.eval()
    state.model.set_progress(epoch / recipe.epochs)
    torch.manual_seed(config.seed * 7919 + epoch * processes + rank)
    draw = torch.Generator().manual_seed((config.seed * 7919 + epoch) * processes + rank)
    loss_sum = torch.zeros((), device=device)
    right = torch.zeros((), device=device)
    first_bad = torch.full((), -1, device=device)
    bar: Iterable[Tensor] = batches(config.seed, recipe.batch, len(images.x), epoch)
    if rank == 0:
        bar = progress(bar, f"epoch {epoch + 1}/{recipe.epochs}", steps)
    rate = recipe.learning_rate
    for step, index in enumerate(bar):
        rate = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        index = index.to(device)
        x, y = images.x[index], images.y[index]
        x, flipped = crop_flip(x, draw, recipe.crop, recipe.flip)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            scores = step_model(x.contiguous(memory_format=torch.channels_last)).float()
        loss = loss_function(scores, y)
        if lesson is not None:
            with torch.no_grad():
                wanted = lesson(x, index, flipped)
            loss = (1 - recipe.distil) * loss + recipe.distil * distillation(scores, wanted, recipe.temperature)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        clip(state.model, recipe)
        if state.average:
            average_(state.average, state.model, recipe.average)
        loss_sum += loss.detach()
        right += (scores.argmax(1) == y).sum()
        first_bad = torch.where((first_bad < 0) & ~torch.isfinite(loss.detach()), step, first_bad)
        if step % 50 == 0 or step == steps - 1:  # a GPU waits here
            stop_if_bad(recipe, first_bad, epoch, steps)
    if processes > 1:
        dist.all_reduce(loss_sum)
        dist.all_reduce(right)
    return {
        "epoch": epoch + 1,
        "learning_rate": rate,
        "train_loss": round(float(loss_sum) / (steps * processes), 5),
        "train_accuracy": round(float(right) / (steps * recipe.batch), 5),
    }


def train(
    config: Config,
    data: Arrays,
    validation: Arrays,
    folder: Path,
    compile_step: bool = False,
    stop_after: int | None = None,
    teacher: Teacher | None = None,
    start: Start | None = None,
    command: str = "",
) -> BinaryNetwork:
    """Train, or go on with, a network.

    Args:
        config: the run.
        data, validation: `x` uint8 (N, C, H, W) and `y` uint8 (N,).
        folder: holds `checkpoint.pt`, `log.csv` and `curves.png`; a checkpoint
            there of the same configuration is resumed.
        compile_step: use `torch.compile` (needs a C++ compiler on the CPU).
        stop_after: end after so many epochs, as an interruption would.
        teacher: of the distillation, where the recipe has one.
        start: sets the first weights of a run that is not resumed, given images as the training sees them.
        command: the call of bnn, kept in the checkpoint.

    Returns:
        the network to deploy: of the last weights and their average, where the recipe has one,
        that with the better validation accuracy; batch norms settled or fixed.

    Raises:
        TrainError: checkpoint of another run, unsuitable data, loss not finite.
        KeyboardInterrupt: as it comes; it says where the run goes on.
    """
    rank, processes = world()
    recipe, device = config.recipe, pick_device()
    check(config, data, teacher)
    path = folder / "checkpoint.pt"
    images, held_out = Images.of(data, device), Images.of(validation, device)
    state = begin(config, path, images.x, start)
    if rank == 0 and state.epoch >= recipe.epochs:
        note(f"finished before: all {recipe.epochs} epochs are done, {path}")
    lesson = None
    if recipe.distil and teacher is not None and state.epoch < recipe.epochs:
        lesson = lessons(teacher, images.x, recipe.consistent)
    step_model: torch.nn.Module = state.model
    if processes > 1:
        step_model = DistributedDataParallel(state.model, [device.index] if device.type == "cuda" else None)
    if compile_step:
        step_model = torch.compile(step_model)  # type: ignore[assignment]
    try:
        while state.epoch < recipe.epochs:
            if stop_after is not None and state.epoch >= stop_after:
                return state.model
            started = time.time()
            row = train_epoch(state, step_model, config, images, lesson)
            state.epoch += 1
            if rank == 0:
                row["val_accuracy"] = round(accuracy(state.model, held_out.x, held_out.y), 5)
                row["seconds"] = round(time.time() - started, 1)
                state.history.append(row)
                keep(state, config, path, command)
                note(
                    f"epoch {state.epoch:{len(str(recipe.epochs))}}/{recipe.epochs}: loss {row['train_loss']:.4f}, "
                    f"validation {100 * row['val_accuracy']:.2f} %, {row['seconds']:.0f} s{_left(state, recipe)}"
                )
        network = deploy(state, config, images.x, held_out, path)
    except KeyboardInterrupt:
        done = load_checkpoint(path)["epoch"] if path.exists() else 0
        said = f"{done} of {recipe.epochs} epochs are done, the same command goes on from there"
        raise KeyboardInterrupt(said) from None
    if rank == 0:
        _summary(state, network, held_out, path)
    return network


def _left(state: State, recipe: Recipe) -> str:
    """The time that the other epochs will take, as text; "" for none."""
    rest = recipe.epochs - state.epoch
    seconds = rest * float(state.history[-1]["seconds"])
    return (f", {seconds / 60:.0f} min left" if seconds > 120 else f", {seconds:.0f} s left") if rest else ""


def _summary(state: State, network: BinaryNetwork, held_out: Images, path: Path) -> None:
    """What a training that has ended came to, as a table."""
    if not state.history:
        return
    best = max(state.history, key=lambda row: row["val_accuracy"])
    seconds = sum(float(row["seconds"]) for row in state.history)
    final = load_checkpoint(path)["deploy_accuracy"]
    rows = [
        ["epochs", str(state.epoch)],
        ["best validation", f"{100 * best['val_accuracy']:.2f} %, epoch {best['epoch']:.0f}"],
        ["deployed validation", f"{100 * final:.2f} % of {len(held_out.y)} images"],
        ["time", f"{seconds / 60:.1f} min, {seconds / max(1, len(state.history)):.1f} s an epoch"],
        ["checkpoint", str(path)],
    ]
    result(
        table(["trained", network.network.name], rows),
        epochs=state.epoch,
        validation_accuracy=final,
        best_validation_accuracy=best["val_accuracy"],
        seconds=seconds,
        checkpoint=str(path),
    )


def deploy(state: State, config: Config, images: Tensor, held_out: Images, path: Path) -> BinaryNetwork:
    """Settle the last weights and their average, unless norms are fixed, and store the better one as `deploy`."""
    model = state.model
    if dist.is_initialized():
        dist.barrier()  # the checkpoint is written by the first process
    saved = load_checkpoint(path, images.device)
    if saved["deploy"] is not None:
        load_state(model, saved["deploy"], path)
        return model.eval()
    candidates = {"last": model}
    if state.average:
        averaged = BinaryNetwork(model.network, model.methods).to(images.device)
        averaged.load_state_dict(model.state_dict())
        averaged.load_state_dict(state.average, strict=False)
        averaged.set_progress(1.0)
        candidates["average"] = averaged.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = {}
    for name, candidate in candidates.items():
        if not config.recipe.fixed_norms:
            settle(candidate, config, images)
        found[name] = accuracy(candidate, held_out.x, held_out.y)
    best = max(found, key=lambda name: found[name])
    if world()[0] == 0:
        saved["deploy"] = candidates[best].state_dict()
        saved["deploy_accuracy"], saved["deploy_images"] = found[best], len(held_out.y)
        save_checkpoint(path, saved)
        listed = ", ".join(f"{name} {100 * value:.2f} %" for name, value in found.items())
        note(f"{'norms fixed' if config.recipe.fixed_norms else 'settled'}: validation {listed}")
    return candidates[best].eval()
