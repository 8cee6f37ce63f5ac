"""`python -m train.report MODEL`: a page about a model, as HTML and PNG.

Accuracy and confusion matrix come from the golden integer model on the whole test set; curves from the run's
`log.csv`; the rest is counted from the model (see `train/cost.py` for sources and assumptions).
"""

from __future__ import annotations

import argparse
import base64
import csv
import html
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bnn.command import Command
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.golden import infer
from bnn.model import Model, load
from train import cost, data
from train.accuracy import test_set

CHUNK = 500
LOG_COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_accuracy")


class ReportError(ExpectedError):
    """The report cannot be made; one line says why."""


def confusion(model: Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Images of class row that the golden model puts in class column, int64 (classes, classes)."""
    count = len(model.classes)
    table = np.zeros((count, count), np.int64)
    for start in range(0, len(images), CHUNK):
        found = infer(model, images[start : start + CHUNK]).argmax(axis=1)
        np.add.at(table, (labels[start : start + CHUNK].astype(int), found), 1)
    return table


def read_log(path: Path) -> dict[str, list[float]]:
    """Columns of a run's `log.csv`.

    Raises:
        ReportError: missing columns or no numbers.
    """
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        return {key: [float(row[key]) for row in rows] for key in LOG_COLUMNS}
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path}: is not the log of a run ({error})") from None


def draw(model: Model, table: np.ndarray, log: dict[str, list[float]] | None) -> bytes:
    """Confusion matrix, curves and energy as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(16, 5), gridspec_kw={"width_ratios": (1.2, 1, 1)})
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    left.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(table) <= 20:
        left.set_xticks(range(len(table)), model.classes, rotation=60, ha="right")
        left.set_yticks(range(len(table)), model.classes)
        for row, column in np.ndindex(*table.shape):
            if table[row, column]:
                colour = "white" if share[row, column] > 0.5 else "black"
                left.text(column, row, table[row, column], ha="center", va="center", fontsize=7, color=colour)
    right_images, total = int(np.trace(table)), int(table.sum())
    left.set(xlabel="found", ylabel="class", title=f"{model.name}: {right_images}/{total} right")
    if log is None:
        middle.text(0.5, 0.5, "no log", ha="center", va="center")
        middle.set_axis_off()
    else:
        middle.plot(log["epoch"], [100 * value for value in log["train_accuracy"]], label="training")
        middle.plot(log["epoch"], [100 * value for value in log["val_accuracy"]], label="validation")
        middle.set(xlabel="epoch", ylabel="accuracy [%]", title="training")
        middle.legend(loc="lower right")
        loss = middle.twinx()
        loss.plot(log["epoch"], log["train_loss"], color="grey", linestyle=":")
        loss.set_ylabel("training loss (dotted)")
    costs = {"binary": cost.binary_cost(model), "float32": cost.float_cost(model)}
    names = list(costs)
    for offset, (label, values) in enumerate(
        {
            "arithmetic": [costs[name].compute_pj * 1e-6 for name in names],
            "memory": [costs[name].memory_pj * 1e-6 for name in names],
        }.items()
    ):
        bars = right.bar(np.arange(len(names)) + 0.4 * offset - 0.2, values, 0.4, label=label)
        right.bar_label(bars, fmt="%.3g")
    right.set_xticks(range(len(names)), names)
    right.set(yscale="log", ylabel="energy per image [uJ], 45 nm", title="energy (estimate)")
    right.legend()
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    pyplot.close(figure)
    return out.getvalue()


