"""`bnn page MODEL`: a page about a model, one HTML file that fetches nothing.

Answers come from the integer model on the whole test set; curves from the run's `log.csv`; figures of hardware
from the planner; the rest is counted from the model (see `train/cost.py` for
sources and assumptions).
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bnn import api
from bnn.command import Command, positive, spelled
from bnn.confidence import calibration_error, probabilities
from bnn.cpu import infer
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.model import Model, load
from bnn.output import result
from bnn.samples import data_title
from train import cost, data
from train.accuracy import test_set

LOG_COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_accuracy")
TEMPLATE = "report.html"
SAMPLES = 12
"""Wrong answers that are shown, and right ones at most."""
MISTAKES = 8
DESIGN, BATCH = "pynq_z1", 16
SOURCES = [
    ("8-bit add, 32-bit add", f"{cost.ADD_8} pJ, {cost.ADD_32} pJ", "Horowitz, ISSCC 2014, figure 1.1.9"),
    ("32-bit float multiply, add", f"{cost.MULTIPLY_FLOAT_32} pJ, {cost.ADD_FLOAT_32} pJ", "the same"),
    ("64 bits of 8 KiB, 32 KiB, 1 MiB", ", ".join(f"{pj:g} pJ" for _, pj in cost.CACHES), "the same"),
    ("64 bits of DRAM", f"{cost.DRAM_64:g} pJ", "the same, the lower end of 1.3 to 2.6 nJ"),
    ("binary multiplication", f"{cost.BINARY_MAC} pJ", "assumption: one bit of an 8-bit add; not in Horowitz"),
    ("one of the first layer, 8-bit pixel", f"{cost.BYTE_MAC} pJ", "assumption: one 32-bit add"),
    ("memory accesses", "", "each weight and input once a layer, each output once; no batch, no cache reuse"),
]
"""What the estimate of energy takes, its value and where it is from."""


class ReportError(ExpectedError):
    """The report cannot be made; one line says why."""


class Answers(NamedTuple):
    """A model's answers to test images."""

    images: np.ndarray
    """uint8 (N, H, W, C)"""
    labels: np.ndarray
    """(N,)"""
    scores: np.ndarray
    """int32 (N, classes)"""

    @property
    def found(self) -> np.ndarray:
        """The classes of the first highest scores (N,)."""
        return np.asarray(self.scores.argmax(axis=1))


def answer(model: Model, images: np.ndarray, labels: np.ndarray) -> Answers:
    """Run the model over images uint8 (N, H, W, C) with labels (N,)."""
    return Answers(images, labels.astype(np.int64), infer(model, images))


def confusion(answers: Answers) -> np.ndarray:
    """Images of class row that the model puts in class column, int64 (classes, classes)."""
    count = answers.scores.shape[1]
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (answers.labels, answers.found), 1)
    return table


def mistakes(table: np.ndarray, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The most frequent confusions, the most images first."""
    wrong = table * (1 - np.eye(len(table), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES]
    rows, columns = np.unravel_index(order, table.shape)
    return [
        {
            "label": classes[row],
            "found": classes[column],
            "images": int(wrong[row, column]),
            "of": int(table[row].sum()),
        }
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]


def trust(shares: np.ndarray, answers: Answers) -> list[dict[str, Any]]:
    """By ranges of the highest probability: images, mean probability and share of right answers.

    Args:
        shares: probabilities (N, classes).
        answers: of the same images.
    """
    best, right = shares.max(axis=1), answers.found == answers.labels
    rows = []
    for low in range(0, 100, 10):
        mine = (best >= low / 100) & ((best < (low + 10) / 100) | (low == 90))
        if mine.any():
            means = {"mean": float(best[mine].mean()), "right": float(right[mine].mean())}
            rows.append({"low": low, "high": low + 10, "images": int(mine.sum()), **means})
    return rows


def _png(image: np.ndarray) -> str:
    """An image uint8 (H, W, C) as the address of a PNG; of 2 or 4 channels the first is shown."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).save(out, "png")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def samples(model: Model, answers: Answers, shares: np.ndarray | None) -> tuple[list[Any], list[Any]]:
    """Test images with answers: right ones, of as many classes as there is room for, and wrong ones.

    Args:
        shares: probabilities (N, classes), by which the most confident mistakes come first; None: scores are not told.
    """
    right = answers.found == answers.labels
    firsts = [np.flatnonzero(right & (answers.labels == label))[:1] for label in range(len(model.classes))]
    good = np.concatenate(firsts)[:SAMPLES]
    bad = np.flatnonzero(~right)
    if shares is not None:
        bad = bad[np.argsort(-shares[bad].max(axis=1), kind="stable")]

    def describe(index: int) -> dict[str, Any]:
        label, found = int(answers.labels[index]), int(answers.found[index])
        return {
            "image": _png(answers.images[index]),
            "number": index,
            "answer": model.classes[found],
            "label": model.classes[label],
            "sure": None if shares is None else _percent(float(shares[index, found]), 1),
        }

    return [describe(int(index)) for index in good], [describe(int(index)) for index in bad[:SAMPLES]]


def read_log(path: Path) -> dict[str, list[float]]:
    """Columns of a run's `log.csv`.

    Raises:
        ReportError: missing columns, no rows or no numbers.
    """
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        log = {key: [float(row[key]) for row in rows] for key in LOG_COLUMNS}
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path}: is not the log of a run ({error})") from None
    if not rows or not all(np.isfinite(column).all() for column in log.values()):
        raise ReportError(f"{path}: is not the log of a run (no epochs, or values that are not finite)")
    return log


