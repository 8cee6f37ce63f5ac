"""Classify images on the accelerator, or with the integer model on the processor.

On the board, or on a board at an address through pynq 4.0, also the simulated one:

    python3 host/pynq_infer.py --bit pynq_z1.bit --program program.bin --images images.npz
    PYNQ_REMOTE_DEVICES=127.0.0.1 python3 host/pynq_infer.py --bit pynq_z1.bit --program program.bin --images pictures
    python3 host/pynq_infer.py --cpu --model cnv.npz --images cifar10
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if not __package__:  # a script by its path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __package__ = "host"

import numpy as np

from bnn import cluster, output
from bnn import images as reader
from bnn.cluster import LOCAL
from bnn.command import Command, UsageError, positive
from bnn.golden import check_images
from bnn.model import Model, load
from bnn.output import progress
from bnn.samples import some
from bnn.text import printable

from . import images as sources
from . import report
from .accelerator import Accelerator, read_program
from .backend import addresses
from .cluster import Spread, over_boards, over_processors
from .errors import HostError
from .program import Program

LOCAL_TIMEOUT_S, REMOTE_TIMEOUT_S = 10.0, 300.0
REPEATS = 10
CPU_IMAGES, CPU_BYTES = 4096, 16 << 20
"""Images that the processor gets at a time, and their pixels, at most."""
POLL_S = 0.2


class Engine:
    """What computes scores: a processor, an accelerator, or many of either."""

    def __init__(self, options: argparse.Namespace, model: Model | None) -> None:
        self.boards = addresses(options.boards)
        self.name = "cpu" if options.cpu else "accelerator"
        self._model = model
        self._part = options.batch
        if options.cpu and model is not None:
            shape = model.height, model.width, model.channels
            self._part = min(CPU_IMAGES, sources.count_of(CPU_BYTES, shape))
        self._device: Accelerator | None = None
        self._many: Spread | None = None
        self.program: Program | None = None
        """The program of the accelerator; None on the processor."""
        where = getattr(options, "cluster", None)
        if options.cpu:
            if where is not None and model is not None:
                self._many = over_processors(where, model, report=_say)
            return
        timeout = options.timeout or (REMOTE_TIMEOUT_S if self.boards or where else LOCAL_TIMEOUT_S)
        if where is not None or len(self.boards) > 1:
            self.program = read_program(options.program, options.bit)
            self._many = over_boards(
                where or LOCAL, self.boards, options.bit, self.program, timeout, options.batch, _say
            )
        else:
            board = self.boards[0] if self.boards else None
            self._device = Accelerator(options.bit, options.program, timeout, board=board)
            self.program = self._device.program

    def close(self) -> None:
        """Free the accelerator."""
        for held in (self._device, self._many):
            if held is not None:
                held.close()

    def _part_of(self, count: int) -> int:
        """Images of which `stream` gives the scores at a time, of `count`."""
        return self._part if self._many is None else self._many.part(count)

    def stream(self, images: np.ndarray | sources.Pictures) -> Iterator[np.ndarray]:
        """Scores int32 (n, classes), in the images' order, some at a time; pictures are read when they are due."""
        like = images if isinstance(images, np.ndarray) else np.asarray(images[:0])
        if self.program is not None:
            self.program.check_images(like)
        elif self._model is not None:
            check_images(self._model, like)
        if self._many is not None:
            yield from self._many.stream(images)
            return
        parts = (np.asarray(images[at : at + self._part]) for at in range(0, len(images), self._part))
        if self._device is not None:
            yield from self._device.stream(parts)
        else:
            from bnn import cpu

            assert self._model is not None
            for part in parts:
                yield cpu.infer(self._model, part)

    def infer(self, images: np.ndarray | sources.Pictures) -> np.ndarray:
        """Scores int32 (N, classes)."""
        return np.concatenate(list(self.stream(images)))

    def figures(self) -> dict[str, Any]:
        """What is known of the last `stream` beyond its time."""
        device, many = self._device, self._many
        if device is not None:
            steps = {step: device.times[step] for step in ("copy", "run", "read", "load")}
            return {**report.of_runs(device.runs, device.clock_hz), "steps": steps}
        if many is not None:
            every = [run for runs in many.runs.values() for run in runs]
            return {**(report.of_runs(every, None) if every else {}), "workers": many.shares}
        return {}

    def timed(self, images: np.ndarray | sources.Pictures, results: report.Results) -> dict[str, Any]:
        """Take the scores of the images; gives figures."""
        began = time.perf_counter()
        parts, count = self.stream(images), -(-len(images) // self._part_of(len(images)))
        for scores in progress(parts, "infer", count) if count > 1 else parts:
            results.add(scores)
        return {"engine": self.name, **results.summary(time.perf_counter() - began), **self.figures()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def throughput(engine: Engine, images: np.ndarray, repeats: int) -> dict[str, Any]:
    """Figures of `repeats` passes over the images after one that warms up: medians of the time of every step."""
    engine.infer(images)
    passes = [engine.timed(images, report.Results([], None, [], 0)) for _ in range(repeats)]
    seconds = [item["seconds"] for item in passes]
    middle = passes[int(np.argsort(seconds)[len(seconds) // 2])]
    result: dict[str, Any] = {**middle, "repeats": repeats, "seconds": float(np.median(seconds))}
    result["images_per_s"] = len(images) / result["seconds"] if result["seconds"] else 0.0
    for step in result.get("steps", {}):
        result["steps"][step] = float(np.median([item["steps"][step] for item in passes]))
    return result


def validate(model: Model, images: np.ndarray | sources.Pictures, scores: np.ndarray, traces: Path) -> str:
    """Compare scores with the golden model's; its traces of images that differ go into a file.

    Returns:
        One line that says that all agree.

    Raises:
        HostError: some differ; says how many, the first one, and where the traces are.
    """
    from bnn import golden

    part = sources.count_of(CPU_BYTES, images.shape[1:])
    parts = [golden.infer(model, np.asarray(images[at : at + part])) for at in range(0, len(images), part)]
    expected = np.concatenate(parts)
    wrong = np.flatnonzero((expected != scores).any(axis=1))
    if not len(wrong):
        return f"validated: {scores.size} scores of {len(scores)} images equal to the golden model's"
    image = int(wrong[0])
    where = int(np.flatnonzero(expected[image] != scores[image])[0])
    kept = wrong[:16]
    layers = golden.trace(model, np.asarray(images[kept]))
    np.savez_compressed(str(traces), images=kept, got=scores[kept], **layers)
    raise HostError(
        f"{len(wrong)} of {len(scores)} images differ from the golden model; first: image {image}, class {where}, "
        f"expected {expected[image, where]}, got {scores[image, where]}; its traces: {traces}"
    )


def watch(engine: Engine, options: argparse.Namespace, shape: tuple[int, int, int], classes: list[str]) -> int:
    """Classify what appears in a folder, or what a camera sees, until interrupted or enough was seen; gives how many.

    Raises:
        HostError: there is no such folder or camera, or a run fails.
    """
    where, seen, count = str(options.watch), set(), 0
    camera: Any = None
    if re.fullmatch(r"camera(:\d+)?", where) and not Path(where).is_dir():
        try:
            import cv2
        except ImportError:
            raise HostError(f"{where}: cameras need OpenCV (pip install opencv-python)") from None
        camera = cv2.VideoCapture(int(where.partition(":")[2] or 0))
        if not camera.isOpened():
            raise HostError(f"{where}: cannot be opened")
    elif not Path(where).is_dir():
        raise HostError(f"{where}: no such folder")
    began, limit = time.monotonic(), options.limit or math.inf
    try:
        while count < limit and not (options.watch_s and time.monotonic() - began > options.watch_s):
            found: list[tuple[str, np.ndarray]] = []
            if camera is not None:
                good, frame = camera.read()
                if good:
                    found.append((f"frame {count}", reader.fit_array(frame[:, :, ::-1], shape)))
            else:
                for path in sources.list_pictures(Path(where)):
                    try:
                        state = path.stat()
                    except OSError:  # gone meanwhile
                        continue
                    key = (path.name, state.st_mtime_ns, state.st_size)
                    if key in seen:
                        continue
                    seen.add(key)
                    try:
                        found.append((printable(path.name), sources.read_picture(path, shape)[0]))
                    except HostError as error:  # perhaps half written: it is looked at again when it changes
                        print(f"skipped: {error}", file=sys.stderr, flush=True)
            if not found:
                time.sleep(POLL_S)
                continue
            scores = engine.infer(np.stack([image for _, image in found]))
            for (name, _), row in zip(found, scores):
                best = int(row.argmax())
                text = f"{name}  {classes[best]}  {int(row[best])}"
                output.event(text, image=name, predicted=classes[best], scores=row.tolist())
            count += len(found)
    except KeyboardInterrupt:
        pass
    return count


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="WHAT",
        help=".npy, .npz with x and labels y, pictures, folders of pictures or of a folder per class, or cifar10",
    )
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out pictures that cannot be read")
    parser.add_argument("--bit", type=Path, help="bitstream, its .hwh beside it")
    parser.add_argument("--program", type=Path, help="program.bin for the same design; or a model.npz, packed first")
    parser.add_argument("--model", type=Path, help="model.npz: class names, and the network for --cpu and --validate")
    parser.add_argument("--cpu", action="store_true", help="run the integer model on the processor instead")
    parser.add_argument("--boards", metavar="A,B", help="addresses of boards (default $PYNQ_REMOTE_DEVICES)")
    parser.add_argument("--batch", type=positive, default=64, help="images per run (default 64)")
    parser.add_argument("--limit", type=positive, help="use so many images only, of all classes")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help=f"seconds one run may take (default {LOCAL_TIMEOUT_S:g}, at an address "
        f"{REMOTE_TIMEOUT_S:g}: it may be simulated)",
    )
    parser.add_argument("--throughput", action="store_true", help="time the steps of repeated passes over the images")
    parser.add_argument("--repeats", type=positive, default=REPEATS, help=f"passes of --throughput ({REPEATS})")
    parser.add_argument("--validate", action="store_true", help="compare every score with the golden model (--model)")
    parser.add_argument("--traces", type=Path, default=Path("mismatch.npz"), help="where --validate puts traces")
    parser.add_argument("--watch", metavar="WHERE", help="classify pictures as they appear in a folder, or camera[:N]")
    parser.add_argument("--watch-s", type=float, metavar="S", help="end --watch after S seconds")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the scores of every image, as they come")
    parser.add_argument("--npy", type=Path, metavar="FILE", help="likewise, as an array; --json leaves them out then")
    cluster.add_options(parser)


def _check(options: argparse.Namespace) -> None:
    if (options.cpu or options.validate) and options.model is None:
        raise UsageError(f"{'--cpu' if options.cpu else '--validate'} needs --model")
    if not options.cpu and (options.bit is None or options.program is None):
        raise UsageError("give --bit and --program, or --cpu and --model")
    if bool(options.images) == bool(options.watch):
        raise UsageError("give either --images or --watch")
    if options.cluster not in (None, cluster.LOCAL) and options.boards:
        raise UsageError("the boards of a scheduler are those of its workers: give either --cluster or --boards")
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError(f"--timeout {options.timeout} is not positive")


def _shape(options: argparse.Namespace, model: Model | None) -> tuple[int, int, int] | None:
    """The shape of images, known before a board is reached; None where a model is still to be packed."""
    if model is not None:
        return model.height, model.width, model.channels
    if options.program is not None and options.program.suffix != ".npz":
        return Program(options.program).shape
    return None


def _run(options: argparse.Namespace) -> None:
    _check(options)
    path = options.model
    if path is None and options.program is not None and options.program.suffix == ".npz":
        path = options.program
    model = None if path is None else load(path)
    shape = _shape(options, model)
    known = None if model is None else list(model.classes)
    given = None if options.watch else sources.read(options.images, shape, known, options.skip_unreadable)
    engine = Engine(options, model)
    try:
        program = engine.program
        classes = program.classes if program is not None else len(model.classes) if model else 0
        names = [str(index) for index in range(classes)] if model is None else list(model.classes)
        if len(names) != classes:
            raise HostError(f"{path} has {len(names)} classes, {options.program} has {classes}")
        if given is None:
            shape = program.shape if program is not None else shape
            assert shape is not None
            watch(engine, options, shape, names)
            return
        chosen = some(given.labels, len(given.images), options.limit)
        images = given.images[chosen]
        shown = given.names[chosen] if isinstance(chosen, slice) else [given.names[index] for index in chosen]
        labels = None if given.labels is None else given.labels[chosen]
        if options.throughput:
            figures = throughput(engine, np.asarray(images), options.repeats)
            output.result(report.figures_text(figures), **figures)
            return
        kept = len(images) if options.validate or options.npy is None else report.TABLE_ROWS
        with report.Results(shown, labels, names, kept, options.csv, options.npy) as results:
            figures = engine.timed(images, results)
        figures["remarks"] = list(given.remarks)
        scores = results.scores
        if options.validate and model is not None:
            figures["remarks"].append(validate(model, images, scores, options.traces))
        if options.npy is None:
            figures.update(predictions=scores.argmax(axis=1), scores=scores)
        output.result(f"{results.table_text()}\n{report.figures_text(figures)}", **figures, classes=names)
    finally:
        engine.close()


main = Command("infer", _options, _run, "--cpu --model models/cnv.npz --images models/cifar10_sample.npz")


if __name__ == "__main__":
    sys.exit(main())
