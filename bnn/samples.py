"""The test images that are shipped with the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn.model import Model, ModelError

SAMPLES = Path(__file__).resolve().parent.parent / "models"


def find_images(model: Model) -> Path | None:
    """The `.npz` (x: uint8 images x height x width x channels, y: labels) whose images fit a model, None if none do."""
    wanted = (model.height, model.width, model.channels)
    for path in sorted(SAMPLES.glob("*_sample.npz")):
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
