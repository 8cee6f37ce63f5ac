"""Classify images on the accelerator, or with the integer model on the processor.

``python3 host/pynq_infer.py --bit bnn.bit --program program.bin --images images.npz``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from host.accelerator import Accelerator, HostError
from sim.model import Model, ModelError, load

TABLE_ROWS = 20


def read_images(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (N, H, W, C) from an .npy file, or array x and, where there is one, labels y of an .npz file.

    Raises:
        HostError: the file cannot be read or holds something else.
    """
    try:
        content = np.load(str(path), allow_pickle=False)
        if isinstance(content, np.ndarray):
            images, labels = content, None
        else:
            with content as archive:
                if "x" not in archive.files:
                    raise HostError(f"{path}: holds {', '.join(archive.files) or 'nothing'}, expected array x")
                images = archive["x"]
                labels = archive["y"] if "y" in archive.files else None
    except OSError as error:
        raise HostError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise HostError(f"{path}: is no .npy or .npz file ({str(error).splitlines()[0]})") from None
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.dtype != np.uint8:
        raise HostError(f"{path}: images are {images.dtype.name} {images.shape}, expected uint8 (N, H, W, C)")
    if labels is not None:
        labels = labels.reshape(-1)
        if labels.dtype.kind not in "iu" or len(labels) != len(images):
            raise HostError(
                f"{path}: labels are {labels.dtype.name} {labels.shape}, expected {len(images)} whole numbers"
            )
    return images, labels


def classify(
    infer: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch: int
) -> tuple[np.ndarray, float]:
    """Scores of all images, batch by batch, and the seconds it took."""
    began = time.perf_counter()
    parts = [infer(images[at : at + batch]) for at in range(0, max(len(images), 1), batch)]
    return np.concatenate(parts), time.perf_counter() - began


def _on_cpu(model: Model, images: np.ndarray, batch: int) -> tuple[np.ndarray, dict[str, Any]]:
    from sim import golden

    scores, seconds = classify(lambda part: golden.infer(model, part), images, batch)
    return scores, {"engine": "cpu", "seconds": seconds}


def _on_accelerator(options: argparse.Namespace, images: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    cycles: list[int] = []
    busy: list[int] = []
    steps = {"copy": 0.0, "run": 0.0, "read": 0.0}
    with Accelerator(options.bit, options.program, options.timeout) as accelerator:

        def infer(part: np.ndarray) -> np.ndarray:
            scores = accelerator.infer(part)
            cycles.append(accelerator.cycles)
            busy.append(accelerator.busy_cycles)
            for step in steps:
                steps[step] += accelerator.times[step]
            return scores

        scores, seconds = classify(infer, images, options.batch)
        result: dict[str, Any] = {"engine": "accelerator", "seconds": seconds}
        result.update(cycles=sum(cycles), busy_cycles=sum(busy), clock_hz=accelerator.clock_hz)
        result["steps"] = dict(steps, load=accelerator.times["load"])
    if result["clock_hz"] and result["cycles"]:
        result["accelerator_images_per_s"] = len(images) * result["clock_hz"] / result["cycles"]
    return scores, result


def _print_table(
    scores: np.ndarray, labels: np.ndarray | None, names: list[str], rows: int = TABLE_ROWS
) -> None:
    width = max([len(name) for name in names] + [9])
    known = "" if labels is None else f"  {'label':<{width}}"
    print(f"{'image':>6}  {'predicted':<{width}}  {'score':>11}{known}")
    for index, row in enumerate(scores[:rows]):
        best = int(row.argmax())
        known = ""
        if labels is not None:
            label = int(labels[index])
            name = names[label] if 0 <= label < len(names) else str(label)
            known = f"  {name:<{width}}{'' if label == best else '  wrong'}"
        print(f"{index:>6}  {names[best]:<{width}}  {int(row[best]):>11}{known}".rstrip())
    if len(scores) > rows:
        print(f"  ... {len(scores) - rows} more")


def _print_report(result: dict[str, Any]) -> None:
    if "accuracy" in result:
        print(f"accuracy: {result['correct']}/{result['images']} ({100 * result['accuracy']:.2f} %)")
    print(f"end to end: {result['images_per_s']:.1f} images/s ({result['seconds']:.4f} s)")
    if "steps" in result:
        print("steps: " + ", ".join(f"{step} {seconds:.4f} s" for step, seconds in result["steps"].items()))
    if result.get("cycles"):
        share = 100 * result["busy_cycles"] / result["cycles"]
        clock = f" at {result['clock_hz'] / 1e6:g} MHz" if result["clock_hz"] else ", clock unknown"
        rate = result.get("accelerator_images_per_s")
        speed = "" if rate is None else f"{rate:.1f} images/s, "
        print(f"accelerator: {speed}{result['cycles']} cycles{clock}, array busy {share:.1f} %")


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pynq_infer", description="Classify images on the accelerator.")
    parser.add_argument("--images", type=Path, required=True, help=".npy, or .npz with x and optional labels y")
    parser.add_argument("--bit", type=Path, help="bitstream, its .hwh beside it")
    parser.add_argument("--program", type=Path, help="program.bin, planned for the same design")
    parser.add_argument("--model", type=Path, help="model.npz: class names, and the network for --cpu")
    parser.add_argument("--cpu", action="store_true", help="run the integer model on the processor instead")
    parser.add_argument("--batch", type=_positive, default=256, help="images per run (default 256)")
    parser.add_argument("--limit", type=_positive, help="use the first LIMIT images only")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds one run may take (default 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    options = parser.parse_args(arguments)
    if options.cpu and options.model is None:
        parser.error("--cpu needs --model")
    if not options.cpu and (options.bit is None or options.program is None):
        parser.error("give --bit and --program, or --cpu and --model")
    return options


def _run(options: argparse.Namespace) -> None:
    images, labels = read_images(options.images)
    images = images[: options.limit]
    labels = None if labels is None else labels[: options.limit]
    model = None if options.model is None else load(options.model)
    if options.cpu and model is not None:
        scores, result = _on_cpu(model, images, options.batch)
    else:
        scores, result = _on_accelerator(options, images)
    classes = scores.shape[1]
    names = [str(index) for index in range(classes)] if model is None else list(model.classes)
    if len(names) != classes:
        raise HostError(f"{options.model} has {len(names)} classes, {options.program} has {classes}")
    best = scores.argmax(axis=1)
    result.update(images=len(images))
    result["images_per_s"] = len(images) / result["seconds"] if result["seconds"] else 0.0
    if labels is not None and len(images):
        correct = int((best == labels).sum())
        result.update(correct=correct, accuracy=correct / len(images))
    if options.json:
        result.update(predictions=best.tolist(), classes=names)
        print(json.dumps(result))
    else:
        _print_table(scores, labels, names)
        _print_report(result)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 1 after one line on stderr."""
    options = _options(arguments)
    try:
        _run(options)
    except (HostError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
