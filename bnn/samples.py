"""The test images that are shipped with the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnn.model import Model, ModelError

SAMPLES = Path(__file__).resolve().parent.parent / "models"


def sample_images(model: Model) -> Path:
    """The `.npz` (x: uint8 images x height x width x channels, y: labels) whose images fit a model.

    Raises:
        ModelError: none does; the message has the model's image size.
    """
    wanted = (model.height, model.width, model.channels)
    for path in sorted(SAMPLES.glob("*_sample.npz")):
        with np.load(path, allow_pickle=False) as sample:
            if sample["x"].shape[1:] == wanted:
                return path
    size = "x".join(map(str, wanted))
    raise ModelError(f"model '{model.name}' takes images of {size} and none are shipped: give --images FILE.npz")