def curves(columns: dict[str, list[float]], unit: float = 1.0) -> list[dict[str, Any]]:
    """Lines of a chart of 600 x 260: by name, points, the text of the last value, and the ticks that all share."""
    left, right, top, bottom = 50, 590, 10, 230
    values = [unit * value for column in columns.values() for value in column]
    low, high = min(values), max(values)
    step = float(10 ** np.floor(np.log10(max(high - low, 1e-6))))
    step *= next(factor for factor in (0.25, 0.5, 1.0, 2.5) if (high - low) / (factor * step) <= 5)
    low, high = step * np.floor(low / step), max(step * np.ceil(high / step), step * np.floor(low / step) + step)

    def height(value: float) -> float:
        return float(round(bottom - (bottom - top) * (value - low) / (high - low), 1))

    ticks = [{"y": height(value), "text": f"{value:.4g}"} for value in np.arange(low, high + step / 2, step)]
    lines = []
    for name, column in columns.items():
        across = np.linspace(left, right, len(column)) if len(column) > 1 else np.array([left])
        points = " ".join(f"{x:.1f},{height(unit * value)}" for x, value in zip(across, column, strict=True))
        lines.append({"name": name, "points": points, "text": f"{unit * column[-1]:.4g}", "ticks": ticks})
    return lines


def planned(model_file: Path, design: str) -> dict[str, Any]:
    """What the planner says of a model on a design (`plan.json` of `bnn plan`).

    Raises:
        ReportError: it refuses, with its reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            api.plan(model_file, design, folder, batch=BATCH)
        except ExpectedError as error:
            raise ReportError(f"The planner has no program for {design}: {error}.") from None
        plan: dict[str, Any] = json.loads((Path(folder) / "plan.json").read_text())
    return plan


def _beside(plan: dict[str, Any], model: Model) -> bool:
    """Whether the first layer runs on an engine of its own, beside the array."""
    first = model.layers[0]
    return first.kind == "conv" and first.name not in [layer["name"] for layer in plan["layers"]]


def _busy(plan: dict[str, Any], model: Model) -> list[tuple[str, float, float]]:
    """Layer, cycles per image and their share of the most."""
    rows = [(layer["name"], layer["cycles_per_batch"] / plan["batch"]) for layer in plan["layers"]]
    if _beside(plan, model):
        rows.insert(0, (model.layers[0].name, float(plan["first_layer_cycles_per_image"])))
    most = max(cycles for _, cycles in rows)
    return [(name, cycles, cycles / most) for name, cycles in rows]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}\u00a0%" if whole else "–"


def _shape(height: int, width: int, channels: int) -> str:
    if (height, width) == (1, 1):
        return f"{channels:,} values"
    return f"{height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"


def _kibibytes(bits: float) -> str:
    return f"{bits / 8192:,.1f}\u00a0KiB"


def _figure(value: float) -> str:
    """Three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _facts(model: Model) -> list[tuple[str, str]]:
    meta = model.meta
    known = {
        "trained for": f"{meta['epochs_trained']} epochs" if "epochs_trained" in meta else "",
        "validation images right": _percent(meta["validation_accuracy"], 1)
        if isinstance(meta.get("validation_accuracy"), float)
        else "",
    }
    return [(name, value) for name, value in known.items() if value]