def _table(head: list[str], rows: list[list[Any]]) -> str:
    def line(cells: list[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + (line(head, "th") if head else "") + "".join(line(row, "td") for row in rows) + "</table>"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def page(model: Model, table: np.ndarray, picture: bytes) -> str:
    """The report as one HTML page without links."""
    right, total = int(np.trace(table)), int(table.sum())
    figures = cost.layers(model)
    rows = []
    for figure in figures:
        low_high = "" if figure.thresholds is None else f"{figure.thresholds[0]} to {figure.thresholds[1]}"
        kernels = "" if figure.kernels is None else f"{100 * figure.kernels:.1f} %"
        macs, bits = f"{figure.macs:,}", f"{figure.weight_bits:,}"
        rows.append(
            [figure.name, _shape(figure.inputs), _shape(figure.outputs), macs, bits, low_high, figure.flips, kernels]
        )
    total_macs, total_bits = sum(f.macs for f in figures), sum(f.weight_bits for f in figures)
    rows.append(["total", "", "", f"{total_macs:,}", f"{total_bits:,}", "", "", ""])
    binary, real = cost.binary_cost(model), cost.float_cost(model)

    def against(what: str, ours: float, theirs: float, unit: str) -> list[str]:
        return [what, f"{ours:,.1f} {unit}", f"{theirs:,.1f} {unit}", f"{theirs / ours:.1f}"]

    compared = [
        against("parameters", binary.parameter_bits / 8192, real.parameter_bits / 8192, "KiB"),
        against("memory accesses per image", binary.access_bits / 8192, real.access_bits / 8192, "KiB"),
        against("energy of arithmetic per image", binary.compute_pj * 1e-6, real.compute_pj * 1e-6, "uJ"),
        against("energy of memory per image", binary.memory_pj * 1e-6, real.memory_pj * 1e-6, "uJ"),
    ]
    per_class = [
        [
            name,
            int(table[index].sum()),
            int(table[index, index]),
            f"{100 * table[index, index] / max(1, table[index].sum()):.2f} %",
        ]
        for index, name in enumerate(model.classes)
    ]
    facts = [
        [key, model.meta[key]]
        for key in ("dataset", "command", "epochs_trained", "validation_accuracy")
        if key in model.meta
    ]
    sources = [
        ["8-bit add, 32-bit add", f"{cost.ADD_8} pJ, {cost.ADD_32} pJ", "Horowitz, ISSCC 2014, figure 1.1.9"],
        ["32-bit float multiply, add", f"{cost.MULTIPLY_FLOAT_32} pJ, {cost.ADD_FLOAT_32} pJ", "the same"],
        ["64 bits of 8 KiB, 32 KiB, 1 MiB", ", ".join(f"{pj:g} pJ" for _, pj in cost.CACHES), "the same"],
        ["64 bits of DRAM", f"{cost.DRAM_64:g} pJ", "the same, the lower end of 1.3 to 2.6 nJ"],
        ["binary MAC", f"{cost.BINARY_MAC} pJ", "assumption: one bit of an 8-bit add; not in Horowitz"],
        ["first layer's MAC, 8-bit pixel", f"{cost.BYTE_MAC} pJ", "assumption: one 32-bit add"],
        ["unique kernels", "", "3x3 kernels of an input channel, an inverse one counted as the same: arXiv 1602.02830"],
        ["accesses", "", "per image: each weight and input once a layer, each output once; no batch, no cache reuse"],
    ]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(model.name)}</title>
<style>body{{font-family:sans-serif;max-width:1100px;margin:auto;padding:1em}}
table{{border-collapse:collapse;margin:1em 0}}
td,th{{border:1px solid #ccc;padding:.2em .6em;text-align:right}}td:first-child,th:first-child{{text-align:left}}
img{{max-width:100%}}</style></head><body>
<h1>{html.escape(model.name)}: {right}/{total} right, {100 * right / max(1, total):.2f} %</h1>
{_table([], facts)}
<img alt="confusion matrix, curves, energy" src="data:image/png;base64,{base64.b64encode(picture).decode()}">
<h2>Layers</h2>
{_table(["layer", "input", "output", "MACs", "weight bits", "thresholds", "flips", "unique kernels"], rows)}
<h2>Against the same network in 32-bit floats (estimate)</h2>
{_table(["per image", "binary", "float32", "ratio"], compared)}
{_table(["figure", "value", "source"], sources)}
<h2>Classes</h2>
{_table(["class", "images", "right", "share"], per_class)}
</body></html>
"""


def find_log(path: Path, model: Path) -> Path | None:
    """`path` if given, else the log beside the model."""
    if path != Path():
        return path
    for candidate in (model.with_suffix(".log.csv"), model.parent / "log.csv"):
        if candidate.exists():
            return candidate
    return None


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.npz")
    parser.add_argument("-o", "--output", type=Path, help="the page; the picture beside it; default MODEL with .html")
    parser.add_argument("--log", type=Path, default=Path(), help="log.csv of the run; default: beside the model")
    parser.add_argument("--limit", type=int, help="use only the first so many test images")
    data.add_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    out = arguments.output or arguments.model.with_suffix(".html")
    model = load(arguments.model)
    log = find_log(arguments.log, arguments.model)
    columns = None if log is None else read_log(log)
    images, labels = test_set(model, arguments.model.parent, None, arguments.data_folder, arguments.cache)
    table = confusion(model, images[: arguments.limit], labels[: arguments.limit])
    picture = draw(model, table, columns)
    write_atomically(out, page(model, table, picture).encode())
    write_atomically(out.with_suffix(".png"), picture)
    print(f"report: {out} and {out.with_suffix('.png').name} written, {int(np.trace(table))}/{int(table.sum())} right")


main = Command("page", _options, _run, "models/cnv.npz -o build/page/cnv.html")


if __name__ == "__main__":
    sys.exit(main())
