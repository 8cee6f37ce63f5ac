"""How the weights start and move: first weights, optimizer, learning rate, clipping."""

from __future__ import annotations

import math
from typing import Any

import torch

from train.errors import TrainError
from train.methods import ShiftAdaMax, clip_, glorot_rate
from train.module import BinaryNetwork
from train.recipes import GLOROT, INITIAL, OPTIMIZERS, SCHEDULES, Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate at `step` of `steps`.

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

    Each group's `scale` multiplies the learning rate; weight decay acts on latent weights only.

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
