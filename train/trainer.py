"""The training loop."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from sim.files import write_atomically
from train.augment import crop_flip
from train.data import Arrays
from train.module import BinaryNetwork
from train.networks import network as find_network

CHECKPOINT_FORMAT = "bnn-checkpoint-1"
LOG_FIELDS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_accuracy", "seconds")


class TrainError(Exception):
    """Training cannot start or go on; the message says why."""


@dataclass(frozen=True)
class Config:
    """What defines a run: two runs with equal configurations give equal results."""

    network: str
    epochs: int
    batch: int = 64
    learning_rate: float = 4e-3
    final_learning_rate: float = 1e-6
    schedule: str = "cosine"
    loss: str = "cross_entropy"
    augment: bool = True
    seed: int = 1


def learning_rate(config: Config, step: int, steps: int) -> float:
    """Learning rate at ``step`` of ``steps``: cosine or exponential decay."""
    start, end = config.learning_rate, config.final_learning_rate
    progress = step / max(1, steps)
    if config.schedule == "cosine":
        return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
    if config.schedule == "exponential":
        return start * float((end / start) ** progress)
    raise TrainError(f"schedule '{config.schedule}' is unknown: choose cosine or exponential")


def loss_function(config: Config, scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, or the squared hinge of Courbariaux et al. on +-1 targets."""
    if config.loss == "cross_entropy":
        return F.cross_entropy(scores, labels)
    if config.loss == "squared_hinge":
        targets = 2.0 * F.one_hot(labels, scores.shape[1]).to(scores.dtype) - 1.0
        return F.relu(1.0 - targets * scores).square().mean()
    raise TrainError(f"loss '{config.loss}' is unknown: choose cross_entropy or squared_hinge")


def world() -> tuple[int, int]:
    """(rank, number of processes)."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def pick_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def batches(config: Config, count: int, epoch: int) -> Iterator[Tensor]:
    """Index tensors of an epoch for this process; the order depends on seed and epoch only.

    Each process gets its share of every global batch; the last, incomplete
    batch is dropped.
    """
    rank, processes = world()
    share = config.batch // processes
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed * 100_003 + epoch))
    for start in range(0, count - config.batch + 1, config.batch):
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
        raise TrainError(f"checkpoint {path} cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise TrainError(f"checkpoint {path} is not of format {CHECKPOINT_FORMAT}")
    return content


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


def train(
    config: Config,
    data: Arrays,
    validation: Arrays,
    folder: Path,
    compile_step: bool = False,
    stop_after: int | None = None,
) -> BinaryNetwork:
    """Train, or go on with, a network.

    Args:
        config: the run.
        data, validation: ``x`` uint8 (N, C, H, W) and ``y`` uint8 (N,).
        folder: holds ``checkpoint.pt``, ``log.csv`` and ``curves.png``; a checkpoint
            there of the same configuration is resumed.
        compile_step: use ``torch.compile`` (needs a C++ compiler on the CPU).
        stop_after: end after so many epochs, as an interruption would.

    Raises:
        TrainError: checkpoint of another run, batch too large, loss not finite.
    """
    rank, processes = world()
    if config.batch > len(data["x"]):
        raise TrainError(f"batch of {config.batch} is larger than the {len(data['x'])} training images")
    if config.batch % processes:
        raise TrainError(f"batch of {config.batch} is not a multiple of the {processes} processes")
    device = pick_device()
    torch.manual_seed(config.seed)
    model = BinaryNetwork(find_network(config.network)).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    history: list[dict[str, float]] = []
    first = 0
    path = folder / "checkpoint.pt"
    if path.exists():
        saved = load_checkpoint(path, device)
        if saved["config"] != asdict(config):
            different = [key for key, value in asdict(config).items() if saved["config"].get(key) != value]
            changes = ", ".join(f"{key} {saved['config'].get(key)}, not {asdict(config)[key]}" for key in different)
            raise TrainError(f"checkpoint {path} is of another run: {changes}")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history, first = saved["history"], saved["epoch"]
    folder.mkdir(parents=True, exist_ok=True)

    images, labels = torch.from_numpy(data["x"]).to(device), torch.from_numpy(data["y"]).long().to(device)
    val_images = torch.from_numpy(validation["x"]).to(device)
    val_labels = torch.from_numpy(validation["y"]).long().to(device)
    step_model: torch.nn.Module = model
    if processes > 1:
        step_model = DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    if compile_step:
        step_model = torch.compile(step_model)  # type: ignore[assignment]

    steps = len(images) // config.batch
    for epoch in range(first, config.epochs):
        if stop_after is not None and epoch >= stop_after:
            break
        started = time.time()
        model.train()
        torch.manual_seed(config.seed * 7919 + epoch * processes + rank)
        draw = torch.Generator().manual_seed((config.seed * 7919 + epoch) * processes + rank)
        loss_sum = torch.zeros((), device=device)
        right = torch.zeros((), device=device)
        bar = tqdm(
            batches(config, len(images), epoch),
            total=steps,
            desc=f"epoch {epoch + 1}/{config.epochs}",
            disable=rank != 0 or not sys.stderr.isatty(),
            leave=False,
        )
        rate = config.learning_rate
        for step, index in enumerate(bar):
            rate = learning_rate(config, epoch * steps + step, config.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            x, y = images[index.to(device)], labels[index.to(device)]
            if config.augment:
                x = crop_flip(x, draw)
            scores = step_model(x.contiguous(memory_format=torch.channels_last))
            loss = loss_function(config, scores, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            model.clip_weights()
            loss_sum += loss.detach()
            right += (scores.argmax(1) == y).sum()
            if step % 50 == 0 and not math.isfinite(loss.item()):
                raise TrainError(f"loss is {loss.item()} at epoch {epoch + 1}, step {step}, learning rate {rate:g}")
        if processes > 1:
            dist.all_reduce(loss_sum)
            dist.all_reduce(right)
        mean_loss = float(loss_sum) / (steps * processes)
        if not math.isfinite(mean_loss):
            raise TrainError(f"loss is {mean_loss} in epoch {epoch + 1}, learning rate {rate:g}")
        if rank == 0:
            history.append(
                {
                    "epoch": epoch + 1,
                    "learning_rate": rate,
                    "train_loss": round(mean_loss, 5),
                    "train_accuracy": round(float(right) / (steps * config.batch), 5),
                    "val_accuracy": round(accuracy(model, val_images, val_labels), 5),
                    "seconds": round(time.time() - started, 1),
                }
            )
            save_checkpoint(
                path,
                {
                    "format": CHECKPOINT_FORMAT,
                    "config": asdict(config),
                    "epoch": epoch + 1,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "history": history,
                },
            )
            write_log(folder, history)
            row = history[-1]
            print(
                f"epoch {epoch + 1}/{config.epochs}: loss {row['train_loss']:.4f}, "
                f"validation {100 * row['val_accuracy']:.2f} %, {row['seconds']:.0f} s",
                flush=True,
            )
    return model
