"""Teachers of a distillation: trained networks, and exported models by their integer scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bnn.cpu import infer
from bnn.geometry import ceil_div
from bnn.model import Model, load
from bnn.networks import Network
from bnn.output import progress
from train.checkpoint import is_model_file, load_network
from train.errors import TrainError
from train.module import BinaryNetwork

BATCH = 256


@dataclass(frozen=True)
class Teacher:
    """What gives scores to learn from: `scores` of uint8 images (N, C, H, W) as logits, float32 (N, classes)."""

    name: str
    takes: str  # its images and classes, as `taken`
    scores: Callable[[Tensor], Tensor]


def taken(network: Network | Model, classes: int) -> str:
    """What images a topology or a model takes, of how many classes, as text."""
    return f"{network.channels}x{network.height}x{network.width} images of {classes} classes"


def of_network(network: BinaryNetwork) -> Teacher:
    """A network as a teacher, in evaluation; it goes to where the images are."""
    network.eval()

    def scores(images: Tensor) -> Tensor:
        found: Tensor = network.to(images.device)(images.contiguous(memory_format=torch.channels_last))
        return found.float()

    topology = network.network
    return Teacher(topology.name, taken(topology, topology.classes), scores)


def of_model(model: Model) -> Teacher:
    """An exported model as a teacher: its integer scores over its temperature.

    Raises:
        TrainError: the model has no temperature.
    """
    temperature = model.temperature
    if temperature is None:
        raise TrainError(f"model {model.name} has no temperature, which makes logits of its scores: bnn calibrate")

    def scores(images: Tensor) -> Tensor:
        pixels = np.ascontiguousarray(images.cpu().numpy().transpose(0, 2, 3, 1))
        logits = infer(model, pixels) / temperature
        return torch.from_numpy(logits.astype(np.float32)).to(images.device)

    return Teacher(model.name, taken(model, len(model.classes)), scores)


def load_teacher(path: Path) -> Teacher:
    """A checkpoint's network, or an exported model.

    Raises:
        TrainError, ModelError: it cannot be read.
    """
    if is_model_file(path):
        return of_model(load(path))
    network = load_network(path)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return of_network(network)


def together(teachers: Sequence[Teacher]) -> Teacher:
    """Several teachers as one, of the mean of their scores.

    Raises:
        TrainError: they take different images.
    """
    first = teachers[0]
    for other in teachers[1:]:
        if other.takes != first.takes:
            raise TrainError(f"the teacher {other.name} takes {other.takes}, the teacher {first.name} {first.takes}")

    def scores(images: Tensor) -> Tensor:
        return torch.stack([teacher.scores(images) for teacher in teachers]).mean(0)

    if len(teachers) == 1:
        return first
    return Teacher("+".join(teacher.name for teacher in teachers), first.takes, scores)


@torch.no_grad()
def teacher_scores(teacher: Teacher, images: Tensor) -> Tensor:
    """The teacher's scores of each image and of its mirror image, float32 (2, N, classes)."""
    rows: list[list[Tensor]] = [[], []]
    for start in progress(range(0, len(images), BATCH), "teacher", ceil_div(len(images), BATCH)):
        part = images[start : start + BATCH]
        for row, x in zip(rows, (part, part.flip(3)), strict=True):
            row.append(teacher.scores(x))
    return torch.stack([torch.cat(row) for row in rows])


Lesson = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What to learn of a batch, float32 (N, classes): of the images as the network sees them, uint8 (N, C, H, W), given
which ones they are and whether they are flipped, (N,)."""


def lessons(teacher: Teacher, images: Tensor, consistent: bool) -> Lesson:
    """What a teacher says of a training's batches.

    Args:
        teacher: as `Teacher`.
        images: uint8 (N, C, H, W), those of the training.
        consistent: whether the teacher sees the very images that the network does ("consistent teaching" of Beyer et
            al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022); else it sees each
            image and its mirror image once, uncropped, before the training.
    """
    if consistent:
        return lambda seen, index, flipped: teacher.scores(seen)
    scores = teacher_scores(teacher, images)
    return lambda seen, index, flipped: scores[flipped.long(), index]
