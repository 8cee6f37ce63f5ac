"""`bnn calibrate MODEL`: the temperature that makes a model's probabilities right, from its validation images.

The export does this for every model that it writes; the command is for models of other origin.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnn.command import Command
from bnn.confidence import calibration_error, probabilities
from bnn.cpu import infer
from bnn.model import Model, load, save
from bnn.output import result
from train import data
from train.accuracy import validation_set

STEPS = 60
"""Bisections: the interval of exponents shrinks to less than a double's precision."""
WIDEST = 14.0
"""How far the temperature may lie from the scores' spread, as an exponent of e on either side."""


def fit(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the greatest likelihood.

    The likelihood's logarithm is concave in the inverse temperature, whose derivative is bisected. As in Platt's
    scaling, one image of each kind is added: a label counts for (N + 1) of N + 2, so that N images without an error
    do not promise that there is never one.

    Args:
        scores: int32 (N, classes).
        labels: (N,).
    """
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    spread = float(-wide.mean()) or 1.0
    wide /= spread
    share = (len(labels) + 1) / (len(labels) + 2)
    wanted = (share * wide[np.arange(len(labels)), labels] + (1 - share) * wide.mean(axis=1)).mean()
    low, high = -WIDEST, WIDEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        expected = (probabilities(wide, float(np.exp(middle))) * wide).sum(axis=1).mean()
        # a lower temperature moves the expected score to the highest
        low, high = (middle, high) if expected > wanted else (low, middle)
    return spread * float(np.exp((low + high) / 2))


def calibrated(model: Model, images: np.ndarray, labels: np.ndarray) -> Model:
    """The model with its temperature, which is printed with what it reaches.

    Args:
        model: the network.
        images: uint8 (N, H, W, C), not trained on.
        labels: (N,).
    """
    scores = infer(model, images)
    temperature = fit(scores, labels)
    error = calibration_error(probabilities(scores, temperature), labels)
    result(
        f"calibrate: temperature {temperature:.5g} by {len(labels)} validation images, "
        f"whose probabilities are {100 * error:.1f} % off on average",
        temperature=temperature,
        calibration_error=error,
    )
    return replace(model, temperature=temperature)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.npz, which is written anew")
    parser.add_argument("--dataset", choices=list(data.SOURCES), help="default: the model's")
    data.add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    model = load(arguments.model)
    folder = arguments.model.parent
    given = validation_set(model, folder, arguments.dataset, arguments.data_folder, arguments.cache)
    save(calibrated(model, *given), arguments.model)


main = Command("calibrate", _options, _run, "models/cnv.npz")


if __name__ == "__main__":
    sys.exit(main())
