"""The log of a run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from bnn.files import write_atomically

LOG_FIELDS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_accuracy", "seconds")


def write_log(folder: Path, history: list[dict[str, float]]) -> None:
    """Write `log.csv` and `curves.png`, a row of `LOG_FIELDS` for every epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_FIELDS)
    writer.writeheader()
    writer.writerows(history)
    write_atomically(folder / "log.csv", text.getvalue().encode())
    from matplotlib.figure import Figure  # without pyplot, whose backend is the caller's, as in a notebook

    figure = Figure(figsize=(9, 3.5))
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["train_loss"] for row in history])
    left.set(xlabel="epoch", ylabel="training loss")
    for key, label in (("train_accuracy", "training (augmented)"), ("val_accuracy", "validation")):
        right.plot(epochs, [100 * row[key] for row in history], label=label)
    right.set(xlabel="epoch", ylabel="accuracy [%]")
    right.legend()
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110)
    write_atomically(folder / "curves.png", picture.getvalue())
