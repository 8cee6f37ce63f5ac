"""What a run gives, for people and for programs: a table, JSON, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import numpy as np

from bnn.files import written
from bnn.text import label_text

TABLE_ROWS = 20
PERCENTILES = (50, 90, 99)


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


def figures_text(result: dict[str, Any]) -> str:
    """The figures of `Results.summary` and `of_runs` as text."""
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
    lines += [f"{name}: {count} images" for name, count in result.get("workers", {}).items()]
    return "\n".join(lines)


class Results:
    """The scores of images as they come, in their order: written to files, counted, and the first of them kept.

    A context manager; a file is there, whole, when all went well.

    Args:
        names: of the images.
        labels: int (N,), or None.
        classes: names of the classes.
        kept: images whose scores stay in memory.
        csv_file: one row an image: name, predicted class, label (empty where unknown), every class's score.
        npy_file: int32 (N, classes).
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: np.ndarray | None,
        classes: list[str],
        kept: int = TABLE_ROWS,
        csv_file: Path | None = None,
        npy_file: Path | None = None,
    ) -> None:
        self._names, self._labels, self._classes, self._kept = names, labels, classes, kept
        self._files = ExitStack()
        self._paths = csv_file, npy_file
        self._csv: TextIO | None = None
        self._npy: BinaryIO | None = None
        self._first: list[np.ndarray] = []
        self.images = self.correct = 0

    def __enter__(self) -> Results:
        csv_file, npy_file = self._paths
        with ExitStack() as opened:
            if csv_file is not None:
                text = io.TextIOWrapper(opened.enter_context(written(csv_file)), encoding="utf-8", newline="")
                opened.callback(text.detach)
                opened.callback(text.flush)
                self._csv = text
                header = ["image", "predicted", "label", *(f"score_{name}" for name in self._classes)]
                csv.writer(text, lineterminator="\n").writerow(header)
            if npy_file is not None:
                self._npy = opened.enter_context(written(npy_file))
                shape = (len(self._names), len(self._classes))
                about = {"descr": "<i4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(self._npy, about)  # type: ignore[no-untyped-call]
            self._files = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)

    def add(self, scores: np.ndarray) -> None:
        """Take the scores, int32 (n, classes), of the next images."""
        start, self.images = self.images, self.images + len(scores)
        if start < self._kept:
            self._first.append(scores[: self._kept - start])
        best = scores.argmax(axis=1)
        if self._labels is not None:
            self.correct += int((best == self._labels[start : self.images]).sum())
        if self._npy is not None:
            self._npy.write(scores.astype("<i4").tobytes())
        if self._csv is not None:
            rows = csv.writer(self._csv, lineterminator="\n")
            for index, row in enumerate(scores):
                label = "" if self._labels is None else label_text(int(self._labels[start + index]), self._classes)
                rows.writerow([self._names[start + index], self._classes[int(best[index])], label, *row.tolist()])

    @property
    def scores(self) -> np.ndarray:
        """Those that are kept."""
        return np.concatenate([np.zeros((0, len(self._classes)), np.int32), *self._first])

    def summary(self, seconds: float) -> dict[str, Any]:
        """Figures of any engine: images, images/s and, with labels, how many are right."""
        result: dict[str, Any] = {"images": self.images, "seconds": seconds}
        result["images_per_s"] = self.images / seconds if seconds else 0.0
        if self._labels is not None and self.images:
            result.update(correct=self.correct, accuracy=self.correct / self.images)
        return result

    def table_text(self) -> str:
        """The first rows: image, predicted class and its score, and the label where it is known."""
        classes, labels, scores = self._classes, self._labels, self.scores[:TABLE_ROWS]
        width = max([len(name) for name in classes] + [9])
        known = "" if labels is None else f"  {'label':<{width}}"
        shown = self._names[: len(scores)]
        column = max([len(name) for name in shown] + [6])
        lines = [f"{'image':>{column}}  {'predicted':<{width}}  {'score':>11}{known}"]
        for index, row in enumerate(scores):
            best = int(row.argmax())
            known = ""
            if labels is not None:
                label = int(labels[index])
                name = label_text(label, classes)
                known = f"  {name:<{width}}{'' if label == best else '  wrong'}"
            lines.append(f"{shown[index]:>{column}}  {classes[best]:<{width}}  {int(row[best]):>11}{known}".rstrip())
        if self.images > len(scores):
            lines.append(f"  ... {self.images - len(scores)} more")
        return "\n".join(lines)
