"""Images for a model: those that are shipped with the project, or those of a file; and what its data are called."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple, Union

import numpy as np

from bnn.images import ImageError, read_array
from bnn.model import SHIPPED, Model, ModelError
from bnn.text import printable

DATA_SETS = {"cifar10": "CIFAR-10", "mnist": "MNIST", "svhn": "SVHN"}
"""Data sets as people write their names."""


def data_title(model: Model) -> str:
    """The data set that a model was trained on, as people write its name; "" for own or unknown data."""
    return DATA_SETS.get(str(model.meta.get("dataset")), "")


def find_images(model: Model) -> Path | None:
    """The `.npz` (x: uint8 images x height x width x channels, y: labels) whose images fit a model, None if none do."""
    wanted = (model.height, model.width, model.channels)
    for path in sorted(SHIPPED.glob("*_sample.npz")):
        with np.load(path, allow_pickle=False) as sample:
            if sample["x"].shape[1:] == wanted:
                return path
    return None


def sample_images(model: Model) -> Path:
    """As `find_images`, for those who need images.

    Raises:
        ModelError: none fit; the message has the model's image size.
    """
    found = find_images(model)
    if found is not None:
        return found
    size = "x".join(map(str, (model.height, model.width, model.channels)))
    raise ModelError(f"model '{model.name}' takes images of {size} and none are shipped: give --images FILE.npz")


def read_images(model: Model, path: Optional[Path] = None, count: int = 64) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """Some images for a model, as `some` takes them, uint8 (N, H, W, C), and their labels (N,) or None.

    Args:
        model: what takes the images.
        path: .npz with x and, where they are known, labels y, or .npy; None: the shipped ones.
        count: images at most, 1 or more.

    Raises:
        ModelError: none are shipped for the model.
        ImageError: the file cannot be read, or its images are of another shape.
    """
    if count < 1:
        raise ImageError(f"{count} images were asked for, expected 1 or more")
    path = sample_images(model) if path is None else path
    images, labels = read_array(path)
    wanted = (model.height, model.width, model.channels)
    if images.shape[1:] != wanted:
        raise ImageError(f"{printable(path)}: images are {images.shape[1:]}, model '{model.name}' takes {wanted}")
    chosen = some(labels, len(images), count)
    return images[chosen], None if labels is None else labels[chosen]


def some(labels: Optional[np.ndarray], total: int, count: Optional[int]) -> Union[slice, np.ndarray]:
    """Which images to take where `count` are wanted: the first, and in turn of each class where these lie one by one.

    Args:
        labels: (N,), None: unknown.
        total: N.
        count: None: all.

    Returns:
        What an array is indexed with, in the array's order; the first without a copy of them.
    """
    if labels is None or count is None or count >= total or (labels[1:] < labels[:-1]).any():
        return slice(count)
    return in_turn(labels, count)


def in_turn(labels: np.ndarray, count: int) -> np.ndarray:
    """The numbers, rising, of `count` images of (N,) labels: the first of each class, the second of each..."""
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    turn = np.empty(len(labels), np.int64)  # how many of an image's class come before it
    turn[order] = np.arange(len(labels)) - np.repeat(starts, np.diff(np.append(starts, len(labels))))
    return np.sort(np.argsort(turn, kind="stable")[:count])
