"""What a run gives, for people and for programs: a table, JSON, CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from bnn.text import label_text

TABLE_ROWS = 20
PERCENTILES = (50, 90, 99)


def summary(scores: np.ndarray, labels: np.ndarray | None, seconds: float) -> dict[str, Any]:
    """Figures of any engine: images, images/s and, with labels, how many are right."""
    result: dict[str, Any] = {"images": len(scores), "seconds": seconds}
    result["images_per_s"] = len(scores) / seconds if seconds else 0.0
    if labels is not None and len(scores):
        correct = int((scores.argmax(axis=1) == labels).sum())
        result.update(correct=correct, accuracy=correct / len(scores))
    return result


def of_runs(runs: list[dict[str, float]], clock_hz: float | None) -> dict[str, Any]:
    """Figures of the runs of an accelerator: cycles, latency percentiles in ms, images/s by its own clock."""
    cycles, busy = (int(sum(run[key] for run in runs)) for key in ("cycles", "busy_cycles"))
    result: dict[str, Any] = {"runs": len(runs), "cycles": cycles, "busy_cycles": busy, "clock_hz": clock_hz}
    if runs:
        times = np.array([run["run"] for run in runs]) * 1e3
        result["latency_ms"] = {f"p{rank}": float(np.percentile(times, rank)) for rank in PERCENTILES}
        result["latency_ms"]["max"] = float(times.max())
    if clock_hz and cycles:
        result["accelerator_images_per_s"] = sum(run["images"] for run in runs) * clock_hz / cycles
    return result


def table_text(
    scores: np.ndarray, labels: np.ndarray | None, classes: list[str], names: list[str], rows: int = TABLE_ROWS
) -> str:
    """The first rows: image, predicted class and its score, and the label where it is known."""
    width = max([len(name) for name in classes] + [9])
    known = "" if labels is None else f"  {'label':<{width}}"
    shown = names[: min(rows, len(scores))]
    column = max([len(name) for name in shown] + [6])
    lines = [f"{'image':>{column}}  {'predicted':<{width}}  {'score':>11}{known}"]
    for index, row in enumerate(scores[:rows]):
        best = int(row.argmax())
        known = ""
        if labels is not None:
            label = int(labels[index])
            name = label_text(label, classes)
            known = f"  {name:<{width}}{'' if label == best else '  wrong'}"
        lines.append(f"{names[index]:>{column}}  {classes[best]:<{width}}  {int(row[best]):>11}{known}".rstrip())
    if len(scores) > rows:
        lines.append(f"  ... {len(scores) - rows} more")
    return "\n".join(lines)


def figures_text(result: dict[str, Any]) -> str:
    """The figures of `summary` and `of_runs` as text."""
    lines = list(result.get("remarks", []))
    if "accuracy" in result:
        lines.append(f"accuracy: {result['correct']}/{result['images']} ({100 * result['accuracy']:.2f} %)")
    lines.append(f"end to end: {result['images_per_s']:.1f} images/s ({result['seconds']:.4f} s)")
    if "steps" in result:
        lines.append("steps: " + ", ".join(f"{step} {seconds:.4f} s" for step, seconds in result["steps"].items()))
    if result.get("latency_ms"):
        listed = ", ".join(f"{name} {value:.2f}" for name, value in result["latency_ms"].items())
        lines.append(f"latency of {result['runs']} runs in ms: {listed}")
    if result.get("cycles"):
        share = 100 * result["busy_cycles"] / result["cycles"]
        clock = f" at {result['clock_hz'] / 1e6:g} MHz" if result["clock_hz"] else ", clock unknown"
        rate = result.get("accelerator_images_per_s")
        speed = "" if rate is None else f"{rate:.1f} images/s, "
        lines.append(f"accelerator: {speed}{result['cycles']} cycles{clock}, array busy {share:.1f} %")
    lines += [f"{name}: {count} images" for name, count in result.get("boards", {}).items()]
    return "\n".join(lines)


def csv_text(scores: np.ndarray, labels: np.ndarray | None, classes: list[str], names: list[str]) -> str:
    """One row an image: name, predicted class, label (empty where unknown), every class's score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "predicted", "label", *(f"score_{name}" for name in classes)])
    for index, row in enumerate(scores):
        label = "" if labels is None else label_text(int(labels[index]), classes)
        writer.writerow([names[index], classes[int(row.argmax())], label, *row.tolist()])
    return out.getvalue()