def _compared(model: Model) -> list[tuple[str, str, str, str]]:
    binary, real = cost.binary_cost(model), cost.float_cost(model)

    def row(what: str, ours: float, theirs: float, unit: str) -> tuple[str, str, str, str]:
        return what, f"{_figure(ours)}\u00a0{unit}", f"{_figure(theirs)}\u00a0{unit}", _figure(theirs / ours)

    return [
        row("parameters", binary.parameter_bits / 8192, real.parameter_bits / 8192, "KiB"),
        row("memory accesses", binary.access_bits / 8192, real.access_bits / 8192, "KiB"),
        row("energy of arithmetic, 45 nm", binary.compute_pj * 1e-6, real.compute_pj * 1e-6, "µJ"),
        row("energy of memory, 45 nm", binary.memory_pj * 1e-6, real.memory_pj * 1e-6, "µJ"),
    ]


def page(model: Model, answers: Answers, log: dict[str, list[float]] | None, plan: dict[str, Any] | str) -> str:
    """The report as one HTML page that fetches nothing.

    Args:
        log: columns of the training's log, None without one.
        plan: as `planned` gives it, or why there is none.
    """
    table = confusion(answers)
    shares = None if model.temperature is None else probabilities(answers.scores, model.temperature)
    good, wrong = samples(model, answers, shares)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        model=model,
        dataset=data_title(model) or "own images",
        right=int(np.trace(table)),
        total=int(table.sum()),
        table=table,
        good=good,
        wrong=wrong,
        mistakes=mistakes(table, model.classes),
        trust=None if shares is None else trust(shares, answers),
        error=None if shares is None else calibration_error(shares, answers.labels),
        facts=_facts(model),
        calls=[call for call in spelled(str(model.meta.get("command") or "")).split("; ") if call],
        epochs=0 if log is None else int(log["epoch"][-1]),
        accuracy=None
        if log is None
        else curves({"training": log["train_accuracy"], "validation": log["val_accuracy"]}, 100.0),
        loss=None if log is None else curves({"training loss": log["train_loss"]}),
        plan=None if isinstance(plan, str) else plan,
        unplanned=plan,
        busy=[] if isinstance(plan, str) else _busy(plan, model),
        beside=not isinstance(plan, str) and _beside(plan, model),
        figures=cost.layers(model),
        binary=cost.binary_cost(model),
        compared=_compared(model),
        sources=SOURCES,
        count="{:,}".format,
        percent=_percent,
        shape=_shape,
        kibibytes=_kibibytes,
    )


def find_log(path: Path | None, model: Path) -> Path | None:
    """`path` if given, else the log beside the model."""
    if path is not None:
        return path
    for candidate in (model.with_suffix(".log.csv"), model.parent / "log.csv"):
        if candidate.exists():
            return candidate
    return None


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.npz")
    parser.add_argument("-o", "--output", type=Path, help="the page; default MODEL with .html")
    parser.add_argument("--log", type=Path, help="log.csv of the run; default: beside the model")
    parser.add_argument("--limit", type=positive, help="use only the first so many test images")
    parser.add_argument("--design", help=f"whose hardware figures are given (default {DESIGN})")
    data.add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    out = arguments.output or arguments.model.with_suffix(".html")
    model = load(arguments.model)
    log = find_log(arguments.log, arguments.model)
    columns = None if log is None else read_log(log)
    images, labels = test_set(model, arguments.model.parent, None, arguments.data_folder, arguments.cache)
    answers = answer(model, images[: arguments.limit], labels[: arguments.limit])
    try:
        plan: dict[str, Any] | str = planned(arguments.model, arguments.design or DESIGN)
    except ReportError as error:
        if arguments.design:
            raise
        plan = str(error)
    write_atomically(out, page(model, answers, columns, plan).encode())
    right = int((answers.found == answers.labels).sum())
    text = f"page: {out} written, {right}/{len(answers.labels)} right"
    result(text, page=str(out), correct=right, images=len(answers.labels))


main = Command("page", _options, _run, "models/cnv.npz -o build/page/cnv.html")


if __name__ == "__main__":
    sys.exit(main())
