"""Many boards or processors as one engine, on a cluster of `bnn.cluster`: batches are shared, their order is kept.

A worker owns a board, the first of PYNQ_REMOTE_DEVICES where it was started or else the one that it runs on, or it
computes with the engine of its processor. A board or a worker that fails, hangs or dies costs time: its batches go to
others, and it takes part again when it works again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bnn import cpu
from bnn.cluster import LOCAL, Cluster, WorkerError, by_number, cores
from bnn.errors import line
from bnn.model import Model
from bnn.output import note
from bnn.text import printable

from .accelerator import Accelerator
from .backend import REMOTE
from .errors import HostError
from .images import Pictures, count_of
from .program import Program

ITEM_BYTES = 16 << 20
"""Images that a worker gets at a time, at most: an item costs Dask some milliseconds, however large it is."""
PARTS = 4
"""Parts of a work for each processor, at least, so that all have done at about the same time."""
RUNS = 4
"""Batches that a board gets at a time, so that the next is written while it works on one."""
THIS = "this board"
SHARES = hasattr(os, "memfd_create")
"""Whether images reach the workers of this machine as a file in memory (Linux)."""


class Part:
    """Images uint8 (n, H, W, C) for a worker of this machine, in a file in memory, whose name is all that is sent: a
    `Part` is unpickled as that name. Nothing of it is left when the part or this process ends.

    Raises:
        OSError: there is no memory or no file descriptor for it.
    """

    def __init__(self, images: np.ndarray | Pictures) -> None:
        self._file = -1
        self._file = os.memfd_create("bnn-images")
        with open(self._file, "wb", closefd=False) as file:
            np.save(file, images)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (f"/proc/{os.getpid()}/fd/{self._file}",)


def images_of(part: np.ndarray | str) -> np.ndarray:
    """The images that a worker was given: an array, or the name of a `Part`, which is mapped."""
    images: np.ndarray = np.load(part, mmap_mode="r") if isinstance(part, str) else part
    return images


class OnBoards:
    """A job: scores of images on the worker's board, and its runs as `Accelerator.runs`.

    Args:
        bitfile: the bitstream, its `.hwh` beside it; both go to the workers.
        program: for the same design.
        timeout_s: longest time of a run.
        batch: images of a run.

    Raises:
        HostError: a file cannot be read.
    """

    def __init__(self, bitfile: Path, program: Program, timeout_s: float, batch: int) -> None:
        self._files = {"program.bin": program.words.tobytes()}
        for path in (bitfile, bitfile.with_suffix(".hwh")):
            try:
                self._files[path.name] = path.read_bytes()
            except OSError as error:
                raise HostError(f"{printable(path)}: cannot be read ({error.strerror})") from None
        self._bit, self._timeout_s, self._batch = bitfile.name, timeout_s, batch
        self._device: Accelerator | None = None

    def __call__(self, part: np.ndarray | str) -> tuple[np.ndarray, list[dict[str, float]]]:
        try:
            if self._device is None:
                with tempfile.TemporaryDirectory() as name:
                    for file, content in self._files.items():
                        (Path(name) / file).write_bytes(content)
                    code = Path(name) / "program.bin"
                    self._device = Accelerator(Path(name) / self._bit, code, self._timeout_s)
            return self._device.infer(images_of(part), self._batch), self._device.runs
        except Exception as error:  # whatever it is, the next batch starts with the bitstream
            self.close()
            raise WorkerError(line(error)) from None

    def close(self) -> None:
        """Let go of the board."""
        device, self._device = self._device, None
        if device is not None:
            device.close()


class OnProcessors:
    """A job: scores of images by the CPU engine in one thread, and no runs."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, part: np.ndarray | str) -> tuple[np.ndarray, list[dict[str, float]]]:
        return cpu.infer(self._model, images_of(part), threads=1), []


class Spread:
    """An engine of many. A context manager is not needed: `close` ends it.

    Args:
        where: of the option `--cluster`: a scheduler, or `local`.
        job: what the workers run on images, as `images_of` takes them.
        item: images that a worker gets at a time, at most.
        workers: those of a local cluster, by name with their environment variables.
        board: whether every worker owns a board.
        report: called with one line where a worker fails or works again.

    Raises:
        ClusterError: there is no such cluster, or it has no workers.
    """

    def __init__(
        self,
        where: str,
        job: Callable[[np.ndarray | str], tuple[np.ndarray, list[dict[str, float]]]],
        item: int,
        workers: dict[str, dict[str, str]],
        board: bool,
        report: Callable[[str], Any] = note,
    ) -> None:
        self._job, self.item, self._board, self._shares = job, item, board, where == LOCAL and SHARES
        self.runs: dict[str, list[dict[str, float]]] = {}
        """Of the last work: the runs of every board, by its worker's name."""
        self.shares: dict[str, int] = {}
        """Of the last work: images by the worker's name."""
        self._cluster = Cluster(None if where == LOCAL else where, workers, board, report)

    def close(self) -> None:
        """Leave the cluster; end what was started for it."""
        self._cluster.close()

    def processor_seconds(self) -> float:
        """As `Cluster.processor_seconds`."""
        return self._cluster.processor_seconds()

    def part(self, count: int) -> int:
        """Images of a part of `count`: `item`, or fewer so that every processor has `PARTS` of them."""
        return self.item if self._board else max(1, min(self.item, -(-count // (PARTS * self._cluster.size))))

    def stream(self, images: np.ndarray | Pictures) -> Iterator[np.ndarray]:
        """Scores int32 (n, classes) of images uint8 (N, H, W, C), an array or `Pictures`, in order, some at a time.

        Raises:
            ClusterError: as of `Cluster.map`.
        """
        item = self.part(len(images))
        return self.scores(images[at : at + item] for at in range(0, len(images), item))

    def _sent(self, images: np.ndarray | Pictures) -> Part | np.ndarray:
        """What is sent of images: in either case the part alone is read of a file that is mapped."""
        return Part(images) if self._shares else np.array(images, subok=False)

    def scores(self, parts: Iterable[np.ndarray | Pictures]) -> Iterator[np.ndarray]:
        """Scores of every part, each images uint8 (n, H, W, C), in order.

        Raises:
            ClusterError: as of `Cluster.map`.
        """
        self.runs, self.shares = {}, {}
        for (scores, runs), worker in self._cluster.map(self._job, map(self._sent, parts)):
            self.runs.setdefault(worker, []).extend(runs)
            self.shares[worker] = self.shares.get(worker, 0) + len(scores)
            yield scores


def over_boards(
    where: str,
    boards: list[str],
    bitfile: Path,
    program: Program,
    timeout_s: float,
    batch: int,
    report: Callable[[str], Any] = note,
) -> Spread:
    """The boards of a cluster's workers; of a local one those at the addresses, or this one.

    Raises:
        HostError: a file cannot be read.
        ClusterError: as `Spread`'s.
    """
    workers = {board: {REMOTE: board} for board in boards} or {THIS: {}}
    job = OnBoards(bitfile, program, timeout_s, batch)
    return Spread(where, job, RUNS * batch, workers, True, report)


def over_processors(where: str, model: Model, count: int | None = None, report: Callable[[str], Any] = note) -> Spread:
    """The processors of a cluster's workers; of a local one `count` workers, one a core by default.

    Raises:
        ClusterError: as `Spread`'s.
    """
    size = count_of(ITEM_BYTES, (model.height, model.width, model.channels))
    workers = by_number(count or cores())
    return Spread(where, OnProcessors(model), size, workers, False, report)
