"""`bnn accuracy`: run the integer network on a whole test set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from bnn import output
from bnn.command import Command
from bnn.cpu import infer
from bnn.model import Model, ModelError, load
from train import data, own

CHUNK = 1000


def test_set(
    model: Model, folder: Path, name: str | None, data_folder: Path | None, cache: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A model's test set: uint8 (N, H, W, C) and labels (N,).

    Args:
        folder: of the model, which holds own data.
        name: of the data set; default: the one that the model names in `meta`.

    Raises:
        ModelError, DataError: the model names no data, or they cannot be had.
    """
    name = data_of(model, name)
    own_data = name.startswith(own.PREFIX)
    dataset = own.load_kept(folder, name).dataset if own_data else data.load(name, data_folder, cache)
    return _pixels({"x": dataset.x_test, "y": dataset.y_test})


def validation_set(
    model: Model, folder: Path, name: str | None, data_folder: Path | None, cache: Path
) -> tuple[np.ndarray, np.ndarray]:
    """As `test_set`: the images that validate, which are not trained on."""
    name = data_of(model, name)
    if name.startswith(own.PREFIX):
        return _pixels(own.load_kept(folder, name).validation)
    known = model.meta.get("validation_images") if name == model.meta.get("dataset") else None
    count = known if type(known) is int else data.VALIDATION
    return _pixels(data.split_validation(data.load(name, data_folder, cache), count)[1])


def data_of(model: Model, name: str | None) -> str:
    """`name`, or else that of the data which the model was trained on.

    Raises:
        ModelError: the model names none that is known.
    """
    name = name or str(model.meta.get("dataset"))
    if not name.startswith(own.PREFIX) and name not in data.SOURCES:
        raise ModelError(f"header.meta.dataset is '{name}', expected one of {', '.join(data.SOURCES)} or own data")
    return name


def _pixels(part: data.Arrays) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(part["x"].transpose(0, 2, 3, 1)), part["y"]


def count_right(model: Model, images: np.ndarray, labels: np.ndarray, progress: bool = False) -> int:
    """Images whose first highest score is the label's.

    Args:
        model: the network.
        images: uint8 (N, H, W, C).
        labels: uint8 (N,).
        progress: show a bar.
    """
    right = 0
    starts = range(0, len(images), CHUNK)
    for start in output.progress(starts, model.name) if progress else starts:
        part = images[start : start + CHUNK]
        found = infer(model, part).argmax(axis=1)
        right += int((found == labels[start : start + CHUNK]).sum())
    return right


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.npz")
    parser.add_argument("--dataset", choices=list(data.SOURCES), help="default: the model's")
    data.add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    model = load(arguments.model)
    folder = arguments.model.parent
    images, labels = test_set(model, folder, arguments.dataset, arguments.data_folder, arguments.cache)
    right = count_right(model, images, labels, progress=True)
    output.result(f"accuracy: {right}/{len(labels)}", correct=right, images=len(labels), accuracy=right / len(labels))


main = Command("accuracy", _options, _run, "models/cnv.npz")


if __name__ == "__main__":
    sys.exit(main())
